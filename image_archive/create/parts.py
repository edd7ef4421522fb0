# SPDX-License-Identifier: Apache-2.0
"""The parts of an image, as arguments name them."""

from typing import NamedTuple

from image_archive.image.choice import Choice


class Layer(NamedTuple):
    """A layer that an image adds to its base.

    Attributes:
        identifier: its diff ID in hex, the SHA-256 of its uncompressed content.
        path: the path of its tarball.
        origin: where the identifier was read, as Identifier.origin.
    """

    identifier: str
    path: str
    origin: str = ''


class Words(NamedTuple):
    """How messages name things, by default with the flags of create_image.

    Attributes:
        config: the name of the configuration; None for its flag and path.
        merged: the flag that names the archive that is merged.
        completion: what to do for a partial image to be whole.
    """

    config: str | None = None
    merged: str = '--legacy_base'
    completion: str = 'give a whole --legacy_base'


class ImageParts(NamedTuple):
    """The parts of an image. An optional part that is not given is None.

    Attributes:
        identifier: the SHA-256 of the configuration, in hex.
        config: the path of the configuration.
        layers: the layers, bottom layer first.
        tags: the tags, repository:tag.
        base: the path of an image archive; an image of it gives the layers below and the parent.
        legacy_base: the path of an archive whose files are merged.
        legacy_id: the v1 identifier of the only layer, in hex.
        metadata: the path of the v1 JSON of that layer.
        repository: the repository to name in `repositories`.
        name: the tag to name in `repositories`.
        oci: whether the archive is an OCI image layout as well.
        annotations: the annotations of its manifest, as pairs of a name and a value.
        id_origin: where the identifier was read, as Identifier.origin.
        legacy_id_origin: where the v1 identifier was read.
        id_files: the paths of the files that identifiers were read from, by flag.
        choice: which image of a base is meant.
        words: how messages name the parts.
    """

    identifier: str
    config: str
    layers: tuple[Layer, ...] = ()
    tags: tuple[str, ...] = ()
    base: str | None = None
    legacy_base: str | None = None
    legacy_id: str | None = None
    metadata: str | None = None
    repository: str | None = None
    name: str | None = None
    oci: bool = False
    annotations: tuple[tuple[str, str], ...] = ()
    id_origin: str = ''
    legacy_id_origin: str = ''
    id_files: tuple[tuple[str, str], ...] = ()
    choice: Choice = Choice()
    words: Words = Words()

    @property
    def config_label(self) -> str:
        """The name of the configuration in messages."""
        return self.words.config or f'--config: {self.config!r}'

    @property
    def layer_names(self) -> list[str]:
        """The names of the layers in a docker archive."""
        if self.legacy_id is not None:
            return [f'{self.legacy_id}/layer.tar']
        return [f'{self.identifier}/{layer.identifier}.tar' for layer in self.layers]
