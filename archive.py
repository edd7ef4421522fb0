# SPDX-License-Identifier: Apache-2.0
"""Writes the tar archive of an image; no byte of it comes from the machine."""

import contextlib
import io
import os
import tarfile
from collections.abc import Callable, Iterator
from typing import IO

from absl import logging

import utils

# Large members begin at a multiple of this: a file system that shares blocks, whole ones only
# (ioctl_ficlonerange(2); 4096 bytes on XFS and Btrfs), then shares a layer with its archives.
_ALIGNMENT = 4096
_ALIGNED_SIZE = 64 << 10  # bytes; smaller members are not aligned
_COPY_SIZE = 64 << 20  # bytes asked of one system call; signals wait for its end


@contextlib.contextmanager
def _naming(path: str) -> Iterator[None]:
    """Has the system's errors name the file that the caller gave."""
    try:
        yield
    except OSError as error:
        error.filename, error.filename2 = path, None
        raise


class TarFileWriter(contextlib.AbstractContextManager['TarFileWriter']):
    """Writes a tar archive, which appears whole or not at all; a context manager.

    The first member of a name stays; but for directories, a warning names the others. Raises
    OSError for an unusable file, and Error for what no archive may hold.
    """

    Error = utils.ArchiveError
    partial = ''  # the latest temporary file, for a signal handler to unlink

    def __init__(self, name: str) -> None:
        """Begins an archive at the path name, directly in a FIFO or device; '-' is stdout."""
        self._name = 'standard output' if name == '-' else name
        self._position, self._target, self._temporary = 0, '', ''
        self.members: dict[str, bytes | str] = {}  # by name, utils.kind_or_target()
        with _naming(self._name):
            if name == '-' or (os.path.exists(name) and not os.path.isfile(name)):
                self._file = open(os.dup(1) if name == '-' else name, 'wb', buffering=0)
                return
            self._target = os.path.realpath(name)
            if os.path.islink(self._target):
                os.stat(self._target)  # raises ELOOP
            folder, word = os.path.dirname(self._target), os.urandom(8).hex()
            self._temporary = TarFileWriter.partial = f'{folder}/.create_image-{word}.partial'
            self._file = open(self._temporary, 'xb', buffering=0)

    def __exit__(self, error_type: type[BaseException] | None, *_: object) -> None:
        try:
            if error_type is None:
                self.close()
        finally:
            self.__del__()

    def __del__(self) -> None:
        with contextlib.suppress(OSError):
            os.unlink(self._temporary)

    def add_file(
        self,
        name: str,
        kind: bytes = tarfile.REGTYPE,
        content: str | bytes | None = None,
        file_content: str | None = None,
        mode: int | None = None,
    ) -> None:
        """Adds one member that belongs to root and has mtime 0, and its parents before it.

        kind is tarfile.REGTYPE or DIRTYPE; content is text, written as UTF-8, or bytes;
        file_content is the path of a file to take it from; mode is 0644, for DIRTYPE 0755.
        """
        info = tarfile.TarInfo(utils.member_name(name))
        info.type = kind
        info.mode = (0o755 if info.isdir() else 0o644) if mode is None else mode
        data = content.encode('utf-8', 'surrogateescape') if isinstance(content, str) else content
        opened = io.BytesIO(data or b'') if file_content is None else utils.open_file(file_content)
        with opened as source:
            info.size = source.seek(0, os.SEEK_END)
            if self._add_header(info):
                self._copy(source, info.size, 0)

    def add_tar(self, tar: str, name_filter: Callable[[str], bool] | None = None) -> None:
        """Merges the archive at the path tar, plain or compressed.

        Members keep order, type, mode, ownership and link target. Those whose normal name
        name_filter is false for are left out; devices, FIFOs and loose hard links refused.
        """
        with utils.open_archive(tar) as reader:
            for member in reader:
                name = member.name = utils.member_name(member.name)
                if (not name and member.isdir()) or (name_filter and not name_filter(name)):
                    continue
                if member.islnk():
                    member.linkname = utils.member_name(member.linkname)
                    if member.linkname not in self.members:
                        raise self.Error(
                            f'{name!r} is a hard link to nothing before it: replace it'
                        )
                elif member.isreg():
                    member.type = tarfile.REGTYPE  # also of sparse and contiguous files
                elif not (member.issym() or member.isdir()):
                    raise self.Error(f'{name!r} is not a file, directory or link: leave it out')
                member.mtime, member.size = 0, member.size if member.isreg() else 0
                if self._add_header(member) and member.isreg():
                    if reader.file and not member.issparse():
                        self._copy(reader.file, member.size, member.offset_data)
                    else:
                        self._copy(tarfile.ExFileObject(reader.tar, member), member.size)

    def close(self) -> None:
        """Ends the archive and puts it in its place."""
        if self._file.closed:
            return
        # POSIX pax: two zero blocks end an archive, which fills its last record.
        self._write(bytes(-self._position % tarfile.BLOCKSIZE + 2 * tarfile.BLOCKSIZE))
        self._write(bytes(-self._position % tarfile.RECORDSIZE))
        with _naming(self._name):
            self._file.close()
            if self._temporary:
                os.replace(self._temporary, self._target)
        logging.info('%r: %d bytes', self._name, self._position)

    def _add_header(self, info: tarfile.TarInfo) -> bool:
        """Begins a member, unless its name is there already."""
        name, parent = info.name, os.path.dirname(info.name)
        if not name:
            raise self.Error('a member has no name: give it one')
        if name in self.members:
            if not (info.isdir() and self.members[name] == tarfile.DIRTYPE):
                logging.warning('%r comes twice: the first one stays', name)
            return False
        if parent and parent not in self.members:
            self.add_file(parent, tarfile.DIRTYPE)
        if parent and self.members[parent] != tarfile.DIRTYPE:
            raise self.Error(f'{name!r} is in {parent!r}, which is not a directory: leave it out')
        # GNU's long names and base-256 numbers: busybox tar passes over PAX's path and size.
        header = info.tobuf(tarfile.GNU_FORMAT, 'utf-8', 'surrogateescape')
        rest = -self._position % tarfile.BLOCKSIZE  # of the last block of the member before
        if info.size >= _ALIGNED_SIZE:  # an extended header (POSIX pax), a comment, moves the data
            padding, block = tarfile.TarInfo('@PaxHeader'), tarfile.BLOCKSIZE
            place = self._position + rest + len(header) + 2 * block
            padding.type, padding.size = tarfile.XHDTYPE, block + -place % _ALIGNMENT
            record = (b'%d comment=' % padding.size).ljust(padding.size - 1) + b'\n'
            header = padding.tobuf(tarfile.USTAR_FORMAT) + record + header
        self.members[name] = utils.kind_or_target(info)
        self._write(bytes(rest) + header)
        logging.info('%r: %d bytes', name, info.size)
        return True

    def _copy(self, source: IO[bytes], size: int, offset: int | None = None) -> None:
        """Writes size bytes of source: from an offset, if it is a file, else from where it is.

        copy_file_range(2) shares blocks, or else copies in the kernel, fastest to multiples of
        64 KiB (seen on ext4). Where it fails (a pipe, another device), read and write take over.
        """
        end = self._position + size
        if offset is not None:
            with contextlib.suppress(OSError, AttributeError):
                while self._position < end:
                    count = min(end - self._position, -self._position % _ALIGNED_SIZE or _COPY_SIZE)
                    count = os.copy_file_range(source.fileno(), self._file.fileno(), count, offset)
                    if not count:
                        break
                    self._position += count
                    offset += count
            source.seek(offset)
        while self._position < end:
            block = source.read(min(end - self._position, utils.BLOCK_SIZE))
            if not block:
                raise EOFError
            self._write(block)

    def _write(self, data: bytes) -> None:
        rest = memoryview(data)
        with _naming(self._name):
            while rest:
                rest = rest[os.write(self._file.fileno(), rest) :]
        self._position += len(data)
