"""Decides what a method is tried on before it is trusted: how it is imported, and which of its sizes are made small.

A check takes seconds, whatever a method is meant for: it takes `NUM_STEPS` gradient steps at budget `smoke`, and sizes
that are written down in the method are brought down to that budget's.
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

from bench.errors import UsageError
from bench.import_paths import OURS, ROOT
from bench.storage.record import Outcome, Record
from bench.storage.store import Store
from bench.suites import code_version, identity, registry
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
"""Of a message that is somebody else's: JAX writes whole programs into some."""


class ContractError(Exception):
    """A step of the contract that a method does not keep; the message says what to do."""


class ReloadedTrial(NamedTuple):
    """What a store gives back of a trial."""

    record: Record
    parameters: dict[str, np.ndarray]
    views: dict[str, np.ndarray]
    scores: dict[str, dict[str, Any]]


@dataclasses.dataclass(frozen=True, kw_only=True)
class ContractFixture:
    """A method on a task, made small.

    Attributes:
        method: As it is to be tried, see `cut`.
        variant: Its short name.
        task: A task of its kind.
    """

    method: Method
    variant: str
    task: Task

    def trial(self, seed: int) -> Trial:
        """A trial of few steps at budget `smoke`."""
        method = dataclasses.replace(self.method, num_steps=NUM_STEPS)
        return Trial(task=self.task, method=method, budget=BUDGETS["smoke"], seed=seed, variant=self.variant)

    def pack(self, *seeds: int) -> Pack:
        """A pack of such trials."""
        trials = tuple(self.trial(seed) for seed in seeds)
        return Pack(trials=trials, key=program_key(trials[0]))

    @functools.cached_property
    def outcome(self) -> Outcome:
        """What its first trial leaves, trained alone; several steps look at it."""
        return trainer.train(self.pack(0), PROTOCOLS, lambda progress: None)[0]

    @functools.cached_property
    def stored(self) -> ReloadedTrial:
        """The same after it went through a store."""
        with tempfile.TemporaryDirectory() as folder:
            trial_id = Store.open(folder).write(self.outcome).name
            again = Store.open(folder)
            if again.set_aside:
                raise ContractError(
                    f"its record cannot be read again: {again.set_aside[0]}; keep plain values in fields"
                )
            arrays = again.parameters(trial_id), again.views(trial_id)
            return ReloadedTrial(again.read(trial_id), *arrays, again.scores(trial_id))


def imported(name: str, recipe: str = "nerf") -> Method:
    """The method of a name, as `bench.suites.registry.variant` knows it.

    Raises:
        Broken: It cannot be imported or made; says in which line, and where modules were looked for.
    """
    try:
        return registry.variant(name, recipe)
    except UsageError as error:
        cause = error.__cause__ or error.__context__ or error
        raise ContractError(f"{error}{line_of(cause)}; {looked_in()}") from error
    except Exception as error:  # a user's code may raise anything
        said = one_line_error(error)
        if isinstance(error, TypeError) and not line_of(error):
            raise ContractError(f"{name}: {said}; it is made without arguments: give every field a default") from error
        raise ContractError(f"{name}: {said}; correct that line; {looked_in()}") from error


def shrink_to_budget(method: Method, budget: Budget = BUDGETS["smoke"]) -> tuple[Method, list[str]]:
    """A method with the sizes that are written down in it brought down to a budget's, each as far as it takes them.

    Its network stays as it is. A guide that does not come with the project becomes one that does.

    Returns:
        The method, and what was changed, in words.
    """
    said = []
    for field in dataclasses.fields(method):
        name, now = field.metadata.get("budget", field.name), getattr(method, field.name)
        small = NUM_STEPS if field.name == "num_steps" else getattr(budget, name, None)
        if isinstance(now, bool) or field.metadata.get("number"):
            continue
        is_larger = isinstance(now, int) and isinstance(small, int) and now > small
        is_far = name in ("encoder", "guide") and isinstance(now, str) and now not in catalog.EMBEDDED
        if not (is_larger or is_far):
            continue
        try:
            method = dataclasses.replace(method, **{field.name: small})
        except Exception:  # out of its range: a user's code may raise anything
            continue
        said.append(f"{field.name} {small} instead of {now}")
    return method, said


def origin(method: Method) -> str:
    """Where a method's code lies: files of a user's, as seen from here, or the project."""
    files = {
        str(path): None
        for name in identity.user_modules(method)
        for path in code_version.files_of(name).values()
        if path.read_bytes().strip()  # an empty __init__.py says nothing
    }
    return ", ".join(seen_from_here(file) for file in files) or "the project's own"


# ---- what somebody else's exception says -----------------------------------------------------------------------------


def one_line_error(error: BaseException) -> str:
    """An exception on one line, with the last line of a user's code that it went through."""
    text = " ".join(str(error.msg if isinstance(error, SyntaxError) else error).split())
    text = text if len(text) <= MOST_LETTERS else f"{text[:MOST_LETTERS]} ..."
    return f"{type(error).__name__}: {text}{line_of(error)}"


def line_of(error: BaseException) -> str:
    """The last line of a user's code that an exception went through, in brackets; empty if it went through none."""
    if isinstance(error, SyntaxError) and error.filename:
        return f" ({seen_from_here(error.filename)}, line {error.lineno})"
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if is_of_a_user(frame.filename)]
    return f" ({seen_from_here(frames[-1].filename)}, line {frames[-1].lineno})" if frames else ""


def is_of_a_user(filename: str) -> bool:
    """Whether a file is neither ours nor of Python nor installed."""
    path = pathlib.Path(filename)
    if filename.startswith("<") or set(code_version.INSTALLED) & set(path.parts):
        return False
    places = [ROOT / name for name in OURS] + [pathlib.Path(sysconfig.get_path("stdlib"))]
    return not any(path.is_relative_to(place) for place in places)


def looked_in() -> str:
    """Where modules are looked for, besides what is installed."""
    places = [entry or os.getcwd() for entry in sys.path]
    shown = [place for place in dict.fromkeys(places) if pathlib.Path(place).is_dir() and is_of_a_user(place)]
    return f"on the path: {', '.join(shown)}, and what is installed"


def seen_from_here(filename: str) -> str:
    """A file's path, from the current folder if it lies below it."""
    path, here = pathlib.Path(filename), pathlib.Path.cwd()
    return str(path.relative_to(here)) if path.is_relative_to(here) else filename
