# SPDX-License-Identifier: Apache-2.0
"""The one-file programs of `make dist`: their bytes, and that they need no other files."""

import importlib.metadata
import os
import pathlib
import re
import shutil
import signal
import stat
import subprocess
import sys
import time
import zipfile

import pytest

from support.amounts import some_every_day
from support.images import Parts
from support.project import ROOT, copy_project

PROGRAMS = [
    name
    for name in ('build_image', 'build_tar', 'create_image', 'create_image_config', 'join_layers')
    if (ROOT / f'{name}.py').exists()
]
PYENV = pathlib.Path.home() / '.pyenv' / 'versions'
PYTHONS = [sys.executable] + [
    str(path)
    for version in ('3.10', '3.11', '3.12', '3.13', '3.14', '3.15')
    for path in sorted(PYENV.glob(f'{version}.*/bin/python3'))
]
OLD = [
    str(path)
    for version in ('3.6', '3.9')
    for path in sorted(PYENV.glob(f'{version}.*/bin/python3'))
]
(ABSL_VERSION,) = re.findall('^absl-py==(.*) ', (ROOT / 'requirements.txt').read_text(), re.M)
CLAIM = """
import runpy, sys
sys.version_info = (3, 9)
runpy.run_path(sys.argv[1], run_name='__main__')
"""
COMPILED = """
import runpy, sys
del sys.argv[0]
def tell(event, details):
    if event == 'compile':
        print(details[1])
sys.addaudithook(tell)
runpy.run_path(sys.argv[0], run_name='__main__')
"""
# The directory in which this Python has absl-py, for a Python without it.
PACKAGES = str(importlib.metadata.distribution('absl-py').locate_file(''))


def make_dist(directory, python=sys.executable, umask=0o022, **variables):
    """Runs `make dist` in a copy of the project; returns the directory with the programs."""
    copy_project(directory)
    subprocess.run(
        [python, directory / 'tools' / 'make_dist.py'],
        env={**os.environ, 'PYTHONPATH': PACKAGES, **variables},
        umask=umask,
        stderr=subprocess.PIPE,
        text=True,
        check=True,
    )
    return directory / 'dist'


def make_bare_python(directory, python=sys.executable):
    """Creates a virtual environment without packages in a directory; returns its Python."""
    subprocess.run([python, '-m', 'venv', '--without-pip', directory / 'bare'], check=True)
    return directory / 'bare' / 'bin' / 'python3'


def read(dist):
    return {path.name: path.read_bytes() for path in dist.iterdir()}


@pytest.fixture(scope='module')
def dist(tmp_path_factory):
    return make_dist(tmp_path_factory.mktemp('project'))


@pytest.fixture
def bare(tmp_path):
    """Returns a function that runs a program alone, with a Python without packages.

    Such a Python is the only one on the PATH. The program is copied to an empty directory.
    """

    def run(program, *arguments, name='', python=sys.executable, **variables):
        programs = make_bare_python(tmp_path, python).parent
        directory = tmp_path / 'alone'
        directory.mkdir()
        name = name or program.name
        shutil.copy(program, directory / name)
        variables = {'PATH': f'{programs}:/usr/bin:/bin', 'HOME': '/', **variables}
        return subprocess.run(
            [f'./{name}', *arguments],
            cwd=directory,
            env=variables,
            capture_output=True,
            check=False,
        )

    return run


def test_dist_has_every_program(dist):
    assert sorted(read(dist)) == PROGRAMS


@pytest.mark.parametrize('program', PROGRAMS)
def test_program_is_an_executable_zip_archive_with_fixed_headers(dist, program):
    path = dist / program
    assert path.read_bytes().startswith(b'#!/usr/bin/env python3\nPK')
    assert stat.S_IMODE(path.stat().st_mode) == 0o755
    with zipfile.ZipFile(path) as archive:
        assert archive.testzip() is None
        members = archive.infolist()
    assert [member.filename for member in members] == sorted(member.filename for member in members)
    for member in members:
        assert member.date_time == (1980, 1, 1, 0, 0, 0)
        assert member.external_attr >> 16 == stat.S_IFREG | 0o644
        assert (member.create_system, member.compress_type) == (3, zipfile.ZIP_STORED)


@pytest.mark.parametrize('program', PROGRAMS)
def test_program_contains_the_modules_and_absl(dist, program):
    """They are unchanged, with both licences, and nothing depends on this machine."""
    info = f'absl_py-{ABSL_VERSION}.dist-info'
    with zipfile.ZipFile(dist / program) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    assert {'absl/app.py', 'absl/flags/__init__.py', 'absl/logging/__init__.py'} < members.keys()
    assert not [name for name in members if name.startswith('absl/testing')]
    assert {name for name in members if 'absl' in name and not name.startswith('absl/')} == {
        f'{info}/METADATA',
        f'{info}/licenses/AUTHORS',
        f'{info}/licenses/LICENSE',
    }
    package = (ROOT / 'image_archive').rglob('*.py')
    own = {path.relative_to(ROOT).as_posix(): path for path in [*ROOT.glob('*.py'), *package]}
    own['LICENSE'] = ROOT / 'LICENSE'
    own['zip_importer.py'] = ROOT / 'tools' / 'zip_importer.py'
    for name, content in members.items():
        if name != '__main__.py':
            path = own.pop(name, None) or pathlib.Path(PACKAGES, name)
            assert content == path.read_bytes()
    assert own == {}


@pytest.mark.parametrize('python', some_every_day(PYTHONS, [sys.executable]))
def test_each_module_is_compiled_once(dist, python):
    command = [python, '-c', COMPILED, dist / 'create_image', '--version']
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    inside = f'{dist}/create_image/'
    names = [line for line in done.stdout.splitlines() if line.startswith(inside)]
    modules = [name.removeprefix(inside) for name in names]
    # Python imports the first two with its own importer.
    behind = modules[modules.index('image_archive/__init__.py') :]
    assert {'create_image.py', 'absl/flags/__init__.py'} < set(behind)
    assert len(behind) == len(set(behind))


@pytest.mark.parametrize('python', some_every_day(PYTHONS, [sys.executable]))
def test_python_and_directory_do_not_matter(dist, tmp_path, python):
    other = make_dist(tmp_path, python, umask=0o077, TZ='Asia/Tokyo', LC_ALL='C')
    assert read(other) == read(dist)
    assert all(stat.S_IMODE(path.stat().st_mode) == 0o755 for path in other.iterdir())


@pytest.mark.slow
def test_time_does_not_matter(tmp_path):
    """The second run is two seconds later: zip archives have times in units of two seconds."""
    first = read(make_dist(tmp_path))
    time.sleep(2)
    assert read(make_dist(tmp_path)) == first


@pytest.mark.parametrize('python', some_every_day(PYTHONS, [sys.executable]))
def test_program_builds_an_image_alone(dist, tmp_path, bare, python):
    image = Parts(tmp_path)
    subprocess.run([sys.executable, ROOT / 'create_image.py', *image.flags], check=True)
    wanted = image.output.read_bytes()
    done = bare(dist / 'create_image', '--verify', *image.flags, python=python)
    assert (done.returncode, done.stdout, done.stderr) == (0, b'', b'')
    assert image.output.read_bytes() == wanted


@pytest.mark.parametrize('program', some_every_day(PROGRAMS, ['build_image']))
def test_help_is_the_same_as_in_the_checkout(dist, bare, program):
    path = ROOT / f'{program}.py'
    command = [sys.executable, path, '--help']
    wanted = subprocess.run(command, capture_output=True, check=True).stdout
    assert b'--output' in wanted
    done = bare(dist / program, '--help')
    # absl prints the name of the module with the flags, or the path of the main module.
    assert done.stdout == wanted.replace(os.fsencode(f'{path}:'), os.fsencode(f'{program}:'))
    assert (done.returncode, done.stderr) == (0, b'')


@pytest.mark.parametrize('program', some_every_day(PROGRAMS, ['join_layers']))
@pytest.mark.parametrize('safe_path', ['', '1'])
def test_errors_begin_with_the_name_of_the_program(dist, bare, program, safe_path):
    done = bare(dist / program, name='renamed', PYTHONSAFEPATH=safe_path)
    (line,) = done.stderr.decode().splitlines()
    assert line.startswith(f'{program}: ')
    assert done.returncode == 1


@pytest.mark.parametrize('program', PROGRAMS)
@pytest.mark.parametrize('python', some_every_day(['claims to be', *OLD], ['claims to be']))
def test_old_python_is_an_error(dist, program, python):
    """The error is the same as in the checkout."""
    command = [python, '-B']
    if python == 'claims to be':
        command = [sys.executable, '-c', CLAIM]
    done = subprocess.run([*command, dist / program], capture_output=True, check=False)
    wanted = subprocess.run([*command, ROOT / f'{program}.py'], capture_output=True, check=False)
    (line,) = done.stderr.decode().splitlines()
    assert line.startswith(f'{program}: ')
    assert 'Python 3.10 or later' in line
    assert (done.returncode, done.stdout, done.stderr) == (1, b'', wanted.stderr)


@pytest.mark.parametrize('program', PROGRAMS)
def test_sigint_during_the_imports_prints_no_traceback(dist, tmp_path, program):
    """In the test, a module of the standard library that absl imports sleeps."""
    reached = tmp_path / 'reached'
    text = f'import pathlib, time\npathlib.Path({str(reached)!r}).touch()\ntime.sleep(60)\n'
    (tmp_path / 'csv.py').write_text(text)
    process = subprocess.Popen(
        [sys.executable, dist / program],
        env={**os.environ, 'PYTHONPATH': str(tmp_path)},
        stderr=subprocess.PIPE,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    while not reached.exists():
        assert process.poll() is None
    process.send_signal(signal.SIGINT)
    assert process.communicate()[1] == b''
    assert process.returncode == -signal.SIGINT


@pytest.mark.parametrize(
    ('installed', 'reason'),
    [(None, 'absl-py {} is not installed'), ('1.0', 'absl-py 1.0 is installed, not {}')],
)
def test_absl_of_another_version_than_required_is_an_error(tmp_path, installed, reason):
    packages = tmp_path / 'packages'
    if installed:
        info = packages / f'absl_py-{installed}.dist-info'
        info.mkdir(parents=True)
        (info / 'METADATA').write_text(f'Name: absl-py\nVersion: {installed}\n')
    python = make_bare_python(tmp_path)
    with pytest.raises(subprocess.CalledProcessError) as raised:
        make_dist(tmp_path, python, PYTHONPATH=str(packages))
    line = f'make_dist: {reason.format(ABSL_VERSION)}: run make dist\n'
    assert (raised.value.returncode, raised.value.stderr) == (1, line)
    assert not (tmp_path / 'dist').exists()
