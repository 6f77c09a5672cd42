"""Names the photographs of a user's scenes: which are trained on, and which are held out, by id and file."""

from __future__ import annotations

import pathlib
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from bench.counted_nouns import format_count
from bench.suites.suite import Table, TrialSlot
from bench.suites.trial import Trial
from tasks.task import NamedPhotos, Task

if TYPE_CHECKING:
    from bench.suites.selection import Selection

MOST_NAMES = 12
"""Photographs that a line names."""


def write_photograph_notes(table: Table, cells: Sequence[TrialSlot], trials: Sequence[Trial]) -> list[str]:
    """Say, a line each scene, which photographs of a user's folder its trials are trained on and scored on.

    Args:
        table: The table.
        cells: Places of trials in tables.
        trials: All chosen trials.
    """
    tasks = {trial.id: trial.task for trial in trials}
    scenes: dict[str, dict[str, NamedPhotos]] = {}
    for cell in cells:
        task = tasks.get(cell.trial_id)
        if cell.table == table.name and isinstance(task, NamedPhotos):
            scenes.setdefault(cell.cluster, {}).setdefault(cell.arm, task)
    return [describe_photographs(scene, by_arm) for scene, by_arm in scenes.items()]


def describe_photographs(scene: str, by_arm: Mapping[str, NamedPhotos]) -> str:
    """Name the photographs of one scene, those of arms that are trained on others apart.

    Args:
        scene: Its name.
        by_arm: The scene's task in each arm of a table.
    """
    arms: dict[tuple[int, ...], list[str]] = {}
    tasks: dict[tuple[int, ...], NamedPhotos] = {}
    for arm, task in by_arm.items():
        ids = tuple(task.trained_photos())
        arms.setdefault(ids, []).append(arm)
        tasks.setdefault(ids, task)
    parts = []
    for ids, task in tasks.items():
        where = f" ({' · '.join(arms[ids])})" if len(arms) > 1 else ""
        parts.append(f"trained on {format_count(len(ids), 'photo')}{where}: {list_photos(task.trained_photos())}")
    task = next(iter(tasks.values()))
    shapes = task.layout()
    original = task.original_photos()
    parts.append(f"{shapes.num_test} held out: {list_photos(task.held_out_photos())}")
    parts.append(f"all at {shapes.width} x {shapes.height} px of {original.width} x {original.height}")
    if original.num_absent:
        parts.append(f"{format_count(original.num_absent, 'listed frame')} without a photo left out")
    return f"{scene}: {'; '.join(parts)}"


def name_views(table: Table, chosen: Selection) -> dict[str, dict[str, str]]:
    """Name the held-out photographs of a table's scenes: by scene and id, as `TableResult.view_names` holds them."""
    tasks = {trial.id: trial.task for trial in chosen.trials}
    found: dict[str, dict[str, str]] = {}
    for cell in chosen.cells:
        if cell.table == table.name and cell.cluster not in found and cell.trial_id in tasks:
            named = name_held_out(tasks[cell.trial_id])
            found[cell.cluster] = {str(number): name for number, name in named.items()}
    return {cluster: names for cluster, names in found.items() if names}


def name_held_out(task: Task) -> dict[int, str]:
    """Name the photographs that a task holds out, by id; empty where they are no files."""
    return task.held_out_photos() if isinstance(task, NamedPhotos) else {}


def name_view(number: int, names: Mapping[int, str]) -> str:
    """Name a view by its id, and by its photograph's file where there is one.

    Example:
        >>> name_view(9, {9: "images/0010.jpg"}), name_view(9, {})
        ('9 (0010.jpg)', '9')
    """
    return f"{number} ({pathlib.PurePosixPath(names[number]).name})" if number in names else str(number)


def list_photos(photos: Mapping[int, str]) -> str:
    """List ids with files, the first few.

    Example:
        >>> list_photos({26: "images/0027.jpg", 3: "images/0004.jpg"})
        '26 images/0027.jpg, 3 images/0004.jpg'
    """
    named = [f"{number} {name}" for number, name in photos.items()]
    more = f" and {len(named) - MOST_NAMES} more" if len(named) > MOST_NAMES else ""
    return ", ".join(named[:MOST_NAMES]) + more
