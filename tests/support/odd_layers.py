# SPDX-License-Identifier: Apache-2.0
"""Layers that clients cannot unpack, and sound ones beside them (section 7)."""

import gzip
import tarfile
import zlib

from support.tars import DIR, FILE, HARD, LINK, member, pax, sparse, tar_of

LONG = 'q' * 256
COME_TWICE = 'comes twice: pack the layer again, each path once'


def device(name):
    """Returns a device: /dev/null, because overlay takes 0:0 for a whiteout."""
    return member(name, kind=tarfile.CHRTYPE, devmajor=1, devminor=3)


def xattr(name, value=b'x'):
    return pax(b'SCHILY.xattr.' + name + b'=' + value)


CAPABILITY = bytes.fromhex('0100000200200000000000000000000000000000')  # cap_net_raw, effective

# The members of a layer, and what is said of the one that cannot be unpacked.
ODD = {
    'a file twice': ([member('a', b'1'), member('b'), member('a', b'2')], f"'a' {COME_TWICE}"),
    'a file twice as ./a': ([member('a', b'1'), member('./a', b'2')], f"'./a' {COME_TWICE}"),
    'a directory twice': (
        [member('d/', kind=DIR), member('d/a'), member('d/', kind=DIR)],
        f"'d' {COME_TWICE}",
    ),
    'the root twice': (
        [member('./', kind=DIR), member('a'), member('./', kind=DIR)],
        f"'.' {COME_TWICE}",
    ),
    'a hard link to nothing': ([member('a', kind=HARD, link='none')], "a hard link to 'none'"),
    'a hard link before its target': (
        [member('a', kind=HARD, link='b'), member('b')],
        "'a' is a hard link to 'b', which is not before it in the layer",
    ),
    'a hard link to a directory': (
        [member('d', kind=DIR), member('a', kind=HARD, link='d')],
        "'a' is a hard link to a directory, 'd'",
    ),
    'a sparse file of GNU tar': ([sparse(512, (0, 512))], "'s' is a sparse file of GNU tar"),
    'a contiguous file': ([member('a', kind=b'7')], "'a' is a contiguous file"),
    'a dumpdir': ([member('d', b'\0', kind=b'D')], "'d' is a dumpdir of GNU tar"),
    'an unknown type': ([member('a', kind=b'Z')], "'a' is of the unknown type b'Z'"),
    'a root that is a file': ([member('./', b'x', kind=FILE)], 'is the root'),
    'a file, then its whiteout': (
        [member('a', b'x'), member('.wh.a')],
        "'.wh.a' is a whiteout of 'a', which comes before it in the layer",
    ),
    'a member of a directory, then its whiteout': (
        [member('d/a', b'x'), member('.wh.d')],
        "'.wh.d' is a whiteout of 'd', which comes before it in the layer",
    ),
    'a whiteout twice': ([member('.wh.a'), member('.wh.a')], f"'.wh.a' {COME_TWICE}"),
    'a whiteout below a whiteout': (
        [member('.wh.d'), member('d/.wh.x')],
        "'d/.wh.x' is below 'd', which the layer deletes",
    ),
    'a file below a whiteout': (
        [member('.wh.d'), member('d/e/x', b'x')],
        "'d/e/x' is below 'd', which the layer deletes",
    ),
    'a whiteout of nothing': ([member('.wh.')], "'.wh.' is a whiteout of nothing"),
    'a name that leads out': ([member('../a')], "'../a' leads out of the root"),
    'an absolute name that leads out': ([member('/d/../../a')], 'leads out of the root'),
    'a file below a file': ([member('a'), member('a/b')], "'a/b' is below 'a', which is a file"),
    'a file below a link that leads out': (
        [member('l', kind=LINK, link='../../..'), member('l/x', b'x')],
        "'l/x' is below 'l', a link to no directory that is before it in the layer",
    ),
    'a file below a link in a circle': (
        [member('l', kind=LINK, link='m'), member('m', kind=LINK, link='/l'), member('l/x')],
        "'l/x' is below 'l', a link to no directory that is before it in the layer",
    ),
    'a file below a link to nothing': (
        [member('l', kind=LINK, link='/gone'), member('l/x', b'x')],
        "'l/x' is below 'l', a link to no directory that is before it in the layer",
    ),
    'a file below a link to a later directory': (
        [member('l', kind=LINK, link='d'), member('l/x', b'x'), member('d/', kind=DIR)],
        "'l/x' is below 'l', a link to no directory that is before it in the layer",
    ),
    'a file far below a link to a file': (
        [member('f'), member('l', kind=LINK, link='f'), member('l/d/e/x')],
        "'l/d/e/x' is below 'l', a link to no directory that is before it in the layer",
    ),
    'a capability of no form': (
        [xattr(b'security.capability'), member('a')],
        "'a' has a security.capability that Linux does not take",
    ),
    'an attribute with a long name': (
        [xattr(b'trusted.' + b'a' * 250), member('a')],
        "'a' has an extended attribute with a name of over 255 bytes",
    ),
    'a long component': ([member(LONG)], 'has a name with over 255 bytes between slashes'),
    'a long component of few characters': ([member('ü' * 128)], 'over 255 bytes between'),
    'a long name': ([member('/'.join(['d' * 200] * 21))], 'has a name of over 4096 bytes'),
    'a link with a long target': (
        [member('a', kind=LINK, link='l' * 4096)],
        "'a' is a link with a target of over 4095 bytes",
    ),
    'an attribute of macOS': (
        [xattr(b'com.apple.provenance'), member('a')],
        "'a' has the extended attribute 'com.apple.provenance'",
    ),
    'an attribute of users on a link': (
        [xattr(b'user.a'), member('a', kind=LINK, link='b')],
        "'a' has the extended attribute 'user.a'",
    ),
    'an attribute of users on a device': (
        [xattr(b'user.a'), device('a')],
        "'a' has the extended attribute 'user.a'",
    ),
}

SOUND = {
    'each path once': [member('d/', kind=DIR), member('d/a', b'1'), member('d/b'), member('e')],
    'a directory after its member': [member('d/a', b'1'), member('d/', kind=DIR)],
    'hard links to links and devices': [
        member('a', kind=LINK, link='none'),
        member('b', kind=HARD, link='a'),
        device('c'),
        member('e', kind=HARD, link='./c'),
        member('f', kind=HARD, link='/e'),
    ],
    'a sparse file of PAX': [
        pax(b'GNU.sparse.size=1024', b'GNU.sparse.numblocks=1', b'GNU.sparse.map=0,512'),
        member('a', bytes(512)),
    ],
    'a whiteout, then the file': [member('.wh.a'), member('a', b'x')],
    'a whiteout, then the directory and a file in it': [
        member('.wh.d'),
        member('d/', kind=DIR),
        member('d/x', b'x'),
    ],
    'an opaque directory': [member('d/', kind=DIR), member('d/.wh..wh..opq'), member('d/x', b'x')],
    'a name with dots inside': [member('a..b'), member('d/..c'), member('d/../e')],
    'below a link': [
        member('usr/bin/', kind=DIR),
        member('bin', kind=LINK, link='usr/bin'),
        member('bin/x', b'x'),
    ],
    'a link with a target of 4095 bytes': [member('a', kind=LINK, link='l' * 4095)],
    'global headers of two names': [
        member('g1', b'13 comment=x\n', tarfile.XGLTYPE),
        member('g2', b'13 comment=x\n', tarfile.XGLTYPE),
        member('a', b'x'),
    ],
    'below links to links': [
        member('d/e/', kind=DIR),
        member('l', kind=LINK, link='./m/'),
        member('m', kind=LINK, link='/d/../d'),
        member('l/e/f/x', b'x'),
        member('root', kind=LINK, link='/'),
        member('root/y', b'x'),
    ],
    'a component of 255 bytes': [member('q' * 255, b'x')],
    'an attribute of users': [xattr(b'user.a'), member('a', b'x')],
    'capabilities': [
        xattr(b'security.capability', CAPABILITY),
        member('a', b'x'),
        xattr(b'security.capability', bytes([1, 0, 0, 3]) + CAPABILITY[4:] + bytes(4)),
        member('b', b'x'),
    ],
    'an attribute of bsdtar': [pax(b'LIBARCHIVE.xattr.com.apple.a=eA=='), member('a', b'x')],
}


# Layers above one that has the file `f` and the directory `d`: the members, and what is said of the
# one that containerd does not unpack.
FILE_BELOW = [member('f', b'x'), member('d/', kind=DIR), member('d/f', b'x')]
_BELOW_FILE = "is below 'f', which is a file in a layer below: add a member for 'f/e'"
ODD_ABOVE = {
    'in a directory without a member': ([member('f/e/x')], _BELOW_FILE),
    'the same, below a member': ([member('f/', kind=DIR), member('f/e/x')], _BELOW_FILE),
    'the same, after a whiteout': (
        [member('.wh.f'), member('f/', kind=DIR), member('f/e/x')],
        _BELOW_FILE,
    ),
}
SOUND_ABOVE = {
    'each directory has a member': [
        member('f/', kind=DIR),
        member('f/e/', kind=DIR),
        member('f/e/x'),
    ],
    'a file in it': [member('f/x')],
    'another directory': [member('d/e/x')],
    'a file for a directory': [member('d', b'x')],
}


def zero_filled_header():
    """Returns a PAX header whose record does not fill it, as POSIX demands."""
    return member('pax', b'11 mtime=1\n' + bytes(5), tarfile.XHDTYPE)


PLAIN = tar_of(member('a', b'x'))
# Layers as they are stored, which are read here, and which no client reads; what is said of them.
READ_LENIENTLY = {
    'a second zero block that is cut off': (
        member('a', b'x') + bytes(700),
        'ends within its second zero block',
    ),
    'a PAX header that zeros fill up': (
        tar_of(zero_filled_header(), member('a', b'x')),
        'has a PAX header that zeros fill up',
    ),
    'two global headers of one name': (
        tar_of(*[pax(b'comment=x', kind=tarfile.XGLTYPE)] * 2, member('a', b'x')),
        'has two global PAX headers of one name, which Docker and Podman refuse',
    ),
    'zeros after gzip': (gzip.compress(PLAIN) + bytes(512), 'has zeros after a compressed stream'),
    'a member like a bzip2 file': (
        tar_of(member('BZh9', b'x')),
        'begins with bytes by which clients take it for another format',
    ),
}


def content_of(stored):
    """Returns the tar archive of a layer, plain or in gzip with zeros after it."""
    if stored.startswith(b'\x1f\x8b'):
        return zlib.decompressobj(wbits=31).decompress(stored)
    return stored


def odd_layer(case):
    """Returns the bytes of an odd layer."""
    return tar_of(*ODD[case][0])


def sound_layer(case):
    """Returns the bytes of a sound layer."""
    return tar_of(*SOUND[case])
