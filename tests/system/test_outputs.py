# SPDX-License-Identifier: Apache-2.0
"""Existing files at the output path, devices, and files that cannot be read (section 9)."""

import contextlib
import gzip
import os
import resource
import stat

import pytest

from archive import TarFileWriter
from support.faults import OLD, fails_cleanly, with_large_part
from support.images import on_fixture
from support.needs import missing, respect_file_modes
from support.running import build, fails, start
from support.tars import manifest, names


def test_output_in_a_read_only_directory_is_an_error(parts):
    directory = parts.directory / 'directory'
    directory.mkdir(0o555)
    parts.output = directory / 'image.tar'
    line = fails(*parts.flags, preexec_fn=respect_file_modes)
    assert f"'{parts.output}': Permission denied" in line
    assert os.listdir(directory) == []


@pytest.mark.parametrize('size', [100, 20000])
def test_output_over_the_file_size_limit_is_an_error(parts, size):
    limit = resource.RLIMIT_FSIZE, (size, size)
    line = fails_cleanly(parts, preexec_fn=lambda: resource.setrlimit(*limit))
    assert f"'{parts.output}': File too large" in line


# Files that can be opened, but not read: the memory at address 0, the speed of the loopback.
MEMORY, SPEED = '/proc/self/mem', '/sys/class/net/lo/speed'
UNREADABLE = {
    '--base': (MEMORY, 'Input/output error', []),
    '--legacy_base': (MEMORY, 'Input/output error', []),
    '--config': (MEMORY, 'Input/output error', ['--verify']),
    '--layer': (SPEED, 'Invalid argument', []),
}


@pytest.mark.parametrize('flag', UNREADABLE)
def test_read_error_names_the_file(parts, flag):
    path, reason, more = UNREADABLE[flag]
    if not os.path.exists(path):
        missing(f'{path} is not there')
    value = f'{"d" * 64}={path}' if flag == '--layer' else path
    assert fails_cleanly(parts, f'{flag}={value}', *more).startswith(f"'{path}': {reason}")


def test_file_shorter_than_its_size_is_an_error(parts):
    """Files in /sys are so: they have the size of a page."""
    path = '/sys/class/net/lo/mtu'
    if not os.path.exists(path):
        missing(f'{path} is not there')
    line = fails_cleanly(parts, f'--layer={"d" * 64}={path}')
    assert f"'{path}': it ends early: try again" in line


def test_output_path_that_cannot_be_written_is_an_error(parts):
    directory = parts.directory / 'directory'
    directory.mkdir()
    (parts.directory / 'loop').symlink_to('loop')
    for output, reason in (
        (directory, 'Is a directory'),
        (f'{directory}/none/image.tar', 'No such file'),
        (f'{parts.config}/image.tar', 'Not a directory'),
        (parts.directory / 'loop', 'Too many levels of symbolic links'),
    ):
        assert f"'{output}': {reason}" in fails_cleanly(parts, f'--output={output}')
    assert os.listdir(directory) == []


@pytest.mark.parametrize(('name', 'minor'), [('null', 3), ('full', 7)])
def test_output_to_a_device_does_not_replace_it(parts, name, minor):
    """Root uses a device of its own, as a faulty tool would replace the system's."""
    path = f'/dev/{name}'
    if os.geteuid() == 0:
        path = parts.directory / name
        os.mknod(path, stat.S_IFCHR | 0o666, os.makedev(1, minor))
    if name == 'null':
        build(*parts.flags, f'--output={path}')
    else:
        line = fails_cleanly(parts, f'--output={path}')
        assert f"'{path}': No space left on device: free some space" in line
    assert stat.S_ISCHR(os.stat(path).st_mode)


# Existing files at the output path.


@pytest.mark.parametrize('content', [None, OLD])
def test_symbolic_links_are_followed(parts, content):
    target = parts.directory / 'directory' / 'target'
    target.parent.mkdir()
    if content:
        target.write_bytes(content)
    parts.output.symlink_to('link')
    (parts.directory / 'link').symlink_to('directory/target')
    build(*parts.flags)
    assert os.readlink(parts.output) == 'link'
    assert os.readlink(parts.directory / 'link') == 'directory/target'
    assert target.read_bytes() == build(*parts.flags, '--output=-').stdout
    assert os.listdir(target.parent) == ['target']


def test_old_output_is_replaced_and_not_overwritten_in_place(parts):
    parts.output.write_bytes(OLD)
    parts.output.chmod(0o600)
    other = parts.directory / 'other'
    other.hardlink_to(parts.output)
    build(*parts.flags, umask=0o027)
    assert other.read_bytes() == OLD
    assert parts.output.stat().st_mode & 0o7777 == 0o600
    assert names(parts.output)[-1] == 'manifest.json'


def test_output_can_replace_the_base(tmp_path):
    image = on_fixture(tmp_path, 'docker-20.10.tar')
    build(*image.flags)
    expected = image.output.read_bytes()
    base = tmp_path / 'base.tar'
    base.write_bytes(image.base.read_bytes())
    image.base = base
    build(*image.flags, f'--output={base}')
    assert base.read_bytes() == expected
    assert len(manifest(base)['Layers']) == 3


@pytest.mark.slow
def test_eight_runs_with_one_output_at_once(parts):
    _, flags = with_large_part(parts, 'layer')
    build(*flags)
    expected = parts.output.read_bytes()
    parts.output.unlink()
    processes = [start(flags) for _ in range(8)]
    while any(process.poll() is None for process in processes):
        with contextlib.suppress(FileNotFoundError):
            assert parts.output.read_bytes() == expected
    assert [process.communicate() for process in processes] == [(None, b'')] * 8
    assert {process.returncode for process in processes} == {0}
    assert parts.output.read_bytes() == expected
    assert list(parts.directory.glob('.create_image*')) == []


NO_FILES = {'preexec_fn': lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))}


@pytest.mark.parametrize('program', ['build_image', 'build_tar', 'create_image', 'join_layers'])
def test_error_names_tmpdir_if_no_temporary_file_can_be_written(tmp_path, program):
    """With --output=-, a compressed base is inflated in the directory for temporary files."""
    image = on_fixture(tmp_path, 'docker-20.10.tar.gz')
    flags = {
        'build_image': [f'--base={image.base}'],
        'build_tar': [f'--base={image.base}'],
        'create_image': image.without('output'),
        'join_layers': [f'--layer={image.base}'],
    }
    line = fails('--output=-', *flags[program], program=program, **NO_FILES)
    advice = 'set TMPDIR to a directory with room for it'
    assert line == f"'TMPDIR': No directory for temporary files can be written: {advice}"


@pytest.mark.parametrize('program', ['create_image', 'create_image_config'])
def test_no_temporary_file_is_needed_for_the_configuration_of_a_compressed_base(tmp_path, program):
    image = on_fixture(tmp_path, 'docker-20.10.tar.gz')
    plain = tmp_path / 'base.tar'
    plain.write_bytes(gzip.decompress(image.base.read_bytes()))
    flags = []
    if program == 'create_image':
        flags = image.without('output', 'base', 'legacy_base')
    expected = build('--output=-', *flags, f'--base={plain}', program=program)
    done = build('--output=-', *flags, f'--base={image.base}', program=program, **NO_FILES)
    assert done.stdout == expected.stdout


@pytest.mark.parametrize('mode', [0o600, 0o640, 0o755])
def test_replaced_output_leaves_its_mode_to_the_new_one(parts, mode):
    parts.output.write_bytes(b'old')
    parts.output.chmod(mode)
    build(*parts.flags, umask=0o077)
    assert stat.S_IMODE(parts.output.stat().st_mode) == mode
    assert names(parts.output)[0] == f'{parts.id}.json'


@pytest.mark.parametrize('program', ['create_image_config', 'join_layers'])
def test_output_of_every_program_keeps_the_mode_of_the_replaced_file(tmp_path, program):
    image = on_fixture(tmp_path, 'docker-20.10.tar')
    flag = {'create_image_config': '--base', 'join_layers': '--layer'}[program]
    image.output.write_bytes(OLD)
    image.output.chmod(0o640)
    build(f'{flag}={image.base}', f'--output={image.output}', program=program, umask=0o077)
    assert stat.S_IMODE(image.output.stat().st_mode) == 0o640
    assert image.output.read_bytes() != OLD


def test_digest_file_keeps_the_mode_of_the_replaced_file(parts):
    digest_file = parts.directory / 'digest'
    digest_file.write_bytes(OLD)
    digest_file.chmod(0o640)
    build(*parts.flags, '--oci', f'--digest_file={digest_file}', umask=0o077)
    assert stat.S_IMODE(digest_file.stat().st_mode) == 0o640
    assert digest_file.read_bytes().startswith(b'sha256:')


# Links that somebody else may have put there. Linux refuses to follow them (fs.protected_symlinks
# in proc(5)), where that is switched on.

OTHER, THIRD = 12345, 12346
# The mode of the directory, the owners of the directory and of the link, and whether the link is
# followed.
LINK_OWNERS = {
    'of another user': (0o1777, 0, OTHER, False),
    'of another user in a third one': (0o1777, THIRD, OTHER, False),
    'of this user': (0o1777, OTHER, 0, True),
    'of the owner of the directory': (0o1777, OTHER, OTHER, True),
    'in a directory without sticky bit': (0o777, 0, OTHER, True),
    'in a directory that others cannot write': (0o1755, 0, OTHER, True),
}


def make_link(parts, case):
    """Makes a link to the output; returns its path and whether it is followed."""
    if os.geteuid() != 0:
        missing('only root may change owners')
    mode, directory_owner, link_owner, is_followed = LINK_OWNERS[case]
    directory = parts.directory / 'shared'
    directory.mkdir()
    directory.chmod(mode)
    link = directory / 'link'
    link.symlink_to(parts.output)
    os.lchown(link, link_owner, link_owner)
    os.chown(directory, directory_owner, directory_owner)
    return link, is_followed


@pytest.mark.parametrize('case', LINK_OWNERS)
@pytest.mark.parametrize('is_first', [True, False])
def test_link_that_somebody_else_may_have_put_there_is_not_followed(parts, case, is_first):
    link, is_followed = make_link(parts, case)
    path = link
    if not is_first:
        path = parts.directory / 'first'
        path.symlink_to(link)
    if is_followed:
        build(*parts.flags, f'--output={path}')
        assert names(parts.output)[-1] == 'manifest.json'
        assert link.is_symlink()
        return
    line = fails_cleanly(parts, f'--output={path}')
    text = 'is a link of another user in a directory that all may write: give the path of a file'
    assert line == f"'{link}' {text}"


@pytest.mark.parametrize('program', ['create_image_config', 'join_layers', 'create_image'])
def test_no_program_follows_a_link_that_somebody_else_may_have_put_there(parts, program):
    link, _ = make_link(parts, 'of another user')
    base = on_fixture(parts.directory, 'docker-20.10.tar').base
    flags = {
        'create_image': [*parts.flags, '--oci', f'--digest_file={link}', f'--output={link}-2'],
        'create_image_config': [f'--output={link}'],
        'join_layers': [f'--layer={base}', f'--output={link}'],
    }
    before = set(parts.directory.iterdir())
    assert f"'{link}' is a link of another user" in fails(*flags[program], program=program)
    assert set(parts.directory.iterdir()) == before
    with pytest.raises(ValueError, match='is a link of another user'):
        TarFileWriter(str(link))


# Two outputs that are one file.


@pytest.mark.parametrize('name', ['IMAGE.TAR', 'link/image.tar', 'link/Image.tar'])
def test_outputs_that_differ_in_case_are_one_file(parts, name):
    """On a file system that ignores case, one would replace the other."""
    (parts.directory / 'link').symlink_to('.')
    digest_file = parts.directory / name
    line = fails(*parts.flags, '--oci', f'--digest_file={digest_file}')
    text = 'is also the file of --output: give another path'
    assert line == f"--digest_file: '{digest_file}' {text}"
    assert not parts.output.exists()


def test_outputs_of_one_name_in_two_directories_are_two_files(parts):
    (parts.directory / 'directory').mkdir()
    digest_file = parts.directory / 'directory' / parts.output.name
    build(*parts.flags, '--oci', f'--digest_file={digest_file}')
    assert digest_file.read_bytes().startswith(b'sha256:')
    assert names(parts.output)[-1] == 'manifest.json'
