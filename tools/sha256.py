# SPDX-License-Identifier: Apache-2.0
"""Writes the SHA-256 of a file into another one, for the rules of docker.bzl.

Of a compressed layer it is that of the tar archive inside, by which configurations name layers.
"""

import sys
from collections.abc import Iterator
from typing import BinaryIO

from image_archive.digests import new_sha256
from image_archive.tar import streams


def blocks_of(file: BinaryIO) -> Iterator[bytes]:
    """Yields the content of a file, inflated where it is compressed.

    Args:
        file: the file, at its beginning.

    Raises:
        StreamError, UnreadableError: as streams.inflate().
        OSError: it cannot be read.
    """
    compression = streams.detect(file.read(streams.HEAD_SIZE))
    file.seek(0)
    if compression is not None:
        yield from streams.inflate(file, compression)
        return
    block = file.read(streams.BLOCK_SIZE)
    while block:
        yield block
        block = file.read(streams.BLOCK_SIZE)


def main() -> None:
    """Writes the SHA-256 of the content of one file to another."""
    _, source, output = sys.argv
    digest = new_sha256()
    with open(source, 'rb') as file:
        try:
            for block in blocks_of(file):
                digest.update(block)
        except streams.StreamError as error:
            sys.exit(f'sha256: {source!r} {error}: replace it')
        except streams.UnreadableError as error:
            sys.exit(f'sha256: {source!r} {error}')
    with open(output, 'w', encoding='ascii') as file_of_digest:
        file_of_digest.write(f'{digest.hexdigest()}\n')


main()
