# SPDX-License-Identifier: Apache-2.0
"""Fixtures for the tests of tar archives."""

import pytest

from support.hostile import Target


@pytest.fixture
def target(tmp_path, time_limit):
    return Target(tmp_path, time_limit)
