# SPDX-License-Identifier: Apache-2.0
"""What GNU tar reads in an archive; the tool's reader is compared to it."""

import re
import stat
import subprocess
from typing import NamedTuple

from support.needs import require
from support.running import environment
from support.tars import DIR, FILE, HARD, LINK

_LINE = re.compile(r'(.)(.{9}) (\S+)/(\S+) +(\S+) \S+ \S+ ?(.*)', re.DOTALL)
_HARMLESS = re.compile(rb'tar: Ignoring unknown extended header keyword .*\n')
# The letters of `tar -tv`; C is a contiguous file, V a volume label.
_KINDS = {'-': FILE, 'C': FILE, 'd': DIR, 'l': LINK, 'h': HARD, 'c': b'3', 'b': b'4', 'p': b'6'}
OTHER = b'?'


class Listed(NamedTuple):
    """A member as a listing shows it; the owner is a name, or a number if there is no name."""

    name: str
    kind: bytes
    mode: str
    owner: tuple[str, str]
    target: str
    size: int


def listing(path, *options):
    """Returns the members that GNU tar lists, or None if it reports a problem."""
    require('tar')
    command = ['tar', '-Ptvf', path, '--utc', '--quoting-style=escape', *options]
    done = subprocess.run(
        command, capture_output=True, check=False, env=environment(LC_ALL='C'), timeout=60
    )
    if done.returncode or _HARMLESS.sub(b'', done.stderr):
        return None
    lines = done.stdout.decode().splitlines()
    return [_listed(line) for line in lines if not line.startswith('V')]


def _listed(line):
    letter, mode, user, group, size, text = _LINE.fullmatch(line).groups()
    kind = _KINDS.get(letter, OTHER)
    target = ''
    if kind == OTHER:
        text = re.sub(r" unknown file type '.'$", '', text)
    elif kind == LINK:
        text, _, target = text.partition(' -> ')
    elif kind == HARD:
        text, _, target = text.partition(' link to ')
    return Listed(
        name=_unescaped(text).rstrip('/'),
        kind=kind,
        mode=mode,
        owner=(user, group),
        target=_unescaped(target),
        size=int(size) if kind == FILE else 0,
    )


def _unescaped(text):
    data = text.encode().decode('unicode_escape').encode('latin-1')
    return data.decode('utf-8', 'surrogateescape')


def as_listed(member, numeric=False):
    """Returns a member of the tool's reader in the form of listing()."""
    user, group = str(member.uid), str(member.gid)
    if not numeric:
        user, group = member.uname or user, member.gname or group
    return Listed(
        name=member.name,
        kind=member.kind if member.kind in _KINDS.values() else OTHER,
        mode=stat.filemode(stat.S_IFREG | member.mode)[1:],
        owner=(user, group),
        target=member.target,
        size=member.size,
    )


def extract(path, directory):
    """Extracts an archive, plain or compressed, with GNU tar."""
    require('tar')
    directory.mkdir()
    command = ['tar', '-xf', path, '-C', directory, '--no-same-owner', '--delay-directory-restore']
    subprocess.run(command, check=True, timeout=60, stderr=subprocess.DEVNULL)
