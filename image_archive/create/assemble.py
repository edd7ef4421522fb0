# SPDX-License-Identifier: Apache-2.0
"""Makes an image archive from its parts: checks arguments, opens files, checks them, writes."""

import contextlib
import functools
from collections.abc import Callable, Iterable

from image_archive.checks.problem import Problem, report
from image_archive.create import arguments
from image_archive.create.blobs import Layout, find_layout
from image_archive.create.docker_archive import add_docker_members
from image_archive.create.oci_archive import add_oci_members, oci_manifest_of
from image_archive.create.opened import OpenedImage, open_image
from image_archive.create.parts import ImageParts, Layer
from image_archive.create.problems import find_problems
from image_archive.digests import blob_name, sha256
from image_archive.errors import ArchiveError
from image_archive.image.stored import lacks_layer
from image_archive.system.beside import call_both
from image_archive.system.command_line import Run, describe
from image_archive.system.outputs import OutputFile, is_replaced
from image_archive.system.progress import Progress
from image_archive.tar.writer import TarFileWriter


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


def start_of_layers(output: OutputFile, config: bytes, oci: bool) -> int:
    """Returns where the data of the first layer will begin in the archive of an image, in bytes.

    That is so for a layer of ALIGNED_SIZE or more, whatever the digests: all have one length.

    Args:
        output: the file of the archive.
        config: the configuration, with diff IDs that need not be right.
        oci: whether the archive is an OCI image layout as well.
    """
    unknown = 64 * '0'
    config_name = f'{unknown}.json'
    layer_name = ImageParts(unknown, '', (Layer(unknown, ''),)).layer_names[0]
    if oci:
        config_name = blob_name(f'sha256:{unknown}')
        layer_name = blob_name(f'sha256:{64 * "1"}')
    tar = TarFileWriter(output)
    tar.add_file(config_name, content=config)
    return tar.start_of_data(layer_name)


def write_opened_image(
    output: str | OutputFile,
    image: OpenedImage,
    run: Run,
    verifies: bool,
    digest_file: str | None = None,
    id_file: str | None = None,
) -> None:
    """Checks an image, and writes its archive.

    Args:
        output: the path of the archive, '-' is stdout; or its file, open, in which the first layer
            may be in its place: that of start_of_layers().
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

    output_path = output.path if isinstance(output, OutputFile) else output
    paths = [path for path in (output_path, digest_file, id_file) if path is not None]
    is_written_meanwhile = verifies and _can_be_written_meanwhile(paths, image)
    layout = None
    if is_written_meanwhile and image.parts.oci:
        try:
            layout = find_layout(image, run.progress)
        except ArchiveError:  # the checks report it with everything else
            is_written_meanwhile = False
    check = None
    if is_written_meanwhile:
        check = functools.partial(_check, image, run, verifies)
    else:
        layout = _check(image, run, verifies)
    others = {}
    if digest_file is not None and layout is not None:
        others[digest_file] = f'sha256:{sha256(oci_manifest_of(image, layout))}'
    if id_file is not None:
        others[id_file] = image.parts.identifier
    _write(output, image, layout, run, others, check)


def _can_be_written_meanwhile(paths: Iterable[str], image: OpenedImage) -> bool:
    """Tells whether the outputs can be written while every byte of an image is checked.

    That is so if they appear only when they are whole, all files could be opened, and all names of
    blobs are known.
    """
    if image.failures or not all(is_replaced(path) for path in paths):
        return False
    files = [layer.file for layer in image.layers.values()]
    files += [layer.file for layer in image.base_layers if layer.file is not None]
    return not image.parts.oci or all(file.compression is None for file in files)


def _check(image: OpenedImage, run: Run, verifies: bool) -> Layout | None:
    """Checks an image; returns what find_layout() does, with --oci."""
    failures = [Problem(line) for failure in image.failures for line in describe(failure)]
    found = find_problems(image, verifies, run.progress)
    report(failures + found.problems, verifies)
    if image.base is not None and image.merges_base and image.missing_layers:
        raise ArchiveError(lacks_layer(image.base.archive.path, image.missing_layers[0]))
    image.check_unchanged()
    return found.layout


def _write(
    output: str | OutputFile,
    image: OpenedImage,
    layout: Layout | None,
    run: Run,
    others: dict[str, str],
    check: Callable[[], object] | None = None,
) -> None:
    """Writes an archive and the files beside it.

    Args:
        output: as for write_opened_image().
        image: the image.
        layout: with --oci, its blobs.
        run: the run of the program.
        others: the contents of the files beside the archive, by their paths.
        check: checks the image, while its members are written, before anything is in its place;
            None if that was done.
    """
    with contextlib.ExitStack() as stack:
        progress = run.progress if check is None else Progress()  # the checks show theirs
        progress.begin('writing', image.bytes_to_write)
        tar = stack.enter_context(TarFileWriter(output, run.partial_files, progress))
        opened = []
        for path, content in others.items():
            other = stack.enter_context(OutputFile(path, run.partial_files))
            other.write(f'{content}\n'.encode())
            opened.append(other)
        call_both(check, lambda: _add_members(tar, image, layout))
        image.check_unchanged()  # since it was checked, and since it was copied
        tar.close(opened)


def _add_members(tar: TarFileWriter, image: OpenedImage, layout: Layout | None) -> None:
    if layout is None:
        add_docker_members(tar, image)
    else:
        add_oci_members(tar, image, layout)
