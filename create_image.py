#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Assembles a container image archive, which `docker load` reads, from parts.

Example:
    create_image.py --output=image.tar --config=config.json --id=@config.sha256 \\
        --layer=@layer.sha256=layer.tar --tag=example/app:1.0 --verify
"""

import os
import sys

if __name__ == '__main__':
    sys.path.insert(0, os.path.dirname(os.path.realpath(__file__)))  # not so with PYTHONSAFEPATH
    from image_archive.system import start

    start.prepare('create_image')

from collections.abc import Sequence

from absl import flags, logging

from image_archive.create import arguments, manifests, verify
from image_archive.create.image import ImageParts, Layer, OpenedImage, is_merged, open_image
from image_archive.errors import ArgumentError, ProblemsError
from image_archive.image import names
from image_archive.image.names import Identifier
from image_archive.system import command_line
from image_archive.system.command_line import Run, given
from image_archive.tar.writer import TarFileWriter

_FLAGS = command_line.new_flags()
_OUTPUT = flags.DEFINE_string(
    'output', None, 'required: the archive to write; - is stdout', flag_values=_FLAGS
)
_ID = flags.DEFINE_string(
    'id', None, 'required: the SHA-256 of the configuration, in hex or as @FILE', flag_values=_FLAGS
)
_CONFIG = flags.DEFINE_string(
    'config', None, 'required: the image configuration, a JSON file', flag_values=_FLAGS
)
_LAYER = flags.DEFINE_multi_string(
    'layer',
    [],
    'ID=FILE: a layer and its SHA-256, in hex or as @FILE; bottom layer first',
    flag_values=_FLAGS,
)
_TAG = flags.DEFINE_multi_string(
    'tag', None, 'a tag of the image, repository:tag', flag_values=_FLAGS
)
_BASE = flags.DEFINE_string(
    'base', None, 'an image archive whose last image gives the layers below', flag_values=_FLAGS
)
_LEGACY_BASE = flags.DEFINE_string(
    'legacy_base',
    None,
    'an image archive whose files are merged into the output',
    flag_values=_FLAGS,
)
_LEGACY_ID = flags.DEFINE_string(
    'legacy_id', None, 'a v1 identifier for the layer, in hex or as @FILE', flag_values=_FLAGS
)
_METADATA = flags.DEFINE_string(
    'metadata', None, 'the v1 JSON of the layer of --legacy_id', flag_values=_FLAGS
)
_REPOSITORY = flags.DEFINE_string(
    'repository', None, 'the repository to name in `repositories`', flag_values=_FLAGS
)
_NAME = flags.DEFINE_string('name', None, 'the tag to name in `repositories`', flag_values=_FLAGS)
_OCI = flags.DEFINE_boolean(
    'oci', False, 'write an OCI image layout as well, in the same archive', flag_values=_FLAGS
)
_DIGEST_FILE = flags.DEFINE_string(
    'digest_file', None, 'with --oci: where to write the digest of the manifest', flag_values=_FLAGS
)
_VERIFY = flags.DEFINE_boolean(
    'verify', False, 'read every byte, and write nothing if anything is wrong', flag_values=_FLAGS
)

DATA_FORMAT_VERSION = '1.0'  # of the v1 layout, in the folder of each layer


def create_image(
    output: str,
    identifier: str,
    layers: Sequence[dict[str, str]],
    config: str,
    tags: Sequence[str] | None = None,
    base: str | None = None,
    legacy_base: str | None = None,
    metadata_id: str | None = None,
    metadata: str | None = None,
    name: str | None = None,
    repository: str | None = None,
) -> None:
    """Writes an image archive (Docker image specification v1.2).

    Args:
        output: the path of the archive; '-' is standard output.
        identifier: the image's identifier, the SHA-256 of its configuration in hex.
        layers: {'name': diff ID in hex, 'layer': path of the tarball}, bottom layer first.
        config: the path of the configuration, which is stored byte for byte.
        tags: repository tags, stored as given.
        base: the path of an image archive, whose last image gives the layers below.
        legacy_base: the path of an archive whose files are merged.
        metadata_id: the v1 identifier of the one layer, in hex.
        metadata: the path of the v1 JSON of that layer.
        name: the tag to name in `repositories`.
        repository: the repository to name in `repositories`.

    Raises:
        ValueError: arguments are missing, or do not go together.
        OSError: a file cannot be read or written.
        TarFileWriter.Error: an archive is unsound, or no base image.
    """
    legacy_id = None
    if metadata_id:
        legacy_id = names.normal_identifier(metadata_id)
    parts = ImageParts(
        identifier=names.normal_identifier(identifier),
        config=config,
        layers=tuple(_layer_of(layer) for layer in layers),
        tags=tuple(tags or ()),
        base=given(base),
        legacy_base=given(legacy_base),
        legacy_id=legacy_id,
        metadata=given(metadata),
        repository=given(repository),
        name=given(name),
    )
    write_image(output, parts, command_line.silent_run('create_image'))


def _layer_of(layer: dict[str, str]) -> Layer:
    """Returns a layer as callers of create_image() give it."""
    if not {'name', 'layer'} <= set(layer):
        raise ArgumentError(f"layers: {layer!r} has no 'name' or no 'layer': give both")
    return Layer(names.normal_identifier(layer['name']), layer['layer'])


def write_image(
    output: str, parts: ImageParts, run: Run, verifies: bool = False, digest_file: str | None = None
) -> None:
    """Writes the archive of an image, and the file with the digest of its OCI manifest.

    Args:
        output: the path of the archive; '-' is standard output.
        parts: what the image is made of.
        run: what is shared by all that is done in this run.
        verifies: whether every byte is checked first.
        digest_file: the path of the file for the digest.

    Raises:
        ProblemsError: with verifies, the parts have problems.
        ArgumentError, OSError, ArchiveError: as create_image().
    """
    arguments.check(output, parts, digest_file)
    # The layers of a base that is not merged are read to be checked, or for their digests.
    reads_layers = verifies or parts.oci
    with open_image(parts, output, reads_layers, run.progress) as image:
        _check_parts(image, verifies, run)
        arguments.check_base_is_whole(image)
        if parts.oci:
            from image_archive.create import (
                oci_archive,
            )  # here, for what it imports takes time at every start

            oci_archive.write(output, image, run, digest_file)
        else:
            _write_docker_archive(output, image, run)


def _write_docker_archive(output: str, image: OpenedImage, run: Run) -> None:
    """Writes an archive as Docker before 25 saves it, in the order of its members."""
    parts = image.parts
    run.progress.begin('writing', image.bytes_to_write)
    with TarFileWriter(output, run.partial_files, run.progress) as tar:
        config_name = f'{parts.identifier}.json'
        tar.add_file(config_name, content=image.config)
        if parts.legacy_id is None:
            _add_layers(tar, image)
        else:
            _add_v1_layer(tar, image)
        if image.legacy_base is not None:
            tar.add_archive(image.legacy_base, is_merged)
        layer_names = [*image.base_layers, *parts.layer_names]
        tar.add_file('manifest.json', content=manifests.manifest(image, config_name, layer_names))
        if parts.repository is not None:
            tar.add_file('repositories', content=manifests.repositories(parts))


# What comes before.


def _check_parts(image: OpenedImage, verifies: bool, run: Run) -> None:
    """Warns of the problems of the parts, or ends with them where they are errors."""
    if image.failures and not verifies:
        raise image.failures[0]
    if not image.failures:
        arguments.check_opened(image)
    errors = [line for failure in image.failures for line in command_line.describe(failure)]
    for problem in verify.find_problems(image, verifies, run.progress):
        if problem.is_fatal or (problem.is_error and verifies):
            errors.append(problem.text)
        else:
            logging.warning('%s', problem.text)
    if errors and verifies:
        raise ProblemsError(errors)
    if errors:
        raise ArgumentError(errors[0])  # what follows may be its consequence


# The parts of the archive.


def _add_layers(tar: TarFileWriter, image: OpenedImage) -> None:
    """Adds each layer once, in the image's folder."""
    parts = image.parts
    added: set[str] = set()
    for name, layer in zip(parts.layer_names, parts.layers, strict=True):
        if name not in added:
            tar.add_input(name, image.layers[layer.path])
        added.add(name)


def _add_v1_layer(tar: TarFileWriter, image: OpenedImage) -> None:
    """Adds the one layer as Docker before 1.10 reads it."""
    (layer,) = image.parts.layers
    folder = image.parts.legacy_id
    tar.add_file('top', content=folder)
    tar.add_file(f'{folder}/VERSION', content=DATA_FORMAT_VERSION)
    tar.add_input(f'{folder}/layer.tar', image.layers[layer.path])
    tar.add_file(f'{folder}/json', content=image.metadata)


# The flags.


def _parts_of_flags(notes: list[str], id_files: dict[str, list[str]]) -> ImageParts:
    """Returns the parts that the flags name.

    Args:
        notes: gets a line for whatever is doubtful about how they are named.
        id_files: gets the paths of the files that identifiers are read from, by flag.
    """

    def read_identifier(flag: str, value: str) -> Identifier:
        if value.startswith('@'):
            id_files.setdefault(flag, []).append(value[1:])
        identifier = names.read_identifier(flag, command_line.text_of_argument(value))
        notes.extend(identifier.notes)
        return identifier

    identifier = read_identifier('--id', _ID.value or '')
    layers = []
    for value in command_line.all_given(_LAYER.value):
        name, _, path = value.partition('=')
        if not name or not path:
            raise ArgumentError(f'--layer: {value!r} is not ID=FILE: give both')
        layer_id = read_identifier('--layer', name)
        layers.append(Layer(layer_id.value, path, layer_id.origin))
    legacy_id = None
    legacy_id_origin = ''
    if _LEGACY_ID.value:
        legacy_id, legacy_id_origin, _ = read_identifier('--legacy_id', _LEGACY_ID.value)
    tags = [command_line.text_of_argument(tag) for tag in command_line.all_given(_TAG.value)]
    return ImageParts(
        identifier=identifier.value,
        config=_CONFIG.value or '',
        layers=tuple(layers),
        tags=tuple(tags),
        base=given(_BASE.value),
        legacy_base=given(_LEGACY_BASE.value),
        legacy_id=legacy_id,
        metadata=given(_METADATA.value),
        repository=command_line.given_text(_REPOSITORY.value),
        name=command_line.given_text(_NAME.value),
        oci=_OCI.value,
        id_origin=identifier.origin,
        legacy_id_origin=legacy_id_origin,
    )


def main(run: Run) -> None:
    """Does what the flags say.

    Args:
        run: what is shared by all that is done in this run.

    Raises:
        ArgumentError, OSError, ArchiveError: as create_image().
    """
    for flag in (_OUTPUT, _ID, _CONFIG):
        command_line.check_given(flag)
    notes: list[str] = []
    id_files: dict[str, list[str]] = {}
    parts = _parts_of_flags(notes, id_files)
    output = _OUTPUT.value or ''
    digest_file = given(_DIGEST_FILE.value)
    arguments.check_output('--output', output, id_files)
    if digest_file is not None:
        arguments.check_output('--digest_file', digest_file, id_files)
    if notes and _VERIFY.value:
        raise ProblemsError(notes)
    for note in notes:
        logging.warning('%s', note)
    write_image(output, parts, run, _VERIFY.value, digest_file)


def run_main() -> None:
    """Runs the program with the arguments of the command line."""
    command_line.run('create_image', main, __doc__ or '', _FLAGS)


if __name__ == '__main__':
    run_main()
