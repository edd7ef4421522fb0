# SPDX-License-Identifier: Apache-2.0
"""Writes the tar archive of an image.

Two things shape the code. No byte comes from the machine. And large members begin at a
multiple of the file system's block, so that one that shares blocks shares them between a
layer and every archive that holds it.
"""

import contextlib
import errno
import os
import tarfile
from collections.abc import Callable
from typing import IO

from absl import logging

import utils

# Only whole blocks are shared (ioctl_ficlonerange(2)): 4096 bytes on XFS, Btrfs and others.
_ALIGNMENT = 4096
_ALIGNED_SIZE = 64 << 10  # bytes; smaller members are not aligned
_COPY_SIZE = 64 << 20  # bytes asked of one system call; signals wait for its end


class TarFileWriter(contextlib.AbstractContextManager['TarFileWriter']):
    """Writes a tar archive, which appears whole or not at all; a context manager.

    The first member of a name stays; but for directories, a warning names the others. The
    methods raise OSError for an unusable file, and Error for what no archive may hold.
    """

    Error = utils.ArchiveError

    def __init__(self, name: str) -> None:
        """Begins an archive at the path name, directly in a FIFO or device; '-' is stdout."""
        self._name = 'standard output' if name == '-' else name
        self._temporary = self._target = ''
        self._members: dict[str, tuple[bytes, str]] = {}  # type and link target
        self._position = 0
        with utils.naming(self._name):
            if name == '-' or (os.path.exists(name) and not os.path.isfile(name)):
                self._file = open(os.dup(1) if name == '-' else name, 'wb', buffering=0)
                return
            self._target = os.path.realpath(name)
            if os.path.islink(self._target):
                raise OSError(errno.ELOOP, os.strerror(errno.ELOOP))
            partial = f'.create_image-{os.urandom(8).hex()}.partial'
            self._temporary = os.path.join(os.path.dirname(self._target), partial)
            self._file = open(self._temporary, 'xb', buffering=0)

    def __exit__(self, error_type: type[BaseException] | None, *_: object) -> None:
        try:
            if error_type is None:
                self.close()
        finally:
            self.__del__()

    def __del__(self) -> None:
        if self._temporary:
            with contextlib.suppress(OSError):
                os.unlink(self._temporary)
            self._temporary = ''

    def holds_file(self, name: str) -> bool:
        """Tells whether a name is that of a file, or of links that lead to one."""
        for _ in range(utils.LINK_LIMIT):
            kind, target = self._members.get(name, (b'', ''))
            if kind == tarfile.SYMTYPE:
                target = os.path.join(os.path.dirname(name), target)
            if kind not in (tarfile.SYMTYPE, tarfile.LNKTYPE):
                break
            name = os.path.normpath(f'/{target}').lstrip('/')
        return kind == tarfile.REGTYPE

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
        if file_content is not None:
            with open(file_content, 'rb', buffering=0) as file:
                with utils.unchanged(file, file_content) as info.size:
                    if self._add_header(info):
                        self._copy(file, file_content, 0, info.size)
            return
        if isinstance(content, str):
            content = content.encode('utf-8', 'surrogateescape')
        info.size = len(content or b'')
        if self._add_header(info):
            self._write(content or b'')

    def add_tar(self, tar: str, name_filter: Callable[[str], bool] | None = None) -> None:
        """Merges the archive at the path tar, plain or compressed.

        Members keep order, type, mode, ownership and link target. Those whose normal name
        name_filter is false for are left out; devices, FIFOs and loose hard links refused.
        """
        reader = utils.TarReader(tar)
        for member in reader:
            try:
                name = member.name = utils.member_name(member.name)
                if (not name and member.isdir()) or (name_filter and not name_filter(name)):
                    continue
                if member.islnk():
                    member.linkname = utils.member_name(member.linkname)
                    if member.linkname not in self._members:
                        raise self.Error(f"'{name}' is a hard link to nothing before it")
                elif not (member.isreg() or member.issym() or member.isdir()):
                    raise self.Error(f"'{name}' is no file, directory or link: leave it out")
                elif member.isreg():
                    member.type = tarfile.REGTYPE  # also of sparse and contiguous files
                member.mtime, member.size = 0, member.size if member.isreg() else 0
                added = self._add_header(member)
            except (self.Error, ValueError, RecursionError) as error:
                raise self.Error(f"'{tar}': {error}") from error
            if added and member.isreg():
                if reader.file and not member.issparse():
                    self._copy(reader.file, tar, member.offset_data, member.size)
                else:
                    for block in reader.content(member):
                        self._write(block)

    def close(self) -> None:
        """Ends the archive and puts it in its place."""
        if self._file.closed:
            return
        # POSIX pax: two zero blocks end an archive, which fills its last record.
        end = -self._position % tarfile.BLOCKSIZE + 2 * tarfile.BLOCKSIZE
        self._write(bytes(end + -(self._position + end) % tarfile.RECORDSIZE))
        with utils.naming(self._name):
            self._file.close()
            if self._temporary:
                os.replace(self._temporary, self._target)
        self._temporary = ''
        logging.info('%s: %d bytes', self._name, self._position)

    def _add_header(self, info: tarfile.TarInfo) -> bool:
        """Begins a member, unless its name is there already."""
        name, parent = info.name, os.path.dirname(info.name)
        if not name:
            raise self.Error('a member has no name: give it one')
        if name in self._members:
            if not (info.isdir() and self._members[name][0] == tarfile.DIRTYPE):
                logging.warning("'%s' comes twice: the first one stays", name)
            return False
        if parent and parent not in self._members:
            self.add_file(parent, tarfile.DIRTYPE)
        if parent and self._members[parent][0] != tarfile.DIRTYPE:
            raise self.Error(f"'{name}' is in '{parent}', which is no directory")
        # GNU's long names and base-256 numbers: busybox tar passes over PAX's path and size.
        header = info.tobuf(tarfile.GNU_FORMAT, 'utf-8', 'surrogateescape')
        rest = -self._position % tarfile.BLOCKSIZE  # of the last block of the member before
        if info.size >= _ALIGNED_SIZE:
            header = _padding(self._position + rest + len(header)) + header
        self._members[name] = info.type, info.linkname
        self._write(bytes(rest) + header)
        logging.info('%s: %d bytes', name, info.size)
        return True

    def _copy(self, file: IO[bytes], path: str, position: int, size: int) -> None:
        """Writes the size bytes of a file that begin at position.

        copy_file_range(2) shares blocks where the file system can and both offsets are
        multiples of a block, and else copies in the kernel, fastest to multiples of 64 KiB
        (seen on ext4). Where it fails (a pipe, another device), read and write take over.
        """
        end = position + size
        with contextlib.suppress(OSError, AttributeError):
            while count := min(end - position, -self._position % _ALIGNED_SIZE or _COPY_SIZE):
                count = os.copy_file_range(file.fileno(), self._file.fileno(), count, position)
                if not count:
                    break
                self._position += count
                position += count
        while count := min(end - position, utils.BLOCK_SIZE):
            with utils.naming(path):
                file.seek(position)
                block = file.read(count)
                if not block:
                    raise OSError(errno.ESTALE, 'it ends early')
            self._write(block)
            position += len(block)

    def _write(self, data: bytes) -> None:
        rest = memoryview(data)
        with utils.naming(self._name):
            while rest:
                rest = rest[os.write(self._file.fileno(), rest) :]
        self._position += len(data)


def _padding(position: int) -> bytes:
    """Returns a header that moves position to a multiple of _ALIGNMENT.

    It is an extended header (POSIX pax) of a record that readers ignore.
    """
    size = -position % _ALIGNMENT
    if size < 2 * tarfile.BLOCKSIZE:
        size += _ALIGNMENT
    info = tarfile.TarInfo('@PaxHeader')
    info.type, info.size = tarfile.XHDTYPE, size - tarfile.BLOCKSIZE
    record = b'%d comment=' % info.size
    return info.tobuf(tarfile.USTAR_FORMAT) + record.ljust(info.size - 1) + b'\n'
