#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Writes the configuration of an image, from that of a base and from flags.

Example:
    create_image_config.py --output=config.json --base=base.tar --layer=@layer.sha256 \\
        --entrypoint=/srv/app,--serve --env=LANG=C.UTF-8 --ports=8080 --user=nobody
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

    start.prepare('create_image_config')

from typing import Any, NamedTuple

from absl import flags

from image_archive.checks.problem import Problem, report
from image_archive.configure.build import (
    ConfigOptions,
    CreateImageConfig,
    DeepCopySkipNull,
    KeyValueToDict,
    build_configuration,
    configuration_content,
    read_base_configuration,
)
from image_archive.configure.healthcheck import read_healthcheck
from image_archive.configure.values import Resolve
from image_archive.digests import is_sha256_hex
from image_archive.errors import ArgumentError
from image_archive.image.choice import Choice, Platform, check_choice, choice_of
from image_archive.image.configuration import judge_configuration
from image_archive.image.identifiers import read_identifier
from image_archive.image.layout import files_of
from image_archive.system import command_line, flag_values, shared_flags
from image_archive.system.command_line import Run
from image_archive.system.flag_values import all_given, given, path_of_text
from image_archive.system.inputs import read_small_file
from image_archive.system.outputs import OutputFile, check_output, put_all_in_place

__all__ = [
    'ConfigOptions',
    'CreateImageConfig',
    'DeepCopySkipNull',
    'KeyValueToDict',
    'Resolve',
    'main',
    'run_main',
]

FLAGS = flag_values.new_flags()  # build_image has some of them, too
_FLAGS = FLAGS
_OUTPUT = flags.DEFINE_string(
    'output', None, 'required: the configuration to write; - is stdout', flag_values=_FLAGS
)
flag_values.share_flags(_FLAGS, shared_flags.FLAGS, ['base_tag'])
_BASE = flags.DEFINE_string(
    'base',
    None,
    'an image archive; its last image, or the one chosen, has the configuration to start from',
    flag_values=_FLAGS,
)
_PLATFORM = flags.DEFINE_string(
    'platform',
    None,
    'the platform, like linux/arm64, and with --base the image of that platform',
    flag_values=_FLAGS,
)
_LAYER = flags.DEFINE_multi_string(
    'layer',
    [],
    'the diff ID of a new layer, in hex or as @FILE, or ID=FILE; bottom layer first',
    flag_values=_FLAGS,
)
_ENTRYPOINT = flags.DEFINE_multi_string(
    'entrypoint',
    None,
    'a list: the program that a container runs; [] removes it',
    flag_values=_FLAGS,
)
_COMMAND = flags.DEFINE_multi_string(
    'command',
    None,
    'a list: the arguments of the entrypoint, or the program if there is none',
    flag_values=_FLAGS,
)
_ENV = flags.DEFINE_multi_string(
    'env',
    None,
    'a list of NAME=VALUE: variables; $NAME and ${NAME} stand for variables set before',
    flag_values=_FLAGS,
)
_LABELS = flags.DEFINE_multi_string(
    'labels',
    None,
    'a list of NAME=VALUE: labels; NAME=@FILE takes the text of a file',
    flag_values=_FLAGS,
)
_PORTS = flags.DEFINE_multi_string(
    'ports', None, 'a list of ports, like 80, 53/udp or 8000-8010', flag_values=_FLAGS
)
_VOLUMES = flags.DEFINE_multi_string(
    'volumes', None, 'a list of directories that are volumes', flag_values=_FLAGS
)
_USER = flags.DEFINE_string('user', None, 'the user of the container', flag_values=_FLAGS)
_WORKDIR = flags.DEFINE_string(
    'workdir', None, 'the working directory of the container, an absolute path', flag_values=_FLAGS
)
_ARCHITECTURE = flags.DEFINE_string(
    'architecture',
    None,
    'the architecture, as GOARCH has it; amd64 if the base has none',
    flag_values=_FLAGS,
)
_OS = flags.DEFINE_string(
    'os',
    None,
    'the operating system, as GOOS has it; linux if the base has none',
    flag_values=_FLAGS,
)
_VARIANT = flags.DEFINE_string(
    'variant', None, 'the variant of the architecture, like v8', flag_values=_FLAGS
)
_CREATED = flags.DEFINE_string(
    'created',
    None,
    'the time of the image, in RFC 3339 or seconds since 1970, or @FILE; 1970 by default',
    flag_values=_FLAGS,
)
_AUTHOR = flags.DEFINE_string(
    'author', None, 'the author of the image and of its new history entries', flag_values=_FLAGS
)
_CREATED_BY = flags.DEFINE_string(
    'created_by', None, 'the command in the new history entries', flag_values=_FLAGS
)
_STOP_SIGNAL = flags.DEFINE_string(
    'stop_signal', None, 'the signal that stops a container', flag_values=_FLAGS
)
_HEALTHCHECK = flags.DEFINE_string(
    'healthcheck',
    None,
    'the health check: {"Test": ["CMD", ...], "Interval": "30s", ...}; [] removes it',
    flag_values=_FLAGS,
)
_REMOVE_ENV = flags.DEFINE_multi_string(
    'remove_env',
    None,
    'a list of variables of the base to remove; * removes all',
    flag_values=_FLAGS,
)
_REMOVE_LABELS = flags.DEFINE_multi_string(
    'remove_labels',
    None,
    'a list of labels of the base to remove; * removes all',
    flag_values=_FLAGS,
)
_REMOVE_PORTS = flags.DEFINE_multi_string(
    'remove_ports', None, 'a list of ports of the base to remove; * removes all', flag_values=_FLAGS
)
_REMOVE_VOLUMES = flags.DEFINE_multi_string(
    'remove_volumes',
    None,
    'a list of volumes of the base to remove; * removes all',
    flag_values=_FLAGS,
)


class _FlagReader:
    """Reads the values of flags.

    Attributes:
        inputs: the paths of the files that were read or named, by flag.
    """

    def __init__(self) -> None:
        self.inputs: dict[str, list[str]] = {}

    def text(self, holder: flags.FlagHolder[str | None]) -> str | None:
        """Returns the value of an optional flag; None without one.

        Args:
            holder: the flag.

        Raises:
            ArgumentError: no configuration can hold the value.
        """
        value = given(holder.value)
        if value is None:
            return None
        return flag_values.valid_text(f'--{holder.name}', value)

    def items(self, holder: flags.FlagHolder[list[str] | None]) -> list[str] | None:
        """Returns the items of a list; None if the flag is not given.

        Args:
            holder: the flag.

        Raises:
            ArgumentError: the value is not a list, or no configuration can hold an item.
        """
        return flag_values.items_of(f'--{holder.name}', holder.value)

    def pairs(self, holder: flags.FlagHolder[list[str] | None]) -> list[tuple[str, str]]:
        """Returns the pairs of a list of NAME=VALUE, in their order.

        Args:
            holder: the flag.

        Raises:
            ArgumentError: as items(), and if an item is not such a pair.
        """
        return flag_values.pairs_of(f'--{holder.name}', holder.value)

    def layers(self) -> list[str]:
        """Returns the diff IDs of the new layers, in hex, bottom layer first.

        Raises:
            ArgumentError: a value of --layer has no SHA-256.
            OSError: the file of an identifier cannot be read.
        """
        layers = []
        for value in all_given(_LAYER.value):
            name, equals, path = value.partition('=')
            if equals and not path:
                raise ArgumentError(f'--layer: {value!r} is not ID=FILE: give both, or the ID')
            if path:
                self._add_input('--layer', path)
            identifier = read_identifier('--layer', name)
            if identifier.path is not None:
                self._add_input('--layer', identifier.path)
            if not is_sha256_hex(identifier.value):
                where = f'{identifier.value!r}{identifier.origin}'
                raise ArgumentError(f'--layer: {where} is not 64 hex digits: give a SHA-256')
            report([Problem(text) for text in identifier.warnings], verifies=False)
            layers.append(identifier.value)
        return layers

    def labels(self) -> dict[str, str]:
        """Returns the labels, with the texts of files for @FILE; raises what pairs() raises."""
        labels = dict(self.pairs(_LABELS))
        for name, value in labels.items():
            if value.startswith('@@'):
                labels[name] = value[1:]
            elif value.startswith('@'):
                labels[name] = self._read_text('--labels', value[1:])
        return labels

    def created(self) -> str | None:
        """Returns the time, which may be in a file; raises what text() raises."""
        value = self.text(_CREATED)
        if value is None or not value.startswith('@'):
            return value
        return self._read_text('--created', value[1:]).strip()

    def healthcheck(self) -> dict[str, Any] | None:
        """Returns the health check, an empty one to remove the base's; None without the flag.

        Raises:
            ArgumentError: it is not one.
        """
        text = self.text(_HEALTHCHECK)
        if text is None:
            return None
        return read_healthcheck(text)

    def _read_text(self, flag: str, name: str) -> str:
        """Returns the text of a file that a flag names."""
        if not name:
            raise ArgumentError(f'{flag}: @ names no file: give @FILE')
        path = path_of_text(name)
        self._add_input(flag, path)
        try:
            text = read_small_file(path).decode('utf-8')
        except UnicodeDecodeError as error:
            raise ArgumentError(f'{flag}: {name!r} is not in UTF-8: save it as UTF-8') from error
        flag_values.check_text(f'{flag}: {name!r}', text)
        return text

    def _add_input(self, flag: str, path: str) -> None:
        self.inputs.setdefault(flag, []).append(path)


def with_platform(options: ConfigOptions, platform: Platform | None) -> ConfigOptions:
    """Returns options for a platform, unless they have one themselves.

    Args:
        options: the options.
        platform: the platform; None for none.
    """
    if platform is None or options.architecture or options.os or options.variant:
        return options
    variant = platform.variant or None
    return options._replace(os=platform.os, architecture=platform.architecture, variant=variant)


class ConfigFlags(NamedTuple):
    """What the flags say of a configuration, whatever base it is made from.

    Attributes:
        options: what the image gets.
        choice: which image of the base is meant.
        inputs: the paths of the files that were read or named, by flag.
    """

    options: ConfigOptions
    choice: Choice
    inputs: dict[str, list[str]]


def config_flags() -> ConfigFlags:
    """Reads the flags but --output and --base.

    Raises:
        ArgumentError: a flag has a wrong value.
        OSError: a file cannot be read.
    """
    reader = _FlagReader()
    choice = choice_of(reader.text(shared_flags.BASE_TAG), reader.text(_PLATFORM))
    options = ConfigOptions(
        layers=reader.layers(),
        entrypoint=reader.items(_ENTRYPOINT),
        cmd=reader.items(_COMMAND),
        user=reader.text(_USER),
        labels=reader.labels(),
        env=reader.pairs(_ENV),
        ports=reader.items(_PORTS),
        volumes=reader.items(_VOLUMES),
        workdir=reader.text(_WORKDIR),
        architecture=reader.text(_ARCHITECTURE),
        os=reader.text(_OS),
        variant=reader.text(_VARIANT),
        created=reader.created(),
        author=reader.text(_AUTHOR),
        created_by=reader.text(_CREATED_BY),
        stop_signal=reader.text(_STOP_SIGNAL),
        healthcheck=reader.healthcheck(),
        remove_env=reader.items(_REMOVE_ENV),
        remove_labels=reader.items(_REMOVE_LABELS),
        remove_ports=reader.items(_REMOVE_PORTS),
        remove_volumes=reader.items(_REMOVE_VOLUMES),
    )
    return ConfigFlags(with_platform(options, choice.platform), choice, reader.inputs)


def main(run: Run) -> None:
    """Runs the program with the values of its flags.

    Args:
        run: the run of the program.

    Raises:
        ArgumentError: a flag has a wrong value, or the output is an input.
        OSError: a file cannot be read or written.
        ArchiveError: no image can be built on the base.
    """
    flag_values.check_given(_OUTPUT)
    output = _OUTPUT.value or ''
    options, choice, inputs = config_flags()
    base = judge_configuration({})
    base_path = given(_BASE.value)
    if base_path is not None:
        inputs['--base'] = files_of(base_path)
    check_choice(choice._replace(platform=None), [base_path])
    check_output('--output', output, inputs)
    if base_path is not None:
        base = read_base_configuration(base_path, choice, output, run)
    content = configuration_content(build_configuration(base, options))
    with OutputFile(output, run.partial_files) as file:
        file.write(content)
        put_all_in_place([file])


def run_main() -> None:
    """Runs the program with the arguments of the command line."""
    command_line.run('create_image_config', main, __doc__ or '', _FLAGS)


if __name__ == '__main__':
    run_main()
