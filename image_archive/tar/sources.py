# SPDX-License-Identifier: Apache-2.0
"""Archives to read from: opened once, their members known, their data at hand in any order.

A compressed archive is inflated once, strictly to its end, into a file without a name. Every room
above then sees a plain archive, whose data the kernel copies.
"""

import array
import contextlib
import errno
import posixpath
import tarfile
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from typing import IO, NamedTuple, Protocol

from absl import logging

from image_archive.errors import ArchiveError
from image_archive.system import files
from image_archive.system.progress import Progress
from image_archive.tar import streams, tar_reader
from image_archive.tar.tar_reader import Member

_KEPT_SIZE = 4 << 20  # bytes; a file with more is no manifest and no configuration
_MEMBERS_LIMIT = 400_000  # they take less than 200 MiB of memory
_CHARACTERS_LIMIT = 32 << 20  # of all names and targets of links
_PIECES_LIMIT = 2_000_000  # of all sparse members
_LINKS_LIMIT = 16  # from one to the next


class RandomAccess(Protocol):
    """A file that can be read at any place."""

    def seek(self, offset: int, /) -> object: ...

    def read(self, size: int, /) -> bytes: ...


class Piece(NamedTuple):
    """A piece of data in a file; there are zeros between it and the one before.

    Attributes:
        offset: where it is in the content, in bytes.
        file_offset: where it is in the file, in bytes.
        size: its bytes.
    """

    offset: int
    file_offset: int
    size: int


class Source(NamedTuple):
    """Content to copy.

    Attributes:
        name: what errors name: the path of the file.
        file: a file that can be read at any place.
        file_offset: where the data begin in the file, in bytes.
        size: the bytes of the content.
        sparse_map: Member.pieces of a sparse file; None where the data are the content.
    """

    name: str
    file: RandomAccess
    file_offset: int
    size: int
    sparse_map: 'array.array[int] | None' = None

    def pieces(self) -> Iterator[Piece]:
        """Yields the pieces of data that the content has."""
        if self.sparse_map is None:
            yield Piece(0, self.file_offset, self.size)
            return
        file_offset = self.file_offset
        for index in range(0, len(self.sparse_map), 2):
            offset, size = self.sparse_map[index], self.sparse_map[index + 1]
            yield Piece(offset, file_offset, size)
            file_offset += size

    def blocks(self) -> Iterator[bytes]:
        """Yields the content in blocks of at most BLOCK_SIZE bytes.

        Raises:
            OSError: the file cannot be read, or is shorter than it was.
        """
        position = 0
        for piece in self.pieces():
            yield from zeros(piece.offset - position)
            yield from self.read_piece(piece.file_offset, piece.size)
            position = piece.offset + piece.size
        yield from zeros(self.size - position)

    def head(self) -> bytes:
        """Returns the first bytes of the content, from which its compression is told."""
        first = next(self.pieces(), None)
        if first is None or first.offset > 0:
            return bytes(min(self.size, streams.HEAD_SIZE))
        return b''.join(self.read_piece(first.file_offset, min(first.size, streams.HEAD_SIZE)))

    def read_piece(self, file_offset: int, size: int) -> Iterator[bytes]:
        """Yields some bytes of the file, in blocks.

        Args:
            file_offset: where they begin in the file, in bytes.
            size: how many bytes.

        Raises:
            OSError: as blocks().
        """
        end = file_offset + size
        while file_offset < end:
            with files.errors_name(self.name):
                self.file.seek(file_offset)
                block = self.file.read(min(end - file_offset, streams.BLOCK_SIZE))
                if not block:
                    raise OSError(errno.ESTALE, 'it ends early')
            yield block
            file_offset += len(block)


class ReopenedFile:
    """A file that was closed, and is opened again each time that it is read."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._position = 0

    def seek(self, offset: int, /) -> None:
        self._position = offset

    def read(self, size: int, /) -> bytes:
        with open(self._path, 'rb') as file:
            file.seek(self._position)
            return file.read(size)


def whole_file(name: str, file: RandomAccess, size: int) -> Source:
    """Returns the first bytes of a file as a source.

    Args:
        name: what errors name: the path of the file.
        file: the file.
        size: how many bytes.
    """
    return Source(name, file, 0, size)


def zeros(size: int) -> Iterator[bytes]:
    """Yields zeros, in blocks.

    Args:
        size: how many bytes.
    """
    block = bytes(min(size, streams.BLOCK_SIZE))
    while size > 0:
        yield block[:size]
        size -= len(block)


def have_same_content(one: Source, other: Source, progress: Progress | None = None) -> bool:
    """Tells whether two sources have the same bytes; reads them only as far as they agree.

    Args:
        one: a source.
        other: another one.
        progress: is told of the bytes that are compared.
    """
    if one.size != other.size:
        return False
    progress = progress or Progress()
    stream = tar_reader.BlockStream(other.blocks())
    for block in one.blocks():
        if block != stream.read(len(block)):
            return False
        progress.advance(len(block))
    return True


class _PlainStream:
    """A plain archive, whose data are passed over without being read."""

    def __init__(self, opened: files.InputFile) -> None:
        self._opened = opened
        self.position = 0

    def read(self, size: int) -> bytes:
        with files.errors_name(self._opened.path):
            data = self._opened.file.read(size)
        self.position += len(data)
        return data

    def skip(self, size: int) -> bool:
        self.position += size
        self._opened.file.seek(self.position)
        return self.position <= self._opened.size


class _KeepingStream(tar_reader.BlockStream):
    """An inflated archive, of which a file keeps what is read later, at the same places.

    The data of large members are kept only where that is asked for; else there are holes.

    Attributes:
        dropped: where the data begin that were not kept, but for their first bytes.
    """

    def __init__(
        self, blocks: Iterator[bytes], copy: IO[bytes], copy_name: str, keep_all: bool
    ) -> None:
        """Begins to read.

        Args:
            blocks: the content of the archive.
            copy: the file that keeps what is read later.
            copy_name: what errors name in place of that file, which has no name.
            keep_all: whether the data of large members are kept.
        """
        super().__init__(blocks)
        self._copy = copy
        self._copy_name = copy_name
        self._keep_all = keep_all
        self.dropped: set[int] = set()

    def read(self, size: int) -> bytes:
        place = self.position
        data = super().read(size)
        self._keep(place, data)
        return data

    def skip(self, size: int) -> bool:
        if self._keep_all or size <= _KEPT_SIZE:
            return self._copy_some(size)
        self.dropped.add(self.position)
        return self._copy_some(streams.HEAD_SIZE) and super().skip(size - streams.HEAD_SIZE)

    def _copy_some(self, size: int) -> bool:
        while size:
            place = self.position
            data = self.read_some(size)
            if not data:
                return False
            self._keep(place, data)
            size -= len(data)
        return True

    def _keep(self, place: int, data: bytes | memoryview) -> None:
        rest = memoryview(data)
        with files.errors_name(self._copy_name):
            self._copy.seek(place)
            while rest:
                count = self._copy.write(rest)
                rest = rest[count:]


class Archive:
    """An archive that is open.

    Attributes:
        path: its path as the user gave it.
        members: all members, in their order.
        has_end: whether the archive ended in zeros.
        compression: as streams.detect() tells it.
    """

    def __init__(
        self,
        opened: files.InputFile,
        data: IO[bytes],
        members: list[Member],
        has_end: bool,
        compression: str | None,
        dropped: set[int],
    ) -> None:
        self.path = opened.path
        self.members = members
        self.has_end = has_end
        self.compression = compression
        self._input = opened
        self._data = data
        self._dropped = dropped
        self._by_name = first_members(members)

    def check_unchanged(self) -> None:
        """Raises OSError if the file was changed since it was opened."""
        self._input.check_unchanged()

    def is_same(self, path: str) -> bool:
        """Tells whether a path leads to the file of this archive.

        Args:
            path: any path.
        """
        return self._input.is_same(path)

    def member(self, name: str) -> Member | None:
        """Returns the member of a name; None if there is none.

        Args:
            name: the normal name of the member.
        """
        return self._by_name.get(name)

    def find(self, name: str) -> Member | None:
        """Returns the file of a name, through links; None if there is none.

        Args:
            name: the normal name of the file.
        """
        return find_file(self._by_name, name)

    def has_content(self, member: Member) -> bool:
        """Tells whether the data of a member are at hand.

        Args:
            member: a member of this archive.
        """
        return member.offset not in self._dropped

    def source(self, member: Member) -> Source:
        """Returns the content of a file of this archive.

        Args:
            member: the file, whose data are at hand.

        Raises:
            AssertionError: they are not: a mistake of the caller.
        """
        if not self.has_content(member):
            raise AssertionError(f'{member.name!r} was not kept')
        return self._source(member)

    def head(self, member: Member) -> bytes:
        """Returns the first bytes of a file of this archive, which are always at hand.

        Args:
            member: the file.

        Raises:
            OSError: they cannot be read.
        """
        return self._source(member).head()

    def _source(self, member: Member) -> Source:
        return Source(self.path, self._data, member.offset, member.size, member.pieces)

    def read(self, member: Member, limit: int | None = _KEPT_SIZE) -> bytes:
        """Returns the bytes of a file of this archive.

        Args:
            member: the file.
            limit: the most bytes that it may have; None for any number.

        Raises:
            ArchiveError: it has more bytes than the limit.
            OSError: it cannot be read.
        """
        is_too_large = limit is not None and member.size > limit
        if is_too_large or not self.has_content(member):
            text = f'{member.name!r} has over {limit or _KEPT_SIZE} bytes: replace it'
            raise ArchiveError(f'{self.path!r}: {text}')
        return b''.join(self.source(member).blocks())

    def read_file(self, name: str, limit: int | None = _KEPT_SIZE) -> bytes | None:
        """Returns the bytes of the file of a name, through links, or None.

        Args:
            name: the normal name of the file.
            limit: as of read().

        Raises:
            ArchiveError, OSError: as read().
        """
        member = self.find(name)
        if member is None:
            return None
        return self.read(member, limit)


def first_members(members: Iterable[Member]) -> dict[str, Member]:
    """Returns members by their normal names: of two with one name, the first counts.

    Args:
        members: the members, in the archive's order.
    """
    by_name: dict[str, Member] = {}
    for member in members:
        by_name.setdefault(tar_reader.normal_name(member.name), member)
    return by_name


def find_file(members: Mapping[str, Member], name: str) -> Member | None:
    """Returns the file of a name among members, through links, or None.

    Args:
        members: the members, by their normal names.
        name: the normal name of the file.
    """
    for _ in range(_LINKS_LIMIT):
        member = members.get(name)
        if member is None or not member.is_link:
            break
        name = target_name(name, member)
    if member is not None and member.is_file:
        return member
    return None


def target_name(name: str, link: Member) -> str:
    """Returns the normal name of what a link leads to.

    Args:
        name: the normal name of the link.
        link: the link. The target of a symbolic one is relative to its folder, that of a hard
            one is not (POSIX ustar).
    """
    folder = ''
    if link.kind == tarfile.SYMTYPE:
        folder = posixpath.dirname(name)
    path = posixpath.normpath(posixpath.join('/', folder, link.target))
    return path.lstrip('/')


@contextlib.contextmanager
def open_archive(
    path: str, keep_all: bool = True, beside: str = '-', progress: Progress | None = None
) -> Iterator[Archive]:
    """Opens an archive, plain or compressed, and reads what its members are.

    Args:
        path: the path of a regular file.
        keep_all: whether the data of large members will be read; not asked of a plain archive.
        beside: the path of a file that is being made, beside which a compressed archive is
            inflated; for '-' in the system's folder for temporary files.
        progress: is told of the bytes that are read of a compressed file.

    Yields:
        The archive, which is open as long as the context lasts.

    Raises:
        OSError: the file is missing, no regular file, or cannot be read.
        ArchiveError: it is not a sound archive.
    """
    opened = files.InputFile(path)
    with contextlib.closing(opened), contextlib.ExitStack() as stack:
        with files.errors_name(path):
            head = opened.file.peek(streams.HEAD_SIZE)[: streams.HEAD_SIZE]
        compression = streams.detect(head)
        data: IO[bytes] = opened.file
        stream: tar_reader.Stream = _PlainStream(opened)
        dropped: set[int] = set()
        if compression is not None:
            data, data_name = _temporary_file(beside)
            stack.enter_context(data)
            counted = CountedFile(opened, progress or Progress())
            blocks = streams.inflate(counted, compression)
            keeping_stream = _KeepingStream(blocks, data, data_name, keep_all)
            dropped = keeping_stream.dropped
            stream = keeping_stream
        reader = tar_reader.TarReader(stream, repr(path))
        members = _list_members(reader, path)
        yield Archive(opened, data, members, reader.has_end, compression, dropped)


def _temporary_file(beside: str) -> tuple[IO[bytes], str]:
    """Makes a file without a name; returns it and what errors name in its place."""
    folder = files.folder_for_temporary(beside)
    name = beside
    if folder is None:
        name = tempfile.gettempdir()
    with files.errors_name(name):
        # Without a buffer: its rest would be written, and fail, when the file is closed.
        return tempfile.TemporaryFile(dir=folder, buffering=0), name


def _list_members(reader: tar_reader.TarReader, path: str) -> list[Member]:
    """Returns all members of an archive, as long as they fit in memory."""
    members = []
    characters = 0
    pieces = 0
    for member in reader:
        members.append(member)
        characters += len(member.name) + len(member.target)
        pieces += len(member.pieces or ()) // 2
        if len(members) > _MEMBERS_LIMIT:
            raise ArchiveError(f'{path!r} has over {_MEMBERS_LIMIT:,} members: give a smaller one')
        if characters > _CHARACTERS_LIMIT:
            text = f'has names of over {_CHARACTERS_LIMIT >> 20} MiB in all'
            raise ArchiveError(f'{path!r} {text}: give a smaller one')
        if pieces > _PIECES_LIMIT:
            text = f'has sparse members of over {_PIECES_LIMIT:,} pieces in all'
            raise ArchiveError(f'{path!r} {text}: give a smaller one')
    if reader.has_more:
        logging.warning('%r: what lies behind the end of the archive is passed over', path)
    return members


class CountedFile:
    """The file of a compressed archive, whose reading is counted."""

    def __init__(self, opened: files.InputFile, progress: Progress) -> None:
        self._opened = opened
        self._progress = progress
        progress.begin(f'reading {opened.path!r}', opened.size)

    def read(self, size: int) -> bytes:
        with files.errors_name(self._opened.path):
            data = self._opened.file.read(size)
        self._progress.advance(len(data))
        return data
