# SPDX-License-Identifier: Apache-2.0
"""Runs pytest on a test file beside this one, as the main program of a Bazel py_test."""

import pathlib
import sys

import pytest

FOLDER = pathlib.Path(__file__).absolute().parent

sys.exit(pytest.main(['-p', 'no:cacheprovider', *(str(FOLDER / name) for name in sys.argv[1:])]))
