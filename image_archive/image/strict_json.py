# SPDX-License-Identifier: Apache-2.0
"""JSON as clients read it, which are written in Go: all JSON in archives is read here.

What Go's decoder (encoding/json) and Python's read differently is refused, and so is what takes
too much memory.
"""

import json
import math
import re
from collections.abc import Iterable, Mapping
from typing import Any

_DEPTH_LIMIT = 100  # of lists and objects in each other; Python's decoder has no fixed limit
_VALUES_LIMIT = 300_000  # they take less than 60 MiB
_DIGITS_LIMIT = 310  # of an integer; no longer one fits in a float64
_NO_BRACKETS = bytes(byte for byte in range(256) if byte not in b'[]{}')
_SURROGATE = rb'\\u[dD][89a-fA-F]'


class JsonError(ValueError):
    """A file is not JSON, or not read alike by all clients.

    Attributes:
        reason: what is wrong, in words that follow the name of the file.
        advice: what to do, if the file can be corrected.
    """

    def __init__(self, reason: str, advice: str = 'correct it') -> None:
        super().__init__(f'{reason}: {advice}')
        self.reason = reason
        self.advice = advice


def loads(data: bytes) -> Any:
    """Reads JSON as strictly as Go's encoding/json does, and more strictly where that guesses.

    Python's reader also takes UTF-16, NaN and infinite numbers. Go's takes a key twice and lone
    surrogates, but makes of them what nobody meant.

    Args:
        data: the bytes of the JSON.

    Returns:
        The value.

    Raises:
        JsonError: it is not JSON in UTF-8, begins with a byte order mark, has a key twice in one
            object, a lone surrogate or a number that is too large, or is beyond a limit.
    """
    try:
        text = data.decode('utf-8')
    except UnicodeDecodeError as error:
        raise JsonError('is not in UTF-8', 'save it as UTF-8') from error
    _check_limits(data)
    try:
        value = json.loads(
            text,
            parse_constant=_refuse_constant,
            parse_float=_float,
            parse_int=_integer,
            object_pairs_hook=_object,
        )
    except JsonError:
        raise
    except ValueError as error:
        raise JsonError('is not JSON') from error
    if re.search(_SURROGATE, data) is not None:
        _check_surrogates(value)
    return value


def load_object(data: bytes) -> dict[str, Any] | None:
    """Reads a JSON object that another program wrote; returns None for anything else."""
    try:
        value = loads(data)
    except JsonError:
        return None
    if not isinstance(value, dict):
        return None
    return value


def _check_limits(data: bytes) -> None:
    """Raises JsonError for too many or too deep values, before there is any of them."""
    # A run of backslashes is read in pairs; a backslash that is left escapes a quote.
    unescaped = data.replace(b'\\\\', b'').replace(b'\\"', b'')
    outside_strings = b' '.join(unescaped.split(b'"')[::2])
    if sum(map(outside_strings.count, (b',', b'[', b'{'))) > _VALUES_LIMIT:
        raise JsonError(f'has over {_VALUES_LIMIT:,} values')
    depth = 0
    for bracket in outside_strings.translate(None, delete=_NO_BRACKETS):
        depth += 1 if bracket in b'[{' else -1
        if depth > _DEPTH_LIMIT:
            raise JsonError(f'is nested over {_DEPTH_LIMIT} levels deep')


def _refuse_constant(text: str) -> None:
    raise JsonError('is not JSON')


def _float(text: str) -> float:
    number = float(text)
    if math.isinf(number):
        raise JsonError(f'has the number {text[:30]}, which is too large')
    return number


def _integer(text: str) -> int:
    if len(text) > _DIGITS_LIMIT:  # Python refuses some of those, too
        raise JsonError(f'has the number {text[:30]}..., which is too large')
    _float(text)
    return int(text)


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Returns an object. Of two values of one key Go checks both types, and Python keeps one."""
    values: dict[str, Any] = {}
    for key, value in pairs:
        if key in values:
            raise JsonError(f'has the key {key[:200]!r} twice', 'leave one out')
        values[key] = value
    return values


def _check_surrogates(value: Any) -> None:
    """Raises JsonError for half of a surrogate pair, in whose place Go reads U+FFFD."""
    try:
        json.dumps(value, ensure_ascii=False).encode('utf-8')
    except UnicodeEncodeError as error:
        surrogate = error.object[error.start]
        raise JsonError(f'has a lone surrogate, {surrogate!r}') from error


# Keys.


def fold(key: str) -> str:
    """Returns a text that is the same for all keys that Go takes for one known key.

    Go compares by Unicode's simple folding (encoding/json, fold.go): to the letters of known keys,
    which are ASCII, only the long s and the Kelvin sign are added.
    """
    return key.replace('\u017f', 's').replace('\u212a', 'k').lower()


class KnownKeys:
    """The keys of an object that clients read, in their usual spelling; others are ignored."""

    def __init__(
        self, names: Iterable[str], objects: 'Mapping[str, KnownKeys] | None' = None
    ) -> None:
        """Makes known keys.

        Args:
            names: the keys whose values are used as they are.
            objects: the keys whose values are objects, or lists of objects, with known keys.
        """
        self._objects = objects or {}
        self._names = {fold(name): name for name in (*names, *self._objects)}

    def in_usual_spelling(self, value: Any) -> Any:
        """Returns a value from JSON with known keys as they are usually spelled.

        Args:
            value: an object, or a list of objects; anything else stays as it is.

        Raises:
            JsonError: an object has a known key in two spellings.
        """
        if isinstance(value, list):
            return [self.in_usual_spelling(item) for item in value]
        if not isinstance(value, dict):
            return value
        usual: dict[str, Any] = {}
        for key, item in value.items():
            name = self._names.get(fold(key)) or key
            if name in usual:
                raise JsonError(f'has the key {name!r} in two spellings', 'leave one out')
            below = self._objects.get(name)
            usual[name] = item if below is None else below.in_usual_spelling(item)
        return usual

    def only_known(self, value: dict[str, Any]) -> dict[str, Any]:
        """Returns an object in the usual spelling without unknown keys."""
        known = self._names.values()
        return {key: item for key, item in value.items() if key in known}
