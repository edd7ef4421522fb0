# SPDX-License-Identifier: Apache-2.0
"""What several archives become together. It is planned here, and nothing is written."""

from typing import NamedTuple

from image_archive.image.docker_manifest import Repositories
from image_archive.image.stored import ImageArchive
from image_archive.join.files import JoinedFiles
from image_archive.join.images import JoinedImage, LayerTable, complete_layers, unite
from image_archive.join.index import Blob, MergedIndex, merge_indexes
from image_archive.join.tags import check_tags, merge_repositories
from image_archive.system.progress import Progress


class Join(NamedTuple):
    """What several archives become together.

    Attributes:
        archives: the archives, in the order in which they are joined.
        files: their files.
        images: their images.
        layers: the layers of these images.
        repositories: the names for Docker 1.9 and older.
        oci_index: the new index.json.
        left_out: why members are not merged, by their names.
    """

    archives: list[ImageArchive]
    files: JoinedFiles
    images: list[JoinedImage]
    layers: LayerTable
    repositories: Repositories
    oci_index: MergedIndex
    left_out: dict[str, str]


def plan_join(archives: list[ImageArchive], progress: Progress) -> Join:
    """Returns what archives become together.

    Args:
        archives: the archives, in the order in which they are joined.
        progress: advanced by the bytes that are compared.

    Raises:
        ArchiveError: two archives do not go together.
        OSError: an archive cannot be read.
    """
    files = JoinedFiles()
    progress.begin('comparing', 0)
    for archive in archives:
        files.add(archive, progress)
    files.check_directories()
    images = unite([image for archive in archives for image in archive.images], files)
    check_tags(images, archives)
    layers = LayerTable(images, files)
    for image in images:
        complete_layers(image, layers, files)
    oci_index = merge_indexes(archives, images, layers, files)
    return Join(
        archives=archives,
        files=files,
        images=images,
        layers=layers,
        repositories=merge_repositories(archive.repositories for archive in archives),
        oci_index=oci_index,
        left_out=files.left_out(_needed_names(images, oci_index.blobs)),
    )


def _needed_names(images: list[JoinedImage], blobs: list[Blob]) -> list[str]:
    """Returns the normal names of the files that images need."""
    names = [blob.name for blob in blobs]
    for image in images:
        names += [image.config_name, *image.layers]
    return names
