# SPDX-License-Identifier: Apache-2.0
"""Making layers with build_tar, and trees and bases to make them of."""

import json
import os
import subprocess
import tarfile

from support.images import configuration
from support.needs import require
from support.running import build, environment, fails, warns
from support.tars import make_tar, member, sha256, tar_of

GNU_TAR = ['tar', '--create', '--format=gnu', '--sort=name', '--mtime=@0']
GNU_TAR += ['--owner=0', '--group=0', '--numeric-owner', '--no-unquote']


def make_layer(output, *flags, **options):
    """Makes a layer, which must give no message; returns its bytes."""
    build(f'--output={output}', *flags, program='build_tar', **options)
    return output.read_bytes()


def layer_warns(output, *flags):
    """Makes a layer; returns the warnings."""
    return warns(f'--output={output}', *flags, program='build_tar')


def layer_fails(output, *flags, **options):
    """Fails to make a layer, and leaves nothing behind; returns the error."""
    before = sorted(os.listdir(output.parent))
    error = fails(f'--output={output}', *flags, program='build_tar', **options)
    assert sorted(os.listdir(output.parent)) == before
    return error


def gnu_tar(output, directory, *names):
    """Packs files with GNU tar, as build_tar does; returns the bytes."""
    require('tar')
    listed = b''.join(os.fsencode(name) + b'\0' for name in names)
    command = [*GNU_TAR, f'--file={output}', f'--directory={directory}', '--null', '--files-from=-']
    subprocess.run(command, input=listed, check=True, env=environment(LC_ALL='C'))
    return output.read_bytes()


def shown(path):
    """Returns the members of a layer as {name: (type, mode, uid, gid, target)}, in their order."""
    found = {}
    with tarfile.open(path) as tar:
        for info in tar:
            assert info.name not in found
            owner = info.uid, info.gid
            found[info.name] = (info.type, info.mode, *owner, info.linkname)
    return found


def base_of(path, *layers):
    """Writes an image archive with layers, each given by its bytes; returns its path."""
    names = [f'{number}/layer.tar' for number in range(len(layers))]
    diff_ids = [f'sha256:{sha256(layer)}' for layer in layers]
    entry = {'Config': 'c.json', 'Layers': names, 'RepoTags': ['base:1']}
    files = {'c.json': json.dumps(configuration(diff_ids)).encode()}
    files.update(zip(names, layers, strict=True))
    return make_tar(path, {**files, 'manifest.json': json.dumps([entry]).encode()})


def directory(name, mode=0o755, **fields):
    """Returns a member that is a directory."""
    return member(name, kind=tarfile.DIRTYPE, mode=mode, **fields)


def link(name, target):
    """Returns a member that is a symbolic link."""
    return member(name, kind=tarfile.SYMTYPE, link=target, mode=0o777)


# A base with the directories and links that layers break.
COMMON = tar_of(
    link('bin', 'usr/bin'),
    directory('etc', uid=5, gid=6, mtime=7),
    member('etc/passwd', b'root'),
    link('lib64', '/usr/lib64'),
    directory('root', 0o700),
    directory('run', 0o2755, mtime=12345),
    directory('tmp', 0o1777),
    directory('usr'),
    directory('usr/bin', 0o555),
    member('usr/bin/sh', b'#!'),
    directory('usr/lib64'),
    directory('var', uid=3),
    link('var/run', '../run'),
    link('var/lib', '/usr/lib64'),
    link('nowhere', 'missing/x'),
    link('circle', 'circle2'),
    link('circle2', './circle'),
)
