# SPDX-License-Identifier: Apache-2.0
"""Helpers that several tests share. No test module imports another one."""

import pathlib

import pytest

# With this, failed assertions in these modules show their values, as in tests.
pytest.register_assert_rewrite(
    *(f'support.{path.stem}' for path in pathlib.Path(__file__).parent.glob('[a-z]*.py'))
)
