#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Makes a layer, a tarball, from files, other tarballs and Debian packages.

Example:
    build_tar.py --output=layer.tar --id_file=layer.sha256 --base=base.tar \\
        --file=app=srv/app --file=etc/=/etc --link=usr/bin/app:/srv/app
"""

if __name__ == '__main__':
    # First of all, because Ctrl-C during an import prints a traceback; signal takes long to import.
    import _signal  # type: ignore[import-not-found]

    if _signal.getsignal(_signal.SIGINT) is _signal.default_int_handler:
        _signal.signal(_signal.SIGINT, _signal.SIG_DFL)

import os
import sys

if __name__ == '__main__':
    sys.path.insert(0, os.path.dirname(os.path.realpath(__file__)))  # PYTHONSAFEPATH leaves it out
    from image_archive.system import start

    start.prepare('build_tar')

import contextlib
from collections.abc import Callable, Mapping, Sequence
from types import TracebackType
from typing import TypeVar

from absl import flags

from image_archive.errors import ArchiveError
from image_archive.image.choice import choice_of
from image_archive.layer import arguments
from image_archive.layer.assemble import LayerBuilder
from image_archive.layer.parts import LayerFiles, LayerOptions
from image_archive.system import command_line, flag_values, shared_flags
from image_archive.system.command_line import Run
from image_archive.system.flag_values import (
    all_given,
    given,
    given_text,
    path_of_text,
    text_of_argument,
)
from image_archive.system.python_values import (
    PathName,
    optional_path_of,
    optional_text_of,
    path_of,
    paths_of,
    text_of,
    texts_of,
)

FLAGS = flag_values.new_flags()  # build_image has some of them, too
_FLAGS = FLAGS
_OUTPUT = flags.DEFINE_string(
    'output', None, 'required: the tarball to write; - is stdout', flag_values=_FLAGS
)
flag_values.share_flags(_FLAGS, shared_flags.FLAGS, ['base_tag', 'platform'])
_FILE = flags.DEFINE_multi_string(
    'file',
    [],
    'SOURCE=DESTINATION: a file, or a directory with all that is in it; a file goes into a '
    'DESTINATION that ends in /',
    flag_values=_FLAGS,
)
_TAR = flags.DEFINE_multi_string(
    'tar', [], 'a tarball to merge, plain or compressed', flag_values=_FLAGS
)
_DEB = flags.DEFINE_multi_string(
    'deb', [], 'a Debian package, whose files are merged', flag_values=_FLAGS
)
_LINK = flags.DEFINE_multi_string('link', [], 'PATH:TARGET: a symbolic link', flag_values=_FLAGS)
_DIRECTORY = flags.DEFINE_string(
    'directory',
    '/',
    'the directory that files, tarballs and packages go into; links do not',
    flag_values=_FLAGS,
)
_MODE = flags.DEFINE_string(
    'mode',
    None,
    'the mode of files, octal; by default 0755 for one that is executable, else 0644',
    flag_values=_FLAGS,
)
_MODES = flags.DEFINE_multi_string(
    'modes', [], 'PATH=MODE: the mode of one file or directory', flag_values=_FLAGS
)
_COMPRESSION = flags.DEFINE_string(
    'compression', None, 'gz, bz2 or xz; none by default', flag_values=_FLAGS
)
_OWNER = flags.DEFINE_string(
    'owner', None, 'UID.GID: the owner of files and links; 0.0 by default', flag_values=_FLAGS
)
_OWNERS = flags.DEFINE_multi_string(
    'owners', [], 'PATH=UID.GID: the owner of one file or directory', flag_values=_FLAGS
)
_MTIME = flags.DEFINE_string(
    'mtime',
    None,
    'the time of all members: seconds since 1970, or in RFC 3339; 0 by default',
    flag_values=_FLAGS,
)
_EMPTY_DIR = flags.DEFINE_multi_string('empty_dir', [], 'an empty directory', flag_values=_FLAGS)
_EMPTY_FILE = flags.DEFINE_multi_string('empty_file', [], 'an empty file', flag_values=_FLAGS)
_FOLLOW_LINKS = flags.DEFINE_boolean(
    'follow_links',
    False,
    'store symbolic links in a directory as what they lead to',
    flag_values=_FLAGS,
)
_BASE = flags.DEFINE_string(
    'base',
    None,
    'the image that the layer will lie on, an image archive: its directories and links stay',
    flag_values=_FLAGS,
)
_LOWER = flags.DEFINE_multi_string(
    'lower',
    [],
    'with --base: a layer between the base and this one; bottom layer first',
    flag_values=_FLAGS,
)
_DELETE = flags.DEFINE_multi_string(
    'delete', [], 'with --base: a path of the base to delete', flag_values=_FLAGS
)
_ID_FILE = flags.DEFINE_string(
    'id_file',
    None,
    'where to write the diff ID: the SHA-256 of the uncompressed tarball',
    flag_values=_FLAGS,
)
_Value = TypeVar('_Value')


class TarFile:
    """Makes a layer; a context manager. The layer appears whole at its end, or not at all.

    Members have the order of the calls. Of members with one name only the first is kept.
    """

    Error = ArchiveError

    def __init__(
        self,
        output: PathName,
        directory: str = '/',
        compression: str | None = None,
        *,
        mode: int | None = None,
        modes: Mapping[str, int] | None = None,
        owner: tuple[int, int] = (0, 0),
        owners: Mapping[str, tuple[int, int]] | None = None,
        mtime: int = 0,
        follow_links: bool = False,
        base: PathName | None = None,
        lower: Sequence[PathName] = (),
        delete: Sequence[str] = (),
        id_file: PathName | None = None,
        base_tag: str | None = None,
        platform: str | None = None,
    ) -> None:
        """Begins a layer; with a base, reads it.

        Args:
            output: the path of the tarball; '-' is stdout.
            directory: the directory that files, tarballs and packages go into.
            compression: 'gz', 'bz2' or 'xz'; plain by default.
            mode: the mode of files; by default 0o755 for one that is executable, else 0o644.
            modes: modes by the paths of single files and directories.
            owner: the numbers of the user and the group of files and links.
            owners: owners by the paths of single files and directories.
            mtime: the time of all members in seconds since 1970.
            follow_links: whether symbolic links in directories are stored as what they lead to.
            base: the path of an image archive: the image that the layer will lie on.
            lower: the paths of layers between the base and this one, bottom layer first.
            delete: the paths of the base to delete.
            id_file: where to write the diff ID.
            base_tag: the tag of the image in the base.
            platform: the platform of the image in the base, OS/ARCHITECTURE[/VARIANT].

        Raises:
            ValueError: arguments are wrong, or do not go together.
            OSError: a file cannot be read.
            TypeError: an argument is of a wrong type.
            TarFile.Error: the base is unsound, or not an image.
        """
        options = LayerOptions(
            directory=path_of('directory', directory),
            compression=optional_text_of('compression', compression),
            mode=mode,
            modes=modes or {},
            owner=owner,
            owners=owners or {},
            mtime=mtime,
            follow_links=follow_links,
            base=optional_path_of('base', base),
            lower=tuple(paths_of('lower', lower)),
            delete=tuple(texts_of('delete', delete)),
            id_file=optional_path_of('id_file', id_file),
            choice=choice_of(
                optional_text_of('base_tag', base_tag), optional_text_of('platform', platform)
            ),
        )
        run = command_line.silent_run('build_tar')
        self._builder = LayerBuilder(path_of('output', output), options, run)

    def __enter__(self) -> 'TarFile':
        return self

    def __exit__(
        self,
        error_type: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        with contextlib.closing(self._builder):
            if error_type is None:
                self._builder.write()

    def add_file(self, f: PathName, destfile: str, mode: int | None = None) -> None:
        """Adds a file, or a directory with all that is in it.

        Args:
            f: the path of the file.
            destfile: its name in the layer; a file goes into one that ends in a slash.
            mode: its mode; by default by the file, or the mode of the layer.

        Raises:
            ValueError: it cannot be stored, or does not go together with the base.
            OSError: it cannot be read.
        """
        self._builder.add_file(path_of('f', f), text_of('destfile', destfile), mode)

    def add_tar(self, tar: PathName) -> None:
        """Merges a tarball, plain or compressed.

        Members keep order, type, mode, owner, target, device numbers and extended attributes.

        Args:
            tar: the path of the tarball.

        Raises:
            ValueError: a member does not go together with the base.
            OSError: it cannot be read.
            TarFile.Error: it is unsound, or has a member that no layer can have.
        """
        self._builder.add_tar(path_of('tar', tar))

    def add_link(self, symlink: str, destination: str) -> None:
        """Adds a symbolic link.

        Args:
            symlink: its name in the layer.
            destination: where it leads to.

        Raises:
            ValueError: it is no link, or does not go together with the base.
        """
        self._builder.add_link(text_of('symlink', symlink), text_of('destination', destination))

    def add_deb(self, deb: PathName) -> None:
        """Merges the files of a Debian package; raises what add_tar() raises.

        Args:
            deb: the path of the package.
        """
        self._builder.add_deb(path_of('deb', deb))

    def add_empty_dir(self, name: str) -> None:
        """Adds an empty directory.

        Args:
            name: its name in the layer.

        Raises:
            ValueError: it does not go together with the base.
        """
        self._builder.add_empty_directory(text_of('name', name))

    def add_empty_file(self, name: str, mode: int | None = None) -> None:
        """Adds an empty file.

        Args:
            name: its name in the layer.
            mode: its mode; by default that of the layer, or 0o644.

        Raises:
            ValueError: it does not go together with the base.
        """
        self._builder.add_empty_file(text_of('name', name), mode)


def _texts(flag: flags.FlagHolder[list[str]]) -> list[str]:
    """Returns the values of a flag that are not empty, whatever the locale."""
    return [text_of_argument(value) for value in all_given(flag.value)]


def _by_path(
    holder: flags.FlagHolder[list[str]], value_of: Callable[[str, str], _Value]
) -> dict[str, _Value]:
    """Returns the values of a flag PATH=VALUE by their paths."""
    flag = f'--{holder.name}'
    pairs = [arguments.split_path(flag, value) for value in _texts(holder)]
    return {path: value_of(flag, value) for path, value in pairs}


def files_of_flags() -> LayerFiles:
    """Reads the flags that name what the layer is made of.

    Raises:
        ArgumentError: one has a wrong value.
    """
    files = [arguments.split_file(value) for value in _texts(_FILE)]
    return LayerFiles(
        files=[(path_of_text(source), destination) for source, destination in files],
        empty_directories=_texts(_EMPTY_DIR),
        empty_files=_texts(_EMPTY_FILE),
        tars=all_given(_TAR.value),
        debs=all_given(_DEB.value),
        links=[arguments.split_link(value) for value in _texts(_LINK)],
    )


def options_of_flags() -> LayerOptions:
    """Reads the flags that say how the layer is made.

    Raises:
        ArgumentError: one has a wrong value.
    """
    mode = None
    if _MODE.value:
        mode = arguments.mode_of('--mode', _MODE.value)
    owner = (0, 0)
    if _OWNER.value:
        owner = arguments.owner_of('--owner', _OWNER.value)
    mtime = 0
    if _MTIME.value:
        mtime = arguments.seconds_of('--mtime', _MTIME.value)
    return LayerOptions(
        directory=text_of_argument(_DIRECTORY.value or '/'),
        compression=given(_COMPRESSION.value),
        mode=mode,
        modes=_by_path(_MODES, arguments.mode_of),
        owner=owner,
        owners=_by_path(_OWNERS, arguments.owner_of),
        mtime=mtime,
        follow_links=_FOLLOW_LINKS.value,
        base=given(_BASE.value),
        lower=tuple(all_given(_LOWER.value)),
        delete=tuple(_texts(_DELETE)),
        id_file=given(_ID_FILE.value),
        choice=choice_of(
            given_text(shared_flags.BASE_TAG.value), given_text(shared_flags.PLATFORM.value)
        ),
    )


def main(run: Run) -> None:
    """Runs the program with the values of its flags.

    Args:
        run: the run of the program.

    Raises:
        ArgumentError, OSError, ArchiveError: as LayerBuilder's methods.
    """
    flag_values.check_given(_OUTPUT)
    files = files_of_flags()
    builder = LayerBuilder(_OUTPUT.value or '', options_of_flags(), run)
    with contextlib.closing(builder):
        builder.add_all(files)
        builder.write()


def run_main() -> None:
    """Runs the program with the arguments of the command line."""
    command_line.run('build_tar', main, __doc__ or '', _FLAGS)


if __name__ == '__main__':
    run_main()
