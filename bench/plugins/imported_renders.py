"""Makes trials of renders from other programs: reads the images, puts them on the task's background, and scores them.

Such a trial has the user's name in place of a variant, and the task, budget and seed of a trained trial, so that it can
be compared with trained ones. Nothing was trained: there are no curves, parameters or timings.

n: views, h and w: pixels of a view.
"""

from __future__ import annotations

import dataclasses
import hashlib
import re
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float, Shaped

from bench.errors import UsageError, nearest
from bench.metrics.task_kinds import kind_of
from bench.plugins import render_files
from bench.plugins.render_files import Files
from bench.storage import record
from bench.storage.record import Outcome, Record
from bench.storage.store import Store
from bench.storage.trial_ids import match_trial_ids
from bench.suites import registry, scene_study
from bench.suites.identity import describe
from bench.suites.registered_types import registered
from bench.suites.trial import Trial
from models.method import Method
from tasks.budgets import BUDGETS, Budget, sized
from tasks.captions import unlisted
from tasks.captions.caption_sets import normalized
from tasks.captions.caption_task import tasks_of
from tasks.task import SceneData, Task, composite

CAPTIONS = "captions"
"""Name that `--task` has for captions of any set."""

SUITE_OF_CAPTIONS = "text-to-3d"
"""The suite whose protocols score them."""

OTHER_GREY = 0.5
"""Renders whose empty parts differ by more than this from the task's background are reported."""


def _nothing(self: Any, *arguments: Any, **named: Any) -> Any:
    """Stand for every function of a method."""
    raise UsageError("imported renders: expected a method that was trained here, got images of another program's")


@dataclasses.dataclass(frozen=True, kw_only=True)
class ImportedRenders(Method):
    """A method in name only, for images that another program made.

    Attributes:
        num_steps: Always 0: no steps were taken here.
        files: A hash of the images, by view.
    """

    num_steps: int | None = 0
    files: str

    prepare = init = loss = optimizer = render = field_at = _nothing


def is_imported(stored: Record) -> bool:
    """Tell whether a record is of imported renders."""
    name, _, _ = stored.identity.get("method", {}).get("type", "").partition("/")
    return name == getattr(registered(ImportedRenders), "name", None)


# ---- tasks -----------------------------------------------------------------------------------------------------------


class ImportRequest(NamedTuple):
    """The tasks that renders may be of.

    Attributes:
        chosen: The one task that was named; None where folders name the tasks.
        tasks: Tasks by the name of the folder that holds their images.
        protocols: Names of the protocols that score them.
        arms: Names that arms and variants of the suite have already.
    """

    chosen: str | None
    tasks: dict[str, Task]
    protocols: tuple[str, ...]
    arms: frozenset[str]


def find_tasks(
    text: str,
    budget: Budget,
    num_views: int | None = None,
    caption_set: str = "closed-world",
    scenes: str | None = None,
) -> ImportRequest:
    """Find the tasks that `--task` names.

    Args:
        text: `SUITE:SCENE`, `SUITE:CAPTION`, `captions:CAPTION`, or only the part before the colon.
        budget: The budget that sets the sizes of the tasks.
        num_views: Number of photographs that the method saw, if not that of the suite.
        caption_set: The set that `captions:` means.
        scenes: Folders of a user's photographs, in place of the suite's scenes.

    Raises:
        UsageError: There is no such suite, scene or caption.

    Example:
        >>> found = find_tasks("sparse-views:kettle", BUDGETS["smoke"])
        >>> found.chosen, found.tasks["kettle"].name, found.protocols
        ('kettle', 'kettle__3v', ('std-v1',))
    """
    kind, _, name = text.partition(":")
    if kind not in (*registry.SUITES, CAPTIONS):
        known = (*registry.SUITES, CAPTIONS)
        raise UsageError(f"--task: expected SUITE:SCENE or captions:CAPTION, got {text!r}; {nearest(kind, known)}")
    suite = registry.suite(SUITE_OF_CAPTIONS if kind == CAPTIONS else kind)
    if scenes is not None:
        only = (f"scene={name}",) if name in scene_study.choose_folders(scenes) else ()
        suite = scene_study.fit_to_photographs(scene_study.put_on_folders(suite, budget, scenes, only), budget)
    tables = suite.tables_at(budget)
    of_suite = [task for table in tables for task in table.tasks]
    unlisted.check_listed(of_suite)
    by_folder: dict[str, Task] = {}
    for task in tasks_of(caption_set) if kind == CAPTIONS else of_suite:
        by_folder.setdefault(kind_of(task).folder_name(task), sized(_with_views(task, num_views), budget))
    chosen = _find_folder(name, by_folder, kind) if name else None
    arms: set[str] = set()
    for table in tables:
        for label, arm in table.arms.items():
            arms.update((label, arm.variant))
    return ImportRequest(chosen, by_folder, suite.protocols_at(budget), frozenset(arms))


def _with_views(task: Task, num_views: int | None) -> Task:
    if num_views is None:
        return task
    kind = kind_of(task)
    if not kind.has_photographs:
        raise UsageError(
            f"--num-views: expected none where a method starts from a {kind.noun}, got {num_views}; leave it out"
        )
    return dataclasses.replace(task, num_views=num_views)  # type: ignore[type-var]


def _find_folder(name: str, tasks: Mapping[str, Task], kind: str) -> str:
    """Find the folder's name of a task by its scene or caption."""
    folders = {normalized(task.cluster): folder for folder, task in tasks.items()}
    folders |= {folder: folder for folder in tasks}
    if normalized(name) in folders:
        return folders[normalized(name)]
    if name in folders:
        return name
    known = [task.cluster for task in tasks.values()]
    raise UsageError(
        f"--task {kind}:{name}: expected a scene or caption of {kind}, got {name!r}; {nearest(name, known)}"
    )


def check_free_name(name: str, stored: Sequence[Record], arms: frozenset[str] = frozenset()) -> None:
    """Refuse a name that cannot be a part of a folder's name, or that something else has.

    Args:
        name: Name of the renders.
        stored: Records that may have it.
        arms: Names of a suite's arms.
    """
    if not re.fullmatch(r"[A-Za-z0-9](?:[A-Za-z0-9.-]|_(?!_)){0,62}(?<![_.])", name):
        raise UsageError(
            f"--name: expected letters, digits, single underscores, dots and dashes, got {name!r}; try my-nerf"
        )
    if name in {*registry.VARIANTS, *registry.entry_points(), *arms}:
        raise UsageError(f"--name: expected a name of your own, got {name!r}, which a variant has; try my-{name}")
    if any(known.variant == name and not is_imported(known) for known in stored):
        raise UsageError(f"--name: expected a name of your own, got {name!r}, which trained trials have; try my-{name}")


def refuse_export(start: str, trials_store: Store) -> None:
    """Refuse to export a trial of imported renders.

    Args:
        start: An id, its start, or a part of it.
        trials_store: The store of the trials.

    Raises:
        UsageError: Such a trial is meant.
    """
    meant = match_trial_ids(start, trials_store.ids())
    for known in map(trials_store.read, meant):
        if is_imported(known):
            raise UsageError(
                f"export: expected a trial that was trained here, got {known.trial_id}, whose images were imported: it "
                "has no parameters to make a video or a mesh of; choose another, or take the images themselves"
            )


# ---- images ----------------------------------------------------------------------------------------------------------


class ImportedImages(NamedTuple):
    """The images of one task.

    Attributes:
        views: Views as a store keeps them; "opacity" only where the images have alpha.
        digest: A digest of the files, by view.
        notes: Notes for the user, a line each.
    """

    views: dict[str, Shaped[np.ndarray, "..."]]
    digest: str
    notes: tuple[str, ...]


def read_images(task: Task, files: Files, where: str) -> ImportedImages:
    """Read and check the images of a task.

    Args:
        task: The task, with the sizes of its budget.
        files: Images by name.
        where: The renders and the scene, for messages.

    Raises:
        UsageError: Views are missing or too many, or an image has the wrong size or format.
    """
    data = task.load()
    layout = task.layout()
    kind = kind_of(task)
    images = render_files.names_by_view(list(files), where)
    render_files.check_view_ids(list(images), data.test.ids, kind.needed_view_ids(data), where)
    ids = [i for i in data.test.ids if i in images]
    whole = hashlib.sha256()
    pictures = []
    for i in ids:
        content = files[images[i]]()
        name = f"{where}, {images[i]}"
        whole.update(f"{i} {hashlib.sha256(content).hexdigest()}\n".encode())
        try:
            pictures.append(render_files.decode_image(content, layout.height, layout.width, name))
        except UsageError as error:
            raise UsageError(f"{error}{_size_hint(str(error), task)}") from error
    with_alpha = [picture.values.shape[-1] == 4 for picture in pictures]
    if len(set(with_alpha)) > 1:
        odd = images[ids[with_alpha.index(not with_alpha[0])]]
        raise UsageError(
            f"{where}: expected all images with alpha or none, got both, {images[ids[0]]} and {odd}; save them alike"
        )
    if kind.needs_opacity and not with_alpha[0]:
        raise UsageError(
            f"{where}: expected images with alpha, got RGB; judges see objects before grey and before white: save RGBA"
        )
    values = np.stack([picture.values for picture in pictures])
    views = views_to_store(values, ids, kind.background(task))
    lossy = sum(picture.is_lossy for picture in pictures)
    notes = []
    if lossy:
        notes.append(f"{where}: {lossy} JPEGs; what their compression lost counts against them: save PNG")
    if kind.has_photographs and not with_alpha[0]:
        notes += note_other_background(data, views, where)
    return ImportedImages(views, whole.hexdigest(), tuple(notes))


def views_to_store(
    values: Float[np.ndarray, "n h w c"], ids: Sequence[int], background: float
) -> dict[str, Shaped[np.ndarray, "..."]]:
    """Make views as a trained trial stores them; without alpha, no opacity is stored.

    Example:
        >>> found = views_to_store(np.zeros((1, 2, 2, 4), np.float32), [7], background=1.0)
        >>> sorted(found), float(found["color"].min()), float(found["opacity"].max())
        (['color', 'ids', 'opacity'], 1.0, 0.0)
    """
    has_alpha = values.shape[-1] == 4
    color = composite(values, background) if has_alpha else values
    views: dict[str, np.ndarray] = {"color": color.astype(np.float16), "ids": np.asarray(ids, np.int32)}
    return views | {"opacity": values[..., 3].astype(np.float16)} if has_alpha else views


def note_other_background(data: SceneData, views: Mapping[str, Shaped[np.ndarray, "..."]], where: str) -> list[str]:
    """Return a note if renders seem to have another background than the photographs."""
    places = [data.test.ids.index(int(i)) for i in views["ids"]]
    empty = data.test.alphas[places] < 1e-3
    if not empty.any():
        return []
    true, got = (float(np.median(colors[empty])) for colors in (data.test.colors[places], views["color"]))
    if abs(true - got) <= OTHER_GREY:
        return []
    return [f"{where}: around the object they are {got:.2f}, the photographs {true:.2f}; is it another background?"]


def _size_hint(message: str, task: Task) -> str:
    """Name the budgets whose views have the size that a message names."""
    match = re.search(r"got (\d+) x \1;", message)
    name = kind_of(task).size_field
    fitting = [budget.name for budget in BUDGETS.values() if match and getattr(budget, name) == int(match[1])]
    return f", or say --budget {' or '.join(fitting)}" if fitting else ""


# ---- trials ----------------------------------------------------------------------------------------------------------


def make_imported_trial(task: Task, found: ImportedImages, name: str, budget: Budget, seed: int) -> Trial:
    """Make a trial of imported images; its id holds the files and the task."""
    return Trial(task=task, method=ImportedRenders(files=found.digest), budget=budget, seed=seed, variant=name)


def check_not_replaced(trial: Trial, trials_store: Store) -> None:
    """Refuse other renders under a name, task and seed that have some already.

    Raises:
        UsageError: Other renders are stored; the message says what to do.
    """
    for known in trials_store.records():
        place = (known.variant, known.seed, known.budget, known.identity.get("task"))
        if place != (trial.variant, trial.seed, trial.budget.name, describe(trial.task)) or known.trial_id == trial.id:
            continue
        got = "other files"
        if known.identity["method"] == describe(trial.method):
            got = "the same files, of data that has changed"
        raise UsageError(
            f"{trial.variant} on {trial.task.name}: expected the renders that are stored as {known.trial_id}, got "
            f"{got}; choose another --name or --seed, or remove {trials_store.root / known.trial_id}"
        )


def scores_of(trial: Trial, views: Mapping[str, Any], names: Sequence[str]) -> dict[str, dict[str, Any]]:
    """Score views under those protocols that are of the task's kind and find a view of theirs."""
    data = trial.task.load()
    known = kind_of(trial.task).protocols
    ids = [int(i) for i in views["ids"]]
    suited = [known[name] for name in names if name in known]
    return {protocol.name: protocol.score(data, views).to_json() for protocol in suited if protocol.can_score(ids)}


def imported_outcome(trial: Trial, found: ImportedImages, names: Sequence[str]) -> Outcome:
    """Make the outcome of a task's images: their record, views and scores."""
    of_trial = record.make_record(trial, status="finished", with_device=False)
    return Outcome(record=of_trial, parameters={}, views=found.views, scores=scores_of(trial, found.views, names))


def outdated_protocols(trial: Trial, trials_store: Store, names: Sequence[str]) -> list[str]:
    """List the protocols under which stored renders have no scores yet, or scores of another version."""
    stored = trials_store.scores(trial.id)
    known = kind_of(trial.task).protocols
    found = []
    for name in names:
        if name in known and (name not in stored or known[name].version_mark(stored[name]["version"])):
            found.append(name)
    return found
