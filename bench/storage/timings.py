"""Splits the seconds of a pack: into laps by what was done, and among the trials that are trained at once."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping

NO_LAPS = ("wall_s", "shared_s")
"""Names of timings that are sums of others."""


class PhaseTimer:
    """Wall time, split into laps that start where the last one ended."""

    def __init__(self) -> None:
        self.last = time.perf_counter()
        self.laps: dict[str, float] = {}

    def lap(self, name: str) -> None:
        """End a lap, and start the next."""
        now = time.perf_counter()
        self.laps[name] = now - self.last
        self.last = now

    def laps_so_far(self, name: str) -> dict[str, float]:
        """Return all laps, as if the one that runs had this name and ended now."""
        return self.laps | {name: time.perf_counter() - self.last}

    def shared_by(self, num_trials: int) -> dict[str, float]:
        """Return each trial's share of every lap."""
        return {name: lap / num_trials for name, lap in self.laps.items()}


def sum_timings(*laps: dict[str, float]) -> dict[str, float]:
    """Add seconds up by name.

    Example:
        >>> sum_timings({"train_s": 2.0}, {"train_s": 1.0, "score_s": 0.5})
        {'train_s': 3.0, 'score_s': 0.5}
    """
    total: dict[str, float] = {}
    for each in laps:
        for name, seconds in each.items():
            total[name] = total.get(name, 0.0) + seconds
    return total


def add_lap(timings: dict[str, float], name: str, seconds: float) -> dict[str, float]:
    """Add a lap to a trial's timings, also to the sums; a trial that shares all of its seconds shares this lap too.

    Example:
        >>> add_lap({"train_s": 2.0, "wall_s": 2.0, "shared_s": 0.0}, "score_s", 1.0)
        {'train_s': 2.0, 'wall_s': 3.0, 'shared_s': 0.0, 'score_s': 1.0}
        >>> add_lap({"wall_s": 2.0, "shared_s": 2.0}, "score_s", 1.0)["shared_s"]
        3.0
    """
    shares_all = timings["shared_s"] == timings["wall_s"]
    sums = {"wall_s": timings["wall_s"] + seconds, "shared_s": timings["shared_s"] + (seconds if shares_all else 0.0)}
    return timings | sums | {name: seconds}


def total_seconds(laps: Mapping[str, float]) -> float:
    """Add up the seconds of all laps; timings that are sums of others do not count.

    Example:
        >>> total_seconds({"train_s": 2.0, "score_s": 0.5, "wall_s": 2.6})
        2.5
    """
    return sum(value for name, value in laps.items() if name not in NO_LAPS)


def own_seconds(timings: Mapping[str, float]) -> float:
    """Return the seconds of a trial that no other counts too: a study's add up to the time that its devices were busy.

    A trial that continues another has the other's seconds in its `wall_s`: it would not be there without them.

    Example:
        >>> own_seconds({"wall_s": 9.0, "shared_s": 6.0}), own_seconds({"wall_s": 9.0}), own_seconds({})
        (3.0, 9.0, nan)
    """
    return timings.get("wall_s", math.nan) - timings.get("shared_s", 0.0)
