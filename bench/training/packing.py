"""Makes packs of trials: which may share one compiled program, what they train in turn, and what they will cost.

Trials share a program when their methods are equal once the hyperparameters are taken out, and their arrays have the
same shapes. A program is compiled once; a pack is as many of its trials as train at once.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import NamedTuple

from bench.suites.identity import Static, describe, digest
from bench.suites.trial import Trial
from models.method import Method, split_hyperparameters
from tasks.task import optional_arrays


class ProgramCost(NamedTuple):
    """Seconds that a program takes on the device at hand, measured by a pilot.

    Attributes:
        compile_s: Once a program and worker; little when the compilation cache holds it.
        step_s: One gradient step of one trial, in a pack.
        render_s: Rendering and scoring of one trial.
    """

    compile_s: float
    step_s: float
    render_s: float


@dataclasses.dataclass(frozen=True, kw_only=True)
class Pack:
    """Trials trained at once by one compiled program.

    Attributes:
        trials: In a fixed order; the trial axis of every array.
        key: Equal for packs that one compiled program can serve.
        first_step: Steps that its trials have taken in earlier sittings, as far as was known when it was made.
    """

    trials: tuple[Trial, ...]
    key: str
    first_step: int = 0

    @property
    def roots(self) -> tuple[Trial, ...]:
        """List what is trained from the start, each once: a trial, or what it continues."""
        return tuple(dict.fromkeys(root(trial) for trial in self.trials))

    @property
    def num_steps(self) -> int:
        """Count the gradient steps that its trials have still to take; those that trials share count once."""
        shared = sum(max(0, trial.method.total_steps - self.first_step) for trial in self.roots)
        phases = [trial for trial in self.trials if trial.method.continues is not None]
        starts = [max(root(trial).method.total_steps, self.first_step) for trial in phases]
        return shared + sum(trial.method.total_steps for trial in phases) - sum(starts)

    def halves(self) -> tuple[Pack, ...]:
        """Make two packs of half the size, to be tried when one does not fit in memory.

        Trials that continue another stay with it, unless they are all that is left.
        """
        roots = self.roots if len(self.roots) > 1 else self.trials
        first = set(roots[: (len(roots) + 1) // 2])
        own_root = root if len(self.roots) > 1 else (lambda trial: trial)
        one = tuple(trial for trial in self.trials if own_root(trial) in first)
        other = tuple(trial for trial in self.trials if own_root(trial) not in first)
        return tuple(dataclasses.replace(self, trials=part) for part in (one, other) if part)

    def without(self, trial_ids: Collection[str]) -> Pack:
        """Make a pack of the trials that are not among these."""
        return dataclasses.replace(self, trials=tuple(trial for trial in self.trials if trial.id not in trial_ids))

    def split(self) -> tuple[Pack, ...]:
        """Make a pack of every trial, to find which of them is to blame for a failure."""
        return tuple(dataclasses.replace(self, trials=(trial,)) for trial in self.trials)


def root(trial: Trial) -> Trial:
    """Return the trial that this one continues, or itself if it starts afresh; without the name of its variant."""
    method = trial.method
    while method.continues is not None:
        method = method.continues
    first = trial if method is trial.method else dataclasses.replace(trial, method=method)
    return first.renamed(ROOT_VARIANT)


ROOT_VARIANT = "root"
"""Stands for a variant's name where trials are told apart by what they train only."""


def program_digest(trial: Trial) -> str:
    """Hash all that is static in what a trial trains first: equal for trials that may share a pack."""
    static, _ = split_hyperparameters(root(trial).method)
    return digest([describe(static, "method"), list(shapes_of(trial))], 16)


def method_digest(trial: Trial) -> str:
    """Hash all that is static in the method of what a trial trains first, whatever its task."""
    static, _ = split_hyperparameters(root(trial).method)
    return digest(describe(static, "method"), 16)


class Program(NamedTuple):
    """Identity of a compiled program: trials of equal methods and shapes are trained by one."""

    static: Static
    layout: tuple[int | str, ...]


def program_of(trial: Trial) -> Program:
    """Return the program of a trial: its method without hyperparameters, and the shapes of its arrays."""
    return Program(_static_of(trial), shapes_of(trial))


def shapes_of(trial: Trial) -> tuple[int | str, ...]:
    """Return the shapes of a trial's arrays, and the names of those that not all trials have."""
    return (*trial.task.layout(), *optional_arrays(trial.task))


def _static_of(trial: Trial) -> Static:
    """Return the method that a trial trains first, without hyperparameters."""
    return Static(split_hyperparameters(root(trial).method)[0])


def program_key(trial: Trial) -> str:
    """Name the compiled program of a trial: its variant, and a hash of all that is static."""
    return f"{trial.variant}-{program_digest(trial)}"


def default_pack_size(platform: str) -> int:
    """Return how many trials to train at once on a "cpu" or an "accelerator".

    An accelerator has room for many small fields. On a CPU packing buys no speed: a pack there is small, so
    that less is lost when a run is stopped and the cores finish together.
    """
    return 4 if platform == "cpu" else 32


class ResumePoint(NamedTuple):
    """The place from which a trial goes on; trials of one pack have one, as the step is never mapped.

    Attributes:
        phase: The phase, by its method; None for what a trial trains first.
        step: Gradient steps that were taken.
    """

    phase: Static | None
    step: int


AFRESH = ResumePoint(None, 0)


def make_packs(trials: Iterable[Trial], pack_size: int, points: Mapping[str, ResumePoint] | None = None) -> list[Pack]:
    """Make packs of at most `pack_size`, of even sizes within a program so that it is compiled for few of them.

    A trial is in the pack of what it continues, and does not count there. Packs of low seeds come first, and within a
    seed and program those of the first scenes or captions, with all arms that share the program: what is finished when
    a run is stopped is all arms on some of them, not some arms on all, as far as that compiles nothing twice.

    Args:
        trials: To be trained.
        pack_size: Trials of a pack.
        points: From where trials go on, by their id; the others start afresh.
    """
    points = points or {}
    trials = list(trials)
    places = {cluster: i for i, cluster in enumerate(dict.fromkeys(trial.task.cluster for trial in trials))}
    groups: dict[tuple[Program, ResumePoint], dict[Trial, list[Trial]]] = {}
    statics: dict[int, Static] = {}  # by the method's address: the trials of an arm share theirs
    for trial in trials:
        if id(trial.method) not in statics:
            statics[id(trial.method)] = _static_of(trial)
        program = Program(statics[id(trial.method)], shapes_of(trial))
        point = points.get(trial.id, AFRESH) if points else AFRESH  # an id takes a look at the data
        groups.setdefault((program, point), {}).setdefault(root(trial), []).append(trial)
    packs: list[Pack] = []
    keys: dict[Program, str] = {}
    for (program, point), families in groups.items():
        members = sorted(families.values(), key=lambda family: schedule_key(family, places))
        num_packs = math.ceil(len(members) / pack_size)
        size = math.ceil(len(members) / num_packs)
        if program not in keys:
            keys[program] = _free_key(program_key(members[0][0]), keys.values())
        for i in range(0, len(members), size):
            together = tuple(trial for family in members[i : i + size] for trial in family)
            packs.append(Pack(trials=together, key=keys[program], first_step=point.step))
    return sorted(packs, key=lambda pack: min(trial.seed for trial in pack.trials))


def _free_key(key: str, taken: Collection[str]) -> str:
    """Return a key that no other program has, should two that are not equal have one digest."""
    found = key
    num = 1
    while found in taken:
        num += 1
        found = f"{key}-{num}"
    return found


def schedule_key(family: Sequence[Trial], places: Mapping[str, int]) -> tuple[int, bool, int]:
    """Return a key that sorts the trials of a program: by seed, then by scene or caption.

    Those that others continue come first and stay together: what continues them is trained at once, and compiled for as
    few sizes as can be.

    Args:
        family: A trial, and those that continue it.
        places: The place of each cluster in the order in which they are asked for.
    """
    is_alone = len(family) == 1
    return family[0].seed, is_alone, places[family[0].task.cluster] if is_alone else 0


def estimate_seconds(packs: Sequence[Pack], costs: Mapping[str, ProgramCost], num_workers: int) -> float:
    """Estimate the seconds that packs take on so many workers.

    Work is shared evenly, and a program is compiled once; but no run ends before its longest pack, which one worker
    trains.
    """
    work = sum(costs[key].compile_s for key in {pack.key for pack in packs})
    longest = 0.0
    for pack in packs:
        cost = costs[pack.key]
        trained = pack.num_steps * cost.step_s + len(pack.trials) * cost.render_s
        work += trained
        longest = max(longest, cost.compile_s + trained)
    return max(longest, work / max(1, min(num_workers, len(packs))))


class TrainingPhase(NamedTuple):
    """Gradient steps that one compiled program takes.

    Attributes:
        method: Static.
        start: First step.
        trials: Trials that are finished at its end.
    """

    method: Method
    start: int
    trials: tuple[Trial, ...]

    @property
    def end(self) -> int:
        """Give the step behind the last."""
        return self.method.total_steps


def training_phases(pack: Pack) -> list[TrainingPhase]:
    """List what all trials of a pack train first, and then the phases that continue it."""
    fresh: list[Trial] = []
    continued: dict[Static, list[Trial]] = {}
    for trial in pack.trials:
        if trial.method.continues is None:
            fresh.append(trial)
        else:
            continued.setdefault(Static(split_hyperparameters(trial.method)[0]), []).append(trial)
    phases = [TrainingPhase(split_hyperparameters(pack.roots[0].method)[0], 0, tuple(fresh))]
    for static, trials in continued.items():
        method = static.value
        assert method.continues is not None and method.continues.continues is None, "a phase continues a whole training"
        phases.append(TrainingPhase(method, method.continues.total_steps, tuple(trials)))
    return phases
