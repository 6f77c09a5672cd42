"""Plans what `run` would do: which trials in which packs, and how long they will take."""

from __future__ import annotations

import dataclasses
import sys
from typing import Any

from bench.counted_nouns import format_count
from bench.errors import UsageError
from bench.storage.checkpoint_files import CheckpointFolder
from bench.storage.store import Store
from bench.suites.selection import Selection
from bench.suites.trial import Trial
from bench.training import accelerators, packing, run_suite
from bench.training.failure_policy import FailurePolicy
from bench.training.resume_points import StoredCheckpoints
from tasks import host_cores


@dataclasses.dataclass(frozen=True, kw_only=True)
class RunPlan:
    """The trials and packs that `run` would train, and their cost.

    Attributes:
        chosen: The trials and their tables.
        packs: Packs of the trials that are not finished.
        num_workers: Workers that would train them.
        costs: What each program takes, by the key of its packs; empty where no pilot measured it.
        missing: What is not here and is needed before it can run, a line each.
        policy: What is done about trials that fail.
    """

    chosen: Selection
    packs: list[packing.Pack]
    num_workers: int
    costs: dict[str, packing.ProgramCost] = dataclasses.field(default_factory=dict)
    missing: tuple[str, ...] = ()
    policy: FailurePolicy = FailurePolicy()

    @property
    def without_data(self) -> list[Trial]:
        """List the trials whose data is not here, each once; their ids and programs are not known."""
        trials = [placement.trial for placement in self.chosen.without_data]
        return list({(trial.variant, trial.task.name, trial.seed): trial for trial in trials}.values())

    @property
    def num_trials(self) -> int:
        """Count all trials of the study."""
        return len(self.chosen.trials) + len(self.without_data)

    @property
    def num_missing(self) -> int:
        """Count the trials that would be trained."""
        return sum(len(pack.trials) for pack in self.packs) + len(self.without_data)

    @property
    def left_s(self) -> float | None:
        """Estimate the seconds of the run; None where no pilot measured its programs."""
        return packing.estimate_seconds(self.packs, self.costs, self.num_workers) if self.costs else None

    def to_json(self) -> dict[str, Any]:
        """Return the plan as plain values."""
        differences: dict[str, dict[str, Any]] = {}
        for table in self.chosen.tables:
            differences[table.name] = {}
            for arm in table.arms:
                changed = table.arm_differences(arm).items()
                differences[table.name][arm] = {field: list(values) for field, values in changed}
        packs = []
        for pack in self.packs:
            packs.append({"key": pack.key, "trials": [trial.id for trial in pack.trials]})
        costs = {key: cost._asdict() for key, cost in self.costs.items()}
        without_data = [f"{trial.variant}__{trial.task.name}__s{trial.seed}" for trial in self.without_data]
        without_baseline = {table.name: table.baseline for table in self.chosen.without_baseline}
        return {
            "suite": self.chosen.suite.name,
            "budget": self.chosen.budget.name,
            "trials": [trial.id for trial in self.chosen.trials],
            "without_data": without_data,
            "missing": list(self.missing),
            "packs": packs,
            "differences": differences,
            "costs": costs,
            "left_s": self.left_s,
            "policy": self.policy.describe(),
            "without_baseline": without_baseline,
        }


def make_plan(
    chosen: Selection,
    trials_store: Store,
    *,
    pack_size: int | None = None,
    num_workers: int | None = None,
    policy: FailurePolicy | None = None,
) -> RunPlan:
    """Plan a run, without a pilot.

    Args:
        chosen: Trials; those that are finished are left out.
        trials_store: Where finished trials and checkpoints lie.
        pack_size: Trials trained at once by one program; None for as many as suit the device.
        num_workers: Workers; None for one an accelerator, or one a core where there is none.
        policy: What is done about trials that fail; None for the usual.
    """
    missing = [trial for trial in chosen.trials if not trials_store.finished(trial.id)]
    run_suite.warn_of_absent_photographs(missing)
    points = StoredCheckpoints(CheckpointFolder.open(trials_store.root), None).resume_points(missing)
    return RunPlan(
        chosen=chosen,
        packs=run_suite.TrainingOptions(pack_size=pack_size).make_packs(missing, points),
        num_workers=num_workers or accelerators.num_accelerators() or host_cores.num_cores(),
        missing=chosen.missing,
        policy=policy or FailurePolicy(),
    )


def costs_from_profiles(plan: RunPlan, profiles: list[dict[str, Any]]) -> RunPlan:
    """Take what programs cost from profiles, which may be of another machine; rendering and scoring count nothing.

    Of several profiles of one method the one whose pack size is nearest counts.

    Args:
        plan: Of a run.
        profiles: As `bench profile --out` writes them.

    Raises:
        UsageError: A program of the plan is in no profile; the message says how to make one.
    """
    costs = {}
    for pack in plan.packs:
        known = [found for found in profiles if found["method_digest"] == packing.method_digest(pack.trials[0])]
        if not known:
            variant = pack.trials[0].variant
            raise UsageError(
                f"--profile: expected one of {variant} at budget {pack.trials[0].budget.name}, got none; run python -m "
                f"bench profile --method {variant} --budget {pack.trials[0].budget.name} --pack {len(pack.roots)}"
            )
        nearest_size = min(known, key=lambda found: abs(found["pack_size"] - len(pack.roots)))
        costs[pack.key] = packing.ProgramCost(
            compile_s=nearest_size["trace_s"] + nearest_size["compile_cold_s"],
            step_s=nearest_size["field_step_ms"] / 1e3,
            render_s=0.0,
        )
    return dataclasses.replace(plan, costs=costs)


def measure_costs(plan: RunPlan) -> RunPlan:
    """Compile each program and time a few of its steps; return the plan with what they cost.

    Where an encoder or other weights are not here, nothing is timed, and the plan says what is missing.
    """
    from bench.training import programs

    if not plan.packs:
        return plan
    trials = [trial for pack in plan.packs for trial in pack.trials]
    try:
        run_suite.check_encoders(trials)
    except UsageError as error:
        return dataclasses.replace(plan, missing=(*plan.missing, str(error)))
    run_suite.prepare_data(trials)
    first = {pack.key: pack for pack in reversed(plan.packs)}
    programs_told = format_count(len(first), "program")
    print(f"compiling and timing {programs_told}; --no-pilot leaves that out", file=sys.stderr, flush=True)
    costs = {}
    for turn, (key, pack) in enumerate(first.items(), 1):
        print(f"  {turn} of {len(first)}: {key}", file=sys.stderr, flush=True)
        costs[key] = programs.run_pilot(pack)
    return dataclasses.replace(plan, costs=costs)
