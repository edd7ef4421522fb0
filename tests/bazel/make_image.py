# SPDX-License-Identifier: Apache-2.0
"""Makes an image as another project's build script does, by what it imports from create_image.

Usage: make_image.py OUTPUT CONFIG CONFIG_SHA256 LAYER_SHA256 LAYER BASE
"""

import sys

import image_archive
from archive import TarFileWriter
from create_image import create_image
from utils import ExtractValue


def identifier_in(path: str) -> str:
    """Returns the SHA-256 in a file that sha256sum wrote."""
    return ExtractValue(f'@{path}').split()[0]


def main() -> None:
    """Makes the image of the arguments."""
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
