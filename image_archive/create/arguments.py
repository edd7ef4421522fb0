# SPDX-License-Identifier: Apache-2.0
"""Arguments of create_image that can make no image, with --verify or without."""

from image_archive.create.opened import OpenedImage
from image_archive.create.parts import ImageParts
from image_archive.errors import ArgumentError
from image_archive.image.choice import check_choice
from image_archive.image.docker_manifest import REPLACED_NAMES
from image_archive.image.identifiers import check_is_name
from image_archive.image.layout import files_of_bases
from image_archive.image.oci_index import NAME_ANNOTATIONS
from image_archive.system.outputs import check_outputs
from image_archive.tar.content import have_same_content


def check_parts(output: str, parts: ImageParts, digest_file: str | None = None) -> None:
    """Checks what can be checked before a file is opened.

    Args:
        output: the path of the archive; '-' is stdout.
        parts: the parts of the image.
        digest_file: the path of the file for the digest of the OCI manifest.

    Raises:
        ArgumentError: an identifier is not a name, arguments do not go together, or an output is
            an input.
        OSError: the directory of an output is missing.
    """
    if not parts.config:
        raise ArgumentError('--config is missing: give the image configuration')
    check_choice(parts.choice, [parts.base, parts.legacy_base])
    _check_outputs(output, parts, digest_file)
    check_is_name('--id', parts.identifier, parts.id_origin)
    for layer in parts.layers:
        check_is_name(f'--layer of {layer.path!r}', layer.identifier, layer.origin)
    if parts.legacy_id is not None:
        check_is_name('--legacy_id', parts.legacy_id, parts.legacy_id_origin)
        if parts.metadata is None or len(parts.layers) != 1:
            raise ArgumentError('--legacy_id: give --metadata and exactly one --layer with it')
    if parts.repository is not None and parts.name is None:
        raise ArgumentError('--repository: give --name with it')
    if parts.oci and parts.legacy_id is not None:
        raise ArgumentError('--oci: no OCI layout has a v1 layer: leave --legacy_id out')
    check_oci(parts, digest_file)


def check_oci(parts: ImageParts, digest_file: str | None) -> None:
    """Checks what only an image with an OCI layout has.

    Args:
        parts: the parts of the image.
        digest_file: the path of the file for the digest; None for no such file.

    Raises:
        ArgumentError: the image has no such layout, or an annotation that it makes itself.
    """
    if parts.annotations and not parts.oci:
        raise ArgumentError('--annotations: only an OCI layout has them: give --oci')
    for name, _ in parts.annotations:
        if name in NAME_ANNOTATIONS:
            raise ArgumentError(f'--annotations: {name!r} is made of --tag: leave it out')
    if digest_file is not None and not parts.oci:
        raise ArgumentError('--digest_file: only an OCI layout has that digest: give --oci')


def _check_outputs(output: str, parts: ImageParts, digest_file: str | None) -> None:
    inputs: dict[str, list[str]] = {}
    for flag, path in parts.id_files:
        inputs.setdefault(flag, []).append(path)
    inputs.setdefault('--config', []).append(parts.config)
    for layer in parts.layers:
        inputs.setdefault('--layer', []).append(layer.path)
    if parts.metadata is not None:
        inputs['--metadata'] = [parts.metadata]
    others = {'--digest_file': digest_file}
    kept, replaceable = files_of_bases({'--base': parts.base, '--legacy_base': parts.legacy_base})
    check_outputs(output, others, {**inputs, **kept}, replaceable)


def check_opened(image: OpenedImage) -> None:
    """Checks that each identifier stands for one file in the archive.

    Args:
        image: the image; all its files could be opened.

    Raises:
        ArgumentError: an identifier is one of the base, reserved, or that of two different files.
        OSError: a layer cannot be read.
    """
    _check_names(image)
    _check_layers_of_one_id(image)


def _check_names(image: OpenedImage) -> None:
    """Raises ArgumentError if a name of the image is one of its base, or reserved."""
    parts = image.parts
    if parts.oci:  # its blobs have their digests as names
        return
    own_names = {*parts.layer_names, parts.identifier, f'{parts.identifier}.json'}
    if parts.legacy_id is not None:
        own_names.add(parts.legacy_id)
    base_names = [layer.name for layer in image.base_layers]
    if image.legacy_base is not None:
        base_names = image.legacy_base.with_targets(base_names)
    taken = own_names.intersection([*base_names, *REPLACED_NAMES])
    if taken:
        text = f'{min(taken)!r} is in --base or reserved: change it'
        raise ArgumentError(f'--id or --legacy_id: {text}')


def _check_layers_of_one_id(image: OpenedImage) -> None:
    """Raises ArgumentError for two different files under one identifier."""
    first: dict[str, str] = {}
    for layer in image.parts.layers:
        other = first.setdefault(layer.identifier, layer.path)
        if other == layer.path:
            continue
        if not have_same_content(image.layers[other].source, image.layers[layer.path].source):
            text = f'{other!r} and {layer.path!r} differ, and both are {layer.identifier!r}'
            raise ArgumentError(f'--layer: {text}: correct an ID')
