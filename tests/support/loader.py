# SPDX-License-Identifier: Apache-2.0
"""tools/load_image.sh, which `bazel run` of a docker_build runs, and what it is given."""

import shutil
import subprocess
import sys

from support.images import on_fixture
from support.project import ROOT
from support.running import build, environment

BASE = 'docker-29-containerd.tar'


def write_archives(directory, base=BASE, tags=('example/app:1.0',), files=None, oci=False):
    """Writes the archives of an image and the description of its base, as docker_build does.

    Args:
        directory: The directory for them; it must be empty.
        base: The archive in testdata/bases that the image is built on.
        tags: The tags of the image.
        files: The files of its layer, as {name: content}.
        oci: Whether the whole archive is an OCI image layout, too.

    Returns:
        The Parts of the image, and the arguments of load_image.sh.
    """
    directory.mkdir(exist_ok=True)
    image = on_fixture(directory, base, layers=[files or {'srv/new': b'new\n'}])
    partial = directory / 'partial.tar'
    known = directory / 'known'
    flags = [f'--tag={tag}' for tag in tags]
    build(*image.flags, *flags, *(['--oci'] if oci else []), '--verify', warnings=True)
    flags += [*image.without('output', 'legacy_base'), f'--output={partial}', '--oci', '--verify']
    build(*flags, warnings=True)
    describe_base(1, image.base, partial, image.config, known)
    return image, ['app', image.output, partial, known]


def describe_base(*arguments):
    """Runs tools/describe_base.py, which must succeed; the last argument is its output."""
    subprocess.run(
        [sys.executable, ROOT / 'tools' / 'describe_base.py', *map(str, arguments)],
        env=environment(PYTHONPATH=str(ROOT)),
        check=True,
    )


def load(client, *arguments):
    """Runs load_image.sh with a client; returns the finished process, with its output as text."""
    return subprocess.run(
        [shutil.which('sh'), ROOT / 'tools' / 'load_image.sh', *arguments],
        env=environment(DOCKER=str(client)),
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
