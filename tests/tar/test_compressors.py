# SPDX-License-Identifier: Apache-2.0
"""Archives compressed by real programs (section 5)."""

import os
import random

import pytest

from image_archive.errors import ArchiveError
from support.amounts import some_every_day
from support.images import Parts
from support.real_archives import read, shell
from support.running import fails
from support.tars import python_reads_zstd

# Compressors.

COMPRESSED = {
    'gzip': 'gzip -c x.tar',
    'gzip by pipe': 'cat x.tar | gzip -1n',
    'gzip members': 'head -c 3000 x.tar | gzip && tail -c +3001 x.tar | gzip',
    'gzip and zeros': 'gzip -c x.tar && head -c 1000 /dev/zero',
    'pigz': 'pigz -c -p 4 -b 128 x.tar',
    'pigz independent': 'pigz -c -i -b 128 x.tar',
    'pigz at its best': 'pigz -c -11 -I 1 x.tar',
    '7z gzip': '7z a -tgzip -so -an x.tar',
    'bzip2': 'bzip2 -c x.tar',
    'bzip2 streams': 'head -c 3000 x.tar | bzip2 && tail -c +3001 x.tar | bzip2 -1',
    'bzip2 of nothing': 'bzip2 < /dev/null && bzip2 -c x.tar',
    'pbzip2': 'pbzip2 -c -p2 -b1 x.tar',
    '7z bzip2': '7z a -tbzip2 -so -an x.tar',
    'xz': 'xz -c x.tar',
    'xz at its best': 'xz -9e -c x.tar',
    'xz by threads': 'xz -T2 --block-size=64KiB -c x.tar',
    'xz without a check': 'xz --check=none -c x.tar',
    'xz with CRC32': 'xz --check=crc32 -c x.tar',
    'xz with SHA-256': 'xz --check=sha256 -c x.tar',
    'xz with a filter': 'xz --x86 --lzma2 -c x.tar',
    'xz streams': 'head -c 3000 x.tar | xz && tail -c +3001 x.tar | xz',
    'xz and padding': 'xz -c x.tar && head -c 1000 /dev/zero',
    'xz streams and padding': 'head -c 3000 x.tar | xz && head -c 8 /dev/zero && '
    'tail -c +3001 x.tar | xz && head -c 4 /dev/zero',
    'pixz': 'pixz -p 2 < x.tar',
    'pixz without an index': 'pixz -t -p 2 < x.tar',
    '7z xz': '7z a -txz -mx=9 -so -an x.tar',
}
ZSTD = {
    'zstd': 'zstd -c x.tar',
    'zstd by pipe': 'cat x.tar | zstd -1',
    'zstd at its best': 'zstd --ultra -22 -c x.tar',
    'zstd without a check': 'zstd --no-check -c x.tar',
    'zstd by threads': 'zstd -T2 -B512KiB -c x.tar',
    'zstd frames': 'head -c 3000 x.tar | zstd && tail -c +3001 x.tar | zstd',
    'zstd --long': 'zstd --long -c x.tar',
    'zstd --long by pipe': 'cat x.tar | zstd --long=27',
    'pzstd': 'pzstd -p 2 -c x.tar',
    'pzstd by pipe': 'cat x.tar | pzstd -p 2',
    'zstd and a skippable frame': "zstd -c x.tar && printf '\\x50\\x2a\\x4d\\x18\\4\\0\\0\\0data'",
}
NO_ZSTD = 'zstd: unpack it, install backports.zstd, or use Python 3.14'


@pytest.fixture(scope='module')
def packed(trees):
    """The archive before it is compressed, and what the tool reads in it."""
    (trees / 'full/directory/noise').write_bytes(random.Random(1).randbytes(400000))
    shell('tar -cf x.tar full/directory', trees)
    return trees / 'x.tar', read(trees / 'x.tar')


def compress(packed, directory, command):
    path, _ = packed
    os.link(path, directory / 'x.tar')
    shell(f'({command}) > packed', directory)
    return directory / 'packed'


EVERY_DAY = ['gzip', 'gzip members', 'gzip and zeros', 'bzip2', 'bzip2 streams', 'xz', 'xz streams']
EVERY_DAY += ['xz by threads', 'xz streams and padding', 'pigz', 'pbzip2', 'pixz', '7z xz']


@pytest.mark.parametrize('case', some_every_day(COMPRESSED, EVERY_DAY))
def test_output_of_each_compressor_is_read(packed, tmp_path, case):
    path = compress(packed, tmp_path, COMPRESSED[case])
    assert read(path) == packed[1]


@pytest.mark.parametrize('case', ZSTD)
def test_output_of_each_zstd_program_is_read(packed, tmp_path, case):
    path = compress(packed, tmp_path, ZSTD[case])
    if python_reads_zstd():
        assert read(path) == packed[1]
    else:
        line = fails(*Parts(tmp_path).flags, f'--legacy_base={path}')
        assert line == f"'{path}' is {NO_ZSTD}"


# Streams that need more memory than the tool allows.
LARGE_WINDOWS = {
    'xz': ('xz --lzma2=dict=192MiB -c x.tar', 'xz that takes over 128 MiB: unpack it'),
    'zstd': ('cat x.tar | zstd --long=28', 'zstd with a window of over 128 MiB: unpack it'),
}


@pytest.mark.parametrize('case', some_every_day(LARGE_WINDOWS, ['zstd']))
def test_window_of_over_128_mib_is_an_error(packed, tmp_path, case):
    command, text = LARGE_WINDOWS[case]
    path = compress(packed, tmp_path, command)
    line = fails(*Parts(tmp_path).flags, f'--legacy_base={path}')
    if case == 'zstd' and not python_reads_zstd():
        text = NO_ZSTD
    assert line == f"'{path}' is {text}"


CUT = ['gzip', 'pigz', 'bzip2', 'pbzip2', 'xz', 'pixz', '7z xz', 'xz streams']


@pytest.mark.parametrize('case', CUT)
def test_cut_off_stream_is_an_error(packed, tmp_path, case):
    path = compress(packed, tmp_path, COMPRESSED[case])
    data = path.read_bytes()
    for size in (len(data) - 1, len(data) - 9, len(data) // 2):
        path.write_bytes(data[:size])
        with pytest.raises(ArchiveError, match=r' is (cut off|damaged) '):
            read(path)
