# SPDX-License-Identifier: Apache-2.0
"""Members of layers that --verify refuses are refused by clients, and sound ones are not."""

import os
import zlib

import pytest

from support.clients import OVERLAYS, unpacks
from support.images import Parts, configuration
from support.odd_layers import ODD, READ_LENIENTLY, SOUND, odd_layer, sound_layer
from support.running import build
from support.tars import sha256

pytestmark = pytest.mark.client

TAG = 'example/members:1'
# All clients unpack it, but what the file becomes there depends on the client.
STRICTER = ['a root that is a file']
# The clients of Debian 12 unpack these, later ones do not.
ACCEPTED_BEFORE = [
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


@pytest.mark.parametrize('case', ODD)
def test_a_client_refuses_the_odd_member(running_store, tmp_path, case):
    image = image_with(tmp_path, odd_layer(case))
    taken = [name for name in OVERLAYS if unpacks(running_store(name), image.output, TAG)]
    is_old = os.environ.get('REQUIRE_CRANE') != '1'
    expected = STRICTER
    if is_old:
        expected = STRICTER + ACCEPTED_BEFORE
    assert taken != OVERLAYS or case in expected


@pytest.mark.parametrize('case', READ_LENIENTLY)
def test_a_client_refuses_the_layer_that_is_read_leniently(running_store, tmp_path, case):
    image = image_with(tmp_path, READ_LENIENTLY[case][0])
    assert [
        name for name in OVERLAYS if unpacks(running_store(name), image.output, TAG)
    ] != OVERLAYS


@pytest.mark.parametrize('case', SOUND)
def test_every_client_unpacks_sound_members(running_store, tmp_path, case):
    image = image_with(tmp_path, sound_layer(case))
    assert [
        name for name in OVERLAYS if unpacks(running_store(name), image.output, TAG)
    ] == OVERLAYS
