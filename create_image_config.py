#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Writes the configuration of an image, from that of a base and from flags.

Example:
    create_image_config.py --output=config.json --base=base.tar --layer=@layer.sha256 \\
        --entrypoint=/srv/app,--serve --env=LANG=C.UTF-8 --ports=8080 --user=nobody
"""

import os
import sys

if __name__ == '__main__':
    sys.path.insert(0, os.path.dirname(os.path.realpath(__file__)))  # not so with PYTHONSAFEPATH
    from image_archive.system import start

    start.prepare('create_image_config')

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from absl import flags, logging

from image_archive.configure import config_values
from image_archive.configure.config_values import DEFAULT_TIME, normal_port, time_of, with_variables
from image_archive.configure.config_values import Resolve as Resolve
from image_archive.errors import ArchiveError, ArgumentError
from image_archive.image import bases as utils
from image_archive.image import image_config, names
from image_archive.system import command_line, files, flag_values
from image_archive.system.command_line import Run, given
from image_archive.system.files import OutputFile
from image_archive.tar import sources

_FLAGS = command_line.new_flags()
_OUTPUT = flags.DEFINE_string(
    'output', None, 'required: the configuration to write; - is stdout', flag_values=_FLAGS
)
_BASE = flags.DEFINE_string(
    'base',
    None,
    'an image archive whose last image has the configuration to begin with',
    flag_values=_FLAGS,
)
_LAYER = flags.DEFINE_multi_string(
    'layer',
    [],
    'the diff ID of a new layer, in hex or as @FILE, or ID=FILE; bottom layer first',
    flag_values=_FLAGS,
)
_ENTRYPOINT = flags.DEFINE_multi_string(
    'entrypoint', None, 'a list: the program that a container runs; [] for none', flag_values=_FLAGS
)
_COMMAND = flags.DEFINE_multi_string(
    'command',
    None,
    'a list: its arguments, or the program where there is no entrypoint',
    flag_values=_FLAGS,
)
_ENV = flags.DEFINE_multi_string(
    'env',
    None,
    'a list of NAME=VALUE: variables, with $NAME and ${NAME} for those before',
    flag_values=_FLAGS,
)
_LABELS = flags.DEFINE_multi_string(
    'labels',
    None,
    'a list of NAME=VALUE, or NAME=@FILE for the text of a file: labels',
    flag_values=_FLAGS,
)
_PORTS = flags.DEFINE_multi_string(
    'ports', None, 'a list of ports, like 80, 80/tcp or 53/udp', flag_values=_FLAGS
)
_VOLUMES = flags.DEFINE_multi_string(
    'volumes', None, 'a list of folders that are volumes', flag_values=_FLAGS
)
_USER = flags.DEFINE_string('user', None, 'whom a container runs as', flag_values=_FLAGS)
_WORKDIR = flags.DEFINE_string(
    'workdir', None, 'the folder in which it begins, an absolute path', flag_values=_FLAGS
)
_ARCHITECTURE = flags.DEFINE_string(
    'architecture',
    None,
    'the architecture, as Go calls it; amd64 if the base has none',
    flag_values=_FLAGS,
)
_OS = flags.DEFINE_string(
    'os', None, 'the system, as Go calls it; linux if the base has none', flag_values=_FLAGS
)
_VARIANT = flags.DEFINE_string(
    'variant', None, 'the variant of the architecture, like v8', flag_values=_FLAGS
)
_CREATED = flags.DEFINE_string(
    'created',
    None,
    'when, in RFC 3339 or in seconds since 1970, or @FILE; 1970 by default',
    flag_values=_FLAGS,
)
_AUTHOR = flags.DEFINE_string(
    'author', None, 'the author of the image and of its new history', flag_values=_FLAGS
)
_CREATED_BY = flags.DEFINE_string(
    'created_by', None, 'the command, for the new history', flag_values=_FLAGS
)
_STOP_SIGNAL = flags.DEFINE_string(
    'stop_signal', None, 'the signal that stops a container', flag_values=_FLAGS
)

_DEFAULT_ARCHITECTURE = 'amd64'
_DEFAULT_OS = 'linux'

# What belongs to a container, or to an image of before Docker 1.10 ("Docker image specification
# v1.0"), or to the schema 1 of registries. All of it tells of the base.
_DROPPED_KEYS = (
    'checksum',
    'comment',
    'container',
    'container_config',
    'docker_version',
    'id',
    'layer_id',
    'parent',
    'parent_id',
    'size',
    'throwaway',
)


class ConfigOptions(NamedTuple):
    """What a configuration gets; what is None stays as the base has it.

    Attributes:
        layers: the diff IDs of the new layers in hex, bottom layer first.
        entrypoint: the program that a container runs; an empty list removes the base's.
        cmd: its arguments, or the program; an empty list removes the base's.
        user: whom it runs as.
        labels: labels by name.
        env: variables by name, or pairs of both; `$NAME` stands for those before.
        ports: ports, `80` or `80/tcp`.
        volumes: folders.
        workdir: the folder in which it begins.
        architecture: the architecture.
        os: the operating system.
        variant: the variant of the architecture.
        created: a time in RFC 3339, or seconds since 1970; DEFAULT_TIME for None.
        author: the author of the image and of the new layers.
        created_by: the command that made the new layers.
        stop_signal: the signal that stops a container.
    """

    layers: Sequence[str] | None = None
    entrypoint: Sequence[str] | None = None
    cmd: Sequence[str] | None = None
    user: str | None = None
    labels: Mapping[str, str] | None = None
    env: Mapping[str, str] | Sequence[tuple[str, str]] | None = None
    ports: Sequence[str] | None = None
    volumes: Sequence[str] | None = None
    workdir: str | None = None
    architecture: str | None = None
    os: str | None = None
    variant: str | None = None
    created: str | None = None
    author: str | None = None
    created_by: str | None = None
    stop_signal: str | None = None


def CreateImageConfig(data: dict[str, Any], options: ConfigOptions) -> dict[str, Any]:
    """Makes the configuration of an image.

    Args:
        data: the configuration of the base, {} without one; it is not changed.
        options: what the image gets.

    Returns:
        The configuration.

    Raises:
        ValueError: an option is wrong, or the base's configuration is none that can be built on.
    """
    problems = _base_config_problems(data)
    if problems:
        raise ArgumentError(f'the configuration of the base is wrong: {problems[0]}')
    base = _usual_config(data)
    created = DEFAULT_TIME
    if options.created is not None:
        created = time_of(options.created)
    config = {key: value for key, value in base.items() if key.lower() not in _DROPPED_KEYS}
    _set_platform(config, options)
    config['created'] = created
    if options.author:
        config['author'] = options.author
    config['config'] = base.get('config', {})
    _set_process(config['config'], options)
    _set_surroundings(config['config'], options, config['os'])
    below = image_config.diff_ids(base) or []
    new = [f'sha256:{names.normal_identifier(layer)}' for layer in options.layers or ()]
    config['rootfs'] = {'type': 'layers', 'diff_ids': [*below, *new]}
    config['history'] = history(base, len(below), len(new), created, options)
    return config


# The steps.


def _base_config_problems(data: dict[str, Any]) -> list[str]:
    """Returns why a configuration cannot be built on, each a text that says what is wrong."""
    problems = image_config.type_problems(data)
    if problems:
        return problems
    config = image_config.with_usual_keys(data)
    if (config.get('rootfs') or {}).get('type', 'layers') not in (None, 'layers'):
        problems.append('rootfs.type must be "layers"')
    told = image_config.layers_in_history(config) or 0
    layers = len(image_config.diff_ids(config) or ())
    if told > layers:
        problems.append(f'history has {told} entries without empty_layer for {layers} layers')
    return problems


def _usual_config(data: dict[str, Any]) -> dict[str, Any]:
    """Returns a copy of the base's configuration without nulls, in the usual spelling."""
    config = image_config.with_usual_keys(data)
    process = dict(config.get('config') or {})
    # In these objects a null is what Go's decoder makes of it, not an absent entry.
    for key, nothing in (('ExposedPorts', {}), ('Volumes', {}), ('Labels', '')):
        if process.get(key) is not None:
            items = process[key].items()
            process[key] = {name: nothing if item is None else item for name, item in items}
    config['config'] = process
    copy: dict[str, Any] = DeepCopySkipNull(config)
    return copy


def _set_platform(config: dict[str, Any], options: ConfigOptions) -> None:
    """Sets what an image runs on; what told of another platform goes."""
    architecture = options.architecture or config.get('architecture') or _DEFAULT_ARCHITECTURE
    variant = options.variant
    if not variant and architecture == config.get('architecture'):
        variant = config.get('variant')
    config.pop('variant', None)
    if variant:
        config['variant'] = variant
    system = options.os or config.get('os') or _DEFAULT_OS
    if system != config.get('os'):
        config.pop('os.version', None)
        config.pop('os.features', None)
    config['architecture'] = architecture
    config['os'] = system


def _set_process(config: dict[str, Any], options: ConfigOptions) -> None:
    """Sets what a container runs, as ENTRYPOINT and CMD of a Dockerfile do."""
    if options.entrypoint is not None:
        # The base's Cmd are the arguments of another program.
        config.pop('Cmd', None)
        _set_or_remove(config, 'Entrypoint', options.entrypoint)
    if options.cmd is not None:
        _set_or_remove(config, 'Cmd', options.cmd)


def _set_or_remove(config: dict[str, Any], key: str, items: Sequence[str]) -> None:
    config.pop(key, None)
    if items:
        config[key] = list(items)


def _set_surroundings(config: dict[str, Any], options: ConfigOptions, system: str) -> None:
    """Sets all that is around the process of a container."""
    if options.env:
        config['Env'] = with_variables(config.get('Env', []), options.env)
    if options.labels:
        config['Labels'] = {**config.get('Labels', {}), **options.labels}
    if options.ports:
        ports: dict[str, Any] = {normal_port(port): {} for port in options.ports}
        config['ExposedPorts'] = {**ports, **config.get('ExposedPorts', {})}
    if options.volumes:
        config_values.check_volumes(options.volumes)
        volumes: dict[str, Any] = {volume: {} for volume in options.volumes}
        config['Volumes'] = {**volumes, **config.get('Volumes', {})}
    if options.user:
        config['User'] = options.user
    if options.workdir:
        config_values.check_workdir(options.workdir, system)
        config['WorkingDir'] = options.workdir
    if options.stop_signal:
        config['StopSignal'] = options.stop_signal


def history(
    base: dict[str, Any], below: int, new: int, created: str, options: ConfigOptions
) -> list[dict[str, Any]]:
    """Returns the history: the base's, and what tells of layers that it does not tell of.

    Args:
        base: the configuration of the base.
        below: the number of its layers.
        new: the number of layers that the image adds.
        created: when it does.
        options: who and what adds them.
    """
    entries: list[dict[str, Any]] = list(base.get('history', []))
    untold = below - (image_config.layers_in_history(base) or 0)
    entries += [{'created': DEFAULT_TIME} for _ in range(untold)]
    entry: dict[str, Any] = {'created': created}
    if options.author:
        entry['author'] = options.author
    if options.created_by:
        entry['created_by'] = options.created_by
    if not new:
        entry['empty_layer'] = True
    return entries + [dict(entry) for _ in range(new or 1)]


# What build scripts import as well.


def KeyValueToDict(pair: Iterable[str]) -> dict[str, str]:
    """Returns the values of pairs NAME=VALUE by their names; the last of a name counts.

    Args:
        pair: the pairs.

    Raises:
        ValueError: one has no `=`, or nothing before it.
    """
    return dict(flag_values.split_pair('KeyValueToDict', item) for item in pair)


def DeepCopySkipNull(data: Any) -> Any:
    """Returns a copy of JSON data without the keys whose value is null.

    Args:
        data: what json.loads() may return; nulls in lists stay.
    """
    if isinstance(data, dict):
        return {key: DeepCopySkipNull(item) for key, item in data.items() if item is not None}
    if isinstance(data, list):
        return [DeepCopySkipNull(item) for item in data]
    return data


# The base.


def read_base_config(path: str, output: str, run: Run) -> dict[str, Any]:
    """Returns the configuration of the last image of an archive.

    Args:
        path: the path of the archive.
        output: the path of what is made of it.
        run: what is shared by all that is done in this run.

    Raises:
        OSError: the archive cannot be read.
        ArchiveError: it holds no image, or one without a configuration that can be built on.
    """
    with sources.open_archive(path, False, output, run.progress) as archive:
        base = utils.read_base(archive)
        if base.is_v1:
            advice = 'load and save it with a Docker from 1.10 to 28'
            raise ArchiveError(f'--base: {path!r} is of before Docker 1.10: {advice}')
        content = archive.read_file(base.config_name)
    where = f'--base: {path!r}: its configuration {base.config_name!r}'
    if content is None:
        raise ArchiveError(f'{where} is missing: give a whole base')
    try:
        config = image_config.parse(content)
        problems = _base_config_problems(config)
        DeepCopySkipNull(config)
    except image_config.ConfigError as error:
        raise ArchiveError(f'{where} {error}') from error
    except RecursionError as error:
        raise ArchiveError(f'{where} is nested too deeply: replace it') from error
    if not problems:
        layers = len(image_config.diff_ids(image_config.with_usual_keys(config)) or ())
        if layers != len(base.layers):
            problems.append(f'rootfs.diff_ids has {layers} entries for {len(base.layers)} layers')
    if problems:
        raise ArchiveError(f'{where}: {problems[0]}: give another base')
    return config


# The flags.


class Inputs:
    """Reads what flags name, and knows afterwards which files those were."""

    def __init__(self) -> None:
        self.paths: dict[str, list[str]] = {}

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
        return flag_values.text_of(f'--{holder.name}', value)

    def items(self, holder: flags.FlagHolder[list[str] | None]) -> list[str] | None:
        """Returns the items of a list; None where the flag is not given.

        Args:
            holder: the flag.

        Raises:
            ArgumentError: the value is no list, or no configuration can hold an item.
        """
        return flag_values.items_of(f'--{holder.name}', holder.value or [])

    def pairs(self, holder: flags.FlagHolder[list[str] | None]) -> list[tuple[str, str]]:
        """Returns the pairs of a list of NAME=VALUE, in their order.

        Args:
            holder: the flag.

        Raises:
            ArgumentError: as items(), and where an item is no such pair.
        """
        items = self.items(holder) or []
        return [flag_values.split_pair(f'--{holder.name}', item) for item in items]

    def file(self, flag: str, path: str) -> str:
        """Returns the text of a file that a flag names.

        Args:
            flag: the flag with its dashes, for errors.
            path: the path of the file.

        Raises:
            ArgumentError: it is not in UTF-8, or has a NUL.
            OSError: it cannot be read.
        """
        if not path:
            raise ArgumentError(f'{flag}: @ names no file: give @FILE')
        self.paths.setdefault(flag, []).append(path)
        try:
            text = files.read_whole(path).decode('utf-8')
        except UnicodeDecodeError as error:
            raise ArgumentError(f'{flag}: {path!r} is not in UTF-8: write it so') from error
        flag_values.check_text(f'{flag}: {path!r}', text)
        return text

    def layers(self) -> list[str]:
        """Returns the diff IDs of the new layers, in hex, bottom layer first.

        Raises:
            ArgumentError: a value of --layer has no identifier that is a SHA-256.
            OSError: the file of an identifier cannot be read.
        """
        layers = []
        for value in command_line.all_given(_LAYER.value):
            name, equals, path = value.partition('=')
            if equals and not path:
                raise ArgumentError(f'--layer: {value!r} is not ID=FILE: give both, or the ID')
            if path:
                self.paths.setdefault('--layer', []).append(path)
            if name.startswith('@'):
                self.paths.setdefault('--layer', []).append(name[1:])
            identifier = names.read_identifier('--layer', name)
            if not names.is_hex_id(identifier.value):
                where = f'{identifier.value!r}{identifier.origin}'
                raise ArgumentError(f'--layer: {where} is not 64 hex digits: give a SHA-256')
            for note in identifier.notes:
                logging.warning('%s', note)
            layers.append(identifier.value)
        return layers

    def labels(self) -> dict[str, str]:
        """Returns the labels, with the texts of files for @FILE."""
        labels = dict(self.pairs(_LABELS))
        for name, value in labels.items():
            if value.startswith('@@'):
                labels[name] = value[1:]
            elif value.startswith('@'):
                path = command_line.argument_of_text(value[1:])
                labels[name] = self.file('--labels', path)
        return labels

    def created(self) -> str | None:
        """Returns the time, which may be in a file."""
        value = self.text(_CREATED)
        if value is None or not value.startswith('@'):
            return value
        path = command_line.argument_of_text(value[1:])
        return self.file('--created', path).strip()


def _options_of_flags(inputs: Inputs) -> ConfigOptions:
    return ConfigOptions(
        layers=inputs.layers(),
        entrypoint=inputs.items(_ENTRYPOINT),
        cmd=inputs.items(_COMMAND),
        user=inputs.text(_USER),
        labels=inputs.labels(),
        env=inputs.pairs(_ENV),
        ports=inputs.items(_PORTS),
        volumes=inputs.items(_VOLUMES),
        workdir=inputs.text(_WORKDIR),
        architecture=inputs.text(_ARCHITECTURE),
        os=inputs.text(_OS),
        variant=inputs.text(_VARIANT),
        created=inputs.created(),
        author=inputs.text(_AUTHOR),
        created_by=inputs.text(_CREATED_BY),
        stop_signal=inputs.text(_STOP_SIGNAL),
    )


def _check_output(output: str, inputs: dict[str, list[str]]) -> None:
    """Raises ArgumentError if the output would replace what a flag names."""
    files.check_output(output)
    for flag, paths in inputs.items():
        if any(files.overwrites(output, path) for path in paths):
            raise ArgumentError(f'--output: {output!r} is what {flag} names: give another path')


def main(run: Run) -> None:
    """Does what the flags say.

    Args:
        run: what is shared by all that is done in this run.

    Raises:
        ArgumentError, OSError, ArchiveError: as read_base_config().
    """
    command_line.check_given(_OUTPUT)
    output = _OUTPUT.value or ''
    inputs = Inputs()
    options = _options_of_flags(inputs)
    base = given(_BASE.value)
    if base is not None:
        inputs.paths['--base'] = [base]
    _check_output(output, inputs.paths)
    data: dict[str, Any] = {}
    if base is not None:
        data = read_base_config(base, output, run)
    config = CreateImageConfig(data, options)
    content = json.dumps(config, sort_keys=True) + '\n'
    with OutputFile(output, run.partial_files) as file:
        file.write(content.encode('ascii'))
        files.put_all_in_place([file])


def run_main() -> None:
    """Runs the program with the arguments of the command line."""
    command_line.run('create_image_config', main, __doc__ or '', _FLAGS)


if __name__ == '__main__':
    run_main()
