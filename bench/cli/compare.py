"""`compare`: sets a method of one's own against baselines, and trains only what is stored nowhere.

Where a baseline lies in `results/reference/` as the same trial, scored as today, it is taken from there.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import pathlib
import shlex
import sys
from collections.abc import Sequence
from typing import Any

from rich.text import Text

from bench.analysis import findings
from bench.analysis.findings import PairedDifference
from bench.analysis.table_result import TableResult
from bench.cli import report_options, run, suite_options
from bench.errors import UsageError
from bench.import_paths import ROOT
from bench.metrics.registry import metric_named
from bench.metrics.task_kinds import kind_named
from bench.plugins import comparison_suite, trial_sources
from bench.plugins.trial_sources import TrialSource
from bench.report import build
from bench.report.figures.standard import slug
from bench.report.tables import contents as contents_module
from bench.report.tables import costs, formats
from bench.report.tables.contents import TableGrid
from bench.report.tables.costs import ArmCost
from bench.storage.store import Store
from bench.suites import overrides, registry
from bench.suites import selection as selection_module
from bench.training import run_suite
from bench.training.rescore import rescore_trial

HELP = "set a method of your own against baselines: train what is missing, print paired differences"
EXAMPLE = "python -m bench compare my_pkg.field:MyField --against dietnerf,simplified_nerf"

SUITE = "sparse-views"

EXPECTATIONS = {"worse": findings.is_worse, "not-better": lambda found: not findings.is_better(found)}
"""What `--fail-if` may name."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of `compare`."""
    parser.add_argument(
        "method", help="module:object in your folder, an entry point, a variant, or the name of imported renders"
    )
    parser.add_argument(
        "--against", action="append", default=[], metavar="NAME,NAME",
        help="baselines: arms of the suite or variants (default: the baseline of the suite's first table)",
    )  # fmt: skip
    suite_options.add_selection(parser, suite=SUITE)
    run.add_training(parser)
    parser.add_argument("--json", action="store_true", help="print what was found as JSON")
    parser.add_argument(
        "--fail-if", choices=tuple(EXPECTATIONS), metavar="VERDICT",
        help="exit with 1 if it is resolved as worse than a baseline in one of the first metrics (worse), or unless it "
        "is resolved as better than all of them in the first (not-better)",
    )  # fmt: skip
    parser.add_argument(
        "--out", type=pathlib.Path, metavar="FOLDER",
        help="where to write the report (default: reports/compare-METHOD-SUITE-BUDGET)",
    )  # fmt: skip


def main(args: argparse.Namespace) -> int:
    """Compares; 1 if a trial failed, or on what `--fail-if` names."""
    here = Store.open(args.results)
    study, chosen = selection(args, here)
    reference = Store.open(trial_sources.REFERENCE, f"{args.suite}-{chosen.budget.name}")
    protocol = chosen.tables[0].protocol
    found = trial_sources.find_sources(chosen.trials, protocol, here, reference)
    lines = trial_sources.source_summary(found, chosen.cells, study.mine, shown(trial_sources.REFERENCE))
    print("\n".join(lines), file=sys.stderr if args.json else sys.stdout, flush=True)
    local = dataclasses.replace(chosen, trials=[t for t in chosen.trials if found[t.id].where != "reference"])
    with here.lock():
        run_suite.train_missing(run.training_options(args), local, here)
        bring_up_to_date(chosen, protocol, here, found)
    both = trial_sources.merge_stores({cell.trial_id for cell in chosen.cells}, here, reference, found)
    out = args.out or ROOT / "reports" / f"compare-{slug(args.method)}-{args.suite}-{slug(chosen.budget.name)}"
    contents = build.gather_contents(
        chosen,
        both,
        command=command_line(args),
        media=report_options.plan_media(chosen, both, report_options.MediaOptions()),
    )
    report = build.draw_report(contents, out)
    results = contents.results
    differences = findings.differences(results, contents.frame, chosen.cells, study.mine)
    spent = costs.of_arms(chosen.cells, {record.trial_id: record for record in both.records()})
    failed = sorted(name for name in {cell.trial_id for cell in chosen.cells} if both.failed(name))
    said = findings.conclusion(differences, study.mine, results[0].cluster_noun)
    if args.json:
        plain = as_json(study, chosen, found, lines, differences, spent)
        print(json.dumps({**plain, "failed": failed, "found": said}, indent=1, allow_nan=False))
    else:
        print_all(study, results, differences, spent)
        print(f"report: {report.describe()}")
    tell_of_failures(failed, here)
    if not args.json:
        print(said)
    return int(bool(failed) or bool(args.fail_if and EXPECTATIONS[args.fail_if](differences)))


def selection(args: argparse.Namespace, here: Store) -> tuple[comparison_suite.Comparison, selection_module.Selection]:
    """What is compared, with the command line's choices carried out.

    Raises:
        UsageError: An unknown method, baseline, suite, budget, scene, key or value.
    """
    suite, budget, records = registry.suite(args.suite), suite_options.chosen_budget(args), list(here.records())
    study = comparison_suite.study(suite, budget, args.method, args.against, records)
    changed, budget = overrides.apply(study.suite, budget, args.settings)
    study = dataclasses.replace(study, suite=changed)
    seeds = overrides.parsed_seeds(args.seeds) if args.seeds else None
    trials, cells = comparison_suite.expand(study, budget, seeds, args.only, records)
    return study, selection_module.Selection(suite=changed, budget=budget, trials=trials, cells=cells)


def bring_up_to_date(
    chosen: selection_module.Selection, protocol: str, here: Store, found: dict[str, TrialSource]
) -> None:
    """Scores again what is stored here with scores of another version; refuses what it cannot score again.

    Raises:
        UsageError: Scores of another version, and no views; or renders that were imported.
    """
    for trial in chosen.trials:
        if found[trial.id].where == "reference" or not here.finished(trial.id):
            continue
        why = trial_sources.reason_outdated(trial, protocol, here)
        if why is None:
            continue
        is_whole = here.has_views(trial.id) and "opacity" in here.views(trial.id)  # an archive keeps but pictures
        if isinstance(trial, comparison_suite.StoredTrial) or not is_whole:
            raise UsageError(
                f"{trial.id}: expected scores of {protocol} as it is now, or views to make them of, got a trial {why}; "
                f"import it again, move it out of {here.root}, or name another folder with --results"
            )
        rescore_trial(trial, (protocol,), here)


def shown(path: pathlib.Path) -> str:
    """A folder as a person calls it."""
    return path.relative_to(ROOT).as_posix() if path.is_relative_to(ROOT) else str(path)


def command_line(args: argparse.Namespace) -> str:
    """The command that makes this again."""
    words = [f"compare {shlex.quote(args.method)}", *(f"--against {shlex.quote(text)}" for text in args.against)]
    return suite_options.command_line(" ".join(words), args)


# --- what is printed --------------------------------------------------------------------------------------------------


def print_all(
    study: comparison_suite.Comparison,
    results: Sequence[TableResult],
    found: Sequence[PairedDifference],
    spent: Sequence[ArmCost],
) -> None:
    """The comparison in a terminal: a block a metric with a row a baseline, then scenes, cost, and what was lost."""
    console, first = formats.make_console(None), results[0]
    blocks: list[Any] = [
        Text(),
        Text(formats.printable(study.suite.question), style="bold"),
        Text(formats.printable(contents_module.caption(first)), style="dim"),
        Text(formats.printable(legend(study.mine, first)), style="dim"),
    ]
    for metric in findings.primary_metrics(found):
        blocks += [Text(), Text(contents_module.direction(metric), style="bold")]
        blocks.append(formats.rich_grid(metric_grid(study.mine, found, metric, first.cluster_noun)))
        beside = contents_module.bounds_text(first, metric)
        blocks += [Text(beside, style="dim")] if beside else []
        blocks += [Text(formats.printable(line), style="dim") for line in resolutions(results, metric)]
    metric = findings.primary_metrics(found)[0]
    title = f"{study.mine} minus a baseline, by {first.cluster_noun}: {contents_module.named(metric)}"
    blocks += [Text(), Text(formats.printable(title), style="bold")]
    blocks.append(formats.rich_grid(clusters_grid(found, first), gap=1))
    blocks += [Text(), formats.rich_grid(costs.grid(spent, "cost")), Text(costs.HOW_TIMED, style="dim"), Text()]
    blocks += [
        Text(formats.printable(line), style="dim") for line in findings.secondary_findings(found, first.cluster_noun)
    ]
    lost = dict.fromkeys(line for result in results for line in contents_module.missing_number_lines(result))
    blocks += [Text(formats.printable(f"missing: {line}"), style="yellow") for line in lost]
    notes = dict.fromkeys(note for result in results for note in result.notes)
    blocks += [Text(formats.printable(f"note: {note}"), style="dim") for note in notes]
    formats.emit(console, blocks)


def legend(mine: str, result: TableResult) -> str:
    """How to read it."""
    noun = contents_module.plural(result.cluster_noun)
    return (
        f"difference: {mine} minus the baseline, paired by {result.cluster_noun} and seed; ± is half a 95% interval "
        f"over {noun}{contents_module.cut_ends(result)}; p by sign flips, corrected over baselines (Holm); better and worse: "
        f"p < 0.05 and the interval leaves out zero; ~ {noun}, seeds: so many would resolve it"
    )


def metric_grid(mine: str, found: Sequence[PairedDifference], metric: str, noun: str) -> TableGrid:
    """One metric: a row a baseline; how many trials only where some are lost."""
    rows, those = [], [each for each in found if each.metric == metric]
    is_short = any(each.mine.num_lost or each.other.num_lost for each in those)
    for each in those:
        verdict = contents_module.verdict_cell(each.mine, noun)
        if each.seeds_to_resolve:
            verdict = verdict._replace(text=f"{verdict.text} or ~{each.seeds_to_resolve} seeds")
        rows.append(
            (
                contents_module.TableCell(each.baseline),
                contents_module.mean_cell(each.other),
                contents_module.mean_cell(each.mine),
                contents_module.difference_cell(each.mine),
                contents_module.TableCell(
                    contents_module.p_text(each.mine.p_holm), is_number=each.mine.p_holm is not None
                ),
                verdict,
                *(
                    (contents_module.trials_cell(each.other), contents_module.trials_cell(each.mine))
                    if is_short
                    else ()
                ),
            )
        )
    header = (
        "against",
        "its mean",
        mine,
        "difference",
        "p",
        "verdict",
        *(("its trials", "trials") if is_short else ()),
    )
    return TableGrid(header, tuple(rows), left=(0, 5))


def resolutions(results: Sequence[TableResult], metric: str) -> list[str]:
    """What the design could have seen, against each baseline; once where it is the same."""
    said: dict[str, list[str]] = {}
    for result in results:
        said.setdefault(contents_module.resolution(result, metric), []).append(result.baseline)
    return list(said) if len(said) == 1 else [f"{', '.join(names)}: {line}" for line, names in said.items()]


def clusters_grid(found: Sequence[PairedDifference], result: TableResult) -> TableGrid:
    """The first metric's difference in every scene: a row a baseline; of captions a row each."""
    metric = findings.primary_metrics(found)[0]
    mine, digits = [each for each in found if each.metric == metric], metric_named(metric).digits

    def cells(values: Sequence[float | None]) -> tuple[contents_module.TableCell, ...]:
        return tuple(
            contents_module.TableCell(contents_module.number(x, digits, signed=True), is_number=x is not None)
            for x in values
        )

    if kind_named(result.cluster_noun).has_many_clusters:
        rows = [(name, [each.by_cluster.get(name) for each in mine]) for name in result.clusters]
        rows.append(("mean", [each.mine.difference for each in mine]))
        header = (result.cluster_noun, *(each.baseline for each in mine))
    else:
        rows = [
            (each.baseline, [*(each.by_cluster.get(name) for name in result.clusters), each.mine.difference])
            for each in mine
        ]
        header = ("against", *result.clusters, "mean")
    return TableGrid(header, tuple((contents_module.TableCell(name), *cells(values)) for name, values in rows))


def as_json(
    study: comparison_suite.Comparison,
    chosen: selection_module.Selection,
    found: dict[str, TrialSource],
    lines: Sequence[str],
    differences: Sequence[PairedDifference],
    spent: Sequence[ArmCost],
) -> dict[str, Any]:
    """All of it as plain values."""
    return {
        "method": study.mine,
        "suite": chosen.suite.name.rpartition(" on ")[2],
        "budget": chosen.budget.name,
        "protocol": chosen.tables[0].protocol,
        "primary": findings.primary_metrics(differences),
        "differences": [each.to_json() for each in differences],
        "costs": [cost._asdict() for cost in spent],
        "origins": {"said": list(lines), "trials": {name: origin._asdict() for name, origin in found.items()}},
        "trials": [cell._asdict() for cell in chosen.cells],
    }


def tell_of_failures(failed: Sequence[str], here: Store) -> None:
    """Names what could not be read, and counts what failed."""
    for name in here.set_aside:
        print(f"set aside, it did not parse: {name}", file=sys.stderr)
    if failed:
        print(
            f"{len(set(failed))} trials failed: python -m bench ls --failed; then python -m bench retry --all",
            file=sys.stderr,
        )
