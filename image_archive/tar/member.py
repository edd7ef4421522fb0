# SPDX-License-Identifier: Apache-2.0
"""A member of a tar archive, as it is read."""

import array
import tarfile
from typing import NamedTuple


class Member(NamedTuple):
    """A member of an archive.

    Attributes:
        name: the name as the archive spells it, without a slash at its end.
        kind: tarfile.REGTYPE, DIRTYPE, SYMTYPE, LNKTYPE, or another type.
        mode: the permissions, up to 0o7777.
        uid: the number of the owner.
        gid: the number of the group.
        uname: the name of the owner.
        gname: the name of the group.
        target: the target of a link, as it is stored; empty for other kinds.
        size: bytes of content; 0 for everything but files.
        offset: where the data begin in the archive, in bytes.
        pieces: of a sparse file, the offset in the content and the bytes of each island of data,
            one number after the other; None if the data are the content.
        type: the type as it is stored.
        xattrs: the names of its extended attributes (`SCHILY.xattr.*` records).
        xattr_records: these records, as they are stored.
        mtime: the time, in whole seconds since 1970.
        device: the major and minor number of a device; zeros for other kinds.
    """

    name: str
    kind: bytes
    mode: int
    uid: int
    gid: int
    uname: str
    gname: str
    target: str
    size: int
    offset: int
    pieces: 'array.array[int] | None'
    type: bytes = tarfile.REGTYPE
    xattrs: tuple[str, ...] = ()
    xattr_records: bytes = b''
    mtime: int = 0
    device: tuple[int, int] = (0, 0)

    @property
    def is_file(self) -> bool:
        return self.kind == tarfile.REGTYPE

    @property
    def is_directory(self) -> bool:
        return self.kind == tarfile.DIRTYPE

    @property
    def is_link(self) -> bool:
        return self.kind in (tarfile.SYMTYPE, tarfile.LNKTYPE)
