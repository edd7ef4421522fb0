# SPDX-License-Identifier: Apache-2.0
"""Random members of a layer, as the reader gives them: parents, doubles, odd names."""

import random
import re
import tarfile

from image_archive.tar.member import Member
from support.tars import DIR, FILE, HARD, LINK

_KINDS = [FILE] * 6 + [DIR] * 4 + [LINK, HARD, tarfile.CHRTYPE, tarfile.FIFOTYPE]
_DIRECTORIES = ['a', 'b', '.', '..', '.e', '.wh.a']
_NAMES = [*_DIRECTORIES, '.wh..wh.opq', 'n' * 70, 'é' * 60]
_TARGETS = ['a', 'a/b', '/b', '../c']


def random_members(seed):
    """Returns some members; many are in the directory of the one before."""
    chosen = random.Random(seed)
    directory = 'a'
    members = []
    for _ in range(chosen.randrange(2, 14)):
        names = [chosen.choice(_DIRECTORIES) for _ in range(chosen.randrange(3))]
        if chosen.random() < 0.6:
            names[:1] = [directory]
        names.append(chosen.choice(_NAMES))
        kind = chosen.choice(_KINDS)
        name = '/'.join(names)
        if kind == DIR and len(name) < 40:  # not too long for messages
            directory = name
        target = chosen.choice(_TARGETS) if kind in (LINK, HARD) else ''
        members.append(Member(name, kind, 0o755, 0, 0, '', '', target, 0, 0, None, kind))
    return members


def respelled(members):
    """Returns members with other spellings of their names, each with another one."""
    return [
        member._replace(name=number * './' + member.name) for number, member in enumerate(members)
    ]


def respelled_back(text):
    """Returns a message that names a member without what respelled() puts before the name."""
    return re.sub(r"'(\./)+", "'", text)
