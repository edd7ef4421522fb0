# SPDX-License-Identifier: Apache-2.0
"""Fixtures for the tests of create_image."""

import pytest

from support.images import MODERN, on_fixture
from support.layouts import write_layout


@pytest.fixture(scope='session')
def layouts(tmp_path_factory):
    """One layout of each kind: {(base, is partial): layout}."""
    made = {}
    for base in MODERN:
        for partial in (False, True):
            directory = tmp_path_factory.mktemp('layout')
            image = on_fixture(directory, base)
            made[base, partial], _ = write_layout(image, partial=partial)
    return made
