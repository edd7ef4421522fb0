# SPDX-License-Identifier: Apache-2.0
"""TarFileWriter, as other build scripts use it."""

import os
import tarfile

import pytest

from archive import TarFileWriter
from conftest import content, make_tar, members, names

OFFSETS = [0, 1, 511, 512, 4095, 65535, 65536, 65537, 100000]


def test_members(tmp_path):
    (tmp_path / 'file').write_bytes(b'from a file')
    path = tmp_path / 'out.tar'
    with TarFileWriter(str(path)) as tar:
        tar.add_file('a/b/text', content='täxt')
        tar.add_file('./a//bytes', content=b'\0\xff', mode=0o4700)
        tar.add_file('/a/file', file_content=str(tmp_path / 'file'))
        tar.add_file('folder', tarfile.DIRTYPE)
        tar.add_file('folder/closed/', tarfile.DIRTYPE, mode=0o700)
        tar.add_file('empty')
    found = [(m.name, m.type, m.mode, data) for m, data in members(path)]
    assert found == [
        ('a', tarfile.DIRTYPE, 0o755, None),
        ('a/b', tarfile.DIRTYPE, 0o755, None),
        ('a/b/text', tarfile.REGTYPE, 0o644, 'täxt'.encode()),
        ('a/bytes', tarfile.REGTYPE, 0o4700, b'\0\xff'),
        ('a/file', tarfile.REGTYPE, 0o644, b'from a file'),
        ('folder', tarfile.DIRTYPE, 0o755, None),
        ('folder/closed', tarfile.DIRTYPE, 0o700, None),
        ('empty', tarfile.REGTYPE, 0o644, b''),
    ]


@pytest.mark.parametrize('name', ['', '.', '/', '../a', 'a/..', 'a\0b'])
def test_what_is_no_name(tmp_path, name):
    with pytest.raises(TarFileWriter.Error), TarFileWriter(str(tmp_path / 'out.tar')) as tar:
        tar.add_file(name, content='')
    assert list(tmp_path.iterdir()) == []


def test_a_file_is_no_parent(tmp_path):
    with TarFileWriter(str(tmp_path / 'out.tar')) as tar:
        tar.add_file('a')
        with pytest.raises(TarFileWriter.Error, match='not a directory'):
            tar.add_file('a/b')


def test_the_first_stays(tmp_path, caplog):
    with TarFileWriter(str(tmp_path / 'out.tar')) as tar:
        tar.add_file('a/b', content='first')
        tar.add_file('./a/b', content='second')
        tar.add_file('a', tarfile.DIRTYPE)
        tar.add_file('c', tarfile.DIRTYPE)
        tar.add_file('c', content='file')
    assert names(tmp_path / 'out.tar') == ['a', 'a/b', 'c']
    assert content(tmp_path / 'out.tar', 'a/b') == b'first'
    assert caplog.messages == [
        "'a/b' comes twice: the first one stays",
        "'c' comes twice: the first one stays",
    ]


def test_an_exception_leaves_nothing(tmp_path):
    with pytest.raises(KeyError), TarFileWriter(str(tmp_path / 'out.tar')) as tar:
        tar.add_file('a', content=b'x' * 100000)
        raise KeyError
    assert list(tmp_path.iterdir()) == []


def test_a_writer_that_is_dropped_leaves_nothing(tmp_path):
    tar = TarFileWriter(str(tmp_path / 'out.tar'))
    tar.add_file('a')
    (partial,) = tmp_path.iterdir()
    assert partial.name.startswith('.create_image-')
    assert partial.name.endswith('.partial')
    del tar
    assert list(tmp_path.iterdir()) == []


def test_close(tmp_path):
    tar = TarFileWriter(str(tmp_path / 'out.tar'))
    tar.add_file('a')
    tar.close()
    data = (tmp_path / 'out.tar').read_bytes()
    tar.close()
    assert (tmp_path / 'out.tar').read_bytes() == data
    assert len(data) == 10240
    assert data[512:] == bytes(9728)


def test_a_full_record_is_followed_by_zero_blocks(tmp_path):
    with TarFileWriter(str(tmp_path / 'out.tar')) as tar:
        tar.add_file('a', content=b'x' * (10240 - 512))
    data = (tmp_path / 'out.tar').read_bytes()
    assert (len(data), data[10240:]) == (20480, bytes(10240))


def test_filter_and_normal_names(tmp_path):
    base = make_tar(tmp_path / 'base.tar', {'./a': b'1', '/b': b'2', 'c//./d': b'3', 'e': b'4'})
    seen = []
    with TarFileWriter(str(tmp_path / 'out.tar')) as tar:
        tar.add_tar(str(base), lambda name: seen.append(name) or name != 'b')
    assert seen == ['a', 'b', 'c/d', 'e']
    assert names(tmp_path / 'out.tar') == ['a', 'c', 'c/d', 'e']


def test_the_root_is_left_out(tmp_path):
    base = tmp_path / 'base.tar'
    with tarfile.open(base, 'w') as tar:
        for name in ('.', './a'):
            info = tarfile.TarInfo(name)
            info.type = tarfile.DIRTYPE
            tar.addfile(info)
    with TarFileWriter(str(tmp_path / 'out.tar')) as tar:
        tar.add_tar(str(base))
    assert names(tmp_path / 'out.tar') == ['a']


@pytest.mark.parametrize('size', OFFSETS)
@pytest.mark.parametrize('before', [0, 1, 3000, 3072, 3584])
def test_alignment(tmp_path, size, before):
    """From 64 KiB on; by a PAX header with one comment of spaces, and only there."""
    data = os.urandom(size)
    (tmp_path / 'file').write_bytes(data)
    with TarFileWriter(str(tmp_path / 'one.tar')) as tar:
        tar.add_file('before', content=b'b' * before)
        tar.add_file('n' * 150, file_content=str(tmp_path / 'file'))
        tar.add_file('behind', content='behind')
    with TarFileWriter(str(tmp_path / 'two.tar')) as tar:
        tar.add_file('more', content='more')
        tar.add_tar(str(tmp_path / 'one.tar'))
    for path in tmp_path / 'one.tar', tmp_path / 'two.tar':
        with tarfile.open(path) as tar:
            member = tar.getmember('n' * 150)
            assert tar.extractfile(member).read() == data
            assert tar.extractfile('behind').read() == b'behind'
        if size < 65536:
            assert member.pax_headers == {}
        else:
            assert member.offset_data % 4096 == 0
            assert list(member.pax_headers) == ['comment']
            assert member.pax_headers['comment'].strip(' ') == ''
