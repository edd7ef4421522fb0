# SPDX-License-Identifier: Apache-2.0
"""Archives of create_image in real clients: each image has its tags, ID and files."""

import gzip
import json
import os
import pathlib
import shutil
import subprocess
import sys

import pytest

from support.clients import (
    Docker,
    call,
    check_with_container_structure_test,
    files_below,
    files_of_tar,
    load_v1,
    scan_with_syft,
    v1_flags,
)
from support.images import MODERN, Parts, on_fixture
from support.links import (
    LINKS,
    NOT_STRAIGHT,
    REFUSED_MEMBERS,
    TAKEN_MEMBERS,
    base_with,
    base_with_a_link,
)
from support.needs import require
from support.project import DATA, ROOT, copy_project
from support.running import build, environment
from support.tars import manifest, python_reads_zstd

pytestmark = pytest.mark.client

TAG = 'example/derived:2.0'
# The large file is over 64 KiB, the limit from which the tool aligns the data of a member.
NEW = {'srv/new': b'new\n', 'srv/large': b'large' * 30000}
EXPECTED = {
    **files_of_tar(DATA / 'base-layer-1.tar'),
    **files_of_tar(DATA / 'base-layer-2.tar'),
    **NEW,
}


def check(files):
    """Checks that the files of an image on a base are those of all three layers."""
    for name, data in EXPECTED.items():
        assert files.get(name) == data, name


def files_in(store, image):
    """Loads an image, and checks its tag and ID; returns its files in a store."""
    store.load(image.output)
    assert store.tags() == {TAG}
    assert store.config_digest(TAG) == image.id
    return store.files(TAG)


# These functions check the files of all three layers of an image on a base.


def skopeo_and_umoci(image):
    require('skopeo', 'umoci')
    source = f'docker-archive:{image.output}'
    assert call('skopeo', 'inspect', '--config', '--raw', source) == image.config.read_text()
    call('skopeo', 'copy', '--quiet', source, f'oci:{image.directory}/oci:x')
    call('umoci', 'unpack', '--image', f'{image.directory}/oci:x', image.directory / 'bundle')
    check(files_below(image.directory / 'bundle' / 'rootfs'))


def container_structure_test(image):
    check_with_container_structure_test(image, EXPECTED)


def syft(image):
    found = scan_with_syft(image, 'docker-archive', EXPECTED)
    assert found['tags'] == [TAG]


# An image on each base.


ZSTD = 'docker-29-zstd.tar'


# The layers of these bases are compressed.
GZIP = ['crane-0.21.tar', 'docker-29-pulled.tar']


def on_base(directory, base, compress=bytes):
    """Builds an image of three layers; the new one has more than 64 KiB."""
    image = on_fixture(directory, base, layers=[NEW])
    path = image.layers[0][1]
    path.write_bytes(compress(path.read_bytes()))
    warnings = base == ZSTD and not python_reads_zstd()
    build(*image.flags, f'--tag={TAG}', '--verify', warnings=warnings)
    return image


@pytest.mark.parametrize('base', MODERN)
def test_stores_load_an_image_on_each_base(store, tmp_path, base):
    image = on_base(tmp_path, base)
    if base == ZSTD and isinstance(store, Docker) and store.version < 23:
        assert 'unexpected EOF' in store.load(image.output, fails=True)
    else:
        check(files_in(store, image))


@pytest.mark.parametrize('base', MODERN)
@pytest.mark.parametrize('reader', [skopeo_and_umoci, container_structure_test, syft])
def test_other_programs_read_an_image_on_each_base(tmp_path, base, reader):
    reader(on_base(tmp_path, base))


# Debian 12 has no crane, so its tests are required only with REQUIRE_CRANE=1.
if shutil.which('crane') or os.environ.get('REQUIRE_CRANE') == '1':

    @pytest.mark.parametrize('base', MODERN)
    def test_crane_validates_an_image_on_each_base(tmp_path, base):
        """The new layer is compressed like the base's: crane expects the same of all layers."""
        require('crane')
        image = on_base(tmp_path, base, gzip.compress if base in GZIP else bytes)
        command = ['crane', 'validate', '--tarball', image.output]
        if base == ZSTD:
            assert 'gzip: invalid header' in call(*command, fails=True)
        else:
            assert call(*command) == f'PASS: {image.output}'


# Compressed layers under their diff IDs. Layers of crane's base are compressed, those of the others
# are not; a plain layer on crane's base was tested above.


@pytest.mark.parametrize('base', ['crane-0.21.tar', 'podman-4.3.tar'])
def test_stores_load_a_compressed_layer(store, tmp_path, base):
    check(files_in(store, on_base(tmp_path, base, gzip.compress)))


@pytest.mark.parametrize('base', ['crane-0.21.tar', 'podman-4.3.tar'])
def test_skopeo_reads_a_compressed_layer(tmp_path, base):
    skopeo_and_umoci(on_base(tmp_path, base, gzip.compress))


def test_go_containerregistry_expects_one_compression_for_all_layers(tmp_path):
    """It does not find a compressed layer on plain ones; the README says which to use."""
    image = on_base(tmp_path, 'crane-0.21.tar', gzip.compress)
    container_structure_test(image)
    syft(image)
    image = on_base(tmp_path, 'podman-4.3.tar', gzip.compress)
    with pytest.raises(AssertionError, match='msg=FAIL'):
        container_structure_test(image)
    with pytest.raises(AssertionError, match='failed to read layer'):
        syft(image)


# Layers that are links.


@pytest.mark.parametrize('case', LINKS)
def test_every_store_loads_an_image_whose_base_has_a_link_for_a_layer(store, tmp_path, case):
    base, diff_ids = base_with_a_link(tmp_path / 'base.tar', case)
    image = Parts(tmp_path, [NEW], below=diff_ids, base=base)
    build(*image.flags, f'--tag={TAG}', '--verify', warnings=case in NOT_STRAIGHT)
    files = files_in(store, image)
    assert files['file'] == b'x/layer.tar'
    assert files['srv/new'] == NEW['srv/new']


def test_podman_reads_no_layer_that_is_a_link(podman, tmp_path):
    """So the new manifest.json names the file behind it."""
    base, _ = base_with_a_link(tmp_path / 'base.tar', 'a file beside it')
    assert 'size mismatch' in podman.load(base, fails=True)


# Other members of a base.


@pytest.mark.parametrize('case', [*REFUSED_MEMBERS, 'taken'])
def test_every_store_loads_an_image_without_the_members_that_some_refuse(store, tmp_path, case):
    more = TAKEN_MEMBERS if case == 'taken' else REFUSED_MEMBERS[case][0]
    base, diff_ids = base_with(tmp_path / 'base.tar', more)
    image = Parts(tmp_path, [NEW], below=diff_ids, base=base)
    build(*image.flags, f'--tag={TAG}', '--verify', warnings=case != 'taken')
    assert files_in(store, image)['srv/new'] == NEW['srv/new']


@pytest.mark.parametrize('case', REFUSED_MEMBERS)
def test_some_store_refuses_the_members(running_store, tmp_path, case):
    base, _ = base_with(tmp_path / 'base.tar', REFUSED_MEMBERS[case][0])
    name = 'containerd'
    if REFUSED_MEMBERS[case][2].endswith('which Docker cannot unpack'):
        name = 'docker-graphdriver'
    # containerd follows links in random order, so it finds what a link to a link leads to by luck.
    assert any(is_refused(running_store(name), base) for _ in range(30))


def is_refused(store, path):
    command = [*store.command, *store.LOAD, path]
    return subprocess.run(command, capture_output=True, timeout=300, check=False).returncode != 0


# A partial image.

REFUSED = {
    'docker-containerd': 'failed to resolve layers',
    'containerd': 'failed to resolve layers',
    'podman': 'layer tarfiles are missing',
}


def test_docker_loads_a_partial_image_after_its_base(request, store, tmp_path):
    """In its store of the graph drivers; the other stores refuse it."""
    base = DATA / 'bases' / 'docker-20.10.tar'
    image = on_fixture(tmp_path, base.name, layers=[NEW])
    build(*image.without('legacy_base'), f'--tag={TAG}')
    name = request.node.callspec.params['store']
    if name == 'docker-graphdriver':
        assert 'no such file or directory' in store.load(image.output, fails=True)
        assert store.tags() == set()
        store.load(base)
        store.load(image.output)
        assert store.tags() == {TAG, 'example/base:1.0'}
        assert store.config_digest(TAG) == image.id
        check(store.files(TAG))
    else:
        store.load(base)
        assert REFUSED[name] in store.load(image.output, fails=True)
        assert store.tags() == {'example/base:1.0'}


def test_docker_runs_an_image_with_manifest_json_or_a_v1_layer(docker, tmp_path, hello):
    config = {'Cmd': ['/hello']}
    program = (hello / 'root' / 'hello').read_bytes()
    image = Parts(tmp_path, [{**NEW, 'hello': program}], config=config, mode=0o755)
    flags = v1_flags(tmp_path, 'ab' * 32, 'example/v1', config=config)
    build(*image.flags, *flags, f'--tag={TAG}')
    assert NEW.items() <= files_in(docker, image).items()
    assert docker.run(TAG) == GREETING
    docker.clear()
    if load_v1(docker, image):
        assert docker.tags() == {'example/v1:2.0'}
        assert docker.run('example/v1:2.0') == GREETING
        assert NEW.items() <= docker.files('example/v1:2.0').items()


def test_docker_loads_an_image_on_a_base_written_by_docker_1_9(docker, tmp_path):
    base = DATA / 'bases' / 'docker-1.9.tar'
    parent = json.loads(files_of_tar(base)['repositories'])['example/base']['1.0']
    image = Parts(tmp_path, [NEW])
    flags = v1_flags(tmp_path, 'cd' * 32, 'example/derived', parent=parent, config={})
    done = build(*image.flags, *flags, f'--base={base}', f'--legacy_base={base}', warnings=True)
    (warning,) = done.stderr.decode().splitlines()
    assert (
        'was written by Docker 1.9 or older: only such a Docker can load images built on it'
        in warning
    )
    if load_v1(docker, image):
        assert docker.tags() == {TAG}
        check(docker.files(TAG))


# Images without a base.

GREETING = 'Hello from an image made by create_image.'


@pytest.fixture(scope='module')
def hello(tmp_path_factory):
    """The directory of the example, built in a copy of the project."""
    project = tmp_path_factory.mktemp('project')
    copy_project(project)
    directory = project / 'examples' / 'hello'
    call(directory / 'build.sh', env=environment(PYTHON=sys.executable))
    return directory


def check_greeting(store, hello):
    tag = 'example/hello:1.0'
    store.load(hello / 'hello.tar')
    assert store.config_digest(tag) == manifest(hello / 'hello.tar')['Config'][:64]
    assert store.run(tag) == GREETING


def test_docker_runs_the_example(docker, hello):
    check_greeting(docker, hello)


def test_podman_runs_the_example(podman, hello):
    check_greeting(podman, hello)


def test_docker_runs_an_image_of_125_layers(docker, tmp_path):
    """The limit of Docker's store of the graph drivers."""
    require('busybox')
    command = ['/busybox', 'sh', '-c', '/busybox cat /file0 /file124 && echo $((6 * 7))']
    layers = [{f'file{number}': b'%d\n' % number} for number in range(125)]
    layers[-1]['busybox'] = pathlib.Path(shutil.which('busybox')).read_bytes()
    image = Parts(tmp_path, layers, config={'Cmd': command}, mode=0o755)
    build(*image.flags, f'--tag={TAG}', '--verify')
    files = files_in(docker, image)
    assert all(files[f'file{number}'] == b'%d\n' % number for number in range(125))
    assert docker.run(TAG).split() == ['0', '124', '42']


@pytest.mark.parametrize('tags', [['a:1'], ['a:1', 'b/c:2', 'localhost:5000/d:3']])
def test_docker_loads_each_tag(docker, parts, tags):
    build(*parts.flags, *(f'--tag={tag}' for tag in tags))
    docker.load(parts.output)
    assert docker.tags() == set(tags)
    assert {docker.config_digest(tag) for tag in tags} == {parts.id}


def test_docker_loads_an_image_without_tags(docker, parts):
    build(*parts.flags)
    docker.load(parts.output)
    assert docker.tags() == {'<none>:<none>'}
    (identifier,) = docker('images', '--quiet', '--no-trunc').split()
    assert docker.config_digest(identifier) == parts.id


def test_stores_load_an_image_with_one_layer_twice(store, tmp_path):
    image = Parts(tmp_path, [{'first': b'1'}, {'second': b'2'}, {'first': b'1'}])
    image.layers[2] = image.layers[0]
    build(*image.flags, f'--tag={TAG}')
    assert files_in(store, image).items() >= {'first': b'1', 'second': b'2'}.items()


def test_docker_loads_an_image_from_a_pipe(docker, tmp_path):
    image = Parts(tmp_path, [NEW])
    command = [sys.executable, ROOT / 'create_image.py', *image.flags, f'--tag={TAG}', '--output=-']
    with subprocess.Popen(command, stdout=subprocess.PIPE) as tool:
        docker('load', stdin=tool.stdout)
    assert tool.returncode == 0
    assert docker.config_digest(TAG) == image.id
    assert NEW.items() <= docker.files(TAG).items()
