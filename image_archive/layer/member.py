# SPDX-License-Identifier: Apache-2.0
"""Members of a layer that is planned: all are known before the first byte is written."""

import contextlib
import errno
import os
import tarfile
from collections.abc import Iterator
from types import TracebackType
from typing import NamedTuple, Protocol

from image_archive.system.flag_values import path_of_text
from image_archive.system.inputs import errors_about, read_at
from image_archive.tar.archive import Archive
from image_archive.tar.content import Source
from image_archive.tar.gnu_headers import NewMember
from image_archive.tar.member import Member

DIRECTORY_MODE = 0o755
FILE_MODE = 0o644
LINK_MODE = 0o777  # as GNU tar stores it
NO_DEVICE = (0, 0)


class Content(Protocol):
    """The content of a file, which is opened when it is needed."""

    def open(self) -> contextlib.AbstractContextManager[Source]:
        """Opens the content; raises OSError if that fails, or if it was changed."""


class Root(NamedTuple):
    """A file or directory that the user names, with all that is in it.

    Attributes:
        path: its path.
        name: its name in the layer; empty for a directory whose content goes to the top.
    """

    path: str
    name: str

    def path_of(self, name: str) -> str:
        """Returns the path of the file that has a name in the layer."""
        if name == self.name:
            return self.path
        inside = name[len(self.name) :].removeprefix('/')
        return f'{self.path}/{path_of_text(inside)}'


class FileContent:
    """The content of a file of the file system. Its path is not kept, because many take memory."""

    __slots__ = ('_identity', '_name', '_root')

    def __init__(self, root: Root, name: str, status: os.stat_result) -> None:
        """Notes the file as it is now.

        Args:
            root: what it is in.
            name: its name in the layer.
            status: what os.stat() returned for it.
        """
        self._root = root
        self._name = name
        self._identity = _identity(status)

    def open(self) -> '_OpenedFile':
        return _OpenedFile(self._root.path_of(self._name), self._identity)


class _OpenedFile:
    """The content of a file while it is open; a context manager."""

    __slots__ = ('_identity', '_path', 'descriptor')

    def __init__(self, path: str, identity: int) -> None:
        self._path = path
        self._identity = identity
        with errors_about(path):
            # A FIFO, which may have taken the place of the file, would wait for its writer.
            self.descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)

    def __enter__(self) -> Source:
        try:
            size = self._checked_size()
        except OSError:
            os.close(self.descriptor)
            raise
        return Source(self._path, self, 0, size)

    def __exit__(
        self,
        error_type: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        try:
            if error is None:
                self._checked_size()
        finally:
            os.close(self.descriptor)

    def read_at(self, offset: int, size: int) -> bytes:
        """Reads a part, as inputs.read_at() does."""
        return read_at(self.descriptor, offset, size)

    def _checked_size(self) -> int:
        """Returns the size of the file; raises OSError if it is not the one that was planned."""
        status = os.fstat(self.descriptor)
        if _identity(status) != self._identity:
            raise OSError(errno.ESTALE, 'it changed while it was read', self._path)
        return status.st_size


def _identity(status: os.stat_result) -> int:
    """Returns a number that tells a file, as it was, from any other; one number saves memory."""
    return hash((status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns))


class MemberContent(NamedTuple):
    """The content of a member of an archive, which is open until the layer is written."""

    archive: Archive
    member: Member

    @contextlib.contextmanager
    def open(self) -> Iterator[Source]:
        yield self.archive.source(self.member)


class PlannedMember:
    """A member of a layer.

    Attributes:
        origin: the flag or file that it is from, for messages.
        name: its normal name in the layer.
        kind: its type, as tarfile names it.
        mode: the permissions.
        owner: the numbers of the user and the group.
        mtime: the time in seconds since 1970; None for that of the whole layer.
        target: the target of a symbolic link.
        xattrs: PAX records with its extended attributes.
        device: the major and minor number of a device.
        size: the bytes of its content.
        content: the content of a file that has any.
        first_link: the member that it is a hard link to; it is a copy of that member where the
            layer has another one of that name.
        can_be_set: whether --modes and --owners may name it.
        is_implied: whether no input gives it: it is only the parent of others.
    """

    __slots__ = (
        'can_be_set',
        'content',
        'device',
        'first_link',
        'is_implied',
        'kind',
        'mode',
        'mtime',
        'name',
        'origin',
        'owner',
        'size',
        'target',
        'xattrs',
    )

    def __init__(
        self, origin: str, name: str, kind: bytes, mode: int, owner: tuple[int, int] = (0, 0)
    ) -> None:
        self.origin = origin
        self.name = name
        self.kind = kind
        self.mode = mode
        self.owner = owner
        self.mtime: int | None = None
        self.target = ''
        self.xattrs = b''
        self.device = NO_DEVICE
        self.size = 0
        self.content: Content | None = None
        self.first_link: PlannedMember | None = None
        self.can_be_set = False
        self.is_implied = False

    @property
    def is_directory(self) -> bool:
        return self.kind == tarfile.DIRTYPE

    def become_copy_of(self, other: 'PlannedMember') -> None:
        """Takes the content of another member in place of a hard link to it."""
        self.kind = other.kind
        self.target = other.target
        self.device = other.device
        self.size = other.size
        self.content = other.content
        self.xattrs = self.xattrs or other.xattrs
        self.first_link = None

    def header(self, mtime: int) -> NewMember:
        """Returns its header.

        Args:
            mtime: the time of a member that has none of its own.
        """
        uid, gid = self.owner
        if self.mtime is not None:
            mtime = self.mtime
        return NewMember(
            self.name,
            self.kind,
            self.mode,
            uid,
            gid,
            self.size,
            mtime,
            self.target,
            device=self.device,
        )
