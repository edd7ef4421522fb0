# SPDX-License-Identifier: Apache-2.0
"""The content of files: where it lies, read in blocks, compared."""

import array
import errno
from collections.abc import Iterator
from typing import NamedTuple, Protocol

from image_archive.digests import new_hash
from image_archive.system.inputs import InputFile, errors_about, read_at
from image_archive.system.progress import Progress
from image_archive.tar.compression import BLOCK_SIZE, HEAD_SIZE, LARGE_BLOCK_SIZE
from image_archive.tar.reader import BlockStream

_ENDS_EARLY = 'it ends early'
# Bytes of a file that are read at once to find headers: those of several members, or of one, which
# may have extended headers.
_WINDOW_SIZE = 8 << 10
_HEADERS_SIZE = 5 * 512


class RandomAccess(Protocol):
    """A file that can be read at any offset, by several threads."""

    @property
    def descriptor(self) -> int | None:
        """The descriptor from which the kernel can copy; None without one."""

    def read_at(self, offset: int, size: int) -> bytes:
        """Returns the bytes from an offset on: size of them, fewer only at the end."""


class BytesInMemory:
    """A file that is in memory."""

    descriptor = None

    def __init__(self, content: bytes) -> None:
        self._content = content

    def read_at(self, offset: int, size: int) -> bytes:
        return self._content[offset : offset + size]


class ReopenedFile:
    """A file that is opened again each time that it is read."""

    descriptor = None

    def __init__(self, path: str) -> None:
        self._path = path

    def read_at(self, offset: int, size: int) -> bytes:
        with open(self._path, 'rb', buffering=0) as file:
            return read_at(file.fileno(), offset, size)


class Piece(NamedTuple):
    """A piece of data in a file. Between two pieces of a content there are zeros.

    Attributes:
        offset: its offset in the content, in bytes.
        file_offset: its offset in the file, in bytes.
        size: its bytes.
    """

    offset: int
    file_offset: int
    size: int


class Source(NamedTuple):
    """The content of a file, or of a member of an archive.

    Attributes:
        name: the path of the file, for messages.
        file: the file, open.
        file_offset: where the data begin in the file, in bytes.
        size: the bytes of the content.
        sparse_map: Member.pieces of a sparse file; None if the data are the content.
        digest: the SHA-256 of the data in hex, if only the first bytes of them are at hand.
    """

    name: str
    file: RandomAccess
    file_offset: int
    size: int
    sparse_map: 'array.array[int] | None' = None
    digest: str | None = None

    def pieces(self) -> Iterator[Piece]:
        """Yields the pieces of data of the content, in their order."""
        if self.sparse_map is None:
            yield Piece(0, self.file_offset, self.size)
            return
        file_offset = self.file_offset
        for index in range(0, len(self.sparse_map), 2):
            offset = self.sparse_map[index]
            size = self.sparse_map[index + 1]
            yield Piece(offset, file_offset, size)
            file_offset += size

    def blocks(
        self, progress: Progress | None = None, block_size: int = BLOCK_SIZE
    ) -> Iterator[bytes]:
        """Yields the content in blocks.

        Args:
            progress: advanced by the bytes that are read.
            block_size: the most bytes of a block of data.

        Raises:
            OSError: the file cannot be read, or is shorter than it was.
            AssertionError: the data are not at hand: a mistake of the caller.
        """
        if self.digest is not None:
            raise AssertionError(f'{self.name!r}: the data were not kept')
        progress = progress or Progress()
        end = 0
        for piece in self.pieces():
            yield from zeros(piece.offset - end)
            for block in self.read_piece(piece.file_offset, piece.size, block_size):
                progress.advance(len(block))
                yield block
            end = piece.offset + piece.size
        yield from zeros(self.size - end)

    def read_small(self) -> bytes:
        """Returns the content of a small file that is not sparse.

        Raises:
            OSError: as blocks().
        """
        with errors_about(self.name):
            data = self.file.read_at(self.file_offset, self.size)
            if len(data) < self.size:
                raise OSError(errno.ESTALE, _ENDS_EARLY)
        return data

    def head(self) -> bytes:
        """Returns the first bytes of the content, by which its compression is recognised.

        Raises:
            OSError: the file cannot be read.
        """
        first = next(self.pieces(), None)
        if first is None or first.offset > 0:
            return bytes(min(self.size, HEAD_SIZE))
        return b''.join(self.read_piece(first.file_offset, min(first.size, HEAD_SIZE)))

    def read_piece(
        self, file_offset: int, size: int, block_size: int = BLOCK_SIZE
    ) -> Iterator[bytes]:
        """Yields bytes of the file, in blocks.

        Args:
            file_offset: where they begin in the file, in bytes.
            size: how many bytes.
            block_size: the most bytes of a block.

        Raises:
            OSError: the file cannot be read, or is shorter than it was.
        """
        end = file_offset + size
        while file_offset < end:
            with errors_about(self.name):
                block = self.file.read_at(file_offset, min(end - file_offset, block_size))
                if not block:
                    raise OSError(errno.ESTALE, _ENDS_EARLY)
            yield block
            file_offset += len(block)

    def hash_with(self, algorithm: str, progress: Progress) -> str:
        """Returns a hash of the content, in hex digits; reads all of it.

        Args:
            algorithm: 'sha256' or 'sha512'.
            progress: advanced by the bytes that are read.

        Raises:
            OSError: as blocks().
        """
        found = new_hash(algorithm)
        for block in self.blocks(progress, LARGE_BLOCK_SIZE):
            found.update(block)
        return str(found.hexdigest())


def source_of(opened: InputFile) -> Source:
    """Returns the content of a file that is open."""
    return Source(opened.path, opened, 0, opened.size)


class SourceStream:
    """The content of a file that is not sparse, as a stream: what is skipped is not read.

    Attributes:
        position: the offset in the file, in bytes.
    """

    def __init__(self, source: Source) -> None:
        self._source = source
        self._end = source.file_offset + source.size
        self.position = source.file_offset
        # What is read anyway: with small members, the next headers are in it.
        self._window = b''
        self._window_start = self.position
        self._last_position = self.position  # that of the last read()

    def read(self, size: int) -> bytes:
        start = self.position - self._window_start
        end = start + size
        if end > len(self._window):
            self._read_window(size)
            start = 0
            end = size
        data = self._window[start:end]
        self._last_position = self.position
        self.position += len(data)
        return data

    def skip(self, size: int) -> bool:
        self.position += size
        return self.position <= self._end

    def _read_window(self, size: int) -> None:
        """Reads what follows the position: so many bytes, fewer only at the end."""
        # After a large member comes a large one, most often: only its headers are near.
        is_near = self.position - self._last_position < _WINDOW_SIZE
        count = max(size, _WINDOW_SIZE if is_near else _HEADERS_SIZE)
        if self.position + count > self._end:
            count = max(self._end - self.position, 0)
        try:
            self._window = self._source.file.read_at(self.position, count)
        except OSError as error:  # not by errors_about(), which takes longer where nothing fails
            error.filename = self._source.name
            raise
        self._window_start = self.position


def zeros(size: int) -> Iterator[bytes]:
    """Yields zeros, in blocks of at most BLOCK_SIZE bytes; size of them in all."""
    block = bytes(min(size, BLOCK_SIZE))
    while size > 0:
        yield block[:size]
        size -= len(block)


def have_same_content(one: Source, other: Source, progress: Progress | None = None) -> bool:
    """Tells whether two contents are the same; reads them only as far as they agree.

    Args:
        one: a content.
        other: another one.
        progress: advanced by the bytes that are compared.

    Raises:
        OSError: one cannot be read.
    """
    if one.size != other.size:
        return False
    if one.digest is not None or other.digest is not None:
        return (one.digest, one.sparse_map) == (other.digest, other.sparse_map)
    stream = BlockStream(other.blocks())
    for block in one.blocks(progress):
        if block != stream.read(len(block)):
            return False
    return True


class Entry(NamedTuple):
    """What is under a name in an archive, as far as two members of that name may differ.

    Attributes:
        kind: the type of the member, as tarfile names it.
        target: the target of a link, as it is stored.
        source: the content of a file; None for other kinds.
    """

    kind: bytes
    target: str
    source: Source | None


def are_same_entries(one: Entry, other: Entry, progress: Progress | None = None) -> bool:
    """Tells whether two members of one name are the same: kind, target, content.

    Args:
        one: a member.
        other: another one.
        progress: advanced by the bytes that are compared.

    Raises:
        OSError: a file cannot be read.
    """
    if (one.kind, one.target) != (other.kind, other.target):
        return False
    if one.source is None or other.source is None:
        return True
    return have_same_content(one.source, other.source, progress)
