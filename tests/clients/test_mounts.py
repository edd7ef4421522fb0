# SPDX-License-Identifier: Apache-2.0
"""Full and read-only file systems (section 9)."""

import os
import subprocess

import pytest

from support.faults import COPIED_PARTS, fails_cleanly, leaves_both_outputs, with_large_part
from support.images import Parts
from support.mounts import bound, mounted_on_itself, tmpfs
from support.running import build, environment, fails
from support.tars import names

pytestmark = pytest.mark.mount


@pytest.fixture
def small_disk(tmp_path):
    with tmpfs(tmp_path / 'disk', '1m') as disk:
        yield disk


@pytest.fixture
def full_disk(tmp_path):
    with tmpfs(tmp_path / 'disk', '8k') as disk:
        (disk / 'old').write_bytes(b'old')
        (disk / 'filler').write_bytes(bytes(4096))
        yield disk


@pytest.mark.parametrize('part', ['config', *COPIED_PARTS])
def test_full_disk_is_an_error(parts, small_disk, part):
    _, flags = with_large_part(parts, part)
    parts.directory, parts.output = small_disk, small_disk / 'image.tar'
    line = fails_cleanly(parts, *flags, f'--output={parts.output}')
    expected = f"'{parts.output}': No space left on device: free some space"
    if part == 'compressed base':  # it is inflated beside the output
        advice = 'give --output in another directory, with room for it'
        expected = f"'{small_disk}': No space left on device: {advice}"
    assert line == expected


@pytest.mark.parametrize('program', ['create_image', 'join_layers'])
def test_full_directory_for_temporary_files_is_an_error(tmp_path, small_disk, program):
    image = Parts(tmp_path)
    base, flags = with_large_part(image, 'compressed base')
    if program == 'join_layers':
        flags = [f'--layer={base}']
    env = environment(TMPDIR=str(small_disk))
    line = fails(*flags, '--output=-', program=program, env=env)
    advice = 'set TMPDIR to a directory with room for it'
    assert line == f"'{small_disk}': No space left on device: {advice}"
    assert os.listdir(small_disk) == []


def test_read_only_file_system_is_an_error(parts, small_disk):
    parts.directory, parts.output = small_disk, small_disk / 'image.tar'
    subprocess.run(['mount', '-o', 'remount,ro', small_disk], check=True)
    assert f"'{parts.output}': Read-only" in fails(*parts.flags)


def test_full_disk_for_the_digest_file_is_an_error(parts, full_disk):
    """The archive is on another disk, where it is already complete by then."""
    old = full_disk / 'old'
    error = leaves_both_outputs(parts, f'--digest_file={old}')
    assert f"'{old}': No space left on device: free some space" in error
    assert old.read_bytes() == b'old'
    assert sorted(os.listdir(full_disk)) == ['filler', 'old']


@pytest.mark.parametrize('has_old', [False, True])
def test_archive_is_removed_if_the_digest_file_cannot_be_replaced(parts, has_old):
    """The digest file is a mount point; the old archive is restored if there was one."""
    digest_file = parts.directory / 'mounted'
    digest_file.write_bytes(b'old digest')
    if has_old:
        parts.output.write_bytes(b'old')
    before = sorted(os.listdir(parts.directory))
    with mounted_on_itself(digest_file):
        error = fails(*parts.flags, '--oci', f'--digest_file={digest_file}')
    advice = 'it is a mount point: redirect stdout to it, and give - for it, as in --output=-'
    assert f"'{digest_file}': Device or resource busy: {advice}" in error
    assert sorted(os.listdir(parts.directory)) == before
    assert not has_old or parts.output.read_bytes() == b'old'


def test_output_that_is_a_layer_by_another_mount_is_an_error(parts):
    (_, layer) = parts.layers[0]
    before = layer.read_bytes()
    alias = parts.directory / 'alias'
    alias.mkdir()
    with bound(parts.directory, alias):
        output = alias / layer.name
        error = fails(*parts.flags, f'--output={output}')
    assert error == f"--output: '{output}' is also the file of --layer: give another path"
    assert layer.read_bytes() == before


def test_outputs_that_are_one_file_by_another_mount_are_an_error(parts):
    """Neither of them is there yet."""
    alias = parts.directory / 'alias'
    alias.mkdir()
    with bound(parts.directory, alias):
        digest_file = alias / parts.output.name
        error = fails(*parts.flags, '--oci', f'--digest_file={digest_file}')
    text = 'is also the file of --output: give another path'
    assert error == f"--digest_file: '{digest_file}' {text}"
    assert not parts.output.exists()


def test_base_is_replaced_by_another_mount(parts):
    """It is replaced as a whole."""
    build(*parts.flags)
    base = parts.output.rename(parts.directory / 'base.tar')
    alias = parts.directory / 'alias'
    alias.mkdir()
    with bound(parts.directory, alias):
        build(*parts.flags, f'--legacy_base={base}', f'--output={alias / base.name}')
        assert names(base)[-1] == 'manifest.json'


def test_advice_for_an_output_that_is_a_mount_point_works(parts):
    parts.output.write_bytes(b'old')
    with mounted_on_itself(parts.output):
        line = fails(*parts.flags)
        with parts.output.open('wb') as f:
            build(*parts.flags, '--output=-', preexec_fn=lambda: os.dup2(f.fileno(), 1))
        assert names(parts.output)[-1] == 'manifest.json'
    advice = 'it is a mount point: redirect stdout to it, and give - for it, as in --output=-'
    assert line == f"'{parts.output}': Device or resource busy: {advice}"
