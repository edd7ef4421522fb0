# SPDX-License-Identifier: Apache-2.0
"""Reads tar streams, once and from front to back."""

import array
import tarfile
from collections.abc import Iterator
from typing import Protocol

from image_archive.errors import ArchiveError
from image_archive.tar import headers
from image_archive.tar.compression import BLOCK_SIZE, StreamError, UnreadableError
from image_archive.tar.member import Member

_GLOBAL_NAMES_LIMIT = 1000  # names of global headers that are remembered
_OWNER_SIZE = 64  # characters of a name of an owner that is remembered
_OWNERS_LIMIT = 1000  # names of owners that are remembered


class Stream(Protocol):
    """What a TarReader reads."""

    @property
    def position(self) -> int:
        """The number of bytes that were read or skipped."""

    def read(self, size: int) -> bytes:
        """Returns the next bytes: size of them, fewer only at the end."""

    def skip(self, size: int) -> bool:
        """Skips some bytes; tells whether there were as many."""


class BlockStream:
    """A stream of the blocks that an iterator yields."""

    def __init__(self, blocks: Iterator[bytes]) -> None:
        self._blocks = blocks
        self._block = b''
        self._start = 0  # the position of the block
        self._used = 0  # the bytes of the block that were read or skipped

    @property
    def position(self) -> int:
        return self._start + self._used

    def read_some(self, limit: int) -> bytes:
        """Returns some of the next bytes, at most limit of them; none only at the end."""
        if self._used == len(self._block) and not self._take_block():
            return b''
        data = self._block[self._used : self._used + limit]
        self._used += len(data)
        return data

    def read(self, size: int) -> bytes:
        end = self._used + size
        if end <= len(self._block):
            data = self._block[self._used : end]
            self._used = end
            return data
        parts = []
        while size:
            data = self.read_some(size)
            if not data:
                break
            parts.append(data)
            size -= len(data)
        return b''.join(parts)

    def skip(self, size: int) -> bool:
        rest = len(self._block) - self._used
        while size > rest:
            size -= rest
            if not self._take_block():
                return False
            rest = len(self._block)
        self._used += size
        return True

    def _take_block(self) -> bool:
        """Goes on to the next block that is not empty; tells whether there is one."""
        for block in self._blocks:
            if block:
                self._start += len(self._block)
                self._block = block
                self._used = 0
                return True
        self._used = len(self._block)
        return False


class TarReader:
    """Iterates over the members of a tar stream.

    Attributes:
        has_end: whether a block of zeros ended the archive; known at the end.
        has_more: whether anything but zeros follows the end; known at the end.
        has_label: whether it has a volume label of GNU tar, up to here.
        leniences: what was read, up to here, that Go's archive/tar does not read.
    """

    def __init__(self, stream: Stream, label: str) -> None:
        """Makes a reader.

        Args:
            stream: the archive.
            label: the name of the archive in messages.
        """
        self._stream = stream
        self._start = stream.position
        self._label = label
        self._last_name: str | None = None
        self._global_records: dict[str, str] = {}
        self._global_names: set[str] = set()
        self._owners: dict[str, str] = {}
        self.has_end = False
        self.has_more = False
        self.has_label = False
        self.leniences: list[str] = []

    def __iter__(self) -> Iterator[Member]:
        """Yields each member, and reads to the end of the stream.

        The data of a member are skipped when the next one is asked for.

        Raises:
            ArchiveError: it is not a tar archive, damaged, cut off, or beyond a limit.
            OSError: it cannot be read.
        """
        stored_size = 0
        while True:
            try:
                block = self._next_header(stored_size)
                if block is None:
                    self._read_to_the_end()
                    return
                header = headers.read_header(block, self._stream.position)
                member: Member | None = header
                stored_size = header.size
                if header.type in headers.COMMON_TYPES and not self._global_records:
                    self._last_name = header.name
                    headers.check_limits(stored_size, header.uid, header.gid)
                else:
                    member, stored_size = self._read_member(header, block)
            except (headers.Damage, StreamError) as error:
                after = 'or not a tar archive'
                if self._last_name is not None:
                    after = f'in or after member {self._last_name[:200]!r}'
                text = f'{self._label} {error} {after}: replace it'
                raise ArchiveError(text) from error
            except UnreadableError as error:
                raise ArchiveError(f'{self._label} {error}') from error
            if member is not None:
                yield member

    def _read_exactly(self, size: int) -> bytes:
        data = self._stream.read(size)
        if len(data) < size:
            raise headers.Damage('is cut off')
        return data

    def _next_header(self, stored_size: int) -> bytes | None:
        """Returns the next block with a header, or None at the end of the archive.

        Args:
            stored_size: the bytes of data before it, which are skipped.
        """
        if stored_size and not self._stream.skip(stored_size):
            raise headers.Damage('is cut off')
        # `umoci insert` ends layers with the last byte of data, without padding (seen with 0.4.7).
        padding = -stored_size % headers.BLOCK
        block = self._stream.read(padding + headers.BLOCK)[padding:]
        if len(block) == headers.BLOCK and block[0]:  # as most are
            return block
        if not block and self._stream.position > self._start:
            return None
        if len(block) < headers.BLOCK:
            raise headers.Damage('is cut off')
        if any(block):
            return block
        self.has_end = True
        # POSIX: two blocks of zeros end an archive. Programs that stopped early wrote one.
        second = self._stream.read(headers.BLOCK)
        if any(second):
            raise headers.Damage
        if 0 < len(second) < headers.BLOCK:
            self._note('ends within its second zero block, which clients take for a cut')
        return None

    def _read_to_the_end(self) -> None:
        """Reads what follows the end: in a compressed stream, damage may be found there."""
        while True:
            block = self._stream.read(BLOCK_SIZE)
            if not block:
                return
            if block.count(0) != len(block):
                self.has_more = True

    def _read_member(self, header: Member, block: bytes) -> tuple[Member | None, int]:
        """Reads the headers of a member of which something may be elsewhere than in its own.

        Args:
            header: what the first header says.
            block: that header.

        Returns:
            The member, or None for what is no member (a volume label, a global header); and the
            number of bytes of its data.
        """
        records: dict[str, str] = {}
        long_names: dict[bytes, str] = {}
        total_size = 0
        while header.type in headers.EXTENSIONS:
            total_size += headers.BLOCK + header.size
            data = self._read_extension(header.size, total_size)
            if header.type in (tarfile.XHDTYPE, tarfile.SOLARIS_XHDTYPE):
                # Of several, GNU tar and Go's archive/tar take only the last.
                records = headers.parse_records(data)
            elif header.type == tarfile.XGLTYPE:
                # It need not be followed by a member.
                self._add_global_header(header.name, headers.parse_global_records(data))
                return None, 0
            else:
                long_names[header.type] = headers.text_of(data)
            block = self._read_exactly(headers.BLOCK)
            header = headers.read_header(block, self._stream.position)
        self._note_padding(records)
        if self._global_records:
            records = {**self._global_records, **records}
        if records:
            # POSIX pax: an empty value cancels a record.
            records = {key: value for key, value in records.items() if value}
        return self._complete(header, block, records, long_names)

    def _add_global_header(self, name: str, records: dict[str, str]) -> None:
        """Adds the records of a global header, which count for the members after it."""
        self._note_padding(records)
        self._global_records.update(records)
        if self._global_records:
            # Go's archive/tar does not apply them to members.
            self._note('has a global PAX header with fields of members, which clients ignore')
        if name in self._global_names:
            self._note('has two global PAX headers of one name, which Docker and Podman refuse')
        if len(self._global_names) < _GLOBAL_NAMES_LIMIT:
            self._global_names.add(name)

    def _note_padding(self, records: dict[str, str]) -> None:
        if records.pop(headers.PADDED, None) is not None:
            self._note('has a PAX header that zeros fill up, which clients refuse')

    def _note(self, lenience: str) -> None:
        if lenience not in self.leniences:
            self.leniences.append(lenience)

    def _read_extension(self, size: int, total_size: int) -> bytes:
        """Reads the data of an extended header.

        Args:
            size: the number of bytes.
            total_size: the bytes of all extended headers of this member up to here.
        """
        if size < 0:
            raise headers.Damage
        if size > headers.EXTENSION_LIMIT:
            raise headers.Damage(f'has a header of over {headers.EXTENSION_LIMIT >> 20} MiB')
        if total_size > headers.EXTENSIONS_LIMIT:
            raise headers.Damage(f'has headers of over {headers.EXTENSIONS_LIMIT >> 20} MiB')
        return self._read_exactly(size + -size % headers.BLOCK)[:size]

    def _complete(
        self, header: Member, block: bytes, records: dict[str, str], long_names: dict[bytes, str]
    ) -> tuple[Member | None, int]:
        """Completes what the header of a member says by what is elsewhere."""
        name = long_names.get(tarfile.GNUTYPE_LONGNAME, header.name)
        target = long_names.get(tarfile.GNUTYPE_LONGLINK, header.target)
        uid, gid, mtime = header.uid, header.gid, header.mtime
        stored_size = header.size
        xattrs: tuple[str, ...] = ()
        xattr_records = b''
        if records:
            xattrs = headers.xattrs_in(records)
            xattr_records = headers.xattr_records_in(records)
            name = records.get('GNU.sparse.name', records.get('path', name))
            target = records.get('linkpath', target)
            uid = headers.number_of(records, 'uid', uid)
            gid = headers.number_of(records, 'gid', gid)
            mtime = headers.seconds_of(records, mtime)
            stored_size = headers.number_of(records, 'size', stored_size)
        self._last_name = name
        kind = headers.member_kind(header.type, name)
        if header.type in headers.TYPES_WITHOUT_DATA:
            stored_size = 0
        size = stored_size if kind == tarfile.REGTYPE else 0
        pieces = None
        if header.type == tarfile.GNUTYPE_SPARSE:
            size = headers.old_gnu_real_size(block)
            pieces = self._read_old_gnu_map(block)
        elif records and records.get('GNU.sparse.major', '0') != '0':
            size = headers.real_size(records, stored_size)
            before = self._stream.position
            pieces = self._read_map_in_data(stored_size)
            stored_size -= self._stream.position - before
        elif 'GNU.sparse.map' in records:
            size = headers.real_size(records, stored_size)
            pieces = headers.sparse_map(records)
        headers.check_limits(size, uid, gid)
        headers.check_limits(stored_size, uid, gid)
        if pieces is not None:
            if kind != tarfile.REGTYPE:
                raise headers.Damage
            headers.check_map(pieces, size, stored_size)
        if header.type == headers.GNU_VOLUME_LABEL:
            self.has_label = True
            return None, stored_size
        member = Member(
            name.rstrip('/'),
            kind,
            header.mode,
            uid,
            gid,
            self._shared(records.get('uname', header.uname)),
            self._shared(records.get('gname', header.gname)),
            target if kind in headers.LINKS else '',
            size,
            self._stream.position,
            pieces,
            header.type,
            xattrs,
            xattr_records,
            mtime,
            header.device,
        )
        return member, stored_size

    def _shared(self, owner: str) -> str:
        """Returns the name of an owner, one string for all members that have it."""
        if len(owner) > _OWNER_SIZE:
            return owner
        if len(self._owners) >= _OWNERS_LIMIT:
            self._owners.clear()
        return self._owners.setdefault(owner, owner)

    def _read_old_gnu_map(self, block: bytes) -> 'array.array[int]':
        """Reads the map of GNU's oldest sparse format: in the header, and in blocks after it."""
        pieces = array.array('q')
        headers.add_old_gnu_pieces(pieces, block[386:482])
        is_extended = block[482]
        while is_extended:
            block = self._read_exactly(headers.BLOCK)
            headers.add_old_gnu_pieces(pieces, block[:504])
            is_extended = block[504]
        return pieces

    def _read_map_in_data(self, stored_size: int) -> 'array.array[int]':
        """Reads the map of GNU's sparse format 1.0: a number on each line, before the data."""
        pieces = array.array('q')
        count: int | None = None
        rest = b''
        while count is None or len(pieces) < count:
            stored_size -= headers.BLOCK
            if stored_size < 0:
                raise headers.Damage
            *lines, rest = (rest + self._read_exactly(headers.BLOCK)).split(b'\n')
            if len(rest) > headers.BLOCK:
                raise headers.Damage
            for line in lines:
                number = headers.decimal(line.decode('latin-1'))
                if count is None:
                    count = 2 * number
                    headers.check_count(count)
                elif len(pieces) < count:
                    headers.append_number(pieces, number)
        return pieces
