# SPDX-License-Identifier: Apache-2.0
"""The keys of a configuration and their types, which the loaders of clients demand.

They are those of the OCI image specification ("OCI Image Configuration") and of the Docker image
specification v1.2. All clients use Go's decoder: a value of another type is an error in it, it
takes keys in any case, and null for a key that is absent.
"""

import itertools
import re
from collections.abc import Callable, Iterator
from typing import Any

from image_archive.image.strict_json import KnownKeys, fold

_LIMIT = 100  # problems that are listed
_INT64 = range(-(1 << 63), 1 << 63)
# RFC 3339, as Go's time.Time is decoded from JSON.
_TIME = (
    r'([0-9]{4})-([0-9]{2})-([0-9]{2})T([01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9](\.[0-9]+)?'
    r'(Z|[+-]([01][0-9]|2[0-3]):[0-5][0-9])'
)
_DAYS = (31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)


def is_time(text: str) -> bool:
    """Tells whether a text is a time in RFC 3339."""
    match = re.fullmatch(_TIME, text)
    if match is None:
        return False
    year, month, day = (int(match[number]) for number in (1, 2, 3))
    if not 1 <= month <= 12:
        return False
    is_leap_year = year % 4 == 0 and (year % 100 != 0 or year % 400 == 0)
    days = 29 if month == 2 and is_leap_year else _DAYS[month - 1]
    return 1 <= day <= days


PROTOCOLS = ('tcp', 'udp', 'sctp')
MOST_PORTS = 65535
_PORT = f'0*([0-9]{{1,5}})(/({"|".join(PROTOCOLS)}))?'


def is_port(text: str) -> bool:
    """Tells whether Docker 29 takes a key of ExposedPorts: one port, and a protocol after a slash.

    It refuses a range, which older versions of Docker took.
    """
    match = re.fullmatch(_PORT, text.lower())
    return match is not None and int(match[1]) <= MOST_PORTS


def is_platform_value(text: str) -> bool:
    """Tells whether a text can be an architecture, operating system or variant.

    With a slash, as in linux/arm64, containerd ignores the image (seen with 2.1).
    """
    return re.search(r'[/,\s]', text) is None


# Each of these functions checks one value. It yields the path of the key, and what its value must
# be.
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


def _strings(where: str, value: Any) -> _Problems:
    if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
        yield where, 'a list of strings'


def _string_values(where: str, value: Any) -> _Problems:
    if not isinstance(value, dict):
        yield where, 'an object'
    elif not all(item is None or isinstance(item, str) for item in value.values()):
        yield where, 'an object with strings as values'


def _object_values(where: str, value: Any) -> _Problems:
    """Go decodes a set so: {"80/tcp": {}}."""
    if not isinstance(value, dict):
        yield where, 'an object'
    elif not all(item is None or isinstance(item, dict) for item in value.values()):
        yield where, 'an object with {} as values'


def _object(checks: dict[str, _Check]) -> _Check:
    """Returns a check of an object, from the checks of its keys."""
    by_name = {fold(key): check for key, check in checks.items()}

    def check_object(where: str, value: Any) -> _Problems:
        if not isinstance(value, dict):
            yield where, 'an object'
            return
        prefix = f'{where}.' if where else ''
        names: set[str] = set()
        for key, item in value.items():
            name = fold(key)
            if name not in by_name:
                continue
            if name in names:
                yield f'{prefix}{key}', 'left out: the key occurs in another spelling'
            names.add(name)
            if item is not None:
                yield from by_name[name](f'{prefix}{key}', item)

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
_ROOTFS_KEYS: dict[str, _Check] = {'type': _string, 'diff_ids': _strings}
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
_KEYS = KnownKeys(
    _CONFIGURATION_KEYS,
    {
        'config': KnownKeys(_CONTAINER_KEYS),
        'rootfs': KnownKeys(_ROOTFS_KEYS),
        'history': KnownKeys(_HISTORY_KEYS),
    },
)


def type_problems(config: dict[str, Any]) -> list[str]:
    """Returns the values that have a wrong type, each as "KEY must be ...".

    Keys that are missing are no problem here. Of very many problems, the first are returned.

    Args:
        config: the object that the configuration is.
    """
    found = _CONFIGURATION('', config)
    problems = [f'{where} must be {what}' for where, what in itertools.islice(found, _LIMIT)]
    if next(found, None) is not None:
        problems.append('more values must be of another type')
    return problems


def with_usual_keys(config: dict[str, Any]) -> dict[str, Any]:
    """Returns a configuration with known keys spelled as the specification spells them.

    Args:
        config: a configuration without type_problems().
    """
    usual: dict[str, Any] = _KEYS.in_usual_spelling(config)
    if usual.get('history') is not None:
        usual['history'] = [entry or {} for entry in usual['history']]
    return usual
