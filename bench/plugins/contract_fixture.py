"""Imports a user's method and makes it small, so that the contract can be checked in seconds.

A check takes `NUM_STEPS` gradient steps at budget `smoke`. Sizes that the method sets itself are reduced to that
budget's.
"""

from __future__ import annotations

import dataclasses
import functools
import os
import pathlib
import sys
import sysconfig
import tempfile
import traceback
from typing import Any, NamedTuple

import numpy as np

from bench.errors import PluginError, UsageError
from bench.import_paths import OURS, ROOT
from bench.storage.record import Outcome, Record
from bench.storage.store import Store
from bench.suites import code_version, constants, identity, registry
from bench.suites.trial import Trial
from bench.training import trainer
from bench.training.packing import Pack, program_key
from models.clip.checkpoints import catalog
from models.method import Method
from tasks.budgets import BUDGETS, Budget
from tasks.task import Task

NUM_STEPS = 2

PROTOCOLS = ("std-v1",)

MOST_LETTERS = 400
"""Letters that are shown of a message of somebody else's: JAX writes whole programs into some."""


class ContractError(Exception):
    """A step of the contract that a method does not keep; the message says what to do."""


class ReloadedTrial(NamedTuple):
    """A trial as a store returns it."""

    record: Record
    parameters: dict[str, np.ndarray]
    views: dict[str, np.ndarray]
    scores: dict[str, dict[str, Any]]


@dataclasses.dataclass(frozen=True, kw_only=True)
class ContractFixture:
    """A method on a task, made small.

    Attributes:
        method: The method, as `shrink_to_budget` returns it.
        variant: Its short name.
        task: A task of its kind.
    """

    method: Method
    variant: str
    task: Task

    def trial(self, seed: int) -> Trial:
        """Make a trial of few steps at budget `smoke`."""
        method = dataclasses.replace(self.method, num_steps=NUM_STEPS)
        return Trial(task=self.task, method=method, budget=BUDGETS["smoke"], seed=seed, variant=self.variant)

    def pack(self, *seeds: int) -> Pack:
        """Make a pack of such trials."""
        trials = tuple(self.trial(seed) for seed in seeds)
        return Pack(trials=trials, key=program_key(trials[0]))

    @functools.cached_property
    def outcome(self) -> Outcome:
        """Train its first trial alone, once for all steps that look at the outcome."""
        return trainer.train(self.pack(0), PROTOCOLS, lambda progress: None)[0]

    @functools.cached_property
    def reloaded(self) -> ReloadedTrial:
        """Write the outcome to a store and read it again."""
        with tempfile.TemporaryDirectory() as folder:
            trial_id = Store.open(folder).write(self.outcome).name
            again = Store.open(folder)
            if again.set_aside:
                raise ContractError(
                    f"its record cannot be read again: {again.set_aside[0]}; keep plain values in fields"
                )
            return ReloadedTrial(
                record=again.read(trial_id),
                parameters=again.parameters(trial_id),
                views=again.views(trial_id),
                scores=again.scores(trial_id),
            )


def import_method(name: str, recipe: str = "nerf") -> Method:
    """Import the method of a name, as `bench.suites.registry.variant` does.

    Raises:
        ContractError: It cannot be imported or made; the message names the line and the folders that were searched.
    """
    try:
        try:
            return registry.variant(name, recipe)
        except PluginError as error:  # says it in the words of other verbs
            raise error.__cause__ or error from None
    except UsageError as error:
        cause = error.__cause__ or error.__context__ or error
        raise ContractError(f"{error}{line_of(cause)}; {describe_search_path()}") from error
    except Exception as error:  # a user's code may raise anything
        text = one_line_error(error)
        if isinstance(error, TypeError) and not line_of(error):
            raise ContractError(f"{name}: {text}; it is made without arguments: give every field a default") from error
        raise ContractError(f"{name}: {text}; correct that line; {describe_search_path()}") from error


def shrink_to_budget(method: Method, budget: Budget = BUDGETS["smoke"]) -> tuple[Method, list[str]]:
    """Return a copy of a method whose explicit sizes are a budget's, except those that its validation refuses.

    Its network is unchanged. An encoder that does not come with the project is replaced by one that does.

    Returns:
        The method, and a line for each field that was changed.
    """
    changes = []
    for field in dataclasses.fields(method):
        name = field.metadata.get("budget", field.name)
        now = getattr(method, field.name)
        small = NUM_STEPS if field.name == "num_steps" else getattr(budget, name, None)
        if isinstance(now, bool) or field.metadata.get("hyperparameter"):
            continue
        is_larger = isinstance(now, int) and isinstance(small, int) and now > small
        is_far = name in ("encoder", "guide") and isinstance(now, str) and now not in catalog.EMBEDDED
        if not (is_larger or is_far):
            continue
        try:
            method = dataclasses.replace(method, **{field.name: small})
        except Exception:  # out of its range: a user's code may raise anything
            continue
        changes.append(f"{field.name} {small} instead of {now}")
    return method, changes


def describe_origin(method: Method) -> str:
    """Name the files of a user's that a method's code lies in, or say that it is the project's own."""
    shown: dict[str, None] = {}
    for name in identity.user_modules(method):
        for path in code_version.source_files(name).values():
            if path.read_bytes().strip():  # an empty __init__.py says nothing
                shown[relative_path(str(path))] = None
    return ", ".join(shown) or "the project's own"


# ---- exceptions of a user's code -------------------------------------------------------------------------------------


def one_line_error(error: BaseException) -> str:
    """Describe an exception on one line, with the last line of a user's code that it went through."""
    message = error.msg if isinstance(error, SyntaxError) else error
    text = " ".join(str(message).split())
    if len(text) > MOST_LETTERS:
        text = f"{text[:MOST_LETTERS]} ..."
    return f"{type(error).__name__}: {text}{line_of(error)}"


def line_of(error: BaseException) -> str:
    """Name the last line of a user's code that an exception went through, in brackets; empty if there is none."""
    if isinstance(error, SyntaxError) and error.filename:
        return f" ({relative_path(error.filename)}, line {error.lineno})"
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if is_of_a_user(frame.filename)]
    return f" ({relative_path(frames[-1].filename)}, line {frames[-1].lineno})" if frames else ""


def is_of_a_user(filename: str) -> bool:
    """Tell whether a file is neither ours nor of Python nor installed."""
    path = pathlib.Path(filename)
    if filename.startswith("<") or constants.is_installed(path):
        return False
    places = [ROOT / name for name in OURS] + [pathlib.Path(sysconfig.get_path("stdlib"))]
    return not any(path.is_relative_to(place) for place in places)


def describe_search_path() -> str:
    """Name the folders in which modules are looked for, besides installed packages."""
    places = [entry or os.getcwd() for entry in sys.path]
    shown = [place for place in dict.fromkeys(places) if pathlib.Path(place).is_dir() and is_of_a_user(place)]
    return f"on the path: {', '.join(shown)}, and what is installed"


def relative_path(filename: str) -> str:
    """Return a file's path relative to the current folder, if it lies below that."""
    path = pathlib.Path(filename)
    here = pathlib.Path.cwd()
    return str(path.relative_to(here)) if path.is_relative_to(here) else filename
