# SPDX-License-Identifier: Apache-2.0
"""The names of images that are joined: no two images may have the same."""

from collections.abc import Iterable

from image_archive.errors import ArchiveError
from image_archive.image import oci
from image_archive.image.docker_manifest import Repositories
from image_archive.image.stored import ImageArchive
from image_archive.image.tags import parse_tag
from image_archive.join.images import JoinedImage
from image_archive.tar.archive import Archive


def merge_repositories(all_repositories: Iterable[Repositories]) -> Repositories:
    """Returns the names of several archives; of two identifiers for one tag the first counts.

    Args:
        all_repositories: the names of each archive, in their order.
    """
    merged: Repositories = {}
    for repositories in all_repositories:
        for repository, tags in repositories.items():
            tags_so_far = merged.setdefault(repository, {})
            for tag, identifier in tags.items():
                tags_so_far.setdefault(tag, identifier)
    return merged


def check_tags(images: list[JoinedImage], archives: Iterable[ImageArchive]) -> None:
    """Checks that no tag stands for two images.

    Args:
        images: the images of all archives.
        archives: the archives.

    Raises:
        ArchiveError: a tag does.
        OSError: an archive cannot be read.
    """
    claims = _Claims(images)
    for image in images:
        for stored in image.stored:
            for tag in stored.tags:
                claims.add(tag, image.id, stored.archive)
    ids_by_archive = _ids_by_archive(images)
    for images_of_archive in archives:
        archive = images_of_archive.archive
        ids = ids_by_archive.get(archive, {})
        for repository, tags in images_of_archive.repositories.items():
            for tag, v1_id in tags.items():
                name = f'{repository}:{tag}'
                # An image without an entry in manifest.json has no other ID.
                image_id = ids.get(name) or ids.get(f'{v1_id}/layer.tar') or v1_id
                claims.add(name, image_id, archive)


class _Claims:
    """Which image has each tag, and in which archive."""

    def __init__(self, images: list[JoinedImage]) -> None:
        self._by_id = {image.id: image for image in images}
        self._images: dict[str, tuple[str, Archive]] = {}

    def add(self, tag: str, image_id: str, archive: Archive) -> None:
        """Raises ArchiveError if another image has the tag."""
        parsed = parse_tag(tag)
        name = tag if parsed is None else parsed.full_name
        other_id, other = self._images.setdefault(name, (image_id, archive))
        if other_id != image_id:
            both = f'{other.path!r} and {archive.path!r} have'
            if other is archive:
                both = f'{archive.path!r} has'
            text = f'{both} two images with the tag {tag!r}'
            advice = 'give one another tag'
            if self._have_different_platforms(image_id, other_id):
                advice = f'{advice}, or --oci to have both platforms'
            raise ArchiveError(f'{text}: {advice}')

    def _have_different_platforms(self, one: str, other: str) -> bool:
        """Tells whether two images, by their IDs, are for different platforms."""
        platforms = set()
        for image_id in (one, other):
            image = self._by_id.get(image_id)
            config = None if image is None else image.read_config()
            if config is None:
                return False
            platforms.add(oci.platform_key(config.keys))
        return len(platforms) == 2 and None not in platforms


def _ids_by_archive(images: list[JoinedImage]) -> dict[Archive, dict[str, str]]:
    """Returns the IDs of the images in each archive, by their tags and by their top layers."""
    found: dict[Archive, dict[str, str]] = {}
    for image in images:
        for stored in image.stored:
            ids = found.setdefault(stored.archive, {})
            for tag in stored.tags:
                ids.setdefault(tag, image.id)
            if stored.layers:
                ids.setdefault(stored.layers[-1], image.id)
    return found
