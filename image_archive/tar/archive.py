# SPDX-License-Identifier: Apache-2.0
"""Archives to read from: opened once, their members known, their data at hand in any order.

A compressed archive is inflated once, strictly to its end. All other modules then see a plain
archive: whole, in a file without a name, whose data the kernel can copy, or only its small files,
in memory.
"""

import array
import bisect
import contextlib
import tarfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import NamedTuple

from absl import logging

from image_archive.digests import new_hash
from image_archive.errors import ArchiveError
from image_archive.system.beside import read_ahead
from image_archive.system.inputs import InputDirectory, InputFile, errors_about
from image_archive.system.outputs import UnnamedFile
from image_archive.system.progress import Progress
from image_archive.tar.compression import HEAD_SIZE, detect_compression, inflate, is_tar
from image_archive.tar.content import Entry, RandomAccess, Source, SourceStream, are_same_entries
from image_archive.tar.member import Member
from image_archive.tar.names import normal_name, target_name
from image_archive.tar.reader import BlockStream, Stream, TarReader

_SMALL_SIZE = 4 << 20  # bytes; a larger file is neither a manifest nor a configuration
_MEMORY_LIMIT = 32 << 20  # bytes of all small files of a compressed archive
_MEMBERS_LIMIT = 300_000  # they take less than 200 MiB of memory
_NAMES_LIMIT = 64 << 20  # bytes in memory of all names, targets of links and owners
_HOLES_LIMIT = 16 << 30  # bytes of zeros between the data of all sparse members
_PIECES_LIMIT = 2_000_000  # of all sparse members
_LINKS_LIMIT = 16  # that are followed for one name


class Archive:
    """An archive that is open.

    Attributes:
        path: its path as the user gave it.
        members: all members, in their order.
        names: the normal name of each member.
        has_end: whether a block of zeros ended the archive.
    """

    def __init__(
        self,
        opened: InputFile | InputDirectory,
        data: RandomAccess,
        members: list[Member],
        has_end: bool,
        digests: dict[int, str],
    ) -> None:
        self.path = opened.path
        self.members = members
        self.names = [normal_name(member.name) for member in members]
        self.has_end = has_end
        self._input = opened
        self._data = data
        self._digests = digests
        # Of two members with one name the first counts.
        self._by_name: dict[str, Member] = {}
        self._repeated: dict[str, list[Member]] = {}
        for name, member in zip(self.names, members, strict=True):
            first = self._by_name.setdefault(name, member)
            if first is not member:
                self._repeated.setdefault(name, [first]).append(member)

    def check_unchanged(self) -> None:
        """Raises OSError if the file was changed since it was opened."""
        self._input.check_unchanged()

    def member(self, name: str) -> Member | None:
        """Returns the member of a normal name; None if there is none."""
        return self._by_name.get(name)

    def find(self, name: str, is_included: Callable[[str], bool] | None = None) -> 'Place | None':
        """Returns where the file of a name is, through links.

        Args:
            name: the normal name of the file.
            is_included: tells whether a name is there; by default all names of members are.

        Returns:
            The place; None if there is no such file.
        """
        found = find_file(self._by_name, name, is_included)
        if found is None:
            return None
        return Place(found, self, self._by_name[found])

    def source(self, member: Member) -> Source:
        """Returns the content of a file of this archive."""
        digest = self._digests.get(member.offset)
        return Source(self.path, self._data, member.offset, member.size, member.pieces, digest)

    def entry(self, member: Member) -> Entry:
        """Returns what are_same_entries() compares of a member of this archive."""
        source = self.source(member) if member.is_file else None
        return Entry(member.kind, member.target, source)

    def read(self, member: Member, limit: int | None = _SMALL_SIZE) -> bytes:
        """Returns the bytes of a file of this archive.

        Args:
            member: the file.
            limit: the most bytes that it may have; None for any number.

        Raises:
            ArchiveError: it has more bytes, or was not kept.
            OSError: it cannot be read.
        """
        source = self.source(member)
        problem = None
        if limit is not None and member.size > limit:
            problem = f'has over {limit} bytes'
        elif source.digest is not None:
            problem = f'has over {_SMALL_SIZE} bytes, or is an archive'
        if problem is not None:
            raise ArchiveError(f'{self.path!r}: {member.name!r} {problem}: replace it')
        return b''.join(source.blocks())

    def read_file(self, name: str, limit: int | None = _SMALL_SIZE) -> bytes | None:
        """Returns the bytes of the file of a name, through links; None if there is none.

        Args:
            name: the normal name of the file.
            limit: the most bytes that it may have; None for any number.

        Raises:
            ArchiveError, OSError: as read().
        """
        place = self.find(name)
        if place is None:
            return None
        return self.read(place.member, limit)

    def check_repeated(self, names: Iterable[str]) -> None:
        """Checks that members of one name are the same.

        Docker takes the last of two members with one name, Podman and Skopeo take the first.

        Args:
            names: the normal names of the members that count; what they lead to counts, too.

        Raises:
            ArchiveError: a member that counts occurs twice with different content.
            OSError: the archive cannot be read.
        """
        if not self._repeated:
            return
        for name in self.with_targets(names):
            members = self._repeated.get(name, [])
            for other in members[1:]:
                if not are_same_entries(self.entry(members[0]), self.entry(other)):
                    text = f'{name!r} occurs twice with different content: replace it'
                    raise ArchiveError(f'{self.path!r}: {text}')

    def with_targets(self, names: Iterable[str]) -> list[str]:
        """Returns names, each once, and the names that links of these names lead to.

        Args:
            names: normal names of members, which need not be there.
        """
        found = dict.fromkeys(names)
        pending = list(found)
        while pending:
            name = pending.pop()
            for member in self._members_of(name):
                if not member.is_link:
                    continue
                target = link_target(name, member)
                if target not in found:
                    found[target] = None
                    pending.append(target)
        return list(found)

    def _members_of(self, name: str) -> list[Member]:
        if name in self._repeated:
            return self._repeated[name]
        if name in self._by_name:
            return [self._by_name[name]]
        return []


class Place(NamedTuple):
    """Where a file is, behind all links.

    Attributes:
        name: the normal name of the member.
        archive: the archive, open.
        member: the member.
    """

    name: str
    archive: Archive
    member: Member

    @property
    def source(self) -> Source:
        """The content of the file."""
        return self.archive.source(self.member)

    def read(self) -> bytes:
        """Returns the bytes of a small file; raises what Archive.read() raises."""
        return self.archive.read(self.member)


def find_file(
    members: Mapping[str, Member], name: str, is_included: Callable[[str], bool] | None = None
) -> str | None:
    """Returns the name of a file behind all links; None if there is no such file.

    Args:
        members: members by their normal names.
        name: the normal name of the file, or of a link to it.
        is_included: tells whether a name is there; by default all names of members are.
    """
    for _ in range(_LINKS_LIMIT):
        member = members.get(name)
        if member is None or (is_included is not None and not is_included(name)):
            return None
        if member.is_file:
            return name
        if not member.is_link:
            return None
        name = link_target(name, member)
    return None


def link_target(name: str, link: Member) -> str:
    """Returns the normal name of the member that a link leads to.

    Args:
        name: the normal name of the link.
        link: the link.
    """
    return target_name(name, link.target, link.kind == tarfile.SYMTYPE)


@contextlib.contextmanager
def open_archive(
    path: str,
    keep_all: bool = True,
    beside: str = '-',
    progress: Progress | None = None,
    find_part: Callable[[InputFile], tuple[int, int]] | None = None,
) -> Iterator[Archive]:
    """Opens an archive, plain or compressed, and reads its headers.

    Args:
        path: the path of a regular file.
        keep_all: whether all data will be read. A plain archive has them in any case; of a
            compressed one, only small files are kept otherwise, in memory, and of other members
            the first bytes and the SHA-256 of the data.
        beside: the path of an output beside which a compressed archive is inflated; '-' for the
            system's directory for temporary files.
        progress: advanced by the bytes of a compressed file that are read.
        find_part: returns where the archive lies in the file: offset and size in bytes. By default
            it is all of the file.

    Yields:
        The archive, which is open as long as the context lasts.

    Raises:
        OSError: the file is missing, not a regular file, or cannot be read.
        ArchiveError: it is not a sound archive.
    """
    opened = InputFile(path)
    with contextlib.closing(opened), contextlib.ExitStack() as stack:
        offset, size = 0, opened.size
        if find_part is not None:
            offset, size = find_part(opened)
        with errors_about(path):
            head = opened.read_at(offset, HEAD_SIZE)
        if find_part is not None:
            head = head[:size]
        compression = detect_compression(head)
        data: RandomAccess = opened
        stream: Stream = SourceStream(Source(path, opened, offset, size))
        digests: dict[int, str] = {}
        threads = stack.enter_context(contextlib.ExitStack())
        if compression is not None:
            counted = _CountedFile(opened, offset, size, progress or Progress())
            blocks = threads.enter_context(read_ahead(inflate(counted, compression)))
            if keep_all:
                data = stack.enter_context(UnnamedFile(beside))
                stream = BlockStream(_copied(blocks, data))
            else:
                data = _Parts()
                stream = _SmallFilesStream(blocks, data, digests, path)
        reader = TarReader(stream, repr(path))
        members = _list_members(reader, path)
        threads.close()
        yield Archive(opened, data, members, reader.has_end, digests)


def _list_members(reader: TarReader, path: str) -> list[Member]:
    """Returns all members of an archive; raises ArchiveError if they need too much memory."""
    members = []
    names_size = 0
    pieces = 0
    holes = 0
    for member in reader:
        members.append(member)
        names_size += _size_of_names(member)
        if member.pieces is not None:
            pieces += len(member.pieces) // 2
            holes += member.size - sum(member.pieces[1::2])
        if len(members) > _MEMBERS_LIMIT:
            raise ArchiveError(f'{path!r} has over {_MEMBERS_LIMIT:,} members: give a smaller one')
        if names_size > _NAMES_LIMIT:
            text = f'has names of over {_NAMES_LIMIT >> 20} MiB in all'
            raise ArchiveError(f'{path!r} {text}: give a smaller one')
        if holes > _HOLES_LIMIT:
            text = f'has sparse members with holes of over {_HOLES_LIMIT >> 30} GiB in all'
            raise ArchiveError(f'{path!r} {text}: give a smaller one')
        if pieces > _PIECES_LIMIT:
            text = f'has sparse members of over {_PIECES_LIMIT:,} pieces in all'
            raise ArchiveError(f'{path!r} {text}: give a smaller one')
    if reader.has_more:
        logging.warning('%r: data after the end of the archive are ignored', path)
    return members


def _size_of_names(member: Member) -> int:
    """Returns how many bytes the names of a member take in memory, besides a fixed number."""
    names = f'{member.name}{member.target}{member.uname}{member.gname}'
    # The normal name and the spelling of a name may be two strings.
    size = 2 * len(names) if names.isascii() else 8 * len(names)
    if member.xattrs:
        attributes = ''.join(member.xattrs)
        size += 8 * len(attributes) + 64 * len(member.xattrs) + len(member.xattr_records)
    return size


def _copied(blocks: Iterator[bytes], copy: UnnamedFile) -> Iterator[bytes]:
    """Yields blocks, each after it was written to a file."""
    for block in blocks:
        copy.write(block)
        yield block


class _Parts:
    """Parts of an inflated archive, in memory, which are read at their offsets in the archive."""

    descriptor = None

    def __init__(self) -> None:
        self._data = bytearray()
        self._starts = array.array('q')  # the offset of each part in the archive
        self._places = array.array('q')  # where it is in the data

    def add(self, start: int, data: bytes) -> None:
        """Adds a part, which is after those before; start is its offset in the archive."""
        self._starts.append(start)
        self._places.append(self.size)
        self._data += data

    @property
    def size(self) -> int:
        """The bytes of all parts."""
        return len(self._data)

    def read_at(self, offset: int, size: int) -> bytes:
        """Returns bytes of one part."""
        index = bisect.bisect_right(self._starts, offset) - 1
        place = self._places[index] + offset - self._starts[index]
        return bytes(self._data[place : place + size])


class _SmallFilesStream(BlockStream):
    """An inflated archive of which only small files are kept, and the beginnings of others.

    Layers are not kept, however small they are: tar archives and compressed files.
    """

    def __init__(
        self, blocks: Iterator[bytes], parts: _Parts, digests: dict[int, str], path: str
    ) -> None:
        """Makes a stream.

        Args:
            blocks: the content of the archive.
            parts: gets what is kept.
            digests: gets the SHA-256 of data that are not kept, in hex, by their offsets.
            path: the path of the archive, for messages.
        """
        super().__init__(blocks)
        self._parts = parts
        self._digests = digests
        self._path = path

    def skip(self, size: int) -> bool:
        start = self.position
        data = self.read(min(size, HEAD_SIZE))
        if size > _SMALL_SIZE or is_tar(data) or detect_compression(data) is not None:
            self._digests[start] = self._hash_rest(data, start + size)
        else:
            data += self.read(size - len(data))
        if self._parts.size + len(data) > _MEMORY_LIMIT:
            text = f'has small files of over {_MEMORY_LIMIT >> 20} MiB in all'
            raise ArchiveError(f'{self._path!r}: it {text}: decompress it first')
        if data:
            self._parts.add(start, data)
        return self.position == start + size

    def _hash_rest(self, head: bytes, end: int) -> str:
        """Reads to an offset, or to the end; returns the SHA-256 with what was read before."""
        digest = new_hash()
        digest.update(head)
        while self.position < end:
            data = self.read_some(end - self.position)
            if not data:
                break
            digest.update(data)
        return str(digest.hexdigest())


class _CountedFile:
    """The file of a compressed archive; progress shows how much of it was read."""

    def __init__(self, opened: InputFile, offset: int, size: int, progress: Progress) -> None:
        self._opened = opened
        self._offset = offset
        self._end = offset + size
        self._progress = progress
        progress.begin(f'reading {opened.path!r}', size)

    def read(self, size: int) -> bytes:
        with errors_about(self._opened.path):
            data = self._opened.read_at(self._offset, min(size, self._end - self._offset))
        self._offset += len(data)
        self._progress.advance(len(data))
        return data
