# SPDX-License-Identifier: Apache-2.0
"""Reads what create_image is given: identifiers, compressed files, image archives."""

import contextlib
import errno
import importlib
import json
import lzma
import os
import sys
import tarfile
import zlib
from collections.abc import Iterator
from typing import IO, Any, cast

BLOCK_SIZE = 1 << 20  # bytes read at a time
_READ_LIMIT = 4 << 20  # bytes of a member's headers, or of manifest.json
_SIZE_LIMIT = 1 << 40  # bytes of an archive, or of a sparse member
LINK_LIMIT = 16  # links followed from member to member

# How compressed files begin (RFC 1952, RFC 8878, the bzip2 and xz formats), and what reads them.
_COMPRESSIONS = (
    (b'\x1f\x8b', 'gzip'),
    (b'BZh', 'bz2'),
    (b'\xfd7zXZ\x00', 'lzma'),
    (b'\x28\xb5\x2f\xfd', 'compression.zstd'),
)

_DAMAGE = (tarfile.TarError, ArithmeticError, RecursionError, EOFError, LookupError, ValueError)


class ArchiveError(Exception):
    """An archive is unreadable or damaged, or holds what no image may hold."""


def ExtractValue(value: str) -> str:
    """Returns the UTF-8 text of the file at value[1:] if value starts with '@', else value.

    Raises OSError or ValueError if it cannot be read.
    """
    if value.startswith('@'):
        with open(value[1:], encoding='utf-8') as f:
            return f.read()
    return value


def member_name(name: str) -> str:
    """Returns a name without './', leading and doubled '/'; raises ArchiveError for '..'."""
    parts = [part for part in name.split('/') if part not in ('', '.')]
    if '..' in parts or '\0' in name:
        raise ArchiveError(f"the name {name!r} holds '..' or NUL: name its members otherwise")
    return '/'.join(parts)


@contextlib.contextmanager
def naming(path: str) -> Iterator[None]:
    """Has an OSError name the file that the caller gave."""
    try:
        yield
    except OSError as error:
        error.filename, error.filename2 = path, None
        raise


@contextlib.contextmanager
def unchanged(file: IO[bytes], path: str) -> Iterator[int]:
    """Gives the size of an open file in bytes; raises OSError if it changes meanwhile."""
    before = os.fstat(file.fileno())
    yield before.st_size
    after = os.fstat(file.fileno())
    if (after.st_size, after.st_mtime_ns) != (before.st_size, before.st_mtime_ns):
        raise OSError(errno.ESTALE, 'it changed while it was read', path)


class TarReader:
    """A tar archive, plain or compressed, read once from front to back.

    It stands between tarfile and the file, for tarfile takes a damaged header for the end,
    goes back where a size says so, and reads headers of any length. `file` is set if plain.
    """

    def __init__(self, path: str) -> None:
        """Opens the file; raises OSError, or ArchiveError for want of a decompressor."""
        self._path, self._place = path, 'at its start, or is no tar archive'
        self._position, self._last_read, self._budget = 0, b'', _READ_LIMIT
        self._raw = open(path, 'rb')
        self._stream: IO[bytes] = self._raw
        with self._sound():
            start = self._raw.peek(8)
            if start.startswith(b'\xfd7zXZ\x00'):
                lzma.LZMADecompressor(memlimit=128 << 20).decompress(start, 1)  # xz -9: 65 MiB
        for magic, name in _COMPRESSIONS:
            if start.startswith(magic):
                try:
                    self._stream = importlib.import_module(name).open(self._raw)
                except ImportError as error:
                    raise ArchiveError(f"'{path}': {error}: decompress it first") from error
        self.file = self._raw if self._stream is self._raw else None

    @contextlib.contextmanager
    def _sound(self) -> Iterator[None]:
        zstd_error = getattr(sys.modules.get('compression.zstd'), 'ZstdError', EOFError)
        try:
            with naming(self._path):
                yield
        except (OSError, zlib.error, lzma.LZMAError, zstd_error, *_DAMAGE) as error:
            if isinstance(error, OSError) and error.errno:  # the system's own
                raise
            where = f"'{self._path}' is cut off or damaged {self._place}"
            raise ArchiveError(f'{where} ({error}): make it again') from error

    def blocks(self) -> Iterator[bytes]:
        """Yields the archive itself, its compression undone."""
        self._place = 'in its compressed data'
        with contextlib.closing(self._raw), self._sound():
            while block := self._stream.read(BLOCK_SIZE):
                yield block

    def __iter__(self) -> Iterator[tarfile.TarInfo]:
        """Yields each member; raises ArchiveError unless the whole archive is sound."""
        this = cast(IO[bytes], self)
        with contextlib.closing(self._raw), unchanged(self._raw, self._path), self._sound():
            self._tar = tarfile.TarFile(fileobj=this, encoding='utf-8', errors='surrogateescape')
            while (member := self._tar.next()) is not None:
                # tarfile would not come to an end with a sparse map in disorder.
                parts = [(x, x + size) for x, size in cast(Any, member).sparse or () if size]
                ends = [0, *(end for part in parts for end in part), member.size]
                if ends != sorted(ends) or (member.issparse() and member.size > _SIZE_LIMIT):
                    raise ValueError(f"bad size of member '{member.name}'")
                self._place = f"in or after member '{member.name}'"
                yield member
                self._budget = _READ_LIMIT
                cast(Any, self._tar).members.clear()  # tarfile would keep them all
                pax = self._tar.pax_headers  # and what it makes no use of in global headers
                self._tar.pax_headers = {key: pax[key] for key in pax if key in tarfile.PAX_FIELDS}
            # tarfile stops alike at the end and at a damaged header: the block where it
            # stopped tells. An archive may end with two zero blocks, with one, or without.
            if any(self._last_read) or not self._tar.offset:
                raise ValueError('bad header')
            self.has_end = bool(self._last_read)
            while block := self._stream.read(BLOCK_SIZE):
                if block.count(0) != len(block):
                    raise ValueError('data behind a zero block')

    def content(self, member: tarfile.TarInfo) -> Iterator[bytes]:
        """Yields the content of the regular member that the iteration has reached."""
        with self._sound():
            file = cast(IO[bytes], self._tar.extractfile(member))
            while block := file.read(BLOCK_SIZE):
                yield block

    def read(self, size: int) -> bytes:
        self._budget -= size
        if size < 0 or self._budget < 0:
            raise ValueError(f'a header of {size} bytes')
        self._last_read = self._stream.read(size)
        self._position += len(self._last_read)
        return self._last_read

    def seek(self, position: int) -> None:
        if not self._position <= position < _SIZE_LIMIT:
            raise ValueError('a size leads backwards or too far')
        if self.file:
            self._position = self.file.seek(position)
        self._budget = position - self._position
        while self._position < position and self.read(min(position - self._position, BLOCK_SIZE)):
            pass
        self._budget = _READ_LIMIT

    def tell(self) -> int:
        return self._position


def GetTarFile(f: str, name: str) -> bytes | None:
    """Returns the bytes of the member name of the archive at path f, or None without one.

    Looks for name, then ./name, then /name, and follows links. Raises OSError if the file
    cannot be read, ArchiveError if it is unsound or a link leads to no file.
    """
    return _read_member(f, name)


def _read_member(f: str, name: str, limit: int | None = None, links: int = 0) -> bytes | None:
    """GetTarFile, for a member of at most limit bytes, reached by so many links."""
    found: dict[str, bytes | str] = {}
    reader = TarReader(f)
    for member in (m for m in reader if m.name in (name, f'./{name}', f'/{name}')):
        if member.issym():
            found[member.name] = os.path.join(os.path.dirname(name), member.linkname)
        elif member.islnk():
            found[member.name] = member.linkname
        elif member.isreg():
            if limit is not None and member.size > limit:
                raise ArchiveError(f"'{f}': '{name}' has {member.size} bytes, over {limit}")
            found[member.name] = b''.join(reader.content(member))
    content = found.get(name, found.get(f'./{name}', found.get(f'/{name}')))
    if limit and not found and not reader.has_end:
        raise ArchiveError(f"'{f}' is cut off: it has no '{name}' and no end: make it again")
    if isinstance(content, str) and links < LINK_LIMIT:
        target = os.path.normpath(f'/{content}').lstrip('/')
        content = _read_member(f, target, limit, links + 1)
    if isinstance(content, str) or (content is None and links):
        raise ArchiveError(f"'{f}': '{name}' is a link that leads to no file: make it again")
    return content


def GetManifestFromTar(f: str | None = None) -> list[Any]:
    """Returns the list in the manifest.json of the archive at path f; [] without either.

    Raises as GetTarFile does, and ArchiveError if the member is no JSON list.
    """
    content = _read_member(f, 'manifest.json', _READ_LIMIT) if f else None
    try:
        manifest = [] if content is None else json.loads(content)
    except (ValueError, RecursionError) as error:
        raise ArchiveError(f"'{f}': manifest.json is not JSON: {error}: make it again") from error
    if not isinstance(manifest, list):
        raise ArchiveError(f"'{f}': manifest.json is not a list: make it again")
    return manifest


def GetLatestManifestFromTar(f: str | None = None) -> dict[str, Any] | None:
    """Returns the last entry of the manifest.json of the archive at path f, or None.

    Raises as GetManifestFromTar does, and ArchiveError over a bad Config or Layers.
    """
    manifest = GetManifestFromTar(f)
    if not manifest:
        return None
    entry = manifest[-1]
    if isinstance(entry, dict) and isinstance(entry.get('Config'), str):
        layers = [] if entry.get('Layers') is None else entry['Layers']
        if isinstance(layers, list) and all(isinstance(name, str) for name in layers):
            return entry
    raise ArchiveError(f"'{f}': bad Config or Layers at the end of manifest.json: make it again")
