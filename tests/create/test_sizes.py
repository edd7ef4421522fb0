# SPDX-License-Identifier: Apache-2.0
"""create_image: documents that are larger than clients read (section 7)."""

import json

import pytest

from support.images import Parts, configuration
from support.running import build, messages, problems

MIB = 1 << 20


def with_config_of(directory, size):
    """Returns the parts of an image whose configuration has so many bytes."""
    image = Parts(directory)
    keys = configuration(image.diff_ids)
    padding = size - len(json.dumps({**keys, 'x': ''}))
    image.configure({**keys, 'x': 'y' * padding})
    assert image.config.stat().st_size == size
    return image


def test_configuration_of_4_mib_is_accepted(tmp_path):
    build(*with_config_of(tmp_path, 4 * MIB).flags, '--verify')


def test_larger_configuration_is_an_error(tmp_path):
    image = with_config_of(tmp_path, 4 * MIB + 1)
    text = 'has over 4 MiB, which Podman and Skopeo do not read: make it smaller'
    assert problems(*image.flags) == [f"--config: '{image.config}' {text}"]


def test_large_manifest_is_an_error(parts):
    tags = [f'--tag=example/{"x" * 200}:{number}' for number in range(1000, 6000)]
    text = 'manifest.json has over 1 MiB, which Podman does not read: give fewer or shorter tags'
    done = build(*parts.flags, *tags, warnings=True)
    assert messages(done.stderr) == ([f'--tag: {text}'], [])
    assert problems(*parts.flags, *tags) == [f'--tag: {text}']
    build(*parts.flags, *tags[:4800], '--verify')


@pytest.mark.slow
def test_many_descriptors_are_an_error(parts):
    tags = [f'--tag=x:{number}' for number in range(10001)]
    text = 'index.json has over 10,000 descriptors, which containerd refuses: give fewer'
    assert problems(*parts.flags, *tags, '--oci') == [f'--tag: {text}']
    build(*parts.flags, *tags[1:], '--oci', '--verify')
