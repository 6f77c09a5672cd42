"""`export`: a stored trial as files that others open: video, mesh, views along its path, training strip and curves."""

from __future__ import annotations

import argparse
import pathlib
from typing import TYPE_CHECKING

from bench.cli import export_options, suite_options
from bench.cli.common_options import add_json, opened_store, to_json_text
from bench.errors import UsageError
from bench.storage.store import Store
from bench.storage.trial_ids import match_trial_ids
from bench.storage.trial_reader import read_whole_views

if TYPE_CHECKING:
    from bench.suites.trial import Trial

HELP = "write a stored trial's video, mesh (GLB, OBJ, PLY) and pictures"
EXAMPLE = "python -m bench export nerf__knight__8v__s0 --suite sparse-views --budget quick"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of `export`."""
    parser.add_argument(
        "trial", metavar="TRIAL", help="an id of the suite's trials, its start, or a part that no other has"
    )
    suite_options.add_selection(parser)
    export_options.add_sizes(parser)
    export_options.add_box(parser)
    parser.add_argument("--out", type=pathlib.Path, metavar="DIR", help="default: results/generated/TRIAL")
    add_json(parser, "what was written")


def main(args: argparse.Namespace) -> int:
    """Write the files; UsageError if the trial is not of the suite, or not stored."""
    from bench.export import object_files
    from bench.export.field import field_of
    from bench.export.writers import open_writers

    with opened_store(args.results) as trials_store, open_writers() as writers:
        trial = find_stored(args, trials_store)
        field = field_of(trial, trials_store.parameters(trial.id))
        out = export_options.make_folder(args.out or export_options.OUT / trial.id)
        left = object_files.export_object(
            field,
            out,
            views=read_whole_views(trials_store, trial.id) or {},
            curves=trials_store.read(trial.id).curves,
            box=args.box,
            writers=writers,
            **export_options.sizes(args),
        )
        if args.json:
            told = {"trial_id": trial.id, "files": [str(out / name) for name in left.files], "notes": left.notes}
            told["path"] = left.path
            print(to_json_text(told | {"mesh": left.meshed.to_json(), "seconds": left.seconds}))
        else:
            print("\n".join([f"{out}: {', '.join(left.files)}", *left.told()]))
        return 0


def find_stored(args: argparse.Namespace, trials_store: Store) -> Trial:
    """Find the trial that is asked for, and check that it was trained and finished.

    Raises:
        UsageError: It is not of the suite, not stored, failed, or its images were imported.
    """
    from bench.plugins import imported_renders
    from bench.suites.selection import find_trial

    trials = suite_options.selection(args).trials
    if not match_trial_ids(args.trial, [trial.id for trial in trials]):
        imported_renders.refuse_export(args.trial, trials_store)
    trial = find_trial(args.trial, trials, "export")
    if not trials_store.finished(trial.id):
        has_failed = trials_store.failed(trial.id)
        got = "one that failed" if has_failed else "none"
        cure = "retry it" if has_failed else "train it"
        raise UsageError(
            f"export: expected {trial.id} in {args.results}, got {got}; "
            f"{cure} with python -m bench run --suite {args.suite}"
        )
    return trial
