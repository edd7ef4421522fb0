# SPDX-License-Identifier: Apache-2.0
"""The layers of an image as the blobs of an OCI layout: their digests, sizes and media types.

Those of a plain layer are known without reading it. A compressed one is read once.
"""

from collections.abc import Iterator
from typing import Any, NamedTuple

from image_archive.create.image import Layer, OpenedImage
from image_archive.errors import ArchiveError, ArgumentError
from image_archive.image import oci
from image_archive.image.bases import BaseImage
from image_archive.image.oci import Descriptor
from image_archive.system.progress import Progress
from image_archive.tar import sources, streams
from image_archive.tar.sources import Archive, Source

_JSON_LIMIT = 4 << 20  # bytes of an index or manifest of a base
_DEPTH_LIMIT = 8  # of indexes that lead to indexes


class BaseLayer(NamedTuple):
    """A layer of the base.

    Attributes:
        descriptor: its digest, size and media type.
        source: its content, if that is to be stored: where the archive that is merged has it.
    """

    descriptor: Descriptor
    source: Source | None


class Layout(NamedTuple):
    """The blobs of an image.

    Attributes:
        config: the configuration.
        base_layers: the layers of the base, bottom layer first.
        own_layers: the layers that the image adds to them.
    """

    config: Descriptor
    base_layers: list[BaseLayer]
    own_layers: list[Descriptor]

    @property
    def layers(self) -> list[Descriptor]:
        """All layers, bottom layer first."""
        return [layer.descriptor for layer in self.base_layers] + self.own_layers


def find_layout(image: OpenedImage, progress: Progress) -> Layout:
    """Returns the descriptors of the blobs of an image.

    Args:
        image: the image, whose files could all be opened.
        progress: is told of the bytes that are read.

    Raises:
        ArgumentError: a layer is compressed as none may be.
        ArchiveError: the base does not tell of all its layers, or contradicts itself.
        OSError: a file cannot be read.
    """
    progress.begin('reading compressed layers', 0)
    base_layers = []
    if image.base is not None:
        base_layers = _base_layers(image, image.base, progress)
    own_layers = [_own_layer(image, layer, progress) for layer in image.parts.layers]
    return Layout(oci.describe_config(image.config or b''), base_layers, own_layers)


def _own_layer(image: OpenedImage, layer: Layer, progress: Progress) -> Descriptor:
    opened = image.layers[layer.path]
    source = sources.whole_file(layer.path, opened.file, opened.size)
    return _describe(image, source, f'sha256:{layer.identifier}', repr(layer.path), progress)


def _describe(
    image: OpenedImage, source: Source, diff_id: str, label: str, progress: Progress
) -> Descriptor:
    """Returns the descriptor of a layer that is at hand.

    Args:
        image: the image, which knows the digests of what was read before.
        source: the layer.
        diff_id: its diff ID, which is the digest of a plain layer.
        label: what errors call it.
        progress: is told of the bytes that are read.
    """
    name = streams.detect(source.head())
    if not oci.is_layer_compression(name):
        raise ArgumentError(f'--oci: {label} is compressed by {name}: use gzip')
    digest = diff_id
    if name is not None:
        digest = f'sha256:{image.stored_digest(source, progress)}'
    return oci.describe_layer(name, digest, source.size)


# The base.


def _base_layers(image: OpenedImage, base: BaseImage, progress: Progress) -> list[BaseLayer]:
    diff_ids = _diff_ids(base)
    told = _find_told_layers(base)
    layers = []
    for position, place in enumerate(image.base_layer_places()):
        name = base.layers[position]
        if place is None:
            layers.append(BaseLayer(_missing_layer(base, name, told, position), None))
            continue
        archive, member = place
        source = archive.source(member)
        label = f'layer {name!r} of {archive.path!r}'
        descriptor = _describe(image, source, diff_ids[position], label, progress)
        if archive is base.archive:
            _check_digest(base, name, told, position, descriptor.digest)
        is_stored = archive is image.legacy_base
        layers.append(BaseLayer(descriptor, source if is_stored else None))
    return layers


def _diff_ids(base: BaseImage) -> list[str]:
    """Returns the diff IDs of the base; raises ArchiveError unless each layer has one."""
    path = base.archive.path
    diff_ids = base.diff_ids
    if base.is_v1 or diff_ids is None or len(diff_ids) != len(base.layers):
        text = 'has no configuration with a diff ID for each layer: replace it'
        raise ArchiveError(f'--base: {path!r} {text}')
    for diff_id in diff_ids:
        if not oci.is_digest(diff_id):
            text = f'{path!r} has a diff ID that is no SHA-256, {diff_id!r}: replace it'
            raise ArchiveError(f'--base: {text}')
    return diff_ids


def _missing_layer(base: BaseImage, name: str, told: list[Any] | None, position: int) -> Descriptor:
    """Returns the descriptor of a layer that the base lacks, as its own OCI manifest tells it."""
    descriptor = None
    if told is not None:
        descriptor = oci.read_layer(told[position])
    if descriptor is None:
        text = f'{base.archive.path!r} lacks its layer {name!r}, and no OCI manifest in it tells of'
        raise ArchiveError(f'--base: {text} that: give a whole image')
    return descriptor


def _check_digest(
    base: BaseImage, name: str, told: list[Any] | None, position: int, digest: str
) -> None:
    """Raises ArchiveError if the base tells another digest of a layer than the layer has."""
    expected = oci.digest_in_name(name)
    if told is not None:
        expected = _digest_of(told[position])
    if expected not in (None, digest):
        text = f'layer {name!r} of {base.archive.path!r} is {digest}, not {expected}'
        raise ArchiveError(f'--base: {text}: replace the base')


def _find_told_layers(base: BaseImage) -> list[Any] | None:
    """Returns the layers' descriptors in the OCI manifest that a base has of its image.

    Returns:
        A JSON value for each layer; None without such a manifest.

    Raises:
        ArchiveError: the manifest does not fit what manifest.json and the configuration say.
    """
    config = base.archive.read_file(base.config_name)
    if config is None:
        return None
    config_digest = oci.digest_of(config)
    contradictions = []
    for manifest in _manifests(base.archive):
        if _digest_of(manifest['config']) != config_digest:
            continue
        layers = manifest.get('layers') or []
        contradiction = _contradiction(base, layers)
        if contradiction is None:
            return list(layers)
        contradictions.append(contradiction)
    if contradictions:
        text = f'{base.archive.path!r} has an OCI manifest with {contradictions[0]}'
        raise ArchiveError(f'--base: {text}: replace it')
    return None


def _contradiction(base: BaseImage, layers: Any) -> str | None:
    """Tells what in the layers of an OCI manifest is otherwise in manifest.json."""
    if not isinstance(layers, list):
        return 'no list of layers'
    if len(layers) != len(base.layers):
        return f'{len(layers)} layers, but {len(base.layers)} in manifest.json'
    diff_ids = _diff_ids(base)
    for name, diff_id, layer in zip(base.layers, diff_ids, layers, strict=True):
        digest = _digest_of(layer)
        if oci.digest_in_name(name) not in (None, digest):
            return f'the layer {digest}, but {name!r} in manifest.json'
        descriptor = oci.read_layer(layer)
        if descriptor is not None and oci.is_plain(descriptor) and digest != diff_id:
            return f'the plain layer {digest}, but the diff ID {diff_id} in the configuration'
    return None


def _manifests(archive: Archive) -> Iterator[dict[str, Any]]:
    """Yields the manifests of images to which index.json leads, through other indexes, too.

    What the archive lacks, as the images of other platforms, is passed over.
    """
    seen: set[str] = set()

    def follow(index: dict[str, Any], depth: int) -> Iterator[dict[str, Any]]:
        descriptors = index.get('manifests')
        if not isinstance(descriptors, list) or depth > _DEPTH_LIMIT:
            return
        for descriptor in descriptors:
            digest = _digest_of(descriptor)
            if digest is None or digest in seen:
                continue
            seen.add(digest)
            content = _read_object(archive, oci.blob_name(digest), digest)
            if 'config' in content:
                yield content
            yield from follow(content, depth + 1)

    yield from follow(_read_object(archive, oci.INDEX_NAME), 0)


def _read_object(archive: Archive, name: str, digest: str | None = None) -> dict[str, Any]:
    """Returns the JSON object in a small file; {} for what is none, or has another digest."""
    member = archive.find(name)
    if member is None or member.size > _JSON_LIMIT:
        return {}
    content = archive.read(member)
    if digest is not None and oci.digest_of(content) != digest:
        return {}
    return oci.read_object(content)


def _digest_of(descriptor: Any) -> str | None:
    """Returns the digest in a descriptor that another program wrote; None for no SHA-256."""
    if not isinstance(descriptor, dict) or not oci.is_digest(descriptor.get('digest')):
        return None
    return str(descriptor['digest'])
