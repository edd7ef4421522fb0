# SPDX-License-Identifier: Apache-2.0
"""--verify refuses what the loaders of real clients refuse (section 7)."""

import json
import subprocess

import pytest

from support.clients import STORES
from support.config_keys import TABLES
from support.images import BaseImage, Parts, configuration, write_base
from support.running import build, problems
from support.tars import make_tar, sha256

pytestmark = pytest.mark.client

TAG = 'example/refused:1'


def wrong_values(pattern, keys, within):
    """Returns changes to a configuration by key path; each sets one key to a wrong value."""
    return {pattern.format(key): within({key: values[0]}) for key, (_, values) in keys.items()}


# Changes to the configuration that at least one client refuses.
CHANGES = {
    **{
        case: changes
        for pattern, within, keys in TABLES
        for case, changes in wrong_values(pattern, keys, within).items()
        if not case.startswith('container_config.')
    },
    'no rootfs': {'rootfs': None},
    'no architecture': {'architecture': None},
    'no os': {'os': None},
    'too much history': {'history': [{}, {}]},
    'a port that is no object': {'config': {'ExposedPorts': {'80/tcp': 1}}},
    'a label that is no string': {'config': {'Labels': {'a': 1}}},
    'a string in lower case': {'config': {'env': 'A=b'}},
    'no diff IDs': {'rootfs': {'type': 'layers', 'diff_ids': []}},
    'another diff ID': {'rootfs': {'type': 'layers', 'diff_ids': ['sha256:' + 'a' * 64]}},
    'one diff ID too many': {'rootfs': {'type': 'layers', 'diff_ids': ['sha256:' + 'a' * 64] * 2}},
    'a diff ID of no algorithm': {'rootfs': {'type': 'layers', 'diff_ids': ['a' * 64]}},
}


# The image specifications forbid these, but clients accept them that are older than the key or
# ignore it.
ACCEPTED = ['config.Shell', 'config.Healthcheck.StartInterval', 'no os']


def is_refused(store, path):
    """Tries to load an image; returns whether the store lacks it afterwards."""
    command = [*store.command, *store.LOAD, path]
    subprocess.run(command, capture_output=True, timeout=300, check=False)
    return TAG not in store.tags()


@pytest.mark.parametrize('case', CHANGES)
def test_verify_refuses_configurations_that_clients_refuse(running_store, parts, case):
    config = {**configuration(parts.diff_ids), **CHANGES[case]}
    parts.configure({key: value for key, value in config.items() if value is not None})
    assert problems(*parts.flags, f'--tag={TAG}')
    build(*parts.flags, f'--tag={TAG}', warnings=True)
    refused = any(is_refused(running_store(name), parts.output) for name in STORES)
    assert refused or case in ACCEPTED


# Images with wrong layers.


def flipped_byte(tmp_path):
    """Returns an image with a flipped bit in a layer of the base."""
    lower = BaseImage(['one.tar', 'two.tar'])
    layer = bytearray(lower.layers['two.tar'])
    layer[600] ^= 1
    files = {**lower.files, 'two.tar': bytes(layer)}
    files['manifest.json'] = json.dumps([lower.entry]).encode()
    base = make_tar(tmp_path / 'base.tar', files)
    return Parts(tmp_path, base=base, below=lower.diff_ids)


def rebuilt_base(tmp_path):
    """Returns an image whose configuration does not fit the base, as after its rebuild."""
    lower = BaseImage(['one.tar', 'two.tar'])
    base = write_base(tmp_path / 'base.tar', lower)
    return Parts(tmp_path, base=base, below=[lower.diff_ids[0], f'sha256:{"a" * 64}'])


def cut_off_layer(tmp_path):
    image = Parts(tmp_path, [{'srv/large': bytes(5000)}])
    layer = image.layers[0][1]
    layer.write_bytes(layer.read_bytes()[:3000])
    image.layers = [(sha256(layer.read_bytes()), layer)]
    image.configure(configuration(image.diff_ids))
    return image


@pytest.mark.parametrize('make', [flipped_byte, rebuilt_base, cut_off_layer])
def test_verify_refuses_layers_that_clients_refuse(running_store, tmp_path, make):
    image = make(tmp_path)
    flags = [*image.flags, f'--tag={TAG}']
    assert problems(*flags)
    assert not image.output.exists()
    build(*flags, warnings=True)
    assert [name for name in STORES if is_refused(running_store(name), image.output)]
