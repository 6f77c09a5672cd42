"""`archive`: keeps what is stored of a suite in one small file, without arrays, to be committed beside the code.

`--numbers` keeps records and scores as a table (Parquet); else curves and a few pictures are kept too.
"""

from __future__ import annotations

import argparse
import pathlib

from bench.cli import suite_options
from bench.errors import UsageError
from bench.import_paths import ROOT
from bench.metrics.task_kinds import kind_of
from bench.report.images import image_grid
from bench.storage import archive, archived_pictures, number_tables
from bench.storage.store import Store
from bench.suites import selection
from tasks.task import Task

HELP = "keep a suite's stored trials in one small file: records, scores, a few pictures"
EXAMPLE = "python -m bench archive --suite ablations --budget standard --out results/reference"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of `archive`."""
    suite_options.add_selection(parser)
    parser.add_argument(
        "--out", type=pathlib.Path, default=ROOT / "results" / "reference", metavar="FOLDER",
        help="where the file SUITE-BUDGET is put; one of that name is replaced (default: results/reference)",
    )  # fmt: skip
    parser.add_argument("--numbers", action="store_true", help="a table of numbers (Parquet), no curves or pictures")


def main(args: argparse.Namespace) -> int:
    """Writes the file, and says how much it holds."""
    chosen, trials_store = suite_options.selection(args), Store.open(args.results)
    stored = set(trials_store.ids())
    ids = [trial.id for trial in chosen.trials if trial.id in stored]
    if not ids:
        raise UsageError(f"archive: expected trials of {chosen.suite.name} in {args.results}, got none; run it first")
    path = args.out / f"{selection.study(chosen)}{number_tables.END if args.numbers else archive.END}"
    if args.numbers:
        numbers = {trial_id: (trials_store.read(trial_id), trials_store.scores(trial_id)) for trial_id in ids}
        number_tables.write_numbers(path, numbers)
    else:
        trials = {trial.id: trial for trial in chosen.trials}
        kept = {trial_id: files_of(trials_store, trial_id, trials[trial_id].task) for trial_id in ids}
        archive.write_archive(path, kept)
    print(f"{path}: {len(ids)} of {len(chosen.trials)} trials, {path.stat().st_size / 2**20:.1f} MiB")
    return 0


def files_of(trials_store: Store, trial_id: str, task: Task | None = None) -> dict[str, bytes]:
    """What is kept of a trial; where its task is a scene, of views the one that sheets show."""
    files = trials_store.texts(trial_id)
    has_pictures = any(name.endswith(".webp") for name in files)
    if trials_store.has_views(trial_id) and not has_pictures:
        views = trials_store.views(trial_id)
        if task is not None and kind_of(task).has_photographs:
            files |= archived_pictures.encode_views(views, (image_grid.middle_view(task.load()),), lossless=True)
        else:
            files |= archived_pictures.encode_views(views)
    return files
