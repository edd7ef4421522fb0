# SPDX-License-Identifier: Apache-2.0
"""The blobs of an image in an OCI layout: the digests, sizes and media types of its layers.

Those of a plain layer are known without reading it. A compressed layer is read once.
"""

from typing import Any, NamedTuple

from image_archive.create.opened import BaseLayer, OpenedImage
from image_archive.digests import all_digests_of, digest_in_blob_name, is_sha256_digest
from image_archive.errors import ArchiveError
from image_archive.image import oci
from image_archive.image.layer_file import describe_file
from image_archive.image.oci import Descriptor
from image_archive.image.oci_index import usable_index, walk
from image_archive.image.stored import StoredImage
from image_archive.system.progress import Progress


class Layout(NamedTuple):
    """The blobs of an image.

    Attributes:
        config: the configuration.
        base_layers: the layers of the base, bottom layer first.
        own_layers: the layers that the image adds to them.
    """

    config: Descriptor
    base_layers: list[Descriptor]
    own_layers: list[Descriptor]


def find_layout(image: OpenedImage, progress: Progress) -> Layout:
    """Returns the descriptors of the blobs of an image.

    Args:
        image: the image; all its files could be opened.
        progress: advanced by the bytes that are read.

    Raises:
        ArchiveError: the base does not describe all its layers, or contradicts itself.
        OSError: a file cannot be read.
    """
    progress.begin('reading compressed layers', 0)
    base_layers = []
    if image.base is not None:
        base_layers = _describe_base(image, image.base, progress)
    own_layers = [
        describe_file(image.layers[layer.path].file, f'sha256:{layer.identifier}', progress)
        for layer in image.parts.layers
    ]
    return Layout(oci.describe_config(image.checked_config.content), base_layers, own_layers)


# The base.


def _describe_base(image: OpenedImage, base: StoredImage, progress: Progress) -> list[Descriptor]:
    diff_ids = _diff_ids(base)
    described = _find_described_layers(base, diff_ids)
    descriptors = []
    for index, layer in enumerate(image.base_layers):
        from_manifest = None
        if described is not None:
            from_manifest = described[index]
        foreign = base.foreign_layers[index]
        if layer.file is None or layer.place is None:
            descriptors.append(_missing_layer(base, layer, foreign or from_manifest))
            continue
        expected = digest_in_blob_name(layer.name)
        if from_manifest is not None:
            expected = oci.digest_in(from_manifest)
        descriptor = describe_file(layer.file, diff_ids[index], progress, expected)
        if layer.place.archive is base.archive and expected not in (None, descriptor.digest):
            text = f'layer {layer.name!r} of {base.archive.path!r} is {descriptor.digest}'
            raise ArchiveError(f'--base: {text}, not {expected}: replace the base')
        if foreign is not None:
            compression = layer.file.compression
            descriptor = oci.describe_foreign_layer(descriptor, compression, foreign)
        descriptors.append(descriptor)
    return descriptors


def _diff_ids(base: StoredImage) -> tuple[str, ...]:
    """Returns the diff IDs of the base; raises ArchiveError unless each layer has one."""
    path = base.archive.path
    diff_ids = base.diff_ids
    if diff_ids is None or len(diff_ids) != len(base.layers):
        text = 'has no configuration with a diff ID for each layer: replace it'
        raise ArchiveError(f'--base: {path!r} {text}')
    for diff_id in diff_ids:
        if not is_sha256_digest(diff_id):
            text = f'{path!r} has a diff ID that is no SHA-256, {diff_id!r}: replace it'
            raise ArchiveError(f'--base: {text}')
    return diff_ids


def _missing_layer(base: StoredImage, layer: BaseLayer, described: Any) -> Descriptor:
    """Returns the descriptor of a layer that the base lacks, from its own OCI manifest."""
    descriptor = oci.read_layer(described)
    if descriptor is None:
        text = f'{base.archive.path!r} lacks its layer {layer.name!r}'
        reason = 'and no OCI manifest in it describes that'
        raise ArchiveError(f'--base: {text}, {reason}: give a whole image')
    return descriptor


def _find_described_layers(base: StoredImage, diff_ids: tuple[str, ...]) -> list[Any] | None:
    """Returns the layers in the OCI manifest that a base has for its image.

    Returns:
        A value from JSON for each layer; None without such a manifest.

    Raises:
        ArchiveError: the manifest contradicts manifest.json or the configuration.
    """
    if base.config is None:
        return None
    config_digests = all_digests_of(base.config.content)
    contradictions = []
    label = repr(base.archive.path)
    for blob in walk(usable_index(base.archive), base.archive.read_file, label):
        if not blob.is_manifest or oci.digest_in(blob.value['config']) not in config_digests:
            continue
        layers = blob.value.get('layers') or []
        contradiction = oci.contradiction(layers, base.layers, diff_ids)
        if contradiction is None:
            return list(layers)
        contradictions.append(contradiction)
    if contradictions:
        text = f'{base.archive.path!r} has an OCI manifest with {contradictions[0]}'
        raise ArchiveError(f'--base: {text}: replace it')
    return None
