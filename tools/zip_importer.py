# SPDX-License-Identifier: Apache-2.0
"""Imports from a zip archive, and compiles each module once.

Python's zipimport compiles a module a second time to tell where its file is (get_filename() in
Lib/zipimport.py), and from an archive there is nothing else that takes as long.

As in start.py, nothing here is newer than Python 3.6.
"""

import os
import sys
import zipimport


class ZipImporter(zipimport.zipimporter):
    """zipimport's own, for archives of sources."""

    def get_filename(self, fullname: str) -> str:
        """Returns the path of a module's file, in the archive.

        Args:
            fullname: the full name of the module.

        Raises:
            ZipImportError: there is none.
        """
        path = os.path.join(self.archive, self.prefix, fullname.rpartition('.')[2])
        if self.is_package(fullname):
            return os.path.join(path, '__init__.py')
        return f'{path}.py'


def install() -> None:
    """Has what is imported from now on from the archive that is being run come by it."""
    sys.path_hooks.insert(0, ZipImporter)
    sys.path_importer_cache.clear()
