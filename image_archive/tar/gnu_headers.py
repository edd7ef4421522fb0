# SPDX-License-Identifier: Apache-2.0
"""The headers of new members, with the bytes that GNU tar writes with --format=gnu.

Python's tarfile writes other bytes for long names, and none for extended attributes beside them.
"""

import tarfile

from image_archive.tar.headers import DEVICES

_NAME_SIZE = 100  # bytes of a name or target in a header
_MAGIC = b'ustar  \0'
# The headers before a member have no name of their own: GNU tar's is this one.
_LONG_NAME = b'././@LongLink'
_EXTENDED_NAME = b'@PaxHeader'
_DEFAULT_MODE = 0o644


def gnu_header(member: tarfile.TarInfo, xattrs: bytes = b'') -> bytes:
    """Returns the headers of a member.

    Args:
        member: its name (without a slash at its end), type, mode, owner, size, time, target and
            device; names of owners are not stored.
        xattrs: PAX records with its extended attributes. They stand before all other headers, in
            a header that GNU tar, bsdtar and Go's archive/tar read together with those.
    """
    name = member.name.encode('utf-8', 'surrogateescape')
    target = member.linkname.encode('utf-8', 'surrogateescape')
    if member.type == tarfile.DIRTYPE:
        name += b'/'
    data = b''
    if xattrs:
        data += _with_data(_EXTENDED_NAME, tarfile.XHDTYPE, xattrs)
    if len(target) > _NAME_SIZE:
        data += _with_data(_LONG_NAME, tarfile.GNUTYPE_LONGLINK, target + b'\0')
    if len(name) > _NAME_SIZE:
        data += _with_data(_LONG_NAME, tarfile.GNUTYPE_LONGNAME, name + b'\0')
    numbers = _numbers(member.mode, member.uid, member.gid, member.size, int(member.mtime))
    device = b''
    if member.type in DEVICES:
        device = _number(member.devmajor, 8) + _number(member.devminor, 8)
    return data + _block(name, numbers, member.type, target, device)


def _with_data(name: bytes, kind: bytes, data: bytes) -> bytes:
    """Returns an extended header with its data."""
    header = _block(name, _numbers(_DEFAULT_MODE, 0, 0, len(data), 0), kind, b'', b'')
    return header + data + bytes(-len(data) % tarfile.BLOCKSIZE)


def _block(name: bytes, numbers: bytes, kind: bytes, target: bytes, device: bytes) -> bytes:
    """Returns one block of a header (GNU tar's manual, "Basic Format")."""
    before = name[:_NAME_SIZE].ljust(_NAME_SIZE, b'\0') + numbers
    after = kind + target[:_NAME_SIZE].ljust(_NAME_SIZE, b'\0') + _MAGIC + bytes(64) + device
    # The checksum's own eight bytes count as blanks.
    checksum = sum(before) + sum(after) + 8 * ord(' ')
    block = before + b'%06o\0 ' % checksum + after
    return block.ljust(tarfile.BLOCKSIZE, b'\0')


def _numbers(mode: int, uid: int, gid: int, size: int, mtime: int) -> bytes:
    if max(uid, gid) < 1 << 21 and size < 1 << 33 and 0 <= mtime < 1 << 33:  # most are small
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
