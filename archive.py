# SPDX-License-Identifier: Apache-2.0
"""Writes the tar archive of an image.

Two things shape the code. Every byte written is determined by what is added:
no header field comes from the machine. And the data of large members begins at
a multiple of the file system's block, so that a file system that shares blocks
shares them between a layer and every archive that holds it.
"""

import contextlib
import errno
import os
import stat
import tarfile
from collections.abc import Callable, Iterator
from typing import IO

from absl import logging

import utils

# The block of XFS, Btrfs and most others; only whole blocks are shared
# (ioctl_ficlonerange(2)).
_ALIGNMENT = 4096  # bytes
_ALIGNED_SIZE = 64 << 10  # bytes; smaller members are not aligned
_COPY_SIZE = 64 << 20  # bytes asked of one system call; signals wait for its end


class TarFileWriter:
    """Writes a tar archive, which appears whole or not at all; a context manager.

    A regular file is written under a temporary name beside it, `.create_image-*.partial`,
    and renamed by close(). Leaving the context by an exception, and dropping the
    writer unclosed, leave nothing behind. A name that is there already is not
    added again: the first member stays and a warning is logged, but for directories.
    """

    Error = utils.ArchiveError

    def __init__(self, name: str) -> None:
        """Begins an archive.

        Args:
          name: its path; a FIFO or a device is written to directly, and '-' is
            standard output.

        Raises:
          OSError: the file cannot be written.
        """
        self._name = name
        self._fd = -1
        self._temporary = self._target = ''
        self._types: dict[str, bytes] = {}
        self._position = 0
        with _naming(self._name):
            if name == '-':
                self._name = 'standard output'
                self._fd = os.dup(1)
                return
            try:
                mode = os.stat(name).st_mode
            except FileNotFoundError:
                mode = stat.S_IFREG
            if not stat.S_ISREG(mode):
                self._fd = os.open(name, os.O_WRONLY)
                return
            self._target = os.path.realpath(name)
            self._temporary = os.path.join(
                os.path.dirname(self._target), f'.create_image-{os.urandom(8).hex()}.partial'
            )
            # The kernel applies the umask, which Python can only read by setting it.
            flags = os.O_RDWR | os.O_CREAT | os.O_EXCL
            self._fd = os.open(self._temporary, flags, 0o666)

    def __enter__(self) -> 'TarFileWriter':
        return self

    def __exit__(self, error_type: type[BaseException] | None, *_: object) -> None:
        try:
            if error_type is None:
                self.close()
        finally:
            self._discard()

    def __del__(self) -> None:
        self._discard()

    def __contains__(self, name: str) -> bool:
        return name in self._types

    def add_file(
        self,
        name: str,
        kind: bytes = tarfile.REGTYPE,
        content: str | bytes | None = None,
        file_content: str | None = None,
        mode: int | None = None,
    ) -> None:
        """Adds one member that belongs to root and has mtime 0.

        Args:
          name: its name; missing parent directories are added before it.
          kind: tarfile.REGTYPE or tarfile.DIRTYPE.
          content: its content; text is written as UTF-8.
          file_content: path of the file that is its content, in place of content.
          mode: its permissions; by default 0644, for a directory 0755.

        Raises:
          OSError: a file cannot be read or written.
          TarFileWriter.Error: the name cannot be that of a member.
        """
        info = tarfile.TarInfo(utils.member_name(name))
        info.type = kind
        info.mode = (0o755 if info.isdir() else 0o644) if mode is None else mode
        if file_content is None:
            data = content or b''
            if isinstance(data, str):
                data = data.encode('utf-8', 'surrogateescape')
            info.size = len(data)
            self._add(info, data)
            return
        with open(file_content, 'rb', buffering=0) as file:
            with utils.unchanged(file, file_content) as info.size:
                if self._add(info):
                    self._copy(file, file_content, 0, info.size)

    def add_tar(self, tar: str, name_filter: Callable[[str], bool] | None = None) -> None:
        """Merges another archive, plain or compressed.

        Members keep order, type, mode, ownership and link target. Names and the
        targets of hard links are normalised, sparse members are written out.

        Args:
          tar: path of the archive.
          name_filter: called with a normalised name; a false result leaves it out.

        Raises:
          OSError: a file cannot be read or written.
          TarFileWriter.Error: the archive is unreadable or damaged, or a member is
            a device, a FIFO, a link to nothing before it, or leads out of the archive.
        """
        reader = utils.TarReader(tar)
        for member in reader:
            try:
                info = self._merged(member)
                if (not info.name and info.isdir()) or (name_filter and not name_filter(info.name)):
                    continue
                added = self._add(info)
            except (self.Error, ValueError) as error:
                raise self.Error(f"'{tar}': {error}") from error
            if added and info.isreg():
                if reader.file and not member.issparse():
                    self._copy(reader.file, tar, member.offset_data, info.size)
                else:
                    for block in reader.blocks(member):
                        self._write(block)
                    self._pad()

    def close(self) -> None:
        """Ends the archive and puts it in its place; raises OSError if it cannot."""
        if self._fd < 0:
            return
        # POSIX pax: two zero blocks end an archive, which fills its last record.
        end = 2 * tarfile.BLOCKSIZE
        self._write(bytes(end + -(self._position + end) % tarfile.RECORDSIZE))
        with _naming(self._name):
            fd, self._fd = self._fd, -1
            os.close(fd)
            if self._temporary:
                os.replace(self._temporary, self._target)
                self._temporary = ''
        logging.info('%s: %d bytes', self._name, self._position)

    def _discard(self) -> None:
        if self._fd >= 0:
            fd, self._fd = self._fd, -1
            os.close(fd)
        if self._temporary:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(self._temporary)
            self._temporary = ''

    def _merged(self, member: tarfile.TarInfo) -> tarfile.TarInfo:
        """Returns what a member of another archive becomes in this one."""
        info = tarfile.TarInfo(utils.member_name(member.name))
        info.mode, info.uid, info.gid = member.mode, member.uid, member.gid
        info.uname, info.gname = member.uname, member.gname
        if member.isreg():  # also sparse and contiguous files
            info.size = member.size
            return info
        info.type, info.linkname = member.type, member.linkname
        if member.islnk():
            info.linkname = utils.member_name(member.linkname)
            if info.linkname not in self:
                raise self.Error(f"'{info.name}' is a hard link to nothing before it")
        elif not member.issym() and not member.isdir():
            raise self.Error(f"'{info.name}' is no file, directory or link: leave it out")
        return info

    def _add(self, info: tarfile.TarInfo, data: bytes = b'') -> bool:
        """Writes a member up to and with data, unless its name is there already."""
        name = info.name
        if not name:
            raise self.Error('a member has no name')
        if name in self._types:
            if not (info.isdir() and self._types[name] == tarfile.DIRTYPE):
                logging.warning("'%s' comes twice: the first one stays", name)
            return False
        parent = os.path.dirname(name)
        if parent and parent not in self._types:
            folder = tarfile.TarInfo(parent)
            folder.type, folder.mode = tarfile.DIRTYPE, 0o755
            self._add(folder)
        elif parent and self._types[parent] != tarfile.DIRTYPE:
            raise self.Error(f"'{name}' is in '{parent}', which is no directory")
        header = _header(info)
        if info.size >= _ALIGNED_SIZE:
            header = _padding(self._position + len(header)) + header
        self._types[name] = info.type
        self._write(header + data)
        if len(data) == info.size:
            self._pad()
        logging.info('%s: %d bytes', name, info.size)
        return True

    def _copy(self, file: IO[bytes], path: str, position: int, size: int) -> None:
        """Writes the size bytes of a file that begin at position, and pads them.

        copy_file_range(2) shares the blocks on a file system that can, for offsets that
        are both multiples of its block, and elsewhere copies inside the kernel. Where it
        cannot (a pipe, another device or system) or fails, read and write take over.
        """
        end = position + size
        with contextlib.suppress(OSError, AttributeError):
            while position < end:
                count = min(end - position, _COPY_SIZE)
                count = os.copy_file_range(file.fileno(), self._fd, count, position)
                if not count:
                    break
                self._position += count
                position += count
        while position < end:
            with _naming(path):
                file.seek(position)
                block = file.read(min(end - position, utils.BLOCK_SIZE))
            if not block:
                raise OSError(errno.ESTALE, 'it ends early', path)
            self._write(block)
            position += len(block)
        self._pad()

    def _pad(self) -> None:
        self._write(bytes(-self._position % tarfile.BLOCKSIZE))

    def _write(self, data: bytes) -> None:
        with _naming(self._name):
            rest = memoryview(data)
            while rest:
                rest = rest[os.write(self._fd, rest) :]
        self._position += len(data)


@contextlib.contextmanager
def _naming(path: str) -> Iterator[None]:
    """Has an OSError name the file that the caller gave."""
    try:
        yield
    except OSError as error:
        error.filename, error.filename2 = path, None
        raise


def _header(info: tarfile.TarInfo) -> bytes:
    """Returns the header of a member in the oldest form that holds it.

    ustar where it suffices; else GNU's long names and base-256 numbers. Both keep
    names as UTF-8 bytes. PAX's path and size records busybox tar passes over, and
    Python writes them for every name of more than 100 characters.
    """
    try:
        return info.tobuf(tarfile.USTAR_FORMAT, 'utf-8', 'surrogateescape')
    except ValueError:
        return info.tobuf(tarfile.GNU_FORMAT, 'utf-8', 'surrogateescape')


def _padding(position: int) -> bytes:
    """Returns what, put before position, moves it to a multiple of _ALIGNMENT.

    That is nothing, or a PAX extended header (POSIX pax, "pax Extended Header") with
    one `comment` record, which readers ignore: `<its length> comment=<spaces>`.
    """
    size = -position % _ALIGNMENT
    if size == 0:
        return b''
    if size < 2 * tarfile.BLOCKSIZE:
        size += _ALIGNMENT
    info = tarfile.TarInfo('@PaxHeader')
    info.type = tarfile.XHDTYPE
    info.size = size - tarfile.BLOCKSIZE
    record = b'%d comment=' % info.size
    return _header(info) + record.ljust(info.size - 1) + b'\n'
