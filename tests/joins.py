# SPDX-License-Identifier: Apache-2.0
"""What the tests of join_layers share."""

import json

from helpers import DATA, BaseImage, build, content, fails, member, write_tar

PROGRAM = {'program': 'join_layers'}
FIXTURES = DATA / 'bases'
# They hold one image, whose files each program names otherwise.
SAME_IMAGE = [
    'docker-20.10.tar',
    'docker-29-containerd.tar',
    'docker-29-graphdriver.tar',
    'podman-4.3.tar.xz',
    'skopeo-1.9.tar.bz2',
]


def write(path, *images, without=(), entries=None, more=()):
    """Writes an archive of images, without some of their files, and with more members."""
    files = {}
    for image in images:
        files.update(image.files)
    if entries is None:
        entries = [image.entry for image in images]
    kept = [member(name, data) for name, data in files.items() if name not in without]
    return write_tar(path, *kept, *more, member('manifest.json', json.dumps(entries).encode()))


def image_of(*layers, tag=None, config_name=None):
    return BaseImage(list(layers), config_name, None if tag is None else [tag])


def flags_for(folder, archives, *flags):
    return [f'--output={folder / "out.tar"}', *(f'--layer={path}' for path in archives), *flags]


def join(folder, *archives, flags=(), **options):
    """Joins archives; returns the path of the new one."""
    build(*flags_for(folder, archives, *flags), **PROGRAM, **options)
    return folder / 'out.tar'


def entries_of(path):
    return json.loads(content(path, 'manifest.json'))


def repositories_of(path):
    return json.loads(content(path, 'repositories'))


def refuses(folder, *archives, flags=()):
    """Has a join fail with one line, which it returns, and leave nothing behind."""
    before = set(folder.iterdir())
    line = fails(*flags_for(folder, archives, *flags), **PROGRAM)
    assert set(folder.iterdir()) == before
    return line
