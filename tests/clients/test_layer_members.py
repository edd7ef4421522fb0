# SPDX-License-Identifier: Apache-2.0
"""Members of layers that --verify refuses are refused by clients, and sound ones are not."""

import os

import pytest

from support.clients import OVERLAYS, unpacks
from support.images import Parts, configuration
from support.odd_layers import (
    FILE_BELOW,
    ODD,
    ODD_ABOVE,
    READ_LENIENTLY,
    SOUND,
    SOUND_ABOVE,
    content_of,
    odd_layer,
    sound_layer,
)
from support.running import build
from support.tars import sha256, tar_of, write_tar

pytestmark = pytest.mark.client

TAG = 'example/members:1'
# All clients unpack it, but what the file becomes there depends on the client.
STRICTER = ['a root that is a file']
# The clients of Debian 12 unpack these, later ones do not.
ACCEPTED_BEFORE = [
    'a name that leads out',
    'an absolute name that leads out',
    'an attribute of macOS',
    'a file below a link that leads out',
]


def image_with(directory, layer, below=None):
    """Returns the parts of an image with a small layer, and one that is given by its bytes."""
    image = Parts(directory, [{'lower': b'x'}])
    if below is not None:
        path = write_tar(directory / 'below.tar', *below)
        image.layers.append((sha256(path.read_bytes()), path))
    path = directory / 'top.tar'
    path.write_bytes(layer)
    image.layers.append((sha256(content_of(layer)), path))
    image.configure(configuration(image.diff_ids, {'Cmd': ['/x']}))
    build(*image.flags, f'--tag={TAG}')
    return image


@pytest.mark.parametrize('case', ODD)
def test_a_client_refuses_the_odd_member(running_store, tmp_path, case):
    image = image_with(tmp_path, odd_layer(case))
    taken = all(unpacks(running_store(name), image.output, TAG) for name in OVERLAYS)
    is_old = os.environ.get('REQUIRE_CRANE') != '1'
    expected = STRICTER
    if is_old:
        expected = STRICTER + ACCEPTED_BEFORE
    assert not taken or case in expected


@pytest.mark.parametrize('case', READ_LENIENTLY)
def test_a_client_refuses_the_layer_that_is_read_leniently(running_store, tmp_path, case):
    image = image_with(tmp_path, READ_LENIENTLY[case][0])
    assert not all(unpacks(running_store(name), image.output, TAG) for name in OVERLAYS)


@pytest.mark.parametrize('case', SOUND)
def test_every_client_unpacks_sound_members(running_store, tmp_path, case):
    image = image_with(tmp_path, sound_layer(case))
    assert [
        name for name in OVERLAYS if unpacks(running_store(name), image.output, TAG)
    ] == OVERLAYS


@pytest.mark.parametrize('case', ODD_ABOVE)
def test_containerd_refuses_the_odd_member_above_a_file(running_store, tmp_path, case):
    image = image_with(tmp_path, tar_of(*ODD_ABOVE[case][0]), FILE_BELOW)
    assert not unpacks(running_store('containerd-overlay'), image.output, TAG)


@pytest.mark.parametrize('case', SOUND_ABOVE)
def test_every_client_unpacks_sound_members_above_a_file(running_store, tmp_path, case):
    image = image_with(tmp_path, tar_of(*SOUND_ABOVE[case]), FILE_BELOW)
    taken = [name for name in OVERLAYS if unpacks(running_store(name), image.output, TAG)]
    assert taken == OVERLAYS
