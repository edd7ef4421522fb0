# SPDX-License-Identifier: Apache-2.0
"""Archives of real programs, which are compared with what GNU tar lists and extracts."""

import hashlib
import os
import pathlib
import re
import stat
import subprocess

import archive
from image_archive.tar import archive as archives
from support import gnu_tar
from support.needs import require
from support.tars import sha256

PROGRAMS = 'tar bsdtar busybox 7z skopeo umoci'.split()
PROGRAMS += 'gzip pigz bzip2 pbzip2 xz pixz zstd pzstd'.split()
HOLES = 5000


def shell(command, folder):
    require(*(program for program in PROGRAMS if re.search(rf'\b{program}\b', command)))
    subprocess.run(
        ['bash', '-euo', 'pipefail', '-c', command],
        cwd=folder,
        check=True,
        capture_output=True,
        timeout=120,
    )


def make_trees(folder):
    """Makes directories to pack: `plain` of what v7 holds, `full` of what others hold too."""
    make_tree(folder / 'plain')
    make_tree(folder / 'full')
    add_long_names(folder / 'full')
    return folder


def make_tree(folder):
    (folder / 'folder/inner').mkdir(parents=True)
    (folder / 'empty folder').mkdir(mode=0o700)
    for size in (0, 1, 511, 512, 513, 10240, 70000):
        data = (b'%d ' % size * size)[:size]
        (folder / f'folder/{size}').write_bytes(data)
    (folder / 'folder/program').write_bytes(b'#!/bin/sh\n')
    (folder / 'folder/program').chmod(0o4751)
    (folder / 'folder/caf\xe9').write_bytes(b'UTF-8 name')
    os.link(folder / 'folder/513', folder / 'hard link')
    os.symlink('folder/513', folder / 'soft link')
    os.symlink('/folder/513', folder / 'folder/inner/absolute link')
    os.symlink('nothing', folder / 'dangling link')
    with open(folder / 'sparse', 'wb') as file:
        for number in range(HOLES):
            file.seek(1024 * number + 512)
            file.write(b'%512d' % number)
        file.truncate(1024 * HOLES + 5000)
    with open(folder / 'one hole', 'wb') as file:
        file.truncate(100000)
    with open(folder / 'sparse in front', 'wb') as file:
        file.seek(50000)
        file.write(b'end')


def add_long_names(folder):
    inner = folder / ('l' * 90) / ('m' * 90) / ('n' * 200)
    inner.mkdir(parents=True)
    (inner / 'file').write_bytes(b'deep')
    (folder / ('f' * 99)).write_bytes(b'99')
    (folder / ('f' * 100)).write_bytes(b'100')
    (folder / ('f' * 101)).write_bytes(b'101')
    os.link(inner / 'file', folder / 'long hard link')
    os.symlink('t' * 101, folder / 'long soft link')
    os.symlink('t' * 3000, folder / 'longer soft link')


def read(path):
    """Returns what the tool reads: the members as GNU tar lists them, and their content."""
    with archives.open_archive(str(path)) as opened:
        listed = [gnu_tar.as_listed(member) for member in opened.members]
        contents = {}
        for member in opened.members:
            if member.is_file:
                contents[member.name] = digest(opened.source(member).blocks())
        return listed, contents


def digest(blocks):
    total = hashlib.sha256()
    for block in blocks:
        total.update(block)
    return total.hexdigest()


def check(path, folder, merges=True):
    """Checks that an archive is read as GNU tar does, and merged with all that is in it."""
    expected = gnu_tar.listing(path)
    listed, contents = read(path)
    assert len(listed) > 0
    assert listed == expected
    gnu_tar.extract(path, folder / 'extracted')
    for name, found in contents.items():
        assert found == sha256((folder / 'extracted' / name.lstrip('/')).read_bytes()), name
    if merges:
        check_merged(path, folder)


def check_merged(path, folder):
    merged = folder / 'merged.tar'
    with archive.TarFileWriter(str(merged)) as tar:
        tar.add_tar(str(path))
    gnu_tar.extract(merged, folder / 'merged')
    assert facts(folder / 'merged') == facts(folder / 'extracted')


def facts(folder):
    """Returns {path: what is there} of all in a folder."""
    # By os.walk: before Python 3.11, rglob() stops at a link whose target is too long for a name.
    paths = []
    for parent, folders, names in os.walk(folder):
        paths += [pathlib.Path(parent, name) for name in (*folders, *names)]
    found = {}
    for path in paths:
        status = path.lstat()
        content = None
        if stat.S_ISREG(status.st_mode):
            content = sha256(path.read_bytes()), status.st_nlink
        elif stat.S_ISLNK(status.st_mode):
            content = os.readlink(path)
        found[path.relative_to(folder)] = (stat.filemode(status.st_mode), content)
    return found
