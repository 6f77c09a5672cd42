"""`export`: a stored trial as files that others open: turntable, mesh, views round it, training strip and curves."""

from __future__ import annotations

import argparse
import difflib
import json
import pathlib
from typing import Any

from bench.cli import suite_options
from bench.errors import UsageError
from bench.export import field as field_module
from bench.import_paths import ROOT
from bench.plugins import imported_renders
from bench.storage.store import Store
from bench.suites.trial import Trial

HELP = "write a stored trial's turntable, mesh (GLB, OBJ, PLY) and pictures"
EXAMPLE = "python -m bench export nerf__knight__8v__s0 --suite sparse-views --budget quick"

OUT = ROOT / "results" / "generated"
"""Where objects lie if no other folder is named."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of `export`."""
    parser.add_argument("trial", metavar="TRIAL", help="an id of the suite's trials, or its start")
    suite_options.add_selection(parser)
    add_sizes(parser)
    parser.add_argument("--out", type=pathlib.Path, metavar="DIR", help="default: results/generated/TRIAL")
    parser.add_argument("--json", action="store_true", help="print what was written as JSON")


def add_sizes(parser: argparse.ArgumentParser) -> None:
    """How large and how fine an object's files are."""
    parser.add_argument(
        "--image-px", type=positive, metavar="N",
        help="side of the turntable's frames (default: 160 on an accelerator, else 80)",
    )  # fmt: skip
    parser.add_argument(
        "--resolution", type=positive, default=96, metavar="N", help="of the mesh's grid, points a side (default: 96)"
    )
    parser.add_argument(
        "--level", type=float, metavar="DENSITY",
        help="density at the mesh's surface (default: where a cell stops half of the light; less in soft fields)",
    )  # fmt: skip


def positive(text: str) -> int:
    """A size of a picture or a grid."""
    if not text.isdigit() or int(text) < 8:
        raise argparse.ArgumentTypeError(f"expected a whole number of at least 8, got {text!r}")
    return int(text)


def sizes(args: argparse.Namespace) -> dict[str, Any]:
    """The sizes that were asked for, as `bench.export.object_files.export_object` takes them."""
    return {"image_px": args.image_px, "resolution": args.resolution, "level": args.level}


def main(args: argparse.Namespace) -> int:
    """Writes the files; UsageError if the trial is not of the suite, or not stored."""
    from bench.export import object_files

    trials_store = Store.open(args.results)
    trials = suite_options.selection(args).trials
    if not any(trial.id.startswith(args.trial) for trial in trials):
        refuse_imported(args.trial, trials_store)
    trial = find(args.trial, trials)
    if not trials_store.finished(trial.id):
        word = "one that failed" if trials_store.failed(trial.id) else "none"
        raise UsageError(
            f"export: expected {trial.id} in {args.results}, got {word}; "
            f"{'retry it' if word != 'none' else 'train it'} with python -m bench run --suite {args.suite}"
        )
    field = field_module.field_of(trial, trials_store.parameters(trial.id))
    out = folder(args.out or OUT / trial.id)
    views = trials_store.views(trial.id) if trials_store.has_views(trial.id) else {}
    left = object_files.export_object(field, out, views=views, curves=trials_store.read(trial.id).curves, **sizes(args))
    if args.json:
        told = {"trial_id": trial.id, "files": [str(out / name) for name in left.files], "notes": left.notes}
        print(json.dumps(told | {"mesh": left.meshed.to_json(), "seconds": left.seconds}, indent=1, allow_nan=False))
    else:
        print("\n".join([f"{out}: {', '.join(left.files)}", *left.told()]))
    return 0


def refuse_imported(start: str, trials_store: Store) -> None:
    """Says of renders that were imported why nothing can be made of them.

    Raises:
        UsageError: The id is, or starts that of, such a trial.
    """
    for known in trials_store.records():
        if known.trial_id.startswith(start) and imported_renders.is_imported(known):
            raise UsageError(
                f"export: expected a trial that was trained here, got {known.trial_id}, whose images were imported: it "
                "has no parameters to make a turntable or a mesh of; choose another, or take the images themselves"
            )


def folder(path: pathlib.Path) -> pathlib.Path:
    """The folder, made if it is not there.

    Raises:
        UsageError: It cannot be.
    """
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UsageError(f"--out {path}: expected a folder, got {error.strerror!r}; choose another") from error
    return path


def find(start: str, trials: list[Trial]) -> Trial:
    """The trial whose id starts so.

    Raises:
        UsageError: None does, or several do.
    """
    by_id = {trial.id: trial for trial in trials}
    found = [start] if start in by_id else [trial_id for trial_id in by_id if trial_id.startswith(start)]
    if len(found) == 1:
        return by_id[found[0]]
    if found:
        more = f" and {len(found) - 3} more" if len(found) > 3 else ""
        raise UsageError(
            f"export: expected the start of one id, got {start!r}, which {len(found)} share; "
            f"say more: {', '.join(found[:3])}{more}"
        )
    close = difflib.get_close_matches(start, by_id, n=1, cutoff=0.0)
    said = f"the nearest is {close[0]!r}" if close else "it has none"
    raise UsageError(f"export: expected a trial of the suite at this budget, got {start!r}; {said}")
