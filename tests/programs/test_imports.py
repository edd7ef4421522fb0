# SPDX-License-Identifier: Apache-2.0
"""A wing imports only the wings before it in this list; the verbs do not import each other."""

import ast
import pathlib

import pytest

from support.project import ROOT

PACKAGE = ROOT / 'image_archive'
# A module may import modules from the lines before its own, and from its own wing.
FLOORS = [
    {'image_archive', 'errors', 'digests'},
    {'system'},
    {'tar'},
    {'image'},
    {'checks'},
    {'layer', 'configure', 'create', 'join'},
    {'compose'},
]
MODULES = sorted(PACKAGE.rglob('*.py'))
ROOT_MODULES = {path.stem for path in ROOT.glob('*.py')}


def wing_of(module):
    """Returns the wing of a module below image_archive; the module's name if it is in none."""
    parts = module.split('.')
    return parts[1] if len(parts) > 1 else parts[0]


def imported_by(path):
    """Yields the dotted names that a module imports, also inside functions."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f'{path}: a relative import'
            for alias in node.names:
                yield f'{node.module}.{alias.name}'


def floor_of(wing):
    (floor,) = [number for number, wings in enumerate(FLOORS) if wing in wings]
    return floor


@pytest.mark.parametrize('path', MODULES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_modules_import_only_from_lower_wings(path):
    inside = path.relative_to(PACKAGE)
    own = inside.parts[0].removesuffix('.py')
    if own == '__init__':
        own = 'image_archive'
    for name in imported_by(path):
        assert name.split('.')[0] not in ROOT_MODULES, f'{name}: wings never import the root'
        if not name.startswith('image_archive'):
            continue
        wing = wing_of(name) if wing_of(name) != 'VERSION' else 'image_archive'
        assert wing == own or floor_of(wing) < floor_of(own), name


def test_no_circular_imports():
    imports = {}
    for path in MODULES:
        module = '.'.join(path.relative_to(ROOT).with_suffix('').parts)
        imports[module] = {name for name in imported_by(path) if name.startswith('image_archive.')}
    names = set(imports)

    def modules_in(name):
        return name if name in names else name.rpartition('.')[0]

    graph = {module: {modules_in(name) for name in found} for module, found in imports.items()}
    done = set()

    def visit(module, path):
        assert module not in path, [*path, module]
        if module in done:
            return
        for other in graph.get(module, ()):
            visit(other, (*path, module))
        done.add(module)

    for module in graph:
        visit(module, ())


def test_only_the_root_programs_and_system_import_absl_flags():
    for path in MODULES:
        if pathlib.PurePath('system') in [path.relative_to(PACKAGE).parent]:
            continue
        assert 'absl.flags' not in set(imported_by(path)), path
