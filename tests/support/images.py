# SPDX-License-Identifier: Apache-2.0
"""Sample images: bases to build on, and images to build."""

import dataclasses
import json

from support.project import DATA, FIXTURES
from support.tars import make_tar, member, sha256, tar_of, write_tar

BASES = sorted(path.name for path in FIXTURES.iterdir())
BEFORE_1_10 = 'docker-1.9.tar'
MODERN = [name for name in BASES if name != BEFORE_1_10]
EPOCH = '1970-01-01T00:00:00Z'

# Images to build on.


def base_diff_ids():
    """The diff IDs of the image in testdata/bases."""
    layers = [DATA / 'base-layer-1.tar', DATA / 'base-layer-2.tar']
    return ['sha256:' + sha256(layer.read_bytes()) for layer in layers]


def configuration(diff_ids, config=None):
    """Returns a valid configuration of layers with these diff IDs."""
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
    """An image in an archive to build on; each layer has one file.

    Attributes:
        layer_names: The names of the layers in the archive, lowest first.
        config_name: The name of the configuration in the archive; by default <digest>.json.
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
        """The files of the image without manifest.json, as {name: content}."""
        return {self.entry['Config']: self.config, **self.layers}

    @property
    def entry(self):
        """The entry of the image in manifest.json."""
        config_name = self.config_name or f'{self.id}.json'
        return {'Config': config_name, 'RepoTags': self.tags, 'Layers': self.layer_names}


def write_base(path, *images, position=0, entries=None, without=(), more=()):
    """Writes an archive with images.

    Args:
        path: The path of the archive.
        *images: BaseImages; their files are written in this order.
        position: The number of files before manifest.json.
        entries: The entries of manifest.json, if they differ from those of the images.
        without: The names of files that are left out.
        more: Members to add after all others.
    """
    files = {}
    for image in images:
        files.update(image.files)
    if entries is None:
        entries = [image.entry for image in images]
    order = [name for name in files if name not in without]
    order.insert(position, 'manifest.json')
    files['manifest.json'] = json.dumps(entries).encode()
    return write_tar(path, *(member(name, files[name]) for name in order), *more)


def write_base_of(path, data=None, layers=2, **keys):
    """Writes an archive with one image, whose configuration config.json may be wrong.

    Args:
        path: The path of the archive.
        data: The bytes of the configuration; by default a valid one.
        layers: The number of layers.
        **keys: Keys to replace in the valid configuration.
    """
    image = BaseImage([f'{number}/layer.tar' for number in range(layers)], 'config.json')
    if data is None:
        data = json.dumps({**configuration(image.diff_ids), **keys}).encode()
    return write_base(path, image, without=['config.json'], more=[member('config.json', data)])


# Images to build.


class Parts:
    """The parts of a valid image in a directory, and the flags for them."""

    def __init__(self, directory, layers=None, below=(), config=None, base=None, mode=0o644):
        """Writes the parts.

        Args:
            directory: The directory for the parts and the output.
            layers: The files of each layer, as {name: content}; by default one layer of one file.
            below: The diff IDs of the layers in the base.
            config: The key `config` of the configuration.
            base: The path of the archive for --base and --legacy_base.
            mode: The mode of the files in the layers.
        """
        self.directory = directory
        self.output = directory / 'image.tar'
        self.base = base
        self.layers = []
        for number, files in enumerate(layers or [{'srv/new': b'new layer\n'}]):
            path = make_tar(directory / f'layer{number}.tar', files, mode=mode)
            self.layers.append((sha256(path.read_bytes()), path))
        self.config = directory / 'config.json'
        self.configure(configuration([*below, *self.diff_ids], config))

    @property
    def diff_ids(self):
        """The diff IDs of the image's own layers."""
        return [f'sha256:{identifier}' for identifier, _ in self.layers]

    def configure(self, config):
        """Replaces the configuration by an object or bytes, and sets the ID to its digest."""
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
        """Returns the flags of the image without those of these names."""
        return [flag for flag in self.flags if flag.partition('=')[0][2:] not in names]

    @property
    def arguments(self):
        """The flags as arguments of create_image.create_image()."""
        arguments = {
            'output': str(self.output),
            'identifier': self.id,
            'layers': [{'name': name, 'layer': str(path)} for name, path in self.layers],
            'config': str(self.config),
        }
        if self.base:
            arguments['base'] = arguments['legacy_base'] = str(self.base)
        return arguments


def on_fixture(directory, base, **options):
    """Returns the parts of an image on one of the archives in testdata/bases."""
    below = () if base == BEFORE_1_10 else base_diff_ids()
    return Parts(directory, below=below, base=DATA / 'bases' / base, **options)
