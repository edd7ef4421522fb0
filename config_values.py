# SPDX-License-Identifier: Apache-2.0
"""Values of a configuration, from what people write for them: variables, ports, paths, times."""

import datetime
import re
from collections.abc import Mapping, Sequence

import image_config
from errors import ArgumentError

DEFAULT_TIME = '1970-01-01T00:00:00Z'
_PROTOCOLS = ('tcp', 'udp', 'sctp')
_PORT = re.compile('([0-9]{1,5})(?:/(.*))?', re.DOTALL)
_MOST_PORTS = 65535
_SECONDS = re.compile('-?[0-9]{1,15}')
_ABSOLUTE_ON_WINDOWS = re.compile(r'([A-Za-z]:)?[/\\]')
# \$, $NAME or ${NAME}.
_VARIABLE = re.compile(r'\\\$|\$(?:(\w+)|\{([^{}]*)\})', re.ASCII)


def with_variables(
    base: Sequence[str], new: Mapping[str, str] | Sequence[tuple[str, str]]
) -> list[str]:
    """Returns the list of variables with new ones set, each in the place that it had."""
    entries = {entry.partition('=')[0]: entry for entry in base}
    values = {name: entry.partition('=')[2] for name, entry in entries.items()}
    pairs = new.items() if isinstance(new, Mapping) else new
    for name, value in pairs:
        values[name] = Resolve(value, values)
        entries[name] = f'{name}={values[name]}'
    return list(entries.values())


def Resolve(value: str, environment: Mapping[str, str]) -> str:
    r"""Returns a value with `$NAME` and `${NAME}` replaced by what an environment has.

    Args:
        value: the value; `\$` stands for a plain `$`.
        environment: variables by name; a name that it lacks stays as it stands.
    """

    def replacement(match: re.Match[str]) -> str:
        if match[0] == r'\$':
            return '$'
        return environment.get(match[1] or match[2], match[0])

    return _VARIABLE.sub(replacement, value)


def normal_port(port: str) -> str:
    """Returns a port as configurations have it, `80/tcp`.

    Raises:
        ArgumentError: it is no number, or its protocol is unknown.
    """
    match = _PORT.fullmatch(port)
    if match is None or not 1 <= int(match[1]) <= _MOST_PORTS:
        advice = f'give a number from 1 to {_MOST_PORTS}, one for each port'
        raise ArgumentError(f'--ports: {port!r} is not a port: {advice}')
    protocol = 'tcp' if match[2] is None else match[2].lower()
    if protocol not in _PROTOCOLS:
        text = f'{port!r} has an unknown protocol: give one of {", ".join(_PROTOCOLS)}'
        raise ArgumentError(f'--ports: {text}')
    return f'{int(match[1])}/{protocol}'


def check_volumes(volumes: Sequence[str]) -> None:
    if '' in volumes:
        raise ArgumentError('--volumes: an item is empty: give a folder')


def check_workdir(workdir: str, system: str) -> None:
    is_absolute = workdir.startswith('/')
    if system == 'windows':
        is_absolute = _ABSOLUTE_ON_WINDOWS.match(workdir) is not None
    if not is_absolute:
        raise ArgumentError(f'--workdir: {workdir!r} is not an absolute path: give one')


def time_of(text: str) -> str:
    """Returns a time as RFC 3339 writes it.

    Args:
        text: the time so, or in seconds since 1970.

    Raises:
        ArgumentError: it is neither.
    """
    if image_config.is_time(text):
        return text
    error = ArgumentError(f'--created: {text!r} is not a time: give seconds or {DEFAULT_TIME}')
    if _SECONDS.fullmatch(text) is None:
        raise error
    try:
        moment = datetime.datetime(1970, 1, 1) + datetime.timedelta(seconds=int(text))
    except OverflowError:
        raise error from None
    return f'{moment.isoformat()}Z'
