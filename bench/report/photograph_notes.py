"""Names the photographs of a user's scenes: which are trained on, and which are held out, by id and file."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from bench.report.tables.words import format_count
from bench.suites.suite import Table, TrialSlot
from bench.suites.trial import Trial
from tasks.task import NamedPhotos

MOST_NAMES = 12
"""Photographs that a line names."""


def photograph_notes(table: Table, cells: Sequence[TrialSlot], trials: Sequence[Trial]) -> list[str]:
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
    parts.append(f"{shapes.num_test} held out: {list_photos(task.held_out_photos())}")
    return f"{scene}: {'; '.join(parts)}; all at {shapes.width} x {shapes.height} px"


def list_photos(photos: Mapping[int, str]) -> str:
    """List ids with files, the first few.

    Example:
        >>> list_photos({26: "images/0027.jpg", 3: "images/0004.jpg"})
        '26 images/0027.jpg, 3 images/0004.jpg'
    """
    named = [f"{number} {name}" for number, name in photos.items()]
    more = f" and {len(named) - MOST_NAMES} more" if len(named) > MOST_NAMES else ""
    return ", ".join(named[:MOST_NAMES]) + more
