# SPDX-License-Identifier: Apache-2.0
"""The members of a file or a directory, in the order of GNU tar's --sort=name."""

import os
import stat
import tarfile
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from image_archive.errors import ArgumentError
from image_archive.layer.member import (
    DIRECTORY_MODE,
    FILE_MODE,
    LINK_MODE,
    FileContent,
    PlannedMember,
    Root,
)
from image_archive.system.flag_values import text_of_argument
from image_archive.system.inputs import errors_about
from image_archive.system.outputs import is_replaced

_ORIGIN = '--file'
_EXECUTABLE_MODE = 0o755
_READ_BITS = 0o444


class Outputs:
    """The files that a run writes: no directory is read with them."""

    def __init__(self, paths: Iterable[str]) -> None:
        """Looks where the files are.

        Args:
            paths: their paths; '-' is stdout.

        Raises:
            OSError: the directory of one is missing.
        """
        self._entries: set[tuple[tuple[int, int], str]] = set()
        self._written: set[tuple[int, int]] = set()
        for path in paths:
            with errors_about(path):
                if not is_replaced(path):
                    # A hard link to the file of stdout, too, is read while it is written.
                    self._written.add(_identity(os.fstat(1) if path == '-' else os.stat(path)))
                    continue
                for name in (os.path.abspath(path), os.path.realpath(path)):
                    directory = _identity(os.stat(os.path.dirname(name)))
                    self._entries.add((directory, os.path.basename(name)))

    def has_entry(self, directory: tuple[int, int], name: str) -> bool:
        """Tells whether an entry of a directory is one of the files."""
        return (directory, name) in self._entries

    def has_status(self, status: os.stat_result) -> bool:
        """Tells whether a file is one that is written directly."""
        return bool(self._written) and _identity(status) in self._written


def _identity(status: os.stat_result) -> tuple[int, int]:
    return status.st_dev, status.st_ino


class TreeOptions(NamedTuple):
    """How files become members.

    Attributes:
        mode: the mode of files; None for one by their own: executable or not.
        owner: the numbers of the user and the group.
        follow_links: whether symbolic links are stored as what they lead to.
        outputs: the files that are written, which are left out.
    """

    mode: int | None
    owner: tuple[int, int]
    follow_links: bool
    outputs: Outputs


class _Pending(NamedTuple):
    """A file that is not read yet.

    Attributes:
        path: its path.
        name: its name in the layer.
        is_source: whether the user names it: a link is followed.
        directories: the directories that it is in, as pairs (identity, directories around it).
    """

    path: str
    name: str
    is_source: bool
    directories: 'tuple[tuple[int, int], tuple[object, ...]] | tuple[()]'


def file_mode(mode: int | None) -> int:
    """Returns the mode of a file that is not executable.

    Args:
        mode: the value of --mode; None without it.
    """
    return FILE_MODE if mode is None else mode


def tree_members(source: str, name: str, options: TreeOptions) -> Iterator[PlannedMember]:
    """Yields the members of a file, or of a directory and all that is in it.

    Args:
        source: the path of the file or directory.
        name: its name in the layer; empty for a directory whose content goes to the top.
        options: how files become members.

    Raises:
        OSError: a file cannot be read.
        ArgumentError: a file cannot be stored.
    """
    root = Root(source, name)
    first_links: dict[tuple[int, int], PlannedMember] = {}
    pending = [_Pending(source, name, True, ())]
    while pending:
        file = pending.pop()
        with errors_about(file.path):
            status = os.lstat(file.path)
            is_followed = stat.S_ISLNK(status.st_mode) and (file.is_source or options.follow_links)
            if is_followed:
                status = os.stat(file.path)
        if not file.is_source and options.outputs.has_status(status):
            continue
        member = _member(root, file, status, options)
        # What two links lead to need not be one file on the next machine.
        if status.st_nlink > 1 and not member.is_directory and not is_followed:
            first = first_links.setdefault(_identity(status), member)
            if first is not member:
                member.kind = tarfile.LNKTYPE
                member.size = 0
                member.content = None
                member.first_link = first
        if member.name:
            yield member
        if member.is_directory:
            pending += reversed(_entries(file, status, options))


def _entries(file: _Pending, status: os.stat_result, options: TreeOptions) -> list[_Pending]:
    """Returns the entries of a directory, in the order of their names as bytes."""
    identity = _identity(status)
    if options.follow_links:
        around: tuple[object, ...] = file.directories
        while around:
            if around[0] == identity:
                text = f'{file.path!r} leads to a directory that it is in'
                raise ArgumentError(f'{_ORIGIN}: {text}: leave that link out')
            around = around[1]  # type: ignore[assignment]
    with errors_about(file.path):
        names = os.listdir(file.path)
    names.sort(key=os.fsencode)
    entries = []
    directories = identity, file.directories
    for name in names:
        if options.outputs.has_entry(identity, name):
            continue
        text = text_of_argument(name)
        inside = f'{file.name}/{text}' if file.name else text
        entries.append(_Pending(f'{file.path}/{name}', inside, False, directories))
    return entries


def _member(
    root: Root, file: _Pending, status: os.stat_result, options: TreeOptions
) -> PlannedMember:
    """Returns the member of a file; that of a directory alone."""
    mode = status.st_mode
    if stat.S_ISDIR(mode):
        kind = tarfile.DIRTYPE
        new_mode = DIRECTORY_MODE
        if options.mode is not None:
            new_mode = options.mode | (options.mode & _READ_BITS) >> 2
    elif stat.S_ISLNK(mode):
        kind = tarfile.SYMTYPE
        new_mode = LINK_MODE
    elif stat.S_ISREG(mode):
        kind = tarfile.REGTYPE
        new_mode = file_mode(options.mode)
        if options.mode is None and mode & stat.S_IXUSR:
            new_mode = _EXECUTABLE_MODE
    else:
        text = f'{file.path!r} is a device, FIFO or socket: leave it out'
        raise ArgumentError(f'{_ORIGIN}: {text}')
    member = PlannedMember(_ORIGIN, file.name, kind, new_mode, options.owner)
    member.can_be_set = True
    if kind == tarfile.SYMTYPE:
        with errors_about(file.path):
            member.target = text_of_argument(os.readlink(file.path))
    if kind == tarfile.REGTYPE and status.st_size:
        member.size = status.st_size
        member.content = FileContent(root, file.name, status)
    return member
