# SPDX-License-Identifier: Apache-2.0
"""The tar reader on single headers: what GNU tar and Go's archive/tar agree on, and bounds.

Docker, Podman, Skopeo and containerd read archives with Go's. FUZZ=20000 in the environment sets
how many archives of odd headers are held against GNU tar and Python's tarfile, in place of 250.
Each is seeded by its number, which a failure names.
"""

import os
import random
import tarfile

import pytest

import gnu_tar
from helpers import (
    BLOCK,
    DIR,
    EXTENDED,
    FILE,
    GLOBAL,
    HARD,
    LINK,
    LONG_LINK,
    LONG_NAME,
    member,
    pax,
    tar_of,
)
from image_archive.errors import ArchiveError
from image_archive.tar import reader

FUZZ = int(os.environ.get('FUZZ', '250'))
OLD_GNU = b'ustar  \0'
MEMBER = member('m', b'data')
MIB = 1 << 20


def read(data):
    """Returns the members of an archive."""
    stream = reader.BlockStream(iter([data]))
    return list(reader.TarReader(stream, "'x.tar'"))


def read_one(data):
    """Returns the first of the members; the last must be as it was written."""
    first, last = read(tar_of(data, MEMBER))
    assert (last.name, last.size) == ('m', 4)
    return first


def error(data):
    """Returns what is wrong with an archive."""
    with pytest.raises(ArchiveError) as caught:
        read(data)
    return str(caught.value)


# Numbers in headers.

NUMBERS = {
    b'0000017\0': 15,
    b'000017 \0': 15,
    b'     17 ': 15,
    b'17': 15,
    b'17      ': 15,
    b'00000017': 15,
    b'\x00000017\0': 15,
    b'\0  17\0': 15,
    b'17\0junk': 15,
    b'': 0,
    b'\x80\0\0\0\0\0\1\0': 256,
    b'\x80\0\0\1\0\0\0\0': 1 << 32,
}


@pytest.mark.parametrize('field', NUMBERS)
def test_a_number(field):
    for name in ('uid', 'gid'):
        assert getattr(read_one(member('a', raw={name: field})), name) == NUMBERS[field]


@pytest.mark.parametrize('field', [b'8', b'1_0', b'0o17', b'+7', b'-1', b'1 7', b'x'])
@pytest.mark.parametrize('name', ['mode', 'uid', 'gid', 'size', 'mtime', 'devmajor', 'devminor'])
def test_what_is_no_number(name, field):
    data = tar_of(MEMBER, member('a', raw={name: field}), MEMBER)
    assert error(data) == "'x.tar' is damaged in or after member 'm': replace it"


@pytest.mark.parametrize('field', [b'\xff' * 8, b'\xc0' + bytes(7)])
def test_a_negative_owner(field):
    assert 'is damaged' in error(tar_of(member('a', raw={'uid': field})))


def test_a_negative_time():
    assert read_one(member('a', raw={'mtime': b'\xff' * 12})).name == 'a'


def test_a_time_of_more_than_64_bits():
    assert 'is damaged' in error(tar_of(member('a', raw={'mtime': b'\xc0' + bytes(11)})))


@pytest.mark.parametrize('field', [b'00000000004 ', b'000000000004', b'\x80' + bytes(10) + b'\4'])
def test_a_size(field):
    assert read_one(member('a', b'data', raw={'size': field})).size == 4


# The checksum.


@pytest.mark.parametrize('form', [b'%06o\0 ', b'%06o \0', b'%o', b'%7o\0', b'\0%06o ', b'%08o'])
def test_a_checksum(form):
    header = member('a')
    total = sum(header[:148] + b' ' * 8 + header[156:])
    assert read_one(member('a', raw={'checksum': form % total})).name == 'a'
    assert 'is damaged' in error(tar_of(member('a', raw={'checksum': form % (total + 1)})))


def test_a_checksum_of_signed_bytes():
    header = member('\xe9')
    others = header[:148] + b' ' * 8 + header[156:]
    total = sum(int.from_bytes(others[at : at + 1], 'big', signed=True) for at in range(BLOCK))
    assert read_one(member('\xe9', raw={'checksum': b'%06o\0 ' % total})).name == '\xe9'


def test_a_checksum_in_base_256():
    header = member('a')
    total = sum(header[:148] + b' ' * 8 + header[156:])
    field = b'\x80' + total.to_bytes(7, 'big')
    assert 'is damaged' in error(tar_of(member('a', raw={'checksum': field})))


# What a magic says of the other fields.

MAGICS = {
    b'ustar\x0000': ('pre/a', 'user'),
    b'ustar\0  ': ('pre/a', 'user'),
    OLD_GNU: ('a', 'user'),
    b'ustar 00': ('a', ''),
    bytes(8): ('a', ''),
}


@pytest.mark.parametrize('magic', MAGICS)
def test_a_prefix_and_an_owner_s_name(magic):
    found = read_one(member('a', raw={'magic': magic, 'prefix': b'pre', 'uname': b'user'}))
    assert (found.name, found.uname) == MAGICS[magic]


def test_times_of_old_gnu_are_no_prefix():
    times = b'14717216400\0' * 2
    assert read_one(member('a', raw={'magic': OLD_GNU, 'prefix': times})).name == 'a'


def test_a_name_and_a_prefix_that_fill_their_fields():
    found = read_one(member('n' * 100, raw={'magic': b'ustar\x0000', 'prefix': b'p' * 155}))
    assert found.name == 'p' * 155 + '/' + 'n' * 100


def test_a_prefix_of_star():
    """Behind its 131 bytes are times."""
    prefix = b'pre'.ljust(131, b'\0') + b'00000000000 ' * 2
    assert read_one(member('a', raw={'magic': b'ustar\x0000', 'prefix': prefix})).name == 'pre/a'


# Types.

KINDS = {
    (b'0', 'a'): (FILE, 'a', 4),
    (b'\0', 'a'): (FILE, 'a', 4),
    (b'7', 'a'): (FILE, 'a', 4),
    (b'0', 'a/'): (FILE, 'a', 4),  # as Go has it; a directory for GNU tar
    (b'D', 'a/'): (DIR, 'a', 0),
    (b'M', 'a'): (b'M', 'a', 0),
    (b'N', 'a'): (b'N', 'a', 0),
    (b'A', 'a'): (b'A', 'a', 0),
    (b'9', 'a'): (b'9', 'a', 0),
}


@pytest.mark.parametrize(('kind', 'name'), KINDS)
def test_a_member_with_data(kind, name):
    found = read_one(member('x', b'data', raw={'type': kind, 'name': name.encode()}))
    assert (found.kind, found.name, found.size) == KINDS[kind, name]


@pytest.mark.parametrize('kind', [HARD, LINK, b'3', b'4', DIR, b'6'])
def test_a_member_without_data_may_claim_a_size(kind):
    found = read_one(member('a', kind=kind, link='m', size=1000))
    assert (found.kind, found.size) == (kind, 0)
    assert found.target == ('m' if kind in (HARD, LINK) else '')


def test_a_volume_label_is_no_member():
    assert [found.name for found in read(tar_of(member('label', kind=b'V'), MEMBER))] == ['m']


def test_old_directories_are_told_by_their_slash():
    found = read_one(member('x', raw={'type': b'\0', 'name': b'd/', 'magic': bytes(8)}))
    assert (found.kind, found.name) == (DIR, 'd')


def test_only_the_last_bits_of_a_mode_count():
    assert read_one(member('a', raw={'mode': b'0107751\0'})).mode == 0o7751


# Long names.


def test_long_names():
    data = member('L', b'long/name\0', LONG_NAME) + member('K', b'long/target\0', LONG_LINK)
    found = read_one(data + member('a', kind=LINK, link='b'))
    assert (found.name, found.target) == ('long/name', 'long/target')


@pytest.mark.parametrize('data', [b'name', b'name\0', b'name\0rest\0', b'n' * 511, b'n' * 512])
def test_a_long_name_ends_in_a_zero_byte_or_with_its_data(data):
    found = read_one(member('L', data, LONG_NAME) + member('a'))
    assert found.name == data.partition(b'\0')[0].decode()


def test_of_two_long_names_the_last_counts():
    data = member('L', b'one\0', LONG_NAME) + member('L', b'two\0', LONG_NAME)
    assert read_one(data + member('a')).name == 'two'


def test_a_name_that_is_no_utf_8():
    assert read_one(member('x', raw={'name': b'\xff'})).name == '\udcff'
    assert read_one(pax(b'path=\xff') + member('a')).name == '\udcff'


# Extended headers.

RECORDS = {
    b'path=a': {'name': 'a'},
    b'path=' + b'n' * 300: {'name': 'n' * 300},
    b'path=a=b\nc': {'name': 'a=b\nc'},
    b'path=a/': {'name': 'a'},
    b'uid=3000000000': {'uid': 3000000000},
    b'gid=7': {'gid': 7},
    b'uname=\xc3\xa9': {'uname': '\xe9'},
    b'gname=g': {'gname': 'g'},
    b'mtime=-1.25': {},
    b'atime=1.': {},
    b'hdrcharset=BINARY': {},
    b'SCHILY.xattr.user.a=\0\xff\n': {},
    b'comment=': {},
    b'path=': {'name': 'old'},
    b'size=': {'size': 4},
}


@pytest.mark.parametrize('record', RECORDS)
def test_a_record(record):
    found = read_one(pax(record) + member('old', b'data'))
    for field, value in RECORDS[record].items():
        assert getattr(found, field) == value


def test_records_of_every_length():
    """A record's length counts its own digits."""
    for size in [*range(1, 120), *range(980, 1010)]:
        assert read_one(pax(b'path=' + b'n' * size) + member('a')).name == 'n' * size


def test_a_size_record():
    data = pax(b'size=4') + member('a', size=0) + b'data'.ljust(BLOCK, b'\0')
    assert read_one(data).size == 4


def test_a_target_record():
    assert read_one(pax(b'linkpath=t') + member('a', kind=LINK, link='old')).target == 't'


NO_RECORDS = [
    b'path=a\n',
    b'10 path=ab\n',
    b'12 path=ab\n',
    b'9 path=ab',
    b'99 path=a\n',
    b'0 path=a\n',
    b'-9 path=a\n',
    b'9path=a\n',
    b'9\0path=a\n',
    b'+9 path=a\n',
    b' 9 path=a\n',
    b'5 =x\n',
    b'7 path\n',
    b'4 a\n',
    b'9' * 30 + b' path=a\n',
    b'9 path=a\nx',
    b'9 path=a\n\0x',
]


@pytest.mark.parametrize('data', NO_RECORDS)
def test_what_is_no_record(data):
    assert 'is damaged' in error(tar_of(member('x', data, EXTENDED), MEMBER))


DAMAGED_RECORDS = [
    *(b'path=a\0b', b'linkpath=a\0b', b'uname=a\0b', b'gname=a\0b'),
    *(b'size=x', b'size=-1', b'size=1.5', b'size=0x1', b'size=' + b'9' * 30),
    *(b'uid=x', b'uid=1_0', b'uid=-1', b'gid= 1', b'gid=\xd9\xa1'),
    *(b'mtime=x', b'mtime=1.x', b'mtime=.5', b'mtime=1e5', b'atime=-', b'ctime=1 '),
]


@pytest.mark.parametrize('record', DAMAGED_RECORDS)
def test_a_damaged_record(record):
    assert 'is damaged' in error(tar_of(pax(record), MEMBER))
    assert 'is damaged' in error(tar_of(pax(record, kind=GLOBAL), member('a', kind=LINK), MEMBER))


def test_zeros_may_fill_up_an_extended_header():
    assert read_one(member('x', b'9 path=a\n' + bytes(100), EXTENDED) + member('b')).name == 'a'


def test_of_two_extended_headers_the_last_counts():
    found = read_one(pax(b'path=a', b'uid=5') + pax(b'path=b') + member('c'))
    assert (found.name, found.uid) == ('b', 0)


def test_a_solaris_header_is_an_extended_one():
    assert read_one(pax(b'path=a', kind=b'X') + member('b')).name == 'a'


def test_an_extended_header_is_for_one_member():
    first, second = read(tar_of(pax(b'path=a', b'uid=5') + member('b') + member('c')))
    assert (first.name, first.uid) == ('a', 5)
    assert (second.name, second.uid) == ('c', 0)


def test_a_global_header_is_for_all():
    data = [member('a'), pax(b'uname=u', b'uid=5', kind=GLOBAL), member('b')]
    data += [pax(b'uid=6') + member('c'), pax(b'uid=') + member('d')]
    found = [(member.uname, member.uid) for member in read(tar_of(*data))]
    assert found == [('', 0), ('u', 5), ('u', 6), ('u', 0)]


def test_a_global_header_without_a_member():
    assert read(tar_of(pax(b'comment=c', kind=GLOBAL))) == []


def test_a_record_beats_a_long_name():
    """As GNU tar has it; Go's archive/tar takes the long name."""
    assert read_one(member('L', b'long\0', LONG_NAME) + pax(b'path=p') + member('a')).name == 'p'


# Bounds.


@pytest.mark.parametrize('kind', [EXTENDED, GLOBAL, LONG_NAME, LONG_LINK])
def test_a_header_of_a_mebibyte(kind):
    data = b'%d comment=' % MIB
    data = data.ljust(MIB - 1, b'c') + b'\n'
    assert read_one(member('x', data, kind) + member('a')).size == 0
    larger = tar_of(MEMBER, member('x', data + b'c', kind), MEMBER)
    assert error(larger) == "'x.tar' has a header of over 1 MiB in or after member 'm': replace it"


def test_many_headers_of_one_member():
    data = pax(b'path=a') * 7000 + member('b')
    assert read_one(data).name == 'a'
    expected = "'x.tar' has headers of over 4 MiB in or after member 'm': replace it"
    assert error(tar_of(MEMBER, pax(b'path=a') * 9000, MEMBER)) == expected


@pytest.mark.parametrize('kind', [EXTENDED, GLOBAL, LONG_NAME, LONG_LINK])
def test_a_header_of_less_than_nothing(kind):
    assert 'is damaged' in error(tar_of(member('x', kind=kind, size=-512), MEMBER))


@pytest.mark.parametrize('size', [(1 << 40) + 1, 1 << 62])
def test_a_member_of_over_a_tebibyte(size):
    assert "has a member of over 1 TiB in or after member 'a'" in error(member('a', size=size))
    assert 'has a member of over 1 TiB' in error(pax(b'size=%d' % size) + member('a'))


def test_a_size_that_no_file_has():
    for size in (-1, -512, 1 << 63, 1 << 80):
        assert 'is damaged' in error(member('a', size=size))


# Sparse files.


def old_gnu_sparse(pieces, data, real_size, magic=OLD_GNU):
    """Returns a member in the old format: four pieces in its header, 21 in each block behind."""
    entries = [b'%011o\0%011o\0' % piece for piece in pieces]
    rest = entries[4:]
    table = b''.join(entries[:4]).ljust(96, b'\0') + (b'\1' if rest else b'\0')
    prefix = bytes(41) + table + b'%011o\0' % real_size
    raw = {'prefix': prefix, 'magic': magic}
    result = member('s', kind=b'S', size=len(data), raw=raw)
    while rest:
        block, rest = b''.join(rest[:21]), rest[21:]
        result += (block.ljust(504, b'\0') + (b'\1' if rest else b'\0')).ljust(BLOCK, b'\0')
    return result + data + bytes(-len(data) % BLOCK)


@pytest.mark.parametrize('count', [0, 1, 3, 4, 5, 25, 26, 2000])
@pytest.mark.parametrize('more', [0, 100])
def test_the_old_sparse_format(count, more):
    pieces = [(1024 * number, 512) for number in range(count)]
    end = 1024 * count + more
    found = read_one(old_gnu_sparse([*pieces, (end, 0)], b'd' * 512 * count, end))
    assert (found.kind, found.size) == (FILE, end)
    assert list(found.pieces) == [number for piece in [*pieces, (end, 0)] for number in piece]


def test_a_sparse_map_of_star_is_elsewhere():
    data = old_gnu_sparse([(0, 512)], bytes(512), 512, magic=b'ustar\x0000')
    assert 'is damaged' in error(tar_of(data))


VERSION_0 = [b'GNU.sparse.name=s', b'GNU.sparse.numblocks=2']
VERSION_1 = [b'GNU.sparse.major=1', b'GNU.sparse.minor=0', b'GNU.sparse.name=s']
MAP_0 = b'GNU.sparse.map=0,1,9,3'
MAP_1 = b'2\n0\n1\n9\n3\n'
PAIRS = [b'GNU.sparse.offset=0', b'GNU.sparse.numbytes=1']
PAIRS += [b'GNU.sparse.offset=9', b'GNU.sparse.numbytes=3']
SPARSE = {
    '0.0': pax(b'GNU.sparse.size=12', *VERSION_0, *PAIRS) + member('x', b'data'),
    '0.1': pax(b'GNU.sparse.size=12', *VERSION_0, MAP_0) + member('x', b'data'),
    '0.1 with the other size': pax(b'GNU.sparse.realsize=12', *VERSION_0, MAP_0)
    + member('x', b'data'),
    '0.1 with a size record': pax(b'size=4', b'GNU.sparse.size=12', *VERSION_0, MAP_0)
    + member('x', b'data', raw={'size': b''}),
    '1.0': pax(b'GNU.sparse.realsize=12', *VERSION_1)
    + member('x', MAP_1.ljust(BLOCK, b'\0') + b'data'),
    '1.0 with the other size': pax(b'GNU.sparse.size=12', *VERSION_1)
    + member('x', MAP_1.ljust(BLOCK, b'\0') + b'data'),
    '1.0 with a size record': pax(b'size=516', b'GNU.sparse.realsize=12', *VERSION_1)
    + member('x', MAP_1.ljust(BLOCK, b'\0') + b'data', raw={'size': b''}),
}


@pytest.mark.parametrize('case', SPARSE)
def test_a_sparse_file(case):
    found = read_one(SPARSE[case])
    assert (found.name, found.kind, found.size) == ('s', FILE, 12)
    assert list(found.pieces) == [0, 1, 9, 3]
    assert SPARSE[case][found.offset : found.offset + 4] == b'data'


DAMAGED_SPARSE = {
    'no count of pieces': pax(b'GNU.sparse.size=12', MAP_0),
    'another count of pieces': pax(b'GNU.sparse.size=12', b'GNU.sparse.numblocks=1', MAP_0),
    'half a piece': pax(b'GNU.sparse.size=12', b'GNU.sparse.numblocks=1', b'GNU.sparse.map=0,1,2'),
    'pairs in wrong order': pax(b'GNU.sparse.size=12', *VERSION_0, *reversed(PAIRS)),
    'beyond the end': pax(b'GNU.sparse.size=11', *VERSION_0, MAP_0),
    'a negative size': pax(b'GNU.sparse.size=-1', *VERSION_0, MAP_0),
    'out of order': pax(b'GNU.sparse.size=12', *VERSION_0, b'GNU.sparse.map=9,3,0,1'),
    'overlapping': pax(b'GNU.sparse.size=12', *VERSION_0, b'GNU.sparse.map=0,3,2,1'),
    'more than there is': pax(b'GNU.sparse.size=12', *VERSION_0, b'GNU.sparse.map=0,2,9,3'),
    'a map in letters': pax(b'GNU.sparse.size=12', *VERSION_0, b'GNU.sparse.map=0,1,9,x'),
    'a map that is missing': pax(b'GNU.sparse.realsize=12', *VERSION_1),
}


@pytest.mark.parametrize('case', DAMAGED_SPARSE)
def test_a_damaged_sparse_file(case):
    assert 'is damaged' in error(tar_of(DAMAGED_SPARSE[case] + member('x', b'data'), MEMBER))


def test_a_sparse_directory():
    records = pax(b'GNU.sparse.size=12', *VERSION_0, MAP_0)
    assert 'is damaged' in error(tar_of(records + member('x', kind=DIR)))


def test_a_sparse_map_of_too_many_pieces():
    size = 1 << 20
    data = pax(b'GNU.sparse.realsize=%d' % size, *VERSION_1) + member('x', b'1000001\n', size=size)
    assert "has a sparse map of over 1,000,000 pieces in or after member 's'" in error(data)


# The end.


@pytest.mark.parametrize('end', [b'', bytes(512), bytes(1024), bytes(10240)])
def test_an_end(end):
    assert [found.name for found in read(MEMBER + end)] == ['m']


def test_a_zero_block_with_a_member_behind_it():
    assert "is damaged in or after member 'm'" in error(MEMBER + bytes(512) + MEMBER)


def test_what_is_behind_the_end_is_told():
    stream = reader.BlockStream(iter([MEMBER + bytes(2048) + MEMBER]))
    archive = reader.TarReader(stream, 'x')
    assert [found.name for found in archive] == ['m']
    assert archive.has_end
    assert archive.has_more


@pytest.mark.parametrize('size', [1, 511, 512, 513, 515])
def test_a_cut(size):
    assert 'is cut off' in error(MEMBER[:size])


@pytest.mark.parametrize('size', [516, 517, 1023, 1024])
def test_the_last_block_need_not_be_filled_up(size):
    """Go's archive/tar does not miss the rest, and `umoci insert` does not write it."""
    assert [found.name for found in read(MEMBER[:size])] == ['m']


@pytest.mark.parametrize('size', [1, 511, 512, 1023])
def test_a_cut_in_or_behind_an_extended_header(size):
    assert 'is cut off' in error(MEMBER + pax(b'path=a')[:size])


def test_nothing_is_no_archive():
    assert error(b'') == "'x.tar' is cut off or not a tar archive: replace it"


# Odd headers, held against GNU tar and Python's tarfile.

_MAGICS = [b'ustar\x0000', OLD_GNU, bytes(8)]
_ODD_NUMBERS = [b'17', b'17 ', b' 17\0', b'\x80\0\0\0\0\0\1\7', b'\xff' * 8, b'-1', b'8', b' ' * 8]
_ODD_SIZES = [b'%o', b'%o ', b'%12o', b'%011o ', b'%012o', b'\0%o']
_ODD_RECORDS = [
    *(b'path=p/q', b'path=p/', b'path=', b'linkpath=l', b'uid=70000', b'uid=', b'uid=x'),
    *(b'gid=7', b'uname=u', b'gname=', b'mtime=1.5', b'mtime=x', b'comment=c', b'size='),
    *(b'hdrcharset=BINARY', b'SCHILY.xattr.user.a=v'),
]
_ODD_DATA = [b'', b'x', b'12 path=ab\n', bytes(3)]


def odd_member(chance, number):
    """Returns a member whose headers may be odd or wrong."""
    name = f'm{number}' + chance.choice(['', '/x', '/', '/./y', '\xe9', 'x' * 90, 'y' * 200])
    kind = chance.choices(
        [FILE, b'\0', HARD, LINK, DIR, b'7', b'3', b'6', b'D', b'V', b'9'],
        [9, 3, 3, 3, 3, 1, 1, 1, 1, 1, 1],
    )[0]
    data = b''
    if kind in (FILE, b'\0', b'7', b'D', b'V', b'9'):
        data = chance.randbytes(chance.choice([0, 1, 511, 512, 513]))
    raw = {'magic': chance.choice(_MAGICS)}
    if chance.random() < 0.3:
        field = chance.choice(['mode', 'uid', 'gid'])
        raw[field] = chance.choice(_ODD_NUMBERS)
    if chance.random() < 0.2:
        raw['size'] = chance.choice(_ODD_SIZES) % len(data)
    if chance.random() < 0.2:
        raw['prefix'] = chance.choice([b'pre', b'p' * 155, b'14717216400\0' * 2])
    # Of several extended headers of one kind GNU tar looks at the last alone.
    headers = b''
    for extension in chance.sample([EXTENDED, LONG_NAME, LONG_LINK], chance.choice([0, 0, 1, 2])):
        if extension == EXTENDED and chance.random() < 0.2:
            headers += member('x', chance.choice(_ODD_DATA), EXTENDED)
        elif extension == EXTENDED:
            headers += pax(*chance.sample(_ODD_RECORDS, chance.randrange(4)))
        else:
            headers += member('L', b'long/%d\0' % number, extension)
    return headers + member(name, data, kind, link='m0' if kind in (HARD, LINK) else '', raw=raw)


def odd_archive(number):
    chance = random.Random(number)
    members = [odd_member(chance, at) for at in range(chance.randrange(1, 4))]
    return b''.join(members) + bytes(1024)


def python_listing(path):
    """Returns the members that Python's tarfile reads as GNU tar lists them, None if it raises."""
    found = []
    try:
        with tarfile.open(path, 'r:') as tar:
            for info in tar:
                if info.type != b'V':
                    found.append(_member(info))
    except (tarfile.TarError, ValueError):
        return None
    return [gnu_tar.as_listed(member, numeric=True) for member in found]


def _member(info):
    """Returns a member of Python's tarfile as one of the reader under test."""
    kind = FILE if info.isreg() else info.type
    if kind == b'D':
        kind = DIR
    return reader.Member(
        name=info.name.rstrip('/'),
        kind=kind,
        mode=info.mode & 0o7777,
        uid=info.uid,
        gid=info.gid,
        uname=info.uname,
        gname=info.gname,
        target=info.linkname if kind in (HARD, LINK) else '',
        size=info.size if kind == FILE else 0,
        offset=info.offset_data,
        pieces=None,
    )


def listing(data):
    """Returns what the reader under test reads, or what it says is wrong."""
    try:
        found = read(data)
    except ArchiveError as problem:
        return str(problem)
    return [gnu_tar.as_listed(member, numeric=True) for member in found]


def test_odd_headers(tmp_path):
    """What GNU tar and Python's tarfile read alike is read as they do."""
    path = tmp_path / 'x.tar'
    compared = 0
    for number in range(FUZZ):
        data = odd_archive(number)
        path.write_bytes(data)
        expected = gnu_tar.listing(path, '--numeric-owner')
        if expected is not None and expected == python_listing(path):
            assert listing(data) == expected, f'archive {number}'
            compared += 1
    assert compared > FUZZ / 4
