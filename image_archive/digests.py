# SPDX-License-Identifier: Apache-2.0
"""Digests, by which images name everything, and the names of blobs.

A digest is an algorithm, a colon and hex digits (OCI image specification, "Digests"). The blob of
a digest is the member `blobs/ALGORITHM/HEX` (OCI image layout).
"""

from typing import Any

_HEX_DIGITS = '0123456789abcdef'
_HEX_LENGTHS = {'sha256': 64, 'sha512': 128}
ALGORITHMS = tuple(_HEX_LENGTHS)
_BLOBS = 'blobs/'


def new_hash(algorithm: str = 'sha256') -> Any:
    """Returns a hash object of hashlib.

    Args:
        algorithm: 'sha256' or 'sha512'.
    """
    import hashlib  # imported late: it loads OpenSSL, which takes time at every start

    return hashlib.new(algorithm)


def sha256(data: bytes) -> str:
    """Returns the SHA-256 of bytes, 64 hex digits."""
    digest = new_hash()
    digest.update(data)
    return str(digest.hexdigest())


def digest_of(data: bytes) -> str:
    """Returns the digest of bytes, `sha256:HEX`."""
    return f'sha256:{sha256(data)}'


def all_digests_of(data: bytes) -> set[str]:
    """Returns the digests of bytes with each algorithm."""
    found = set()
    for algorithm in ALGORITHMS:
        digest = new_hash(algorithm)
        digest.update(data)
        found.add(f'{algorithm}:{digest.hexdigest()}')
    return found


def is_sha256_hex(text: str) -> bool:
    """Tells whether a text is a SHA-256: 64 hex digits in lower case."""
    return len(text) == 64 and not text.strip(_HEX_DIGITS)


def is_sha256_digest(value: object) -> bool:
    """Tells whether a value from JSON is a digest with SHA-256, `sha256:HEX`."""
    return isinstance(value, str) and algorithm_of(value) == 'sha256'


def algorithm_of(digest: str) -> str | None:
    """Returns the algorithm of a digest: 'sha256' or 'sha512'; None for anything else."""
    algorithm, _, digits = digest.partition(':')
    if len(digits) != _HEX_LENGTHS.get(algorithm) or digits.strip(_HEX_DIGITS):
        return None
    return algorithm


def matches(digest: str, data: bytes) -> bool:
    """Tells whether bytes have a digest.

    Args:
        digest: a digest with SHA-256 or SHA-512.
        data: the bytes.
    """
    algorithm = algorithm_of(digest)
    if algorithm is None:
        return False
    found = new_hash(algorithm)
    found.update(data)
    return digest == f'{algorithm}:{found.hexdigest()}'


def blob_name(digest: str) -> str:
    """Returns the name of the member that is the blob of a digest."""
    return _BLOBS + digest.replace(':', '/')


def digest_in_blob_name(name: str) -> str | None:
    """Returns the digest in the name of a blob; None for another name.

    Args:
        name: the normal name of a member.
    """
    if not name.startswith(_BLOBS):
        return None
    digest = name.removeprefix(_BLOBS).replace('/', ':')
    if algorithm_of(digest) is None:
        return None
    return digest
