# SPDX-License-Identifier: Apache-2.0
"""Reads what create_image is given: identifiers, compressed files, image archives.

Python's tarfile parses the archives. By itself it takes a damaged header after the
first member for the end of the archive, follows sizes that lead backwards, and reads
a header of any length: TarReader refuses all three.
"""

import contextlib
import errno
import importlib
import json
import lzma
import os
import posixpath
import tarfile
import zlib
from collections.abc import Iterator
from typing import IO, Any, cast

BLOCK_SIZE = 1 << 20  # bytes read at a time
_READ_LIMIT = 16 << 20  # bytes; no extended header and no manifest.json is longer
_SPARSE_LIMIT = 1 << 40  # bytes; a sparse header can claim any size at no cost
_LINK_LIMIT = 16  # links followed from member to member

# How a compressed file begins (RFC 1952, the bzip2 and xz formats, RFC 8878) and the
# module that reads it; compression.zstd came with Python 3.14.
_COMPRESSIONS = (
    (b'\x1f\x8b', 'gzip'),
    (b'BZh', 'bz2'),
    (b'\xfd7zXZ\x00', 'lzma'),
    (b'\x28\xb5\x2f\xfd', 'compression.zstd'),
)

# What tarfile raises over damage. RecursionError: an extended header makes it call
# itself for the header that follows.
_DAMAGE = (tarfile.TarError, ValueError, ArithmeticError, LookupError, RecursionError)


class ArchiveError(Exception):
    """An archive is unreadable or damaged, or holds what no image may hold."""


def ExtractValue(value: str) -> str:
    """Returns the text of the file at value[1:] if value starts with '@', else value.

    Raises OSError if that file cannot be read and ValueError if it is not UTF-8.
    """
    if value.startswith('@'):
        with open(value[1:], encoding='utf-8') as f:
            return f.read()
    return value


def member_name(name: str) -> str:
    """Returns a member's name without './', leading '/' and doubled '/'; '' for the root.

    Raises ArchiveError for a name that leads out of the archive or holds a NUL.
    """
    parts = [part for part in name.split('/') if part not in ('', '.')]
    if '..' in parts or '\0' in name:
        raise ArchiveError(f"the name {name!r} holds '..' or NUL: name its members otherwise")
    return '/'.join(parts)


@contextlib.contextmanager
def unchanged(file: IO[bytes], path: str) -> Iterator[int]:
    """Gives the size of an open file in bytes; raises OSError if it changes meanwhile."""
    before = os.fstat(file.fileno())
    yield before.st_size
    after = os.fstat(file.fileno())
    if (after.st_size, after.st_mtime_ns) != (before.st_size, before.st_mtime_ns):
        raise OSError(errno.ESTALE, 'it changed while it was read', path)


class UncompressedFile:
    """The content of a file, its compression undone.

    Attributes:
      path: the file, as given.
      file: the open file itself, or None if it is compressed.
    """

    def __init__(self, path: str) -> None:
        """Opens the file; raises OSError, or ArchiveError for want of a decompressor."""
        self.path = path
        self._raw = open(path, 'rb')
        self._stream: IO[bytes] = self._raw
        self._errors: tuple[type[Exception], ...] = ()
        start = self._raw.peek(8)
        for magic, name in _COMPRESSIONS:
            if start.startswith(magic):
                try:
                    module = importlib.import_module(name)
                except ImportError as error:
                    raise ArchiveError(f"'{path}': {error}: decompress it first") from error
                self._stream = module.open(self._raw)
                self._errors = (EOFError, ValueError, zlib.error, lzma.LZMAError)
                self._errors += (getattr(module, 'ZstdError', EOFError),)
        self.file = None if self._errors else self._raw

    def close(self) -> None:
        self._stream.close()
        self._raw.close()

    def read(self, size: int) -> bytes:
        """Returns the next size bytes, fewer at the end; raises ArchiveError over damage."""
        try:
            return self._stream.read(size)
        except self._errors as error:
            cause: Exception = error
        except OSError as error:
            if error.errno is not None:  # the system's own; those of gzip and bz2 have none
                error.filename = self.path
                raise
            cause = error
        raise self.damaged(f'compressed data: {cause}') from cause

    def damaged(self, what: str) -> ArchiveError:
        return ArchiveError(f"'{self.path}' is cut off or damaged ({what}): make it again")


class TarReader(UncompressedFile):
    """A tar archive, plain or compressed, read once from front to back.

    Iterating gives the members; `blocks` gives what the one reached holds. As the file
    that tarfile reads from, it never goes backwards.
    """

    def __init__(self, path: str) -> None:
        super().__init__(path)
        self._position = 0
        self._last_read = b''

    def __iter__(self) -> Iterator[tarfile.TarInfo]:
        """Yields each member; raises ArchiveError unless the whole archive is sound."""
        place = 'at its start: is it a tar archive?'
        with contextlib.closing(self), unchanged(self._raw, self.path):
            try:
                self._tar = tarfile.TarFile(
                    fileobj=cast(IO[bytes], self), encoding='utf-8', errors='surrogateescape'
                )
                while (member := self._tar.next()) is not None:
                    self._check(member)
                    place = f"after member '{member.name}'"
                    yield member
                    cast(Any, self._tar).members.clear()  # tarfile would keep them all
            except _DAMAGE as error:
                raise self.damaged(f'{place}; {error}') from error
            # tarfile stops alike at the end and at a damaged header: the block where it
            # stopped tells. An archive may end with two zero blocks, with one, or without.
            if any(self._last_read):
                raise self.damaged(f'{place}; bad header')
            while block := self.read(BLOCK_SIZE):
                if block.count(0) != len(block):
                    raise self.damaged(f'{place}; data behind a zero block')

    def blocks(self, member: tarfile.TarInfo) -> Iterator[bytes]:
        """Yields the content of the regular member that the iteration has reached."""
        try:
            content = cast(IO[bytes], self._tar.extractfile(member))
            while block := content.read(BLOCK_SIZE):
                yield block
        except _DAMAGE as error:
            raise self.damaged(f"in member '{member.name}'; {error}") from error

    def read(self, size: int) -> bytes:
        if not 0 <= size <= _READ_LIMIT:
            raise self.damaged(f'a header of {size} bytes')
        self._last_read = super().read(size)
        self._position += len(self._last_read)
        return self._last_read

    def seek(self, position: int) -> None:
        if position < self._position:
            raise self.damaged('a size leads backwards')
        if self.file:
            self._position = self.file.seek(position)
        while self._position < position and self.read(min(position - self._position, BLOCK_SIZE)):
            pass

    def tell(self) -> int:
        return self._position

    def _check(self, member: tarfile.TarInfo) -> None:
        """Raises ValueError for sizes with which tarfile would not come to an end."""
        sparse = member.issparse()
        ends = [0]
        for offset, size in cast(Any, member).sparse if sparse else ():
            ends += (offset, offset + size) if size else ()  # GNU tar fills up with empty ones
        ends.append(member.size)
        if ends != sorted(ends) or (sparse and member.size > _SPARSE_LIMIT):
            raise ValueError(f"bad size of '{member.name}'")


def GetTarFile(f: str, name: str) -> bytes | None:
    """Returns the bytes of a member of an archive, or None if there is none.

    Looks for name, then ./name, then /name; of several members so named the last counts.
    Links are followed.

    Args:
      f: path of a tar archive: plain, gzip, bzip2, xz, or zstd where Python can.
      name: the member.

    Raises:
      OSError: the file cannot be read.
      ArchiveError: it is no sound tar archive, or the member is a link to nothing.
    """
    return _read_member(f, name)


def _read_member(f: str, name: str, limit: int | None = None, links: int = 0) -> bytes | None:
    """GetTarFile, for a member of at most limit bytes, reached by so many links."""
    spellings = (f'/{name}', f'./{name}', name)
    best, content, target = 0, None, None
    reader = TarReader(f)
    for member in reader:
        if member.name in spellings[best:] and not member.isdev() and not member.isdir():
            best = spellings.index(member.name)
            content, target = None, None
            if member.isreg():
                if limit is not None and member.size > limit:
                    raise ArchiveError(f"'{f}': '{name}' has {member.size} bytes, over {limit}")
                content = b''.join(reader.blocks(member))
            elif member.issym():
                target = posixpath.normpath(f'/{posixpath.dirname(name)}/{member.linkname}')
            else:
                target = member.linkname
    if target is not None and links < _LINK_LIMIT:
        content = _read_member(f, member_name(target), limit, links + 1)
    if content is None and (target is not None or links):
        raise ArchiveError(f"'{f}': '{name}' is a link that leads to no file: make it again")
    return content


def GetManifestFromTar(f: str | None = None) -> list[Any]:
    """Returns the list in the manifest.json of an image archive.

    Gives [] without a file or without that member, as with archives of Docker before 1.10.
    Raises as GetTarFile does, and ArchiveError if the member is no JSON list.
    """
    content = _read_member(f, 'manifest.json', _READ_LIMIT) if f else None
    if content is None:
        return []
    try:
        manifest = json.loads(content)
    except (ValueError, RecursionError) as error:
        raise ArchiveError(f"'{f}': manifest.json is not JSON: {error}: make it again") from error
    if not isinstance(manifest, list):
        raise ArchiveError(f"'{f}': manifest.json is not a list: make it again")
    return manifest


def GetLatestManifestFromTar(f: str | None = None) -> dict[str, Any] | None:
    """Returns the last entry of the manifest.json of an image archive, or None.

    Raises as GetManifestFromTar does, and ArchiveError unless the entry is an object with
    a string as Config and, if any, a list of strings or null as Layers.
    """
    manifest = GetManifestFromTar(f)
    if not manifest:
        return None
    entry = manifest[-1]
    if isinstance(entry, dict) and isinstance(entry.get('Config'), str):
        layers = entry.get('Layers') or []
        if isinstance(layers, list) and all(isinstance(name, str) for name in layers):
            return entry
    raise ArchiveError(
        f"'{f}': the last entry of manifest.json has no string as Config or no list of strings "
        'as Layers: make it again'
    )
