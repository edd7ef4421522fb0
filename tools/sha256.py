# SPDX-License-Identifier: Apache-2.0
"""Writes the SHA-256 of a file to another one, for the rules of docker.bzl.

Of a compressed layer it is that of the tar archive inside, by which configurations name layers.
"""

import sys
from collections.abc import Iterator
from typing import BinaryIO

from image_archive.digests import new_hash
from image_archive.tar import compression


def blocks_of(file: BinaryIO) -> Iterator[bytes]:
    """Yields the content of a file, inflated if it is compressed.

    Args:
        file: the file, at its beginning.

    Raises:
        StreamError, UnreadableError: as inflate().
        OSError: it cannot be read.
    """
    detected = compression.detect_compression(file.read(compression.HEAD_SIZE))
    file.seek(0)
    if detected is not None:
        yield from compression.inflate(file, detected)
        return
    block = file.read(compression.BLOCK_SIZE)
    while block:
        yield block
        block = file.read(compression.BLOCK_SIZE)


def main() -> None:
    """Writes the SHA-256 of the content of one file to another."""
    _, source, output = sys.argv
    digest = new_hash()
    with open(source, 'rb') as file:
        try:
            for block in blocks_of(file):
                digest.update(block)
        except compression.StreamError as error:
            sys.exit(f'sha256: {source!r} {error}: replace it')
        except compression.UnreadableError as error:
            sys.exit(f'sha256: {source!r} {error}')
    with open(output, 'w', encoding='ascii') as file_of_digest:
        file_of_digest.write(f'{digest.hexdigest()}\n')


main()
