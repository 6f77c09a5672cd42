"""`upper-bounds`: measures the upper bounds of caption metrics that tables print below the arms."""

from __future__ import annotations

import argparse

from bench.cli.argument_parser import whole_number
from bench.cli.common_options import add_json, to_json_text

HELP = "render the objects that captions mean, and store their scores as upper bounds"
EXAMPLE = "python -m bench upper-bounds --set closed-world --num 64"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of `upper-bounds`."""
    parser.add_argument("--set", default="closed-world", metavar="NAME", help="retrieval set (default: %(default)s)")
    parser.add_argument(
        "--num", type=whole_number(1), default=64, metavar="N", help="its first N captions (default: %(default)s)"
    )
    add_json(parser, "them")


def main(args: argparse.Namespace) -> int:
    """Render, score, store and print them."""
    from bench.analysis import true_renders

    name, entry = true_renders.measure_set(args.set, args.num)
    if args.json:
        print(to_json_text({"name": name} | entry))
        return 0
    for metric, found in entry["metrics"].items():
        ends = "" if found["low"] is None else f" [{found['low']:.3f}, {found['high']:.3f}]"
        print(f"{name}, {entry['num_captions']} captions, {metric}: {found['mean']:.3f}{ends}")
    return 0
