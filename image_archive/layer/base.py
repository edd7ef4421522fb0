# SPDX-License-Identifier: Apache-2.0
"""The base of a layer, opened and read."""

import contextlib
from collections.abc import Sequence

from image_archive.checks.layouts import warn_of_base
from image_archive.errors import ArchiveError
from image_archive.image.choice import Choice
from image_archive.image.layer_file import LayerFile
from image_archive.image.layout import open_image_archive
from image_archive.image.stored import StoredImage, lacks_layer, read_image_archive
from image_archive.layer.base_files import BaseFiles
from image_archive.system.inputs import InputFile
from image_archive.system.progress import Progress
from image_archive.tar.content import source_of


def read_base(
    base: str, choice: Choice, lower: Sequence[str], beside: str, progress: Progress
) -> BaseFiles:
    """Returns the files that a layer will lie on.

    Args:
        base: the path of the archive of an image.
        choice: which image of it is meant.
        lower: the paths of layers on top of it, bottom layer first.
        beside: the path of the output, beside which a compressed base is inflated.
        progress: advanced by the bytes that are read of compressed files.

    Raises:
        ArgumentError: not exactly one image is meant.
        ArchiveError: it is not an image, or one of its layers is missing or cannot be read.
        OSError: a file cannot be read.
    """
    files = BaseFiles()
    with open_image_archive(base, beside=beside, progress=progress) as archive:
        image = read_image_archive(archive, 'base image').base_for(choice)
        warn_of_base(image)
        add_image(files, image, progress)
        archive.check_unchanged()
    add_lower(files, lower, progress)
    return files


def add_image(files: BaseFiles, image: StoredImage, progress: Progress) -> None:
    """Adds the files of an image whose archive is open.

    Args:
        files: gets them.
        image: the image.
        progress: advanced by the bytes that are read of compressed layers.

    Raises:
        ArchiveError: one of its layers is missing or cannot be read.
        OSError: the archive cannot be read.
    """
    path = image.archive.path
    for name in image.layers:
        place = image.archive.find(name)
        if place is None:
            raise ArchiveError(f'--base: {lacks_layer(path, name)}')
        layer = LayerFile(f'layer {name!r} of {path!r}', place.source)
        progress.begin(f'reading {path!r}', place.member.size)
        files.add_layer(layer, progress)


def add_lower(files: BaseFiles, lower: Sequence[str], progress: Progress) -> None:
    """Adds the files of layers.

    Args:
        files: gets them.
        lower: the paths of the layers, bottom layer first.
        progress: advanced by the bytes that are read of compressed layers.

    Raises:
        ArchiveError: one cannot be read here, or is damaged.
        OSError: one cannot be read.
    """
    for path in lower:
        with contextlib.closing(InputFile(path)) as opened:
            layer = LayerFile(repr(path), source_of(opened))
            progress.begin(f'reading {path!r}', opened.size)
            files.add_layer(layer, progress)
            opened.check_unchanged()
