# SPDX-License-Identifier: Apache-2.0
"""Programs and permissions that a test needs; without them it is skipped."""

import ctypes
import os
import shutil

import pytest


def missing(reason):
    """Skips the test, or fails it if REQUIRE_CLIENTS=1 says that nothing may be missing."""
    if os.environ.get('REQUIRE_CLIENTS') == '1':
        pytest.fail(reason)
    pytest.skip(reason)


def require(*programs):
    for program in programs:
        if not shutil.which(program):
            missing(f'{program} is not installed')


def respect_file_modes():
    """Removes root's permission to ignore file modes from this process."""
    libc = ctypes.CDLL(None)
    for capability in (1, 2):  # CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH
        libc.prctl(24, capability, 0, 0, 0)  # PR_CAPBSET_DROP


def as_another_user(directory, function):
    """Calls a function as another user in a directory; returns its result, a small number."""
    if os.geteuid() != 0:
        missing('only root may become another user')
    pid = os.fork()
    if not pid:
        result = 99
        try:
            os.chdir(directory)
            os.setgid(12345)
            os.setuid(12345)
        except OSError:
            result = 77
        else:
            result = function()
        finally:
            os._exit(result)
    result = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    if result == 77:
        missing('this sandbox lets no one become another user')
    return result
