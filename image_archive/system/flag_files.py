# SPDX-License-Identifier: Apache-2.0
"""Files with flags, which --flagfile names, as absl reads them: one flag a line.

absl itself prints lines of its own for files that cannot be read, and decodes them by the locale.
"""

import codecs
import os
from collections.abc import Iterator, Sequence

from image_archive.errors import ArgumentError
from image_archive.system.inputs import read_small_file

_NAMES = ('-flagfile', '--flagfile')


class FlagFiles:
    """Reads files with flags.

    Attributes:
        paths: the paths of the files that were read.
    """

    def __init__(self) -> None:
        self.paths: list[str] = []

    def expand(self, arguments: Sequence[str]) -> list[str]:
        """Returns arguments with the flags of a file in place of each --flagfile.

        Args:
            arguments: the arguments as Python decoded them.

        Raises:
            ArgumentError: no file is named, a file is not UTF-8, or leads to itself.
            OSError: a file cannot be read.
        """
        expanded: list[str] = []
        rest = iter(arguments)
        for argument in rest:
            if argument == '--':  # absl takes nothing after it for a flag
                return [*expanded, argument, *rest]
            name, equals, path = argument.partition('=')
            if name not in _NAMES:
                expanded.append(argument)
                continue
            if not equals:
                path = next(rest, '')
                if not path:
                    raise ArgumentError('--flagfile: it names no file: give --flagfile=FILE')
            expanded += self._read(path, [])
        return expanded

    def _read(self, path: str, parents: list[str]) -> Iterator[str]:
        """Yields the flags of a file, and of the files that it names; an empty path is no file.

        Args:
            path: the path of the file.
            parents: the files that name it, without links.
        """
        if not path:
            return
        path = os.path.expanduser(path)
        file = os.path.realpath(path)
        if file in parents:
            raise ArgumentError(f'--flagfile: {path!r} leads to itself: leave that line out')
        self.paths.append(path)
        data = read_small_file(path)
        try:
            data.decode('utf-8')
        except UnicodeDecodeError as error:
            text = f'{path!r} is not in UTF-8: save it as UTF-8'
            raise ArgumentError(f'--flagfile: {text}') from error
        for line in data.removeprefix(codecs.BOM_UTF8).splitlines():
            flag = os.fsdecode(line).strip()
            name, _, value = flag.partition('=')
            if name in _NAMES:
                yield from self._read(value.strip(), [*parents, file])
            elif flag and not flag.startswith(('#', '//')):
                yield flag
