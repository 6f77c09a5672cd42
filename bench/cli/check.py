"""`check`: runs the contract on a method or a network, step by step."""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator, Mapping

from bench.errors import UsageError
from bench.metrics.task_kinds import KINDS, kind_named, kind_of_method
from bench.plugins import contract, contract_fixture
from bench.suites import registry
from bench.training import precompile
from models.method import Method
from tasks.task import Task

HELP = "run the contract test on a method or a network of your own"
EXAMPLE = "python -m bench check my_pkg.field:MyField"

Found = tuple[str, str | None, str]
"""A step, what was found (None if it is broken), and what to do."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of `check`."""
    parser.add_argument("method", help="a variant, an entry point, or module:object in your folder")
    for noun in KINDS:
        parser.add_argument(
            f"--{noun}", default="", help=f"the {noun} of the embedded world to try it on (default: the first)"
        )
    parser.add_argument("--json", action="store_true", help="print it as JSON")


def main(args: argparse.Namespace) -> int:
    """Prints a line a step; 1 if one is broken."""
    precompile.prefer_quick_compiles()
    found = []
    for name, said, what_to_do in steps(args.method, {noun: getattr(args, noun) for noun in KINDS}):
        found.append({"step": name, "kept": said is not None, "found": said, "do": what_to_do})
        if not args.json:
            print(
                f"{'ok    ' if said is not None else 'BROKEN'} {name}: {said if said is not None else what_to_do}",
                flush=True,
            )
    if args.json:
        print(json.dumps(found, indent=1))
    return 0 if all(step["kept"] for step in found) else 1


def steps(name: str, clusters: Mapping[str, str] | None = None) -> Iterator[Found]:
    """Imports what is named and runs the contract on it.

    Args:
        name: As `bench.suites.registry.variant` knows it. A network is tried in the recipe of the kind of task that a
            cluster is named of, else in one for photographs.
        clusters: By kind of task, "scene" or "caption", what to try it on; empty for the first there is.

    Raises:
        UsageError: A name that is no variant, entry point or module:object; options that do not go together.
    """
    if not registry.is_known(name):
        registry.variant(name)  # names the nearest
    clusters = clusters or {}
    named = [noun for noun, cluster in clusters.items() if cluster]
    kind = kind_named(named[-1] if named else next(iter(KINDS)))
    try:
        method = contract_fixture.imported(name, kind.recipes[0])
    except contract_fixture.ContractError as error:
        yield contract.IMPORTS, None, str(error)
        return
    task = task_of(method, clusters)
    method, changed = contract_fixture.shrink_to_budget(method)
    said = f"{type(method).__name__}, {contract_fixture.origin(method)}"
    yield contract.IMPORTS, said + (f"; made small here: {', '.join(changed)}" if changed else ""), ""
    variant = name.rsplit(":", 1)[-1]
    yield from contract.check(contract_fixture.ContractFixture(method=method, variant=variant, task=task))


def task_of(method: Method, clusters: Mapping[str, str]) -> Task:
    """Makes the task that a method is tried on: of its own kind, else of the kind that is named, else photographs.

    Args:
        method: What is tried.
        clusters: As in `steps`.

    Raises:
        UsageError: A scene and a caption are named, or a scene for a method that starts from captions.
    """
    default = next(iter(KINDS))
    named = [noun for noun, cluster in clusters.items() if cluster]
    own = kind_of_method(method)
    noun = named[-1] if named else default
    if own is not None and own.noun != default:
        noun = own.noun
    for other in named:
        if other != noun:
            raise UsageError(
                f"--{other}: expected none where a method starts from a {noun}, got {clusters[other]!r}; leave it out"
            )
    return kind_named(noun).example_task(clusters.get(noun, ""))
