# SPDX-License-Identifier: Apache-2.0
"""Flags of create_image: help, empty values, flag files, log messages (sections 1, 2 and 9)."""

import pytest

from image_archive import VERSION
from support.needs import respect_file_modes
from support.project import ROOT
from support.running import build, environment, fails, run
from support.tars import content, manifest, names

FLAGS = 'output id config layer tag base legacy_base legacy_id metadata repository name'.split()
REQUIRED = ['output', 'id', 'config']
OPTIONAL = ['layer', 'tag', 'base', 'legacy_base', 'legacy_id', 'metadata', 'repository', 'name']


# Help and version.


HELP = ['--help', '-h', '--helpshort', '--help=true', '-help=T', '--helpshort=1', '--help=True']


@pytest.mark.parametrize('flag', HELP)
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


@pytest.mark.parametrize('flag', ['--version', '-version', '--version=true', '--version=1'])
def test_version_is_printed(flag):
    done = run(flag)
    assert (done.returncode, done.stderr) == (0, b'')
    assert done.stdout.decode() == f'create_image {VERSION}\n'


@pytest.mark.parametrize('flag', ['--help=false', '--nohelp', '--version=false', '--noversion'])
def test_help_and_version_can_be_false(parts, flag):
    build(*parts.flags, flag)
    assert names(parts.output)[-1] == 'manifest.json'


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


# Files with flags, and the error.
CHECK_THE_PATH = 'check the path, its permissions and limits'
BAD_FLAGFILES = {
    'missing': "'missing': No such file or directory: " + CHECK_THE_PATH,
    'directory': "'directory': Is a directory: " + CHECK_THE_PATH,
    '/proc/self/mem': "'/proc/self/mem': Input/output error: " + CHECK_THE_PATH,
    'latin-1': "--flagfile: 'latin-1' is not in UTF-8: save it as UTF-8",
    'itself': "--flagfile: './itself' leads to itself: leave that line out",
    'one': "--flagfile: 'one' leads to itself: leave that line out",
    'to a missing one': "'missing': No such file or directory: " + CHECK_THE_PATH,
}


@pytest.fixture
def bad_flagfiles(parts):
    directory = parts.directory
    (directory / 'directory').mkdir()
    (directory / 'latin-1').write_bytes(b'--tag=\xff\n')
    (directory / 'itself').write_text('--tag=a:1\n--flagfile=./itself\n')
    (directory / 'one').write_text('--flagfile=other\n')
    (directory / 'other').write_text('-flagfile=one\n')
    (directory / 'to a missing one').write_text('--flagfile=missing\n')
    return parts


@pytest.mark.parametrize('path', BAD_FLAGFILES)
def test_bad_flagfile_is_an_error(bad_flagfiles, path):
    parts = bad_flagfiles
    for flags in ([f'--flagfile={path}'], ['-flagfile', path]):
        line = fails(*parts.flags, *flags, cwd=parts.directory)
        assert line == BAD_FLAGFILES[path]
    assert not parts.output.exists()


def test_unreadable_flagfile_is_an_error(parts):
    path = parts.directory / 'flags'
    path.write_text('--tag=a:1\n')
    path.chmod(0)
    line = fails(*parts.flags, f'--flagfile={path}', preexec_fn=respect_file_modes)
    assert line == f"'{path}': Permission denied: {CHECK_THE_PATH}"


def test_flagfile_without_a_path_is_an_error(parts):
    line = fails(*parts.flags, '--flagfile')
    assert line == '--flagfile: it names no file: give --flagfile=FILE'


@pytest.mark.parametrize(
    'program', ['build_image', 'create_image', 'create_image_config', 'join_layers']
)
def test_output_must_not_be_a_flagfile(tmp_path, program):
    (tmp_path / 'flags').write_text('--output=./flags\n')
    (tmp_path / 'outer').write_text('--flagfile=flags\n')
    line = fails('--flagfile=outer', program=program, cwd=tmp_path)
    assert line == "--output: './flags' is also the file of --flagfile: give another path"
    assert (tmp_path / 'flags').read_text() == '--output=./flags\n'


@pytest.mark.parametrize('locale', ['C', 'C.UTF-8', 'de_DE.ISO-8859-1'])
def test_flagfile_has_comments_blank_lines_and_other_flagfiles(parts, locale):
    """It is in UTF-8 in any locale, and as PowerShell writes it."""
    build(*parts.flags, '--tag=a:1', '--tag=ä:2', warnings=True)
    expected = parts.output.read_bytes()
    lines = ['# one', '', '  // two', ' --tag=a:1 ', '--flagfile=inner', *parts.flags]
    (parts.directory / 'flags').write_bytes('\r\n'.join(lines).encode('utf-8-sig'))
    (parts.directory / 'inner').write_text('--tag=ä:2', 'utf-8')
    options = {'cwd': parts.directory, 'env': environment(LC_ALL=locale), 'warnings': True}
    build('--flagfile=flags', **options)
    assert parts.output.read_bytes() == expected


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
