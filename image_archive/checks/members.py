# SPDX-License-Identifier: Apache-2.0
"""What clients cannot unpack: members of a layer that are read well, but fail where they are used.

The rules are those of the unpackers of Docker 28 (both stores), containerd 2.1 and Podman 5.8, as
seen with overlay storage: some of them fail only after the image was announced as loaded.
"""

import posixpath
import tarfile
from collections.abc import Callable

from image_archive.checks.problem import Problem, Problems
from image_archive.image.layer_file import AUFS_PREFIX, OPAQUE, WHITEOUT
from image_archive.tar.headers import xattr_value
from image_archive.tar.member import Member
from image_archive.tar.names import COMPONENT_LIMIT, has_long_component, is_short, normal_name

# Paths of a layer, and files of the layers below it, that are remembered. Together they take less
# than 64 MiB.
_PATHS_LIMIT = 340_000
_LOWER_FILES_LIMIT = 150_000
_NAME_LIMIT = 4096  # bytes; Linux's PATH_MAX
_SHORT_NAME = 64  # characters, of at most four bytes: a shorter name is within all limits
_TYPES = (
    tarfile.REGTYPE,
    tarfile.AREGTYPE,
    tarfile.LNKTYPE,
    tarfile.SYMTYPE,
    tarfile.CHRTYPE,
    tarfile.BLKTYPE,
    tarfile.DIRTYPE,
    tarfile.FIFOTYPE,
)
_COMMON_TYPES = (tarfile.REGTYPE, tarfile.DIRTYPE)
_TARGET_LIMIT = 4095  # bytes of the target of a symbolic link; PATH_MAX with the NUL at its end
_NAMES_OF_TYPES = {
    tarfile.GNUTYPE_SPARSE: 'a sparse file of GNU tar',
    tarfile.CONTTYPE: 'a contiguous file',
    b'D': 'a dumpdir of GNU tar',
    b'M': 'a part of a volume of GNU tar',
}
_LINKS_LIMIT = 40  # symbolic links that Linux follows for one name
_ATTRIBUTE_LIMIT = 255  # bytes; Linux's XATTR_NAME_MAX
_CAPABILITY = 'security.capability'
_CAPABILITY_FORMS = ((20, 2), (24, 3))  # bytes, and the revision in the fourth of them
_NAMESPACES = ('user.', 'security.', 'trusted.', 'system.')

# What aufs itself stores in a layer; unpackers skip it.
_OF_AUFS = ('.wh..wh.aufs', '.wh..wh.orph', '.wh..wh.plnk')

# What is at a path. A directory is implied if only members in it came.
_FILE, _DIRECTORY, _IMPLIED, _LINK = range(4)


class LowerFiles:
    """The files that the layers below a layer have, each as the hash of its path."""

    def __init__(self) -> None:
        self._files: set[int] = set()

    def __contains__(self, path: str) -> bool:
        return hash(path) in self._files

    def __bool__(self) -> bool:
        return bool(self._files)

    def forget(self) -> None:
        """Forgets all files, because a layer that may hide any of them cannot be told."""
        self._files.clear()

    def add_layer(self, paths: 'Paths') -> None:
        """Adds the files of the next layer, and leaves out what it hides."""
        if paths.is_full or paths.has_opaque:
            self.forget()
        for hidden in paths.hidden:
            if hidden not in self._files:
                # It may be a directory, and what is below it cannot be told from its hashes.
                self.forget()
            self._files.discard(hidden)
        for place, kind in paths.kinds.items():
            if kind != _FILE:
                self._files.discard(place)
            elif len(self._files) < _LOWER_FILES_LIMIT:
                self._files.add(place)


class Paths:
    """The paths of a layer up to a member, each as the hash of its name.

    Attributes:
        lower: the files of the layers below.
        kinds: what is at each path.
        hidden: the paths that whiteouts delete.
        has_opaque: whether it hides all that a directory has in the layers below.
        is_full: whether paths were left out, because they would take too much memory.
    """

    def __init__(self, lower: LowerFiles) -> None:
        self.lower = lower
        self.hidden: set[int] = set()
        self.has_opaque = False
        self.kinds: dict[int, int] = {}
        self._targets: dict[int, int | None] = {}  # of links: what follow() returns
        self._whited_out: set[int] = set()
        self.is_full = False

    def kind(self, path: str) -> int | None:
        """Returns what is at a path; None if nothing came there."""
        return self.kinds.get(hash(path))

    def follow(self, path: str) -> int | None:
        """Returns what is behind the symbolic links at a path, as kind() does.

        Returns:
            None if that is not in the layer up to here; _LINK if it leads out of the root, or in a
            circle.
        """
        place = hash(path)
        for _ in range(_LINKS_LIMIT):
            if place == hash(''):
                return _DIRECTORY
            if self.kinds.get(place) != _LINK:
                return self.kinds.get(place)
            target = self._targets[place]
            if target is None:
                return _LINK
            place = target
        return _LINK

    def is_whited_out(self, path: str) -> bool:
        """Tells whether a whiteout of a path came, and nothing at the path itself after it."""
        return bool(self._whited_out) and hash(path) in self._whited_out

    def has_whiteouts(self) -> bool:
        """Tells whether any path is whited out."""
        return bool(self._whited_out)

    def add_new_file(self, path: str) -> bool:
        """Adds the path of a file whose directory is there; False if that needs a closer look."""
        place = hash(path)
        if place in self.kinds or len(self.kinds) >= _PATHS_LIMIT:
            return False
        self.kinds[place] = _FILE
        return True

    def add_common(self, path: str, member: Member) -> None:
        """Adds the path of a file or directory, no whiteout, whose directory is there."""
        if len(self.kinds) >= _PATHS_LIMIT:
            self.is_full = True
        elif member.kind == tarfile.DIRTYPE:
            self.kinds[hash(path)] = _DIRECTORY
        else:
            self.kinds[hash(path)] = _FILE

    def add(self, path: str, member: Member) -> None:
        """Adds the path of a member, and the directories that it implies."""
        if len(self.kinds) >= _PATHS_LIMIT:
            self.is_full = True
            return
        kind = _FILE
        if member.is_directory:
            kind = _DIRECTORY
        elif member.kind == tarfile.SYMTYPE:
            kind = _LINK
            self._targets[hash(path)] = _hash_of_target(path, member.target)
        self.kinds[hash(path)] = kind
        if self._whited_out:
            self._whited_out.discard(hash(path))
        if len(path) > _NAME_LIMIT:
            return
        directory, _, name = path.rpartition('/')
        if name.startswith(WHITEOUT) and not name.startswith(AUFS_PREFIX):
            hidden = posixpath.join(directory, name.removeprefix(WHITEOUT))
            self._whited_out.add(hash(hidden))
            self.hidden.add(hash(hidden))
        elif name == OPAQUE:
            self.has_opaque = True
        while directory and hash(directory) not in self.kinds:
            self.kinds[hash(directory)] = _IMPLIED
            directory = posixpath.dirname(directory)


def _hash_of_target(path: str, target: str) -> int | None:
    """Returns the hash of the path that a symbolic link leads to; None if it leads out."""
    directory = '/'
    if not target.startswith('/'):
        directory = posixpath.dirname(path)
    resolved = posixpath.normpath(posixpath.join(directory, target))
    if resolved == '..' or resolved.startswith('../'):
        return None
    return hash(resolved.lstrip('/').removeprefix('.'))


# Each check returns what is wrong with a member, and what to do; None if nothing is.
_Check = Callable[[Member, str, Paths], str | None]
_PACK = 'pack the layer again'


def _type(member: Member, path: str, paths: Paths) -> str | None:
    if member.type in _TYPES:
        return None
    what = _NAMES_OF_TYPES.get(member.type, f'of the unknown type {member.type!r}')
    return f'is {what}: pack the layer without that'


def _top(member: Member, path: str, paths: Paths) -> str | None:
    if path or member.is_directory:
        return None
    return f'is the root, and not a directory: {_PACK}'


def _root(member: Member, path: str, paths: Paths) -> str | None:
    if '..' not in member.name:
        return None
    resolved = posixpath.normpath(member.name.lstrip('/'))
    if resolved == '..' or resolved.startswith('../'):
        return f'leads out of the root: {_PACK}'
    return None


def _length(member: Member, path: str, paths: Paths) -> str | None:
    if len(path) * 4 > _NAME_LIMIT and len(path.encode('utf-8', 'surrogateescape')) > _NAME_LIMIT:
        return f'has a name of over {_NAME_LIMIT} bytes: shorten it'
    if has_long_component(path):
        return f'has a name with over {COMPONENT_LIMIT} bytes between slashes: shorten it'
    return None


def _repeated(member: Member, path: str, paths: Paths) -> str | None:
    if paths.kind(path) in (None, _IMPLIED):
        return None
    return f'comes twice: {_PACK}, each path once'


def _below(member: Member, path: str, paths: Paths) -> str | None:
    if len(path) > _NAME_LIMIT:
        return None
    directory = posixpath.dirname(path)
    while directory and paths.kind(directory) in (None, _IMPLIED):
        directory = posixpath.dirname(directory)
    if paths.kind(directory) == _FILE:
        return f'is below {directory!r}, which is a file: {_PACK}'
    if paths.kind(directory) == _LINK and paths.follow(directory) not in (_DIRECTORY, _IMPLIED):
        # Podman unpacks a layer by itself, without those below it.
        text = f'is below {directory!r}, a link to no directory that is before it in the layer'
        return f'{text}: store it behind the link'
    directory = posixpath.dirname(path)
    if not paths.has_whiteouts():
        return None
    while directory:
        if paths.is_whited_out(directory):
            return f'is below {directory!r}, which the layer deletes: {_PACK}'
        directory = posixpath.dirname(directory)
    return None


def _below_lower_file(member: Member, path: str, paths: Paths) -> str | None:
    """containerd looks in the layers below for a directory that has no member of its own."""
    directory = posixpath.dirname(path)
    if not paths.lower or paths.kind(directory) is not None:
        return None
    above = posixpath.dirname(directory)
    while above:
        if above in paths.lower:
            text = f'is below {above!r}, which is a file in a layer below'
            return f'{text}: add a member for {directory!r}'
        above = posixpath.dirname(above)
    return None


def _hard_link(member: Member, path: str, paths: Paths) -> str | None:
    if member.kind != tarfile.LNKTYPE:
        return None
    kind = paths.kind(normal_name(member.target))
    if kind in (_DIRECTORY, _IMPLIED):
        return f'is a hard link to a directory, {member.target[:200]!r}: {_PACK}'
    if kind is None and not paths.is_full:
        text = f'is a hard link to {member.target[:200]!r}, which is not before it in the layer'
        return f'{text}: {_PACK}'
    return None


def _target(member: Member, path: str, paths: Paths) -> str | None:
    if member.kind != tarfile.SYMTYPE or len(member.target) * 4 <= _TARGET_LIMIT:
        return None
    if len(member.target.encode('utf-8', 'surrogateescape')) <= _TARGET_LIMIT:
        return None
    return f'is a link with a target of over {_TARGET_LIMIT} bytes: shorten it'


def _whiteout(member: Member, path: str, paths: Paths) -> str | None:
    directory, name = posixpath.split(path)
    if not name.startswith(WHITEOUT) or name.startswith(AUFS_PREFIX):
        return None
    hidden = name.removeprefix(WHITEOUT)
    if hidden in ('', '.', '..'):
        return 'is a whiteout of nothing: leave it out'
    if paths.kind(posixpath.join(directory, hidden)) is not None:
        return f'is a whiteout of {hidden!r}, which comes before it in the layer: leave one out'
    return None


def _attributes(member: Member, path: str, paths: Paths) -> str | None:
    for name in member.xattrs:
        if not name.startswith(_NAMESPACES):
            advice = 'pack with --no-xattrs --no-mac-metadata, or COPYFILE_DISABLE=1'
            return f'has the extended attribute {name[:200]!r}, which Linux refuses: {advice}'
        if len(name.encode('utf-8', 'surrogateescape')) > _ATTRIBUTE_LIMIT:
            text = f'has an extended attribute with a name of over {_ATTRIBUTE_LIMIT} bytes'
            return f'{text}: pack without it'
        if name == _CAPABILITY and not _is_capability(member):
            return f'has a {_CAPABILITY} that Linux does not take: pack without it'
        is_plain = member.is_file or member.is_directory or member.kind == tarfile.LNKTYPE
        if name.startswith('user.') and not is_plain:
            text = f'has the extended attribute {name[:200]!r}, and is no file or directory'
            return f'{text}: pack without it'
    return None


def _is_capability(member: Member) -> bool:
    """Tells whether Linux takes the capability of a member (vfs_cap_data in linux/capability.h).

    An empty one removes the attribute.
    """
    value = xattr_value(member.xattr_records, _CAPABILITY)
    if not value:
        return True
    return len(value) > 3 and (len(value), value[3]) in _CAPABILITY_FORMS


_CHECKS: tuple[_Check, ...] = (
    _type,
    _top,
    _root,
    _length,
    _repeated,
    _below,
    _below_lower_file,
    _hard_link,
    _target,
    _whiteout,
    _attributes,
)


def _is_common_file(member: Member, name: str) -> bool:
    """Tells at once, of a member in the directory of the one before, that it is a file as most are.

    Then only one thing may be wrong with it: that it comes twice.

    Args:
        member: the member.
        name: its name in the directory.
    """
    return (
        member.type == tarfile.REGTYPE
        and len(name) < _SHORT_NAME
        and name[:1] not in ('', '.')
        and not member.xattrs
    )


class MemberChecks:
    """Checks the members of a layer while it is read. Of each kind of problem the first counts."""

    def __init__(self, lower: LowerFiles) -> None:
        """Begins with a layer.

        Args:
            lower: the files of the layers below it; those of this one are added by problems().
        """
        self._lower = lower
        self._paths = Paths(lower)
        self._found: dict[_Check, str] = {}
        self._odd_whiteout: str | None = None
        # A directory of the layer, as its last member spells it, and its normal name with a slash.
        self._last_stored_directory: str | None = None
        self._last_directory = ''

    def add(self, member: Member) -> None:
        """Checks the next member."""
        stored_directory, _, name = member.name.rpartition('/')
        if stored_directory == self._last_stored_directory and _is_common_file(member, name):
            if self._paths.add_new_file(self._last_directory + name):
                return
        path = normal_name(member.name)
        self._last_stored_directory = None
        if self._is_common(member, path):
            self._paths.add_common(path, member)
            directory, slash, last_name = path.rpartition('/')
            if last_name == name:  # not with a name such as 'a/.'
                self._last_stored_directory = stored_directory
                self._last_directory = directory + slash
            return
        if '..' in path:
            path = posixpath.normpath(path)
        for check in _CHECKS:
            if check not in self._found:
                text = check(member, path, self._paths)
                if text is not None:
                    self._found[check] = f'member {member.name[:200]!r} {text}'
        name = posixpath.basename(path)
        if name.startswith(AUFS_PREFIX) and name != OPAQUE and name not in _OF_AUFS:
            self._odd_whiteout = member.name
        self._paths.add(path, member)

    def _is_common(self, member: Member, path: str) -> bool:
        """Tells at once that a member passes all checks, as most do: the checks take time."""
        return (
            member.type in _COMMON_TYPES
            and not member.xattrs
            and path != ''
            and is_short(path)
            and '..' not in path
            and WHITEOUT not in path
            and not self._paths.has_whiteouts()
            and hash(path) not in self._paths.kinds
            and self._paths.kind(path.rpartition('/')[0]) == _DIRECTORY
        )

    def problems(self, label: str, is_error: bool, has_label: bool) -> Problems:
        """Yields what was found.

        Args:
            label: the name of the layer in messages.
            is_error: whether it is an error with --verify; otherwise a warning.
            has_label: whether the layer has a volume label of GNU tar.
        """
        self._lower.add_layer(self._paths)
        for text in self._found.values():
            yield Problem(f'{label}: {text}', is_error=is_error)
        if has_label:
            text = 'has a volume label of GNU tar, which clients do not unpack'
            yield Problem(f'{label} {text}: pack the layer without --label', is_error=is_error)
        if self._odd_whiteout is not None:
            text = f'member {self._odd_whiteout[:200]!r} is an unknown kind of whiteout'
            yield Problem(f'{label}: {text}: leave it out', is_error=False)
        if self._paths.is_full:
            text = f'only the first {_PATHS_LIMIT:,} paths were checked for paths that come twice'
            yield Problem(f'{label}: {text}: make smaller layers', is_error=False)
