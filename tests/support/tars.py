# SPDX-License-Identifier: Apache-2.0
"""Building tar archives from bytes, one member at a time, also broken ones; reading archives."""

import bz2
import gzip
import hashlib
import json
import lzma
import subprocess
import tarfile

from image_archive.tar import compression
from support.needs import require


def sha256(data):
    return hashlib.sha256(data).hexdigest()


# Building archives.

# Start and end of the fields in a header (POSIX ustar). Old GNU tar has times in place of prefix.
FIELDS = {
    'name': (0, 100),
    'mode': (100, 108),
    'uid': (108, 116),
    'gid': (116, 124),
    'size': (124, 136),
    'mtime': (136, 148),
    'checksum': (148, 156),
    'type': (156, 157),
    'linkname': (157, 257),
    'magic': (257, 265),
    'uname': (265, 297),
    'gname': (297, 329),
    'devmajor': (329, 337),
    'devminor': (337, 345),
    'prefix': (345, 500),
}
BLOCK = tarfile.BLOCKSIZE
FILE, DIR, LINK, HARD = tarfile.REGTYPE, tarfile.DIRTYPE, tarfile.SYMTYPE, tarfile.LNKTYPE
EXTENDED, GLOBAL = tarfile.XHDTYPE, tarfile.XGLTYPE
LONG_NAME, LONG_LINK = tarfile.GNUTYPE_LONGNAME, tarfile.GNUTYPE_LONGLINK


def member(
    name, data=b'', kind=FILE, link='', size=None, dialect=tarfile.GNU_FORMAT, raw=None, **fields
):
    """Returns a member of an archive: its headers, and its data in whole blocks.

    Args:
        name: A name of any length; the dialect says how a long name is written.
        data: The content, also that of an extended header or a long name.
        kind: The type, any byte.
        link: The target of a link.
        size: The size in the header, if it differs from that of data.
        dialect: One of the formats of tarfile.
        raw: {field of FIELDS: bytes} to write to the header unchanged. The checksum is right,
            unless it is one of them.
        **fields: Other attributes of tarfile.TarInfo.
    """
    info = tarfile.TarInfo(name)
    info.type = kind
    info.linkname = link
    info.size = len(data) if size is None else size
    for field, value in fields.items():
        setattr(info, field, value)
    header = info.tobuf(dialect, 'utf-8', 'surrogateescape')
    if raw:
        header = header[:-BLOCK] + with_fields(header[-BLOCK:], **raw)
    return header + data + bytes(-len(data) % BLOCK)


def with_fields(header, **raw):
    """Returns a header with these bytes in its fields; its checksum is corrected if not given."""
    for field, value in raw.items():
        start, end = FIELDS[field]
        header = header[:start] + value[: end - start].ljust(end - start, b'\0') + header[end:]
    if 'checksum' in raw:
        return header
    start, end = FIELDS['checksum']
    total = sum(header[:start] + b' ' * 8 + header[end:])
    return header[:start] + b'%06o\0 ' % total + header[end:]


def pax(*records, kind=EXTENDED):
    """Returns an extended header for the next member, with records such as b'path=x'."""
    lines = []
    for record in records:
        size = len(record) + len(b' \n')
        # A record begins with its length, which includes its own digits.
        digits = len(str(size + len(str(size))))
        lines.append(b'%d %s\n' % (size + digits, record))
    return member('pax', b''.join(lines), kind)


def sparse(real_size, *islands, more=b'\0', size=BLOCK):
    """Returns a member in the old GNU sparse format.

    Args:
        real_size: The size of the file, with its holes.
        *islands: (offset, size) of the data between the holes, at most four.
        more: b'\\1' says that another block of islands follows.
        size: The size in the header; one block of zeros follows the header in any case.
    """
    numbers = [number for island in islands for number in island]
    table = b''.join(_number(number) for number in numbers).ljust(96, b'\0')
    # The islands replace the prefix of ustar, after three times and two numbers (tar(5)).
    prefix = bytes(41) + table + more + _number(real_size)
    fields = {'prefix': prefix, 'magic': b'ustar  \0'}
    return member('s', kind=tarfile.GNUTYPE_SPARSE, size=size, raw=fields) + bytes(BLOCK)


def _number(value):
    return tarfile.itn(value, 12, tarfile.GNU_FORMAT)


def tar_of(*members):
    """Returns an archive that ends like those of GNU tar: two zero blocks and a full record."""
    data = b''.join(members) + bytes(2 * BLOCK)
    return data + bytes(-len(data) % tarfile.RECORDSIZE)


def write_tar(path, *members):
    path.write_bytes(tar_of(*members))
    return path


def make_tar(path, files, **fields):
    """Writes an archive of {name: content}, owned by root, with time 0."""
    return write_tar(path, *(member(name, data, **fields) for name, data in files.items()))


def headers(data):
    """Yields the offsets of the headers in a valid archive."""
    start, end = FIELDS['size']
    place = 0
    while any(data[place : place + BLOCK]):
        yield place
        size = int(data[place + start : place + end - 1], 8)
        place += BLOCK + -(-size // BLOCK) * BLOCK


# Reading archives.


def members(path):
    """Returns the archive's members as [(TarInfo, content or None)]."""
    with tarfile.open(path) as tar:
        return [(m, tar.extractfile(m).read() if m.isreg() else None) for m in tar]


def names(path):
    return [member.name for member, _ in members(path)]


def content(path, name):
    """Returns the content of the only member of this name; links are followed."""
    with tarfile.open(path) as tar:
        assert tar.getnames().count(name) == 1
        return tar.extractfile(name).read()


def manifest(path):
    (entry,) = json.loads(content(path, 'manifest.json'))
    return entry


def uncompressed(data):
    """Returns the content of a layer, plain or in any compression that layers have."""
    if data.startswith(b'\x1f\x8b'):
        return gzip.decompress(data)
    if data.startswith(b'BZh'):
        return bz2.decompress(data)
    if data.startswith(b'\xfd7zXZ'):
        return lzma.decompress(data)
    if data.startswith(b'\x28\xb5\x2f\xfd'):
        require('zstd')
        return subprocess.run(['zstd', '-dc'], input=data, capture_output=True, check=True).stdout
    return data


def python_reads_zstd():
    return compression.can_inflate('zstd')
