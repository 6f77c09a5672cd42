"""Says where the time of a run went: how much of what its devices had was training and rendering.

A device has the whole wall time of the run, from the command to the report. What its packs took stands in the records;
the rest is "else": the start of the process, waiting for a pack, the last scores, tables and figures.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from bench.storage.timings import own_seconds, sum_timings
from bench.training.run_handlers import PackEvent

PHASES = {
    "train_s": "trained",
    "render_s": "rendered",
    "compile_s": "compiled",
    "prepare_s": "prepared",
    "score_s": "scored",
}
"""Laps of records, and what is said of them."""


class RunTimes(NamedTuple):
    """Holds the seconds of a run, by what was done.

    Attributes:
        wall_s: Seconds from the command to its report.
        num_workers: Workers that trained packs, each with its own device or devices.
        seconds: By lap, of all trials that were trained.
        scores_beside: Whether scores were made while the next pack was trained.
    """

    wall_s: float
    num_workers: int
    seconds: Mapping[str, float]
    scores_beside: bool

    @classmethod
    def of(
        cls, wall_s: float, events: Sequence[PackEvent], timings: Iterable[Mapping[str, float]], scores_beside: bool
    ) -> RunTimes:
        """Sum up what trials took.

        Args:
            wall_s: As in the class.
            events: What became of the packs.
            timings: Those of the records of all trials that were trained.
            scores_beside: As in the class.
        """
        num_workers = len({event.worker for event in events})
        return cls(wall_s, num_workers, sum_timings(*(own_laps(each) for each in timings)), scores_beside)

    def shares(self) -> dict[str, float]:
        """Return the share of each phase in the time that the devices had, and that of what is in no phase."""
        had_s = self.wall_s * self.num_workers
        beside = {"score_s"} if self.scores_beside else set()
        shares = {word: self.seconds.get(lap, 0.0) / had_s for lap, word in PHASES.items() if lap not in beside}
        return shares | {"else": max(0.0, 1 - sum(shares.values()))}

    def describe(self) -> str:
        """Write the shares in a line.

        Example:
            >>> seconds = {"train_s": 60.0, "render_s": 5.0, "compile_s": 20.0, "prepare_s": 5.0, "score_s": 8.0}
            >>> RunTimes(100.0, 1, seconds, scores_beside=True).describe()
            'time of the device: trained 60%, rendered 5%, compiled 20%, prepared 5%, else 10%; scored beside in 8 s'
        """
        parts = ", ".join(f"{word} {share:.0%}" for word, share in self.shares().items())
        had_s = self.wall_s * self.num_workers
        whose = "the device" if self.num_workers == 1 else f"{self.num_workers} workers, {had_s:.0f} s in all"
        beside = f"; scored beside in {self.seconds.get('score_s', 0.0):.0f} s" if self.scores_beside else ""
        return f"time of {whose}: {parts}{beside}"


def own_laps(timings: Mapping[str, float]) -> dict[str, float]:
    """Return a trial's laps without what another one counts: of all laps the same share, as records keep no other.

    Example:
        >>> own_laps({"train_s": 6.0, "render_s": 2.0, "wall_s": 8.0, "shared_s": 4.0})
        {'train_s': 3.0, 'render_s': 1.0}
    """
    share = own_seconds(timings) / timings["wall_s"] if timings.get("wall_s") else 0.0
    return {lap: timings[lap] * share for lap in PHASES if lap in timings}
