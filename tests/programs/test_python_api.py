# SPDX-License-Identifier: Apache-2.0
"""The public functions, as other build scripts call them (sections 1 and 9)."""

import inspect
import json
import pathlib
import subprocess
import sys

import pytest

import archive
import create_image
import join_layers
import utils
from archive import TarFileWriter
from support.images import BEFORE_1_10, on_fixture
from support.project import DATA, ROOT
from support.running import build
from support.tars import content, manifest, names


def parameters(function):
    """Returns the parameters of a function: a name, or (name, default)."""
    return [
        p.name if p.default is p.empty else (p.name, p.default)
        for p in inspect.signature(function).parameters.values()
    ]


OPTIONAL = ['tags', 'base', 'legacy_base', 'metadata_id', 'metadata', 'name', 'repository']
OPTIONAL += ['base_tag', 'platform']


def test_parameters_of_create_image():
    required = ['output', 'identifier', 'layers', 'config']
    expected = required + [(name, None) for name in OPTIONAL]
    assert parameters(create_image.create_image) == expected


def test_parameters_of_tar_file_writer():
    writer = archive.TarFileWriter
    assert parameters(writer)[0] == 'name'
    options = [('kind', b'0'), ('content', None), ('file_content', None), ('mode', None)]
    assert parameters(writer.add_file)[:6] == ['self', 'name', *options]
    assert parameters(writer.add_tar)[:3] == ['self', 'tar', ('name_filter', None)]


def test_other_public_names():
    assert create_image.DATA_FORMAT_VERSION == '1.0'
    assert issubclass(TarFileWriter.Error, Exception)
    for name in ('ExtractValue', 'GetTarFile', 'GetManifestFromTar', 'GetLatestManifestFromTar'):
        assert callable(getattr(utils, name))


# ExtractValue.


@pytest.mark.parametrize('value', ['plain', '', ' a ', 'a@b', 'sha256:AB'])
def test_extract_value_returns_a_plain_value(value):
    assert utils.ExtractValue(value) == value


@pytest.mark.parametrize('text', ['', '  ä b\n', 'sha256:AB\n'])
def test_extract_value_reads_a_file(tmp_path, text):
    (tmp_path / 'file').write_bytes(text.encode())
    assert utils.ExtractValue(f'@{tmp_path}/file') == text


def test_extract_value_raises_for_a_bad_or_missing_file(tmp_path):
    (tmp_path / 'file').write_bytes(b'\xff')
    with pytest.raises(ValueError, match='utf-8'):
        utils.ExtractValue(f'@{tmp_path}/file')
    with pytest.raises(FileNotFoundError):
        utils.ExtractValue(f'@{tmp_path}/missing')


# create_image.


def test_create_image_writes_the_same_bytes_as_the_command(tmp_path):
    image = on_fixture(tmp_path, 'docker-20.10.tar')
    build(*image.flags, '--tag=a:1', '--repository=r', '--name=n')
    by_flags = image.output.read_bytes()
    image.output.unlink()
    create_image.create_image(**image.arguments, tags=['a:1'], repository='r', name='n')
    assert image.output.read_bytes() == by_flags


def test_create_image_with_a_legacy_id_writes_the_same_bytes_as_the_command(parts):
    metadata = parts.directory / 'metadata.json'
    metadata.write_text('{}')
    identifier = 'c' * 64
    build(*parts.flags, f'--legacy_id={identifier}', f'--metadata={metadata}')
    by_flags = parts.output.read_bytes()
    parts.output.unlink()
    legacy = {'metadata_id': identifier, 'metadata': str(metadata)}
    create_image.create_image(**parts.arguments, **legacy)
    assert parts.output.read_bytes() == by_flags


def test_warning_is_printed_in_every_call(tmp_path, caplog, capfd):
    image = on_fixture(tmp_path, BEFORE_1_10)
    for _ in range(2):
        create_image.create_image(**image.arguments)
    said = caplog.text + capfd.readouterr().err
    assert said.count('was written by Docker 1.9 or older') == 2


# Arguments that replace good ones, the exception, and words of its message.
ERRORS = {
    'identifier': ({'identifier': 'a/b'}, ValueError, "--id: 'a/b'"),
    'layer': ({'layers': [{'name': '', 'layer': 'x'}]}, ValueError, '--layer'),
    'a layer without a file': ({'layers': [{'name': 'a'}]}, ValueError, "no 'layer'"),
    'no output': ({'output': ''}, ValueError, '--output is missing'),
    'no config': ({'config': ''}, ValueError, '--config is missing'),
    'metadata': ({'metadata_id': 'c' * 64}, ValueError, '--legacy_id'),
    'name': ({'repository': 'r'}, ValueError, '--repository'),
    'config': ({'config': 'missing'}, FileNotFoundError, 'missing'),
    'base': ({'base': str(DATA / 'README.md')}, TarFileWriter.Error, r'README\.md'),
    'legacy base': ({'legacy_base': str(DATA / 'README.md')}, TarFileWriter.Error, r'README\.md'),
}


@pytest.mark.parametrize('case', ERRORS)
def test_bad_arguments_raise(parts, case):
    changes, error, words = ERRORS[case]
    with pytest.raises(error, match=words):
        create_image.create_image(**{**parts.arguments, **changes})
    assert not parts.output.exists()


# Arguments of wrong types, and the message.
WRONG_TYPES = {
    'output': ({'output': None}, 'output: give a str or an os.PathLike, not NoneType'),
    'identifier': ({'identifier': None}, 'identifier: give a str, not NoneType'),
    'bytes': ({'identifier': b'a'}, 'identifier: give a str, not bytes'),
    'config': ({'config': 1}, 'config: give a str or an os.PathLike, not int'),
    'layers': ({'layers': 'layer.tar'}, 'layers: give a list, not str'),
    'no layers': ({'layers': None}, 'layers: give a list, not NoneType'),
    'one layer': ({'layers': {'name': 'a', 'layer': 'b'}}, 'layers: give a list, not dict'),
    'a path': (
        {'layers': ['layer.tar']},
        "layers[0]: give a dict with 'name' and 'layer', not str",
    ),
    'a name': ({'layers': [{'name': 1, 'layer': 'b'}]}, "layers[0]['name']: give a str, not int"),
    'no path': (
        {'layers': [{'name': 'a', 'layer': None}]},
        "layers[0]['layer']: give a str or an os.PathLike, not NoneType",
    ),
    'tags': ({'tags': 'a:1'}, 'tags: give a list, not str'),
    'a tag': ({'tags': ['a:1', 2]}, 'tags[1]: give a str, not int'),
    'base': ({'base': ['base.tar']}, 'base: give a str or an os.PathLike, not list'),
    'legacy_base': ({'legacy_base': 3}, 'legacy_base: give a str or an os.PathLike, not int'),
    'metadata_id': ({'metadata_id': 3}, 'metadata_id: give a str, not int'),
    'metadata': ({'metadata': b'm'}, 'metadata: give a str or an os.PathLike, not bytes'),
    'name': ({'name': ['n']}, 'name: give a str, not list'),
    'repository': ({'repository': 1}, 'repository: give a str, not int'),
}


@pytest.mark.parametrize('case', WRONG_TYPES)
def test_argument_of_a_wrong_type_is_named(parts, case):
    changes, message = WRONG_TYPES[case]
    with pytest.raises(TypeError) as raised:
        create_image.create_image(**{**parts.arguments, **changes})
    assert str(raised.value) == message
    assert not parts.output.exists()


WRONG_CALLS = {
    'output of a join': (
        lambda: join_layers.create_image(None, ['a']),
        'output: give a str or an os.PathLike, not NoneType',
    ),
    'layers of a join': (
        lambda: join_layers.create_image('o', 'abc'),
        'layers: give a list, not str',
    ),
    'a layer of a join': (
        lambda: join_layers.create_image('o', [None]),
        'layers[0]: give a str or an os.PathLike, not NoneType',
    ),
    'identifier of a join': (
        lambda: join_layers.create_image('o', ['a'], identifier=1),
        'identifier: give a str, not int',
    ),
    'value': (lambda: utils.ExtractValue(None), 'value: give a str, not NoneType'),
    'archive': (
        lambda: utils.GetTarFile(None, 'a'),
        'f: give a str or an os.PathLike, not NoneType',
    ),
    'member': (lambda: utils.GetTarFile('a', b'a'), 'name: give a str, not bytes'),
    'manifest': (lambda: utils.GetManifestFromTar(1), 'f: give a str or an os.PathLike, not int'),
    'latest manifest': (
        lambda: utils.GetLatestManifestFromTar(b'a'),
        'f: give a str or an os.PathLike, not bytes',
    ),
    'writer': (lambda: TarFileWriter(None), 'name: give a str or an os.PathLike, not NoneType'),
}


@pytest.mark.parametrize('case', WRONG_CALLS)
def test_other_argument_of_a_wrong_type_is_named(tmp_path, monkeypatch, case):
    call, message = WRONG_CALLS[case]
    monkeypatch.chdir(tmp_path)
    with pytest.raises(TypeError) as raised:
        call()
    assert str(raised.value) == message
    assert list(tmp_path.iterdir()) == []


MEMBERS = {
    'name': ({'name': None}, 'name: give a str or an os.PathLike, not NoneType'),
    'kind': ({'kind': '0'}, 'kind: give tarfile.REGTYPE or tarfile.DIRTYPE, not str'),
    'content': ({'content': 1}, 'content: give a str or bytes, not int'),
    'file_content': (
        {'file_content': b'f'},
        'file_content: give a str or an os.PathLike, not bytes',
    ),
    'mode': ({'mode': '0644'}, 'mode: give an int, not str'),
}


@pytest.mark.parametrize('case', MEMBERS)
def test_argument_of_add_file_of_a_wrong_type_is_named(tmp_path, case):
    """Nothing is written for it, so the archive can go on."""
    changes, message = MEMBERS[case]
    with TarFileWriter(tmp_path / 'a.tar') as tar:
        with pytest.raises(TypeError) as raised:
            tar.add_file(**{'name': 'a', **changes})
        tar.add_file('b')
    assert str(raised.value) == message
    assert names(tmp_path / 'a.tar') == ['b']


def test_arguments_of_add_tar_of_wrong_types_are_named(tmp_path):
    with TarFileWriter(tmp_path / 'a.tar') as tar:
        with pytest.raises(TypeError, match=r'^tar: give a str or an os\.PathLike, not NoneType$'):
            tar.add_tar(None)
        with pytest.raises(TypeError, match=r'^name_filter: give a function, not str$'):
            tar.add_tar('b.tar', 'b')


# Paths of pathlib.


def test_paths_can_be_those_of_pathlib(tmp_path):
    image = on_fixture(tmp_path, 'docker-20.10.tar')
    create_image.create_image(**image.arguments)
    expected = image.output.read_bytes()
    image.output.unlink()
    layers = [{'name': name, 'layer': path} for name, path in image.layers]
    paths = {'output': image.output, 'config': image.config}
    base = pathlib.Path(image.base)
    bases = {'base': base, 'legacy_base': base}
    create_image.create_image(**{**image.arguments, **paths, **bases, 'layers': layers})
    assert image.output.read_bytes() == expected
    assert utils.GetManifestFromTar(image.output) == [manifest(image.output)]
    assert utils.GetLatestManifestFromTar(image.output) == manifest(image.output)
    assert json.loads(utils.GetTarFile(image.output, 'manifest.json')) == [manifest(image.output)]


def test_metadata_can_be_a_path_of_pathlib(parts):
    metadata = parts.directory / 'metadata.json'
    metadata.write_text('{"id": 1}')
    legacy = {'metadata_id': 'c' * 64, 'metadata': metadata}
    create_image.create_image(**parts.arguments, **legacy)
    assert content(parts.output, f'{"c" * 64}/json') == b'{"id": 1}'


def test_paths_of_a_join_can_be_those_of_pathlib(parts):
    create_image.create_image(**parts.arguments)
    joined = parts.directory / 'joined.tar'
    join_layers.create_image(joined, [parts.output])
    assert manifest(joined) == manifest(parts.output)


def test_paths_of_a_writer_can_be_those_of_pathlib(tmp_path):
    (tmp_path / 'file').write_bytes(b'content')
    with TarFileWriter(tmp_path / 'a.tar') as tar:
        tar.add_file(pathlib.PurePosixPath('a/b'), file_content=tmp_path / 'file')
    with TarFileWriter(tmp_path / 'b.tar') as tar:
        tar.add_tar(tmp_path / 'a.tar')
    assert content(tmp_path / 'b.tar', 'a/b') == b'content'


def test_script_can_import_all_programs():
    """The script can define its own flags with the same names."""
    script = (
        'import build_tar, create_image, create_image_config, join_layers\n'
        'from absl import flags\n'
        'flags.DEFINE_string("output", None, "")\n'
        'print(create_image.create_image.__module__, join_layers.create_image.__module__)\n'
    )
    command = [sys.executable, '-c', script]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, check=True)
    assert done.stdout == b'create_image join_layers\n'
