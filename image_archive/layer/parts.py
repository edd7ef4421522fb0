# SPDX-License-Identifier: Apache-2.0
"""What a layer is made with, beside the files in it."""

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import NamedTuple

from image_archive.image.choice import Choice


class LayerOptions(NamedTuple):
    """How a layer is made.

    Attributes:
        directory: the directory that files, tarballs and packages go into.
        compression: 'gz', 'bz2' or 'xz'; None for a plain tarball.
        mode: the mode of files; None for one by their own: executable or not.
        modes: modes by the paths that they are for.
        owner: the numbers of the user and the group of files.
        owners: owners by the paths that they are for.
        mtime: the time of members in seconds since 1970.
        follow_links: whether symbolic links in directories are stored as what they lead to.
        base: the path of the archive of the image that the layer will lie on.
        lower: the paths of layers between the base and this one, bottom layer first.
        delete: the paths of the base to delete.
        id_file: the path of the file for the diff ID in hex.
        choice: which image of the base is meant.
    """

    directory: str = '/'
    compression: str | None = None
    mode: int | None = None
    modes: Mapping[str, int] = MappingProxyType({})
    owner: tuple[int, int] = (0, 0)
    owners: Mapping[str, tuple[int, int]] = MappingProxyType({})
    mtime: int = 0
    follow_links: bool = False
    base: str | None = None
    lower: tuple[str, ...] = ()
    delete: tuple[str, ...] = ()
    id_file: str | None = None
    choice: Choice = Choice()


class LayerFiles(NamedTuple):
    """What a layer is made of, beside what it deletes of its base.

    Attributes:
        files: files and directories, each as its path and its name in the layer.
        empty_directories: the names of empty directories.
        empty_files: the names of empty files.
        tars: the paths of tarballs.
        debs: the paths of Debian packages.
        links: symbolic links, each as its name and where it leads to.
    """

    files: Sequence[tuple[str, str]] = ()
    empty_directories: Sequence[str] = ()
    empty_files: Sequence[str] = ()
    tars: Sequence[str] = ()
    debs: Sequence[str] = ()
    links: Sequence[tuple[str, str]] = ()
