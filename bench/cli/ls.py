"""`ls`: the trials that are stored, a line each."""

from __future__ import annotations

import argparse
import fnmatch
from typing import TYPE_CHECKING, Any

from bench.cli.common_options import add_json, add_results, existing, opened_store, to_json_text
from bench.errors import escape_controls
from bench.storage import json_values
from bench.storage.record import Record

if TYPE_CHECKING:
    from bench.storage.store import Store

HELP = "list the trials that are stored"
EXAMPLE = "python -m bench ls 'nerf__*' --failed"

PREFERRED = "std-v1"
"""The protocol whose PSNR is shown, where a trial was scored under several."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of `ls`."""
    parser.add_argument(
        "pattern",
        nargs="?",
        default="*",
        metavar="PATTERN",
        help="only ids like this: nerf__*; a bare word anywhere in them",
    )
    parser.add_argument("--failed", action="store_true", help="only those that failed, with their reasons")
    parser.add_argument(
        "--doubtful",
        action="store_true",
        help="only those whose number of parameters their method cannot have, with the reason",
    )
    add_results(parser)
    add_json(parser)


def main(args: argparse.Namespace) -> int:
    """Print the list."""
    with opened_store(existing(args.results)) as trials:
        list_trials(args, trials)
    return 0


def list_trials(args: argparse.Namespace, trials: Store) -> None:
    """Print a line for each trial that is asked for."""
    pattern = args.pattern if any(letter in args.pattern for letter in "*?[") else f"*{args.pattern}*"
    chosen = [
        record
        for record in trials.records()
        if fnmatch.fnmatchcase(record.trial_id, pattern) and (record.status == "failed" or not args.failed)
    ]
    rows = [_row(trials, record) for record in chosen]
    if args.doubtful:
        rows = _doubtful(chosen, rows)
    if args.json:
        print(to_json_text(rows))
    else:
        print(escape_controls("\n".join(_lines(rows))), end="\n" * bool(rows))
        print(f"{len(rows)} of {len(trials.ids())} trials in {args.results}")


def _row(trials: Store, record: Record) -> dict[str, Any]:
    return {
        "trial_id": record.trial_id,
        "status": record.status,
        "psnr": _psnr(trials.values(record.trial_id, "psnr")),
        "num_steps": record.num_steps,
        "wall_s": json_values.nan_to_none(record.timings.get("wall_s")),
        "reason": record.reason,
        "num_attempts": len(record.earlier_failures) + 1,
    }


def _doubtful(records: list[Record], rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Keep the rows of trials that may not be what they are named after, each with the reason."""
    from bench.training import adoption  # JAX counts parameters

    reasons = [adoption.is_doubtful(record) for record in records]
    return [row | {"reason": reason} for row, reason in zip(rows, reasons, strict=True) if reason]


def _psnr(by_protocol: dict[str, list[float | None]]) -> float | None:
    """Average PSNR over views; None if it was not scored, or not in every view."""
    protocol = PREFERRED if PREFERRED in by_protocol else min(by_protocol, default=None)
    values = [] if protocol is None else by_protocol[protocol]
    known = [value for value in values if value is not None]
    return sum(known) / len(known) if known and len(known) == len(values) else None


def _lines(rows: list[dict[str, Any]]) -> list[str]:
    width = max((len(row["trial_id"]) for row in rows), default=0)
    lines = [f"{'trial':{width}}  {'status':8}  {'psnr':>6}  {'steps':>7}  {'wall_s':>8}"] if rows else []
    for row in rows:
        psnr = "-" if row["psnr"] is None else f"{row['psnr']:.2f}"
        wall = "-" if row["wall_s"] is None else f"{row['wall_s']:.1f}"
        reason = "" if row["reason"] is None else f"  {row['reason']}"
        if row["num_attempts"] > 1:
            reason += f"  (attempt {row['num_attempts']})"
        lines.append(
            f"{row['trial_id']:{width}}  {row['status']:8}  {psnr:>6}  {row['num_steps']:>7}  {wall:>8}{reason}"
        )
    return lines
