"""`import`: renders that another program made, as trials beside trained ones."""

from __future__ import annotations

import argparse
import json
import pathlib
import sys
from typing import Any

from bench.cli import suite_options
from bench.cli.common_options import add_results
from bench.plugins import imported_renders, render_files
from bench.plugins.render_files import Files
from bench.storage.store import Store
from bench.suites.builtin.sparse_views import NUM_VIEWS
from bench.suites.trial import Trial
from bench.training import run_suite
from tasks.budgets import BUDGETS
from tasks.captions.caption_sets import NAMES
from tasks.sparse_views import embedded, scene_views
from tasks.sparse_views.view_selection import subset
from tasks.task import Task

HELP = "score images that another program rendered, and store them beside trained trials"
EXAMPLE = "python -m bench import out/kettle --task sparse-views:kettle --name instant-ngp --budget quick"

SEEN = ", ".join(str(i) for i in subset(16, 0, scene_views.NUM_POSES["train"]))

HOW = f"""
RENDERS is a folder, or a .zip or .tar archive of one, with an image for each test view:

  RENDERS/0.png ... 24.png              of the one scene that --task names
  RENDERS/kettle/0.png ... 24.png       of several scenes, with --task sparse-views

An image's view is the one number in its name: 0.png, 007.png, r_0.png, test_000.png. Ids count from 0, in the order of
transforms_test.json as `python -m bench export-scenes --format blender OUT` writes it, beside all poses. Of an
embedded scene a method may see the first of these photographs, ids in transforms_train.json, as many as its task has
(sparse-views: {NUM_VIEWS}): {SEEN}, ...

Images are PNG of 8 or 16 bits, of the budget's size, RGB on the task's background (white) or RGBA with straight alpha,
which is put on it. Of a caption there are the 17 views of tasks/captions/caption_task.py (0 to 15 all round, 16 of the paper), with
alpha; where there are several, a caption's folder is named by its words with dashes.
"""

SHOWN = ("psnr", "ssim", "lpips_vgg")
"""Metrics that are printed, as far as there are numbers; of captions R-Precision by each judge."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of `import`."""
    parser.description = f"{HELP}\n{HOW}"
    parser.add_argument("renders", type=pathlib.Path, metavar="RENDERS", help="a folder, or an archive of one")
    parser.add_argument(
        "--task",
        required=True,
        metavar="SUITE[:SCENE]",
        help="sparse-views:kettle, captions:'a blue dotted guitar'; without what follows the colon, all that is in "
        "RENDERS",
    )
    parser.add_argument("--name", required=True, help="what the method is called in tables and in `compare`")
    parser.add_argument(
        "--budget", metavar="NAME", help=f"whose sizes: {', '.join(BUDGETS)} (default: as `run` chooses it)"
    )
    parser.add_argument("--num-views", type=int, metavar="N", help="photographs it saw (default: as in the suite)")
    parser.add_argument("--seed", type=int, default=0, metavar="S", help="which repetition it is (default: 0)")
    parser.add_argument(
        "--captions", default="closed-world", metavar="SET",
        help=f"where captions:... come from: {', '.join(NAMES)}, file:PATH (default: closed-world)",
    )  # fmt: skip
    add_results(parser)
    parser.add_argument("--json", action="store_true", help="print it as JSON")


def main(args: argparse.Namespace) -> int:
    """Checks all names first, then reads, scores and stores scene by scene; what is stored already is found."""
    budget = suite_options.chosen_budget(args)
    wanted = imported_renders.wanted(args.task, budget, args.num_views, args.captions)
    trials_store = Store.open(args.results)
    imported_renders.check_name(args.name, list(trials_store.records()), wanted.arms)
    of_folders = matched(args, wanted)
    run_suite.check_scorers(task for task, _ in of_folders.values())
    told = []
    with trials_store.lock():
        for name, (task, files) in of_folders.items():
            embedded.prepare_all([task])
            found = imported_renders.read(
                task, files, f"{args.renders}, {name}" if wanted.chosen is None else str(args.renders)
            )
            for note in found.notes:
                print(f"warning: {note}", file=sys.stderr)
            trial = imported_renders.trial_of(task, found, args.name, budget, args.seed)
            told.append(keep(trial, found, wanted.protocols, trials_store))
            if not args.json:
                print(line(told[-1]), flush=True)
    if args.json:
        print(json.dumps(told, indent=1, allow_nan=False))
    else:
        print(f"{len(told)} imported as {args.name!r} in {args.results}; {following(args, budget.name)}")
    return 0


def matched(args: argparse.Namespace, wanted: imported_renders.ImportRequest) -> dict[str, tuple[Task, Files]]:
    """Tasks with their images, by the name of a folder; says which scenes have none."""
    files = render_files.files_of(args.renders)
    if wanted.chosen is not None:
        others = [name for name in wanted.tasks if name != wanted.chosen]
        images = render_files.of_one(files, wanted.chosen, others, args.renders)
        return {wanted.chosen: (wanted.tasks[wanted.chosen], images)}
    found = render_files.of_several(files, list(wanted.tasks), args.renders)
    without = [task.cluster for name, task in wanted.tasks.items() if name not in found]
    if without and not args.task.startswith(imported_renders.CAPTIONS):
        print(f"no renders of {', '.join(without)}: they will be missing in tables", file=sys.stderr)
    return {name: (wanted.tasks[name], images) for name, images in found.items()}


def keep(
    trial: Trial, found: imported_renders.ImportedImages, protocols: tuple[str, ...], trials_store: Store
) -> dict[str, Any]:  # fmt: skip
    """Stores a trial, or finds it stored, and makes scores that are of another version again; says what there is."""
    imported_renders.check_same(trial, trials_store)
    is_new = not trials_store.finished(trial.id)
    if is_new:
        trials_store.write(imported_renders.outcome(trial, found, protocols))
    else:
        old = imported_renders.outdated(trial, trials_store, protocols)
        for name, scores in imported_renders.scores_of(trial, found.views, old).items():
            trials_store.write_scores(trial.id, name, scores)
    return {
        "trial_id": trial.id,
        "stored": "now" if is_new else "before",
        "num_views": len(found.views["ids"]),
        "means": {name: means(scores) for name, scores in trials_store.scores(trial.id).items()},
    }


def means(scores: dict[str, Any]) -> dict[str, float | None]:
    """The mean over views of every metric; None where a number is missing."""
    return {
        metric: None if None in values else sum(values) / len(values) for metric, values in scores["per_view"].items()
    }


def line(told: dict[str, Any]) -> str:
    """A trial in a line: its first protocol's numbers."""
    protocol, found = next(iter(told["means"].items()), ("no protocol", {}))
    shown = {name: x for name, x in found.items() if name in SHOWN or name.startswith("rprec1@")}
    said = ", ".join(f"{name} {x:.4g}" for name, x in shown.items() if x is not None) or "no numbers"
    before = ", found stored" if told["stored"] == "before" else ""
    return f"{told['trial_id']}: {told['num_views']} views, {protocol}: {said}{before}"


def following(args: argparse.Namespace, budget: str) -> str:
    """The command that sets it beside baselines."""
    kind = args.task.partition(":")[0]
    suite = imported_renders.SUITE_OF_CAPTIONS if kind == imported_renders.CAPTIONS else kind
    return f"next: python -m bench compare {args.name} --suite {suite} --budget {budget} --results {args.results}"
