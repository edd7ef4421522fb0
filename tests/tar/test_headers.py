# SPDX-License-Identifier: Apache-2.0
"""Headers, as GNU tar and Go's archive/tar read them, and their limits (section 5).

Docker, Podman, Skopeo and containerd read archives with Go's archive/tar.
"""

import pytest

from image_archive.tar import reader
from support.headers import MEMBER, OLD_GNU, error, read, read_one
from support.tars import (
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

MIB = 1 << 20
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
def test_numbers_are_read(field):
    for name in ('uid', 'gid'):
        assert getattr(read_one(member('a', raw={name: field})), name) == NUMBERS[field]


@pytest.mark.parametrize('field', [b'8', b'1_0', b'0o17', b'+7', b'-1', b'1 7', b'x'])
@pytest.mark.parametrize('name', ['mode', 'uid', 'gid', 'size', 'mtime', 'devmajor', 'devminor'])
def test_malformed_number_is_an_error(name, field):
    data = tar_of(MEMBER, member('a', raw={name: field}), MEMBER)
    assert error(data) == "'x.tar' is damaged in or after member 'm': replace it"


@pytest.mark.parametrize('field', [b'\xff' * 8, b'\xc0' + bytes(7)])
def test_negative_owner_is_an_error(field):
    assert 'is damaged' in error(tar_of(member('a', raw={'uid': field})))


def test_negative_time_is_accepted():
    assert read_one(member('a', raw={'mtime': b'\xff' * 12})).name == 'a'


def test_time_of_more_than_64_bits_is_an_error():
    assert 'is damaged' in error(tar_of(member('a', raw={'mtime': b'\xc0' + bytes(11)})))


@pytest.mark.parametrize('field', [b'00000000004 ', b'000000000004', b'\x80' + bytes(10) + b'\4'])
def test_size_without_a_terminator_or_in_base_256_is_read(field):
    assert read_one(member('a', b'data', raw={'size': field})).size == 4


# The checksum.


@pytest.mark.parametrize('form', [b'%06o\0 ', b'%06o \0', b'%o', b'%7o\0', b'\0%06o ', b'%08o'])
def test_forms_of_the_checksum(form):
    header = member('a')
    total = sum(header[:148] + b' ' * 8 + header[156:])
    assert read_one(member('a', raw={'checksum': form % total})).name == 'a'
    assert 'is damaged' in error(tar_of(member('a', raw={'checksum': form % (total + 1)})))


def test_checksum_of_signed_bytes_is_accepted():
    header = member('\xe9')
    others = header[:148] + b' ' * 8 + header[156:]
    total = sum(int.from_bytes(others[at : at + 1], 'big', signed=True) for at in range(BLOCK))
    assert read_one(member('\xe9', raw={'checksum': b'%06o\0 ' % total})).name == '\xe9'


def test_checksum_in_base_256_is_an_error():
    header = member('a')
    total = sum(header[:148] + b' ' * 8 + header[156:])
    field = b'\x80' + total.to_bytes(7, 'big')
    assert 'is damaged' in error(tar_of(member('a', raw={'checksum': field})))


# Fields that depend on the magic.

MAGICS = {
    b'ustar\x0000': ('pre/a', 'user'),
    b'ustar\0  ': ('pre/a', 'user'),
    OLD_GNU: ('a', 'user'),
    b'ustar 00': ('a', ''),
    bytes(8): ('a', ''),
}


@pytest.mark.parametrize('magic', MAGICS)
def test_prefix_and_owner_name_depend_on_the_magic(magic):
    found = read_one(member('a', raw={'magic': magic, 'prefix': b'pre', 'uname': b'user'}))
    assert (found.name, found.uname) == MAGICS[magic]


def test_times_in_an_old_gnu_header_are_not_a_prefix():
    times = b'14717216400\0' * 2
    assert read_one(member('a', raw={'magic': OLD_GNU, 'prefix': times})).name == 'a'


def test_name_and_prefix_that_fill_their_fields():
    found = read_one(member('n' * 100, raw={'magic': b'ustar\x0000', 'prefix': b'p' * 155}))
    assert found.name == 'p' * 155 + '/' + 'n' * 100


def test_prefix_of_a_star_header():
    """It has 131 bytes; times follow."""
    prefix = b'pre'.ljust(131, b'\0') + b'00000000000 ' * 2
    assert read_one(member('a', raw={'magic': b'ustar\x0000', 'prefix': prefix})).name == 'pre/a'


# Types.

KINDS = {
    (b'0', 'a'): (FILE, 'a', 4),
    (b'\0', 'a'): (FILE, 'a', 4),
    (b'7', 'a'): (FILE, 'a', 4),
    (b'0', 'a/'): (FILE, 'a', 4),  # as in Go; GNU tar reads a directory
    (b'D', 'a/'): (DIR, 'a', 0),
    (b'M', 'a'): (b'M', 'a', 0),
    (b'N', 'a'): (b'N', 'a', 0),
    (b'A', 'a'): (b'A', 'a', 0),
    (b'9', 'a'): (b'9', 'a', 0),
}


@pytest.mark.parametrize(('kind', 'name'), KINDS)
def test_types_of_members_with_data(kind, name):
    found = read_one(member('x', b'data', raw={'type': kind, 'name': name.encode()}))
    assert (found.kind, found.name, found.size) == KINDS[kind, name]


@pytest.mark.parametrize('kind', [HARD, LINK, b'3', b'4', DIR, b'6'])
def test_size_of_a_member_without_data_is_ignored(kind):
    found = read_one(member('a', kind=kind, link='m', size=1000))
    assert (found.kind, found.size) == (kind, 0)
    assert found.target == ('m' if kind in (HARD, LINK) else '')


def test_volume_label_is_skipped():
    assert [found.name for found in read(tar_of(member('label', kind=b'V'), MEMBER))] == ['m']


def test_v7_directory_has_a_slash_at_the_end_of_its_name():
    found = read_one(member('x', raw={'type': b'\0', 'name': b'd/', 'magic': bytes(8)}))
    assert (found.kind, found.name) == (DIR, 'd')


def test_file_type_bits_of_a_mode_are_ignored():
    assert read_one(member('a', raw={'mode': b'0107751\0'})).mode == 0o7751


# Long names.


def test_long_name_and_target_are_read():
    data = member('L', b'long/name\0', LONG_NAME) + member('K', b'long/target\0', LONG_LINK)
    found = read_one(data + member('a', kind=LINK, link='b'))
    assert (found.name, found.target) == ('long/name', 'long/target')


@pytest.mark.parametrize('data', [b'name', b'name\0', b'name\0rest\0', b'n' * 511, b'n' * 512])
def test_long_name_ends_at_a_zero_byte_or_at_the_end_of_its_data(data):
    found = read_one(member('L', data, LONG_NAME) + member('a'))
    assert found.name == data.partition(b'\0')[0].decode()


def test_last_of_two_long_names_is_used():
    data = member('L', b'one\0', LONG_NAME) + member('L', b'two\0', LONG_NAME)
    assert read_one(data + member('a')).name == 'two'


def test_name_that_is_not_utf_8_keeps_its_bytes():
    assert read_one(member('x', raw={'name': b'\xff'})).name == '\udcff'
    assert read_one(pax(b'path=\xff') + member('a')).name == '\udcff'


# Limits.


@pytest.mark.parametrize('kind', [EXTENDED, GLOBAL, LONG_NAME, LONG_LINK])
def test_extra_header_of_over_1_mib_is_an_error(kind):
    data = b'%d comment=' % MIB
    data = data.ljust(MIB - 1, b'c') + b'\n'
    assert read_one(member('x', data, kind) + member('a')).size == 0
    larger = tar_of(MEMBER, member('x', data + b'c', kind), MEMBER)
    assert error(larger) == "'x.tar' has a header of over 1 MiB in or after member 'm': replace it"


def test_extra_headers_of_over_4_mib_for_one_member_are_an_error():
    data = pax(b'path=a') * 7000 + member('b')
    assert read_one(data).name == 'a'
    expected = "'x.tar' has headers of over 4 MiB in or after member 'm': replace it"
    assert error(tar_of(MEMBER, pax(b'path=a') * 9000, MEMBER)) == expected


@pytest.mark.parametrize('kind', [EXTENDED, GLOBAL, LONG_NAME, LONG_LINK])
def test_extra_header_of_negative_size_is_an_error(kind):
    assert 'is damaged' in error(tar_of(member('x', kind=kind, size=-512), MEMBER))


@pytest.mark.parametrize('size', [(1 << 40) + 1, 1 << 62])
def test_member_of_over_1_tib_is_an_error(size):
    assert "has a member of over 1 TiB in or after member 'a'" in error(member('a', size=size))
    assert 'has a member of over 1 TiB' in error(pax(b'size=%d' % size) + member('a'))


def test_impossible_size_is_an_error():
    for size in (-1, -512, 1 << 63, 1 << 80):
        assert 'is damaged' in error(member('a', size=size))


# The end.


@pytest.mark.parametrize('end', [b'', bytes(512), bytes(1024), bytes(10240)])
def test_archive_may_end_with_any_number_of_zero_blocks(end):
    assert [found.name for found in read(MEMBER + end)] == ['m']


def test_member_after_one_zero_block_is_an_error():
    assert "is damaged in or after member 'm'" in error(MEMBER + bytes(512) + MEMBER)


def test_data_after_the_end_are_reported():
    stream = reader.BlockStream(iter([MEMBER + bytes(2048) + MEMBER]))
    archive = reader.TarReader(stream, 'x')
    assert [found.name for found in archive] == ['m']
    assert archive.has_end
    assert archive.has_more


@pytest.mark.parametrize('size', [1, 511, 512, 513, 515])
def test_archive_cut_in_a_member_is_an_error(size):
    assert 'is cut off' in error(MEMBER[:size])


@pytest.mark.parametrize('size', [516, 517, 1023, 1024])
def test_last_block_without_padding_is_accepted(size):
    """Go's archive/tar does not need the padding, and `umoci insert` does not write it."""
    assert [found.name for found in read(MEMBER[:size])] == ['m']


@pytest.mark.parametrize('size', [1, 511, 512, 1023])
def test_archive_cut_in_or_after_an_extended_header_is_an_error(size):
    assert 'is cut off' in error(MEMBER + pax(b'path=a')[:size])


def test_empty_file_is_not_an_archive():
    assert error(b'') == "'x.tar' is cut off or not a tar archive: replace it"
