# SPDX-License-Identifier: Apache-2.0
"""create_image_config: flags and their values, without a base (section 10)."""

import json

import pytest

from support.configs import HEX, PROGRAM, SCRATCH, process, written
from support.images import EPOCH
from support.running import warns

# Without a base.


def test_configuration_without_flags(output):
    assert written(output) == SCRATCH


def test_output_is_sorted_ascii_json_with_a_newline(output):
    written(output, '--user=ä', '--command=a')
    config = {**SCRATCH, 'config': {'Cmd': ['a'], 'User': 'ä'}}
    assert output.read_text('ascii') == json.dumps(config, sort_keys=True) + '\n'


def test_all_flags_without_a_base(output, tmp_path):
    label = tmp_path / 'label'
    label.write_bytes('Ä\r\n'.encode())
    config = written(
        output,
        f'--layer={HEX[0]}',
        f'--layer=sha256:{HEX[1].upper()}=layer.tar',
        '--entrypoint=/srv/app,--serve',
        '--command=a,b',
        '--env=A=1,B=$A',
        f'--labels=a=b=c,text=@{label},at=@@x',
        '--ports=80,53/udp',
        '--volumes=/data,/x',
        '--user=nobody:nogroup',
        '--workdir=/srv',
        '--architecture=arm64',
        '--os=freebsd',
        '--variant=v8',
        '--created=1465385206',
        '--author=A. U. Thor',
        '--created_by=make',
        '--stop_signal=SIGINT',
    )
    entry = {'author': 'A. U. Thor', 'created': '2016-06-08T11:26:46Z', 'created_by': 'make'}
    assert config == {
        'architecture': 'arm64',
        'author': 'A. U. Thor',
        'config': {
            'Cmd': ['a', 'b'],
            'Entrypoint': ['/srv/app', '--serve'],
            'Env': ['A=1', 'B=1'],
            'ExposedPorts': {'53/udp': {}, '80/tcp': {}},
            'Labels': {'a': 'b=c', 'at': '@x', 'text': 'Ä\r\n'},
            'StopSignal': 'SIGINT',
            'User': 'nobody:nogroup',
            'Volumes': {'/data': {}, '/x': {}},
            'WorkingDir': '/srv',
        },
        'created': '2016-06-08T11:26:46Z',
        'history': [entry, entry],
        'os': 'freebsd',
        'rootfs': {'diff_ids': [f'sha256:{HEX[0]}', f'sha256:{HEX[1]}'], 'type': 'layers'},
        'variant': 'v8',
    }


EMPTY = [
    *('base', 'layer', 'entrypoint', 'command', 'env', 'labels', 'ports', 'volumes', 'user'),
    *('workdir', 'architecture', 'os', 'variant', 'created', 'author', 'created_by', 'stop_signal'),
    *('healthcheck', 'remove_env', 'remove_labels', 'remove_ports', 'remove_volumes'),
]


def test_flags_with_empty_values_are_ignored(output):
    assert written(output, *(f'--{name}=' for name in EMPTY)) == SCRATCH


# Lists.

LISTS = [
    (['a,b'], ['a', 'b']),
    ([' a , b '], ['a', 'b']),
    (['a', 'b,c'], ['a', 'b', 'c']),
    (['a', '', 'b'], ['a', 'b']),
    (['sh,-c,'], ['sh', '-c', '']),
    (['sh,-c,"a, b"'], ['sh', '-c', 'a, b']),
    (['"say ""x"", y"'], ['say "x", y']),
    (['a "b" c,d'], ['a "b" c', 'd']),
    (['two\nlines,b'], ['two\nlines', 'b']),
    (['["a, b"]'], ['a, b']),
    (['["a","b"]', '["c"]'], ['a', 'b', 'c']),
    (['[" a ", "\\u00e4"]'], [' a ', 'ä']),
    (['["a"]', '[]'], ['a']),
]


@pytest.mark.parametrize(('values', 'items'), LISTS)
@pytest.mark.parametrize(('flag', 'key'), [('entrypoint', 'Entrypoint'), ('command', 'Cmd')])
def test_lists_with_commas_and_json_lists(output, values, items, flag, key):
    assert process(output, *(f'--{flag}={value}' for value in values)) == {key: items}


def test_list_can_exceed_the_field_limit_of_the_csv_module(output):
    assert process(output, f'--command={"x" * 100_000},{"y" * 30_000}') == {
        'Cmd': ['x' * 100_000, 'y' * 30_000]
    }


def test_every_list_flag_takes_both_forms_and_can_be_repeated(output):
    flags = ['--env=A=1', '--env=B=2', '--labels=a=1', '--labels=b=2', '--ports=1', '--ports=2']
    flags += ['--volumes=/a', '--volumes=/b']
    expected = {
        'Env': ['A=1', 'B=2'],
        'ExposedPorts': {'1/tcp': {}, '2/tcp': {}},
        'Labels': {'a': '1', 'b': '2'},
        'Volumes': {'/a': {}, '/b': {}},
    }
    assert process(output, *flags) == expected
    as_json = ['--env=["A=1", "B=2"]', '--labels=["a=1", "b=2"]', '--ports=["1", "2"]']
    assert process(output, *as_json, '--volumes=["/a", "/b"]') == expected


def test_flags_from_a_flagfile(output, tmp_path):
    path = tmp_path / 'flags'
    path.write_text('--command=["/bin/sh", "-c", "x\\n"]\n--env=A=1\n--env=B=2\n', 'utf-8')
    assert process(output, f'--flagfile={path}') == {
        'Cmd': ['/bin/sh', '-c', 'x\n'],
        'Env': ['A=1', 'B=2'],
    }


# Variables.

ENV = [
    ('A=1', ['A=1']),
    ('A=', ['A=']),
    ('A=b=c', ['A=b=c']),
    ('B=1,A=2', ['B=1', 'A=2']),
    ('A=1,B=$A', ['A=1', 'B=1']),
    ('A=1,B=${A}x$A-$A.', ['A=1', 'B=1x1-1.']),
    ('B=$A,A=1', ['B=$A', 'A=1']),
    ('A=$NO${NO}$', ['A=$NO${NO}$']),
    ('A=1,B=$AB', ['A=1', 'B=$AB']),
    ('A=1,B=\\$A', ['A=1', 'B=$A']),
    ('A=\\$X,B=$A', ['A=$X', 'B=$X']),
    ('A=1,B=$A,A=2', ['A=2', 'B=1']),
    ('P=/a,P=/b:$P', ['P=/b:/a']),
]


@pytest.mark.parametrize(('value', 'env'), ENV)
def test_env_expands_variables(output, value, env):
    assert process(output, f'--env={value}') == {'Env': env}


def test_env_keeps_the_order_of_the_base(output, base):
    flag = base(config={'Env': ['Z=1', 'PATH=/bin', 'ODD', 'A=2']})
    env = process(output, flag, '--env=NEW=$Z,PATH=/x:${PATH},C=3')['Env']
    assert env == ['Z=1', 'PATH=/x:/bin', 'ODD', 'A=2', 'NEW=1', 'C=3']


def test_last_value_of_a_variable_twice_in_the_base_is_used(output, base):
    flag = base(config={'Env': ['A=1', 'B=2', 'A=3']})
    assert process(output, flag, '--env=C=$A')['Env'] == ['A=3', 'B=2', 'C=3']


# Ports.

PORTS = [
    ('80', '80/tcp'),
    ('80/tcp', '80/tcp'),
    ('080', '80/tcp'),
    ('53/udp', '53/udp'),
    ('53/UDP', '53/udp'),
    ('9/sctp', '9/sctp'),
    ('65535', '65535/tcp'),
]


@pytest.mark.parametrize(('value', 'port'), PORTS)
def test_ports_are_normalised(output, value, port):
    assert process(output, f'--ports={value}') == {'ExposedPorts': {port: {}}}


# Times.

TIMES = [
    ('0', EPOCH),
    ('1465385206', '2016-06-08T11:26:46Z'),
    ('-1', '1969-12-31T23:59:59Z'),
    ('253402300799', '9999-12-31T23:59:59Z'),
    ('2016-06-08T11:26:46+02:00', '2016-06-08T11:26:46+02:00'),
    ('0001-01-01T00:00:00Z', '0001-01-01T00:00:00Z'),
]


@pytest.mark.parametrize(('value', 'time'), TIMES)
def test_created_accepts_seconds_and_rfc_3339_from_a_flag_or_a_file(output, tmp_path, value, time):
    config = written(output, f'--created={value}')
    assert (config['created'], config['history'][0]['created']) == (time, time)
    path = tmp_path / 'time'
    path.write_text(f' {value}\n')
    assert written(output, f'--created=@{path}') == config


# Layers.


def test_diff_ids_from_flags_and_files(output, tmp_path):
    for number, text in enumerate([f'{HEX[0]}\n', f'SHA256 (f) = {HEX[1]}\n']):
        (tmp_path / str(number)).write_text(text)
    flags = [f'--layer=@{tmp_path}/0', f'--layer=@{tmp_path}/1=missing.tar', f'--layer={HEX[2]}']
    config = written(output, *flags)
    assert config['rootfs']['diff_ids'] == [f'sha256:{digest}' for digest in HEX]
    assert config['history'] == [{'created': EPOCH}] * 3


def test_file_with_several_digests_gives_a_warning(output, tmp_path):
    path = tmp_path / 'SHA256SUMS'
    path.write_text(f'{HEX[0]}  a\n{HEX[1]}  b\n')
    (warning,) = warns(f'--output={output}', f'--layer=@{path}', program=PROGRAM)
    assert repr(str(path)) in warning
    assert json.loads(output.read_text())['rootfs']['diff_ids'] == [f'sha256:{HEX[0]}']


def test_labels_are_an_object(output):
    assert process(output, '--labels=a=1') == {'Labels': {'a': '1'}}


def test_blanks_before_a_quoted_item(tmp_path):
    config = process(tmp_path / 'config.json', '--entrypoint=a, "b,c", d')
    assert config['Entrypoint'] == ['a', 'b,c', 'd']


def test_ports_of_a_range(output):
    found = process(output, '--ports=8000-8002,53-53/UDP,8001')
    assert list(found['ExposedPorts']) == ['53/udp', '8000/tcp', '8001/tcp', '8002/tcp']


# Health checks.

SECOND = 10**9
DURATIONS = [
    ('"30s"', 30 * SECOND),
    ('"1m30s"', 90 * SECOND),
    ('"1m30.5s"', 90 * SECOND + SECOND // 2),
    ('"1h1m1s1ms1us1ns"', 3661 * SECOND + 1_001_001),
    ('"1000µs"', 10**6),
    ('"1000μs"', 10**6),
    ('"0.1s"', SECOND // 10),
    ('".5s"', SECOND // 2),
    ('"2.s"', 2 * SECOND),
    ('"1.23456789012345s"', 1_234_567_890),
    ('"0"', 0),
    ('"0s"', 0),
    ('0', 0),
    ('1000000', 10**6),
    ('9223372036854775807', 2**63 - 1),
]


@pytest.mark.parametrize('key', ['Interval', 'Timeout', 'StartPeriod', 'StartInterval'])
@pytest.mark.parametrize(('value', 'nanoseconds'), DURATIONS)
def test_durations_of_a_healthcheck(output, key, value, nanoseconds):
    """The values are those of Go's time.ParseDuration."""
    flag = f'--healthcheck={{"Test": ["NONE"], "{key}": {value}}}'
    assert process(output, flag) == {'Healthcheck': {'Test': ['NONE'], key: nanoseconds}}


TESTS = [['NONE'], ['CMD', '/x'], ['CMD', '/x', '-a', ''], ['CMD-SHELL', 'ä && b']]


@pytest.mark.parametrize('test', TESTS)
def test_commands_of_a_healthcheck(output, test):
    value = json.dumps({'Test': test, 'Retries': 3, 'Interval': None})
    assert process(output, f'--healthcheck={value}') == {
        'Healthcheck': {'Test': test, 'Retries': 3}
    }


@pytest.mark.parametrize('value', ['[]', '{}', ' [ ] '])
def test_empty_healthcheck_removes_that_of_the_base(output, base, value):
    flag = base(config={'Healthcheck': {'Test': ['NONE']}, 'User': 'u'})
    assert process(output, flag, f'--healthcheck={value}') == {'User': 'u'}
    assert process(output, f'--healthcheck={value}') == {}


def test_healthcheck_replaces_that_of_the_base(output, base):
    flag = base(config={'Healthcheck': {'Test': ['CMD', 'old'], 'Retries': 3}})
    config = process(output, flag, '--healthcheck={"Test": ["CMD", "new"]}')
    assert config == {'Healthcheck': {'Test': ['CMD', 'new']}}


# What is removed of the base.

REMOVED_FROM = {
    'Env': ['A=1', 'PATH=/bin', 'ODD', 'A=2'],
    'ExposedPorts': {'80': {}, '443/TCP': {}, '53/udp': {}, '8000-8002/tcp': {}},
    'Labels': {'a': '1', 'b,c': '2'},
    'Volumes': {'/data': {}, '/x': {}},
}
REMOVALS = [
    ('--remove_env=A', 'Env', ['PATH=/bin', 'ODD']),
    ('--remove_env=ODD,PATH', 'Env', ['A=1', 'A=2']),
    ('--remove_env=*', 'Env', None),
    ('--remove_env=["A", "PATH", "ODD"]', 'Env', None),
    ('--remove_labels=a', 'Labels', {'b,c': '2'}),
    ('--remove_labels="b,c"', 'Labels', {'a': '1'}),
    ('--remove_labels=*', 'Labels', None),
    ('--remove_volumes=/x', 'Volumes', {'/data': {}}),
    ('--remove_volumes=*', 'Volumes', None),
    ('--remove_ports=*', 'ExposedPorts', None),
    ('--remove_ports=8000-8001', 'ExposedPorts', {'80', '443/TCP', '53/udp', '8002/tcp'}),
    ('--remove_ports=80,443/tcp,53/udp', 'ExposedPorts', {f'800{n}/tcp' for n in range(3)}),
    (
        '--remove_ports=79-81',
        'ExposedPorts',
        {'443/TCP', '53/udp', '8000/tcp', '8001/tcp', '8002/tcp'},
    ),
]


@pytest.mark.parametrize(('flag', 'key', 'rest'), REMOVALS)
def test_values_of_the_base_are_removed(output, base, flag, key, rest):
    before = process(output, base(config=REMOVED_FROM))
    after = process(output, base(config=REMOVED_FROM), flag)
    found = after.pop(key, None)
    if isinstance(rest, set):
        rest = {name: {} for name in rest}
    assert found == rest
    del before[key]
    assert after == before


def test_removal_comes_before_anything_is_set(output, base):
    flags = ['--remove_env=*', '--env=B=$A', '--remove_labels=a', '--labels=a=new']
    flags += ['--remove_ports=*', '--ports=80', '--remove_volumes=/x', '--volumes=/x']
    assert process(output, base(config=REMOVED_FROM), *flags) == {
        'Env': ['B=$A'],
        'ExposedPorts': {'80/tcp': {}},
        'Labels': {'a': 'new', 'b,c': '2'},
        'Volumes': {'/data': {}, '/x': {}},
    }


@pytest.mark.parametrize('kind', ['env', 'labels', 'ports', 'volumes'])
def test_removal_of_what_the_base_lacks_is_a_warning(output, base, kind):
    flags = [f'--output={output}', base(config={}), f'--remove_{kind}=90']
    (warning,) = warns(*flags, program=PROGRAM)
    assert warning == f"--remove_{kind}: the base has no '90': leave it out"
    process(output, base(config={}), f'--remove_{kind}=*')
