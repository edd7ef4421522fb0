# SPDX-License-Identifier: Apache-2.0
"""Flags of create_image: help, empty values, flag files, log messages (sections 1, 2 and 9)."""

import pytest

from image_archive import VERSION
from support.project import ROOT
from support.running import build, fails, run
from support.tars import content, manifest, names

FLAGS = 'output id config layer tag base legacy_base legacy_id metadata repository name'.split()
REQUIRED = ['output', 'id', 'config']
OPTIONAL = ['layer', 'tag', 'base', 'legacy_base', 'legacy_id', 'metadata', 'repository', 'name']


# Help and version.


@pytest.mark.parametrize('flag', ['--help', '-h', '--helpshort'])
def test_help_lists_every_flag_and_an_example(flag):
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


def test_version_is_printed():
    done = run('--version')
    assert (done.returncode, done.stderr) == (0, b'')
    assert done.stdout.decode() == f'create_image {VERSION}\n'


# Values.


@pytest.mark.parametrize('flag', OPTIONAL)
def test_optional_flag_with_an_empty_value_is_ignored(parts, flag):
    build(*parts.flags)
    expected = parts.output.read_bytes()
    build(*parts.flags, f'--{flag}=')
    assert parts.output.read_bytes() == expected


@pytest.mark.parametrize('flag', ['verify', 'oci'])
def test_boolean_flag_with_an_empty_value_is_ignored(parts, flag):
    build(*parts.flags)
    expected = parts.output.read_bytes()
    (parts.directory / 'flags').write_text(f'--{flag}=\n')
    for argument in (f'--{flag}=', f'-{flag}=', f'--flagfile={parts.directory}/flags'):
        build(*parts.flags, argument)
        assert parts.output.read_bytes() == expected


def test_all_optional_flags_with_empty_values_are_ignored(parts):
    build(*parts.flags)
    expected = parts.output.read_bytes()
    empty = [f'--{flag}=' for flag in OPTIONAL]
    build(*empty, *parts.flags, *empty, '--verify')
    assert parts.output.read_bytes() == expected


@pytest.mark.parametrize('flag', REQUIRED)
def test_required_flag_with_an_empty_value_is_missing(parts, flag):
    line = fails(*parts.without(flag), f'--{flag}=')
    assert line.startswith(f'--{flag} is missing: give ')
    assert line == fails(*parts.without(flag))


def test_missing_flagfile_is_an_error(parts):
    line = fails(*parts.flags, f'--flagfile={parts.directory}/none')
    assert line.startswith('Unable to open flagfile: [Errno 2] No such file or directory: ')
    assert line.endswith(': see --help')


def test_flagfile_that_is_not_utf_8_is_an_error(parts):
    (parts.directory / 'flags').write_bytes(b'--tag=\xff\n')
    line = fails(*parts.flags, f'--flagfile={parts.directory}/flags')
    assert line == 'a file of --flagfile is not in UTF-8: save it as UTF-8'


@pytest.mark.parametrize('flag', ['--help', '--version'])
def test_help_and_version_in_a_flagfile(parts, flag):
    (parts.directory / 'flags').write_text(f'{flag}\n')
    done = run(f'--flagfile={parts.directory}/flags')
    assert (done.returncode, done.stderr) == (0, b'')
    assert done.stdout == run(flag).stdout


@pytest.mark.parametrize('flag', ['output', 'id', 'config', 'base', 'layer', 'tag', 'metadata'])
def test_nul_in_a_flagfile_is_an_error(parts, flag):
    (parts.directory / 'flags').write_text(f'--{flag}=a\0b\n')
    line = fails(*parts.without(flag), f'--flagfile={parts.directory}/flags')
    assert line == f'--{flag} has a NUL character: leave it out'


def test_flagfile_is_read(parts):
    build(*parts.flags)
    direct = parts.output.read_bytes()
    (parts.directory / 'flags').write_text('\n'.join(parts.flags))
    build(f'--flagfile={parts.directory}/flags')
    assert parts.output.read_bytes() == direct


def test_name_without_a_repository_is_ignored(parts):
    build(*parts.flags)
    expected = parts.output.read_bytes()
    build(*parts.flags, '--name=n')
    assert parts.output.read_bytes() == expected
    assert 'repositories' not in names(parts.output)


def test_text_that_is_not_utf_8_keeps_its_bytes(parts):
    """Arguments are bytes; JSON has them as Python's surrogateescape decodes them."""
    flags = [b'--tag=a:\xff', b'--repository=r\xfe', b'--name=n\xfd']
    build(*parts.flags, *flags, warnings=True)
    assert manifest(parts.output)['RepoTags'] == ['a:\udcff']
    text = f'{{\n  "r\\udcfe": {{\n    "n\\udcfd": "{parts.id}"\n  }}\n}}'
    assert content(parts.output, 'repositories').decode() == text


def test_members_are_logged_only_at_verbosity_0(parts):
    assert run(*parts.flags).stderr == b''
    lines = run(*parts.flags, '--verbosity=0').stderr.decode().splitlines()
    assert [line.removeprefix('create_image: ') for line in lines] == [
        f"'{parts.id}.json': {parts.config.stat().st_size} bytes",
        f"'{parts.id}': 0 bytes",
        f"'{parts.id}/{parts.layers[0][0]}.tar': 10240 bytes",
        f"'manifest.json': {len(content(parts.output, 'manifest.json'))} bytes",
        f"'{parts.output}': {parts.output.stat().st_size} bytes",
    ]
