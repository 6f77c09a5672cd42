"""`report`: tables, figures and pictures of what is stored, without training anything."""

from __future__ import annotations

import argparse
import pathlib
import sys
import time
from typing import TYPE_CHECKING, Any

from bench.cli import common_options, report_options, suite_options
from bench.errors import UsageError
from bench.import_paths import ROOT
from bench.report.defaults import ENCODER_FIGURE
from bench.storage.folder_changes import FILE_ENDS, modification_times
from bench.storage.store import Store
from bench.storage.trial_reader import describe_damage, is_stored
from tasks.budgets import budget_named
from tasks.data_dir.atomic_files import write_file

if TYPE_CHECKING:
    from bench.suites import selection

HELP = "write the tables, figures and pictures of stored results again"
EXAMPLE = "python -m bench report --suite ablations --budget quick"

EVERY_S = 10.0
"""Seconds between two looks at the store while trials run, if nobody says another number."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of `report`."""
    suite_options.add_selection(parser)
    parser.add_argument(
        "--figure",
        choices=(ENCODER_FIGURE,),
        action=FigureAction,
        help="draw this figure of the encoders instead; it takes no suite",
    )
    parser.add_argument(
        "--encoder",
        action="append",
        default=[],
        metavar="NAME",
        help="an encoder in the figure, once for each (default: all that come with the project)",
    )
    parser.add_argument(
        "--distances",
        nargs="?",
        const="lpips-vgg",
        metavar="FEATURES",
        help="FID and KID of every arm's renders besides, on these features: lpips-vgg (default), encoder:NAME, "
        "inception:PATH",
    )
    parser.add_argument(
        "--in-loop", action="store_true", help="let an encoder judge what it guided; its numbers are stamped"
    )
    parser.add_argument(
        "--out",
        type=pathlib.Path,
        metavar="FOLDER",
        help="where to write (default: reports/SUITE-BUDGET, a figure: reports/figures)",
    )
    report_options.add_arguments(parser)
    report_options.add_price_arguments(parser)
    parser.add_argument(
        "--small",
        action="store_true",
        help="a page to keep beside code: figures beside it, sheets lossy, long tables gzip",
    )
    parser.add_argument(
        "--live", action="store_true", help="draw the page again whenever a trial is stored, until all are"
    )
    common_options.add_every(parser, "--live", EVERY_S)


class FigureAction(argparse.Action):
    """The action of `--figure`: a suite is not required any more."""

    def __call__(
        self, parser: argparse.ArgumentParser, namespace: argparse.Namespace, values: object, option: str | None = None
    ) -> None:
        """Keep the value. argparse checks what is required only after this."""
        setattr(namespace, self.dest, values)
        for action in parser._actions:
            if action.dest == "suite":
                action.required = False


def main(args: argparse.Namespace) -> int:
    """Print the tables and write the page, or draw a figure."""
    if args.figure:
        return draw_figure(args)
    refuse_conflicts(args)
    if not args.live:  # a run that is being watched may not have made it yet
        common_options.existing(args.results)
    refresh_s = common_options.every_s(args, "--live", EVERY_S)
    price = report_options.price_of(args)
    from bench.report import build
    from bench.report.tables import terminal
    from bench.suites import selection

    chosen = suite_options.selection(args)
    command = suite_options.command_line("run", args)
    options = report_options.media_options(args)
    folder = args.out or build.default_folder(chosen)
    if args.live:
        return draw_while_running(
            chosen,
            args.results,
            folder,
            refresh_s=refresh_s,
            media=options,
            command=command,
            price=price,
            is_small=args.small,
        )
    with common_options.opened_store(args.results, selection.study_name(chosen)) as kept:
        contents = build.gather_contents(
            chosen,
            kept,
            command=command,
            media=report_options.plan_media(chosen, kept, options),
            price=price,
            is_small=args.small,
        )
        report = build.draw_report(contents, folder)
        terminal.print_tables(contents.results, chosen.suite.left_out_at(chosen.budget))
        if not any(is_stored(kept, trial.id) for trial in chosen.trials):
            print(
                f"warning: no trial of {chosen.suite.name} at {chosen.budget.name} is stored in {args.results}; "
                "is --results the folder that you mean?",
                file=sys.stderr,
            )
        if args.distances:
            print_distances(chosen, kept, args, folder / "distances.csv")
        print(f"report: {report.describe()}")
    return 0


def refuse_conflicts(args: argparse.Namespace) -> None:
    """Refuse options that do not go together.

    Raises:
        UsageError: An encoder is named without a figure, or `--live` stands beside `--distances`; or `--out` is a file.
    """
    common_options.check_out_folder(args.out)
    if args.encoder:
        raise UsageError(
            f"--encoder: expected --figure {ENCODER_FIGURE} beside it, got none; tables name encoders by "
            "--set dietnerf.encoder=NAME"
        )
    if args.live and args.distances:
        raise UsageError("--live: expected no --distances beside it, got both; ask for them when all trials are done")


def draw_while_running(
    chosen: selection.Selection,
    results: pathlib.Path,
    folder: pathlib.Path,
    *,
    refresh_s: float,
    media: report_options.MediaOptions,
    **options: Any,
) -> int:
    """Draw the page again whenever a trial is stored, until all are or somebody presses Ctrl-C.

    Args:
        chosen: Trials and tables.
        results: The store's folder, which need not exist yet; only its listing is read in between.
        folder: The report's folder.
        refresh_s: Seconds between two looks at the store. The page loads itself again as often, until all trials are
            stored.
        media: Turntables and meshes; meshes take long, and wait until all trials are stored.
        options: Others of `build.gather_contents`.
    """
    from bench.report import build
    from bench.report.page.html import without_auto_refresh
    from bench.suites import selection

    wanted = {trial.id for trial in chosen.trials}
    seen = page = None
    told: set[str] = set()
    try:
        while True:
            listing = modification_times(results)
            now = {name: stamps for name, stamps in listing.items() if name in wanted or name.endswith(FILE_ENDS)}
            if now != seen:
                seen = now
                trials_store = Store.open(results, selection.study_name(chosen))
                done = [trial_id for trial_id in wanted if is_stored(trials_store, trial_id)]
                is_whole = len(done) == len(wanted)
                shown = media if is_whole else media._replace(num_meshes=0)
                contents = build.gather_contents(
                    chosen,
                    trials_store,
                    media=report_options.plan_media(chosen, trials_store, shown),
                    refresh_s=None if is_whole else refresh_s,
                    **options,
                )
                page = build.draw_report(contents, folder).page
                for line in describe_damage(trials_store):
                    if line not in told:
                        print(line, file=sys.stderr, flush=True)
                    told.add(line)
                num_failed = sum(trials_store.failed(trial_id) for trial_id in done)
                failed = f", {num_failed} of them failed" if num_failed else ""
                print(f"report: {page}: {len(done)} of {len(wanted)} trials{failed}", flush=True)
                if is_whole:
                    return 0
            time.sleep(refresh_s)
    except KeyboardInterrupt:  # how one leaves it
        if page is not None:
            write_file(page, without_auto_refresh(page.read_text()))
        return 0


def print_distances(
    chosen: selection.Selection, trials_store: Store, args: argparse.Namespace, out: pathlib.Path
) -> None:
    """Say how far each arm's renders are from photographs, as sets, and write the numbers."""
    import pandas as pd

    from bench.analysis import image_set_distances
    from bench.metrics.task_kinds import kind_of

    of_photos = [table for table in chosen.tables if kind_of(table.tasks[0]).has_photographs]
    if not of_photos:
        raise UsageError(
            "--distances: expected a table of photographs, got captions alone, of which there are none; leave it out"
        )
    found = [
        image_set_distances.measure_table(
            table, chosen.cells, chosen.trials, trials_store, args.distances, allow_in_loop=args.in_loop
        )
        for table in of_photos
    ]
    for each in found:
        print("\n".join(image_set_distances.format_distances(each)) + "\n")
    write_file(out, pd.concat(found).to_csv(index=False))


def draw_figure(args: argparse.Namespace) -> int:
    """Draw a figure of the encoders: say what it shows, and where it is.

    Raises:
        UsageError: An option was given that means nothing to a figure.
    """
    unused = unused_with_figure(args)
    if unused:
        raise UsageError(
            f"--figure {args.figure}: expected only --encoder, --scenes, --budget and --out beside it, got "
            f"{', '.join(unused)}; leave it out"
        )
    from bench.report.figures import encoder_consistency
    from bench.suites import scene_study
    from models.clip.checkpoints import catalog

    budget = budget_named(args.budget or "quick")
    names = args.encoder or list(catalog.EMBEDDED)
    folder = args.out or ROOT / "reports" / "figures"
    scenes = scene_study.choose_folders(args.scenes).values() if args.scenes else ()
    lines, paths = encoder_consistency.write_consistency_figure(names, budget, folder, tuple(scenes))
    print("\n".join([*lines, *(f"report: {path}" for path in paths)]))
    return 0


def unused_with_figure(args: argparse.Namespace) -> list[str]:
    """List the options that were given and mean nothing to a figure of the encoders."""
    given = {
        "--suite": bool(args.suite),
        "--only": bool(args.only),
        "--set": bool(args.settings),
        "--seeds": bool(args.seeds),
        "--live": args.live,
        "--every": args.every is not None,
        "--small": args.small,
        "--price-per-hour": args.price_per_hour is not None,
    }
    return [name for name, is_given in given.items() if is_given] + report_options.unused_options(args)
