# SPDX-License-Identifier: Apache-2.0
"""Fixtures for the tests of create_image_config."""

import pytest

from support.images import write_base_of


@pytest.fixture
def output(tmp_path):
    return tmp_path / 'config.json'


@pytest.fixture
def base(tmp_path):
    """A function that writes a base and returns the flag for it."""

    def flag(**keys):
        return f'--base={write_base_of(tmp_path / "base.tar", **keys)}'

    return flag
