# SPDX-License-Identifier: Apache-2.0
"""What CONTRIBUTING.md says of the modules, and CHANGELOG.md of the version."""

import ast
import re

import version
from support.project import ROOT

MODULES = {path.stem: path for path in ROOT.glob('*.py')}
# The rows of the table of modules.
ROWS = [
    re.findall(r'`(\w+)\.py`', line.split('|')[1])
    for line in (ROOT / 'CONTRIBUTING.md').read_text().splitlines()
    if line.startswith('| `')
]


def imported(path):
    """Returns the project's modules that a module imports."""
    names = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            names.add(node.module)
    return names & MODULES.keys()


def test_every_module_is_in_one_row():
    assert sorted(name for row in ROWS for name in row) == sorted(MODULES)


def test_a_module_imports_only_what_is_in_rows_below():
    below = set(MODULES)
    for row in ROWS:
        below.difference_update(row)
        for name in row:
            assert imported(MODULES[name]) <= below, name


def test_the_changelog_begins_with_the_version():
    titles = re.findall(r'^## (\S+)', (ROOT / 'CHANGELOG.md').read_text(), re.MULTILINE)
    assert titles[0] == version.VERSION
