# SPDX-License-Identifier: Apache-2.0
"""The names of images of several archives that are joined: no two images may have one."""

from collections.abc import Iterable
from typing import Any

from image_archive.errors import ArchiveError
from image_archive.image import bases as utils
from image_archive.image import names, strict_json
from image_archive.join.joined_images import JoinedImage
from image_archive.tar.sources import Archive

REPOSITORIES = 'repositories'

# {repository: {tag: v1 identifier}}, as Docker before 1.10 reads it.
Repositories = dict[str, dict[str, str]]


def read_repositories(archive: Archive) -> Repositories:
    """Returns what an archive says by which Docker before 1.10 names its images.

    Args:
        archive: the archive, open.

    Raises:
        ArchiveError: it is another JSON than it must be, or there twice with different content.
    """
    utils.check_twice(archive, [REPOSITORIES])
    content = archive.read_file(REPOSITORIES)
    if content is None:
        return {}
    try:
        repositories = strict_json.loads(content)
    except ValueError:
        repositories = None
    if not _are_repositories(repositories):
        text = f'{REPOSITORIES} is not {{"repository": {{"tag": "ID"}}}}'
        raise ArchiveError(f'{archive.path!r}: {text}: replace it')
    return dict(repositories)


def _are_repositories(value: Any) -> bool:
    if not isinstance(value, dict):
        return False
    for tags in value.values():
        if not isinstance(tags, dict):
            return False
        if not all(isinstance(identifier, str) for identifier in tags.values()):
            return False
    return True


def merge(all_repositories: Iterable[Repositories]) -> Repositories:
    """Returns what several archives' `repositories` say; of two IDs for a tag, the first.

    Args:
        all_repositories: that of each archive, in their order.
    """
    merged: Repositories = {}
    for repositories in all_repositories:
        for repository, tags in repositories.items():
            merged[repository] = {**tags, **merged.get(repository, {})}
    return merged


class _Claims:
    """Which image has each tag, and by which archive."""

    def __init__(self) -> None:
        self._images: dict[str, tuple[str, Archive]] = {}

    def add(self, tag: str, image_id: str, archive: Archive) -> None:
        """Raises ArchiveError if another image has the tag."""
        parsed = names.parse_tag(tag)
        name = tag if parsed is None else parsed.full_name
        other_id, other = self._images.setdefault(name, (image_id, archive))
        if other_id != image_id:
            both = f'{other.path!r} and {archive.path!r} have'
            if other is archive:
                both = f'{archive.path!r} has'
            text = f'{both} two images with the tag {tag!r}: give one another tag'
            raise ArchiveError(text)


def check_tags(
    images: list[JoinedImage], repositories: Iterable[tuple[Archive, Repositories]]
) -> None:
    """Raises ArchiveError if a tag stands for two images.

    Args:
        images: the images of all manifests.
        repositories: what the `repositories` of each archive says.
    """
    claims = _Claims()
    for image in images:
        for stored in image.stored:
            for tag in stored.tags:
                claims.add(tag, image.id, stored.archive)
    for archive, names_of_archive in repositories:
        ids = _ids_in(archive, images)
        for repository, tags in names_of_archive.items():
            for tag, v1_id in tags.items():
                name = f'{repository}:{tag}'
                # Of an image that has no manifest, there is nothing but this ID.
                image_id = ids.get(name) or ids.get(f'{v1_id}/layer.tar') or v1_id
                claims.add(name, image_id, archive)


def _ids_in(archive: Archive, images: list[JoinedImage]) -> dict[str, str]:
    """Returns the IDs of the images of an archive, by their tags and by their top layers."""
    ids: dict[str, str] = {}
    for image in images:
        for stored in image.stored:
            if stored.archive is not archive:
                continue
            for name in (*stored.tags, *stored.layers[-1:]):
                ids.setdefault(name, image.id)
    return ids
