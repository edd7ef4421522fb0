# SPDX-License-Identifier: Apache-2.0
"""Reading small archives that are given as bytes."""

import pytest

from image_archive.errors import ArchiveError
from image_archive.tar import reader
from support.tars import member, tar_of

OLD_GNU = b'ustar  \0'
MEMBER = member('m', b'data')


def read(data):
    """Returns the members of an archive."""
    stream = reader.BlockStream(iter([data]))
    return list(reader.TarReader(stream, "'x.tar'"))


def read_one(data):
    """Returns the first of two members; the second one must be MEMBER."""
    first, last = read(tar_of(data, MEMBER))
    assert (last.name, last.size) == ('m', 4)
    return first


def error(data):
    """Returns the error that an archive gives."""
    with pytest.raises(ArchiveError) as caught:
        read(data)
    return str(caught.value)
