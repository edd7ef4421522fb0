# SPDX-License-Identifier: Apache-2.0
"""The index of an OCI image layout, and the manifests that it leads to."""

from collections.abc import Callable, Iterable, Iterator
from typing import Any, NamedTuple

from image_archive import digests
from image_archive.errors import ArchiveError
from image_archive.image.strict_json import JsonError, KnownKeys, loads
from image_archive.tar.archive import Archive

INDEX_NAME = 'index.json'
LAYOUT_NAME = 'oci-layout'
LAYOUT_NAMES = (INDEX_NAME, LAYOUT_NAME)

INDEX_TYPE = 'application/vnd.oci.image.index.v1+json'
MANIFEST_TYPE = 'application/vnd.oci.image.manifest.v1+json'
# Annotations of descriptors for the name of an image: containerd and Docker have it in the first;
# other programs have it, or only its tag, in the second.
FULL_NAME = 'io.containerd.image.name'
REF_NAME = 'org.opencontainers.image.ref.name'
NAME_ANNOTATIONS = (FULL_NAME, REF_NAME)
# The media types of indexes and manifests.
READ_TYPES = (
    INDEX_TYPE,
    'application/vnd.docker.distribution.manifest.list.v2+json',
    MANIFEST_TYPE,
    'application/vnd.docker.distribution.manifest.v2+json',
    None,  # older layouts leave the media type out
)
# The media types of configurations; those of other things are of artifacts.
CONFIG_TYPES = (
    'application/vnd.oci.image.config.v1+json',
    'application/vnd.docker.container.image.v1+json',
    None,  # older layouts leave the media type out
)
# OCI image specification 1.1: descriptors, image indexes, image manifests.
_PLATFORM_KEYS = KnownKeys(('architecture', 'os', 'os.version', 'os.features', 'variant'))
_DESCRIPTOR_KEYS = KnownKeys(
    ('mediaType', 'digest', 'size', 'urls', 'annotations', 'data', 'artifactType'),
    {'platform': _PLATFORM_KEYS},
)
_KEYS = KnownKeys(
    ('schemaVersion', 'mediaType', 'artifactType', 'annotations'),
    dict.fromkeys(('manifests', 'config', 'layers', 'subject'), _DESCRIPTOR_KEYS),
)
# Docker's name for what a descriptor is that is not an image: attestation-manifest.
REFERENCE_TYPE = 'vnd.docker.reference.type'

_SHOWN = 200  # characters of a digest, in messages
_DEPTH_LIMIT = 8  # of indexes that lead to indexes
_SIZE_LIMIT = 16 << 20  # bytes of all indexes and manifests that one leads to

JsonDescriptor = dict[str, Any]  # as it is in JSON, with a valid digest


class FoundBlob(NamedTuple):
    """A blob that an index leads to.

    Attributes:
        descriptor: its descriptor.
        digest: its digest.
        value: the object in it, if it is an index or a manifest that is there and is what its
            digest says; else {}.
    """

    descriptor: JsonDescriptor
    digest: str
    value: dict[str, Any]

    @property
    def is_manifest(self) -> bool:
        """Whether it is the manifest of an image."""
        return isinstance(self.value.get('config'), dict)


def read_index(archive: Archive) -> list[JsonDescriptor] | None:
    """Returns the descriptors in the index.json of an archive; None without that member.

    Args:
        archive: the archive, open.

    Raises:
        ArchiveError: it is not an index, or comes twice with different content.
        OSError: it cannot be read.
    """
    archive.check_repeated([INDEX_NAME])
    content = archive.read_file(INDEX_NAME)
    if content is None:
        return None
    items = parse(content).get('manifests')
    if not isinstance(items, list):
        text = f'{INDEX_NAME} is not an OCI image index: replace it'
        raise ArchiveError(f'{archive.path!r}: {text}')
    for item in items:
        if not is_descriptor(item):
            text = f'{INDEX_NAME} is not an OCI image index: it {descriptor_problem(item)}'
            raise ArchiveError(f'{archive.path!r}: {text}: replace it')
    return items


def usable_index(archive: Archive) -> list[JsonDescriptor]:
    """Returns the valid descriptors in the index.json of an archive; none if it is not an index.

    Args:
        archive: the archive, which can be used without its index.

    Raises:
        ArchiveError: the file is too large.
        OSError: it cannot be read.
    """
    content = archive.read_file(INDEX_NAME)
    return descriptors_in(parse(content or b''), 'manifests')


def parse(content: bytes) -> dict[str, Any]:
    """Returns an index or manifest with known keys in their usual spelling; {} if it is none."""
    try:
        value = _KEYS.in_usual_spelling(loads(content))
    except JsonError:
        return {}
    if not isinstance(value, dict):
        return {}
    return value


def is_descriptor(value: Any) -> bool:
    """Tells whether a value from JSON is a descriptor, as far as it is needed here."""
    if not isinstance(value, dict):
        return False
    digest = value.get('digest')
    annotations = value.get('annotations')
    if not isinstance(digest, str) or digests.algorithm_of(digest) is None:
        return False
    return annotations is None or isinstance(annotations, dict)


def descriptor_problem(value: Any) -> str:
    """Returns what is wrong with a value that is no descriptor, in words that follow a name."""
    digest = value.get('digest') if isinstance(value, dict) else None
    if isinstance(digest, str) and digests.algorithm_of(digest) is None:
        return f'has the digest {digest[:_SHOWN]!r}, which is neither of sha256 nor of sha512'
    return 'has what is not a descriptor'


def descriptors_in(value: dict[str, Any], key: str) -> list[JsonDescriptor]:
    """Returns the valid descriptors in a list of an index or a manifest.

    Args:
        value: the index or manifest.
        key: the key of the list.
    """
    items = value.get(key)
    if not isinstance(items, list):
        return []
    return [item for item in items if is_descriptor(item)]


def walk(
    descriptors: Iterable[JsonDescriptor], read: Callable[[str], bytes | None], label: str
) -> Iterator[FoundBlob]:
    """Yields what an index leads to, also through other indexes; each blob once.

    Configurations and layers are in the manifests that it yields.

    Args:
        descriptors: those of the index.
        read: returns the bytes of the member of a name; None if there is none.
        label: what has the index, for messages.

    Raises:
        ArchiveError: an index or a manifest is too large, or all of them are.
        OSError: one cannot be read.
    """
    size = 0

    def read_within_limit(name: str) -> bytes | None:
        nonlocal size
        content = read(name)
        size += len(content or b'')
        if size > _SIZE_LIMIT:
            text = f'{INDEX_NAME} leads to manifests of over {_SIZE_LIMIT >> 20} MiB'
            raise ArchiveError(f'{label}: {text}: leave some out')
        return content

    seen: set[str] = set()
    level = list(descriptors)
    for _ in range(_DEPTH_LIMIT + 1):
        below: list[JsonDescriptor] = []
        for descriptor in level:
            digest = descriptor['digest']
            if digest in seen:
                continue
            seen.add(digest)
            blob = FoundBlob(descriptor, digest, _read_value(descriptor, read_within_limit))
            below += descriptors_in(blob.value, 'manifests')
            yield blob
        level = below


def _read_value(descriptor: JsonDescriptor, read: Callable[[str], bytes | None]) -> dict[str, Any]:
    if descriptor.get('mediaType') not in READ_TYPES:
        return {}
    digest = descriptor['digest']
    content = read(digests.blob_name(digest))
    if content is None or not digests.matches(digest, content):
        return {}
    return parse(content)
