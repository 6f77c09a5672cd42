"""`profile`: what a method's training costs here: compiling, steps, memory, arithmetic, and where the time goes."""

from __future__ import annotations

import argparse
import functools
import os
import pathlib
from typing import TYPE_CHECKING

from bench.cli import suite_options
from bench.cli.argument_parser import digits_of, whole_number
from bench.cli.common_options import add_json, check_out_file, to_json_text
from bench.errors import UsageError

if TYPE_CHECKING:
    from bench.metrics.scoring_speed import SpeedRow

HELP = "measure what training costs here: compiling, steps, memory, arithmetic"
EXAMPLE = "python -m bench profile --method dream_fields --pack 1,8"

DEFAULT_METHODS = ("nerf", "dietnerf", "dream_fields")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of `profile`."""
    parser.add_argument(
        "--method",
        action="append",
        type=method_name,
        metavar="NAME",
        help=f"a variant, or module:object of your own; may be given twice (default: {', '.join(DEFAULT_METHODS)})",
    )
    suite_options.add_budget(parser)
    parser.add_argument(
        "--pack",
        type=functools.partial(numbers, "--pack"),
        default=(1,),
        metavar="1,8,64",
        help="trials trained at once (default: 1)",
    )
    parser.add_argument(
        "--devices",
        type=functools.partial(numbers, "--devices"),
        default=(None,),
        metavar="1,2,4",
        help="devices of this host that train them (default: all). BENCH_SPLIT_RAYS=0 or 1 says whether devices share "
        "the rays of packs that have fewer trials than there are devices",
    )
    parser.add_argument(
        "--steps", type=whole_number(1), default=20, metavar="N", help="steps that are timed together (default: 20)"
    )
    parser.add_argument("--trace", action="store_true", help="find where the time goes; compiles once more")
    suite_options.add_settings(
        parser, "change a field of a method of --method, or of budget: dream_fields.field.dtype=bfloat16"
    )
    parser.add_argument("--scoring", action="store_true", help="time the scorers instead, beside torchmetrics")
    parser.add_argument(
        "--image-px", type=whole_number(16), default=400, metavar="N", help="with --scoring: size of photographs (400)"
    )
    parser.add_argument(
        "--views", type=whole_number(1), default=25, metavar="N", help="with --scoring: photographs (25)"
    )
    parser.add_argument("--out", type=pathlib.Path, metavar="FILE", help="write the profiles as JSON; plan reads them")
    add_json(parser, "them")


def method_name(text: str) -> str:
    """Check the name of a method; UsageError names the nearest."""
    from bench.suites import registry

    return registry.check_method_name(text)


def numbers(option: str, text: str) -> tuple[int, ...]:
    """Read numbers such as `1,8,64`; UsageError says what they look like."""
    words = text.split(",")
    found = [digits_of(word) or 0 for word in words]
    if min(found) < 1:
        raise UsageError(f"{option}: expected numbers from 1 with commas between, got {text!r}; try 1,8,64")
    return tuple(found)


def main(args: argparse.Namespace) -> int:
    """Profile every method at every size of pack, and print a table."""
    # Weights that are not here are drawn at random: nothing is looked for on the network.
    os.environ.setdefault("HF_HUB_OFFLINE", "1")
    check_out_file(args.out)
    if args.scoring:
        return profile_scoring(args)
    from bench.report.tables import profile_tables
    from bench.training import device_mesh, profile_suite

    for num_devices in args.devices:
        with device_mesh.only_first_devices(num_devices):  # refuses more than there are, before anything is said
            pass
    options = profile_suite.ProfileSuite(
        methods=tuple(args.method or DEFAULT_METHODS),
        budget=suite_options.chosen_budget(args),
        pack_sizes=args.pack,
        num_devices=args.devices,
        steps=args.steps,
        traces=args.trace,
        settings=tuple(args.settings),
    )
    profiles = profile_suite.profile_methods(options, report=None if args.json else profile_tables.print_progress)
    text = to_json_text([found.to_json() for found in profiles])
    if args.out is not None:
        from tasks.data_dir.atomic_files import write_file

        write_file(args.out, text + "\n")
    if args.json:
        print(text)
    else:
        profile_tables.print_profiles(profiles)
    return 0


def profile_scoring(args: argparse.Namespace) -> int:
    """Time every scorer, and print and write a row each."""
    import jax

    from bench.metrics import scoring_speed

    options = scoring_speed.ScoringSpeedOptions(image_px=args.image_px, num_views=args.views)
    device = jax.local_devices()[0].device_kind
    if not args.json:
        print(f"{args.views} views of {args.image_px} px on {device}")
        print(f"{'':28} {'first s':>8} {'ms a view':>10} {'views a s':>10}  largest differences from float32 here")
    rows = []
    for row in scoring_speed.measure_scoring(options):
        rows.append(row._asdict())
        if not args.json:
            print(describe_speed(row), flush=True)
    text = to_json_text({"device": device, "image_px": args.image_px, "rows": rows})
    if args.out is not None:
        from tasks.data_dir.atomic_files import write_file

        write_file(args.out, text + "\n")
    if args.json:
        print(text)
    return 0


def describe_speed(row: SpeedRow) -> str:
    """Write a row of the table."""
    if row.note:
        return f"{row.what:28} {row.note}"
    differences = ", ".join(f"{name} {value:g}" for name, value in row.largest_differences.items())
    return f"{row.what:28} {row.first_s:8.2f} {row.ms_a_view:10.3f} {row.views_a_second:10.1f}  {differences}".rstrip()
