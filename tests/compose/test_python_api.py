# SPDX-License-Identifier: Apache-2.0
"""build_image.build_image(), as build scripts call it."""

import os
import pathlib

import pytest

import build_image
from archive import TarFileWriter
from support.composed import build_image as build_by_flags
from support.project import FIXTURES
from support.tars import make_tar, sha256

BASE = FIXTURES / 'docker-20.10.tar'


@pytest.fixture
def output(tmp_path):
    """The path of an image, in a directory of its own."""
    (tmp_path / 'output').mkdir()
    return tmp_path / 'output' / 'image.tar'


@pytest.fixture
def app(tmp_path):
    path = tmp_path / 'app'
    path.write_bytes(b'#!/bin/sh\n')
    return path


@pytest.mark.parametrize('as_pairs', [False, True])
def test_every_argument_does_what_its_flag_does(tmp_path, output, app, as_pairs):
    tar = make_tar(tmp_path / 'a.tar', {'t': b'1'})
    layer = make_tar(tmp_path / 'layer.tar', {'l': b'1'})
    flags = [f'--file={app}=bin/app', f'--tar={tar}', '--link=l:x', '--empty_dir=d']
    flags += ['--empty_file=e', '--directory=opt', '--mode=640', '--modes=opt/e=600']
    flags += ['--owner=1.2', '--owners=opt/e=3.4', '--mtime=5', '--follow_links']
    flags += [f'--base={BASE}', f'--layer={layer}', f'--lower={layer}', '--partial', '--oci']
    flags += ['--delete=etc/base-release', '--tag=a:1', '--entrypoint=/x,y', '--command=z']
    flags += ['--env=A=1,B=$A', '--labels=a=b', '--ports=80', '--volumes=/v', '--user=u']
    flags += ['--workdir=/w', '--architecture=arm64', '--variant=v8', '--created=1']
    flags += ['--author=me', '--created_by=it', '--stop_signal=9']
    flags += ['--annotations=a=b', '--base_tag=example/base:1.0', '--platform=linux/amd64']
    flags += ['--remove_env=*', '--healthcheck={"Test": ["NONE"]}']
    flags += [f'--id_file={tmp_path}/id', f'--digest_file={tmp_path}/digest']
    wanted = build_by_flags(output, *flags)
    digest = (tmp_path / 'digest').read_bytes()
    output.unlink()
    found = build_image.build_image(
        output,
        files=[(app, 'bin/app')] if as_pairs else {app: 'bin/app'},
        tars=[str(tar)],
        links=[('l', 'x')] if as_pairs else {'l': 'x'},
        empty_dirs=['d'],
        empty_files=['e'],
        directory='opt',
        mode=0o640,
        modes={'opt/e': 0o600},
        owner=(1, 2),
        owners={'opt/e': (3, 4)},
        mtime=5,
        follow_links=True,
        base=BASE,
        base_tag='example/base:1.0',
        platform='linux/amd64',
        layers=[layer],
        lower=[layer],
        partial=True,
        oci=True,
        delete=['etc/base-release'],
        tags=['a:1'],
        entrypoint=['/x', 'y'],
        cmd=['z'],
        env={'A': '1', 'B': '$A'},
        labels={'a': 'b'},
        ports=['80'],
        volumes=['/v'],
        user='u',
        workdir='/w',
        architecture='arm64',
        variant='v8',
        created='1',
        author='me',
        created_by='it',
        stop_signal='9',
        annotations=[('a', 'b')] if as_pairs else {'a': 'b'},
        remove_env=['*'],
        healthcheck={'Test': ['NONE']},
        id_file=tmp_path / 'api_id',
        digest_file=tmp_path / 'api_digest',
    )
    assert output.read_bytes() == wanted
    assert (tmp_path / 'api_id').read_bytes() == (tmp_path / 'id').read_bytes()
    assert (tmp_path / 'api_id').read_text() == f'{found}\n'
    assert (tmp_path / 'api_digest').read_bytes() == digest


def test_output_alone_makes_an_image_without_layers(output):
    build_image.build_image(str(output))
    first = sha256(output.read_bytes())
    build_by_flags(output)
    assert sha256(output.read_bytes()) == first


WRONG_TYPES = {
    'output': ({'output': None}, 'output: give a str or an os.PathLike, not NoneType'),
    'files': ({'files': 'a'}, 'files: give a list, not str'),
    'a file': ({'files': ['ab']}, 'files[0]: give a pair, not str'),
    'half a file': ({'files': [('a',)]}, "files[0]: give a pair, not ('a',)"),
    'a path': ({'files': [(1, 'b')]}, 'files[0]: give a str or an os.PathLike, not int'),
    'a destination': ({'files': {'a': 1}}, 'files[0]: give a str, not int'),
    'links': ({'links': 1}, 'links: give a list, not int'),
    'a target': ({'links': {'a': None}}, 'links[0]: give a str, not NoneType'),
    'tars': ({'tars': 'a'}, 'tars: give a list, not str'),
    'debs': ({'debs': [1]}, 'debs[0]: give a str or an os.PathLike, not int'),
    'empty_dirs': ({'empty_dirs': 'a'}, 'empty_dirs: give a list, not str'),
    'empty_files': ({'empty_files': [1]}, 'empty_files[0]: give a str, not int'),
    'directory': ({'directory': 1}, 'directory: give a str or an os.PathLike, not int'),
    'base': ({'base': ['a']}, 'base: give a str or an os.PathLike, not list'),
    'layers': ({'layers': 'a'}, 'layers: give a list, not str'),
    'lower': ({'lower': 'a'}, 'lower: give a list, not str'),
    'delete': ({'delete': 'a'}, 'delete: give a list, not str'),
    'base_tag': ({'base_tag': 1}, 'base_tag: give a str, not int'),
    'platform': ({'platform': 1}, 'platform: give a str, not int'),
    'annotations': ({'annotations': 'a=b'}, 'annotations: give a list, not str'),
    'an annotation': ({'annotations': {'a': 1}}, 'annotations[0]: give a str, not int'),
    'tags': ({'tags': 'a:1'}, 'tags: give a list, not str'),
    'id_file': ({'id_file': 1}, 'id_file: give a str or an os.PathLike, not int'),
    'digest_file': ({'digest_file': 1}, 'digest_file: give a str or an os.PathLike, not int'),
    'entrypoint': ({'entrypoint': '/x'}, 'entrypoint: give a list, not str'),
    'user': ({'user': 1}, 'user: give a str, not int'),
    'unknown': ({'tag': 'a:1'}, 'tag: build_image() has no such argument'),
}


@pytest.mark.parametrize('case', WRONG_TYPES)
def test_argument_of_a_wrong_type_is_named(output, case):
    changes, message = WRONG_TYPES[case]
    with pytest.raises(TypeError) as raised:
        build_image.build_image(**{'output': output, **changes})
    assert str(raised.value) == message
    assert os.listdir(output.parent) == []


@pytest.mark.parametrize(
    ('arguments', 'error'),
    [
        ({'mode': 0o10000}, ValueError),
        ({'partial': True}, ValueError),
        ({'delete': ['x']}, ValueError),
        ({'ports': ['x']}, ValueError),
        ({'digest_file': 'x'}, ValueError),
        ({'tags': ['X'], 'verify': True}, ValueError),
        ({'base': '/missing'}, OSError),
        ({'layers': ['']}, OSError),
        ({'files': {'/missing': 'x'}}, OSError),
        ({'layers': ['/etc/hostname']}, TarFileWriter.Error),
    ],
)
def test_errors(output, arguments, error):
    with pytest.raises(error):
        build_image.build_image(output, **arguments)
    assert os.listdir(output.parent) == []


def test_paths_may_be_those_of_pathlib(output, app, monkeypatch):
    monkeypatch.chdir(output.parent)
    build_image.build_image(pathlib.Path('image.tar'), files={app: pathlib.Path('x').name})
    assert output.exists()
