# SPDX-License-Identifier: Apache-2.0
"""Sample images: to build on, and to build."""

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


def write_base(path, *images, position=0, entries=None, without=(), more=()):
    """Writes an archive of images.

    Args:
        path: The path of the archive.
        *images: BaseImages, whose files stand in this order.
        position: Before which of these files manifest.json stands.
        entries: What manifest.json holds, in place of the images' entries.
        without: The names of files that are left out.
        more: Members behind all others.
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
    """Writes an archive of one image whose configuration, config.json, may be wrong.

    Args:
        path: The path of the archive.
        data: The bytes of the configuration; None for a good one.
        layers: The number of layers.
        **keys: Keys of the good configuration to replace.
    """
    image = BaseImage([f'{number}/layer.tar' for number in range(layers)], 'config.json')
    if data is None:
        data = json.dumps({**configuration(image.diff_ids), **keys}).encode()
    return write_base(path, image, without=['config.json'], more=[member('config.json', data)])


# Images to build.


class Parts:
    """The parts of an image with which nothing is wrong, in a directory, and the flags for them."""

    def __init__(self, directory, layers=None, below=(), config=None, base=None, mode=0o644):
        """Makes the parts.

        Args:
            directory: Where they are made.
            layers: The files of each layer, as {name: content}; one layer of one file, if None.
            below: The diff IDs of the layers that the base has.
            config: The key `config` of the configuration.
            base: The path of the archive to give as --base and --legacy_base.
            mode: The mode of the files.
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


def on_fixture(directory, base, **options):
    """Returns the parts of an image on one of testdata/bases."""
    below = () if base == BEFORE_1_10 else base_diff_ids()
    return Parts(directory, below=below, base=DATA / 'bases' / base, **options)
