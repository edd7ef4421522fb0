# SPDX-License-Identifier: Apache-2.0
"""The wheel and the sdist: their contents, their bytes, and the commands that they install.

The tests call the hooks of the backend in pyproject.toml, as pip and build do.
"""

import email
import os
import re
import shutil
import subprocess
import sys
import tarfile
import time
import zipfile

import pytest

import image_archive
from support.images import Parts
from support.needs import missing
from support.project import ROOT

pytestmark = pytest.mark.slow

PROGRAMS = ['build_image', 'build_tar', 'create_image', 'create_image_config', 'join_layers']
BUILD = """
import sys
from hatchling import build
getattr(build, sys.argv[1])(sys.argv[2])
"""
# Files in .gitignore need not be copied.
IGNORED = ['.git', '.venv*', '__pycache__', '*_cache', 'bazel-*', 'dist']


def run(*command, **options):
    """Runs a command, which must succeed; returns its output."""
    done = subprocess.run(command, capture_output=True, text=True, check=False, **options)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def install_or_skip(requirement, *options):
    """Installs a package from an index; skips the test if that fails."""
    command = [sys.executable, '-m', 'pip', *options, requirement]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        missing(f'pip cannot install {requirement}')


@pytest.fixture(scope='module')
def build(tmp_path_factory):
    """A function that calls a hook of the backend in a project; returns the path of the result."""
    text = (ROOT / 'pyproject.toml').read_text()
    (requirement,) = re.findall(r'^requires = \["(\S+)"\]', text, re.MULTILINE)
    packages = tmp_path_factory.mktemp('backend')
    install_or_skip(requirement, 'install', f'--target={packages}')

    def call(hook, project, output, umask=0o022, **variables):
        output.mkdir(exist_ok=True)
        variables = {'SOURCE_DATE_EPOCH': '1600000000', **variables}
        run(
            *(sys.executable, '-c', BUILD, hook, output),
            cwd=project,
            env={**os.environ, 'PYTHONPATH': str(packages), **variables},
            umask=umask,
        )
        (path,) = output.iterdir()
        return path

    return call


@pytest.fixture(scope='module')
def wheel(build, tmp_path_factory):
    return build('build_wheel', ROOT, tmp_path_factory.mktemp('wheel'))


@pytest.fixture(scope='module')
def sdist(build, tmp_path_factory):
    return build('build_sdist', ROOT, tmp_path_factory.mktemp('sdist'))


@pytest.fixture(scope='module')
def installed(wheel, tmp_path_factory):
    """The directory of the commands in an environment with the wheel and its requirements."""
    environment = tmp_path_factory.mktemp('installed')
    run(sys.executable, '-m', 'venv', '--without-pip', environment)
    pip = ['--python', environment, 'install']
    install_or_skip('absl-py', *pip)
    run(sys.executable, '-m', 'pip', *pip, '--no-index', wheel)
    return environment / 'bin'


def copy_project(directory, mode_mask):
    """Copies the checkout, with the current time and without some bits of the modes."""
    shutil.copytree(ROOT, directory, ignore=shutil.ignore_patterns(*IGNORED))
    now = time.time()
    for path in [directory, *directory.rglob('*')]:
        path.chmod(path.stat().st_mode & ~mode_mask)
        os.utime(path, (now, now))
    return directory


def names_in(wheel):
    with zipfile.ZipFile(wheel) as archive:
        return archive.namelist()


def metadata_of(wheel):
    (name,) = [name for name in names_in(wheel) if name.endswith('.dist-info/METADATA')]
    with zipfile.ZipFile(wheel) as archive:
        return email.message_from_bytes(archive.read(name))


# Their contents.


def test_wheel_installs_only_these_names(wheel):
    """Not utils and archive, whose names are too common, and not the tests."""
    names = {name.partition('/')[0] for name in names_in(wheel)}
    modules = {f'{program}.py' for program in PROGRAMS}
    info = f'create_image-{image_archive.VERSION}.dist-info'
    assert names == {*modules, 'image_archive', info}


def test_wheel_has_the_whole_package_and_py_typed(wheel):
    package = ROOT / 'image_archive'
    modules = {path.relative_to(ROOT).as_posix() for path in package.rglob('*.py')}
    names = {name for name in names_in(wheel) if name.startswith('image_archive/')}
    assert names == {*modules, 'image_archive/py.typed'}


def test_metadata_of_the_wheel(wheel):
    metadata = metadata_of(wheel)
    assert metadata['Name'] == 'create-image'
    assert metadata['Version'] == image_archive.VERSION
    assert metadata['Requires-Python'] == '>=3.10'
    assert metadata['License-Expression'] == 'Apache-2.0'
    requirement, *optional = metadata.get_all('Requires-Dist')
    assert requirement.startswith('absl-py>=')
    assert optional
    assert all(line.endswith("extra == 'fast'") for line in optional)
    # The project has no permanent home page.
    assert 'Project-URL' not in metadata
    assert 'Home-page' not in metadata


def test_wheel_built_from_the_sdist_is_the_same(build, wheel, sdist, tmp_path):
    with tarfile.open(sdist) as archive:
        archive.extractall(tmp_path)
    (project,) = tmp_path.iterdir()
    again = build('build_wheel', project, tmp_path / 'wheel')
    assert again.read_bytes() == wheel.read_bytes()


def test_sdist_has_the_tests_and_the_files_that_they_need(sdist):
    with tarfile.open(sdist) as archive:
        names = {name.partition('/')[2] for name in archive.getnames()}
    assert {
        '.gitignore',
        'BUILD',
        'Makefile',
        'docs/bazel-rules.md',
        'examples/bazel/MODULE.bazel',
        'examples/ci/build.sh',
        'examples/hello/build.sh',
        'requirements-test.txt',
        'tests/testdata/bases/docker-20.10.tar',
        'utils.py',
    } <= names


@pytest.mark.parametrize('hook', ['build_wheel', 'build_sdist'])
def test_directory_umask_modes_and_times_do_not_matter(build, tmp_path, hook):
    first = copy_project(tmp_path / 'first', 0)
    second = copy_project(tmp_path / 'it is second', 0o077)
    one = build(hook, first, tmp_path / 'one')
    two = build(hook, second, tmp_path / 'two', umask=0o077, TZ='Asia/Tokyo', LC_ALL='C')
    assert two.name == one.name
    assert two.read_bytes() == one.read_bytes()


# The installed commands.


def test_commands_write_the_same_bytes_as_the_scripts(installed, tmp_path):
    def make(name, *command):
        output = tmp_path / name
        run(*command, f'--output={output}')
        return output.read_bytes()

    image = Parts(tmp_path)
    flags = {
        'create_image_config': [f'--layer={identifier}' for identifier, _ in image.layers],
        'create_image': image.without('output'),
        'build_image': [f'--tar={image.layers[0][1]}'],
        'build_tar': [f'--tar={image.layers[0][1]}'],
        'join_layers': [f'--layer={image.output}'],
    }
    run(sys.executable, ROOT / 'create_image.py', *image.flags)
    for program in PROGRAMS:
        by_script = make('script', sys.executable, ROOT / f'{program}.py', *flags[program])
        by_command = make('command', installed / program, *flags[program])
        assert by_command == by_script


@pytest.mark.parametrize('program', PROGRAMS)
def test_commands_fail_with_the_same_error_as_the_scripts(installed, program):
    script = [sys.executable, ROOT / f'{program}.py']
    wanted = subprocess.run(script, capture_output=True, check=False)
    done = subprocess.run([installed / program], capture_output=True, check=False)
    assert done.stderr.startswith(f'{program}: '.encode())
    assert (done.returncode, done.stdout, done.stderr) == (1, b'', wanted.stderr)


@pytest.mark.parametrize('program', PROGRAMS)
def test_help_of_a_command_is_the_same_as_of_the_script(installed, program):
    help_of_script = run(sys.executable, ROOT / f'{program}.py', '--help')
    assert run(installed / program, '--help') == help_of_script
    assert run(installed / program, '--version') == f'{program} {image_archive.VERSION}\n'


def test_installed_modules_can_be_imported(installed, tmp_path):
    code = f'import {", ".join(PROGRAMS)}, image_archive; '
    code += "import importlib.resources as r; print(r.files(image_archive) / 'py.typed')"
    path = run(installed / 'python3', '-c', code, cwd=tmp_path).strip()
    assert path.startswith(str(installed.parent))
    assert os.path.exists(path)
