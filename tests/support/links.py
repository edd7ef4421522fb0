# SPDX-License-Identifier: Apache-2.0
"""Bases with a layer that is a link, and with other members that clients refuse."""

from support.images import BaseImage, write_base
from support.tars import DIR, HARD, LINK, member

# Layers that are links: the kind of the link, its target.
LINKS = {
    'a file beside it': (LINK, '../x/layer.tar'),
    'and by a detour': (LINK, './../y/../x/layer.tar'),
    'from the root': (LINK, '/x/layer.tar'),
    'from above the root': (LINK, '../../../x/layer.tar'),
    'a link': (LINK, '../z'),
    'a hard link': (HARD, 'x/layer.tar'),
}
NOT_STRAIGHT = ['from the root', 'from above the root', 'a link']  # containerd ends with an error


def base_with_a_link(path, case):
    """Writes a base with a layer that is a link; returns its path and the layer's diff ID."""
    kind, target = LINKS[case]
    lower = BaseImage(['x/layer.tar'], tags=['example/lower:1'])
    entry = {**lower.entry, 'Layers': ['y/layer.tar']}
    more = [
        member('z', kind=LINK, linkname='x/layer.tar'),
        member('y/layer.tar', kind=kind, linkname=target),
    ]
    return write_base(path, lower, entries=[entry], more=more), lower.diff_ids


# Members that no image needs and for which a client refuses the archive: the members, the names of
# those that are refused, and what is said of the first.
_NO_FILE = 'is a symbolic link that leads to no file, or not straight: containerd refuses it'
_LONG = 'q' * 256
REFUSED_MEMBERS = {
    'a link to nothing': ([member('s', kind=LINK, link='nowhere')], ['s'], _NO_FILE),
    'a link to a directory': (
        [member('d/', kind=DIR), member('s', kind=LINK, link='d')],
        ['s'],
        _NO_FILE,
    ),
    'a link to a link': (
        [member('s', kind=LINK, link='t'), member('t', kind=LINK, link='x/layer.tar')],
        ['s'],
        _NO_FILE,
    ),
    'an absolute link': ([member('d/s', kind=LINK, link='/x/layer.tar')], ['d/s'], _NO_FILE),
    'a hard link to a link to nothing': (
        [member('s', kind=LINK, link='nowhere'), member('h', kind=HARD, link='s')],
        ['s', 'h'],
        _NO_FILE,
    ),
    'a hard link to a directory': (
        [member('d/', kind=DIR), member('h', kind=HARD, link='d')],
        ['h'],
        'is a hard link to a directory, which Docker cannot unpack',
    ),
    'a long component': (
        [member(_LONG + '/', kind=DIR), member(f'{_LONG}/a')],
        [_LONG, f'{_LONG}/a'],
        'has over 255 bytes between slashes, which Docker cannot unpack',
    ),
}
# Members of the same kinds that all clients take.
TAKEN_MEMBERS = [
    member('s', kind=LINK, link='x/layer.tar'),
    member('a', kind=LINK, link='/x/layer.tar'),
    member('d/', kind=DIR),
    member('d/s', kind=LINK, link='../x/layer.tar'),
    member('h', kind=HARD, link='x/layer.tar'),
    member('h2', kind=HARD, link='s'),
    member('ü' * 127),
]


def base_with(path, members):
    """Writes a base with more members than its image has; returns its path and its diff IDs."""
    lower = BaseImage(['x/layer.tar'], tags=['example/lower:1'])
    return write_base(path, lower, more=members), lower.diff_ids


def left_out_line(flag, path, case):
    """Returns the warning for the members that are not merged."""
    _, names, reason = REFUSED_MEMBERS[case]
    others = f', and {len(names) - 1} others like it' if len(names) > 1 else ''
    name = names[0][:200]
    return f"{flag}: '{path}': member '{name}' {reason}: it is left out{others}"
