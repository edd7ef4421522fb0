# SPDX-License-Identifier: Apache-2.0
"""Random images: what --verify passes in silence loads, what it refuses some client refuses."""

import os

import pytest

from support.amounts import amount
from support.clients import OVERLAYS, unpacks
from support.random_images import RandomImage
from support.running import messages, run_program

pytestmark = pytest.mark.client

IMAGES = amount('RANDOM_LOADED', 30, 30)
# Where --verify is stricter than the clients of today, with the reason in docs/checks.md.
STRICTER = [
    'which clients ignore',  # fields of members in a global header
    'is the root, and not a directory',
    'and Docker takes one port a key',  # Docker 29
]
# What the clients of Debian 12 take.
ACCEPTED_BEFORE = [
    'leads out of the root',
    'a link to no directory',
    'which Linux refuses',
    'ExposedPorts',
]


@pytest.mark.parametrize('seed', range(IMAGES))
def test_verify_judges_as_clients_do(running_store, tmp_path, seed):
    image = RandomImage(tmp_path, seed)
    warnings, errors = messages(run_program('create_image', *image.flags, '--verify').stderr)
    if errors:
        run_program('create_image', *image.flags)
    if not image.parts.output.exists():
        return  # it is an error without --verify, too
    path = image.parts.output
    if warnings and not errors:
        return  # clients differ
    taken = all(unpacks(running_store(name), path, image.tag) for name in OVERLAYS)
    if not errors:
        assert taken
    elif taken:
        expected = list(STRICTER)
        if os.environ.get('REQUIRE_CRANE') != '1':
            expected += ACCEPTED_BEFORE
        assert any(text in line for text in expected for line in errors), errors
