# SPDX-License-Identifier: Apache-2.0
"""create_image_config: an error is one line that says what to do, and nothing is written."""

import json
import os
import subprocess

import pytest

from support import running
from support.images import BEFORE_1_10, write_base_of
from support.project import DATA
from support.tars import make_tar

PROGRAM = 'create_image_config'
HEX = ['1' * 64, '2' * 64]
DESCRIBED = {'created_by': 'base'}


def fails(*flags, **options):
    return running.fails(*flags, program=PROGRAM, **options)


BAD_FLAGS = [
    (['--env=A'], "--env: 'A' is not NAME=VALUE"),
    (['--env==x'], "--env: '=x' is not NAME=VALUE"),
    (['--env=A=1,'], "--env: '' is not NAME=VALUE"),
    (['--env=A=1', '--env=b'], "--env: 'b' is not NAME=VALUE"),
    (['--labels=a'], "--labels: 'a' is not NAME=VALUE"),
    (['--labels=["=b"]'], "--labels: '=b' is not NAME=VALUE"),
    (['--labels=a=@missing'], "'missing': No such file"),
    (['--labels=a=@.'], "'.': Is a directory"),
    (['--ports=http'], "--ports: 'http' is not a port"),
    (['--ports=0'], "--ports: '0' is not a port"),
    (['--ports=65536'], "--ports: '65536' is not a port"),
    (['--ports=-1'], "--ports: '-1' is not a port"),
    (['--ports=90-80'], "--ports: '90-80' is not a port"),
    (['--ports=80-65536'], "--ports: '80-65536' is not a port"),
    (['--architecture=linux/arm64'], 'give --os=linux --architecture=arm64'),
    (['--architecture=arm/v7'], 'give --architecture=arm --variant=v7'),
    (['--architecture=amd64,arm64'], "--architecture: 'amd64,arm64' is not one name"),
    (['--os=linux '], "--os: 'linux ' is not one name"),
    (['--variant=arm/v7'], "--variant: 'arm/v7' is not one name"),
    (['--ports=80:80'], "--ports: '80:80' is not a port"),
    (['--ports=80,'], "--ports: '' is not a port"),
    (['--ports=\uff18\uff10'], '--ports: '),
    (['--ports=80/http'], "--ports: '80/http' has an unknown protocol"),
    (['--ports=80/'], "--ports: '80/' has an unknown protocol"),
    (['--volumes=/a,'], '--volumes: an item is empty'),
    (['--workdir=srv'], "--workdir: 'srv' is not an absolute path"),
    (['--workdir=C:\\x'], '--workdir: '),
    (['--os=windows', '--workdir=app'], "--workdir: 'app' is not an absolute path"),
    (['--created=yesterday'], "--created: 'yesterday' is not a time"),
    (['--created=2016-06-08'], "--created: '2016-06-08' is not a time"),
    (['--created=2016-02-30T00:00:00Z'], '--created: '),
    (['--created=1.5'], "--created: '1.5' is not a time"),
    (['--created=253402300800'], '--created: '),
    (['--created=' + '9' * 5000], '--created: '),
    (['--created=@missing'], "'missing': No such file"),
    (['--created=@'], '--created: @ names no file: '),
    (['--labels=a=@'], '--labels: @ names no file: '),
    (['--layer=@'], '--layer: @ names no file: '),
    (['--layer=abc'], "--layer: 'abc' is not 64 hex digits"),
    ([f'--layer={HEX[0]}0'], 'is not 64 hex digits'),
    ([f'--layer={HEX[0]}', '--layer=@missing'], "'missing': No such file"),
    ([f'--layer={HEX[0]}='], 'is not ID=FILE'),
    (['--layer==x'], "--layer: '' is not an identifier"),
    (['--command=[a]'], "--command: '[a]' begins with [ but is not JSON"),
    (['--command=["a"'], 'is not JSON'),
    (['--command=' + '[' * 100_000], 'is not JSON'),
    (['--command=["a", 1]'], '--command: \'["a", 1]\' holds more than strings'),
    (['--command=["a", null]'], 'holds more than strings'),
    (['--command=["a", ["b"]]'], 'holds more than strings'),
    (['--command=["\\ud800"]'], "--command: '\\ud800' is not UTF-8"),
    (['--command=["\\u0000"]'], '--command: '),
    (['--entrypoint=["a"]', '--entrypoint=b'], '--entrypoint: a JSON list and one with commas'),
    (['--env=A=1', '--env=["B=2"]'], '--env: a JSON list and one with commas'),
    (['--command="a'], "--command: '\"a' has a misplaced quote"),
    (['--command="a"b'], 'has a misplaced quote'),
    ([b'--user=\xff'], "--user: '\\udcff' is not UTF-8"),
    ([b'--command=a,\xff'], "--command: 'a,\\udcff' is not UTF-8"),
    ([b'--labels=a=\xff'], '--labels: '),
    ([b'--author=\xff'], '--author: '),
    (['--healthcheck=x'], "--healthcheck: 'x' is not JSON"),
    (['--healthcheck=null'], '--healthcheck: it is not a JSON object'),
    (['--healthcheck=["CMD", "x"]'], '--healthcheck: it is not a JSON object'),
    (['--healthcheck={"Retries": 1}'], '--healthcheck: Test is missing'),
    (['--healthcheck={"Test": []}'], '--healthcheck: Test is missing'),
    (['--healthcheck={"Test": "x"}'], '--healthcheck: Test is missing'),
    (['--healthcheck={"Test": ["/x"]}'], 'give ["CMD", PROGRAM, ...]'),
    (['--healthcheck={"Test": ["CMD"]}'], 'Test has a wrong number of items for CMD: '),
    (['--healthcheck={"Test": ["NONE", "x"]}'], 'a wrong number of items for NONE'),
    (['--healthcheck={"Test": ["CMD-SHELL", "x", "y"]}'], 'of items for CMD-SHELL'),
    (['--healthcheck={"Test": ["CMD", "\\u0000"]}'], '--healthcheck: Test has a NUL'),
    (['--healthcheck={"Test": ["NONE"], "test": ["NONE"]}'], "'test' is not a key of it"),
    (['--healthcheck={"Test": ["NONE"], "Test": ["NONE"]}'], "has the key 'Test' twice"),
    (['--healthcheck={"Test": ["NONE"], "Interval": "30"}'], "Interval: '30' is not a duration"),
    (['--healthcheck={"Test": ["NONE"], "Interval": "-1s"}'], "'-1s' is not a duration"),
    (['--healthcheck={"Test": ["NONE"], "Interval": 1.5}'], "Interval: '1.5' is not a duration"),
    (['--healthcheck={"Test": ["NONE"], "Timeout": true}'], "'True' is not a duration"),
    (['--healthcheck={"Test": ["NONE"], "Timeout": "1us"}'], "'1us' is less than a millisecond"),
    (['--healthcheck={"Test": ["NONE"], "Timeout": 9223372036854775808}'], 'or too long'),
    (['--healthcheck={"Test": ["NONE"], "Timeout": "' + '9' * 5000 + 's"}'], 'is not a duration'),
    (['--healthcheck={"Test": ["NONE"], "Retries": -1}'], 'Retries must be a whole number'),
    (['--healthcheck={"Test": ["NONE"], "Retries": "1"}'], 'Retries must be a whole number'),
    (['--remove_ports=x'], "--remove_ports: 'x' is not a port"),
    (['--remove_env="a'], "--remove_env: '\"a' has a misplaced quote"),
    (['--base=missing'], "'missing': No such file"),
    (['--base=.'], "'.' is a directory, but not an OCI image layout"),
    (['--unknown'], 'see --help'),
    (['positional'], "'positional' is not a flag"),
]


@pytest.mark.parametrize(('flags', 'text'), BAD_FLAGS)
def test_bad_flag_is_an_error(tmp_path, flags, text):
    (tmp_path / 'old.json').write_text('old')
    error = fails('--output=old.json', *flags, cwd=tmp_path)
    assert text in error
    assert len(error) < 500
    assert (tmp_path / 'old.json').read_text() == 'old'
    assert os.listdir(tmp_path) == ['old.json']


@pytest.mark.parametrize(
    ('flag', 'text', 'message'),
    [
        ('--created=@file', '', "--created: '' is not a time"),
        ('--created=@file', ' \n', "--created: '' is not a time"),
        ('--labels=a=@file', 'a\0b', "--labels: 'file': 'a\\x00b' has a NUL: leave it out"),
    ],
)
def test_bad_value_in_a_file_is_an_error(tmp_path, flag, text, message):
    (tmp_path / 'file').write_text(text)
    assert fails('--output=new.json', flag, cwd=tmp_path).startswith(message)


def test_missing_output_flag_is_an_error(tmp_path):
    assert fails('--user=x', cwd=tmp_path).startswith('--output is missing')
    assert fails('--output=', cwd=tmp_path).startswith('--output is missing')


def test_output_in_a_missing_directory_is_an_error(tmp_path):
    assert 'No such file' in fails(f'--output={tmp_path}/missing/config.json')


@pytest.mark.parametrize('data', [b'\xff', 'ä'.encode('utf-16'), b'a\xc3'])
@pytest.mark.parametrize('flag', ['--labels=a=@file', '--created=@file'])
def test_file_that_is_not_utf_8_is_an_error(tmp_path, data, flag):
    (tmp_path / 'file').write_bytes(data)
    error = fails('--output=out', flag, cwd=tmp_path)
    assert error.startswith(flag.partition('=')[0])
    assert "'file' is not in UTF-8" in error
    assert os.listdir(tmp_path) == ['file']


def is_input_as_output_error(flags, cwd):
    error = fails('--output=./it', *flags, cwd=cwd)
    return f'is also the file of {flags[0].partition("=")[0]}: ' in error


@pytest.mark.parametrize(
    'flag', ['--base=it', '--labels=a=@it', '--layer=@it', f'--layer={HEX[0]}=it', '--created=@it']
)
def test_output_must_not_be_an_input(tmp_path, flag):
    path = tmp_path / 'it'
    path.write_text(HEX[0])
    assert is_input_as_output_error([flag], tmp_path)
    assert path.read_text() == HEX[0]


BAD_CONFIGS = [
    (b'', 'is not JSON'),
    (b'{', 'is not JSON'),
    (b'[]', 'is not a JSON object'),
    (b'\xff', 'is not in UTF-8'),
    (b'\xef\xbb\xbf{}', 'begins with a byte order mark'),
    (b'{"a": 1e999}', 'has the number 1e999, which is too large'),
    (b'{"a": ' + b'{"a":' * 900 + b'1' + b'}' * 901, 'is nested over 100 levels deep'),
]
BAD_KEYS = [
    ({'architecture': 1}, 'architecture must be a string'),
    ({'author': []}, 'author must be a string'),
    ({'created': 'x'}, 'created must be a time'),
    ({'config': []}, 'config must be an object'),
    ({'config': {'Env': 'A=1'}}, 'config.Env must be a list of strings'),
    ({'config': {'env': [1]}}, 'config.env must be a list of strings'),
    ({'config': {'Labels': ['a=1']}}, 'config.Labels must be an object'),
    ({'config': {'Labels': {'a': 1}}}, 'config.Labels must be an object with strings'),
    ({'config': {'ExposedPorts': ['80']}}, 'config.ExposedPorts must be an object'),
    ({'history': {}}, 'history must be a list'),
    ({'history': [1]}, 'history[0] must be an object'),
    ({'rootfs': []}, 'rootfs must be an object'),
    ({'rootfs': {'diff_ids': [1]}}, 'rootfs.diff_ids must be a list of strings'),
    ({'rootfs': {'type': 'layers+base', 'diff_ids': ['a', 'b']}}, 'rootfs.type must be "layers"'),
    ({'rootfs': {'Type': 'layers+base', 'diff_ids': ['a', 'b']}}, 'rootfs.type must be "layers"'),
    ({'rootfs': None, 'history': []}, 'rootfs.diff_ids has 0 entries for 2 layers'),
    ({'rootfs': {'diff_ids': ['a']}, 'history': []}, 'rootfs.diff_ids has 1 entries for 2 layers'),
    ({'history': [DESCRIBED] * 3}, 'history has 3 entries without empty_layer for 2 layers'),
    ({'history': [{}, {}, None]}, 'history has 3 entries without empty_layer for 2 layers'),
]


def check_base_error(error, directory, text):
    assert error.startswith(f"--base: '{directory}/base.tar': its configuration 'config.json'")
    assert text in error
    assert sorted(os.listdir(directory)) == ['base.tar']


@pytest.mark.parametrize(('data', 'text'), BAD_CONFIGS)
def test_base_configuration_that_is_not_a_json_object_is_an_error(tmp_path, output, data, text):
    path = write_base_of(tmp_path / 'base.tar', data)
    check_base_error(fails(f'--output={output}', f'--base={path}'), tmp_path, text)


@pytest.mark.parametrize(('keys', 'text'), BAD_KEYS)
def test_wrong_base_configuration_is_an_error(tmp_path, output, keys, text):
    path = write_base_of(tmp_path / 'base.tar', **keys)
    check_base_error(fails(f'--output={output}', f'--base={path}'), tmp_path, text)


def test_base_without_its_configuration_is_an_error(tmp_path, output):
    entry = {'Config': 'config.json', 'RepoTags': None, 'Layers': []}
    manifest = json.dumps([entry]).encode()
    path = make_tar(tmp_path / 'base.tar', {'manifest.json': manifest})
    check_base_error(fails(f'--output={output}', f'--base={path}'), tmp_path, 'is missing')


def test_base_written_by_docker_1_9_is_an_error(output):
    error = fails(f'--output={output}', f'--base={DATA / "bases" / BEFORE_1_10}')
    assert error.startswith('--base: ')
    assert 'load it with Docker 1.10 to 28 and save it again' in error


def test_base_that_is_not_an_image_is_an_error(output, tmp_path):
    path = make_tar(tmp_path / 'base.tar', {'file': b''})
    assert 'is not a valid base image' in fails(f'--output={output}', f'--base={path}')
    path.write_bytes((DATA / 'bases' / 'docker-20.10.tar').read_bytes()[:20000])
    assert f"'{path}'" in fails(f'--output={output}', f'--base={path}')
    assert os.listdir(tmp_path) == ['base.tar']


def test_full_device_is_an_error():
    assert "'/dev/full'" in fails('--output=/dev/full')


def test_closed_pipe_is_an_error():
    read, write = os.pipe()
    os.close(read)
    with os.fdopen(write, 'wb') as pipe:
        command = running.command(PROGRAM, '--output=-')
        done = subprocess.run(command, stdout=pipe, stderr=subprocess.PIPE, check=False)
    assert done.returncode == 1
    assert done.stderr.startswith(b"create_image_config: 'standard output': Broken pipe")
