# SPDX-License-Identifier: Apache-2.0
"""Layers of build_tar on a base, in real clients with overlay storage.

The base's directories and links stay as they are, files are where they belong, and what is deleted
is gone. The same files without --base break the base.
"""

import os
import pathlib
import shutil

import pytest

from support.clients import OVERLAYS
from support.images import Parts, configuration
from support.layers import directory, link, make_layer
from support.needs import require
from support.running import build
from support.tars import HARD, member, pax, sha256, tar_of

pytestmark = pytest.mark.client

TAG = 'example/layers:1'
APPLETS = ('sh', 'stat', 'cat', 'ls', 'readlink')
CAPABILITY = b'SCHILY.xattr.security.capability=\1\0\0\2\0\x20\0\0' + bytes(12)
SHOWN = ('/bin', '/tmp', '/root', '/var/run', '/run', '/lib64', '/etc', '/usr/bin', '/srv')
STAT = 'busybox stat -c "%n %A %u:%g" ' + ' '.join(SHOWN)


def hard_link(name):
    return member(name, kind=HARD, link='usr/bin/busybox', mode=0o755)


def base_layer():
    require('busybox')
    busybox = pathlib.Path(shutil.which('busybox')).read_bytes()
    return tar_of(
        link('bin', 'usr/bin'),
        directory('etc', uid=5, gid=6, mtime=7),
        member('etc/deleted', b'deleted'),
        member('etc/kept', b'kept'),
        link('lib64', '/usr/lib64'),
        directory('root', 0o700),
        directory('run', mtime=1234567),
        directory('srv', 0o2775),
        directory('srv/deleted'),
        member('srv/deleted/file', b'deleted'),
        directory('tmp', 0o1777),
        directory('usr'),
        directory('usr/bin', 0o711),
        member('usr/bin/busybox', busybox, mode=0o755),
        *(hard_link(f'usr/bin/{name}') for name in APPLETS),
        directory('usr/lib64'),
        directory('var'),
        link('var/run', '/run'),
    )


def image_of(path, *layers):
    """Builds a whole image of layers, given by their bytes; returns its parts."""
    path.mkdir()
    image = Parts(path)
    image.layers = []
    for number, data in enumerate(layers):
        layer = path / f'{number}.tar'
        layer.write_bytes(data)
        image.layers.append((sha256(data), layer))
    environment = {'Env': ['PATH=/usr/bin'], 'Cmd': ['/usr/bin/busybox']}
    image.configure(configuration(image.diff_ids, environment))
    build(*image.flags, f'--tag={TAG}', '--verify')
    return image


def run(store, script):
    """Runs a script in a container of the image; returns what it prints."""
    return store.run(TAG, '/usr/bin/busybox', 'sh', '-c', script)


def file_flags(path):
    """Returns flags for files that go to delicate places."""
    path.write_bytes(b'new')
    places = ('bin/x', 'tmp/x', 'root/x', 'var/run/x', 'lib64/x', 'etc/x', 'home/user/x')
    return [f'--file={path}={place}' for place in places]


@pytest.mark.parametrize('name', OVERLAYS)
def test_layer_leaves_its_base_as_it_is(running_store, tmp_path, name):
    store = running_store(name)
    base = image_of(tmp_path / 'base', base_layer())
    store.load(base.output)
    before = run(store, STAT)
    store.clear()
    tar = tmp_path / 'a.tar'
    tar.write_bytes(tar_of(directory('bin', 0o777), pax(CAPABILITY), member('bin/ping', b'#!')))
    flags = [f'--base={base.output}', *file_flags(tmp_path / 'file'), f'--tar={tar}']
    flags += ['--delete=/etc/deleted', '--delete=srv/deleted', '--owners=home/user=1000.1000']
    layer = make_layer(tmp_path / 'layer.tar', *flags)
    store.load(image_of(tmp_path / 'image', base_layer(), layer).output)
    assert run(store, STAT) == before
    places = '/bin/x /usr/bin/x /tmp/x /root/x /lib64/x /usr/lib64/x /etc/x /home/user/x'
    assert run(store, f'busybox cat {places}') == 'new' * 8
    assert run(store, 'busybox readlink /bin; busybox readlink /var/run').split() == [
        'usr/bin',
        '/run',
    ]
    assert run(store, 'busybox stat -c "%u:%g %a" /home/user').strip() == '1000:1000 755'
    assert run(store, 'busybox ls /etc /srv').split().count('deleted') == 0
    files = store.files(TAG)
    assert files['etc/kept'] == b'kept'
    assert 'etc/deleted' not in files
    assert not any(name.startswith('srv/') for name in files)
    assert files['run/x'] == b'new'


@pytest.mark.parametrize('name', OVERLAYS)
def test_without_base_the_same_files_break_it(running_store, tmp_path, name):
    store = running_store(name)
    layer = make_layer(tmp_path / 'layer.tar', *file_flags(tmp_path / 'file'))
    store.load(image_of(tmp_path / 'image', base_layer(), layer).output)
    script = 'busybox stat -c "%A %u:%g" /bin /tmp /root /etc; busybox ls /bin'
    assert run(store, script).splitlines() == [*('drwxr-xr-x 0:0',) * 4, 'x']


def test_podman_sets_the_capability_of_a_merged_file(podman, tmp_path):
    tar = tmp_path / 'a.tar'
    tar.write_bytes(tar_of(pax(CAPABILITY), member('n' * 150, b'#!', mode=0o755)))
    layer = make_layer(tmp_path / 'layer.tar', f'--tar={tar}')
    podman.load(image_of(tmp_path / 'image', layer).output)
    mounted = podman('image', 'mount', TAG)
    attributes = os.listxattr(f'{mounted}/{"n" * 150}')
    podman('image', 'unmount', TAG)
    assert 'security.capability' in attributes
