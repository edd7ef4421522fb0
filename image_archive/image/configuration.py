# SPDX-License-Identifier: Apache-2.0
"""The configuration of an image, parsed and judged once."""

import codecs
from typing import Any, NamedTuple

from image_archive.image import config_schema
from image_archive.image.strict_json import JsonError, loads


class Configuration(NamedTuple):
    """A configuration.

    Attributes:
        content: its bytes.
        problem: why it is not a JSON object, and what to do, in words that follow its name; None
            if it is one.
        keys: the object; its keys are in the usual spelling if all types are right.
        type_problems: the values of a wrong type, each as "KEY must be ...".
        diff_ids: the diff IDs of the layers, bottom layer first; None if they are not a list of
            strings.
        layers_in_history: the number of layers in the history; None without a history.
    """

    content: bytes
    problem: str | None
    keys: dict[str, Any]
    type_problems: tuple[str, ...]
    diff_ids: tuple[str, ...] | None
    layers_in_history: int | None

    def diff_ids_of(self, count: int) -> tuple[str | None, ...]:
        """Returns the diff ID of each of some layers; None for each if there are not as many."""
        if self.diff_ids is None or len(self.diff_ids) != count:
            return (None,) * count
        return self.diff_ids


def read_configuration(content: bytes) -> Configuration:
    """Parses and judges a configuration.

    Args:
        content: the bytes of the JSON file.
    """
    try:
        value = _parse(content)
    except JsonError as error:
        return Configuration(content, str(error), {}, (), None, None)
    return judge_configuration(value, content)


def judge_configuration(value: dict[str, Any], content: bytes = b'') -> Configuration:
    """Judges a configuration that was parsed before.

    Args:
        value: the object that it is.
        content: its bytes.
    """
    problems = tuple(config_schema.type_problems(value))
    keys = value
    if not problems:
        keys = config_schema.with_usual_keys(value)
    return Configuration(
        content=content,
        problem=None,
        keys=keys,
        type_problems=problems,
        diff_ids=_diff_ids(keys),
        layers_in_history=_layers_in_history(keys),
    )


def _parse(content: bytes) -> dict[str, Any]:
    if content.startswith((codecs.BOM_UTF8, codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        raise JsonError('begins with a byte order mark', 'write it in UTF-8 without one')
    value = loads(content)
    if not isinstance(value, dict):
        raise JsonError('is not a JSON object')
    return value


def _diff_ids(keys: dict[str, Any]) -> tuple[str, ...] | None:
    rootfs = keys.get('rootfs')
    if not isinstance(rootfs, dict):
        return None
    diff_ids = rootfs.get('diff_ids')
    if diff_ids is None:
        return ()
    if not isinstance(diff_ids, list) or not all(isinstance(item, str) for item in diff_ids):
        return None
    return tuple(diff_ids)


def _layers_in_history(keys: dict[str, Any]) -> int | None:
    history = keys.get('history')
    if not isinstance(history, list) or not history:
        return None
    return sum(1 for entry in history if not (isinstance(entry, dict) and entry.get('empty_layer')))
