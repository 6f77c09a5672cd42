"""Decides whether a drill went well: compares what it left with an undisturbed run, by rules that are tried apart.

The digits of the drill's trials depend on no pack, so that all that was stored must be equal byte by byte.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Collection, Iterable, Mapping
from typing import Any, NamedTuple

from bench.drill.damage import Damage
from bench.storage.store import Store
from bench.storage.trial_folder import RECORD

RULES = {
    "finished": "every trial finished exactly once",
    "once": "no trial was trained again after it was stored",
    "same": "parameters, views and scores are those of an undisturbed run, byte by byte",
    "table": "the table is that of an undisturbed run, byte by byte",
    "named": "every damaged file was named",
    "continued": "the same command went on after every fault, and left no process behind",
    "made": "every fault that was planned was made",
}
"""What must hold at the end, by a short name."""


CURVE_RTOL = 1e-4
"""Of the points of curves, relative."""


class BrokenRule(NamedTuple):
    """A rule that does not hold.

    Attributes:
        rule: One of `RULES`.
        why: What was found, in a line.
    """

    rule: str
    why: str


@dataclasses.dataclass(frozen=True, kw_only=True)
class RoundHistory:
    """Tells the events of a round that the rules need.

    Attributes:
        done: How often the command said of each trial that it is stored.
        may_repeat: How often each trial may have been stored again: its record was damaged, or a fault had failed it.
        damages: Files that were damaged, each with all that was said afterwards.
    """

    done: Mapping[str, int]
    may_repeat: Mapping[str, int]
    damages: tuple[tuple[Damage, tuple[str, ...]], ...] = ()


class TrialContent(NamedTuple):
    """Holds the results of a trial, without its times.

    Attributes:
        status: As in its record.
        files: SHA-256 of its files.
        curves: As in its record.
    """

    status: str
    files: Mapping[str, str]
    curves: Mapping[str, Any]


def read_contents(trials: Store) -> dict[str, TrialContent]:
    """Read what must be equal of all trials of a store."""
    return {
        record.trial_id: TrialContent(record.status, dict(record.files), dict(record.curves))
        for record in trials.records()
    }


def find_broken_rules(
    found: Mapping[str, TrialContent],
    expected: Mapping[str, TrialContent],
    history: RoundHistory,
    tables: str,
    expected_tables: str,
) -> list[BrokenRule]:
    """List the rules that a round broke; empty where all hold.

    Args:
        found: What the round left.
        expected: What an undisturbed run left.
        history: What happened.
        tables: Those of the round.
        expected_tables: Those of the undisturbed run.
    """
    broken = [
        *check_finished(found, expected),
        *check_once(history),
        *check_same(found, expected),
        *check_named(history.damages),
    ]
    if tables != expected_tables or not tables:
        broken.append(BrokenRule("table", first_difference(tables, expected_tables)))
    return broken


def check_finished(found: Mapping[str, TrialContent], expected: Collection[str]) -> Iterable[BrokenRule]:
    """Find trials that are missing, failed, or of nobody's plan."""
    for trial_id in expected:
        status = found[trial_id].status if trial_id in found else "missing"
        if status != "finished":
            yield BrokenRule("finished", f"{trial_id} is {status}")
    for trial_id in sorted(set(found) - set(expected)):
        yield BrokenRule("finished", f"{trial_id} is in no plan")


def check_once(history: RoundHistory) -> Iterable[BrokenRule]:
    """Find trials that were trained again although they were stored."""
    for trial_id, times in sorted(history.done.items()):
        most = 1 + history.may_repeat.get(trial_id, 0)
        if times > most:
            yield BrokenRule("once", f"{trial_id} was stored {times} times, {most} at most are right")


def check_same(found: Mapping[str, TrialContent], expected: Mapping[str, TrialContent]) -> Iterable[BrokenRule]:
    """Find trials whose files or curves are others than those of an undisturbed run."""
    for trial_id, wanted in expected.items():
        if trial_id not in found or found[trial_id].status != "finished":
            continue
        got = found[trial_id]
        names = sorted({*got.files, *wanted.files})
        others = [name for name in names if got.files.get(name) != wanted.files.get(name)]
        if not are_close(got.curves, wanted.curves):
            others.append("curves")
        if others:
            yield BrokenRule("same", f"{trial_id}: {', '.join(others)}")


def are_close(curves: Mapping[str, list[float]], others: Mapping[str, list[float]]) -> bool:
    """Tell whether curves have points at the same steps, and equal ones but for the last digits.

    A point is a mean over a chunk of steps, which a pack of another size adds up in another order.
    """
    if list(curves) != list(others) or any(len(curves[name]) != len(others[name]) for name in curves):
        return False
    pairs = [pair for name in curves for pair in zip(curves[name], others[name], strict=True)]
    is_equal = curves.get("step") == others.get("step")
    return is_equal and all(math.isclose(one, two, rel_tol=CURVE_RTOL) for one, two in pairs)


def check_named(damages: Iterable[tuple[Damage, tuple[str, ...]]]) -> Iterable[BrokenRule]:
    """Find damaged files of which nothing was said."""
    for damage, lines in damages:
        if not any(is_named(damage, line) for line in lines):
            where = f"{damage.trial_id}/" if damage.trial_id else ""
            yield BrokenRule("named", f"{where}{damage.path.name} ({damage.how}): no line names it")


def is_named(damage: Damage, line: str) -> bool:
    """Tell whether a line names a damaged file: by its trial and name, or by its own name where it has no trial."""
    stem = damage.path.name.removesuffix(".safetensors")
    if not damage.trial_id:
        return stem in line
    return damage.trial_id in line and (damage.path.name in line or (damage.path.name == RECORD and "parse" in line))


def first_difference(text: str, other: str) -> str:
    """Show the first line in which two texts differ."""
    if not text:
        return "there is none"
    lines = text.splitlines()
    others = other.splitlines()
    for number, (one, two) in enumerate(zip(lines, others, strict=False), start=1):
        if one != two:
            return f"line {number} is {one[:200]!r} and not {two[:200]!r}"
    return f"it has {len(lines)} lines and not {len(others)}"
