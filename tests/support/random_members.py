# SPDX-License-Identifier: Apache-2.0
"""Random members of a layer, as the reader gives them: parents, doubles, odd names."""

import random
import re
import tarfile

from image_archive.tar.member import Member
from support.tars import DIR, FILE, HARD, LINK

_KINDS = [FILE] * 12 + [DIR] * 6 + [LINK, HARD, tarfile.CHRTYPE, tarfile.FIFOTYPE]
_NAMES = ['a', 'b', 'c', 'd', 'e.f', 'n' * 70, 'é' * 60]
_ODD_NAMES = ['.', '..', '.e', '.wh.a', '.wh..wh.opq', 'é' * 130]
_TARGETS = ['a', 'a/b', '/b', '../c']


def random_members(seed):
    """Returns some members; most are in the directory of the one before."""
    chosen = random.Random(seed)

    def name():
        return chosen.choice(_NAMES if chosen.random() < 0.9 else _ODD_NAMES)

    directory = '.'
    members = [_member('.', DIR)]
    for _ in range(chosen.randrange(2, 16)):
        names = [directory, name()]
        if chosen.random() < 0.3:
            names = [chosen.choice(_NAMES[:5]), name()][chosen.randrange(2) :]
        kind = chosen.choice(_KINDS)
        if chosen.random() < 0.1:
            names.append('.')
        path = '/'.join(names)
        if kind == DIR and len(path) < 12:  # messages have 200 characters of a name
            directory = path
        member = _member(path, kind)
        if kind in (LINK, HARD):
            member = member._replace(target=chosen.choice(_TARGETS))
        elif kind == FILE and chosen.random() < 0.1:
            member = member._replace(type=chosen.choice([tarfile.AREGTYPE, tarfile.CONTTYPE]))
        elif chosen.random() < 0.1:
            member = member._replace(xattrs=(chosen.choice(['user.a', 'odd.a']),))
        members.append(member)
    return members


def _member(name, kind):
    return Member(name, kind, 0o755, 0, 0, '', '', '', 0, 0, None, kind)


def respelled(members):
    """Returns members with other spellings of their names, each with another one."""
    return [
        member._replace(name=number * './' + member.name) for number, member in enumerate(members)
    ]


def respelled_back(text):
    """Returns a message that names a member without what respelled() puts before the name."""
    return re.sub(r"'(\./)+", "'", text)
