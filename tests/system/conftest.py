# SPDX-License-Identifier: Apache-2.0
"""Fixtures for the tests of the command line and of system errors."""

import pytest


@pytest.fixture(autouse=True)
def two_minutes(time_limit):
    time_limit(120)
