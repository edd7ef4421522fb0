# SPDX-License-Identifier: Apache-2.0
"""Archives of join_layers --oci in real clients."""

import pytest

from support.clients import Containerd, Docker, call, files_of_tar
from support.joins import join
from support.layouts import Layout
from support.needs import require
from support.project import DATA, FIXTURES
from support.tars import sha256

pytestmark = pytest.mark.client

TAG = 'example/base:1.0'
FULL_TAG = f'docker.io/{TAG}'
FILES = {**files_of_tar(DATA / 'base-layer-1.tar'), **files_of_tar(DATA / 'base-layer-2.tar')}


def join_oci(directory, *archives, flags=(), **options):
    return join(directory, *archives, flags=['--oci', '--verify', *flags], **options)


# The canonical form of one image.


def save(store, tag, path):
    """Saves an image; returns the path."""
    if isinstance(store, Containerd):
        store('images', 'export', path, f'docker.io/{tag}')
    elif isinstance(store, Docker):
        store('save', '--output', path, tag)
    else:
        store('save', '--quiet', '--output', path, f'docker.io/{tag}')
    return path


def test_saves_of_a_store_give_the_same_archive(store, tmp_path):
    """All stores but the older one of Docker 25 and later keep the manifest, or save none."""
    (tmp_path / 'saved').mkdir()
    original = join_oci(tmp_path, FIXTURES / 'docker-20.10.tar').read_bytes()
    store.load(tmp_path / 'out.tar')
    found = set()
    for number in range(2):
        saved = save(store, TAG, tmp_path / 'saved' / f'{number}.tar')
        joined = join_oci(tmp_path, saved, warnings=True)
        found.add(joined.read_bytes())
    assert len(found) == 1
    makes_manifest = isinstance(store, Docker) and store.version >= 25
    if not (makes_manifest and store.store == 'graphdriver'):
        assert found == {original}


def test_copies_of_skopeo_give_the_same_archive(tmp_path):
    require('skopeo')
    original = join_oci(tmp_path, FIXTURES / 'docker-20.10.tar')
    data = original.read_bytes()
    source = original.rename(tmp_path / 'original.tar')
    for number, transport in enumerate(('docker-archive', 'oci-archive')):
        copy = tmp_path / f'{number}.tar'
        target = f'docker-archive:{copy}:{FULL_TAG}'
        call('skopeo', 'copy', '--quiet', f'{transport}:{source}', target)
        assert join_oci(tmp_path, copy).read_bytes() == data


@pytest.mark.parametrize('base', ['docker-20.10.tar', 'docker-29-pulled.tar', 'skopeo-1.9.tar.bz2'])
def test_stores_load_the_canonical_archive(store, tmp_path, base):
    path = join_oci(tmp_path, FIXTURES / base, flags=[f'--digest_file={tmp_path}/digest'])
    layout = Layout.read(path)
    store.load(path)
    assert store.tags() == {TAG}
    image_id = layout.manifest['config']['digest'].partition(':')[2]
    assert store.config_digest(TAG) == image_id
    if isinstance(store, Docker) and store.store == 'containerd':
        assert store.id(TAG) == (tmp_path / 'digest').read_text().strip()
    assert FILES.items() <= store.files(TAG).items()


def test_docker_archive_becomes_an_oci_archive_and_back(tmp_path):
    """The documentation shows it as the converter between both."""
    require('skopeo')
    path = join_oci(tmp_path, FIXTURES / 'docker-20.10.tar')
    raw = call('skopeo', 'inspect', '--raw', f'oci-archive:{path}')
    assert f'sha256:{sha256(raw.encode())}' == Layout.read(path).index['manifests'][0]['digest']
    config = call('skopeo', 'inspect', '--config', '--raw', f'docker-archive:{path}')
    assert call('skopeo', 'inspect', '--config', '--raw', f'oci-archive:{path}') == config
