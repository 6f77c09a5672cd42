"""`plan`: what `run` would do: trials, packs, how each arm differs from its baseline, and how long it will take."""

from __future__ import annotations

import argparse
import json
import pathlib
from typing import Any

from bench.cli import failure_options, suite_options
from bench.cli.argument_parser import whole_number
from bench.cli.common_options import print_damage
from bench.errors import UsageError
from bench.storage import json_values
from bench.storage.store import Store
from tasks.data_dir.guarded_files import read_plain_file

HELP = "say what run would do: trials, packs, arms' differences, time"
EXAMPLE = "python -m bench plan --suite ablations --budget standard"

PROFILE_KEYS = ("method_digest", "pack_size", "trace_s", "compile_cold_s", "field_step_ms")
"""What a plan reads of a profile."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of `plan`."""
    suite_options.add_selection(parser)
    parser.add_argument("--no-pilot", action="store_true", help="do not compile and time a few steps of each program")
    parser.add_argument(
        "--profile",
        type=pathlib.Path,
        metavar="FILE",
        help="take the time of steps from a file that `bench profile --out` wrote, perhaps on another machine",
    )
    parser.add_argument(
        "--workers",
        type=whole_number(1),
        metavar="N",
        help="workers to plan for (default: accelerators, else cores)",
    )
    parser.add_argument("--pack-size", type=whole_number(1), metavar="N", help="trials trained at once by one program")
    parser.add_argument(
        "--shapes", action="store_true", help="trace every variant at full size instead: no steps, no encoders' weights"
    )
    failure_options.add_failure_policy(parser)
    parser.add_argument("--json", action="store_true", help="print it as JSON")


def main(args: argparse.Namespace) -> int:
    """Print the plan."""
    from bench.report.tables import plan_tables
    from bench.training import run_plan

    trials_store = Store.open(args.results)
    print_damage(trials_store)
    plan = run_plan.make_plan(
        suite_options.selection(args, allow_missing=True),
        trials_store,
        pack_size=args.pack_size,
        num_workers=args.workers,
        policy=failure_options.failure_policy(args),
    )
    if args.shapes:
        plan_tables.print_shapes(plan.packs)
        return 0
    if args.profile is not None:
        plan = run_plan.costs_from_profiles(plan, read_profiles(args.profile))
    elif not args.no_pilot:
        plan = run_plan.measure_costs(plan)
    if args.json:
        print(json.dumps(plan.to_json(), indent=1))
    else:
        plan_tables.print_plan(plan)
    return 0


def read_profiles(path: pathlib.Path) -> list[dict[str, Any]]:
    """Read what `bench profile --out` wrote.

    Raises:
        UsageError: There is no such file, or it holds something else.
    """
    try:
        found = json_values.parse_user_json(read_plain_file(path), str(path))
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not JSON"
        raise UsageError(
            f"--profile: expected a file of profiles, got {path} ({reason}); see bench profile --out"
        ) from error
    if not isinstance(found, list) or not all(
        isinstance(each, dict) and set(PROFILE_KEYS) <= set(each) for each in found
    ):
        raise UsageError(
            f"--profile: expected profiles in {path}, got something else; write it with bench profile --out"
        )
    return found
