# SPDX-License-Identifier: Apache-2.0
"""Bases with a layer that is a link."""

from support.images import BaseImage, write_base
from support.tars import HARD, LINK, member

# tests/clients/test_stores.py checks which of these links Skopeo follows.
NOT_FOLLOWED = 'is a link that Skopeo does not follow: save the image again'
LINKS = {
    'a file beside it': (LINK, '../x/layer.tar', True),
    'and by a detour': (LINK, './../y/../x/layer.tar', True),
    'from the root': (LINK, '/x/layer.tar', False),
    'from above the root': (LINK, '../../../x/layer.tar', False),
    'a link': (LINK, '../z', False),
    'a hard link': (HARD, 'x/layer.tar', False),
}


def base_with_a_link(path, case):
    """Writes a base with a layer that is a link; returns its path and the layer's diff ID."""
    kind, target, _ = LINKS[case]
    lower = BaseImage(['x/layer.tar'], tags=['example/lower:1'])
    entry = {**lower.entry, 'Layers': ['y/layer.tar']}
    more = [
        member('z', kind=LINK, linkname='x/layer.tar'),
        member('y/layer.tar', kind=kind, linkname=target),
    ]
    return write_base(path, lower, entries=[entry], more=more), lower.diff_ids
