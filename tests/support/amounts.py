# SPDX-License-Identifier: Apache-2.0
"""How much the tests try: a little every day, everything with ALL_TESTS=1 (`make test-all`)."""

import os

import pytest

ALL_TESTS = os.environ.get('ALL_TESTS') == '1'


def amount(variable, every_day, all_tests):
    """Returns how many cases a test tries; the environment variable can change it."""
    return int(os.environ.get(variable, all_tests if ALL_TESTS else every_day))


def some_every_day(cases, every_day):
    """Returns cases to parametrize a test; those not in every_day are marked slow."""
    assert set(every_day) <= set(cases)
    return [
        pytest.param(case, marks=[] if case in every_day else pytest.mark.slow) for case in cases
    ]
