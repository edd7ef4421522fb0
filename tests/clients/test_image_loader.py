# SPDX-License-Identifier: Apache-2.0
"""`bazel run` of a docker_build in real clients: it sends only the layers that the client lacks."""

import shlex

import pytest

from support.clients import DOCKERS, Docker, files_of_tar
from support.images import base_diff_ids
from support.loader import BASE, load, write_archives
from support.project import DATA

pytestmark = pytest.mark.client

TAG = 'example/app:1.0'
BASE_TAG = 'example/base:1.0'
BELOW = {**files_of_tar(DATA / 'base-layer-1.tar'), **files_of_tar(DATA / 'base-layer-2.tar')}
# One with plain layers, one with compressed ones.
BASES = [BASE, 'docker-29-pulled.tar']


def write_client(path, store, before=''):
    """Writes a program that is the client of a store, without further arguments.

    Args:
        path: The path of the program.
        store: The store.
        before: What it does first, in the language of the shell.
    """
    # Today's Podman warns of a kernel with version 1 of control groups.
    quiet = 'export PODMAN_IGNORE_CGROUPSV1_WARNING=1'
    path.write_text(
        f'#!/bin/sh\n{quiet}\n{before}\nexec {shlex.join(map(str, store.command))} "$@"\n'
    )
    path.chmod(0o755)
    return path


@pytest.fixture(params=[*DOCKERS, 'podman'])
def loading(request, running_store, tmp_path):
    """A store, and the path of its client."""
    store = running_store(request.param)
    return store, write_client(tmp_path / 'client', store)


def is_of_containerd(store):
    return isinstance(store, Docker) and store.store == 'containerd'


def sends(done, what, path):
    """Checks that a run succeeds, and tells which archive it sends last, and its bytes."""
    assert (done.returncode, done.stderr) == (0, '')
    (line,) = [line for line in done.stdout.splitlines() if 'sending' in line][-1:]
    assert f'sending {what}, {path.stat().st_size} bytes' in line, done.stdout


def sends_all(done, arguments):
    sends(done, 'the whole image', arguments[1])


def sends_part(done, arguments):
    sends(done, 'the others', arguments[2])
    assert 'the whole image' not in done.stdout


def check(store, files, tag=TAG):
    assert store.files(tag).items() >= {**BELOW, **files}.items()


@pytest.mark.parametrize('oci', [False, True])
def test_second_build_is_sent_without_the_layers_of_the_first(loading, tmp_path, oci):
    store, client = loading
    files = {'srv/new': b'first\n'}
    _, arguments = write_archives(tmp_path / 'first', files=files, oci=oci)
    done = load(client, *arguments)
    assert 'lacks the base' in done.stdout
    sends_all(done, arguments)
    check(store, files)
    assert store.tags() == {TAG}

    files = {'srv/new': b'second\n'}
    image, arguments = write_archives(tmp_path / 'second', files=files, oci=oci)
    sends_part(load(client, *arguments), arguments)
    assert store.config_digest(TAG) == image.id
    check(store, files)


@pytest.mark.parametrize('base', BASES)
def test_image_is_sent_without_the_layers_of_its_base(loading, tmp_path, base):
    store, client = loading
    image, arguments = write_archives(tmp_path / 'image', base)
    store.load(image.base)
    sends_part(load(client, *arguments), arguments)
    assert store.config_digest(TAG) == image.id
    check(store, {'srv/new': b'new\n'})


def test_base_is_found_by_its_digest(loading, tmp_path):
    """By that of its configuration, or of its manifest."""
    store, client = loading
    image, arguments = write_archives(tmp_path / 'image')
    store.load(image.base)
    (identifier,) = store('images', '--quiet', '--no-trunc').split()
    store('tag', BASE_TAG, 'example/other:1.0')
    store('rmi', BASE_TAG)
    done = load(client, *arguments)
    assert f'has the layers of the base in {identifier}: ' in done.stdout
    sends_part(done, arguments)


def test_whole_image_is_sent_after_everything_was_removed(loading, tmp_path):
    store, client = loading
    image, arguments = write_archives(tmp_path / 'image')
    store.load(image.base)
    sends_part(load(client, *arguments), arguments)
    store.clear()
    done = load(client, *arguments)
    assert 'lacks the base' in done.stdout
    sends_all(done, arguments)
    check(store, {'srv/new': b'new\n'})


def test_whole_image_is_sent_where_the_others_make_none_that_runs(loading, tmp_path):
    """Docker's store of containerd then ends with status 0. The client claims to have the base."""
    store, _ = loading
    image, arguments = write_archives(tmp_path / 'image')
    layers = shlex.join(base_diff_ids())
    says = f"if [ $1 = image ]; then printf '%s\\n' {layers} && exit; fi"
    done = load(write_client(tmp_path / 'liar', store, says), *arguments)
    assert f'sending the others, {arguments[2].stat().st_size} bytes' in done.stdout
    assert ('Error unpacking image' in done.stdout) == is_of_containerd(store)
    assert 'cannot complete the others' in done.stdout
    sends_all(done, arguments)
    assert store.config_digest(TAG) == image.id
    check(store, {'srv/new': b'new\n'})


def test_whole_image_is_sent_after_one_that_cannot_run(loading, tmp_path):
    """As it is there after a partial archive was loaded without its base."""
    store, client = loading
    _, arguments = write_archives(tmp_path / 'image')
    store.load(arguments[2], fails=not is_of_containerd(store))
    sends_all(load(client, *arguments), arguments)
    check(store, {'srv/new': b'new\n'})


def test_load_that_fails_is_an_error(loading, tmp_path):
    _, client = loading
    image, arguments = write_archives(tmp_path / 'image')
    image.output.write_bytes(image.output.read_bytes()[:2000])
    done = load(client, *arguments)
    assert done.returncode == 1
    assert done.stderr == f'app: {client} did not load the image\n'


def test_whole_image_that_cannot_run_is_an_error(loading, tmp_path):
    _, client = loading
    _, arguments = write_archives(tmp_path / 'image')
    done = load(client, 'app', arguments[2], '', '')
    assert done.returncode == 1
    assert done.stderr == f'app: {client} did not load the image\n'


@pytest.mark.parametrize('tags', [(TAG, 'example/app:2.0'), (TAG,), ()])
@pytest.mark.parametrize('has_base', [False, True])
def test_image_gets_the_tag_of_the_argument(loading, tmp_path, tags, has_base):
    store, client = loading
    image, arguments = write_archives(tmp_path / 'image', tags=tags)
    if has_base:
        store.load(image.base)
    done = load(client, *arguments, 'example/other:3.0')
    assert (done.returncode, done.stderr) == (0, '')
    said = [f'app: the image has the tag {tag}' for tag in (*tags, 'example/other:3.0')]
    assert done.stdout.splitlines()[-len(said) :] == said
    assert store.tags() - {'<none>:<none>', BASE_TAG} == {*tags, 'example/other:3.0'}
    assert store.config_digest('example/other:3.0') == image.id
    check(store, {'srv/new': b'new\n'}, 'example/other:3.0')
