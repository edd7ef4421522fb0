# SPDX-License-Identifier: Apache-2.0
"""The base of a layer, opened and read."""

import contextlib
from collections.abc import Sequence

from image_archive.errors import ArchiveError
from image_archive.image.choice import Choice
from image_archive.image.layer_file import LayerFile
from image_archive.image.stored import (
    OLD_DOCKER_ADVICE,
    WRITTEN_BY_OLD_DOCKER,
    StoredImage,
    lacks_layer,
    read_image_archive,
)
from image_archive.layer.base_files import BaseFiles
from image_archive.system.inputs import InputFile
from image_archive.system.progress import Progress
from image_archive.tar.archive import Archive, open_archive
from image_archive.tar.content import Source


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
    with open_archive(base, beside=beside, progress=progress) as archive:
        image = _image_in(archive, choice)
        for name in image.layers:
            place = archive.find(name)
            if place is None:
                raise ArchiveError(f'--base: {lacks_layer(base, name)}')
            layer = LayerFile(f'layer {name!r} of {base!r}', place.source)
            progress.begin(f'reading {base!r}', place.member.size)
            files.add_layer(layer, progress)
        archive.check_unchanged()
    for path in lower:
        with contextlib.closing(InputFile(path)) as opened:
            layer = LayerFile(repr(path), Source(path, opened.file, 0, opened.size))
            progress.begin(f'reading {path!r}', opened.size)
            files.add_layer(layer, progress)
            opened.check_unchanged()
    return files


def _image_in(archive: Archive, choice: Choice) -> StoredImage:
    images = read_image_archive(archive, 'base image')
    if images.is_v1:
        text = f'{archive.path!r} {WRITTEN_BY_OLD_DOCKER}'
        raise ArchiveError(f'--base: {text}: {OLD_DOCKER_ADVICE}')
    return images.image_for(choice)
