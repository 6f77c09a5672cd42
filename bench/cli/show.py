"""`show`: all that is known of one trial."""

from __future__ import annotations

import argparse
import math
from typing import Any

from bench.cli.common_options import add_json, add_results, opened_store, to_json_text
from bench.counted_nouns import format_count
from bench.errors import escape_controls
from bench.storage.record import Record

HELP = "show all that is known of one trial, with its traceback if it failed"
EXAMPLE = "python -m bench show nerf__knight__8v__s0"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of `show`."""
    parser.add_argument("trial", metavar="TRIAL", help="an id, its start, or a part that no other has")
    add_results(parser)
    add_json(parser, "it with curves and scores")


def main(args: argparse.Namespace) -> int:
    """Print the record; UsageError names the nearest id."""
    with opened_store(args.results) as trials:
        trial_id = trials.find(args.trial)
        record = trials.read(trial_id)
        scores = trials.scores(trial_id)
    if args.json:
        print(to_json_text(record.to_json() | {"scores": scores}))
        return 0
    lines = [*_head(record), *_scores(scores), *_curves(record), *_tree("identity", record.identity)]
    lines += _tree("scene", record.scene) if record.scene else []
    lines += _tree("environment", record.environment)
    if record.traceback:
        lines.append(record.traceback.rstrip())
    print(escape_controls("\n".join(lines)))
    return 0


def _head(record: Record) -> list[str]:
    why = "" if record.reason is None else f": {record.reason}"
    lines = [
        record.trial_id,
        f"  {record.status}{why}",
        f"  {record.variant} on {record.task} (cluster {record.cluster}), seed {record.seed}, budget {record.budget}",
        f"  {record.num_steps} steps, {record.num_parameters} parameters, in a pack of {record.pack_size}",
    ]
    if record.timings:
        timings = [f"{name.removesuffix('_s')} {seconds:.1f}" for name, seconds in record.timings.items()]
        lines.append(f"  seconds: {', '.join(timings)}")
    lines += _earlier(record)
    named = f"{', '.join(record.files)}, by SHA-256" if record.files else "without checksums: unchecked"
    lines.append(f"  files: {named}")
    if record.resumed_at:
        lines.append(f"  went on from checkpoints at steps {', '.join(map(str, record.resumed_at))}")
    return lines


def _earlier(record: Record) -> list[str]:
    """Say how often it was tried, and why not once."""
    reasons = record.earlier_failures
    attempts = [f"  attempt {number} failed: {reason}" for number, reason in enumerate(reasons, 1)]
    return [f"  {record.status} at attempt {len(reasons) + 1}", *attempts] if reasons else []


def _scores(scores: dict[str, dict[str, Any]]) -> list[str]:
    """Average every metric over views, under each protocol."""
    lines = []
    for protocol, score in scores.items():
        lines.append(f"scores under {protocol}, means over {format_count(len(score['view_ids']), 'view')}")
        for metric, values in score["per_view"].items():
            present = [x for x in values if x is not None]
            mean = f"{sum(present) / len(present):.4f}" if present else "-"
            missing = f" ({len(values) - len(present)} missing: {score['reasons'].get(metric)})"
            lines.append(f"  {metric}: {mean}{missing if len(present) < len(values) else ''}")
    return lines


def _curves(record: Record) -> list[str]:
    lines = ["curves, first and last point"] if record.curves else []
    for name, curve in record.curves.items():
        ends = [curve[0], curve[-1]] if curve else []
        lines.append(f"  {name}: {' .. '.join('not finite' if math.isnan(x) else f'{x:g}' for x in ends)}")
    return lines


def _tree(title: str, tree: dict[str, Any], depth: int = 0) -> list[str]:
    """Indent nested JSON."""
    indent = "  " * depth
    lines = [f"{indent}{title}"]
    for name, value in tree.items():
        if isinstance(value, dict):
            lines += _tree(name, value, depth + 1)
        else:
            lines.append(f"{indent}  {name}: {value}")
    return lines
