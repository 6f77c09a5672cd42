"""`check`: runs the contract on a method or a network, step by step."""

from __future__ import annotations

import argparse
import json

from bench import contract, registry
from tasks.sparse_view import SparseViews

HELP = "run the contract test on a method or a network of your own"
EXAMPLE = "python -m bench check my_pkg.field:MyField"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of `check`."""
    parser.add_argument("method", help="a variant, or module:object in your folder")
    parser.add_argument("--scene", default="", help="which embedded scene (default: the first)")
    parser.add_argument("--json", action="store_true", help="print it as JSON")


def main(args: argparse.Namespace) -> int:
    """Prints a line a step; 1 if one is broken."""
    from tasks.scenes import SCENES

    method = registry.variant(args.method)
    scene = args.scene or next(iter(SCENES))
    subject = contract.Subject(
        method=method, variant=args.method.rsplit(":", 1)[-1], task=SparseViews(scene=scene, num_views=3)
    )
    found = []
    for name, said, what_to_do in contract.check(subject):
        found.append({"step": name, "kept": said is not None, "found": said, "do": what_to_do})
        if not args.json:
            print(
                f"{'ok    ' if said is not None else 'BROKEN'} {name}: {said if said is not None else what_to_do}",
                flush=True,
            )
    if args.json:
        print(json.dumps(found, indent=1))
    return 0 if all(step["kept"] for step in found) else 1
