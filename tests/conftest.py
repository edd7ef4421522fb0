# SPDX-License-Identifier: Apache-2.0
"""Fixtures of several directories."""

import signal

import pytest

from support.images import Parts
from support.real_archives import make_trees

pytest_plugins = ['support.clients']


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
