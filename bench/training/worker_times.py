"""Splits the time of each worker of a run by what it did or waited for, from a run's events and its records."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence

from bench.storage.timings import own_seconds
from bench.training.run_handlers import PackEvent

LAPS = {"prepare_s": "data", "compile_s": "compile", "train_s": "train", "render_s": "render"}
"""Laps of a pack's training as a record names them, and what they are called here."""

PARTS = ("start", *LAPS.values(), "score", "queue", "other")
"""Parts of a worker's time.

`start` is all before its first pack: imports, data of the suite, Ray, workers. `data` loads a pack's arrays and
initialises its fields. `score` is time in which it did nothing but score, `queue` time in which no pack was left for
it, and `other` the rest.
"""


@dataclasses.dataclass(frozen=True, kw_only=True)
class WorkerTimes:
    """Holds a worker's seconds, by what it did.

    Attributes:
        worker: Its number.
        ended_s: Seconds from the start of the run to the scores of its last pack.
        seconds: By part, all of `PARTS`: they add up to the time of the run.
    """

    worker: int
    ended_s: float
    seconds: dict[str, float]


def split_times(
    events: Sequence[PackEvent], timings: Mapping[str, Mapping[str, float]], began: float, ended: float
) -> list[WorkerTimes]:
    """Split the time of each worker, in the order of their numbers.

    Args:
        events: Of the run.
        timings: Of each trial, by its id, as its record holds them.
        began: When the run was started, as `time.time` tells it.
        ended: When it was over.

    Example:
        >>> kinds = [("begun", 3.0), ("trained", 9.0), ("ended", 10.0)]
        >>> events = [PackEvent(kind, 0, ("a",), seconds) for kind, seconds in kinds]
        >>> [found] = split_times(events, {"a": {"compile_s": 4.0, "train_s": 2.0, "wall_s": 6.0}}, 1.0, 10.5)
        >>> found.ended_s, {part: s for part, s in found.seconds.items() if s}
        (9.0, {'start': 2.0, 'compile': 4.0, 'train': 2.0, 'score': 1.0, 'other': 0.5})
    """
    last = max((event.seconds for event in events), default=ended)
    workers = sorted({event.worker for event in events})
    found = []
    for worker in workers:
        own = [event for event in events if event.worker == worker]
        found.append(_split_worker(own, timings, began, last, ended))
    return found


def slowest(workers: Sequence[WorkerTimes]) -> WorkerTimes:
    """Return the worker that was done last."""
    return max(workers, key=lambda worker: worker.ended_s)


def _split_worker(
    events: Sequence[PackEvent], timings: Mapping[str, Mapping[str, float]], began: float, last: float, ended: float
) -> WorkerTimes:
    """Split the time of one worker.

    Args:
        events: Of the worker.
        timings: As in `split_times`.
        began: As in `split_times`.
        last: When the last worker was done.
        ended: As in `split_times`.
    """
    seconds = dict.fromkeys(PARTS, 0.0)
    begun = [event for event in events if event.kind == "begun"]
    trained = [event.seconds for event in events if event.kind == "trained"]
    scored = [event.seconds for event in events if event.kind == "ended"]
    trained += [last] * (len(begun) - len(trained))  # it died, or the run was stopped
    scored += [last] * (len(begun) - len(scored))
    seconds["start"] = begun[0].seconds - began
    for i, event in enumerate(begun):
        laps = _laps_of_pack(event.trial_ids, timings)
        for lap, part in LAPS.items():
            seconds[part] += laps[lap]
        rest = max(0.0, trained[i] - event.seconds - sum(laps[lap] for lap in LAPS))
        is_scored_within = scored[i] - trained[i] < 0.5 * laps["score_s"]
        score = min(rest, laps["score_s"]) if is_scored_within else 0.0
        seconds["score"] += score
        seconds["other"] += rest - score
        free_until = begun[i + 1].seconds if i + 1 < len(begun) else last
        still_scoring = min(max(scored[: i + 1]), free_until)
        seconds["score"] += max(0.0, still_scoring - trained[i])
        seconds["queue"] += free_until - max(still_scoring, trained[i])
    seconds["other"] += ended - last
    return WorkerTimes(worker=begun[0].worker, ended_s=max(scored) - began, seconds=seconds)


def _laps_of_pack(trial_ids: Sequence[str], timings: Mapping[str, Mapping[str, float]]) -> dict[str, float]:
    """Add up the laps of a pack's trials, each of which has its share; what several share counts once."""
    total = dict.fromkeys([*LAPS, "score_s"], 0.0)
    for trial_id in trial_ids:
        of_trial = timings.get(trial_id, {})
        wall_s = of_trial.get("wall_s", 0.0)
        share = own_seconds(of_trial) / wall_s if wall_s else 0.0
        for lap in total:
            total[lap] += share * of_trial.get(lap, 0.0)
    return total
