# SPDX-License-Identifier: Apache-2.0
"""What the tests share. No test module imports another one."""

import pathlib

import pytest

# A failed assertion in these modules then shows its values, as one in a test does.
pytest.register_assert_rewrite(
    *(f'support.{path.stem}' for path in pathlib.Path(__file__).parent.glob('[a-z]*.py'))
)
