# SPDX-License-Identifier: Apache-2.0
"""Values of flags that are more than one text: lists, and pairs of a name and a value."""

import csv
import json
from collections.abc import Sequence

from image_archive.errors import ArgumentError
from image_archive.system import command_line

_SHOWN = 200  # characters of a value, in messages


def text_of(flag: str, value: str) -> str:
    """Returns the text of an argument, whatever the locale.

    Args:
        flag: the flag, for messages.
        value: the argument as Python has it.

    Raises:
        ArgumentError: its bytes are not UTF-8, or it has a NUL.
    """
    text = command_line.text_of_argument(value)
    check_text(flag, text)
    return text


def check_text(flag: str, text: str) -> None:
    """Checks that a configuration can hold a text, and a process can be given it.

    Args:
        flag: the flag with its dashes, for errors.
        text: the text.

    Raises:
        ArgumentError: it is no UTF-8, or has a NUL.
    """
    try:
        text.encode('utf-8')
    except UnicodeEncodeError as error:
        raise ArgumentError(f'{flag}: {text[:_SHOWN]!r} is not UTF-8: write it so') from error
    if '\0' in text:
        raise ArgumentError(f'{flag}: {text[:_SHOWN]!r} has a NUL: leave it out')


def items_of(flag: str, values: Sequence[str]) -> list[str] | None:
    """Returns the items of a list that a flag gives, in one or several values.

    Args:
        flag: the flag, for messages.
        values: its values as Python has them, each the items with commas between them, or a JSON
            list; empty ones do not count.

    Returns:
        The items, or None without a value.

    Raises:
        ArgumentError: a value is no list, or they are lists of both forms.
    """
    texts = [text_of(flag, value) for value in command_line.all_given(values)]
    if not texts:
        return None
    are_json = [text.startswith('[') for text in texts]
    if any(are_json) and not all(are_json):
        raise ArgumentError(f'{flag}: a JSON list and one with commas do not mix: give one form')
    read = _items_of_json if are_json[0] else _items_between_commas
    items = []
    for text in texts:
        items += read(flag, text)
    return items


def _items_of_json(flag: str, text: str) -> list[str]:
    try:
        items = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ArgumentError(
            f'{flag}: {text[:_SHOWN]!r} begins with [ but is not JSON: mend it'
        ) from error
    if not all(isinstance(item, str) for item in items):
        raise ArgumentError(f'{flag}: {text[:_SHOWN]!r} holds more than strings: quote each item')
    for item in items:
        check_text(flag, item)
    return list(items)


def _items_between_commas(flag: str, text: str) -> list[str]:
    rows = [text.split(',')]
    if '"' in text:
        try:
            rows = list(csv.reader([text], strict=True))
        except csv.Error as error:
            advice = 'quote the whole item, double quotes inside it, or give a JSON list'
            raise ArgumentError(f'{flag}: {text[:_SHOWN]!r} has a quote amiss: {advice}') from error
    return [item.strip() for row in rows for item in row]


def split_pair(flag: str, pair: str) -> tuple[str, str]:
    """Returns the two sides of NAME=VALUE, split at the first `=`.

    Args:
        flag: the flag with its dashes, for errors.
        pair: the text.

    Raises:
        ArgumentError: it has no `=`, or nothing before it.
    """
    name, equals, value = pair.partition('=')
    if not name or not equals:
        raise ArgumentError(
            f'{flag}: {pair[:_SHOWN]!r} is not NAME=VALUE: give a name, = and the value'
        )
    return name, value
