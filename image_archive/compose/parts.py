# SPDX-License-Identifier: Apache-2.0
"""What an image is made of, as arguments say it."""

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import NamedTuple

from image_archive.configure.build import ConfigOptions
from image_archive.create.parts import ImageParts
from image_archive.layer.parts import LayerFiles, LayerOptions


class ComposedParts(NamedTuple):
    """What an image is made of, and the files that are written beside it.

    Attributes:
        files: what the new layer is made of.
        options: how it is made, and the base of the image.
        config: what the configuration gets; its layers are those of the image.
        archive: what the archive gets, whatever image is in it: tags, an OCI layout.
        layers: the paths of layers between the base and the new one, bottom layer first.
        is_partial: whether the layers of the base are left out of the archive.
        config_inputs: the paths of the files that the configuration is from, by flag.
        digest_file: the path of the file for the digest of the OCI manifest.
        id_file: the path of the file for the identifier of the image.
    """

    files: LayerFiles
    options: LayerOptions
    config: ConfigOptions
    archive: ImageParts
    layers: tuple[str, ...] = ()
    is_partial: bool = False
    config_inputs: Mapping[str, Sequence[str]] = MappingProxyType({})
    digest_file: str | None = None
    id_file: str | None = None

    @property
    def base(self) -> str | None:
        """The path of the base; None without one."""
        return self.options.base

    @property
    def has_new_layer(self) -> bool:
        """Whether a layer is made; --modes and --owners alone are mistakes, which that reports."""
        options = self.options
        return bool(any(self.files) or options.delete or options.modes or options.owners)
