# SPDX-License-Identifier: Apache-2.0
"""Reads what create_image is given: identifiers, compressed files, image archives."""

import bz2
import contextlib
import errno
import functools
import importlib
import io
import json
import lzma
import os
import stat
import sys
import tarfile
import zlib
from collections.abc import Iterator
from typing import IO, Any, cast

BLOCK_SIZE = 1 << 20  # bytes read at a time
_HEADER_LIMIT = 16 << 10  # bytes of a member's headers: tarfile may take their square of memory
# How compressed files begin (RFC 1952, RFC 8878, the bzip2 and xz formats), and what reads them.
_HEAD = {b'\x1f\x8b': 'gzip', b'BZh': 'bz2', b'\xfd7zXZ': 'lzma', b'(\xb5/\xfd': 'compression.zstd'}
# bz2.open() and lzma.open() take damage behind a stream for the end, and lzma's takes memory
# without limit (xz -9: 65 MiB). The reader within both does neither, when it is given these.
_XZ = functools.partial(lzma.LZMADecompressor, lzma.FORMAT_XZ, 128 << 20)
_STRICT = {'bz2': bz2.BZ2Decompressor, 'lzma': _XZ}
_DAMAGE = (tarfile.TarError, ArithmeticError, RecursionError, EOFError, LookupError, ValueError)


class ArchiveError(Exception):
    """An archive is unreadable or damaged, or holds what no image may hold."""


def ExtractValue(value: str) -> str:
    """Returns value, or for '@FILE' the UTF-8 text of the file; raises OSError or ValueError."""
    if value.startswith('@'):
        with open(value[1:], encoding='utf-8') as f:
            return f.read()
    return value


def member_name(name: str) -> str:
    """Returns a name without './', leading and doubled '/'; raises ArchiveError for a bad one."""
    parts = [part for part in name.split('/') if part not in ('', '.')]
    if '..' in parts or '\0' in name or len(parts) > 128 or len(name) > 4096:
        raise ArchiveError(f"{name[:200]!r} has '..' or NUL or is too long: rename that member")
    return '/'.join(parts)


def kind_or_target(member: tarfile.TarInfo) -> bytes | str:
    """Returns the type of a member; of a link, the normal name of what it leads to."""
    if member.issym() or member.islnk():
        folder = os.path.dirname(member.name) if member.issym() else ''
        return os.path.normpath(os.path.join('/', folder, member.linkname)).lstrip('/')
    return tarfile.REGTYPE if member.isreg() else member.type


def has_file(members: dict[str, bytes | str], name: str, links: int = 16) -> bool:
    """Tells whether a name is that of a file, or leads to one, among {name: kind_or_target()}."""
    found = members.get(name) if links else None
    if isinstance(found, str):
        return has_file(members, found, links - 1)
    return found == tarfile.REGTYPE


@contextlib.contextmanager
def open_file(path: str) -> Iterator[io.BufferedReader]:
    """Opens a regular file for reading; raises OSError, also if it changes meanwhile."""
    before = os.stat(path)
    if not stat.S_ISREG(before.st_mode):
        raise OSError(errno.EINVAL, 'Not a regular file', path)
    try:
        with open(path, 'rb') as file:
            yield file
            after = os.fstat(file.fileno())
        if (after.st_size, after.st_mtime_ns) != (before.st_size, before.st_mtime_ns):
            raise OSError(errno.ESTALE, 'it changed while it was read')
    except EOFError as error:
        raise OSError(errno.ESTALE, 'it ends early', path) from error
    except OSError as error:
        error.filename = error.filename or path
        raise


@contextlib.contextmanager
def open_archive(path: str) -> Iterator['TarReader']:
    """Opens an archive as open_file() does; whatever is wrong with it raises ArchiveError."""
    reader: Any = TarReader  # for its attributes, until there is one
    with open_file(path) as file:
        try:
            yield (reader := TarReader(file))
        except ArchiveError as error:
            raise ArchiveError(f"'{path}': {error}") from error
        except (OSError, ImportError, zlib.error, lzma.LZMAError, reader.error, *_DAMAGE) as error:
            if isinstance(error, OSError) and error.errno:  # the system's own
                raise
            if isinstance(error, ImportError):
                raise ArchiveError(f"'{path}' is zstd: unpack it, or use Python 3.14") from error
            state = 'cut off' if reader.is_cut or isinstance(error, EOFError) else 'damaged'
            if isinstance(error, lzma.LZMAError):
                state = f'unreadable ({error})'
            raise ArchiveError(f"'{path}' is {state} {reader.place}: replace it") from error


class TarReader:
    """A tar archive, plain or compressed, read once from front to back.

    tarfile reads through it, for it takes a damaged header for the end, goes back where a size
    says so, and reads headers of any length. `stream` is decompressed; `file` is set if plain.
    """

    place, is_cut, error = 'or not a tar archive', False, EOFError
    _position, _budget, _last_read = 0, _HEADER_LIMIT, b''

    def __init__(self, file: io.BufferedReader) -> None:
        self.stream: IO[bytes] = file
        inner = getattr(lzma, '_compression', None) or getattr(lzma, '_streams', None)
        for magic, name in _HEAD.items():
            if file.peek(8).startswith(magic):
                self.stream = importlib.import_module(name).open(file)
                self.error = getattr(sys.modules[name], 'ZstdError', EOFError)
                if inner and name in _STRICT:
                    self.stream = io.BufferedReader(inner.DecompressReader(file, _STRICT[name]))
        self.file = file if self.stream is file else None

    def __iter__(self) -> Iterator[tarfile.TarInfo]:
        """Yields each member, and reads on behind the last, to the end of the file."""
        self.tar = tarfile.TarFile(fileobj=cast(IO[bytes], self), encoding='utf-8')
        while (member := self.tar.next()) is not None:
            self._budget = sys.maxsize  # for its content
            self.place = f'in or after member {member.name[:200]!r}'
            # tarfile comes to no end with a sparse map in disorder, nor soon with a petabyte.
            sparse = cast(Any, member).sparse or ()
            ends = [0, *(x for at, n in sparse if n for x in (at, at + n)), member.size]
            if ends != sorted(ends) or (member.isreg() and member.size > 1 << 40):
                raise ValueError('bad size')
            yield member
            self._budget = _HEADER_LIMIT
            cast(Any, self.tar).members.clear()  # tarfile would keep them all
            pax = self.tar.pax_headers  # and what it makes no use of in global headers
            self.tar.pax_headers = {key: pax[key] for key in pax if key in tarfile.PAX_FIELDS}
        # tarfile stops alike at the end and at a damaged header: the block where it stopped
        # tells. An archive may end with two zero blocks, with one, or without.
        if any(self._last_read) or not self.tar.offset:
            raise ValueError('bad header')
        self.has_end = bool(self._last_read)
        while block := self.stream.read(BLOCK_SIZE):
            if block.count(0) != len(block):
                raise ValueError('data behind a zero block')

    def read(self, size: int) -> bytes:
        self._budget -= size
        if size < 0 or self._budget < 0:
            raise ValueError('a header too long')
        self._last_read = self.stream.read(size)
        self.is_cut = len(self._last_read) < size
        self._position += len(self._last_read)
        return self._last_read

    def seek(self, position: int) -> None:
        if position < self._position:
            raise ValueError('a size leads backwards')
        if self.file:
            self._position = self.file.seek(position)
        while block := self.stream.read(min(position - self._position, BLOCK_SIZE)):
            self._position += len(block)

    def tell(self) -> int:
        return self._position


def GetTarFile(f: str, name: str, limit: int | None = None, links: int = 0) -> bytes | None:
    """Returns the bytes of the member name of the archive at path f, or None without one.

    Looks for name, then ./name, then /name, and follows links. Raises OSError if it cannot
    be read, ArchiveError if it is unsound, has over limit bytes, or a link leads nowhere.
    """
    found: dict[str, bytes | str] = {}
    spellings = name, f'./{name}', f'/{name}'
    with open_archive(f) as reader:
        for member in (member for member in reader if member.name in spellings):
            if limit is not None and member.size > limit:
                raise ArchiveError(f"'{name}' has over {limit} bytes: replace it")
            if member.isreg():
                found[member.name] = tarfile.ExFileObject(reader.tar, member).read()
            elif isinstance(target := kind_or_target(member), str):
                found[member.name] = target
    content = next((found[spelling] for spelling in spellings if spelling in found), None)
    if isinstance(content, str):
        content = GetTarFile(f, content, limit, links + 1) if links < 16 else None
        if content is None:
            raise ArchiveError(f"'{f}': '{name}' is a link that leads to no file: replace it")
    if content is None and limit and not reader.has_end:
        raise ArchiveError(f"'{f}' is cut off and lacks '{name}': replace it")
    return content


def GetManifestFromTar(f: str | None = None) -> list[Any]:
    """Returns the list in manifest.json of the archive at path f, or []; raises as GetTarFile."""
    content = GetTarFile(f, 'manifest.json', 4 << 20) if f else None
    with contextlib.suppress(ValueError, RecursionError):
        if isinstance(manifest := json.loads(b'[]' if content is None else content), list):
            return manifest
    raise ArchiveError(f"'{f}': manifest.json is not a JSON list: replace it")


def GetLatestManifestFromTar(f: str | None = None) -> dict[str, Any] | None:
    """Returns the last entry of the manifest.json of the archive at path f, or None.

    Raises as GetManifestFromTar does, and ArchiveError over a bad Config or Layers.
    """
    for entry in GetManifestFromTar(f)[-1:]:
        with contextlib.suppress(ArchiveError, AttributeError, LookupError, TypeError):
            layers = entry.get('Layers')
            for name in [entry['Config']] + ([] if layers is None else layers):
                member_name(name)
            return cast(dict[str, Any], entry)
        raise ArchiveError(f"'{f}': manifest.json lacks a valid Config or Layers: replace it")
    return None
