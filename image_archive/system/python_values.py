# SPDX-License-Identifier: Apache-2.0
"""Arguments of the functions that build scripts call: TypeError names one of a wrong type."""

import os
from collections.abc import Iterable, Mapping
from typing import Any

PathName = str | os.PathLike[str]


def check_type(name: str, value: object, types: type | tuple[type, ...], what: str) -> None:
    """Checks the type of an argument.

    Args:
        name: the name of the argument, for messages.
        value: its value.
        types: what it may be.
        what: the same in words, for messages.

    Raises:
        TypeError: it is something else.
    """
    if not isinstance(value, types):
        raise TypeError(f'{name}: give {what}, not {type(value).__name__}')


def text_of(name: str, value: object) -> str:
    """Returns a text; raises TypeError, which names the argument, for anything else."""
    check_type(name, value, str, 'a str')
    return str(value)


def optional_text_of(name: str, value: object) -> str | None:
    """Returns a text, or None for None and an empty one; raises what text_of() raises."""
    if value is None:
        return None
    return text_of(name, value) or None


def path_of(name: str, value: object) -> str:
    """Returns a path; raises TypeError, which names the argument, for what is none."""
    path = os.fspath(value) if isinstance(value, os.PathLike) else value
    check_type(name, path, str, 'a str or an os.PathLike')
    return str(path)


def optional_path_of(name: str, value: object) -> str | None:
    """Returns a path, or None for None and an empty one; raises what path_of() raises."""
    if value is None:
        return None
    return path_of(name, value) or None


def items_of(name: str, value: object) -> list[Any]:
    """Returns the items of a list or of anything like it.

    Args:
        name: the name of the argument, for messages.
        value: its value.

    Raises:
        TypeError: it is a text, a mapping, or no collection.
    """
    if isinstance(value, str | bytes | os.PathLike | Mapping) or not isinstance(value, Iterable):
        raise TypeError(f'{name}: give a list, not {type(value).__name__}')
    return list(value)


def texts_of(name: str, value: object) -> list[str]:
    """Returns the texts in a list; raises TypeError for anything else."""
    items = items_of(name, value)
    return [text_of(f'{name}[{index}]', item) for index, item in enumerate(items)]


def paths_of(name: str, value: object) -> list[str]:
    """Returns the paths in a list; raises TypeError for anything else."""
    items = items_of(name, value)
    return [path_of(f'{name}[{index}]', item) for index, item in enumerate(items)]
