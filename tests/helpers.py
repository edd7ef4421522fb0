# SPDX-License-Identifier: Apache-2.0
"""What the tests share: running the programs, tar archives, images to build and to build on."""

import bz2
import dataclasses
import gzip
import hashlib
import importlib.util
import json
import lzma
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tarfile

import pytest

ROOT = pathlib.Path(__file__).absolute().parent.parent
TOOL = ROOT / 'create_image.py'
DATA = ROOT / 'tests' / 'testdata'
BASES = sorted(path.name for path in (DATA / 'bases').iterdir())
BEFORE_1_10 = 'docker-1.9.tar'
MODERN = [name for name in BASES if name != BEFORE_1_10]
EPOCH = '1970-01-01T00:00:00Z'


def sha256(data):
    return hashlib.sha256(data).hexdigest()


# Running the programs.


def command(program, *flags):
    """Returns the command line of a program; a flag may be bytes."""
    arguments = [flag if isinstance(flag, bytes) else str(flag) for flag in flags]
    return [sys.executable, ROOT / f'{program}.py', *arguments]


def run_program(program, *flags, **options):
    """Runs a program as its users do; returns the finished process."""
    options = {'capture_output': True, 'timeout': 300, 'check': False, **options}
    return subprocess.run(command(program, *flags), **options)


def run(*flags, **options):
    return run_program('create_image', *flags, **options)


def messages(stderr, program='create_image'):
    """Returns a program's warnings, and the errors behind them, without the program's name."""
    warning = re.compile(f'{program}: warning: ')
    warnings, errors = [], []
    for line in stderr.decode().splitlines():
        if warning.match(line):
            assert not errors, stderr.decode()
            warnings.append(warning.sub('', line, count=1))
        else:
            assert line.startswith(f'{program}: '), stderr.decode()
            errors.append(line.removeprefix(f'{program}: '))
    return warnings, errors


def build(*flags, warnings=False, program='create_image', **options):
    """Runs a program, which must succeed and say nothing, or nothing but warnings."""
    done = run_program(program, *flags, **options)
    assert done.returncode == 0, done.stderr.decode()
    if warnings:
        assert messages(done.stderr, program)[1] == []
    else:
        assert done.stderr == b''
    return done


def warns(*flags, program='create_image', **options):
    """Runs a program, which must succeed; returns its warnings."""
    done = build(*flags, warnings=True, program=program, **options)
    return messages(done.stderr, program)[0]


def fails(*flags, program='create_image', **options):
    """Runs a program, which must end as on bad input; returns its one error."""
    done = run_program(program, *flags, **options)
    _, errors = messages(done.stderr, program)
    assert done.returncode == 1, done
    assert len(errors) == 1, errors
    return errors[0]


def problems(*flags, warnings=(), program='create_image', **options):
    """Runs a program with --verify, which must give these warnings; returns its errors."""
    done = run_program(program, *flags, '--verify', **options)
    found, errors = messages(done.stderr, program)
    assert found == list(warnings)
    assert done.returncode == (1 if errors else 0)
    return errors


# Runs a program and prints what the system knows of it in the end.
_MEASURED = """
import atexit, os, runpy, sys
del sys.argv[0]
sys.path[0] = os.path.dirname(sys.argv[0])
def tell():
    for name in ('status', 'io'):
        with open(f'/proc/self/{name}') as f:
            print(f.read())
atexit.register(tell)
runpy.run_path(sys.argv[0], run_name='__main__')
"""


def measure(*flags, program='create_image', **options):
    """Runs a program; returns it, its peak of memory, and how much it read, in bytes (proc(5))."""
    python, *arguments = command(program, *flags)
    options = {'capture_output': True, 'timeout': 300, 'check': False, **options}
    done = subprocess.run([python, '-c', _MEASURED, *arguments], **options)
    facts = dict(re.findall(r'^(\w+):\s*(\d+)', done.stdout.decode(), re.MULTILINE))
    return done, int(facts['VmHWM']) << 10, int(facts['rchar'])


def environment(**changes):
    return {**os.environ, **changes}


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


# Building tar archives: bytes, a member after the other, the wrong ones too.

# Where the fields of a header begin and end (POSIX ustar). Old GNU tar has times at prefix.
FIELDS = {
    'name': (0, 100),
    'mode': (100, 108),
    'uid': (108, 116),
    'gid': (116, 124),
    'size': (124, 136),
    'mtime': (136, 148),
    'checksum': (148, 156),
    'type': (156, 157),
    'linkname': (157, 257),
    'magic': (257, 265),
    'uname': (265, 297),
    'gname': (297, 329),
    'devmajor': (329, 337),
    'devminor': (337, 345),
    'prefix': (345, 500),
}
BLOCK = tarfile.BLOCKSIZE
FILE, DIR, LINK, HARD = tarfile.REGTYPE, tarfile.DIRTYPE, tarfile.SYMTYPE, tarfile.LNKTYPE
EXTENDED, GLOBAL = tarfile.XHDTYPE, tarfile.XGLTYPE
LONG_NAME, LONG_LINK = tarfile.GNUTYPE_LONGNAME, tarfile.GNUTYPE_LONGLINK


def member(
    name, data=b'', kind=FILE, link='', size=None, dialect=tarfile.GNU_FORMAT, raw=None, **fields
):
    """Returns a member of an archive: its header, or headers, and its data in whole blocks.

    Args:
        name: Of any length; what is too long for a header is written in the dialect's way.
        data: The content, also of an extended header or a long name.
        kind: The type, any byte.
        link: The target of a link.
        size: The size to claim, in place of that of data.
        dialect: One of the formats of tarfile.
        raw: {field of FIELDS: bytes} to put in the header as they are. The checksum fits, unless
            it is among them.
        **fields: Other attributes of tarfile.TarInfo.
    """
    info = tarfile.TarInfo(name)
    info.type = kind
    info.linkname = link
    info.size = len(data) if size is None else size
    for field, value in fields.items():
        setattr(info, field, value)
    header = info.tobuf(dialect, 'utf-8', 'surrogateescape')
    if raw:
        header = header[:-BLOCK] + with_fields(header[-BLOCK:], **raw)
    return header + data + bytes(-len(data) % BLOCK)


def with_fields(header, **raw):
    """Returns a header with other bytes in its fields, and, without a checksum, with a new one."""
    for field, value in raw.items():
        start, end = FIELDS[field]
        header = header[:start] + value[: end - start].ljust(end - start, b'\0') + header[end:]
    if 'checksum' in raw:
        return header
    start, end = FIELDS['checksum']
    total = sum(header[:start] + b' ' * 8 + header[end:])
    return header[:start] + b'%06o\0 ' % total + header[end:]


def pax(*records, kind=EXTENDED):
    """Returns an extended header of records such as b'path=x', for the member behind it."""
    lines = []
    for record in records:
        size = len(record) + len(b' \n')
        # A record begins with its length, in which its own digits count.
        digits = len(str(size + len(str(size))))
        lines.append(b'%d %s\n' % (size + digits, record))
    return member('pax', b''.join(lines), kind)


def sparse(real_size, *islands, more=b'\0', size=BLOCK):
    """Returns a member in GNU's old sparse format.

    Args:
        real_size: The file's size, its holes included.
        *islands: (offset, size) of what is no hole, at most four.
        more: b'\\1' says that another block of islands follows.
        size: The size that the header claims; one block of zeros follows it in any case.
    """
    numbers = [number for island in islands for number in island]
    table = b''.join(_number(number) for number in numbers).ljust(96, b'\0')
    # They stand in the place of ustar's prefix, behind three times and two numbers (tar.5).
    prefix = bytes(41) + table + more + _number(real_size)
    fields = {'prefix': prefix, 'magic': b'ustar  \0'}
    return member('s', kind=tarfile.GNUTYPE_SPARSE, size=size, raw=fields) + bytes(BLOCK)


def _number(value):
    return tarfile.itn(value, 12, tarfile.GNU_FORMAT)


def tar_of(*members):
    """Returns an archive that ends as GNU tar's do: two zero blocks and a full record."""
    data = b''.join(members) + bytes(2 * BLOCK)
    return data + bytes(-len(data) % tarfile.RECORDSIZE)


def write_tar(path, *members):
    path.write_bytes(tar_of(*members))
    return path


def make_tar(path, files, **fields):
    """Writes an archive of {name: content}, of root, at time 0."""
    return write_tar(path, *(member(name, data, **fields) for name, data in files.items()))


def headers(data):
    """Yields where the headers of a sound archive begin."""
    start, end = FIELDS['size']
    place = 0
    while any(data[place : place + BLOCK]):
        yield place
        size = int(data[place + start : place + end - 1], 8)
        place += BLOCK + -(-size // BLOCK) * BLOCK


# Reading archives.


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


def uncompressed(data):
    """Returns the content of a layer, plain or compressed in any way that layers come in."""
    if data.startswith(b'\x1f\x8b'):
        return gzip.decompress(data)
    if data.startswith(b'BZh'):
        return bz2.decompress(data)
    if data.startswith(b'\xfd7zXZ'):
        return lzma.decompress(data)
    if data.startswith(b'\x28\xb5\x2f\xfd'):
        require('zstd')
        return subprocess.run(['zstd', '-dc'], input=data, capture_output=True, check=True).stdout
    return data


def python_reads_zstd():
    return importlib.util.find_spec('compression') is not None


# Images to build on.


def base_diff_ids():
    """The diff IDs of the image in testdata/bases."""
    layers = [DATA / 'base-layer-1.tar', DATA / 'base-layer-2.tar']
    return ['sha256:' + sha256(layer.read_bytes()) for layer in layers]


def configuration(diff_ids, config=None):
    """Returns a configuration with which nothing is wrong, of layers with these diff IDs."""
    return {
        'architecture': 'amd64',
        'os': 'linux',
        'created': EPOCH,
        'config': config or {},
        'rootfs': {'type': 'layers', 'diff_ids': diff_ids},
        'history': [{'created': EPOCH, 'created_by': 'a test'} for _ in diff_ids],
    }


@dataclasses.dataclass
class BaseImage:
    """An image of an archive to build on; its layers have a file each.

    Attributes:
        layer_names: The names of the layers' members, bottom first.
        config_name: The name of the configuration's member, in place of <digest>.json.
        tags: The value of RepoTags.
    """

    layer_names: list[str]
    config_name: str | None = None
    tags: list[str] | None = None

    @property
    def layers(self):
        return {name: tar_of(member('file', name.encode())) for name in self.layer_names}

    @property
    def diff_ids(self):
        return ['sha256:' + sha256(layer) for layer in self.layers.values()]

    @property
    def config(self):
        return json.dumps(configuration(self.diff_ids)).encode()

    @property
    def id(self):
        return sha256(self.config)

    @property
    def files(self):
        """Its members but for manifest.json, as {name: content}."""
        return {self.entry['Config']: self.config, **self.layers}

    @property
    def entry(self):
        """Its entry in manifest.json."""
        config_name = self.config_name or f'{self.id}.json'
        return {'Config': config_name, 'RepoTags': self.tags, 'Layers': self.layer_names}


def write_base(path, *images, position=0, entries=None, more=()):
    """Writes an archive of images.

    Args:
        path: Where.
        *images: BaseImages, whose files stand in this order.
        position: Before which of these files manifest.json stands.
        entries: What manifest.json holds, in place of the images' entries.
        more: Members behind all others.
    """
    files = {}
    for image in images:
        files.update(image.files)
    if entries is None:
        entries = [image.entry for image in images]
    order = list(files)
    order.insert(position, 'manifest.json')
    files['manifest.json'] = json.dumps(entries).encode()
    return write_tar(path, *(member(name, files[name]) for name in order), *more)


def write_base_of(path, data=None, layers=2, **keys):
    """Writes an archive of one image of so many layers.

    Args:
        path: Where.
        data: The bytes of its configuration; None for one with which nothing is wrong.
        layers: The number of its layers.
        **keys: Keys of that configuration to replace.
    """
    names = [f'{number}/layer.tar' for number in range(layers)]
    files = {name: tar_of(member('file', name.encode())) for name in names}
    if data is None:
        diff_ids = ['sha256:' + sha256(layer) for layer in files.values()]
        data = json.dumps({**configuration(diff_ids), **keys}).encode()
    files['config.json'] = data
    entry = {'Config': 'config.json', 'RepoTags': None, 'Layers': names}
    files['manifest.json'] = json.dumps([entry]).encode()
    return make_tar(path, files)


# Images to build.


class Parts:
    """The parts of an image with which nothing is wrong, in a folder, and the flags for them."""

    def __init__(self, folder, layers=None, below=(), config=None, base=None):
        """Makes the parts.

        Args:
            folder: Where they are made.
            layers: The files of each layer, as {name: content}; one layer of one file, if None.
            below: The diff IDs of the layers that the base has.
            config: The key `config` of the configuration.
            base: The path of the archive to give as --base and --legacy_base.
        """
        self.folder = folder
        self.output = folder / 'image.tar'
        self.base = base
        self.layers = []
        for number, files in enumerate(layers or [{'srv/new': b'new layer\n'}]):
            path = make_tar(folder / f'layer{number}.tar', files)
            self.layers.append((sha256(path.read_bytes()), path))
        self.config = folder / 'config.json'
        self.configure(configuration([*below, *self.diff_ids], config))

    @property
    def diff_ids(self):
        """Those of its own layers."""
        return [f'sha256:{identifier}' for identifier, _ in self.layers]

    def configure(self, config):
        """Gives the image another configuration, an object or bytes, and the ID of that."""
        data = config if isinstance(config, bytes) else json.dumps(config).encode()
        self.config.write_bytes(data)
        self.id = sha256(data)

    @property
    def layer_flags(self):
        return [f'--layer={identifier}={path}' for identifier, path in self.layers]

    @property
    def base_flags(self):
        return [f'--base={self.base}', f'--legacy_base={self.base}'] if self.base else []

    @property
    def flags(self):
        """All flags of the image."""
        own = [f'--output={self.output}', f'--id={self.id}', f'--config={self.config}']
        return own + self.layer_flags + self.base_flags

    def without(self, *names):
        """The flags of the image but for those of these names."""
        return [flag for flag in self.flags if flag.partition('=')[0][2:] not in names]

    @property
    def arguments(self):
        """What the flags say, as arguments of create_image.create_image()."""
        arguments = {
            'output': str(self.output),
            'identifier': self.id,
            'layers': [{'name': name, 'layer': str(path)} for name, path in self.layers],
            'config': str(self.config),
        }
        if self.base:
            arguments['base'] = arguments['legacy_base'] = str(self.base)
        return arguments


def on_fixture(folder, base, **options):
    """Returns the parts of an image on one of testdata/bases."""
    below = () if base == BEFORE_1_10 else base_diff_ids()
    return Parts(folder, below=below, base=DATA / 'bases' / base, **options)
