"""`plan`: what `run` would do: trials, packs, how each arm differs from its baseline, and how long it will take."""

from __future__ import annotations

import argparse
import math
import pathlib
from typing import Any

from bench.cli import failure_options, report_options, suite_options
from bench.cli.argument_parser import whole_number
from bench.cli.common_options import add_json, opened_store, to_json_text
from bench.errors import UsageError
from bench.storage import json_values
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
    parser.add_argument(
        "--devices",
        metavar="64xH100",
        help="wall time and cost on devices that are not here, with --profile of one of them",
    )
    report_options.add_price_arguments(parser)
    failure_options.add_failure_policy(parser)
    add_json(parser)


def main(args: argparse.Namespace) -> int:
    """Print the plan."""
    price = report_options.price_of(args)
    refuse_lone_options(args)
    from bench.report.tables import plan_tables
    from bench.training import packing, planned_cluster, run_plan

    planned = None if args.devices is None else planned_cluster.parse_devices(args.devices)
    profiles = None if args.profile is None else read_profiles(args.profile)
    if planned is not None and profiles is not None:
        profiles = planned_cluster.profiles_of_kind(profiles, planned)
    with opened_store(args.results) as trials_store:
        plan = run_plan.make_plan(
            suite_options.selection(args, allow_missing=True),
            trials_store,
            pack_size=args.pack_size or (packing.default_pack_size("accelerator") if planned else None),
            num_workers=planned.num if planned else args.workers,
            policy=failure_options.failure_policy(args),
        )
    if args.shapes:
        plan_tables.print_shapes(plan.packs)
        return 0
    if profiles is not None:
        plan = run_plan.costs_from_profiles(plan, profiles)
    elif not args.no_pilot:
        plan = run_plan.measure_costs(plan)
    if args.json:
        print(to_json_text(plan.to_json()))
        return 0
    plan_tables.print_plan(plan)
    if planned is not None:
        time = planned_cluster.plan_time(plan.packs, plan.costs, planned.num)
        print(plan_tables.describe_devices(planned, time, price))
    return 0


def refuse_lone_options(args: argparse.Namespace) -> None:
    """Refuse options that mean nothing without others.

    Raises:
        UsageError: Devices without measured figures, a price without devices, or devices and other ways to count.
    """
    if args.devices is not None and args.profile is None:
        raise UsageError(
            "--devices: expected --profile FILE beside it, with figures measured on one of them, got none; run python "
            "-m bench profile --out FILE there"
        )
    if args.devices is not None and (args.workers is not None or args.json):
        raise UsageError("--devices: expected neither --workers nor --json beside it, got one; leave it out")
    if args.price_per_hour is not None and args.devices is None:
        raise UsageError("--price-per-hour: expected --devices beside it, got a price alone; write --devices 64xH100")


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
    if not isinstance(found, list) or not all(map(is_profile, found)):
        raise UsageError(
            f"--profile: expected profiles in {path}, got something else; write it with bench profile --out"
        )
    return found


def is_profile(told: Any) -> bool:
    """Tell whether plain values are a profile: its digest, and numbers that are finite and not negative.

    Example:
        >>> is_profile({"method_digest": "0", "pack_size": 1, "trace_s": 1, "compile_cold_s": 2, "field_step_ms": 0.5})
        True
        >>> is_profile({"method_digest": "0", "pack_size": -1}), is_profile(7)
        (False, False)
    """
    if not isinstance(told, dict) or not isinstance(told.get("method_digest"), str):
        return False
    numbers = [told.get(name) for name in PROFILE_KEYS[1:]]
    if not all(isinstance(number, int | float) and 0 <= number < math.inf for number in numbers):
        return False
    return isinstance(told["pack_size"], int) and told["pack_size"] >= 1
