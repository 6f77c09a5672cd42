"""Finds trials by what a person types of an id: all of it, its start, or any part, such as the hash at its end."""

from __future__ import annotations

from collections.abc import Iterable

from bench.errors import UsageError


def match_trial_ids(part: str, trial_ids: Iterable[str]) -> list[str]:
    """List the ids that are meant: the one that is so called, else those that start so, else those that hold it.

    Args:
        part: What was typed.
        trial_ids: Ids to choose from.

    Example:
        >>> match_trial_ids("3f9c", ["nerf__chair__8v__s0__3f9c1a2b", "nerf__chair__8v__s1__082d35a3"])
        ['nerf__chair__8v__s0__3f9c1a2b']
    """
    known = list(trial_ids)
    if part in known:
        return [part]
    return [name for name in known if name.startswith(part)] or [name for name in known if part and part in name]


def refuse_several(where: str, part: str, found: list[str]) -> None:
    """Refuse a part that several ids share.

    Raises:
        UsageError: There are several.
    """
    if len(found) > 1:
        more = f" and {len(found) - 3} more" if len(found) > 3 else ""
        raise UsageError(
            f"{where}: expected the start or a part of one id, got {part!r}, which {len(found)} share; "
            f"say more: {', '.join(found[:3])}{more}"
        )
