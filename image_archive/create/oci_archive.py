# SPDX-License-Identifier: Apache-2.0
"""Writes an image archive that is an OCI image layout as well, member by member."""

import contextlib

from image_archive.create.blobs import Layout
from image_archive.create.docker_archive import add_own_layers, manifest_entry, repositories_of
from image_archive.create.opened import OpenedImage
from image_archive.digests import blob_name
from image_archive.image import oci
from image_archive.image.documents import Documents, add_documents
from image_archive.image.oci import Descriptor
from image_archive.image.tags import Tag, parse_tag
from image_archive.system.command_line import Run
from image_archive.system.outputs import optional_output
from image_archive.tar.writer import TarFileWriter


def write_oci_archive(
    output: str,
    image: OpenedImage,
    layout: Layout,
    run: Run,
    digest_file: str | None,
    id_file: str | None = None,
) -> None:
    """Writes the archive, and the files with the digest of its OCI manifest and its identifier.

    Args:
        output: the path of the archive; '-' is stdout.
        image: the image, whose parts were checked.
        layout: its blobs.
        run: the run of the program.
        digest_file: the path of the file for the digest; None for no such file.
        id_file: the path of the file for the identifier of the image; None for no such file.

    Raises:
        OSError: a file cannot be read or was changed, or an output cannot be written.
    """
    layers = layout.base_layers + layout.own_layers
    annotations = dict(image.parts.annotations)
    oci_manifest = oci.manifest(layout.config, layers, annotations)
    descriptor = oci.describe_manifest(oci_manifest)
    run.progress.begin('writing', image.bytes_to_write)
    with contextlib.ExitStack() as stack:
        tar = stack.enter_context(TarFileWriter(output, run.partial_files, run.progress))
        digest_output = stack.enter_context(optional_output(digest_file, run.partial_files))
        id_output = stack.enter_context(optional_output(id_file, run.partial_files))
        config_name = blob_name(layout.config.digest)
        tar.add_file(config_name, content=image.checked_config.content)
        add_own_layers(tar, image, [blob_name(layer.digest) for layer in layout.own_layers])
        _add_base_layers(tar, image, layout)
        tar.add_file(blob_name(descriptor.digest), content=oci_manifest)
        layer_names = [blob_name(layer.digest) for layer in layers]
        documents = Documents(
            oci_index=_index(image, descriptor),
            manifest=[manifest_entry(image, config_name, layer_names)],
            repositories=repositories_of(image.parts),
        )
        add_documents(tar, documents)
        others = []
        if digest_output is not None:
            digest_output.write(f'{descriptor.digest}\n'.encode())
            others.append(digest_output)
        if id_output is not None:
            id_output.write(f'{image.parts.identifier}\n'.encode())
            others.append(id_output)
        tar.close(others)


def _add_base_layers(tar: TarFileWriter, image: OpenedImage, layout: Layout) -> None:
    """Adds each layer of the base that is in the archive to merge, unless it is there already."""
    if image.legacy_base is None:
        return
    added: set[str] = set()  # the files of layers, which many links may lead to
    for layer, descriptor in zip(image.base_layers, layout.base_layers, strict=True):
        if layer.place is None or layer.place.archive is not image.legacy_base:
            continue
        if layer.place.name not in added:
            tar.add_source(blob_name(descriptor.digest), layer.place.source)
        added.add(layer.place.name)
    image.legacy_base.check_unchanged()


def _index(image: OpenedImage, descriptor: Descriptor) -> bytes:
    """Returns the content of index.json, from the descriptor of the OCI manifest."""
    config = image.checked_config
    value = oci.json_descriptor(descriptor, oci.platform(config.keys))
    tags = [parse_tag(tag) for tag in image.parts.tags]
    names: list[Tag | None] = [tag for tag in dict.fromkeys(tags) if tag is not None]
    annotations = dict(image.parts.annotations)
    # Without a tag there is one descriptor without a name.
    return oci.index([oci.named_descriptor(value, tag, annotations) for tag in names or [None]])
