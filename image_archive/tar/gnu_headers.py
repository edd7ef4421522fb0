# SPDX-License-Identifier: Apache-2.0
"""The headers of new members, with the bytes that GNU tar writes with --format=gnu.

Archives of images have them with the one difference that Python's tarfile makes: the headers of
long names have no permissions. Their bytes stay.
"""

import functools
import struct
import tarfile
from typing import NamedTuple

from image_archive.tar.headers import DEVICES, sum_of_bytes

# Name, numbers, checksum, type, target, and all after that: GNU tar's manual, "Basic Format".
_FIELDS = struct.Struct('100s 48s 8s 1s 100s 255s')
_NAME_SIZE = 100  # bytes of a name or target in a header
_OWNER_SIZE = 32  # bytes of a name of an owner
_MAGIC = b'ustar  \0'
_BLANKS = 8 * b' '  # the checksum while it is calculated
# The headers before a member have no name of their own: GNU tar's is this one.
_LONG_NAME = b'././@LongLink'
_EXTENDED_NAME = b'@PaxHeader'
_DEFAULT_MODE = 0o644


class NewMember(NamedTuple):
    """A member that is written.

    Attributes:
        name: the name, without a slash at its end.
        kind: the type, as tarfile names it.
        mode: the permissions.
        uid: the number of the owner.
        gid: the number of the group.
        size: the bytes of its content.
        mtime: the time, in seconds since 1970.
        target: the target of a link.
        uname: the name of the owner.
        gname: the name of the group.
        device: the major and minor number of a device.
    """

    name: str
    kind: bytes
    mode: int
    uid: int = 0
    gid: int = 0
    size: int = 0
    mtime: int = 0
    target: str = ''
    uname: str = ''
    gname: str = ''
    device: tuple[int, int] = (0, 0)


def gnu_header(member: NewMember, xattrs: bytes = b'') -> bytes:
    """Returns the headers of a member of a layer.

    Args:
        member: the member.
        xattrs: PAX records with its extended attributes. They stand before all other headers, in
            a header that GNU tar, bsdtar and Go's archive/tar read together with those.
    """
    data = b''
    if xattrs:
        data = _with_data(_EXTENDED_NAME, tarfile.XHDTYPE, _DEFAULT_MODE, xattrs)
    return data + _header(member, _DEFAULT_MODE)


def python_header(member: NewMember) -> bytes:
    """Returns the headers of a member of an image archive, as tarfile.GNU_FORMAT has them."""
    return _header(member, 0)


def _header(member: NewMember, mode_of_long_names: int) -> bytes:
    name = member.name.encode('utf-8', 'surrogateescape')
    target = member.target.encode('utf-8', 'surrogateescape')
    if member.kind == tarfile.DIRTYPE:
        name += b'/'
    data = b''
    if len(target) > _NAME_SIZE:
        kind = tarfile.GNUTYPE_LONGLINK
        data += _with_data(_LONG_NAME, kind, mode_of_long_names, target + b'\0')
    if len(name) > _NAME_SIZE:
        kind = tarfile.GNUTYPE_LONGNAME
        data += _with_data(_LONG_NAME, kind, mode_of_long_names, name + b'\0')
    device = member.device if member.kind in DEVICES else None
    end = _end_of_block(member.uname, member.gname, device)
    return data + _block(name, _numbers(member), member.kind, target, end)


def _with_data(name: bytes, kind: bytes, mode: int, data: bytes) -> bytes:
    """Returns an extended header with its data."""
    numbers = _numbers(NewMember('', kind, mode, size=len(data)))
    header = _block(name, numbers, kind, b'', _end_of_block('', '', None))
    return header + data + bytes(-len(data) % tarfile.BLOCKSIZE)


def _block(name: bytes, numbers: bytes, kind: bytes, target: bytes, end: bytes) -> bytes:
    """Returns one block of a header; what is too long is cut off."""
    block = _FIELDS.pack(name, numbers, _BLANKS, kind, target, end)
    checksum = sum_of_bytes(block[:256]) + sum_of_bytes(block[256:])
    return b'%b%06o\0 %b' % (block[:148], checksum, block[156:])


@functools.lru_cache(maxsize=256)
def _end_of_block(uname: str, gname: str, device: tuple[int, int] | None) -> bytes:
    """Returns what is behind the target in a header."""
    end = _MAGIC
    for owner in (uname, gname):
        field = owner.encode('utf-8', 'surrogateescape')[:_OWNER_SIZE]
        end += field.ljust(_OWNER_SIZE, b'\0')
    if device is not None:
        end += _number(device[0], 8) + _number(device[1], 8)
    return end


def _numbers(member: NewMember) -> bytes:
    """Returns the fields from mode to time."""
    _, _, mode, uid, gid, size, mtime, *_ = member
    if (
        uid < 1 << 21 and gid < 1 << 21 and size < 1 << 33 and 0 <= mtime < 1 << 33
    ):  # most are small
        return b'%07o\0%07o\0%07o\0%011o\0%011o\0' % (mode, uid, gid, size, mtime)
    owner = _number(uid, 8) + _number(gid, 8)
    return b'%07o\0' % mode + owner + _number(size, 12) + _number(mtime, 12)


def _number(number: int, size: int) -> bytes:
    """Returns the field of a number: octal digits, or base 256 where they do not suffice."""
    digits = size - 1
    if 0 <= number < 1 << 3 * digits:
        return b'%0*o\0' % (digits, number)
    if number < 0:
        return ((1 << 8 * size) + number).to_bytes(size, 'big')
    return b'\x80' + number.to_bytes(digits, 'big')
