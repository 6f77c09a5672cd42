"""How trials become packs: which may share one compiled program, and what they will cost.

Trials share a program when their methods are equal once the numbers are taken out, and their arrays have the same
shapes. A program is compiled once; a pack is as many of its trials as train at once.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from bench.suite import Trial, described, digest
from models.method import split_numbers


class Cost(NamedTuple):
    """What a program takes on the device at hand, measured by a pilot.

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
    """

    trials: tuple[Trial, ...]
    key: str

    def halves(self) -> tuple[Pack, ...]:
        """Two packs of half the size: what is tried when one does not fit in memory."""
        middle = (len(self.trials) + 1) // 2
        parts = (self.trials[:middle], self.trials[middle:])
        return tuple(dataclasses.replace(self, trials=part) for part in parts if part)


def program_key(trial: Trial) -> str:
    """Names the compiled program of a trial: its variant, and a hash of all that is static."""
    static, _ = split_numbers(trial.method)
    return f"{trial.variant}-{digest([described(static), list(trial.task.layout())])}"


def default_pack_size(platform: str) -> int:
    """How many trials to train at once.

    An accelerator has room for many small fields. On a CPU packing buys no speed: a pack there is small, so
    that less is lost when a run is stopped and the cores finish together.
    """
    return 4 if platform == "cpu" else 32


def make_packs(trials: Iterable[Trial], pack_size: int) -> list[Pack]:
    """Packs of at most `pack_size`, of even sizes within a program so that it is compiled for few of them.

    Packs of low seeds come first, so that balanced blocks finish first.
    """
    groups: dict[str, list[Trial]] = {}
    for trial in trials:
        groups.setdefault(program_key(trial), []).append(trial)
    packs = []
    for key, members in groups.items():
        num_packs = math.ceil(len(members) / pack_size)
        size = math.ceil(len(members) / num_packs)
        packs += [Pack(trials=tuple(members[i : i + size]), key=key) for i in range(0, len(members), size)]
    return sorted(packs, key=lambda pack: min(trial.seed for trial in pack.trials))


def seconds(packs: Sequence[Pack], costs: Mapping[str, Cost], num_workers: int) -> float:
    """How long the packs will take on so many workers: work shared evenly, compiling once a program."""
    work = sum(costs[key].compile_s for key in {pack.key for pack in packs})
    for pack in packs:
        cost = costs[pack.key]
        work += sum((trial.method.num_steps or 0) * cost.step_s + cost.render_s for trial in pack.trials)
    return work / max(1, min(num_workers, len(packs)))
