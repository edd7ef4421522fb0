# SPDX-License-Identifier: Apache-2.0
"""Extended headers and sparse members, as GNU tar and Go's archive/tar read them (section 5)."""

import pytest

from support.headers import MEMBER, OLD_GNU, error, read, read_one
from support.tars import BLOCK, DIR, EXTENDED, FILE, GLOBAL, LINK, LONG_NAME, member, pax, tar_of

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
def test_records_are_read(record):
    found = read_one(pax(record) + member('old', b'data'))
    for field, value in RECORDS[record].items():
        assert getattr(found, field) == value


def test_records_of_all_lengths_are_read():
    """The length of a record includes its own digits."""
    for size in [*range(1, 120), *range(980, 1010)]:
        assert read_one(pax(b'path=' + b'n' * size) + member('a')).name == 'n' * size


def test_size_record_is_read():
    data = pax(b'size=4') + member('a', size=0) + b'data'.ljust(BLOCK, b'\0')
    assert read_one(data).size == 4


def test_linkpath_record_is_read():
    assert read_one(pax(b'linkpath=t') + member('a', kind=LINK, link='old')).target == 't'


MALFORMED_RECORDS = [
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


@pytest.mark.parametrize('data', MALFORMED_RECORDS)
def test_malformed_record_is_an_error(data):
    assert 'is damaged' in error(tar_of(member('x', data, EXTENDED), MEMBER))


BAD_RECORDS = [
    *(b'path=a\0b', b'linkpath=a\0b', b'uname=a\0b', b'gname=a\0b'),
    *(b'size=x', b'size=-1', b'size=1.5', b'size=0x1', b'size=' + b'9' * 30),
    *(b'uid=x', b'uid=1_0', b'uid=-1', b'gid= 1', b'gid=\xd9\xa1'),
    *(b'mtime=x', b'mtime=1.x', b'mtime=.5', b'mtime=1e5', b'atime=-', b'ctime=1 '),
]


@pytest.mark.parametrize('record', BAD_RECORDS)
def test_bad_value_in_a_record_is_an_error(record):
    assert 'is damaged' in error(tar_of(pax(record), MEMBER))
    assert 'is damaged' in error(tar_of(pax(record, kind=GLOBAL), member('a', kind=LINK), MEMBER))


def test_zeros_at_the_end_of_an_extended_header_are_ignored():
    assert read_one(member('x', b'9 path=a\n' + bytes(100), EXTENDED) + member('b')).name == 'a'


def test_last_of_two_extended_headers_is_used():
    found = read_one(pax(b'path=a', b'uid=5') + pax(b'path=b') + member('c'))
    assert (found.name, found.uid) == ('b', 0)


def test_solaris_extended_header_is_read():
    assert read_one(pax(b'path=a', kind=b'X') + member('b')).name == 'a'


def test_extended_header_applies_to_one_member():
    first, second = read(tar_of(pax(b'path=a', b'uid=5') + member('b') + member('c')))
    assert (first.name, first.uid) == ('a', 5)
    assert (second.name, second.uid) == ('c', 0)


def test_global_header_applies_to_all_members_after_it():
    data = [member('a'), pax(b'uname=u', b'uid=5', kind=GLOBAL), member('b')]
    data += [pax(b'uid=6') + member('c'), pax(b'uid=') + member('d')]
    found = [(member.uname, member.uid) for member in read(tar_of(*data))]
    assert found == [('', 0), ('u', 5), ('u', 6), ('u', 0)]


def test_global_header_without_a_member_is_accepted():
    assert read(tar_of(pax(b'comment=c', kind=GLOBAL))) == []


def test_path_record_takes_precedence_over_a_long_name():
    """As in GNU tar; Go's archive/tar uses the long name."""
    assert read_one(member('L', b'long\0', LONG_NAME) + pax(b'path=p') + member('a')).name == 'p'


# Sparse files.


def old_gnu_sparse(pieces, data, real_size, magic=OLD_GNU):
    """Returns a member in the old GNU format: 4 pieces in its header, 21 in each further block."""
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
def test_old_gnu_sparse_format_is_read(count, more):
    pieces = [(1024 * number, 512) for number in range(count)]
    end = 1024 * count + more
    found = read_one(old_gnu_sparse([*pieces, (end, 0)], b'd' * 512 * count, end))
    assert (found.kind, found.size) == (FILE, end)
    assert list(found.pieces) == [number for piece in [*pieces, (end, 0)] for number in piece]


def test_sparse_type_without_gnu_magic_is_an_error():
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
def test_pax_sparse_file_is_read(case):
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
def test_damaged_sparse_file_is_an_error(case):
    assert 'is damaged' in error(tar_of(DAMAGED_SPARSE[case] + member('x', b'data'), MEMBER))


def test_sparse_directory_is_an_error():
    records = pax(b'GNU.sparse.size=12', *VERSION_0, MAP_0)
    assert 'is damaged' in error(tar_of(records + member('x', kind=DIR)))


def test_sparse_map_of_over_1000000_pieces_is_an_error():
    size = 1 << 20
    data = pax(b'GNU.sparse.realsize=%d' % size, *VERSION_1) + member('x', b'1000001\n', size=size)
    assert "has a sparse map of over 1,000,000 pieces in or after member 's'" in error(data)
