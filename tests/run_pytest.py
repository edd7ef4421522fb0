# SPDX-License-Identifier: Apache-2.0
"""Runs pytest on a test file beside this one, as the main program of a Bazel py_test."""

import pathlib
import sys

import pytest

FOLDER = pathlib.Path(__file__).absolute().parent
FILES = [str(FOLDER / name) for name in sys.argv[1:]]

# The modules that the tests share: Bazel 7 keeps a program's folder out of the path.
sys.path.insert(0, str(FOLDER))
sys.exit(pytest.main(['-p', 'no:cacheprovider', *FILES]))
