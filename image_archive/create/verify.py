# SPDX-License-Identifier: Apache-2.0
"""What is wrong with the parts of an image: a small function for each clause of what is checked.

The cheap ones read no layer, and always run. The others read every byte.
"""

import posixpath
import tarfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, NamedTuple

from image_archive.create.arguments import lacks_layer
from image_archive.create.image import Layer, OpenedImage
from image_archive.digests import new_sha256, sha256
from image_archive.errors import ArchiveError, ArgumentError
from image_archive.image import bases as utils
from image_archive.image import image_config, names
from image_archive.system.progress import Progress
from image_archive.tar import sources, streams, tar_reader
from image_archive.tar.tar_reader import Member

_MOST_LAYERS = 125  # that Docker's older image store takes ("max depth exceeded")
# containerd, and Docker with its image store, do not read these (seen with containerd 2.1).
_SELDOM_READ = ('bzip2', 'xz')
_LAYER_DIGEST_PREFIX = 'blobs/sha256/'


class Problem(NamedTuple):
    """Something that is wrong with an image.

    Attributes:
        text: a line for the user: what is wrong, and what to do.
        is_error: whether no image is made with it when it was asked for checks; otherwise it is
            only a warning.
        is_fatal: whether no image is made with it in any case.
    """

    text: str
    is_error: bool = True
    is_fatal: bool = False


Problems = Iterator[Problem]


def find_problems(
    image: OpenedImage, reads_everything: bool = False, progress: Progress | None = None
) -> list[Problem]:
    """Looks for what is wrong with an image.

    Args:
        image: the parts of the image, open.
        reads_everything: whether to read every byte of the layers, and to hold what is missing
            from a partial image against it.
        progress: is told of the bytes that are read.

    Returns:
        The problems, in the order of the flags that they are about.

    Raises:
        OSError: a file that is open cannot be read.
    """
    progress = progress or Progress()
    digests: dict[str, str] = {}
    problems = _fatal_for_oci(image, _identifier_problems(image))
    if reads_everything or image.parts.oci:
        problems += _fatal_for_oci(image, _config_digest_problems(image))
    if reads_everything:
        progress.begin('checking', _bytes_to_check(image))
        problems += _layer_digest_problems(image, digests, progress)
    problems += _fatal_for_oci(image, _layer_compression_problems(image))
    problems += _fatal_for_oci(image, _base_problems(image))
    problems += _base_link_problems(image)
    problems += _fatal_for_oci(image, _base_compression_problems(image))
    if reads_everything:
        problems += _base_layer_digest_problems(image, progress)
        problems += _missing_layer_problems(image)
    layer_count = len(image.base_layers) + len(image.parts.layers)
    problems += layer_count_problems('--layer', layer_count)
    problems += _config_problems(image, digests)
    problems += _fatal_for_oci(image, tag_problems('--tag', image.parts.tags))
    if image.parts.oci and not image.failures and not any(item.is_fatal for item in problems):
        problems += _layout_problems(image, progress)
    return problems


def _fatal_for_oci(image: OpenedImage, problems: Problems) -> list[Problem]:
    """Returns problems, with which no OCI layout can be right."""
    if not image.parts.oci:
        return list(problems)
    return [problem._replace(is_fatal=True) for problem in problems]


# Identifiers.


def _identifier_problems(image: OpenedImage) -> Problems:
    """Every identifier is 64 hex digits."""
    parts = image.parts
    given = [('--id', parts.identifier, parts.id_origin)]
    for layer in parts.layers:
        given.append((f'--layer of {layer.path!r}', layer.identifier, layer.origin))
    if parts.legacy_id is not None:
        given.append(('--legacy_id', parts.legacy_id, parts.legacy_id_origin))
    for flag, identifier, origin in dict.fromkeys(given):
        if not names.is_hex_id(identifier):
            advice = 'give a SHA-256'
            yield Problem(f'{flag}: {identifier!r}{origin} is not 64 hex digits: {advice}')


def _config_digest_problems(image: OpenedImage) -> Problems:
    """The SHA-256 of the configuration is the image's identifier."""
    parts = image.parts
    if image.config is None or not names.is_hex_id(parts.identifier):
        return
    found = sha256(image.config)
    if found != parts.identifier:
        yield Problem(
            f'--id: the SHA-256 of {parts.config!r} is {found}, not {parts.identifier}'
            f'{parts.id_origin}: correct the ID or the file'
        )


# Layers.


def _layer_digest_problems(
    image: OpenedImage, digests: dict[str, str], progress: Progress
) -> Problems:
    """Each layer is a tar archive, and the SHA-256 of its content is its identifier.

    Args:
        image: the image.
        digests: gets the SHA-256 of the content of each layer, in hex, by path.
        progress: is told of the bytes that are read.
    """
    for layer in dict.fromkeys(image.parts.layers):
        opened = image.layers.get(layer.path)
        if opened is None:
            continue
        name = image.compression_of(layer)
        if name is not None and not streams.can_inflate(name):
            yield not_read(repr(layer.path))
            continue
        source = sources.whole_file(layer.path, opened.file, opened.size)
        if layer.path not in digests:
            try:
                content = _read_layer(image, source, repr(layer.path), progress)
            except ArchiveError as error:
                yield Problem(str(error))
                continue
            digests[layer.path] = content.sha256
            if content.has_more:
                yield more_behind_the_end(repr(layer.path))
        found = digests[layer.path]
        if names.is_hex_id(layer.identifier) and found != layer.identifier:
            yield Problem(
                f'--layer: the diff ID of {layer.path!r} is {found}, not {layer.identifier}'
                f'{layer.origin}: correct the ID or the file'
            )


def _read_layer(
    image: OpenedImage, source: sources.Source, label: str, progress: Progress
) -> 'LayerContent':
    """Does what read_layer() does, and remembers the digest that an OCI layout names."""
    stored = _new_stored_digest(image, source)
    content = read_layer(source, label, progress, stored)
    if stored is not None:
        image.remember_digest(source, stored.hexdigest())
    return content


def _new_stored_digest(image: OpenedImage, source: sources.Source) -> Any:
    """Returns what is to be told of the stored bytes of a layer; None where nobody asks."""
    if image.parts.oci and streams.detect(source.head()) is not None:
        return new_sha256()
    return None


class LayerContent(NamedTuple):
    """What is known of a layer once it was read.

    Attributes:
        sha256: the SHA-256 of its uncompressed content, in hex.
        has_more: whether there is something behind the end of the tar archive.
    """

    sha256: str
    has_more: bool


def more_behind_the_end(label: str) -> Problem:
    """Returns what is said of a layer in which an archive ends before the file does.

    Args:
        label: what the layer is called.
    """
    text = 'what lies behind the end of the archive is passed over'
    return Problem(f'{label}: {text}: make one archive', is_error=False)


def read_layer(
    source: sources.Source, label: str, progress: Progress, file_digest: Any = None
) -> LayerContent:
    """Reads a layer, plain or compressed, as the tar archive that it must be.

    Args:
        source: the layer as it is stored.
        label: what errors call it.
        progress: is told of the bytes that are read.
        file_digest: is fed the bytes as they are stored, if it is given.

    Returns:
        What is known of its content then.

    Raises:
        ArchiveError: it is cut off, damaged or no tar archive.
        OSError: it cannot be read.
    """
    digest = new_sha256()
    blocks = _counted(source.blocks(), progress)
    if file_digest is not None:
        blocks = _hashed(blocks, file_digest)
    name = streams.detect(source.head())
    if name is not None:
        stream = _BlockFile(blocks)
        blocks = streams.inflate(stream, name)
    reader = tar_reader.TarReader(tar_reader.BlockStream(_hashed(blocks, digest)), label)
    for _ in reader:
        pass
    return LayerContent(str(digest.hexdigest()), reader.has_more)


class _BlockFile:
    """Blocks, to be read as from a file."""

    def __init__(self, blocks: Iterator[bytes]) -> None:
        self._stream = tar_reader.BlockStream(blocks)

    def read(self, size: int, /) -> bytes:
        return bytes(self._stream.read_some(size))


def _counted(blocks: Iterator[bytes], progress: Progress) -> Iterator[bytes]:
    for block in blocks:
        progress.advance(len(block))
        yield block


def _hashed(blocks: Iterator[bytes], digest: Any) -> Iterator[bytes]:
    for block in blocks:
        digest.update(block)
        yield block


def not_read(label: str) -> Problem:
    """Returns what is said of a layer whose content cannot be checked.

    Args:
        label: what the layer is called.
    """
    text = f'{label} is zstd, which this Python cannot read: its content was not checked'
    return Problem(f'{text}: use Python 3.14', is_error=False)


def _layer_compression_problems(image: OpenedImage) -> Problems:
    """No layer has a compression that some clients do not read."""
    for layer in dict.fromkeys(image.parts.layers):
        if layer.path in image.layers:
            yield from compression_problems(repr(layer.path), image.compression_of(layer))


def _base_compression_problems(image: OpenedImage) -> Problems:
    """Nor has a layer of the base."""
    for label, archive, member, _ in _base_layer_members(image):
        yield from compression_problems(label, streams.detect(archive.head(member)))


def compression_problems(label: str, name: str | None) -> Problems:
    """A layer has no compression that some clients do not read.

    Args:
        label: what the layer is called.
        name: its compression, as streams.detect() tells it.

    Yields:
        A problem where that is not so.
    """
    if name in _SELDOM_READ:
        text = f'{label} is compressed by {name}, which containerd and Docker 29 do not read'
        yield Problem(f'{text}: use gzip', is_error=False)


def layer_count_problems(label: str, count: int) -> Problems:
    """There are no more layers than all clients take.

    Args:
        label: what the image is called.
        count: the number of its layers.

    Yields:
        A problem where that is not so.
    """
    if count > _MOST_LAYERS:
        text = f'the image has {count} layers, and some Dockers take {_MOST_LAYERS}: merge some'
        yield Problem(f'{label}: {text}', is_error=False)


# The base.


def _base_problems(image: OpenedImage) -> Problems:
    """The base has a configuration and layers, which fit together."""
    base = image.base
    if base is None:
        return
    path = repr(base.archive.path)
    if base.is_v1 and image.parts.oci:
        text = f'{path} is of before Docker 1.10: load and save it with a Docker up to 28'
        yield Problem(f'--base: {text}')
        return
    if base.is_v1:
        text = f'{path} is of before Docker 1.10: images on it load in such a Docker only'
        yield Problem(f'--base: {text}', is_error=False)
        return
    if base.archive.find(base.config_name) is None:
        yield Problem(f'--base: {path} lacks its configuration {base.config_name!r}: replace it')
    elif base.diff_ids is None:
        text = f'{path} has a configuration without diff IDs, {base.config_name!r}'
        yield Problem(f'--base: {text}: replace it')
    elif len(base.diff_ids) != len(base.layers):
        text = f'{path} has {len(base.layers)} layers and {len(base.diff_ids)} diff IDs'
        yield Problem(f'--base: {text}: replace it')
    if image.is_on_itself or image.parts.oci:
        return  # said where the image is made
    lost = [name for name in base.layers if base.archive.find(name) is None]
    if lost:
        yield Problem(f'--base: {lacks_layer(base.archive.path, lost[0])}')


def _base_link_problems(image: OpenedImage) -> Problems:
    """Every layer of a base that is merged is where all clients find it."""
    if image.base is None or image.legacy_base is None or image.parts.oci:
        return  # an OCI layout names the layers themselves
    merged = image.legacy_base
    found = [name for name in image.base.layers if merged.find(name) is not None]
    yield from link_problems(f'--base: {image.base.archive.path!r}', found, merged.member)


def link_problems(
    label: str, layers: Sequence[str], member: Callable[[str], Member | None]
) -> Problems:
    """Every layer is a file, or a link that all clients follow.

    Args:
        label: what the image is called.
        layers: the normal names of its layers, of those that are there.
        member: returns the member of a normal name.

    Yields:
        A problem where that is not so.
    """
    for name in dict.fromkeys(layers):
        link = member(name)
        if link is None or not link.is_link:
            continue
        # Skopeo follows one symbolic link, from its folder, to a file (seen with 1.9 and 1.22).
        target = None
        if link.kind == tarfile.SYMTYPE:
            path = posixpath.join(posixpath.dirname(name), f'./{link.target}')
            target = member(posixpath.normpath(path))
        if target is None or not target.is_file:
            text = f'layer {name!r} is a link that Skopeo does not follow'
            yield Problem(f'{label}: {text}: save the image again', is_error=False)


def _base_layer_members(
    image: OpenedImage,
) -> Iterator[tuple[str, sources.Archive, tar_reader.Member, str | None]]:
    """Yields the layers of the base: how to call each, where it is, and its diff ID."""
    base = image.base
    if base is None:
        return
    diff_ids = base.diff_ids
    seen: set[tuple[str, str | None]] = set()
    for index, place in enumerate(image.base_layer_places()):
        name = base.layers[index]
        if place is None:
            continue
        archive, member = place
        diff_id = None
        if diff_ids is not None and len(diff_ids) == len(base.layers):
            diff_id = diff_ids[index]
        if (name, diff_id) in seen:
            continue
        seen.add((name, diff_id))
        yield f'layer {name!r} of {archive.path!r}', archive, member, diff_id


def _base_layer_digest_problems(image: OpenedImage, progress: Progress) -> Problems:
    """Each layer of the base that is there is what the base's configuration says."""
    for label, archive, member, diff_id in _base_layer_members(image):
        if not archive.has_content(member):
            continue
        source = archive.source(member)
        stored = _new_stored_digest(image, source)
        problems = list(
            _stored_layer_problems(source, label, member.name, diff_id, progress, stored)
        )
        if stored is not None and not problems:
            image.remember_digest(source, stored.hexdigest())
        yield from problems


def _stored_layer_problems(
    source: sources.Source,
    label: str,
    name: str,
    diff_id: str | None,
    progress: Progress,
    stored: Any = None,
) -> Problems:
    """A layer in an archive has its diff ID, as far as it can be read.

    Args:
        source: the layer.
        label: what messages call it.
        name: its name in the archive, which may tell its digest.
        diff_id: `sha256:` and 64 hex digits; None where it is not known.
        progress: is told of the bytes that are read.
        stored: as of read_layer(); it gets all bytes where there is no problem.
    """
    compression_name = streams.detect(source.head())
    if compression_name is not None and not streams.can_inflate(compression_name):
        yield from _name_problems(source, label, name, progress)
        yield not_read(label)
        return
    try:
        content = read_layer(source, label, progress, stored)
    except ArchiveError as error:
        yield Problem(str(error))
        return
    if content.has_more:
        yield more_behind_the_end(label)
    found = f'sha256:{content.sha256}'
    if diff_id is not None and found != diff_id:
        yield Problem(f'{label} has the diff ID {found}, not {diff_id}: replace the base')


def _name_problems(source: sources.Source, label: str, name: str, progress: Progress) -> Problems:
    """A layer that is named by its digest has that digest."""
    expected = tar_reader.normal_name(name).removeprefix(_LAYER_DIGEST_PREFIX)
    if not names.is_hex_id(expected):
        return
    digest = new_sha256()
    for block in _counted(source.blocks(), progress):
        digest.update(block)
    if digest.hexdigest() != expected:
        yield Problem(f'{label} has the digest {digest.hexdigest()}: replace the base')


def _missing_layer_problems(image: OpenedImage) -> Problems:
    """Every layer is in the archive; a partial OCI layout says itself what is not."""
    if image.legacy_base is None and image.parts.legacy_base is not None:
        return  # that it cannot be read is said already
    missing = image.missing_layers()
    if missing and image.base is not None and image.is_on_itself:
        yield Problem(lacks_layer(image.base.archive.path, missing[0]))
    elif missing and not image.parts.oci:
        listed = ', '.join(repr(name) for name in missing)
        yield Problem(f'--base: the output lacks {listed}: give a whole --legacy_base')


def _bytes_to_check(image: OpenedImage) -> int:
    own = sum(opened.size for opened in image.layers.values())
    below = sum(member.size for _, _, member, _ in _base_layer_members(image))
    return own + below


# The configuration.


def _config_problems(image: OpenedImage, digests: dict[str, str]) -> Problems:
    """The configuration is one, and fits the layers."""
    if image.config is None:
        return
    flag = f'--config: {image.parts.config!r}'
    try:
        config = image_config.parse(image.config)
    except image_config.ConfigError as error:
        yield Problem(f'{flag} {error}', is_fatal=image.parts.oci)
        return
    yield from config_type_problems(flag, config)
    if not image_config.type_problems(config):
        config = image_config.with_usual_keys(config)
    diff_ids = image_config.diff_ids(config)
    if diff_ids is not None:
        yield from _diff_id_problems(flag, diff_ids, image, digests)
        yield from history_problems(flag, config, len(diff_ids))


def config_type_problems(flag: str, config: dict[str, Any]) -> Problems:
    """The configuration has the keys and the types that the image specification gives it.

    Args:
        flag: what the configuration is called: the flag that names it, or the archive's member.
        config: the configuration as image_config.parse() returns it.

    Yields:
        A problem where that is not so.
    """
    texts = image_config.type_problems(config)
    if not texts:
        config = image_config.with_usual_keys(config)
    texts += image_config.platform_problems(config)
    texts += image_config.rootfs_problems(config)
    for text in texts:
        yield Problem(f'{flag}: {text}: mend it')


def _diff_id_problems(
    flag: str, diff_ids: list[str], image: OpenedImage, digests: dict[str, str]
) -> Problems:
    """The diff IDs are those of the base, then those of the layers that the image adds."""
    base = image.base
    own = image.parts.layers
    own_start = len(diff_ids) - len(own)
    if image.parts.base is None or (base is not None and not base.is_v1):
        own_start = len(image.base_layers)
    if own_start < 0 or len(diff_ids) != own_start + len(own):
        layers = len(image.base_layers) + len(own)
        advice = "name the base's, then those of --layer"
        text = f'rootfs.diff_ids has {len(diff_ids)} entries for {layers} layers: {advice}'
        yield Problem(f'{flag}: {text}{_which_image(base)}')
        return
    if base is not None and base.diff_ids is not None and len(base.diff_ids) == own_start:
        for index, expected in enumerate(base.diff_ids):
            if diff_ids[index] != expected:
                text = f'rootfs.diff_ids[{index}] is {diff_ids[index]!r}'
                there = f'{base.archive.path!r} has {expected}'
                advice = 'derive the configuration from this base'
                yield Problem(f'{flag}: {text}, but {there}: {advice}{_which_image(base)}')
                return
    for index, layer in enumerate(own, own_start):
        if not _is_diff_id(diff_ids[index], layer, digests):
            text = f'rootfs.diff_ids[{index}] is {diff_ids[index]!r}'
            advice = "name the base's, then those of --layer"
            yield Problem(f'{flag}: {text}, but --layer has {layer.identifier}: {advice}')
            return


def _is_diff_id(diff_id: str, layer: Layer, digests: dict[str, str]) -> bool:
    """Tells whether a diff ID is a layer's; where its identifier is wrong, by its content."""
    if not names.is_hex_id(layer.identifier) and layer.path not in digests:
        return True  # the identifier is blamed, not the configuration
    if diff_id == f'sha256:{layer.identifier}':
        return True
    return layer.path in digests and diff_id == f'sha256:{digests[layer.path]}'


def _which_image(base: utils.BaseImage | None) -> str:
    if base is None or base.images < 2:
        return ''
    return f' (of its {base.images} images the last one counts)'


def history_problems(flag: str, config: dict[str, Any], layers: int) -> Problems:
    """A history tells of as many layers as there are.

    Args:
        flag: what the configuration is called.
        config: the configuration, with keys in the usual spelling.
        layers: the number of layers.

    Yields:
        A problem where that is not so.
    """
    count = image_config.layers_in_history(config)
    if count is not None and count != layers:
        text = f'history has {count} entries without empty_layer for {layers} layers'
        yield Problem(f'{flag}: {text}: add or mark entries')


# Tags.


def tag_problems(label: str, tags: Iterable[str]) -> Problems:
    """Docker takes every tag.

    Args:
        label: what names the tags: a flag, or an image.
        tags: the tags as they are given.

    Yields:
        A problem where that is not so.
    """
    for tag in tags:
        if names.parse_tag(tag) is None:
            yield Problem(f'{label}: {tag!r}: give a lower-case [registry/]repository:tag')


# The OCI layout.


def _layout_problems(image: OpenedImage, progress: Progress) -> Problems:
    """The digest and size of each layer can be known, and the base does not contradict itself."""
    from image_archive.create import layout  # here, for it takes time at every start

    try:
        layout.find_layout(image, progress)
    except (ArgumentError, ArchiveError) as error:
        yield Problem(str(error), is_fatal=True)
