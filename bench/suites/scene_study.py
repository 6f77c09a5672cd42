"""Puts a suite of photographs on scenes in a user's folders, for the option `--scenes`.

Only the scenes that `--only scene=...` leaves are opened. What a suite does with them is its own: see
`tables_of_folders` of `bench.suites.suite.Suite`.
"""

from __future__ import annotations

import dataclasses
import hashlib
import pathlib
from collections.abc import Sequence

from bench.errors import UsageError
from bench.suites import overrides, registry
from bench.suites.captured_arms import fit_to_surroundings
from bench.suites.option_syntax import parse_condition, split_known_names
from bench.suites.suite import Suite, Table, base_name
from bench.suites.variant_names import folder_safe
from tasks.budgets import Budget
from tasks.sparse_views import scene_folders
from tasks.task import FolderScene, PhotoExtent, Task

MAX_LABEL = 40
"""Letters that names of scenes may take in the name of a report's folder; longer ones become a number and a hash."""


def put_on_folders(suite: Suite, budget: Budget, text: str, conditions: Sequence[str] = ()) -> Suite:
    """Return a suite whose tables at a budget are on a user's scenes.

    Args:
        suite: A suite of photographs.
        budget: The budget.
        text: Folders with commas between, each a scene or a folder of scenes.
        conditions: As `--only` has them; those of scenes decide which folders are opened.

    Raises:
        UsageError: The suite starts from captions; a folder is no scene; an unknown scene in a condition.
    """
    if suite.tables_of_folders is None:
        known = ", ".join(name for name in registry.SUITES if registry.suite(name).tables_of_folders is not None)
        raise UsageError(
            f"--scenes: expected a suite that starts from photographs ({known}), got {suite.name}; choose one of them, "
            "or leave --scenes out"
        )
    folders = choose_folders(text, conditions)
    tasks = tuple(scene_folders.open_scene(folder) for folder in folders.values())
    tables = suite.tables_of_folders(base_name(budget), tasks)
    return dataclasses.replace(suite, tables={base_name(budget): tables}, folders=tuple(folders))


def choose_folders(text: str, conditions: Sequence[str] = ()) -> dict[str, pathlib.Path]:
    """Find the folders that a text names, by scene, and keep those that conditions on scenes leave.

    Raises:
        UsageError: A folder is no scene, two have one name, or a condition names none of them.
    """
    found: list[pathlib.Path] = []
    for path in split_paths(text):
        found += scene_folders.find_scene_folders(path)
    folders = scene_folders.name_scenes(found)
    kept = dict(folders)
    for condition in conditions:
        key, text = parse_condition(condition)
        if key != "scene":
            continue
        wanted = split_known_names(text, folders)
        for word in wanted:
            if word not in folders:
                overrides.refuse_value(condition, key, word, folders)
        kept = {name: folder for name, folder in kept.items() if name in wanted}
    if not kept:
        raise UsageError(
            f"--only {' --only '.join(conditions)}: expected conditions that some scene meets together, got none; "
            "for one or the other write --only scene=A,B"
        )
    return kept


def split_paths(text: str) -> list[pathlib.Path]:
    """Split the text of `--scenes` at commas, unless the whole of it is a folder.

    Example:
        >>> [str(path) for path in split_paths("scans/lego, scans/ship")]
        ['scans/lego', 'scans/ship']
    """
    if pathlib.Path(text).expanduser().is_dir():
        return [pathlib.Path(text)]
    paths = [pathlib.Path(part.strip()) for part in text.split(",") if part.strip()]
    if not paths:
        raise UsageError(f"--scenes: expected folders with commas between, got {text!r}; name one")
    return paths


def fit_to_photographs(suite: Suite, budget: Budget) -> Suite:
    """Return a suite on a user's scenes whose sizes and arms fit them; one on its own scenes as it is.

    Photographs are made smaller only: where a budget's are larger than a scene's own, these keep their size.

    Raises:
        UsageError: A scene has fewer photographs than are asked for.
    """
    if not suite.folders:
        return suite
    extents: dict[str, PhotoExtent] = {}  # a look at hundreds of photographs takes a while, and tables share scenes
    tables = tuple(fit_to_surroundings(fit_table(table, budget, extents)) for table in suite.tables_at(budget))
    return dataclasses.replace(suite, tables={base_name(budget): tables})


def fit_table(table: Table, budget: Budget, extents: dict[str, PhotoExtent]) -> Table:
    """Check that a table's scenes have the photographs that its arms ask for, and fit their sizes.

    Args:
        table: The table.
        budget: The budget.
        extents: What scenes hold, by name; those that are asked for first are added.
    """
    tasks: list[Task] = []
    for task in table.tasks:
        assert isinstance(task, FolderScene), f"{task.name}: a suite on folders has other tasks"
        if task.cluster not in extents:
            extents[task.cluster] = task.extent()
        extent = extents[task.cluster]
        for arm in table.arms.values():
            check_enough_photographs(arm.changed_task(task), extent.num_train)
        if task.image_px is None and budget.image_px > extent.image_px:
            task = dataclasses.replace(task, image_px=extent.image_px)  # type: ignore[type-var]
        tasks.append(task)
    return dataclasses.replace(table, tasks=tuple(tasks))


def check_enough_photographs(task: Task, num_train: int) -> None:
    """Refuse a task that asks for more training photographs than its scene has.

    Raises:
        UsageError: It does; with both numbers.
    """
    if task.num_views > num_train:
        raise UsageError(
            f"scene {task.cluster}: expected at least {task.num_views} training photographs, got {num_train}; "
            f"write --set task.num_views={num_train}, or leave the scene out with --only scene=..."
        )


def label_folders(names: Sequence[str]) -> str:
    """Name a user's scenes in the name of a folder.

    Example:
        >>> label_folders(["lego", "ship"])
        'lego+ship'
        >>> label_folders([f"scan{i}" for i in range(12)])
        '12-scenes-c6a194'
    """
    joined = "+".join(names)
    safe = folder_safe(joined)
    if safe == joined and len(safe) <= MAX_LABEL:
        return safe
    digest = hashlib.sha256(joined.encode()).hexdigest()[:6]
    return f"{len(names)}-scenes-{digest}" if len(names) > 1 else f"{safe[:MAX_LABEL]}-{digest}"
