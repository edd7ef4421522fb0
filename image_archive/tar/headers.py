# SPDX-License-Identifier: Apache-2.0
"""The headers of tar members: ustar, GNU and PAX, and the maps of sparse files of every format.

They are parsed here, because Python's tarfile reads them differently from GNU tar, Docker, Podman,
Skopeo and containerd: it takes the times in headers of old GNU tar for a name, a damaged header
for the end, and a sparse map beside a size record for damage. What all of these programs agree on
is read here; what all of them take for damage is damage.
"""

import array
import functools
import re
import struct
import tarfile
import zlib
from typing import NamedTuple

from image_archive.tar.member import Member

BLOCK = tarfile.BLOCKSIZE
EXTENSION_LIMIT = 1 << 20  # bytes of one extended header; Go's archive/tar takes no more
EXTENSIONS_LIMIT = 4 << 20  # bytes of all extended headers of one member
_OWNER_LIMIT = (1 << 56) - 1  # the largest number that a field of a header holds
_SIZE_LIMIT = 1 << 40  # bytes of one member
_PIECES_LIMIT = 1_000_000  # islands of data in one sparse member
_GLOBAL_VALUE_LIMIT = 4096  # characters of one value in a global header; Linux's PATH_MAX
_DIGITS_LIMIT = 20  # of a number in a PAX record; 2**64 has as many

# POSIX ustar: a contiguous file is read as a file. Sparse files become plain ones.
_FILE_KINDS = (tarfile.REGTYPE, tarfile.AREGTYPE, tarfile.CONTTYPE, tarfile.GNUTYPE_SPARSE)
_GNU_DUMPDIR = b'D'  # a directory of `tar --listed-incremental`, with the names in it as data
GNU_VOLUME_LABEL = b'V'  # of `tar --label`
# Members of these kinds have no data, whatever their size says: Go's archive/tar, with which
# Docker, Podman, Skopeo and containerd read archives, reads them so.
TYPES_WITHOUT_DATA = (
    tarfile.LNKTYPE,
    tarfile.SYMTYPE,
    tarfile.CHRTYPE,
    tarfile.BLKTYPE,
    tarfile.DIRTYPE,
    tarfile.FIFOTYPE,
)
DEVICES = (tarfile.CHRTYPE, tarfile.BLKTYPE)
LINKS = (tarfile.SYMTYPE, tarfile.LNKTYPE)
# Of most members: all that is to be known of them is in their header.
COMMON_TYPES = (tarfile.REGTYPE, tarfile.DIRTYPE, tarfile.SYMTYPE, tarfile.LNKTYPE)
EXTENSIONS = (
    tarfile.XHDTYPE,
    tarfile.SOLARIS_XHDTYPE,
    tarfile.XGLTYPE,
    tarfile.GNUTYPE_LONGNAME,
    tarfile.GNUTYPE_LONGLINK,
)


class Damage(Exception):
    """A header cannot be right; the text says why, in words that follow a name."""

    def __init__(self, text: str = 'is damaged') -> None:
        super().__init__(text)


# A header block: name; mode, uid and gid; size; time; checksum; type; target; and all after that,
# from the magic on (POSIX ustar; GNU tar's manual, "Basic Format").
_unpack = struct.Struct('100s 24s 12s 12s 8s 1s 100s 255s').unpack
# The same owners come again and again: their fields are remembered as they are stored.
_REMEMBERED = 256
_CHECKSUMS_REMEMBERED = 4096
_END_OFFSET = 257  # of what follows the target, the magic first
_NO_DEVICE = (0, 0)
_new_tuple = tuple.__new__  # makes a NamedTuple in two thirds of the time


class _Rest(NamedTuple):
    """What is at the end of a header block, from the magic on.

    Attributes:
        total: the sum of the bytes.
        is_gnu: whether it is a header of GNU tar.
        uname: the name of the owner.
        gname: the name of the group.
        device: the major and minor number of a device.
        prefix: what stands before the name.
    """

    total: int
    is_gnu: bool
    uname: str
    gname: str
    device: tuple[int, int]
    prefix: str


def read_header(block: bytes, offset: int) -> Member:
    """Returns the member that a header block describes, as far as the block alone says it.

    Its kind is its type, and its size that of the data, whatever they are. Its name has no slash at
    its end if the type is one of COMMON_TYPES; otherwise it is what is stored.

    Args:
        block: the header block.
        offset: where the data begin in the archive, in bytes.

    Raises:
        Damage: it is no header, or damaged.
    """
    stored_name, numbers, stored_size, time, checksum, kind, stored_target, end = _unpack(block)
    rest = _read_rest(end)
    total = (zlib.adler32(block[:_END_OFFSET]) & 0xFFFF) - 1 + rest.total
    if total != _total_with(checksum):
        _check_checksum(block)
    mode, uid, gid = _read_mode_and_owner(numbers)
    size = _size_or_time(stored_size)
    mtime = _time(time)
    name = text_of(stored_name)
    if rest.prefix:
        name = f'{rest.prefix}/{name}'
    target = ''
    device = _NO_DEVICE
    if kind in COMMON_TYPES:
        name = name.rstrip('/')
    if kind != tarfile.REGTYPE:
        if kind in TYPES_WITHOUT_DATA:
            size = 0
        if kind in LINKS:
            target = text_of(stored_target)
        elif kind in DEVICES:
            device = rest.device
    fields = (
        name,
        kind,
        mode,
        uid,
        gid,
        rest.uname,
        rest.gname,
        target,
        size,
        offset,
        None,
        kind,
        (),
        b'',
        mtime,
        device,
    )
    return _new_tuple(Member, fields)


def old_gnu_real_size(block: bytes) -> int:
    """Returns the size with its holes of a file in GNU's oldest sparse format, from its header."""
    if not _read_rest(block[_END_OFFSET:]).is_gnu:  # star has a map too, but in another place
        raise Damage
    return _field(block[483:495])


@functools.lru_cache(_REMEMBERED)
def _read_mode_and_owner(fields: bytes) -> tuple[int, int, int]:
    """Returns the mode, uid and gid of a header."""
    return _field(fields[0:8]) & 0o7777, _field(fields[8:16]), _field(fields[16:24])


@functools.lru_cache(_REMEMBERED)
def _read_rest(rest: bytes) -> _Rest:
    """Returns what the end of a header says, which begins at its byte 257."""
    uname = ''
    gname = ''
    device = _NO_DEVICE
    prefix = ''
    is_ustar = rest[:6] == b'ustar\0'
    is_gnu = rest[:8] == b'ustar  \0'
    if is_ustar or is_gnu:
        uname = text_of(rest[8:40])
        gname = text_of(rest[40:72])
        # Go's archive/tar takes bad device numbers for damage, even those of files.
        device = (_field(rest[72:80]), _field(rest[80:88]))
    # Headers of old GNU tar have times in the place of the prefix.
    if is_ustar and rest[88]:
        prefix = text_of(rest[88:243])
    return _Rest(sum(rest), is_gnu, uname, gname, device, prefix)


@functools.lru_cache(_CHECKSUMS_REMEMBERED)
def _total_with(checksum: bytes) -> int | None:
    """Returns the sum of all bytes of a header with a checksum; None if it is written oddly.

    The checksum is the sum of all bytes, in which its own count as blanks (POSIX ustar).
    """
    digits = checksum[:6]
    if checksum[6:] != b'\0 ' or digits.strip(b'01234567'):
        return None
    return int(digits, 8) - len(checksum) * ord(' ') + sum(checksum)


def sum_of_bytes(data: bytes) -> int:
    """Returns the sum of at most 256 bytes."""
    # A part of Adler-32 (RFC 1950) is the sum and one; of so few bytes it has no remainder.
    return (zlib.adler32(data) & 0xFFFF) - 1


def _check_checksum(block: bytes) -> None:
    """Raises Damage unless the checksum of a header is right, however it is written."""
    stored = _octal(block[148:156])
    others = block[:148] + block[156:]
    total = sum(others) + 8 * ord(' ')
    # Some old programs added signed bytes.
    signed = total - 256 * sum(1 for byte in others if byte > 127)
    if stored not in (total, signed):
        raise Damage


@functools.lru_cache(_REMEMBERED)
def _time(field: bytes) -> int:
    return _size_or_time(field)


def _size_or_time(field: bytes) -> int:
    digits = field[:11]
    if field[11] == 0 and digits.isdigit():  # as most programs write it
        try:
            return int(digits, 8)
        except ValueError:
            raise Damage from None
    return _field(field)


def _field(field: bytes) -> int:
    """Returns the number in a header: octal digits, or GNU's base 256."""
    if not field[0] & 0x80:
        return _octal(field)
    # Two's complement in all bits but the first.
    bits = 8 * len(field) - 1
    number = int.from_bytes(field, 'big') - (1 << bits)
    if field[0] & 0x40:
        number -= 1 << bits
    if number.bit_length() > 63:
        raise Damage
    return number


def _octal(field: bytes) -> int:
    # Some old programs wrote a zero byte in front.
    digits = field.strip(b' \0').partition(b'\0')[0]
    if not digits:
        return 0
    if digits.strip(b'01234567'):
        raise Damage
    return int(digits, 8)


def text_of(field: bytes) -> str:
    return field.partition(b'\0')[0].decode('utf-8', 'surrogateescape')


def member_kind(kind: bytes, name: str) -> bytes:
    """Returns the kind of a member, by its type and name."""
    if kind == tarfile.AREGTYPE and name.endswith('/'):  # as before ustar
        return tarfile.DIRTYPE
    if kind in _FILE_KINDS:
        return tarfile.REGTYPE
    if kind == _GNU_DUMPDIR:
        return tarfile.DIRTYPE
    return kind


def decimal(text: str) -> int:
    if len(text) > _DIGITS_LIMIT or not (text.isascii() and text.isdecimal()):
        raise Damage
    return int(text)


def number_of(records: dict[str, str], key: str, default: int) -> int:
    if key not in records:
        return default
    return decimal(records[key])


def real_size(records: dict[str, str], stored_size: int) -> int:
    """Returns the size of a sparse file with its holes, which stands under two keys."""
    size = number_of(records, 'GNU.sparse.realsize', stored_size)
    return number_of(records, 'GNU.sparse.size', size)


_SPARSE_PAIR = ('GNU.sparse.offset', 'GNU.sparse.numbytes')
# What is no time is damage to all clients.
_TIMES = ('atime', 'ctime', 'mtime')
_TIME = re.compile(rb'-?[0-9]+(\.[0-9]*)?')
_RECORDS = (
    'path',
    'linkpath',
    'size',
    'uid',
    'gid',
    'uname',
    'gname',
    'GNU.sparse.major',
    'GNU.sparse.name',
    'GNU.sparse.realsize',
    'GNU.sparse.size',
    'GNU.sparse.numblocks',
    'GNU.sparse.map',
)


_XATTR = 'SCHILY.xattr.'
_XATTR_RECORDS = 'SCHILY.xattr'  # no record has this key: has all of those with _XATTR
PADDED = ''  # no record has this key: says that zeros fill up the header


def xattrs_in(records: dict[str, str]) -> tuple[str, ...]:
    """Returns the names of the extended attributes in what parse_records() returned."""
    names = records.get(_XATTR)
    if names is None:
        return ()
    return tuple(names.split('\0'))


def xattr_records_in(records: dict[str, str]) -> bytes:
    """Returns the records of the extended attributes in what parse_records() returned."""
    return records.get(_XATTR_RECORDS, '').encode('latin-1')


def xattr_value(records: bytes, name: str) -> bytes:
    """Returns the value of an extended attribute; empty if it is not there.

    Args:
        records: what xattr_records_in() returned.
        name: the name of the attribute.
    """
    key = f'{_XATTR}{name}='.encode('utf-8', 'surrogateescape')
    start = 0
    while start < len(records):
        space = records.index(b' ', start)
        end = start + int(records[start:space])
        if records.startswith(key, space + 1):
            return records[space + 1 + len(key) : end - 1]
        start = end
    return b''


def seconds_of(records: dict[str, str], default: int) -> int:
    """Returns the time of a member in whole seconds, as GNU's headers can store it."""
    time = records.get('mtime')
    if time is None:
        return default
    whole, _, fraction = time.partition('.')
    if len(whole) > _DIGITS_LIMIT:  # not of this world
        return default
    seconds = int(whole)
    if whole.startswith('-') and fraction.strip('0'):
        seconds -= 1  # the fraction is below zero, too
    return seconds


def parse_records(data: bytes) -> dict[str, str]:
    """Returns the records of an extended header (POSIX pax) that are used.

    Args:
        data: records of the form "LENGTH KEY=VALUE\n"; the length, in bytes, is that of the
            whole record.

    Raises:
        Damage: a record is not of that form.
    """
    records: dict[str, str] = {}
    sparse_pairs: list[str] = []
    xattr_names: list[str] = []
    xattr_records = bytearray()
    start = 0
    while start < len(data):
        space = data.find(b' ', start, start + _DIGITS_LIMIT)
        if space < 0:
            # GNU tar skips zeros that fill up a header; Go's archive/tar does not.
            if data[start:].strip(b'\0'):
                raise Damage
            records[PADDED] = 'yes'
            break
        end = start + decimal(data[start:space].decode('latin-1'))
        if not space + 1 < end <= len(data) or data[end - 1] != ord('\n'):
            raise Damage
        raw_key, equals, content = data[space + 1 : end - 1].partition(b'=')
        if not raw_key or not equals:
            raise Damage
        record = data[start:end]
        start = end
        key = raw_key.decode('utf-8', 'surrogateescape')
        if key in _SPARSE_PAIR:
            # GNU tar's format 0.0 has two records for each piece.
            if key != _SPARSE_PAIR[len(sparse_pairs) % 2]:
                raise Damage
            sparse_pairs.append(content.decode('latin-1'))
        elif key in _RECORDS:
            value = content.decode('utf-8', 'surrogateescape')
            if '\0' in value:
                raise Damage
            records[key] = value
        elif key.startswith(_XATTR):
            xattr_names.append(key.removeprefix(_XATTR))
            xattr_records += record
        elif key in _TIMES and content:
            if not _TIME.fullmatch(content):
                raise Damage
            if key == 'mtime':
                records[key] = content.decode('latin-1')
    if sparse_pairs:
        records['GNU.sparse.map'] = ','.join(sparse_pairs)
    if xattr_names:
        records[_XATTR] = '\0'.join(xattr_names)  # one record for all: names have no NUL
        records[_XATTR_RECORDS] = xattr_records.decode('latin-1')
    return records


def parse_global_records(data: bytes) -> dict[str, str]:
    """Returns the records of a global header, which are those of every member that follows.

    Args:
        data: as for parse_records().

    Raises:
        Damage: as parse_records(), and if a value is so long that many members with it take long.
    """
    records = parse_records(data)
    # No client applies attributes or times of a global header.
    for key in (_XATTR, _XATTR_RECORDS, 'mtime'):
        records.pop(key, None)
    if any(len(value) > _GLOBAL_VALUE_LIMIT for value in records.values()):
        raise Damage(f'has a global header with a value of over {_GLOBAL_VALUE_LIMIT} bytes')
    return records


def add_old_gnu_pieces(pieces: 'array.array[int]', table: bytes) -> None:
    """Adds the entries of a table, up to an empty one: 12 bytes of offset and 12 of size each."""
    for start in range(0, len(table), 24):
        offset = table[start : start + 12]
        size = table[start + 12 : start + 24]
        if not any(offset) and not any(size):
            break
        for field in (offset, size):
            append_number(pieces, _field(field))
    check_count(len(pieces))


def sparse_map(records: dict[str, str]) -> 'array.array[int]':
    """Returns the map of a sparse file of GNU's formats 0.0 and 0.1."""
    numbers = records['GNU.sparse.map'].split(',')
    check_count(len(numbers))
    if len(numbers) != 2 * number_of(records, 'GNU.sparse.numblocks', 0):
        raise Damage
    pieces = array.array('q')
    for number in numbers:
        append_number(pieces, decimal(number))
    return pieces


def append_number(pieces: 'array.array[int]', number: int) -> None:
    if not 0 <= number <= _SIZE_LIMIT:
        raise Damage
    pieces.append(number)


def check_limits(size: int, uid: int, gid: int) -> None:
    if size < 0 or not 0 <= uid <= _OWNER_LIMIT or not 0 <= gid <= _OWNER_LIMIT:
        raise Damage
    if size > _SIZE_LIMIT:
        raise Damage(f'has a member of over {_SIZE_LIMIT >> 40} TiB')


def check_count(count: int) -> None:
    if count > 2 * _PIECES_LIMIT:
        raise Damage(f'has a sparse map of over {_PIECES_LIMIT:,} pieces')


def check_map(pieces: 'array.array[int]', size: int, stored_size: int) -> None:
    """Raises Damage unless the pieces are in order, inside the content, and all stored."""
    if len(pieces) % 2:
        raise Damage
    end = 0
    total = 0
    for index in range(0, len(pieces), 2):
        offset, length = pieces[index], pieces[index + 1]
        # A last entry of no bytes says where the content ends.
        if offset < end or offset + length > size:
            raise Damage
        end = offset + length
        total += length
    if total > stored_size:
        raise Damage
