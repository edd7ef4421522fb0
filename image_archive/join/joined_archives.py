# SPDX-License-Identifier: Apache-2.0
"""What several archives make together: it is planned here, and nothing is written."""

from typing import Any, NamedTuple

from image_archive.join import joined_images, joined_index, joined_names
from image_archive.join.joined_files import JoinedFiles
from image_archive.join.joined_images import JoinedImage, LayerTable, StoredImage
from image_archive.join.joined_index import Blob
from image_archive.join.joined_names import Repositories
from image_archive.system.progress import Progress
from image_archive.tar.sources import Archive


class ImageArchive(NamedTuple):
    """An archive of images, and what it says of them.

    Attributes:
        archive: the archive, open.
        images: the images of its manifest; none of one of before Docker 1.10.
        repositories: what names its images for Docker before 1.10.
        descriptors: those of its index.json; None where it has none.
    """

    archive: Archive
    images: list[StoredImage]
    repositories: Repositories
    descriptors: list[dict[str, Any]] | None


def read_archive(archive: Archive) -> ImageArchive:
    """Returns what an archive says of its images.

    Args:
        archive: the archive, open.

    Raises:
        ArchiveError: it holds no image, or clients would read it otherwise each.
        OSError: it cannot be read.
    """
    return ImageArchive(
        archive=archive,
        images=joined_images.read_images(archive),
        repositories=joined_names.read_repositories(archive),
        descriptors=joined_index.read_index(archive),
    )


class Join(NamedTuple):
    """What several archives make together.

    Attributes:
        archives: the archives, open.
        v1_archives: those of before Docker 1.10, which have no manifest.
        files: the files of all.
        images: the images of all manifests.
        layers: what is known of their layers.
        repositories: what names images for Docker before 1.10.
        descriptors: those of the new index.json; None where there is none.
        blobs: what these lead to.
    """

    archives: list[Archive]
    v1_archives: list[Archive]
    files: JoinedFiles
    images: list[JoinedImage]
    layers: LayerTable
    repositories: Repositories
    descriptors: list[dict[str, Any]] | None
    blobs: list[Blob]


def plan_join(archives: list[ImageArchive], progress: Progress) -> Join:
    """Returns what archives make together.

    Args:
        archives: the archives in the order in which they are joined.
        progress: is told of the bytes that are compared.

    Raises:
        ArchiveError: two archives do not go together.
        OSError: an archive cannot be read.
    """
    files = JoinedFiles()
    progress.begin('comparing', 0)
    for archive in archives:
        files.add(archive.archive, progress)
    stored = [image for archive in archives for image in archive.images]
    images = joined_images.unite(stored, files)
    repositories = [(archive.archive, archive.repositories) for archive in archives]
    joined_names.check_tags(images, repositories)
    layers = LayerTable(images, files)
    for image in images:
        joined_images.complete(image, layers, files)
    descriptors = joined_index.merge([archive.descriptors for archive in archives])
    blobs = joined_index.blobs(descriptors or [], images, files)
    leads_to_all = joined_index.leads_to_all(descriptors or [], files)
    if not leads_to_all or not joined_index.is_whole(blobs, images, layers, files):
        descriptors = None
        blobs = []
    return Join(
        archives=[archive.archive for archive in archives],
        v1_archives=[archive.archive for archive in archives if not archive.images],
        files=files,
        images=images,
        layers=layers,
        repositories=joined_names.merge(names for _, names in repositories),
        descriptors=descriptors,
        blobs=blobs,
    )
