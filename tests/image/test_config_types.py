# SPDX-License-Identifier: Apache-2.0
"""Configurations that the loaders of clients refuse (section 7)."""

import pytest

from image_archive.image import config_schema
from support.config_keys import TABLES
from support.images import EPOCH, Parts, configuration
from support.running import build, problems, warns

WRONG_TYPES = [
    (pattern.format(key), within({key: value}), expected)
    for pattern, within, keys in TABLES
    for key, (expected, values) in keys.items()
    for value in values
]
WRONG_TYPES += [
    ('config.ExposedPorts', {'config': {'ExposedPorts': {'80/tcp': 1}}}, 'an object with {}'),
    ('config.Volumes', {'config': {'Volumes': {'/data': 'x'}}}, 'an object with {}'),
    ('config.Labels', {'config': {'Labels': {'a': 1}}}, 'an object with strings'),
    ('rootfs.diff_ids', {'rootfs': {'diff_ids': 'x'}}, 'a list of strings'),
    ('rootfs.diff_ids', {'rootfs': {'diff_ids': [1]}}, 'a list of strings'),
    # Go's decoder ignores the case of keys.
    ('config.env', {'config': {'env': 'A=b'}}, 'a list of strings'),
    ('OS', {'OS': 1}, 'a string'),
]


@pytest.mark.parametrize(('where', 'config', 'expected'), WRONG_TYPES)
def test_wrong_type_is_reported(where, config, expected):
    (text,) = config_schema.type_problems(config)
    assert text.startswith(f'{where} must be {expected}')


@pytest.mark.parametrize(('where', 'config', 'expected'), WRONG_TYPES)
def test_null_counts_as_absent(where, config, expected):
    def without_leaf(value, keys):
        key, *rest = keys
        if isinstance(value, list):
            return [without_leaf(value[0], keys)]
        return {key: without_leaf(value[key], rest) if rest else None}

    keys = [where] if where.startswith('os.') else where.replace('[0]', '').split('.')
    assert config_schema.type_problems(without_leaf(config, keys)) == []


def test_unknown_keys_are_accepted():
    config = {'x': 1, 'config': {'y': 'z'}, 'rootfs': {'base': []}, 'moby.buildkit.trace': 1}
    assert config_schema.type_problems(config) == []


GOOD_TIMES = [
    EPOCH,
    '0001-01-01T00:00:00Z',
    '0000-02-29T00:00:00Z',
    '2024-02-29T23:59:59.123456789Z',
    '2000-02-29T12:00:00+05:30',
    '9999-12-31T23:59:59-23:59',
]
BAD_TIMES = [
    '1970-01-01T00:00:00',
    '1970-01-01t00:00:00Z',
    '1970-01-01T00:00:00z',
    '1970-13-01T00:00:00Z',
    '1970-00-01T00:00:00Z',
    '1970-01-00T00:00:00Z',
    '1970-04-31T00:00:00Z',
    '1900-02-29T00:00:00Z',
    '2023-02-29T00:00:00Z',
    '1970-01-01T24:00:00Z',
    '1970-01-01T00:60:00Z',
    '1970-01-01T00:00:60Z',
    '1970-01-01T00:00:00,5Z',
    '1970-01-01T00:00:00+24:00',
    '70-01-01T00:00:00Z',
    '1970-01-01T00:00:00Z\n',
]


@pytest.mark.parametrize('text', GOOD_TIMES)
def test_valid_times(text):
    assert config_schema.is_time(text)


@pytest.mark.parametrize('text', BAD_TIMES)
def test_invalid_times(text):
    assert not config_schema.is_time(text)


# For the command line: changes to a good configuration, and the error.
WRONG_CONFIGURATIONS = {
    'a string as ports': ({'config': {'ExposedPorts': ['80']}}, 'config.ExposedPorts must be'),
    **{
        f'the port {port!r}': (
            {'config': {'ExposedPorts': {'80/tcp': {}, port: {}}}},
            f'config.ExposedPorts has {port!r}, and Docker takes one port a key',
        )
        for port in ('33060-33061/tcp', 'abc', '70000/tcp', '', '80/http', '80/')
    },
    'no architecture': ({'architecture': None}, 'architecture is missing or empty'),
    'a platform as architecture': (
        {'architecture': 'linux/amd64'},
        "architecture is 'linux/amd64', which is not one name",
    ),
    'two architectures': (
        {'architecture': 'amd64,arm64'},
        "architecture is 'amd64,arm64', which is not one name",
    ),
    'a variant with a blank': ({'variant': 'v8 '}, "variant is 'v8 ', which is not one name"),
    'an empty os': ({'os': ''}, 'os is missing or empty'),
    'no rootfs': ({'rootfs': None}, 'rootfs is missing'),
    'another type of rootfs': (
        {'rootfs': {'type': 'x', 'diff_ids': 'own'}},
        'rootfs.type must be "layers"',
    ),
    'no type of rootfs': ({'rootfs': {'diff_ids': 'own'}}, 'rootfs.type must be "layers"'),
    'too much history': ({'history': [{}, {}]}, 'history has 2 entries without empty_layer for 1'),
    'too little history': (
        {'history': [{'empty_layer': True}]},
        'history has 0 entries without empty_layer for 1',
    ),
}


@pytest.mark.parametrize('case', WRONG_CONFIGURATIONS)
def test_wrong_configuration_gives_a_warning_and_with_verify_an_error(parts, case):
    changes, text = WRONG_CONFIGURATIONS[case]
    config = {**configuration(parts.diff_ids), **changes}
    if (config['rootfs'] or {}).get('diff_ids') == 'own':
        config['rootfs'] = {**config['rootfs'], 'diff_ids': parts.diff_ids}
    parts.configure({key: value for key, value in config.items() if value is not None})
    (line,) = problems(*parts.flags)
    assert line.startswith(f"--config: '{parts.config}': {text}")
    assert not parts.output.exists()
    assert warns(*parts.flags) == [line]
    assert parts.output.exists()


@pytest.mark.parametrize('port', ['80', '0/tcp', '65535/udp', '080/sctp', '00000080/UDP'])
def test_ports_that_docker_takes_are_accepted(parts, port):
    parts.configure(configuration(parts.diff_ids, {'ExposedPorts': {port: {}}}))
    build(*parts.flags, '--verify')


@pytest.mark.parametrize('history', [None, [], [{'empty_layer': True}, {'empty_layer': False}]])
def test_history_that_fits_the_layers_is_accepted(parts, history):
    parts.configure({**configuration(parts.diff_ids), 'history': history})
    build(*parts.flags, '--verify')
    build(*parts.flags)


def test_more_than_125_layers_give_a_warning(tmp_path):
    """With --verify, too: clients other than older Dockers load the image."""
    image = Parts(tmp_path, [{f'srv/{number}': b''} for number in range(126)])
    line = '--layer: the image has 126 layers, but some versions of Docker take 125: merge some'
    assert problems(*image.flags, warnings=[line]) == []
    assert warns(*image.flags) == [line]
    image.layers.pop()
    image.configure(configuration(image.diff_ids))
    build(*image.flags, '--verify')
