# SPDX-License-Identifier: Apache-2.0
"""Reads tar streams: ustar, GNU and PAX headers, and sparse members of every format.

A reader of our own, for Python's tarfile reads otherwise than GNU tar, Docker, Podman, Skopeo and
containerd do: it takes the times in old-GNU headers for a name, a damaged header for the end, and
a sparse map beside a size record for damage. What they agree on is read here; what all of them
take for damage is an error.
"""

import array
import re
import sys
import tarfile
from collections.abc import Iterator
from typing import NamedTuple, Protocol

from image_archive.errors import ArchiveError
from image_archive.tar import streams

BLOCK = tarfile.BLOCKSIZE
_HEADER_LIMIT = 1 << 20  # bytes of one extended header; Go's archive/tar takes no more
_HEADERS_LIMIT = 4 << 20  # bytes of all extended headers of one member
_SIZE_LIMIT = 1 << 40  # bytes of one member
_OWNER_LIMIT = (1 << 56) - 1  # the largest number that a field of a header holds
_PIECES_LIMIT = 1_000_000  # islands of data in one sparse member
_NAME_LIMIT = 4096  # characters; Linux's PATH_MAX
_DEPTH_LIMIT = 128  # components of a name
_DIGITS_LIMIT = 20  # of a number in a PAX record; 2**64 has as many

# POSIX ustar: a contiguous file is read as a file. Sparse files become plain ones.
_FILE_KINDS = (tarfile.REGTYPE, tarfile.AREGTYPE, tarfile.CONTTYPE)
_GNU_DUMPDIR = b'D'  # a folder of `tar --listed-incremental`, with the names in it as data
_GNU_VOLUME_LABEL = b'V'  # of `tar --label`
# Members of these kinds have no data, whatever their size says: so Go's archive/tar reads them,
# with which Docker, Podman, Skopeo and containerd read archives.
_KINDS_WITHOUT_DATA = (
    tarfile.LNKTYPE,
    tarfile.SYMTYPE,
    tarfile.CHRTYPE,
    tarfile.BLKTYPE,
    tarfile.DIRTYPE,
    tarfile.FIFOTYPE,
)


class _Damage(Exception):
    """What a header says cannot be; the text says why, in words that follow a name."""

    def __init__(self, text: str = 'is damaged') -> None:
        super().__init__(text)


class Member(NamedTuple):
    """A member of an archive.

    Attributes:
        name: the name as it is spelled in the archive, without a slash at its end.
        kind: tarfile.REGTYPE, DIRTYPE, SYMTYPE, LNKTYPE, or the type of something else.
        mode: the permissions.
        uid: the number of the owner.
        gid: the number of the group.
        uname: the name of the owner.
        gname: the name of the group.
        target: of a link, what it leads to.
        size: bytes of content; 0 for all but files.
        offset: where the data begin in the archive, in bytes.
        pieces: of a sparse file, (offset in the content, bytes) of each island of data, one
            number after the other; None where the data are the content.
    """

    name: str
    kind: bytes
    mode: int
    uid: int
    gid: int
    uname: str
    gname: str
    target: str
    size: int
    offset: int
    pieces: 'array.array[int] | None'

    @property
    def is_file(self) -> bool:
        return self.kind == tarfile.REGTYPE

    @property
    def is_directory(self) -> bool:
        return self.kind == tarfile.DIRTYPE

    @property
    def is_link(self) -> bool:
        return self.kind in (tarfile.SYMTYPE, tarfile.LNKTYPE)


class Stream(Protocol):
    """What a TarReader reads."""

    @property
    def position(self) -> int:
        """The bytes that were read or passed over."""

    def read(self, size: int) -> bytes:
        """Returns the next bytes.

        Args:
            size: how many; there are fewer only at the end.
        """

    def skip(self, size: int) -> bool:
        """Passes over bytes.

        Args:
            size: how many.

        Returns:
            Whether there were as many.
        """


class BlockStream:
    """A stream of what an iterator yields."""

    def __init__(self, blocks: Iterator[bytes]) -> None:
        self._blocks = blocks
        self._rest = memoryview(b'')
        self.position = 0

    def read_some(self, limit: int) -> memoryview:
        """Returns some of the next bytes, none only at the end.

        Args:
            limit: the most bytes.
        """
        while not self._rest:
            block = next(self._blocks, None)
            if block is None:
                break
            self._rest = memoryview(block)
        data = self._rest[:limit]
        self._rest = self._rest[limit:]
        self.position += len(data)
        return data

    def read(self, size: int) -> bytes:
        data = self.read_some(size)
        if len(data) == size:
            return bytes(data)
        parts = bytearray(data)
        while len(parts) < size:
            data = self.read_some(size - len(parts))
            if not data:
                break
            parts += data
        return bytes(parts)

    def skip(self, size: int) -> bool:
        while size:
            data = self.read_some(size)
            if not data:
                return False
            size -= len(data)
        return True


def normal_name(name: str) -> str:
    """Returns a member's name without './' and without leading and doubled slashes.

    Args:
        name: the name as it is stored.
    """
    normal = '/'.join(part for part in name.split('/') if part not in ('', '.'))
    # Most names are normal; one string for both takes less memory.
    return name if normal == name else normal


def is_usable_name(name: str) -> bool:
    """Tells whether a member may have a name: one that stays within the archive's folder.

    Args:
        name: the name as it is stored.
    """
    parts = normal_name(name).split('/')
    if '..' in parts or '\0' in name:
        return False
    return len(parts) <= _DEPTH_LIMIT and len(name) <= _NAME_LIMIT


class TarReader:
    """Reads a tar stream once, from front to back.

    Attributes:
        has_end: whether there was a block of zeros at the end; set once all was read.
        has_more: whether there was anything but zeros behind the end; set once all was read.
    """

    def __init__(self, stream: Stream, label: str) -> None:
        """Begins to read.

        Args:
            stream: what to read.
            label: what the stream is, for errors: a quoted path.
        """
        self._stream = stream
        self._label = label
        self._where = 'or not a tar archive'
        self._global_records: dict[str, str] = {}
        self.has_end = False
        self.has_more = False

    def __iter__(self) -> Iterator[Member]:
        """Yields each member, and reads to the end of the stream behind the last.

        A member's data are passed over when the next one is asked for.

        Raises:
            ArchiveError: the archive is cut off, damaged or not one, or has what goes beyond a
                limit.
            OSError: it cannot be read.
        """
        stored_size = 0
        while True:
            try:
                self._skip_data(stored_size)
                header = self._next_header()
                if header is None:
                    self._read_to_the_end()
                    return
                member, stored_size = self._read_member(header)
            except (_Damage, streams.StreamError) as error:
                text = f'{self._label} {error} {self._where}: replace it'
                raise ArchiveError(text) from error
            except streams.UnreadableError as error:
                raise ArchiveError(f'{self._label} {error}') from error
            if member is not None:
                yield member

    def _read_exactly(self, size: int) -> bytes:
        data = self._stream.read(size)
        if len(data) < size:
            raise _Damage('is cut off')
        return data

    def _skip_data(self, size: int) -> None:
        """Passes over the data of a member, and what fills up their last block."""
        if not self._stream.skip(size):
            raise _Damage('is cut off')
        # `umoci insert` ends layers with the last byte of data (seen with 0.4.7).
        self._stream.skip(-size % BLOCK)

    def _next_header(self) -> bytes | None:
        """Returns the next block with a header, or None at the end of the archive."""
        block = self._stream.read(BLOCK)
        if not block and self._stream.position:
            return None
        if len(block) < BLOCK:
            raise _Damage('is cut off')
        if any(block):
            return block
        self.has_end = True
        # POSIX: two blocks of zeros end an archive. Programs that stopped early wrote one.
        second = self._stream.read(BLOCK)
        if any(second):
            raise _Damage
        return None

    def _read_to_the_end(self) -> None:
        """Reads on behind the end, where only compressed streams may tell of damage."""
        while True:
            block = self._stream.read(streams.BLOCK_SIZE)
            if not block:
                return
            if block.count(0) != len(block):
                self.has_more = True

    def _read_member(self, block: bytes) -> tuple[Member | None, int]:
        """Reads what is before a member's data.

        Returns:
            The member, None for what is none (a volume label, a global header), and the bytes of
            its data.
        """
        records: dict[str, str] = {}
        long_names: dict[bytes, str] = {}
        header = _Header(block)
        total_size = 0
        while header.kind in _EXTENSIONS:
            total_size += BLOCK + header.size
            data = self._read_extension(header.size, total_size)
            if header.kind in (tarfile.XHDTYPE, tarfile.SOLARIS_XHDTYPE):
                # Of several, GNU tar and Go's archive/tar take the last alone.
                records = _parse_records(data)
            elif header.kind == tarfile.XGLTYPE:
                # No member need follow.
                self._global_records.update(_parse_records(data))
                return None, 0
            else:
                long_names[header.kind] = _text(data)
            header = _Header(self._read_exactly(BLOCK))
        if self._global_records:
            records = {**self._global_records, **records}
        # POSIX pax: an empty value takes a record back.
        records = {key: value for key, value in records.items() if value}
        return self._make_member(header, records, long_names)

    def _read_extension(self, size: int, total_size: int) -> bytes:
        """Reads the data of an extended header.

        Args:
            size: the bytes of them.
            total_size: the bytes of all extended headers of this member so far.
        """
        if size < 0:
            raise _Damage
        if size > _HEADER_LIMIT:
            raise _Damage(f'has a header of over {_HEADER_LIMIT >> 20} MiB')
        if total_size > _HEADERS_LIMIT:
            raise _Damage(f'has headers of over {_HEADERS_LIMIT >> 20} MiB')
        return self._read_exactly(size + -size % BLOCK)[:size]

    def _make_member(
        self, header: '_Header', records: dict[str, str], long_names: dict[bytes, str]
    ) -> tuple[Member | None, int]:
        name = records.get('path', long_names.get(tarfile.GNUTYPE_LONGNAME, header.name))
        name = records.get('GNU.sparse.name', name)
        target = records.get('linkpath', long_names.get(tarfile.GNUTYPE_LONGLINK, header.target))
        self._where = f'in or after member {name[:200]!r}'
        kind = _kind(header.kind, name)
        stored_size = _number(records, 'size', header.size)
        if header.kind in _KINDS_WITHOUT_DATA:
            stored_size = 0
        size = stored_size if kind == tarfile.REGTYPE else 0
        pieces = None
        if header.kind == tarfile.GNUTYPE_SPARSE:
            size = header.real_size
            pieces = self._read_old_gnu_map(header.block)
        elif records.get('GNU.sparse.major', '0') != '0':
            size = _real_size(records, stored_size)
            before = self._stream.position
            pieces = self._read_map_in_data(stored_size)
            stored_size -= self._stream.position - before
        elif 'GNU.sparse.map' in records:
            size = _real_size(records, stored_size)
            pieces = _sparse_map(records)
        _check_size(size)
        _check_size(stored_size)
        if pieces is not None:
            if kind != tarfile.REGTYPE:
                raise _Damage
            _check_map(pieces, size, stored_size)
        uid = _number(records, 'uid', header.uid)
        gid = _number(records, 'gid', header.gid)
        if not 0 <= uid <= _OWNER_LIMIT or not 0 <= gid <= _OWNER_LIMIT:
            raise _Damage
        if header.kind == _GNU_VOLUME_LABEL:
            return None, stored_size
        member = Member(
            name=name.rstrip('/'),
            kind=kind,
            mode=header.mode & 0o7777,
            uid=uid,
            gid=gid,
            uname=sys.intern(records.get('uname', header.uname)),
            gname=sys.intern(records.get('gname', header.gname)),
            target=target if kind in (tarfile.SYMTYPE, tarfile.LNKTYPE) else '',
            size=size,
            offset=self._stream.position,
            pieces=pieces,
        )
        return member, stored_size

    def _read_old_gnu_map(self, block: bytes) -> 'array.array[int]':
        """Reads the map of GNU's oldest sparse format: in the header, and in blocks behind it."""
        pieces = array.array('q')
        _add_old_gnu_pieces(pieces, block[386:482])
        is_extended = block[482]
        while is_extended:
            block = self._read_exactly(BLOCK)
            _add_old_gnu_pieces(pieces, block[:504])
            is_extended = block[504]
        return pieces

    def _read_map_in_data(self, stored_size: int) -> 'array.array[int]':
        """Reads the map of GNU's sparse format 1.0: lines of one number before the data."""
        pieces = array.array('q')
        count: int | None = None
        rest = b''
        while count is None or len(pieces) < count:
            stored_size -= BLOCK
            if stored_size < 0:
                raise _Damage
            *lines, rest = (rest + self._read_exactly(BLOCK)).split(b'\n')
            if len(rest) > BLOCK:
                raise _Damage
            for line in lines:
                number = _decimal(line.decode('latin-1'))
                if count is None:
                    count = 2 * number
                    _check_count(count)
                elif len(pieces) < count:
                    _append(pieces, number)
        return pieces


_EXTENSIONS = (
    tarfile.XHDTYPE,
    tarfile.SOLARIS_XHDTYPE,
    tarfile.XGLTYPE,
    tarfile.GNUTYPE_LONGNAME,
    tarfile.GNUTYPE_LONGLINK,
)


class _Header:
    """The fields of a header block that count (POSIX ustar; GNU tar's manual, "Basic Format")."""

    def __init__(self, block: bytes) -> None:
        if not _has_valid_checksum(block):
            raise _Damage
        self.block = block
        self.name = _text(block[0:100])
        self.mode = _field(block[100:108])
        self.uid = _field(block[108:116])
        self.gid = _field(block[116:124])
        self.size = _field(block[124:136])
        _field(block[136:148])  # the time, which is not made use of, must be a number all the same
        self.kind = block[156:157]
        self.target = _text(block[157:257])
        self.uname = ''
        self.gname = ''
        self.real_size = 0
        is_ustar = block[257:263] == b'ustar\0'
        is_gnu = block[257:265] == b'ustar  \0'
        if is_ustar or is_gnu:
            self.uname = _text(block[265:297])
            self.gname = _text(block[297:329])
            _field(block[329:337])  # Go's archive/tar takes device numbers that are none, even
            _field(block[337:345])  # those of files, for damage
        # Headers of old GNU tar have times in the place of the prefix.
        if is_ustar and block[345]:
            self.name = f'{_text(block[345:500])}/{self.name}'
        if self.kind == tarfile.GNUTYPE_SPARSE:
            if not is_gnu:  # star has a map, too, but in another place
                raise _Damage
            self.real_size = _field(block[483:495])


def _has_valid_checksum(block: bytes) -> bool:
    field = block[148:156]
    try:
        stored = _octal(field)
    except _Damage:
        return False
    # Its own field counts as blanks.
    unsigned = sum(block) - sum(field) + len(field) * ord(' ')
    if stored == unsigned:
        return True
    # Some old programs added signed bytes.
    others = block[:148] + block[156:]
    return stored == unsigned - 256 * sum(1 for byte in others if byte > 127)


def _field(field: bytes) -> int:
    """Returns the number in a header: octal digits, or GNU's base 256."""
    if not field[0] & 0x80:
        return _octal(field)
    # Two's complement in all bits but the first.
    bits = 8 * len(field) - 1
    number = int.from_bytes(field, 'big') - (1 << bits)
    if field[0] & 0x40:
        number -= 1 << bits
    if number.bit_length() > 63:
        raise _Damage
    return number


def _octal(field: bytes) -> int:
    # Some old programs wrote a zero byte in front.
    digits = field.strip(b' \0').partition(b'\0')[0]
    if not digits:
        return 0
    if digits.strip(b'01234567'):
        raise _Damage
    return int(digits, 8)


def _text(field: bytes) -> str:
    return field.partition(b'\0')[0].decode('utf-8', 'surrogateescape')


def _kind(kind: bytes, name: str) -> bytes:
    """Returns the kind of a member, by its type and name."""
    if kind == tarfile.AREGTYPE and name.endswith('/'):  # as before ustar
        return tarfile.DIRTYPE
    if kind in _FILE_KINDS:
        return tarfile.REGTYPE
    if kind == tarfile.GNUTYPE_SPARSE:
        return tarfile.REGTYPE
    if kind == _GNU_DUMPDIR:
        return tarfile.DIRTYPE
    return kind


def _decimal(text: str) -> int:
    if len(text) > _DIGITS_LIMIT or not (text.isascii() and text.isdecimal()):
        raise _Damage
    return int(text)


def _number(records: dict[str, str], key: str, default: int) -> int:
    if key not in records:
        return default
    return _decimal(records[key])


def _real_size(records: dict[str, str], stored_size: int) -> int:
    """Returns the size of a sparse file with its holes, which has two names."""
    size = _number(records, 'GNU.sparse.realsize', stored_size)
    return _number(records, 'GNU.sparse.size', size)


def _parse_records(data: bytes) -> dict[str, str]:
    """Returns the records of an extended header (POSIX pax) that are made use of.

    Args:
        data: records of the form "LENGTH KEY=VALUE\n"; the length, in bytes, is of all of it.
    """
    records: dict[str, str] = {}
    sparse_pairs: list[str] = []
    start = 0
    while start < len(data):
        space = data.find(b' ', start, start + _DIGITS_LIMIT)
        if space < 0:
            # GNU tar passes over zeros that fill up a header.
            if data[start:].strip(b'\0'):
                raise _Damage
            break
        end = start + _decimal(data[start:space].decode('latin-1'))
        key, equals, content = data[space + 1 : end - 1].partition(b'=')
        if not space < end - 1 < len(data) or data[end - 1] != ord('\n') or not equals or not key:
            raise _Damage
        start = end
        word = key.decode('utf-8', 'surrogateescape')
        if word in _SPARSE_PAIR:
            # The format 0.0 of GNU tar gives each piece by two records.
            if word != _SPARSE_PAIR[len(sparse_pairs) % 2]:
                raise _Damage
            sparse_pairs.append(content.decode('latin-1'))
        elif word in _RECORDS:
            value = content.decode('utf-8', 'surrogateescape')
            if '\0' in value:
                raise _Damage
            records[word] = value
        elif word in _TIMES and content and not _TIME.fullmatch(content):
            raise _Damage
    if sparse_pairs:
        records['GNU.sparse.map'] = ','.join(sparse_pairs)
    return records


_SPARSE_PAIR = ('GNU.sparse.offset', 'GNU.sparse.numbytes')
# Not made use of either, but what is no time is damage to all.
_TIMES = ('atime', 'ctime', 'mtime')
_TIME = re.compile(rb'-?[0-9]+(\.[0-9]*)?')
_RECORDS = (
    'path',
    'linkpath',
    'size',
    'uid',
    'gid',
    'uname',
    'gname',
    'GNU.sparse.major',
    'GNU.sparse.name',
    'GNU.sparse.realsize',
    'GNU.sparse.size',
    'GNU.sparse.numblocks',
    'GNU.sparse.map',
)


def _add_old_gnu_pieces(pieces: 'array.array[int]', table: bytes) -> None:
    """Adds the entries of a table: 12 bytes of offset and 12 of size each, up to an empty one."""
    for start in range(0, len(table), 24):
        offset = table[start : start + 12]
        size = table[start + 12 : start + 24]
        if not any(offset) and not any(size):
            break
        for field in (offset, size):
            _append(pieces, _field(field))
    _check_count(len(pieces))


def _sparse_map(records: dict[str, str]) -> 'array.array[int]':
    """Returns the map of a sparse file of GNU's formats 0.0 and 0.1."""
    numbers = records['GNU.sparse.map'].split(',')
    _check_count(len(numbers))
    if len(numbers) != 2 * _number(records, 'GNU.sparse.numblocks', 0):
        raise _Damage
    pieces = array.array('q')
    for number in numbers:
        _append(pieces, _decimal(number))
    return pieces


def _append(pieces: 'array.array[int]', number: int) -> None:
    if not 0 <= number <= _SIZE_LIMIT:
        raise _Damage
    pieces.append(number)


def _check_size(size: int) -> None:
    if size < 0:
        raise _Damage
    if size > _SIZE_LIMIT:
        raise _Damage(f'has a member of over {_SIZE_LIMIT >> 40} TiB')


def _check_count(count: int) -> None:
    if count > 2 * _PIECES_LIMIT:
        raise _Damage(f'has a sparse map of over {_PIECES_LIMIT:,} pieces')


def _check_map(pieces: 'array.array[int]', size: int, stored_size: int) -> None:
    """Raises _Damage unless the pieces are in order, within the content, and all stored."""
    if len(pieces) % 2:
        raise _Damage
    end = 0
    total = 0
    for index in range(0, len(pieces), 2):
        offset, length = pieces[index], pieces[index + 1]
        # A last entry of no bytes says where the content ends.
        if offset < end or offset + length > size:
            raise _Damage
        end = offset + length
        total += length
    if total > stored_size:
        raise _Damage
