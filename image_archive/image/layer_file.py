# SPDX-License-Identifier: Apache-2.0
"""The file of a layer: everything that a check or a descriptor needs of it."""

import contextlib
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from image_archive.digests import algorithm_of, new_hash
from image_archive.image import oci
from image_archive.image.oci import Descriptor
from image_archive.system.beside import Beside, Pending, core_count, read_ahead
from image_archive.system.progress import Progress
from image_archive.tar.compression import (
    LARGE_BLOCK_SIZE,
    can_inflate,
    detect_compression,
    inflate,
    looks_otherwise,
)
from image_archive.tar.content import Source, SourceStream
from image_archive.tar.member import Member
from image_archive.tar.reader import BlockStream, Stream, TarReader

# Names of members that are no files (OCI image specification, "Whiteouts"): the first hides the
# file whose name follows, the second all files of its directory in the layers below.
WHITEOUT = '.wh.'
OPAQUE = '.wh..wh..opq'
AUFS_PREFIX = '.wh..wh.'  # of that, and of what aufs itself stores in a layer
_THREADS_LIMIT = 4  # each holds blocks of LARGE_BLOCK_SIZE


class LayerFile:
    """The file of a layer. It is read at most once for its digests.

    Attributes:
        label: its name in messages.
        source: its content as it is stored.
        compression: what detect_compression() returned for it.
        diff_id: the diff ID that it should have, `sha256:HEX`; None if that is not known.
        named_digest: the digest in its name; None without one.
        content_sha256: the SHA-256 of the uncompressed tar archive in hex; None until read().
        has_more: whether data follow the end of the tar archive; known after read().
        has_label: whether it has a volume label of GNU tar; known after read().
        leniences: what read() reads that clients do not, each in words that follow the label.
    """

    def __init__(
        self,
        label: str,
        source: Source,
        diff_id: str | None = None,
        named_digest: str | None = None,
    ) -> None:
        self.label = label
        self.source = source
        head = source.head()
        self.compression = detect_compression(head)
        self.leniences: list[str] = []
        if looks_otherwise(head):
            self.leniences.append('begins with bytes by which clients take it for another format')
        self.diff_id = diff_id
        self.named_digest = named_digest
        self.content_sha256: str | None = None
        self.has_more = False
        self.has_label = False
        self._stored_sha256: str | None = None
        self._hashing: Pending[str] | None = None

    @property
    def can_be_read(self) -> bool:
        """Whether this Python can inflate it."""
        return self.compression is None or can_inflate(self.compression)

    @property
    def can_be_hashed_alone(self) -> bool:
        """Whether its headers are found without reading it all, and its bytes are its content."""
        is_plain = self.compression is None and self.source.sparse_map is None
        return is_plain and self.source.file.descriptor is not None

    def begin_hashing(self, beside: 'Beside[LayerFile, str]') -> None:
        """Makes a thread hash it; read() takes the hash."""
        self._hashing = beside.put(self)

    def read(self, visit: Callable[[Member], None], progress: Progress) -> None:
        """Reads the tar archive that the layer must be.

        Args:
            visit: called with each member.
            progress: advanced by the bytes that are read.

        Raises:
            ArchiveError: it is cut off, damaged or not a tar archive.
            OSError: it cannot be read.
        """
        if self._hashing is None:
            self._read_all(visit, progress)
            return
        reader = TarReader(SourceStream(self.source), self.label)
        for member in reader:
            visit(member)
        self.content_sha256 = self._hashing.result()
        self._stored_sha256 = self.content_sha256
        self._note(reader)

    def _read_all(self, visit: Callable[[Member], None], progress: Progress) -> None:
        """Reads all bytes in their order; raises what read() raises."""
        content_hash = new_hash()
        stored_hash = content_hash
        with contextlib.ExitStack() as threads:
            blocks = self.source.blocks(progress, LARGE_BLOCK_SIZE)
            if self.compression is not None:
                stored_hash = new_hash()
                stored = BlockStream(_hashed(blocks, stored_hash))
                inflated = inflate(stored, self.compression, self.leniences)
                blocks = threads.enter_context(read_ahead(inflated))
            hashed = threads.enter_context(read_ahead(_hashed(blocks, content_hash)))
            reader = TarReader(BlockStream(hashed), self.label)
            for member in reader:
                visit(member)
        self.content_sha256 = content_hash.hexdigest()
        self._stored_sha256 = stored_hash.hexdigest()
        self._note(reader)

    def _note(self, reader: TarReader) -> None:
        """Notes what is known at the end of the tar archive."""
        self.has_more = reader.has_more
        self.has_label = reader.has_label
        self.leniences += reader.leniences

    def read_headers(self, visit: Callable[[Member], None], progress: Progress) -> None:
        """Reads the members of the tar archive, and their data only as far as that must be.

        Args:
            visit: called with each member.
            progress: advanced by the bytes that are read of a compressed layer.

        Raises:
            ArchiveError: it is cut off, damaged or not a tar archive.
            OSError: it cannot be read.
        """
        stream: Stream = SourceStream(self.source)
        with contextlib.ExitStack() as threads:
            if self.compression is not None:
                stored = BlockStream(self.source.blocks(progress))
                inflated = inflate(stored, self.compression)
                stream = BlockStream(threads.enter_context(read_ahead(inflated)))
            elif self.source.sparse_map is not None:
                stream = BlockStream(self.source.blocks(progress))
            for member in TarReader(stream, self.label):
                visit(member)

    def stored_sha256(self, progress: Progress) -> str:
        """Returns the SHA-256 of the file as it is stored, 64 hex digits.

        Args:
            progress: advanced by the bytes that are read.

        Raises:
            OSError: it cannot be read.
        """
        if self._stored_sha256 is None:
            self._stored_sha256 = self.source.hash_with('sha256', progress)
        return self._stored_sha256

    def stored_digest(self, like: str, progress: Progress) -> str:
        """Returns the digest of the file as it is stored.

        Args:
            like: a digest with the algorithm to use.
            progress: advanced by the bytes that are read.

        Raises:
            OSError: it cannot be read.
        """
        algorithm = like.partition(':')[0]
        if algorithm == 'sha256':
            return f'sha256:{self.stored_sha256(progress)}'
        return f'{algorithm}:{self.source.hash_with(algorithm, progress)}'


@contextlib.contextmanager
def hash_beside(layers: Iterable[LayerFile], progress: Progress) -> Iterator[None]:
    """Hashes plain layers in threads, if there are several of them, and several cores.

    In the context LayerFile.read() only reads their headers, and waits for the hash. A layer that
    is alone is read once, by a thread that hashes it: finding headers in the blocks of that takes
    less time.

    Args:
        layers: the layers that will be read, in their order.
        progress: advanced by the bytes that are read.
    """
    plain = [layer for layer in layers if layer.can_be_hashed_alone]
    thread_count = min(core_count(), _THREADS_LIMIT, len(plain))
    if thread_count <= 1:
        yield
        return

    def hash_layer(layer: LayerFile) -> str:
        return layer.source.hash_with('sha256', progress)

    with contextlib.closing(Beside(hash_layer, thread_count)) as beside:
        for layer in plain:
            layer.begin_hashing(beside)
        yield


def describe_file(
    layer: LayerFile, diff_id: str, progress: Progress, like: str | None = None
) -> Descriptor:
    """Returns the descriptor of a layer; of a plain one the diff ID is the digest.

    Args:
        layer: the layer, with a compression for which oci.is_layer_compression() is true.
        diff_id: its diff ID, `sha256:HEX`.
        progress: advanced by the bytes that are read.
        like: the digest that it should have, by whose algorithm it is described.

    Raises:
        OSError: it cannot be read.
    """
    digest = diff_id
    if like is not None and algorithm_of(like) != algorithm_of(diff_id):
        digest = layer.stored_digest(like, progress)
    elif layer.compression is not None:
        digest = f'sha256:{layer.stored_sha256(progress)}'
    return oci.describe_layer(layer.compression, digest, layer.source.size)


def _hashed(blocks: Iterator[bytes], digest: Any) -> Iterator[bytes]:
    for block in blocks:
        digest.update(block)
        yield block
