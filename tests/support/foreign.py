# SPDX-License-Identifier: Apache-2.0
"""Images with a foreign layer, which registries do not have."""

import gzip
import json

from support.images import configuration
from support.layouts import BLOBS
from support.tars import member, sha256, tar_of, write_tar

NONDISTRIBUTABLE = 'application/vnd.oci.image.layer.nondistributable.v1.tar'
DOCKER_TYPE = 'application/vnd.docker.image.rootfs.foreign.diff.tar.gzip'
FOREIGN_TYPES = [f'{NONDISTRIBUTABLE}+gzip', DOCKER_TYPE]


class ForeignImage:
    """An image of a foreign layer, compressed by gzip, and an ordinary one.

    Attributes:
        files: the files of the image, as {name: content}.
        diff_ids: the diff IDs of its layers.
        config: the configuration.
        packed: the foreign layer as its URL has it.
        foreign: the descriptor of the foreign layer.
        names: the names of the layers in an OCI layout.
        tag: its tag.
    """

    def __init__(self, media_type=FOREIGN_TYPES[0], url='https://example.com/layer'):
        self.files = {'srv/foreign': b'foreign\n', 'srv/own': b'own\n'}
        self.plain, self.own = (tar_of(member(name, data)) for name, data in self.files.items())
        self.diff_ids = [f'sha256:{sha256(layer)}' for layer in (self.plain, self.own)]
        self.config = json.dumps(configuration(self.diff_ids)).encode()
        self.packed = gzip.compress(self.plain, mtime=0)
        self.foreign = {**described(media_type, self.packed), 'urls': [url]}
        self.names = [BLOBS + sha256(layer) for layer in (self.packed, self.own)]
        self.tag = 'example/foreign:1'

    def write_layout(self, path, lacks_layer=False, sources=True):
        """Writes an OCI layout with a manifest.json, as Docker 25 and later save it."""
        own = described('application/vnd.oci.image.layer.v1.tar', self.own)
        config = described('application/vnd.oci.image.config.v1+json', self.config)
        layers = [self.foreign, own]
        media_type = 'application/vnd.oci.image.manifest.v1+json'
        manifest = json.dumps(
            {'schemaVersion': 2, 'mediaType': media_type, 'config': config, 'layers': layers}
        ).encode()
        annotations = {
            'io.containerd.image.name': f'docker.io/{self.tag}',
            'org.opencontainers.image.ref.name': '1',
        }
        descriptor = {**described(media_type, manifest), 'annotations': annotations}
        index = {'schemaVersion': 2, 'manifests': [descriptor]}
        entry = {
            'Config': BLOBS + sha256(self.config),
            'RepoTags': [self.tag],
            'Layers': self.names,
        }
        if sources:
            entry['LayerSources'] = {self.diff_ids[0]: self.foreign}
        files = {BLOBS + sha256(data): data for data in (self.config, self.own, manifest)}
        if not lacks_layer:
            files[self.names[0]] = self.packed
        files |= {
            'index.json': json.dumps(index).encode(),
            'oci-layout': b'{"imageLayoutVersion":"1.0.0"}',
            'manifest.json': json.dumps([entry]).encode(),
        }
        return write_tar(path, *(member(name, data) for name, data in files.items()))

    def write_docker_archive(self, path, lacks_layer=False):
        """Writes an archive with plain layers, as Docker before 25 saves it."""
        entry = {
            'Config': 'config.json',
            'RepoTags': [self.tag],
            'Layers': ['foreign/layer.tar', 'own/layer.tar'],
            'LayerSources': {self.diff_ids[0]: self.foreign},
        }
        files = {'config.json': self.config, 'own/layer.tar': self.own}
        if not lacks_layer:
            files['foreign/layer.tar'] = self.plain
        files['manifest.json'] = json.dumps([entry]).encode()
        return write_tar(path, *(member(name, data) for name, data in files.items()))


def described(media_type, data):
    return {'mediaType': media_type, 'digest': f'sha256:{sha256(data)}', 'size': len(data)}
