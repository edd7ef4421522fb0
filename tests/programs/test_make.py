# SPDX-License-Identifier: Apache-2.0
"""make in directories with any name, with Pythons of any version, and after a change of Python.

Most tests use a stand-in for Python, a shell script that creates a virtual environment with itself
and installs nothing; the last test uses the real venv and pip.
"""

import importlib.util
import os
import pathlib
import shlex
import subprocess
import sys

import pytest

from support.amounts import some_every_day
from support.needs import missing, require
from support.project import copy_project
from support.tars import content, manifest, sha256

ODD = 'it\'s & "co" ü'
MESSAGE = """\

The image is in examples/hello/hello.tar. To load and run it:
    docker load --input=examples/hello/hello.tar
    docker run --rm example/hello:1.0
"""
# It checks the path, as otherwise it could overwrite a Python of the system with itself.
STAND_IN = """\
#!/bin/sh
echo "$0" "$@" >> {log}
case "$1 $2" in
    '-m venv')
        [ -n "$4" ] && mkdir -p "$4/bin" && cp "$0" "$4/bin/python3" && touch "$4/pyvenv.cfg" ;;
    '-m pip') ;;
    '-c '*) exec {python} -c {code}"$2" ;;
    *) exec {python} "$@" ;;
esac
"""
OLD = [
    str(path)
    for version in ('2.7', '3.6', '3.9')
    for path in pathlib.Path.home().glob(f'.pyenv/versions/{version}.*/bin/python')
]


class Checkout:
    """A copy of the project in a directory with an odd name, with one skipped test and a Python."""

    def __init__(self, directory):
        require('make', 'tar', 'sha256sum')
        self.directory = directory / ODD
        self.log = directory / 'log'
        self.environment = self.directory / '.venv'
        self.image = self.directory / 'examples' / 'hello' / 'hello.tar'
        copy_project(self.directory)
        tests = self.directory / 'tests'
        tests.mkdir()
        skips = "import pytest\n\n\ndef test_it():\n    pytest.skip('for a reason')\n"
        (tests / 'test_it.py').write_text(skips)
        self.python = self.stand_in('python')

    def stand_in(self, name, code=''):
        """Writes a Python of this name; it runs the code before any code it is given with -c."""
        path = self.directory / 'my & pythons' / name
        path.parent.mkdir(exist_ok=True)
        code = f'import sys; sys.base_prefix = {name!r}; {code}\n'
        words = {'log': self.log, 'python': sys.executable, 'code': code}
        path.write_text(STAND_IN.format(**{key: shlex.quote(str(words[key])) for key in words}))
        path.chmod(0o755)
        return path

    def make(self, *arguments, python=None):
        """Runs make as a user does, also if make runs the tests; returns the finished process."""
        if 'test' in arguments and importlib.util.find_spec('xdist') is None:
            missing('pytest-xdist is not installed')
        ours = ('PYTHON', 'VENV', 'PYTEST_ARGS', 'PYTEST_ADDOPTS', 'MAKEFLAGS', 'MAKELEVEL')
        variables = {key: os.environ[key] for key in os.environ if key not in ours}
        return subprocess.run(
            ['make', *arguments, f'PYTHON={python or self.python}'],
            cwd=self.directory,
            env=variables,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )

    def makes(self, *arguments, python=None):
        """Runs make, which must succeed and print nothing to stderr; returns its stdout."""
        done = self.make(*arguments, python=python)
        assert (done.returncode, done.stderr) == (0, '')
        return done.stdout

    def fails(self, *arguments, python=None):
        """Runs make, which must fail with one line, and one of make itself; returns the line."""
        done = self.make(*arguments, python=python)
        line, of_make = done.stderr.splitlines()
        assert (done.returncode, done.stdout) == (2, '')
        assert of_make.startswith('make: ***')
        return line

    def calls(self, words):
        """Returns how often a Python was run with these words."""
        return self.log.read_text().count(f' {words} ') if self.log.exists() else 0


@pytest.fixture
def checkout(tmp_path):
    return Checkout(tmp_path)


def test_image_in_a_directory_with_an_odd_name(checkout):
    assert checkout.makes('image') == MESSAGE
    assert checkout.image.exists()
    assert (checkout.environment / 'bin' / 'python3').exists()
    # No part of the path was used as a command or as another path.
    assert [path.name for path in checkout.directory.parent.iterdir() if path != checkout.log] == [
        ODD
    ]


@pytest.mark.slow
def test_layer_of_the_example_has_fixed_bytes(checkout):
    """The README has its digest; GNU tar 1.34 and 1.35 write the same bytes."""
    checkout.makes('image')
    (layer,) = manifest(checkout.image)['Layers']
    digest = '6e613563f629536af1a8a3b5f1636a67418bcdfd3992f38f18bcc4b0d867d839'
    assert sha256(content(checkout.image, layer)) == digest


@pytest.mark.slow
def test_make_test_prints_why_a_test_is_skipped(checkout):
    output = checkout.makes('test')
    assert 'SKIPPED [1] tests/test_it.py:5: for a reason' in output
    assert '1 skipped' in output.splitlines()[-1]


@pytest.mark.slow
def test_arguments_are_passed_to_pytest(checkout):
    output = checkout.makes('test', "PYTEST_ARGS=-k 'test_it and not other' --quiet")
    assert 'test session starts' not in output
    assert '1 skipped' in output


@pytest.mark.slow
def test_environment_is_created_once(checkout):
    checkout.makes('image')
    checkout.makes('image')
    assert (checkout.calls('-m venv'), checkout.calls('-m pip')) == (1, 1)
    checkout.makes('test')
    assert (checkout.calls('-m venv'), checkout.calls('-m pip')) == (1, 2)


@pytest.mark.slow
def test_changed_requirements_are_installed(checkout):
    checkout.makes('image')
    with (checkout.directory / 'requirements.txt').open('a') as file:
        file.write('# changed\n')
    checkout.makes('image')
    assert (checkout.calls('-m venv'), checkout.calls('-m pip')) == (1, 2)


@pytest.mark.slow
def test_environment_is_recreated_for_another_python(checkout):
    checkout.makes('image')
    (checkout.environment / 'left').touch()
    other = checkout.stand_in('other')
    checkout.makes('image', python=other)
    assert (checkout.calls('-m venv'), checkout.calls('-m pip')) == (2, 2)
    assert not (checkout.environment / 'left').exists()
    assert (checkout.environment / 'bin' / 'python3').read_text() == other.read_text()


@pytest.mark.slow
def test_environment_is_recreated_for_a_new_version_of_python(checkout):
    checkout.makes('image')
    checkout.stand_in('python', "sys.version = 'later'")
    checkout.makes('image')
    assert checkout.calls('-m venv') == 2


@pytest.mark.slow
def test_environment_without_its_python_is_recreated(checkout):
    checkout.makes('image')
    (checkout.environment / 'bin' / 'python3').unlink()
    checkout.makes('image')
    assert checkout.calls('-m venv') == 2


@pytest.mark.slow
def test_environment_is_kept_for_its_own_python(checkout):
    checkout.makes('image')
    checkout.makes('image', python=checkout.environment / 'bin' / 'python3')
    assert checkout.calls('-m venv') == 1


@pytest.mark.slow
@pytest.mark.parametrize('absolute', [False, True])
def test_venv_sets_the_directory_of_the_environment(checkout, absolute):
    path = checkout.directory / 'my "v" & é'
    setting = f'VENV={path if absolute else path.name}'
    assert checkout.makes('image', setting) == MESSAGE
    assert (path / 'bin' / 'python3').exists()
    assert not checkout.environment.exists()
    assert 'for a reason' in checkout.makes('test', setting)
    checkout.makes('clean', setting)
    assert not path.exists()


@pytest.mark.parametrize('python', some_every_day(['claims to be', *OLD], ['claims to be']))
def test_old_python_is_an_error(checkout, python):
    if python == 'claims to be':
        python = checkout.stand_in('old', 'sys.version_info = (3, 9, 18)')
        version = '3.9.18'
    else:
        version = pathlib.Path(python).parent.parent.name
    line = checkout.fails('image', python=python)
    reason = f'is Python {version}, and 3.10 or later is needed'
    advice = 'give another, as in make PYTHON=python3.12'
    assert line == f'create_image: PYTHON={python} {reason}: {advice}'
    assert not checkout.environment.exists()


@pytest.mark.slow
def test_old_python_does_not_change_the_environment(checkout):
    checkout.makes('image')
    old = checkout.stand_in('old', 'sys.version_info = (3, 9, 18)')
    for target in ('image', 'test', 'dist'):
        line = checkout.fails(target, python=old)
        assert line.startswith(f'create_image: PYTHON={old} is Python 3.9.18, and 3.10 or later')
    checkout.makes('image')
    assert checkout.calls('-m venv') == 1


@pytest.mark.parametrize('module', ['venv', 'ensurepip'])
def test_python_without_venv_is_an_error(checkout, module):
    bare = checkout.stand_in('bare', f'sys.modules[{module!r}] = None')
    line = checkout.fails('image', python=bare)
    assert line.startswith(f'create_image: PYTHON={bare} has no venv: install it')
    assert not checkout.environment.exists()


def test_missing_python_is_an_error(checkout):
    line = checkout.fails('image', python='no such/python')
    assert line.startswith('create_image: PYTHON=no such/python does not run: give another')
    assert not checkout.environment.exists()


def test_no_files_are_left_if_the_environment_cannot_be_created(checkout):
    script = checkout.python.read_text()
    checkout.python.write_text(script.replace('touch "$4/pyvenv.cfg"', '! echo no room >&2'))
    line = checkout.fails('image')
    assert line == 'no room'
    assert not checkout.environment.exists()


def test_directory_that_is_not_an_environment_is_not_replaced(checkout):
    line = checkout.fails('image', 'VENV=tests')
    reason = 'is there, and no virtual environment: give another path'
    assert line == f'create_image: VENV=tests {reason}'
    assert (checkout.directory / 'tests' / 'test_it.py').exists()


@pytest.mark.slow
def test_empty_directory_can_become_the_environment(checkout):
    checkout.environment.mkdir()
    assert checkout.makes('image') == MESSAGE


def test_empty_venv_is_an_error(checkout):
    line = checkout.fails('image', 'VENV=')
    assert line == 'create_image: VENV= is empty: give a directory'


@pytest.mark.slow
def test_make_dist_and_make_clean(checkout):
    checkout.makes('dist')
    dist = checkout.directory / 'dist'
    done = subprocess.run([dist / 'create_image'], capture_output=True, check=False)
    assert done.stderr.startswith(b'create_image: ')
    checkout.makes('clean')
    assert not dist.exists()


@pytest.mark.slow
def test_real_venv_and_pip(checkout):
    """pip must not print warnings, such as one about missing directories in its settings."""
    wheels = checkout.directory / 'wheels'
    requirements = checkout.directory / 'requirements.txt'
    pip = [sys.executable, '-m', 'pip', 'download', '--no-deps', '--quiet']
    command = [*pip, f'--dest={wheels}', f'--requirement={requirements}']
    if subprocess.run(command, capture_output=True, check=False).returncode != 0:
        missing('pip cannot download what requirements.txt lists')
    assert checkout.makes('image', python=sys.executable) == MESSAGE
    command = ['.venv/bin/python3', '-c', 'import absl, sys; print(absl.__file__)']
    file = subprocess.run(command, cwd=checkout.directory, capture_output=True, check=True).stdout
    assert file.decode().startswith(f'{checkout.environment}/lib/')
