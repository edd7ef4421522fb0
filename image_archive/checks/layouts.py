# SPDX-License-Identifier: Apache-2.0
"""What may be wrong with an image of an OCI image layout, besides its configuration and layers.

Each message names the file in the layout. No layer is read, but for its first bytes.
"""

from image_archive.checks.problem import Problem, Problems, report
from image_archive.digests import blob_name, matches
from image_archive.image import oci
from image_archive.image.choice import Platform, platform_in
from image_archive.image.layout import IndexedImage
from image_archive.image.oci_index import JsonDescriptor
from image_archive.image.stored import ImageArchive, StoredImage
from image_archive.tar.compression import detect_compression

_ADVICE = 'save the image again'
_SHOWN = 200  # characters of a value, in messages


def index_problems(flag: str, images: ImageArchive) -> Problems:
    """Checks that all indexes and manifests of a layout that are there are sound.

    Args:
        flag: the flag that gives the archive.
        images: the archive; only a layout is checked.
    """
    if not images.is_layout:
        return
    for text in images.index_content.problems:
        yield Problem(f'{flag}: {images.archive.path!r}: {text}: {_ADVICE}')


def image_problems(flag: str, image: StoredImage, verifies: bool = False) -> Problems:
    """Checks an image of an index: sizes, media types, the platform, and what it is built of.

    Args:
        flag: the flag that gives the archive.
        image: the image; one of manifest.json is not checked.
        verifies: whether to compare the configuration with its digest.

    Raises:
        OSError: the archive cannot be read.
    """
    if image.indexed is None:
        return
    for text in _wrong(image, image.indexed, verifies):
        yield Problem(f'{flag}: {image.archive.path!r}: {text}: {_ADVICE}')


def warn_of_base(image: StoredImage) -> None:
    """Warns of all that is wrong with the base of a program that has no --verify.

    Args:
        image: the base.

    Raises:
        OSError: the archive cannot be read.
    """
    report(index_problems('--base', image.images), verifies=False)
    report(image_problems('--base', image), verifies=False)


def _wrong(image: StoredImage, indexed: IndexedImage, verifies: bool) -> list[str]:
    """Returns what is wrong with an image, each in words that begin with the name of a file."""
    described = {one['digest']: one for one in (indexed.descriptor, indexed.config)}
    described.update({layer['digest']: layer for layer in indexed.layers})
    found = [_wrong_size(image, descriptor) for descriptor in described.values()]
    found.append(_wrong_manifest_type(indexed))
    layers = {layer['digest']: layer for layer in indexed.layers}
    found += [_wrong_layer_type(image, layer) for layer in layers.values()]
    found.append(_wrong_platform(image, indexed))
    config_digest = indexed.config['digest']
    if verifies and image.config is not None and not matches(config_digest, image.config.content):
        found.append(f'{blob_name(config_digest)!r} has another digest')
    return [text for text in found if text is not None]


def _wrong_size(image: StoredImage, descriptor: JsonDescriptor) -> str | None:
    """Returns what is wrong with the size of a blob; None if nothing is, or it is missing."""
    name = blob_name(descriptor['digest'])
    place = image.archive.find(name)
    if place is None:
        return None
    size = descriptor.get('size')
    if not isinstance(size, int) or isinstance(size, bool) or size < 0:
        return f'{name!r} has a descriptor without a valid size'
    if size != place.member.size:
        return f'{name!r} has {place.member.size} bytes, and its descriptor says {size}'
    return None


def _wrong_manifest_type(indexed: IndexedImage) -> str | None:
    """Returns what is wrong if a manifest and its descriptor do not have one media type."""
    said = indexed.descriptor.get('mediaType')
    own = indexed.media_type
    if said is None or own is None or said == own:
        return None
    name = blob_name(indexed.descriptor['digest'])
    return f'{name!r} has the media type {str(own)[:_SHOWN]!r}, and its descriptor says {said!r}'


def _wrong_layer_type(image: StoredImage, layer: JsonDescriptor) -> str | None:
    """Returns what is wrong with the media type of a layer."""
    name = blob_name(layer['digest'])
    media_type = layer.get('mediaType')
    if not isinstance(media_type, str) or not oci.is_layer_type(media_type):
        return f'{name!r} has the media type {str(media_type)[:_SHOWN]!r}, which is of no layer'
    place = image.archive.find(name)
    if place is None:
        return None
    compression = detect_compression(place.source.head())
    expected = oci.compression_in_type(media_type)
    if compression == expected:
        return None
    return f'{name!r} is {compression or "plain"}, and its media type says {expected or "plain"}'


def _wrong_platform(image: StoredImage, indexed: IndexedImage) -> str | None:
    """Returns what is wrong if the index and the configuration say different platforms."""
    if indexed.platform is None or image.config is None:
        return None
    own = platform_in(image.config.keys)
    if own is None or _may_be_same(indexed.platform, own):
        return None
    text = f'is for {own.text[:_SHOWN]!r}, and the index says {indexed.platform.text[:_SHOWN]!r}'
    return f'{image.config_name!r} {text}'


def _may_be_same(one: Platform, other: Platform) -> bool:
    """Tells whether two platforms do not contradict each other: a variant may be left out."""
    if one.variant and other.variant:
        return one == other
    return one[:2] == other[:2]
