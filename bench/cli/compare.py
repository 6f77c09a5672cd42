"""`compare`: sets a method of one's own against baselines, and trains only what is stored nowhere.

Where a baseline lies in `results/reference/` as the same trial, scored as today, it is taken from there.
"""

from __future__ import annotations

import argparse
import pathlib
import shlex
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from bench.cli import report_options, run, suite_options
from bench.cli.common_options import add_json, check_out_folder, opened_store, to_json_text
from bench.import_paths import ROOT

if TYPE_CHECKING:
    from bench.analysis.findings import PairedDifference
    from bench.plugins.comparison_run import ComparisonOptions, ComparisonRun
    from bench.report.tables.costs import ArmCost
    from bench.storage.store import Store

HELP = "set a method of your own against baselines: train what is missing, print paired differences"
EXAMPLE = "python -m bench compare my_pkg.field:MyField --against dietnerf,simplified_nerf"

SUITE = "sparse-views"

VERDICTS = ("worse", "not-better")
"""What `--fail-if` may name."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of `compare`."""
    parser.add_argument(
        "method",
        help="module:object in your folder, an entry point, a variant, or the name of imported renders",
    )
    parser.add_argument(
        "--against",
        action="append",
        default=[],
        metavar="NAME,NAME",
        help="baselines: arms of the suite or variants (default: the baseline of the suite's first table)",
    )
    suite_options.add_selection(parser, suite=SUITE)
    run.add_training(parser)
    add_json(parser, "what was found")
    parser.add_argument(
        "--fail-if",
        choices=VERDICTS,
        metavar="VERDICT",
        help="exit with 1 if it is resolved as worse than a baseline in one of the first metrics (worse), or unless it "
        "is resolved as better than all of them in the first (not-better)",
    )
    parser.add_argument(
        "--out",
        type=pathlib.Path,
        metavar="FOLDER",
        help="where to write the report (default: reports/compare-METHOD-SUITE-BUDGET)",
    )


def main(args: argparse.Namespace) -> int:
    """Compare; 1 if a trial failed or has no scores, or on what `--fail-if` names."""
    check_out_folder(args.out)
    with opened_store(args.results) as here:
        return compare_here(args, here)


def compare_here(args: argparse.Namespace, here: Store) -> int:
    """Compare, with what is stored here and what is trained now; return the exit code."""
    from bench.analysis import findings
    from bench.plugins.comparison_run import start_comparison
    from bench.report import build
    from bench.report.figures.figure import slugify
    from bench.report.tables import comparison_tables, costs
    from bench.suites import scene_study, selection
    from bench.suites.variant_names import shorten_name

    compared = start_comparison(comparison_options(args), here)
    study = compared.study
    chosen = compared.chosen
    print("\n".join(compared.describe_sources()), file=sys.stderr if args.json else sys.stdout, flush=True)
    both = compared.complete(run.training_options(args))
    contents = build.gather_contents(
        chosen,
        both,
        command=command_line(args),
        media=report_options.plan_media(chosen, both, report_options.MediaOptions()),
    )
    name = f"compare-{slugify(args.method)}-{args.suite}-{slugify(chosen.budget.name)}"
    if chosen.suite.folders:
        name += f"-{scene_study.label_folders(chosen.suite.folders)}"
    name = shorten_name(name, selection.MAX_STUDY_BYTES)
    report = build.draw_report(contents, args.out or ROOT / "reports" / name)
    results = contents.results
    differences = findings.collect_differences(results, contents.frame, chosen.cells, study.label)
    spent = costs.costs_by_arm(chosen.cells, {record.trial_id: record for record in both.records()})
    trial_ids = sorted({cell.trial_id for cell in chosen.cells})
    failed = [trial_id for trial_id in trial_ids if both.failed(trial_id)]
    is_lost = any(both.finished(name) and compared.protocol not in both.scores(name) for name in trial_ids)
    conclusion = findings.conclusion(differences, study.label, results[0].cluster_noun)
    if args.json:
        plain = as_json(compared, differences, spent) | {"failed": failed, "found": conclusion}
        print(to_json_text(plain))
    else:
        comparison_tables.print_comparison(study.label, study.suite.question, results, differences, spent)
        print(f"report: {report.describe()}")
    run.print_failures(len(failed))
    own_failed = {cell.trial_id for cell in chosen.cells if cell.arm == study.label}.intersection(failed)
    if own_failed and ":" in args.method:
        print(f"python -m bench check {args.method} tries it step by step, and says what to mend", file=sys.stderr)
    if not args.json:
        print(conclusion)
    is_worse = args.fail_if == "worse" and findings.is_worse(differences)
    is_not_better = args.fail_if == "not-better" and not findings.is_better(differences)
    return int(bool(failed) or is_lost or is_worse or is_not_better)


def comparison_options(args: argparse.Namespace) -> ComparisonOptions:
    """Read what is compared from the command line."""
    from bench.plugins.comparison_run import ComparisonOptions

    return ComparisonOptions(
        method=args.method,
        against=tuple(args.against),
        suite=args.suite,
        budget=suite_options.chosen_budget(args),
        seeds=args.seeds,
        only=tuple(args.only),
        settings=tuple(args.settings),
        scenes=args.scenes,
    )


def command_line(args: argparse.Namespace) -> str:
    """Write the command that makes this again."""
    words = [f"compare {shlex.quote(args.method)}", *(f"--against {shlex.quote(text)}" for text in args.against)]
    return suite_options.command_line(" ".join(words), args)


def as_json(
    compared: ComparisonRun, differences: Sequence[PairedDifference], spent: Sequence[ArmCost]
) -> dict[str, Any]:
    """Return a comparison as plain values."""
    from bench.analysis import findings

    sources = {name: source._asdict() for name, source in compared.sources.items()}
    costs = [cost._asdict() for cost in spent]
    places = [cell._asdict() for cell in compared.chosen.cells]
    return {
        "method": compared.study.label,
        "suite": compared.study.suite_name,
        "budget": compared.chosen.budget.name,
        "protocol": compared.protocol,
        "primary": findings.primary_metrics(differences),
        "differences": [each.to_json() for each in differences],
        "costs": costs,
        "origins": {"said": compared.describe_sources(), "trials": sources},
        "trials": places,
    }
