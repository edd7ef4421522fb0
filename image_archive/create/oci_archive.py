# SPDX-License-Identifier: Apache-2.0
"""Writes an archive that is an OCI image layout, too, in the order of its members."""

import contextlib
from collections.abc import Iterator

from image_archive.create import layout, manifests
from image_archive.create.image import OpenedImage
from image_archive.create.layout import Layout
from image_archive.image import image_config, names, oci
from image_archive.image.oci import Descriptor
from image_archive.system import files
from image_archive.system.command_line import Run
from image_archive.system.files import OutputFile
from image_archive.tar.writer import TarFileWriter


def write(output: str, image: OpenedImage, run: Run, digest_file: str | None) -> None:
    """Writes the archive, and the file with the digest of its OCI manifest.

    Args:
        output: the path of the archive; '-' is standard output.
        image: the image, whose parts were checked.
        run: what is shared by all that is done in this run.
        digest_file: the path of the file for the digest; None for no such file.

    Raises:
        ArgumentError, ArchiveError, OSError: as layout.find_layout(), and what writing raises.
    """
    blobs = layout.find_layout(image, run.progress)
    oci_manifest = oci.manifest(blobs.config, blobs.layers)
    descriptor = oci.describe_manifest(oci_manifest)
    run.progress.begin('writing', image.bytes_to_write)
    with contextlib.ExitStack() as stack:
        tar = stack.enter_context(TarFileWriter(output, run.partial_files, run.progress))
        digest_output = stack.enter_context(_open_digest_file(digest_file, run))
        config_name = oci.blob_name(blobs.config.digest)
        tar.add_file(config_name, content=image.config)
        _add_blobs_of_layers(tar, image, blobs)
        _add_blobs_of_base(tar, image, blobs)
        tar.add_file(oci.blob_name(descriptor.digest), content=oci_manifest)
        tar.add_file(oci.INDEX_NAME, content=index(image, descriptor))
        tar.add_file(oci.LAYOUT_NAME, content=oci.LAYOUT)
        layer_names = [oci.blob_name(layer.digest) for layer in blobs.layers]
        tar.add_file('manifest.json', content=manifests.manifest(image, config_name, layer_names))
        if image.parts.repository is not None:
            tar.add_file('repositories', content=manifests.repositories(image.parts))
        tar.end()
        outputs = [tar.output]
        if digest_output is not None:
            digest_output.write(f'{descriptor.digest}\n'.encode())
            outputs.append(digest_output)
        files.put_all_in_place(outputs)


@contextlib.contextmanager
def _open_digest_file(path: str | None, run: Run) -> Iterator[OutputFile | None]:
    """Opens the file for the digest, where there is to be one."""
    if path is None:
        yield None
        return
    with OutputFile(path, run.partial_files) as output:
        yield output


def _add_blobs_of_layers(tar: TarFileWriter, image: OpenedImage, blobs: Layout) -> None:
    """Adds each layer once, under its digest."""
    added: set[str] = set()
    for layer, descriptor in zip(image.parts.layers, blobs.own_layers, strict=True):
        if descriptor.digest not in added:
            tar.add_input(oci.blob_name(descriptor.digest), image.layers[layer.path])
        added.add(descriptor.digest)


def _add_blobs_of_base(tar: TarFileWriter, image: OpenedImage, blobs: Layout) -> None:
    """Adds each layer of the base that is merged, unless it is there."""
    for layer in blobs.base_layers:
        if layer.source is not None:
            tar.add_source(oci.blob_name(layer.descriptor.digest), layer.source)
    if image.legacy_base is not None:
        image.legacy_base.check_unchanged()


def index(image: OpenedImage, descriptor: Descriptor) -> bytes:
    """Returns the content of index.json.

    Args:
        image: the image.
        descriptor: that of its OCI manifest.
    """
    tags = [names.parse_tag(tag) for tag in image.parts.tags]
    config = image_config.as_clients_read(image_config.parse(image.config or b''))
    return oci.index(descriptor, [tag for tag in tags if tag is not None], oci.platform(config))
