# SPDX-License-Identifier: Apache-2.0
"""Full and read-only file systems (section 9)."""

import os
import subprocess

import pytest

from support.faults import COPIED_PARTS, fails_cleanly, leaves_both_outputs, with_large_part
from support.mounts import mounted_on_itself, tmpfs
from support.running import fails

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
    assert f"'{parts.output}': No space left on device: free some space" in line


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
    advice = 'it is a mount point: give --output=- and redirect stdout to it'
    assert f"'{digest_file}': Device or resource busy: {advice}" in error
    assert sorted(os.listdir(parts.directory)) == before
    assert not has_old or parts.output.read_bytes() == b'old'
