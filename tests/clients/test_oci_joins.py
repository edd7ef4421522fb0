# SPDX-License-Identifier: Apache-2.0
"""Archives of join_layers --oci in real clients."""

import itertools
import json
import subprocess

import pytest

from support.clients import Containerd, Docker, call, files_of_tar, registry
from support.images import Parts
from support.joins import join
from support.layouts import Layout
from support.needs import require
from support.platforms import TAG as APP_TAG
from support.platforms import several
from support.project import DATA, FIXTURES
from support.running import build
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


# Several platforms under one tag.

# The architecture of these tests' machine is the second one, so no client takes the first only.
PLATFORMS = ['linux/arm64', 'linux/amd64', 'linux/s390x']


def join_platforms(directory):
    """Returns the archive of an image for several platforms, the images, and the digest."""
    images = several(directory, PLATFORMS)
    flags = [f'--digest_file={directory}/digest']
    path = join_oci(directory, *(image.path for image in images), flags=flags)
    return path, images, (directory / 'digest').read_text().strip()


def files_for(docker, tag, platform):
    """Returns the files of an image for a platform, without running anything."""
    container = docker('create', f'--platform={platform}', tag, '/none')
    path = docker.directory / 'files.tar'
    docker('export', '--output', path, container)
    docker('rm', container)
    return files_of_tar(path)


def test_stores_load_an_image_of_several_platforms(store, tmp_path):
    """Docker's older store has the first; Podman the one of the machine."""
    path, images, digest = join_platforms(tmp_path)
    store.load(path)
    assert store.tags() == {APP_TAG}
    if isinstance(store, Containerd):
        assert store.digest(APP_TAG) == digest
        (line,) = store('images', 'ls', f'name==docker.io/{APP_TAG}').splitlines()[1:]
        assert all(platform in line for platform in PLATFORMS)
        assert images[1].files.items() <= store.files(APP_TAG).items()
    elif isinstance(store, Docker) and store.store == 'containerd':
        assert store.id(APP_TAG) == digest
        for image, platform in zip(images, PLATFORMS, strict=True):
            files = files_for(store, APP_TAG, platform)
            assert image.files.items() <= files.items()
    else:
        own = images[0] if isinstance(store, Docker) else images[1]
        assert store.config_digest(APP_TAG) == own.id
        assert own.files.items() <= store.files(APP_TAG).items()


def test_docker_archive_readers_read_the_first_platform(tmp_path):
    require('skopeo')
    path, images, _ = join_platforms(tmp_path)
    for source in (f'docker-archive:{path}', f'docker-archive:{path}:docker.io/{APP_TAG}'):
        config = call('skopeo', 'inspect', '--config', '--raw', source)
        assert sha256(config.encode()) == images[0].id


def raw_digest(source):
    """Returns the digest of what Skopeo reads from a source, and that as JSON."""
    command = ['skopeo', 'inspect', '--tls-verify=false', '--raw', source]
    raw = subprocess.run(command, capture_output=True, check=True).stdout
    return f'sha256:{sha256(raw)}', json.loads(raw)


def test_index_keeps_its_digest_in_a_registry_and_back(tmp_path):
    require('skopeo')
    path, images, digest = join_platforms(tmp_path)
    assert raw_digest(f'oci-archive:{path}')[0] == digest
    copy = ['skopeo', 'copy', '--quiet', '--all', '--preserve-digests']
    with registry(tmp_path / 'registry') as address:
        remote = f'docker://{address}/app:1.0'
        call(*copy, '--dest-tls-verify=false', f'oci-archive:{path}', remote)
        found, index = raw_digest(remote)
        assert found == digest
        assert [one['platform']['architecture'] for one in index['manifests']] == [
            image.platform['architecture'] for image in images
        ]
        back = f'oci-archive:{tmp_path}/back.tar:docker.io/{APP_TAG}'
        call(*copy, '--src-tls-verify=false', remote, back)
        assert raw_digest(f'oci-archive:{tmp_path}/back.tar')[0] == digest


def test_platform_added_to_an_index_is_loaded(containerd, tmp_path):
    images = several(tmp_path, PLATFORMS)
    first = join_oci(tmp_path, images[0].path, images[1].path).rename(tmp_path / 'first.tar')
    containerd.load(join_oci(tmp_path, first, images[2].path))
    (line,) = containerd('images', 'ls', f'name==docker.io/{APP_TAG}').splitlines()[1:]
    assert all(platform in line for platform in PLATFORMS)


# Only the difference.


def write_versions(directory, count=2):
    """Returns successive versions of an image, each with one tag and one more layer."""
    versions = []
    for number in range(1, count + 1):
        own = directory / f'version{number}'
        own.mkdir()
        files = [{'srv/shared': b'shared' * 20000}]
        files += [{f'srv/{layer}': b'%d' % layer * 1000} for layer in range(number)]
        parts = Parts(own, files)
        build(*parts.flags, f'--tag=example/app:{number}')
        path = join_oci(own, parts.output)
        versions.append((path, parts, {name: data for one in files for name, data in one.items()}))
    return versions


def test_difference_loads_where_the_old_version_is(store, tmp_path):
    (old, _, _), (new, parts, files) = write_versions(tmp_path)
    path = join_oci(tmp_path, new, flags=[f'--base={old}'])
    assert path.stat().st_size < new.stat().st_size / 4
    store.load(old)
    store.load(path)
    assert store.tags() == {'example/app:1', 'example/app:2'}
    assert store.config_digest('example/app:2') == parts.id
    assert files.items() <= store.files('example/app:2').items()


def load_fails(store, path):
    """Loads a partial archive without its base; returns the client's message."""
    if isinstance(store, Docker) and store.store == 'containerd':
        words = store.load(path)  # exits with status 0 all the same
        assert 'Error unpacking image' in words
        return words
    return store.load(path, fails=True)


def test_difference_is_refused_or_useless_without_the_old_version(store, tmp_path):
    (old, _, _), (new, _, files) = write_versions(tmp_path)
    path = join_oci(tmp_path, new, flags=[f'--base={old}'])
    words = load_fails(store, path)
    missing = Layout.read(path).manifest['layers'][0]['digest'].partition(':')[2]
    assert missing in words
    store.load(old)
    store.load(path)
    assert files.items() <= store.files('example/app:2').items()


def test_differences_follow_each_other(store, tmp_path):
    versions = write_versions(tmp_path, 4)
    store.load(versions[0][0])
    for (old, _, _), (new, parts, files) in itertools.pairwise(versions):
        store.load(join_oci(tmp_path, new, flags=[f'--base={old}']))
        tag = f'example/app:{len(files) - 1}'
        assert store.config_digest(tag) == parts.id
        assert files.items() <= store.files(tag).items()


def test_podman_pulls_one_of_several_tags(podman, tmp_path):
    """It does not load the archive, as the warning says."""
    (old, _, _), (new, parts, _), (newer, _, _) = write_versions(tmp_path, 3)
    path = join_oci(tmp_path, new, newer, flags=[f'--base={old}'], warnings=True)
    podman.load(old)
    podman.load(path, fails=True)
    podman('pull', '--quiet', f'oci-archive:{path}:2')
    ids = podman('images', '--no-trunc', '--quiet').split()
    assert f'sha256:{parts.id}' in ids


def test_difference_of_several_platforms_loads(store, tmp_path):
    (tmp_path / 'new').mkdir()
    old, _, _ = join_platforms(tmp_path)
    old = old.rename(tmp_path / 'old.tar')
    news = several(tmp_path / 'new', PLATFORMS, tag='example/app:2.0', word='new')
    path = join_oci(tmp_path, *(one.path for one in news), flags=[f'--base={old}'])
    store.load(old)
    store.load(path)
    own = news[0] if getattr(store, 'store', '') == 'graphdriver' else news[1]
    assert own.files.items() <= store.files('example/app:2.0').items()
