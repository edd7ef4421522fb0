# SPDX-License-Identifier: Apache-2.0
"""build_tar.TarFile, as other build scripts call it."""

import os

import pytest

import build_tar
from support.layers import COMMON, base_of, make_layer, shown
from support.tars import DIR, FILE, LINK, content, member, names, tar_of, write_tar


@pytest.fixture
def file(tmp_path):
    path = tmp_path / 'file'
    path.write_bytes(b'data')
    return path


def test_methods_of_2016(tmp_path, file, output):
    tar = write_tar(tmp_path / 'a.tar', member('./t', b'1'))
    package = tmp_path / 'x.deb'
    data = tar_of(member('./d', b'2'))
    package.write_bytes(b'!<arch>\n' + b'%-48s%-10d`\n' % (b'data.tar', len(data)) + data)
    with build_tar.TarFile(str(output), '/opt', '') as layer:
        layer.add_link('l', 'target')
        layer.add_deb(str(package))
        layer.add_tar(str(tar))
        layer.add_file(str(file), 'f', mode=0o600)
        layer.add_file(file, '/g')
        layer.add_empty_dir('e')
        layer.add_empty_file('h')
    assert shown(output) == {
        'l': (LINK, 0o777, 0, 0, 'target'),
        'opt': (DIR, 0o755, 0, 0, ''),
        'opt/d': (FILE, 0o644, 0, 0, ''),
        'opt/t': (FILE, 0o644, 0, 0, ''),
        'opt/f': (FILE, 0o600, 0, 0, ''),
        'opt/g': (FILE, 0o644, 0, 0, ''),
        'opt/e': (DIR, 0o755, 0, 0, ''),
        'opt/h': (FILE, 0o644, 0, 0, ''),
    }
    assert content(output, 'opt/f') == b'data'


def test_same_bytes_as_the_program(tmp_path, file, output):
    base = base_of(tmp_path / 'base.tar', COMMON)
    flags = [f'--base={base}', f'--file={file}=bin/x', '--delete=etc/passwd', '--mtime=7']
    flags += ['--modes=bin/x=4711', '--owner=1.2', '--owners=bin/x=3.4', f'--id_file={output}.id']
    wanted = make_layer(output, *flags, '--compression=gz')
    other = tmp_path / 'other.tar'
    with build_tar.TarFile(
        other,
        compression='gz',
        base=base,
        delete=['etc/passwd'],
        mtime=7,
        modes={'bin/x': 0o4711},
        owner=(1, 2),
        owners={'bin/x': (3, 4)},
        id_file=tmp_path / 'id',
    ) as tar:
        tar.add_file(file, 'bin/x')
    assert other.read_bytes() == wanted
    assert (tmp_path / 'id').read_bytes() == output.with_name('layer.tar.id').read_bytes()


def test_after_an_exception_nothing_is_written(file, output):
    with pytest.raises(KeyError), build_tar.TarFile(output) as tar:
        tar.add_file(file, 'x')
        raise KeyError
    assert os.listdir(output.parent) == []


def test_nothing_is_written_before_the_end(file, output):
    with build_tar.TarFile(output) as tar:
        tar.add_file(file, 'x')
        assert os.listdir(output.parent) == []
    assert names(output) == ['x']


@pytest.mark.parametrize(
    ('arguments', 'error'),
    [
        ({'compression': 'lz'}, ValueError),
        ({'directory': '../x'}, ValueError),
        ({'delete': ['x']}, ValueError),
        ({'lower': ['x']}, ValueError),
        ({'base': '/missing'}, OSError),
        ({'id_file': '/missing/x'}, OSError),
        ({'lower': 'x', 'base': 'y'}, TypeError),
        ({'delete': 'x', 'base': 'y'}, TypeError),
        ({'mode': '0644'}, TypeError),
        ({'mode': 0o10000}, ValueError),
        ({'modes': {'x': -1}}, ValueError),
        ({'owner': '1.2'}, TypeError),
        ({'owner': (1, 1 << 31)}, ValueError),
        ({'owners': {'x': (-1, 0)}}, ValueError),
        ({'mtime': -1}, ValueError),
        ({'mtime': 1.5}, TypeError),
        ({'directory': None}, TypeError),
    ],
)
def test_wrong_arguments(output, arguments, error):
    with pytest.raises(error) as raised, build_tar.TarFile(output, **arguments):
        pass
    if error is TypeError:
        assert str(raised.value).removeprefix('--').startswith(next(iter(arguments)))
    assert os.listdir(output.parent) == []


def test_tarball_that_changes_before_the_end_is_an_error(tmp_path, output):
    tar = write_tar(tmp_path / 'a.tar', member('a', b'1'))
    with (
        pytest.raises(OSError, match='it changed while it was read'),
        build_tar.TarFile(output) as layer,
    ):
        layer.add_tar(tar)
        write_tar(tar, member('a', b'2' * 20000))
    assert os.listdir(output.parent) == []


def test_wrong_archives(file, output):
    for method in ('add_tar', 'add_deb'):
        with pytest.raises(build_tar.TarFile.Error), build_tar.TarFile(output) as tar:
            getattr(tar, method)(file)
    assert os.listdir(output.parent) == []
