# SPDX-License-Identifier: Apache-2.0
"""Damaged and hostile bases: the output is a valid archive, or the error one line (section 9)."""

import random
import re
import tarfile

import pytest

from support.amounts import ALL_TESTS, some_every_day
from support.hostile import ARCHIVES, GOOD, PACK, SPARSE, image, with_random_field
from support.running import run
from support.tars import (
    BLOCK,
    DIR,
    EXTENDED,
    FIELDS,
    HARD,
    LINK,
    LONG_LINK,
    LONG_NAME,
    headers,
    member,
    members,
    pax,
    python_reads_zstd,
    sparse,
)

# One archive of each dialect, and the smallest ones written by real programs.
EVERY_DAY = ['podman-4.3.tar', 'docker-1.9.tar', *list(ARCHIVES)[-2:]]


@pytest.mark.parametrize('base', some_every_day(ARCHIVES, EVERY_DAY))
def test_damaged_header_is_an_error(target, base):
    data = ARCHIVES[base]
    reference = target.attempt(data)
    assert reference
    chance = random.Random(base)
    for place in headers(data):
        for at in (place, place + FIELDS['checksum'][0] + 2):
            assert target.attempt(data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :]) is None
        for field in FIELDS:
            # Only the terminator of a number can change without an effect.
            changed = with_random_field(data, place, field, chance, mend=False)
            assert target.attempt(changed) in (None, reference)


# A field of a header with a right checksum, and words of the error or the value that is read.
BAD_FIELDS = {
    'name': (b'../l', "'../l' has '..'"),
    'size': (b'-1', 'damaged'),
    'size beyond the end': ({'size': b'00000010000'}, 'cut off'),
    'size of letters': ({'size': b'x'}, 'damaged'),
    'type': (b'3', 'not a file, directory or link'),
    'type of nothing': ({'type': b'Z'}, 'not a file, directory or link'),
    'linkname': ({'type': HARD, 'linkname': b'nothing'}, 'hard link to nothing'),
    'prefix': ({'prefix': b'..', 'magic': b'ustar\x0000'}, "has '..'"),
}
GOOD_FIELDS = {
    'name': (b'./m//', 'name', 'm'),
    'mode': (b'0000600', 'mode', 0o600),
    'uid': (b'0001750', 'uid', 1000),
    'uid in base 256': ({'uid': b'\x80\0\0\0\0\0\1\0'}, 'uid', 256),
    'gid': (b'0001750', 'gid', 1000),
    'mtime': (b'00000001750', 'mtime', 0),
    'uname': (b'someone', 'uname', 'someone'),
    'gname': (b'some', 'gname', 'some'),
    'devmajor': (b'0000007', 'devmajor', 0),
    'prefix': ({'prefix': b'directory', 'magic': b'ustar\x0000'}, 'name', 'directory/l'),
    'prefix of old GNU tar': ({'prefix': b'12345670123'}, 'name', 'l'),
}


def base_with_changed_field(data, field, value):
    """Returns a base with a second member with data, whose header has this value in a field."""
    raw = value if isinstance(value, dict) else {field: value}
    return GOOD + member('l', data, raw=raw) + member('behind')


@pytest.mark.parametrize('case', BAD_FIELDS)
def test_bad_field_is_an_error(target, case):
    value, words = BAD_FIELDS[case]
    assert words in target.run(base_with_changed_field(b'', case, value))


@pytest.mark.parametrize('case', GOOD_FIELDS)
def test_good_field_is_read(target, case):
    value, attribute, expected = GOOD_FIELDS[case]
    assert target.run(base_with_changed_field(b'layer', case, value)) is None
    (info,) = [info for info, data in members(target.image.output) if data == b'layer']
    assert getattr(info, attribute) == expected
    assert 'behind' in [info.name for info, _ in members(target.image.output)]


@pytest.mark.parametrize('base', some_every_day(ARCHIVES, EVERY_DAY))
def test_base_cut_between_blocks_is_an_error(target, base):
    """Unless the image needs nothing after the cut."""
    data = ARCHIVES[base]
    reference = target.attempt(data)
    for cut in range(0, len(data), 512):
        assert target.attempt(data[:cut]) in (None, reference), f'cut at {cut}'


@pytest.mark.parametrize('pack', PACK)
def test_damaged_compression_is_an_error(target, pack):
    pack, data = PACK[pack], ARCHIVES['docker-20.10.tar']
    reference, packed = target.attempt(data), pack(data)
    for cut in range(1, len(packed), 1 if ALL_TESTS else 9):
        assert target.attempt(packed[:cut]) is None, f'cut at {cut}'
    for place in headers(data):
        parts = pack(data[:place]), pack(data[place:])
        assert target.attempt(b''.join(parts)) == reference
        damaged = parts[0] + b'?' + parts[1][1:]
        assert target.attempt(damaged) in (None, reference), f'damaged at {place}'
    for garbage in (bytes(1), bytes(512), b'garbage', b'\x1f\x8b', packed[:50]):
        assert target.attempt(packed + garbage) in (None, reference)


# Reported as damaged; each follows the one member of GOOD.
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
    'data after a zero block': bytes(BLOCK) + member('l'),
}
# Refused with any error about the base.
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
    'a file below a link': GOOD + member('f') + member('a', kind=LINK, link='f') + member('a/b'),
    'a file without a name': GOOD + member('./'),
}


@pytest.mark.parametrize('case', DAMAGED)
def test_damaged_archive_is_an_error(target, case):
    line = target.run(GOOD + DAMAGED[case])
    state = 'is cut off|is damaged|has (a header|headers|a member|a sparse map) of over [^:]*'
    assert re.search(f"' ({state}) in or after member '", line), line


@pytest.mark.parametrize('case', HOSTILE)
def test_hostile_archive_is_an_error(target, case):
    assert target.run(HOSTILE[case])


@pytest.mark.parametrize('pack', PACK)
def test_damage_after_the_first_stream_is_an_error(target, pack):
    """The first stream has no end of the archive; pbzip2 and pixz write such files."""
    one, two = PACK[pack](GOOD), PACK[pack](member('precious', bytes(2000)))
    reference = target.attempt(one + two)
    assert b'precious' in target.image.output.read_bytes()
    for place in range(len(two)):
        damaged = bytearray(two)
        damaged[place] ^= 255
        assert target.attempt(one + bytes(damaged)) in (None, reference), place
    assert target.run(one + b'garbage')
    assert target.run(one + two[:-1])


def test_damaged_zstd_archive_is_an_error(target):
    line = target.run(b'\x28\xb5\x2f\xfd' + b'\xff' * 1000)
    text = 'is zstd: unpack it, install backports.zstd, or use Python 3.14'
    if python_reads_zstd():
        text = 'is damaged or not a tar archive: replace it'
    assert line == f"'{target.image.base}' {text}"


def test_control_characters_in_names_are_escaped(target):
    """In errors and in warnings; a name cannot start a new line, either."""
    name = 'a\x1b[31m\r\x0b\x85\u2028\ncreate_image: b'
    line = target.run(GOOD + member(f'{name}/../c'))
    assert r"'a\x1b[31m\r\x0b\x85\u2028\ncreate_image: b/../c'" in line
    target.prepare(GOOD + member(name) + member(name, b'x'))
    done = run(*target.image.flags, '--verbosity=0')
    assert done.returncode == 0
    lines = [line for line in done.stderr.decode().splitlines() if '[31m' in line]
    ends = ': 0 bytes', ' occurs twice: only the first is kept'
    for line, end in zip(lines, ends, strict=True):
        assert line.endswith(r" 'a\x1b[31m\r\x0b\x85\u2028\ncreate_image: b'" + end)
