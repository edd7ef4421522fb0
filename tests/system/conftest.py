# SPDX-License-Identifier: Apache-2.0
"""The fixtures of the tests of the command line and of faults."""

import pytest


@pytest.fixture(autouse=True)
def two_minutes(time_limit):
    time_limit(120)
