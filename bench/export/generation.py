"""Makes the objects of a caption for `generate`: trains them, writes their files, and writes a summary."""

from __future__ import annotations

import functools
import importlib
import math
import pathlib
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple

from bench.errors import OutOfDeviceMemory, UsageError
from bench.export import field, object_files
from bench.export.text_to_3d import PROTOCOL, WORLD, is_embedded
from bench.storage.record import Outcome
from bench.storage.timings import NO_LAPS, sum_timings
from bench.suites.trial import Trial
from bench.training import batch, devices, packing, precompile, trainer
from bench.training.progress import ProgressBar
from models.method import Frozen
from tasks.closed_world import grammar

WRITERS = (
    "seaborn",
    "matplotlib.backends.backend_agg",
    "matplotlib.backends.backend_svg",
    "skimage.measure",
    "trimesh",
)
"""Packages that write an object's files."""


class SeedResult(NamedTuple):
    """Outcome and files of one seed.

    Attributes:
        outcome: Outcome of training.
        left: Files that were written; None if training failed.
    """

    outcome: Outcome
    left: object_files.ExportedFiles | None

    @property
    def state(self) -> str:
        """Name the state of the field: "ok", "empty", "solid", "unknown"; "failed" if training did not end."""
        return "failed" if self.left is None else self.outcome.scores[PROTOCOL]["field_state"]

    def mean(self, metric: str) -> float | None:
        """Average a metric over the views that have it; None if none has."""
        values = self.outcome.scores[PROTOCOL]["per_view"].get(metric, []) if self.left is not None else []
        present = [x for x in values if x is not None]
        return sum(present) / len(present) if present else None


def warn_unknown_words(caption: str, trial: Trial) -> str | None:
    """Write a warning about words that an embedded guide cannot know; None where it knows them all."""
    told = grammar.warning(caption) if is_embedded(trial) else None
    return f"{', '.join(trial.method.encoders)} knows the closed world only; {told}" if told else None


def make_objects(trials: list[Trial], out: pathlib.Path, sizes: dict[str, Any]) -> list[SeedResult]:
    """Train all trials at once, with a bar of progress, and write the files of each.

    Args:
        trials: A trial a seed.
        out: Folder that gets a folder a seed.
        sizes: Sizes of the files, as `object_files.export_object` takes them.

    Raises:
        UsageError: The trials do not fit on the device.
    """
    [pack] = packing.make_packs(trials, len(trials))
    made: list[SeedResult] = []
    with ProgressBar() as bar, precompile.BackgroundCompiler() as compiler:
        compiler.threads.submit(import_writers)
        if precompile.has_accelerator():
            compiler.begin_scores(pack, (PROTOCOL,))
        try:
            outcomes = trainer.train(pack, (PROTOCOL,), bar.on_progress)
        except OutOfDeviceMemory as error:
            raise UsageError(str(error)) from error
        encoders = batch.load_encoders(trials[0].method)
        write = functools.partial(write_object, out=out, sizes=sizes, encoders=encoders)
        with ThreadPoolExecutor(min(len(trials), devices.num_cores())) as threads:
            for result in threads.map(write, trials, outcomes):
                bar.on_progress(trainer.Progress("write", len(made), len(trials), math.nan))
                made.append(result)
    return made


def import_writers() -> None:
    """Import what writes an object's files, which takes seconds: meanwhile the objects are trained."""
    for name in WRITERS:
        importlib.import_module(name)


def write_object(
    trial: Trial, outcome: Outcome, out: pathlib.Path, sizes: dict[str, Any], encoders: Frozen
) -> SeedResult:
    """Write the files of one seed, if its training ended. Seeds are written side by side, in threads."""
    if outcome.record.status != "finished":
        return SeedResult(outcome, None)
    left = object_files.export_object(
        field.field_of(trial, outcome.parameters, encoders),
        out / f"seed-{trial.seed}",
        views=outcome.views,
        curves=outcome.record.curves,
        **sizes,
    )
    return SeedResult(outcome, left)


def summarize_objects(trial: Trial, made: Sequence[SeedResult], *, wall_s: float, command: str) -> dict[str, Any]:
    """Sum up all objects as JSON, in the order of the judge's margin, the best first.

    Args:
        trial: Any of the trials.
        made: Results, one a seed.
        wall_s: Seconds that all of it took.
        command: Command line that makes it again.
    """
    data: Any = trial.task.load()
    task: Any = trial.task
    method = trial.method
    judge = data.judges[0]
    objects = [describe_result(result, judge) for result in made]
    objects.sort(key=lambda m: (m["state"] == "failed", m["state"] in ("empty", "solid"), -(m["margin"] or 0.0)))
    seconds = {"wall_s": wall_s}
    for result in made:
        shares = {name: s for name, s in result.outcome.record.timings.items() if name not in NO_LAPS}
        seconds = sum_timings(seconds, shares, result.left.seconds if result.left is not None else {})
    environment = made[0].outcome.record.environment
    return {
        "caption": data.caption,
        "prompt": getattr(method, "prompt", "{}").replace("{}", data.caption),
        "guide": ", ".join(method.encoders),
        "judge": judge,
        "captions": {
            "name": task.captions if task.captions == WORLD else "captions.txt",
            "size": len(data.captions.captions),
            "sha256": data.captions.sha256,
        },
        "budget": trial.budget.name,
        "num_steps": method.total_steps,
        "num_parameters": made[0].outcome.record.num_parameters,
        "device": environment["device"],
        "num_devices": environment["num_devices"],
        "seconds": seconds,
        "objects": objects,
        "command": command,
    }


def describe_result(made: SeedResult, judge: str) -> dict[str, Any]:
    """Describe one seed in the summary."""
    record = made.outcome.record
    left = made.left
    margin = made.mean(f"margin@{judge}")
    told = {
        "seed": record.seed,
        "state": made.state,
        "margin": margin,
        "rprec1": made.mean(f"rprec1@{judge}"),
        "rprec1@guide": made.mean("rprec1@guide"),
        "opacity": made.mean("opacity"),
        "folder": f"seed-{record.seed}",
    }
    if left is None:
        return told | {"reason": record.reason, "files": [], "notes": [], "mesh": None, "mesh_told": None}
    reasons = made.outcome.scores[PROTOCOL]["reasons"]
    return told | {
        "reason": reasons.get(f"margin@{judge}") if margin is None else None,
        "files": list(left.files),
        "notes": list(left.notes),
        "mesh": left.meshed.to_json(),
        "mesh_told": left.meshed.told(),
    }
