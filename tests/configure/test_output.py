# SPDX-License-Identifier: Apache-2.0
"""create_image_config: the output, and that it depends only on the input (section 10)."""

import json
import os

import pytest

from support.configs import PROGRAM, SCRATCH, written
from support.running import build, environment

# The output.


def test_stdout_has_the_same_bytes(output):
    expected = written(output, '--user=x')
    done = build('--output=-', '--user=x', program=PROGRAM)
    assert done.stdout == output.read_bytes()
    assert json.loads(done.stdout) == expected


def test_old_output_is_replaced(output):
    output.write_text('old')
    assert written(output) == SCRATCH
    assert os.listdir(output.parent) == [output.name]


@pytest.mark.parametrize(
    'variables',
    [
        {'LC_ALL': 'C', 'PYTHONUTF8': '0', 'PYTHONCOERCECLOCALE': '0'},
        {'LC_ALL': 'C.UTF-8', 'TZ': 'Asia/Tokyo', 'PYTHONHASHSEED': '1'},
        {'PYTHONHASHSEED': '2', 'PYTHONUTF8': '1', 'TZ': 'America/New_York', 'USER': 'x'},
    ],
)
def test_output_does_not_depend_on_the_environment(output, tmp_path, variables):
    name = 'Ü'.encode()
    (tmp_path / 'Ü').write_text('ä\n', 'utf-8')
    flags = ['--env=B=ä,A=$B', '--labels=["l=ß"]'.encode(), b'--labels=["m=@' + name + b'"]']
    flags += ['--ports=2,1', '--volumes=/b,/a', '--created=1465385206', '--author=Ä']
    expected = {
        **SCRATCH,
        'author': 'Ä',
        'config': {
            'Env': ['B=ä', 'A=ä'],
            'ExposedPorts': {'1/tcp': {}, '2/tcp': {}},
            'Labels': {'l': 'ß', 'm': 'ä\n'},
            'Volumes': {'/a': {}, '/b': {}},
        },
        'created': '2016-06-08T11:26:46Z',
        'history': [{'author': 'Ä', 'created': '2016-06-08T11:26:46Z', 'empty_layer': True}],
    }
    flags = [flag.encode() if isinstance(flag, str) else flag for flag in flags]
    options = {'cwd': tmp_path, 'env': environment(**variables)}
    done = build('--output=-', *flags, program=PROGRAM, **options)
    assert done.stdout.decode('ascii') == json.dumps(expected, sort_keys=True) + '\n'


def test_help_and_version():
    for flag in ('--help', '-h', '--helpshort'):
        done = build(flag, program=PROGRAM)
        assert b'--entrypoint' in done.stdout
    assert build('--version', program=PROGRAM).stdout.startswith(b'create_image_config ')
