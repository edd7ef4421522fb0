# SPDX-License-Identifier: Apache-2.0
"""Where the project's files are."""

import pathlib
import shutil

ROOT = pathlib.Path(__file__).absolute().parent.parent.parent
TOOL = ROOT / 'create_image.py'
DATA = ROOT / 'tests' / 'testdata'
FIXTURES = DATA / 'bases'
# The directories with the files that the programs, `make` and `make dist` need.
_SOURCES = ('image_archive', 'tools', 'examples')


def copy_project(directory):
    """Copies the files that the project's commands need, but nothing that they wrote."""
    directory.mkdir(exist_ok=True)
    for path in ROOT.iterdir():
        if path.is_file() and not path.name.startswith('.'):
            shutil.copy(path, directory)
    made = shutil.ignore_patterns('__pycache__', '*.tar', '*.sha256', 'root')
    for name in _SOURCES:
        if (ROOT / name).is_dir():
            shutil.copytree(ROOT / name, directory / name, ignore=made, dirs_exist_ok=True)
