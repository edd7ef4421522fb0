# SPDX-License-Identifier: Apache-2.0
"""Archives that are OCI image layouts as well, with one image or with several platforms."""

import json

from support.joins import image_of
from support.tars import member, sha256, write_tar

MANIFEST_TYPE = 'application/vnd.oci.image.manifest.v1+json'
INDEX_TYPE = 'application/vnd.oci.image.index.v1+json'
LAYER_TYPE = 'application/vnd.oci.image.layer.v1.tar'
NAME, TAG = 'io.containerd.image.name', 'org.opencontainers.image.ref.name'


def blob(data):
    return f'blobs/sha256/{sha256(data)}'


def described(data, media_type, **more):
    return {'mediaType': media_type, 'digest': f'sha256:{sha256(data)}', 'size': len(data), **more}


class Layout:
    """An image of one or more layers as an OCI image layout with a manifest.json.

    Attributes:
        blobs: {name: content} of the configuration, the layers and the manifest.
        manifest: the content of the manifest.
        descriptor: the descriptor in index.json.
        entry: the entry in manifest.json.
    """

    def __init__(self, *layers, tag=None, pack=bytes):
        image = image_of(*layers, tag=tag)
        stored = [pack(layer) for layer in image.layers.values()]
        self.diff_ids = image.diff_ids
        self.config = image.config
        text = {
            'schemaVersion': 2,
            'config': described(image.config, 'application/vnd.oci.image.config.v1+json'),
            'layers': [described(layer, LAYER_TYPE) for layer in stored],
        }
        self.manifest = json.dumps(text).encode()
        self.layers = [blob(layer) for layer in stored]
        self.blobs = {blob(data): data for data in [image.config, *stored, self.manifest]}
        self.descriptor = described(self.manifest, MANIFEST_TYPE)
        if tag is not None:
            name = tag if '/' in tag else f'library/{tag}'
            self.descriptor['annotations'] = {NAME: f'docker.io/{name}', TAG: tag[-1]}
        self.entry = {**image.entry, 'Config': blob(image.config), 'Layers': self.layers}

    def write(self, path, without=(), more=None, index=None):
        index = index or {'schemaVersion': 2, 'manifests': [self.descriptor]}
        files = {name: data for name, data in self.blobs.items() if name not in without}
        files |= more or {}
        files['index.json'] = json.dumps(index).encode()
        files['oci-layout'] = b'{"imageLayoutVersion": "1.0.0"}'
        files['manifest.json'] = json.dumps([self.entry]).encode()
        return write_tar(path, *(member(name, data) for name, data in files.items()))


def described_index(*descriptors, name='m:1'):
    """Returns an index of descriptors, and the descriptor that has it in index.json."""
    data = json.dumps({'schemaVersion': 2, 'manifests': list(descriptors)}).encode()
    annotations = {NAME: f'docker.io/library/{name}', TAG: name.partition(':')[2]}
    return data, described(data, INDEX_TYPE, annotations=annotations)


def platforms_layout(path, *layouts, more=()):
    """Writes an archive of images for several platforms, the first of which manifest.json has."""
    descriptors = []
    blobs = {}
    for number, layout in enumerate(layouts):
        architecture = ['amd64', 'arm64', 's390x'][number]
        platform = {'os': 'linux', 'architecture': architecture}
        annotations = {}
        descriptors.append({**layout.descriptor, 'annotations': annotations, 'platform': platform})
        blobs |= layout.blobs
    for data, descriptor in more:
        descriptors.append(descriptor)
        blobs[blob(data)] = data
    data, descriptor = described_index(*descriptors)
    blobs[blob(data)] = data
    layouts[0].entry['RepoTags'] = ['m:1']
    return layouts[0].write(path, more=blobs, index={'manifests': [descriptor]}), descriptor


def attestation():
    """Returns an attestation as BuildKit writes it: the manifest of an unknown platform."""
    data = json.dumps({'schemaVersion': 2, 'config': {}, 'layers': []}).encode()
    return data, described(
        data,
        MANIFEST_TYPE,
        platform={'os': 'unknown', 'architecture': 'unknown'},
        annotations={'vnd.docker.reference.type': 'attestation-manifest'},
    )
