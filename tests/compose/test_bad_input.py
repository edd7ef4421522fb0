# SPDX-License-Identifier: Apache-2.0
"""build_image: what is wrong is one line, names a flag of this program, and leaves nothing."""

import gzip
import json
import os
import re
import resource

import pytest

import build_image
from support.composed import image_fails
from support.images import BEFORE_1_10, BaseImage, configuration, write_base
from support.layers import base_of
from support.odd_layers import xattr
from support.project import FIXTURES
from support.running import build, fails, problems, warns
from support.tars import make_tar, member, tar_of, write_tar

PLAIN = FIXTURES / 'docker-20.10.tar'
FLAGS = {*build_image._FLAGS, 'help'}
OLD = b'the old file'


@pytest.fixture
def output(tmp_path):
    """The path of an image, in a directory of its own."""
    directory = tmp_path / 'output'
    directory.mkdir()
    return directory / 'image.tar'


@pytest.fixture
def app(tmp_path):
    path = tmp_path / 'app'
    path.write_bytes(b'#!/bin/sh\n')
    return path


def assert_names_own_flags(text):
    """Every flag in a message is one of this program."""
    assert set(re.findall(r'--(\w+)', text)) <= FLAGS


# One wrong value of each flag, and how the error begins.
WRONG = {
    'file': ('--file=x', "--file: 'x' is not SOURCE=DESTINATION"),
    'file missing': ('--file=/missing=x', "'/missing': No such file"),
    'tar': ('--tar=/missing', "'/missing': No such file"),
    'deb': ('--deb=/etc/hostname', "'/etc/hostname'"),
    'link': ('--link=x', "--link: 'x' is not PATH:TARGET"),
    'empty_dir': ('--empty_dir=../x', "--empty_dir: '../x' has '..'"),
    'empty_file': ('--empty_file=x/', "--empty_file: 'x/' is no name"),
    'directory': ('--directory=..', "--directory: '..' has '..'"),
    'mode': ('--mode=8', "--mode: '8' is not a mode"),
    'modes': ('--modes=x', "--modes: 'x' is not a path"),
    'modes of nothing': ('--modes=x=644', "--modes: 'x' is no file"),
    'owner': ('--owner=x', "--owner: 'x' is not UID.GID"),
    'owners': ('--owners=x=y', "--owners: 'y' is not UID.GID"),
    'owners of nothing': ('--owners=x=1.1', "--owners: 'x' is no file"),
    'mtime': ('--mtime=x', "--mtime: 'x' is not a time"),
    'base': ('--base=/missing', "'/missing': No such file"),
    'layer': ('--layer=/missing', "'/missing': No such file"),
    'layer of no tar': ('--layer=/etc/hostname', "'/etc/hostname' is cut off or not a tar archive"),
    'lower': ('--lower=x', '--lower: only a layer of a base is below: give --base'),
    'delete': ('--delete=x', '--delete: only a file of a base can be deleted: give --base'),
    'partial': ('--partial', '--partial: only the layers of a base can be left out: give --base'),
    'digest_file': ('--digest_file=x', '--digest_file: only an OCI layout has that digest'),
    'id_file': ('--id_file=/missing/x', "'/missing/x': No such file"),
    'entrypoint': ('--entrypoint=[', "--entrypoint: '[' begins with ["),
    'command': ('--command=["', '--command: '),
    'env': ('--env=x', "--env: 'x' is not NAME=VALUE"),
    'labels': ('--labels=x=@/missing', "'/missing': No such file"),
    'ports': ('--ports=x', "--ports: 'x' is not"),
    'volumes': ('--volumes=,', '--volumes: an item is empty'),
    'workdir': ('--workdir=x', "--workdir: 'x' is not an absolute path"),
    'architecture': ('--architecture=a/b', "--architecture: 'a/b' is not one name"),
    'base_tag': ('--base_tag=x', '--base_tag: only an image of a base is chosen: give --base'),
    'platform': ('--platform=x', "--platform: 'x' is not"),
    'annotations': ('--annotations=a=b', '--annotations: only an OCI layout has them: give --oci'),
    'healthcheck': ('--healthcheck=x', "--healthcheck: 'x' is not"),
    'created': ('--created=x', "--created: 'x' is not a time"),
    'tag': ('--tag=X', "--tag: 'X': give a lower-case"),
    'unknown': ('--compression=gz', "Unknown command line flag 'compression'"),
}


@pytest.mark.parametrize('case', WRONG)
def test_wrong_value_of_a_flag(output, case):
    flag, beginning = WRONG[case]
    error = image_fails(output, flag, '--verify')
    assert error.startswith(beginning)
    assert_names_own_flags(error)


def test_output_is_required(app):
    error = fails(f'--file={app}=app', program='build_image')
    assert error == '--output is missing: give the archive to write; - is stdout'


def test_wrong_configuration_is_found_before_files_are_read(output):
    """A large layer is not made in vain."""
    error = image_fails(output, '--workdir=x', '--file=/missing=x', '--layer=/missing')
    assert error.startswith('--workdir: ')


# Bases.

BASES = {
    'no image': (tar_of(member('a')), 'is not a valid base image'),
    'damaged': (PLAIN.read_bytes()[:700], 'cut off'),
}


@pytest.mark.parametrize('more', [[], ['--partial'], ['--empty_dir=x']])
@pytest.mark.parametrize('case', BASES)
def test_wrong_base(tmp_path, output, case, more):
    content, text = BASES[case]
    base = tmp_path / 'base.tar'
    base.write_bytes(content)
    error = image_fails(output, f'--base={base}', *more)
    assert repr(str(base)) in error
    assert text in error
    assert_names_own_flags(error)


def test_base_of_docker_before_1_10(output):
    error = image_fails(output, f'--base={FIXTURES / BEFORE_1_10}')
    assert error.startswith('--base: ')
    assert 'was written by Docker 1.9 or older' in error


@pytest.mark.parametrize('more', [[], ['--empty_dir=x'], ['--oci'], ['--verify']])
def test_base_without_its_layer(tmp_path, output, more):
    base = write_base(tmp_path / 'base.tar', BaseImage(['a', 'b']), without=['b'])
    error = image_fails(output, f'--base={base}', *more)
    assert error.removeprefix('--base: ').startswith(f"{str(base)!r} lacks its layer 'b'")
    assert error.endswith(': give a whole image')


def test_file_that_breaks_the_base(tmp_path, output, app):
    base = base_of(tmp_path / 'base.tar', tar_of(member('a/b', b'1')))
    error = image_fails(output, f'--base={base}', f'--file={app}=a')
    assert error.startswith("--file: 'a': the base has a directory at 'a': delete that by --delete")


# What --verify finds.


def test_partial_image_does_not_pass_verify_without_an_oci_layout(output):
    (error,) = problems(f'--output={output}', f'--base={PLAIN}', '--partial', program='build_image')
    assert error.startswith('--base: the output lacks ')
    assert error.endswith(': leave --partial out, or give --oci')
    flags = [f'--output={output}', f'--base={PLAIN}', '--partial', '--oci']
    assert problems(*flags, program='build_image') == []


def test_member_that_clients_cannot_unpack(tmp_path, output):
    """The layer of files is checked, too: a merged tarball may have anything."""
    tar = write_tar(tmp_path / 'a.tar', xattr(b'com.apple.x'), member('x'))
    (error,) = problems(f'--output={output}', f'--tar={tar}', program='build_image')
    assert error.startswith("the new layer: member 'x' has the extended attribute")
    assert not output.exists()


def test_problem_of_the_base_names_its_flag(tmp_path, output):
    """Members that clients refuse are not merged."""
    base = tmp_path / 'base.tar'
    link = member('v1/x', kind=b'2', link='../missing')
    image = BaseImage(['a'])
    write_base(base, image, more=[link])
    (warning,) = warns(f'--output={output}', f'--base={base}', program='build_image')
    assert warning.startswith('--base: ')
    assert_names_own_flags(warning)


def test_configuration_that_clients_do_not_read_names_no_file(tmp_path, output):
    labels = tmp_path / 'label'
    labels.write_text('x' * (5 << 20))
    flags = [f'--output={output}', f'--labels=a=@{labels}']
    (warning,) = warns(*flags, program='build_image')
    assert warning.startswith('the configuration')
    assert_names_own_flags(warning)


def test_one_layer_compressed_in_two_ways(tmp_path, output):
    layer = make_tar(tmp_path / 'a.tar', {'a': b'1'})
    packed = tmp_path / 'a.tar.gz'
    packed.write_bytes(gzip.compress(layer.read_bytes()))
    error = image_fails(output, f'--layer={layer}', f'--layer={packed}')
    text = f'{str(layer)!r} and {str(packed)!r} are one layer, compressed in two ways'
    assert error == f'--layer: {text}: give one of them'


# Outputs.

LAYER = tar_of(member('a'))
INPUTS = ['--file={}=x', '--layer={}', '--tar={}', '--labels=a=@{}']


@pytest.mark.parametrize('output_flag', ['--output', '--id_file', '--digest_file'])
@pytest.mark.parametrize('input_flag', [*INPUTS, '--base={}'])
def test_output_that_is_an_input(tmp_path, output_flag, input_flag):
    path = tmp_path / 'input'
    content = {'--base={}': PLAIN.read_bytes(), INPUTS[-1]: b'text'}.get(input_flag, LAYER)
    path.write_bytes(content)
    flags = ['--oci', '--empty_dir=x', input_flag.format(path)]
    if output_flag != '--output':
        flags.append(f'--output={tmp_path}/image.tar')
    done = [*flags, f'{output_flag}={path}']
    if (output_flag, input_flag) == ('--output', '--base={}'):
        build(*done, program='build_image')  # it is replaced as a whole
        return
    error = fails(*done, program='build_image')
    name = input_flag.partition('=')[0]
    text = f'{str(path)!r} is also the file of {name}'
    assert error == f'{output_flag}: {text}: give another path'
    assert path.read_bytes() == content
    assert os.listdir(tmp_path) == ['input']


@pytest.mark.parametrize(
    ('flag', 'other'),
    [('--id_file', '--output'), ('--digest_file', '--output'), ('--id_file', '--digest_file')],
)
def test_two_outputs_of_one_path(tmp_path, flag, other):
    flags = {'--output': tmp_path / 'image.tar', '--digest_file': tmp_path / 'digest'}
    flags[flag] = flags[other]
    arguments = [f'{name}={path}' for name, path in flags.items()]
    error = fails('--oci', *arguments, program='build_image')
    assert error.startswith(f'{flag}: ')
    assert error.endswith(f' is also the file of {other}: give another path')
    assert os.listdir(tmp_path) == []


def test_after_an_error_the_old_files_are_untouched(tmp_path, app):
    paths = [tmp_path / name for name in ('image.tar', 'digest', 'id')]
    for path in paths:
        path.write_bytes(OLD)
    flags = [f'--output={paths[0]}', f'--digest_file={paths[1]}', f'--id_file={paths[2]}', '--oci']
    (error,) = problems(*flags, f'--file={app}=app', '--tag=X', program='build_image')
    assert error.startswith('--tag: ')
    assert [path.read_bytes() for path in paths] == [OLD] * 3
    assert sorted(os.listdir(tmp_path)) == ['app', 'digest', 'id', 'image.tar']


SMALL_FILES = {'preexec_fn': lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (9000, 9000))}


def test_no_room_for_the_layer_names_the_output(output, app):
    error = image_fails(output, f'--file={app}=app', **SMALL_FILES)
    advice = 'check the path, its permissions and limits'
    assert error == f'{str(output)!r}: File too large: {advice}'


def test_no_room_for_the_layer_above_another_names_the_directory(tmp_path, output, app):
    layer = make_tar(tmp_path / 'below.tar', {'x': b'x'})
    error = image_fails(output, f'--layer={layer}', f'--file={app}=app', **SMALL_FILES)
    advice = 'give --output in another directory, with room for it'
    assert error == f'{str(output.parent)!r}: File too large: {advice}'


def test_no_room_for_the_layer_beside_stdout_names_tmpdir(tmp_path, app):
    options = {**SMALL_FILES, 'env': {**os.environ, 'TMPDIR': str(tmp_path)}}
    error = fails('--output=-', f'--file={app}=app', program='build_image', **options)
    advice = 'set TMPDIR to a directory with room for it'
    assert error == f'{str(tmp_path)!r}: File too large: {advice}'
    assert os.listdir(tmp_path) == ['app']


def test_base_configuration_is_checked(tmp_path, output):
    """As create_image_config does it."""
    config = {**configuration([]), 'history': [{}]}
    entry = {'Config': 'c.json', 'Layers': [], 'RepoTags': None}
    files = {'c.json': json.dumps(config).encode(), 'manifest.json': json.dumps([entry]).encode()}
    base = make_tar(tmp_path / 'base.tar', files)
    error = image_fails(output, f'--base={base}')
    assert error.startswith(f"--base: {str(base)!r}: its configuration 'c.json': history has 1")
