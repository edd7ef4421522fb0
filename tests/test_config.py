# SPDX-License-Identifier: Apache-2.0
"""create_image_config on files: what it writes."""

import json
import os
import tarfile

import pytest

import helpers
from helpers import DATA, EPOCH, MODERN, Parts, base_diff_ids, environment, sha256, write_base_of

PROGRAM = 'create_image_config'
HEX = ['1' * 64, '2' * 64, '3' * 64]
SCRATCH = {
    'architecture': 'amd64',
    'config': {},
    'created': EPOCH,
    'history': [{'created': EPOCH, 'empty_layer': True}],
    'os': 'linux',
    'rootfs': {'diff_ids': [], 'type': 'layers'},
}


def written(output, *flags, warnings=False, **options):
    """Runs the program, which must succeed; returns the configuration that it wrote."""
    helpers.build(f'--output={output}', *flags, program=PROGRAM, warnings=warnings, **options)
    return json.loads(output.read_bytes())


def process(output, *flags):
    """Returns the key `config` of what the program writes."""
    return written(output, *flags)['config']


@pytest.fixture
def output(tmp_path):
    return tmp_path / 'config.json'


@pytest.fixture
def base(tmp_path):
    """A function that writes a base and returns the flag for it."""

    def flag(**keys):
        return f'--base={write_base_of(tmp_path / "base.tar", **keys)}'

    return flag


# Without a base.


def test_without_a_flag(output):
    assert written(output) == SCRATCH


def test_the_bytes_are_sorted_json_in_ascii_and_a_newline(output):
    written(output, '--user=ä', '--command=a')
    config = {**SCRATCH, 'config': {'Cmd': ['a'], 'User': 'ä'}}
    assert output.read_text('ascii') == json.dumps(config, sort_keys=True) + '\n'


def test_all_flags_from_scratch(output, tmp_path):
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
]


def test_empty_values_count_as_not_given(output):
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
def test_lists(output, values, items, flag, key):
    assert process(output, *(f'--{flag}={value}' for value in values)) == {key: items}


def test_a_list_longer_than_what_the_csv_module_takes_in_a_field(output):
    assert process(output, f'--command={"x" * 100_000},{"y" * 30_000}') == {
        'Cmd': ['x' * 100_000, 'y' * 30_000]
    }


def test_every_list_takes_both_forms_and_adds_up(output):
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


def test_flags_from_a_file(output, tmp_path):
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
def test_env(output, value, env):
    assert process(output, f'--env={value}') == {'Env': env}


def test_env_on_a_base_keeps_its_order(output, base):
    flag = base(config={'Env': ['Z=1', 'PATH=/bin', 'ODD', 'A=2']})
    env = process(output, flag, '--env=NEW=$Z,PATH=/x:${PATH},C=3')['Env']
    assert env == ['Z=1', 'PATH=/x:/bin', 'ODD', 'A=2', 'NEW=1', 'C=3']


def test_a_variable_that_the_base_has_twice_counts_as_its_last(output, base):
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
def test_ports(output, value, port):
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
def test_created(output, tmp_path, value, time):
    config = written(output, f'--created={value}')
    assert (config['created'], config['history'][0]['created']) == (time, time)
    path = tmp_path / 'time'
    path.write_text(f' {value}\n')
    assert written(output, f'--created=@{path}') == config


# Layers.


def test_layers(output, tmp_path):
    for number, text in enumerate([f'{HEX[0]}\n', f'SHA256 (f) = {HEX[1]}\n']):
        (tmp_path / str(number)).write_text(text)
    flags = [f'--layer=@{tmp_path}/0', f'--layer=@{tmp_path}/1=missing.tar', f'--layer={HEX[2]}']
    config = written(output, *flags)
    assert config['rootfs']['diff_ids'] == [f'sha256:{digest}' for digest in HEX]
    assert config['history'] == [{'created': EPOCH}] * 3


def test_a_file_with_several_digests_gets_a_warning(output, tmp_path):
    path = tmp_path / 'SHA256SUMS'
    path.write_text(f'{HEX[0]}  a\n{HEX[1]}  b\n')
    (warning,) = helpers.warns(f'--output={output}', f'--layer=@{path}', program=PROGRAM)
    assert repr(str(path)) in warning
    assert json.loads(output.read_text())['rootfs']['diff_ids'] == [f'sha256:{HEX[0]}']


# On a base.

BASE_CONFIG = {
    'Cmd': ['serve'],
    'Entrypoint': ['/base'],
    'Env': ['PATH=/bin'],
    'ExposedPorts': {'80/tcp': {}},
    'Healthcheck': {'Test': ['NONE']},
    'Hostname': 'h',
    'Labels': {'a': '1', 'b': '2'},
    'OnBuild': ['RUN x'],
    'Shell': ['/bin/ash', '-c'],
    'StopSignal': 'SIGTERM',
    'User': 'root',
    'Volumes': {'/data': {}},
    'WorkingDir': '/',
    'unknown': [1.5, None],
}
BASE_KEYS = {
    'architecture': 'arm64',
    'variant': 'v8',
    'os': 'windows',
    'os.version': '10.0',
    'os.features': ['win32k'],
    'author': 'B. Ase',
    'created': '2016-06-08T11:26:46Z',
    'org.example.own': {'x': [1]},
    'config': BASE_CONFIG,
}


def test_what_no_flag_names_stays(output, base):
    config = written(output, base(**BASE_KEYS))
    diff_ids = config['rootfs']['diff_ids']
    assert len(diff_ids) == 2
    below = helpers.configuration(diff_ids)
    assert config == {
        **below,
        **BASE_KEYS,
        'created': EPOCH,
        'history': [*below['history'], {'created': EPOCH, 'empty_layer': True}],
    }


def test_flags_replace_and_add(output, base):
    flags = ['--user=u', '--workdir=/w', '--stop_signal=SIGINT', '--author=New', '--ports=81']
    flags += ['--labels=b=3,c=4', '--volumes=/x', '--env=B=1', '--entrypoint=/new', '--command=c']
    config = written(output, base(**BASE_KEYS), *flags)
    assert config['author'] == 'New'
    assert config['config'] == {
        **BASE_CONFIG,
        'Cmd': ['c'],
        'Entrypoint': ['/new'],
        'Env': ['PATH=/bin', 'B=1'],
        'ExposedPorts': {'80/tcp': {}, '81/tcp': {}},
        'Labels': {'a': '1', 'b': '3', 'c': '4'},
        'StopSignal': 'SIGINT',
        'User': 'u',
        'Volumes': {'/data': {}, '/x': {}},
        'WorkingDir': '/w',
    }


PROCESSES = [
    ([], ['/base'], ['serve']),
    (['--entrypoint=/new'], ['/new'], None),
    (['--entrypoint=/new', '--command=a'], ['/new'], ['a']),
    (['--command=a'], ['/base'], ['a']),
    (['--entrypoint=[]'], None, None),
    (['--entrypoint=[]', '--command=/x'], None, ['/x']),
    (['--command=[]'], ['/base'], None),
    (['--entrypoint=', '--command='], ['/base'], ['serve']),
]


@pytest.mark.parametrize(('flags', 'entrypoint', 'command'), PROCESSES)
def test_entrypoint_and_command(output, base, flags, entrypoint, command):
    config = process(output, base(config=BASE_CONFIG), *flags)
    assert (config.get('Entrypoint'), config.get('Cmd')) == (entrypoint, command)


PLATFORM = {key: BASE_KEYS[key] for key in ('architecture', 'variant', 'os', 'os.version')}
PLATFORMS = [
    ({}, [], ('amd64', None, 'linux', None)),
    ({'architecture': '', 'os': '', 'variant': ''}, [], ('amd64', None, 'linux', None)),
    ({'architecture': None, 'os': None, 'variant': 'v8'}, [], ('amd64', None, 'linux', None)),
    ({'variant': ''}, [], ('amd64', None, 'linux', None)),
    (PLATFORM, [], ('arm64', 'v8', 'windows', '10.0')),
    (PLATFORM, ['--architecture=amd64'], ('amd64', None, 'windows', '10.0')),
    (PLATFORM, ['--architecture=arm64'], ('arm64', 'v8', 'windows', '10.0')),
    (PLATFORM, ['--architecture=arm', '--variant=v7'], ('arm', 'v7', 'windows', '10.0')),
    (PLATFORM, ['--variant=v9'], ('arm64', 'v9', 'windows', '10.0')),
    (PLATFORM, ['--os=linux'], ('arm64', 'v8', 'linux', None)),
    (PLATFORM, ['--os=windows'], ('arm64', 'v8', 'windows', '10.0')),
]


@pytest.mark.parametrize(('keys', 'flags', 'platform'), PLATFORMS)
def test_platform(output, base, keys, flags, platform):
    config = written(output, base(**keys), *flags)
    found = [config.get(key) for key in ('architecture', 'variant', 'os', 'os.version')]
    assert tuple(found) == platform


def test_another_system_has_not_the_features_of_the_base(output, base):
    assert 'os.features' not in written(output, base(**BASE_KEYS), '--os=linux')


@pytest.mark.parametrize('workdir', ['C:\\app', 'c:/app', '\\app', '/app'])
def test_an_absolute_path_on_windows(output, workdir):
    assert process(output, '--os=windows', f'--workdir={workdir}') == {'WorkingDir': workdir}


CONTAINER_KEYS = {
    'id': 'x',
    'parent': 'y',
    'parent_id': 'y',
    'layer_id': 'z',
    'container': 'c',
    'container_config': {'Cmd': ['x']},
    'docker_version': '1.9',
    'comment': 'Imported from -',
    'checksum': 'c',
    'Size': 7,
    'throwaway': True,
}


def test_nulls_and_the_keys_of_a_container_are_dropped(output, base):
    keys = {'author': None, 'config': {'Cmd': None, 'Healthcheck': {'Test': None}, 'User': 'u'}}
    config = written(output, base(**CONTAINER_KEYS, **keys, unknown=None))
    assert set(config) == {'architecture', 'config', 'created', 'history', 'os', 'rootfs'}
    assert config['config'] == {'Healthcheck': {}, 'User': 'u'}


@pytest.mark.parametrize('config', [None, {}])
def test_config_is_always_an_object(output, base, config):
    assert process(output, base(config=config)) == {}


def test_null_in_an_object_of_names_is_what_clients_make_of_it(output, base):
    config = {'ExposedPorts': {'80/tcp': None}, 'Volumes': {'/x': None}, 'Labels': {'a': None}}
    assert process(output, base(config=config)) == {
        'ExposedPorts': {'80/tcp': {}},
        'Labels': {'a': ''},
        'Volumes': {'/x': {}},
    }


def test_keys_in_another_case_are_the_same_keys(output, tmp_path):
    entry = {'Created': EPOCH, 'EMPTY_LAYER': True}
    config = {
        'Architecture': 'arm64',
        'OS': 'linux',
        'Config': {'env': ['A=1'], 'cmd': ['x'], 'LABELS': {'Case': 'kept'}},
        'RootFS': {'Type': 'layers', 'Diff_IDs': [f'sha256:{HEX[0]}']},
        'History': [{'Created_By': 'x'}, entry],
        'Docker_Version': '1.10',
    }
    path = write_base_of(tmp_path / 'base.tar', json.dumps(config).encode(), layers=1)
    assert written(output, f'--base={path}', '--env=A=2', '--entrypoint=/e') == {
        'architecture': 'arm64',
        'config': {'Entrypoint': ['/e'], 'Env': ['A=2'], 'Labels': {'Case': 'kept'}},
        'created': EPOCH,
        'history': [
            {'created_by': 'x'},
            {'created': EPOCH, 'empty_layer': True},
            {'created': EPOCH, 'empty_layer': True},
        ],
        'os': 'linux',
        'rootfs': {'diff_ids': [f'sha256:{HEX[0]}'], 'type': 'layers'},
    }


# History.

TOLD = {'created_by': 'base'}
EMPTY_TOLD = {'created_by': 'base', 'empty_layer': True}
UNTOLD = {'created': EPOCH}
NEW = {'created': '2016-06-08T11:26:46Z', 'created_by': 'make', 'author': 'A'}
HISTORIES = [
    ([TOLD, TOLD], [TOLD, TOLD]),
    ([TOLD, EMPTY_TOLD, TOLD, EMPTY_TOLD], [TOLD, EMPTY_TOLD, TOLD, EMPTY_TOLD]),
    ([TOLD], [TOLD, UNTOLD]),
    ([EMPTY_TOLD], [EMPTY_TOLD, UNTOLD, UNTOLD]),
    ([], [UNTOLD, UNTOLD]),
    (None, [UNTOLD, UNTOLD]),
    ([None, TOLD], [{}, TOLD]),
    (
        [{**TOLD, 'author': None, 'empty_layer': False}, TOLD],
        [{**TOLD, 'empty_layer': False}, TOLD],
    ),
]


@pytest.mark.parametrize(('history', 'below'), HISTORIES)
@pytest.mark.parametrize('layers', [0, 1, 2])
def test_history(output, base, history, below, layers):
    flags = ['--created=2016-06-08T11:26:46Z', '--created_by=make', '--author=A']
    flags += [f'--layer={digest}' for digest in HEX[:layers]]
    config = written(output, base(history=history), *flags)
    new = [NEW] * layers or [{**NEW, 'empty_layer': True}]
    assert config['history'] == below + new
    told = [entry for entry in config['history'] if not entry.get('empty_layer')]
    assert len(told) == len(config['rootfs']['diff_ids']) == 2 + layers


# Differences from the original, which have no other test.


def test_the_platform_created_and_author_are_not_the_originals(output, base):
    config = written(output, base(**BASE_KEYS), f'--layer={HEX[0]}')
    assert (config['architecture'], config['os']) == ('arm64', 'windows')
    assert config['created'] == EPOCH
    assert config['author'] == 'B. Ase'
    assert 'author' not in written(output)


def test_labels_are_an_object_that_clients_read(output):
    assert process(output, '--labels=a=1') == {'Labels': {'a': '1'}}


# The fixtures.


@pytest.mark.parametrize('name', MODERN)
def test_an_image_on_each_base_passes_verify(tmp_path, name):
    base = DATA / 'bases' / name
    parts = Parts(tmp_path, base=base)
    layers = [f'--layer={identifier}' for identifier, _ in parts.layers]
    flags = ['--env=A=$PATH', '--labels=a=1', '--command=/x']
    config = written(parts.config, f'--base={base}', *layers, *flags)
    assert config['rootfs']['diff_ids'] == [*base_diff_ids(), *parts.diff_ids]
    assert config['architecture'] == 'amd64'
    assert config['config']['Labels']['a'] == '1'
    parts.id = sha256(parts.config.read_bytes())
    done = helpers.run(*parts.flags, '--verify')
    warnings, errors = helpers.messages(done.stderr)
    assert (done.returncode, errors) == (0, [])
    if 'zstd' in name:
        assert all('was not checked' in warning for warning in warnings)
    else:
        assert warnings == []


@pytest.mark.parametrize('name', [name for name in MODERN if name.count('.') > 2])
def test_a_compressed_base_gives_what_the_plain_one_gives(output, tmp_path, name):
    plain = written(output, f'--base={DATA / "bases" / name.rpartition(".")[0]}')
    assert written(tmp_path / 'other', f'--base={DATA / "bases" / name}') == plain


def test_the_last_of_several_images_counts(output, tmp_path):
    images = [helpers.BaseImage([name]) for name in ('first.tar', 'last.tar')]
    path = helpers.write_base(tmp_path / 'base.tar', *images)
    assert written(output, f'--base={path}')['rootfs']['diff_ids'] == images[1].diff_ids


def test_a_partial_base(output, tmp_path):
    image = helpers.BaseImage(['layer.tar'])
    manifest = json.dumps([image.entry]).encode()
    files = {'manifest.json': manifest, image.entry['Config']: image.config}
    path = helpers.make_tar(tmp_path / 'base.tar', files)
    assert written(output, f'--base={path}')['rootfs']['diff_ids'] == image.diff_ids


def test_a_large_base_is_not_read(output, tmp_path, time_limit):
    """A terabyte of holes, which would take many minutes to read."""
    path = tmp_path / 'base.tar'
    image = helpers.BaseImage(['layer.tar'])
    size = 1 << 40
    header = tarfile.TarInfo('layer.tar')
    header.size = size
    files = {'manifest.json': json.dumps([image.entry]).encode()}
    files[image.entry['Config']] = image.config
    with path.open('wb') as file:
        file.write(header.tobuf(tarfile.GNU_FORMAT))
        file.seek(size, os.SEEK_CUR)
        file.write(helpers.tar_of(*(helpers.member(name, files[name]) for name in files)))
    time_limit(60)
    done, _, read = helpers.measure(f'--output={output}', f'--base={path}', program=PROGRAM)
    assert done.returncode == 0, done.stderr.decode()
    assert read < 64 << 20
    assert json.loads(output.read_text())['rootfs']['diff_ids'] == image.diff_ids


# The output.


def test_standard_output(output):
    expected = written(output, '--user=x')
    done = helpers.build('--output=-', '--user=x', program=PROGRAM)
    assert done.stdout == output.read_bytes()
    assert json.loads(done.stdout) == expected


def test_an_output_is_replaced_whole_with_the_mode_of_a_new_file(output):
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
def test_the_bytes_depend_on_nothing_else(output, tmp_path, variables):
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
    done = helpers.build('--output=-', *flags, program=PROGRAM, **options)
    assert done.stdout.decode('ascii') == json.dumps(expected, sort_keys=True) + '\n'


def test_help_and_version():
    for flag in ('--help', '-h', '--helpshort'):
        done = helpers.build(flag, program=PROGRAM)
        assert b'--entrypoint' in done.stdout
    assert helpers.build('--version', program=PROGRAM).stdout.startswith(b'create_image_config ')
