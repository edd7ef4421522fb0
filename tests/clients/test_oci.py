# SPDX-License-Identifier: Apache-2.0
"""Archives of --oci in real clients: whole and partial, loaded, copied and pushed."""

import json
import os
import pathlib
import re
import shutil
import subprocess
import tarfile
import urllib.request

import pytest

from support.clients import (
    DOCKERS,
    Containerd,
    Docker,
    call,
    check_with_container_structure_test,
    files_below,
    files_of_tar,
    load_incomplete,
    registry,
    scan_with_syft,
)
from support.images import MODERN, Parts, base_diff_ids, configuration, on_fixture
from support.layouts import write_layout
from support.needs import require
from support.project import DATA
from support.tars import make_tar, manifest, sha256

pytestmark = pytest.mark.client

TAG = 'example/derived:2.0'
BASE_TAG = 'example/base:1.0'
NEW = {'srv/new': b'new\n', 'srv/large': b'large' * 30000}
BELOW = {**files_of_tar(DATA / 'base-layer-1.tar'), **files_of_tar(DATA / 'base-layer-2.tar')}
EXPECTED = {**BELOW, **NEW}
ZSTD = 'docker-29-zstd.tar'
# One of each kind: plain and gzip layers, names with and without digests, links.
BASES = ['docker-20.10.tar', 'docker-29-pulled.tar', 'docker-29-multiplatform.tar']
BASES.append('podman-4.3.tar')


def write(image, partial=False, tags=(TAG,)):
    """Builds an image with --oci; returns the digest of its manifest."""
    options = {'tags': tags, 'partial': partial, 'warnings': True}
    _, digest = write_layout(image, '--verify', **options)
    return digest.strip()


def check(files, expected=EXPECTED):
    for name, data in expected.items():
        assert files.get(name) == data, name


def check_in(store, image, digest):
    """Checks the tag, the IDs and the files of an image that was loaded."""
    assert TAG in store.tags()
    assert store.config_digest(TAG) == image.id
    if isinstance(store, Docker) and is_of_containerd(store):
        assert store.id(TAG) == digest
    check(store.files(TAG))


def is_of_containerd(store):
    return isinstance(store, Containerd) or getattr(store, 'store', '') == 'containerd'


def reads(store, base):
    """Returns whether a store can read the layers of a base."""
    return base != ZSTD or not isinstance(store, Docker) or store.version >= 23


# Loading.


@pytest.mark.parametrize('base', MODERN)
def test_stores_load_a_whole_image(store, tmp_path, base):
    image = on_fixture(tmp_path, base, layers=[NEW])
    digest = write(image)
    if not reads(store, base):
        assert 'unexpected EOF' in store.load(image.output, fails=True)
        return
    store.load(image.output)
    check_in(store, image, digest)


@pytest.mark.parametrize('base', BASES)
def test_stores_load_a_partial_image_after_its_base(store, tmp_path, base):
    image = on_fixture(tmp_path, base, layers=[NEW])
    digest = write(image, partial=True)
    store.load(image.base)
    store.load(image.output)
    check_in(store, image, digest)


@pytest.mark.parametrize('base', BASES)
def test_stores_refuse_a_partial_image_without_its_base(store, tmp_path, base):
    """The error names the first missing layer; after the base is loaded, the image can be, too.

    Docker's store of containerd, and containerd before version 2, list the image all the same.
    """
    image = on_fixture(tmp_path, base, layers=[NEW])
    digest = write(image, partial=True)
    words = load_incomplete(store, image.output)
    missing = manifest(image.output)['Layers'][0].rpartition('/')[2]
    assert re.search(f'{missing}: (no such file or directory|not found)', words)
    lists_it = is_of_containerd(store)
    if isinstance(store, Containerd):
        lists_it = re.search(r'Version: +v?1\.', store('version')) is not None
    assert store.tags() == ({TAG} if lists_it else set())
    store.load(image.base)
    store.load(image.output)
    check_in(store, image, digest)


def test_partial_image_is_incomplete_on_a_base_with_other_digests(containerd, tmp_path):
    """The base in the store has plain layers, the base of the image compressed ones.

    Docker and Podman compare diff IDs; in containerd the image lacks layers.
    """
    image = on_fixture(tmp_path, 'docker-29-pulled.tar', layers=[NEW])
    write(image, partial=True)
    containerd.load(DATA / 'bases' / 'docker-20.10.tar')
    containerd.load(image.output)
    (line,) = containerd('images', 'check', f'name==docker.io/{TAG}').splitlines()[1:]
    assert 'incomplete' in line


def test_partial_image_can_be_run(running_store, tmp_path):
    """Its base was built with create_image, and has only busybox."""
    require('busybox')
    for name in [*DOCKERS, 'podman']:
        store = running_store(name)
        directory = tmp_path / name
        (directory / 'base').mkdir(parents=True)
        base = Parts(directory / 'base')
        layer = base.layers[0][1]
        program = pathlib.Path(shutil.which('busybox')).read_bytes()
        make_tar(layer, {'bin/busybox': program}, mode=0o755)
        base.layers = [(sha256(layer.read_bytes()), layer)]
        base.configure(configuration(base.diff_ids))
        write(base, tags=[BASE_TAG])
        image = Parts(directory, layers=[NEW], below=base.diff_ids, base=base.output)
        digest = write(image, partial=True)
        store.load(base.output)
        store.load(image.output)
        assert store.config_digest(TAG) == image.id
        assert store.run(TAG, '/bin/busybox', 'cat', '/srv/new') == 'new'
        size = image.output.stat().st_size
        assert write(image) == digest
        assert size < image.output.stat().st_size / 10


def test_stores_load_partial_images_on_partial_images(store, tmp_path):
    images = []
    below, base = base_diff_ids(), DATA / 'bases' / 'docker-20.10.tar'
    for name in ('second', 'third'):
        directory = tmp_path / name
        directory.mkdir()
        image = Parts(directory, layers=[{f'srv/{name}': name.encode()}], below=below, base=base)
        images.append((image, write(image, partial=True, tags=[f'example/{name}:1'])))
        below, base = [*below, *image.diff_ids], image.output
    store.load(DATA / 'bases' / 'docker-20.10.tar')
    for image, _ in images:
        store.load(image.output)
    assert store.config_digest('example/third:1') == images[1][0].id
    check(store.files('example/third:1'), {**BELOW, 'srv/second': b'second', 'srv/third': b'third'})


# Reading.


@pytest.fixture(params=MODERN)
def image(request, tmp_path):
    image = on_fixture(tmp_path, request.param, layers=[NEW])
    image.digest = write(image)
    return image


def test_skopeo_reads_the_same_image_from_manifest_json_and_index_json(image):
    require('skopeo')
    sources = [f'docker-archive:{image.output}', f'oci-archive:{image.output}:2.0']
    for source in sources:
        assert call('skopeo', 'inspect', '--config', '--raw', source) == image.config.read_text()
        directory = image.directory / source.partition(':')[0]
        call('skopeo', 'copy', '--quiet', source, f'dir:{directory}')
        config = json.loads((directory / 'manifest.json').read_text())['config']
        assert config['digest'] == f'sha256:{image.id}'
    raw = subprocess.run(
        ['skopeo', 'inspect', '--raw', sources[1]], capture_output=True, check=True
    )
    assert f'sha256:{sha256(raw.stdout)}' == image.digest


def test_skopeo_reads_each_of_several_tags(tmp_path):
    require('skopeo')
    image = on_fixture(tmp_path, 'docker-20.10.tar')
    digest = write(image, tags=['example/a:1', 'example/b:2'])
    for tag in ('1', '2'):
        source = f'oci-archive:{image.output}:{tag}'
        raw = subprocess.run(
            ['skopeo', 'inspect', '--raw', source], capture_output=True, check=True
        )
        assert f'sha256:{sha256(raw.stdout)}' == digest
    call('skopeo', 'inspect', '--raw', f'oci-archive:{image.output}', fails=True)


UMOCI_WITHOUT_ZSTD = re.compile(r'version 0\.[0-4]\.')


def test_umoci_unpacks_the_layout(image):
    require('umoci')
    directory = image.directory / 'layout'
    with tarfile.open(image.output) as tar:
        tar.extractall(directory, filter='data')
    command = ['umoci', 'unpack', '--image', f'{directory}:2.0', image.directory / 'bundle']
    if image.base.name == ZSTD and UMOCI_WITHOUT_ZSTD.search(call('umoci', '--version')):
        assert 'blob is not correct mediatype' in call(*command, fails=True)
        return
    call(*command)
    check(files_below(image.directory / 'bundle' / 'rootfs'))


@pytest.mark.parametrize('transport', ['docker-archive', 'oci-archive'])
def test_syft_reads_the_files(image, transport):
    found = scan_with_syft(image, transport, EXPECTED)
    if transport == 'oci-archive':
        assert found['manifestDigest'] == image.digest


def test_container_structure_test_reads_the_files(image):
    check_with_container_structure_test(image, EXPECTED)


# Debian 12 has no crane, so its tests are required only with REQUIRE_CRANE=1.
if shutil.which('crane') or os.environ.get('REQUIRE_CRANE') == '1':

    @pytest.mark.parametrize('base', ['docker-20.10.tar', 'podman-4.3.tar', 'bazel-2016.tar'])
    def test_crane_validates_the_archive(tmp_path, base):
        require('crane')
        image = on_fixture(tmp_path, base, layers=[NEW])
        write(image)
        found = call('crane', 'validate', '--tarball', image.output)
        assert found == f'PASS: {image.output}'


# Pushing.


@pytest.fixture
def running_registry(tmp_path):
    """The address of an empty registry, and the path of its log."""
    require('skopeo')
    with registry(tmp_path / 'registry') as address:
        yield address, tmp_path / 'registry' / 'log'


def push(image, address, name, *flags):
    command = ['skopeo', 'copy', '--quiet', '--dest-tls-verify=false', *flags]
    call(*command, f'oci-archive:{image.output}', f'docker://{address}/{name}')


def digest_in(address, name, tag):
    """Returns the digest of an image in a registry."""
    accepted = {'Accept': 'application/vnd.oci.image.manifest.v1+json'}
    request = urllib.request.Request(
        f'http://{address}/v2/{name}/manifests/{tag}', headers=accepted
    )
    with urllib.request.urlopen(request) as response:
        content = response.read()
        assert response.headers['Docker-Content-Digest'] == f'sha256:{sha256(content)}'
    return f'sha256:{sha256(content)}'


@pytest.mark.parametrize('base', ['docker-20.10.tar', 'docker-29-pulled.tar', ZSTD])
def test_digest_file_has_the_digest_in_the_registry(tmp_path, running_registry, base):
    address, _ = running_registry
    image = on_fixture(tmp_path, base, layers=[NEW])
    digest = write(image)
    push(image, address, 'compressed:1')
    assert digest_in(address, 'compressed', '1') != digest
    push(image, address, 'x:1', '--preserve-digests')
    assert digest_in(address, 'x', '1') == digest


def uploads(log):
    """Returns the digests of the blobs that were uploaded to a registry, from its log."""
    pattern = r'"PUT /v2/\S+/blobs/uploads/\S+digest=sha256%3A([0-9a-f]{64})'
    return set(re.findall(pattern, log.read_text()))


def test_registry_has_the_annotations(tmp_path, running_registry):
    address, _ = running_registry
    image = on_fixture(tmp_path, 'docker-20.10.tar', layers=[NEW])
    flags = ['--annotations=org.opencontainers.image.source=https://example.com/a,x=y']
    _, digest = write_layout(image, *flags, '--verify', tags=[TAG])
    push(image, address, 'x:1', '--preserve-digests')
    assert digest_in(address, 'x', '1') == digest.strip()
    source = f'docker://{address}/x:1'
    raw = json.loads(call('skopeo', 'inspect', '--tls-verify=false', '--raw', source))
    assert raw['annotations'] == {
        'org.opencontainers.image.source': 'https://example.com/a',
        'x': 'y',
    }


def test_stores_load_an_image_with_annotations(store, tmp_path):
    image = on_fixture(tmp_path, 'docker-20.10.tar', layers=[NEW])
    flags = ['--annotations=org.opencontainers.image.source=https://example.com/a']
    _, digest = write_layout(image, *flags, '--verify', tags=[TAG])
    store.load(image.output)
    check_in(store, image, digest.strip())


def test_second_image_uploads_only_its_new_layer(tmp_path, running_registry):
    address, log = running_registry
    sent = []
    for name in ('one', 'two'):
        directory = tmp_path / name
        directory.mkdir()
        image = on_fixture(directory, 'docker-20.10.tar', layers=[{f'srv/{name}': name.encode()}])
        write(image)
        push(image, address, f'x:{name}', '--preserve-digests')
        sent.append((uploads(log), image))
    first, _ = sent[0]
    both, image = sent[1]
    assert len(first) == 4
    assert both - first == {image.id, image.layers[0][0]}
