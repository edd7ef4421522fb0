# SPDX-License-Identifier: Apache-2.0
"""TarFileWriter, as other build scripts use it (section 6)."""

import os
import tarfile

import pytest

from archive import TarFileWriter
from image_archive.tar.gnu_headers import NewMember, python_header
from support.tars import DIR, FILE, content, make_tar, member, members, names, write_tar


@pytest.fixture
def output(tmp_path):
    return tmp_path / 'out.tar'


# add_file.


def test_add_file_adds_members_and_missing_directories(tmp_path, output):
    (tmp_path / 'file').write_bytes(b'from a file')
    with TarFileWriter(str(output)) as tar:
        tar.add_file('a/b/text', content='täxt')
        tar.add_file('./a//bytes', content=b'\0\xff', mode=0o4700)
        tar.add_file('/a/file', file_content=str(tmp_path / 'file'))
        tar.add_file('directory', tarfile.DIRTYPE)
        tar.add_file('directory/closed/', tarfile.DIRTYPE, mode=0o700)
        tar.add_file('no rights', mode=0)
        tar.add_file('no way', tarfile.DIRTYPE, mode=0)
        tar.add_file('empty')
    found = [(m.name, m.type, m.mode, data) for m, data in members(output)]
    assert found == [
        ('a', DIR, 0o755, None),
        ('a/b', DIR, 0o755, None),
        ('a/b/text', FILE, 0o644, 'täxt'.encode()),
        ('a/bytes', FILE, 0o4700, b'\0\xff'),
        ('a/file', FILE, 0o644, b'from a file'),
        ('directory', DIR, 0o755, None),
        ('directory/closed', DIR, 0o700, None),
        ('no rights', FILE, 0, b''),
        ('no way', DIR, 0, None),
        ('empty', FILE, 0o644, b''),
    ]


@pytest.mark.parametrize(
    'options',
    [
        {'kind': tarfile.DIRTYPE, 'content': 'text'},
        {'kind': tarfile.DIRTYPE, 'file_content': 'file'},
        {'kind': tarfile.SYMTYPE},
        {'kind': tarfile.LNKTYPE},
        {'kind': tarfile.FIFOTYPE},
        {'kind': tarfile.CHRTYPE},
    ],
)
def test_only_files_and_empty_directories_can_be_added(tmp_path, output, options):
    """The content of other members would be read as headers."""
    with TarFileWriter(str(output)) as tar:
        with pytest.raises(ValueError, match='directory'):
            tar.add_file('name', **options)
        tar.add_file('other', content='text')
    assert members(output)[0][1] == b'text'
    assert names(output) == ['other']


def test_text_that_is_not_utf_8_keeps_its_bytes(output):
    with TarFileWriter(str(output)) as tar:
        tar.add_file('n\udcff', content='t\udcfe')
    assert members(output)[0][1] == b't\xfe'
    assert output.read_bytes().startswith(b'n\xff\0')


BAD_NAMES = {
    'none': '',
    'the directory itself': '.',
    'the root': '/',
    'above': '../a',
    'above at its end': 'a/..',
    'NUL': 'a\0b',
    '129 parts': 'a/' * 128 + 'b',
    '4097 bytes': 'n' * 4097,
}


@pytest.mark.parametrize('case', BAD_NAMES)
def test_bad_name_is_an_error(tmp_path, output, case):
    with pytest.raises(TarFileWriter.Error), TarFileWriter(str(output)) as tar:
        tar.add_file(BAD_NAMES[case], content='')
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize('name', ['a/' * 127 + 'b', 'n' * 4096])
def test_longest_names_are_accepted(output, name):
    with TarFileWriter(str(output)) as tar:
        tar.add_file(name, content='c')
    assert content(output, name) == b'c'


def test_member_below_a_file_is_an_error(output):
    with (
        pytest.raises(TarFileWriter.Error, match='not a directory'),
        TarFileWriter(str(output)) as tar,
    ):
        tar.add_file('a')
        tar.add_file('a/b')


FAILING = {
    'a missing file': ({'file_content': '/missing'}, OSError),
    'a name that leads out': ({'name': '../x'}, TarFileWriter.Error),
}


@pytest.mark.parametrize('case', FAILING)
def test_after_a_member_that_failed_nothing_is_added_or_put_in_place(output, case):
    arguments, error = FAILING[case]
    output.write_bytes(b'old')
    tar = TarFileWriter(str(output))
    tar.add_file('a')
    with pytest.raises(error):
        tar.add_file(**{'name': 'b', **arguments})
    with pytest.raises(TarFileWriter.Error, match='writing failed: write a new archive'):
        tar.add_file('c')
    with pytest.raises(TarFileWriter.Error, match='writing failed: write a new archive'):
        tar.close()
    tar.output.discard()
    assert output.read_bytes() == b'old'
    assert [path.name for path in output.parent.iterdir()] == [output.name]


def test_content_beside_a_file(output):
    with (
        pytest.raises(ValueError, match='give content or file_content, not both'),
        TarFileWriter(str(output)) as tar,
    ):
        tar.add_file('a', content=b'', file_content='/dev/null')


def test_first_of_two_members_of_one_name_is_kept(output, capfd, caplog):
    with TarFileWriter(str(output)) as tar:
        tar.add_file('file', content='first')
        tar.add_file('./file', content='second')
        tar.add_file('directory', tarfile.DIRTYPE)
        tar.add_file('directory/', tarfile.DIRTYPE, mode=0o700)
        tar.add_file('directory', content='file')
        tar.add_file('file', tarfile.DIRTYPE)
    found = [(m.name, m.type, data) for m, data in members(output)]
    assert found == [('file', FILE, b'first'), ('directory', DIR, None)]
    said = caplog.text + capfd.readouterr().err
    assert said.count("'file' occurs twice: only the first is kept") == 2
    assert said.count("'directory' occurs twice: only the first is kept") == 1


# add_tar.


def test_add_tar_filters_by_normalised_names(tmp_path, output):
    base = make_tar(tmp_path / 'base.tar', {'./a': b'1', '/b': b'2', 'c//./d': b'3', 'e': b'4'})
    seen = []

    def is_not_b(name):
        seen.append(name)
        return name != 'b'

    with TarFileWriter(str(output)) as tar:
        tar.add_tar(str(base), is_not_b)
    assert seen == ['a', 'b', 'c/d', 'e']
    assert names(output) == ['a', 'c', 'c/d', 'e']


def test_root_directory_is_left_out(tmp_path, output):
    base = write_tar(tmp_path / 'base.tar', member('.', kind=DIR), member('./a', kind=DIR))
    with TarFileWriter(str(output)) as tar:
        tar.add_tar(str(base))
    assert names(output) == ['a']


# close, and a writer that is not closed.


def test_no_file_is_left_after_an_exception(tmp_path, output):
    with pytest.raises(KeyError), TarFileWriter(str(output)) as tar:
        tar.add_file('a', content=b'x' * 100000)
        raise KeyError
    assert list(tmp_path.iterdir()) == []


def test_no_file_is_left_if_the_writer_is_not_closed(tmp_path, output):
    tar = TarFileWriter(str(output))
    tar.add_file('a')
    (partial,) = tmp_path.iterdir()
    assert partial.name.startswith('.create_image-')
    assert partial.name.endswith('.partial')
    del tar
    assert list(tmp_path.iterdir()) == []


def test_close_can_be_called_twice(output):
    tar = TarFileWriter(str(output))
    tar.add_file('a')
    tar.close()
    data = output.read_bytes()
    tar.close()
    assert output.read_bytes() == data
    assert len(data) == 10240
    assert data[512:] == bytes(9728)


def test_after_close_nothing_is_added(output):
    tar = TarFileWriter(str(output))
    tar.close()
    with pytest.raises(TarFileWriter.Error, match='is complete: write a new archive'):
        tar.add_file('a')


def test_after_close_that_failed_nothing_is_put_in_place(tmp_path, output):
    """Its directory is away for a moment."""
    tar = TarFileWriter(str(output))
    away = tmp_path.rename(tmp_path.with_name('away'))
    with pytest.raises(FileNotFoundError):
        tar.close()
    away.rename(tmp_path)
    with pytest.raises(TarFileWriter.Error, match='writing failed: write a new archive'):
        tar.close()
    assert not output.exists()


def test_full_record_is_followed_by_zero_blocks(output):
    with TarFileWriter(str(output)) as tar:
        tar.add_file('a', content=b'x' * (10240 - 512))
    data = output.read_bytes()
    assert (len(data), data[10240:]) == (20480, bytes(10240))


# Alignment.


@pytest.mark.parametrize('size', [0, 1, 511, 512, 4095, 65535, 65536, 65537, 100000])
@pytest.mark.parametrize('before', [0, 1, 3000, 3072, 3584])
def test_large_members_are_aligned(tmp_path, size, before):
    """From 64 KiB on; only there a PAX header has one comment of spaces as padding."""
    name = 'n' * 150
    data = os.urandom(size)
    (tmp_path / 'file').write_bytes(data)
    one, two = tmp_path / 'one.tar', tmp_path / 'two.tar'
    with TarFileWriter(str(one)) as tar:
        tar.add_file('before', content=b'b' * before)
        tar.add_file(name, file_content=str(tmp_path / 'file'))
        tar.add_file('behind', content='behind')
    with TarFileWriter(str(two)) as tar:
        tar.add_file('more', content='more')
        tar.add_tar(str(one))
    for path in one, two:
        assert content(path, name) == data
        assert content(path, 'behind') == b'behind'
        (info,) = [m for m, _ in members(path) if m.name == name]
        if size < 65536:
            assert info.pax_headers == {}
        else:
            assert info.offset_data % 4096 == 0
            assert list(info.pax_headers) == ['comment']
            assert info.pax_headers['comment'].strip(' ') == ''


# Headers of image archives, which were once written by Python's tarfile: their bytes stay.

HEADERS = [
    {'name': 'a'},
    {'name': 'd', 'type': DIR},
    *({'name': 'n' * size} for size in (99, 100, 101, 3000)),
    *({'name': 'd' * size, 'type': DIR} for size in (99, 100)),
    *({'name': 'l', 'type': tarfile.SYMTYPE, 'linkname': 't' * size} for size in (1, 100, 101)),
    {'name': 'n' * 200, 'type': tarfile.LNKTYPE, 'linkname': 't' * 200},
    {'name': 'é\udcff', 'uname': 'é' * 20, 'gname': 'g' * 32},
    *({'name': 'a', 'size': size} for size in (1, (1 << 33) - 1, 1 << 33)),
    *({'name': 'a', 'uid': owner, 'gid': 7} for owner in ((1 << 21) - 1, 1 << 21, 1 << 55)),
    *({'name': 'a', 'uid': 7, 'gid': owner} for owner in ((1 << 21) - 1, 1 << 21, 1 << 55)),
    {'name': 'a', 'mode': 0o7777},
]


@pytest.mark.parametrize('fields', HEADERS)
def test_headers_have_the_bytes_of_tarfile(fields):
    info = tarfile.TarInfo(fields['name'])
    for field, value in fields.items():
        setattr(info, field, value)
    new = NewMember(
        info.name,
        info.type,
        info.mode,
        info.uid,
        info.gid,
        info.size,
        target=info.linkname,
        uname=info.uname,
        gname=info.gname,
    )
    assert python_header(new) == info.tobuf(tarfile.GNU_FORMAT, 'utf-8', 'surrogateescape')
