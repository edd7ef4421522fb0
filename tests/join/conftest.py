# SPDX-License-Identifier: Apache-2.0
"""Fixtures for the tests of join_layers."""

import pytest

from support.images import write_base
from support.joins import image_of


@pytest.fixture
def two(tmp_path):
    """The archives of two images that share their lowest layer."""
    one = write_base(tmp_path / 'one.tar', image_of('shared', 'a', tag='app:1'))
    other = write_base(tmp_path / 'other.tar', image_of('shared', 'b', tag='db:1'))
    return one, other
