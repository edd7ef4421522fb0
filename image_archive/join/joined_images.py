# SPDX-License-Identifier: Apache-2.0
"""The images of several archives that are joined: which there are, and what they are made of."""

import re
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

from image_archive.digests import sha256
from image_archive.errors import ArchiveError
from image_archive.image import bases as utils
from image_archive.image import image_config
from image_archive.join.joined_files import JoinedFiles
from image_archive.tar import tar_reader
from image_archive.tar.sources import Archive


class StoredImage(NamedTuple):
    """An image as the manifest of one archive has it.

    Attributes:
        archive: the archive.
        entry: its entry in manifest.json.
        config_name: the normal name of its configuration.
        layers: the normal names of its layers, bottom layer first.
        tags: its tags.
    """

    archive: Archive
    entry: dict[str, Any]
    config_name: str
    layers: tuple[str, ...]
    tags: tuple[str, ...]


class JoinedImage:
    """An image of the new archive: what several archives have with the same configuration.

    Attributes:
        stored: the image as each archive has it; the first one gives the names of its files.
        content: the bytes of its configuration; None where no archive has them.
        config: the configuration, with keys in the usual spelling; None where it is missing or no
            JSON object.
        id: the SHA-256 of the configuration, in hex; where that is missing, its name.
        layers: the names of its layers in the new archive, of missing ones too.
        diff_ids: the diff IDs that the configuration names; None where it does not.
    """

    def __init__(self, first: StoredImage, content: bytes | None) -> None:
        self.stored = [first]
        self.content = content
        self.config: dict[str, Any] | None = None
        self.id = first.config_name if content is None else sha256(content)
        self.layers = list(first.layers)
        self.diff_ids: list[str] | None = None
        config = None
        if content is not None:
            config = image_config.parse_or_none(content)
        if config is not None:
            self.config = image_config.as_clients_read(config)
            self.diff_ids = image_config.diff_ids(self.config)

    @property
    def label(self) -> str:
        """What messages call the image."""
        first = self.stored[0]
        return f'{first.archive.path!r}: {first.config_name!r}'

    @property
    def tags(self) -> list[str]:
        """The tags that any archive gives the image, each once."""
        tags = [tag for stored in self.stored for tag in stored.tags]
        return list(dict.fromkeys(tags))

    def diff_ids_of(self, layers: Sequence[str]) -> list[str | None]:
        """Returns what the configuration says of each of the layers, None where it does not.

        Args:
            layers: the normal names of the layers, bottom layer first.
        """
        if self.diff_ids is None or len(self.diff_ids) != len(layers):
            return [None] * len(layers)
        return list(self.diff_ids)


# The images of one archive, and of all.


def read_images(archive: Archive) -> list[StoredImage]:
    """Reads the images that the manifest of an archive lists.

    Args:
        archive: the archive, open.

    Returns:
        The images; none of an archive of before Docker 1.10.

    Raises:
        ArchiveError: it holds no image, or one that clients would read otherwise each.
    """
    manifest = utils.read_image_manifest(archive, 'image archive')
    images = []
    counting = []
    for entry in manifest or []:
        image = _stored_image(archive, utils.check_entry(archive.path, entry))
        images.append(image)
        counting += [image.config_name, *image.layers]
    utils.check_twice(archive, counting)
    return images


def _stored_image(archive: Archive, entry: dict[str, Any]) -> StoredImage:
    tags = entry.get('RepoTags')
    if tags is None:
        tags = []
    if not isinstance(tags, list) or not all(isinstance(tag, str) for tag in tags):
        text = f'{utils.MANIFEST} has RepoTags that are no list of strings'
        raise ArchiveError(f'{archive.path!r}: {text}: replace it')
    return StoredImage(
        archive=archive,
        entry=entry,
        config_name=tar_reader.normal_name(entry['Config']),
        layers=tuple(tar_reader.normal_name(name) for name in entry.get('Layers') or ()),
        tags=tuple(tags),
    )


def unite(stored: Iterable[StoredImage], files: JoinedFiles) -> list[JoinedImage]:
    """Returns the images, each once, where it comes first.

    Args:
        stored: what all archives have, in their order.
        files: the files of all archives.

    Raises:
        ArchiveError: a configuration is too large.
        OSError: one cannot be read.
    """
    by_id: dict[str, JoinedImage] = {}
    by_file: dict[str, JoinedImage] = {}
    for one in stored:
        found = files.find(one.config_name)
        file_name = one.config_name if found is None else found.name
        if file_name not in by_file:
            image = JoinedImage(one, files.read(one.config_name))
            by_file[file_name] = by_id.setdefault(image.id, image)
        same = by_file[file_name]
        if same.stored[0] is not one:
            same.stored.append(one)
    return list(by_id.values())


# Layers that an archive lacks, and another one has.

# A file that is named by a digest: its own, or of its uncompressed content. Only a folder is
# named by the ID of an image of before Docker 1.10.
_NAMED_BY_DIGEST = r'(?:.*/)?([0-9a-f]{64})(?:\.tar(?:\.[a-z0-9]+)?|\.tgz)?'


class LayerTable:
    """The layers of all images that are there, by what is known of their content.

    Attributes:
        by_diff_id: a name for each diff ID.
        by_digest: a name for each digest that a name tells.
        diff_ids: the diff IDs that the images give to the file of each name, through links.
    """

    def __init__(self, images: Iterable[JoinedImage], files: JoinedFiles) -> None:
        self.by_diff_id: dict[str, str] = {}
        self.by_digest: dict[str, str] = {}
        self.diff_ids: dict[str, list[str]] = {}
        for image in images:
            for stored in image.stored:
                diff_ids = image.diff_ids_of(stored.layers)
                for name, diff_id in zip(stored.layers, diff_ids, strict=True):
                    self._add(name, diff_id, files)

    def _add(self, name: str, diff_id: str | None, files: JoinedFiles) -> None:
        found = files.find(name)
        if found is None:
            return
        known = self.diff_ids.setdefault(found.name, [])
        if diff_id is not None:
            self.by_diff_id.setdefault(diff_id, name)
            if diff_id not in known:
                known.append(diff_id)
        digest = _digest_in(name)
        if digest is not None:
            self.by_digest.setdefault(digest, name)

    def find(self, name: str, diff_id: str | None) -> str | None:
        """Returns the name that another archive has for a layer, or None.

        Args:
            name: its name in the archive that lacks it.
            diff_id: its diff ID, where that is known.
        """
        if diff_id in self.by_diff_id:
            return self.by_diff_id[diff_id]
        candidate = self.by_digest.get(_digest_in(name) or '')
        if candidate is None:
            return None
        if diff_id is not None and self.diff_ids.get(candidate):
            return None  # that one has another diff ID
        return candidate


def _digest_in(name: str) -> str | None:
    """Returns the digest that the name of a layer tells, in hex, or None."""
    match = re.fullmatch(_NAMED_BY_DIGEST, name, re.DOTALL)
    if match is None:
        return None
    return match[1]


def complete(image: JoinedImage, table: LayerTable, files: JoinedFiles) -> None:
    """Has an image name the files that other archives have for the layers that its own lacks.

    Args:
        image: the image, whose layers are changed.
        table: all layers, by what is known of them.
        files: the files of all archives.
    """
    diff_ids = image.diff_ids_of(image.layers)
    for index, diff_id in enumerate(diff_ids):
        name = image.layers[index]
        if files.find(name) is None:
            image.layers[index] = table.find(name, diff_id) or name


# What each image's entry in manifest.json says.


def manifest_entries(images: list[JoinedImage]) -> list[dict[str, Any]]:
    """Returns the list that is the new manifest.json.

    Args:
        images: the images, in their order.
    """
    by_id = {f'sha256:{image.id}': image for image in images}
    entries = []
    for image in images:
        first = image.stored[0]
        entry = {
            **first.entry,
            'Config': first.config_name,
            'Layers': image.layers,
            'RepoTags': image.tags,
        }
        entry.pop('Parent', None)
        parent = _parent(image, by_id)
        if parent is not None:
            entry['Parent'] = parent
        entries.append(entry)
    return entries


def _parent(image: JoinedImage, by_id: dict[str, JoinedImage]) -> str | None:
    """Returns the ID of the image that an image is built on, as far as Docker takes it.

    Docker's loader refuses another one, and has then loaded the images all the same
    (checkValidParent in image/tarexport/load.go).
    """
    for stored in image.stored:
        parent_id = stored.entry.get('Parent')
        if not isinstance(parent_id, str) or parent_id not in by_id:
            continue
        if _follows(_history(image), _history(by_id[parent_id])):
            return parent_id
    return None


def _history(image: JoinedImage) -> list[Any]:
    history = None
    if image.config is not None:
        history = image.config.get('history')
    if not isinstance(history, list):
        return []
    return history


def _follows(history: list[Any], parent: list[Any]) -> bool:
    """Tells whether a history is its parent's and one entry more, or neither is there."""
    if not history and not parent:
        return True
    if len(history) != len(parent) + 1:
        return False
    pairs = zip(history[:-1], parent, strict=True)
    return all(_without_empty(one) == _without_empty(other) for one, other in pairs)


def _without_empty(entry: Any) -> Any:
    """Returns an entry of a history as Docker reads it: what is empty counts as absent."""
    if not isinstance(entry, dict):
        return entry
    return {key: value for key, value in entry.items() if value}
