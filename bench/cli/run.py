"""`run`: trains what is missing of a suite, scores it, prints the tables and writes the report."""

from __future__ import annotations

import argparse
import json
import sys
import time

from bench.cli import report, suite_options
from bench.storage import store
from bench.storage.record import Outcome
from bench.storage.store import Store
from bench.suites.suite import Trial
from bench.training import devices, packing, scheduler
from bench.training.progress import ProgressTable, clock
from models.clip.checkpoints import catalog
from tasks.captions.caption_task import CaptionTask
from tasks.closed_world import grammar
from tasks.task import SceneTask

HELP = "train what is missing of a suite, score it, print its tables and write its report"
EXAMPLE = "python -m bench run --suite ablations --budget quick --only table=augmentations"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of `run`."""
    suite_options.add_selection(parser)
    add_training(parser)
    parser.add_argument("--json", action="store_true", help="print the tables as JSON")


def add_training(parser: argparse.ArgumentParser) -> None:
    """Options that say where trials are trained."""
    parser.add_argument("--executor", choices=("ray", "inline"), default="ray", help="ray workers, or this process")
    parser.add_argument("--address", metavar="ADDRESS", help="join the Ray cluster at this address")
    parser.add_argument("--pack-size", type=int, metavar="N", help="trials trained at once by one program")


def main(args: argparse.Namespace) -> int:
    """Runs; 1 if a trial failed."""
    start = time.monotonic()
    chosen = suite_options.selection(args)
    trials_store = store.open(args.results)
    with trials_store.lock():
        num_new = train_missing(args, chosen, trials_store)
    results, page = report.write(chosen, trials_store, command=suite_options.command_line("run", args))
    if args.json:
        print(json.dumps([result.to_json() for result in results], indent=1, allow_nan=False))
    else:
        report.print_tables(results)
        print(f"report: {page}")
        print(
            f"{num_new} trials trained, {len(chosen.trials) - num_new} found finished, "
            f"in {clock(time.monotonic() - start)}"
        )
    for name in trials_store.set_aside:
        print(f"set aside, it did not parse: {name}", file=sys.stderr)
    num_failed = sum(trials_store.failed(trial.id) for trial in chosen.trials)
    if num_failed:
        print(
            f"{num_failed} trials failed: python -m bench ls --failed; then python -m bench retry --all",
            file=sys.stderr,
        )
    return 1 if num_failed else 0


def train_missing(args: argparse.Namespace, chosen: suite_options.Selection, trials_store: Store) -> int:
    """Trains the trials that are neither finished nor failed; says how many there were."""
    missing = [t for t in chosen.trials if not (trials_store.finished(t.id) or trials_store.failed(t.id))]
    if not missing:
        return 0
    if any(isinstance(trial.task, SceneTask) for trial in missing):
        check_scorers()
    check_encoders(missing)
    warn_of_words(missing)
    prepare_data(missing)
    pack_size = args.pack_size or packing.default_pack_size("accelerator" if devices.num_accelerators() else "cpu")
    packs = packing.make_packs(missing, pack_size)
    num_done = sum(trials_store.finished(t.id) for t in chosen.trials)
    with ProgressTable(len(chosen.trials), num_done, trials_store.write_status) as board:

        def keep(outcome: Outcome) -> None:
            trials_store.write(outcome)
            board.on_outcome(outcome)

        try:
            scheduler.run(
                packs,
                chosen.protocols,
                executor=args.executor,
                address=args.address,
                on_outcome=keep,
                on_progress=board.on_progress,
            )
        finally:
            trials_store.clear_status()
    return len(missing)


def check_scorers() -> None:
    """Refuses altered LPIPS weights before anything is trained, not after."""
    from bench.metrics import lpips

    for network in ("alex", "vgg"):
        lpips.load_weights(network)


def check_encoders(trials: list[Trial]) -> None:
    """Refuses encoders that are not on disk and cannot be fetched before anything is trained; fetches the others."""
    from models import clip

    for name in dict.fromkeys(name for trial in trials for name in trial.method.encoders):
        clip.load(name)


def warn_of_words(trials: list[Trial]) -> None:
    """Says once of each caption that an embedded guide cannot have learnt it, and what it knows."""
    said = {
        trial.task.caption: grammar.warning(trial.task.caption)
        for trial in trials
        if isinstance(trial.task, CaptionTask) and set(trial.method.encoders) & set(catalog.EMBEDDED)
    }
    for warning in filter(None, said.values()):
        print(f"warning: {warning}", file=sys.stderr)


def prepare_data(trials: list[Trial]) -> None:
    """Renders or reads what the trials need before any worker starts."""
    from tasks.sparse_views import embedded

    embedded.prepare_all([trial.task for trial in trials])
