# SPDX-License-Identifier: Apache-2.0
"""The files that a program reads."""

import errno
import os
import stat
from types import TracebackType

from image_archive.errors import ArgumentError

_SMALL_LIMIT = 64 << 20  # bytes of a configuration, metadata or identifier file


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


class InputFile:
    """A regular file that is opened once, however often it is read.

    Attributes:
        path: the path as the user gave it.
        file: the file, open for reading.
        size: its size in bytes.
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
            self.file = open(path, 'rb')
            self._status = os.fstat(self.file.fileno())
        self.size = self._status.st_size

    def check_unchanged(self) -> None:
        """Raises OSError if the file, or the file at its path, is not the one that was opened."""
        with errors_about(self.path):
            for now in (os.fstat(self.file.fileno()), os.stat(self.path)):
                if _identity(now) != _identity(self._status):
                    raise OSError(errno.ESTALE, 'it changed while it was read')

    def close(self) -> None:
        """Closes the file."""
        self.file.close()


def _identity(status: os.stat_result) -> tuple[int, int, int, int]:
    return status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns
