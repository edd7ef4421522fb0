# SPDX-License-Identifier: Apache-2.0
"""The members of an image archive that is an OCI image layout as well."""

from image_archive.create.blobs import Layout
from image_archive.create.docker_archive import add_own_layers, manifest_entry, repositories_of
from image_archive.create.opened import OpenedImage
from image_archive.digests import blob_name
from image_archive.image import oci
from image_archive.image.documents import Documents, add_documents
from image_archive.image.oci import Descriptor
from image_archive.image.tags import Tag, parse_tag
from image_archive.tar.writer import TarFileWriter


def oci_manifest_of(image: OpenedImage, layout: Layout) -> bytes:
    """Returns the OCI manifest of an image; layout has its blobs."""
    layers = layout.base_layers + layout.own_layers
    return oci.manifest(layout.config, layers, dict(image.parts.annotations))


def add_oci_members(tar: TarFileWriter, image: OpenedImage, layout: Layout) -> None:
    """Adds all members of the archive of an image.

    Args:
        tar: the archive.
        image: the image.
        layout: its blobs.

    Raises:
        OSError: a file cannot be read, or the archive cannot be written.
    """
    oci_manifest = oci_manifest_of(image, layout)
    descriptor = oci.describe_manifest(oci_manifest)
    config_name = blob_name(layout.config.digest)
    tar.add_file(config_name, content=image.checked_config.content)
    add_own_layers(tar, image, [blob_name(layer.digest) for layer in layout.own_layers])
    _add_base_layers(tar, image, layout)
    tar.add_file(blob_name(descriptor.digest), content=oci_manifest)
    layers = layout.base_layers + layout.own_layers
    layer_names = [blob_name(layer.digest) for layer in layers]
    documents = Documents(
        oci_index=_index(image, descriptor),
        manifest=[manifest_entry(image, config_name, layer_names)],
        repositories=repositories_of(image.parts),
    )
    add_documents(tar, documents)


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


def _index(image: OpenedImage, descriptor: Descriptor) -> bytes:
    """Returns the content of index.json, from the descriptor of the OCI manifest."""
    config = image.checked_config
    value = oci.json_descriptor(descriptor, oci.platform(config.keys))
    tags = [parse_tag(tag) for tag in image.parts.tags]
    names: list[Tag | None] = [tag for tag in dict.fromkeys(tags) if tag is not None]
    annotations = dict(image.parts.annotations)
    # Without a tag there is one descriptor without a name.
    return oci.index([oci.named_descriptor(value, tag, annotations) for tag in names or [None]])
