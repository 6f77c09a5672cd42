"""Decides how a pack's seconds are split: into laps by what was done, and among the trials trained at once."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping

NO_LAPS = ("wall_s", "shared_s")
"""Among seconds by name, those that are sums of others."""


class PhaseTimer:
    """Wall time, split into laps that start where the last one ended."""

    def __init__(self) -> None:
        self.last = self.start = time.perf_counter()
        self.laps: dict[str, float] = {}

    def lap(self, name: str) -> None:
        """Ends a lap."""
        now = time.perf_counter()
        self.laps[name], self.last = now - self.last, now

    def shared_by(self, num_trials: int) -> dict[str, float]:
        """Each trial's share of every lap, and of the whole."""
        return {name: lap / num_trials for name, lap in (self.laps | {"wall_s": self.last - self.start}).items()}


def sum_timings(*laps: dict[str, float]) -> dict[str, float]:
    """Seconds by name, summed."""
    return {name: sum(lap.get(name, 0.0) for lap in laps) for name in dict.fromkeys(n for lap in laps for n in lap)}


def total_seconds(laps: Mapping[str, float]) -> float:
    """Seconds of all laps; what was measured as a whole is none of them.

    Example:
        >>> total_seconds({"train_s": 2.0, "score_s": 0.5, "wall_s": 2.6})
        2.5
    """
    return sum(value for name, value in laps.items() if name not in NO_LAPS)


def own_seconds(timings: Mapping[str, float]) -> float:
    """Seconds of a trial that no other counts too, so that those of a study add up to what its devices were busy.

    A trial that continues another has the other's seconds in its `wall_s`: it would not be there without them.

    Example:
        >>> own_seconds({"wall_s": 9.0, "shared_s": 6.0}), own_seconds({"wall_s": 9.0}), own_seconds({})
        (3.0, 9.0, nan)
    """
    return timings.get("wall_s", math.nan) - timings.get("shared_s", 0.0)
