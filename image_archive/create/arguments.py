# SPDX-License-Identifier: Apache-2.0
"""Arguments of create_image that make no image, whatever the checks that were asked for."""

from image_archive.create.image import REPLACED, ImageParts, Layer, OpenedImage
from image_archive.errors import ArchiveError, ArgumentError
from image_archive.image import bases as utils
from image_archive.image import names
from image_archive.system import files


def check(output: str, parts: ImageParts, digest_file: str | None = None) -> None:
    """Checks what can be checked before a file is opened.

    Args:
        output: the path of the archive; '-' is standard output.
        parts: what the image is made of.
        digest_file: the path of the file for the digest of the OCI manifest.

    Raises:
        ArgumentError: an identifier is no name, or arguments do not go together.
        OSError: the folder of the output is missing.
    """
    if not output:
        raise ArgumentError('--output is missing: give the archive to write')
    if not parts.config:
        raise ArgumentError('--config is missing: give the image configuration')
    names.check_is_name('--id', parts.identifier, parts.id_origin)
    for layer in parts.layers:
        names.check_is_name(f'--layer of {layer.path!r}', layer.identifier, layer.origin)
    if parts.legacy_id is not None:
        names.check_is_name('--legacy_id', parts.legacy_id)
        if parts.metadata is None or len(parts.layers) != 1:
            raise ArgumentError('--legacy_id: give --metadata and exactly one --layer with it')
    if parts.repository is not None and parts.name is None:
        raise ArgumentError('--repository: give --name with it')
    if parts.oci and parts.legacy_id is not None:
        raise ArgumentError('--oci: no OCI layout has a v1 layer: leave --legacy_id out')
    if digest_file is not None and not parts.oci:
        raise ArgumentError('--digest_file: only an OCI layout has that digest: give --oci')
    used = {'--config': [parts.config], '--layer': [layer.path for layer in parts.layers]}
    if parts.metadata is not None:
        used['--metadata'] = [parts.metadata]
    check_output('--output', output, used)  # which may replace the base
    if digest_file is not None:
        if files.are_one_output(digest_file, output):
            text = f'{digest_file!r} is what --output names: give another path'
            raise ArgumentError(f'--digest_file: {text}')
        used['--base'] = [parts.base or '']
        used['--legacy_base'] = [parts.legacy_base or '']
        check_output('--digest_file', digest_file, used)


def check_output(flag: str, path: str, used: dict[str, list[str]]) -> None:
    """Checks that what is written can be, and replaces nothing that is read.

    Args:
        flag: the flag that names what is written.
        path: its path; '-' is standard output.
        used: the paths that may not be replaced, by the flags that name them.

    Raises:
        ArgumentError: it would replace one of these.
        OSError: its folder is missing, or it is a descriptor that is not open.
    """
    files.check_output(path)
    for other_flag, others in used.items():
        if any(files.overwrites(path, other) for other in others if other):
            text = f'{flag}: {path!r} is what {other_flag} names: give another path'
            raise ArgumentError(text)


def check_opened(image: OpenedImage) -> None:
    """Checks that each identifier stands for one thing in the archive.

    Args:
        image: the image, whose files could all be opened.

    Raises:
        ArgumentError: an identifier is one of the base, reserved, or that of two different files.
        OSError: a layer cannot be read.
    """
    _check_names(image)
    _check_layers_of_one_id(image)


def check_base_is_whole(image: OpenedImage) -> None:
    """Checks that a base that is merged has its own layers.

    Args:
        image: the image, whose files could all be opened.

    Raises:
        ArchiveError: it lacks one.
    """
    if image.base is not None and image.is_on_itself:
        missing = image.missing_layers()
        if missing:
            raise ArchiveError(lacks_layer(image.base.archive.path, missing[0]))


def lacks_layer(path: str, layer: str) -> str:
    """Returns the text that says of a base that it lacks a layer.

    Args:
        path: the path of the base.
        layer: the name of the layer in the manifest of the base.
    """
    return f'{path!r} lacks its layer {layer!r}: give a whole image'


def _check_names(image: OpenedImage) -> None:
    """Raises ArgumentError if a name of the image is one of its base, or reserved."""
    parts = image.parts
    if parts.oci:  # whose blobs are named by their digests
        return
    own_names = {*parts.layer_names, parts.identifier, f'{parts.identifier}.json'}
    if parts.legacy_id is not None:
        own_names.add(parts.legacy_id)
    names_of_base = set(image.base_layers)
    merged = image.legacy_base
    if merged is not None:
        names_of_base = utils.with_targets(merged, names_of_base)
    taken = own_names.intersection([*names_of_base, *REPLACED])
    if taken:
        text = f'{min(taken)!r} is in --base or reserved: change it'
        raise ArgumentError(f'--id or --legacy_id: {text}')


def _check_layers_of_one_id(image: OpenedImage) -> None:
    """Raises ArgumentError for two different files under one identifier."""
    first: dict[str, Layer] = {}
    for layer in image.parts.layers:
        other = first.setdefault(layer.identifier, layer)
        if other.path != layer.path and not image.have_same_content(other, layer):
            both = f'{other.path!r} and {layer.path!r} differ, and both are {layer.identifier!r}'
            raise ArgumentError(f'--layer: {both}: correct an ID')
