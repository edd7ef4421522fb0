# SPDX-License-Identifier: Apache-2.0
"""The images that bench.py measures with: valid ones, for which the programs print nothing."""

import hashlib
import itertools
import json
import pathlib
import random
import subprocess
import sys
import tarfile
from typing import NamedTuple

ROOT = pathlib.Path(__file__).absolute().parent.parent.parent
MIB = 1 << 20
EPOCH = '1970-01-01T00:00:00Z'


def program(name, *flags):
    """Returns the command that runs one of the programs."""
    return [sys.executable, ROOT / f'{name}.py', *flags]


def sh(*command):
    """Runs a command, which must succeed and print nothing."""
    done = subprocess.run(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    if done.returncode or done.stderr:
        words = ' '.join(str(word) for word in command)
        sys.exit(f'bench: {words}: {done.stderr.decode()}')


class Layer(NamedTuple):
    """A layer: a tar archive with one file.

    Attributes:
        path: where it is.
        diff_id: its SHA-256, in hex.
    """

    path: pathlib.Path
    diff_id: str


def layer_at(path):
    """Returns the layer that is at a path."""
    digest = hashlib.sha256()
    with path.open('rb') as file:
        while block := file.read(MIB):
            digest.update(block)
    return Layer(path, digest.hexdigest())


def make_files(directory, count, size):
    """Writes files, 20 in each directory; their sizes vary, as those of a real tree do.

    Args:
        directory: the directory, which is created.
        count: the number of the files.
        size: the mean of their sizes in bytes; the size of a single one.
    """
    numbers = random.Random(count)
    data = numbers.randbytes(MIB)
    for number in range(count):
        parent = directory / f'{number // 1000}' / f'directory {number // 20}'
        parent.mkdir(0o755, parents=True, exist_ok=True)
        length = size if count == 1 else int(numbers.expovariate(1 / size))
        with (parent / f'file {number}').open('wb') as file:
            for start in range(0, length, MIB):
                file.write(data[: length - start])


def make_layer(path, size, blocks=None):
    """Writes a layer.

    Args:
        path: the path of the layer.
        size: the size of its file in MiB.
        blocks: a function that yields these MiB; by default each has equal lines, and all blocks
            differ, so that no program can leave one out.
    """
    file = tarfile.TarInfo(path.name)
    file.size = size * MIB
    digest = hashlib.sha256()
    content = (blocks or _different_blocks)(path.name, size)
    with path.open('wb') as f:
        for data in itertools.chain([file.tobuf()], content, [bytes(1024)]):
            f.write(data)
            digest.update(data)
    return Layer(path, digest.hexdigest())


def _different_blocks(name, count):
    for number in range(count):
        line = hashlib.sha256(f'{name} {number}'.encode()).digest()
        yield line * (MIB // len(line))


def compressible_blocks(name, count):
    """Yields hex digits: gzip halves them, and finds nothing repeated in its window."""
    numbers = random.Random(name)
    digits = numbers.randbytes(4 * MIB).hex().encode()
    for _ in range(count):
        start = numbers.randrange(len(digits) - MIB)
        yield digits[start : start + MIB]


class Image:
    """An image to build.

    Attributes:
        layers: the layers that it adds.
        config: the path of its configuration.
        flags: the flags of create_image for its parts.
    """

    def __init__(self, directory, name, layers, base=None):
        """Writes the configuration of the image.

        Args:
            directory: the directory of its files.
            name: the name of the image and of its files.
            layers: the layers that it adds.
            base: the path of the archive to build on.
        """
        self.layers = layers
        self.config = directory / f'{name}.json'
        self._archive = directory / f'{name}.tar'
        parts = [f'--layer={layer.diff_id}={layer.path}' for layer in layers]
        base_flags = []
        if base is not None:
            parts.append(f'--base={base}')
            base_flags.append(f'--legacy_base={base}')
        sh(*program('create_image_config', f'--output={self.config}', *parts))
        tag = f'--tag=bench/{name}:1'
        self.flags = [f'--config={self.config}', tag, *parts, *base_flags]

    def add_history(self, count):
        """Adds entries without a layer to the history of the configuration."""
        config = json.loads(self.config.read_bytes())
        for number in range(count):
            entry = {'created_by': f'ENV NUMBER={number}', 'created': EPOCH, 'empty_layer': True}
            config['history'].append(entry)
        self.config.write_text(json.dumps(config))

    def build(self, output, *flags):
        """Returns the command that writes the archive of the image."""
        identifier = hashlib.sha256(self.config.read_bytes()).hexdigest()
        own_flags = [f'--output={output}', f'--id={identifier}', *self.flags]
        return program('create_image', *own_flags, *flags)

    def save(self):
        """Writes the archive of the image; returns its path."""
        sh(*self.build(self._archive))
        return self._archive


def add_members(archive, count):
    """Adds empty files to an archive, in 100 directories."""
    with tarfile.open(archive, 'a') as tar:
        for number in range(count):
            tar.addfile(tarfile.TarInfo(f'{number % 100}/{number}'))


def join(output, archives):
    """Returns the command that joins archives."""
    return program('join_layers', f'--output={output}', *(f'--layer={path}' for path in archives))
