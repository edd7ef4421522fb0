# SPDX-License-Identifier: Apache-2.0
"""Values of flags: optional ones, texts in any locale, lists, and pairs of a name and a value.

An optional flag with an empty value counts as not given.
"""

import csv
import json
import os
from collections.abc import Iterable, Sequence
from typing import Any

from absl import flags

from image_archive.errors import ArgumentError

_SHOWN = 200  # characters of a value, in messages


def new_flags() -> flags.FlagValues:
    """Returns the place where a program defines its flags.

    With absl's one place for all, a script that imports two of the programs would define some
    flags twice.
    """
    own_flags: flags.FlagValues = flags.FlagValues()  # type: ignore[no-untyped-call]
    return own_flags


def share_flags(
    own_flags: flags.FlagValues,
    others: flags.FlagValues,
    names: Iterable[str],
    group: str | None = None,
) -> None:
    """Gives a program flags of another one; the functions of both read the same values then.

    Args:
        own_flags: the flags of the program.
        others: the flags of the other one.
        names: the names of the flags to share.
        group: the title above them in the help; None for that of --output.
    """
    module = group or str(own_flags.find_module_defining_flag('output'))
    others.mark_as_parsed()  # the program parses what it has of them
    for name in names:
        own_flags[name] = others[name]
        own_flags.register_flag_by_module(module, others[name])


def check_given(flag: flags.FlagHolder[Any]) -> None:
    """Checks that a required flag has a value.

    Args:
        flag: the flag; its help is `required: ` and what to give.

    Raises:
        ArgumentError: it has no value.
    """
    if not flag.value:
        what = flags.FLAGS[flag.name].help.removeprefix('required: ')
        raise ArgumentError(f'--{flag.name} is missing: give {what}')


def given(value: str | None) -> str | None:
    """Returns the value of an optional flag; None if it is empty or not given."""
    return value or None


def all_given(values: Sequence[str] | None) -> list[str]:
    """Returns the values of a flag that may be repeated, without empty ones."""
    return [value for value in values or () if value]


def given_text(value: str | None) -> str | None:
    """Returns what given() returns, as text_of_argument() reads it."""
    if not value:
        return None
    return text_of_argument(value)


def text_of_argument(value: str) -> str:
    """Returns the bytes of an argument read as UTF-8, whatever the locale.

    Args:
        value: the argument as Python decoded it, by the locale.
    """
    return os.fsencode(value).decode('utf-8', 'surrogateescape')


def path_of_text(text: str) -> str:
    """Returns the path of a file that a part of an argument names.

    Args:
        text: what text_of_argument() returned, or a part of it.
    """
    return os.fsdecode(text.encode('utf-8', 'surrogateescape'))


def valid_text(flag: str, value: str) -> str:
    """Returns the text of an argument that a configuration can hold.

    Args:
        flag: the flag with its dashes, for messages.
        value: the argument as Python decoded it.

    Raises:
        ArgumentError: it is not UTF-8, or has a NUL.
    """
    text = text_of_argument(value)
    check_text(flag, text)
    return text


def check_text(flag: str, text: str) -> None:
    """Checks that a configuration can hold a text, and that a process can be given it.

    Args:
        flag: the flag with its dashes, for messages.
        text: the text.

    Raises:
        ArgumentError: it is not UTF-8, or has a NUL.
    """
    try:
        text.encode('utf-8')
    except UnicodeEncodeError as error:
        raise ArgumentError(f'{flag}: {text[:_SHOWN]!r} is not UTF-8: write it as UTF-8') from error
    if '\0' in text:
        raise ArgumentError(f'{flag}: {text[:_SHOWN]!r} has a NUL: leave it out')


def items_of(flag: str, values: Sequence[str] | None) -> list[str] | None:
    """Returns the items of a list, which one or several values of a flag give.

    Args:
        flag: the flag with its dashes, for messages.
        values: its values as Python decoded them. Each is either items with commas between them,
            or a JSON list of strings.

    Returns:
        The items; None without a value that is not empty.

    Raises:
        ArgumentError: a value is not a list, or both forms of a list are there.
    """
    texts = [valid_text(flag, value) for value in all_given(values)]
    if not texts:
        return None
    are_json = [text.startswith('[') for text in texts]
    if any(are_json) and not all(are_json):
        raise ArgumentError(f'{flag}: a JSON list and one with commas do not mix: give one form')
    read_items = _items_of_json if are_json[0] else _items_between_commas
    items = []
    for text in texts:
        items += read_items(flag, text)
    return items


def _items_of_json(flag: str, text: str) -> list[str]:
    try:
        items = json.loads(text)
    except (ValueError, RecursionError) as error:
        text = f'{text[:_SHOWN]!r} begins with [ but is not JSON'
        raise ArgumentError(f'{flag}: {text}: correct it') from error
    if not all(isinstance(item, str) for item in items):
        raise ArgumentError(f'{flag}: {text[:_SHOWN]!r} holds more than strings: quote each item')
    for item in items:
        check_text(flag, item)
    return list(items)


def _items_between_commas(flag: str, text: str) -> list[str]:
    rows = [text.split(',')]
    if '"' in text:
        try:
            rows = list(csv.reader([text], strict=True, skipinitialspace=True))
        except csv.Error as error:
            advice = 'quote the whole item, double the quotes inside it, or give a JSON list'
            text = f'{text[:_SHOWN]!r} has a misplaced quote'
            raise ArgumentError(f'{flag}: {text}: {advice}') from error
    return [item.strip() for row in rows for item in row]


def pairs_of(flag: str, values: Sequence[str] | None) -> list[tuple[str, str]]:
    """Returns the pairs of a list of NAME=VALUE, in their order.

    Args:
        flag: the flag with its dashes, for messages.
        values: its values, as items_of() reads them.

    Raises:
        ArgumentError: as items_of(), and if an item is not such a pair.
    """
    return [split_pair(flag, item) for item in items_of(flag, values) or ()]


def split_pair(flag: str, pair: str) -> tuple[str, str]:
    """Returns the two sides of NAME=VALUE, split at the first `=`.

    Args:
        flag: the flag with its dashes, for messages.
        pair: the text.

    Raises:
        ArgumentError: it has no `=`, or nothing before it.
    """
    name, equals, value = pair.partition('=')
    if not name or not equals:
        text = f'{pair[:_SHOWN]!r} is not NAME=VALUE'
        raise ArgumentError(f'{flag}: {text}: give a name, = and the value')
    return name, value
