# SPDX-License-Identifier: Apache-2.0
"""Fixtures for the tests of build_tar."""

import pytest


@pytest.fixture
def output(tmp_path):
    """The path of a layer, in a directory of its own."""
    directory = tmp_path / 'output'
    directory.mkdir()
    return directory / 'layer.tar'


@pytest.fixture
def tree(tmp_path):
    """An empty directory for the files of a layer."""
    directory = tmp_path / 'tree'
    directory.mkdir()
    return directory
