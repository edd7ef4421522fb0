# SPDX-License-Identifier: Apache-2.0
"""The files that a base has: what its layers, one on top of the other, show in a container.

Only what a new layer must respect is held: the names, the attributes of directories, and the
targets of symbolic links. Each layer becomes a tree of its own first, because whiteouts hide files
of the layers below only, wherever they stand in their layer (OCI image specification, "Layer").
"""

import enum
import tarfile
from typing import NamedTuple

from image_archive.errors import ArchiveError
from image_archive.image.layer_file import AUFS_PREFIX, OPAQUE, WHITEOUT, LayerFile
from image_archive.layer.member import DIRECTORY_MODE
from image_archive.system.progress import Progress
from image_archive.tar.member import Member
from image_archive.tar.names import is_usable_name, normal_name

_DEVICES = (tarfile.CHRTYPE, tarfile.BLKTYPE, tarfile.FIFOTYPE)
_SHORT_PATH = 128  # characters; a shorter path is within all limits
_LINKS_LIMIT = 40  # Linux follows as many
_FILES_LIMIT = 1_000_000
_IMPLIED_LIMIT = 250_000  # directories that are only on the way to others; they take more memory
_CHARACTERS_LIMIT = 64 << 20  # of all names, targets of links and extended attributes


class Attributes(NamedTuple):
    """What a base says of a directory.

    Attributes:
        mode: the permissions.
        owner: the numbers of the user and the group.
        mtime: the time in seconds since 1970.
        xattrs: PAX records with its extended attributes.
    """

    mode: int = DIRECTORY_MODE
    owner: tuple[int, int] = (0, 0)
    mtime: int = 0
    xattrs: bytes = b''


class Other(enum.Enum):
    """What is neither a directory nor a symbolic link."""

    FILE = 'a file'
    DEVICE = 'a device or FIFO'


class Directory:
    """A directory.

    Attributes:
        attributes: what the layers say of it; None where they have only files in it.
        children: what is in it, by name; a symbolic link is its target.
        hidden: the names that the layer of this tree hides in the layers below.
        is_opaque: whether it hides all of them.
    """

    __slots__ = ('attributes', 'children', 'hidden', 'is_opaque')

    def __init__(self) -> None:
        self.attributes: Attributes | None = None
        self.children: dict[str, File] = {}
        self.hidden: list[str] | None = None
        self.is_opaque = False


File = Directory | str | Other


class BaseError(Exception):
    """A path of a new layer does not go together with the base; the text follows the path."""


class BaseFiles:
    """The files of a base, and those that a layer deletes of it."""

    def __init__(self) -> None:
        self._root = Directory()
        self._totals = _Totals()

    def add_layer(self, layer: LayerFile, progress: Progress, needs_digest: bool = False) -> None:
        """Adds the next layer, on top of those before.

        Args:
            layer: the layer; its headers are read.
            progress: advanced by the bytes that are read.
            needs_digest: whether all of it is read, for LayerFile.content_sha256.

        Raises:
            ArchiveError: it cannot be read here, is damaged, or has too many files.
            OSError: it cannot be read.
        """
        if not layer.can_be_read:
            text = 'is zstd, which this Python cannot read: unpack it, or install backports.zstd'
            raise ArchiveError(f'{layer.label} {text}')
        tree = _LayerTree(layer.label, self._totals)
        if needs_digest:
            layer.read(tree.add, progress)
        else:
            layer.read_headers(tree.add, progress)
        self._totals.check(layer.label)
        _merge(self._root, tree.root)

    def find(self, path: str) -> File | None:
        """Returns what the base has at a path; None if it has nothing there.

        Args:
            path: a real path, as real_directory() returns it, and a name in it.
        """
        return _find(self._root, path)

    def real_directory(self, path: str) -> str:
        """Returns the path of a directory behind the links of the base.

        Args:
            path: the normal name of a directory, which the base need not have.

        Raises:
            BaseError: the base has something else there, or a link that leads to no directory.
        """
        return _real_directory(self._root, path)

    def delete(self, path: str) -> None:
        """Deletes a file, or a directory with all that is in it.

        Args:
            path: a real path, of a file that is there.
        """
        directory, _, name = path.rpartition('/')
        found = _find(self._root, directory)
        if isinstance(found, Directory):
            found.children.pop(name, None)


class _Totals:
    """What the layers of a base have together, with which memory grows.

    Attributes:
        members: the number of members.
        implied: the number of directories that had no member when they were needed.
        characters: those of all names, targets of links and extended attributes.
    """

    def __init__(self) -> None:
        self.members = 0
        self.implied = 0
        self.characters = 0

    def check(self, label: str) -> None:
        """Raises ArchiveError if they are too many; label is the name of the last layer."""
        if self.implied > _IMPLIED_LIMIT:
            text = f'over {_IMPLIED_LIMIT:,} directories without a member'
        elif self.members > _FILES_LIMIT or self.characters > _CHARACTERS_LIMIT:
            text = f'over {_FILES_LIMIT:,} files, or names of over {_CHARACTERS_LIMIT >> 20} MiB'
        else:
            return
        raise ArchiveError(f'{label} brings the base to {text}: give a smaller base')


class _LayerTree:
    """The files of one layer.

    Attributes:
        root: the directory that they are in.
    """

    def __init__(self, label: str, totals: _Totals) -> None:
        """Makes a tree without files.

        Args:
            label: the name of the layer in messages.
            totals: what the layers below it have; what it has is added.
        """
        self._label = label
        self._totals = totals
        self.root = Directory()
        # Most members are in the directory of the member before: its path as that member spells
        # it, and its normal name.
        self._last_stored_path: str | None = ''
        self._last_path = ''
        self._last_directory = self.root

    def add(self, member: Member) -> None:
        """Adds a member of the layer.

        Raises:
            ArchiveError: no layer may have its name, or the base has too many files.
        """
        totals = self._totals
        totals.members += 1
        totals.characters += len(member.name) + len(member.target) + len(member.xattr_records)
        totals.check(self._label)
        stored_path, _, stored_name = member.name.rpartition('/')
        if stored_path == self._last_stored_path and _is_common_file(member, stored_name):
            self._last_directory.children[stored_name] = Other.FILE
            return
        self._last_stored_path = None
        path = normal_name(member.name)
        if not is_usable_name(path):
            text = f"{member.name[:200]!r} has '..' or NUL or is too long: replace the base"
            raise ArchiveError(f'{self._label}: {text}')
        if member.kind == tarfile.DIRTYPE:
            owner = member.uid, member.gid
            before = totals.implied
            directory = self._directory(path)
            if totals.implied > before:  # the last one has this member
                totals.implied -= 1
            directory.attributes = Attributes(
                member.mode, owner, member.mtime, member.xattr_records
            )
            self._last_stored_path = member.name
            return
        parent, _, name = path.rpartition('/')
        if not name:
            return
        directory = self._directory(parent)
        if name == stored_name:  # not with a name such as 'a/.'
            self._last_stored_path = stored_path
        if not name.startswith(WHITEOUT):
            directory.children[name] = self._file(member)
        elif name == OPAQUE:
            directory.is_opaque = True
        elif not name.startswith(AUFS_PREFIX):
            directory.hidden = directory.hidden or []
            directory.hidden.append(name.removeprefix(WHITEOUT))

    def _directory(self, path: str) -> Directory:
        """Returns a directory, which is made if it is not there."""
        if path == self._last_path:
            return self._last_directory
        found = _find(self.root, path)
        if not isinstance(found, Directory):
            found = self._make_directory(path)
        self._last_path = path
        self._last_directory = found
        return found

    def _make_directory(self, path: str) -> Directory:
        try:
            # Unpackers follow the links of the layer that they unpack.
            path = _real_directory(self.root, path)
        except BaseError:  # what is in the way is replaced
            pass
        directory = self.root
        for name in path.split('/'):
            child = directory.children.get(name)
            if not isinstance(child, Directory):
                self._totals.implied += 1
                child = Directory()
                directory.children[name] = child
            directory = child
        return directory

    def _file(self, member: Member) -> File:
        """Returns what a member is that is no directory."""
        if member.kind == tarfile.REGTYPE:
            return Other.FILE
        if member.kind == tarfile.SYMTYPE:
            return member.target
        if member.kind == tarfile.LNKTYPE:
            first = _find(self.root, normal_name(member.target))
            if first is not None and not isinstance(first, Directory):
                return first
        if member.kind in _DEVICES:
            return Other.DEVICE
        return Other.FILE


def _is_common_file(member: Member, name: str) -> bool:
    """Tells at once, of most members in a directory, that one is a file with a usable name.

    Args:
        member: the member.
        name: its name in the directory.
    """
    is_short = len(member.name) < _SHORT_PATH
    return member.kind == tarfile.REGTYPE and is_short and name[:1] not in ('', '.')


def _find(root: Directory, path: str) -> File | None:
    """Returns what is at a path in a tree; links are not followed."""
    if not path:
        return root
    found: File | None = root
    for name in path.split('/'):
        if not isinstance(found, Directory):
            return None
        found = found.children.get(name)
    return found


def _real_directory(root: Directory, path: str) -> str:
    """Returns the path of a directory behind the links in a tree; raises BaseError."""
    names: list[str] = []
    directories: list[Directory | None] = [root]  # None for one that is not there
    # Each name that is to come, and the link whose target it is from.
    pending = [(name, '') for name in reversed(path.split('/'))]
    links = 0
    while pending:
        name, link = pending.pop()
        if name in ('', '.'):
            continue
        if name == '..':
            if names:
                names.pop()
                directories.pop()
            continue
        directory = directories[-1]
        child = None if directory is None else directory.children.get(name)
        if isinstance(child, str):
            links += 1
            link = link or '/'.join([*names, name])
            if links > _LINKS_LIMIT:
                raise BaseError(f"the base's link {link!r} leads in a circle")
            if child.startswith('/'):
                names = []
                directories = [root]
            pending += [(part, link) for part in reversed(child.split('/'))]
            continue
        names.append(name)
        if isinstance(child, Other):
            raise BaseError(f'the base has {child.value} at {"/".join(names)!r}')
        if child is None and link:
            raise BaseError(f"the base's link {link!r} leads nowhere")
        directories.append(child)
    return '/'.join(names)


def _merge(below: Directory, above: Directory) -> None:
    """Puts the directory of a layer on that of the layers below it."""
    if above.is_opaque:
        below.children.clear()
    for name in above.hidden or ():
        below.children.pop(name, None)
    for name, file in above.children.items():
        old = below.children.get(name)
        if isinstance(file, Directory) and isinstance(old, Directory):
            if file.attributes is not None:
                old.attributes = file.attributes
            _merge(old, file)
        else:
            below.children[name] = file
