# SPDX-License-Identifier: Apache-2.0
"""create_image_config: values that come from a base (section 10)."""

import json
import os
import tarfile

import pytest

from support.configs import HEX, PROGRAM, process, written
from support.images import (
    EPOCH,
    MODERN,
    BaseImage,
    Parts,
    base_diff_ids,
    configuration,
    write_base,
    write_base_of,
)
from support.measuring import measure
from support.project import DATA
from support.running import messages, run
from support.tars import make_tar, member, sha256, tar_of

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


def test_base_values_without_a_flag_are_kept(output, base):
    config = written(output, base(**BASE_KEYS))
    diff_ids = config['rootfs']['diff_ids']
    assert len(diff_ids) == 2
    below = configuration(diff_ids)
    assert config == {
        **below,
        **BASE_KEYS,
        'created': EPOCH,
        'history': [*below['history'], {'created': EPOCH, 'empty_layer': True}],
    }


def test_flags_replace_or_add_to_base_values(output, base):
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
def test_entrypoint_and_command_on_a_base(output, base, flags, entrypoint, command):
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
def test_platform_of_the_base_and_of_flags(output, base, keys, flags, platform):
    config = written(output, base(**keys), *flags)
    found = [config.get(key) for key in ('architecture', 'variant', 'os', 'os.version')]
    assert tuple(found) == platform


def test_os_features_of_the_base_are_dropped_for_another_os(output, base):
    assert 'os.features' not in written(output, base(**BASE_KEYS), '--os=linux')


@pytest.mark.parametrize('workdir', ['C:\\app', 'c:/app', '\\app', '/app'])
def test_absolute_paths_on_windows(output, workdir):
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


def test_nulls_and_container_keys_are_dropped(output, base):
    keys = {'author': None, 'config': {'Cmd': None, 'Healthcheck': {'Test': None}, 'User': 'u'}}
    config = written(output, base(**CONTAINER_KEYS, **keys, unknown=None))
    assert set(config) == {'architecture', 'config', 'created', 'history', 'os', 'rootfs'}
    assert config['config'] == {'Healthcheck': {}, 'User': 'u'}


@pytest.mark.parametrize('config', [None, {}])
def test_config_is_always_an_object(output, base, config):
    assert process(output, base(config=config)) == {}


def test_null_ports_volumes_and_labels_become_empty(output, base):
    config = {'ExposedPorts': {'80/tcp': None}, 'Volumes': {'/x': None}, 'Labels': {'a': None}}
    assert process(output, base(config=config)) == {
        'ExposedPorts': {'80/tcp': {}},
        'Labels': {'a': ''},
        'Volumes': {'/x': {}},
    }


def test_case_of_keys_in_the_base_does_not_matter(output, tmp_path):
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

DESCRIBED = {'created_by': 'base'}
EMPTY_DESCRIBED = {'created_by': 'base', 'empty_layer': True}
UNDESCRIBED = {'created': EPOCH}
NEW = {'created': '2016-06-08T11:26:46Z', 'created_by': 'make', 'author': 'A'}
HISTORIES = [
    ([DESCRIBED, DESCRIBED], [DESCRIBED, DESCRIBED]),
    (
        [DESCRIBED, EMPTY_DESCRIBED, DESCRIBED, EMPTY_DESCRIBED],
        [DESCRIBED, EMPTY_DESCRIBED, DESCRIBED, EMPTY_DESCRIBED],
    ),
    ([DESCRIBED], [DESCRIBED, UNDESCRIBED]),
    ([EMPTY_DESCRIBED], [EMPTY_DESCRIBED, UNDESCRIBED, UNDESCRIBED]),
    ([], [UNDESCRIBED, UNDESCRIBED]),
    (None, [UNDESCRIBED, UNDESCRIBED]),
    ([None, DESCRIBED], [{}, DESCRIBED]),
    (
        [{**DESCRIBED, 'author': None, 'empty_layer': False}, DESCRIBED],
        [{**DESCRIBED, 'empty_layer': False}, DESCRIBED],
    ),
]


@pytest.mark.parametrize(('history', 'below'), HISTORIES)
@pytest.mark.parametrize('layers', [0, 1, 2])
def test_history_has_one_entry_for_each_layer(output, base, history, below, layers):
    flags = ['--created=2016-06-08T11:26:46Z', '--created_by=make', '--author=A']
    flags += [f'--layer={digest}' for digest in HEX[:layers]]
    config = written(output, base(history=history), *flags)
    new = [NEW] * layers or [{**NEW, 'empty_layer': True}]
    assert config['history'] == below + new
    described = [entry for entry in config['history'] if not entry.get('empty_layer')]
    assert len(described) == len(config['rootfs']['diff_ids']) == 2 + layers


# Differences from the original program without another test.


def test_defaults_of_platform_created_and_author_differ_from_the_original(output, base):
    config = written(output, base(**BASE_KEYS), f'--layer={HEX[0]}')
    assert (config['architecture'], config['os']) == ('arm64', 'windows')
    assert config['created'] == EPOCH
    assert config['author'] == 'B. Ase'
    assert 'author' not in written(output)


# The bases in testdata.


@pytest.mark.parametrize('name', MODERN)
def test_verify_accepts_an_image_on_each_base(tmp_path, name):
    base = DATA / 'bases' / name
    parts = Parts(tmp_path, base=base)
    layers = [f'--layer={identifier}' for identifier, _ in parts.layers]
    flags = ['--env=A=$PATH', '--labels=a=1', '--command=/x']
    config = written(parts.config, f'--base={base}', *layers, *flags)
    assert config['rootfs']['diff_ids'] == [*base_diff_ids(), *parts.diff_ids]
    assert config['architecture'] == 'amd64'
    assert config['config']['Labels']['a'] == '1'
    parts.id = sha256(parts.config.read_bytes())
    done = run(*parts.flags, '--verify')
    warnings, errors = messages(done.stderr)
    assert (done.returncode, errors) == (0, [])
    if 'zstd' in name:
        assert all('was not checked' in warning for warning in warnings)
    else:
        assert warnings == []


@pytest.mark.parametrize('name', [name for name in MODERN if name.count('.') > 2])
def test_compression_of_the_base_does_not_matter(output, tmp_path, name):
    plain = written(output, f'--base={DATA / "bases" / name.rpartition(".")[0]}')
    assert written(tmp_path / 'other', f'--base={DATA / "bases" / name}') == plain


def test_last_of_several_images_is_used(output, tmp_path):
    images = [BaseImage([name]) for name in ('first.tar', 'last.tar')]
    path = write_base(tmp_path / 'base.tar', *images)
    assert written(output, f'--base={path}')['rootfs']['diff_ids'] == images[1].diff_ids


def test_base_need_not_have_its_layers(output, tmp_path):
    image = BaseImage(['layer.tar'])
    manifest = json.dumps([image.entry]).encode()
    files = {'manifest.json': manifest, image.entry['Config']: image.config}
    path = make_tar(tmp_path / 'base.tar', files)
    assert written(output, f'--base={path}')['rootfs']['diff_ids'] == image.diff_ids


def test_layers_of_the_base_are_not_read(output, tmp_path, time_limit):
    """The layer is a terabyte of holes, which would take many minutes to read."""
    path = tmp_path / 'base.tar'
    image = BaseImage(['layer.tar'])
    size = 1 << 40
    header = tarfile.TarInfo('layer.tar')
    header.size = size
    files = {'manifest.json': json.dumps([image.entry]).encode()}
    files[image.entry['Config']] = image.config
    with path.open('wb') as file:
        file.write(header.tobuf(tarfile.GNU_FORMAT))
        file.seek(size, os.SEEK_CUR)
        file.write(tar_of(*(member(name, files[name]) for name in files)))
    time_limit(60)
    done, _, read = measure(f'--output={output}', f'--base={path}', program=PROGRAM)
    assert done.returncode == 0, done.stderr.decode()
    assert read < 64 << 20
    assert json.loads(output.read_text())['rootfs']['diff_ids'] == image.diff_ids


def test_a_range_of_ports_becomes_single_ports(output, base):
    """Docker 29 refuses a range, which real base images have."""
    path = base(config={'ExposedPorts': {'33060-33062/tcp': {}, '80': {}}})
    found = process(output, path)['ExposedPorts']
    assert found == {'80': {}, '33060/tcp': {}, '33061/tcp': {}, '33062/tcp': {}}


@pytest.mark.parametrize('flags', [['--entrypoint=a'], ['--command=a'], ['--command=[]']])
def test_args_escaped_goes_with_the_command_of_the_base(output, base, flags):
    """On Windows it says that Cmd is a line of text."""
    path = base(os='windows', config={'Cmd': ['cmd /S /C dir'], 'ArgsEscaped': True})
    assert process(output, path)['ArgsEscaped'] is True
    assert 'ArgsEscaped' not in process(output, path, *flags)
