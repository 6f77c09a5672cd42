"""Writes the stored trials of a suite to one small file: a table of numbers, or curves and a few pictures as well."""

from __future__ import annotations

import pathlib
from typing import NamedTuple

from bench.errors import UsageError
from bench.metrics.task_kinds import kind_of
from bench.report.images import image_grid
from bench.storage import archive, archived_pictures, number_tables
from bench.storage.store import Store
from bench.storage.trial_reader import read_whole_views
from bench.suites import selection
from bench.suites.selection import Selection
from tasks.task import Task


class SuiteArchive(NamedTuple):
    """A file that was written.

    Attributes:
        path: Where it lies.
        num_trials: Trials that it holds.
    """

    path: pathlib.Path
    num_trials: int


def write_suite_archive(
    chosen: Selection, trials_store: Store, folder: pathlib.Path, *, as_numbers: bool = False
) -> SuiteArchive:
    """Write the stored trials of a suite to a file named after it; one of that name is replaced.

    Args:
        chosen: Trials; those that are not stored are left out.
        trials_store: Store that holds the trials.
        folder: Folder of the file.
        as_numbers: Whether to write a table of numbers (Parquet), without curves and pictures.

    Raises:
        UsageError: None of the trials is stored.
    """
    trials = {trial.id: trial for trial in chosen.trials}
    stored = set(trials_store.ids())
    ids = [trial_id for trial_id in trials if trial_id in stored]
    if not ids:
        name = chosen.suite.name
        raise UsageError(f"archive: expected trials of {name} in {trials_store.root}, got none; run it first")
    path = folder / f"{selection.study_name(chosen)}{number_tables.END if as_numbers else archive.END}"
    if as_numbers:
        numbers = {trial_id: (trials_store.read(trial_id), trials_store.scores(trial_id)) for trial_id in ids}
        number_tables.write_numbers(path, numbers)
    else:
        files = {trial_id: collect_files(trials_store, trial_id, trials[trial_id].task) for trial_id in ids}
        archive.write_archive(path, files)
    return SuiteArchive(path, len(ids))


def collect_files(trials_store: Store, trial_id: str, task: Task | None = None) -> dict[str, bytes]:
    """Collect the files of a trial that go into an archive; of a scene's views only the one that sheets show."""
    files = trials_store.texts(trial_id)
    has_pictures = any(name.endswith(".webp") for name in files)
    views = None if has_pictures else read_whole_views(trials_store, trial_id)
    if views is not None:
        if task is not None and kind_of(task).has_photographs:
            files |= archived_pictures.encode_views(views, (image_grid.find_middle_view(task.load()),), lossless=True)
        else:
            files |= archived_pictures.encode_views(views)
    return files
