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
import signal
import subprocess
import sys
import tarfile
import zlib

import pytest

import archive
import create_image
from conftest import BASES, DATA, TOOL, Parts, base_diff_ids, sha256

MUTANTS = int(os.environ.get('MUTANTS', '5500'))
MEMORY = 200 << 20  # bytes that the tool may take, whatever a base claims
SECONDS = 20
UNPACK = {'.gz': gzip.decompress, '.bz2': bz2.decompress, '.xz': lzma.decompress}
PACK = {
    'gzip': lambda data: gzip.compress(data, mtime=0),
    'bzip2': bz2.compress,
    'xz': lambda data: lzma.compress(data, preset=0),
}
# Where the fields of a header begin (POSIX ustar), from name to prefix, and where they end.
FIELDS = [0, 100, 108, 116, 124, 136, 148, 156, 157, 257, 265, 297, 329, 337, 345, 500]
DIR, LINK, HARD, EXTENDED = tarfile.DIRTYPE, tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.XHDTYPE
LONG_NAME, LONG_LINK = tarfile.GNUTYPE_LONGNAME, tarfile.GNUTYPE_LONGLINK
# Runs the tool and prints its peak of memory; ru_maxrss would count the parent's, too.
MEASURED = """
import atexit, os, runpy, sys
del sys.argv[0]
sys.path[0] = os.path.dirname(sys.argv[0])
atexit.register(lambda: print(open('/proc/self/status').read()))
runpy.run_path(sys.argv[0], run_name='__main__')
"""


def member(name, data=b'', kind=tarfile.REGTYPE, size=None, link='', dialect=tarfile.GNU_FORMAT):
    """Returns a member as bytes; its size may be a lie."""
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, link
    info.size = len(data) if size is None else size
    return info.tobuf(dialect) + data + bytes(-len(data) % 512)


def image(layers, *members):
    """Returns a base whose manifest.json, the first of its members, names layers."""
    text = json.dumps([{'Config': 'c.json', 'Layers': layers}])
    return member('manifest.json', text.encode()) + b''.join(members)


def pax(*records, kind=EXTENDED):
    """Returns an extended header; a record begins with its length, its own digits included."""
    sizes = [len(record) + 2 for record in records]
    sizes = [size + len(str(size + len(str(size)))) for size in sizes]
    lines = (b'%d %s\n' % line for line in zip(sizes, records, strict=True))
    return member('pax', b''.join(lines), kind)


def sparse(real_size, *islands, more=b'\0', size=512):
    """Returns a member of 512 bytes in GNU's old sparse format, of (offset, size) each."""
    numbers = [tarfile.itn(n, 12, tarfile.GNU_FORMAT) for n in (*sum(islands, ()), real_size)]
    header = member('s', kind=tarfile.GNUTYPE_SPARSE, size=size)
    table = b''.join(numbers[:-1]).ljust(96, b'\0') + more + numbers[-1]
    return mended(header[:386] + table + header[495:]) + bytes(512)


def mended(header):
    """Returns a header with the checksum that its other bytes have."""
    header = header[:148] + b' ' * 8 + header[156:]
    return header[:148] + b'%06o\0 ' % sum(header) + header[156:]


def headers(data):
    """Yields where the headers of a sound archive begin."""
    place = 0
    while any(data[place : place + 512]):
        yield place
        place += 512 + -(-int(data[place + 124 : place + 135], 8) // 512) * 512


def with_field(data, place, field, chance, mend):
    """Returns an archive with another value in a field of the header at place."""
    value = chance.choice(
        [chance.randbytes(155), bytes([chance.choice(b'0123456ABDEFGKLMNSVXZgx\xff')])]
        + [b'%o' % chance.randrange(1 << 16), b'-1', b'7' * 12, b'\xff' * 12, b'\x80' * 12]
        + [b'', b'\x80' + bytes(10) + b'\2', b'../' * 9, b'/']
    )
    start, end = FIELDS[field : field + 2]
    value = value[: end - start].ljust(end - start, b'\0')
    header = data[place : place + start] + value + data[place + end : place + 512]
    return data[:place] + (mended(header) if mend else header) + data[place + 512 :]


def mutated(data, chance):
    """Returns data with one kind of damage; a field only in a tar archive."""
    start = chance.randrange(len(data))
    start -= chance.choice([0, start % 512])
    end = start + chance.choice([1, 512, 1024, chance.randint(2, 20000)])
    kinds = ['flip', 'cut', 'remove', 'repeat', 'insert', 'erase', 'field', 'field']
    kind = chance.choice(kinds[: 8 if data[257:262] == b'ustar' else 6])
    if kind == 'field':
        place, field = chance.choice(list(headers(data))), chance.randrange(len(FIELDS) - 1)
        return with_field(data, place, field, chance, chance.choice([True, False]))
    damaged = {
        'flip': bytes(x ^ chance.choice([0, 1, 255]) for x in data[start : start + 8])
        + data[start + 8 :],
        'cut': b'',
        'remove': data[end:],
        'repeat': data[start:end] + data[start:],
        'insert': chance.randbytes(end - start) + data[start:],
        'erase': bytes(end - start) + data[end:],
    }
    return data[:start] + damaged[kind]


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
        end = path.read_bytes()[info.offset_data + -(-info.size // 512) * 512 :]
    assert end.count(0) == len(end) >= 1024
    for name in [entry['Config'], *entry['Layers']]:
        for _ in range(40):
            if name in found and not found[name].isreg():
                folder = posixpath.dirname(name) if found[name].issym() else ''
                name = posixpath.normpath(posixpath.join(folder, found[name].linkname))
        assert name in found and found[name].isreg(), f'{name} is no file'


class Target:
    """An image to build on one base after the other."""

    def __init__(self, folder):
        self.image = Parts(folder, below=base_diff_ids())
        self.output = self.image.output
        self.base = folder / 'hostile'
        self.base.touch()
        self.files = sorted(os.listdir(folder))

    def attempt(self, data):
        """Builds in this process; returns the output's digest, or None after a proper error."""
        self.output.unlink(missing_ok=True)
        self.base.write_bytes(data)
        base = str(self.base)
        layers = [{'name': name, 'layer': str(path)} for name, path in self.image.layers]
        arguments = [str(self.output), self.image.id, layers, str(self.image.config)]
        signal.alarm(SECONDS)
        try:
            create_image.create_image(*arguments, base=base, legacy_base=base)
        except (OSError, ValueError, archive.TarFileWriter.Error) as error:
            assert base in str(error)
            assert sorted(os.listdir(self.output.parent)) == self.files
            return None
        finally:
            signal.alarm(0)
        check_whole(self.output)
        return sha256(self.output.read_bytes())

    def run(self, data):
        """Runs the tool; returns its one line, or None where it wrote a whole archive."""
        self.output.unlink(missing_ok=True)
        self.base.write_bytes(data)
        flags = [*self.image.flags, f'--base={self.base}', f'--legacy_base={self.base}']
        command = [sys.executable, '-c', MEASURED, TOOL, *flags]
        done = subprocess.run(command, capture_output=True, timeout=SECONDS, check=False)
        (peak,) = (line.split()[1] for line in done.stdout.splitlines() if b'VmHWM' in line)
        assert int(peak) << 10 < MEMORY
        if done.returncode == 0:
            check_whole(self.output)
            return None
        (line,) = done.stderr.decode().splitlines()
        assert done.returncode == 1
        assert line.startswith('create_image: ')
        assert str(self.base) in line
        assert sorted(os.listdir(self.output.parent)) == self.files
        return line


@pytest.fixture
def target(tmp_path):
    def hangs(*_):
        raise AssertionError('it hangs')

    previous = signal.signal(signal.SIGALRM, hangs)
    yield Target(tmp_path)
    signal.signal(signal.SIGALRM, previous)


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
    members = member(LONG, b'layer', dialect=dialect), member('oci-layout')
    ARCHIVES[f'long names {dialect}'] = image([LONG], *members) + bytes(1024)


@pytest.mark.parametrize('base', ARCHIVES)
def test_a_damaged_header_is_an_error(target, base):
    data = ARCHIVES[base]
    reference = target.attempt(data)
    assert reference
    chance = random.Random(base)
    for place in headers(data):
        for at in (place, place + 150):  # the name and the checksum
            assert target.attempt(data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :]) is None
        for field in range(len(FIELDS) - 1):
            # Only what ends a number can change unseen.
            changed = with_field(data, place, field, chance, mend=False)
            assert target.attempt(changed) in (None, reference)
            target.attempt(with_field(data, place, field, chance, mend=True))


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
    'data behind the end': bytes(1024) + member('l'),
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
    assert re.search("' is (cut off|damaged) in or after member '", line), line


@pytest.mark.parametrize('case', HOSTILE)
def test_hostile(target, case):
    assert target.run(HOSTILE[case])


# Chunks of small archives that inflate, and how often each comes.
ZEROS = bytes(16 << 20)
ONES = tarfile.itn(1, 12, tarfile.GNU_FORMAT) * 42
BOMBS = {
    'a manifest': lambda: [(member('manifest.json', size=3 << 30), 1), (ZEROS, 192)],
    'a long name': lambda: [(GOOD + member('n', kind=LONG_NAME, size=3 << 30), 1), (ZEROS, 192)],
    'a header': lambda: [(GOOD + member('x', kind=EXTENDED, size=3 << 30), 1), (ZEROS, 192)],
    'many headers': lambda: [
        (pax(b'%d=' % n + ZEROS[: 14 << 10], kind=tarfile.XGLTYPE) + member(f'{n}'), 1)
        for n in range(16000)
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
    line = target.run(b''.join(PACK[pack](chunk) * count for chunk, count in BOMBS[bomb]()))
    assert line or bomb == 'many headers'


def test_a_member_that_inflates_takes_no_memory(target):
    chunks = GOOD + member('top', size=512 << 20), *[ZEROS] * 32
    assert target.run(b''.join(gzip.compress(chunk, 1) for chunk in chunks)) is None


def xz_that_asks_for_gigabytes(*chunks):
    """Returns a file with a dictionary of 4 GiB.

    The .xz format: a block's header gives the dictionary's size, and ends in a checksum.
    """
    packer = lzma.LZMACompressor(preset=0)
    packed = b''.join(map(packer.compress, chunks)) + packer.flush()
    end = 12 + 4 * packed[12]
    header = packed[12:16] + bytes([40]) + packed[17:end]
    return packed[:12] + header + zlib.crc32(header).to_bytes(4, 'little') + packed[end + 4 :]


TOP = member('top', size=1 << 30)


def test_an_xz_dictionary_of_gigabytes(target):
    line = target.run(xz_that_asks_for_gigabytes(GOOD + TOP, *[ZEROS] * 64))
    assert '(Memory usage limit exceeded)' in line


def test_an_xz_dictionary_of_gigabytes_in_the_second_stream(target):
    first = lzma.compress(GOOD + TOP)
    line = target.run(first + xz_that_asks_for_gigabytes(*[ZEROS] * 64))
    assert '(Memory usage limit exceeded) in or after member' in line


@pytest.mark.parametrize('pack', PACK)
def test_damage_behind_the_first_stream_is_not_taken_for_the_end(target, pack):
    """The tar archive has no end of its own there; pbzip2 and pixz write such files."""
    one, two = PACK[pack](GOOD), PACK[pack](member('precious', bytes(2000)))
    reference = target.attempt(one + two)
    assert b'precious' in target.output.read_bytes()
    for place in range(len(two)):
        damaged = bytearray(two)
        damaged[place] ^= 255
        assert target.attempt(one + bytes(damaged)) in (None, reference), place
    assert target.run(one + b'garbage')
    assert target.run(one + two[:-1])


def test_a_damaged_zstd_archive(target, tmp_path_factory):
    """With a module in the place of Python 3.14's, which raises what that does."""
    folder = tmp_path_factory.mktemp('modules')
    (folder / 'compression').mkdir()
    (folder / 'compression' / 'zstd.py').write_text(
        'class ZstdError(Exception): pass\n'
        'class ZstdFile:\n'
        '    def read(self, size): raise ZstdError("damaged")\n'
        'def open(file): return ZstdFile()\n'
    )
    target.base.write_bytes(b'\x28\xb5\x2f\xfd' + bytes(1000))
    done = subprocess.run(
        [sys.executable, TOOL, *target.image.flags, f'--legacy_base={target.base}'],
        capture_output=True,
        check=False,
        env={**os.environ, 'PYTHONPATH': f'{folder}:{os.environ.get("PYTHONPATH", folder)}'},
    )
    (line,) = done.stderr.decode().splitlines()
    assert line == f"create_image: '{target.base}' is damaged or not a tar archive: replace it"


def test_what_xz_writes_at_its_best_is_read(target):
    packed = lzma.compress(GOOD + member('top', size=len(ZEROS)) + ZEROS, preset=9)
    assert target.run(packed) is None


def test_a_name_cannot_write_to_the_terminal(target):
    """Nor begin another line, in an error, or in a warning."""
    name = 'a\x1b[31m\r\x0b\x85\u2028\ncreate_image: b'
    line = target.run(GOOD + member(f'{name}/../c'))
    assert r"'a\x1b[31m\r\x0b\x85\u2028\ncreate_image: b/../c'" in line
    target.base.write_bytes(GOOD + member(name) * 2)
    flags = [*target.image.flags, f'--legacy_base={target.base}', '--verbosity=0']
    done = subprocess.run([sys.executable, TOOL, *flags], capture_output=True, check=True)
    lines = [line for line in done.stderr.decode().splitlines() if '[31m' in line]
    ends = ': 0 bytes', ' comes twice: the first one stays'
    for line, end in zip(lines, ends, strict=True):
        assert line.endswith(r"] 'a\x1b[31m\r\x0b\x85\u2028\ncreate_image: b'" + end)
