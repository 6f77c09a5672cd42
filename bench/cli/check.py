"""`check`: runs the contract on a method or a network, step by step."""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator

from bench.errors import UsageError
from bench.plugins import contract, contract_fixture
from bench.suites import registry
from bench.training import precompile
from models.dream_fields import DreamFields
from models.method import Method
from tasks.captions.caption_task import CaptionTask, held_out_tasks
from tasks.scenes.scenes import SCENES
from tasks.sparse_views.embedded import SparseViews
from tasks.task import Task

HELP = "run the contract test on a method or a network of your own"
EXAMPLE = "python -m bench check my_pkg.field:MyField"

Found = tuple[str, str | None, str]
"""A step, what was found (None if it is broken), and what to do."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of `check`."""
    parser.add_argument("method", help="a variant, an entry point, or module:object in your folder")
    parser.add_argument("--scene", default="", help="which embedded scene (default: the first)")
    parser.add_argument(
        "--caption", default="", help="a caption of the closed world, for what starts without photographs"
    )
    parser.add_argument("--json", action="store_true", help="print it as JSON")


def main(args: argparse.Namespace) -> int:
    """Prints a line a step; 1 if one is broken."""
    precompile.prefer_quick_compiles()
    found = []
    for name, said, what_to_do in steps(args.method, args.scene, args.caption):
        found.append({"step": name, "kept": said is not None, "found": said, "do": what_to_do})
        if not args.json:
            print(
                f"{'ok    ' if said is not None else 'BROKEN'} {name}: {said if said is not None else what_to_do}",
                flush=True,
            )
    if args.json:
        print(json.dumps(found, indent=1))
    return 0 if all(step["kept"] for step in found) else 1


def steps(name: str, scene: str = "", caption: str = "") -> Iterator[Found]:
    """Imports what is named and runs the contract on it.

    Args:
        name: As `bench.suites.registry.variant` knows it. A network is tried in a recipe for photographs, or, if there is a
            caption, in one for captions.
        scene: To try it on; none for the first.
        caption: Likewise.

    Raises:
        UsageError: A name that is no variant, entry point or module:object; options that do not go together.
    """
    if not registry.is_known(name):
        registry.variant(name)  # names the nearest
    recipe = "dream_fields" if caption else "nerf"
    try:
        method = contract_fixture.imported(name, recipe)
    except contract_fixture.ContractError as error:
        yield contract.IMPORTS, None, str(error)
        return
    task = task_of(method, scene, caption)
    method, changed = contract_fixture.shrink_to_budget(method)
    said = f"{type(method).__name__}, {contract_fixture.origin(method)}"
    yield contract.IMPORTS, said + (f"; made small here: {', '.join(changed)}" if changed else ""), ""
    variant = name.rsplit(":", 1)[-1]
    yield from contract.check(contract_fixture.ContractFixture(method=method, variant=variant, task=task))


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
