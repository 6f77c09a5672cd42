"""`check`: runs the contract on a method or a network, step by step."""

from __future__ import annotations

import argparse
import json

from bench import ahead, contract, registry
from bench.errors import UsageError
from models.dream_fields import DreamFields
from models.method import Method
from tasks.captions import CaptionTask, held_out_tasks
from tasks.photos import Task
from tasks.scenes import SCENES
from tasks.sparse_view import SparseViews

HELP = "run the contract test on a method or a network of your own"
EXAMPLE = "python -m bench check my_pkg.field:MyField"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of `check`."""
    parser.add_argument("method", help="a variant, or module:object in your folder")
    parser.add_argument("--scene", default="", help="which embedded scene (default: the first)")
    parser.add_argument("--caption", default="", help="a caption of the closed world, for a method without photographs")
    parser.add_argument("--json", action="store_true", help="print it as JSON")


def main(args: argparse.Namespace) -> int:
    """Prints a line a step; 1 if one is broken."""
    ahead.prefer_quick_compiles()
    method = registry.variant(args.method)
    subject = contract.Subject(
        method=method, variant=args.method.rsplit(":", 1)[-1], task=task_of(method, args.scene, args.caption)
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


def task_of(method: Method, scene: str, caption: str) -> Task:
    """What a method is tried on: a caption if it is a Dream Field or one is asked for, else three photographs.

    Raises:
        UsageError: Both are asked for, or photographs for a Dream Field.
    """
    starts_from_caption = bool(caption) or isinstance(method, DreamFields)
    if starts_from_caption and scene:
        raise UsageError(f"--scene: expected none where a method starts from a caption, got {scene!r}; leave it out")
    if starts_from_caption:
        return CaptionTask(caption=caption) if caption else held_out_tasks(1)[0]
    return SparseViews(scene=scene or next(iter(SCENES)), num_views=3)
