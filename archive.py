# SPDX-License-Identifier: Apache-2.0
"""TarFileWriter, for build scripts that import it by its name of 2016."""

from image_archive.tar.writer import TarFileWriter as TarFileWriter
