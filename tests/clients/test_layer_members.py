# SPDX-License-Identifier: Apache-2.0
"""Members of layers that --verify refuses are refused by clients, and sound ones are not."""

import os
import subprocess
import zlib

import pytest

from support.clients import OVERLAYS
from support.images import Parts, configuration
from support.odd_layers import ODD, READ_LENIENTLY, SOUND, odd_layer, sound_layer
from support.running import build
from support.tars import sha256

pytestmark = pytest.mark.client

TAG = 'example/members:1'
# The clients of Debian 12 unpack these, later ones do not.
ACCEPTED_BEFORE = [
    'a root that is a file',
    'a name that leads out',
    'an absolute name that leads out',
    'an attribute of macOS',
]


def image_with(directory, layer):
    """Returns the parts of an image with a small layer, and one that is given by its bytes."""
    image = Parts(directory, [{'lower': b'x'}])
    path = directory / 'top.tar'
    path.write_bytes(layer)
    content = layer
    if layer.startswith(b'\x1f\x8b'):
        content = zlib.decompressobj(wbits=31).decompress(layer)
    image.layers.append((sha256(content), path))
    image.configure(configuration(image.diff_ids, {'Cmd': ['/x']}))
    build(*image.flags, f'--tag={TAG}')
    return image


def unpacks(store, path):
    """Tries to load an image and to read its files; returns whether both work."""
    command = [*store.command, *store.LOAD, path]
    done = subprocess.run(command, capture_output=True, timeout=300, check=False)
    if done.returncode or TAG not in store.tags():
        return False
    try:
        return 'lower' in store.files(TAG)
    except (AssertionError, OSError):
        return False


@pytest.mark.parametrize('case', ODD)
def test_a_client_refuses_the_odd_member(running_store, tmp_path, case):
    image = image_with(tmp_path, odd_layer(case))
    taken = [name for name in OVERLAYS if unpacks(running_store(name), image.output)]
    is_old = os.environ.get('REQUIRE_CRANE') != '1'
    assert taken != OVERLAYS or (is_old and case in ACCEPTED_BEFORE)


@pytest.mark.parametrize('case', READ_LENIENTLY)
def test_a_client_refuses_the_layer_that_is_read_leniently(running_store, tmp_path, case):
    image = image_with(tmp_path, READ_LENIENTLY[case][0])
    assert [name for name in OVERLAYS if unpacks(running_store(name), image.output)] != OVERLAYS


@pytest.mark.parametrize('case', SOUND)
def test_every_client_unpacks_sound_members(running_store, tmp_path, case):
    image = image_with(tmp_path, sound_layer(case))
    assert [name for name in OVERLAYS if unpacks(running_store(name), image.output)] == OVERLAYS
