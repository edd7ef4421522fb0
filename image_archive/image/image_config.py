# SPDX-License-Identifier: Apache-2.0
"""The configuration of an image, and what the loaders of clients refuse in one.

The keys and their types are those of the OCI image specification ("OCI Image Configuration") and
of the Docker image specification v1.2; a key of another type is an error in Go's decoder, which
all clients use. It takes keys in any case, and null for whatever is absent.
"""

import codecs
import re
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from image_archive.image import strict_json

_INT64 = range(-(1 << 63), 1 << 63)
# RFC 3339, as Go's time.Time is decoded from JSON.
_TIME = (
    r'([0-9]{4})-([0-9]{2})-([0-9]{2})T([01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9](\.[0-9]+)?'
    r'(Z|[+-]([01][0-9]|2[0-3]):[0-5][0-9])'
)
_DAYS = (31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)


class ConfigError(Exception):
    """A configuration is none; the text says why and what to do, and names no file."""


def parse(data: bytes) -> dict[str, Any]:
    """Reads a configuration.

    Args:
        data: the bytes of the JSON file.

    Returns:
        The object that it is.

    Raises:
        ConfigError: it is no JSON object in UTF-8, begins with a byte order mark, or has a key
            twice.
    """
    if data.startswith((codecs.BOM_UTF8, codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        raise ConfigError('begins with a byte order mark: write it in UTF-8 without one')
    try:
        config = strict_json.loads(data, object_pairs_hook=_object_of_pairs)
    except UnicodeDecodeError as error:
        raise ConfigError('is not in UTF-8: write it so') from error
    except ValueError as error:
        raise ConfigError('is not JSON: mend it') from error
    if not isinstance(config, dict):
        raise ConfigError('is not a JSON object: mend it')
    return config


def parse_or_none(data: bytes) -> dict[str, Any] | None:
    """Returns what parse() does, and None for what is no configuration.

    Args:
        data: the bytes of a configuration.
    """
    try:
        return parse(data)
    except ConfigError:
        return None


def _object_of_pairs(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Returns an object; of two values of a key, Go minds the types of both, and Python of one."""
    values: dict[str, Any] = {}
    for key, value in pairs:
        if key in values:
            raise ConfigError(f'has the key {key!r} twice: leave one out')
        values[key] = value
    return values


def is_time(text: str) -> bool:
    """Tells whether a text is a time as RFC 3339 writes it.

    Args:
        text: any text.
    """
    match = re.fullmatch(_TIME, text)
    if match is None:
        return False
    year, month, day = (int(match[number]) for number in (1, 2, 3))
    if not 1 <= month <= 12:
        return False
    is_leap_year = year % 4 == 0 and (year % 100 != 0 or year % 400 == 0)
    days = 29 if month == 2 and is_leap_year else _DAYS[month - 1]
    return 1 <= day <= days


# Checks of one value. Each yields what is wrong: where, as a key path, and what it must be.
_Problems = Iterator[tuple[str, str]]
_Check = Callable[[str, Any], _Problems]


def _string(where: str, value: Any) -> _Problems:
    if not isinstance(value, str):
        yield where, 'a string'


def _boolean(where: str, value: Any) -> _Problems:
    if not isinstance(value, bool):
        yield where, 'true or false'


def _integer(where: str, value: Any) -> _Problems:
    if isinstance(value, bool) or not isinstance(value, int) or value not in _INT64:
        yield where, 'a whole number'


def _time(where: str, value: Any) -> _Problems:
    if not isinstance(value, str) or not is_time(value):
        yield where, 'a time like 1970-01-01T00:00:00Z'


def _layers(where: str, value: Any) -> _Problems:
    if value != 'layers':
        yield where, '"layers"'


def _strings(where: str, value: Any) -> _Problems:
    if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
        yield where, 'a list of strings'


def _string_values(where: str, value: Any) -> _Problems:
    if not isinstance(value, dict):
        yield where, 'an object'
    elif not all(item is None or isinstance(item, str) for item in value.values()):
        yield where, 'an object with strings as values'


def _object_values(where: str, value: Any) -> _Problems:
    """As Go decodes a set: {"80/tcp": {}}."""
    if not isinstance(value, dict):
        yield where, 'an object'
    elif not all(item is None or isinstance(item, dict) for item in value.values()):
        yield where, 'an object with {} as values'


def _object(checks: dict[str, _Check]) -> _Check:
    """Returns the check of an object whose keys have checks of their own."""
    by_lower_case = {key.lower(): (key, check) for key, check in checks.items()}

    def check_object(where: str, value: Any) -> _Problems:
        if not isinstance(value, dict):
            yield where, 'an object'
            return
        prefix = f'{where}.' if where else ''
        spellings: set[str] = set()
        for key, item in value.items():
            if item is None or key.lower() not in by_lower_case:
                continue
            if key.lower() in spellings:
                yield f'{prefix}{key}', 'left out, for it is there in another spelling'
            spellings.add(key.lower())
            _, check = by_lower_case[key.lower()]
            yield from check(f'{prefix}{key}', item)

    return check_object


def _list_of(check: _Check) -> _Check:
    def check_list(where: str, value: Any) -> _Problems:
        if not isinstance(value, list):
            yield where, 'a list'
            return
        for index, item in enumerate(value):
            if item is not None:
                yield from check(f'{where}[{index}]', item)

    return check_list


_HEALTHCHECK = _object(
    {
        'Test': _strings,
        'Interval': _integer,
        'Timeout': _integer,
        'StartPeriod': _integer,
        'StartInterval': _integer,
        'Retries': _integer,
    }
)
_CONTAINER_KEYS: dict[str, _Check] = {
    'Hostname': _string,
    'Domainname': _string,
    'User': _string,
    'AttachStdin': _boolean,
    'AttachStdout': _boolean,
    'AttachStderr': _boolean,
    'ExposedPorts': _object_values,
    'Tty': _boolean,
    'OpenStdin': _boolean,
    'StdinOnce': _boolean,
    'Env': _strings,
    'Cmd': _strings,
    'Healthcheck': _HEALTHCHECK,
    'ArgsEscaped': _boolean,
    'Image': _string,
    'Volumes': _object_values,
    'WorkingDir': _string,
    'Entrypoint': _strings,
    'NetworkDisabled': _boolean,
    'MacAddress': _string,
    'OnBuild': _strings,
    'Labels': _string_values,
    'StopSignal': _string,
    'StopTimeout': _integer,
    'Shell': _strings,
}
_CONTAINER = _object(_CONTAINER_KEYS)
_HISTORY_KEYS: dict[str, _Check] = {
    'created': _time,
    'created_by': _string,
    'author': _string,
    'comment': _string,
    'empty_layer': _boolean,
}
_HISTORY_ENTRY = _object(_HISTORY_KEYS)
_ROOTFS_KEYS: dict[str, _Check] = {'diff_ids': _strings}
_CONFIGURATION_KEYS: dict[str, _Check] = {
    'id': _string,
    'parent': _string,
    'comment': _string,
    'created': _time,
    'container': _string,
    'container_config': _CONTAINER,
    'docker_version': _string,
    'author': _string,
    'config': _CONTAINER,
    'architecture': _string,
    'variant': _string,
    'os': _string,
    'os.version': _string,
    'os.features': _strings,
    'size': _integer,
    'rootfs': _object(_ROOTFS_KEYS),
    'history': _list_of(_HISTORY_ENTRY),
}
_CONFIGURATION = _object(_CONFIGURATION_KEYS)


def type_problems(config: dict[str, Any]) -> list[str]:
    """Returns what clients refuse in a configuration for its type, each "KEY must be ...".

    What a whole configuration must have is not asked for: see platform_problems() and
    rootfs_problems().

    Args:
        config: the configuration as parse() returns it.
    """
    return [f'{where} must be {what}' for where, what in _CONFIGURATION('', config)]


def with_usual_keys(config: dict[str, Any]) -> dict[str, Any]:
    """Returns a configuration whose known keys are spelled as the specification spells them.

    Args:
        config: a configuration without type_problems(); of two spellings of a key the last counts,
            as in Go's decoder.
    """
    usual = _with_keys(config, _CONFIGURATION_KEYS)
    for name, keys in (('config', _CONTAINER_KEYS), ('rootfs', {**_ROOTFS_KEYS, 'type': _layers})):
        if usual.get(name) is not None:
            usual[name] = _with_keys(usual[name], keys)
    if usual.get('history') is not None:
        usual['history'] = [_with_keys(entry or {}, _HISTORY_KEYS) for entry in usual['history']]
    return usual


def as_clients_read(config: dict[str, Any]) -> dict[str, Any]:
    """Returns what with_usual_keys() does; the configuration as it is where a type is wrong.

    Args:
        config: the configuration as parse() returns it.
    """
    if type_problems(config):
        return config
    return with_usual_keys(config)


def _with_keys(value: dict[str, Any], keys: Iterable[str]) -> dict[str, Any]:
    spellings = {key.lower(): key for key in keys}
    return {spellings.get(key.lower(), key): item for key, item in value.items()}


def platform_problems(config: dict[str, Any]) -> list[str]:
    """Returns what is wrong with the platform, without which containerd passes over an image.

    Args:
        config: the configuration as parse() returns it.
    """
    return [
        f'{key} is missing or empty'
        for key in ('architecture', 'os')
        if config.get(key) is None or config[key] == ''
    ]


def rootfs_problems(config: dict[str, Any]) -> list[str]:
    """Returns what is wrong with the object that names the layers.

    Args:
        config: the configuration as parse() returns it.
    """
    rootfs = config.get('rootfs')
    if rootfs is None:
        return ['rootfs is missing']
    if not isinstance(rootfs, dict):
        return []
    return [f'{where} must be {what}' for where, what in _layers('rootfs.type', rootfs.get('type'))]


def diff_ids(config: dict[str, Any]) -> list[str] | None:
    """Returns the diff IDs of the layers, none for null; None where they are no strings.

    Args:
        config: the configuration, with keys in the usual spelling.
    """
    rootfs = config.get('rootfs')
    if not isinstance(rootfs, dict):
        return None
    ids = rootfs.get('diff_ids')
    if ids is None:
        return []
    if not isinstance(ids, list) or not all(isinstance(item, str) for item in ids):
        return None
    return ids


def layers_in_history(config: dict[str, Any]) -> int | None:
    """Returns the number of layers that the history tells of; None without a history.

    Args:
        config: the configuration, with keys in the usual spelling.
    """
    history = config.get('history')
    if not isinstance(history, list) or not history:
        return None
    return sum(1 for entry in history if not (isinstance(entry, dict) and entry.get('empty_layer')))
