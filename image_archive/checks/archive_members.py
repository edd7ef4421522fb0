# SPDX-License-Identifier: Apache-2.0
"""What clients refuse in an image archive: members that are not layers, but are merged into it."""

import posixpath
import tarfile
from collections.abc import Callable, Iterable, Mapping

from image_archive.checks.problem import Problem, Problems
from image_archive.tar.archive import link_target
from image_archive.tar.member import Member
from image_archive.tar.names import COMPONENT_LIMIT, has_long_component, is_usable_name

_FindMember = Callable[[str], Member | None]


def _is_straight_link(name: str, link: Member, find: _FindMember) -> bool:
    """Tells whether containerd finds the file that a symbolic link leads to.

    It follows one link, from its directory (seen with containerd 2.1).
    """
    path = posixpath.join(posixpath.dirname(name), f'./{link.target}')
    target = find(posixpath.normpath(path))
    return target is not None and target.is_file


def refused_members(members: Iterable[tuple[str, Member]], find: _FindMember) -> dict[str, str]:
    """Returns the members for which a client refuses the archive that has them.

    Args:
        members: the members that will be in the archive, with their normal names.
        find: returns the member of a normal name.

    Returns:
        Why each is refused, by its name.
    """
    refused: dict[str, str] = {}
    for name, member in members:
        reason = None
        if not is_usable_name(member.name):
            continue  # the writer ends with an error
        if has_long_component(name):
            reason = f'has over {COMPONENT_LIMIT} bytes between slashes, which Docker cannot unpack'
        elif member.kind == tarfile.SYMTYPE and not _is_straight_link(name, member, find):
            reason = (
                'is a symbolic link that leads to no file, or not straight: containerd refuses it'
            )
        elif member.kind == tarfile.LNKTYPE:
            target_name = link_target(name, member)
            target = find(target_name)
            if target_name in refused:
                reason = f'is a hard link to {target_name[:200]!r}, which is refused'
            elif target is not None and target.is_directory:
                reason = 'is a hard link to a directory, which Docker cannot unpack'
        if reason is not None:
            refused[name] = reason
    return refused


def left_out_problems(flag: str, path: str, left_out: Mapping[str, str]) -> Problems:
    """Says which members of an archive are not merged; one line for all.

    Args:
        flag: the flag that gives the archive.
        path: the path of the archive.
        left_out: why they are not merged, by their names.
    """
    if not left_out:
        return
    name, reason = next(iter(left_out.items()))
    others = ''
    if len(left_out) > 1:
        others = f', and {len(left_out) - 1:,} others like it'
    text = f'{path!r}: member {name[:200]!r} {reason}: it is left out{others}'
    yield Problem(f'{flag}: {text}', is_error=False)
