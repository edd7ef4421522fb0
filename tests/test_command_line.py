# SPDX-License-Identifier: Apache-2.0
"""Flags and manners of create_image (sections 1, 2 and 9)."""

import ast
import contextlib
import os
import pathlib
import pty
import re
import subprocess
import sys
import time

import pytest

from helpers import (
    ROOT,
    TOOL,
    Parts,
    build,
    command,
    content,
    environment,
    fails,
    manifest,
    names,
    on_fixture,
    run,
)
from image_archive import VERSION

FLAGS = 'output id config layer tag base legacy_base legacy_id metadata repository name'.split()
PROGRAMS = ['create_image', 'create_image_config', 'join_layers']
REQUIRED = ['output', 'id', 'config']
OPTIONAL = ['layer', 'tag', 'base', 'legacy_base', 'legacy_id', 'metadata', 'repository', 'name']
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
        print(name, 'absl' in sys.modules, 'verify' in sys.modules, file=sys.stderr)

    return tell

for name in 'disable', 'freeze', 'enable':
    setattr(gc, name, telling(name))
del sys.argv[0]
runpy.run_path(sys.argv[0], run_name='__main__')
"""


# Help and version.


@pytest.mark.parametrize('flag', ['--help', '-h', '--helpshort'])
def test_help(flag):
    done = run(flag)
    assert (done.returncode, done.stderr) == (0, b'')
    text = done.stdout.decode()
    assert text.startswith('Assembles a container image archive')
    for name in FLAGS:
        assert f'\n  --{name}:' in text
    assert '\n  --[no]verify:' in text
    for name in REQUIRED:
        assert f'\n  --{name}: required: ' in text
    assert text.count(': required: ') == len(REQUIRED)
    example = text[text.index('\nExample:') :]
    assert 'create_image.py --output=image.tar' in example
    assert str(ROOT) not in text


def test_version():
    done = run('--version')
    assert (done.returncode, done.stderr) == (0, b'')
    assert done.stdout.decode() == f'create_image {VERSION}\n'


# Where it cannot run.


def test_without_absl(parts):
    command = [sys.executable, '-S', TOOL, *parts.flags]
    # Bazel's tests have absl by the one, and not the program's folder by the other.
    without = environment(PYTHONPATH='', PYTHONSAFEPATH='')
    done = subprocess.run(command, capture_output=True, check=False, env=without)
    assert done.returncode == 1
    assert done.stderr == b'create_image: absl-py is missing: run `pip install absl-py`\n'
    assert not parts.output.exists()


def test_an_older_python(parts):
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
def test_an_older_python_can_read_the_file(name):
    ast.parse((ROOT / name).read_text(), feature_version=(3, 6))


def test_the_garbage_collector_does_not_go_through_what_is_imported(parts):
    """It would at the end of each run, for as long as a fifth of its start."""
    done = subprocess.run(
        [sys.executable, '-c', COLLECTOR, TOOL, *parts.flags], stderr=subprocess.PIPE, check=True
    )
    assert done.stderr.decode().splitlines() == [
        'disable False False',
        'freeze True True',
        'enable True True',
    ]


def test_where_the_folder_of_a_program_is_not_searched(parts):
    build(*parts.flags, env=environment(PYTHONSAFEPATH='1'))
    assert names(parts.output)[0] == f'{parts.id}.json'


# Values.


@pytest.mark.parametrize('flag', OPTIONAL)
def test_an_optional_flag_with_an_empty_value_is_not_given(parts, flag):
    build(*parts.flags)
    expected = parts.output.read_bytes()
    build(*parts.flags, f'--{flag}=')
    assert parts.output.read_bytes() == expected


@pytest.mark.parametrize('flag', ['verify', 'oci'])
def test_a_boolean_flag_with_an_empty_value_is_not_given(parts, flag):
    build(*parts.flags)
    expected = parts.output.read_bytes()
    (parts.folder / 'flags').write_text(f'--{flag}=\n')
    for argument in (f'--{flag}=', f'-{flag}=', f'--flagfile={parts.folder}/flags'):
        build(*parts.flags, argument)
        assert parts.output.read_bytes() == expected


def test_all_optional_flags_with_empty_values(parts):
    build(*parts.flags)
    expected = parts.output.read_bytes()
    empty = [f'--{flag}=' for flag in OPTIONAL]
    build(*empty, *parts.flags, *empty, '--verify')
    assert parts.output.read_bytes() == expected


@pytest.mark.parametrize('flag', REQUIRED)
def test_a_required_flag_with_an_empty_value(parts, flag):
    line = fails(*parts.without(flag), f'--{flag}=')
    assert line.startswith(f'--{flag} is missing: give ')
    assert line == fails(*parts.without(flag))


def test_a_flagfile_that_is_not_utf_8(parts):
    (parts.folder / 'flags').write_bytes(b'--tag=\xff\n')
    line = fails(*parts.flags, f'--flagfile={parts.folder}/flags')
    assert line == 'a file of --flagfile is not in UTF-8: write it so'


@pytest.mark.parametrize('flag', ['--help', '--version'])
def test_help_and_version_from_a_flagfile(parts, flag):
    (parts.folder / 'flags').write_text(f'{flag}\n')
    done = run(f'--flagfile={parts.folder}/flags')
    assert (done.returncode, done.stderr) == (0, b'')
    assert done.stdout == run(flag).stdout


@pytest.mark.parametrize('flag', ['output', 'id', 'config', 'base', 'layer', 'tag', 'metadata'])
def test_a_nul_in_a_flagfile(parts, flag):
    (parts.folder / 'flags').write_text(f'--{flag}=a\0b\n')
    line = fails(*parts.without(flag), f'--flagfile={parts.folder}/flags')
    assert line == f'--{flag} has a NUL character: leave it out'


# Pipes.


def test_a_configuration_and_metadata_from_pipes(parts):
    legacy = [f'--legacy_id={"c" * 64}']
    build(*parts.flags, *legacy, '--metadata=config.json', cwd=parts.folder)
    expected = parts.output.read_bytes()
    flags = [*parts.without('config', 'id'), *legacy]
    script = '"$@" --config=<(cat config.json) --metadata=<(cat config.json) --id=@<(cat id)'
    (parts.folder / 'id').write_text(parts.id)
    line = ['bash', '-c', script, 'bash', *command('create_image', *flags)]
    subprocess.run(line, cwd=parts.folder, check=True)
    assert parts.output.read_bytes() == expected


def test_a_configuration_from_standard_input(parts):
    build(*parts.flags)
    expected = parts.output.read_bytes()
    flags = [*parts.without('config'), '--config=/dev/stdin', '--verify']
    build(*flags, input=parts.config.read_bytes())
    assert parts.output.read_bytes() == expected


@pytest.mark.parametrize('flag', [f'--layer={"1" * 64}=', '--base=', '--legacy_base='])
def test_a_layer_or_base_from_a_pipe(parts, flag):
    line = fails(*parts.flags, f'{flag}/dev/stdin', input=b'')
    assert line == "'/dev/stdin': Not a regular file: write it to a file first"
    assert not parts.output.exists()


# Mistakes of the tool.

MISTAKEN = """
import os, runpy, sys
del sys.argv[0]
sys.path.insert(0, os.path.dirname(sys.argv[0]))
import archive
def mistaken(*arguments):
    raise {}('a mistake')
archive.TarFileWriter.add_member = mistaken
runpy.run_path(sys.argv[0], run_name='__main__')
"""


@pytest.mark.parametrize('error', ['KeyError', 'ValueError', 'ZeroDivisionError', 'EOFError'])
def test_a_mistake_of_the_tool_is_not_called_damage(tmp_path, error):
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


# Progress.


def run_on_a_terminal(parts, delay):
    """Writes an image into a FIFO that nobody reads at first; returns what the terminal got."""
    os.mkfifo(parts.output)
    leader, follower = pty.openpty()
    process = subprocess.Popen(command('create_image', *parts.flags), stderr=follower)
    os.close(follower)
    with parts.output.open('rb') as fifo:
        time.sleep(delay)
        fifo.read()
    assert process.wait() == 0
    shown = b''
    with contextlib.suppress(OSError):  # the end of a terminal
        while data := os.read(leader, 1 << 16):
            shown += data
    os.close(leader)
    return shown.decode()


@pytest.fixture
def large_parts(tmp_path):
    return Parts(tmp_path, [{'srv/large': bytes(8 << 20)}])


def test_progress_on_a_terminal(large_parts):
    """Work of over two seconds is shown in one line, which goes away."""
    shown = run_on_a_terminal(large_parts, 2.5)
    lines = shown.split('\r')
    assert '\n' not in shown
    assert re.fullmatch(r'create_image: writing: [0-9] of 8 MiB *', lines[1])
    assert lines[-2].strip() == lines[-1] == ''
    assert len(lines[-2]) == max(map(len, lines))


def test_no_progress_for_short_work(large_parts):
    assert run_on_a_terminal(large_parts, 0) == ''


def test_no_progress_elsewhere(large_parts):
    os.mkfifo(large_parts.output)
    process = subprocess.Popen(command('create_image', *large_parts.flags), stderr=subprocess.PIPE)
    with large_parts.output.open('rb') as fifo:
        time.sleep(2.5)
        fifo.read()
    assert process.communicate()[1] == b''
    assert process.returncode == 0


def test_flagfile(parts):
    build(*parts.flags)
    direct = parts.output.read_bytes()
    (parts.folder / 'flags').write_text('\n'.join(parts.flags))
    build(f'--flagfile={parts.folder}/flags')
    assert parts.output.read_bytes() == direct


def test_runs_from_any_folder_as_a_program(parts):
    path = f'{pathlib.Path(sys.executable).parent}:{os.environ["PATH"]}'
    subprocess.run([TOOL, *parts.flags], cwd='/', env=environment(PATH=path), check=True)
    assert names(parts.output)[0] == f'{parts.id}.json'


def test_a_name_without_a_repository_is_taken(parts):
    build(*parts.flags)
    expected = parts.output.read_bytes()
    build(*parts.flags, '--name=n')
    assert parts.output.read_bytes() == expected
    assert 'repositories' not in names(parts.output)


def test_text_that_is_not_utf_8_keeps_its_bytes(parts):
    """Arguments are bytes; JSON writes one that is not UTF-8 as Python's surrogateescape does."""
    flags = [b'--tag=a:\xff', b'--repository=r\xfe', b'--name=n\xfd']
    build(*parts.flags, *flags, warnings=True)
    assert manifest(parts.output)['RepoTags'] == ['a:\udcff']
    text = f'{{\n  "r\\udcfe": {{\n    "n\\udcfd": "{parts.id}"\n  }}\n}}'
    assert content(parts.output, 'repositories').decode() == text


def test_the_log_is_silent_but_at_verbosity_0(parts):
    assert run(*parts.flags).stderr == b''
    lines = run(*parts.flags, '--verbosity=0').stderr.decode().splitlines()
    assert [line.removeprefix('create_image: ') for line in lines] == [
        f"'{parts.id}.json': {parts.config.stat().st_size} bytes",
        f"'{parts.id}': 0 bytes",
        f"'{parts.id}/{parts.layers[0][0]}.tar': 10240 bytes",
        f"'manifest.json': {len(content(parts.output, 'manifest.json'))} bytes",
        f"'{parts.output}': {parts.output.stat().st_size} bytes",
    ]
