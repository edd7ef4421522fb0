# SPDX-License-Identifier: Apache-2.0
"""Small files that inflate to gigabytes take little memory (section 9)."""

import gzip
import lzma
import tarfile
import zlib

import pytest

from support.amounts import some_every_day
from support.hostile import GOOD, PACK, SPARSE
from support.tars import BLOCK, EXTENDED, GLOBAL, LONG_NAME, member, pax, sparse

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
