# SPDX-License-Identifier: Apache-2.0
"""Small files that inflate to gigabytes take little memory (section 9)."""

import gzip
import lzma
import tarfile
import zlib

import pytest

from support.amounts import some_every_day
from support.hostile import GOOD, PACK, SPARSE
from support.images import configuration
from support.measuring import measure
from support.running import messages
from support.tars import BLOCK, EXTENDED, GLOBAL, LONG_NAME, member, pax, sha256, sparse, tar_of

# Chunks of archives that inflate to gigabytes, and how often each is repeated.
ZEROS = bytes(16 << 20)
ONES = tarfile.itn(1, 12, tarfile.GNU_FORMAT) * 42
BOMBS = {
    'a manifest': lambda: [(member('manifest.json', size=1 << 30), 1), (ZEROS, 64)],
    'a long name': lambda: [(GOOD + member('n', kind=LONG_NAME, size=3 << 30), 1), (ZEROS, 192)],
    'a header': lambda: [(GOOD + member('x', kind=EXTENDED, size=3 << 30), 1), (ZEROS, 192)],
    'many headers': lambda: [
        (GOOD, 1),
        *(
            (pax(b'%d=' % n + ZEROS[: 14 << 10], kind=GLOBAL) + member(f'{n}'), 1)
            for n in range(4000)
        ),
        (bytes(2 * BLOCK), 1),
    ],
    'an old sparse map': lambda: [
        (GOOD + sparse(1 << 30, more=b'\1')[:512], 1),
        (ONES.ljust(512, b'\1') * 30000, 8),
    ],
    'a sparse map': lambda: [
        (GOOD + SPARSE + member('s', size=1 << 30) + b'4500000\n', 1),
        (b'1000\n' * (1 << 20), 9),
    ],
    'a manifest of lists': lambda: [
        (member('manifest.json', size=15000004) + b'[[]', 1),
        (b',[]' * 50000, 100),
        (b']' + bytes(511), 1),
    ],
}


# Bombs refused at their first header take no time; the others are inflated completely.
QUICK_BOMBS = ('a long name', 'a header', 'a sparse map')


@pytest.mark.parametrize('pack', ['gzip', 'xz'])
@pytest.mark.parametrize('bomb', some_every_day(BOMBS, QUICK_BOMBS))
def test_bombs_take_little_memory(target, pack, bomb):
    packed = b''.join(PACK[pack](chunk) * count for chunk, count in BOMBS[bomb]())
    if bomb == 'many headers':  # valid; all headers together have 56 MiB
        assert target.run(packed, memory=64 << 20) is None
    else:
        assert target.run(packed)


@pytest.mark.slow
def test_large_member_takes_no_memory(target):
    packed = gzip.compress(GOOD + member('top', size=256 << 20)) + gzip.compress(ZEROS) * 16
    assert target.run(packed) is None


def xz_with_a_4_gib_dictionary(*chunks):
    """Returns a file that says it needs a dictionary of 4 GiB.

    In the .xz format a block header has the size of the dictionary, and ends with a checksum.
    """
    packer = lzma.LZMACompressor(preset=0)
    packed = b''.join(map(packer.compress, chunks)) + packer.flush()
    end = 12 + 4 * packed[12]
    header = packed[12:16] + bytes([40]) + packed[17:end]
    return packed[:12] + header + zlib.crc32(header).to_bytes(4, 'little') + packed[end + 4 :]


TOP = member('top', size=256 << 20)


@pytest.mark.slow
def test_xz_dictionary_of_4_gib_is_an_error(target):
    line = target.run(xz_with_a_4_gib_dictionary(GOOD + TOP, *[ZEROS] * 16))
    assert line == f"'{target.image.base}' is xz that takes over 128 MiB: unpack it"


@pytest.mark.slow
def test_xz_dictionary_of_4_gib_in_the_second_stream_is_an_error(target):
    first = lzma.compress(GOOD + TOP)
    line = target.run(first + xz_with_a_4_gib_dictionary(*[ZEROS] * 16))
    assert line == f"'{target.image.base}' is xz that takes over 128 MiB: unpack it"


def test_xz_with_the_highest_preset_is_read(target):
    packed = lzma.compress(GOOD + member('top', size=len(ZEROS)) + ZEROS, preset=9)
    assert target.run(packed) is None


# What takes little in a compressed file, and much in memory, on the disk or in time.


def packed(*more):
    """Returns a valid base with more members, compressed."""
    return gzip.compress(GOOD + b''.join(more) + bytes(2 * BLOCK), 1)


def test_names_of_owners_take_little_memory(target):
    owner = b'u' * ((1 << 20) - 100)
    owners = [pax(b'uname=%d' % n + owner) + member(f'f{n}') for n in range(80)]
    line = target.run(packed(*owners))
    assert line == f"'{target.image.base}' has names of over 64 MiB in all: give a smaller one"


@pytest.mark.slow
def test_names_of_owners_in_a_layer_are_not_kept(parts):
    owner = b'u' * ((1 << 20) - 100)
    owners = [pax(b'uname=%d' % n + owner) + member(f'f{n}') for n in range(80)]
    identifier, path = parts.layers[0]
    path.write_bytes(tar_of(*owners))
    identifier = sha256(path.read_bytes())
    parts.layers = [(identifier, path)]
    parts.configure(configuration(parts.diff_ids))
    done, peak, _ = measure(*parts.flags, '--verify')
    assert messages(done.stderr) == ([], [])
    assert peak < 64 << 20


def test_names_of_wide_characters_take_little_memory(target):
    name = '\U0001f600' * 3000
    names = [pax(b'path=./%d' % n + name.encode()) + member(f'f{n}') for n in range(3000)]
    line = target.run(packed(*names))
    assert line == f"'{target.image.base}' has names of over 64 MiB in all: give a smaller one"


@pytest.mark.slow
def test_attributes_take_little_memory_and_time(target):
    attributes = pax(*(b'SCHILY.xattr.user.%d=x' % n for n in range(30000)))
    line = target.run(packed(*(attributes + member(f'f{n}') for n in range(100))))
    assert line == f"'{target.image.base}' has names of over 64 MiB in all: give a smaller one"


def test_global_header_with_a_long_value_is_an_error(target):
    """Each member would have the value."""
    line = target.run(packed(pax(b'path=' + b'a/' * 4000, kind=GLOBAL), member('x')))
    assert 'has a global header with a value of over 4096 bytes' in line


def test_attributes_of_a_global_header_are_those_of_no_member(target):
    attributes = pax(*(b'SCHILY.xattr.user.%d=x' % n for n in range(9000)), kind=GLOBAL)
    assert target.run(packed(attributes, *(member(f'f{n}') for n in range(2000)))) is None


def test_directories_that_are_made_are_limited(target):
    """A header of 512 bytes can name 127 of them."""
    names = [f'{n:06}/' + '/'.join('b' * 126) for n in range(300)]
    line = target.run(packed(*map(member, names)))
    start = f"'{target.image.base}': too many directories are missing, the last one is '000"
    assert line.startswith(start)
    assert line.endswith(': add them to the archive')


@pytest.mark.slow
def test_long_names_of_directories_that_are_made_are_limited(target):
    names = [f'{n:06}/' + '/'.join(['b' * 31] * 126) for n in range(150)]
    line = target.run(packed(*map(member, names)), memory=150 << 20)
    assert 'too many directories are missing' in line


@pytest.mark.slow
def test_real_trees_get_all_their_directories(target):
    names = [f'srv/{n % 100}/a/{n}/b/{n}/c/{n}/file' for n in range(20000)]
    assert target.run(packed(*map(member, names)), timeout=120) is None


def test_holes_of_sparse_members_are_limited(target):
    line = target.run(packed(*[sparse(9 << 30)] * 2))
    text = 'has sparse members with holes of over 16 GiB in all: give a smaller one'
    assert line == f"'{target.image.base}' {text}"
