# SPDX-License-Identifier: Apache-2.0
"""Small file systems in memory; only root can mount them."""

import contextlib
import os
import subprocess

from support.needs import missing, require


@contextlib.contextmanager
def tmpfs(directory, size):
    """Mounts an empty file system on a new directory.

    Args:
        directory: The path of the mount point.
        size: The size in the form of mount: 8k, 1m.
    """
    require('mount', 'umount')
    if os.geteuid() != 0:
        missing('only root may mount')
    directory.mkdir()
    command = ['mount', '-t', 'tmpfs', '-o', f'size={size}', 'tmpfs', directory]
    if subprocess.run(command, check=False).returncode:
        missing('mounting is not allowed here')
    try:
        yield directory
    finally:
        subprocess.run(['umount', directory], check=True)


@contextlib.contextmanager
def bound(path, mount_point):
    """Gives a file or directory a second path, that of another one, by a bind mount."""
    require('mount', 'umount')
    if os.geteuid() != 0:
        missing('only root may mount')
    if subprocess.run(['mount', '--bind', path, mount_point], check=False).returncode:
        missing('mounting is not allowed here')
    try:
        yield
    finally:
        subprocess.run(['umount', mount_point], check=True)


def mounted_on_itself(path):
    """Makes a file a mount point, so that it cannot be replaced."""
    return bound(path, path)
