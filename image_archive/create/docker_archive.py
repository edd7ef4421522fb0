# SPDX-License-Identifier: Apache-2.0
"""The members of an image archive as Docker before 25 saves it."""

from image_archive.create.opened import OpenedImage
from image_archive.create.parts import ImageParts
from image_archive.image.docker_manifest import TOP_NAME, Repositories
from image_archive.image.documents import Documents, add_documents
from image_archive.tar.writer import TarFileWriter

DATA_FORMAT_VERSION = '1.0'  # in the directory of each v1 layer


def add_docker_members(tar: TarFileWriter, image: OpenedImage) -> None:
    """Adds all members of the archive of an image.

    Args:
        tar: the archive.
        image: the image.

    Raises:
        ArchiveError: an archive that is merged is unsound.
        OSError: a file cannot be read, or the archive cannot be written.
    """
    parts = image.parts
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


def add_own_layers(tar: TarFileWriter, image: OpenedImage, names: list[str]) -> None:
    """Adds the layers that an image adds to its base, each once.

    Args:
        tar: the archive.
        image: the image.
        names: the name of each layer in the archive.

    Raises:
        OSError: a layer cannot be read, or the archive cannot be written.
    """
    added: set[str] = set()
    for name, layer in zip(names, image.parts.layers, strict=True):
        if name not in added:
            tar.add_source(name, image.layers[layer.path].source)
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
