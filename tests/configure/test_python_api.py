# SPDX-License-Identifier: Apache-2.0
"""The functions of create_image_config."""

import json
import pathlib

import pytest

import create_image_config
from create_image_config import ConfigOptions, CreateImageConfig
from support.configs import SCRATCH
from support.images import EPOCH

HEX = '1' * 64


def test_create_image_config_with_all_options():
    data = {
        'config': {'Env': ['A=1'], 'User': None},
        'rootfs': {'diff_ids': ['sha256:base']},
        'history': [{'created': EPOCH}],
        'docker_version': '1.10',
    }
    before = json.dumps(data)
    options = ConfigOptions(
        ['one', f'sha256:{HEX}'],
        ['/e'],
        ['c'],
        'u',
        {'l': '@literal'},
        {'B': '$A-@x', 'C': '\\$A'},
        ['80'],
        ['/v'],
        '/w',
    )
    assert CreateImageConfig(data, options) == {
        'architecture': 'amd64',
        'config': {
            'Cmd': ['c'],
            'Entrypoint': ['/e'],
            'Env': ['A=1', 'B=1-@x', 'C=$A'],
            'ExposedPorts': {'80/tcp': {}},
            'Labels': {'l': '@literal'},
            'User': 'u',
            'Volumes': {'/v': {}},
            'WorkingDir': '/w',
        },
        'created': EPOCH,
        'history': [{'created': EPOCH}] * 3,
        'os': 'linux',
        'rootfs': {'diff_ids': ['sha256:base', 'sha256:one', f'sha256:{HEX}'], 'type': 'layers'},
    }
    assert json.dumps(data) == before


def test_options_that_change_the_healthcheck_and_remove_values():
    data = {
        'config': {
            'Env': ['A=1', 'B=2'],
            'ExposedPorts': {'80/tcp': {}},
            'Healthcheck': {'Test': ['NONE']},
            'Labels': {'a': '1'},
            'Volumes': {'/v': {}},
        }
    }
    options = ConfigOptions(
        healthcheck={'Test': ('CMD', '/x'), 'Interval': '2s', 'Timeout': 10**9},
        remove_env=['A'],
        remove_labels=['*'],
        remove_ports=['80'],
        remove_volumes=['/v'],
    )
    assert CreateImageConfig(data, options)['config'] == {
        'Env': ['B=2'],
        'Healthcheck': {'Interval': 2 * 10**9, 'Test': ['CMD', '/x'], 'Timeout': 10**9},
    }
    config = CreateImageConfig(data, ConfigOptions(healthcheck=[]))['config']
    assert 'Healthcheck' not in config


def test_create_image_config_without_options():
    assert CreateImageConfig({}, ConfigOptions()) == SCRATCH
    assert CreateImageConfig({}, ConfigOptions(layers=[])) == SCRATCH


def test_result_is_a_deep_copy_of_the_base():
    data = {'config': {'Shell': ['a']}, 'history': [{'created': EPOCH, 'empty_layer': True}]}
    config = CreateImageConfig(data, ConfigOptions())
    config['config']['Shell'].append('b')
    config['history'][0]['created_by'] = 'x'
    assert data == {
        'config': {'Shell': ['a']},
        'history': [{'created': EPOCH, 'empty_layer': True}],
    }


@pytest.mark.parametrize(
    ('data', 'options'),
    [
        ({}, ConfigOptions(ports=['x'])),
        ({}, ConfigOptions(workdir='x')),
        ({}, ConfigOptions(created='x')),
        ({}, ConfigOptions(volumes=[''])),
        ({}, ConfigOptions(healthcheck={'Test': ()})),
        ({}, ConfigOptions(healthcheck=['CMD', 'x'])),
        ({}, ConfigOptions(remove_ports=['x'])),
        ({'config': {'Env': 'x'}}, ConfigOptions()),
        ({'history': [{}]}, ConfigOptions()),
    ],
)
def test_wrong_arguments_raise_value_error(data, options):
    with pytest.raises(ValueError, match=r'--|configuration of the base'):
        CreateImageConfig(data, options)


# Options of wrong types, and the message.
WRONG_OPTIONS = {
    'layers': ({'layers': 'a'}, 'layers: give a list, not str'),
    'a layer': ({'layers': [None]}, 'layers[0]: give a str, not NoneType'),
    'entrypoint': ({'entrypoint': '/e'}, 'entrypoint: give a list, not str'),
    'cmd': ({'cmd': {'a': 'b'}}, 'cmd: give a list, not dict'),
    'user': ({'user': 0}, 'user: give a str, not int'),
    'labels': ({'labels': ['a=b']}, 'labels: give a dict, not list'),
    'a label': ({'labels': {'a': 1}}, "labels: ('a', 1)[1]: give a str, not int"),
    'env': ({'env': 'A=1'}, 'env: give a list, not str'),
    'a variable': ({'env': ['A=1']}, 'env: give a list, not str'),
    'three': (
        {'env': [('a', 'b', 'c')]},
        "env: give pairs of a name and a value, not ('a', 'b', 'c')",
    ),
    'a number': ({'env': {'A': 1}}, "env: ('A', 1)[1]: give a str, not int"),
    'ports': ({'ports': [80]}, 'ports[0]: give a str, not int'),
    'volumes': ({'volumes': '/v'}, 'volumes: give a list, not str'),
    'workdir': ({'workdir': b'/w'}, 'workdir: give a str or an os.PathLike, not bytes'),
    'created': ({'created': 0}, 'created: give a str, not int'),
    'healthcheck': ({'healthcheck': 'x'}, 'healthcheck: give a dict, or [], not str'),
    'remove_env': ({'remove_env': 'A'}, 'remove_env: give a list, not str'),
    'a removed label': ({'remove_labels': [1]}, 'remove_labels[0]: give a str, not int'),
    'author': ({'author': ['a']}, 'author: give a str, not list'),
}


@pytest.mark.parametrize('case', WRONG_OPTIONS)
def test_option_of_a_wrong_type_is_named(case):
    options, message = WRONG_OPTIONS[case]
    with pytest.raises(TypeError) as raised:
        CreateImageConfig({}, ConfigOptions(**options))
    assert str(raised.value) == message


def test_other_arguments_of_wrong_types_are_named():
    for call, message in (
        (lambda: CreateImageConfig([], ConfigOptions()), 'data: give a dict, not list'),
        (lambda: CreateImageConfig({}, {}), 'options: give ConfigOptions, not dict'),
        (lambda: create_image_config.KeyValueToDict('a=b'), 'pair: give a list, not str'),
        (lambda: create_image_config.KeyValueToDict([1]), 'pair[0]: give a str, not int'),
        (lambda: create_image_config.Resolve(1, {}), 'value: give a str, not int'),
        (lambda: create_image_config.Resolve('a', []), 'environment: give a dict, not list'),
    ):
        with pytest.raises(TypeError) as raised:
            call()
        assert str(raised.value) == message


def test_directories_can_be_paths_of_pathlib():
    path = pathlib.PurePosixPath('/a')
    config = CreateImageConfig({}, ConfigOptions(volumes=[path], workdir=path))
    assert config['config'] == {'Volumes': {'/a': {}}, 'WorkingDir': '/a'}


RESOLVED = [
    ('$A', '1'),
    ('${A}', '1'),
    ('${A.B}', '2'),
    ('$A$A', '11'),
    ('$A.B', '1.B'),
    ('\\$A', '$A'),
    ('\\\\$A', '\\$A'),
    ('$', '$'),
    ('$$A', '$1'),
    ('${A', '${A'),
    ('${}', '${}'),
    ('${A:-x}', '${A:-x}'),
    ('$NO', '$NO'),
    ('$Aä', '1ä'),
]


@pytest.mark.parametrize(('value', 'result'), RESOLVED)
def test_resolve_replaces_variables(value, result):
    assert create_image_config.Resolve(value, {'A': '1', 'A.B': '2'}) == result


def test_key_value_to_dict_splits_at_the_first_equals_sign():
    function = create_image_config.KeyValueToDict
    assert function(['a=1', 'b=2=3', 'c=', 'a=4']) == {'a': '4', 'b': '2=3', 'c': ''}
    for pair in ('a', '=1', ''):
        with pytest.raises(ValueError, match='NAME=VALUE'):
            function([pair])


def test_deep_copy_skip_null_drops_nulls_in_objects_and_lists():
    data = {'a': None, 'b': {'c': None, 'd': [None, {'e': None, 'f': 0}]}, 'g': '', 'h': []}
    copy = create_image_config.DeepCopySkipNull(data)
    assert copy == {'b': {'d': [None, {'f': 0}]}, 'g': '', 'h': []}
    copy['b']['d'][1]['f'] = 1
    copy['h'].append(1)
    assert data == {'a': None, 'b': {'c': None, 'd': [None, {'e': None, 'f': 0}]}, 'g': '', 'h': []}
