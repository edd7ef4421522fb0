# SPDX-License-Identifier: Apache-2.0
"""Makes a layer: plans its members as they are given, then writes them all."""

import contextlib
import os
from collections.abc import Callable, Mapping, Sequence

from image_archive.image.layout import files_of_bases
from image_archive.layer.arguments import check_mode, check_options
from image_archive.layer.base import read_base
from image_archive.layer.base_files import BaseFiles
from image_archive.layer.debian_package import find_data
from image_archive.layer.parts import LayerFiles, LayerOptions
from image_archive.layer.plan import Changes, Plan
from image_archive.layer.tree import Outputs, TreeOptions
from image_archive.system.command_line import Run
from image_archive.system.inputs import InputFile
from image_archive.system.outputs import OutputFile, UnnamedFile, check_outputs
from image_archive.tar.archive import Archive, open_archive
from image_archive.tar.names import normal_name
from image_archive.tar.writer import LayerForm, TarFileWriter


class LayerBuilder:
    """Makes a layer of what is added to it. Nothing is written before write()."""

    def __init__(
        self,
        output: str,
        options: LayerOptions,
        run: Run,
        base: BaseFiles | None = None,
        others: Sequence[str] = (),
    ) -> None:
        """Reads the base, and begins a plan.

        Args:
            output: the path of the tarball, or of an image with the layer; '-' is stdout.
            options: how the layer is made.
            run: the run of the program.
            base: the files that the layer will lie on, if they are read already.
            others: the paths of other files that the run writes.

        Raises:
            ArgumentError: options do not go together, or the base lacks what is to be deleted.
            OSError: a file of the base cannot be read.
            ArchiveError: the base is unsound, or not an image.
        """
        check_options(options)
        self._output = output
        self._options = options
        self._run = run
        self._inputs: dict[str, list[str]] = {}
        self._archives: list[Archive] = []
        self._opened = contextlib.ExitStack()
        written = [output, *others]
        if options.id_file is not None:
            written.append(options.id_file)
        for path in options.lower:
            self._add_input('--lower', path)
        self._check_outputs()
        if base is None and options.base is not None:
            base = read_base(options.base, options.choice, options.lower, output, run.progress)
        tree = TreeOptions(options.mode, options.owner, options.follow_links, Outputs(written))
        self._plan = Plan(normal_name(options.directory), tree, base)
        if options.delete:
            self._plan.add_whiteouts(options.delete)

    @property
    def inputs(self) -> Mapping[str, Sequence[str]]:
        """The paths of the files that were added, by the flags that name them."""
        return self._inputs

    def add_all(self, files: LayerFiles) -> None:
        """Adds all that a layer is made of, in the order of its members.

        Args:
            files: what it is made of.

        Raises:
            OSError, ArgumentError, ArchiveError: as the methods for one of them.
        """
        for source, destination in files.files:
            self.add_file(source, destination)
        for name in files.empty_directories:
            self.add_empty_directory(name)
        for name in files.empty_files:
            self.add_empty_file(name)
        for path in files.tars:
            self.add_tar(path)
        for path in files.debs:
            self.add_deb(path)
        for path, target in files.links:
            self.add_link(path, target)

    def add_file(self, source: str, destination: str, mode: int | None = None) -> None:
        """Adds a file, or a directory with all that is in it.

        Args:
            source: its path.
            destination: its name in the layer; a file goes into one that ends in a slash.
            mode: the mode of files, in place of that of the options.

        Raises:
            OSError: a file cannot be read.
            ArgumentError: a file cannot be stored, or does not go together with the base.
        """
        if mode is not None:
            check_mode('--mode', mode)
        self._add_input('--file', source)
        is_directory_name = destination.endswith(('/', '/.')) or not normal_name(destination)
        if is_directory_name and not os.path.isdir(source):
            destination = f'{destination}/{os.path.basename(source)}'
        self._plan.add_path(source, destination, mode)

    def add_empty_directory(self, name: str) -> None:
        """Adds an empty directory; raises what Plan.add_empty_directory() raises."""
        self._plan.add_empty_directory(name)

    def add_empty_file(self, name: str, mode: int | None = None) -> None:
        """Adds an empty file; raises what Plan.add_empty_file() raises."""
        if mode is not None:
            check_mode('--mode', mode)
        self._plan.add_empty_file(name, mode)

    def add_tar(self, path: str) -> None:
        """Adds the members of a tarball, plain or compressed.

        Args:
            path: its path.

        Raises:
            OSError: it cannot be read.
            ArchiveError: it is unsound, or has a member that no layer can have.
            ArgumentError: a member does not go together with the base.
        """
        self._add_archive('--tar', path)

    def add_deb(self, path: str) -> None:
        """Adds the files of a Debian package; raises what add_tar() raises.

        Args:
            path: its path.
        """
        self._add_archive('--deb', path, find_data)

    def add_link(self, path: str, target: str) -> None:
        """Adds a symbolic link; raises what Plan.add_link() raises."""
        self._plan.add_link(path, target)

    def write(self) -> None:
        """Writes the layer, and the file for its diff ID.

        Raises:
            ArgumentError: a mode or owner is for what is not there, or an output is an input.
            OSError: a file cannot be read, was changed, or cannot be written.
        """
        options = self._options
        form = LayerForm(options.compression, has_digest=options.id_file is not None)
        partial_files = self._run.partial_files
        self._finish_plan()
        with TarFileWriter(self._output, partial_files, self._run.progress, form) as tar:
            self._write_members(tar)
            if options.id_file is None:
                return
            with OutputFile(options.id_file, partial_files) as id_file:
                id_file.write(f'{tar.sha256}\n'.encode('ascii'))
                tar.close([id_file])

    def write_into(self, file: OutputFile | UnnamedFile) -> str:
        """Writes the layer, plain, into a file that is open.

        Args:
            file: the file, from its position on.

        Returns:
            The diff ID in hex.

        Raises:
            ArgumentError, OSError: as write().
        """
        form = LayerForm(None, has_digest=True)
        self._finish_plan()
        with file.as_path() as path, TarFileWriter(path, None, self._run.progress, form) as tar:
            self._write_members(tar)
            return tar.sha256

    def _finish_plan(self) -> None:
        self._check_outputs()
        self._plan.finish(Changes(self._options.modes, self._options.owners))
        self._run.progress.begin('writing', sum(member.size for member in self._plan.members))

    def _write_members(self, tar: TarFileWriter) -> None:
        """Writes all members, and the end of the layer."""
        for member in self._plan.members:
            header = member.header(self._options.mtime)
            if member.content is None:
                tar.add_member(header, None, member.xattrs)
                continue
            with member.content.open() as source:
                tar.add_member(header, source, member.xattrs)
        for archive in self._archives:
            archive.check_unchanged()
        tar.finish()

    def close(self) -> None:
        """Closes all files; what is not written is lost."""
        self._opened.close()

    def _add_archive(
        self, flag: str, path: str, find_part: Callable[[InputFile], tuple[int, int]] | None = None
    ) -> None:
        self._add_input(flag, path)
        progress = self._run.progress
        opening = open_archive(path, True, self._output, progress, find_part)
        archive = self._opened.enter_context(opening)
        self._archives.append(archive)
        self._plan.add_archive(archive)

    def _add_input(self, flag: str, path: str) -> None:
        self._inputs.setdefault(flag, []).append(path)

    def _check_outputs(self) -> None:
        """Checks that no output is an input that is known by now."""
        others = {'--id_file': self._options.id_file}
        kept, replaceable = files_of_bases({'--base': self._options.base})
        check_outputs(self._output, others, {**self._inputs, **kept}, replaceable)
