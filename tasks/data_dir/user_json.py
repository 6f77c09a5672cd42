"""Reads JSON that a user or another program wrote: any encoding, and nothing that two readers take for two things."""

from __future__ import annotations

import json
from typing import Any

from bench.errors import DamagedFile
from tasks.data_dir.guarded_files import decode_text

MAX_DEPTH = 64
"""Deepest nesting of lists and objects that is read: what is deeper would end other programs' stack, or ours."""


def parse_json_text(content: bytes, where: str) -> Any:
    """Return the plain values of a JSON file, in the encoding that its mark says, else UTF-8.

    NaN and Infinity are read, as Python writes them: who takes a number says what it may be.

    Args:
        content: The file.
        where: Names the file in messages.

    Raises:
        DamagedFile: It is no text or no JSON, is nested too deeply, or says a key twice; in one line.

    Example:
        >>> parse_json_text(b'{"w": 12}', "a.json")
        {'w': 12}
    """

    def to_object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        found = dict(pairs)
        if len(found) < len(pairs):
            names = [name for name, _ in pairs]
            twice = next(name for name in names if names.count(name) > 1)
            raise DamagedFile(f"{where}: expected each key once, got {twice!r:.60} twice; take one out")
        return found

    text = decode_text(content, where)
    try:
        found = json.loads(text, object_pairs_hook=to_object)
        too_deep = is_deep(found, text.count("[") + text.count("{"))
    except DamagedFile:
        raise
    except RecursionError:
        too_deep = True
    except ValueError as error:
        reason = "a number of thousands of digits" if "digits" in str(error) else str(error)
        raise DamagedFile(f"{where}: expected JSON, got {reason}; was it downloaded whole?") from error
    if too_deep:
        raise DamagedFile(f"{where}: expected JSON of at most {MAX_DEPTH} levels, got more; write it anew")
    return found


def is_deep(found: Any, num_brackets: int) -> bool:
    """Tell whether plain values are nested more than `MAX_DEPTH` times.

    Args:
        found: The values.
        num_brackets: Opening brackets in their text: most files have fewer than would be too deep.
    """
    if num_brackets <= MAX_DEPTH:
        return False
    level = [found]
    for _ in range(MAX_DEPTH + 1):
        inner = [
            value.values() if isinstance(value, dict) else value for value in level if isinstance(value, dict | list)
        ]
        level = [value for values in inner for value in values if isinstance(value, dict | list)]
        if not inner:
            return False
    return True
