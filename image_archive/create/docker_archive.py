# SPDX-License-Identifier: Apache-2.0
"""Writes an image archive as Docker before 25 saves it, member by member."""

import contextlib

from image_archive.create.opened import OpenedImage
from image_archive.create.parts import ImageParts
from image_archive.image.docker_manifest import TOP_NAME, Repositories
from image_archive.image.documents import Documents, add_documents
from image_archive.system.command_line import Run
from image_archive.system.outputs import optional_output
from image_archive.tar.writer import TarFileWriter

DATA_FORMAT_VERSION = '1.0'  # in the directory of each v1 layer


def write_docker_archive(
    output: str, image: OpenedImage, run: Run, id_file: str | None = None
) -> None:
    """Writes the archive, and the file with the identifier of the image.

    Args:
        output: the path of the archive; '-' is stdout.
        image: the image, whose parts were checked.
        run: the run of the program.
        id_file: the path of the file for the identifier; None for no such file.

    Raises:
        ArchiveError: an archive that is merged is unsound.
        OSError: a file cannot be read, or the archive cannot be written.
    """
    parts = image.parts

    run.progress.begin('writing', image.bytes_to_write)
    with contextlib.ExitStack() as stack:
        tar = stack.enter_context(TarFileWriter(output, run.partial_files, run.progress))
        id_output = stack.enter_context(optional_output(id_file, run.partial_files))
        config_name = f'{parts.identifier}.json'
        tar.add_file(config_name, content=image.checked_config.content)
        if parts.legacy_id is None:
            add_own_layers(tar, image, parts.layer_names)
        else:
            tar.add_file(TOP_NAME, content=parts.legacy_id)
            tar.add_file(f'{parts.legacy_id}/VERSION', content=DATA_FORMAT_VERSION)
            add_own_layers(tar, image, parts.layer_names)
            tar.add_file(f'{parts.legacy_id}/json', content=image.metadata)
        if image.merged_names is not None:
            _add_layers_of_layout(tar, image)
        elif image.legacy_base is not None:
            tar.add_archive(image.legacy_base, image.is_merged)
        layer_names = image.base_layer_names + parts.layer_names
        documents = Documents(
            manifest=[manifest_entry(image, config_name, layer_names)],
            repositories=repositories_of(parts),
        )
        add_documents(tar, documents)
        others = []
        if id_output is not None:
            id_output.write(f'{parts.identifier}\n'.encode())
            others.append(id_output)
        tar.close(others)


def add_own_layers(tar: TarFileWriter, image: OpenedImage, names: list[str]) -> None:
    """Adds the layers that an image adds to its base, each once.

    Args:
        tar: the archive.
        image: the image.
        names: the name of each layer in the archive.

    Raises:
        OSError: a layer cannot be read or was changed, or the archive cannot be written.
    """
    added: set[str] = set()
    for name, layer in zip(names, image.parts.layers, strict=True):
        if name not in added:
            opened = image.layers[layer.path]
            tar.add_source(name, opened.source)
            if opened.input is not None:
                opened.input.check_unchanged()
        added.add(name)


def _add_layers_of_layout(tar: TarFileWriter, image: OpenedImage) -> None:
    """Adds the layers of the layout that is merged, bottom layer first, whatever its form is."""
    if image.legacy_base is None or image.merged_image is None:
        return
    added: set[str] = set()
    for name in image.merged_image.layers:
        place = image.legacy_base.find(name)
        if place is not None and place.name not in added:
            tar.add_source(place.name, place.source)
            added.add(place.name)
    image.legacy_base.check_unchanged()


def manifest_entry(
    image: OpenedImage, config_name: str, layer_names: list[str]
) -> dict[str, object]:
    """Returns the entry in manifest.json (Docker image specification v1.2).

    Args:
        image: the image.
        config_name: the name of its configuration in the archive.
        layer_names: the names of all its layers, bottom layer first.
    """
    entry: dict[str, object] = {
        'Config': config_name,
        'Layers': layer_names,
        'RepoTags': list(image.parts.tags),
    }
    if image.parent is not None:
        entry['Parent'] = image.parent
    if image.base is not None and image.base.foreign_sources:
        entry['LayerSources'] = image.base.foreign_sources
    return entry


def repositories_of(parts: ImageParts) -> Repositories | None:
    """Returns the names in `repositories`; None if there are none."""
    if parts.repository is None or parts.name is None:
        return None
    # With the image's identifier, Docker's v1 loader says "invalid target ID".
    identifier = parts.legacy_id or parts.identifier
    return {parts.repository: {parts.name: identifier}}
