"""Reads how far judges agree with people, as a blind quiz found it: the judge that agrees best stands first in tables.

    python -m bench votes FILE... --save

writes the file, from all answers that are kept beside it. Where there is none, judges stand in the project's order.
"""

from __future__ import annotations

import functools
import pathlib
from collections.abc import Mapping, Sequence
from typing import Any

from bench.errors import DamagedFile
from tasks.data_dir.guarded_files import read_plain_file
from tasks.data_dir.user_json import parse_json_text

FOLDER = pathlib.Path(__file__).parents[2] / "results" / "reference" / "recognition"
"""Holds quizzes with their answers, and what they come to."""

FILE_NAME = "agreement.json"


def stored_agreement(folder: pathlib.Path | None = None) -> Mapping[str, Any]:
    """Read what quizzes came to, see `bench.analysis.quiz.reference`; empty where nothing is stored.

    Args:
        folder: Where quizzes are kept; None for `FOLDER`.

    Raises:
        DamagedFile: The file is none that `votes --save` wrote.
    """
    path = (folder or FOLDER) / FILE_NAME
    return _read_once(path, path.stat().st_mtime_ns) if path.is_file() else {}


def agreement_of(judge: str, folder: pathlib.Path | None = None) -> Mapping[str, Any] | None:
    """Return what is stored of a judge: `sha256` of its weights, `asked_by`, `kappa_right`, `kappa_chosen`; or None."""
    return stored_agreement(folder).get("judges", {}).get(judge)


def rank_judges(names: Sequence[str], folder: pathlib.Path | None = None) -> tuple[str, ...]:
    """Put the judges that agree best with people first, by kappa on right or wrong kinds; the rest keep their order.

    Example:
        >>> rank_judges(("b", "a"), pathlib.Path("nowhere"))
        ('b', 'a')
    """

    def kappa(name: str) -> float:
        found = agreement_of(name, folder)
        value = None if found is None else found["kappa_right"]["value"]
        return -2.0 if value is None else value  # below any kappa

    return tuple(sorted(names, key=kappa, reverse=True))  # sorting is stable: equal ones keep their order


@functools.lru_cache(maxsize=4)
def _read_once(path: pathlib.Path, changed_ns: int) -> Mapping[str, Any]:
    try:
        found = parse_json_text(read_plain_file(path), str(path))
        for told in found["judges"].values():
            value = told["kappa_right"]["value"]
            if value is not None and not -1 <= value <= 1:
                raise ValueError(f"a kappa of {value!r}")
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise DamagedFile(
            f"{path}: expected how far judges agree with people, got {error}; write it again with votes --save"
        ) from error
    return found
