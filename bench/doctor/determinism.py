"""Trains one tiny trial twice, and says whether both give the same bits, or by how much they differ."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from bench.doctor.check import Check
from bench.storage.record import Outcome
from bench.suites import registry
from bench.suites.builtin.text_to_3d import TEXT_TO_3D
from bench.suites.trial import Trial
from bench.training import trainer
from bench.training.packing import Pack, program_key
from tasks.budgets import BUDGETS

VARIANT = "dream_fields"
"""Made from a caption: no scene has to be rendered for it."""

PROTOCOL = "std-v1"


def check_determinism() -> list[Check]:
    """Train, render and score a tiny trial twice in this process; compare parameters, views and scores."""
    [table, *_] = TEXT_TO_3D.tables_at(BUDGETS["smoke"])
    method = registry.variant(VARIANT)
    trial = Trial(task=table.tasks[0], method=method, budget=BUDGETS["smoke"], seed=0, variant=VARIANT)
    pack = Pack(trials=(trial,), key=program_key(trial))
    first, second = (trainer.train(pack, (PROTOCOL,), lambda progress: None)[0] for _ in range(2))
    what = f"a trial of {trial.method.total_steps} steps, twice"
    if first.record.status != "finished":
        return [Check("FAIL", what, str(first.record.reason), "a trial that finishes")]
    return compare_outcomes(what, first, second)


def compare_outcomes(what: str, first: Outcome, second: Outcome) -> list[Check]:
    """Compare what two runs of one trial left."""
    checks = []
    for name, a, b in (
        ("parameters", first.parameters, second.parameters),
        ("views", first.views, second.views),
    ):
        checks.append(_compare(f"{what}: {name}", a, b))
    is_same = first.scores == second.scores
    measured = "equal" if is_same else "differ"
    checks.append(Check("ok" if is_same else "warn", f"{what}: scores", measured, "equal"))
    return checks


def _compare(what: str, first: Mapping[str, np.ndarray], second: Mapping[str, np.ndarray]) -> Check:
    """Compare arrays bit by bit; name the largest difference as a share of the array's largest number."""
    shares = {}
    for name, array in first.items():
        other = second.get(name, np.zeros(0))
        if array.tobytes() == other.tobytes():
            continue
        if array.shape != other.shape:
            return Check("FAIL", what, f"{name} has another shape", "equal bit for bit")
        moved = np.abs(array.astype(np.float64) - other.astype(np.float64)).max()
        shares[name] = float(moved / max(float(np.abs(array.astype(np.float64)).max()), 1e-30))
    if not shares:
        return Check("ok", what, "equal bit for bit", "equal bit for bit")
    worst = max(shares, key=lambda name: shares[name])
    advice = "sums in another order: a GPU's atomic additions; a second run of a trial then gives other digits"
    return Check("warn", what, f"{worst} differs by {shares[worst]:.1e} of its size", "equal bit for bit", advice)
