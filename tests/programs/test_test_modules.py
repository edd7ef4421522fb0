# SPDX-License-Identifier: Apache-2.0
"""The test modules themselves; what they share is in tests/support/."""

import ast

from support.project import ROOT

TESTS = ROOT / 'tests'
# `bazel` is a workspace of its own.
MODULES = sorted(
    path for path in TESTS.rglob('*.py') if path.relative_to(TESTS).parts[0] != 'bazel'
)


def imported(path):
    """Returns the dotted names that a file imports."""
    names = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            module = node.module or ''
            names.add(module)
            names.update(f'{module}.{alias.name}' for alias in node.names)
    return names


def test_no_test_module_imports_another():
    checked = 0
    for path in MODULES:
        for name in imported(path):
            parts = name.split('.')
            assert not any(part.startswith('test_') for part in parts), (path, name)
            assert 'conftest' not in parts, (path, name)
        checked += path.name.startswith('test_')
    assert checked > 50


def test_every_module_begins_with_its_licence():
    for path in MODULES:
        assert path.read_text().startswith('# SPDX-License-Identifier: Apache-2.0\n'), path
