# SPDX-License-Identifier: Apache-2.0
"""Compressed files: recognised by their content, and read strictly to their end.

Two packages are used to read if they are installed, the extra `fast`: isal, which inflates gzip at
twice the speed of zlib, and backports.zstd before Python 3.14.
"""

import bz2
import importlib
import lzma
import zlib
from collections.abc import Callable, Iterator
from typing import Any, Protocol

# Bytes of content that are read or inflated at a time: they fit into a cache of the processor.
BLOCK_SIZE = 256 << 10
# Where two threads work side by side: after each block they ask for Python's lock, and may wait.
LARGE_BLOCK_SIZE = 2 << 20
_INPUT_SIZE = 128 << 10  # bytes of a compressed file that are read at a time
_XZ_MEMORY = 128 << 20  # bytes; xz -9 takes 65 MiB
_ZSTD_WINDOW = 27  # the exponent of 128 MiB, the most that `zstd --long` writes by default

# How compressed files begin: RFC 1952, RFC 8878, and the bzip2 and xz formats.
_GZIP = b'\x1f\x8b'
_BZIP2 = b'BZh'
_BZIP2_BLOCKS = (b'1AY&SY', b'\x17rE8P\x90')  # pi or, where nothing follows, its root
_XZ = b'\xfd7zXZ\0'
_PLAIN_GZIP = (0, 8)  # flags of a header with nothing but a name
_GZIP_HEADER_SIZE = 10  # bytes before the name
_ZSTD = b'\x28\xb5\x2f\xfd'
_ZSTD_SKIPPABLE = b'\x2a\x4d\x18'  # after a byte from 0x50 on; files of pzstd begin so
COMPRESSIONS = ('gz', 'bz2', 'xz')  # of new files
HEAD_SIZE = 512  # bytes by which the compression is recognised


class StreamError(Exception):
    """A stream is cut off or damaged; the text says which, in words that follow its name."""


class UnreadableError(Exception):
    """A stream cannot be read here; the text says why and what to do, and follows its name."""


class Readable(Protocol):
    """A file to read from."""

    def read(self, size: int, /) -> bytes: ...


class Compressor(Protocol):
    """A compressor of one stream, as zlib, bz2 and lzma have it."""

    def compress(self, data: Any, /) -> bytes: ...

    def flush(self) -> bytes: ...


class _Decompressor(Protocol):
    """A decompressor of one stream, as bz2, lzma and compression.zstd have it."""

    @property
    def eof(self) -> bool: ...

    @property
    def needs_input(self) -> bool: ...

    @property
    def unused_data(self) -> bytes: ...

    def decompress(self, data: bytes, max_length: int) -> bytes: ...


class _ZlibDecompressor:
    """zlib's decompressor for one gzip member, with the methods of a _Decompressor."""

    def __init__(self) -> None:
        self._inflater = zlib.decompressobj(wbits=16 + zlib.MAX_WBITS)

    @property
    def eof(self) -> bool:
        return self._inflater.eof

    @property
    def needs_input(self) -> bool:
        return not self._inflater.unconsumed_tail

    @property
    def unused_data(self) -> bytes:
        return self._inflater.unused_data

    def decompress(self, data: bytes, max_length: int) -> bytes:
        return self._inflater.decompress(self._inflater.unconsumed_tail + data, max_length)


class _IsalDecompressor:
    """isal's decompressor for one gzip member, or zlib's where isal would be less strict.

    isal takes any flags in a header, and checks no checksum of it. The checksum of the content it
    checks as zlib does.
    """

    def __init__(self, isal: Any) -> None:
        """Makes a decompressor.

        Args:
            isal: the module isal.igzip_lib.
        """
        self._isal = isal
        self._inflater: _Decompressor | None = None  # not known before the header

    @property
    def eof(self) -> bool:
        return self._inflater is not None and self._inflater.eof

    @property
    def needs_input(self) -> bool:
        return self._inflater is None or self._inflater.needs_input

    @property
    def unused_data(self) -> bytes:
        return b'' if self._inflater is None else self._inflater.unused_data

    def decompress(self, data: bytes, max_length: int) -> bytes:
        if self._inflater is None:
            self._inflater = _ZlibDecompressor()
            is_gzip = len(data) >= _GZIP_HEADER_SIZE and data.startswith(_GZIP + b'\x08')
            if is_gzip and data[3] in _PLAIN_GZIP:
                self._inflater = self._isal.IgzipDecompressor(flag=self._isal.DECOMP_GZIP)
        return self._inflater.decompress(data, max_length)


def detect_compression(head: bytes) -> str | None:
    """Returns the compression of a file.

    Args:
        head: the first HEAD_SIZE bytes of the file, or all of a shorter one.

    Returns:
        'gzip', 'bzip2', 'xz', 'zstd', or None for a file that is not compressed.
    """
    if is_tar(head):  # whatever the name of its first member
        return None
    if head.startswith(_GZIP):
        return 'gzip'
    if head.startswith(_BZIP2) and head[4:10] in _BZIP2_BLOCKS:
        return 'bzip2'
    if head.startswith(_XZ):
        return 'xz'
    if head.startswith(_ZSTD) or (head[1:4] == _ZSTD_SKIPPABLE and head[0] >> 4 == 5):
        return 'zstd'
    return None


def is_tar(head: bytes) -> bool:
    """Tells whether a file is a plain tar archive (POSIX ustar).

    Args:
        head: the first HEAD_SIZE bytes of the file, or all of a shorter one.
    """
    return head[257:262] == b'ustar'


def looks_otherwise(head: bytes) -> bool:
    """Tells whether clients take a file for another format, by its first few bytes alone.

    So do containerd, Docker and Podman (DetectCompression in their archive packages).

    Args:
        head: the first HEAD_SIZE bytes of the file, or all of a shorter one.
    """
    compression = detect_compression(head)
    if compression == 'zstd':
        return not head.startswith(_ZSTD)
    return compression is None and head.startswith((_GZIP, _BZIP2, _XZ, _ZSTD))


def inflate(
    file: Readable, compression: str, leniences: list[str] | None = None
) -> Iterator[bytes]:
    """Yields the content of a compressed file.

    Args:
        file: the file, at its beginning.
        compression: what detect_compression() returned.
        leniences: gets a text for what is read that Go's compress/gzip does not read.

    Yields:
        Blocks of at most BLOCK_SIZE bytes.

    Raises:
        StreamError: it is cut off or damaged.
        UnreadableError: it needs too much memory, or a newer Python.
        OSError: the file cannot be read.
    """
    if compression == 'gzip':
        yield from _inflate_gzip(file, leniences)
    else:
        yield from _FORMATS[compression](file)


def new_compressor(compression: str) -> Compressor:
    """Returns the compressor of a file; its output has no name and no time.

    Args:
        compression: 'gz', 'bz2' or 'xz'.
    """
    if compression == 'gz':
        return zlib.compressobj(wbits=16 + zlib.MAX_WBITS)
    if compression == 'bz2':
        return bz2.BZ2Compressor()
    return lzma.LZMACompressor()


def _inflate_gzip(file: Readable, leniences: list[str] | None) -> Iterator[bytes]:
    isal = _optional_module('isal.igzip_lib')
    damage: tuple[type[Exception], ...] = (zlib.error,)
    if isal is not None:
        damage = (zlib.error, isal.IsalError)

    def new_decompressor() -> _Decompressor:
        return _ZlibDecompressor() if isal is None else _IsalDecompressor(isal)

    # Like gzip(1), zeros after a member are skipped: tapes and disks pad with them.
    return _inflate_streams(file, new_decompressor, damage, 1, leniences)


def _inflate_bzip2(file: Readable) -> Iterator[bytes]:
    # BZ2Decompressor raises an OSError of its own for damaged data.
    return _inflate_streams(file, bz2.BZ2Decompressor, OSError)


def _inflate_xz(file: Readable) -> Iterator[bytes]:
    def new_decompressor() -> lzma.LZMADecompressor:
        return lzma.LZMADecompressor(lzma.FORMAT_XZ, memlimit=_XZ_MEMORY)

    # The xz format's stream padding: four zero bytes, or a multiple of that.
    return _inflate_streams(file, new_decompressor, lzma.LZMAError, padding=4)


def _inflate_zstd(file: Readable) -> Iterator[bytes]:
    zstd = _zstd_module()
    if zstd is None:
        text = 'is zstd: unpack it, install backports.zstd, or use Python 3.14'
        raise UnreadableError(text)
    options = {zstd.DecompressionParameter.window_log_max: _ZSTD_WINDOW}

    def new_decompressor() -> _Decompressor:
        decompressor: _Decompressor = zstd.ZstdDecompressor(options=options)
        return decompressor

    return _inflate_streams(file, new_decompressor, zstd.ZstdError)


_FORMATS = {'bzip2': _inflate_bzip2, 'xz': _inflate_xz, 'zstd': _inflate_zstd}


def can_inflate(compression: str) -> bool:
    """Tells whether this Python can inflate a compression that detect_compression() returned."""
    if compression != 'zstd':
        return True
    return _zstd_module() is not None


def _zstd_module() -> Any:
    """Returns the module that reads zstd; None without one."""
    return _optional_module('compression.zstd') or _optional_module('backports.zstd')


def _optional_module(name: str) -> Any:
    """Returns a module; None if it is not installed."""
    try:
        return importlib.import_module(name)
    except ImportError:
        return None


def _inflate_streams(
    file: Readable,
    new_decompressor: Callable[[], _Decompressor],
    damage: type[Exception] | tuple[type[Exception], ...],
    padding: int = 0,
    leniences: list[str] | None = None,
) -> Iterator[bytes]:
    """Yields the content of all streams of a file, one after the other.

    The open() functions of the standard library are not strict enough: those of bz2 and lzma
    take damage after the first stream for the end.

    Args:
        file: the compressed file.
        new_decompressor: returns the decompressor for the next stream.
        damage: the exceptions that a decompressor raises for damaged data.
        padding: zeros may follow a stream, in multiples of this number; 0 allows none.
        leniences: gets a text if zeros follow a stream.
    """
    rest = file.read(_INPUT_SIZE)
    while rest:
        decompressor = new_decompressor()
        while not decompressor.eof:
            is_over = False
            if decompressor.needs_input and not rest:
                rest = file.read(_INPUT_SIZE)
                is_over = not rest
            try:
                block = decompressor.decompress(rest, BLOCK_SIZE)
            except damage as error:
                raise _stream_error(error) from error
            if is_over and not block and not decompressor.eof:
                raise StreamError('is cut off')
            rest = b''
            if block:
                yield block
        rest = decompressor.unused_data or file.read(_INPUT_SIZE)
        if padding:
            has_zeros = rest.startswith(b'\0')
            rest = _without_padding(file, rest, padding)
            if has_zeros and leniences is not None:
                leniences.append('has zeros after a compressed stream, which clients refuse')


def _without_padding(file: Readable, rest: bytes, multiple: int) -> bytes:
    """Returns what follows the zeros after a stream."""
    zeros = 0
    while rest:
        following = rest.lstrip(b'\0')
        zeros += len(rest) - len(following)
        if following:
            rest = following
            break
        rest = file.read(_INPUT_SIZE)
    if zeros % multiple:
        raise StreamError('is damaged')
    return rest


def _stream_error(error: Exception) -> StreamError | UnreadableError:
    """Returns what the error of a decompressor means to a user."""
    text = str(error)
    if 'Memory usage limit' in text:  # as lzma words it
        return UnreadableError(f'is xz that takes over {_XZ_MEMORY >> 20} MiB: unpack it')
    if 'too much memory' in text:  # as zstd words it
        size = 1 << _ZSTD_WINDOW >> 20
        return UnreadableError(f'is zstd with a window of over {size} MiB: unpack it')
    return StreamError('is damaged')
