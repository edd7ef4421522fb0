# SPDX-License-Identifier: Apache-2.0
"""Images of build_image in real clients: they load, run, and have the files of all layers."""

import pathlib
import shutil

import pytest

from support.clients import Containerd
from support.composed import build_image
from support.needs import require
from support.project import DATA
from support.tars import make_tar

pytestmark = pytest.mark.client

TAG = 'example/composed:1.0'
BASES = ['docker-20.10.tar.gz', 'docker-29-containerd.tar', 'podman-4.3.tar']


@pytest.fixture
def flags(tmp_path):
    """The flags of an image with a shell and a layer that is there already."""
    require('busybox')
    below = make_tar(tmp_path / 'below.tar', {'srv/below': b'below'})
    (tmp_path / 'upper').write_bytes(b'upper')
    shell = pathlib.Path(shutil.which('busybox')).resolve()
    script = '/bin/busybox id -u; /bin/busybox cat below /srv/app/upper'
    return [
        f'--layer={below}',
        f'--file={shell}=bin/busybox',
        f'--file={tmp_path}/upper=/srv/app/',
        '--link=bin/sh:busybox',
        '--empty_dir=tmp',
        '--modes=tmp=1777',
        f'--entrypoint=["/bin/sh", "-c", "{script}"]',
        '--user=65534',
        '--workdir=/srv',
        f'--tag={TAG}',
        '--verify',
    ]


def check(store, image, identifier):
    """Loads an image and runs it; returns its files."""
    store.load(image)
    assert store.tags() == {TAG}
    assert store.config_digest(TAG) == identifier.read_text().strip()
    files = store.files(TAG)
    assert (files['srv/below'], files['srv/app/upper']) == (b'below', b'upper')
    if not isinstance(store, Containerd):
        assert store.run(TAG) == '65534\nbelowupper'
    return files


@pytest.mark.parametrize('oci', [[], ['--oci']])
@pytest.mark.parametrize('base', BASES)
def test_image_on_a_base(store, tmp_path, flags, base, oci):
    image, identifier = tmp_path / 'image.tar', tmp_path / 'id'
    build_image(image, f'--base={DATA}/bases/{base}', f'--id_file={identifier}', *flags, *oci)
    assert {'etc/base-release', 'srv/greeting'} <= set(check(store, image, identifier))


@pytest.mark.parametrize('oci', [[], ['--oci']])
def test_image_from_scratch(store, tmp_path, flags, oci):
    image, identifier = tmp_path / 'image.tar', tmp_path / 'id'
    build_image(image, f'--id_file={identifier}', *flags, *oci)
    check(store, image, identifier)


def test_partial_image_where_its_base_is(store, tmp_path, flags):
    base, image = tmp_path / 'base.tar', tmp_path / 'image.tar'
    build_image(base, '--empty_file=etc/base', '--tag=example/base:1', '--oci')
    build_image(image, f'--base={base}', '--partial', '--oci', *flags)
    store.load(base)
    store.load(image)
    assert store.tags() == {'example/base:1', TAG}
    assert {'etc/base', 'srv/below', 'srv/app/upper'} <= set(store.files(TAG))
