# SPDX-License-Identifier: Apache-2.0
"""JSON as clients read it, which are written in Go."""

import json
import math
from collections.abc import Callable
from typing import Any


def loads(
    data: bytes, object_pairs_hook: Callable[[list[tuple[str, Any]]], Any] | None = None
) -> Any:
    """Reads JSON as strictly as Go's encoding/json does.

    Python's reader also takes UTF-16, NaN and infinite numbers.

    Args:
        data: the bytes of the JSON.
        object_pairs_hook: as for json.loads().

    Returns:
        The value.

    Raises:
        ValueError: it is not JSON in UTF-8, begins with a byte order mark, or is nested too deep.
    """
    try:
        return json.loads(
            data.decode('utf-8'),
            parse_constant=_refuse_constant,
            parse_float=_finite,
            object_pairs_hook=object_pairs_hook,
        )
    except RecursionError as error:
        raise ValueError('it is nested too deep') from error


def _refuse_constant(text: str) -> None:
    raise ValueError(f'{text} is not JSON')


def _finite(text: str) -> float:
    number = float(text)
    if math.isinf(number):
        raise ValueError(f'{text} is too large')
    return number


def load_object(data: bytes) -> dict[str, Any] | None:
    """Reads a JSON object that another program wrote; returns None for anything else."""
    try:
        value = loads(data)
    except ValueError:
        return None
    if not isinstance(value, dict):
        return None
    return value
