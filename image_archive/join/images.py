# SPDX-License-Identifier: Apache-2.0
"""The images of several archives that are joined: which there are, and their layers."""

import json
import re
import sys
from collections.abc import Iterable
from functools import cached_property
from typing import Any, NamedTuple

from image_archive.digests import new_hash, sha256
from image_archive.image.configuration import Configuration, read_configuration
from image_archive.image.docker_manifest import KNOWN_KEYS
from image_archive.image.stored import StoredImage
from image_archive.join.files import JoinedFiles, different_content
from image_archive.tar.archive import Archive, Place

_DIFF_ID_LIMIT = 200  # characters; a longer one is no digest


class History(NamedTuple):
    """The history of an image, by which it is compared with others; itself it may be long.

    Attributes:
        length: the number of its entries.
        digest: a hash of all entries.
        digest_below: a hash of all entries but the last.
    """

    length: int
    digest: str
    digest_below: str


class JoinedImage:
    """An image of the new archive: what several archives have with the same configuration.

    The configuration is read again whenever it is needed: together they take too much memory.

    Attributes:
        stored: the image as each archive has it; the first one gives the names of its files.
        config_name: the name of its configuration in the new archive.
        id: the SHA-256 of the configuration, in hex; the name of a configuration that is missing.
        layers: the names of its layers in the new archive, also of missing ones.
    """

    def __init__(
        self, first: StoredImage, place: Place | None, config_name: str, layers: list[str]
    ) -> None:
        """Makes an image.

        Args:
            first: the image as the first archive has it.
            place: where its configuration is; None if no archive has it.
            config_name: the name of its configuration in the new archive.
            layers: the names of its layers in the new archive.

        Raises:
            ArchiveError: the configuration is too large.
            OSError: it cannot be read.
        """
        self.stored = [first]
        self.config_name = config_name
        self.id = first.config_name if place is None else sha256(place.read())
        self.layers = layers
        self._place = place

    @property
    def label(self) -> str:
        """The name of the image in messages."""
        first = self.stored[0]
        return f'{first.archive.path!r}: {first.config_name!r}'

    @property
    def tags(self) -> list[str]:
        """The tags that any archive gives the image, each once."""
        tags = [tag for stored in self.stored for tag in stored.tags]
        return list(dict.fromkeys(tags))

    @property
    def is_missing(self) -> bool:
        """Whether no archive has its configuration."""
        return self._place is None

    def read_config(self) -> Configuration | None:
        """Returns the configuration; None if no archive has it.

        Raises:
            ArchiveError: it is too large.
            OSError: it cannot be read.
        """
        if self._place is None:
            return None
        return read_configuration(self._place.read())

    @cached_property
    def _diff_ids(self) -> tuple[int | None, tuple[str | None, ...]]:
        """The number of diff IDs, and those that may be asked for, once all of `stored` is known.

        The number is None if the configuration is missing or gives no diff IDs.
        """
        config = self.read_config()
        if config is None or config.diff_ids is None:
            return None, ()
        count = len(config.diff_ids)
        if all(len(stored.layers) != count for stored in self.stored):
            return count, ()
        return count, tuple(
            sys.intern(diff_id) if len(diff_id) <= _DIFF_ID_LIMIT else None
            for diff_id in config.diff_ids
        )

    @property
    def diff_id_count(self) -> int | None:
        """The number of diff IDs in the configuration; None if it is missing or gives none."""
        return self._diff_ids[0]

    @property
    def layer_sources(self) -> dict[str, dict[str, Any]]:
        """LayerSources of the first archive, and those of foreign layers of the others."""
        sources = dict(self.stored[0].layer_sources)
        for stored in self.stored[1:]:
            for diff_id, source in stored.foreign_sources.items():
                sources.setdefault(diff_id, source)
        return sources

    def has_foreign_layer(self, index: int) -> bool:
        """Tells whether an archive describes a layer as foreign; index counts from the bottom."""
        foreign = [stored.foreign_layers for stored in self.stored]
        return any(index < len(layers) and layers[index] is not None for layers in foreign)

    def diff_ids_of(self, count: int) -> tuple[str | None, ...]:
        """Returns the diff ID of each of some layers; None for each if there are not as many."""
        diff_ids = self._diff_ids[1]
        if len(diff_ids) != count:
            return (None,) * count
        return diff_ids

    @cached_property
    def history(self) -> History:
        """The history in the configuration, which is empty if that is missing."""
        config = self.read_config()
        entries = None
        if config is not None:
            entries = config.keys.get('history')
        if not isinstance(entries, list):
            entries = []
        found = new_hash()
        digest_below = found.hexdigest()
        for entry in entries:
            digest_below = found.hexdigest()
            found.update(json.dumps(_without_empty(entry), sort_keys=True).encode() + b'\n')
        return History(len(entries), found.hexdigest(), digest_below)


def unite(stored: Iterable[StoredImage], files: JoinedFiles) -> list[JoinedImage]:
    """Returns the images, each once, where it comes first.

    Args:
        stored: the images of all archives, in their order.
        files: the files of all archives.

    Raises:
        ArchiveError: a configuration is too large, or two archives have different files of one
            name as a layer of the same image.
        OSError: one cannot be read.
    """
    by_id: dict[str, JoinedImage] = {}
    by_file: dict[str, JoinedImage] = {}
    for one in stored:
        config_name = files.new_name(one.archive, one.config_name)
        place = files.find(config_name)
        file_name = config_name if place is None else place.name
        if file_name not in by_file:
            image = JoinedImage(one, place, file_name, _new_layer_names(one, files))
            by_file[file_name] = by_id.setdefault(image.id, image)
        same = by_file[file_name]
        if same.stored[0] is not one:
            same.stored.append(one)
    images = list(by_id.values())
    for image in images:
        _check_layers(image, files)
    return images


def _new_layer_names(stored: StoredImage, files: JoinedFiles) -> list[str]:
    return [files.new_name(stored.archive, name) for name in stored.layers]


def _check_layers(image: JoinedImage, files: JoinedFiles) -> None:
    """Raises ArchiveError if a layer of an image is another file in another archive."""
    firsts: dict[str, tuple[str, Archive]] = {}
    for stored in image.stored:
        archive = stored.archive
        for name, new_name in zip(stored.layers, _new_layer_names(stored, files), strict=True):
            if archive.find(name) is None:
                continue
            first_name, first_archive = firsts.setdefault(name, (new_name, archive))
            if first_name != new_name:
                raise different_content(first_archive, archive, name)


# Layers that one archive lacks and another one has.

# A file that has a digest as its name: its own, or that of its uncompressed content. The ID of an
# image of Docker 1.9 or older is the name of a directory only.
_NAMED_BY_DIGEST = r'(?:.*/)?([0-9a-f]{64})(?:\.tar(?:\.[a-z0-9]+)?|\.tgz)?'


class LayerTable:
    """The layers of all images that are there, by what is known of their content.

    Attributes:
        by_diff_id: a name for each diff ID.
        by_digest: a name for each SHA-256 that is part of a name, in hex.
        diff_ids: the diff IDs that images give to each file, by its name behind links; the first
            two of them.
    """

    def __init__(self, images: Iterable[JoinedImage], files: JoinedFiles) -> None:
        self.by_diff_id: dict[str, str] = {}
        self.by_digest: dict[str, str] = {}
        self.diff_ids: dict[str, list[str]] = {}
        self._file_names: dict[str, str] = {}  # names behind links, by names
        for image in images:
            for stored in image.stored:
                layers = _new_layer_names(stored, files)
                diff_ids = image.diff_ids_of(len(layers))
                for name, diff_id in zip(layers, diff_ids, strict=True):
                    self._add(name, diff_id, files)

    def _add(self, name: str, diff_id: str | None, files: JoinedFiles) -> None:
        place = files.find(name)
        if place is None:
            return
        self._file_names[name] = place.name
        known = self.diff_ids.setdefault(place.name, [])
        if diff_id is not None:
            self.by_diff_id.setdefault(diff_id, name)
            if diff_id not in known and len(known) < 2:
                known.append(diff_id)
        digest = _sha256_in(name)
        if digest is not None:
            self.by_digest.setdefault(digest, name)

    def find(self, name: str, diff_id: str | None) -> str | None:
        """Returns the name of a layer in another archive; None if no archive has it.

        Args:
            name: its name in the archive that lacks it.
            diff_id: its diff ID, if that is known.
        """
        if diff_id in self.by_diff_id:
            return self.by_diff_id[diff_id]
        candidate = self.by_digest.get(_sha256_in(name) or '')
        if candidate is None:
            return None
        if diff_id is not None and self.diff_ids[self._file_names[candidate]]:
            return None  # it has another diff ID
        return candidate


def _sha256_in(name: str) -> str | None:
    """Returns the SHA-256 in the name of a layer, in hex; None without one."""
    match = re.fullmatch(_NAMED_BY_DIGEST, name, re.DOTALL)
    if match is None:
        return None
    return match[1]


def complete_layers(image: JoinedImage, table: LayerTable, files: JoinedFiles) -> None:
    """Replaces the names of an image's layers by those of the files that will be the layers.

    A layer that the image's archive lacks may be in another archive under another name. Clients
    do not follow all links: Podman reads no layer that is one.

    Args:
        image: the image, whose layers are changed.
        table: the layers of all images.
        files: the files of all archives.
    """
    diff_ids = image.diff_ids_of(len(image.layers))
    for index, diff_id in enumerate(diff_ids):
        name = image.layers[index]
        place = files.find(name)
        if place is None:
            name = table.find(name, diff_id) or name
            place = files.find(name)
        image.layers[index] = name if place is None else place.name


# Entries of manifest.json.


def manifest_entries(images: list[JoinedImage]) -> list[dict[str, Any]]:
    """Returns the entries of the new manifest.json, in the order of the images."""
    by_id = {f'sha256:{image.id}': image for image in images}
    entries = []
    for image in images:
        first = image.stored[0]
        entry = {
            **KNOWN_KEYS.only_known(first.entry),
            'Config': image.config_name,
            'Layers': image.layers,
            'RepoTags': image.tags,
        }
        entry.pop('Parent', None)
        if image.layer_sources:
            entry['LayerSources'] = image.layer_sources
        parent = _parent(image, by_id)
        if parent is not None:
            entry['Parent'] = parent
        entries.append(entry)
    return entries


def _parent(image: JoinedImage, by_id: dict[str, JoinedImage]) -> str | None:
    """Returns the ID of the image that an image is built on, if Docker takes it.

    Docker refuses another one only after it has loaded the images (checkValidParent in
    image/tarexport/load.go).
    """
    for stored in image.stored:
        parent_id = stored.entry.get('Parent')
        if not isinstance(parent_id, str) or parent_id not in by_id:
            continue
        if _follows(image.history, by_id[parent_id].history):
            return parent_id
    return None


def _follows(history: History, parent: History) -> bool:
    """Tells whether a history is its parent's and one entry more, or neither is there."""
    if history.length == 0 and parent.length == 0:
        return True
    return history.length == parent.length + 1 and history.digest_below == parent.digest


def _without_empty(entry: Any) -> Any:
    """Returns an entry of a history as Docker reads it: an empty value counts as absent."""
    if not isinstance(entry, dict):
        return entry
    return {key: value for key, value in entry.items() if value}
