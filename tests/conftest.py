# SPDX-License-Identifier: Apache-2.0
"""What the tests share: the tool as its users run it, and parts to give it."""

import gzip
import hashlib
import io
import json
import os
import pathlib
import shutil
import subprocess
import sys
import tarfile

import pytest

ROOT = pathlib.Path(__file__).absolute().parent.parent
sys.path.insert(0, str(ROOT))
TOOL = ROOT / 'create_image.py'
DATA = ROOT / 'tests' / 'testdata'
BASES = sorted(path.name for path in (DATA / 'bases').iterdir())


def sha256(data):
    return hashlib.sha256(data).hexdigest()


def run(*arguments, **options):
    """Runs the tool as its users do; returns the finished process."""
    command = [sys.executable, TOOL, *map(str, arguments)]
    return subprocess.run(command, capture_output=True, timeout=300, check=False, **options)


def build(*arguments, warnings=False, **options):
    """Runs the tool, which must succeed and, but for warnings, say nothing."""
    done = run(*arguments, **options)
    assert done.returncode == 0, done.stderr.decode()
    assert warnings or done.stderr == b''
    return done


def fails(*arguments, **options):
    """Runs the tool, which must end as it does on bad input; returns its one line."""
    done = run(*arguments, **options)
    lines = done.stderr.decode().splitlines()
    assert done.returncode == 1, done
    assert len(lines) == 1, done.stderr.decode()
    assert lines[0].startswith('create_image: ')
    return lines[0]


def members(path):
    """Returns the archive's members as [(TarInfo, content or None)]."""
    with tarfile.open(path) as tar:
        return [(m, tar.extractfile(m).read() if m.isreg() else None) for m in tar]


def names(path):
    return [member.name for member, _ in members(path)]


def content(path, name):
    """Returns the one member's content, through symbolic and hard links."""
    with tarfile.open(path) as tar:
        assert tar.getnames().count(name) == 1
        return tar.extractfile(name).read()


def manifest(path):
    (entry,) = json.loads(content(path, 'manifest.json'))
    return entry


def make_tar(path, files, **fields):
    """Writes a tarball of {name: content} as root, at time 0."""
    with tarfile.open(path, 'w', format=tarfile.GNU_FORMAT) as tar:
        for name, data in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            for field, value in fields.items():
                setattr(info, field, value)
            tar.addfile(info, io.BytesIO(data))
    return path


def base_diff_ids():
    return [
        'sha256:' + sha256((DATA / f'base-layer-{number}.tar').read_bytes()) for number in (1, 2)
    ]


class Parts:
    """One image's configuration and layers in a folder, and the flags that name them."""

    def __init__(self, folder, layers=None, below=(), config=None):
        self.folder = folder
        self.layers = []
        for number, files in enumerate(layers or [{'srv/new': b'new layer\n'}]):
            path = make_tar(folder / f'layer{number}.tar', files)
            self.layers.append((sha256(path.read_bytes()), path))
        diff_ids = [*below, *(f'sha256:{identifier}' for identifier, _ in self.layers)]
        text = {
            'architecture': 'amd64',
            'os': 'linux',
            'config': config or {},
            'rootfs': {'type': 'layers', 'diff_ids': diff_ids},
            'history': [{'created': '1970-01-01T00:00:00Z'} for _ in diff_ids],
        }
        self.config = folder / 'config.json'
        self.config.write_text(json.dumps(text))
        self.id = sha256(self.config.read_bytes())
        self.output = folder / 'image.tar'

    @property
    def flags(self):
        return [
            f'--output={self.output}',
            f'--id={self.id}',
            f'--config={self.config}',
            *(f'--layer={identifier}={path}' for identifier, path in self.layers),
        ]


@pytest.fixture
def parts(tmp_path):
    return Parts(tmp_path)


def derived(folder, base, **options):
    """Parts of an image on one of the fixtures, and the flags that build it whole."""
    image = Parts(folder, below=base_diff_ids(), **options)
    path = DATA / 'bases' / base
    return image, [*image.flags, f'--base={path}', f'--legacy_base={path}']


def missing(reason):
    """Skips the test, or fails it where REQUIRE_CLIENTS=1 says that all must be there."""
    if os.environ.get('REQUIRE_CLIENTS') == '1':
        pytest.fail(reason)
    pytest.skip(reason)


def require(*programs):
    for program in programs:
        if not shutil.which(program):
            missing(f'{program} is not installed')


def as_another_user(folder, function):
    """Calls a function as another user in a folder; returns what it gives, a small number."""
    if os.geteuid() != 0:
        missing('only root may become another user')
    pid = os.fork()
    if not pid:
        result = 99
        try:
            os.chdir(folder)
            os.setgid(12345)
            os.setuid(12345)
        except OSError:
            result = 77
        else:
            result = function()
        finally:
            os._exit(result)
    result = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    if result == 77:
        missing('this sandbox lets no one become another user')
    return result


def environment(**changes):
    return {**os.environ, **changes}


def gunzip(data):
    return gzip.decompress(data) if data.startswith(b'\x1f\x8b') else data
