# SPDX-License-Identifier: Apache-2.0
"""OCI image layouts, made by hand as real programs write them, and as hostile ones do."""

import gzip
import json
import pathlib

from support.images import configuration
from support.running import build
from support.tars import member, sha256, tar_of, write_tar

INDEX = 'application/vnd.oci.image.index.v1+json'
MANIFEST = 'application/vnd.oci.image.manifest.v1+json'
CONFIG = 'application/vnd.oci.image.config.v1+json'
PLAIN = 'application/vnd.oci.image.layer.v1.tar'
GZIP = f'{PLAIN}+gzip'
IN_TOTO = 'application/vnd.in-toto+json'
FULL_NAME = 'io.containerd.image.name'
REF_NAME = 'org.opencontainers.image.ref.name'
REFERENCE = {'vnd.docker.reference.type': 'attestation-manifest'}
UNKNOWN = {'architecture': 'unknown', 'os': 'unknown'}
VERSION = b'{"imageLayoutVersion": "1.0.0"}'
FORMS = ['archive', 'compressed', 'directory']
# The platforms of two_platforms(), and the directories in their layers.
PLATFORMS = {'linux/amd64': ['below', 'intel'], 'linux/arm64': ['arm']}


def platform_of(text):
    """Returns the object for OS/ARCHITECTURE[/VARIANT]."""
    return dict(zip(('os', 'architecture', 'variant'), text.split('/'), strict=False))


def compact(value):
    return json.dumps(value, sort_keys=True, separators=(',', ':')).encode()


class Made:
    """A layout that is made: its blobs, and the descriptors of its index.json.

    Attributes:
        blobs: The contents of the blobs, by name.
        roots: The descriptors in index.json.
    """

    def __init__(self):
        self.blobs = {}
        self.roots = []

    def add(self, data, media_type, **more):
        """Adds a blob; returns its descriptor."""
        digest = sha256(data)
        self.blobs[f'blobs/sha256/{digest}'] = data
        descriptor = {'mediaType': media_type, 'digest': f'sha256:{digest}', 'size': len(data)}
        return {**descriptor, **more}

    def image(self, *layers, platform='linux/amd64', compressed=True, config=None, **more):
        """Adds an image; returns the descriptor of its manifest.

        Args:
            *layers: For each layer the name of the directory in it.
            platform: Its platform.
            compressed: Whether the layers are gzip.
            config: Keys to replace in the configuration.
            **more: Keys of the descriptor.
        """
        plain = [layer_of(name) for name in layers]
        described = []
        for data in plain:
            if compressed:
                described.append(self.add(gzip.compress(data, mtime=0), GZIP))
            else:
                described.append(self.add(data, PLAIN))
        value = configuration([f'sha256:{sha256(data)}' for data in plain])
        value.update(platform_of(platform), **(config or {}))
        manifest = {
            'schemaVersion': 2,
            'mediaType': MANIFEST,
            'config': self.add(compact(value), CONFIG),
            'layers': described,
        }
        return self.add(compact(manifest), MANIFEST, **more)

    def index(self, *descriptors, **more):
        """Adds an index; returns its descriptor."""
        value = {'schemaVersion': 2, 'mediaType': INDEX, 'manifests': list(descriptors)}
        return self.add(compact(value), INDEX, **more)

    def attestation(self, subject):
        """Adds an attestation of an image, as BuildKit does; returns its descriptor."""
        statement = {'_type': 'https://in-toto.io/Statement/v0.1', 'subject': subject['digest']}
        layer = self.add(compact(statement), IN_TOTO)
        config = {**UNKNOWN, 'config': {}}
        config['rootfs'] = {'type': 'layers', 'diff_ids': [layer['digest']]}
        manifest = {
            'schemaVersion': 2,
            'mediaType': MANIFEST,
            'config': self.add(compact(config), CONFIG),
            'layers': [layer],
        }
        annotations = {**REFERENCE, 'vnd.docker.reference.digest': subject['digest']}
        return self.add(compact(manifest), MANIFEST, platform=UNKNOWN, annotations=annotations)

    @property
    def files(self):
        """All files of the layout, by name."""
        index = {'schemaVersion': 2, 'mediaType': INDEX, 'manifests': self.roots}
        return {**self.blobs, 'index.json': compact(index), 'oci-layout': VERSION}

    def write_archive(self, path, without=(), more=()):
        """Writes the layout as an archive; returns its path."""
        files = {name: data for name, data in sorted(self.files.items()) if name not in without}
        return write_tar(path, *(member(name, data) for name, data in files.items()), *more)

    def write_directory(self, path, without=()):
        """Writes the layout as a directory; returns its path."""
        for name, data in self.files.items():
            if name not in without:
                file = pathlib.Path(path, name)
                file.parent.mkdir(parents=True, exist_ok=True)
                file.write_bytes(data)
        return pathlib.Path(path)


def layer_of(name):
    """Returns a layer with a directory and a file in it."""
    return tar_of(
        member(name, kind=b'5', mode=0o700), member(f'{name}/file', f'{name}\n'.encode() * 300)
    )


def tagged(name):
    """Returns the annotations of a descriptor with a full name, as BuildKit writes them."""
    return {FULL_NAME: name, REF_NAME: name.rpartition(':')[2]}


def one_image(compressed=True, **more):
    """Returns the layout of one image in BuildKit's form."""
    made = Made()
    image = made.image('below', 'above', compressed=compressed, **more)
    platform = platform_of('linux/amd64')
    name = 'docker.io/example/one:1.0'
    made.roots.append({**image, 'platform': platform, 'annotations': tagged(name)})
    return made


def two_platforms():
    """Returns the layout of an image for two platforms, with attestations, in BuildKit's form."""
    made = Made()
    below = []
    for platform, layers in PLATFORMS.items():
        below.append(made.image(*layers, platform=platform))
        below[-1]['platform'] = platform_of(platform)
    below += [made.attestation(image) for image in list(below)]
    made.roots.append(made.index(*below, annotations=tagged('docker.io/example/two:1.0')))
    return made


def write_form(made, form, directory, name='base', **options):
    """Writes a layout in one of the FORMS; returns its path."""
    if form == 'directory':
        return made.write_directory(directory / name, **options)
    path = made.write_archive(directory / f'{name}.tar', **options)
    if form == 'compressed':
        path.write_bytes(gzip.compress(path.read_bytes(), mtime=0))
    return path


class Derived:
    """An image that the three programs build on a base.

    Attributes:
        output: The path of the archive.
        diff_ids: The diff IDs of all its layers.
    """

    def __init__(self, directory, base, *flags, delete=None, warnings=False):
        """Makes the layer and the configuration.

        Args:
            directory: The directory for all files.
            base: The base.
            *flags: --base_tag and --platform.
            delete: A path to delete; only the base with that path can be the right one.
            warnings: Whether the programs warn.
        """
        self.output = directory / 'derived.tar'
        self._warnings = warnings
        self._base = [f'--base={base}', *flags]
        self._legacy_base = f'--legacy_base={base}'
        layer, config = directory / 'new-layer.tar', directory / 'new.json'
        identifier = directory / 'new-layer.sha256'
        what = f'--delete={delete}' if delete else '--empty_file=srv/new'
        options = {'program': 'build_tar', 'warnings': warnings}
        build(*self._base, f'--output={layer}', f'--id_file={identifier}', what, **options)
        options['program'] = 'create_image_config'
        build(*self._base, f'--output={config}', f'--layer=@{identifier}', **options)
        self._parts = [f'--config={config}', f'--id={sha256(config.read_bytes())}']
        self._parts.append(f'--layer=@{identifier}={layer}')
        self.diff_ids = json.loads(config.read_text())['rootfs']['diff_ids']

    def flags(self, *more, partial=False):
        legacy = [] if partial else [self._legacy_base]
        return [f'--output={self.output}', *self._parts, *self._base, *legacy, *more]

    def write(self, *more, partial=False):
        """Writes the archive; returns its path."""
        build(*self.flags(*more, partial=partial), warnings=self._warnings)
        return self.output
