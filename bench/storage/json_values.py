"""Decides how numbers are written as JSON, which knows no NaN and no infinity.

A number that is not finite is refused. Where it is allowed, in curves, timings and a run's status, `nan_to_none`
replaces it by null first, and `none_to_nan` reads null as NaN again.
"""

from __future__ import annotations

import json
import math
from typing import Any


def to_bytes(value: Any, where: str) -> bytes:
    """Returns a value as one line of JSON.

    Args:
        value: Plain values.
        where: Names the value in messages.

    Raises:
        ValueError: A number is not finite.
    """
    try:
        return (json.dumps(value, allow_nan=False) + "\n").encode()
    except ValueError as error:
        raise ValueError(f"{where}: expected numbers that are finite, or None with a reason, got {error}") from error


def nan_to_none(value: Any) -> Any:
    """Returns plain values with None in place of each number that is not finite.

    Example:
        >>> nan_to_none({"loss": [0.5, float("inf")], "pid": 7})
        {'loss': [0.5, None], 'pid': 7}
    """
    if isinstance(value, dict):
        return {name: nan_to_none(inner) for name, inner in value.items()}
    if isinstance(value, list | tuple):
        return [nan_to_none(inner) for inner in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value


def none_to_nan(value: Any) -> Any:
    """Returns plain values with NaN in place of each None.

    Example:
        >>> none_to_nan({"loss": [0.5, None]})
        {'loss': [0.5, nan]}
    """
    if isinstance(value, dict):
        return {name: none_to_nan(inner) for name, inner in value.items()}
    if isinstance(value, list):
        return [none_to_nan(inner) for inner in value]
    return math.nan if value is None else value
