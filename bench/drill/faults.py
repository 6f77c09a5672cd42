"""Decides which faults a drill makes, and in which order: drawn in balance from the seed, and put into sittings.

A sitting is one time that the command runs. Some faults are made before it starts, on files that lie there; some while
it trains; and one at most ends it. So a few starts of the command carry many faults.
"""

from __future__ import annotations

import dataclasses
import random
from collections.abc import Collection, Mapping, Sequence
from typing import Literal, TypeAlias

from bench.errors import UsageError, nearest

When: TypeAlias = Literal["before", "during", "end"]
"""Before the command starts, while it trains, or as what ends it."""

KINDS: Mapping[str, When] = {
    "worker-killed": "during",
    "worker-stopped": "during",
    "raylet-killed": "during",
    "node-killed": "during",
    "loss-nan": "during",
    "out-of-memory": "during",
    "driver-killed": "end",
    "disk-full": "end",
    "record-damaged": "before",
    "scores-damaged": "before",
    "parameters-damaged": "before",
    "checkpoint-damaged": "before",
    "data-damaged": "before",
    "weights-damaged": "before",
}
"""Each kind of fault, with when it is made."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Fault:
    """A fault that is to be made.

    Attributes:
        number: Its place in the plan, from 1.
        kind: One of `KINDS`.
        draw: A number in [0, 1) that decides what is open: the moment, the victim, the way.
    """

    number: int
    kind: str
    draw: float

    @property
    def when(self) -> When:
        """Say when it is made."""
        return KINDS[self.kind]

    def chance(self) -> random.Random:
        """Return the source of all further choices, the same each time."""
        return random.Random(f"{self.kind} {self.draw}")


@dataclasses.dataclass(frozen=True, kw_only=True)
class SittingFaults:
    """The faults of one start of the command.

    Attributes:
        before: On files, before it starts.
        during: While it trains.
        end: What ends it; None where it may run to its end.
    """

    before: tuple[Fault, ...] = ()
    during: tuple[Fault, ...] = ()
    end: Fault | None = None

    @property
    def faults(self) -> tuple[Fault, ...]:
        """List all of them in order."""
        return (*self.before, *self.during, *(() if self.end is None else (self.end,)))


def plan_faults(num_faults: int, seed: int, kinds: Sequence[str] | None = None) -> list[Fault]:
    """Draw faults: each kind as often as any other, or once more.

    Args:
        num_faults: How many.
        seed: Of the draw.
        kinds: The kinds to draw from; None for all.

    Raises:
        UsageError: There is no such kind, or there is no fault to make.

    Example:
        >>> [fault.kind for fault in plan_faults(3, 0, ["driver-killed", "record-damaged"])]
        ['record-damaged', 'driver-killed', 'driver-killed']
    """
    if num_faults < 1:
        raise UsageError(f"--faults: expected 1 or more, got {num_faults}; leave it out for 50")
    chosen = check_kinds(kinds)
    chance = random.Random(seed)
    drawn: list[str] = []
    while len(drawn) < num_faults:
        drawn += chance.sample(chosen, len(chosen))
    return [
        Fault(number=number, kind=kind, draw=chance.random()) for number, kind in enumerate(drawn[:num_faults], start=1)
    ]


def check_kinds(kinds: Collection[str] | None) -> list[str]:
    """Return the kinds that are asked for, each once; all where none is.

    Raises:
        UsageError: There is no such kind.
    """
    for kind in kinds or ():
        if kind not in KINDS:
            raise UsageError(
                f"--kinds: expected some of {', '.join(KINDS)}, got {kind!r}; {nearest(kind, list(KINDS))}"
            )
    return list(dict.fromkeys(kinds or KINDS))


def plan_sittings(faults: Sequence[Fault]) -> list[SittingFaults]:
    """Put faults into as many sittings as end by one, each with its share of the others.

    Those on files come first in a sitting, and none of them in the first one, where nothing lies there yet.
    """
    ends = [fault for fault in faults if fault.when == "end"]
    has_before = any(fault.when == "before" for fault in faults)
    num_sittings = max(len(ends), 2 if has_before else 1)
    before = deal([fault for fault in faults if fault.when == "before"], num_sittings, is_first_left_out=True)
    during = deal([fault for fault in faults if fault.when == "during"], num_sittings)
    return [
        SittingFaults(
            before=tuple(before[i]),
            during=tuple(during[i]),
            end=ends[i] if i < len(ends) else None,
        )
        for i in range(num_sittings)
    ]


def deal(faults: Sequence[Fault], num_hands: int, is_first_left_out: bool = False) -> list[list[Fault]]:
    """Deal faults out evenly; the first hand gets none where it is left out and is not the only one.

    Example:
        >>> [[fault.number for fault in hand] for hand in deal(plan_faults(5, 0), 3, is_first_left_out=True)]
        [[], [1, 3, 5], [2, 4]]
    """
    hands: list[list[Fault]] = [[] for _ in range(num_hands)]
    first = 1 if is_first_left_out and num_hands > 1 else 0
    for i, fault in enumerate(faults):
        hands[first + i % (num_hands - first)].append(fault)
    return hands
