# SPDX-License-Identifier: Apache-2.0
"""Joins archives: checks arguments, opens archives, checks their images, writes."""

import contextlib
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

from absl import logging

from image_archive.checks.identifiers import identifier_problems, replaced_name_problems
from image_archive.checks.problem import Problem, report
from image_archive.errors import ArchiveError, ArgumentError, ProblemsError
from image_archive.image.docker_manifest import Repositories
from image_archive.image.documents import Documents, add_documents
from image_archive.image.identifiers import check_is_name
from image_archive.image.layout import files_of, open_image_archive
from image_archive.image.stored import ImageArchive, read_image_archive
from image_archive.join.images import manifest_entries
from image_archive.join.index import index_content
from image_archive.join.plan import Join, plan_join
from image_archive.join.problems import find_problems
from image_archive.join.tags import merge_repositories
from image_archive.system.beside import call_both
from image_archive.system.command_line import Run, describe
from image_archive.system.outputs import check_outputs, is_replaced
from image_archive.system.progress import Progress
from image_archive.tar.archive import Archive
from image_archive.tar.writer import TarFileWriter


class JoinParts(NamedTuple):
    """What an archive is joined from. An optional part that is not given is None.

    Attributes:
        layers: the paths of the archives.
        bases: the paths of archives whose layers are left out of an OCI image layout.
        oci: whether the new archive is an OCI image layout as well.
        digest_file: the path of the file for the digest of the one image in the layout.
        identifier: the v1 identifier of the top layer.
        name: the tag to name in `repositories`.
        repository: the repository to name in `repositories`.
        id_origin: where the identifier was read, as Identifier.origin.
        id_file: the path of that file.
    """

    layers: tuple[str, ...]
    bases: tuple[str, ...] = ()
    oci: bool = False
    digest_file: str | None = None
    identifier: str | None = None
    name: str | None = None
    repository: str | None = None
    id_origin: str = ''
    id_file: str | None = None

    @property
    def repositories(self) -> Repositories:
        """The names that the parts add to `repositories`."""
        if self.identifier is None or self.repository is None or self.name is None:
            return {}
        return {self.repository: {self.name: self.identifier}}


def write_join(output: str, parts: JoinParts, run: Run, verifies: bool = False) -> None:
    """Writes the archive of all images.

    Args:
        output: the path of the archive; '-' is stdout.
        parts: what it is joined from.
        run: the run of the program.
        verifies: whether every byte is checked first.

    Raises:
        ProblemsError: with verifies, the images have problems.
        ArgumentError: arguments are missing, or do not go together.
        OSError: a file cannot be read or written.
        ArchiveError: an archive is unsound or not of images, or two do not go together.
    """
    _check_parts(output, parts)
    if parts.oci:
        _write_oci(output, parts, run, verifies)
        return
    with _open_archives(parts.layers, output, verifies, run.progress) as archives:
        join = plan_join(archives, run.progress)
        if verifies and is_replaced(output):
            _write(output, join, parts, run, lambda: _check(join, parts, run, verifies))
        else:
            _check(join, parts, run, verifies)
            _write(output, join, parts, run)


def _check(join: Join, parts: JoinParts, run: Run, verifies: bool) -> None:
    """Checks the images that are joined; raises what write_join() raises."""
    problems = _identifier_problems(parts) + find_problems(join, verifies, run.progress)
    for archive in join.archives:
        names = archive.repositories
        problems += replaced_name_problems(parts.repositories, names, archive.archive.path)
    report(problems, verifies)


def _write(
    output: str, join: Join, parts: JoinParts, run: Run, check: Callable[[], None] | None = None
) -> None:
    """Writes an archive.

    Args:
        output: the path of the archive; '-' is stdout.
        join: what is written.
        parts: what it is joined from.
        run: the run of the program.
        check: checks the images, while the members are written, before the archive is in its
            place; None if that was done.
    """
    progress = run.progress if check is None else Progress()  # the checks show theirs
    progress.begin('writing', _bytes_to_write(join))
    with TarFileWriter(output, run.partial_files, progress) as tar:
        call_both(check, lambda: _add_all_members(tar, join, parts))
        for archive in join.archives:
            archive.archive.check_unchanged()  # since it was checked, and since it was copied


def _write_oci(output: str, parts: JoinParts, run: Run, verifies: bool) -> None:
    """Writes the archive of all images as an OCI image layout; raises what write_join() raises."""
    # Imported late: it takes time at every start.
    from image_archive.join.oci_archive import oci_documents, plan_oci_join, write_oci_join
    from image_archive.join.oci_difference import find_difference
    from image_archive.join.oci_images import OciImages
    from image_archive.join.oci_problems import find_oci_problems

    with contextlib.ExitStack() as stack:
        archives = stack.enter_context(_open_archives(parts.layers, output, verifies, run.progress))
        join = plan_oci_join(archives, run.progress)
        problems = _identifier_problems(parts)
        if parts.bases:
            bases = stack.enter_context(_open_archives(parts.bases, output, verifies, run.progress))
            difference = find_difference(join, OciImages(bases, run.progress), output)
            problems += difference.problems
            join = join._replace(left_out=difference.left_out)

        def check() -> None:
            report([*problems, *find_oci_problems(join, verifies, run.progress)], verifies)

        documents = oci_documents(join, parts.identifier, parts.repositories)
        if verifies and is_replaced(output):
            write_oci_join(output, join, documents, run, parts.digest_file, check)
        else:
            check()
            write_oci_join(output, join, documents, run, parts.digest_file)


def _identifier_problems(parts: JoinParts) -> list[Problem]:
    if parts.identifier is None:
        return []
    return list(identifier_problems('--id', parts.identifier, parts.id_origin))


def _check_parts(output: str, parts: JoinParts) -> None:
    """Raises ArgumentError for arguments that do not go together; warns of useless ones."""
    if not parts.layers:
        raise ArgumentError('--layer is missing: give an image archive')
    if parts.identifier is not None:
        check_is_name('--id', parts.identifier)
    if parts.repository is not None and parts.name is None:
        raise ArgumentError('--repository: give --name with it')
    if parts.repository is not None and parts.identifier is None:
        logging.warning('--repository and --name are ignored without --id: give --id with them')
    if parts.bases and not parts.oci:
        raise ArgumentError('--base: only an OCI layout can be partial: give --oci')
    if parts.digest_file is not None and not parts.oci:
        raise ArgumentError('--digest_file: only an OCI layout has that digest: give --oci')
    inputs = {
        '--layer': [file for path in parts.layers for file in files_of(path)],
        '--base': [file for path in parts.bases for file in files_of(path)],
    }
    if parts.id_file is not None:
        inputs['--id'] = [parts.id_file]
    check_outputs(output, {'--digest_file': parts.digest_file}, inputs, {})


@contextlib.contextmanager
def _open_archives(
    paths: Sequence[str], beside: str, collects_failures: bool, progress: Progress
) -> Iterator[list[ImageArchive]]:
    """Opens archives and reads what they say of their images.

    Args:
        paths: their paths.
        beside: the path of the new archive, beside which compressed ones are inflated.
        collects_failures: whether to report all archives that cannot be read.
        progress: advanced by the bytes of compressed archives that are read.

    Yields:
        The archives, which are open as long as the context lasts.

    Raises:
        OSError: a file is missing, not a regular file, or cannot be read.
        ArchiveError: one is not a sound archive of images.
        ProblemsError: with collects_failures, in place of both.
    """
    failures: list[str] = []
    archives = []
    with contextlib.ExitStack() as stack:
        for path in dict.fromkeys(paths):
            opening = open_image_archive(path, beside=beside, progress=progress)
            try:
                archives.append(_read_archive(stack.enter_context(opening)))
            except (OSError, ArchiveError) as error:
                if not collects_failures:
                    raise
                failures += describe(error)
        if failures:
            raise ProblemsError(failures)
        yield archives


def _read_archive(archive: Archive) -> ImageArchive:
    """Reads everything that an archive says of its images, so that errors come here."""
    images = read_image_archive(archive, 'image archive')
    images.read_all()
    return images


def _bytes_to_write(join: Join) -> int:
    return sum(member.size for archive in join.archives for member in archive.archive.members)


def _add_all_members(tar: TarFileWriter, join: Join, parts: JoinParts) -> None:
    for archive in join.archives:
        _add_members(tar, archive.archive, join)
    add_documents(tar, _documents(join, parts))


def _add_members(tar: TarFileWriter, archive: Archive, join: Join) -> None:
    """Adds the members that no archive before this one has, then those that get other names."""

    def is_new(name: str) -> bool:
        return name not in join.left_out and join.files.is_first_in(name, archive)

    tar.add_archive(archive, is_new)
    for name, place in join.files.renamed_in(archive):
        tar.add_source(name, place.source)


def _documents(join: Join, parts: JoinParts) -> Documents:
    """Returns what is written after all members."""
    oci_index = None
    if join.oci_index.descriptors is not None:
        oci_index = index_content(join.oci_index.descriptors)
    return Documents(
        oci_index=oci_index,
        manifest=manifest_entries(join.images),
        top=parts.identifier,
        repositories=merge_repositories([parts.repositories, join.repositories]),
    )
