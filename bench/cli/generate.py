"""`generate`: one object from a caption, several seeds at once, and a page that shows what came of it.

DIR/index.html     all seeds, the best first; opens from disk
DIR/summary.json   the same as numbers
DIR/seed-0/        turntable, mesh, views, strip and curves: what `bench.export.object_files.export_object` writes
DIR/captions.txt   what the judge chose from, where the caption is in no set of ours
"""

from __future__ import annotations

import argparse
import json
import math
import pathlib
import shlex
import sys
import time
from collections.abc import Sequence
from typing import Any, NamedTuple

from bench.cli import export
from bench.errors import OutOfDeviceMemory, UsageError
from bench.export import field, object_files, text_to_3d
from bench.export.generation_page import describe_seed, render_generation_page
from bench.export.text_to_3d import PROTOCOL, WORLD, is_embedded
from bench.report.figures.standard import slug
from bench.storage.record import Outcome
from bench.storage.timings import NO_LAPS, sum_timings
from bench.suites import overrides
from bench.suites.trial import Trial
from bench.training import packing, precompile, trainer
from bench.training.progress import ProgressBar, format_seconds
from tasks.budgets import BUDGETS
from tasks.captions.caption_sets import normalized
from tasks.closed_world import grammar
from tasks.data_dir.atomic_files import write_file

HELP = "make one object from a caption: video, mesh and pictures, several seeds at once"
EXAMPLE = 'python -m bench generate "a red metallic chair" --seeds 0-3'


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of `generate`."""
    parser.add_argument("caption", metavar="CAPTION", help="what to make, in a person's words")
    parser.add_argument("--encoder", metavar="NAME", help="the guide (default: the budget's); see bench encoders")
    parser.add_argument(
        "--budget",
        metavar="NAME",
        help=f"size of everything: {', '.join(BUDGETS)} (default: standard on an accelerator, else quick)",
    )
    parser.add_argument("--seeds", metavar="0-3", default="0", help="an object each, trained at once (default: 0)")
    parser.add_argument("--prompt", metavar="TEMPLATE", help="what the guide reads: 'a photo of {}', {} the caption")
    parser.add_argument(
        "--set", action="append", default=[], metavar="HEAD.FIELD=VALUE", dest="settings",
        help="change a field of `dream_fields`, `task` or `budget`: dream_fields.num_steps=500",
    )  # fmt: skip
    export.add_sizes(parser)
    parser.add_argument("--out", type=pathlib.Path, metavar="DIR", help="default: results/generated/CAPTION")
    parser.add_argument("--json", action="store_true", help="print the summary as JSON")


def main(args: argparse.Namespace) -> int:
    """Trains, writes, and says where; 1 if a seed failed."""
    precompile.prefer_quick_compiles()
    start, caption = time.monotonic(), " ".join(args.caption.split())
    if not normalized(caption):
        raise UsageError(f"caption: expected words, got {args.caption!r}; say what to make: 'a red metallic chair'")
    out = export.folder(args.out or export.OUT / slug(caption)[:80])
    trials = trials_of(args, caption, out)
    warn(caption, trials[0])
    [pack] = packing.make_packs(trials, len(trials))
    made = []
    with ProgressBar() as watch, precompile.BackgroundCompiler() as compiler:
        if precompile.has_accelerator():
            compiler.begin_scores(pack, (PROTOCOL,))
        try:
            outcomes = trainer.train(pack, (PROTOCOL,), watch.on_progress)
        except OutOfDeviceMemory as error:
            raise UsageError(str(error)) from error
        for i, (trial, outcome) in enumerate(zip(trials, outcomes, strict=True)):
            watch.on_progress(trainer.Progress("write", i, len(trials), math.nan))
            made.append(finish(trial, outcome, out, args))
    told = summary(args, trials[0], made, time.monotonic() - start)
    write_file(out / "summary.json", json.dumps(told, indent=1, allow_nan=False) + "\n")
    write_file(out / "index.html", render_generation_page(told))
    if args.json:
        print(json.dumps(told, indent=1, allow_nan=False))
    else:
        lines = [f"seed {one['seed']}: {'; '.join(describe_seed(one))}" for one in told["objects"]]
        print("\n".join([*lines, f"{format_seconds(told['seconds']['wall_s'])}; page: {out / 'index.html'}"]))
    return 1 if any(m.left is None for m in made) else 0


# --- what is trained --------------------------------------------------------------------------------------------------


def trials_of(args: argparse.Namespace, caption: str, out: pathlib.Path) -> list[Trial]:
    """A trial a seed.

    Raises:
        UsageError: An unknown budget, encoder, key or value.
    """
    return text_to_3d.trials_of(
        caption, out, budget=args.budget, seeds=overrides.parsed_seeds(args.seeds), encoder=args.encoder,
        prompt=args.prompt, settings=args.settings,
    )  # fmt: skip


def warn(caption: str, trial: Trial) -> None:
    """Says what an embedded guide cannot know."""
    told = grammar.warning(caption) if is_embedded(trial) else None
    if told:
        print(f"warning: {', '.join(trial.method.encoders)} knows the closed world only; {told}", file=sys.stderr)


# --- what comes of it -------------------------------------------------------------------------------------------------


class SeedResult(NamedTuple):
    """What came of one seed.

    Attributes:
        outcome: Of training.
        left: What was written; None if training failed.
    """

    outcome: Outcome
    left: object_files.ExportedFiles | None

    @property
    def state(self) -> str:
        """Of the field: "ok", "empty", "solid", "unknown"; "failed" if training did not end."""
        return "failed" if self.left is None else self.outcome.scores[PROTOCOL]["field_state"]

    def mean(self, metric: str) -> float | None:
        """A metric's mean over the views that have it; None if none has."""
        values = self.outcome.scores[PROTOCOL]["per_view"].get(metric, []) if self.left is not None else []
        present = [x for x in values if x is not None]
        return sum(present) / len(present) if present else None


def finish(trial: Trial, outcome: Outcome, out: pathlib.Path, args: argparse.Namespace) -> SeedResult:
    """Writes one seed's files."""
    if outcome.record.status != "finished":
        return SeedResult(outcome, None)
    left = object_files.export_object(
        field.field_of(trial, outcome.parameters), out / f"seed-{trial.seed}",
        views=outcome.views, curves=outcome.record.curves, **export.sizes(args),
    )  # fmt: skip
    return SeedResult(outcome, left)


def summary(args: argparse.Namespace, trial: Trial, made: Sequence[SeedResult], wall_s: float) -> dict[str, Any]:
    """All that is to be said, as JSON; objects in the order of the judge's margin, the best first."""
    data: Any = trial.task.load()
    judge, method = data.judges[0], trial.method
    told = [described(m, judge) for m in made]
    told.sort(key=lambda m: (m["state"] == "failed", m["state"] in ("empty", "solid"), -(m["margin"] or 0.0)))
    seconds = {"wall_s": wall_s}
    for m in made:
        shares = {name: s for name, s in m.outcome.record.timings.items() if name not in NO_LAPS}
        seconds = sum_timings(seconds, shares, m.left.seconds if m.left is not None else {})
    environment = made[0].outcome.record.environment
    return {
        "caption": data.caption,
        "prompt": getattr(method, "prompt", "{}").replace("{}", data.caption),
        "guide": ", ".join(method.encoders),
        "judge": judge,
        "captions": {"name": trial.task.captions if trial.task.captions == WORLD else "captions.txt",  # type: ignore[attr-defined]
                     "size": len(data.captions.captions), "sha256": data.captions.sha256},
        "budget": trial.budget.name,
        "num_steps": method.total_steps,
        "num_parameters": made[0].outcome.record.num_parameters,
        "device": environment["device"],
        "num_devices": environment["num_devices"],
        "seconds": seconds,
        "objects": told,
        "command": command_line(args),
    }  # fmt: skip


def described(made: SeedResult, judge: str) -> dict[str, Any]:
    """One seed in the summary."""
    record, left = made.outcome.record, made.left
    margin = made.mean(f"margin@{judge}")
    reasons = {} if left is None else made.outcome.scores[PROTOCOL]["reasons"]
    return {
        "seed": record.seed,
        "state": made.state,
        "margin": margin,
        "rprec1": made.mean(f"rprec1@{judge}"),
        "rprec1@guide": made.mean("rprec1@guide"),
        "opacity": made.mean("opacity"),
        "reason": record.reason if left is None else None if margin is not None else reasons.get(f"margin@{judge}"),
        "folder": f"seed-{record.seed}",
        "files": [] if left is None else list(left.files),
        "notes": [] if left is None else list(left.notes),
        "mesh": None if left is None else left.meshed.to_json(),
        "mesh_told": None if left is None else left.meshed.told(),
    }


def command_line(args: argparse.Namespace) -> str:
    """The command that makes this again, without where it lies."""
    words = ["python -m bench generate", shlex.quote(args.caption)]
    names = ("encoder", "budget", "seeds", "prompt", "image_px", "resolution", "level")
    given = [(name.replace("_", "-"), getattr(args, name)) for name in names]
    words += [f"--{name} {shlex.quote(str(value))}" for name, value in given if value is not None]
    return " ".join([*words, *(f"--set {shlex.quote(setting)}" for setting in args.settings)])


# --- the page ---------------------------------------------------------------------------------------------------------
