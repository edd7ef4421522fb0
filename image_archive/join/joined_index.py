# SPDX-License-Identifier: Apache-2.0
"""The index.json of several archives that are joined (OCI image specification, image layout).

containerd and Docker 29 prefer it to manifest.json, so it is there only where it is as good.
"""

import re
from typing import Any, NamedTuple

from image_archive.errors import ArchiveError
from image_archive.image import bases as utils
from image_archive.image import oci
from image_archive.join.joined_files import JoinedFiles
from image_archive.join.joined_images import JoinedImage, LayerTable
from image_archive.tar.sources import Archive

_INDEX_TYPE = 'application/vnd.oci.image.index.v1+json'
_INDEX_TYPES = (_INDEX_TYPE, 'application/vnd.docker.distribution.manifest.list.v2+json')
_MANIFEST_TYPES = (
    'application/vnd.oci.image.manifest.v1+json',
    'application/vnd.docker.distribution.manifest.v2+json',
)
_DIGEST = r'([a-z0-9]+):([0-9a-f]+)'
# Where containerd and Docker have an image's name, and where others have it, or only its tag.
_NAMES = ('io.containerd.image.name', 'org.opencontainers.image.ref.name')


class Blob(NamedTuple):
    """A blob that an index leads to.

    Attributes:
        name: its name in an archive.
        digest: its digest, as `sha256:<hex>`.
        size: its bytes, as it is described; None where that is not said.
        diff_id: of a layer, the diff ID that its image's configuration says; else None.
    """

    name: str
    digest: str
    size: int | None
    diff_id: str | None


def read_index(archive: Archive) -> list[dict[str, Any]] | None:
    """Returns the descriptors in the index.json of an archive; None without that.

    Args:
        archive: the archive, open.

    Raises:
        ArchiveError: it is no index, or there twice with different content.
    """
    utils.check_twice(archive, [oci.INDEX_NAME])
    content = archive.read_file(oci.INDEX_NAME)
    if content is None:
        return None
    descriptors = oci.read_object(content).get('manifests')
    if not isinstance(descriptors, list) or not all(map(_is_descriptor, descriptors)):
        raise ArchiveError(
            f'{archive.path!r}: {oci.INDEX_NAME} is not an OCI image index: replace it'
        )
    return descriptors


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def _is_descriptor(value: Any) -> bool:
    if not isinstance(value, dict):
        return False
    digest = value.get('digest')
    annotations = value.get('annotations')
    if not isinstance(digest, str) or re.fullmatch(_DIGEST, digest) is None:
        return False
    return annotations is None or isinstance(annotations, dict)


def merge(indexes: list[list[dict[str, Any]] | None]) -> list[dict[str, Any]] | None:
    """Returns the descriptors of several indexes, the first of each name.

    Args:
        indexes: the descriptors of each archive's index.

    Returns:
        The descriptors; None if an archive has no index.
    """
    by_name: dict[tuple[str, str], dict[str, Any]] = {}
    for descriptors in indexes:
        if descriptors is None:
            return None
        for descriptor in descriptors:
            by_name.setdefault(_name_of(descriptor), descriptor)
    return list(by_name.values())


def _name_of(descriptor: dict[str, Any]) -> tuple[str, str]:
    """Returns what tells a descriptor from others: its name, or without one its digest."""
    annotations = descriptor.get('annotations') or {}
    for key in _NAMES:
        name = annotations.get(key)
        if isinstance(name, str):
            return key, name
    return 'digest', descriptor['digest']


def index(descriptors: list[dict[str, Any]]) -> dict[str, Any]:
    """Returns the object that is the new index.json.

    Args:
        descriptors: what it leads to.
    """
    return {'schemaVersion': 2, 'mediaType': _INDEX_TYPE, 'manifests': descriptors}


# The blobs that an index leads to.

_Described = tuple[dict[str, Any], str | None]  # a descriptor, and a layer's diff ID


def blobs(
    descriptors: list[dict[str, Any]], images: list[JoinedImage], files: JoinedFiles
) -> list[Blob]:
    """Returns the blobs that descriptors lead to, each once, as far as those between are there.

    Args:
        descriptors: those of the archives' index.json, in order.
        images: the images of all archives, whose configurations tell diff IDs.
        files: the files of all archives.

    Raises:
        ArchiveError: an index or a manifest among them is too large.
        OSError: one cannot be read.
    """
    images_by_id = {f'sha256:{image.id}': image for image in images}
    pending: list[_Described] = [(descriptor, None) for descriptor in descriptors]
    found: dict[str, Blob] = {}
    while pending:
        descriptor, diff_id = pending.pop()
        blob = _blob(descriptor, diff_id)
        if blob.digest in found:
            continue
        found[blob.digest] = blob
        media_type = descriptor.get('mediaType')
        if media_type in _INDEX_TYPES:
            pending += _in_index(files.read(blob.name))
        elif media_type in _MANIFEST_TYPES:
            pending += _in_manifest(files.read(blob.name), images_by_id)
    return list(found.values())


def _blob(descriptor: dict[str, Any], diff_id: str | None) -> Blob:
    digest = descriptor['digest']
    size = descriptor.get('size')
    if not isinstance(size, int):
        size = None
    return Blob(f'blobs/{digest.replace(":", "/")}', digest, size, diff_id)


def _in_index(content: bytes | None) -> list[_Described]:
    manifests = _list(oci.read_object(content or b'').get('manifests'))
    return [(manifest, None) for manifest in manifests if _is_descriptor(manifest)]


def _in_manifest(content: bytes | None, images_by_id: dict[str, JoinedImage]) -> list[_Described]:
    manifest = oci.read_object(content or b'')
    config = manifest.get('config')
    layers = _list(manifest.get('layers'))
    diff_ids: list[str | None] = [None] * len(layers)
    described: list[_Described] = []
    if isinstance(config, dict) and _is_descriptor(config):
        described.append((config, None))
        image = images_by_id.get(config['digest'])
        if image is not None:
            diff_ids = image.diff_ids_of(layers)
    for layer, diff_id in zip(layers, diff_ids, strict=True):
        if _is_descriptor(layer):
            described.append((layer, diff_id))
    return described


def leads_to_all(descriptors: list[dict[str, Any]], files: JoinedFiles) -> bool:
    """Tells whether what an index leads to itself is there: clients look for it first.

    Args:
        descriptors: those of the index.
        files: the files of all archives.
    """
    blob_names = [oci.blob_name(descriptor['digest']) for descriptor in descriptors]
    return all(files.find(name) is not None for name in blob_names)


def is_whole(
    all_blobs: list[Blob], images: list[JoinedImage], table: LayerTable, files: JoinedFiles
) -> bool:
    """Tells whether no blob that an index leads to is there under another name only.

    Args:
        all_blobs: what blobs() returned.
        images: the images of all archives.
        table: all layers, by what is known of them.
        files: the files of all archives.
    """
    config_digests = {f'sha256:{image.id}' for image in images}
    for blob in all_blobs:
        if files.find(blob.name) is not None:
            continue
        is_layer = blob.digest in table.by_diff_id or blob.diff_id in table.by_diff_id
        is_named = blob.digest.removeprefix('sha256:') in table.by_digest
        if is_layer or is_named or blob.digest in config_digests:
            return False
    return True
