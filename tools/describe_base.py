# SPDX-License-Identifier: Apache-2.0
"""Writes what a container client may know the base of an image by, for load_image.sh.

Usage: describe_base.py COUNT BASE PARTIAL CONFIG OUTPUT

BASE is the archive of the base, PARTIAL that of the image without the layers of the base, CONFIG
the configuration of the image, and COUNT the number of its own layers. Each line of OUTPUT is
`layer` and the diff ID of a layer of the base; `name` and what a client that has the base may call
it, the digest of its configuration or manifest, or a tag; or `tag` and a tag of the image.
"""

import json
import os
import re
import sys
from collections.abc import Iterator
from typing import Any

import utils

_NAME = r'[A-Za-z0-9][\w.:/@-]*'


def names_of_base(path: str, parent: str | None) -> Iterator[str]:
    """Yields names that a client may have the base by.

    Args:
        path: the path of the base: an archive, or a directory with an OCI image layout.
        parent: the digest of its configuration.

    Raises:
        ArchiveError, OSError: it cannot be read.
    """
    # Docker's store of the graph drivers, and Podman, know an image by its configuration.
    if parent is not None:
        yield parent
    if os.path.isdir(path):
        with open(os.path.join(path, 'index.json'), 'rb') as file:
            index: bytes | None = file.read()
        manifest = None
    else:
        index = utils.GetTarFile(path, 'index.json')
        manifest = utils.GetLatestManifestFromTar(path)
    # containerd's store knows it by what an index leads to.
    if index is not None:
        for descriptor in json.loads(index).get('manifests') or ():
            yield descriptor['digest']
    if manifest is not None:
        yield from manifest.get('RepoTags') or ()


def lines(count: int, base: str, partial: str, config: dict[str, Any]) -> Iterator[str]:
    """Yields the lines to write; the arguments are those of the program.

    Raises:
        ArchiveError, OSError: an archive cannot be read.
    """
    diff_ids = config['rootfs']['diff_ids']
    for diff_id in diff_ids[: len(diff_ids) - count]:
        yield f'layer {diff_id}'
    image = utils.GetLatestManifestFromTar(partial) or {}
    for name in names_of_base(base, image.get('Parent')):
        # Nothing else goes to a shell.
        if re.fullmatch(_NAME, name, re.ASCII) is not None:
            yield f'name {name}'
    for tag in image.get('RepoTags') or ():
        yield f'tag {tag}'


def main() -> None:
    """Writes the file that the arguments name."""
    _, count, base, partial, config_path, output = sys.argv
    with open(config_path, 'rb') as config_file:
        config = json.load(config_file)
    with open(output, 'w', encoding='ascii') as file:
        for line in lines(int(count), base, partial, config):
            file.write(f'{line}\n')


main()
