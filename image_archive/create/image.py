# SPDX-License-Identifier: Apache-2.0
"""The parts of an image: as they are named, and as they are once opened."""

import contextlib
import os
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from image_archive.digests import new_sha256
from image_archive.errors import ArchiveError, ArgumentError
from image_archive.image import bases as utils
from image_archive.image.bases import BaseImage
from image_archive.system import files
from image_archive.system.files import InputFile
from image_archive.system.progress import Progress
from image_archive.tar import sources, streams
from image_archive.tar.sources import Archive, Source
from image_archive.tar.tar_reader import Member

# What of a base is not merged: the first three are written anew, and the last two would have
# containerd and Docker 29 load the base in place of the image (seen).
REPLACED = ('top', 'repositories', 'manifest.json', 'index.json', 'oci-layout')

_FILE_FAILURES = (OSError, ArgumentError, ArchiveError)


def is_merged(name: str) -> bool:
    """Tells whether a member of a base is merged into an image.

    Args:
        name: the normal name of the member.
    """
    return name.split('/')[0] not in REPLACED


class Layer(NamedTuple):
    """A layer that an image adds.

    Attributes:
        identifier: its diff ID in hex, the SHA-256 of its uncompressed content.
        path: the path of its tarball.
        origin: where the identifier was read, for messages, as Identifier.origin.
    """

    identifier: str
    path: str
    origin: str = ''


class ImageParts(NamedTuple):
    """What an image is made of; what is None is not given.

    Attributes:
        identifier: the SHA-256 of the configuration, in hex.
        config: the path of the configuration.
        layers: the layers, bottom layer first.
        tags: the tags, as repository:tag.
        base: the path of an archive, whose last image gives the layers below and the parent.
        legacy_base: the path of an archive whose files are merged.
        legacy_id: the v1 identifier of the one layer, in hex.
        metadata: the path of the v1 JSON of that layer.
        repository: the repository to name in `repositories`.
        name: the tag to name there.
        oci: whether the archive is an OCI image layout as well.
        id_origin: where the identifier was read, for messages, as Identifier.origin.
        legacy_id_origin: where the v1 identifier was read.
    """

    identifier: str
    config: str
    layers: tuple[Layer, ...] = ()
    tags: tuple[str, ...] = ()
    base: str | None = None
    legacy_base: str | None = None
    legacy_id: str | None = None
    metadata: str | None = None
    repository: str | None = None
    name: str | None = None
    oci: bool = False
    id_origin: str = ''
    legacy_id_origin: str = ''

    @property
    def layer_names(self) -> list[str]:
        """The names of the layers that the image adds, in the archive."""
        if self.legacy_id is not None:
            return [f'{self.legacy_id}/layer.tar']
        return [f'{self.identifier}/{layer.identifier}.tar' for layer in self.layers]


class OpenedImage:
    """The files of an image's parts, each opened once.

    Attributes:
        parts: the parts.
        config: the bytes of the configuration; None where it cannot be read.
        metadata: the bytes of the v1 JSON.
        layers: the layers' files, by path.
        base: the image that this one is built on.
        legacy_base: the archive that is merged; the base's own where both are the same file.
        failures: what is wrong with files that cannot be read.
        stored_digests: the SHA-256 of compressed layers as they are stored, once one was read,
            by the path of the file and the offset in it.
    """

    def __init__(self, parts: ImageParts) -> None:
        self.parts = parts
        self.config: bytes | None = None
        self.metadata: bytes | None = None
        self.layers: dict[str, InputFile] = {}
        self.base: BaseImage | None = None
        self.legacy_base: Archive | None = None
        self.failures: list[Exception] = []
        self.stored_digests: dict[tuple[str, int], str] = {}

    @property
    def base_layers(self) -> tuple[str, ...]:
        """The names of the layers below those that the image adds."""
        if self.base is None:
            return ()
        return self.base.layers

    @property
    def is_on_itself(self) -> bool:
        """Whether what is merged is the base."""
        return self.base is not None and self.legacy_base is self.base.archive

    @property
    def bytes_to_write(self) -> int:
        """The bytes of the layers and of what is merged."""
        size = sum(opened.size for opened in self.layers.values())
        if self.parts.oci:
            places = [place for place in self.base_layer_places() if place is not None]
            size += sum(p.member.size for p in places if p.archive is self.legacy_base)
        elif self.legacy_base is not None:
            size += sum(member.size for member in self.legacy_base.members)
        return size

    def missing_layers(self) -> list[str]:
        """Returns the names of the base's layers that the image's archive lacks."""
        if self.legacy_base is None:
            return list(self.base_layers)
        merged = _merged_files(self.legacy_base)
        return [name for name in self.base_layers if sources.find_file(merged, name) is None]

    def base_layer_places(self) -> list['Place | None']:
        """Returns where each of the base's layers is: in what is merged, else in the base.

        The members of a docker archive are merged under their names, so there a layer of another
        name is none. To an OCI layout any layer does that is the same.
        """
        if self.base is None:
            return []
        places = _find_files(self.legacy_base or self.base.archive, self.base.layers)
        diff_ids = self.base.diff_ids
        if not self.parts.oci or self.legacy_base is None or self.is_on_itself:
            return places
        if diff_ids is None or len(diff_ids) != len(places):
            return places
        names = _layers_by_diff_id(self.legacy_base)
        renamed = _find_files(self.legacy_base, [names.get(diff_id, '') for diff_id in diff_ids])
        in_base = _find_files(self.base.archive, self.base.layers)
        choices = zip(places, renamed, in_base, strict=True)
        return [place or other or below for place, other, below in choices]

    def stored_digest(self, source: Source, progress: Progress) -> str:
        """Returns the SHA-256 of a compressed layer as it is stored, in hex; reads it but once.

        Args:
            source: the layer as it is stored.
            progress: is told of the bytes that are read.

        Raises:
            OSError: it cannot be read.
        """
        place = _place_in_file(source)
        if place not in self.stored_digests:
            digest = new_sha256()
            for block in source.blocks():
                digest.update(block)
                progress.advance(len(block))
            self.remember_digest(source, digest.hexdigest())
        return self.stored_digests[place]

    def remember_digest(self, source: Source, digest: str) -> None:
        """Has stored_digest() know a layer that was read.

        Args:
            source: the layer as it is stored.
            digest: its SHA-256, in hex.
        """
        self.stored_digests[_place_in_file(source)] = digest

    def have_same_content(self, one: Layer, other: Layer) -> bool:
        """Tells whether two layers have the same bytes; reads them as far as they agree.

        Args:
            one: a layer that could be opened.
            other: another one.

        Raises:
            OSError: one cannot be read.
        """
        left, right = (
            sources.whole_file(path, self.layers[path].file, self.layers[path].size)
            for path in (one.path, other.path)
        )
        return sources.have_same_content(left, right)

    def compression_of(self, layer: Layer) -> str | None:
        """Tells the compression of a layer as streams.detect() does, without reading all of it.

        Args:
            layer: a layer that could be opened.

        Raises:
            OSError: it cannot be read.
        """
        opened = self.layers[layer.path]
        with files.errors_name(layer.path):
            opened.file.seek(0)
            return streams.detect(opened.file.read(streams.HEAD_SIZE))


class Place(NamedTuple):
    """Where a file is.

    Attributes:
        archive: the archive, open.
        member: its member.
    """

    archive: Archive
    member: Member


def _find_files(archive: Archive, names: Sequence[str]) -> list[Place | None]:
    """Returns where the files of normal names are among what is merged of an archive."""
    merged = _merged_files(archive)
    places: list[Place | None] = []
    for name in names:
        member = sources.find_file(merged, name)
        places.append(None if member is None else Place(archive, member))
    return places


def _layers_by_diff_id(archive: Archive) -> dict[str, str]:
    """Returns the names of the layers of an archive's image by their diff IDs."""
    try:
        image = utils.read_base(archive)
    except ArchiveError:  # any archive may be merged
        return {}
    diff_ids = image.diff_ids
    if diff_ids is None or len(diff_ids) != len(image.layers):
        return {}
    return dict(zip(diff_ids, image.layers, strict=True))


def _place_in_file(source: Source) -> tuple[str, int]:
    place = source.file_offset
    return source.name, place


def _merged_files(archive: Archive) -> dict[str, Member]:
    """Returns what of an archive is merged, by normal name; the first of a name counts."""
    everything = sources.first_members(archive.members)
    return {name: member for name, member in everything.items() if is_merged(name)}


@contextlib.contextmanager
def open_image(
    parts: ImageParts, beside: str, reads_layers: bool, progress: Progress
) -> Iterator[OpenedImage]:
    """Opens the files of an image's parts.

    What cannot be opened is listed in the image's failures, and the rest is opened all the same.

    Args:
        parts: the parts.
        beside: the path of the archive that is made, beside which compressed bases are inflated.
        reads_layers: whether the base's layers will be read, even if they are not merged.
        progress: is told of what is inflated.

    Yields:
        The image, whose files are open as long as the context lasts.
    """
    image = OpenedImage(parts)
    with contextlib.ExitStack() as stack:

        def open_archive(path: str, keep_all: bool) -> Archive:
            opening = sources.open_archive(path, keep_all, beside, progress)
            return stack.enter_context(opening)

        with _listing(image.failures):
            image.config = files.read_whole(parts.config)
        for layer in parts.layers:
            if layer.path in image.layers:
                continue
            with _listing(image.failures):
                opened = InputFile(layer.path)
                stack.callback(opened.close)
                image.layers[layer.path] = opened
        if parts.metadata is not None:
            with _listing(image.failures):
                image.metadata = files.read_whole(parts.metadata)
        merges_base = _are_same_file(parts.base, parts.legacy_base)
        if parts.base is not None:
            with _listing(image.failures):
                archive = open_archive(parts.base, merges_base or reads_layers)
                image.base = utils.read_base(archive)
                if merges_base:
                    image.legacy_base = archive
        if parts.legacy_base is not None and not merges_base:
            with _listing(image.failures):
                image.legacy_base = open_archive(parts.legacy_base, True)
        yield image


@contextlib.contextmanager
def _listing(failures: list[Exception]) -> Iterator[None]:
    """Lists what is wrong with one file, so that the next is opened all the same."""
    try:
        yield
    except _FILE_FAILURES as error:
        failures.append(error)


def _are_same_file(one: str | None, other: str | None) -> bool:
    if one is None or other is None:
        return False
    try:
        return os.path.samefile(one, other)
    except OSError:  # said where they are opened
        return one == other
