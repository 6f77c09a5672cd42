"""Makes the objects of a caption for `generate`: trains them, writes their files, and writes a summary."""

from __future__ import annotations

import functools
import math
import pathlib
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple

from bench.errors import OutOfDeviceMemory, UsageError
from bench.export import field, object_files, seen_kinds
from bench.export.preparation import ScorePreparation, WriterPreparation
from bench.export.text_to_3d import PROTOCOL, WORLD, is_embedded
from bench.export.writers import Writers
from bench.storage.record import Outcome
from bench.storage.timings import NO_LAPS, PhaseTimer, sum_timings
from bench.suites.trial import Trial
from bench.training import packing, precompile, trainer
from bench.training.progress import Progress, ProgressBar
from bench.training.sitting import Sitting
from models.method import Data
from tasks import host_cores
from tasks.captions.judge_agreement import rank_judges
from tasks.closed_world import grammar

NUM_BESIDE = 5
"""Threads that prepare writers and scores beside training: each waits for files, compilers and the device in turn."""


SUMMARIES = ("index.html", "summary.json")
"""Files of a folder that show all its objects; they are written last."""


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


def make_objects(
    trials: list[Trial], out: pathlib.Path, sizes: dict[str, Any], timer: PhaseTimer, writers: Writers
) -> list[SeedResult]:
    """Train all trials at once, with a bar of progress, and write the files of each while they are scored.

    Args:
        trials: A trial a seed.
        out: Folder that gets a folder a seed.
        sizes: Sizes of the files, as `object_files.export_object` takes them.
        timer: Gets the laps `train_s`, all that comes before there is anything to write, and `write_s`.
        writers: What writes the files.

    Raises:
        UsageError: The trials do not fit on the device.
    """
    [pack] = packing.make_packs(trials, len(trials))
    protocols = seen_kinds.protocols_for(trials[0], PROTOCOL)
    with ProgressBar() as bar, precompile.BackgroundCompiler(NUM_BESIDE) as compiler:
        prepared = WriterPreparation(trials[0], sizes, compiler.threads)
        scores = ScorePreparation(lambda: compiler.begin_scores(pack, protocols))

        def report(progress: Progress) -> None:
            bar.on_progress(progress)
            if progress.phase == "compile":
                scores.begin_later()
            if progress.phase == "train":
                prepared.begin()
                scores.begin()

        try:
            trained = trainer.train_unscored(pack, protocols, report, Sitting(scores_beside=True))
        except OutOfDeviceMemory as error:
            raise UsageError(str(error)) from error
        finally:
            scores.cancel()
        timer.lap("train_s")
        for name in SUMMARIES:  # until all files are new, a page of earlier ones would show what it does not mean
            (out / name).unlink(missing_ok=True)
        outcomes = {rendered.trial.id: rendered.outcome for phase in trained.phases for rendered in phase.trials}
        write = functools.partial(
            write_object,
            out=out,
            sizes=sizes,
            data=prepared.data(),
            like=prepared.field_alike(),
            writers=writers,
        )
        left: list[object_files.ExportedFiles | None] = []
        with ThreadPoolExecutor(min(len(trials), host_cores.num_cores())) as threads:
            for written in threads.map(write, trials, [outcomes[trial.id] for trial in trials]):
                bar.on_progress(Progress("write", len(left), len(trials), math.nan))
                left.append(written)
        scored = trained.score(lambda progress: None)
        timer.lap("write_s")
    return [SeedResult(outcome, files) for outcome, files in zip(scored, left, strict=True)]


def write_object(
    trial: Trial,
    outcome: Outcome,
    out: pathlib.Path,
    sizes: dict[str, Any],
    data: Data,
    like: field.TrainedField | None,
    writers: Writers,
) -> object_files.ExportedFiles | None:
    """Write the files of one seed, if its training ended. Seeds are written side by side, in threads."""
    if outcome.record.status != "finished":
        return None
    return object_files.export_object(
        field.field_of(trial, outcome.parameters, data, like),
        out / f"seed-{trial.seed}",
        views=outcome.views,
        curves=outcome.record.curves,
        writers=writers,
        **sizes,
    )


def list_older_folders(out: pathlib.Path, made: list[SeedResult]) -> list[str]:
    """List folders of seeds that an earlier command left beside those that were written now."""
    written = {f"seed-{result.outcome.record.seed}" for result in made if result.left is not None}
    return sorted(path.name for path in out.glob("seed-*") if path.is_dir() and path.name not in written)


def summarize_objects(
    trial: Trial, made: Sequence[SeedResult], *, laps: Mapping[str, float], command: str
) -> dict[str, Any]:
    """Sum up all objects as JSON, in the order of the judge's margin, the best first.

    Args:
        trial: Any of the trials.
        made: Results, one a seed.
        laps: Seconds that it took, by phase, one after the other.
        command: Command line that makes it again.
    """
    data: Any = trial.task.load()
    task: Any = trial.task
    method = trial.method
    judge = rank_judges(data.judges)[0]
    objects = [describe_result(result, judge) for result in made]
    objects.sort(key=lambda m: (m["state"] == "failed", m["state"] in ("empty", "solid"), -(m["margin"] or 0.0)))
    seconds = {"wall_s": sum(laps.values()), **{name: s for name, s in laps.items() if name != "train_s"}}
    for result in made:
        shares = {name: s for name, s in result.outcome.record.timings.items() if name not in NO_LAPS}
        seconds = sum_timings(seconds, shares, result.left.seconds if result.left is not None else {})
    environment = made[0].outcome.record.environment
    return {
        "caption": data.caption,
        "prompt": getattr(method, "prompt", "{}").replace("{}", data.caption),
        "guide": ", ".join(method.encoders),
        "judge": judge,
        "people": seen_kinds.describe_people(data.caption),
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
    told: dict[str, Any] = {
        "seed": record.seed,
        "state": made.state,
        "margin": margin,
        "rprec1": made.mean(f"rprec1@{judge}"),
        "rprec1@guide": made.mean("rprec1@guide"),
        "opacity": made.mean("opacity"),
        "seen_as": seen_kinds.count_seen_kinds(made.outcome.scores.get(seen_kinds.RECOGNITION), judge),
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


PHASES = ("start", "device", "prepare", "compile", "train", "render", "write")
"""What `generate` does one after the other; the pack's seconds are those of its phases."""


def describe_seconds(seconds: Mapping[str, float]) -> str:
    """Say where the time went.

    Args:
        seconds: As in the summary.

    Example:
        >>> laps = {"wall_s": 9.0, "start_s": 3.0, "write_s": 2.0, "train_s": 3.5, "score_s": 0.5, "mesh_s": 4.0}
        >>> describe_seconds(laps)
        'start 3.0, train 3.5, write 2.0, else 0.5: 9.0 s. Beside, or in several threads: score 0.5, mesh 4.0'
    """
    parts = {name: seconds[f"{name}_s"] for name in PHASES if f"{name}_s" in seconds}
    parts["else"] = seconds["wall_s"] - sum(parts.values())
    beside = {
        name: seconds[f"{name}_s"] for name in ("score", "turntable", "pictures", "mesh") if f"{name}_s" in seconds
    }
    one, other = (", ".join(f"{name} {s:.1f}" for name, s in some.items()) for some in (parts, beside))
    return f"{one}: {seconds['wall_s']:.1f} s. Beside, or in several threads: {other}"
