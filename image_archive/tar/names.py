# SPDX-License-Identifier: Apache-2.0
"""Names of members: a member has one normal name, in whatever way an archive spells it."""

import posixpath

_NAME_LIMIT = 4096  # characters; Linux's PATH_MAX
_DEPTH_LIMIT = 128  # components of a name
COMPONENT_LIMIT = 255  # bytes; Linux's NAME_MAX


def normal_name(name: str) -> str:
    """Returns the name of a member without './', and without leading and doubled slashes.

    Args:
        name: the name as it is stored.
    """
    # Most names are normal; one string for both takes less memory.
    if '//' not in name and '/.' not in name and not name.startswith(('.', '/')):
        return name.removesuffix('/')
    normal = '/'.join(part for part in name.split('/') if part not in ('', '.'))
    return name if normal == name else normal


def is_usable_name(name: str) -> bool:
    """Tells whether a member may have a name: it stays in the archive's root, within limits.

    Args:
        name: the name as it is stored.
    """
    if '..' not in name and '\0' not in name and len(name) < _DEPTH_LIMIT:
        return True
    parts = normal_name(name).split('/')
    if '..' in parts or '\0' in name:
        return False
    return len(parts) <= _DEPTH_LIMIT and len(name) <= _NAME_LIMIT


def is_short(name: str) -> bool:
    """Tells at once, of most names, that no part of it is longer than file systems take."""
    length = len(name)
    if not name.isascii():
        length *= 4  # a character has at most four bytes
    return length <= COMPONENT_LIMIT


def has_long_component(name: str) -> bool:
    """Tells whether a part of a name between slashes is longer than file systems take."""
    if is_short(name):
        return False
    parts = name.encode('utf-8', 'surrogateescape').split(b'/')
    return max(len(part) for part in parts) > COMPONENT_LIMIT


def target_name(name: str, target: str, is_symbolic: bool) -> str:
    """Returns the normal name of the member that a link leads to.

    Args:
        name: the normal name of the link.
        target: its target as it is stored.
        is_symbolic: whether the target is relative to the link's directory. That of a hard link
            is not (POSIX ustar).
    """
    directory = posixpath.dirname(name) if is_symbolic else ''
    path = posixpath.normpath(posixpath.join('/', directory, target))
    return path.lstrip('/')
