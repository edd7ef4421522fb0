# SPDX-License-Identifier: Apache-2.0
"""The fixtures of several test files."""

import pathlib
import signal
import sys

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).absolute().parent.parent))

from helpers import Parts

pytest_plugins = ['clients']


@pytest.fixture
def parts(tmp_path):
    return Parts(tmp_path)


@pytest.fixture
def time_limit():
    """A function that has the test fail after some seconds; it may be called again."""

    def hangs(*_):
        raise AssertionError('it hangs')

    previous = signal.signal(signal.SIGALRM, hangs)
    yield signal.alarm
    signal.alarm(0)
    signal.signal(signal.SIGALRM, previous)
