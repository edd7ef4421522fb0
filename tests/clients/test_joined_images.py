# SPDX-License-Identifier: Apache-2.0
"""Joined archives in real clients: each image has its own tags, ID and files."""

import functools
import gzip
import http.server
import json
import threading

import pytest

from support.clients import Podman, call, files_of_tar, load_incomplete, load_v1, v1_flags
from support.foreign import FOREIGN_TYPES, ForeignImage
from support.images import Parts
from support.joins import SAME_IMAGE, join
from support.needs import require
from support.project import DATA, FIXTURES
from support.running import build
from support.tars import content, manifest, member, names, sha256, write_tar

pytestmark = pytest.mark.client

# Over 64 KiB, the limit from which the tool aligns the data of a member.
SHARED = {'srv/shared': b'shared' * 30000}


class Image:
    """An image in an archive, and what clients must find in it.

    Attributes:
        path: The path of its archive; the image is partial if it has a base.
        tag: Its only tag.
        id: The digest of its configuration.
        diff_ids: The diff IDs of its layers and of the base's.
        files: The files of the image, as {name: content}.
    """

    def __init__(self, directory, number, layers, base=None, flags=()):
        self.directory = directory / f'{number}'
        self.directory.mkdir()
        self.files = {}
        below = []
        if base is not None:
            below = base.diff_ids
            self.files.update(base.files)
            flags = [*flags, f'--base={base.path}']
        self.parts = Parts(self.directory, layers, below=below)
        self.diff_ids = [*below, *self.parts.diff_ids]
        for layer in layers:
            self.files.update(layer)
        self.tag = f'example/image{number}:1.{number}'
        self.id = self.parts.id
        self.path = self.parts.output
        # There is a warning if the base is a partial image, too.
        build(*self.parts.flags, *flags, f'--tag={self.tag}', warnings=True)


class Fixture:
    """The image of testdata/bases in one of the archives, with the attributes of an Image."""

    def __init__(self, name):
        self.path = FIXTURES / name
        self.tag = 'example/base:1.0'
        config = content(self.path, manifest(self.path)['Config'])
        self.id = sha256(config)
        self.diff_ids = json.loads(config)['rootfs']['diff_ids']
        self.files = {}
        for layer in (DATA / 'base-layer-1.tar', DATA / 'base-layer-2.tar'):
            self.files.update(files_of_tar(layer))


def several(directory, count, shares, flags=()):
    """Returns images of two layers; the lower one is the same in all if shares is true."""
    images = []
    for number in range(count):
        lower = SHARED if shares else {'srv/own': b'%d' % number * 70000}
        layers = [lower, {'srv/number': b'%d\n' % number}]
        images.append(Image(directory, number, layers, flags=flags))
    return images


def join_images(directory, images, **options):
    return join(directory, *(image.path for image in images), flags=['--verify'], **options)


def check(store, path, images):
    """Checks that a store loads exactly these images from an archive."""
    store.load(path)
    assert store.tags() == {image.tag for image in images}
    for image in images:
        assert store.config_digest(image.tag) == image.id
        assert image.files.items() <= store.files(image.tag).items()


def check_by_skopeo(path, images):
    """Checks each image by its index in an archive and by its tag."""
    require('skopeo')
    for number, image in enumerate(images):
        for which in (f'@{number}', image.tag):
            source = f'docker-archive:{path}:{which}'
            config = call('skopeo', 'inspect', '--config', '--raw', source)
            assert sha256(config.encode()) == image.id


@pytest.mark.parametrize('shares', [True, False])
@pytest.mark.parametrize('count', [2, 12])
def test_stores_load_several_images(store, tmp_path, count, shares):
    images = several(tmp_path, count, shares)
    check(store, join_images(tmp_path, images), images)


@pytest.mark.parametrize('shares', [True, False])
@pytest.mark.parametrize('count', [2, 12])
def test_skopeo_reads_several_images(tmp_path, count, shares):
    images = several(tmp_path, count, shares)
    check_by_skopeo(join_images(tmp_path, images), images)


def test_stores_load_several_oci_layouts(store, tmp_path):
    """containerd and Docker's store of containerd read index.json, the others manifest.json."""
    images = several(tmp_path, 5, True, flags=['--oci'])
    path = join_images(tmp_path, images)
    assert 'index.json' in names(path)
    check(store, path, images)


def test_skopeo_reads_several_oci_layouts(tmp_path):
    images = several(tmp_path, 5, True, flags=['--oci'])
    path = join_images(tmp_path, images)
    check_by_skopeo(path, images)
    for image in images:
        _, _, ref_name = image.tag.partition(':')
        source = f'oci-archive:{path}:{ref_name}'
        config = call('skopeo', 'inspect', '--config', '--raw', source)
        assert sha256(config.encode()) == image.id


# Partial images.


@pytest.mark.parametrize('flags', [[], ['--oci']])
def test_stores_load_partial_images_on_partial_images(store, tmp_path, flags):
    """Each archive has only the top layer of its image."""
    first = Image(tmp_path, 0, [{'srv/first': b'first'}], flags=flags)
    second = Image(tmp_path, 1, [{'srv/second': b'second' * 20000}], base=first, flags=flags)
    third = Image(tmp_path, 2, [{'srv/third': b'third'}], base=second, flags=flags)
    layers = [name for name in manifest(third.path)['Layers'] if name in names(third.path)]
    assert len(layers) == 1
    chain = [first, second, third]
    path = join_images(tmp_path, chain)
    assert ('index.json' in names(path)) == bool(flags)
    check(store, path, chain)
    check_by_skopeo(path, chain)


@pytest.mark.parametrize('flags', [[], ['--oci']])
@pytest.mark.parametrize('built_on', ['docker-20.10.tar', 'docker-29-containerd.tar'])
@pytest.mark.parametrize('joined_with', ['docker-20.10.tar', 'docker-29-containerd.tar'])
def test_stores_load_a_base_and_a_partial_image(store, tmp_path, built_on, joined_with, flags):
    """Also if another program saved the base than the one that the image was built on."""
    image = Image(tmp_path, 0, [{'srv/new': b'new'}], base=Fixture(built_on), flags=flags)
    images = [Fixture(joined_with), image]
    path = join_images(tmp_path, images, warnings=True)  # of an index.json that is left out
    check(store, path, images)
    check_by_skopeo(path, images)


# Bases that all stores read, with only the names in the archive.
@pytest.mark.parametrize('base', ['docker-29-graphdriver.tar', 'docker-29-pulled.tar'])
def test_stores_load_a_partial_image_with_an_index(store, tmp_path, base):
    images = [Fixture(base)]
    images.append(Image(tmp_path, 0, [{'srv/new': b'new'}], base=images[0], flags=['--oci']))
    path = join_images(tmp_path, images)
    assert 'index.json' in names(path)
    check(store, path, images)


# The same image under several names.


def test_stores_load_equal_images_of_several_programs_as_one(store, tmp_path):
    archives = [FIXTURES / name for name in SAME_IMAGE]
    path = join(tmp_path, *archives, flags=['--verify'], warnings=True)
    base = Fixture(SAME_IMAGE[0])
    store.load(path)
    tags = {tag for tag in store.tags() if not tag.startswith('localhost/')}
    assert tags == {base.tag}
    assert store.config_digest(base.tag) == base.id
    assert base.files.items() <= store.files(base.tag).items()


def test_stores_load_oci_layouts_of_one_image(store, tmp_path):
    archives = [FIXTURES / name for name in SAME_IMAGE[1:3]]
    path = join(tmp_path, *archives, flags=['--verify'], warnings=True)
    assert 'index.json' in names(path)
    check(store, path, [Fixture(SAME_IMAGE[1])])


# Files of one name and different content.


def renamed(image, is_layer_renamed):
    """Writes an image as jib does: its configuration is config.json, its layers are gzipped."""
    entry = manifest(image.path)
    config = content(image.path, entry['Config'])
    packed = [gzip.compress(content(image.path, name), mtime=0) for name in entry['Layers']]
    layers = [f'{sha256(layer)}.tar.gz' for layer in packed]
    if is_layer_renamed:
        layers = [f'{number}.tar.gz' for number in range(len(packed))]
    entry |= {'Config': 'config.json', 'Layers': layers}
    files = {'config.json': config, **dict(zip(layers, packed, strict=True))}
    files['manifest.json'] = json.dumps([entry]).encode()
    image.path = write_tar(image.path, *(member(name, data) for name, data in files.items()))


@pytest.mark.parametrize('is_layer_renamed', [False, True])
def test_stores_load_images_with_files_of_one_name(store, tmp_path, is_layer_renamed):
    images = several(tmp_path, 3, False)
    for image in images:
        renamed(image, is_layer_renamed)
    path = join_images(tmp_path, images)
    assert {'config.json', f'{images[1].id}.json', f'{images[2].id}.json'} < set(names(path))
    check(store, path, images)
    check_by_skopeo(path, images)


# Foreign layers, which are not to be distributed.


@pytest.fixture
def web(tmp_path):
    """A directory and its URL."""
    directory = tmp_path / 'web'
    directory.mkdir()
    handler = functools.partial(http.server.SimpleHTTPRequestHandler, directory=directory)
    with http.server.ThreadingHTTPServer(('127.0.0.1', 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield directory, f'http://127.0.0.1:{server.server_port}'
        server.shutdown()


def join_foreign(directory, url, media_type, **options):
    """Joins a foreign image, one on it, and an ordinary one; returns their files by tag."""
    image = ForeignImage(media_type, f'{url}/layer')
    base = image.write_layout(directory / 'base.tar', **options)
    image.path = base
    on_it = Image(directory, 1, [{'srv/1': b'1'}], image, [f'--legacy_base={base}', '--oci'])
    other = Image(directory, 2, [{'srv/2': b'2'}], flags=['--oci'])
    archives = [one.path for one in (image, on_it, other)]
    path = join(directory, *archives, flags=['--verify'])
    assert 'index.json' in names(path)
    return path, image, {one.tag: one.files for one in (image, on_it, other)}


@pytest.mark.parametrize('media_type', FOREIGN_TYPES)
def test_stores_load_foreign_layers(store, tmp_path, web, media_type):
    directory, url = web
    path, image, images = join_foreign(tmp_path, url, media_type)
    (directory / 'layer').write_bytes(image.packed)
    store.load(path)
    assert store.tags() == set(images)
    for tag, files in images.items():
        assert files.items() <= store.files(tag).items()


@pytest.mark.parametrize('media_type', FOREIGN_TYPES)
def test_podman_alone_downloads_foreign_layers(store, tmp_path, web, media_type):
    directory, url = web
    image = ForeignImage(media_type, f'{url}/layer')
    base = image.write_layout(tmp_path / 'base.tar', lacks_layer=True)
    path = join(tmp_path, base, flags=['--verify'], warnings=True)
    load_incomplete(store, path)
    if not isinstance(store, Podman):
        return
    (directory / 'layer').write_bytes(image.packed)
    store.load(path)
    assert image.files.items() <= store.files(image.tag).items()


@pytest.mark.parametrize('media_type', FOREIGN_TYPES)
def test_podman_needs_no_download_of_a_foreign_layer_that_is_there(podman, tmp_path, media_type):
    """It tries the URL in the OCI layout, then reads manifest.json."""
    image = ForeignImage(media_type, 'http://127.0.0.1:9/nothing')
    podman.load(join(tmp_path, image.write_layout(tmp_path / 'base.tar'), flags=['--verify']))
    assert image.files.items() <= podman.files(image.tag).items()


# The use of the original program: images of one v1 layer each, also for Docker 1.9 or older.


def test_docker_loads_joined_v1_layers(docker, tmp_path):
    ids = ['ab' * 32, 'cd' * 32]
    images = []
    for number, v1_id in enumerate(ids):
        base = images[-1] if images else None
        fields = {'config': {}, 'parent': ids[0]} if images else {'config': {}}
        flags = v1_flags(tmp_path, v1_id, f'example/v{number}', **fields)
        images.append(Image(tmp_path, number, [{f'srv/{number}': b'data'}], base, flags))
    flags = [f'--id={ids[1]}', '--repository=example/top', '--name=3.0', '--verify']
    joined = join(tmp_path, *(image.path for image in images), flags=flags)
    assert content(joined, 'top') == ids[1].encode()
    check(docker, joined, images)
    docker.clear()
    parts = images[1].parts
    parts.output = joined
    if load_v1(docker, parts):
        assert docker.tags() == {'example/v0:2.0', 'example/v1:2.0', 'example/top:3.0'}
        assert docker.id('example/top:3.0') == docker.id('example/v1:2.0')
        assert images[1].files.items() <= docker.files('example/top:3.0').items()


# Parent, as the loader of Docker's older store accepts it.


@pytest.mark.parametrize('stays', [True, False])
def test_docker_shows_the_parent_that_is_kept(docker, tmp_path, stays):
    first = Image(tmp_path, 0, [{'srv/first': b'first'}])
    second = Image(tmp_path, 1, [{'srv/second': b'second'}], base=first)
    if not stays:
        config = json.loads(second.parts.config.read_text())
        config['history'][0]['comment'] = 'another one'
        second.parts.configure(config)
        second.id = second.parts.id
        build(*second.parts.flags, f'--base={first.path}', f'--tag={second.tag}')
    path = join_images(tmp_path, [first, second])
    check(docker, path, [first, second])
    if docker.store == 'graphdriver':
        parent = docker('image', 'inspect', '--format={{.Parent}}', second.tag)
        assert parent == (f'sha256:{first.id}' if stays else '')
