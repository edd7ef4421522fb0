# SPDX-License-Identifier: Apache-2.0
"""Builds the configuration of an image, from that of a base and from options."""

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from absl import logging

from image_archive.checks.layouts import warn_of_base
from image_archive.configure import values
from image_archive.configure.healthcheck import healthcheck_of
from image_archive.configure.values import (
    DEFAULT_TIME,
    ports_of,
    single_ports,
    time_of,
    variable_name,
    with_variables,
)
from image_archive.errors import ArchiveError, ArgumentError
from image_archive.image.choice import Choice
from image_archive.image.configuration import Configuration, judge_configuration
from image_archive.image.identifiers import normal_identifier
from image_archive.image.layout import open_image_archive
from image_archive.image.stored import ImageArchive, read_image_archive
from image_archive.system.command_line import Run
from image_archive.system.flag_values import split_pair
from image_archive.system.python_values import (
    check_type,
    items_of,
    optional_path_of,
    optional_text_of,
    paths_of,
    texts_of,
)

_DEFAULT_ARCHITECTURE = 'amd64'
_DEFAULT_OS = 'linux'

# Keys of a container, of an image of Docker 1.9 or older ("Docker image specification v1.0"), or
# of schema 1 of registries. All of them describe the base.
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
_EVERYTHING = '*'  # in the options that remove something
# Keys that every image gets anew.
_REPLACED_KEYS = ('config', 'created', 'history', 'rootfs')
# The options by type; labels, env, volumes, workdir and healthcheck are of others.
_LIST_OPTIONS = (
    'layers',
    'entrypoint',
    'cmd',
    'ports',
    'remove_env',
    'remove_labels',
    'remove_ports',
    'remove_volumes',
)
_TEXT_OPTIONS = (
    'user',
    'architecture',
    'os',
    'variant',
    'created',
    'author',
    'created_by',
    'stop_signal',
)


class ConfigOptions(NamedTuple):
    """What an image gets; None leaves the value of the base.

    Attributes:
        layers: the diff IDs of the new layers in hex, bottom layer first.
        entrypoint: the program that a container runs; an empty list removes the base's.
        cmd: its arguments, or the program; an empty list removes the base's.
        user: the user of the container.
        labels: labels by name.
        env: variables by name, or pairs; `$NAME` stands for a variable that is set before.
        ports: ports, `80`, `80/tcp` or `8000-8010`.
        volumes: directories.
        workdir: the working directory of the container.
        architecture: the architecture.
        os: the operating system.
        variant: the variant of the architecture.
        created: a time in RFC 3339, or seconds since 1970; DEFAULT_TIME for None.
        author: the author of the image and of the new layers.
        created_by: the command that made the new layers.
        stop_signal: the signal that stops a container.
        healthcheck: the health check, an object with the keys of the specification, in which
            durations are nanoseconds or texts like `30s`; an empty list or object removes it.
        remove_env: variables of the base to leave out, before any is set; `*` is all of them.
        remove_labels: labels of the base, in the same way.
        remove_ports: ports of the base, in the same way, written as for `ports`.
        remove_volumes: volumes of the base, in the same way.
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
    healthcheck: Mapping[str, Any] | Sequence[Any] | None = None
    remove_env: Sequence[str] | None = None
    remove_labels: Sequence[str] | None = None
    remove_ports: Sequence[str] | None = None
    remove_volumes: Sequence[str] | None = None


def CreateImageConfig(data: dict[str, Any], options: ConfigOptions) -> dict[str, Any]:
    """Returns the configuration of an image.

    Args:
        data: the configuration of the base, {} without one; it is not changed.
        options: what the image gets.

    Raises:
        TypeError: an argument or an option is of a wrong type.
        ValueError: an option is wrong, or no image can be built on the base's configuration.
    """
    check_type('data', data, dict, 'a dict')
    check_type('options', options, ConfigOptions, 'ConfigOptions')
    return build_configuration(judge_configuration(data), with_types(options))


def with_types(options: ConfigOptions) -> ConfigOptions:
    """Returns options that a caller from Python gives, with paths as texts.

    Args:
        options: the options.

    Raises:
        TypeError: one is of a wrong type; it names the option.
    """
    for name in _TEXT_OPTIONS:
        optional_text_of(name, getattr(options, name))
    for name in _LIST_OPTIONS:
        if getattr(options, name) is not None:
            texts_of(name, getattr(options, name))
    if options.labels is not None:
        check_type('labels', options.labels, Mapping, 'a dict')
        _check_pairs('labels', options.labels.items())
    if isinstance(options.env, Mapping):
        _check_pairs('env', options.env.items())
    elif options.env is not None:
        _check_pairs('env', items_of('env', options.env))
    if options.healthcheck is not None:
        check_type('healthcheck', options.healthcheck, (Mapping, list, tuple), 'a dict, or []')
    if options.volumes is not None:
        options = options._replace(volumes=paths_of('volumes', options.volumes))
    return options._replace(workdir=optional_path_of('workdir', options.workdir))


def _check_pairs(name: str, pairs: Iterable[Any]) -> None:
    for pair in pairs:
        if len(items_of(name, pair)) != 2:
            raise TypeError(f'{name}: give pairs of a name and a value, not {pair!r}')
        texts_of(f'{name}: {pair!r}', pair)


def build_configuration(base: Configuration, options: ConfigOptions) -> dict[str, Any]:
    """Returns the configuration of an image.

    Args:
        base: the configuration of the base; an empty object without one.
        options: what the image gets.

    Raises:
        ArgumentError: an option is wrong, or no image can be built on the base's configuration.
    """
    problems = _base_problems(base)
    if problems:
        raise ArgumentError(f'the configuration of the base is wrong: {problems[0]}')
    created = DEFAULT_TIME
    if options.created is not None:
        created = time_of(options.created)
    config = _copy_of_base(base.keys)
    _set_platform(config, options)
    config['created'] = created
    if options.author:
        config['author'] = options.author
    _set_process(config['config'], options)
    _set_surroundings(config['config'], options, config['os'])
    below = base.diff_ids or ()
    new = [f'sha256:{normal_identifier(layer)}' for layer in options.layers or ()]
    config['rootfs'] = {'type': 'layers', 'diff_ids': [*below, *new]}
    config['history'] = _history(base, len(new), created, options)
    return config


def configuration_content(config: dict[str, Any]) -> bytes:
    """Returns the bytes of a configuration that build_configuration() returned."""
    return (json.dumps(config, sort_keys=True) + '\n').encode('ascii')


def _base_problems(base: Configuration) -> list[str]:
    """Returns why no image can be built on a configuration."""
    problems = list(base.type_problems)
    if problems:
        return problems
    if (base.keys.get('rootfs') or {}).get('type', 'layers') not in (None, 'layers'):
        problems.append('rootfs.type must be "layers"')
    described = base.layers_in_history or 0
    layers = len(base.diff_ids or ())
    if described > layers:
        problems.append(f'history has {described} entries without empty_layer for {layers} layers')
    return problems


def _copy_of_base(keys: dict[str, Any]) -> dict[str, Any]:
    """Returns a copy of the base's configuration, without nulls and keys that describe the base."""
    process = dict(keys.get('config') or {})
    # In these objects Go's decoder makes a value of a null; it is not absent.
    for key, zero_value in (('ExposedPorts', {}), ('Volumes', {}), ('Labels', '')):
        if process.get(key) is not None:
            items = process[key].items()
            process[key] = {name: zero_value if item is None else item for name, item in items}
    dropped = (*_DROPPED_KEYS, *_REPLACED_KEYS)
    kept = {key: value for key, value in keys.items() if key.lower() not in dropped}
    copy: dict[str, Any] = DeepCopySkipNull({**kept, 'config': process})
    return copy


def _set_platform(config: dict[str, Any], options: ConfigOptions) -> None:
    """Sets the platform; keys that describe another platform are removed."""
    for flag, value in (
        ('--architecture', options.architecture),
        ('--os', options.os),
        ('--variant', options.variant),
    ):
        values.check_platform(flag, value or '')
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
    """Sets the process of a container, as ENTRYPOINT and CMD of a Dockerfile do."""
    if options.entrypoint is not None:
        # The base's Cmd has the arguments of another program.
        config.pop('Cmd', None)
        _set_or_remove(config, 'Entrypoint', options.entrypoint)
    if options.cmd is not None:
        _set_or_remove(config, 'Cmd', options.cmd)
    if options.entrypoint is not None or options.cmd is not None:
        # It says that the base's command is one line, which Windows splits.
        config.pop('ArgsEscaped', None)


def _set_or_remove(config: dict[str, Any], key: str, items: Sequence[str]) -> None:
    config.pop(key, None)
    if items:
        config[key] = list(items)


def _set_surroundings(config: dict[str, Any], options: ConfigOptions, system: str) -> None:
    """Sets everything around the process of a container; what is removed goes first."""
    if 'ExposedPorts' in config:
        config['ExposedPorts'] = single_ports(config['ExposedPorts'])
    _remove_from_base(config, options)
    if options.env:
        config['Env'] = with_variables(config.get('Env', []), options.env)
    if options.labels:
        config['Labels'] = {**config.get('Labels', {}), **options.labels}
    if options.ports:
        ports: dict[str, Any] = {port: {} for text in options.ports for port in ports_of(text)}
        config['ExposedPorts'] = {**ports, **config.get('ExposedPorts', {})}
    if options.volumes:
        values.check_volumes(options.volumes)
        volumes: dict[str, Any] = {volume: {} for volume in options.volumes}
        config['Volumes'] = {**volumes, **config.get('Volumes', {})}
    if options.user:
        config['User'] = options.user
    if options.workdir:
        values.check_workdir(options.workdir, system)
        config['WorkingDir'] = options.workdir
    if options.stop_signal:
        config['StopSignal'] = options.stop_signal
    if options.healthcheck is not None:
        config.pop('Healthcheck', None)
        healthcheck = healthcheck_of(options.healthcheck)
        if healthcheck:
            config['Healthcheck'] = healthcheck


def _remove_from_base(config: dict[str, Any], options: ConfigOptions) -> None:
    """Removes variables, labels, ports and volumes of the base."""
    variables = config.get('Env', [])
    names = {variable: variable_name(variable) for variable in variables}
    removed = _removed('--remove_env', _by_itself(options.remove_env), names)
    _set_if_removed(config, 'Env', removed, [one for one in variables if one not in removed])
    ports = {
        text: [text] if text == _EVERYTHING else ports_of(text, '--remove_ports')
        for text in options.remove_ports or ()
    }
    for key, flag, to_remove, name_of in (
        ('Labels', '--remove_labels', _by_itself(options.remove_labels), str),
        ('ExposedPorts', '--remove_ports', ports, values.usual_port),
        ('Volumes', '--remove_volumes', _by_itself(options.remove_volumes), str),
    ):
        items = config.get(key, {})
        removed = _removed(flag, to_remove, {item: name_of(item) for item in items})
        rest = {item: value for item, value in items.items() if item not in removed}
        _set_if_removed(config, key, removed, rest)


def _by_itself(texts: Sequence[str] | None) -> dict[str, list[str]]:
    return {text: [text] for text in texts or ()}


def _removed(
    flag: str, to_remove: Mapping[str, Sequence[str]], names: Mapping[str, str]
) -> set[str]:
    """Returns which items of the base are removed; warns of what it lacks.

    Args:
        flag: the flag with its dashes.
        to_remove: the names to remove, by the text that the flag has for them.
        names: the name of each item of the base.
    """
    if _EVERYTHING in to_remove:
        return set(names)
    there = set(names.values())
    wanted: set[str] = set()
    for text, names_of_text in to_remove.items():
        if there.isdisjoint(names_of_text):
            logging.warning('%s: the base has no %r: leave it out', flag, text[:200])
        wanted.update(names_of_text)
    return {item for item, name in names.items() if name in wanted}


def _set_if_removed(config: dict[str, Any], key: str, removed: set[str], rest: Any) -> None:
    """Sets what is left under a key, or removes the key if that is nothing."""
    if not removed:
        return
    config.pop(key)
    if rest:
        config[key] = rest


def _history(
    base: Configuration, new: int, created: str, options: ConfigOptions
) -> list[dict[str, Any]]:
    """Returns the history: the base's, and entries for the layers that it does not describe.

    Args:
        base: the configuration of the base.
        new: the number of layers that the image adds.
        created: the time of the new entries.
        options: their author and command.
    """
    entries: list[dict[str, Any]] = DeepCopySkipNull(base.keys.get('history') or [])
    missing = len(base.diff_ids or ()) - (base.layers_in_history or 0)
    entries += [{'created': DEFAULT_TIME} for _ in range(missing)]
    entry: dict[str, Any] = {'created': created}
    if options.author:
        entry['author'] = options.author
    if options.created_by:
        entry['created_by'] = options.created_by
    if not new:
        entry['empty_layer'] = True
    return entries + [dict(entry) for _ in range(new or 1)]


def KeyValueToDict(pair: Iterable[str]) -> dict[str, str]:
    """Returns the values of NAME=VALUE pairs by their names; of one name the last counts.

    Args:
        pair: the pairs.

    Raises:
        TypeError: they are not a list of texts.
        ValueError: one has no `=`, or nothing before it.
    """
    return dict(split_pair('KeyValueToDict', item) for item in texts_of('pair', pair))


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


def read_base_configuration(path: str, choice: Choice, output: str, run: Run) -> Configuration:
    """Returns the configuration of an image of an archive.

    Args:
        path: the path of the archive.
        choice: which image is meant.
        output: the path of the new configuration.
        run: the run of the program.

    Raises:
        ArgumentError: not exactly one image is meant.
        OSError: the archive cannot be read.
        ArchiveError: it holds no image, or no image can be built on its configuration.
    """
    with open_image_archive(path, keep_all=False, beside=output, progress=run.progress) as archive:
        images = read_image_archive(archive, 'base image')
        config = base_configuration(images, choice)
        archive.check_unchanged()
        warn_of_base(images.base_for(choice))
        return config


def base_configuration(images: ImageArchive, choice: Choice) -> Configuration:
    """Returns the configuration of an image in an archive that is open.

    Args:
        images: the images in the archive.
        choice: which of them is meant.

    Raises:
        ArgumentError: not exactly one image is meant.
        OSError: the archive cannot be read.
        ArchiveError: no image can be built on its configuration.
    """
    path = images.archive.path
    base = images.base_for(choice)
    config = base.config
    where = f'--base: {path!r}: its configuration {base.config_name!r}'
    if config is None:
        raise ArchiveError(f'{where} is missing: give a whole base')
    if config.problem is not None:
        raise ArchiveError(f'{where} {config.problem}')
    problems = _base_problems(config)
    layers = len(config.diff_ids or ())
    if not problems and layers != len(base.layers):
        problems.append(f'rootfs.diff_ids has {layers} entries for {len(base.layers)} layers')
    if problems:
        raise ArchiveError(f'{where}: {problems[0]}: give another base')
    return config
