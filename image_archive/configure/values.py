# SPDX-License-Identifier: Apache-2.0
"""Values of a configuration, as people write them: variables, ports, paths, times."""

import re
import time
from collections.abc import Mapping, Sequence
from typing import Any

from image_archive.errors import ArgumentError
from image_archive.image.config_schema import MOST_PORTS, PROTOCOLS, is_platform_value, is_time
from image_archive.system.python_values import check_type

DEFAULT_TIME = '1970-01-01T00:00:00Z'
_SYSTEMS = ('linux', 'windows', 'darwin', 'freebsd')  # as GOOS has them
# Compiled when they are needed, because that takes time at every start.
_PORTS = '(?s:([0-9]{1,5})(?:-([0-9]{1,5}))?(?:/(.*))?)'
_PORTS_LIMIT = 1_000_000  # in ranges that overlap
_SECONDS = '-?[0-9]{1,12}'
_LAST_YEAR = 9999  # that RFC 3339 can write
_ABSOLUTE_ON_WINDOWS = r'([A-Za-z]:)?[/\\]'
# \$, $NAME or ${NAME}.
_VARIABLE = r'(?a:\\\$|\$(?:(\w+)|\{([^{}]*)\}))'


def with_variables(
    base: Sequence[str], new: Mapping[str, str] | Sequence[tuple[str, str]]
) -> list[str]:
    """Returns a list of variables with new ones set; a changed one stays in its place.

    Args:
        base: the variables of the base, each NAME=VALUE.
        new: the new ones; Resolve() replaces variables in their values.
    """
    entries = {variable_name(entry): entry for entry in base}
    values = {name: entry.partition('=')[2] for name, entry in entries.items()}
    pairs = new.items() if isinstance(new, Mapping) else new
    for name, value in pairs:
        values[name] = Resolve(value, values)
        entries[name] = f'{name}={values[name]}'
    return list(entries.values())


def variable_name(variable: str) -> str:
    """Returns the name in NAME=VALUE."""
    return variable.partition('=')[0]


def Resolve(value: str, environment: Mapping[str, str]) -> str:
    r"""Returns a value with `$NAME` and `${NAME}` replaced by variables.

    Args:
        value: the value; `\$` stands for a plain `$`.
        environment: the variables; a name that is not among them stays as it is.

    Raises:
        TypeError: an argument is of a wrong type.
    """
    check_type('value', value, str, 'a str')
    check_type('environment', environment, Mapping, 'a dict')

    def replacement(match: re.Match[str]) -> str:
        if match[0] == r'\$':
            return '$'
        return environment.get(match[1] or match[2], match[0])

    return re.sub(_VARIABLE, replacement, value)


def ports_of(text: str, flag: str = '--ports') -> list[str]:
    """Returns ports as configurations have them, `80/tcp`; those of a range one by one.

    Args:
        text: a number or a range of two numbers (`8000-8010`), and a protocol after a slash; tcp
            by default.
        flag: the flag with its dashes, for messages.

    Raises:
        ArgumentError: it is not such a port.
    """
    match = re.fullmatch(_PORTS, text)
    if match is None:
        first, last = 0, 0
    else:
        first = int(match[1])
        last = int(match[2] or match[1])
    if not 1 <= first <= last <= MOST_PORTS:
        advice = f'give a number from 1 to {MOST_PORTS}, or a range of two'
        raise ArgumentError(f'{flag}: {text!r} is not a port: {advice}')
    protocol = 'tcp'
    if match is not None and match[3] is not None:
        protocol = match[3].lower()
    if protocol not in PROTOCOLS:
        reason = f'{text!r} has an unknown protocol: give one of {", ".join(PROTOCOLS)}'
        raise ArgumentError(f'{flag}: {reason}')
    return [f'{number}/{protocol}' for number in range(first, last + 1)]


def usual_port(key: str) -> str:
    """Returns a key of ExposedPorts as ports_of() writes it; any other key as it is."""
    try:
        (port,) = ports_of(key)
    except ValueError:  # no port, or several
        return key
    return port


def single_ports(base: Mapping[str, Any]) -> dict[str, Any]:
    """Returns the ports of a base, with the ports of a range in its place.

    Docker 29 refuses ranges, which older programs wrote.

    Args:
        base: `ExposedPorts` of the base.

    Raises:
        ArgumentError: the ranges have very many ports.
    """
    ports: dict[str, Any] = {}
    count = 0
    for key, value in base.items():
        try:
            keys = ports_of(key) if '-' in key else [key]
        except ArgumentError:  # not a range; whoever uses the configuration reports it
            keys = [key]
        count += len(keys)
        if count > _PORTS_LIMIT:
            text = f'its ExposedPorts has over {_PORTS_LIMIT:,} ports in all'
            raise ArgumentError(f'--base: {text}: give another base')
        for port in keys:
            ports.setdefault(port, value)
    return ports


def check_platform(flag: str, value: str) -> None:
    """Checks that a value is the name of an architecture, system or variant, and only one.

    Args:
        flag: the flag with its dashes, for messages.
        value: its value.

    Raises:
        ArgumentError: it is not.
    """
    if is_platform_value(value):
        return
    advice = 'give one name, such as amd64'
    parts = value.split('/')
    if flag == '--architecture' and len(parts) == 2 and all(map(is_platform_value, parts)):
        advice = f'give --architecture={parts[0]} --variant={parts[1]}'
        if parts[0] in _SYSTEMS:
            advice = f'give --os={parts[0]} --architecture={parts[1]}'
    raise ArgumentError(f'{flag}: {value!r} is not one name: {advice}')


def check_volumes(volumes: Sequence[str]) -> None:
    """Checks that volumes are directories.

    Args:
        volumes: the items of --volumes.

    Raises:
        ArgumentError: one is empty.
    """
    if '' in volumes:
        raise ArgumentError('--volumes: an item is empty: give a directory')


def check_workdir(workdir: str, system: str) -> None:
    """Checks that a working directory is an absolute path.

    Args:
        workdir: the value of --workdir.
        system: `os` in the configuration of the image.

    Raises:
        ArgumentError: it is not.
    """
    is_absolute = workdir.startswith('/')
    if system == 'windows':
        is_absolute = re.match(_ABSOLUTE_ON_WINDOWS, workdir) is not None
    if not is_absolute:
        raise ArgumentError(f'--workdir: {workdir!r} is not an absolute path: give one')


def time_of(text: str) -> str:
    """Returns a time in RFC 3339.

    Args:
        text: the time in RFC 3339, or in seconds since 1970.

    Raises:
        ArgumentError: it is neither.
    """
    if is_time(text):
        return text
    if re.fullmatch(_SECONDS, text) is not None:
        moment = time.gmtime(int(text))
        if 0 <= moment.tm_year <= _LAST_YEAR:
            day = f'{moment.tm_year:04}-{moment.tm_mon:02}-{moment.tm_mday:02}'
            return f'{day}T{moment.tm_hour:02}:{moment.tm_min:02}:{moment.tm_sec:02}Z'
    raise ArgumentError(f'--created: {text[:100]!r} is not a time: give seconds or {DEFAULT_TIME}')
