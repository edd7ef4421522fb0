# SPDX-License-Identifier: Apache-2.0
"""The health check of a container, as people write it (Docker image specification v1.2)."""

import re
from collections.abc import Mapping
from typing import Any

from image_archive.errors import ArgumentError
from image_archive.image.strict_json import JsonError, loads

_DURATIONS = ('Interval', 'Timeout', 'StartPeriod', 'StartInterval')
_KEYS = ('Test', *_DURATIONS, 'Retries')
_KINDS = ('NONE', 'CMD', 'CMD-SHELL')
# Go's time.ParseDuration. Both signs for "micro" are in use.
_NANOSECONDS = {
    'ns': 1,
    'us': 10**3,
    '\u00b5s': 10**3,
    '\u03bcs': 10**3,
    'ms': 10**6,
    's': 10**9,
    'm': 60 * 10**9,
    'h': 3600 * 10**9,
}
_PART = r'([0-9]+\.?[0-9]*|\.[0-9]+)(ns|us|\u00b5s|\u03bcs|ms|s|m|h)'
_SHORTEST = 10**6  # nanoseconds; a Docker daemon refuses shorter ones, but 0 is its default
_INT64_MOST = (1 << 63) - 1
_INT_MOST = (1 << 31) - 1
_LENGTH_LIMIT = 100  # characters of a duration
_SHOWN = 100  # characters of a value, in messages


def read_healthcheck(text: str) -> dict[str, Any]:
    """Returns the health check in JSON, as healthcheck_of() returns it.

    Args:
        text: the value of --healthcheck.

    Raises:
        ArgumentError: it is not JSON, or no health check that Docker takes.
    """
    try:
        return healthcheck_of(loads(text.encode('utf-8')))
    except JsonError as error:
        reason = f'{text[:_SHOWN]!r} {error.reason}'
        raise ArgumentError(f'--healthcheck: {reason}: {error.advice}') from error


def healthcheck_of(value: Any) -> dict[str, Any]:
    """Returns a health check as configurations have it; an empty one for an empty value.

    Args:
        value: an object with the keys of the specification. A duration is a number of nanoseconds,
            or a text as Go writes it, such as `1m30s`.

    Raises:
        ArgumentError: it is not a health check that Docker takes.
    """
    if isinstance(value, list | tuple | Mapping) and not value:
        return {}
    if not isinstance(value, Mapping):
        text = 'it is not a JSON object: give {"Test": ["CMD", ...]}, or [] to remove it'
        raise ArgumentError(f'--healthcheck: {text}')
    healthcheck = {key: item for key, item in value.items() if item is not None}
    for key in healthcheck:
        if key not in _KEYS:
            text = f'{str(key)[:_SHOWN]!r} is not a key of it: give {", ".join(_KEYS)}'
            raise ArgumentError(f'--healthcheck: {text}')
    healthcheck['Test'] = _test_of(healthcheck.get('Test'))
    for key in _DURATIONS:
        if key in healthcheck:
            healthcheck[key] = _duration_of(key, healthcheck[key])
    retries = healthcheck.get('Retries', 0)
    if not _is_whole_number(retries) or not 0 <= retries <= _INT_MOST:
        raise ArgumentError('--healthcheck: Retries must be a whole number, 0 or more: correct it')
    return healthcheck


def _test_of(value: Any) -> list[str]:
    """Returns the command of a health check."""
    is_list = isinstance(value, list | tuple) and all(isinstance(item, str) for item in value)
    advice = 'give ["CMD", PROGRAM, ...], ["CMD-SHELL", COMMAND] or ["NONE"]'
    if not is_list or not value or value[0] not in _KINDS:
        raise ArgumentError(f'--healthcheck: Test is missing or no such command: {advice}')
    has_arguments = len(value) > 1
    if has_arguments == (value[0] == 'NONE') or (value[0] == 'CMD-SHELL' and len(value) > 2):
        text = f'Test has a wrong number of items for {value[0]}'
        raise ArgumentError(f'--healthcheck: {text}: {advice}')
    if any('\0' in item for item in value):
        raise ArgumentError('--healthcheck: Test has a NUL: leave it out')
    return list(value)


def _duration_of(key: str, value: Any) -> int:
    """Returns a duration in nanoseconds."""
    number = value
    if isinstance(value, str):
        number = _parse_duration(value)
    advice = 'give nanoseconds, or a text like "1m30s"'
    if not _is_whole_number(number):
        text = f'{key}: {str(value)[:_SHOWN]!r} is not a duration'
        raise ArgumentError(f'--healthcheck: {text}: {advice}')
    if number != 0 and not _SHORTEST <= number <= _INT64_MOST:
        text = f'{key}: {str(value)[:_SHOWN]!r} is less than a millisecond, or too long'
        raise ArgumentError(f'--healthcheck: {text}: {advice}')
    return int(number)


def _parse_duration(text: str) -> int | None:
    """Returns the nanoseconds of a duration as Go writes it; None if it is none."""
    if text == '0':
        return 0
    if len(text) > _LENGTH_LIMIT or re.fullmatch(f'({_PART})+', text) is None:
        return None
    parts = re.findall(_PART, text)
    from fractions import Fraction  # imported late: it takes time at every start

    return sum(int(Fraction(number) * _NANOSECONDS[unit]) for number, unit in parts)


def _is_whole_number(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)
