# SPDX-License-Identifier: Apache-2.0
"""Makes an image from files: reads the base once, then makes layer, configuration and archive.

What comes out is what build_tar, create_image_config and create_image give one after the other.
"""

import contextlib
from collections.abc import Iterator

from image_archive.compose.parts import ComposedParts
from image_archive.configure.build import (
    base_configuration,
    build_configuration,
    configuration_content,
)
from image_archive.create.arguments import check_oci
from image_archive.create.assemble import start_of_layers, write_opened_image
from image_archive.create.opened import OpenedLayer, image_of_open_files
from image_archive.create.parts import Layer, Words
from image_archive.digests import sha256
from image_archive.errors import ArgumentError
from image_archive.image.configuration import judge_configuration
from image_archive.image.layer_file import LayerFile
from image_archive.image.layout import files_of_bases, open_image_archive
from image_archive.image.stored import ImageArchive, read_image_archive
from image_archive.layer.arguments import check_options
from image_archive.layer.assemble import LayerBuilder
from image_archive.layer.base import add_image, add_lower
from image_archive.layer.base_files import BaseFiles
from image_archive.system.command_line import Run
from image_archive.system.inputs import InputFile
from image_archive.system.outputs import OutputFile, UnnamedFile, check_outputs, is_replaced
from image_archive.tar.content import BytesInMemory, Source, have_same_content, source_of
from image_archive.tar.writer import ALIGNED_SIZE

_UNKNOWN = 64 * '0'  # in place of a diff ID
_NEW_LAYER = ''  # in place of its path, which it does not have
_WORDS = Words(
    config='the configuration', merged='--base', completion='leave --partial out, or give --oci'
)


def compose_image(output: str, parts: ComposedParts, run: Run, verifies: bool = False) -> str:
    """Writes the archive of an image, and the files beside it.

    Args:
        output: the path of the archive; '-' is stdout.
        parts: what the image is made of.
        run: the run of the program.
        verifies: whether every byte is checked first.

    Returns:
        The identifier of the image, in hex.

    Raises:
        ProblemsError: with verifies, the image has problems.
        ArgumentError: arguments are wrong, or do not go together.
        OSError: a file cannot be read or written.
        ArchiveError: an archive is unsound, or not an image.
    """
    _check_arguments(output, parts)
    with contextlib.ExitStack() as stack:
        base = _open_base(output, parts, run, verifies, stack)
        base_config = judge_configuration({})
        if base is not None:
            base_config = base_configuration(base, parts.options.choice)
        # Wrong flags fail before any layer is read, so the layers get their diff IDs later.
        count = len(parts.layers) + parts.has_new_layer
        options = parts.config._replace(layers=[_UNKNOWN] * count)
        config = build_configuration(base_config, options)
        lower = _LowerLayers(base, parts, run)
        for path in parts.layers:
            lower.add(path, stack)
        layers = lower.layers
        written: str | OutputFile = output
        if parts.has_new_layer:
            builder = stack.enter_context(_plan_layer(output, parts, lower.files, run))
            if is_replaced(output) and not layers:
                written = stack.enter_context(OutputFile(output, run.partial_files))
                start = start_of_layers(written, configuration_content(config), parts.archive.oci)
                new_layer, source = _write_layer_in_place(builder, written, start)
            else:
                file = stack.enter_context(UnnamedFile(output))
                new_layer = Layer(builder.write_into(file), _NEW_LAYER)
                source = Source(_NEW_LAYER, file, 0, file.size)
            layers.append(new_layer)
            lower.opened[_NEW_LAYER] = OpenedLayer(None, LayerFile('the new layer', source))
        _check_layers_of_one_id(layers, lower.opened)
        if base is not None:
            base.archive.check_unchanged()
        diff_ids = config['rootfs']['diff_ids']
        diff_ids[len(diff_ids) - count :] = [f'sha256:{layer.identifier}' for layer in layers]
        content = configuration_content(config)
        image_parts = parts.archive._replace(
            identifier=sha256(content),
            layers=tuple(layers),
            base=parts.base,
            choice=parts.options.choice,
            legacy_base=None if parts.is_partial else parts.base,
            words=_WORDS,
        )
        image = image_of_open_files(image_parts, content, lower.opened, base)
        write_opened_image(written, image, run, verifies, parts.digest_file, parts.id_file)
        return image_parts.identifier


def _check_arguments(output: str, parts: ComposedParts) -> None:
    """Checks what can be checked before a file is opened."""
    check_options(parts.options)
    check_oci(parts.archive, parts.digest_file)
    if parts.is_partial and parts.base is None:
        text = 'only the layers of a base can be left out'
        raise ArgumentError(f'--partial: {text}: give --base')
    _check_outputs(output, parts, None)


def _check_outputs(output: str, parts: ComposedParts, builder: LayerBuilder | None) -> None:
    """Checks that no output is an input that is known by now."""
    inputs = dict(parts.config_inputs)
    inputs['--layer'] = parts.layers
    if builder is not None:
        inputs.update(builder.inputs)
    others = {'--digest_file': parts.digest_file, '--id_file': parts.id_file}
    kept, replaceable = files_of_bases({'--base': parts.base})
    check_outputs(output, others, {**inputs, **kept}, replaceable)


def _open_base(
    output: str, parts: ComposedParts, run: Run, verifies: bool, stack: contextlib.ExitStack
) -> ImageArchive | None:
    """Opens the archive of the base until the stack is closed."""
    if parts.base is None:
        return None
    reads_layers = parts.has_new_layer or verifies or parts.archive.oci
    keep_all = reads_layers or not parts.is_partial
    opening = open_image_archive(parts.base, keep_all, output, run.progress)
    return read_image_archive(stack.enter_context(opening), 'base image')


class _LowerLayers:
    """What the new layer lies on: the base, and the layers that are there already.

    Attributes:
        files: the files of all of them; None if there is none, or no new layer.
        layers: the layers above the base.
        opened: the same, open, by their paths.
    """

    def __init__(self, base: ImageArchive | None, parts: ComposedParts, run: Run) -> None:
        self.files: BaseFiles | None = None
        self.layers: list[Layer] = []
        self.opened: dict[str, OpenedLayer] = {}
        self._run = run
        if parts.has_new_layer and (base is not None or parts.layers):
            self.files = BaseFiles()
            if base is not None:
                add_image(self.files, base.base_for(parts.options.choice), run.progress)
            add_lower(self.files, parts.options.lower, run.progress)

    def add(self, path: str, stack: contextlib.ExitStack) -> None:
        """Adds the next layer, which is open until the stack is closed."""
        opened = InputFile(path)
        stack.callback(opened.close)
        source = source_of(opened)
        read = LayerFile(repr(path), source)
        self._run.progress.begin(f'reading {path!r}', opened.size)
        if self.files is not None:
            self.files.add_layer(read, self._run.progress, needs_digest=True)
        else:
            read.read(lambda member: None, self._run.progress)
        self.layers.append(Layer(read.content_sha256 or '', path))
        self.opened[path] = OpenedLayer(opened, LayerFile(repr(path), source))


def _check_layers_of_one_id(layers: list[Layer], opened: dict[str, OpenedLayer]) -> None:
    """Checks that layers with one diff ID are one file; they may be compressed in several ways."""
    first: dict[str, LayerFile] = {}
    for layer in layers:
        file = opened[layer.path].file
        other = first.setdefault(layer.identifier, file)
        if other is not file and not have_same_content(other.source, file.source):
            text = f'{other.label} and {file.label} are one layer, compressed in two ways'
            raise ArgumentError(f'--layer: {text}: give one of them')


@contextlib.contextmanager
def _plan_layer(
    output: str, parts: ComposedParts, below: BaseFiles | None, run: Run
) -> Iterator[LayerBuilder]:
    """Plans the new layer; the files that it is made of are open as long as the context lasts."""
    others = [path for path in (parts.digest_file, parts.id_file) if path is not None]
    builder = LayerBuilder(output, parts.options, run, below, others)
    with contextlib.closing(builder):
        builder.add_all(parts.files)
        _check_outputs(output, parts, builder)
        yield builder


def _write_layer_in_place(
    builder: LayerBuilder, output: OutputFile, start: int
) -> tuple[Layer, Source]:
    """Writes the new layer into the file of the archive, from where it need not be copied.

    Args:
        builder: makes the layer.
        output: the file of the archive.
        start: where the data of the layer begin there, in bytes, unless it is a small one.
    """
    output.go_to(start)
    identifier = builder.write_into(output)
    size = output.size - start
    source = Source(_NEW_LAYER, output, start, size)
    if size < ALIGNED_SIZE:
        source = source._replace(file=BytesInMemory(source.read_small()), file_offset=0)
        output.clear()
    return Layer(identifier, _NEW_LAYER), source
