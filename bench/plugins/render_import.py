"""Imports the renders of another program: finds, checks, scores and stores them, scene by scene.

How one scene's images become a trial is decided in `bench.plugins.imported_renders`.
"""

from __future__ import annotations

import dataclasses
import pathlib
import shlex
import sys
from collections.abc import Iterator
from typing import Any, NamedTuple

from bench.plugins import imported_renders, render_files
from bench.plugins.imported_renders import ImportedImages, ImportRequest
from bench.plugins.render_files import Files
from bench.storage.store import Store
from bench.suites.trial import Trial
from bench.training import run_suite
from tasks.budgets import Budget
from tasks.sparse_views import embedded
from tasks.task import Task


@dataclasses.dataclass(frozen=True, kw_only=True)
class ImportOptions:
    """A user's words about renders.

    Attributes:
        renders: A folder of images, or an archive of one.
        task: `SUITE`, `SUITE:SCENE`, `captions` or `captions:CAPTION`.
        name: Name of the method in tables.
        budget: Budget whose sizes the images have.
        num_views: Photographs that the method saw; None for as many as in the suite.
        seed: Which repetition it is.
        captions: Set of the captions of `captions:`.
        scenes: Folders of photographs in place of the suite's scenes, with commas between; None for the suite's own.
    """

    renders: pathlib.Path
    task: str
    name: str
    budget: Budget
    num_views: int | None = None
    seed: int = 0
    captions: str = "closed-world"
    scenes: str | None = None

    def next_command(self, results: pathlib.Path) -> str:
        """Write the command that compares the renders with baselines."""
        kind = self.task.partition(":")[0]
        suite = imported_renders.SUITE_OF_CAPTIONS if kind == imported_renders.CAPTIONS else kind
        words = [f"python -m bench compare {self.name} --suite {suite} --budget {self.budget.name}"]
        words += [f"--scenes {shlex.quote(self.scenes)}"] if self.scenes else []
        return " ".join([*words, f"--results {results}"])


class ImportedTrial(NamedTuple):
    """A trial of imported renders, as it lies in the store.

    Attributes:
        trial_id: Its id.
        stored: Whether it was stored now or before.
        num_views: Number of its images.
        means: By protocol and metric, the mean over views; None where a number is missing.
    """

    trial_id: str
    stored: str
    num_views: int
    means: dict[str, dict[str, float | None]]


def import_renders(options: ImportOptions, trials_store: Store) -> Iterator[ImportedTrial]:
    """Check all names, then read, score and store scene by scene.

    Args:
        options: What is imported.
        trials_store: Where it is stored; what is stored already is found.

    Raises:
        UsageError: A name that is taken, or images that do not fit their task.
    """
    wanted = imported_renders.find_tasks(
        options.task, options.budget, options.num_views, options.captions, options.scenes
    )
    imported_renders.check_free_name(options.name, list(trials_store.records()), wanted.arms)
    of_folders = match_folders(options, wanted)
    run_suite.check_scorers(task for task, _ in of_folders.values())
    with trials_store.lock():
        for folder, (task, files) in of_folders.items():
            embedded.prepare_all([task])
            where = str(options.renders) if wanted.chosen is not None else f"{options.renders}, {folder}"
            found = imported_renders.read_images(task, files, where)
            for note in found.notes:
                print(f"warning: {note}", file=sys.stderr)
            trial = imported_renders.make_imported_trial(task, found, options.name, options.budget, options.seed)
            yield store_images(trial, found, wanted.protocols, trials_store)


def match_folders(options: ImportOptions, wanted: ImportRequest) -> dict[str, tuple[Task, Files]]:
    """Match tasks with their images, by the name of a folder; say which scenes have none."""
    files = render_files.find_files(options.renders)
    if wanted.chosen is not None:
        others = [name for name in wanted.tasks if name != wanted.chosen]
        images = render_files.select_scene(files, wanted.chosen, others, options.renders)
        return {wanted.chosen: (wanted.tasks[wanted.chosen], images)}
    found = render_files.select_scenes(files, list(wanted.tasks), options.renders)
    without = [task.cluster for name, task in wanted.tasks.items() if name not in found]
    if without and not options.task.startswith(imported_renders.CAPTIONS):
        print(f"no renders of {', '.join(without)}: they will be missing in tables", file=sys.stderr)
    return {name: (wanted.tasks[name], images) for name, images in found.items()}


def store_images(trial: Trial, found: ImportedImages, protocols: tuple[str, ...], trials_store: Store) -> ImportedTrial:
    """Store a trial, or find it stored and make those scores again that are of another version."""
    imported_renders.check_not_replaced(trial, trials_store)
    is_new = not trials_store.finished(trial.id)
    if is_new:
        trials_store.write(imported_renders.imported_outcome(trial, found, protocols))
    else:
        old = imported_renders.outdated_protocols(trial, trials_store, protocols)
        for name, scores in imported_renders.scores_of(trial, found.views, old).items():
            trials_store.write_scores(trial.id, name, scores)
    means = {name: mean_scores(scores) for name, scores in trials_store.scores(trial.id).items()}
    return ImportedTrial(trial.id, "now" if is_new else "before", len(found.views["ids"]), means)


def mean_scores(scores: dict[str, Any]) -> dict[str, float | None]:
    """Average every metric over views; None where a number is missing.

    Example:
        >>> mean_scores({"per_view": {"psnr": [20.0, 22.0], "ssim": [0.5, None]}})
        {'psnr': 21.0, 'ssim': None}
    """
    means: dict[str, float | None] = {}
    for metric, values in scores["per_view"].items():
        means[metric] = None if None in values else sum(values) / len(values)
    return means
