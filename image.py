# SPDX-License-Identifier: Apache-2.0
"""The parts of an image: as they are named, and as they are once opened."""

import contextlib
import os
from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import NamedTuple

import files
import sources
import streams
import utils
from errors import ArchiveError, ArgumentError
from files import InputFile
from progress import Progress
from sources import Archive
from tar_reader import Member
from utils import BaseImage

# What of a base is not merged: the first three are written anew, and the last two would have
# containerd and Docker 29 load the base in place of the image (seen).
REPLACED = ('top', 'repositories', 'manifest.json', 'index.json', 'oci-layout')

_FILE_FAILURES = (OSError, ArgumentError, ArchiveError)


def is_merged(name: str) -> bool:
    """Tells whether the member of a base with this normal name is merged into an image."""
    return name.split('/')[0] not in REPLACED


class Layer(NamedTuple):
    """A layer that an image adds.

    Attributes:
        identifier: its diff ID in hex, the SHA-256 of its uncompressed content.
        path: the path of its tarball.
    """

    identifier: str
    path: str


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
        origins: by identifier, where it was read, for messages.
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
    origins: Mapping[str, str] = MappingProxyType({})

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
    """

    def __init__(self, parts: ImageParts) -> None:
        self.parts = parts
        self.config: bytes | None = None
        self.metadata: bytes | None = None
        self.layers: dict[str, InputFile] = {}
        self.base: BaseImage | None = None
        self.legacy_base: Archive | None = None
        self.failures: list[Exception] = []

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

    def missing_layers(self) -> list[str]:
        """Returns the names of the base's layers that the image's archive lacks."""
        if self.legacy_base is None:
            return list(self.base_layers)
        merged = merged_files(self.legacy_base)
        return [name for name in self.base_layers if sources.find_file(merged, name) is None]

    def have_same_content(self, one: Layer, other: Layer) -> bool:
        """Tells whether two layers have the same bytes; reads them as far as they agree."""
        left, right = (
            sources.whole_file(path, self.layers[path].file, self.layers[path].size)
            for path in (one.path, other.path)
        )
        return sources.have_same_content(left, right)

    def compression_of(self, layer: Layer) -> str | None:
        """Tells the compression of a layer, None for a plain one, without reading it."""
        opened = self.layers[layer.path]
        with files.errors_name(layer.path):
            opened.file.seek(0)
            return streams.detect(opened.file.read(streams.HEAD_SIZE))


def merged_files(archive: Archive) -> dict[str, Member]:
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
