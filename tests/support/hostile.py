# SPDX-License-Identifier: Apache-2.0
"""Hostile and damaged bases: mutants of the fixtures, and checks of a run with one."""

import bz2
import gzip
import json
import lzma
import os
import posixpath
import random
import tarfile

import archive
import create_image
from support.images import BASES, Parts, base_diff_ids
from support.measuring import measure
from support.project import DATA
from support.running import messages
from support.tars import BLOCK, FIELDS, headers, member, pax, sha256, with_fields

MEMORY = 200 << 20  # the limit for the tool in bytes, whatever a base claims
SECONDS = 20
UNPACK = {'.gz': gzip.decompress, '.bz2': bz2.decompress, '.xz': lzma.decompress}
PACK = {
    'gzip': lambda data: gzip.compress(data, mtime=0),
    'bzip2': bz2.compress,
    'xz': lambda data: lzma.compress(data, preset=0),
}


def image(layers, *more):
    """Returns a base that starts with a manifest.json with these layers."""
    text = json.dumps([{'Config': 'c.json', 'Layers': layers}])
    return member('manifest.json', text.encode()) + b''.join(more)


# Random damage.


def checksum_of(header):
    start, end = FIELDS['checksum']
    return header[start:end]


def with_random_field(data, place, field, chance, mend):
    """Returns an archive with a random value in a field of the header at place.

    The checksum stays as it is, or is corrected if mend is true.
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
    """Returns data with one kind of damage; fields are changed only in a tar archive."""
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
    """Returns a mutant of a fixture, and whether a checksum of the compression covers damage."""
    chance = random.Random(f'{base} {number}')
    stored = (DATA / 'bases' / base).read_bytes()
    plain = UNPACK.get(posixpath.splitext(base)[1], bytes)(stored)
    pack = chance.choice([*PACK.values(), bytes])
    if chance.random() < 0.6:
        return pack(mutated(plain, chance)), False
    data = stored if pack is bytes else pack(plain)
    return mutated(data, chance), data != plain


HEX = 'e' * 64
# Values that replace a value in a JSON file.
VALUES = [
    None,
    True,
    0,
    -1,
    1.5,
    '',
    'a',
    '..',
    '/',
    './manifest.json',
    'x\0y',
    [],
    {},
    ['a'],
    [[]],
]
VALUES += [{'a': 1}, {'a': {'b': 'c'}}, HEX, f'sha256:{HEX}', f'blobs/sha256/{HEX}', 'a:1']
VALUES += ['example/base:1.0', 'docker.io/example/base:1.0', '\ue000', 'n' * 5000, 1 << 80]


def with_another_value(value, chance):
    """Returns a JSON value with one value, at any depth, replaced."""
    if chance.random() < 0.2 or not value or not isinstance(value, dict | list):
        return chance.choice([*VALUES, value, [value], [value, value], {'a': value}])
    if isinstance(value, list):
        place = chance.randrange(len(value))
        return [*value[:place], with_another_value(value[place], chance), *value[place + 1 :]]
    key = chance.choice(list(value))
    changed = {**value, key: with_another_value(value[key], chance)}
    if chance.random() < 0.1:
        del changed[key]
    return changed


def check_archive(path):
    """Checks that an output is a valid archive with every file that its manifest lists."""
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
                directory = posixpath.dirname(name) if found[name].issym() else ''
                name = posixpath.normpath(posixpath.join(directory, found[name].linkname))
        assert name in found and found[name].isreg(), f'{name} is no file'


class Target:
    """An image that is built on one base after the other."""

    def __init__(self, directory, time_limit):
        base = directory / 'hostile'
        base.touch()
        self.image = Parts(directory, below=base_diff_ids(), base=base)
        self.time_limit = time_limit
        self.files = sorted(os.listdir(directory))

    def prepare(self, data):
        """Writes data as the base, and removes the output."""
        self.image.output.unlink(missing_ok=True)
        self.image.base.write_bytes(data)

    def attempt(self, data):
        """Builds in this process; returns the SHA-256 of the output, or None after an error."""
        self.prepare(data)
        self.time_limit(SECONDS)
        try:
            create_image.create_image(**self.image.arguments)
        except (OSError, ValueError, archive.TarFileWriter.Error) as error:
            assert str(self.image.base) in str(error)
            assert sorted(os.listdir(self.image.directory)) == self.files
            return None
        finally:
            self.time_limit(0)
        check_archive(self.image.output)
        return sha256(self.image.output.read_bytes())

    def run(self, data, memory=MEMORY, timeout=SECONDS, **options):
        """Runs the tool; returns its one error, or None if it wrote a valid archive."""
        self.prepare(data)
        done, peak, _ = measure(*self.image.flags, timeout=timeout, **options)
        assert peak < memory
        _, errors = messages(done.stderr)
        if done.returncode == 0:
            assert errors == []
            check_archive(self.image.output)
            return None
        (line,) = errors
        assert done.returncode == 1
        assert str(self.image.base) in line
        assert sorted(os.listdir(self.image.directory)) == self.files
        return line


# The plain fixtures, and bases with both kinds of extended headers. The last member of these is not
# used by any image; damage to its header alone goes unnoticed.
LONG = 'directory/' + 'l' * 120
ARCHIVES = {base: (DATA / 'bases' / base).read_bytes() for base in BASES if base.endswith('.tar')}
for dialect in (tarfile.GNU_FORMAT, tarfile.PAX_FORMAT):
    more = member(LONG, b'layer', dialect=dialect), member('oci-layout')
    ARCHIVES[f'long names {dialect}'] = image([LONG], *more) + bytes(2 * BLOCK)


GOOD = image([])
SPARSE = pax(
    *(b'GNU.sparse.major=1', b'GNU.sparse.minor=0', b'GNU.sparse.realsize=512'),
    b'GNU.sparse.name=s',
)
