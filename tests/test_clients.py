# SPDX-License-Identifier: Apache-2.0
"""Archives in real clients, each with its state in a folder of its own.

A test begins with empty stores: a layer that is there already would hide a missing one.
"""

import contextlib
import gzip
import io
import json
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
import time

import pytest

from conftest import BASES, DATA, ROOT, Parts, build, derived, environment, missing, require, sha256
from test_verify import BAD_TAGS, GOOD_TAGS

MODERN = [name for name in BASES if name != 'docker-1.9.tar']
LARGE = {'srv/large': b'large' * 30000}
TAG = 'example/derived:2.0'
BASE_FILES = {'etc/base-release', 'srv/greeting'}


def call(*command, fails=False, **options):
    """Runs a client; returns its standard output, or what it says of its failure."""
    done = subprocess.run(command, capture_output=True, timeout=300, check=False, **options)
    if fails:
        assert done.returncode != 0, done.stdout
        return (done.stdout + done.stderr).decode()
    assert done.returncode == 0, done.stderr.decode()
    return done.stdout.decode().strip()


def files_of(stream):
    """Returns {name: content} of the regular files of a tar stream."""
    with tarfile.open(fileobj=io.BytesIO(stream)) as tar:
        return {m.name: tar.extractfile(m).read() for m in tar if m.isreg()}


@contextlib.contextmanager
def daemon(command, log, ready):
    if os.geteuid() != 0:
        missing(f'{command[0]} needs root')
    with log.open('wb') as output:
        process = subprocess.Popen(
            ['timeout', '1800', *command], stdout=output, stderr=output, start_new_session=True
        )
    try:
        for _ in range(300):
            if ready():
                break
            assert process.poll() is None, log.read_text()[-2000:]
            time.sleep(0.1)
        else:
            pytest.fail(log.read_text()[-2000:])
        yield
    finally:
        process.terminate()
        process.wait(60)


class Docker:
    def __init__(self, folder):
        self.folder = folder
        self.host = f'unix://{folder}/docker.sock'

    def __call__(self, *arguments, **options):
        return call('docker', '-H', self.host, *arguments, **options)

    @contextlib.contextmanager
    def running(self):
        folder = self.folder
        command = ['dockerd', '-H', self.host, '--data-root', f'{folder}/data']
        command += ['--exec-root', f'{folder}/exec', '--pidfile', f'{folder}/pid']
        command += ['--iptables=false', '--bridge=none', '--storage-driver=vfs']

        def ready():
            probe = ['docker', '-H', self.host, 'version']
            return subprocess.run(probe, capture_output=True, check=False).returncode == 0

        with daemon(command, folder / 'log', ready):
            yield self

    def tags(self):
        return set(self('images', '--format={{.Repository}}:{{.Tag}}').split())

    def id(self, tag):
        return self('image', 'inspect', '--format={{.Id}}', tag)

    def files(self, image):
        container = self('create', image, '/none')
        stream = subprocess.run(
            ['docker', '-H', self.host, 'export', container], capture_output=True, check=True
        ).stdout
        self('rm', container)
        return files_of(stream)

    def clear(self):
        if images := self('images', '--quiet', '--all', '--no-trunc').split():
            self('rmi', '--force', *sorted(set(images)))


@pytest.fixture(scope='module')
def daemon_of_docker(tmp_path_factory):
    require('docker', 'dockerd')
    with Docker(tmp_path_factory.mktemp('docker')).running() as docker:
        yield docker


@pytest.fixture
def docker(daemon_of_docker):
    daemon_of_docker.clear()
    return daemon_of_docker


@pytest.fixture(scope='module')
def daemon_of_containerd(tmp_path_factory):
    require('ctr', 'containerd')
    folder = tmp_path_factory.mktemp('containerd')
    (folder / 'config.toml').write_text(
        f'version = 2\nroot = "{folder}/root"\nstate = "{folder}/state"\n'
        'disabled_plugins = ["io.containerd.grpc.v1.cri"]\n'
        f'[grpc]\naddress = "{folder}/c.sock"\n'
    )
    ctr = ['ctr', '-a', f'{folder}/c.sock']

    def ready():
        return subprocess.run([*ctr, 'version'], capture_output=True, check=False).returncode == 0

    command = ['containerd', '-c', str(folder / 'config.toml')]
    with daemon(command, folder / 'log', ready):
        yield lambda *arguments, **options: call(*ctr, *arguments, **options)


@pytest.fixture
def ctr(daemon_of_containerd):
    if images := daemon_of_containerd('images', 'ls', '-q').split():
        daemon_of_containerd('images', 'rm', '--sync', *images)
    return daemon_of_containerd


@pytest.fixture
def podman():
    require('podman')
    if os.geteuid() != 0:
        missing('podman is tried as root')
    # Podman refuses a path of more than 50 characters, as those of tmp_path are.
    with tempfile.TemporaryDirectory() as folder:
        command = ['podman', '--storage-driver=vfs', '--root', f'{folder}/root']
        command += ['--runroot', f'{folder}/run', '--tmpdir', f'{folder}/tmp']
        yield lambda *arguments, **options: call(*command, *arguments, **options)


def with_new_layer(folder, base):
    """Builds an image of three layers on a base."""
    image, flags = derived(folder, base, layers=[{'srv/new': b'new\n', **LARGE}])
    build(*flags, f'--tag={TAG}')
    return image


def check(files):
    """Checks that an image has what is in all three layers."""
    assert BASE_FILES | {'srv/new', 'srv/large'} <= set(files)
    assert files['srv/large'] == LARGE['srv/large']
    assert files['srv/new'] == b'new\n'
    with tarfile.open(DATA / 'base-layer-1.tar') as tar:
        assert files['etc/base-release'] == tar.extractfile('etc/base-release').read()
    with tarfile.open(DATA / 'base-layer-2.tar') as tar:
        assert files['srv/greeting'] == tar.extractfile('srv/greeting').read()


# An image on each base, as itself.


@pytest.mark.parametrize('base', MODERN)
def test_on_each_base_in_docker(docker, tmp_path, base):
    image = with_new_layer(tmp_path, base)
    docker('load', '-i', image.output)
    assert docker.tags() == {TAG}
    assert docker.id(TAG) == f'sha256:{image.id}'
    check(docker.files(TAG))


@pytest.mark.parametrize('base', MODERN)
def test_on_each_base_in_containerd(ctr, tmp_path, base):
    image = with_new_layer(tmp_path, base)
    ctr('images', 'import', '--snapshotter', 'native', image.output)
    reference = f'docker.io/{TAG}'
    assert ctr('images', 'ls', '-q').split() == [reference]
    row = ctr('images', 'ls', f'name=={reference}').splitlines()[1].split()
    index = json.loads(ctr('content', 'get', row[2]))
    assert index['config']['digest'] == f'sha256:{image.id}'
    folder = tmp_path / 'mounted'
    folder.mkdir()
    ctr('images', 'mount', '--snapshotter', 'native', reference, folder)
    try:
        files = [path for path in folder.rglob('*') if path.is_file()]
        check({str(path.relative_to(folder)): path.read_bytes() for path in files})
    finally:
        ctr('images', 'unmount', '--rm', '--snapshotter', 'native', folder)


@pytest.mark.parametrize('base', MODERN)
def test_on_each_base_in_podman(podman, tmp_path, base):
    image = with_new_layer(tmp_path, base)
    podman('load', '-i', image.output)
    names = json.loads(podman('images', '--format=json'))
    assert [(entry['Id'], entry['Names']) for entry in names] == [(image.id, [f'localhost/{TAG}'])]
    container = podman('create', TAG, '/none')
    podman('export', '-o', tmp_path / 'files.tar', container)
    check(files_of((tmp_path / 'files.tar').read_bytes()))


@pytest.mark.parametrize('base', MODERN)
def test_on_each_base_with_readers(tmp_path, base):
    require('skopeo', 'umoci')
    image = with_new_layer(tmp_path, base)
    source = f'docker-archive:{image.output}'
    config = subprocess.run(
        ['skopeo', 'inspect', '--config', '--raw', source], capture_output=True, check=True
    ).stdout
    assert config == image.config.read_bytes()
    call('skopeo', 'copy', '--quiet', source, f'oci:{tmp_path}/oci:x')
    call('umoci', 'unpack', '--image', f'{tmp_path}/oci:x', f'{tmp_path}/bundle')
    root = tmp_path / 'bundle' / 'rootfs'
    check({str(p.relative_to(root)): p.read_bytes() for p in root.rglob('*') if p.is_file()})


def structure_test(folder, image, files, **options):
    """Has container-structure-test look for files with content."""
    tests = [{'name': name, 'path': f'/{name}', 'expectedContents': [c]} for name, c in files]
    config = folder / 'tests.json'
    config.write_text(json.dumps({'schemaVersion': '2.0.0', 'fileContentTests': tests}))
    command = ['container-structure-test', 'test', '--driver', 'tar', '--image', image]
    return call(*command, '--config', config, **options)


def syft_files(folder, image, **options):
    """Returns the names of the files that syft finds in an image, and the image's ID."""
    command = ['syft', 'scan', f'docker-archive:{image}', '-o', 'syft-json', '--quiet']
    variables = environment(
        SYFT_FILE_METADATA_SELECTION='all', SYFT_CHECK_FOR_APP_UPDATE='false', HOME=str(folder)
    )
    report = json.loads(call(*command, env=variables, **options))
    names = {entry['location']['path'].lstrip('/') for entry in report['files']}
    return names, report['source']['metadata']['imageID']


@pytest.mark.parametrize('base', MODERN)
def test_on_each_base_with_readers_of_go_containerregistry(tmp_path, base):
    require('container-structure-test', 'syft')
    image = with_new_layer(tmp_path, base)
    files = [('srv/new', '^new\n$'), ('srv/large', '^(large)+$'), ('srv/greeting', '.')]
    structure_test(tmp_path, image.output, files)
    assert 'FAIL' in structure_test(tmp_path, image.output, [('srv/new', 'other')], fails=True)
    names, identifier = syft_files(tmp_path, image.output)
    assert BASE_FILES | {'srv/new', 'srv/large'} <= names
    assert identifier == f'sha256:{image.id}'


# The base of crane holds compressed layers, on which a plain one was tried above.


def test_a_compressed_layer_on_compressed_ones(docker, ctr, podman, tmp_path):
    """Under the same ID: the digest of its uncompressed content."""
    require('container-structure-test', 'syft', 'skopeo')
    image, flags = derived(tmp_path, 'crane-0.21.tar', layers=[{'srv/new': b'new\n', **LARGE}])
    layer = image.layers[0][1]
    layer.write_bytes(gzip.compress(layer.read_bytes(), mtime=0))
    build(*flags, f'--tag={TAG}', '--verify')
    structure_test(tmp_path, image.output, [('srv/new', 'new'), ('srv/greeting', '.')])
    names, identifier = syft_files(tmp_path, image.output)
    assert BASE_FILES | {'srv/new', 'srv/large'} <= names
    assert identifier == f'sha256:{image.id}'
    docker('load', '-i', image.output)
    check(docker.files(TAG))
    ctr('images', 'import', '--snapshotter', 'native', image.output)
    podman('load', '-i', image.output)
    podman('export', '-o', tmp_path / 'files.tar', podman('create', TAG, '/none'))
    check(files_of((tmp_path / 'files.tar').read_bytes()))
    call('skopeo', 'copy', '--quiet', f'docker-archive:{image.output}', f'dir:{tmp_path}/dir')


# A partial image.


def test_a_partial_image_loads_where_its_base_is(docker, ctr, podman, tmp_path):
    image, flags = derived(tmp_path, 'podman-4.3.tar', layers=[{'srv/new': b'new\n', **LARGE}])
    build(*flags[:-1], f'--tag={TAG}')
    docker('load', '-i', image.output, fails=True)
    assert docker.tags() == set()
    ctr('images', 'import', '--snapshotter', 'native', image.output, fails=True)
    podman('load', '-i', image.output, fails=True)
    docker('load', '-i', DATA / 'bases' / 'podman-4.3.tar')
    docker('load', '-i', image.output)
    assert docker.id(TAG) == f'sha256:{image.id}'
    check(docker.files(TAG))


# The layout of Docker before 1.10.


def without_manifest(path):
    """Returns a copy without manifest.json: Docker 20.10 reads it as one of before 1.10."""
    copy = path.with_name('v1.tar')
    with tarfile.open(path) as old, tarfile.open(copy, 'w', format=tarfile.GNU_FORMAT) as new:
        for member in old:
            if member.name != 'manifest.json':
                new.addfile(member, old.extractfile(member) if member.isreg() else None)
    return copy


def v1_metadata(folder, identifier, **fields):
    path = folder / 'metadata.json'
    created = '1970-01-01T00:00:00Z'
    v1 = {'id': identifier, 'created': created, 'os': 'linux', 'architecture': 'amd64', **fields}
    path.write_text(json.dumps(v1))
    return [f'--legacy_id={identifier}', f'--metadata={path}']


def test_both_layouts_run(docker, tmp_path, hello):
    """As it is, and through Docker's loader for archives without manifest.json."""
    image = Parts(tmp_path, [{'srv/file': b'file', **LARGE}], config={'Cmd': ['/hello']})
    with tarfile.open(image.layers[0][1], 'a') as tar:
        tar.add(hello / 'root' / 'hello', 'hello')
    image = relabelled(image)
    flags = v1_metadata(tmp_path, 'ab' * 32, config={'Cmd': ['/hello']})
    build(*image.flags, *flags, '--repository=example/v1', '--name=1.0', '--tag=example/v2:1.0')
    docker('load', '-i', image.output)
    assert docker.tags() == {'example/v2:1.0'}
    assert docker.id('example/v2:1.0') == f'sha256:{image.id}'
    assert docker('run', '--rm', '--network=none', 'example/v2:1.0').startswith('Hello')
    docker.clear()
    docker('load', '-i', without_manifest(image.output))
    assert docker.tags() == {'example/v1:1.0'}
    assert docker('run', '--rm', '--network=none', 'example/v1:1.0').startswith('Hello')
    assert docker.files('example/v1:1.0')['srv/large'] == LARGE['srv/large']


def test_on_the_base_of_docker_1_9(docker, tmp_path):
    base = DATA / 'bases' / 'docker-1.9.tar'
    with tarfile.open(base) as tar:
        ((_, tags),) = json.load(tar.extractfile('repositories')).items()
    image = Parts(tmp_path, [{'srv/new': b'new\n', **LARGE}])
    flags = v1_metadata(tmp_path, 'cd' * 32, parent=tags['1.0'], config={})
    flags += ['--repository=example/derived', '--name=2.0']
    done = build(*image.flags, *flags, f'--base={base}', f'--legacy_base={base}', warnings=True)
    assert b'images on it load in Docker before 1.10 only' in done.stderr
    docker('load', '-i', without_manifest(image.output))
    assert docker.tags() == {TAG}
    check(docker.files(TAG))


# Images without a base.


@pytest.fixture(scope='module')
def hello(tmp_path_factory):
    """The folder in which the example was built, in a copy of the project."""
    project = tmp_path_factory.mktemp('project')
    for name in ('create_image.py', 'archive.py', 'utils.py'):
        shutil.copy(ROOT / name, project)
    folder = project / 'examples' / 'hello'
    folder.mkdir(parents=True)
    for name in ('build.sh', 'config.json.in', 'make_hello.py'):
        shutil.copy(ROOT / 'examples' / 'hello' / name, folder)
    call(folder / 'build.sh', env=environment(PYTHON=sys.executable))
    return folder


def relabelled(image):
    """Gives an image whose layers were changed their identifiers anew."""
    image.layers = [(sha256(path.read_bytes()), path) for _, path in image.layers]
    config = json.loads(image.config.read_text())
    config['rootfs']['diff_ids'] = [f'sha256:{identifier}' for identifier, _ in image.layers]
    image.config.write_text(json.dumps(config))
    image.id = sha256(image.config.read_bytes())
    return image


def test_the_example_greets(docker, podman, hello):
    docker('load', '-i', hello / 'hello.tar')
    said = docker('run', '--rm', '--network=none', 'example/hello:1.0')
    assert said == 'Hello from an image made by create_image.'
    assert docker.id('example/hello:1.0') == 'sha256:' + sha256(
        (hello / 'config.json').read_bytes()
    )
    podman('load', '-i', hello / 'hello.tar')
    assert podman('create', 'example/hello:1.0')


def test_busybox_runs(docker, tmp_path):
    require('busybox')
    image = Parts(tmp_path, config={'Cmd': ['/bin/sh', '-c', 'echo $((6 * 7)); id -u; ls /bin']})
    with tarfile.open(image.layers[0][1], 'a') as tar:
        tar.add(shutil.which('busybox'), 'bin/busybox', filter=with_root)
        tar.add(shutil.which('busybox'), 'bin/sh', filter=with_root)
    image = relabelled(image)
    build(*image.flags, '--tag=busybox-static:1', '--verify')
    docker('load', '-i', image.output)
    said = docker('run', '--rm', '--network=none', 'busybox-static:1', '/bin/busybox', 'echo', 'hi')
    assert said == 'hi'
    assert (
        docker('run', '--rm', '--network=none', 'busybox-static:1', '/bin/sh', '-c', 'id -u') == '0'
    )


def with_root(info):
    info.uid = info.gid = info.mtime = 0
    return info


@pytest.mark.parametrize('tags', [[], ['a:1'], ['a:1', 'b/c:2', 'localhost:5000/d:3']])
def test_tags(docker, parts, tags):
    build(*parts.flags, *(f'--tag={tag}' for tag in tags))
    docker('load', '-i', parts.output)
    assert docker.tags() == set(tags or ['<none>:<none>'])
    assert docker('image', 'inspect', '--format={{.Id}}', parts.id) == f'sha256:{parts.id}'
    for tag in tags:
        assert docker.id(tag) == f'sha256:{parts.id}'


def test_the_same_layer_twice(docker, ctr, podman, tmp_path):
    image = Parts(tmp_path, [{'first': b'1'}, {'second': b'2'}, {'first': b'1'}])
    image.layers[2] = image.layers[0]
    build(*image.flags, f'--tag={TAG}')
    docker('load', '-i', image.output)
    assert docker.files(TAG).items() >= {'first': b'1', 'second': b'2'}.items()
    layers = json.loads(docker('image', 'inspect', '--format={{json .RootFS.Layers}}', TAG))
    assert layers == [f'sha256:{identifier}' for identifier, _ in image.layers]
    ctr('images', 'import', '--snapshotter', 'native', image.output)
    podman('load', '-i', image.output)


def test_125_layers(docker, tmp_path):
    """The most that Docker takes."""
    image = Parts(tmp_path, [{f'file{number}': b'%d' % number} for number in range(125)])
    build(*image.flags, f'--tag={TAG}')
    docker('load', '-i', image.output)
    files = docker.files(TAG)
    assert all(files[f'file{number}'] == b'%d' % number for number in range(125))


def test_a_stream_loads(docker, parts):
    command = [sys.executable, ROOT / 'create_image.py', *parts.flags[1:], '--output=-']
    with subprocess.Popen([*command, f'--tag={TAG}'], stdout=subprocess.PIPE) as tool:
        docker('load', stdin=tool.stdout)
    assert tool.returncode == 0
    assert docker.id(TAG) == f'sha256:{parts.id}'


def test_docker_judges_the_tags_alike(docker, parts):
    build(*parts.flags)
    docker('load', '-i', parts.output)
    for tag in GOOD_TAGS:
        if not tag.startswith('['):  # hosts that Docker takes since 23 only
            docker('tag', parts.id, tag)
    # Docker takes a tag left out for `latest`, and cannot be given one that is empty.
    for tag in set(BAD_TAGS) - {'', 'a', 'a/b', 'localhost:5000/a'}:
        docker('tag', parts.id, tag, fails=True)
