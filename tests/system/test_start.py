# SPDX-License-Identifier: Apache-2.0
"""Start of the programs: without absl-py, with an old Python, in any directory (section 9)."""

import ast
import os
import pathlib
import subprocess
import sys

import pytest

from support.images import on_fixture
from support.project import ROOT, TOOL
from support.running import build, environment
from support.tars import names

PROGRAMS = ['build_image', 'build_tar', 'create_image', 'create_image_config', 'join_layers']
OLD_PYTHON = """
import runpy, sys
sys.version_info = (3, 9, 18, 'final', 0)
del sys.argv[0]
runpy.run_path(sys.argv[0], run_name='__main__')
"""
COLLECTOR = """
import gc, runpy, sys

def telling(name):
    function = getattr(gc, name)

    def tell():
        function()
        checks = 'image_archive.create.problems' in sys.modules
        print(name, 'absl' in sys.modules, checks, file=sys.stderr)

    return tell

for name in 'disable', 'freeze', 'enable':
    setattr(gc, name, telling(name))
del sys.argv[0]
runpy.run_path(sys.argv[0], run_name='__main__')
"""


# Systems on which the programs cannot run.


def test_missing_absl_is_an_error(parts):
    command = [sys.executable, '-S', TOOL, *parts.flags]
    # Under Bazel, PYTHONPATH has absl, and PYTHONSAFEPATH leaves out the program's directory.
    without = environment(PYTHONPATH='', PYTHONSAFEPATH='')
    done = subprocess.run(command, capture_output=True, check=False, env=without)
    assert done.returncode == 1
    assert done.stderr == b'create_image: absl-py is missing: run `pip install absl-py`\n'
    assert not parts.output.exists()


def test_old_python_is_an_error(parts):
    program = [sys.executable, '-c', OLD_PYTHON, TOOL]
    done = subprocess.run([*program, *parts.flags], capture_output=True, check=False)
    assert done.returncode == 1
    version = sys.version.split()[0]
    line = f'create_image: this is Python {version}: run it with Python 3.10 or later\n'
    assert done.stderr.decode() == line
    assert not parts.output.exists()


@pytest.mark.parametrize(
    'name',
    [
        'image_archive/__init__.py',
        'image_archive/system/__init__.py',
        'image_archive/system/start.py',
        *(f'{program}.py' for program in PROGRAMS),
    ],
)
def test_start_up_files_parse_with_an_old_python(name):
    ast.parse((ROOT / name).read_text(), feature_version=(3, 6))


def test_imported_objects_are_frozen_for_the_garbage_collector(parts):
    """Otherwise it scans them at the end of each run, for up to a fifth of the start-up time."""
    done = subprocess.run(
        [sys.executable, '-c', COLLECTOR, TOOL, *parts.flags], stderr=subprocess.PIPE, check=True
    )
    assert done.stderr.decode().splitlines() == [
        'disable False False',
        'freeze True True',
        'enable True True',
    ]


def test_program_runs_with_pythonsafepath(parts):
    build(*parts.flags, env=environment(PYTHONSAFEPATH='1'))
    assert names(parts.output)[0] == f'{parts.id}.json'


# Bugs in the tool.

MISTAKEN = """
import os, runpy, sys
del sys.argv[0]
sys.path.insert(0, os.path.dirname(sys.argv[0]))
import archive
def mistaken(*arguments):
    raise {}('a mistake')
archive.TarFileWriter._add_member = mistaken
runpy.run_path(sys.argv[0], run_name='__main__')
"""


@pytest.mark.parametrize('error', ['KeyError', 'ValueError', 'ZeroDivisionError', 'EOFError'])
def test_bug_in_the_tool_prints_a_traceback(tmp_path, error):
    image = on_fixture(tmp_path, 'docker-20.10.tar')
    before = set(tmp_path.iterdir())
    program = [sys.executable, '-c', MISTAKEN.format(error), TOOL]
    done = subprocess.run([*program, *image.flags], capture_output=True, check=False)
    assert done.returncode == 1
    text = done.stderr.decode()
    assert text.startswith('Traceback')
    assert f'{error}: ' in text
    assert 'damaged' not in text
    assert set(tmp_path.iterdir()) == before


def test_program_is_executable_in_any_directory(parts):
    path = f'{pathlib.Path(sys.executable).parent}:{os.environ["PATH"]}'
    subprocess.run([TOOL, *parts.flags], cwd='/', env=environment(PATH=path), check=True)
    assert names(parts.output)[0] == f'{parts.id}.json'
