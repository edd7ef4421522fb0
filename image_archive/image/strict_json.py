# SPDX-License-Identifier: Apache-2.0
"""JSON as the clients read it, which are written in Go."""

import json
import math
from collections.abc import Callable
from typing import Any


def loads(
    data: bytes, object_pairs_hook: Callable[[list[tuple[str, Any]]], Any] | None = None
) -> Any:
    """Reads JSON; takes no more of what is not JSON than Go's encoding/json does.

    Python's reader also takes UTF-16, NaN and numbers that are none.

    Args:
        data: the bytes of the JSON.
        object_pairs_hook: as of json.loads().

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
