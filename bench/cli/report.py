"""`report`: tables, figures and pictures of what is stored, without training anything."""

from __future__ import annotations

import argparse
import dataclasses
import pathlib
import sys
import time
from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd
from PIL import Image

from bench.analysis import failure_modes, paired_comparison
from bench.analysis.paired_comparison import TableResult
from bench.cli import report_options, suite_options
from bench.errors import UsageError
from bench.import_paths import ROOT
from bench.report import alive, caption_results
from bench.report.caption_results import CaptionTableContext
from bench.report.figures import encoder_consistency
from bench.report.images import caption_sheets, image_grid
from bench.report.page import compact, page
from bench.report.tables import contents, costs, formats
from bench.report.tables.costs import DevicePrice
from bench.storage import archive, store
from bench.storage.store import Store
from bench.suites.suite import Table, Trial, TrialSlot, budget_named
from bench.cli import watching
from models.clip.checkpoints import catalog
from tasks.captions.caption_task import CaptionTask

HELP = "write the tables, figures and pictures of stored results again"
EXAMPLE = "python -m bench report --suite ablations --budget quick"

EVERY_S = 10.0
"""From one look at the store to the next, where a page is redrawn while trials run, if nobody says another."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of `report`."""
    suite_options.add_selection(parser)
    parser.add_argument(
        "--figure", choices=(encoder_consistency.NAME,), action=FigureAction,
        help="draw this figure of the encoders instead; it takes no suite",
    )  # fmt: skip
    parser.add_argument(
        "--encoder", action="append", default=[], metavar="NAME",
        help="an encoder in the figure, once for each (default: all that come with the project)",
    )  # fmt: skip
    parser.add_argument(
        "--distances", nargs="?", const="lpips-vgg", metavar="FEATURES",
        help="FID and KID of every arm's renders besides, on these features: lpips-vgg (default), encoder:NAME, "
        "inception:PATH",
    )  # fmt: skip
    parser.add_argument(
        "--in-loop", action="store_true", help="let an encoder judge what it guided; its numbers are stamped"
    )
    parser.add_argument(
        "--out",
        type=pathlib.Path,
        metavar="FOLDER",
        help="where to write (default: reports/SUITE-BUDGET, a figure: reports/figures)",
    )
    costs.add_arguments(parser)
    report_options.add_arguments(parser)
    parser.add_argument(
        "--small", action="store_true",
        help="a page to keep beside code: figures beside it, sheets lossy, long tables gzip",
    )  # fmt: skip
    parser.add_argument(
        "--live", action="store_true", help="draw the page again whenever a trial is stored, until all are"
    )
    watching.add_every(parser, "--live", EVERY_S)


class FigureAction(argparse.Action):
    """Keeps the value, and asks for no suite any more."""

    def __call__(
        self, parser: argparse.ArgumentParser, namespace: argparse.Namespace, values: object, option: str | None = None
    ) -> None:
        """Called where the option is met; what is required is looked at after that."""
        setattr(namespace, self.dest, values)
        for action in parser._actions:
            if action.dest == "suite":
                action.required = False


def main(args: argparse.Namespace) -> int:
    """Prints the tables and writes the page, or draws a figure."""
    if args.figure:
        return draw(args)
    if args.encoder:
        raise UsageError(
            f"--encoder: expected --figure {encoder_consistency.NAME} beside it, got none; tables name encoders by "
            "--set dietnerf.encoder=NAME"
        )
    every_s, price = watching.every_s(args, "--live", EVERY_S), costs.price_of(args)
    if args.live and args.distances:
        raise UsageError("--live: expected no --distances beside it, got both; ask for them when all trials are done")
    chosen = suite_options.selection(args)
    command = suite_options.command_line("run", args)
    asked = report_options.wanted(args)
    if args.live:
        return live(chosen, args.results, every_s, asked, command=command, out=args.out, price=price,
                    is_small=args.small)  # fmt: skip
    kept = store.open(args.results, suite_options.study(chosen))
    results, written = write(chosen, kept, command=command, out=args.out, price=price, asked=asked,
                             is_small=args.small)  # fmt: skip
    print_tables(results)
    if not any(is_stored(kept, trial.id) for trial in chosen.trials):
        print(f"warning: no trial of {chosen.suite.name} at {chosen.budget.name} is stored in {args.results}; "
              "is --results the folder that you mean?", file=sys.stderr)  # fmt: skip
    if args.distances:
        print_distances(chosen, kept, args, written.parent / "distances.csv")
    print(f"report: {written}")
    return 0


def live(
    chosen: suite_options.Selection,
    results: pathlib.Path,
    every_s: float,
    asked: report_options.MediaOptions,
    **how: Any,
) -> int:
    """Writes the page again whenever a trial is stored, until all are or somebody presses Ctrl-C; says each time what.

    Args:
        chosen: Trials and tables.
        results: The store, which need not exist yet; only its listing is read in between.
        every_s: From one look to the next; the page loads itself again as often, until it is whole.
        asked: Pictures that turn; meshes take long, and wait until all trials are stored.
        how: As `write` takes it.
    """
    wanted, seen, written = {trial.id for trial in chosen.trials}, None, None
    try:
        while True:
            there = store.modification_times(results)
            now = {name: stamps for name, stamps in there.items() if name in wanted or name.endswith(archive.END)}
            if now != seen:
                trials_store, seen = store.open(results, suite_options.study(chosen)), now
                done = [trial_id for trial_id in wanted if is_stored(trials_store, trial_id)]
                num_failed, is_whole = sum(map(trials_store.failed, done)), len(done) == len(wanted)
                more = {"asked": asked} if is_whole else {"asked": asked._replace(num_meshes=0), "every_s": every_s}
                _, written = write(chosen, trials_store, **more, **how)
                failed = f", {num_failed} of them failed" if num_failed else ""
                print(f"report: {written}: {len(done)} of {len(wanted)} trials{failed}", flush=True)
                if is_whole:
                    return 0
            time.sleep(every_s)
    except KeyboardInterrupt:  # how one leaves it
        if written is not None:
            page.write_file(written, alive.without_auto_refresh(written.read_text()))
        return 0


def print_distances(
    chosen: suite_options.Selection, trials_store: Store, args: argparse.Namespace, out: pathlib.Path
) -> None:
    """Says how far each arm's renders are from photographs, as sets, and writes the numbers."""
    from bench.analysis import image_set_distances

    of_photos = [table for table in chosen.tables if not isinstance(table.tasks[0], CaptionTask)]
    if not of_photos:
        raise UsageError(
            "--distances: expected a table of photographs, got captions alone, of which there are none; leave it out"
        )
    found = [
        image_set_distances.of_table(
            table, chosen.cells, chosen.trials, trials_store, args.distances, allow_in_loop=args.in_loop
        )
        for table in of_photos
    ]  # fmt: skip
    for each in found:
        print("\n".join(image_set_distances.format_distances(each)) + "\n")
    page.write_file(out, pd.concat(found).to_csv(index=False))


def draw(args: argparse.Namespace) -> int:
    """Draws a figure of the encoders: says what it shows, and where it is."""
    idle = ["--suite"] * bool(args.suite) + ["--only"] * bool(args.only) + ["--set"] * bool(args.settings)
    idle += ["--seeds"] * bool(args.seeds) + ["--live"] * args.live + ["--every"] * (args.every is not None)
    idle += (
        ["--small"] * args.small
        + ["--price-per-hour"] * (args.price_per_hour is not None)
        + report_options.unused_options(args)
    )
    if idle:
        raise UsageError(
            f"--figure {args.figure}: expected only --encoder, --budget and --out beside it, got {', '.join(idle)}; "
            "leave it out"
        )
    budget = budget_named(args.budget or "quick")
    names = args.encoder or list(catalog.EMBEDDED)
    lines, paths = encoder_consistency.write(names, budget, args.out or ROOT / "reports" / "figures")
    print("\n".join([*lines, *(f"report: {path}" for path in paths)]))
    return 0


def write(
    chosen: suite_options.Selection,
    trials_store: Store,
    *,
    command: str,
    out: pathlib.Path | None = None,
    price: DevicePrice | None = None,
    every_s: float | None = None,
    asked: report_options.MediaOptions | None = None,
    is_small: bool = False,
) -> tuple[list[TableResult], pathlib.Path]:
    """Compares what is stored and writes the report's folder; the tables, and the page's path."""
    frame = trials_store.frame()
    of_captions = {table.name: known for table in chosen.tables if (known := judged(table, chosen, trials_store))}
    results = [
        with_notes(
            result_of(table, chosen, frame, of_captions.get(table.name)),
            degenerate_field_notes(table, chosen.cells, trials_store),
        )
        for table in chosen.tables
    ]
    stored = [trials_store.read(trial.id) for trial in chosen.trials if is_stored(trials_store, trial.id)]
    sheets = pictures(chosen, trials_store, of_captions)
    nouns = " and ".join(contents.plural(noun) for noun in dict.fromkeys(result.cluster_noun for result in results))
    notes = [f"Budget {chosen.budget.name}. A small study of the {nouns} below; its numbers are not those of a paper."]
    notes += [compact.NOTE] * is_small + [caption_sheets.HOW_SHOWN] * bool(of_captions and sheets)
    notes += [f"Set aside, it did not parse, and its trial runs again: {name}" for name in trials_store.set_aside]
    written = page.write(
        chosen.suite.name,
        results,
        frame=frame,
        cells=chosen.cells,
        records=stored,
        sheets=sheets,
        command=command,
        question=chosen.suite.question,
        notes=notes,
        judged=of_captions,
        price=price,
        every_s=every_s,
        is_small=is_small,
        exhibits=report_options.made(chosen, trials_store, asked or report_options.MediaOptions()),
        out=out or ROOT / "reports" / suite_options.study(chosen),
    )
    return results, written


def result_of(
    table: Table, chosen: suite_options.Selection, frame: pd.DataFrame, known: CaptionTableContext | None = None
) -> TableResult:
    """The paired comparison of one table."""
    mine, noun = [cell for cell in chosen.cells if cell.table == table.name], caption_results.NOUN if known else "scene"
    few = caption_results.arms_with_fewer_trials(mine, noun)
    arms = {
        name: "; ".join(filter(None, (arm.note, describe_arm(table, name), few.get(name, ""))))
        for name, arm in table.arms.items()
    }
    result = paired_comparison.compare(
        frame,
        chosen.cells,
        table=table.name,
        baseline=table.baseline,
        protocol=table.protocol,
        metrics=table.metrics,
        question=table.question,
        arm_notes=arms,
        notes=caption_results.notes(known, table.metrics, [cell.cluster for cell in mine]) if known else (),
        cluster_noun=noun,
        beside={t.name: t.baseline for t in chosen.tables if t is not table} if chosen.suite.read_together else None,
    )
    said = caption_results.guide_judge_gap(result, known.judge) if known else None
    beside = caption_results.bounds(known, table.metrics, [cell.cluster for cell in mine]) if known else ()
    return dataclasses.replace(with_notes(result, [said] if said else []), published=table.published, bounds=beside)


def with_notes(result: TableResult, lines: Sequence[str]) -> TableResult:
    """A table that says something more."""
    return dataclasses.replace(result, notes=(*result.notes, *lines))


def judged(table: Table, chosen: suite_options.Selection, trials_store: Store) -> CaptionTableContext | None:
    """What a table of captions says beside its numbers; None for one of photographs."""
    first = table.tasks[0]
    if not isinstance(first, CaptionTask):
        return None
    mine, judge = [cell for cell in chosen.cells if cell.table == table.name], contents.primary_judge(table.metrics)
    scores = {
        cell.trial_id: found
        for cell in mine if trials_store.finished(cell.trial_id)
        if (found := trials_store.scores(cell.trial_id).get(table.protocol))
    }  # fmt: skip
    departs = dict.fromkeys(found["departs"] for found in scores.values() if found["departs"])
    failed = {cell.trial_id for cell in mine if trials_store.failed(cell.trial_id)}
    return CaptionTableContext(
        captions=first.found_in,
        judge=judge,
        confusions=tuple(caption_results.confused(mine, scores, judge, first.found_in)),
        departs=tuple(departs),
        failures=tuple(failure_modes.lines(failure_modes.counted(mine, scores, failed, judge, first.found_in.sha256))),
        num_empty=sum(found["field_state"] == "empty" for found in scores.values()),
        num_finished=len(scores),
    )


def pictures(
    chosen: suite_options.Selection, trials_store: Store, of_captions: Mapping[str, CaptionTableContext]
) -> dict[str, Image.Image]:
    """All sheets by title; objects of a baseline that several tables share are shown once."""
    found: dict[str, Image.Image | None] = {}
    shown = set()
    for table in chosen.tables:
        known = of_captions.get(table.name)
        if known is None:
            found[f"{table.name}: the same view by each arm"] = sheet(table, chosen, trials_store, errors=False)
            found[f"{table.name}: where they are wrong"] = sheet(table, chosen, trials_store, errors=True)
            continue
        cells = first_seed(table, chosen)
        of_baseline = tuple(cell for cell in cells if cell.arm == table.baseline)
        how: dict[str, Any] = {"protocol": table.protocol, "judge": known.judge, "captions": known.captions}
        title = f"{table.name}: every arm, and what {known.judge} takes it for"
        found[title] = caption_sheets.contact_sheet(cells, trials_store, **how)
        ids = tuple(cell.trial_id for cell in of_baseline)
        if ids and ids not in shown:
            shown.add(ids)
            title = f"{table.name}: {table.baseline}, green where {known.judge} finds the caption"
            found[title] = caption_sheets.all_of_one_arm(of_baseline, trials_store, **how)
            found[f"{table.name}: {table.baseline}, over training"] = caption_sheets.strips(of_baseline, trials_store)
    return {title: image for title, image in found.items() if image is not None}


def first_seed(table: Table, chosen: suite_options.Selection) -> list[TrialSlot]:
    """A table's places of the first seed."""
    seed = min(cell.seed for cell in chosen.cells if cell.table == table.name)
    return [cell for cell in chosen.cells if cell.table == table.name and cell.seed == seed]


def degenerate_field_notes(table: Table, cells: Sequence[TrialSlot], trials_store: Store) -> list[str]:
    """Which arms have fields that ended empty or solid, and on what: a failure of training, not a quality."""
    lines = []
    for arm in table.arms:
        mine = [cell for cell in cells if (cell.table, cell.arm) == (table.name, arm)]
        mine = [cell for cell in mine if is_stored(trials_store, cell.trial_id)]
        found: dict[str, list[str]] = {}
        for cell in mine:
            state = trials_store.scores(cell.trial_id).get(table.protocol, {}).get("field_state", "ok")
            if state in ("empty", "solid"):  # "unknown" is of renders without opacity: nothing failed
                found.setdefault(state, []).append(f"{cell.cluster} (seed {cell.seed})")
        lines += [
            f"{arm}: {contents.counted(len(where), f'{state} field')} of {len(mine)}: {few_of(where)}"
            for state, where in found.items()
        ]
    return lines


def few_of(names: Sequence[str], most: int = 4) -> str:
    """The first few names, and how many more there are.

    Example:
        >>> few_of(["a", "b", "c"], 2), few_of(["a", "b"], 2)
        ('a, b and 1 more', 'a, b')
    """
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more


def describe_arm(table: Table, name: str) -> str:
    """How an arm differs from the baseline, in words."""
    found, own = table.said_differences(name)
    changed = [f"{field.removeprefix('method.')} {value} instead of {other}" for field, (value, other) in found.items()]
    return ", ".join([*changed, *(f"with {field.removeprefix('method.')} {value}" for field, value in own.items())])


def sheet(table: Table, chosen: suite_options.Selection, trials_store: Store, *, errors: bool) -> Image.Image | None:
    """A picture: a row a scene, the truth and then every arm's first seed, from one test camera."""
    trials = {trial.id: trial for trial in chosen.trials}
    cells, rows = first_seed(table, chosen), {}
    for cluster in dict.fromkeys(cell.cluster for cell in cells):
        row = [cell for cell in cells if cell.cluster == cluster]
        views = {cell.arm: stored_views(trials_store, cell.trial_id) for cell in row}
        if any(views.values()):
            rows[cluster] = image_grid.comparison(
                first_of(row, table.baseline, trials).task.load(),
                views,
                labels=labels(row, trials_store, table),
                errors=errors,
            )
    return image_grid.sheet(rows) if rows else None


def first_of(row: Sequence[TrialSlot], baseline: str, trials: dict[str, Trial]) -> Trial:
    """The baseline's trial, or the first there is: its training views choose the camera."""
    found = [cell for cell in row if cell.arm == baseline] or list(row)
    return trials[found[0].trial_id]


def labels(row: Sequence[TrialSlot], trials_store: Store, table: Table) -> dict[str, str]:
    """What stands under each tile: the mean of the table's first metric, or why there is none."""
    metric = table.metrics[0]
    said = {}
    for cell in row:
        if not is_stored(trials_store, cell.trial_id):
            said[cell.arm] = "not run"
            continue
        scores = trials_store.scores(cell.trial_id).get(table.protocol)
        values = [x for x in scores["per_view"].get(metric, []) if x is not None] if scores else []
        said[cell.arm] = f"mean {sum(values) / len(values):.2f}" if values else "failed"
    return said


def stored_views(trials_store: Store, trial_id: str) -> dict | None:
    """A trial's views; None where it has none."""
    if not trials_store.finished(trial_id) or not trials_store.has_views(trial_id):
        return None
    return trials_store.views(trial_id)


def is_stored(trials_store: Store, trial_id: str) -> bool:
    """Whether the trial left a record."""
    return trials_store.finished(trial_id) or trials_store.failed(trial_id)


def print_tables(results: Sequence[TableResult]) -> None:
    """Prints every table in the terminal; notes that all of several tables share stand once, behind them."""
    shared = [note for note in results[0].notes if all(note in r.notes for r in results)] if len(results) > 1 else []
    for result in results:
        own = tuple(note for note in result.notes if note not in shared)
        formats.print_table(dataclasses.replace(result, notes=own))
        print()
    for note in shared:
        print(f"all tables: {formats.printable(note)}")
    if shared:
        print()
