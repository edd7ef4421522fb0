# SPDX-License-Identifier: Apache-2.0
"""Fixtures for several directories."""

import pathlib
import signal

import pytest

from support.amounts import ALL_TESTS
from support.images import Parts
from support.real_archives import make_trees

pytest_plugins = ['support.clients']


# Tests that are not run every day.
MARKS = ('client', 'mount', 'slow')


def pytest_collection_modifyitems(config, items):
    """Deselects tests with these marks; ALL_TESTS=1, -m or the path of their file keeps them."""
    if ALL_TESTS or config.option.markexpr:
        return
    named = [argument.partition('::')[0] for argument in config.args]
    asked_for = [pathlib.Path(config.invocation_params.dir, path) for path in named]
    kept, left_out = [], []
    for item in items:
        is_marked = any(item.get_closest_marker(mark) for mark in MARKS)
        if is_marked and item.path not in asked_for:
            left_out.append(item)
        else:
            kept.append(item)
    config.hook.pytest_deselected(items=left_out)
    items[:] = kept


@pytest.fixture
def parts(tmp_path):
    return Parts(tmp_path)


@pytest.fixture
def time_limit():
    """A function that fails the test after some seconds; each call sets a new limit."""

    def hangs(*_):
        raise AssertionError('it hangs')

    previous = signal.signal(signal.SIGALRM, hangs)
    yield signal.alarm
    signal.alarm(0)
    signal.signal(signal.SIGALRM, previous)


@pytest.fixture(scope='module')
def trees(tmp_path_factory):
    """A directory with the files that are packed by real programs."""
    return make_trees(tmp_path_factory.mktemp('trees'))
