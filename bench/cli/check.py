"""`check`: runs the contract on a method or a network, step by step."""

from __future__ import annotations

import argparse

from bench.cli.common_options import add_json, to_json_text
from bench.metrics.task_kinds import KINDS
from bench.suites import registry

HELP = "run the contract test on a method or a network of your own"
EXAMPLE = "python -m bench check my_pkg.field:MyField"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of `check`."""
    parser.add_argument(
        "method", type=registry.check_method_name, help="a variant, an entry point, or module:object in your folder"
    )
    for noun in KINDS:
        parser.add_argument(
            f"--{noun}", default="", help=f"the {noun} of the embedded world to try it on (default: the first)"
        )
    add_json(parser)


def main(args: argparse.Namespace) -> int:
    """Print one line for each step; 1 if one is broken."""
    from bench.plugins.check_method import check_method
    from bench.training import precompile

    precompile.prefer_quick_compiles()
    found = []
    for step in check_method(args.method, {noun: getattr(args, noun) for noun in KINDS}):
        found.append(step)
        if args.json:
            continue
        if step.found is None:
            print(f"BROKEN {step.step}: {step.what_to_do}", flush=True)
        else:
            print(f"ok     {step.step}: {step.found}", flush=True)
    if args.json:
        told = []
        for step in found:
            told.append({"step": step.step, "kept": step.found is not None, "found": step.found, "do": step.what_to_do})
        print(to_json_text(told))
    return int(any(step.found is None for step in found))
