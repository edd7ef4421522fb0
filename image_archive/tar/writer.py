# SPDX-License-Identifier: Apache-2.0
"""Writes tar archives, of which no byte depends on the machine."""

import contextlib
import os
import tarfile
from collections.abc import Callable, Iterator, Sequence
from types import TracebackType
from typing import Any, NamedTuple

from absl import logging

from image_archive.digests import new_hash
from image_archive.errors import ArchiveError, ArgumentError
from image_archive.system.beside import HashBeside
from image_archive.system.inputs import InputFile
from image_archive.system.outputs import OutputFile, PartialFiles, put_all_in_place
from image_archive.system.progress import Progress
from image_archive.system.python_values import PathName, check_type, path_of
from image_archive.tar.archive import Archive, open_archive
from image_archive.tar.compression import BLOCK_SIZE, LARGE_BLOCK_SIZE, new_compressor
from image_archive.tar.content import (
    BytesInMemory,
    Entry,
    Piece,
    ReopenedFile,
    Source,
    are_same_entries,
    source_of,
    zeros,
)
from image_archive.tar.gnu_headers import NewMember, gnu_header, python_header
from image_archive.tar.member import Member
from image_archive.tar.names import is_usable_name, normal_name

# The data of large members begin at a multiple of this. A file system that shares blocks can only
# share whole ones (ioctl_ficlonerange(2); 4096 bytes on XFS and Btrfs).
_ALIGNMENT = 4096
ALIGNED_SIZE = 64 << 10  # bytes; smaller members are not aligned
# Parents that are made: a name of 256 bytes can have 127, and few files of a real tree over 16.
_PARENTS_FREE = 20_000
_PARENTS_OF_A_MEMBER = 16
_PARENTS_LIMIT = 200_000
_PARENTS_SIZE = 32 << 20  # characters of their names
_COPY_SIZE = 64 << 20  # bytes of one system call; signals wait for its end


class LayerForm(NamedTuple):
    """How the archive of a layer is written: with the bytes of GNU tar, and no data aligned.

    Attributes:
        compression: what new_compressor() takes; None for a plain archive.
        has_digest: whether the SHA-256 of the plain archive is needed.
    """

    compression: str | None
    has_digest: bool


class TarFileWriter:
    """Writes a tar archive, which appears whole or not at all; a context manager.

    Of members with one name only the first is written. A warning names the others, unless they
    are directories or the same.

    Attributes:
        output: the file that is written.
    """

    Error = ArchiveError

    def __init__(
        self,
        name: PathName | OutputFile,
        partial_files: PartialFiles | None = None,
        progress: Progress | None = None,
        layer: LayerForm | None = None,
    ) -> None:
        """Begins an archive.

        Args:
            name: the path of the archive; '-' is stdout. Or its file, open, in which contents may
                already be in their places; see start_of_data().
            partial_files: gets the path of the temporary file while there is one.
            progress: advanced by the bytes that are copied.
            layer: how a layer is written; None for an archive of images.

        Raises:
            TypeError: the path is of another type.
            OSError: the archive cannot be written.
        """
        if isinstance(name, OutputFile):
            self.output = name
            self.output.go_to(0)
        else:
            self.output = OutputFile(path_of('name', name), partial_files)
        self._progress = progress or Progress()
        self._position = 0
        self._buffer = bytearray()
        self._is_layer = layer is not None
        self._lists_members = logging.level_info()
        self._compressor: Any = None
        self._digest: HashBeside | None = None
        if layer is not None:
            if layer.compression is not None:
                self._compressor = new_compressor(layer.compression)
            if layer.has_digest:
                self._digest = HashBeside(new_hash())
        self._is_finished = False
        self._is_closed = False
        self._has_failed = False
        self._parents = 0
        self._parents_size = 0
        self._entries: dict[str, Entry] = {}
        self._left_out: list[str] = []  # names that occur twice, with other members
        self._merged = contextlib.ExitStack()  # archives that stay open until this one is closed

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
            if self._digest is not None:
                self._digest.close()
            self._merged.close()
            self.output.discard()

    def add_file(
        self,
        name: PathName,
        kind: bytes = tarfile.REGTYPE,
        content: str | bytes | None = None,
        file_content: PathName | None = None,
        mode: int | None = None,
    ) -> None:
        """Adds a member with uid and gid 0 and mtime 0, after its missing parents.

        Args:
            name: the name of the member.
            kind: tarfile.REGTYPE or tarfile.DIRTYPE.
            content: the content: bytes, or text, which is written in UTF-8.
            file_content: the path of a regular file with the content.
            mode: the permissions; by default 0o644, for a directory 0o755.

        Raises:
            TypeError: an argument is of a wrong type.
            ArgumentError: it is of another kind, or a directory with content.
            OSError: the file cannot be read, or the archive cannot be written.
            ArchiveError: no member may have that name, its parent is not a directory, a member
                failed before, or the archive is closed.
        """
        name = path_of('name', name)
        check_type('kind', kind, bytes, 'tarfile.REGTYPE or tarfile.DIRTYPE')
        if content is not None:
            check_type('content', content, (str, bytes, bytearray), 'a str or bytes')
        if file_content is not None:
            file_content = path_of('file_content', file_content)
        if mode is not None:
            check_type('mode', mode, int, 'an int')
        if kind not in (tarfile.REGTYPE, tarfile.DIRTYPE):
            raise ArgumentError(f'kind: {kind!r} is neither a file nor a directory: use add_tar()')
        if kind == tarfile.DIRTYPE and (content or file_content is not None):
            raise ArgumentError(f'{name!r} is a directory: give no content')
        if content is not None and file_content is not None:
            raise ArgumentError(f'{name!r}: give content or file_content, not both')
        if file_content is not None:
            with self._step():
                self._add_file_at(file_content, name, mode)
            return
        data = b''
        if isinstance(content, str):
            # Text from the command line may have bytes that are not UTF-8.
            data = content.encode('utf-8', 'surrogateescape')
        elif content is not None:
            data = content
        source = Source(name, BytesInMemory(bytes(data)), 0, len(data))
        with self._step():
            self._add(_header(name, kind, mode, len(data)), source)

    def add_source(self, name: str, source: Source) -> None:
        """Adds a member, as add_file() does, from a content that stays open until close().

        Args:
            name: the name of the member.
            source: its content.

        Raises:
            OSError: the content cannot be read, or the archive cannot be written.
            ArchiveError: as add_file().
        """
        with self._step():
            self._add(_header(name, tarfile.REGTYPE, None, source.size), source)

    def start_of_data(self, name: str) -> int:
        """Returns where the data of the next member would begin, in bytes; ends the archive's use.

        A content of ALIGNED_SIZE or more that is written there, into the file of the archive, need
        not be copied when another writer adds it at the same place.

        Args:
            name: the name of the member.
        """
        with self._step():
            self._add_parents(name, None)
            self._write_header(_header(name, tarfile.REGTYPE, None, ALIGNED_SIZE))
        return self._position

    def add_member(self, header: NewMember, source: Source | None, xattrs: bytes = b'') -> None:
        """Adds a member of a layer as it is: its caller knows all members, and their parents.

        Args:
            header: the header of the member, of any type.
            source: the content of a file.
            xattrs: PAX records with its extended attributes.

        Raises:
            OSError: the content cannot be read, or the archive cannot be written.
            ArchiveError: a member failed before.
        """
        self._check_has_not_failed()
        self._has_failed = True
        self._write_header(header, xattrs)
        if source is not None:
            self._copy(source)
        if self._lists_members:
            logging.info('%r: %d bytes', header.name, header.size)
        self._has_failed = False

    def _add_file_at(self, path: str, name: str, mode: int | None) -> None:
        """Adds a member from a file, which is closed then: it is opened again to compare it."""
        with contextlib.closing(InputFile(path)) as opened:
            header = _header(name, tarfile.REGTYPE, mode, opened.size)
            source = source_of(opened)
            self._add(header, source, stored=source._replace(file=ReopenedFile(path)))
            opened.check_unchanged()

    def add_tar(self, tar: PathName, name_filter: Callable[[str], bool] | None = None) -> None:
        """Merges an archive, plain or compressed.

        Members keep order, type, mode, ownership and link target.

        Args:
            tar: the path of the archive.
            name_filter: called with the normal name of each member; the member is left out if it
                returns false.

        Raises:
            TypeError: an argument is of a wrong type.
            OSError: the archive cannot be read, or this one cannot be written.
            ArchiveError: it is not sound, or has a device, a FIFO, a hard link without a target
                before it, or a name that leads out of the archive's root.
        """
        if name_filter is not None and not callable(name_filter):
            raise TypeError(f'name_filter: give a function, not {type(name_filter).__name__}')
        path = path_of('tar', tar)
        opening = open_archive(path, beside=self.output.path, progress=self._progress)
        self.add_archive(self._merged.enter_context(opening), name_filter)

    def add_archive(
        self, merged: Archive, name_filter: Callable[[str], bool] | None = None
    ) -> None:
        """Merges an archive that is open, and stays open until this one is closed.

        Args:
            merged: the archive.
            name_filter: as for add_tar().

        Raises:
            OSError: as add_tar(), and if the archive was changed.
            ArchiveError: as add_tar().
        """
        with self._step():
            self._merge(merged, name_filter)
            merged.check_unchanged()

    @contextlib.contextmanager
    def _step(self) -> Iterator[None]:
        """Adds a member, or ends the archive, in the context. After a failure nothing more is."""
        self._check_has_not_failed()
        if self._is_finished:
            raise ArchiveError(f'{self.output.name!r} is complete: write a new archive')
        self._has_failed = True
        yield
        self._has_failed = False

    def _check_has_not_failed(self) -> None:
        if self._has_failed:
            raise ArchiveError(f'{self.output.name!r}: writing failed: write a new archive')

    def _merge(self, merged: Archive, name_filter: Callable[[str], bool] | None) -> None:
        for name, member in zip(merged.names, merged.members, strict=True):
            if name_filter is not None and not name_filter(name):
                continue
            if not is_usable_name(member.name):
                text = f"{name[:200]!r} has '..' or NUL or is too long: rename that member"
                raise ArchiveError(f'{merged.path!r}: {text}')
            if not name and member.is_directory:
                continue
            self._add_member(name, merged, member)

    def _add_member(self, name: str, merged: Archive, member: Member) -> None:
        source = None
        target = member.target
        if member.is_file:
            source = merged.source(member)
        elif member.kind == tarfile.LNKTYPE:
            target = normal_name(target)
        elif not (member.is_directory or member.is_link):
            text = f'{name!r} is not a file, directory or link: leave it out'
            raise ArchiveError(f'{merged.path!r}: {text}')
        header = NewMember(
            name,
            member.kind,
            member.mode,
            member.uid,
            member.gid,
            member.size,
            0,
            target,
            member.uname,
            member.gname,
        )
        self._add(header, source, merged.path)

    def finish(self) -> None:
        """Writes the end of the archive, which is not in its place yet.

        Raises:
            OSError: the archive cannot be written.
            ArchiveError: a member failed before.
        """
        if self._is_finished:
            return
        with self._step():
            # POSIX pax: two zero blocks end an archive, which fills its last record.
            self._write(bytes(-self._position % tarfile.BLOCKSIZE + 2 * tarfile.BLOCKSIZE))
            self._write(bytes(-self._position % tarfile.RECORDSIZE))
            self._flush()
            if self._compressor is not None:
                self.output.write(self._compressor.flush())
        self._is_finished = True

    @property
    def sha256(self) -> str:
        """The SHA-256 of the finished archive before its compression, of a LayerForm with it."""
        if self._digest is None:
            raise AssertionError('the archive has no digest: a mistake of the caller')
        return self._digest.hexdigest()

    def close(self, others: Sequence[OutputFile] = ()) -> None:
        """Ends the archive and puts it in its place.

        Args:
            others: files that are put in their places at the same time.

        Raises:
            OSError: the archive cannot be written.
            ArchiveError: a member failed before, or close().
        """
        if self._is_closed:
            return
        self._check_has_not_failed()
        self.finish()
        self._has_failed = True
        self._merged.close()
        for name in self._left_out:
            logging.warning('%r occurs twice: only the first is kept', name)
        logging.info('%r: %d bytes', self.output.name, self._position)
        put_all_in_place([self.output, *others])
        self._has_failed = False
        self._is_closed = True

    def _add(
        self,
        header: NewMember,
        source: Source | None,
        merged: str | None = None,
        stored: Source | None = None,
    ) -> None:
        """Adds a member, unless its name is there already.

        Args:
            header: the header of the member.
            source: the content of a file.
            merged: the path of the archive that the member is from; None for other members.
            stored: the content as it can be read later; source by default.
        """
        name = header.name
        if not name:
            raise _error_in(merged, 'a member has no name: give it one')
        entry = Entry(header.kind, header.target, stored or source)
        if name in self._entries:
            if not are_same_entries(self._entries[name], entry):
                self._left_out.append(name)
            return
        if header.kind == tarfile.LNKTYPE and header.target not in self._entries:
            text = f'{name!r} is a hard link to nothing before it: replace it'
            raise _error_in(merged, text)
        self._add_parents(name, merged)
        self._write_header(header)
        if source is not None:
            self._copy(source)
        self._entries[name] = entry
        if self._lists_members:
            logging.info('%r: %d bytes', name, header.size)

    def _add_parents(self, name: str, merged: str | None) -> None:
        """Adds the missing parents of a member."""
        parent = name.rpartition('/')[0]
        if not parent:
            return
        if parent not in self._entries:
            self._count_parent(parent, merged)
            self._add(_header(parent, tarfile.DIRTYPE, None, 0), None, merged)
        if self._entries[parent].kind != tarfile.DIRTYPE:
            text = f'{name!r} is in {parent!r}, which is not a directory: leave it out'
            raise _error_in(merged, text)

    def _count_parent(self, name: str, merged: str | None) -> None:
        """Counts a parent that is made; raises ArchiveError if these are too many."""
        given = len(self._entries) - self._parents
        limit = min(_PARENTS_FREE + _PARENTS_OF_A_MEMBER * given, _PARENTS_LIMIT)
        self._parents += 1
        self._parents_size += len(name)
        if self._parents > limit or self._parents_size > _PARENTS_SIZE:
            text = f'too many directories are missing, the last one is {name!r}'
            raise _error_in(merged, f'{text}: add them to the archive')

    def _write_header(self, header: NewMember, xattrs: bytes = b'') -> None:
        rest = -self._position % tarfile.BLOCKSIZE  # of the last block of the member before
        if self._is_layer:
            self._write(bytes(rest) + gnu_header(header, xattrs))
            return
        # GNU's long names and base-256 numbers, because busybox tar ignores PAX's path and size.
        data = python_header(header)
        if header.size >= ALIGNED_SIZE:
            data = _padding(self._position + rest + len(data)) + data
        self._write(bytes(rest) + data)

    def _copy(self, source: Source) -> None:
        """Writes a content."""
        if source.size < ALIGNED_SIZE and source.sparse_map is None:
            if source.size:
                self._write(source.read_small())
                self._progress.advance(source.size)
            return
        position = 0
        for piece in source.pieces():
            self._write_zeros(piece.offset - position)
            copied = self._copy_by_kernel(source, piece)
            rest = piece.size - copied
            for block in source.read_piece(piece.file_offset + copied, rest, LARGE_BLOCK_SIZE):
                self._write(block)
                self._progress.advance(len(block))
            position = piece.offset + piece.size
        self._write_zeros(source.size - position)

    def _write_zeros(self, size: int) -> None:
        for block in zeros(size):
            self._write(block)

    def _copy_by_kernel(self, source: Source, piece: Piece) -> int:
        """Makes the kernel copy as much as it can of a piece of a content.

        copy_file_range(2) shares blocks if the file system can, or else copies in the kernel. It
        cannot write to a pipe or read a file without a descriptor, and is in Linux alone.

        Returns:
            The number of bytes that were copied.
        """
        if self._compressor is not None or self._digest is not None:  # they need the bytes
            return 0
        if piece.size < ALIGNED_SIZE:  # a buffer is faster
            return 0
        self._flush()
        if source.file is self.output:
            self._skip_what_is_there(piece)
            return piece.size
        descriptor = source.file.descriptor
        if descriptor is None or not hasattr(os, 'copy_file_range'):
            return 0
        copied = 0
        while copied < piece.size:
            # ext4 copies to a multiple of 64 KiB a fifth faster (seen).
            limit = -self._position % ALIGNED_SIZE
            if limit == 0:
                limit = _COPY_SIZE
            count = min(piece.size - copied, limit)
            try:
                done = os.copy_file_range(
                    descriptor, self.output.file.fileno(), count, piece.file_offset + copied
                )
            except OSError:  # the caller goes on with read and write, which report errors
                break
            if not done:
                break
            copied += done
            self._position += done
            self._progress.advance(done)
        return copied

    def _skip_what_is_there(self, piece: Piece) -> None:
        """Goes on after data that are in their place already."""
        if piece.file_offset != self._position:
            raise AssertionError('a content is at the wrong place: a mistake of the caller')
        self._position += piece.size
        self.output.go_to(self._position)
        self._progress.advance(piece.size)

    def _write(self, data: bytes) -> None:
        self._position += len(data)
        if len(data) >= BLOCK_SIZE:
            self._flush()
            self._emit(memoryview(data))
            return
        self._buffer += data
        if len(self._buffer) >= BLOCK_SIZE:
            self._flush()

    def _flush(self) -> None:
        """Writes what is in the buffer."""
        data = memoryview(self._buffer)
        self._buffer = bytearray()
        if data:
            self._emit(data)

    def _emit(self, data: memoryview) -> None:
        if self._digest is not None:
            self._digest.update(data)
        if self._compressor is None:
            self.output.write(data)
        else:
            self.output.write(self._compressor.compress(data))


def _header(name: str, kind: bytes, mode: int | None, size: int) -> NewMember:
    """Returns the header of a member that is not merged."""
    if not is_usable_name(name):
        text = f"{name[:200]!r} has '..' or NUL or is too long: give another name"
        raise ArchiveError(text)
    if mode is None:
        mode = 0o755 if kind == tarfile.DIRTYPE else 0o644
    return NewMember(normal_name(name), kind, mode & 0o7777, size=size)


def _error_in(merged: str | None, text: str) -> ArchiveError:
    """Returns the error about a member.

    Args:
        merged: the path of the archive that it is from; None for other members.
        text: what is wrong, and what to do.
    """
    if merged is None:
        return ArchiveError(text)
    return ArchiveError(f'{merged!r}: {text}')


def _padding(position: int) -> bytes:
    """Returns the padding after which the data of a member begin at a multiple of _ALIGNMENT.

    It is an extended header (POSIX pax) with one record, a comment of spaces.

    Args:
        position: where the data would begin without padding, in bytes.
    """
    data_position = position + 2 * tarfile.BLOCKSIZE
    size = tarfile.BLOCKSIZE + -data_position % _ALIGNMENT
    padding = tarfile.TarInfo('@PaxHeader')
    padding.type = tarfile.XHDTYPE
    padding.size = size
    record = (b'%d comment=' % size).ljust(size - 1) + b'\n'
    return padding.tobuf(tarfile.USTAR_FORMAT) + record
