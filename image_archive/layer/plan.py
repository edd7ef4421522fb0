# SPDX-License-Identifier: Apache-2.0
"""The plan of a layer: all its members, in their order, resolved against each other and the base.

A member takes its place when it is added, and what is known of it may still change: a directory
that others need stands before them, with the attributes that a later input gives it.
"""

import contextlib
import posixpath
import tarfile
from collections.abc import Callable, Iterable, Mapping
from typing import NamedTuple

from absl import logging

from image_archive.errors import ArchiveError, ArgumentError
from image_archive.image.layer_file import WHITEOUT
from image_archive.layer.base_files import Attributes, BaseError, BaseFiles, Directory
from image_archive.layer.member import (
    DIRECTORY_MODE,
    FILE_MODE,
    LINK_MODE,
    MemberContent,
    PlannedMember,
)
from image_archive.layer.tree import TreeOptions, file_mode, tree_members
from image_archive.tar.archive import Archive
from image_archive.tar.content import have_same_content
from image_archive.tar.headers import DEVICES
from image_archive.tar.member import Member
from image_archive.tar.names import COMPONENT_LIMIT, has_long_component, is_usable_name, normal_name

_KINDS = (
    tarfile.REGTYPE,
    tarfile.DIRTYPE,
    tarfile.SYMTYPE,
    tarfile.LNKTYPE,
    tarfile.FIFOTYPE,
    *DEVICES,
)
_PARENTS_LIMIT = 32 << 20  # characters of the names of directories that no input gives


class Changes(NamedTuple):
    """What --modes and --owners change.

    Attributes:
        modes: modes by the paths that they are for.
        owners: owners by the paths that they are for.
    """

    modes: Mapping[str, int]
    owners: Mapping[str, tuple[int, int]]


class Plan:
    """The members of a layer. Add whiteouts first, then everything else, then finish()."""

    def __init__(self, directory: str, options: TreeOptions, base: BaseFiles | None) -> None:
        """Begins a plan.

        Args:
            directory: the normal name of the directory that files and archives go into.
            options: how files become members.
            base: the files of the base; None without one.
        """
        self._directory = directory
        self._options = options
        self._base = base
        self._members: dict[str, PlannedMember] = {}
        self._real_directories: dict[str, str] = {'': ''}
        self._parents_characters = 0

    @property
    def members(self) -> Iterable[PlannedMember]:
        """The members, in their order."""
        return self._members.values()

    def add_whiteouts(self, paths: Iterable[str]) -> None:
        """Adds the whiteouts of files of the base.

        Args:
            paths: the paths of the files, as the user gives them.

        Raises:
            ArgumentError: the base lacks one.
        """
        base = self._base
        if base is None:
            raise ArgumentError('--delete: only a file of a base can be deleted: give --base')
        deleted: dict[str, None] = {}
        for path in paths:
            name = self._usable_name('--delete', path)
            try:
                real = self._real_name(name)
            except BaseError as error:
                raise ArgumentError(f'--delete: {path!r}: {error}: correct the path') from error
            if not real:
                raise ArgumentError(f'--delete: {path!r} is all of the base: give a path in it')
            if base.find(real) is None:
                raise ArgumentError(f'--delete: the base has no {path!r}: correct the path')
            deleted[real] = None
        for real in deleted:
            base.delete(real)
        for real in deleted:
            directory, name = posixpath.split(real)
            if _is_below(directory, deleted):
                continue
            whiteout = posixpath.join(directory, WHITEOUT + name)
            if has_long_component(whiteout):
                text = f'{real!r} has a name that is too long for a whiteout'
                raise ArgumentError(f'--delete: {text}: delete its directory')
            self._add(PlannedMember('--delete', whiteout, tarfile.REGTYPE, FILE_MODE))

    def add_path(self, source: str, destination: str, mode: int | None = None) -> None:
        """Adds a file, or a directory with all that is in it.

        Args:
            source: its path.
            destination: its name in the layer, under the directory of the plan.
            mode: the mode of files, in place of that of the options.

        Raises:
            OSError: a file cannot be read.
            ArgumentError: a file cannot be stored, or does not go together with the base.
        """
        options = self._options
        if mode is not None:
            options = options._replace(mode=mode)
        for member in tree_members(source, self._name_of('--file', destination), options):
            if not is_usable_name(member.name):
                text = f'{member.name[:200]!r} is too long: give a shorter destination'
                raise ArgumentError(f'--file: {text}')
            self._add(member)

    def add_empty_directory(self, name: str) -> None:
        """Adds an empty directory.

        Args:
            name: its name in the layer, under the directory of the plan.

        Raises:
            ArgumentError: it does not go together with the base.
        """
        origin = '--empty_dir'
        path = self._name_of(origin, name)
        if not path:
            raise ArgumentError(f'{origin}: {name!r} is the top, which is there: leave it out')
        self._add_own(origin, path, tarfile.DIRTYPE, DIRECTORY_MODE)

    def add_empty_file(self, name: str, mode: int | None = None) -> None:
        """Adds an empty file.

        Args:
            name: its name in the layer, under the directory of the plan.
            mode: its mode, in place of that of the options.

        Raises:
            ArgumentError: it does not go together with the base.
        """
        origin = '--empty_file'
        path = self._name_of(origin, name)
        if not path or name.endswith('/'):
            raise ArgumentError(f'{origin}: {name!r} is no name of a file: give one')
        if mode is None:
            mode = file_mode(self._options.mode)
        self._add_own(origin, path, tarfile.REGTYPE, mode)

    def add_link(self, path: str, target: str) -> None:
        """Adds a symbolic link.

        Args:
            path: its name in the layer.
            target: where it leads to.

        Raises:
            ArgumentError: it does not go together with the base.
        """
        name = self._usable_name('--link', path)
        if not name or not target or '\0' in target:
            raise ArgumentError(f'--link: {path!r} to {target!r} is no link: give path and target')
        self._add_own('--link', name, tarfile.SYMTYPE, LINK_MODE, target)

    def add_archive(self, archive: Archive) -> None:
        """Adds the members of an archive.

        Args:
            archive: the archive, which stays open until the layer is written.

        Raises:
            ArchiveError: a member is not one that a layer can have.
            ArgumentError: a member does not go together with the base.
        """
        origin = repr(archive.path)
        has_links = any(member.kind == tarfile.LNKTYPE for member in archive.members)
        by_name: dict[str, PlannedMember] = {}
        for name, member in zip(archive.names, archive.members, strict=True):
            planned = self._member_of(archive, name, member)
            if member.kind == tarfile.LNKTYPE:
                first = by_name.get(normal_name(member.target))
                if first is None or first.is_directory:
                    text = f'{name!r} is a hard link to no file before it: replace it'
                    raise ArchiveError(f'{origin}: {text}')
                planned.first_link = first
            if has_links:
                by_name.setdefault(name, planned)
            if planned.name:
                self._add(planned)

    def finish(self, changes: Changes) -> None:
        """Sets what could not be known before all members were added.

        Args:
            changes: what the user wants of single members.

        Raises:
            ArgumentError: a change is for what is not there.
        """
        for path, mode in changes.modes.items():
            member = self._find('--modes', path)
            if member.kind == tarfile.SYMTYPE:
                raise ArgumentError(f'--modes: {path!r} is a symbolic link: leave it out')
            member.mode = mode
        for path, owner in changes.owners.items():
            self._find('--owners', path).owner = owner
        self._resolve_hard_links()

    def _name_of(self, flag: str, destination: str) -> str:
        """Returns the normal name of a destination in the layer."""
        return _joined(self._directory, self._usable_name(flag, destination))

    def _usable_name(self, flag: str, path: str) -> str:
        if not is_usable_name(path):
            text = f"{path[:200]!r} has '..' or NUL or is too long: give another path"
            raise ArgumentError(f'{flag}: {text}')
        if has_long_component(path):
            text = f'{path[:200]!r} has over {COMPONENT_LIMIT} bytes between slashes'
            raise ArgumentError(f'{flag}: {text}: shorten it')
        return normal_name(path)

    def _add_own(self, flag: str, name: str, kind: bytes, mode: int, target: str = '') -> None:
        """Adds a member that is neither of a file nor of an archive."""
        member = PlannedMember(flag, name, kind, mode, self._options.owner)
        member.target = target
        member.can_be_set = True
        self._add(member)

    def _member_of(self, archive: Archive, name: str, member: Member) -> PlannedMember:
        """Returns the member of a layer for one of an archive."""
        origin = repr(archive.path)
        path = _joined(self._directory, name)
        if not is_usable_name(member.name) or not is_usable_name(path):
            text = f"{name[:200]!r} has '..' or NUL or is too long: rename that member"
            raise ArchiveError(f'{origin}: {text}')
        if member.kind not in _KINDS or not (name or member.is_directory):
            text = f'{name!r} is of the type {member.type!r}, which no layer has: leave it out'
            raise ArchiveError(f'{origin}: {text}')
        planned = PlannedMember(origin, path, member.kind, member.mode, (member.uid, member.gid))
        planned.xattrs = member.xattr_records
        if member.kind == tarfile.SYMTYPE:
            planned.target = member.target
        elif member.kind in DEVICES:
            planned.device = member.device
        elif member.is_file and member.size:
            planned.size = member.size
            planned.content = MemberContent(archive, member)
        return planned

    def _add(self, member: PlannedMember) -> None:
        """Gives a member its place, unless another one has it."""
        if self._base is not None:
            self._check_with_base(member, self._base)
        first = self._members.get(member.name)
        if first is None:
            self._add_parents(member)
            self._members[member.name] = member
            self._keep_base_directory(member)
        elif first.is_implied and member.is_directory:
            first.is_implied = False
            first.origin = member.origin
            first.mode = member.mode
            first.owner = member.owner
            first.xattrs = member.xattrs
        elif not _are_same(first, member):
            logging.warning('%r occurs twice: only the first is kept', member.name)

    def _check_with_base(self, member: PlannedMember, base: BaseFiles) -> None:
        """Gives a member its real name; raises ArgumentError if it would break the base."""
        try:
            if member.is_directory:
                member.name = self._real_directory(member.name)
            else:
                member.name = self._real_name(member.name)
                if isinstance(base.find(member.name), Directory):
                    raise BaseError(f'the base has a directory at {member.name!r}')
        except BaseError as error:
            advice = 'delete that by --delete, or give another path'
            text = f'{member.name!r}: {error}: {advice}'
            raise ArgumentError(f'{member.origin}: {text}') from error

    def _real_directory(self, path: str) -> str:
        """Returns the path of a directory behind the base's links; raises BaseError."""
        if self._base is None:
            return path
        if path not in self._real_directories:
            self._real_directories[path] = self._base.real_directory(path)
        return self._real_directories[path]

    def _real_name(self, path: str) -> str:
        """Returns the path of a file behind the base's links on the way; raises BaseError."""
        directory, name = posixpath.split(path)
        return _joined(self._real_directory(directory), name)

    def _add_parents(self, member: PlannedMember) -> None:
        """Adds the directories that a member is in, as far as they are not there."""
        parent = member.name.rpartition('/')[0]
        if not parent:
            return
        found = self._members.get(parent)
        if found is None:
            directory = PlannedMember(member.origin, parent, tarfile.DIRTYPE, DIRECTORY_MODE)
            directory.is_implied = True
            self._parents_characters += len(parent)
            if self._parents_characters > _PARENTS_LIMIT:
                text = f'the names of missing directories have over {_PARENTS_LIMIT >> 20} MiB'
                raise ArgumentError(f'{member.origin}: {text}: make them shorter')
            self._add_parents(directory)
            self._members[parent] = directory
            self._keep_base_directory(directory)
            return
        found = _first_of(found)
        # Clients follow the links of a layer.
        if not found.is_directory and found.kind != tarfile.SYMTYPE:
            text = f'{member.name!r} is in {parent!r}, which is not a directory: leave it out'
            raise ArgumentError(f'{member.origin}: {text}')

    def _keep_base_directory(self, member: PlannedMember) -> None:
        """Gives a directory that the base has the attributes that it has there."""
        if self._base is None or not member.is_directory:
            return
        found = self._base.find(member.name)
        if not isinstance(found, Directory):
            return
        attributes = found.attributes or Attributes()
        member.is_implied = False
        member.mode = attributes.mode
        member.owner = attributes.owner
        member.mtime = attributes.mtime
        member.xattrs = attributes.xattrs

    def _find(self, flag: str, path: str) -> PlannedMember:
        """Returns the member that --modes or --owners names."""
        name = self._usable_name(flag, path)
        finders: tuple[Callable[[str], str], ...] = (self._real_name, self._real_directory)
        for candidate in (_joined(self._directory, name), name):
            for real_path in finders:
                try:
                    member = self._members.get(real_path(candidate))
                except BaseError:
                    continue
                if member is not None and (member.is_directory or member.can_be_set):
                    return member
        text = f'{path!r} is no file or directory of --file, --empty_dir or --empty_file'
        raise ArgumentError(f'{flag}: {text}: correct the path')

    def _resolve_hard_links(self) -> None:
        """Makes each hard link lead to the first member with its content, or a copy."""
        firsts: dict[tuple[object, ...], PlannedMember] = {}
        links = []
        for member in self._members.values():
            if member.first_link is not None:
                links.append((member, _first_of(member)))
        for member, first in links:
            key = _link_key(member, first)
            if key not in firsts and key == _link_key(first, first):
                if self._members.get(first.name) is first:
                    firsts[key] = first
            if key in firsts:
                member.target = firsts[key].name
            else:
                member.become_copy_of(first)
                firsts[key] = member


def _first_of(member: PlannedMember) -> PlannedMember:
    """Returns the member that a hard link leads to, behind all others."""
    while member.first_link is not None:
        member = member.first_link
    return member


def _link_key(member: PlannedMember, first: PlannedMember) -> tuple[object, ...]:
    """Returns what members that can be hard links to each other have in common.

    All names of a file have one mode and owner, which --modes and --owners may change for one.
    """
    if member.can_be_set:
        return id(first), member.mode, member.owner
    return (id(first),)


def _joined(directory: str, name: str) -> str:
    """Returns the normal name of a file in a directory; either may be empty."""
    if not directory or not name:
        return directory or name
    return f'{directory}/{name}'


def _is_below(path: str, directories: Mapping[str, None]) -> bool:
    """Tells whether a path is one of some directories, or in one."""
    while path:
        if path in directories:
            return True
        path = posixpath.dirname(path)
    return False


def _are_same(one: PlannedMember, other: PlannedMember) -> bool:
    """Tells whether two members of one name are the same: kind, target, device, content."""
    one = _first_of(one)
    other = _first_of(other)
    if (one.kind, one.target, one.device) != (other.kind, other.target, other.device):
        return False
    if one.size != other.size:
        return False
    if one.content is None or other.content is None:
        return True
    with contextlib.ExitStack() as stack:
        first = stack.enter_context(one.content.open())
        return have_same_content(first, stack.enter_context(other.content.open()))
