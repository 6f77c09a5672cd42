"""Decides how values are written as JSON and read back: which numbers may stand there, and which types.

JSON knows no NaN and no infinity. A number that is not finite is refused. Where it is allowed, in curves, timings and a
run's status, `nan_to_none` replaces it by null first, and `none_to_nan` reads null as NaN again.

msgspec reads: it is strict (no NaN, no wrong types) and takes a third of pydantic's time to import.
"""

from __future__ import annotations

import dataclasses
import json
import math
import re
from typing import Any, TypeVar

from bench.errors import DamagedFile
from tasks.data_dir.guarded_files import decode_text
from tasks.data_dir.user_json import MAX_DEPTH, is_deep, parse_json_text

T = TypeVar("T")

_SPACED_KEY = re.compile(rb'"[ \t\r\n]+:')


def to_bytes(value: Any, where: str) -> bytes:
    """Return a value as one line of JSON.

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


def from_bytes(content: bytes, where: str) -> Any:
    """Return the plain values of a JSON file.

    Args:
        content: The file.
        where: Names the file in messages.

    Raises:
        ValueError: It is no JSON, is nested too deeply, or says a key twice; in one line.
    """
    import msgspec

    try:
        found = msgspec.json.decode(content)
        too_deep = is_deep(found, content.count(b"[") + content.count(b"{"))
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise ValueError(f"{where}: expected JSON, got a file that does not parse ({error})") from error
    except RecursionError:
        too_deep = True
    if too_deep:
        raise ValueError(f"{where}: expected JSON of at most {MAX_DEPTH} levels, got more; remove it")
    _refuse_double_keys(found, content, where)
    return found


def _refuse_double_keys(found: Any, content: bytes, where: str) -> None:
    """Refuse JSON that says a key twice: of two readers one takes the first value, the other the last.

    Keys are counted before the text is read again, which takes longer: hardly a text holds `":` anywhere else.

    Raises:
        ValueError: A key stands twice.
    """
    if _count_keys(found) == content.count(b'":') and not _SPACED_KEY.search(content):
        return
    try:
        parse_json_text(content, where)
    except DamagedFile as error:
        raise ValueError(str(error)) from error


def _count_keys(found: Any) -> int:
    """Count the keys of all objects in plain values."""
    num = 0
    level = [found]
    while level:
        below = []
        for value in level:
            if isinstance(value, dict):
                num += len(value)
                below += [inner for inner in value.values() if isinstance(inner, dict | list)]
            elif isinstance(value, list):
                below += [inner for inner in value if isinstance(inner, dict | list)]
        level = below
    return num


def parse_user_json(content: bytes, where: str) -> Any:
    """Return the plain values of a JSON file that a user or another program wrote, in the encoding that it has.

    Raises:
        ValueError: It is no text, no JSON, nested too deeply, or says a key twice; in one line.
    """
    parse_json_text(content, where)  # it says what is wrong in other words, and knows of keys that stand there twice
    return from_bytes(decode_text(content, where).encode(), where)


def convert(value: Any, kind: type[T], where: str) -> T:
    """Return plain values as a dataclass or a typed dictionary, with every field's type checked.

    Args:
        value: Plain values, as `from_bytes` gives them.
        kind: The type; fields that have a default may be missing.
        where: Names the value in messages.

    Raises:
        ValueError: A field is missing, unknown or of another type; in one line that names the field.
    """
    import msgspec

    if dataclasses.is_dataclass(kind) and isinstance(value, dict):
        unknown = sorted(set(value) - {field.name for field in dataclasses.fields(kind)})
        if unknown:
            raise ValueError(f"{where}: expected the fields of {kind.__name__}, got unknown {', '.join(unknown)}")
    try:
        return msgspec.convert(value, kind)
    except msgspec.ValidationError as error:
        reason = " ".join(str(error).split())
        raise ValueError(
            f"{where}: expected the fields of {kind.__name__}, got one that does not fit: {reason}"
        ) from error


def nan_to_none(value: Any) -> Any:
    """Return plain values with None in place of each number that is not finite.

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
    """Return plain values with NaN in place of each None.

    Example:
        >>> none_to_nan({"loss": [0.5, None]})
        {'loss': [0.5, nan]}
    """
    if isinstance(value, dict):
        return {name: none_to_nan(inner) for name, inner in value.items()}
    if isinstance(value, list):
        return [none_to_nan(inner) for inner in value]
    return math.nan if value is None else value
