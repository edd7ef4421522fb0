# SPDX-License-Identifier: Apache-2.0
"""Writes the tar archive of an image; no byte of it comes from the machine."""

import contextlib
import io
import os
import posixpath
import tarfile
from collections.abc import Callable
from types import TracebackType
from typing import NamedTuple

from absl import logging

from image_archive.errors import ArchiveError, ArgumentError
from image_archive.system import files
from image_archive.system.files import OutputFile, PartialFiles
from image_archive.system.progress import Progress
from image_archive.tar import sources, tar_reader
from image_archive.tar.sources import Piece, Source
from image_archive.tar.tar_reader import Member

# Large members begin at a multiple of this: a file system that shares blocks, whole ones only
# (ioctl_ficlonerange(2); 4096 bytes on XFS and Btrfs), then shares a layer with its archives.
_ALIGNMENT = 4096
_ALIGNED_SIZE = 64 << 10  # bytes; smaller members are not aligned
_COPY_SIZE = 64 << 20  # bytes asked of one system call; signals wait for its end


class _Stored(NamedTuple):
    """What was written under a name.

    Attributes:
        kind: the type of the member.
        target: of a link, what it leads to.
        source: of a file, what it was copied from, for another one to be compared with.
    """

    kind: bytes
    target: str
    source: Source | None


class TarFileWriter:
    """Writes a tar archive, which appears whole or not at all; a context manager.

    The first member of a name stays. A warning names the others, but for directories and for
    what is the same.

    Attributes:
        output: the file that is written.
    """

    Error = ArchiveError

    def __init__(
        self, name: str, partial_files: PartialFiles | None = None, progress: Progress | None = None
    ) -> None:
        """Begins an archive.

        Args:
            name: the path, written directly where it is a FIFO or a device; '-' is standard
                output.
            partial_files: where the temporary file is noted, for a signal handler.
            progress: is told of the bytes that are copied.

        Raises:
            OSError: nothing can be written there.
        """
        self.output = OutputFile(name, partial_files)
        self._progress = progress or Progress()
        self._position = 0
        self._is_ended = False
        self._stored: dict[str, _Stored] = {}
        self._merged = contextlib.ExitStack()  # archives that are open until this one is closed

    def __enter__(self) -> 'TarFileWriter':
        return self

    def __exit__(
        self,
        error_type: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        try:
            if error_type is None:
                self.close()
        finally:
            self._merged.close()
            self.output.discard()

    def add_file(
        self,
        name: str,
        kind: bytes = tarfile.REGTYPE,
        content: str | bytes | None = None,
        file_content: str | None = None,
        mode: int | None = None,
    ) -> None:
        """Adds one member, which belongs to root and has mtime 0, and its parents before it.

        Args:
            name: its name.
            kind: tarfile.REGTYPE or tarfile.DIRTYPE.
            content: text, which is written as UTF-8, or bytes.
            file_content: the path of a regular file that has the content.
            mode: the permissions; by default 0644, for a directory 0755.

        Raises:
            ArgumentError: it is of another kind, or a directory with content.
            OSError: the file cannot be read, or the archive not written.
            ArchiveError: the name is none that a member may have.
        """
        if kind not in (tarfile.REGTYPE, tarfile.DIRTYPE):
            raise ArgumentError(f'kind: {kind!r} is no file and no directory: merge an archive')
        if kind == tarfile.DIRTYPE and (content or file_content is not None):
            raise ArgumentError(f'{name!r} is a directory: give no content')
        if file_content is not None:
            with contextlib.closing(files.InputFile(file_content)) as opened:
                later = sources.ReopenedFile(file_content)
                self._add_opened(_header(name, kind, mode, opened.size), opened, later)
            return
        data = b''
        if isinstance(content, str):
            # What came from the command line may hold bytes that are no UTF-8.
            data = content.encode('utf-8', 'surrogateescape')
        elif content is not None:
            data = content
        source = sources.whole_file(name, io.BytesIO(data), len(data))
        self._add(_header(name, kind, mode, len(data)), source)

    def add_input(self, name: str, opened: files.InputFile) -> None:
        """Adds one member from a file that is open, and stays so until this archive is closed.

        Args:
            name: its name.
            opened: the file.

        Raises:
            OSError: the file cannot be read or was changed, or the archive cannot be written.
            ArchiveError: the name is none that a member may have.
        """
        header = _header(name, tarfile.REGTYPE, None, opened.size)
        self._add_opened(header, opened, opened.file)

    def add_source(self, name: str, source: Source) -> None:
        """Adds one member, as add_file() does, from a source that is open until close().

        Args:
            name: its name.
            source: its content.

        Raises:
            OSError: the source cannot be read, or the archive not written.
            ArchiveError: the name is none that a member may have.
        """
        self._add(_header(name, tarfile.REGTYPE, None, source.size), source)

    def add_tar(self, tar: str, name_filter: Callable[[str], bool] | None = None) -> None:
        """Merges an archive, plain or compressed.

        Members keep order, type, mode, ownership and link target.

        Args:
            tar: its path.
            name_filter: is given each member's normal name; the member is left out where it
                returns false.

        Raises:
            OSError: the archive cannot be read, or this one not written.
            ArchiveError: it is no sound archive, or has a device, a FIFO, a hard link to what is
                not before it, or a name that leads out of the folder.
        """
        opening = sources.open_archive(tar, beside=self.output.path, progress=self._progress)
        self.add_archive(self._merged.enter_context(opening), name_filter)

    def add_archive(
        self, merged: sources.Archive, name_filter: Callable[[str], bool] | None = None
    ) -> None:
        """Merges an archive that is open, and stays so until this one is closed.

        Args:
            merged: the archive.
            name_filter: as of add_tar().

        Raises:
            OSError: as add_tar(), and where the archive was changed.
            ArchiveError: as add_tar().
        """
        for member in merged.members:
            name = tar_reader.normal_name(member.name)
            if not tar_reader.is_usable_name(member.name):
                text = f"{name[:200]!r} has '..' or NUL or is too long: rename that member"
                raise ArchiveError(f'{merged.path!r}: {text}')
            if not name and member.is_directory:
                continue
            if name_filter is not None and not name_filter(name):
                continue
            self.add_member(name, merged, member)
        merged.check_unchanged()

    def add_member(self, name: str, merged: sources.Archive, member: Member) -> None:
        """Adds one member of an archive that is open, under a name.

        Args:
            name: the normal name that it gets.
            merged: the archive.
            member: its member.

        Raises:
            OSError: as add_archive().
            ArchiveError: as add_archive().
        """
        header = tarfile.TarInfo(name)
        header.type = member.kind
        header.mode = member.mode
        header.uid = member.uid
        header.gid = member.gid
        header.uname = member.uname
        header.gname = member.gname
        header.linkname = member.target
        header.size = member.size
        source = None
        if member.is_file:
            source = merged.source(member)
        elif member.kind == tarfile.LNKTYPE:
            header.linkname = tar_reader.normal_name(member.target)
        elif not (member.is_directory or member.is_link):
            text = f'{name!r} is not a file, directory or link: leave it out'
            raise ArchiveError(f'{merged.path!r}: {text}')
        self._add(header, source, f'{merged.path!r}: ')

    def end(self) -> None:
        """Writes the end of the archive, which is not yet in its place."""
        # POSIX pax: two zero blocks end an archive, which fills its last record.
        self._write(bytes(-self._position % tarfile.BLOCKSIZE + 2 * tarfile.BLOCKSIZE))
        self._write(bytes(-self._position % tarfile.RECORDSIZE))
        self._is_ended = True
        logging.info('%r: %d bytes', self.output.name, self._position)

    def close(self) -> None:
        """Ends the archive and puts it in its place."""
        if not self._is_ended:
            self.end()
            files.put_all_in_place([self.output])

    def _add_opened(
        self, header: tarfile.TarInfo, opened: files.InputFile, later: sources.RandomAccess
    ) -> None:
        """Adds a member from an open file; `later` reads it again if another one has its name."""
        self._add(
            header,
            sources.whole_file(opened.path, opened.file, opened.size),
            stored=sources.whole_file(opened.path, later, opened.size),
        )
        opened.check_unchanged()

    def _add(
        self,
        header: tarfile.TarInfo,
        source: Source | None,
        origin: str = '',
        stored: Source | None = None,
    ) -> None:
        """Adds a member, unless its name is there already.

        Args:
            header: what is written before the content.
            source: the content of a file.
            origin: what an error begins with: the archive that the member is from.
            stored: the content as it can be read later; source, by default.
        """
        name = header.name
        if not name:
            raise ArchiveError(f'{origin}a member has no name: give it one')
        new = _Stored(header.type, header.linkname, stored or source)
        if name in self._stored:
            if not _are_same(self._stored[name], new):
                logging.warning('%r comes twice: the first one stays', name)
            return
        if header.type == tarfile.LNKTYPE and header.linkname not in self._stored:
            text = f'{name!r} is a hard link to nothing before it: replace it'
            raise ArchiveError(f'{origin}{text}')
        self._add_parents(name, origin)
        self._write_header(header)
        if source is not None:
            self._copy(source)
        self._stored[name] = new
        logging.info('%r: %d bytes', name, header.size)

    def _add_parents(self, name: str, origin: str) -> None:
        """Adds the directories that a member is in, where they are missing."""
        parent = posixpath.dirname(name)
        if not parent:
            return
        if parent not in self._stored:
            self._add(_header(parent, tarfile.DIRTYPE, None, 0), None, origin)
        if self._stored[parent].kind != tarfile.DIRTYPE:
            text = f'{name!r} is in {parent!r}, which is not a directory: leave it out'
            raise ArchiveError(f'{origin}{text}')

    def _write_header(self, header: tarfile.TarInfo) -> None:
        # GNU's long names and base-256 numbers: busybox tar passes over PAX's path and size.
        data = header.tobuf(tarfile.GNU_FORMAT, 'utf-8', 'surrogateescape')
        rest = -self._position % tarfile.BLOCKSIZE  # of the last block of the member before
        if header.size >= _ALIGNED_SIZE:
            data = _padding(self._position + rest + len(data)) + data
        self._write(bytes(rest) + data)

    def _copy(self, source: Source) -> None:
        """Writes the content of a source."""
        position = 0
        for piece in source.pieces():
            self._write_zeros(piece.offset - position)
            copied = self._copy_by_kernel(source, piece)
            for block in source.read_piece(piece.file_offset + copied, piece.size - copied):
                self._write(block)
                self._progress.advance(len(block))
            position = piece.offset + piece.size
        self._write_zeros(source.size - position)

    def _write_zeros(self, size: int) -> None:
        for block in sources.zeros(size):
            self._write(block)

    def _copy_by_kernel(self, source: Source, piece: Piece) -> int:
        """Has the kernel copy a piece of a source, as many bytes of it as it can.

        copy_file_range(2) shares blocks where the file system can, or else copies in the kernel.
        It does neither to a pipe, from a file without a descriptor, or on another system.

        Returns:
            The number of bytes that were copied.
        """
        if not (isinstance(source.file, io.IOBase) and hasattr(os, 'copy_file_range')):
            return 0
        copied = 0
        while copied < piece.size:
            # To a multiple of 64 KiB ext4 copies a fifth faster (seen).
            to_boundary = -self._position % _ALIGNED_SIZE
            count = min(piece.size - copied, to_boundary or _COPY_SIZE)
            try:
                done = os.copy_file_range(
                    source.file.fileno(),
                    self.output.file.fileno(),
                    count,
                    piece.file_offset + copied,
                )
            except OSError:  # read and write, which take over, tell what is wrong
                break
            if not done:
                break
            copied += done
            self._position += done
            self._progress.advance(done)
        return copied

    def _write(self, data: bytes) -> None:
        self.output.write(data)
        self._position += len(data)


def _header(name: str, kind: bytes, mode: int | None, size: int) -> tarfile.TarInfo:
    """Returns the header of a member that is made here."""
    if not tar_reader.is_usable_name(name):
        text = f"{name[:200]!r} has '..' or NUL or is too long: give another name"
        raise ArchiveError(text)
    header = tarfile.TarInfo(tar_reader.normal_name(name))
    header.type = kind
    header.size = size
    header.mode = 0o644
    if kind == tarfile.DIRTYPE:
        header.mode = 0o755
    if mode is not None:
        header.mode = mode
    return header


def _are_same(one: _Stored, other: _Stored) -> bool:
    if (one.kind, one.target) != (other.kind, other.target):
        return False
    if one.source is None or other.source is None:
        return True
    return sources.have_same_content(one.source, other.source)


def _padding(position: int) -> bytes:
    """Returns what moves the data behind a header to a multiple of the alignment.

    That is an extended header (POSIX pax) with one record, a comment of blanks.

    Args:
        position: where the data would begin without it, in bytes.
    """
    data_position = position + 2 * tarfile.BLOCKSIZE
    size = tarfile.BLOCKSIZE + -data_position % _ALIGNMENT
    padding = tarfile.TarInfo('@PaxHeader')
    padding.type = tarfile.XHDTYPE
    padding.size = size
    record = (b'%d comment=' % size).ljust(size - 1) + b'\n'
    return padding.tobuf(tarfile.USTAR_FORMAT) + record
