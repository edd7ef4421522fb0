# SPDX-License-Identifier: Apache-2.0
"""OCI image layouts: writing them with create_image, and reading them."""

import dataclasses
import json

from support.images import Parts
from support.project import DATA
from support.running import build
from support.tars import member, members, write_tar

BLOBS = 'blobs/sha256/'
LAYER = 'application/vnd.oci.image.layer.v1.tar'
TAGS = ['example/derived:2.0', 'x:1', 'registry.example:5000/a/b:C_1']
ZSTD_BASE = 'docker-29-zstd.tar'


@dataclasses.dataclass
class Layout:
    """An archive, as a program that reads OCI layouts sees it.

    Attributes:
        files: The files, as {name: content}.
        headers: The headers of all members, by name.
    """

    files: dict
    headers: dict

    @classmethod
    def read(cls, path):
        everything = members(path)
        names = [header.name for header, _ in everything]
        assert len(set(names)) == len(names)
        files = {header.name: data for header, data in everything if data is not None}
        return cls(files, {header.name: header for header, _ in everything})

    @property
    def blobs(self):
        return {name: data for name, data in self.files.items() if name.startswith('blobs/')}

    @property
    def index(self):
        return json.loads(self.files['index.json'])

    @property
    def manifest(self):
        return json.loads(self.files[blob(self.index['manifests'][0]['digest'])])

    @property
    def config(self):
        return json.loads(self.files[blob(self.manifest['config']['digest'])])

    def descriptors(self):
        """All descriptors; those in index.json come first."""
        image = self.manifest
        return [*self.index['manifests'], image['config'], *image['layers']]


def blob(digest):
    return digest.replace(':', '/').join(['blobs/', ''])


def write_layout(image, *flags, tags=TAGS, partial=False, **options):
    """Builds an image with --oci; returns its layout and the content of the digest file."""
    digest_file = image.directory / 'digest'
    own = image.without('legacy_base') if partial else image.flags
    named = [f'--tag={tag}' for tag in tags]
    build(*own, *named, '--oci', f'--digest_file={digest_file}', *flags, **options)
    return Layout.read(image.output), digest_file.read_text()


def on(directory, base, name='next', **options):
    """Returns the parts of an image on an archive that create_image wrote."""
    layout = Layout.read(base)
    (entry,) = json.loads(layout.files['manifest.json'])
    config = json.loads(layout.files[entry['Config']])
    below = config['rootfs']['diff_ids']
    (directory / name).mkdir()
    files = [{f'srv/{name}': name.encode()}]
    return Parts(directory / name, layers=files, below=below, base=base, **options)


def repacked(path, base, spell):
    """Writes a copy of a fixture whose members have other names."""
    parts = []
    for header, data in members(DATA / 'bases' / base):
        options = {'kind': header.type, 'link': header.linkname, 'mode': header.mode}
        parts.append(member(spell(header.name), data or b'', **options))
    return write_tar(path, *parts)
