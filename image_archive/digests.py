# SPDX-License-Identifier: Apache-2.0
"""SHA-256, by which images name everything."""

from typing import Any


def new_sha256() -> Any:
    """Returns a new digest, to be fed by update()."""
    import hashlib  # here, for it loads OpenSSL, which takes time at every start

    return hashlib.sha256()


def sha256(data: bytes) -> str:
    """Returns the SHA-256 of bytes, in hex.

    Args:
        data: the bytes.
    """
    digest = new_sha256()
    digest.update(data)
    return str(digest.hexdigest())
