# SPDX-License-Identifier: Apache-2.0
"""Hostile and damaged bases: each ends in a whole archive, or in one line and no output.

MUTANTS=20000 in the environment sets how many mutants are tried, in place of 5500. Each is
seeded by its number, which a failure names; its file stays in the test's folder.
"""

import bz2
import gzip
import json
import lzma
import os
import posixpath
import random
import re
import resource
import tarfile
import zlib

import pytest

import archive
import create_image
from helpers import (
    BASES,
    BLOCK,
    DATA,
    DIR,
    EXTENDED,
    FIELDS,
    GLOBAL,
    HARD,
    LINK,
    LONG_LINK,
    LONG_NAME,
    Parts,
    base_diff_ids,
    headers,
    measure,
    member,
    members,
    messages,
    pax,
    python_reads_zstd,
    run,
    sha256,
    sparse,
    with_fields,
)

MUTANTS = int(os.environ.get('MUTANTS', '5500'))
MEMORY = 200 << 20  # bytes that the tool may take, whatever a base claims
SECONDS = 20
UNPACK = {'.gz': gzip.decompress, '.bz2': bz2.decompress, '.xz': lzma.decompress}
PACK = {
    'gzip': lambda data: gzip.compress(data, mtime=0),
    'bzip2': bz2.compress,
    'xz': lambda data: lzma.compress(data, preset=0),
}


def image(layers, *more):
    """Returns a base whose manifest.json, the first of its members, names layers."""
    text = json.dumps([{'Config': 'c.json', 'Layers': layers}])
    return member('manifest.json', text.encode()) + b''.join(more)


# Damage by chance.


def checksum_of(header):
    start, end = FIELDS['checksum']
    return header[start:end]


def with_random_field(data, place, field, chance, mend):
    """Returns an archive with another value in a field of the header at place.

    Its checksum stays as it is, or becomes right again.
    """
    values = [b'', b'/', b'../' * 9, b'-1', b'7' * 12, b'\xff' * 12, b'\x80' * 12]
    values.append(b'\x80' + bytes(10) + b'\2')
    values.append(b'%o' % chance.randrange(1 << 16))
    values.append(bytes([chance.choice(b'0123456ABDEFGKLMNSVXZgx\xff')]))
    values.append(chance.randbytes(155))
    raw = {field: chance.choice(values)}
    header = data[place : place + BLOCK]
    if not mend:
        raw.setdefault('checksum', checksum_of(header))
    return data[:place] + with_fields(header, **raw) + data[place + BLOCK :]


def mutated(data, chance):
    """Returns data with one kind of damage; a field only in a tar archive."""
    start = chance.randrange(len(data))
    start -= chance.choice([0, start % BLOCK])
    end = start + chance.choice([1, BLOCK, 2 * BLOCK, chance.randint(2, 20000)])
    before, within, after = data[:start], data[start:end], data[end:]
    kinds = ['flip', 'cut', 'remove', 'repeat', 'insert', 'erase']
    if data[257:262] == b'ustar':
        kinds += ['field', 'field']
    kind = chance.choice(kinds)
    if kind == 'flip':
        flipped = bytes(byte ^ chance.choice([0, 1, 255]) for byte in within[:8])
        return before + flipped + within[8:] + after
    if kind == 'cut':
        return before
    if kind == 'remove':
        return before + after
    if kind == 'repeat':
        return before + within + within + after
    if kind == 'insert':
        return before + chance.randbytes(end - start) + within + after
    if kind == 'erase':
        return before + bytes(end - start) + after
    place = chance.choice(list(headers(data)))
    field = chance.choice(list(FIELDS))
    return with_random_field(data, place, field, chance, mend=chance.choice([True, False]))


def mutant(base, number):
    """Returns one mutant of a fixture, and whether a compressor's checksum guards it."""
    chance = random.Random(f'{base} {number}')
    stored = (DATA / 'bases' / base).read_bytes()
    plain = UNPACK.get(posixpath.splitext(base)[1], bytes)(stored)
    pack = chance.choice([*PACK.values(), bytes])
    if chance.random() < 0.6:
        return pack(mutated(plain, chance)), False
    data = stored if pack is bytes else pack(plain)
    return mutated(data, chance), data != plain


def check_whole(path):
    """Checks that an output is an archive that holds all that its manifest names."""
    found = {}
    with tarfile.open(path) as tar:
        for info in tar:
            assert info.name not in found
            assert not {'', '..'} & set(info.name.split('/'))
            assert not info.islnk() or info.linkname in found
            assert not info.isreg() or len(tar.extractfile(info).read()) == info.size
            found[info.name] = info
        assert info.name == 'manifest.json'
        (entry,) = json.load(tar.extractfile(info))
        end = path.read_bytes()[info.offset_data + -(-info.size // BLOCK) * BLOCK :]
    assert end.count(0) == len(end) >= 1024
    for name in [entry['Config'], *entry['Layers']]:
        for _ in range(40):
            if name in found and not found[name].isreg():
                folder = posixpath.dirname(name) if found[name].issym() else ''
                name = posixpath.normpath(posixpath.join(folder, found[name].linkname))
        assert name in found and found[name].isreg(), f'{name} is no file'


class Target:
    """An image to build on one base after the other."""

    def __init__(self, folder, time_limit):
        base = folder / 'hostile'
        base.touch()
        self.image = Parts(folder, below=base_diff_ids(), base=base)
        self.time_limit = time_limit
        self.files = sorted(os.listdir(folder))

    def prepare(self, data):
        """Puts data where the base is, and no output beside it."""
        self.image.output.unlink(missing_ok=True)
        self.image.base.write_bytes(data)

    def attempt(self, data):
        """Builds in this process; returns the output's digest, or None after a proper error."""
        self.prepare(data)
        self.time_limit(SECONDS)
        try:
            create_image.create_image(**self.image.arguments)
        except (OSError, ValueError, archive.TarFileWriter.Error) as error:
            assert str(self.image.base) in str(error)
            assert sorted(os.listdir(self.image.folder)) == self.files
            return None
        finally:
            self.time_limit(0)
        check_whole(self.image.output)
        return sha256(self.image.output.read_bytes())

    def run(self, data, memory=MEMORY, **options):
        """Runs the tool; returns its one error, or None where it wrote a whole archive."""
        self.prepare(data)
        done, peak, _ = measure(*self.image.flags, timeout=SECONDS, **options)
        assert peak < memory
        _, errors = messages(done.stderr)
        if done.returncode == 0:
            assert errors == []
            check_whole(self.image.output)
            return None
        (line,) = errors
        assert done.returncode == 1
        assert str(self.image.base) in line
        assert sorted(os.listdir(self.image.folder)) == self.files
        return line


@pytest.fixture
def target(tmp_path, time_limit):
    return Target(tmp_path, time_limit)


@pytest.mark.parametrize('base', BASES)
def test_mutants(target, base):
    reference = target.attempt((DATA / 'bases' / base).read_bytes())
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for number in range(MUTANTS // len(BASES)):
        data, guarded = mutant(base, number)
        try:
            result = target.attempt(data)
            assert not guarded or result in (None, reference)
        except BaseException as error:
            raise AssertionError(f'mutant {number} of {base}') from error
    assert (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) << 10 < MEMORY


@pytest.mark.parametrize('base', BASES)
def test_mutants_by_command_line(target, base):
    ends = [target.run(mutant(base, number)[0]) for number in range(6)]
    assert any(ends)


# The plain fixtures, and bases with both kinds of extended headers. These end in a member that
# no image needs, but for whose header nothing tells of damage.
LONG = 'folder/' + 'l' * 120
ARCHIVES = {base: (DATA / 'bases' / base).read_bytes() for base in BASES if base.endswith('.tar')}
for dialect in (tarfile.GNU_FORMAT, tarfile.PAX_FORMAT):
    more = member(LONG, b'layer', dialect=dialect), member('oci-layout')
    ARCHIVES[f'long names {dialect}'] = image([LONG], *more) + bytes(2 * BLOCK)


@pytest.mark.parametrize('base', ARCHIVES)
def test_a_damaged_header_is_an_error(target, base):
    data = ARCHIVES[base]
    reference = target.attempt(data)
    assert reference
    chance = random.Random(base)
    for place in headers(data):
        for at in (place, place + FIELDS['checksum'][0] + 2):
            assert target.attempt(data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :]) is None
        for field in FIELDS:
            # Only what ends a number can change unseen.
            changed = with_random_field(data, place, field, chance, mend=False)
            assert target.attempt(changed) in (None, reference)


# A field of a header whose checksum is right, and what the tool must say of it, or make of it.
REFUSED_FIELDS = {
    'name': (b'../l', "'../l' has '..'"),
    'size': (b'-1', 'damaged'),
    'size beyond the end': ({'size': b'00000010000'}, 'cut off'),
    'size of letters': ({'size': b'x'}, 'damaged'),
    'type': (b'3', 'not a file, directory or link'),
    'type of nothing': ({'type': b'Z'}, 'not a file, directory or link'),
    'linkname': ({'type': HARD, 'linkname': b'nothing'}, 'hard link to nothing'),
    'prefix': ({'prefix': b'..', 'magic': b'ustar\x0000'}, "has '..'"),
}
TAKEN_FIELDS = {
    'name': (b'./m//', 'name', 'm'),
    'mode': (b'0000600', 'mode', 0o600),
    'uid': (b'0001750', 'uid', 1000),
    'uid in base 256': ({'uid': b'\x80\0\0\0\0\0\1\0'}, 'uid', 256),
    'gid': (b'0001750', 'gid', 1000),
    'mtime': (b'00000001750', 'mtime', 0),
    'uname': (b'someone', 'uname', 'someone'),
    'gname': (b'some', 'gname', 'some'),
    'devmajor': (b'0000007', 'devmajor', 0),
    'prefix': ({'prefix': b'folder', 'magic': b'ustar\x0000'}, 'name', 'folder/l'),
    'prefix of old GNU tar': ({'prefix': b'12345670123'}, 'name', 'l'),
}


def with_changed(data, field, value):
    """Returns a base with a member of data, in whose header a field has another value."""
    raw = value if isinstance(value, dict) else {field: value}
    return GOOD + member('l', data, raw=raw) + member('behind')


@pytest.mark.parametrize('case', REFUSED_FIELDS)
def test_a_field_that_is_refused(target, case):
    value, words = REFUSED_FIELDS[case]
    assert words in target.run(with_changed(b'', case, value))


@pytest.mark.parametrize('case', TAKEN_FIELDS)
def test_a_field_that_is_taken(target, case):
    value, attribute, expected = TAKEN_FIELDS[case]
    assert target.run(with_changed(b'layer', case, value)) is None
    (info,) = [info for info, data in members(target.image.output) if data == b'layer']
    assert getattr(info, attribute) == expected
    assert 'behind' in [info.name for info, _ in members(target.image.output)]


@pytest.mark.parametrize('base', ARCHIVES)
def test_a_base_cut_between_blocks_is_an_error(target, base):
    """Unless all that the image has from it comes before the cut."""
    data = ARCHIVES[base]
    reference = target.attempt(data)
    for cut in range(0, len(data), 512):
        assert target.attempt(data[:cut]) in (None, reference), f'cut at {cut}'


@pytest.mark.parametrize('pack', PACK)
def test_damaged_compression(target, pack):
    pack, data = PACK[pack], ARCHIVES['docker-20.10.tar']
    reference, packed = target.attempt(data), pack(data)
    for cut in range(1, len(packed)):
        assert target.attempt(packed[:cut]) is None, f'cut at {cut}'
    for place in headers(data):
        parts = pack(data[:place]), pack(data[place:])
        assert target.attempt(b''.join(parts)) == reference
        damaged = parts[0] + b'?' + parts[1][1:]
        assert target.attempt(damaged) in (None, reference), f'damaged at {place}'
    for garbage in (bytes(1), bytes(512), b'garbage', b'\x1f\x8b', packed[:50]):
        assert target.attempt(packed + garbage) in (None, reference)


GOOD = image([])
SPARSE = pax(
    *(b'GNU.sparse.major=1', b'GNU.sparse.minor=0', b'GNU.sparse.realsize=512'),
    b'GNU.sparse.name=s',
)
# Said to be damaged: what follows GOOD's one member.
DAMAGED = {
    **{f'a size of {n}': member('l', size=n) for n in (-(1 << 62), -512, -1, 1 << 62, 1 << 80)},
    **{f'a header of {n}': member('x', kind=EXTENDED, size=n) for n in (-1, 1 << 30, 1 << 62)},
    **{f'a name of {n}': member('n', kind=LONG_NAME, size=n) for n in (-1, 4 << 30, 1 << 62)},
    'a link of gigabytes': member('n', kind=LONG_LINK, size=4 << 30),
    **{
        f'pax: a size of {value}': pax(b'size=%s' % value) + member('l', b'layer')
        for value in (b'1073741824', b'9' * 30, b'-1024', b'x')
    },
    'pax: a record of no length': member('x', b'0 path=x\n', EXTENDED) + member('l'),
    'pax: a record of 10^30': member('x', b'9' * 30 + b' path=x\n', EXTENDED) + member('l'),
    'pax: millions of digits': member('x', b'1' * 4000000, EXTENDED) + member('l'),
    'pax: names in names': member('x', b'2 ' * 100000 + b'=\n', EXTENDED) + member('l'),
    'pax: nothing follows': pax(b'path=x'),
    'pax: 20,000 headers': pax(b'path=x') * 20000 + member('l'),
    '20,000 long names': member('n', b'n\0', LONG_NAME) * 20000 + member('l'),
    'a long name, nothing follows': member('n', b'name\0', LONG_NAME),
    'islands overlap': sparse(4096, (0, 512), (256, 512)),
    'islands in wrong order': sparse(4096, (1024, 256), (512, 256)),
    'an island beyond the end': sparse(1024, (4096, 512)),
    'an island over the end': sparse(1024, (0, 4096)),
    'an island below 0': sparse(1024, (-512, 512)),
    'an island of less than 0': sparse(1024, (512, -512)),
    'a sparse file of 2^62 bytes': sparse(1 << 62, (0, 512)),
    'a sparse file of -1 byte': sparse(-1, (0, 512)),
    'a sparse file whose data lead back': sparse(512, (0, 512), size=-2048),
    'a sparse file without its data': sparse(1 << 20, (0, 1 << 20)),
    'a sparse map of 10^12 islands': SPARSE + member('s', b'1000000000000\n0\n512\n'),
    'a sparse map of letters': SPARSE + member('s', b'x\n0\n512\n'),
    'data behind a zero block': bytes(BLOCK) + member('l'),
}
# Refused in a line that may say anything about the base.
HOSTILE = {
    'an empty file': b'',
    'zeros': bytes(10240),
    'lists in lists': member('manifest.json', b'[' * 100000 + b']' * 100000),
    'objects in objects': member('manifest.json', b'{"a":' * 100000 + b'1' + b'}' * 100000),
    'a number of a million digits': member('manifest.json', b'[' + b'1' * 1000000 + b']'),
    'a manifest of 2^62 bytes': member('manifest.json', size=1 << 62),
    'a manifest of -1 byte': member('manifest.json', size=-1),
    'a manifest that links to itself': member('manifest.json', kind=LINK, link='manifest.json'),
    'links in a circle': member('manifest.json', kind=LINK, link='a')
    + member('a', kind=LINK, link='./b')
    + member('b', kind=LINK, link='manifest.json'),
    'a hard link to itself': member('manifest.json', kind=HARD, link='manifest.json'),
    'a manifest outside': member('manifest.json', kind=LINK, link='../../../../etc/hostname'),
    'a layer outside': image(['../l']),
    'a layer with NUL': image(['a\0b']),
    'a configuration outside': member('manifest.json', b'[{"Config": "../c.json"}]'),
    'no such layer': image(['l']),
    'a layer is a directory': image(['l'], member('l', kind=DIR)),
    'a layer links to nothing': image(['l'], member('l', kind=LINK, link='m')),
    'a layer links to itself': image(['l'], member('l', kind=LINK, link='l')),
    'a layer links out': image(['l'], member('l', kind=LINK, link='../etc/passwd')),
    'a hard link out': GOOD + member('l', kind=HARD, link='../../etc/passwd'),
    'a hard link to what follows': GOOD + member('l', kind=HARD, link='m') + member('m'),
    'a name with ..': GOOD + member('a/../../b'),
    'a long name with ..': GOOD + member('n', b'a/../../b\0', LONG_NAME) + member('l'),
    'pax: name with ..': GOOD + pax(b'path=../b') + member('l'),
    'pax: name with NUL': GOOD + pax(b'path=a\0b') + member('l'),
    **{
        name: GOOD + member('d', kind=getattr(tarfile, name))
        for name in ('CHRTYPE', 'BLKTYPE', 'FIFOTYPE')
    },
    'a name of 5000': GOOD + member('n', b'n' * 5000, LONG_NAME) + member('l'),
    'a file in a file': GOOD + member('a') + member('a/b'),
    'a file behind a link': GOOD + member('a', kind=LINK, link='/etc') + member('a/b'),
    'a file without a name': GOOD + member('./'),
}


@pytest.mark.parametrize('case', DAMAGED)
def test_damaged(target, case):
    line = target.run(GOOD + DAMAGED[case])
    state = 'is cut off|is damaged|has (a header|headers|a member|a sparse map) of over [^:]*'
    assert re.search(f"' ({state}) in or after member '", line), line


@pytest.mark.parametrize('case', HOSTILE)
def test_hostile(target, case):
    assert target.run(HOSTILE[case])


# Chunks of small archives that inflate, and how often each comes.
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


@pytest.mark.parametrize('pack', ['gzip', 'xz'])
@pytest.mark.parametrize('bomb', BOMBS)
def test_small_files_that_inflate(target, pack, bomb):
    packed = b''.join(PACK[pack](chunk) * count for chunk, count in BOMBS[bomb]())
    if bomb == 'many headers':  # sound, and all of them together are of 56 MiB
        assert target.run(packed, memory=64 << 20) is None
    else:
        assert target.run(packed)


def test_a_member_that_inflates_takes_no_memory(target):
    packed = gzip.compress(GOOD + member('top', size=256 << 20)) + gzip.compress(ZEROS) * 16
    assert target.run(packed) is None


def xz_that_asks_for_gigabytes(*chunks):
    """Returns a file with a dictionary of 4 GiB.

    The .xz format: a block's header gives the dictionary's size, and ends in a checksum.
    """
    packer = lzma.LZMACompressor(preset=0)
    packed = b''.join(map(packer.compress, chunks)) + packer.flush()
    end = 12 + 4 * packed[12]
    header = packed[12:16] + bytes([40]) + packed[17:end]
    return packed[:12] + header + zlib.crc32(header).to_bytes(4, 'little') + packed[end + 4 :]


TOP = member('top', size=256 << 20)


def test_an_xz_dictionary_of_gigabytes(target):
    line = target.run(xz_that_asks_for_gigabytes(GOOD + TOP, *[ZEROS] * 16))
    assert line == f"'{target.image.base}' is xz that takes over 128 MiB: unpack it"


def test_an_xz_dictionary_of_gigabytes_in_the_second_stream(target):
    first = lzma.compress(GOOD + TOP)
    line = target.run(first + xz_that_asks_for_gigabytes(*[ZEROS] * 16))
    assert line == f"'{target.image.base}' is xz that takes over 128 MiB: unpack it"


@pytest.mark.parametrize('pack', PACK)
def test_damage_behind_the_first_stream_is_not_taken_for_the_end(target, pack):
    """The tar archive has no end of its own there; pbzip2 and pixz write such files."""
    one, two = PACK[pack](GOOD), PACK[pack](member('precious', bytes(2000)))
    reference = target.attempt(one + two)
    assert b'precious' in target.image.output.read_bytes()
    for place in range(len(two)):
        damaged = bytearray(two)
        damaged[place] ^= 255
        assert target.attempt(one + bytes(damaged)) in (None, reference), place
    assert target.run(one + b'garbage')
    assert target.run(one + two[:-1])


def test_a_damaged_zstd_archive(target):
    line = target.run(b'\x28\xb5\x2f\xfd' + b'\xff' * 1000)
    text = 'is zstd: unpack it, or use Python 3.14'
    if python_reads_zstd():
        text = 'is damaged or not a tar archive: replace it'
    assert line == f"'{target.image.base}' {text}"


def test_what_xz_writes_at_its_best_is_read(target):
    packed = lzma.compress(GOOD + member('top', size=len(ZEROS)) + ZEROS, preset=9)
    assert target.run(packed) is None


def test_a_name_cannot_write_to_the_terminal(target):
    """Nor begin another line, in an error, or in a warning."""
    name = 'a\x1b[31m\r\x0b\x85\u2028\ncreate_image: b'
    line = target.run(GOOD + member(f'{name}/../c'))
    assert r"'a\x1b[31m\r\x0b\x85\u2028\ncreate_image: b/../c'" in line
    target.prepare(GOOD + member(name) + member(name, b'x'))
    done = run(*target.image.flags, '--verbosity=0')
    assert done.returncode == 0
    lines = [line for line in done.stderr.decode().splitlines() if '[31m' in line]
    ends = ': 0 bytes', ' comes twice: the first one stays'
    for line, end in zip(lines, ends, strict=True):
        assert line.endswith(r" 'a\x1b[31m\r\x0b\x85\u2028\ncreate_image: b'" + end)
