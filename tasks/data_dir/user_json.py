"""Reads JSON that a user or another program wrote: any encoding, and nothing that two readers take for two things."""

from __future__ import annotations

import json
import re
from typing import Any

from bench.errors import DamagedFile
from tasks.data_dir.guarded_files import decode_text

MAX_DEPTH = 64
"""Deepest nesting of lists and objects that is read: what is deeper would end the reader's stack."""


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
    if _is_deep(text):
        raise DamagedFile(f"{where}: expected JSON of at most {MAX_DEPTH} levels, got more; write it anew")
    try:
        return json.loads(text, object_pairs_hook=to_object)
    except DamagedFile:
        raise
    except ValueError as error:
        reason = "a number of thousands of digits" if "digits" in str(error) else str(error)
        raise DamagedFile(f"{where}: expected JSON, got {reason}; was it downloaded whole?") from error
    except RecursionError as error:
        raise DamagedFile(f"{where}: expected JSON of few levels, got more; write it anew") from error


def _is_deep(text: str) -> bool:
    """Tell whether brackets outside of texts are nested more than `MAX_DEPTH` times."""
    if text.count("[") + text.count("{") <= MAX_DEPTH:
        return False
    depth = 0
    parts = text.replace("\\\\", "").replace('\\"', "").split('"')
    for bracket in re.findall(r"[\[{\]}]", "".join(parts[::2])):  # every other part is outside of texts
        depth += 1 if bracket in "[{" else -1
        if depth > MAX_DEPTH:
            return True
    return False
