"""Scores the views of trained packs: after their training, or beside that of the next pack.

What training leaves lies in the host's memory, as `UnscoredPack`: its scores need nothing of the arrays that training
held on the device, so that another pack can be trained meanwhile.
"""

from __future__ import annotations

import dataclasses
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, NamedTuple, TypeAlias

import numpy as np
from jaxtyping import Shaped

from bench.metrics.task_kinds import kind_of
from bench.storage.record import Outcome
from bench.storage.timings import PhaseTimer, add_lap
from bench.suites.trial import Trial
from bench.training.batch import Solved
from bench.training.progress import Progress
from bench.training.sitting import Sitting

Report: TypeAlias = Callable[[Progress], None]
"""Called now and then with where a pack stands."""

ViewArrays: TypeAlias = dict[str, Shaped[np.ndarray, "..."]]
"""A trial's views as they are stored, by name."""

ScoresByProtocol: TypeAlias = dict[str, dict[str, Any]]
"""A trial's scores as JSON, by protocol."""

_SCORING = threading.Lock()
"""Held while a pack is scored: its arrays take memory of the device."""


class RenderedTrial(NamedTuple):
    """A trial whose training has ended and whose views are rendered.

    Attributes:
        trial: The trial.
        scene: What its task holds.
        outcome: All that it leaves but scores; the timings are those so far.
    """

    trial: Trial
    scene: Solved
    outcome: Outcome


class RenderedPhase(NamedTuple):
    """Trials that ended with one phase of a pack.

    Attributes:
        trials: In the order of the phase.
        num_rows: Rows that share the seconds of the phase.
        progress: The report on their scores.
    """

    trials: tuple[RenderedTrial, ...]
    num_rows: int
    progress: Progress

    def score(self, protocol_names: Sequence[str], report: Report) -> list[Outcome]:
        """Return the outcomes with their scores; a trial that has failed has none."""
        report(self.progress)
        timer = PhaseTimer()
        scores: list[ScoresByProtocol] = []
        for trial, scene, outcome in self.trials:
            is_finished = outcome.record.status == "finished"
            guides = trial.method.encoders
            scores.append(score_views(scene, outcome.views, protocol_names, guides) if is_finished else {})
        timer.lap("score_s")
        score_s = timer.shared_by(self.num_rows)["score_s"]
        return [
            add_scores(rendered.outcome, scored, score_s) for rendered, scored in zip(self.trials, scores, strict=True)
        ]


class UnscoredPack:
    """A pack in training, or trained, whose trials are scored as their phase ends.

    Where something may be done beside training, a thread scores them while the phases that follow are trained.

    Args:
        trial_ids: Of all its trials, in the pack's order.
        protocol_names: The protocols that they are scored under.
        sitting: Takes the outcomes.
        report: Called when a phase is scored in this thread.
    """

    def __init__(
        self, trial_ids: tuple[str, ...], protocol_names: tuple[str, ...], sitting: Sitting, report: Report
    ) -> None:
        self.trial_ids = trial_ids
        self.protocol_names = protocol_names
        self.sitting = sitting
        self.report = report
        self.phases: list[RenderedPhase] = []
        self.begun: list[Future[None]] = []
        self.thread = ThreadPoolExecutor(1, thread_name_prefix="score") if sitting.scores_beside else None

    def add(self, phase: RenderedPhase) -> None:
        """Take the trials that ended with a phase, and score them, beside training or now."""
        self.phases.append(phase)
        if self.thread is None:
            self.score_phase(phase, self.report)
        else:
            self.begun.append(self.thread.submit(self.score_phase, phase, lambda progress: None))

    def score_phase(self, phase: RenderedPhase, report: Report) -> None:
        """Score the trials of a phase, and hand their outcomes on."""
        with _SCORING:
            self.sitting.add_outcomes(phase.score(self.protocol_names, report))

    def wait(self) -> None:
        """Wait for what is scored beside; what could not be scored is left for `score`."""
        if self.thread is not None:
            self.thread.shutdown()

    def score(self, report: Report) -> list[Outcome]:
        """Score what is not scored yet; return an outcome of each trial, in the pack's order."""
        if self.thread is not None:
            report(self.phases[-1].progress)
        self.wait()
        for begun in self.begun:
            error = begun.exception()
            if error is not None and not isinstance(error, Exception):
                raise error  # no fault of the trials'
        for phase in self.phases:
            if any(rendered.trial.id not in self.sitting.outcomes for rendered in phase.trials):
                self.score_phase(phase, report)
        return [self.sitting.outcomes[trial_id] for trial_id in self.trial_ids]


def wait_for_scores() -> bool:
    """Wait until no pack is scored beside this thread, and tell whether one was."""
    if not _SCORING.locked():
        return False
    with _SCORING:
        return True


def add_scores(outcome: Outcome, scores: ScoresByProtocol, score_s: float) -> Outcome:
    """Add scores to what a trial leaves, and the seconds that they took to its timings."""
    timings = add_lap(outcome.record.timings, "score_s", score_s)
    return dataclasses.replace(outcome, scores=scores, record=dataclasses.replace(outcome.record, timings=timings))


def score_views(
    scene: Solved, views: ViewArrays, protocol_names: Sequence[str], guides: tuple[str, ...] = ()
) -> ScoresByProtocol:
    """Score a trial's views under each protocol that applies to them, as `rescore` scores the stored ones.

    Args:
        scene: What the trial's task holds.
        views: As they are stored, in float16.
        protocol_names: The protocols.
        guides: Encoders that took part in training.
    """
    known = kind_of(scene).protocols
    return {name: known[name].score(scene, views, guides).to_json() for name in protocol_names if name in known}
