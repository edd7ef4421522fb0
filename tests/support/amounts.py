# SPDX-License-Identifier: Apache-2.0
"""How much the tests try: little every day, all with ALL_TESTS=1, as `make test-all` has it."""

import os

import pytest

ALL_TESTS = os.environ.get('ALL_TESTS') == '1'


def amount(variable, every_day, all_tests):
    """Returns how many of something a test tries; the environment may give another number."""
    return int(os.environ.get(variable, all_tests if ALL_TESTS else every_day))


def some_every_day(cases, every_day):
    """Returns cases to parametrize a test with, of which the others are slow."""
    assert set(every_day) <= set(cases)
    return [
        pytest.param(case, marks=[] if case in every_day else pytest.mark.slow) for case in cases
    ]
