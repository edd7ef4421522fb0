# SPDX-License-Identifier: Apache-2.0
"""The index.json of several archives that are joined (OCI image specification, image layout).

containerd and Docker 29 prefer it to manifest.json, so it is there only if it is as good.
"""

import json
from typing import NamedTuple

from image_archive.digests import blob_name
from image_archive.image.oci_index import (
    INDEX_TYPE,
    JsonDescriptor,
    descriptors_in,
    is_descriptor,
    walk,
)
from image_archive.join.files import JoinedFiles
from image_archive.join.images import JoinedImage, LayerTable

# containerd and Docker have the name of an image in the first of these annotations; other programs
# have it, or only its tag, in the second.
_NAMES = ('io.containerd.image.name', 'org.opencontainers.image.ref.name')


class Blob(NamedTuple):
    """A blob that an index leads to.

    Attributes:
        digest: its digest.
        size: its bytes in the descriptor; None if they are not given.
        diff_id: of a layer, the diff ID in the configuration of its image; else None.
    """

    digest: str
    size: int | None
    diff_id: str | None

    @property
    def name(self) -> str:
        """Its name in an archive."""
        return blob_name(self.digest)


def merge(indexes: list[list[JsonDescriptor] | None]) -> list[JsonDescriptor] | None:
    """Returns the descriptors of several indexes, of each name the first.

    Args:
        indexes: the descriptors of each archive's index; None for an archive without one.

    Returns:
        The descriptors; None if an archive has no index.
    """
    by_name: dict[tuple[str, str], JsonDescriptor] = {}
    for descriptors in indexes:
        if descriptors is None:
            return None
        for descriptor in descriptors:
            by_name.setdefault(_name_of(descriptor), descriptor)
    return list(by_name.values())


def _name_of(descriptor: JsonDescriptor) -> tuple[str, str]:
    """Returns what distinguishes a descriptor from others: its name, else its digest."""
    annotations = descriptor.get('annotations') or {}
    for key in _NAMES:
        name = annotations.get(key)
        if isinstance(name, str):
            return key, name
    return 'digest', descriptor['digest']


def index_content(descriptors: list[JsonDescriptor]) -> str:
    """Returns the content of index.json, from its descriptors."""
    index = {'schemaVersion': 2, 'mediaType': INDEX_TYPE, 'manifests': descriptors}
    return json.dumps(index, sort_keys=True)


def find_blobs(
    descriptors: list[JsonDescriptor], images: list[JoinedImage], files: JoinedFiles
) -> list[Blob]:
    """Returns the blobs that an index leads to, each once.

    Args:
        descriptors: those of the archives' index.json, in order.
        images: the images of all archives.
        files: the files of all archives.

    Raises:
        ArchiveError: an index or a manifest is too large.
        OSError: one cannot be read.
    """
    images_by_id = {f'sha256:{image.id}': image for image in images}
    found: dict[str, Blob] = {}
    for blob in walk(descriptors, files.read):
        _add(found, blob.descriptor)
        if not blob.is_manifest:
            continue
        config = blob.value['config']
        layers = descriptors_in(blob.value, 'layers')
        diff_ids: tuple[str | None, ...] = (None,) * len(layers)
        if is_descriptor(config):
            _add(found, config)
            image = images_by_id.get(config['digest'])
            if image is not None:
                diff_ids = image.diff_ids_of(len(layers))
        for layer, diff_id in zip(layers, diff_ids, strict=True):
            _add(found, layer, diff_id)
    return list(found.values())


def _add(found: dict[str, Blob], descriptor: JsonDescriptor, diff_id: str | None = None) -> None:
    size = descriptor.get('size')
    if not isinstance(size, int):
        size = None
    digest = descriptor['digest']
    found.setdefault(digest, Blob(digest, size, diff_id))


def is_whole(
    descriptors: list[JsonDescriptor],
    blobs: list[Blob],
    images: list[JoinedImage],
    table: LayerTable,
    files: JoinedFiles,
) -> bool:
    """Tells whether clients find by an index everything that they find by manifest.json.

    Args:
        descriptors: those of the index. What they lead to must be there.
        blobs: the blobs that they lead to. None of them may be there under another name only.
        images: the images of all archives.
        table: the layers of all images.
        files: the files of all archives.
    """
    if any(files.find(blob_name(one['digest'])) is None for one in descriptors):
        return False
    config_digests = {f'sha256:{image.id}' for image in images}
    for blob in blobs:
        if files.find(blob.name) is not None:
            continue
        is_layer = blob.digest in table.by_diff_id or blob.diff_id in table.by_diff_id
        is_named = blob.digest.partition(':')[2] in table.by_digest
        if is_layer or is_named or blob.digest in config_digests:
            return False
    return True
