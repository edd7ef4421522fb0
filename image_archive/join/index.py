# SPDX-License-Identifier: Apache-2.0
"""The index.json of several archives that are joined (OCI image specification, image layout).

containerd and Docker 29 prefer it to manifest.json, so it is there only if it is as good.
"""

import json
from collections.abc import Iterable
from typing import NamedTuple

from image_archive.checks.problem import Problem, Problems
from image_archive.digests import blob_name, digest_in_blob_name
from image_archive.image.oci_index import (
    FULL_NAME,
    INDEX_NAME,
    INDEX_TYPE,
    NAME_ANNOTATIONS,
    READ_TYPES,
    REF_NAME,
    REFERENCE_TYPE,
    FoundBlob,
    JsonDescriptor,
    descriptors_in,
    is_descriptor,
    walk,
)
from image_archive.image.stored import ImageArchive
from image_archive.image.tags import parse_tag
from image_archive.join.files import JoinedFiles
from image_archive.join.images import JoinedImage, LayerTable

_LABEL = '--layer'  # of an index of several archives, in messages


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


class MergedIndex(NamedTuple):
    """The index.json of the new archive.

    Attributes:
        descriptors: its descriptors; None if it is left out.
        blobs: the blobs that they lead to.
        problems: warnings of what no index leads to any more.
    """

    descriptors: list[JsonDescriptor] | None
    blobs: list[Blob]
    problems: list[Problem]


class _IndexError(Exception):
    """The new archive can have no index.json; the text says why, and what to do."""


def merge_indexes(
    archives: list[ImageArchive], images: list[JoinedImage], table: LayerTable, files: JoinedFiles
) -> MergedIndex:
    """Returns the index of archives that are joined: of each name the first descriptor.

    Args:
        archives: the archives, in their order.
        images: the images of all archives.
        table: the layers of all images.
        files: the files of all archives.

    Raises:
        ArchiveError: an index or a manifest is too large.
        OSError: one cannot be read.
    """
    if all(archive.descriptors is None for archive in archives):
        return MergedIndex(None, [], [])
    try:
        descriptors = _merge(archives, files)
        found = list(walk(descriptors, files.read, _LABEL))
        blobs = _find_blobs(found, images)
        _check_is_whole(blobs, images, table, files)
        _check_leads_to_all(found, images, files)
    except _IndexError as error:
        text = f'{INDEX_NAME} is left out, as {error}, or give --oci'
        problem = Problem(text, is_error=False)
        return MergedIndex(None, [], [problem, *_losses(archives, images, None, files)])
    digests = {blob.digest for blob in found}
    return MergedIndex(descriptors, blobs, list(_losses(archives, images, digests, files)))


def index_content(descriptors: list[JsonDescriptor]) -> str:
    """Returns the content of index.json, from its descriptors."""
    index = {'schemaVersion': 2, 'mediaType': INDEX_TYPE, 'manifests': descriptors}
    return json.dumps(index, sort_keys=True)


# The descriptors.


def _merge(archives: list[ImageArchive], files: JoinedFiles) -> list[JsonDescriptor]:
    """Returns the descriptors of all archives, of each name the first.

    Raises:
        _IndexError: an archive has no index, a descriptor leads to nothing, or two images have
            only the same tag without a repository as their name.
    """
    merged: dict[tuple[str, str], JsonDescriptor] = {}
    for archive in archives:
        path = archive.archive.path
        if archive.descriptors is None:
            raise _IndexError(f'{path!r} has none: join only archives that have one')
        for descriptor in archive.descriptors:
            key = key_of(descriptor)
            first = merged.setdefault(key, descriptor)
            if first['digest'] == descriptor['digest']:
                continue
            if key[0] == REF_NAME and not _have_same_images(first, descriptor, files):
                text = f'{key[1]!r} is {first["digest"]} in it, and {descriptor["digest"]}'
                raise _IndexError(f'{text} of {path!r}: save one with another tag')
    for descriptor in merged.values():
        if files.find(blob_name(descriptor['digest'])) is None:
            text = f'no archive has the blob {descriptor["digest"]}'
            raise _IndexError(f'{text}: save its image again')
    return list(merged.values())


def key_of(descriptor: JsonDescriptor) -> tuple[str, str]:
    """Returns what distinguishes a descriptor from others.

    It is the full name of the image, else the annotation for a name, else the digest, each after
    what it is.
    """
    annotations = descriptor.get('annotations') or {}
    for annotation in NAME_ANNOTATIONS:
        name = annotations.get(annotation)
        if not isinstance(name, str):
            continue
        tag = parse_tag(name)
        if tag is not None:
            return FULL_NAME, tag.full_name
        return annotation, name
    return 'digest', descriptor['digest']


def _have_same_images(one: JsonDescriptor, other: JsonDescriptor, files: JoinedFiles) -> bool:
    """Tells whether a descriptor leads to all images that another one leads to."""
    configs = _config_digests(walk([one], files.read, _LABEL))
    return configs.issuperset(_config_digests(walk([other], files.read, _LABEL)))


def _config_digests(found: Iterable[FoundBlob]) -> set[str]:
    """Returns the digests of the configurations of all images that an index leads to."""
    configs = (blob.value['config'] for blob in found if blob.is_manifest)
    return {config['digest'] for config in configs if is_descriptor(config)}


# The blobs.


def _find_blobs(found: list[FoundBlob], images: list[JoinedImage]) -> list[Blob]:
    """Returns the blobs that an index leads to, each once, with those of each manifest."""
    images_by_id = {f'sha256:{image.id}': image for image in images}
    blobs: dict[str, Blob] = {}
    for one in found:
        _add(blobs, one.descriptor)
        if not one.is_manifest:
            continue
        config = one.value['config']
        layers = descriptors_in(one.value, 'layers')
        diff_ids: tuple[str | None, ...] = (None,) * len(layers)
        if is_descriptor(config):
            _add(blobs, config)
            image = images_by_id.get(config['digest'])
            if image is not None:
                diff_ids = image.diff_ids_of(len(layers))
        for layer, diff_id in zip(layers, diff_ids, strict=True):
            _add(blobs, layer, diff_id)
    return list(blobs.values())


def _add(blobs: dict[str, Blob], descriptor: JsonDescriptor, diff_id: str | None = None) -> None:
    size = descriptor.get('size')
    if not isinstance(size, int):
        size = None
    digest = descriptor['digest']
    blobs.setdefault(digest, Blob(digest, size, diff_id))


def _check_is_whole(
    blobs: list[Blob], images: list[JoinedImage], table: LayerTable, files: JoinedFiles
) -> None:
    """Raises _IndexError if a blob is there under another name only, where no client finds it."""
    config_digests = {f'sha256:{image.id}' for image in images}
    for blob in blobs:
        if files.find(blob.name) is not None:
            continue
        is_layer = blob.digest in table.by_diff_id or blob.diff_id in table.by_diff_id
        is_named = blob.digest.partition(':')[2] in table.by_digest
        if is_layer or is_named or blob.digest in config_digests:
            text = f'the blob {blob.digest} is there only in another form or under another name'
            raise _IndexError(f'{text}: save the images again, all with one program')


def _check_leads_to_all(
    found: list[FoundBlob], images: list[JoinedImage], files: JoinedFiles
) -> None:
    """Raises _IndexError if an image is in manifest.json only, where not all clients find it."""
    if any(_is_damaged(blob, files) for blob in found):
        return  # it may lead to any image; --verify finds it
    configs = _config_digests(found)
    for image in images:
        names = [stored.config_name for stored in image.stored]
        own = {f'sha256:{image.id}', *map(digest_in_blob_name, names)}
        if own.isdisjoint(configs):
            raise _IndexError(f'it does not lead to {image.label}: save that image again')


def _is_damaged(blob: FoundBlob, files: JoinedFiles) -> bool:
    """Tells whether an index or a manifest is there, but not what its digest says."""
    is_read = blob.descriptor.get('mediaType') in READ_TYPES
    return is_read and not blob.value and files.find(blob_name(blob.digest)) is not None


# What no index leads to any more.


def _losses(
    archives: list[ImageArchive],
    images: list[JoinedImage],
    kept: set[str] | None,
    files: JoinedFiles,
) -> Problems:
    """Warns of what an archive has and its index leads to, but not the new archive.

    Args:
        archives: the archives.
        images: the images of all archives, which are in the new manifest.json.
        kept: the digests of what the new index leads to; None without one.
        files: the files of all archives.
    """
    image_ids = {f'sha256:{image.id}' for image in images}
    told = set(kept or ())
    for archive in archives:
        names = {one['digest']: key_of(one) for one in archive.descriptors or ()}
        for blob in walk(archive.descriptors or (), files.read, repr(archive.archive.path)):
            is_there = files.find(blob_name(blob.digest)) is not None
            is_image = blob.is_manifest and not image_ids.isdisjoint(_config_digests([blob]))
            if blob.digest in told or not is_there or (kept is None and is_image):
                continue
            told.add(blob.digest)
            text = (
                f'{archive.archive.path!r}: nothing leads to {_describe(blob, is_image)} any more'
            )
            kind, name = names.get(blob.digest, ('digest', ''))
            if kept is not None and kind != 'digest':
                text = f'{text}, as its name {name!r} is taken'
            advice = 'give --oci, which keeps it'
            if is_image:  # of which there is another manifest
                advice = 'load this archive by itself'
            yield Problem(f'{text}: {advice}', is_error=False)


def _describe(blob: FoundBlob, is_image: bool) -> str:
    """Returns what a blob is, and its digest.

    Args:
        blob: the blob.
        is_image: whether it is a manifest of an image that is in the new archive.
    """
    annotations = blob.descriptor.get('annotations') or {}
    platform = blob.descriptor.get('platform')
    what = 'the artifact'
    if REFERENCE_TYPE in annotations:
        what = 'the attestation'
    elif isinstance(blob.value.get('manifests'), list):
        what = 'the index'
    elif blob.is_manifest:
        what = 'the manifest'
    if what == 'the manifest' and not is_image and isinstance(platform, dict):
        values = [platform.get(key) for key in ('os', 'architecture', 'variant')]
        what = f'the image for {"/".join(value for value in values if isinstance(value, str))}'
    return f'{what} {blob.digest}'
