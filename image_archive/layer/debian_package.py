# SPDX-License-Identifier: Apache-2.0
"""Debian packages: an ar archive, in which data.tar has the files (deb(5), ar(5))."""

from image_archive.errors import ArchiveError
from image_archive.system.inputs import InputFile, errors_about

_MAGIC = b'!<arch>\n'
_HEADER_SIZE = 60
_HEADER_END = b'`\n'
_MEMBERS_LIMIT = 100
_DATA = 'data.tar'


def find_data(package: InputFile) -> tuple[int, int]:
    """Returns where the tar archive with the files lies in a package: offset and size, in bytes.

    Args:
        package: the file of the package.

    Raises:
        ArchiveError: it is not a package, or is damaged.
        OSError: it cannot be read.
    """
    with errors_about(package.path):
        if package.read_at(0, len(_MAGIC)) != _MAGIC:
            text = 'is not a Debian package: give a .deb file'
            raise ArchiveError(f'{package.path!r} {text}')
        offset = len(_MAGIC)
        for _ in range(_MEMBERS_LIMIT):
            header = package.read_at(offset, _HEADER_SIZE)
            if not header:
                break
            offset += _HEADER_SIZE
            size = _size_in(header)
            if size is None or offset + size > package.size:
                text = 'is cut off or damaged: replace it'
                raise ArchiveError(f'{package.path!r} {text}')
            name = header[:16].decode('latin-1').rstrip(' /')
            if name == _DATA or name.startswith(f'{_DATA}.'):
                return offset, size
            offset += size + size % 2
    raise ArchiveError(f'{package.path!r} has no {_DATA}: give a Debian package')


def _size_in(header: bytes) -> int | None:
    """Returns the size of a member of an ar archive; None if its header is damaged."""
    digits = header[48:58].rstrip(b' ')
    if len(header) < _HEADER_SIZE or header[58:] != _HEADER_END or not digits.isdigit():
        return None
    return int(digits)
