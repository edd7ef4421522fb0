# SPDX-License-Identifier: Apache-2.0
"""The public functions, as other build scripts call them (sections 1 and 9)."""

import inspect
import subprocess
import sys

import pytest

import archive
import create_image
import utils
from archive import TarFileWriter
from support.images import BEFORE_1_10, on_fixture
from support.project import DATA, ROOT
from support.running import build


def parameters(function):
    """Returns the parameters of a function: a name, or (name, default)."""
    return [
        p.name if p.default is p.empty else (p.name, p.default)
        for p in inspect.signature(function).parameters.values()
    ]


OPTIONAL = ['tags', 'base', 'legacy_base', 'metadata_id', 'metadata', 'name', 'repository']


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


def test_script_can_import_all_programs():
    """The script can define its own flags with the same names."""
    script = (
        'import create_image, create_image_config, join_layers\n'
        'from absl import flags\n'
        'flags.DEFINE_string("output", None, "")\n'
        'print(create_image.create_image.__module__, join_layers.create_image.__module__)\n'
    )
    command = [sys.executable, '-c', script]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, check=True)
    assert done.stdout == b'create_image join_layers\n'
