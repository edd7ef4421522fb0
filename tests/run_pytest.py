# SPDX-License-Identifier: Apache-2.0
"""Runs pytest on test modules below this directory, as the main program of a Bazel py_test."""

import pathlib
import sys

import pytest

DIRECTORY = pathlib.Path(__file__).absolute().parent
MODULES = [str(DIRECTORY / name) for name in sys.argv[1:]]

# pyproject.toml, which has these options elsewhere, is not in a sandbox.
sys.path[:0] = [str(DIRECTORY.parent), str(DIRECTORY)]
sys.exit(pytest.main(['-p', 'no:cacheprovider', '--import-mode=importlib', *MODULES]))
