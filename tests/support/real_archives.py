# SPDX-License-Identifier: Apache-2.0
"""Archives of real programs, compared with what GNU tar lists and extracts."""

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


def shell(command, directory):
    require(*(program for program in PROGRAMS if re.search(rf'\b{program}\b', command)))
    subprocess.run(
        ['bash', '-euo', 'pipefail', '-c', command],
        cwd=directory,
        check=True,
        capture_output=True,
        timeout=120,
    )


def make_trees(directory):
    """Makes two directories to pack: `plain`, which fits in the v7 format, and `full`."""
    make_tree(directory / 'plain')
    make_tree(directory / 'full')
    add_long_names(directory / 'full')
    return directory


def make_tree(directory):
    (directory / 'directory/inner').mkdir(parents=True)
    (directory / 'empty directory').mkdir(mode=0o700)
    for size in (0, 1, 511, 512, 513, 10240, 70000):
        data = (b'%d ' % size * size)[:size]
        (directory / f'directory/{size}').write_bytes(data)
    (directory / 'directory/program').write_bytes(b'#!/bin/sh\n')
    (directory / 'directory/program').chmod(0o4751)
    (directory / 'directory/caf\xe9').write_bytes(b'UTF-8 name')
    os.link(directory / 'directory/513', directory / 'hard link')
    os.symlink('directory/513', directory / 'soft link')
    os.symlink('/directory/513', directory / 'directory/inner/absolute link')
    os.symlink('nothing', directory / 'dangling link')
    with open(directory / 'sparse', 'wb') as file:
        for number in range(HOLES):
            file.seek(1024 * number + 512)
            file.write(b'%512d' % number)
        file.truncate(1024 * HOLES + 5000)
    with open(directory / 'one hole', 'wb') as file:
        file.truncate(100000)
    with open(directory / 'sparse in front', 'wb') as file:
        file.seek(50000)
        file.write(b'end')


def add_long_names(directory):
    inner = directory / ('l' * 90) / ('m' * 90) / ('n' * 200)
    inner.mkdir(parents=True)
    (inner / 'file').write_bytes(b'deep')
    (directory / ('f' * 99)).write_bytes(b'99')
    (directory / ('f' * 100)).write_bytes(b'100')
    (directory / ('f' * 101)).write_bytes(b'101')
    os.link(inner / 'file', directory / 'long hard link')
    os.symlink('t' * 101, directory / 'long soft link')
    os.symlink('t' * 3000, directory / 'longer soft link')


def read(path):
    """Returns the members that the tool reads, as gnu_tar.listing() does, and their content."""
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


def check(path, directory, merges=True):
    """Checks that the tool reads an archive like GNU tar, and merges all of its members."""
    expected = gnu_tar.listing(path)
    listed, contents = read(path)
    assert len(listed) > 0
    assert listed == expected
    gnu_tar.extract(path, directory / 'extracted')
    for name, found in contents.items():
        assert found == sha256((directory / 'extracted' / name.lstrip('/')).read_bytes()), name
    if merges:
        check_merged(path, directory)


def check_merged(path, directory):
    merged = directory / 'merged.tar'
    with archive.TarFileWriter(str(merged)) as tar:
        tar.add_tar(str(path))
    gnu_tar.extract(merged, directory / 'merged')
    assert facts(directory / 'merged') == facts(directory / 'extracted')


def facts(directory):
    """Returns {path: (mode, content)} of all files in a directory."""
    # os.walk(), because before Python 3.11 rglob() stops at a link with a target of over 255 bytes.
    paths = []
    for parent, directories, names in os.walk(directory):
        paths += [pathlib.Path(parent, name) for name in (*directories, *names)]
    found = {}
    for path in paths:
        status = path.lstat()
        content = None
        if stat.S_ISREG(status.st_mode):
            content = sha256(path.read_bytes()), status.st_nlink
        elif stat.S_ISLNK(status.st_mode):
            content = os.readlink(path)
        found[path.relative_to(directory)] = (stat.filemode(status.st_mode), content)
    return found
