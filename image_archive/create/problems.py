# SPDX-License-Identifier: Apache-2.0
"""What may be wrong with an image that is created: a small function for each clause.

The cheap checks read no layer, and always run. With --verify every byte is read.
"""

from typing import NamedTuple

from image_archive.checks import layers as layer_checks
from image_archive.checks.archive_members import left_out_problems
from image_archive.checks.configuration import configuration_problems, history_problems
from image_archive.checks.identifiers import (
    identifier_problems,
    replaced_name_problems,
    tag_problems,
)
from image_archive.checks.layouts import image_problems, index_problems
from image_archive.checks.members import LowerFiles
from image_archive.checks.problem import Problem, Problems, limited
from image_archive.checks.sizes import (
    config_size_problems,
    descriptor_count_problems,
    manifest_size_problems,
)
from image_archive.create.blobs import Layout, find_layout
from image_archive.create.docker_archive import manifest_entry, repositories_of
from image_archive.create.opened import OpenedImage
from image_archive.create.parts import Layer
from image_archive.digests import is_sha256_hex, sha256
from image_archive.errors import ArchiveError
from image_archive.image.docker_manifest import read_repositories
from image_archive.image.documents import manifest_content
from image_archive.image.layer_file import LayerFile, hash_beside
from image_archive.image.stored import OLD_DOCKER_ADVICE, WRITTEN_BY_OLD_DOCKER, lacks_layer
from image_archive.system.progress import Progress


class Found(NamedTuple):
    """What was found about an image.

    Attributes:
        problems: its problems, in the order of the flags that they are about.
        layout: with --oci, its blobs; None if there are errors.
    """

    problems: list[Problem]
    layout: Layout | None


def find_problems(image: OpenedImage, verifies: bool, progress: Progress) -> Found:
    """Looks for what is wrong with an image.

    Args:
        image: the image, whose files are open.
        verifies: whether to read every byte of the layers, and to report missing ones.
        progress: advanced by the bytes that are read.

    Raises:
        OSError: a file that is open cannot be read.
    """
    parts = image.parts
    problems = _fatal_with_oci(image, _identifier_problems(image))
    if verifies or parts.oci:
        problems += _fatal_with_oci(image, _config_digest_problems(image))
    base_content_problems: list[Problem] = []
    own_files = [layer.file for layer in image.layers.values()]
    if verifies:
        progress.begin('checking', _bytes_to_check(image))
        lower = LowerFiles()
        at_hand = [file for file in _base_files(image) if file.source.digest is None]
        with hash_beside([*at_hand, *own_files], progress):
            base_content = _base_content_problems(image, lower, progress)
            base_content_problems += limited('--base', base_content)
            problems += _layer_digest_problems(image, lower, progress)
    problems += _fatal_with_oci(image, layer_checks.compression_problems(own_files))
    problems += _fatal_with_oci(image, _base_problems(image))
    problems += _layout_problems(image, verifies)
    problems += _fatal_with_oci(image, _base_diff_id_problems(image))
    problems += _foreign_layer_problems(image)
    problems += _base_layer_name_problems(image)
    problems += _left_out_problems(image)
    problems += _fatal_with_oci(image, layer_checks.compression_problems(_base_files(image)))
    if verifies:
        problems += base_content_problems
        problems += _missing_layer_problems(image)
    layer_count = len(image.base_layers) + len(parts.layers)
    problems += layer_checks.layer_count_problems('--layer', layer_count)
    problems += _config_problems(image)
    problems += _fatal_with_oci(image, tag_problems('--tag', parts.tags))
    problems += _size_problems(image)
    problems += _replaced_name_problems(image)
    layout = None
    if parts.oci and not image.failures and not any(problem.is_fatal for problem in problems):
        try:
            layout = find_layout(image, progress)
        except ArchiveError as error:
            problems.append(Problem(str(error), is_fatal=True))
    return Found(problems, layout)


def _fatal_with_oci(image: OpenedImage, problems: Problems) -> list[Problem]:
    """Returns problems with which no OCI layout can be right."""
    if not image.parts.oci:
        return list(problems)
    return [problem._replace(is_fatal=True) for problem in problems]


# Identifiers.


def _identifier_problems(image: OpenedImage) -> Problems:
    """Checks that every identifier is 64 hex digits."""
    parts = image.parts
    yield from identifier_problems('--id', parts.identifier, parts.id_origin)
    for layer in dict.fromkeys(parts.layers):
        yield from identifier_problems(f'--layer of {layer.path!r}', layer.identifier, layer.origin)
    if parts.legacy_id is not None:
        yield from identifier_problems('--legacy_id', parts.legacy_id, parts.legacy_id_origin)


def _config_digest_problems(image: OpenedImage) -> Problems:
    """Checks that the SHA-256 of the configuration is the image's identifier."""
    parts = image.parts
    if image.config is None or not is_sha256_hex(parts.identifier):
        return
    found = sha256(image.config.content)
    if found != parts.identifier:
        yield Problem(
            f'--id: the SHA-256 of {parts.config!r} is {found}, not {parts.identifier}'
            f'{parts.id_origin}: correct the ID or the file'
        )


def _replaced_name_problems(image: OpenedImage) -> Problems:
    """Checks that the name for Docker 1.9 is not that of an image in the merged archive."""
    names = repositories_of(image.parts)
    if names is None or image.legacy_base is None:
        return
    try:
        replaced = read_repositories(image.legacy_base)
    except ArchiveError:  # any archive may be merged
        return
    yield from replaced_name_problems(names, replaced, image.legacy_base.path)


# Layers.


def _layer_digest_problems(image: OpenedImage, lower: LowerFiles, progress: Progress) -> Problems:
    """Checks that each layer is a tar archive, and the SHA-256 of its content is its identifier."""
    for path, opened in image.layers.items():
        file = opened.file
        yield from layer_checks.reading_problems(file, is_own=True, progress=progress, lower=lower)
        if file.content_sha256 is None:
            continue
        for layer in dict.fromkeys(image.parts.layers):
            if layer.path != path or not is_sha256_hex(layer.identifier):
                continue
            if file.content_sha256 != layer.identifier:
                yield Problem(
                    f'--layer: the diff ID of {path!r} is {file.content_sha256}, '
                    f'not {layer.identifier}{layer.origin}: correct the ID or the file'
                )


# The base.


def _base_problems(image: OpenedImage) -> Problems:
    """Checks that the base has a configuration and layers, which fit together."""
    parts = image.parts
    if image.has_v1_base:
        text = f'{parts.base!r} {WRITTEN_BY_OLD_DOCKER}'
        if parts.oci:
            yield Problem(f'--base: {text}: {OLD_DOCKER_ADVICE}')
        else:
            advice = 'only such a Docker can load images built on it'
            yield Problem(f'--base: {text}: {advice}', is_error=False)
    base = image.base
    if base is None:
        return
    path = repr(base.archive.path)
    diff_ids = base.diff_ids
    if base.config is None:
        yield Problem(f'--base: {path} lacks its configuration {base.config_name!r}: replace it')
    elif base.config.problem is not None:
        text = f'{path}: its configuration {base.config_name!r} {base.config.problem}'
        yield Problem(f'--base: {text}')
    elif base.config.type_problems:
        text = f'{path}: its configuration {base.config_name!r}: {base.config.type_problems[0]}'
        yield Problem(f'--base: {text}: replace the base')
    elif diff_ids is None:
        text = f'{path}: it has a configuration without diff IDs, {base.config_name!r}'
        yield Problem(f'--base: {text}: replace it')
    elif len(diff_ids) != len(base.layers):
        text = f'{path} has {len(base.layers)} layers and {len(diff_ids)} diff IDs'
        yield Problem(f'--base: {text}: replace it')
    if image.merges_base or parts.oci:
        return  # a missing layer is an error there, which others report
    left_out = {layer.name for layer in image.base_layers if layer.is_left_out}
    for name in base.layers:
        if base.archive.find(name) is None and name not in left_out:
            yield Problem(f'--base: {lacks_layer(base.archive.path, name)}')
            return


def _layout_problems(image: OpenedImage, verifies: bool) -> Problems:
    """Checks the base, and what is merged, as far as an index describes them."""
    checked = {'--base': image.base}
    if not image.merges_base:
        checked['--legacy_base'] = image.merged_image
    for flag, stored in checked.items():
        if stored is not None:
            yield from limited(flag, index_problems(flag, stored.images))
            yield from image_problems(flag, stored, verifies)


def _base_diff_id_problems(image: OpenedImage) -> Problems:
    """Checks that each file has one diff ID, however often the base lists it."""
    diff_ids: dict[LayerFile, str] = {}
    for layer in image.base_layers:
        if layer.file is None or layer.diff_id is None:
            continue
        first = diff_ids.setdefault(layer.file, layer.diff_id)
        if first != layer.diff_id:
            text = f'{layer.file.label} is listed as {first} and as {layer.diff_id}'
            yield Problem(f'--base: {text}: replace the base')
            return


def _foreign_layer_problems(image: OpenedImage) -> Problems:
    """Checks that foreign layers of the base are there."""
    if image.base is None:
        return
    label = f'--base: {image.base.archive.path!r}'
    left_out = [layer.name for layer in image.base_layers if layer.is_left_out]
    advice = None if image.parts.oci else 'give --oci for an OCI layout'
    for name in dict.fromkeys(left_out):
        yield from layer_checks.foreign_layer_problems(label, name, advice)


def _base_layer_name_problems(image: OpenedImage) -> Problems:
    """Checks that every layer of a base that is merged can be unpacked under its name."""
    if image.base is None or image.legacy_base is None or image.parts.oci:
        return
    label = f'--base: {image.base.archive.path!r}'
    yield from layer_checks.layer_name_problems(label, image.base_layer_names)


def _left_out_problems(image: OpenedImage) -> Problems:
    """Says which members of the base are not merged, because clients refuse them."""
    if image.legacy_base is None:
        return
    yield from left_out_problems(image.parts.words.merged, image.legacy_base.path, image.left_out)


def _base_files(image: OpenedImage) -> list[LayerFile]:
    """Returns the files of the base's layers, each once, as far as they are there."""
    files = [layer.file for layer in image.base_layers if layer.file is not None]
    return list(dict.fromkeys(files))


def _base_content_problems(image: OpenedImage, lower: LowerFiles, progress: Progress) -> Problems:
    """Checks that each layer of the base has the diff ID in the base's configuration."""
    checked: set[LayerFile] = set()
    for layer in image.base_layers:
        file = layer.file
        if file is None or file.source.digest is not None:  # its data are not at hand
            lower.forget()
        elif file not in checked:
            checked.add(file)
            yield from layer_checks.content_problems(file, 'replace the base', progress, lower)


def _missing_layer_problems(image: OpenedImage) -> Problems:
    """Checks that every layer is in the archive. A partial OCI layout says itself which are not."""
    if image.legacy_base is None and image.parts.legacy_base is not None:
        return  # opening it failed, which is reported
    missing = image.missing_layers
    if missing and image.base is not None and image.merges_base:
        yield Problem(lacks_layer(image.base.archive.path, missing[0]))
    elif missing and not image.parts.oci:
        listed = ', '.join(repr(name) for name in missing)
        yield Problem(f'--base: the output lacks {listed}: {image.parts.words.completion}')


def _bytes_to_check(image: OpenedImage) -> int:
    own = sum(layer.source.size for layer in image.layers.values())
    return own + sum(file.source.size for file in _base_files(image))


# The configuration.


def _config_problems(image: OpenedImage) -> Problems:
    """Checks that the configuration is one, and fits the layers."""
    config = image.config
    if config is None:
        return
    label = image.parts.config_label
    if config.problem is not None:
        yield Problem(f'{label} {config.problem}', is_fatal=image.parts.oci)
        return
    yield from configuration_problems(label, config)
    if config.diff_ids is not None:
        yield from _diff_id_problems(label, config.diff_ids, image)
        yield from history_problems(label, config, len(config.diff_ids))


def _size_problems(image: OpenedImage) -> Problems:
    """Checks that clients read the documents of the archive, as large as they are."""
    parts = image.parts
    if image.config is not None:
        size = len(image.config.content)
        yield from config_size_problems(parts.config_label, size)
    layer_names = image.base_layer_names + parts.layer_names
    entry = manifest_entry(image, f'{parts.identifier}.json', layer_names)
    yield from manifest_size_problems('--tag', len(manifest_content([entry])))
    if parts.oci:
        yield from descriptor_count_problems('--tag', len(parts.tags))


def _diff_id_problems(label: str, diff_ids: tuple[str, ...], image: OpenedImage) -> Problems:
    """Checks that the diff IDs are those of the base, then those of the added layers."""
    base = image.base
    own = image.parts.layers
    own_start = len(diff_ids) - len(own)
    if image.parts.base is None or base is not None:
        own_start = len(image.base_layers)
    if own_start < 0 or len(diff_ids) != own_start + len(own):
        layers = len(image.base_layers) + len(own)
        advice = "name the base's, then those of --layer"
        text = f'rootfs.diff_ids has {len(diff_ids)} entries for {layers} layers: {advice}'
        yield Problem(f'{label}: {text}{_which_image(image)}')
        return
    if base is not None and base.diff_ids is not None and len(base.diff_ids) == own_start:
        for index, expected in enumerate(base.diff_ids):
            if diff_ids[index] != expected:
                text = f'rootfs.diff_ids[{index}] is {diff_ids[index]!r}'
                there = f'{base.archive.path!r} has {expected}'
                advice = 'derive the configuration from this base'
                yield Problem(f'{label}: {text}, but {there}: {advice}{_which_image(image)}')
                return
    for index, layer in enumerate(own, own_start):
        if not _is_diff_id(diff_ids[index], layer, image):
            text = f'rootfs.diff_ids[{index}] is {diff_ids[index]!r}'
            advice = "name the base's, then those of --layer"
            yield Problem(f'{label}: {text}, but --layer has {layer.identifier}: {advice}')
            return


def _is_diff_id(diff_id: str, layer: Layer, image: OpenedImage) -> bool:
    """Tells whether a diff ID is that of a layer: by its identifier, or by its content."""
    opened = image.layers.get(layer.path)
    found = None if opened is None else opened.file.content_sha256
    if not is_sha256_hex(layer.identifier) and found is None:
        return True  # the identifier is wrong, not the configuration
    return diff_id in (f'sha256:{layer.identifier}', f'sha256:{found}')


def _which_image(image: OpenedImage) -> str:
    if image.images_in_base < 2:
        return ''
    return f' (of its {image.images_in_base} images the last one counts)'
