# SPDX-License-Identifier: Apache-2.0
"""Archives in real clients, each with its state in a folder of its own.

A test begins with empty stores: a layer that is there already would hide a missing one.
"""

import contextlib
import functools
import gzip
import json
import os
import pathlib
import shutil
import subprocess
import sys
import tarfile
import tempfile
import time

import pytest

import helpers
from helpers import BASES, DATA, ROOT, Parts, build, derived, environment, missing, require, sha256
from test_verify import BAD_TAGS, GOOD_TAGS

MODERN = [name for name in BASES if name != 'docker-1.9.tar']
TAG = 'example/derived:2.0'
# The layer is of more than 64 KiB, from where on the tool aligns the data of a member.
NEW = {'srv/new': b'new\n', 'srv/large': b'large' * 30000}


def call(*command, fails=False, **options):
    """Runs a client; returns its standard output, or what it says of its failure."""
    done = subprocess.run(command, capture_output=True, timeout=300, check=False, **options)
    if fails:
        assert done.returncode != 0, done.stdout
        return (done.stdout + done.stderr).decode()
    assert done.returncode == 0, done.stderr.decode()
    return done.stdout.decode().strip()


def files_of_tar(path):
    """Returns {name: content} of the regular files."""
    with tarfile.open(path) as tar:
        return {m.name: tar.extractfile(m).read() for m in tar if m.isreg()}


def files_below(folder):
    paths = (path for path in folder.rglob('*') if path.is_file() and not path.is_symlink())
    return {str(path.relative_to(folder)): path.read_bytes() for path in paths}


EXPECTED = {
    **files_of_tar(DATA / 'base-layer-1.tar'),
    **files_of_tar(DATA / 'base-layer-2.tar'),
    **NEW,
}


def check(files):
    """Checks that an image on a base has what is in all three layers."""
    for name, data in EXPECTED.items():
        assert files.get(name) == data, name


# The clients.


@contextlib.contextmanager
def daemon(folder, command, probe):
    """Has a daemon run, from when the probe succeeds on."""
    if os.geteuid() != 0:
        missing(f'{command[0]} needs root')
    # It outlives a test run that is killed by half an hour at most.
    command = ['timeout', '--kill-after=60', '1800', *command]
    log = folder / 'log'
    with log.open('wb') as output:
        process = subprocess.Popen(command, stdout=output, stderr=output, start_new_session=True)
    try:
        end = time.monotonic() + 60
        while subprocess.run(probe, capture_output=True, timeout=60, check=False).returncode:
            assert process.poll() is None and time.monotonic() < end, log.read_text()[-2000:]
            time.sleep(0.1)
        yield
    finally:
        process.terminate()
        process.wait(90)


class Docker:
    def __init__(self, folder):
        self.folder = folder
        self.host = f'unix://{folder}/docker.sock'

    def __call__(self, *arguments, **options):
        return call('docker', '-H', self.host, *arguments, **options)

    def tags(self):
        return set(self('images', '--format={{.Repository}}:{{.Tag}}').split())

    def id(self, tag):
        return self('image', 'inspect', '--format={{.Id}}', tag)

    def run(self, tag, *command):
        return self('run', '--rm', '--network=none', tag, *command)

    def files(self, tag):
        container = self('create', tag, '/none')
        path = self.folder / 'files.tar'
        self('export', '--output', path, container)
        self('rm', container)
        return files_of_tar(path)

    def clear(self):
        if images := self('images', '--quiet', '--all', '--no-trunc').split():
            self('rmi', '--force', *sorted(set(images)))


@pytest.fixture(scope='module')
def daemon_of_docker(tmp_path_factory):
    require('docker', 'dockerd')
    folder = tmp_path_factory.mktemp('docker')
    docker = Docker(folder)
    command = ['dockerd', '-H', docker.host, '--data-root', f'{folder}/data']
    command += ['--exec-root', f'{folder}/exec', '--pidfile', f'{folder}/pid']
    command += ['--iptables=false', '--bridge=none', '--storage-driver=vfs']
    with daemon(folder, command, ['docker', '-H', docker.host, 'version']):
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
    with daemon(folder, ['containerd', '-c', folder / 'config.toml'], [*ctr, 'version']):
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
    # In a short path: Podman refuses one of more than 50 characters.
    with tempfile.TemporaryDirectory() as folder:
        command = ['podman', '--storage-driver=vfs', '--root', f'{folder}/root']
        command += ['--runroot', f'{folder}/run', '--tmpdir', f'{folder}/tmp']
        yield lambda *arguments, **options: call(*command, *arguments, **options)


# These return the files that a client finds in an image, which must come as itself.


def in_docker(docker, image):
    docker('load', '-i', image.output)
    assert docker.tags() == {TAG}
    assert docker.id(TAG) == f'sha256:{image.id}'
    return docker.files(TAG)


def in_containerd(ctr, image):
    ctr('images', 'import', '--snapshotter', 'native', image.output)
    reference = f'docker.io/{TAG}'
    assert ctr('images', 'ls', '-q').split() == [reference]
    digest = ctr('images', 'ls', f'name=={reference}').splitlines()[1].split()[2]
    assert json.loads(ctr('content', 'get', digest))['config']['digest'] == f'sha256:{image.id}'
    folder = image.folder / 'mounted'
    folder.mkdir()
    ctr('images', 'mount', '--snapshotter', 'native', reference, folder)
    try:
        return files_below(folder)
    finally:
        ctr('images', 'unmount', '--rm', '--snapshotter', 'native', folder)


def in_podman(podman, image):
    podman('load', '-i', image.output)
    images = json.loads(podman('images', '--format=json'))
    assert [(entry['Id'], entry['Names']) for entry in images] == [(image.id, [f'localhost/{TAG}'])]
    path = image.folder / 'files.tar'
    podman('export', '-o', path, podman('create', TAG, '/none'))
    return files_of_tar(path)


STORES = {'docker': in_docker, 'ctr': in_containerd, 'podman': in_podman}

# These check the files of all three layers of an image on a base.


def skopeo_and_umoci(image):
    require('skopeo', 'umoci')
    source = f'docker-archive:{image.output}'
    assert call('skopeo', 'inspect', '--config', '--raw', source) == image.config.read_text()
    call('skopeo', 'copy', '--quiet', source, f'oci:{image.folder}/oci:x')
    call('umoci', 'unpack', '--image', f'{image.folder}/oci:x', image.folder / 'bundle')
    check(files_below(image.folder / 'bundle' / 'rootfs'))


def container_structure_test(image):
    require('container-structure-test')
    tests = [
        {'name': name, 'path': f'/{name}', 'expectedContents': [rf'^\Q{data.decode()}\E$']}
        for name, data in EXPECTED.items()
    ]
    config = image.folder / 'tests.json'
    config.write_text(json.dumps({'schemaVersion': '2.0.0', 'fileContentTests': tests}))
    command = ['container-structure-test', 'test', '--driver=tar', '--image', image.output]
    assert f'Passes:      {len(EXPECTED)}\n' in call(*command, '--config', config)


def syft(image):
    require('syft')
    variables = {'HOME': str(image.folder), 'SYFT_CHECK_FOR_APP_UPDATE': 'false'}
    variables |= {'SYFT_FILE_METADATA_SELECTION': 'all', 'SYFT_FILE_METADATA_DIGESTS': 'sha256'}
    command = ['syft', 'scan', f'docker-archive:{image.output}', '--output=syft-json']
    report = json.loads(call(*command, env=environment(**variables)))
    assert report['source']['metadata']['imageID'] == f'sha256:{image.id}'
    assert report['source']['metadata']['tags'] == [TAG]
    files = {file['location']['path'].lstrip('/'): file for file in report['files']}
    for name, data in EXPECTED.items():
        assert files[name]['digests'] == [{'algorithm': 'sha256', 'value': sha256(data)}], name


# An image on each base.


def on_base(folder, base, compress=bytes):
    """Builds an image of three layers, of which the new one is of more than 64 KiB."""
    image, flags = derived(folder, base, layers=[NEW])
    path = image.layers[0][1]
    path.write_bytes(compress(path.read_bytes()))
    build(*flags, f'--tag={TAG}', '--verify')
    return image


@pytest.mark.parametrize('base', MODERN)
@pytest.mark.parametrize('store', STORES)
def test_on_each_base_in_a_store(request, tmp_path, base, store):
    check(STORES[store](request.getfixturevalue(store), on_base(tmp_path, base)))


@pytest.mark.parametrize('base', MODERN)
@pytest.mark.parametrize('reader', [skopeo_and_umoci, container_structure_test, syft])
def test_on_each_base_in_a_reader(tmp_path, base, reader):
    reader(on_base(tmp_path, base))


# Compressed layers under their diff IDs. Those of crane's base are, those of the others not;
# the plain layer on crane's was tried above.


@pytest.mark.parametrize('base', ['crane-0.21.tar', 'podman-4.3.tar'])
def test_a_compressed_layer(docker, ctr, podman, tmp_path, base):
    image = on_base(tmp_path, base, gzip.compress)
    check(in_docker(docker, image))
    check(in_containerd(ctr, image))
    check(in_podman(podman, image))
    skopeo_and_umoci(image)


def test_readers_of_go_containerregistry_take_all_layers_for_what_the_first_is(tmp_path):
    """They lose a compressed layer on plain ones: the README tells which to make."""
    image = on_base(tmp_path, 'crane-0.21.tar', gzip.compress)
    container_structure_test(image)
    syft(image)
    image = on_base(tmp_path, 'podman-4.3.tar', gzip.compress)
    with pytest.raises(AssertionError, match='msg=FAIL'):
        container_structure_test(image)
    with pytest.raises(AssertionError, match='failed to read layer'):
        syft(image)


# A partial image.


def test_a_partial_image_loads_in_docker_where_its_base_is(docker, ctr, podman, tmp_path):
    base = DATA / 'bases' / 'docker-20.10.tar'
    image, flags = derived(tmp_path, base.name, layers=[NEW])
    build(*flags[:-1], f'--tag={TAG}')
    assert 'no such file or directory' in docker('load', '-i', image.output, fails=True)
    assert docker.tags() == set()
    docker('load', '-i', base)
    docker('load', '-i', image.output)
    assert docker.tags() == {TAG, 'example/base:1.0'}
    assert docker.id(TAG) == f'sha256:{image.id}'
    check(docker.files(TAG))
    load = ['images', 'import', '--snapshotter', 'native']
    ctr(*load, base)
    assert 'failed to resolve layers' in ctr(*load, image.output, fails=True)
    assert ctr('images', 'ls', '-q') == 'docker.io/example/base:1.0'
    podman('load', '-i', base)
    assert 'layer tarfiles are missing' in podman('load', '-i', image.output, fails=True)
    assert len(podman('images', '-q').split()) == 1


# The layout of Docker before 1.10.


def without_manifest(image):
    """Returns a copy without manifest.json: Docker 20.10 reads it as one of before 1.10."""
    copy = image.folder / 'v1.tar'
    with tarfile.open(image.output) as old, tarfile.open(copy, 'w') as new:
        for member in old:
            if member.name != 'manifest.json':
                new.addfile(member, old.extractfile(member))
    return copy


def v1_flags(folder, identifier, repository, **fields):
    path = folder / 'metadata.json'
    v1 = {'id': identifier, 'created': '1970-01-01T00:00:00Z', 'os': 'linux', **fields}
    path.write_text(json.dumps({'architecture': 'amd64', **v1}))
    flags = [f'--legacy_id={identifier}', f'--metadata={path}']
    return [*flags, f'--repository={repository}', '--name=2.0']


def test_both_layouts_run(docker, tmp_path, hello, executable):
    config = {'Cmd': ['/hello']}
    program = (hello / 'root' / 'hello').read_bytes()
    image = Parts(tmp_path, [{**NEW, 'hello': program}], config=config)
    flags = v1_flags(tmp_path, 'ab' * 32, 'example/v1', config=config)
    build(*image.flags, *flags, f'--tag={TAG}')
    assert NEW.items() <= in_docker(docker, image).items()
    assert docker.run(TAG) == GREETING
    docker.clear()
    docker('load', '-i', without_manifest(image))
    assert docker.tags() == {'example/v1:2.0'}
    assert docker.run('example/v1:2.0') == GREETING
    assert NEW.items() <= docker.files('example/v1:2.0').items()


def test_on_the_base_of_docker_1_9(docker, tmp_path):
    base = DATA / 'bases' / 'docker-1.9.tar'
    parent = json.loads(files_of_tar(base)['repositories'])['example/base']['1.0']
    image = Parts(tmp_path, [NEW])
    flags = v1_flags(tmp_path, 'cd' * 32, 'example/derived', parent=parent, config={})
    done = build(*image.flags, *flags, f'--base={base}', f'--legacy_base={base}', warnings=True)
    (warning,) = done.stderr.decode().splitlines()
    assert 'images on it load in Docker before 1.10 only' in warning
    docker('load', '-i', without_manifest(image))
    assert docker.tags() == {TAG}
    check(docker.files(TAG))


# Images without a base.

GREETING = 'Hello from an image made by create_image.'


@pytest.fixture(scope='module')
def hello(tmp_path_factory):
    """The folder in which the example was built, in a copy of the project."""
    project = tmp_path_factory.mktemp('project')
    for name in ('create_image.py', 'archive.py', 'utils.py'):
        shutil.copy(ROOT / name, project)
    unbuilt = shutil.ignore_patterns('*.tar', '*.sha256', 'root')
    folder = shutil.copytree(ROOT / 'examples', project / 'examples', ignore=unbuilt) / 'hello'
    call(folder / 'build.sh', env=environment(PYTHON=sys.executable))
    return folder


@pytest.fixture
def executable(monkeypatch):
    """Has Parts make every file of a layer executable."""
    monkeypatch.setattr(helpers, 'make_tar', functools.partial(helpers.make_tar, mode=0o755))


def test_the_example_greets(docker, hello):
    docker('load', '-i', hello / 'hello.tar')
    identifier = sha256((hello / 'config.json').read_bytes())
    assert docker.id('example/hello:1.0') == f'sha256:{identifier}'
    assert docker.run('example/hello:1.0') == GREETING


def test_busybox_on_125_layers(docker, tmp_path, executable):
    """The most that Docker takes."""
    require('busybox')
    command = ['/busybox', 'sh', '-c', '/busybox cat /file0 /file124 && echo $((6 * 7))']
    layers = [{f'file{number}': b'%d\n' % number} for number in range(125)]
    layers[-1]['busybox'] = pathlib.Path(shutil.which('busybox')).read_bytes()
    image = Parts(tmp_path, layers, config={'Cmd': command})
    build(*image.flags, f'--tag={TAG}', '--verify')
    files = in_docker(docker, image)
    assert all(files[f'file{number}'] == b'%d\n' % number for number in range(125))
    assert docker.run(TAG).split() == ['0', '124', '42']


@pytest.mark.parametrize('tags', [[], ['a:1'], ['a:1', 'b/c:2', 'localhost:5000/d:3']])
def test_tags(docker, parts, tags):
    build(*parts.flags, *(f'--tag={tag}' for tag in tags))
    docker('load', '-i', parts.output)
    assert docker.tags() == set(tags or ['<none>:<none>'])
    assert {docker.id(tag) for tag in [parts.id, *tags]} == {f'sha256:{parts.id}'}


def test_the_same_layer_twice(docker, ctr, podman, tmp_path):
    image = Parts(tmp_path, [{'first': b'1'}, {'second': b'2'}, {'first': b'1'}])
    image.layers[2] = image.layers[0]
    build(*image.flags, f'--tag={TAG}')
    for files in in_docker(docker, image), in_containerd(ctr, image), in_podman(podman, image):
        assert files.items() >= {'first': b'1', 'second': b'2'}.items()
    layers = json.loads(docker('image', 'inspect', '--format={{json .RootFS.Layers}}', TAG))
    assert layers == [f'sha256:{identifier}' for identifier, _ in image.layers]


def test_a_stream_loads(docker, tmp_path):
    image = Parts(tmp_path, [NEW])
    command = [sys.executable, ROOT / 'create_image.py', *image.flags, f'--tag={TAG}', '--output=-']
    with subprocess.Popen(command, stdout=subprocess.PIPE) as tool:
        docker('load', stdin=tool.stdout)
    assert tool.returncode == 0
    assert docker.id(TAG) == f'sha256:{image.id}'
    assert NEW.items() <= docker.files(TAG).items()


# Tags. Docker takes one without its tag for `latest`, but loads no image under such a one.

HEX = 'a' * 64
TAGLESS = ['a', 'a/b', 'localhost/a', 'localhost:5000/a', 'h.example/a', 'a:1/b', 'latest']
TAGS = f"""
    LOCALHOST/a:1 Host/a:1 HOST.example/a:1 H:1/a:1 host/a:1 localhost:1 h.example:5000 docker.io:1
    docker.io/a:1 docker.io/library/a:1 index.docker.io/a/b:1 docker.io/:1 docker.io//a:1 a:1/b:2
    localhost:5000/A:1 localhost:5000//a:1 h.example:99999/a:1 h.example/a/b/c/d/e:1 h..example/a:1
    h.example./a:1 .h/a:1 h-.example/a:1 xn--bcher-kva.example/a:1 http://a:1 u@h.example/a:1
    h_x/a:1 h_x:5000/a:1 h_x.example/a:1 a__b.c/d:1 sha256:1 library/sha256:1 docker.io/sha256:1
    localhost/sha256:1 sha256/a:1 [::1]:5000/x:y [::FFFF]:1/x:1 [fe80::1%eth0]:5000/x:1 []/x:1
    [127.0.0.1]/x:1 [::1]x/y:1 ::1/x:1 [::1]:/x:1 [::1]/X:1 [::1]:5000/x:1:2
    a__b:1 a--b:1 a-_b:1 a_.b:1 _a:1 __a:1 a_:1 a__:1 a/_b:1 a/b-:1 a:_ a:__ a:1. a:1- a:. a:LATEST
    a:1+2 a:1~ a:1/ a::1 a:1: a:1# / : //a:1 /:1 a/b/:1 a@1 a:1@sha256:{HEX} a:sha256:{HEX}
    localhost:5000/a@sha256:{HEX} {HEX}:1 x/{HEX}:1 {HEX[1:]}:1 localhost:5000/{HEX}:1 A{HEX[1:]}:1
""".split()
TAGS += ['a :1', 'a: 1', 'a:1 ', '\ta:1', 'a:1\t', 'a\n:1', 'a:1\r', 'a b:1', 'a:1\x7f', 'h. /a:1']
TAGS += ['h.exämple/a:1', 'a:\uff11', 'a\u200b:1', '\u017f:1', '日本:1']
TAGS += [f'a:{"t" * length}' for length in (127, 128, 129)]
# The longest name and one too long; Docker's Hub counts as docker.io/library/.
LONGEST = {'': 237, 'a/': 245, 'docker.io/': 247, 'index.docker.io/': 253, 'h.example:5000/': 255}
LONGEST |= {'index.docker.io/a/': 261, 'a/' * 118: 245, 'h_x.example/': 255}
for start, length in LONGEST.items():
    TAGS += [start.ljust(length + more, 'a') + ':1' for more in (0, 1)]


def test_docker_takes_the_tags_that_verify_takes(docker, parts):
    build(*parts.flags, '--tag=keep:1')
    docker('load', '-i', parts.output)
    tags = list(dict.fromkeys([*GOOD_TAGS, *BAD_TAGS, *TAGS, *TAGLESS]))
    flags = [*parts.flags, *(f'--tag={tag}' for tag in tags), '--verify']
    lines = call(sys.executable, ROOT / 'create_image.py', *flags, fails=True)
    refused = {tag for tag in tags if f'--tag: {tag!r}: give ' in lines}
    assert refused >= {*BAD_TAGS, *TAGLESS}

    def docker_takes(tag):
        command = ['docker', '-H', docker.host, 'tag', '--', parts.id, tag]
        done = subprocess.run(command, capture_output=True, check=False)
        # The daemon, 20.10, knows no IPv6 host; a client from 23 on does and judges first.
        return done.returncode == 0 or (tag.startswith('[') and b'from daemon' in done.stderr)

    client = docker('version', '--format={{.Client.Version}}')
    if int(client.partition('.')[0]) < 23:  # it gives the daemon a name without its tag, too
        tags = [tag for tag in tags if not tag.startswith(('[', HEX))]
    tags = [tag for tag in tags if tag not in TAGLESS]
    disagreed = [tag for tag in tags if docker_takes(tag) == (tag in refused)]
    assert not disagreed, disagreed
