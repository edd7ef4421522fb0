#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Makes a container image archive, which `docker load` reads, from files, a base and flags.

Example:
    build_image.py --output=image.tar --base=base.tar --file=app=srv/app \\
        --entrypoint=/srv/app --tag=example/app:1.0
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

    start.prepare('build_image')

from collections.abc import Mapping, Sequence
from typing import Any

from absl import flags

import build_tar
import create_image
import create_image_config
from image_archive.compose.assemble import compose_image
from image_archive.compose.parts import ComposedParts
from image_archive.configure.build import ConfigOptions, with_types
from image_archive.create.parts import ImageParts
from image_archive.image.choice import Choice, choice_of
from image_archive.layer.parts import LayerFiles, LayerOptions
from image_archive.system import command_line, flag_values
from image_archive.system.command_line import Run
from image_archive.system.flag_values import all_given, given
from image_archive.system.python_values import (
    PathName,
    check_type,
    items_of,
    optional_path_of,
    optional_text_of,
    path_of,
    paths_of,
    text_of,
    texts_of,
)

_FLAGS = flag_values.new_flags()
_OUTPUT = flags.DEFINE_string(
    'output', None, 'required: the archive to write; - is stdout', flag_values=_FLAGS
)
_BASE = flags.DEFINE_string(
    'base',
    None,
    'the image to build on, an image archive; it is merged into the output',
    flag_values=_FLAGS,
)
_LAYER = flags.DEFINE_multi_string(
    'layer',
    [],
    'a layer that is there, a tarball: above the base, and below the layer of files; bottom layer '
    'first',
    flag_values=_FLAGS,
)
_PARTIAL = flags.DEFINE_boolean(
    'partial', False, 'with --base: leave the layers of the base out', flag_values=_FLAGS
)
_ID_FILE = flags.DEFINE_string(
    'id_file',
    None,
    'where to write the identifier of the image: the SHA-256 of its configuration',
    flag_values=_FLAGS,
)

# The other flags are those of the programs that make the parts, and defined there.
_LAYER_GROUP = 'Flags for the layer of files'
_CONFIG_GROUP = 'Flags for the configuration'
_ARCHIVE_GROUP = 'Flags for the archive'
_FOR_THE_BASE = ('base_tag', 'platform')
_NOT_FOR_A_LAYER = ('output', 'compression', 'id_file', 'base', *_FOR_THE_BASE)
_NOT_FOR_A_CONFIG = ('output', 'layer', 'base', *_FOR_THE_BASE)
_FOR_THE_ARCHIVE = ('tag', 'oci', 'annotations', 'digest_file', 'verify')
flag_values.share_flags(_FLAGS, create_image_config.FLAGS, _FOR_THE_BASE)
flag_values.share_flags(
    _FLAGS,
    build_tar.FLAGS,
    [name for name in build_tar.FLAGS if name not in _NOT_FOR_A_LAYER],
    _LAYER_GROUP,
)
flag_values.share_flags(
    _FLAGS,
    create_image_config.FLAGS,
    [name for name in create_image_config.FLAGS if name not in _NOT_FOR_A_CONFIG],
    _CONFIG_GROUP,
)
flag_values.share_flags(_FLAGS, create_image.FLAGS, _FOR_THE_ARCHIVE, _ARCHIVE_GROUP)


def build_image(
    output: PathName,
    *,
    files: Mapping[PathName, str] | Sequence[tuple[PathName, str]] = (),
    tars: Sequence[PathName] = (),
    debs: Sequence[PathName] = (),
    links: Mapping[str, str] | Sequence[tuple[str, str]] = (),
    empty_dirs: Sequence[str] = (),
    empty_files: Sequence[str] = (),
    directory: str = '/',
    mode: int | None = None,
    modes: Mapping[str, int] | None = None,
    owner: tuple[int, int] = (0, 0),
    owners: Mapping[str, tuple[int, int]] | None = None,
    mtime: int = 0,
    follow_links: bool = False,
    base: PathName | None = None,
    base_tag: str | None = None,
    platform: str | None = None,
    partial: bool = False,
    layers: Sequence[PathName] = (),
    lower: Sequence[PathName] = (),
    delete: Sequence[str] = (),
    tags: Sequence[str] = (),
    oci: bool = False,
    annotations: Mapping[str, str] | Sequence[tuple[str, str]] = (),
    digest_file: PathName | None = None,
    id_file: PathName | None = None,
    verify: bool = False,
    **config: Any,
) -> str:
    """Writes an image archive, from files, a base and what the configuration gets.

    Args:
        output: the path of the archive; '-' is stdout.
        files: the names in the layer of files and directories, by their paths, or such pairs.
        tars: the paths of tarballs to merge into the layer.
        debs: the paths of Debian packages to merge into the layer.
        links: where symbolic links lead to, by their names in the layer, or such pairs.
        empty_dirs: the names of empty directories.
        empty_files: the names of empty files.
        directory: the directory that files, tarballs and packages go into.
        mode: the mode of files; by default 0o755 for one that is executable, else 0o644.
        modes: modes by the paths of single files and directories.
        owner: the numbers of the user and the group of files and links.
        owners: owners by the paths of single files and directories.
        mtime: the time of all members in seconds since 1970.
        follow_links: whether symbolic links in directories are stored as what they lead to.
        base: the path of an image archive: the image to build on.
        base_tag: the tag of the image in the base, where there are several.
        platform: the platform, OS/ARCHITECTURE[/VARIANT], and with a base the image of that one.
        partial: whether the layers of the base are left out of the archive.
        layers: the paths of layers above the base, bottom layer first.
        lower: the paths of layers that count as the base's, and are not in the image.
        delete: the paths of the base to delete.
        tags: the tags, repository:tag.
        oci: whether the archive is an OCI image layout as well.
        annotations: with oci, annotations of the manifest by name, or such pairs.
        digest_file: with oci, where to write the digest of the manifest.
        id_file: where to write the identifier of the image.
        verify: whether every byte is read, and nothing written if anything is wrong.
        **config: the fields of create_image_config.ConfigOptions, but layers.

    Returns:
        The identifier of the image, the SHA-256 of its configuration in hex.

    Raises:
        TypeError: an argument is of a wrong type, or unknown.
        ValueError: arguments are wrong, or do not go together; with verify, the image has problems.
        OSError: a file cannot be read or written.
        TarFileWriter.Error: an archive is unsound, or not an image.
    """
    for name in config:
        if name not in ConfigOptions._fields:
            raise TypeError(f'{name}: build_image() has no such argument')
    choice = choice_of(
        optional_text_of('base_tag', base_tag), optional_text_of('platform', platform)
    )
    base_path = optional_path_of('base', base)
    parts = ComposedParts(
        files=LayerFiles(
            files=[
                (path_of(name, path), text_of(name, destination))
                for name, path, destination in _pairs_of('files', files)
            ],
            empty_directories=texts_of('empty_dirs', empty_dirs),
            empty_files=texts_of('empty_files', empty_files),
            tars=paths_of('tars', tars),
            debs=paths_of('debs', debs),
            links=[
                (text_of(name, path), text_of(name, target))
                for name, path, target in _pairs_of('links', links)
            ],
        ),
        options=LayerOptions(
            directory=path_of('directory', directory),
            mode=mode,
            modes=modes or {},
            owner=owner,
            owners=owners or {},
            mtime=mtime,
            follow_links=follow_links,
            base=base_path,
            lower=tuple(paths_of('lower', lower)),
            delete=tuple(texts_of('delete', delete)),
            choice=_choice_in(base_path, choice),
        ),
        config=create_image_config.with_platform(
            with_types(ConfigOptions(**config)), choice.platform
        ),
        archive=ImageParts(
            identifier='',
            config='',
            tags=tuple(texts_of('tags', tags)),
            oci=bool(oci),
            annotations=tuple(
                (text_of(name, key), text_of(name, value))
                for name, key, value in _pairs_of('annotations', annotations)
            ),
        ),
        layers=tuple(paths_of('layers', layers)),
        is_partial=bool(partial),
        digest_file=optional_path_of('digest_file', digest_file),
        id_file=optional_path_of('id_file', id_file),
    )
    run = command_line.silent_run('build_image')
    return compose_image(path_of('output', output), parts, run, bool(verify))


def _choice_in(base: str | None, choice: Choice) -> Choice:
    """Returns which image of the base is meant; without a base, a platform chooses none."""
    return choice if base is not None else choice._replace(platform=None)


def _pairs_of(argument: str, value: object) -> list[tuple[str, object, object]]:
    """Returns the pairs in a mapping or a list of pairs, each with its name for messages."""
    pairs = value.items() if isinstance(value, Mapping) else items_of(argument, value)
    found = []
    for index, pair in enumerate(pairs):
        name = f'{argument}[{index}]'
        check_type(name, pair, (tuple, list), 'a pair')
        if len(pair) != 2:
            raise TypeError(f'{name}: give a pair, not {pair!r}')
        found.append((name, *pair))
    return found


def main(run: Run) -> None:
    """Runs the program with the values of its flags.

    Args:
        run: the run of the program.

    Raises:
        ArgumentError, OSError, ArchiveError: as compose_image().
    """
    flag_values.check_given(_OUTPUT)
    files = build_tar.files_of_flags()
    base = given(_BASE.value)
    options = build_tar.options_of_flags()
    config = create_image_config.config_flags()
    archive = create_image.archive_flags()
    parts = ComposedParts(
        files=files,
        options=options._replace(base=base, choice=_choice_in(base, config.choice)),
        config=config.options,
        archive=archive.parts,
        layers=tuple(all_given(_LAYER.value)),
        is_partial=_PARTIAL.value,
        config_inputs=config.inputs,
        digest_file=archive.digest_file,
        id_file=given(_ID_FILE.value),
    )
    compose_image(_OUTPUT.value or '', parts, run, archive.verifies)


def run_main() -> None:
    """Runs the program with the arguments of the command line."""
    groups = (_LAYER_GROUP, _CONFIG_GROUP, _ARCHIVE_GROUP)
    command_line.run('build_image', main, __doc__ or '', _FLAGS, groups)


if __name__ == '__main__':
    run_main()
