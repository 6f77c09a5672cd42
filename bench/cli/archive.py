"""`archive`: keeps what is stored of a suite in one small file, without arrays, to be committed beside the code.

`--numbers` keeps records and scores as a table (Parquet); else curves and a few pictures are kept too.
"""

from __future__ import annotations

import argparse
import pathlib

from bench.cli import suite_options
from bench.cli.common_options import check_out_folder, opened_store
from bench.import_paths import ROOT

HELP = "keep a suite's stored trials in one small file: records, scores, a few pictures"
EXAMPLE = "python -m bench archive --suite ablations --budget standard --out results/reference"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of `archive`."""
    suite_options.add_selection(parser)
    parser.add_argument(
        "--out",
        type=pathlib.Path,
        default=ROOT / "results" / "reference",
        metavar="FOLDER",
        help="where the file SUITE-BUDGET is put; one of that name is replaced (default: results/reference)",
    )
    parser.add_argument("--numbers", action="store_true", help="a table of numbers (Parquet), no curves or pictures")


def main(args: argparse.Namespace) -> int:
    """Write the file, and say how much it holds."""
    check_out_folder(args.out)
    from bench.export.suite_archive import write_suite_archive

    chosen = suite_options.selection(args)
    with opened_store(args.results) as trials_store:
        written = write_suite_archive(chosen, trials_store, args.out, as_numbers=args.numbers)
    size_mib = written.path.stat().st_size / 2**20
    print(f"{written.path}: {written.num_trials} of {len(chosen.trials)} trials, {size_mib:.1f} MiB")
    return 0
