# SPDX-License-Identifier: Apache-2.0
"""Compressed streams are read completely, and checked strictly at their end."""

import bz2
import gzip
import importlib.util
import io
import lzma
import types
import zlib

import pytest

from image_archive.tar import compression

BLOCK = compression.BLOCK_SIZE
PACK = {'gzip': gzip.compress, 'bzip2': bz2.compress, 'xz': lzma.compress}
SIZES = [0, 1, 511, BLOCK - 1, BLOCK, BLOCK + 1, 2 * BLOCK, 2 * BLOCK + 12345]


HAS_ISAL = importlib.util.find_spec('isal') is not None


@pytest.fixture(autouse=True, params=['zlib', 'isal'] if HAS_ISAL else ['zlib'])
def gzip_reader(request, monkeypatch):
    """Each test runs without the optional packages, and with isal if it is installed."""
    if request.param == 'zlib':
        monkeypatch.setattr(compression, '_optional_module', lambda name: None)
    return request.param


def inflated(data, name):
    blocks = list(compression.inflate(io.BytesIO(data), name))
    assert all(0 < len(block) <= BLOCK for block in blocks)
    return b''.join(blocks)


def content(size):
    return (bytes(range(251)) * (size // 251 + 1))[:size]


@pytest.mark.parametrize('name', PACK)
@pytest.mark.parametrize('size', SIZES)
def test_stream_is_read(name, size):
    data = PACK[name](content(size))
    assert compression.detect_compression(data) == name
    assert inflated(data, name) == content(size)


@pytest.mark.parametrize('name', PACK)
def test_several_streams_are_read(name):
    data = b''.join(PACK[name](content(size)) for size in SIZES)
    assert inflated(data, name) == b''.join(content(size) for size in SIZES)


@pytest.mark.parametrize('name', PACK)
@pytest.mark.parametrize('size', [1, BLOCK, 2 * BLOCK])
def test_cut_off_stream_is_an_error(name, size):
    data = PACK[name](content(size))
    for end in {1, 5, len(data) // 2, len(data) - 1}:
        with pytest.raises(compression.StreamError, match=r'is (cut off|damaged)'):
            inflated(data[:end], name)


@pytest.mark.parametrize('name', PACK)
@pytest.mark.parametrize('garbage', [b'x', b'\x1f\x8b', b'\xfd7zXZ\0', b'BZh9', b'\0x'])
def test_garbage_after_a_stream_is_an_error(name, garbage):
    with pytest.raises(compression.StreamError, match=r'is (cut off|damaged)'):
        inflated(PACK[name](b'data') + garbage, name)


@pytest.mark.parametrize('name', PACK)
@pytest.mark.parametrize('size', [1, 3, 4, 8, 512, 300000])
def test_zeros_after_and_between_streams(name, size):
    """gzip ignores any number of zeros, xz multiples of four; bzip2 allows none."""
    one, two = PACK[name](b'one'), PACK[name](b'two')
    for data, expected in ((one, b'one'), (one + bytes(size) + two, b'onetwo')):
        padded = data + bytes(size)
        if name == 'gzip' or (name == 'xz' and size % 4 == 0):
            assert inflated(padded, name) == expected
        else:
            with pytest.raises(compression.StreamError, match='is damaged'):
                inflated(padded, name)


def gzip_with(flags, header=b'', checksum=0, size=0):
    """Returns a gzip file whose header has these flags; numbers are added to what ends it."""
    deflater = zlib.compressobj(wbits=-15)
    data = deflater.compress(b'data') + deflater.flush()
    end = (zlib.crc32(b'data') ^ checksum).to_bytes(4, 'little') + (4 + size).to_bytes(4, 'little')
    return b'\x1f\x8b\x08' + bytes([flags]) + bytes(6) + header + data + end


GZIP_HEADERS = {
    'no flags': (0, b''),
    'text': (1, b''),
    'extra field': (4, b'\2\0ab'),
    'name': (8, b'name\0'),
    'comment': (16, b'comment\0'),
    'name and comment': (24, b'name\0comment\0'),
}


@pytest.mark.parametrize('case', GZIP_HEADERS)
def test_gzip_headers(case):
    data = gzip_with(*GZIP_HEADERS[case])
    assert inflated(data + data, 'gzip') == b'datadata'


DAMAGED_GZIP = {
    'a reserved flag': gzip_with(32),
    'another reserved flag and a name': gzip_with(128 | 8, b'name\0'),
    'a bad checksum of the header': gzip_with(2, b'xx'),
    'a bad checksum': gzip_with(0, checksum=1),
    'a bad checksum behind a name': gzip_with(8, b'name\0', checksum=1),
    'a bad size': gzip_with(0, size=1),
    'another method': gzip_with(0).replace(b'\x1f\x8b\x08', b'\x1f\x8b\x07'),
}


@pytest.mark.parametrize('case', DAMAGED_GZIP)
@pytest.mark.parametrize('before', [b'', gzip_with(0)])
def test_damaged_gzip_header_or_end_is_an_error(case, before):
    with pytest.raises(compression.StreamError, match='is damaged'):
        inflated(before + DAMAGED_GZIP[case], 'gzip')


@pytest.mark.parametrize('case', GZIP_HEADERS)
def test_isal_reads_members_with_plain_headers_alone(monkeypatch, case):
    """In the place of isal, zlib: the test runs without it, too."""
    used = []

    def new_decompressor(flag):
        used.append(flag)
        return compression._ZlibDecompressor()

    isal = types.SimpleNamespace(
        IgzipDecompressor=new_decompressor, DECOMP_GZIP='gzip', IsalError=AssertionError
    )
    monkeypatch.setattr(compression, '_optional_module', {'isal.igzip_lib': isal}.get)
    flags, header = GZIP_HEADERS[case]
    assert inflated(gzip_with(flags, header), 'gzip') == b'data'
    assert used == ['gzip'] * (flags in (0, 8))


class FakeDecompressor:
    """Holds back the last 1000 bytes of its input until the end of the stream.

    Python 3.14's decompressor for zstd does so, too. It needs no input after it returned as much
    as it was allowed to, though it may have no more output; then it is called with no input. In
    this fake, the content of a stream ends with a closing brace.
    """

    def __init__(self, options=None):
        self.eof = False
        self.needs_input = True
        self.unused_data = b''
        self._held = b''

    def decompress(self, data, max_length):
        assert not self.eof
        stream, bracket, rest = data.partition(b'}')
        self._held += stream
        if bracket:
            self.unused_data = rest
        ready = self._held if bracket else self._held[:-1000]
        given = ready[:max_length]
        self._held = self._held[len(given) :]
        self.eof = bool(bracket) and not self._held
        self.needs_input = len(given) < max_length and not self.eof
        return given


@pytest.fixture(params=['compression.zstd', 'backports.zstd'])
def fake_zstd(request, monkeypatch):
    module = types.SimpleNamespace(
        ZstdDecompressor=FakeDecompressor,
        ZstdError=AssertionError,
        DecompressionParameter=types.SimpleNamespace(window_log_max='window_log_max'),
    )
    modules = {request.param: module}
    monkeypatch.setattr(compression, '_optional_module', modules.get)


def test_decompressor_that_needs_no_input_and_returns_no_output(fake_zstd):
    data = content(BLOCK + 1000).replace(b'}', b' ')
    blocks = [data, b'}', b'end}', b'']
    file = types.SimpleNamespace(read=lambda size: blocks.pop(0))
    assert b''.join(compression.inflate(file, 'zstd')) == data + b'end'


def test_zstd_is_read_or_the_error_gives_advice():
    """Python 3.14 and later can read it, and backports.zstd."""
    zstd = compression._zstd_module()
    if zstd is not None:
        for size in SIZES:
            assert inflated(zstd.compress(content(size)), 'zstd') == content(size)
    else:
        with pytest.raises(compression.UnreadableError, match='is zstd: unpack it'):
            inflated(compression._ZSTD, 'zstd')


HEADS = {
    b'\x1f\x8b\x08': 'gzip',
    b'BZh91AY&SY': 'bzip2',
    b'BZh1\x17rE8P\x90': 'bzip2',
    b'BZh9 is a name': None,
    b'\xfd7zXZ\0': 'xz',
    b'\x28\xb5\x2f\xfd': 'zstd',
    b'\x50\x2a\x4d\x18': 'zstd',
    b'\x5f\x2a\x4d\x18': 'zstd',
    b'\x60\x2a\x4d\x18': None,
    b'\x1f\x8b'.ljust(257, b'\0') + b'ustar': None,
    b'': None,
    b'manifest.json': None,
}


@pytest.mark.parametrize('head', HEADS)
def test_detection_of_the_compression(head):
    assert compression.detect_compression(head.ljust(compression.HEAD_SIZE, b'\0')) == HEADS[head]
