# SPDX-License-Identifier: Apache-2.0
"""The files that a program reads."""

import errno
import os
import stat
from types import TracebackType

from image_archive.errors import ArgumentError

_SMALL_LIMIT = 64 << 20  # bytes of a configuration, metadata or identifier file
_OPEN_LIMIT = 150  # files of directories; a process may have 256 descriptors, or 1024
_KEPT_SIZE = 64 << 10  # bytes; smaller files are read at once
_CHANGED = 'it changed while it was read'


class errors_about:
    """A context that makes errors of the system name a file as the user knows it.

    It is a class because that is five times faster than a generator, and every read has one.
    """

    __slots__ = ('_path',)

    def __init__(self, path: str) -> None:
        """Makes the context.

        Args:
            path: the path as the user gave it. An OSError of the context names it.
        """
        self._path = path

    def __enter__(self) -> None:
        pass

    def __exit__(
        self,
        error_type: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if isinstance(error, OSError):
            error.filename = self._path
            error.filename2 = None


def read_small_file(path: str) -> bytes:
    """Reads all bytes of a small file, which may be a pipe.

    Args:
        path: the path; /dev/stdin and a shell's /dev/fd/N work.

    Raises:
        OSError: it cannot be read.
        ArgumentError: it has over 64 MiB.
    """
    with errors_about(path), open(path, 'rb') as file:
        data = file.read(_SMALL_LIMIT + 1)
    if len(data) > _SMALL_LIMIT:
        raise ArgumentError(f'{path!r} has over {_SMALL_LIMIT >> 20} MiB: give a smaller file')
    return data


def read_at(descriptor: int, offset: int, size: int) -> bytes:
    """Reads a part of a file, whatever other threads read of it.

    Args:
        descriptor: the descriptor of the file.
        offset: where the part begins, in bytes.
        size: its bytes; there are fewer only at the end of the file.

    Raises:
        OSError: it cannot be read.
    """
    data = os.pread(descriptor, size, offset)
    # A file system may give less than was asked for.
    while 0 < len(data) < size:
        more = os.pread(descriptor, size - len(data), offset + len(data))
        if not more:
            break
        data += more
    return data


class InputFile:
    """A regular file that is opened once, however often it is read.

    Attributes:
        path: the path as the user gave it.
        descriptor: its descriptor.
        size: its size in bytes.
        identity: what tells it, as it was when it was opened, from any other file.
    """

    def __init__(self, path: str) -> None:
        """Opens the file.

        Args:
            path: the path of a regular file.

        Raises:
            OSError: it is missing, not a regular file, or cannot be opened.
        """
        self.path = path
        with errors_about(path):
            # Checked first, because opening a FIFO waits for its writer.
            mode = os.stat(path).st_mode
            if stat.S_ISDIR(mode):
                raise OSError(errno.EISDIR, os.strerror(errno.EISDIR))
            if not stat.S_ISREG(mode):
                raise OSError(errno.ESPIPE, 'Not a regular file')
            self._file = open(path, 'rb', buffering=0)
            self.descriptor = self._file.fileno()
            status = os.fstat(self.descriptor)
        self.identity = _identity(status)
        self.size = status.st_size

    def read_at(self, offset: int, size: int) -> bytes:
        """Reads a part, as the function read_at() does."""
        data = os.pread(self.descriptor, size, offset)
        if len(data) == size:  # as nearly always
            return data
        return read_at(self.descriptor, offset, size)

    def check_unchanged(self) -> None:
        """Raises OSError if the file, or the file at its path, is not the one that was opened."""
        with errors_about(self.path):
            for now in (os.fstat(self.descriptor), os.stat(self.path)):
                if _identity(now) != self.identity:
                    raise OSError(errno.ESTALE, _CHANGED)

    def close(self) -> None:
        """Closes the file."""
        self._file.close()


class InputDirectory:
    """A directory of which some files are read. They are opened when they are needed.

    Attributes:
        path: the path as the user gave it.
    """

    _all_opened = 0  # files that are kept open, of all directories

    def __init__(self, path: str) -> None:
        """Begins without files.

        Args:
            path: the path of the directory.
        """
        self.path = path
        self._identities: dict[str, tuple[int, int, int, int]] = {}
        self._opened: dict[str, InputFile] = {}
        self._read: set[str] = set()

    def path_of(self, name: str) -> str:
        """Returns the path of a file; name is its path in the directory."""
        return os.path.join(self.path, name)

    def add(self, name: str) -> int | None:
        """Adds a file, through links, and returns its size; None if it is not a regular file.

        Args:
            name: its path in the directory.

        Raises:
            OSError: it cannot be looked up.
        """
        path = self.path_of(name)
        try:
            with errors_about(path):
                status = os.stat(path)
        except FileNotFoundError:
            return None
        if not stat.S_ISREG(status.st_mode):
            return None
        self._identities[name] = _identity(status)
        return status.st_size

    def open(self, name: str) -> 'InputFile | _FileOnDemand':
        """Returns a file that was added, open, or opened each time that it is read.

        Small files are not kept open, and neither are others when many are.

        Args:
            name: its path in the directory.

        Raises:
            OSError: it cannot be opened, or was changed since it was added.
        """
        self._read.add(name)
        path = self.path_of(name)
        identity = self._identities[name]
        if name not in self._opened:
            is_small = identity[2] < _KEPT_SIZE
            if is_small or InputDirectory._all_opened >= _OPEN_LIMIT:
                return _FileOnDemand(path, identity)
            opened = InputFile(path)
            self._opened[name] = opened
            InputDirectory._all_opened += 1
            if opened.identity != identity:
                raise _changed(path)
        return self._opened[name]

    def check_unchanged(self) -> None:
        """Raises OSError if a file that was read, or the file at its path, is another one now."""
        for name in sorted(self._read):
            if name in self._opened:
                self._opened[name].check_unchanged()
            path = self.path_of(name)
            with errors_about(path):
                if _identity(os.stat(path)) != self._identities[name]:
                    raise _changed(path)

    def close(self) -> None:
        """Closes all files."""
        for opened in self._opened.values():
            opened.close()
        InputDirectory._all_opened -= len(self._opened)
        self._opened.clear()


class _FileOnDemand:
    """A regular file that is opened each time that it is read."""

    descriptor = None

    def __init__(self, path: str, identity: tuple[int, int, int, int]) -> None:
        self._path = path
        self._identity = identity

    def read_at(self, offset: int, size: int) -> bytes:
        # Opening a FIFO, which may have taken the place of the file, would wait for its writer.
        with open(self._path, 'rb', buffering=0, opener=_open_at_once) as file:
            if _identity(os.fstat(file.fileno())) != self._identity:
                raise _changed(self._path)
            return read_at(file.fileno(), offset, size)


def _open_at_once(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_NONBLOCK)


def _changed(path: str) -> OSError:
    return OSError(errno.ESTALE, _CHANGED, path)


def _identity(status: os.stat_result) -> tuple[int, int, int, int]:
    return status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns
