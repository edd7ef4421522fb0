# SPDX-License-Identifier: Apache-2.0
"""The JSON of an OCI image layout (OCI image specification 1.1), from digests and sizes."""

import json
from collections.abc import Iterable
from typing import Any, NamedTuple

from image_archive.digests import sha256
from image_archive.image import names, strict_json
from image_archive.image.names import Tag

INDEX_NAME = 'index.json'
LAYOUT_NAME = 'oci-layout'
LAYOUT = b'{"imageLayoutVersion":"1.0.0"}'

_CONFIG_TYPE = 'application/vnd.oci.image.config.v1+json'
_MANIFEST_TYPE = 'application/vnd.oci.image.manifest.v1+json'
_INDEX_TYPE = 'application/vnd.oci.image.index.v1+json'
# By compression, as streams.detect() tells it; the specification has no others.
_LAYER_TYPES = {
    None: 'application/vnd.oci.image.layer.v1.tar',
    'gzip': 'application/vnd.oci.image.layer.v1.tar+gzip',
    'zstd': 'application/vnd.oci.image.layer.v1.tar+zstd',
}
# What Docker calls them, in the layouts that it saves.
_LAYER_TYPES_OF_DOCKER = {
    'application/vnd.docker.image.rootfs.diff.tar': None,
    'application/vnd.docker.image.rootfs.diff.tar.gzip': 'gzip',
    'application/vnd.docker.image.rootfs.diff.tar.zstd': 'zstd',
}
_SCHEMA_VERSION = 2
_BLOBS = 'blobs/sha256/'
_DIGEST_PREFIX = 'sha256:'


class Descriptor(NamedTuple):
    """What names a blob.

    Attributes:
        media_type: what it is.
        digest: `sha256:` and its SHA-256 in hex.
        size: its bytes.
    """

    media_type: str
    digest: str
    size: int


def read_object(content: bytes) -> dict[str, Any]:
    """Returns the object in JSON that another program wrote; {} for what is none.

    Args:
        content: the bytes of the JSON.
    """
    try:
        value = strict_json.loads(content)
    except ValueError:
        return {}
    if not isinstance(value, dict):
        return {}
    return value


def digest_of(content: bytes) -> str:
    """Returns the digest of bytes, as descriptors have it.

    Args:
        content: the bytes.
    """
    return _DIGEST_PREFIX + sha256(content)


def is_digest(text: object) -> bool:
    """Tells whether something is `sha256:` and 64 hex digits in lower case.

    Args:
        text: anything that JSON may hold.
    """
    if not isinstance(text, str) or not text.startswith(_DIGEST_PREFIX):
        return False
    return names.is_hex_id(text.removeprefix(_DIGEST_PREFIX))


def blob_name(digest: str) -> str:
    """Returns the name of a blob in a layout.

    Args:
        digest: its digest, `sha256:<hex>`.
    """
    return _BLOBS + digest.removeprefix(_DIGEST_PREFIX)


def digest_in_name(name: str) -> str | None:
    """Returns the digest that the name of a blob tells, `sha256:<hex>`; None for another name.

    Args:
        name: the normal name of a member.
    """
    if not name.startswith(_BLOBS) or not names.is_hex_id(name.removeprefix(_BLOBS)):
        return None
    return _DIGEST_PREFIX + name.removeprefix(_BLOBS)


def is_layer_compression(compression: str | None) -> bool:
    """Tells whether a layer may be compressed so.

    Args:
        compression: as streams.detect() tells it; None stands for a plain layer.
    """
    return compression in _LAYER_TYPES


def describe_config(content: bytes) -> Descriptor:
    """Returns the descriptor of a configuration.

    Args:
        content: the bytes of the configuration.
    """
    return Descriptor(_CONFIG_TYPE, digest_of(content), len(content))


def describe_manifest(content: bytes) -> Descriptor:
    """Returns the descriptor of a manifest.

    Args:
        content: the bytes of the manifest.
    """
    return Descriptor(_MANIFEST_TYPE, digest_of(content), len(content))


def describe_layer(compression: str | None, digest: str, size: int) -> Descriptor:
    """Returns the descriptor of a layer.

    Args:
        compression: as streams.detect() tells it; is_layer_compression() holds for it.
        digest: `sha256:` and the SHA-256 of the layer as it is stored.
        size: the bytes as it is stored.
    """
    return Descriptor(_LAYER_TYPES[compression], digest, size)


def read_layer(descriptor: Any) -> Descriptor | None:
    """Reads the descriptor of a layer in a manifest that another program wrote.

    Args:
        descriptor: the JSON value.

    Returns:
        The descriptor with the media type of the OCI specification; None for what is no valid
        descriptor, or of something that is none of the layers of describe_layer().
    """
    if not isinstance(descriptor, dict):
        return None
    media_type = descriptor.get('mediaType')
    if not isinstance(media_type, str):
        return None
    if media_type in _LAYER_TYPES_OF_DOCKER:
        media_type = _LAYER_TYPES[_LAYER_TYPES_OF_DOCKER[media_type]]
    digest = descriptor.get('digest')
    size = descriptor.get('size')
    if media_type not in _LAYER_TYPES.values() or not is_digest(digest):
        return None
    if not isinstance(size, int) or isinstance(size, bool) or size < 0:
        return None
    return Descriptor(media_type, str(digest), size)


def is_plain(layer: Descriptor) -> bool:
    """Tells whether a layer is not compressed: its digest then is its diff ID.

    Args:
        layer: the descriptor of the layer.
    """
    return layer.media_type == _LAYER_TYPES[None]


def manifest(config: Descriptor, layers: Iterable[Descriptor]) -> bytes:
    """Returns the manifest of an image.

    Its digest is the name of the image in registries, so these bytes never change.

    Args:
        config: the descriptor of the configuration.
        layers: the descriptors of the layers, bottom layer first.
    """
    value = {
        'schemaVersion': _SCHEMA_VERSION,
        'mediaType': _MANIFEST_TYPE,
        'config': _descriptor(config),
        'layers': [_descriptor(layer) for layer in layers],
    }
    return _to_json(value)


def platform(config: dict[str, Any]) -> dict[str, Any] | None:
    """Returns the platform that a configuration is for; None where it does not tell.

    Args:
        config: the configuration, whose values may be of any type.
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


def index(image: Descriptor, tags: Iterable[Tag], image_platform: dict[str, Any] | None) -> bytes:
    """Returns the content of index.json: a descriptor for each name of the image.

    Args:
        image: the descriptor of the manifest.
        tags: the tags; without any the image is there all the same, without a name.
        image_platform: as platform() returns it.
    """
    descriptor = _descriptor(image)
    if image_platform is not None:
        descriptor['platform'] = image_platform
    named = []
    for tag in dict.fromkeys(tags):
        # By the first containerd and Docker name the image, by the second Skopeo and umoci.
        annotations = {
            'io.containerd.image.name': tag.full_name,
            'org.opencontainers.image.ref.name': tag.tag,
        }
        named.append({**descriptor, 'annotations': annotations})
    value = {
        'schemaVersion': _SCHEMA_VERSION,
        'mediaType': _INDEX_TYPE,
        'manifests': named or [descriptor],
    }
    return _to_json(value)


def _descriptor(descriptor: Descriptor) -> dict[str, Any]:
    return {
        'mediaType': descriptor.media_type,
        'digest': descriptor.digest,
        'size': descriptor.size,
    }


def _to_json(value: dict[str, Any]) -> bytes:
    return json.dumps(value, sort_keys=True, separators=(',', ':')).encode()
