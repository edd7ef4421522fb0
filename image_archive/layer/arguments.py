# SPDX-License-Identifier: Apache-2.0
"""Values of the flags that make a layer."""

import re
from collections.abc import Mapping
from typing import TypeVar

from image_archive.errors import ArgumentError
from image_archive.image.choice import check_choice
from image_archive.image.config_schema import is_time
from image_archive.layer.parts import LayerOptions
from image_archive.tar.compression import COMPRESSIONS
from image_archive.tar.names import is_usable_name

_MOST_MODE = 0o7777
_MOST_OWNER = (1 << 31) - 1
_MOST_SECONDS = 253402300799  # the end of the year 9999
_Value = TypeVar('_Value')
_SHOWN = 200  # characters of a value, in messages


def split_file(value: str) -> tuple[str, str]:
    """Returns the two sides of SOURCE=DESTINATION, split at the first `=`.

    Raises:
        ArgumentError: it has no `=`, or an empty side.
    """
    source, _, destination = value.partition('=')
    if not source or not destination:
        raise ArgumentError(f'--file: {value[:_SHOWN]!r} is not SOURCE=DESTINATION: give both')
    return source, destination


def split_link(value: str) -> tuple[str, str]:
    """Returns the two sides of PATH:TARGET, split at the first `:`.

    Raises:
        ArgumentError: it has no `:`, or an empty side.
    """
    path, _, target = value.partition(':')
    if not path or not target:
        raise ArgumentError(f'--link: {value[:_SHOWN]!r} is not PATH:TARGET: give both')
    return path, target


def split_path(flag: str, value: str) -> tuple[str, str]:
    """Returns the two sides of PATH=VALUE, split at the last `=`, for VALUE has none.

    Args:
        flag: the flag with its dashes, for messages.
        value: the text.

    Raises:
        ArgumentError: it has no `=`, or an empty side.
    """
    path, _, rest = value.rpartition('=')
    if not path or not rest:
        text = f'{value[:_SHOWN]!r} is not a path, = and a value'
        raise ArgumentError(f'{flag}: {text}: give both')
    return path, rest


def mode_of(flag: str, text: str) -> int:
    """Returns a mode.

    Args:
        flag: the flag with its dashes, for messages.
        text: octal digits.

    Raises:
        ArgumentError: it is not octal, or over 07777.
    """
    if re.fullmatch('[0-7]{1,20}', text) is None or int(text, 8) > _MOST_MODE:
        raise ArgumentError(f'{flag}: {text[:_SHOWN]!r} is not a mode: give octal digits like 0644')
    return int(text, 8)


def check_mode(flag: str, mode: int) -> None:
    """Checks a mode that a caller from Python gives.

    Args:
        flag: the flag that stands for it, for messages.
        mode: the mode.

    Raises:
        ArgumentError: it is negative, or over 0o7777.
        TypeError: it is not a number.
    """
    if not isinstance(mode, int):
        raise TypeError(f'{flag}: {mode!r} is not a number')
    if not 0 <= mode <= _MOST_MODE:
        raise ArgumentError(f'{flag}: {mode:#o} is not a mode: give one up to {_MOST_MODE:#o}')


def owner_of(flag: str, text: str) -> tuple[int, int]:
    """Returns the numbers of a user and a group.

    Args:
        flag: the flag with its dashes, for messages.
        text: both numbers, with a dot or a colon between them.

    Raises:
        ArgumentError: it is not of that form, or a number is too large.
    """
    match = re.fullmatch('([0-9]{1,20})[.:]([0-9]{1,20})', text)
    if match is None or max(int(match[1]), int(match[2])) > _MOST_OWNER:
        text = f'{text[:_SHOWN]!r} is not UID.GID: give numbers up to {_MOST_OWNER}'
        raise ArgumentError(f'{flag}: {text}')
    return int(match[1]), int(match[2])


def seconds_of(flag: str, text: str) -> int:
    """Returns a time in seconds since 1970.

    Args:
        flag: the flag with its dashes, for messages.
        text: the seconds, or the time in RFC 3339.

    Raises:
        ArgumentError: it is neither, has a fraction of a second, or is before 1970.
    """
    seconds = -1
    if re.fullmatch('[0-9]{1,20}', text) is not None:
        seconds = int(text)
    elif is_time(text) and '.' not in text:
        seconds = _seconds_of_rfc_3339(text)
    if not 0 <= seconds <= _MOST_SECONDS:
        advice = 'give whole seconds since 1970, or 1970-01-01T00:00:00Z'
        raise ArgumentError(f'{flag}: {text[:_SHOWN]!r} is not a time from 1970 on: {advice}')
    return seconds


def _seconds_of_rfc_3339(text: str) -> int:
    import calendar  # imported late: it takes time at every start

    year, month, day, hour, minute, second = (int(part) for part in re.findall('[0-9]+', text)[:6])
    if not year:
        return -1
    seconds = calendar.timegm((year, month, day, hour, minute, second))
    zone = text[19:]
    if zone == 'Z':
        return seconds
    offset = 3600 * int(zone[1:3]) + 60 * int(zone[4:6])
    return seconds - offset if zone[0] == '+' else seconds + offset


def check_options(options: LayerOptions) -> None:
    """Checks what can be checked before a file is opened.

    Args:
        options: how a layer is made.

    Raises:
        ArgumentError: an option has a wrong value, or needs another one.
    """
    compression = options.compression
    if compression is not None and compression not in COMPRESSIONS:
        text = f'{compression[:_SHOWN]!r} is unknown: give {", ".join(COMPRESSIONS)}'
        raise ArgumentError(f'--compression: {text}')
    if not is_usable_name(options.directory):
        text = f"{options.directory[:_SHOWN]!r} has '..' or NUL or is too long"
        raise ArgumentError(f'--directory: {text}: give another path')
    for flag, mode in [('--mode', options.mode), *_items('--modes', options.modes)]:
        if mode is not None:
            check_mode(flag, mode)
    for flag, owner in [('--owner', options.owner), *_items('--owners', options.owners)]:
        if not isinstance(owner, tuple):
            raise TypeError(f'{flag}: {owner!r} is not a pair of numbers')
        if len(owner) != 2 or not all(0 <= number <= _MOST_OWNER for number in owner):
            text = f'{owner!r} is not a pair of numbers up to {_MOST_OWNER}'
            raise ArgumentError(f'{flag}: {text}: give others')
    if not isinstance(options.mtime, int):
        raise TypeError(f'--mtime: {options.mtime!r} is not a number of whole seconds')
    if not 0 <= options.mtime <= _MOST_SECONDS:
        text = f'{options.mtime} is not from 1970 on'
        raise ArgumentError(f'--mtime: {text}: give seconds since 1970')
    check_choice(options.choice, [options.base])
    if options.base is None and options.lower:
        raise ArgumentError('--lower: only a layer of a base is below: give --base')
    if options.base is None and options.delete:
        raise ArgumentError('--delete: only a file of a base can be deleted: give --base')


def _items(flag: str, values: Mapping[str, _Value]) -> list[tuple[str, _Value]]:
    """Returns the values of a mapping, each with the flag and the path that it is for."""
    return [(f'{flag}: {path[:_SHOWN]!r}', value) for path, value in values.items()]
