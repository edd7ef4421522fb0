# SPDX-License-Identifier: Apache-2.0
"""Real clients as fixtures; each has its state in a directory of its own.

A store keeps images: Docker, containerd or Podman. All stores have the same methods: load(),
tags(), config_digest(), files() and clear(). Docker has two stores since version 25: in that of
the graph drivers the ID of an image is the digest of its configuration, in that of containerd it is
the digest of its manifest. A test with the fixture `store` runs in each store, one with `docker` in
each of Docker's.

A test begins with empty stores, as a layer that is already there would hide a missing one.
"""

import contextlib
import http.client
import json
import os
import pathlib
import re
import shutil
import socket
import subprocess
import sys
import tarfile
import tempfile
import time
import urllib.parse

import pytest

from support.needs import missing, require
from support.running import environment
from support.tars import sha256


def call(*command, fails=False, **options):
    """Runs a client; returns its stdout, or the text of its failure."""
    done = subprocess.run(command, capture_output=True, timeout=300, check=False, **options)
    if fails:
        assert done.returncode != 0, done.stdout
        return (done.stdout + done.stderr).decode()
    assert done.returncode == 0, done.stderr.decode()
    return done.stdout.decode().strip()


def files_of_tar(path):
    """Returns {name: content} of the regular files in an archive."""
    with tarfile.open(path) as tar:
        return {m.name: tar.extractfile(m).read() for m in tar if m.isreg()}


def files_below(directory):
    """Returns {name: content} of the regular files in a directory."""
    # Links first: Linux refuses to follow some.
    paths = [path for path in directory.rglob('*') if not path.is_symlink() and path.is_file()]
    return {str(path.relative_to(directory)): path.read_bytes() for path in paths}


@contextlib.contextmanager
def daemon(directory, command, probe):
    """Runs a daemon; yields as soon as the probe succeeds."""
    if os.geteuid() != 0:
        missing(f'{command[0]} needs root')
    # If the test run is killed, the daemon ends after an hour and a half at most.
    command = ['timeout', '--kill-after=60', '5400', *command]
    log = directory / 'log'
    with log.open('wb') as output:
        process = subprocess.Popen(command, stdout=output, stderr=output, start_new_session=True)
    try:
        end = time.monotonic() + 60
        while not _answers(probe):
            assert process.poll() is None and time.monotonic() < end, log.read_text()[-2000:]
            time.sleep(0.1)
        yield
    finally:
        process.terminate()
        process.wait(90)


def _answers(probe):
    """Tells whether a client reaches its daemon; ctr may hang if the daemon has just started."""
    try:
        return subprocess.run(probe, capture_output=True, timeout=10, check=False).returncode == 0
    except subprocess.TimeoutExpired:
        return False


class _LocalConnection(http.client.HTTPConnection):
    """A connection to a Unix socket."""

    def __init__(self, path):
        super().__init__('localhost', timeout=300)
        self._path = path

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        self.sock.connect(os.fspath(self._path))


class Docker:
    """The client of a Docker daemon.

    What prepares a test or looks at its result asks the daemon itself, by the Docker Engine API,
    because that starts no process.

    Attributes:
        store: Where the daemon keeps its images: 'graphdriver' or 'containerd'.
        version: The major version of the daemon.
    """

    LOAD = ('load', '--input')

    def __init__(self, directory, store, is_overlay=False):
        self.directory = directory
        self.store = store
        self.is_overlay = is_overlay
        self.version = None
        self.command = ['docker', '-H', f'unix://{directory}/docker.sock']

    @contextlib.contextmanager
    def running(self):
        require('docker', 'dockerd')
        features = {'containerd-snapshotter': self.store == 'containerd'}
        config = self.directory / 'daemon.json'
        config.write_text(json.dumps({'features': features}))
        # These drivers copy the files of each layer, which works on any file system.
        drivers = {'graphdriver': 'vfs', 'containerd': 'native'}
        if self.is_overlay:
            drivers = {'graphdriver': 'overlay2', 'containerd': 'overlayfs'}
        driver = drivers[self.store]
        command = ['dockerd', f'--config-file={config}', f'--storage-driver={driver}']
        command += ['--host', self.command[-1], '--data-root', self.directory / 'data']
        command += ['--exec-root', self.directory / 'exec', '--pidfile', self.directory / 'pid']
        command += ['--iptables=false', '--bridge=none']
        with daemon(self.directory, command, [*self.command, 'version']):
            self.version = int(self('version', '--format={{.Server.Version}}').split('.')[0])
            yield

    def __call__(self, *arguments, **options):
        return call(*self.command, *arguments, **options)

    def load(self, path, **options):
        return self(*self.LOAD, path, **options)

    def tags(self):
        return set(self('images', '--format={{.Repository}}:{{.Tag}}').split())

    def id(self, tag):
        return self('image', 'inspect', '--format={{.Id}}', tag)

    def config_digest(self, tag):
        path = self.directory / 'saved.tar'
        self('save', '--output', path, tag)
        with tarfile.open(path) as tar:
            (image,) = json.load(tar.extractfile('manifest.json'))
        return re.search('[0-9a-f]{64}', image['Config'])[0]

    def run(self, tag, *command):
        return self('run', '--rm', '--network=none', tag, *command)

    def files(self, tag):
        created = self._ask('POST', '/containers/create', {'Image': tag, 'Cmd': ['/none']})
        container = json.loads(created)['Id']
        path = self.directory / 'files.tar'
        path.write_bytes(self._ask('GET', f'/containers/{container}/export'))
        self._ask('DELETE', f'/containers/{container}')
        return files_of_tar(path)

    def clear(self):
        for container in json.loads(self._ask('GET', '/containers/json?all=1')):
            self._ask('DELETE', f'/containers/{container["Id"]}?force=1')
        even_with_tags = urllib.parse.quote(json.dumps({'dangling': ['false']}))
        while json.loads(self._ask('GET', '/images/json?all=1')):
            # An image that is the Parent of others is removed only after them.
            self._ask('POST', f'/images/prune?filters={even_with_tags}')

    def _ask(self, method, path, body=None):
        """Sends a request to the daemon; returns the bytes of the answer."""
        with contextlib.closing(_LocalConnection(self.directory / 'docker.sock')) as connection:
            data = None if body is None else json.dumps(body)
            connection.request(method, path, data, {'Content-Type': 'application/json'})
            answer = connection.getresponse()
            content = answer.read()
        assert answer.status < 300, content.decode()
        return content


class Containerd:
    """containerd's client ctr."""

    def __init__(self, directory, snapshotter='native'):
        self.directory = directory
        self.snapshotter = snapshotter
        self.LOAD = ('images', 'import', f'--snapshotter={snapshotter}')
        self.command = ['ctr', '--address', f'{directory}/c.sock']

    @contextlib.contextmanager
    def running(self):
        require('ctr', 'containerd')
        config = self.directory / 'config.toml'
        # From version 2 on containerd unpacks only as unpack_config says; 1.6 does not read it.
        config.write_text(
            f'version = 2\nroot = "{self.directory}/root"\nstate = "{self.directory}/state"\n'
            'disabled_plugins = ["io.containerd.grpc.v1.cri"]\n'
            f'[grpc]\naddress = "{self.directory}/c.sock"\n'
            '[[plugins."io.containerd.transfer.v1.local".unpack_config]]\n'
            f'platform = "linux/amd64"\nsnapshotter = "{self.snapshotter}"\n'
        )
        with daemon(self.directory, ['containerd', '--config', config], [*self.command, 'version']):
            yield

    def __call__(self, *arguments, **options):
        return call(*self.command, *arguments, **options)

    def load(self, path, **options):
        return self(*self.LOAD, path, **options)

    def names(self):
        return self('images', 'ls', '--quiet').split()

    def tags(self):
        return {name.removeprefix('docker.io/') for name in self.names()}

    def digest(self, tag):
        """Returns the digest of an image's manifest."""
        (line,) = self('images', 'ls', f'name==docker.io/{tag}').splitlines()[1:]
        return line.split()[2]

    def config_digest(self, tag):
        manifest = json.loads(self('content', 'get', self.digest(tag)))
        return manifest['config']['digest'].removeprefix('sha256:')

    def run(self, tag, *command):
        """Runs a command that prints something."""
        image = [f'--snapshotter={self.snapshotter}', f'docker.io/{tag}', 'container']
        for _ in range(5):
            printed = self('run', '--rm', *image, *command)
            if printed:
                return printed
            # It may be lost if the container ends at once (seen with 1.6, containerd's issue 5741).
        raise AssertionError('ctr run prints nothing, five times')

    def files(self, tag):
        # A new directory: containerd 1.6 may show an earlier mount again at the same path.
        with tempfile.TemporaryDirectory(dir=self.directory) as directory:
            self('images', 'mount', self.LOAD[-1], f'docker.io/{tag}', directory)
            try:
                return files_below(pathlib.Path(directory))
            finally:
                self('images', 'unmount', '--rm', self.LOAD[-1], directory)

    def clear(self):
        names = self.names()
        if names:
            self('images', 'rm', '--sync', *names)


class Podman:
    """Podman, which has no daemon."""

    LOAD = ('load', '--input')

    def __init__(self, driver='vfs'):
        self.driver = driver
        # The path must be short: Podman refuses more than 50 characters.
        self.directory = None
        self.command = None

    @contextlib.contextmanager
    def running(self):
        require('podman', 'runc')
        if os.geteuid() != 0:
            missing('podman is tried as root')
        with tempfile.TemporaryDirectory() as directory:
            self.directory = directory
            self.command = [
                'podman',
                f'--storage-driver={self.driver}',
                '--root',
                f'{directory}/root',
            ]
            self.command += ['--runroot', f'{directory}/run', '--tmpdir', f'{directory}/tmp']
            # crun needs a kernel with only version 2 of control groups.
            self.command += ['--runtime=runc']
            try:
                yield
            finally:
                # The overlay driver leaves a mount of its directory.
                subprocess.run(['umount', f'{directory}/root/overlay'], capture_output=True)

    def __call__(self, *arguments, **options):
        return call(*self.command, *arguments, **options)

    def load(self, path, **options):
        return self(*self.LOAD, path, **options)

    def tags(self):
        names = self('images', '--format={{.Repository}}:{{.Tag}}').split()
        return {re.sub('^(localhost|docker.io)/', '', name) for name in names}

    def config_digest(self, tag):
        return self('image', 'inspect', '--format={{.Id}}', tag)

    def run(self, tag, *command):
        # A sandbox may not allow the default limits.
        limits = ['--ulimit=nofile=1024:1024', '--ulimit=nproc=1024:1024']
        return self('run', '--rm', '--network=none', *limits, tag, *command)

    def files(self, tag):
        files = files_below(pathlib.Path(self('image', 'mount', tag)))
        self('image', 'unmount', tag)
        return files

    def clear(self):
        self('rmi', '--all', '--force')  # and the containers of all images


def _stores_of_docker():
    """Returns the stores of the installed Docker daemon."""
    if not shutil.which('dockerd'):
        return ['graphdriver']
    version = int(re.search(r'version (\d+)', call('dockerd', '--version'))[1])
    return ['graphdriver', 'containerd'] if version >= 25 else ['graphdriver']


DOCKERS = [f'docker-{store}' for store in _stores_of_docker()]
STORES = [*DOCKERS, 'containerd', 'podman']
# The same with the storage that they have by default, which deletes what is below by whiteouts.
OVERLAYS = [f'{name}-overlay' for name in STORES]


@pytest.fixture(scope='session')
def running_store(tmp_path_factory):
    """A function that returns a store by its name, empty; the first call starts it."""
    stores = {}

    def store_of(name):
        if name not in stores:
            client, *rest = name.split('-')
            is_overlay = 'overlay' in rest
            if client == 'containerd':
                snapshotter = 'overlayfs' if is_overlay else 'native'
                store = Containerd(tmp_path_factory.mktemp(name), snapshotter)
            elif client == 'podman':
                store = Podman('overlay' if is_overlay else 'vfs')
            else:
                store = Docker(tmp_path_factory.mktemp(name), rest[0], is_overlay)
            stack.enter_context(store.running())
            stores[name] = store
        stores[name].clear()
        return stores[name]

    with contextlib.ExitStack() as stack:
        yield store_of


@pytest.fixture(params=STORES)
def store(request, running_store):
    return running_store(request.param)


@pytest.fixture(params=DOCKERS)
def docker(request, running_store):
    return running_store(request.param)


@pytest.fixture
def containerd(running_store):
    return running_store('containerd')


@pytest.fixture
def podman(running_store):
    return running_store('podman')


def unpacks(store, path, tag):
    """Tries to load an image with a file `lower`, and to read that; returns whether both work."""
    command = [*store.command, *store.LOAD, path]
    done = subprocess.run(command, capture_output=True, timeout=300, check=False)
    if done.returncode:
        return False
    try:
        return 'lower' in store.files(tag)
    except (AssertionError, OSError):
        return False


def load_incomplete(store, path):
    """Loads an image of which a layer is nowhere, which must fail; returns the client's message."""
    if isinstance(store, Docker) and store.store == 'containerd':
        words = store.load(path)  # exits with status 0 all the same
        assert 'Error unpacking image' in words
        return words
    return store.load(path, fails=True)


# The layout of Docker 1.9 or older.


def without_manifest(image):
    """Returns a copy without manifest.json, which Docker reads as an archive of Docker 1.9."""
    copy = image.directory / 'v1.tar'
    with tarfile.open(image.output) as old, tarfile.open(copy, 'w') as new:
        for member in old:
            if member.name != 'manifest.json':
                new.addfile(member, old.extractfile(member))
    return copy


def v1_flags(directory, identifier, repository, **fields):
    path = directory / 'metadata.json'
    v1 = {'id': identifier, 'created': '1970-01-01T00:00:00Z', 'os': 'linux', **fields}
    path.write_text(json.dumps({'architecture': 'amd64', **v1}))
    flags = [f'--legacy_id={identifier}', f'--metadata={path}']
    return [*flags, f'--repository={repository}', '--name=2.0']


def load_v1(docker, image):
    """Loads the parts of an image that Docker 1.9 reads; returns whether the store can do so."""
    archive = without_manifest(image)
    if docker.store == 'containerd':
        assert 'unrecognized image format' in docker.load(archive, fails=True)
        return False
    docker.load(archive)
    return True


# Programs that read an archive.


def scan_with_syft(image, transport, expected):
    """Checks the files that syft finds in an image; returns its description of the image.

    Args:
        image: The Parts of the archive.
        transport: How syft reads the archive: docker-archive or oci-archive.
        expected: {name: content}
    """
    require('syft')
    variables = {'HOME': str(image.directory), 'SYFT_CHECK_FOR_APP_UPDATE': 'false'}
    variables |= {'SYFT_FILE_METADATA_SELECTION': 'all', 'SYFT_FILE_METADATA_DIGESTS': 'sha256'}
    command = ['syft', 'scan', f'{transport}:{image.output}', '--output=syft-json']
    report = json.loads(call(*command, env=environment(**variables)))
    found = report['source']['metadata']
    assert found['imageID'] == f'sha256:{image.id}'
    files = {file['location']['path'].lstrip('/'): file for file in report['files']}
    for name, data in expected.items():
        assert files[name]['digests'] == [{'algorithm': 'sha256', 'value': sha256(data)}], name
    return found


def check_with_container_structure_test(image, expected):
    """Checks the files that container-structure-test finds in an image.

    Args:
        image: The Parts of the archive.
        expected: {name: content}
    """
    require('container-structure-test')
    tests = [
        {'name': name, 'path': f'/{name}', 'expectedContents': [rf'^\Q{data.decode()}\E$']}
        for name, data in expected.items()
    ]
    config = image.directory / 'tests.json'
    config.write_text(json.dumps({'schemaVersion': '2.0.0', 'fileContentTests': tests}))
    command = ['container-structure-test', 'test', '--driver=tar', '--image', image.output]
    assert f'Passes:      {len(expected)}\n' in call(*command, '--config', config)


# A registry.


@contextlib.contextmanager
def registry(directory):
    """Runs an empty registry; yields its address. Its log is the file `log` in the directory."""
    require('docker-registry')
    with socket.socket() as free:
        free.bind(('127.0.0.1', 0))
        address = f'127.0.0.1:{free.getsockname()[1]}'
    directory.mkdir()
    config = directory / 'config.yml'
    config.write_text(
        'version: 0.1\nlog: {level: info, accesslog: {disabled: false}}\n'
        f'storage: {{filesystem: {{rootdirectory: {directory}/data}}}}\n'
        f'http: {{addr: "{address}"}}\n'
    )
    program = f"import urllib.request; urllib.request.urlopen('http://{address}/v2/')"
    probe = [sys.executable, '-c', program]
    with daemon(directory, ['docker-registry', 'serve', config], probe):
        yield address
