# SPDX-License-Identifier: Apache-2.0
"""Images on OCI image layouts that real programs made, in real clients (section 5)."""

import json
import os
import pathlib
import shutil
import tempfile

import pytest

from support.clients import Containerd, Docker, call, files_below, files_of_tar, registry
from support.made_layouts import PLATFORMS, Derived, one_image, two_platforms
from support.needs import require
from support.project import DATA
from support.running import build
from support.tars import manifest, sha256

pytestmark = pytest.mark.client

TAG = 'example/derived:2.0'
BASE_TAG = 'docker.io/example/base:1.0'
FIXTURE = DATA / 'bases' / 'docker-20.10.tar'
BELOW = {**files_of_tar(DATA / 'base-layer-1.tar'), **files_of_tar(DATA / 'base-layer-2.tar')}
BY_HAND = {'below/file': b'below\n' * 300, 'above/file': b'above\n' * 300}


class Made:
    """A layout that a program made.

    Attributes:
        path: its path.
        files: the files of its image.
        flags: the flags that choose the image.
    """

    def __init__(self, path, files=None, flags=()):
        self.path = path
        self.files = files or BELOW
        self.flags = flags


def by_skopeo(directory):
    require('skopeo')
    path = directory / 'base'
    call('skopeo', 'copy', f'docker-archive:{FIXTURE}', f'oci:{path}:{BASE_TAG}')
    return Made(path)


def by_skopeo_in_an_archive(directory):
    require('skopeo')
    path = directory / 'base.tar'
    call('skopeo', 'copy', f'docker-archive:{FIXTURE}', f'oci-archive:{path}:{BASE_TAG}')
    return Made(path)


def by_umoci(directory):
    """A layer that umoci makes, on those that Skopeo copied; two images, as umoci adds one."""
    require('umoci')
    path = by_skopeo(directory).path
    source = directory / 'new'
    source.mkdir()
    (source / 'file').write_text('by umoci\n')
    call('umoci', 'tag', '--image', f'{path}:{BASE_TAG}', 'plain')
    call('umoci', 'insert', '--image', f'{path}:plain', source, '/umoci')
    call('umoci', 'config', '--image', f'{path}:plain', '--author=umoci')
    return Made(path, {**BELOW, 'umoci/file': b'by umoci\n'}, ['--base_tag=plain'])


class Storage:
    """Podman or buildah with its images in a directory of its own."""

    def __init__(self, program, directory):
        require(program)
        self.command = [program, '--storage-driver=vfs', '--root', f'{directory}/root']
        self.command += ['--runroot', f'{directory}/run']

    def __call__(self, *arguments):
        return call(*self.command, *arguments)


def by_podman(form, name):
    def make(directory):
        with tempfile.TemporaryDirectory() as state:  # Podman refuses long paths
            podman = Storage('podman', state)
            podman('load', '--input', FIXTURE)
            podman('save', f'--format={form}', '--output', directory / name, 'example/base:1.0')
        return Made(directory / name)

    return make


def by_buildah(directory):
    path = directory / 'base.tar'
    with tempfile.TemporaryDirectory() as state:
        buildah = Storage('buildah', state)
        image = buildah('pull', '--quiet', f'docker-archive:{FIXTURE}').split()[-1]
        buildah('push', image, f'oci-archive:{path}:{BASE_TAG}')
    return Made(path)


def by_crane(directory):
    require('crane', 'skopeo')
    path = directory / 'base'
    with registry(directory / 'registry') as address:
        flags = ['--dest-tls-verify=false', f'docker-archive:{FIXTURE}']
        call('skopeo', 'copy', *flags, f'docker://{address}/base:1.0')
        call('crane', 'pull', '--insecure', '--format=oci', f'{address}/base:1.0', path)
    return Made(path)


def by_hand(directory):
    return Made(one_image().write_archive(directory / 'base.tar'), BY_HAND)


def by_hand_in_a_directory(directory):
    return Made(one_image(compressed=False).write_directory(directory / 'base'), BY_HAND)


def by_hand_for_two_platforms(directory):
    files = {f'{name}/file': f'{name}\n'.encode() * 300 for name in PLATFORMS['linux/amd64']}
    path = two_platforms().write_archive(directory / 'base.tar')
    return Made(path, files, ['--platform=linux/amd64'])


MAKERS = {
    'skopeo oci': by_skopeo,
    'skopeo oci-archive': by_skopeo_in_an_archive,
    'umoci': by_umoci,
    'podman oci-archive': by_podman('oci-archive', 'base.tar'),
    'podman oci-dir': by_podman('oci-dir', 'base'),
    'buildah': by_buildah,
    'by hand': by_hand,
    'by hand, directory': by_hand_in_a_directory,
    'by hand, two platforms': by_hand_for_two_platforms,
}
# Debian 12 has no crane, so its tests are required only with REQUIRE_CRANE=1.
if shutil.which('crane') or os.environ.get('REQUIRE_CRANE') == '1':
    MAKERS['crane'] = by_crane


# Layouts of several images.
SEVERAL = ['umoci', 'by hand, two platforms']


@pytest.fixture(params=MAKERS)
def made(request, tmp_path):
    return MAKERS[request.param](tmp_path)


def derived_from(directory, made):
    return Derived(directory, made.path, *made.flags)


def check(files, made):
    for name, data in {**made.files, 'srv/new': b''}.items():
        assert files.get(name) == data, name


@pytest.mark.parametrize('flags', [[], ['--oci']])
def test_stores_load_a_whole_image(store, tmp_path, made, flags):
    derived = derived_from(tmp_path, made)
    store.load(derived.write(f'--tag={TAG}', '--verify', *flags))
    assert TAG in store.tags()
    check(store.files(TAG), made)


def test_stores_load_a_partial_image_where_its_base_is(store, tmp_path, made):
    """A whole image without changes stands for the base: no client loads all forms of a layout."""
    derived = derived_from(tmp_path, made)
    partial = derived.write(f'--tag={TAG}', '--verify', '--oci', partial=True)
    layers = manifest(partial)['Layers']
    assert len(layers) > 1
    base = tmp_path / 'loaded.tar'
    write_base_for_clients(tmp_path, made, base)
    store.load(base)
    store.load(partial)
    assert TAG in store.tags()
    check(store.files(TAG), made)


def write_base_for_clients(directory, made, path):
    """Writes the image of a layout as an archive that every client loads, with the same layers."""
    config = directory / 'same.json'
    flags = [f'--base={made.path}', *made.flags]
    build(*flags, f'--output={config}', program='create_image_config')
    identifier = sha256(config.read_bytes())
    own = [f'--id={identifier}', f'--config={config}', '--oci', f'--output={path}']
    build(*flags, f'--legacy_base={made.path}', *own, '--tag=example/base:same')


@pytest.mark.parametrize('maker', ['skopeo oci', 'podman oci-archive', 'by hand'])
def test_partial_image_loads_where_the_converted_base_is(store, tmp_path, maker):
    made = MAKERS[maker](tmp_path)
    base = tmp_path / 'loaded.tar'
    build(f'--layer={made.path}', f'--output={base}', '--verify', program='join_layers')
    partial = derived_from(tmp_path, made).write(f'--tag={TAG}', '--oci', partial=True)
    store.load(base)
    store.load(partial)
    check(store.files(TAG), made)


@pytest.mark.parametrize('maker', [name for name in MAKERS if name not in SEVERAL])
def test_joined_archive_loads(store, tmp_path, maker):
    """The base as a layout, and a partial image on it."""
    made = MAKERS[maker](tmp_path)
    partial = derived_from(tmp_path, made).write(f'--tag={TAG}', '--oci', partial=True)
    output = tmp_path / 'joined.tar'
    flags = [f'--layer={made.path}', f'--layer={partial}', f'--output={output}', '--verify']
    build(*flags, program='join_layers')
    if not isinstance(store, Docker | Containerd):
        call(*store.command, 'pull', f'oci-archive:{output}:2.0')
        return
    store.load(output)
    assert TAG in store.tags()
    check(store.files(TAG), made)


@pytest.mark.parametrize('form', ['docker-archive', 'oci-archive'])
def test_skopeo_copies_the_image(tmp_path, made, form):
    require('skopeo', 'umoci')
    path = derived_from(tmp_path, made).write(f'--tag={TAG}', '--oci', '--verify')
    layout = tmp_path / 'copy'
    call('skopeo', 'copy', f'{form}:{path}', f'oci:{layout}:x')
    bundle = tmp_path / 'bundle'
    call('umoci', 'unpack', '--rootless', '--image', f'{layout}:x', bundle)
    check(files_below(pathlib.Path(bundle, 'rootfs')), made)


def test_layer_on_a_real_layout_respects_its_directories(tmp_path, made):
    layer = tmp_path / 'layer.tar'
    name = next(iter(made.files))
    flags = [f'--base={made.path}', *made.flags, f'--delete={name}', f'--output={layer}']
    build(*flags, program='build_tar')
    directory, _, file = name.rpartition('/')
    assert f'{directory}/.wh.{file}' in files_of_tar(layer)
    config = tmp_path / 'config.json'
    build(*flags[:-2], f'--output={config}', program='create_image_config')
    assert json.loads(config.read_bytes())['architecture'] == 'amd64'
