# SPDX-License-Identifier: Apache-2.0
"""Helpers for the tests of join_layers."""

import json

from support.images import BaseImage
from support.running import build, fails
from support.tars import content

PROGRAM = {'program': 'join_layers'}
# Archives of one image; each program gives other names to its files.
SAME_IMAGE = [
    'docker-20.10.tar',
    'docker-29-containerd.tar',
    'docker-29-graphdriver.tar',
    'podman-4.3.tar.xz',
    'skopeo-1.9.tar.bz2',
]


def image_of(*layers, tag=None, config_name=None):
    return BaseImage(list(layers), config_name, None if tag is None else [tag])


def flags_for(directory, archives, *flags):
    return [f'--output={directory / "out.tar"}', *(f'--layer={path}' for path in archives), *flags]


def join(directory, *archives, flags=(), **options):
    """Joins archives; returns the path of the new one."""
    build(*flags_for(directory, archives, *flags), **PROGRAM, **options)
    return directory / 'out.tar'


def entries_of(path):
    return json.loads(content(path, 'manifest.json'))


def repositories_of(path):
    return json.loads(content(path, 'repositories'))


def refuses(directory, *archives, flags=()):
    """Joins archives, which must fail with one line and leave no files; returns the line."""
    before = set(directory.iterdir())
    line = fails(*flags_for(directory, archives, *flags), **PROGRAM)
    assert set(directory.iterdir()) == before
    return line
