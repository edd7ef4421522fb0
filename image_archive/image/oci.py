# SPDX-License-Identifier: Apache-2.0
"""The JSON of an OCI image layout (OCI image specification 1.1), from digests and sizes."""

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from image_archive.digests import algorithm_of, digest_in_blob_name, digest_of, is_sha256_digest
from image_archive.image.oci_index import (
    FULL_NAME,
    INDEX_TYPE,
    MANIFEST_TYPE,
    REF_NAME,
    is_descriptor,
)
from image_archive.image.tags import Tag

LAYOUT = b'{"imageLayoutVersion":"1.0.0"}'

_CONFIG_TYPE = 'application/vnd.oci.image.config.v1+json'
# By compression, as detect_compression() returns it; the specification has no others.
_LAYER_TYPES = {
    None: 'application/vnd.oci.image.layer.v1.tar',
    'gzip': 'application/vnd.oci.image.layer.v1.tar+gzip',
    'zstd': 'application/vnd.oci.image.layer.v1.tar+zstd',
}
# The names for them in layouts that Docker saves.
_LAYER_TYPES_OF_DOCKER = {
    'application/vnd.docker.image.rootfs.diff.tar': None,
    'application/vnd.docker.image.rootfs.diff.tar.gzip': 'gzip',
    'application/vnd.docker.image.rootfs.diff.tar.zstd': 'zstd',
}
# Parts of the media types of foreign layers: in the OCI specification, and in Docker's.
_FOREIGN = ('nondistributable', 'foreign')
_FOREIGN_TYPES = {
    None: 'application/vnd.oci.image.layer.nondistributable.v1.tar',
    'gzip': 'application/vnd.oci.image.layer.nondistributable.v1.tar+gzip',
    'zstd': 'application/vnd.oci.image.layer.nondistributable.v1.tar+zstd',
}
_FOREIGN_TYPES_OF_DOCKER = {
    'application/vnd.docker.image.rootfs.foreign.diff.tar': None,
    'application/vnd.docker.image.rootfs.foreign.diff.tar.gzip': 'gzip',
}
_SCHEMA_VERSION = 2
# The variants that containerd takes for no variant (platforms/database.go).
_USUAL_VARIANTS = {'amd64': 'v1', 'arm': 'v7', 'arm64': 'v8'}


class Descriptor(NamedTuple):
    """A descriptor of a blob.

    Attributes:
        media_type: its media type.
        digest: its digest.
        size: its bytes.
        urls: of a foreign layer, where clients may download it.
    """

    media_type: str
    digest: str
    size: int
    urls: tuple[str, ...] = ()


def is_layer_compression(compression: str | None) -> bool:
    """Tells whether a layer may have a compression that detect_compression() returned."""
    return compression in _LAYER_TYPES


def is_layer_type(media_type: str) -> bool:
    """Tells whether a media type is that of a layer that clients unpack."""
    return media_type in _compressions()


def compression_in_type(media_type: str) -> str | None:
    """Returns the compression, as detect_compression() names it, in the media type of a layer."""
    return _compressions()[media_type]


def _compressions() -> dict[str, str | None]:
    """Returns the compression that each media type of layers says."""
    found: dict[str, str | None] = {**_LAYER_TYPES_OF_DOCKER, **_FOREIGN_TYPES_OF_DOCKER}
    for types in (_LAYER_TYPES, _FOREIGN_TYPES):
        found.update({media_type: compression for compression, media_type in types.items()})
    return found


def describe_config(content: bytes) -> Descriptor:
    """Returns the descriptor of a configuration with these bytes."""
    return describe_config_of(digest_of(content), len(content))


def describe_config_of(digest: str, size: int) -> Descriptor:
    """Returns the descriptor of a configuration with this digest, and this number of bytes."""
    return Descriptor(_CONFIG_TYPE, digest, size)


def describe_manifest(content: bytes) -> Descriptor:
    """Returns the descriptor of a manifest with these bytes."""
    return Descriptor(MANIFEST_TYPE, digest_of(content), len(content))


def describe_layer(compression: str | None, digest: str, size: int) -> Descriptor:
    """Returns the descriptor of a layer.

    Args:
        compression: a compression for which is_layer_compression() is true.
        digest: the digest of the layer as it is stored.
        size: its bytes as it is stored.
    """
    return Descriptor(_LAYER_TYPES[compression], digest, size)


def describe_foreign_layer(layer: Descriptor, compression: str | None, source: Any) -> Descriptor:
    """Returns the descriptor of a foreign layer that is there.

    Args:
        layer: what describe_layer() returned for it.
        compression: its compression.
        source: the descriptor of the foreign layer in JSON.

    Returns:
        The descriptor of the foreign layer. If it is stored otherwise than the client downloaded
        it, as Docker saves it uncompressed, its URLs lead to other bytes: they are left out.
    """
    foreign = read_layer(source)
    if foreign is not None and (foreign.digest, foreign.size) == (layer.digest, layer.size):
        return foreign
    return layer._replace(media_type=_FOREIGN_TYPES[compression])


def is_foreign(descriptor: Any) -> bool:
    """Tells whether a descriptor from JSON is that of a foreign layer.

    Such a layer is not to be distributed: registries do not have it, and clients download it from
    its URLs (OCI image specification, "Non-Distributable Layers").
    """
    if not isinstance(descriptor, dict):
        return False
    media_type = descriptor.get('mediaType')
    return isinstance(media_type, str) and any(part in media_type for part in _FOREIGN)


def read_layer(descriptor: Any) -> Descriptor | None:
    """Reads the descriptor of a layer in a manifest that another program wrote.

    Args:
        descriptor: the value in its JSON.

    Returns:
        The descriptor, with a media type of the OCI specification unless the layer is foreign;
        None if it is not valid, or neither foreign nor of a layer that describe_layer() describes.
    """
    if not isinstance(descriptor, dict):
        return None
    media_type = descriptor.get('mediaType')
    if not isinstance(media_type, str):
        return None
    if media_type in _LAYER_TYPES_OF_DOCKER:
        media_type = _LAYER_TYPES[_LAYER_TYPES_OF_DOCKER[media_type]]
    urls: list[str] = []
    if is_foreign(descriptor):
        urls = descriptor.get('urls') or []
    elif media_type not in _LAYER_TYPES.values():
        return None
    digest = descriptor.get('digest')
    size = descriptor.get('size')
    if not isinstance(digest, str) or algorithm_of(digest) is None:
        return None
    if not isinstance(size, int) or isinstance(size, bool) or size < 0:
        return None
    if not isinstance(urls, list) or not all(isinstance(url, str) for url in urls):
        return None
    return Descriptor(media_type, digest, size, tuple(urls))


def contradiction(layers: Any, names: Sequence[str], diff_ids: Sequence[str | None]) -> str | None:
    """Returns what the layers of an OCI manifest contradict; None if they contradict nothing.

    Args:
        layers: the value of `layers` in the manifest.
        names: the names of the layers in manifest.json.
        diff_ids: the diff IDs of the layers in the configuration; as many as names.
    """
    if not isinstance(layers, list):
        return 'no list of layers'
    if len(layers) != len(names):
        return f'{len(layers)} layers, but {len(names)} in manifest.json'
    for name, diff_id, layer in zip(names, diff_ids, layers, strict=True):
        digest = digest_in(layer)
        if digest_in_blob_name(name) not in (None, digest):
            return f'the layer {digest}, but {name!r} in manifest.json'
        descriptor = read_layer(layer)
        is_plain_layer = descriptor is not None and is_plain(descriptor)
        if is_plain_layer and is_sha256_digest(digest) and digest != diff_id:
            return f'the plain layer {digest}, but the diff ID {diff_id} in the configuration'
    return None


def digest_in(descriptor: Any) -> str | None:
    """Returns the digest in a descriptor from JSON; None if it is not one."""
    if not is_descriptor(descriptor):
        return None
    return str(descriptor['digest'])


def is_plain(layer: Descriptor) -> bool:
    """Tells whether a layer is not compressed: then its digest is its diff ID."""
    return layer.media_type.endswith('.tar')


def manifest(
    config: Descriptor, layers: Iterable[Descriptor], annotations: Mapping[str, str] | None = None
) -> bytes:
    """Returns the manifest of an image.

    Its digest is the name of the image in registries, so these bytes never change.

    Args:
        config: the descriptor of the configuration.
        layers: the descriptors of the layers, bottom layer first.
        annotations: its annotations; without any it has no such key.
    """
    value: dict[str, Any] = {
        'schemaVersion': _SCHEMA_VERSION,
        'mediaType': MANIFEST_TYPE,
        'config': _descriptor(config),
        'layers': [_descriptor(layer) for layer in layers],
    }
    if annotations:
        value['annotations'] = dict(annotations)
    return _to_json(value)


def platform(config: dict[str, Any]) -> dict[str, Any] | None:
    """Returns the platform of an image as descriptors have it; None if it is not known.

    Args:
        config: the keys of its configuration, with values of any type.
    """
    strings = {}
    for key in ('architecture', 'os', 'variant', 'os.version'):
        if isinstance(config.get(key), str) and config[key]:
            strings[key] = config[key]
    if 'architecture' not in strings or 'os' not in strings:
        return None
    features = config.get('os.features')
    if not isinstance(features, list) or not features:
        return strings
    if not all(isinstance(feature, str) for feature in features):
        return strings
    return {**strings, 'os.features': features}


def platform_key(value: Mapping[str, Any]) -> tuple[str, str, str] | None:
    """Returns what distinguishes a platform from others; None if it is not known.

    Args:
        value: what platform() returned, or a platform from JSON.
    """
    system, architecture = value.get('os'), value.get('architecture')
    if not isinstance(system, str) or not isinstance(architecture, str):
        return None
    variant = value.get('variant')
    if not isinstance(variant, str) or _USUAL_VARIANTS.get(architecture) == variant:
        variant = ''
    return system, architecture, variant


def named_descriptor(
    descriptor: dict[str, Any], tag: Tag | None, annotations: Mapping[str, str] | None = None
) -> dict[str, Any]:
    """Returns a descriptor for index.json.

    Args:
        descriptor: what json_descriptor() returned.
        tag: the name; None for a descriptor without one.
        annotations: the annotations of the manifest.
    """
    names = {}
    if tag is not None:
        # containerd and Docker name the image by the first, Skopeo and umoci by the second.
        names = {FULL_NAME: tag.full_name, REF_NAME: tag.tag}
    if not names and not annotations:
        return descriptor
    return {**descriptor, 'annotations': {**(annotations or {}), **names}}


def json_descriptor(
    descriptor: Descriptor, image_platform: dict[str, Any] | None = None
) -> dict[str, Any]:
    """Returns a descriptor as it is in JSON.

    Args:
        descriptor: the descriptor.
        image_platform: what platform() returned, if it is that of a manifest.
    """
    value = _descriptor(descriptor)
    if image_platform is not None:
        value['platform'] = image_platform
    return value


def index(descriptors: list[dict[str, Any]]) -> bytes:
    """Returns an index: the content of index.json, or of a blob for an image of several platforms.

    The digest of such a blob is a name of the image in registries, so these bytes never change.

    Args:
        descriptors: its descriptors, as they are in JSON.
    """
    value = {'schemaVersion': _SCHEMA_VERSION, 'mediaType': INDEX_TYPE, 'manifests': descriptors}
    return _to_json(value)


def _descriptor(descriptor: Descriptor) -> dict[str, Any]:
    value: dict[str, Any] = {
        'mediaType': descriptor.media_type,
        'digest': descriptor.digest,
        'size': descriptor.size,
    }
    if descriptor.urls:
        value['urls'] = list(descriptor.urls)
    return value


def _to_json(value: dict[str, Any]) -> bytes:
    return json.dumps(value, sort_keys=True, separators=(',', ':')).encode()
