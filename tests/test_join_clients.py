# SPDX-License-Identifier: Apache-2.0
"""Joined archives in real clients: each image comes under its own tags, with its id and files."""

import json

import pytest

from helpers import DATA, Parts, build, content, manifest, names, require, sha256
from joins import FIXTURES, SAME_IMAGE, join
from test_clients import call, files_below, files_of_tar, v1_flags, without_manifest
from test_join_index import Layout

pytest_plugins = ['test_clients']  # the daemons
SHARED = {'srv/shared': b'shared' * 30000}


class Image:
    """An image in an archive, and what clients must find in it."""

    def __init__(self, folder, number, layers, base=None):
        self.folder = folder / f'{number}'
        self.folder.mkdir()
        below = []
        flags = []
        self.files = {}
        if base is not None:
            below = base.diff_ids
            self.files.update(base.files)
            flags = [f'--base={base.path}']
        self.parts = Parts(self.folder, layers, below=below)
        self.diff_ids = [*below, *self.parts.diff_ids]
        self.tag = f'example/image{number}:1.{number}'
        for layer in layers:
            self.files.update(layer)
        self.id = self.parts.id
        self.path = self.parts.output
        # A partial image has a warning of its base, which lacks its layers in its turn.
        build(*self.parts.flags, *flags, f'--tag={self.tag}', warnings=True)


def several(folder, count, shares):
    """Returns images of two layers, of which the lower one may be the same in all."""
    images = []
    for number in range(count):
        lower = SHARED if shares else {'srv/own': b'%d' % number * 70000}
        images.append(Image(folder, number, [lower, {'srv/number': b'%d\n' % number}]))
    return images


def clear(docker):
    """Removes all images, children before their parents."""
    while docker('images', '--quiet', '--all'):
        docker('image', 'prune', '--all', '--force')


@pytest.fixture
def docker(daemon_of_docker):
    clear(daemon_of_docker)
    return daemon_of_docker


def in_docker(docker, path, images):
    docker('load', '-i', path)
    assert docker.tags() == {image.tag for image in images}
    for image in images:
        assert docker.id(image.tag) == f'sha256:{image.id}'
        assert image.files.items() <= docker.files(image.tag).items()


def in_containerd(ctr, path, images):
    ctr('images', 'import', '--snapshotter', 'native', path)
    references = {f'docker.io/{image.tag}': image for image in images}
    assert set(ctr('images', 'ls', '-q').split()) == set(references)
    for reference, image in references.items():
        digest = ctr('images', 'ls', f'name=={reference}').splitlines()[1].split()[2]
        found = json.loads(ctr('content', 'get', digest))['config']['digest']
        assert found == f'sha256:{image.id}'
        folder = image.folder / 'mounted'
        folder.mkdir()
        ctr('images', 'mount', '--snapshotter', 'native', reference, folder)
        try:
            assert image.files.items() <= files_below(folder).items()
        finally:
            ctr('images', 'unmount', '--rm', '--snapshotter', 'native', folder)


def in_podman(podman, path, images):
    podman('load', '-i', path)
    found = json.loads(podman('images', '--format=json'))
    # From a layout of one image it takes the full name, and else its own idea of that.
    names_found = {entry['Id']: entry['Names'][0].split('/', 1)[1] for entry in found}
    assert names_found == {image.id: image.tag for image in images}
    for image in images:
        files = image.folder / 'files.tar'
        podman('export', '-o', files, podman('create', image.tag, '/none'))
        assert image.files.items() <= files_of_tar(files).items()


STORES = {'docker': in_docker, 'ctr': in_containerd, 'podman': in_podman}


def by_skopeo(path, images):
    """Checks each image by its place and by its tag."""
    require('skopeo')
    for number, image in enumerate(images):
        for which in (f'@{number}', image.tag):
            source = f'docker-archive:{path}:{which}'
            config = call('skopeo', 'inspect', '--config', '--raw', source)
            assert sha256(config.encode()) == image.id


@pytest.mark.parametrize('shares', [True, False])
@pytest.mark.parametrize('count', [2, 5, 30])
@pytest.mark.parametrize('store', STORES)
def test_several_images(request, tmp_path, store, count, shares):
    client = request.getfixturevalue(store)
    images = several(tmp_path, count, shares)
    path = join(tmp_path, *(image.path for image in images), flags=['--verify'])
    STORES[store](client, path, images)


@pytest.mark.parametrize('shares', [True, False])
@pytest.mark.parametrize('count', [2, 5, 30])
def test_several_images_by_skopeo(tmp_path, count, shares):
    images = several(tmp_path, count, shares)
    by_skopeo(join(tmp_path, *(image.path for image in images)), images)


@pytest.mark.parametrize('store', STORES)
def test_a_chain_of_partial_images(request, tmp_path, store):
    """Each has one layer of its own, and none of those below."""
    client = request.getfixturevalue(store)
    first = Image(tmp_path, 0, [{'srv/first': b'first'}])
    second = Image(tmp_path, 1, [{'srv/second': b'second' * 20000}], base=first)
    third = Image(tmp_path, 2, [{'srv/third': b'third'}], base=second)
    chain = [first, second, third]
    path = join(tmp_path, *(image.path for image in chain), flags=['--verify'])
    assert len(names(third.path)) == 4  # the configuration, a layer in its folder, the manifest
    STORES[store](client, path, chain)
    by_skopeo(path, chain)


class Base:
    """One of the fixtures, which hold the same image."""

    def __init__(self, folder, name):
        self.tag = 'example/base:1.0'
        self.files = {}
        for layer in (DATA / 'base-layer-1.tar', DATA / 'base-layer-2.tar'):
            self.files.update(files_of_tar(layer))
        self.folder = folder
        self.path = FIXTURES / name
        config = content(self.path, manifest(self.path)['Config'])
        self.id = sha256(config)
        self.diff_ids = json.loads(config)['rootfs']['diff_ids']


@pytest.mark.parametrize('built_on', ['docker-20.10.tar', 'docker-29-containerd.tar'])
@pytest.mark.parametrize('joined_with', ['docker-20.10.tar', 'docker-29-containerd.tar'])
@pytest.mark.parametrize('store', STORES)
def test_a_base_and_a_partial_image(request, tmp_path, store, built_on, joined_with):
    """Also where the base was saved by another program than that it was built on."""
    client = request.getfixturevalue(store)
    base = Base(tmp_path, joined_with)
    image = Image(tmp_path, 0, [{'srv/new': b'new'}], base=Base(tmp_path, built_on))
    path = join(tmp_path, base.path, image.path, flags=['--verify'])
    STORES[store](client, path, [base, image])
    by_skopeo(path, [base, image])


# The names of the one image as Docker has them. Podman takes a name without a registry for
# localhost's, and of two spellings of one name the first.
IN_DOCKER = {'example/base:1.0', 'localhost/example/base:1.0'}


def test_the_same_image_of_five_programs(docker, ctr, podman, tmp_path):
    path = join(tmp_path, *(FIXTURES / name for name in SAME_IMAGE), flags=['--verify'])
    base = Base(tmp_path, SAME_IMAGE[0])
    docker('load', '-i', path)
    assert docker.tags() == IN_DOCKER
    assert {docker.id(tag) for tag in IN_DOCKER} == {f'sha256:{base.id}'}
    assert base.files.items() <= docker.files(base.tag).items()
    podman('load', '-i', path)
    (entry,) = json.loads(podman('images', '--format=json'))
    assert (entry['Id'], entry['Names']) == (base.id, ['localhost/example/base:1.0'])
    ctr('images', 'import', '--snapshotter', 'native', path)
    references = {'docker.io/example/base:1.0', 'localhost/example/base:1.0'}
    assert set(ctr('images', 'ls', '-q').split()) == references


@pytest.mark.parametrize('store', STORES)
def test_layouts_of_the_same_image(request, tmp_path, store):
    """containerd goes by index.json, the others by manifest.json."""
    client = request.getfixturevalue(store)
    path = join(tmp_path, *(FIXTURES / name for name in SAME_IMAGE[1:3]), flags=['--verify'])
    assert 'index.json' in names(path)
    STORES[store](client, path, [Base(tmp_path, SAME_IMAGE[1])])


class ImageOfLayout:
    """An image in a layout, of layers with one file; that of the top layer counts."""

    def __init__(self, folder, *layers, tag):
        self.folder = folder / layers[-1]
        self.folder.mkdir()
        layout = Layout(*layers, tag=tag)
        self.tag = tag
        self.id = sha256(layout.config)
        self.files = {'file': layers[-1].encode()}
        self.path = layout.write(self.folder / 'layout.tar')


@pytest.mark.parametrize('store', STORES)
def test_layouts_of_two_images(request, tmp_path, store):
    client = request.getfixturevalue(store)
    images = [
        ImageOfLayout(tmp_path, 'shared', 'a', tag='example/app:1'),
        ImageOfLayout(tmp_path, 'shared', 'b', tag='example/db:1'),
    ]
    path = join(tmp_path, *(image.path for image in images), flags=['--verify'])
    assert 'index.json' in names(path)
    STORES[store](client, path, images)
    by_skopeo(path, images)


# The original's use: images of one v1 layer each, joined for Docker before 1.10, too.


def test_v1_layers(docker, tmp_path):
    ids = ['ab' * 32, 'cd' * 32]
    images = []
    for number, v1_id in enumerate(ids):
        folder = tmp_path / f'{number}'
        below = images[-1].diff_ids if images else []
        folder.mkdir()
        parts = Parts(folder, [{f'srv/{number}': b'%d' % number}], below=below)
        fields = {'config': {}, 'parent': ids[0]} if number else {'config': {}}
        flags = v1_flags(folder, v1_id, f'example/v{number}', **fields)
        if images:
            flags.append(f'--base={images[-1].output}')
        build(*parts.flags, *flags, f'--tag=example/v{number}:2.0')
        images.append(parts)
    flags = [f'--id={ids[1]}', '--repository=example/top', '--name=3.0', '--verify']
    joined = join(tmp_path, *(parts.output for parts in images), flags=flags)
    assert content(joined, 'top') == ids[1].encode()
    files = {'srv/0': b'0', 'srv/1': b'1'}
    docker('load', '-i', joined)
    assert docker.tags() == {'example/v0:2.0', 'example/v1:2.0'}
    assert docker.id('example/v1:2.0') == f'sha256:{images[1].id}'
    assert files.items() <= docker.files('example/v1:2.0').items()
    clear(docker)
    images[1].output = joined
    images[1].folder = tmp_path
    docker('load', '-i', without_manifest(images[1]))
    assert docker.tags() == {'example/v0:2.0', 'example/v1:2.0', 'example/top:3.0'}
    assert docker.id('example/top:3.0') == docker.id('example/v1:2.0')
    assert files.items() <= docker.files('example/top:3.0').items()


# Parent, as Docker's loader takes it.


@pytest.mark.parametrize('stays', [True, False])
def test_parent(docker, tmp_path, stays):
    first = Image(tmp_path, 0, [{'srv/first': b'first'}])
    second = Image(tmp_path, 1, [{'srv/second': b'second'}], base=first)
    if not stays:
        config = json.loads(second.parts.config.read_text())
        config['history'][0]['comment'] = 'another one'
        second.parts.configure(config)
        second.id = second.parts.id
        build(*second.parts.flags, f'--base={first.path}', f'--tag={second.tag}')
    path = join(tmp_path, first.path, second.path)
    in_docker(docker, path, [first, second])
    parent = docker('image', 'inspect', '--format={{.Parent}}', second.tag)
    assert parent == (f'sha256:{first.id}' if stays else '')
