# SPDX-License-Identifier: Apache-2.0
"""The files of an image's parts, each opened once, and where the layers of its base are."""

import contextlib
import os
from collections.abc import Iterator, Mapping
from typing import NamedTuple

from image_archive.checks.archive_members import refused_members
from image_archive.create.parts import ImageParts
from image_archive.digests import digest_in_blob_name
from image_archive.errors import FAILURES, ArchiveError, ArgumentError
from image_archive.image.configuration import Configuration, read_configuration
from image_archive.image.docker_manifest import image_id_of, is_merged
from image_archive.image.layer_file import LayerFile
from image_archive.image.layout import is_layout, open_image_archive
from image_archive.image.stored import ImageArchive, StoredImage, read_image_archive
from image_archive.system.inputs import InputFile, read_small_file
from image_archive.system.progress import Progress
from image_archive.tar.archive import Archive, Place
from image_archive.tar.content import Source, source_of


class OpenedLayer(NamedTuple):
    """A layer that an image adds.

    Attributes:
        input: its file; None if that has no name and nobody else can change it.
        file: what is known of the file.
    """

    input: InputFile | None
    file: LayerFile

    @property
    def source(self) -> Source:
        """Its content as it is stored."""
        return self.file.source


class BaseLayer(NamedTuple):
    """A layer of the base.

    Attributes:
        name: its normal name in the base.
        diff_id: its diff ID, `sha256:HEX`; None if the base does not give it.
        place: where it is: in the merged archive, else in the base; None if it is missing.
        file: what is known of it; None if it is missing.
        is_left_out: whether it is missing because it is foreign: clients may download it.
    """

    name: str
    diff_id: str | None
    place: Place | None
    file: LayerFile | None
    is_left_out: bool


class OpenedImage:
    """An image whose files are open.

    Attributes:
        parts: the parts of the image.
        config: the configuration; None if it cannot be read.
        metadata: the bytes of the v1 JSON.
        layers: the layers that the image adds, by path.
        base: the image that it is built on; None without one, and if Docker 1.9 or older wrote it.
        has_v1_base: whether Docker 1.9 or older wrote the base.
        images_in_base: the number of images in the archive of the base of which the last one
            counts; 0 if one is chosen.
        base_layers: the layers of the base, bottom layer first.
        missing_layers: the names of the layers of the base that the new archive lacks, without
            foreign ones that no archive has.
        legacy_base: the archive that is merged; that of the base if both are one file.
        merged_image: the image of that archive, if it is read; any archive may be merged.
        merged_names: the names of the members of a layout that are merged, those of its layers;
            None for another archive.
        left_out: why members of that archive are not merged, by their names.
        failures: why files could not be opened or read.
    """

    def __init__(self, parts: ImageParts) -> None:
        self.parts = parts
        self.config: Configuration | None = None
        self.metadata: bytes | None = None
        self.layers: dict[str, OpenedLayer] = {}
        self.base: StoredImage | None = None
        self.has_v1_base = False
        self.images_in_base = 0
        self.base_layers: tuple[BaseLayer, ...] = ()
        self.missing_layers: tuple[str, ...] = ()
        self.legacy_base: Archive | None = None
        self.merged_image: StoredImage | None = None
        self.merged_names: frozenset[str] | None = None
        self.left_out: dict[str, str] = {}
        self.failures: list[Exception] = []

    def check_unchanged(self) -> None:
        """Raises OSError if a file was changed since it was opened."""
        for layer in self.layers.values():
            if layer.input is not None:
                layer.input.check_unchanged()
        if self.base is not None:
            self.base.archive.check_unchanged()
        if self.legacy_base is not None and not self.merges_base:
            self.legacy_base.check_unchanged()

    @property
    def checked_config(self) -> Configuration:
        """The configuration of an image without failures."""
        if self.config is None:
            raise AssertionError('an image without configuration is used')
        return self.config

    @property
    def merges_base(self) -> bool:
        """Whether the base is the archive that is merged."""
        return self.base is not None and self.legacy_base is self.base.archive

    def is_merged(self, name: str) -> bool:
        """Tells whether a member of the merged archive is in the new one; name is normal."""
        if self.merged_names is not None and name not in self.merged_names:
            return False
        return is_merged(name) and name not in self.left_out

    @property
    def parent(self) -> str | None:
        """The ID of the base, `sha256:HEX`; None if its name does not contain it."""
        if self.base is None:
            return None
        return image_id_of(self.base.config_name)

    @property
    def base_layer_names(self) -> list[str]:
        """The names of the base's layers in the new archive, bottom layer first.

        Those of the files, if links lead to them: Podman reads no layer that is a link, containerd
        and Skopeo follow few (seen with Podman 4.3 and 5.8, containerd 2.1, Skopeo 1.22).
        """
        names = []
        for layer in self.base_layers:
            name = layer.name
            if layer.place is not None and layer.place.archive is self.legacy_base:
                name = layer.place.name
            names.append(name)
        return names

    @property
    def bytes_to_write(self) -> int:
        """The bytes of the layers and of the members that are merged."""
        size = sum(layer.source.size for layer in self.layers.values())
        if self.parts.oci:
            places = [layer.place for layer in self.base_layers]
            return size + sum(
                place.member.size
                for place in places
                if place is not None and place.archive is self.legacy_base
            )
        merged = self.legacy_base
        if merged is not None:
            members = zip(merged.names, merged.members, strict=True)
            size += sum(member.size for name, member in members if self.is_merged(name))
        return size


@contextlib.contextmanager
def open_image(
    parts: ImageParts, beside: str, reads_layers: bool, progress: Progress
) -> Iterator[OpenedImage]:
    """Opens the files of an image's parts, all that can be opened.

    Args:
        parts: the parts of the image.
        beside: the path of the new archive, beside which compressed bases are inflated.
        reads_layers: whether the base's layers will be read, even if they are not merged.
        progress: advanced by the bytes of compressed bases that are read.

    Yields:
        The image; its files are open as long as the context lasts.
    """
    image = OpenedImage(parts)
    with contextlib.ExitStack() as stack:

        def open_base(path: str, keep_all: bool) -> Archive:
            return stack.enter_context(open_image_archive(path, keep_all, beside, progress))

        with _collected(image.failures):
            image.config = read_configuration(read_small_file(parts.config))
        for layer in parts.layers:
            if layer.path in image.layers:
                continue
            with _collected(image.failures):
                opened = InputFile(layer.path)
                stack.callback(opened.close)
                file = LayerFile(repr(layer.path), source_of(opened))
                image.layers[layer.path] = OpenedLayer(opened, file)
        if parts.metadata is not None:
            with _collected(image.failures):
                image.metadata = read_small_file(parts.metadata)
        is_one_file = _are_one_file(parts.base, parts.legacy_base)
        if parts.base is not None:
            with _collected(image.failures):
                archive = open_base(parts.base, is_one_file or reads_layers)
                _set_base(image, read_image_archive(archive, 'base image'))
                if is_one_file:
                    image.legacy_base = archive
        if parts.legacy_base is not None and not is_one_file:
            with _collected(image.failures):
                image.legacy_base = open_base(parts.legacy_base, True)
        with _collected(image.failures):
            _read_merged_image(image)
        with _collected(image.failures):
            _find_base_layers(image)
        _find_left_out(image)
        yield image


def image_of_open_files(
    parts: ImageParts, config: bytes, layers: Mapping[str, OpenedLayer], base: ImageArchive | None
) -> OpenedImage:
    """Returns an image whose files are open already, and stay open as long as it is used.

    Args:
        parts: the parts of the image; its base and the archive that is merged are one file.
        config: the configuration.
        layers: the layers that the image adds, by their paths in the parts.
        base: the images in the archive of the base; None without a base.

    Raises:
        ArchiveError: the image in the base is not valid, or clients read it differently.
        OSError: the base cannot be read.
    """
    image = OpenedImage(parts)
    image.config = read_configuration(config)
    image.layers.update(layers)
    if base is not None:
        _set_base(image, base)
        if parts.legacy_base is not None:
            image.legacy_base = base.archive
        _read_merged_image(image)
        _find_base_layers(image)
        _find_left_out(image)
    return image


@contextlib.contextmanager
def _collected(failures: list[Exception]) -> Iterator[None]:
    """Collects the failure of one file, so that the next is opened all the same."""
    try:
        yield
    except FAILURES as error:
        failures.append(error)


def _are_one_file(one: str | None, other: str | None) -> bool:
    if one is None or other is None:
        return False
    try:
        return os.path.samefile(one, other)
    except OSError:  # opening it reports that
        return one == other


def _set_base(image: OpenedImage, images: ImageArchive) -> None:
    """Sets the image that the new one is built on."""
    image.has_v1_base = images.is_v1
    if not image.parts.choice.is_given:
        image.images_in_base = images.image_count
    if not images.is_v1:
        base = images.image_for(image.parts.choice)
        _ = base.config, base.layer_sources  # an error in them belongs to opening the base
        image.base = base


def _read_merged_image(image: OpenedImage) -> None:
    """Reads the image of the archive that is merged, where that matters.

    Of an OCI layout only its layers are merged, and with --oci a layer is known by its content.
    """
    merged = image.legacy_base
    if merged is None:
        return
    merges_layers = is_layout(merged)
    if image.merges_base:
        image.merged_image = image.base
    elif merges_layers or image.parts.oci:
        try:
            images = read_image_archive(merged, 'base image')
            if not images.is_v1:
                image.merged_image = images.image_for(image.parts.choice)
        except ArchiveError:  # any archive may be merged
            return
        except ArgumentError:  # of another archive than the base all layers are merged
            if merges_layers:
                raise
    if merges_layers and image.merged_image is not None:
        image.merged_names = frozenset(merged.with_targets(image.merged_image.layers))


def _find_base_layers(image: OpenedImage) -> None:
    """Sets where the layers of the base are, and which of them the new archive lacks."""
    if image.base is None:
        return
    layers = []
    missing = []
    # A file is read once, whatever the names and diff IDs of the layers that it is.
    files: dict[tuple[Archive, str], LayerFile] = {}
    pairs = zip(image.base.layers, image.base.diff_id_of_each_layer, strict=True)
    by_diff_id = _names_by_diff_id(image)
    for index, (name, diff_id) in enumerate(pairs):
        place = None
        is_left_out = False
        if image.legacy_base is not None:
            place = image.legacy_base.find(name, image.is_merged)
        if place is None:
            place = _find_elsewhere(image, name, by_diff_id.get(diff_id or '', ''))
            is_left_out = place is None and image.base.foreign_layers[index] is not None
            if not is_left_out:
                missing.append(name)
        if place is None:
            layers.append(BaseLayer(name, diff_id, None, None, is_left_out))
            continue
        key = place.archive, place.name
        if key not in files:
            label = f'layer {name!r} of {place.archive.path!r}'
            named_digest = None
            if not image.parts.oci:  # otherwise blobs.py compares it
                is_indexed = image.base.indexed is not None
                named_digest = digest_in_blob_name(name if is_indexed else place.name)
            files[key] = LayerFile(label, place.source, diff_id, named_digest)
        layers.append(BaseLayer(name, diff_id, place, files[key], is_left_out))
    image.base_layers = tuple(layers)
    image.missing_layers = tuple(missing)


def _find_left_out(image: OpenedImage) -> None:
    """Sets which members are not merged: clients refuse them, and the image does not need them."""
    merged = image.legacy_base
    # Of an OCI layout only the layers are merged, and so it is into one.
    if merged is None or image.parts.oci or image.merged_names is not None:
        return
    members = [
        (name, member)
        for name, member in zip(merged.names, merged.members, strict=True)
        if image.is_merged(name)
    ]
    needed = set(image.base_layer_names)
    for name, reason in refused_members(members, merged.member).items():
        if name not in needed:
            image.left_out[name] = reason


def _names_by_diff_id(image: OpenedImage) -> dict[str, str]:
    """Returns the names of the layers in the merged archive by their diff IDs.

    Members of a docker archive are merged under their names, so another name is another layer
    there. In an OCI layout a layer is known by its content.
    """
    merged = image.merged_image
    if not image.parts.oci or merged is None or image.merges_base:
        return {}
    try:
        diff_ids = merged.diff_id_of_each_layer
    except ArchiveError:  # any archive may be merged
        return {}
    pairs = zip(diff_ids, merged.layers, strict=True)
    return {diff_id: name for diff_id, name in pairs if diff_id is not None}


def _find_elsewhere(image: OpenedImage, name: str, merged_name: str) -> Place | None:
    """Returns where a layer is that the merged archive lacks under the name in the base."""
    if image.base is None:
        return None
    if image.legacy_base is None:
        return image.base.archive.find(name, is_merged)
    if not image.parts.oci or image.merges_base:
        return None
    place = image.legacy_base.find(merged_name, image.is_merged)
    if place is None and image.base.diff_ids is not None:
        place = image.base.archive.find(name, is_merged)
    return place
