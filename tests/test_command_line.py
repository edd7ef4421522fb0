# SPDX-License-Identifier: Apache-2.0
"""Flags and manners of create_image (sections 1, 2 and 9)."""

import os
import pathlib
import subprocess
import sys

import pytest

from helpers import TOOL, build, content, environment, manifest, names, run

FLAGS = 'output id config layer tag base legacy_base legacy_id metadata repository name'.split()


@pytest.mark.parametrize('flag', FLAGS)
def test_help_names_every_flag(flag):
    assert f'\n  --{flag}:' in run('--help').stdout.decode()


def test_help_names_the_switch():
    assert '\n  --[no]verify:' in run('--help').stdout.decode()


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
