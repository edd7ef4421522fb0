# SPDX-License-Identifier: Apache-2.0
"""What of an image's archive tells clients where all else is: pure functions to its content."""

import json

from image_archive.create.image import ImageParts, OpenedImage


def manifest(image: OpenedImage, config_name: str, layer_names: list[str]) -> str:
    """Returns the content of manifest.json (Docker image specification v1.2).

    Args:
        image: the image.
        config_name: the name of its configuration in the archive.
        layer_names: the names of all its layers, bottom layer first.
    """
    entry = {'Config': config_name, 'Layers': layer_names, 'RepoTags': list(image.parts.tags)}
    if image.base is not None and image.base.parent is not None:
        entry['Parent'] = image.base.parent
    return json.dumps([entry], sort_keys=True)


def repositories(parts: ImageParts) -> str:
    """Returns the content of `repositories`, by which Docker before 1.10 names an image.

    Args:
        parts: the parts of the image, a repository among them.
    """
    # With the image's identifier Docker's v1 loader says "invalid target ID".
    identifier = parts.legacy_id or parts.identifier
    return json.dumps({parts.repository: {parts.name: identifier}}, indent=2)
