# SPDX-License-Identifier: Apache-2.0
"""Makes an image archive from its parts: checks arguments, opens files, checks them, writes."""

from image_archive.checks.problem import Problem, report
from image_archive.create import arguments
from image_archive.create.docker_archive import write_docker_archive
from image_archive.create.opened import OpenedImage, open_image
from image_archive.create.parts import ImageParts
from image_archive.create.problems import find_problems
from image_archive.system.command_line import Run, describe


def write_image(
    output: str, parts: ImageParts, run: Run, verifies: bool = False, digest_file: str | None = None
) -> None:
    """Writes the archive of an image, and the file with the digest of its OCI manifest.

    Args:
        output: the path of the archive; '-' is stdout.
        parts: the parts of the image.
        run: the run of the program.
        verifies: whether every byte is checked first.
        digest_file: the path of the file for the digest; None for no such file.

    Raises:
        ProblemsError: with verifies, the image has problems.
        ArgumentError: arguments are missing, or do not go together.
        OSError: a file cannot be read or written.
        ArchiveError: an archive is unsound, or not an image.
    """
    arguments.check_parts(output, parts, digest_file)
    # The layers of a base that is not merged are read to be checked, or for their digests.
    reads_layers = verifies or parts.oci
    with open_image(parts, output, reads_layers, run.progress) as image:
        write_opened_image(output, image, run, verifies, digest_file)


def write_opened_image(
    output: str,
    image: OpenedImage,
    run: Run,
    verifies: bool,
    digest_file: str | None = None,
    id_file: str | None = None,
) -> None:
    """Checks an image, and writes its archive.

    Args:
        output: the path of the archive; '-' is stdout.
        image: the image, whose files are open.
        run: the run of the program.
        verifies: whether every byte is checked first.
        digest_file: the path of the file for the digest of its OCI manifest.
        id_file: the path of the file for its identifier.

    Raises:
        ProblemsError, ArgumentError, OSError, ArchiveError: as write_image().
    """
    if image.failures and not verifies:
        raise image.failures[0]
    if not image.failures:
        arguments.check_opened(image)
    failures = [Problem(line) for failure in image.failures for line in describe(failure)]
    found = find_problems(image, verifies, run.progress)
    report(failures + found.problems, verifies)
    arguments.check_base_is_whole(image)
    if image.base is not None:
        image.base.archive.check_unchanged()
    if found.layout is None:
        write_docker_archive(output, image, run, id_file)
    else:
        # Imported late: it takes time at every start.
        from image_archive.create.oci_archive import write_oci_archive

        write_oci_archive(output, image, found.layout, run, digest_file, id_file)
