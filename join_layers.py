#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Joins image archives into one, which `docker load` reads at once.

Example:
    join_layers.py --output=all.tar --layer=base.tar --layer=app.tar --layer=db.tar --verify
"""

import os
import sys

if __name__ == '__main__':
    sys.path.insert(0, os.path.dirname(os.path.realpath(__file__)))  # not so with PYTHONSAFEPATH
    from image_archive.system import start

    start.prepare('join_layers')

import contextlib
import json
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from absl import flags, logging

from image_archive.create.image import is_merged
from image_archive.create.verify import Problem, Problems
from image_archive.errors import ArchiveError, ArgumentError, ProblemsError
from image_archive.image import names, oci
from image_archive.join import joined_checks, joined_images, joined_index, joined_names
from image_archive.join.joined_archives import ImageArchive, Join, plan_join, read_archive
from image_archive.join.joined_names import Repositories
from image_archive.system import command_line, files
from image_archive.system.command_line import Run, all_given, given, given_text
from image_archive.system.progress import Progress
from image_archive.tar import sources
from image_archive.tar.sources import Archive
from image_archive.tar.writer import TarFileWriter

_FLAGS = command_line.new_flags()
_OUTPUT = flags.DEFINE_string(
    'output', None, 'required: the archive to write; - is stdout', flag_values=_FLAGS
)
_LAYER = flags.DEFINE_multi_string(
    'layer', [], 'required: an image archive; a base before what is built on it', flag_values=_FLAGS
)
_ID = flags.DEFINE_string(
    'id',
    None,
    'the v1 identifier of the top layer, in hex or as @FILE, to write to `top`',
    flag_values=_FLAGS,
)
_REPOSITORY = flags.DEFINE_string(
    'repository', None, 'with --id: the repository to add to `repositories`', flag_values=_FLAGS
)
_NAME = flags.DEFINE_string(
    'name', None, 'with --id: the tag to add to `repositories`', flag_values=_FLAGS
)
_VERIFY = flags.DEFINE_boolean(
    'verify', False, 'read every byte, and write nothing if anything is wrong', flag_values=_FLAGS
)


class JoinParts(NamedTuple):
    """What an archive is joined from; what is None is not given.

    Attributes:
        layers: the paths of the archives.
        identifier: the v1 identifier of the top layer.
        name: the tag to name in `repositories`.
        repository: the repository to name there.
    """

    layers: tuple[str, ...]
    identifier: str | None = None
    name: str | None = None
    repository: str | None = None


def create_image(
    output: str,
    layers: Sequence[str],
    identifier: str | None = None,
    name: str | None = None,
    repository: str | None = None,
) -> None:
    """Joins image archives into one.

    Args:
        output: the path of the archive; '-' is standard output.
        layers: the paths of the archives, whole or partial images; a base before what is built
            on it.
        identifier: the v1 identifier of the top layer, in hex, which is written to `top`.
        name: the tag to name in `repositories`.
        repository: the repository to name in `repositories`.

    Raises:
        ValueError: arguments are missing, or do not go together.
        OSError: a file cannot be read or written.
        TarFileWriter.Error: an archive is unsound or no image archive, or two do not go together.
    """
    parts = JoinParts(
        layers=tuple(layers),
        identifier=given(identifier and names.normal_identifier(identifier)),
        name=given(name),
        repository=given(repository),
    )
    write_join(output, parts, command_line.silent_run('join_layers'))


def write_join(output: str, parts: JoinParts, run: Run, verifies: bool = False) -> None:
    """Writes the archive of all images, in the order of its members.

    Args:
        output: the path of the archive; '-' is standard output.
        parts: what it is joined from.
        run: what is shared by all that is done in this run.
        verifies: whether every byte is checked first.

    Raises:
        ProblemsError: with verifies, the images have problems.
        ArgumentError, OSError, ArchiveError: as create_image().
    """
    _check_arguments(output, parts)
    with open_archives(parts.layers, output, verifies, run.progress) as archives:
        join = plan_join(archives, run.progress)
        _check_join(join, parts, verifies, run)
        run.progress.begin('writing', _bytes_to_write(join))
        with TarFileWriter(output, run.partial_files, run.progress) as tar:
            for archive in join.archives:
                _add_new_members(tar, archive, join)
            if join.descriptors is not None:
                tar.add_file(oci.INDEX_NAME, content=_index(join))
                tar.add_file(oci.LAYOUT_NAME, content=oci.LAYOUT)
            if join.images:
                tar.add_file('manifest.json', content=_manifest(join))
            if parts.identifier is not None:
                tar.add_file('top', content=parts.identifier)
            all_repositories = joined_names.merge([_top_name(parts), join.repositories])
            if all_repositories:
                tar.add_file('repositories', content=_repositories(all_repositories))


@contextlib.contextmanager
def open_archives(
    paths: Sequence[str], beside: str, lists_failures: bool, progress: Progress
) -> Iterator[list[ImageArchive]]:
    """Opens archives and reads what they say of their images.

    Args:
        paths: their paths.
        beside: the path of the archive that is made, beside which compressed ones are inflated.
        lists_failures: whether to go on behind an archive that cannot be read.
        progress: is told of what is inflated.

    Yields:
        The archives, which are open as long as the context lasts.

    Raises:
        OSError: a file is missing, no regular file, or cannot be read.
        ArchiveError: one is no sound archive of images.
        ProblemsError: with lists_failures, one or more are such.
    """
    failures: list[str] = []
    with contextlib.ExitStack() as stack:
        archives = []
        for path in paths:
            opening = sources.open_archive(path, beside=beside, progress=progress)
            try:
                archives.append(read_archive(stack.enter_context(opening)))
            except (OSError, ArchiveError) as error:
                if not lists_failures:
                    raise
                failures += command_line.describe(error)
        if failures:
            raise ProblemsError(failures)
        yield archives


# What is checked before.


def _check_arguments(output: str, parts: JoinParts) -> None:
    """Raises ArgumentError for arguments that do not go together, and warns of those in vain."""
    if not parts.layers:
        raise ArgumentError('--layer is missing: give an image archive')
    if parts.identifier is not None:
        names.check_is_name('--id', parts.identifier)
    if parts.repository is not None and parts.name is None:
        raise ArgumentError('--repository: give --name with it')
    if parts.repository is not None and parts.identifier is None:
        logging.warning('--repository and --name are passed over: give --id with them')
    files.check_output(output)
    if any(files.overwrites(output, path) for path in parts.layers):
        text = f'--output: {output!r} is what --layer names: give another path'
        raise ArgumentError(text)


def _check_join(join: Join, parts: JoinParts, verifies: bool, run: Run) -> None:
    """Warns of what is wrong with the images, or ends with it where they are verified."""
    problems = list(_identifier_problems(parts))
    problems += joined_checks.find_problems(join, verifies, run.progress)
    errors = []
    for problem in problems:
        if problem.is_error and verifies:
            errors.append(problem.text)
        else:
            logging.warning('%s', problem.text)
    if errors:
        raise ProblemsError(errors)


def _identifier_problems(parts: JoinParts) -> Problems:
    """The identifier is 64 hex digits."""
    if parts.identifier is not None and not names.is_hex_id(parts.identifier):
        text = f'{parts.identifier!r} is not 64 hex digits: give a SHA-256'
        yield Problem(f'--id: {text}')


def _bytes_to_write(join: Join) -> int:
    return sum(member.size for archive in join.archives for member in archive.members)


# The parts of the archive.


def _add_new_members(tar: TarFileWriter, archive: Archive, join: Join) -> None:
    """Adds what no archive before this one has."""

    def is_new(name: str) -> bool:
        return is_merged(name) and join.files.is_first_in(name, archive)

    tar.add_archive(archive, is_new)


def _index(join: Join) -> str:
    """Returns the content of index.json, which leads containerd and Docker 29 to the images."""
    return json.dumps(joined_index.index(join.descriptors or []), sort_keys=True)


def _manifest(join: Join) -> str:
    """Returns the content of manifest.json."""
    return json.dumps(joined_images.manifest_entries(join.images), sort_keys=True)


def _top_name(parts: JoinParts) -> Repositories:
    """Returns what the flags add to `repositories`."""
    if parts.identifier is None or parts.repository is None or parts.name is None:
        return {}
    return {parts.repository: {parts.name: parts.identifier}}


def _repositories(all_repositories: Repositories) -> str:
    """Returns the content of `repositories`, by which Docker before 1.10 names images."""
    return json.dumps(all_repositories, indent=2, sort_keys=True)


# The flags.


def main(run: Run) -> None:
    """Does what the flags say.

    Args:
        run: what is shared by all that is done in this run.

    Raises:
        ArgumentError, OSError, ArchiveError: as write_join().
    """
    command_line.check_given(_OUTPUT)
    output = _OUTPUT.value or ''
    identifier = given_text(_ID.value)
    notes: list[str] = []
    if identifier is not None:
        found = names.read_identifier('--id', identifier)
        identifier = found.value
        notes = found.notes
    id_flag = _ID.value or ''
    if id_flag.startswith('@') and files.overwrites(output, id_flag[1:]):
        raise ArgumentError(f'--output: {output!r} is what --id names: give another path')
    if notes and _VERIFY.value:
        raise ProblemsError(notes)
    for note in notes:
        logging.warning('%s', note)
    parts = JoinParts(
        layers=tuple(all_given(_LAYER.value)),
        identifier=identifier,
        name=given_text(_NAME.value),
        repository=given_text(_REPOSITORY.value),
    )
    write_join(output, parts, run, _VERIFY.value)


def run_main() -> None:
    """Runs the program with the arguments of the command line."""
    command_line.run('join_layers', main, __doc__ or '', _FLAGS)


if __name__ == '__main__':
    run_main()
