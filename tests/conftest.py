# SPDX-License-Identifier: Apache-2.0
"""Fixtures of several directories."""

import pathlib
import signal

import pytest

from support.amounts import ALL_TESTS
from support.images import Parts
from support.real_archives import make_trees

pytest_plugins = ['support.clients']


# What is not for every day.
MARKS = ('client', 'mount', 'slow')


def pytest_collection_modifyitems(config, items):
    """Leaves out the tests with these marks, unless all, some mark or their file is asked for."""
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
    """A function that makes the test fail after some seconds; it may be called again."""

    def hangs(*_):
        raise AssertionError('it hangs')

    previous = signal.signal(signal.SIGALRM, hangs)
    yield signal.alarm
    signal.alarm(0)
    signal.signal(signal.SIGALRM, previous)


@pytest.fixture(scope='module')
def trees(tmp_path_factory):
    """A directory with the trees of files that the archives of real programs hold."""
    return make_trees(tmp_path_factory.mktemp('trees'))
