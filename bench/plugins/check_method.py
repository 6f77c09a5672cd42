"""Runs the contract on a method or a network that a user names, one step after the other."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import NamedTuple

from bench.errors import UsageError
from bench.metrics.task_kinds import KINDS, kind_named, kind_of_method
from bench.plugins import contract, contract_fixture
from bench.suites import registry
from models.method import Method
from tasks.task import Task


class CheckedStep(NamedTuple):
    """One step of the contract.

    Attributes:
        step: Its name.
        found: What was found; None if the method breaks the contract here.
        what_to_do: How to mend it; empty where nothing is broken.
    """

    step: str
    found: str | None
    what_to_do: str


def check_method(name: str, clusters: Mapping[str, str] | None = None) -> Iterator[CheckedStep]:
    """Import what a user named and run the contract on it.

    Args:
        name: As `bench.suites.registry.variant` knows it. A network is tried in the recipe of the kind of task that a
            cluster is named of, else in one for photographs.
        clusters: By kind of task, "scene" or "caption", what to try it on; empty for the first there is.

    Raises:
        UsageError: A name that is no variant, entry point or module:object; options that do not go together.
    """
    registry.check_method_name(name)
    clusters = clusters or {}
    named = [noun for noun, cluster in clusters.items() if cluster]
    kind = kind_named(named[-1] if named else next(iter(KINDS)))
    try:
        method = contract_fixture.import_method(name, kind.recipes[0])
    except contract_fixture.ContractError as error:
        yield CheckedStep(contract.IMPORTS, None, str(error))
        return
    task = choose_task(method, clusters)
    method, changed = contract_fixture.shrink_to_budget(method)
    said = f"{type(method).__name__}, {contract_fixture.describe_origin(method)}"
    if changed:
        said += f"; made small here: {', '.join(changed)}"
    yield CheckedStep(contract.IMPORTS, said, "")
    variant = name.rsplit(":", 1)[-1]
    fixture = contract_fixture.ContractFixture(method=method, variant=variant, task=task)
    for step, found, what_to_do in contract.run_checks(fixture):
        yield CheckedStep(step, found, what_to_do)


def choose_task(method: Method, clusters: Mapping[str, str]) -> Task:
    """Choose the task that a method is tried on: of its own kind, else of the kind that is named, else photographs.

    Args:
        method: What is tried.
        clusters: As in `check_method`.

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
