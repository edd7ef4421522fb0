#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Assembles a container image archive, which `docker load` reads, from parts.

Example:
    create_image.py --output=image.tar --config=config.json --id=@config.sha256 \\
        --layer=@layer.sha256=layer.tar --tag=example/app:1.0 --verify
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

    start.prepare('create_image')

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from absl import flags

from image_archive.checks.problem import Problem, report
from image_archive.create.assemble import write_image
from image_archive.create.docker_archive import DATA_FORMAT_VERSION as DATA_FORMAT_VERSION
from image_archive.create.parts import ImageParts, Layer
from image_archive.errors import ArgumentError
from image_archive.image.choice import choice_of
from image_archive.image.identifiers import Identifier, normal_identifier, read_identifier
from image_archive.system import command_line, flag_values, shared_flags
from image_archive.system.command_line import Run
from image_archive.system.flag_values import all_given, given, given_text, text_of_argument
from image_archive.system.python_values import (
    PathName,
    check_type,
    items_of,
    optional_path_of,
    optional_text_of,
    path_of,
    text_of,
    texts_of,
)

FLAGS = flag_values.new_flags()  # build_image has some of them, too
_FLAGS = FLAGS
_OUTPUT = flags.DEFINE_string(
    'output', None, 'required: the archive to write; - is stdout', flag_values=_FLAGS
)
flag_values.share_flags(_FLAGS, shared_flags.FLAGS, ['base_tag', 'platform', 'verify'])
_ID = flags.DEFINE_string(
    'id', None, 'required: the SHA-256 of the configuration, in hex or as @FILE', flag_values=_FLAGS
)
_CONFIG = flags.DEFINE_string(
    'config', None, 'required: the image configuration, a JSON file', flag_values=_FLAGS
)
_LAYER = flags.DEFINE_multi_string(
    'layer',
    [],
    'ID=FILE: a layer and its SHA-256, in hex or as @FILE; bottom layer first',
    flag_values=_FLAGS,
)
_TAG = flags.DEFINE_multi_string(
    'tag', None, 'a tag of the image, repository:tag', flag_values=_FLAGS
)
_BASE = flags.DEFINE_string(
    'base',
    None,
    'the base, an image archive; its last image, or the one chosen, gives the layers below',
    flag_values=_FLAGS,
)
_LEGACY_BASE = flags.DEFINE_string(
    'legacy_base',
    None,
    'an image archive whose files are merged into the output',
    flag_values=_FLAGS,
)
_LEGACY_ID = flags.DEFINE_string(
    'legacy_id', None, 'a v1 identifier for the layer, in hex or as @FILE', flag_values=_FLAGS
)
_METADATA = flags.DEFINE_string(
    'metadata', None, 'the v1 JSON of the layer of --legacy_id', flag_values=_FLAGS
)
_REPOSITORY = flags.DEFINE_string(
    'repository', None, 'the repository to name in `repositories`', flag_values=_FLAGS
)
_NAME = flags.DEFINE_string('name', None, 'the tag to name in `repositories`', flag_values=_FLAGS)
_OCI = flags.DEFINE_boolean(
    'oci', False, 'write an OCI image layout as well, in the same archive', flag_values=_FLAGS
)
_ANNOTATIONS = flags.DEFINE_multi_string(
    'annotations',
    None,
    'with --oci: a list of NAME=VALUE: annotations of the manifest',
    flag_values=_FLAGS,
)
_DIGEST_FILE = flags.DEFINE_string(
    'digest_file', None, 'with --oci: where to write the digest of the manifest', flag_values=_FLAGS
)


def create_image(
    output: PathName,
    identifier: str,
    layers: Sequence[Mapping[str, PathName]],
    config: PathName,
    tags: Sequence[str] | None = None,
    base: PathName | None = None,
    legacy_base: PathName | None = None,
    metadata_id: str | None = None,
    metadata: PathName | None = None,
    name: str | None = None,
    repository: str | None = None,
    base_tag: str | None = None,
    platform: str | None = None,
) -> None:
    """Writes an image archive (Docker image specification v1.2).

    Args:
        output: the path of the archive; '-' is stdout.
        identifier: the image's identifier, the SHA-256 of its configuration in hex.
        layers: the layers, bottom layer first, each as {'name': diff ID in hex, 'layer': path}.
        config: the path of the configuration, which is stored byte for byte.
        tags: the tags, repository:tag, which are stored as given.
        base: the path of an image archive; its last image gives the layers below.
        legacy_base: the path of an archive whose files are merged.
        metadata_id: the v1 identifier of the only layer, in hex.
        metadata: the path of the v1 JSON of that layer.
        name: the tag to name in `repositories`.
        repository: the repository to name in `repositories`.
        base_tag: the tag of the image in the base.
        platform: the platform of the image in the base, OS/ARCHITECTURE[/VARIANT].

    Raises:
        TypeError: an argument is of a wrong type.
        ValueError: arguments are missing, or do not go together.
        OSError: a file cannot be read or written.
        TarFileWriter.Error: an archive is unsound, or not a base image.
    """
    legacy_id = optional_text_of('metadata_id', metadata_id)
    if legacy_id is not None:
        legacy_id = normal_identifier(legacy_id)
    items = items_of('layers', layers)
    parts = ImageParts(
        identifier=normal_identifier(text_of('identifier', identifier)),
        config=path_of('config', config),
        layers=tuple(_layer_of(f'layers[{index}]', item) for index, item in enumerate(items)),
        tags=tuple(texts_of('tags', () if tags is None else tags)),
        base=optional_path_of('base', base),
        legacy_base=optional_path_of('legacy_base', legacy_base),
        legacy_id=legacy_id,
        metadata=optional_path_of('metadata', metadata),
        repository=optional_text_of('repository', repository),
        name=optional_text_of('name', name),
        choice=choice_of(
            optional_text_of('base_tag', base_tag), optional_text_of('platform', platform)
        ),
    )
    write_image(path_of('output', output), parts, command_line.silent_run('create_image'))


def _layer_of(name: str, layer: object) -> Layer:
    """Returns a layer that a caller of create_image() gives; name is that of the argument."""
    check_type(name, layer, Mapping, "a dict with 'name' and 'layer'")
    keys = dict(layer)  # type: ignore[call-overload]
    if not {'name', 'layer'} <= set(keys):
        raise ArgumentError(f"{name}: {keys!r} has no 'name' or no 'layer': give both")
    identifier = text_of(f"{name}['name']", keys['name'])
    return Layer(normal_identifier(identifier), path_of(f"{name}['layer']", keys['layer']))


class ArchiveFlags(NamedTuple):
    """What the flags say of the archive, whatever image is in it.

    Attributes:
        parts: parts of an image, of which the others are missing.
        digest_file: the path of the file for the digest of the OCI manifest.
        verifies: whether every byte is checked first.
    """

    parts: ImageParts
    digest_file: str | None
    verifies: bool


def archive_flags() -> ArchiveFlags:
    """Reads the flags about the archive; raises ArgumentError for a wrong value."""
    tags = tuple(text_of_argument(tag) for tag in all_given(_TAG.value))
    annotations = tuple(flag_values.pairs_of('--annotations', _ANNOTATIONS.value))
    parts = ImageParts('', '', tags=tags, oci=_OCI.value, annotations=annotations)
    return ArchiveFlags(parts, given(_DIGEST_FILE.value), shared_flags.VERIFY.value)


def _parts_of_flags(parts: ImageParts) -> tuple[ImageParts, list[str]]:
    """Returns the parts that the flags name, and warnings about the files of identifiers."""
    identifiers: list[tuple[str, Identifier]] = []

    def identifier_of(flag: str, argument: str) -> Identifier:
        identifier = read_identifier(flag, argument)
        identifiers.append((flag, identifier))
        return identifier

    image_id = identifier_of('--id', _ID.value or '')
    layers = []
    for value in all_given(_LAYER.value):
        name, _, path = value.partition('=')
        if not name or not path:
            raise ArgumentError(f'--layer: {value!r} is not ID=FILE: give both')
        layer_id = identifier_of('--layer', name)
        layers.append(Layer(layer_id.value, path, layer_id.origin))
    legacy_id = None
    legacy_id_origin = ''
    if _LEGACY_ID.value:
        v1_id = identifier_of('--legacy_id', _LEGACY_ID.value)
        legacy_id = v1_id.value
        legacy_id_origin = v1_id.origin
    parts = parts._replace(
        identifier=image_id.value,
        config=_CONFIG.value or '',
        layers=tuple(layers),
        base=given(_BASE.value),
        legacy_base=given(_LEGACY_BASE.value),
        legacy_id=legacy_id,
        metadata=given(_METADATA.value),
        repository=given_text(_REPOSITORY.value),
        name=given_text(_NAME.value),
        id_origin=image_id.origin,
        legacy_id_origin=legacy_id_origin,
        choice=choice_of(
            given_text(shared_flags.BASE_TAG.value), given_text(shared_flags.PLATFORM.value)
        ),
        id_files=tuple((flag, one.path) for flag, one in identifiers if one.path is not None),
    )
    return parts, [text for _, identifier in identifiers for text in identifier.warnings]


def main(run: Run) -> None:
    """Runs the program with the values of its flags.

    Args:
        run: the run of the program.

    Raises:
        ArgumentError, OSError, ArchiveError: as write_image().
    """
    for flag in (_OUTPUT, _ID, _CONFIG):
        flag_values.check_given(flag)
    archive = archive_flags()
    parts, warnings = _parts_of_flags(archive.parts)
    report([Problem(text) for text in warnings], archive.verifies)
    write_image(_OUTPUT.value or '', parts, run, archive.verifies, archive.digest_file)


def run_main() -> None:
    """Runs the program with the arguments of the command line."""
    command_line.run('create_image', main, __doc__ or '', _FLAGS)


if __name__ == '__main__':
    run_main()
