# SPDX-License-Identifier: Apache-2.0
"""Builds an image like the build script of another project, which imports create_image.

Usage: make_image.py OUTPUT CONFIG CONFIG_SHA256 LAYER_SHA256 LAYER BASE
"""

import sys

import image_archive
from archive import TarFileWriter
from create_image import create_image
from utils import ExtractValue


def identifier_in(path: str) -> str:
    """Returns the SHA-256 in a file written by sha256sum."""
    return ExtractValue(f'@{path}').split()[0]


def main() -> None:
    """Builds the image that the arguments describe."""
    output, config, config_sha256, layer_sha256, layer, base = sys.argv[1:]
    try:
        create_image(
            output,
            identifier_in(config_sha256),
            [{'name': identifier_in(layer_sha256), 'layer': layer}],
            config,
            base=base,
            legacy_base=base,
        )
    except TarFileWriter.Error as error:
        sys.exit(f'make_image: create_image {image_archive.VERSION} fails: {error}')


main()
