# SPDX-License-Identifier: Apache-2.0
"""The documents at the end of an archive, by which clients find everything else."""

import json
from typing import Any, NamedTuple

from image_archive.image import oci
from image_archive.image.docker_manifest import (
    MANIFEST_NAME,
    REPOSITORIES_NAME,
    TOP_NAME,
    Repositories,
)
from image_archive.image.oci_index import INDEX_NAME, LAYOUT_NAME
from image_archive.tar.writer import TarFileWriter


class Documents(NamedTuple):
    """The documents of an archive. None and an empty one are left out.

    Attributes:
        oci_index: the content of index.json, which makes the archive an OCI image layout as well.
        manifest: the entries of manifest.json.
        top: the v1 identifier of the top layer.
        repositories: the names for Docker 1.9 and older.
    """

    oci_index: str | bytes | None = None
    manifest: list[dict[str, Any]] | None = None
    top: str | None = None
    repositories: Repositories | None = None


def add_documents(tar: TarFileWriter, documents: Documents) -> None:
    """Adds the documents to an archive.

    Args:
        tar: the archive, in which all else is.
        documents: the documents.

    Raises:
        OSError: the archive cannot be written.
    """
    if documents.oci_index is not None:
        tar.add_file(INDEX_NAME, content=documents.oci_index)
        tar.add_file(LAYOUT_NAME, content=oci.LAYOUT)
    if documents.manifest:
        tar.add_file(MANIFEST_NAME, content=manifest_content(documents.manifest))
    if documents.top is not None:
        tar.add_file(TOP_NAME, content=documents.top)
    if documents.repositories:
        content = json.dumps(documents.repositories, indent=2, sort_keys=True)
        tar.add_file(REPOSITORIES_NAME, content=content)


def manifest_content(entries: list[dict[str, Any]]) -> str:
    """Returns the content of manifest.json, from its entries."""
    return json.dumps(entries, sort_keys=True)
