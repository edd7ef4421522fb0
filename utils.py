# SPDX-License-Identifier: Apache-2.0
"""The functions of 2016 that read values and image archives, for build scripts."""

from image_archive.image.bases import (
    ExtractValue,
    GetLatestManifestFromTar,
    GetManifestFromTar,
    GetTarFile,
)

__all__ = ['ExtractValue', 'GetLatestManifestFromTar', 'GetManifestFromTar', 'GetTarFile']
