# SPDX-License-Identifier: Apache-2.0
"""Odd headers: if GNU tar and Python's tarfile agree, the tool reads the same (section 5).

FUZZ=20000 in the environment sets how many archives are compared; the default is 100, or 250 with
ALL_TESTS=1. The number of an archive is its seed; a failure names it.
"""

import random
import tarfile

from image_archive.errors import ArchiveError
from image_archive.tar.member import Member
from support import gnu_tar
from support.amounts import amount
from support.headers import OLD_GNU, read
from support.tars import DIR, EXTENDED, FILE, HARD, LINK, LONG_LINK, LONG_NAME, member, pax

FUZZ = amount('FUZZ', every_day=100, all_tests=250)

_MAGICS = [b'ustar\x0000', OLD_GNU, bytes(8)]
_ODD_NUMBERS = [b'17', b'17 ', b' 17\0', b'\x80\0\0\0\0\0\1\7', b'\xff' * 8, b'-1', b'8', b' ' * 8]
_ODD_SIZES = [b'%o', b'%o ', b'%12o', b'%011o ', b'%012o', b'\0%o']
_ODD_RECORDS = [
    *(b'path=p/q', b'path=p/', b'path=', b'linkpath=l', b'uid=70000', b'uid=', b'uid=x'),
    *(b'gid=7', b'uname=u', b'gname=', b'mtime=1.5', b'mtime=x', b'comment=c', b'size='),
    *(b'hdrcharset=BINARY', b'SCHILY.xattr.user.a=v'),
]
_ODD_DATA = [b'', b'x', b'12 path=ab\n', bytes(3)]


def odd_member(chance, number):
    """Returns a member whose headers may be odd or malformed."""
    name = f'm{number}' + chance.choice(['', '/x', '/', '/./y', '\xe9', 'x' * 90, 'y' * 200])
    kind = chance.choices(
        [FILE, b'\0', HARD, LINK, DIR, b'7', b'3', b'6', b'D', b'V', b'9'],
        [9, 3, 3, 3, 3, 1, 1, 1, 1, 1, 1],
    )[0]
    data = b''
    if kind in (FILE, b'\0', b'7', b'D', b'V', b'9'):
        data = chance.randbytes(chance.choice([0, 1, 511, 512, 513]))
    raw = {'magic': chance.choice(_MAGICS)}
    if chance.random() < 0.3:
        field = chance.choice(['mode', 'uid', 'gid'])
        raw[field] = chance.choice(_ODD_NUMBERS)
    if chance.random() < 0.2:
        raw['size'] = chance.choice(_ODD_SIZES) % len(data)
    if chance.random() < 0.2:
        raw['prefix'] = chance.choice([b'pre', b'p' * 155, b'14717216400\0' * 2])
    # GNU tar uses only the last of several extended headers of one kind.
    headers = b''
    for extension in chance.sample([EXTENDED, LONG_NAME, LONG_LINK], chance.choice([0, 0, 1, 2])):
        if extension == EXTENDED and chance.random() < 0.2:
            headers += member('x', chance.choice(_ODD_DATA), EXTENDED)
        elif extension == EXTENDED:
            headers += pax(*chance.sample(_ODD_RECORDS, chance.randrange(4)))
        else:
            headers += member('L', b'long/%d\0' % number, extension)
    return headers + member(name, data, kind, link='m0' if kind in (HARD, LINK) else '', raw=raw)


def odd_archive(number):
    chance = random.Random(number)
    members = [odd_member(chance, at) for at in range(chance.randrange(1, 4))]
    return b''.join(members) + bytes(1024)


def python_listing(path):
    """Returns what Python's tarfile reads, in the form of gnu_tar.listing; None if it raises."""
    found = []
    try:
        with tarfile.open(path, 'r:') as tar:
            for info in tar:
                if info.type != b'V':
                    found.append(_as_reader_member(info))
    except (tarfile.TarError, ValueError):
        return None
    return [gnu_tar.as_listed(member, numeric=True) for member in found]


def _as_reader_member(info):
    """Returns a member of Python's tarfile as a member of the tool's reader."""
    kind = FILE if info.isreg() else info.type
    if kind == b'D':
        kind = DIR
    return Member(
        name=info.name.rstrip('/'),
        kind=kind,
        mode=info.mode & 0o7777,
        uid=info.uid,
        gid=info.gid,
        uname=info.uname,
        gname=info.gname,
        target=info.linkname if kind in (HARD, LINK) else '',
        size=info.size if kind == FILE else 0,
        offset=info.offset_data,
        pieces=None,
    )


def listing(data):
    """Returns what the tool's reader reads, or the text of its error."""
    try:
        found = read(data)
    except ArchiveError as problem:
        return str(problem)
    return [gnu_tar.as_listed(member, numeric=True) for member in found]


def test_odd_headers_are_read_like_gnu_tar_and_python_do(tmp_path):
    path = tmp_path / 'x.tar'
    compared = 0
    for number in range(FUZZ):
        data = odd_archive(number)
        path.write_bytes(data)
        expected = gnu_tar.listing(path, '--numeric-owner')
        if expected is not None and expected == python_listing(path):
            assert listing(data) == expected, f'archive {number}'
            compared += 1
    assert compared > FUZZ / 4
