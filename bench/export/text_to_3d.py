"""Makes objects from a caption: chooses the trials and the captions that they are judged against, and trains.

`python -m bench generate` and the notebook in `reports/` both call it.
"""

from __future__ import annotations

import dataclasses
import pathlib
from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple

from bench.errors import UsageError
from bench.export.field import TrainedField, field_of
from bench.storage.record import Outcome
from bench.suites import overrides
from bench.suites.suite import Arm, Suite, Table, base_name
from bench.suites.trial import Trial
from bench.training import accelerators, packing, trainer
from models.clip.checkpoints import catalog
from tasks.budgets import budget_named
from tasks.captions.caption_sets import CLOSED_WORLD_JUDGES, caption_set, normalized
from tasks.captions.caption_task import CaptionTask
from tasks.closed_world import grammar
from tasks.data_dir.atomic_files import write_file

PROTOCOL = "std-v1"

WORLD = "closed-world"


class GeneratedObject(NamedTuple):
    """Trained field of one seed.

    Attributes:
        trial: Trial that was trained.
        outcome: Outcome of the trial; its record says how training ended.
        field: Trained field; None if training failed.
    """

    trial: Trial
    outcome: Outcome
    field: TrainedField | None


def train_objects(
    caption: str,
    out: pathlib.Path,
    *,
    seeds: Iterable[int] = (0,),
    on_progress: Callable[[trainer.Progress], None] = lambda progress: None,
    **options: Any,
) -> list[GeneratedObject]:
    """Train one object for each seed, all at once, in this process.

    Args:
        caption: Caption of the object, in a person's words.
        out: Folder for the judge's captions, which are written there if the caption is in no set of ours.
        seeds: Seeds, one an object.
        on_progress: Function that is called now and then with the progress of training.
        options: Options of `trials_of`: `budget`, `encoder`, `prompt`, `settings`.

    Raises:
        UsageError: An unknown budget, encoder, key or value.
    """
    trials = trials_of(caption, out, seeds=seeds, **options)
    [pack] = packing.make_packs(trials, len(trials))
    outcomes = {outcome.record.trial_id: outcome for outcome in trainer.train(pack, (PROTOCOL,), on_progress)}
    found = []
    for trial in trials:
        outcome = outcomes[trial.id]
        field = None
        if outcome.record.status == "finished":
            field = field_of(trial, outcome.parameters)
        found.append(GeneratedObject(trial, outcome, field))
    return found


def trials_of(
    caption: str,
    out: pathlib.Path,
    *,
    budget: str | None = None,
    seeds: Iterable[int] = (0,),
    encoder: str | None = None,
    prompt: str | None = None,
    settings: Sequence[str] = (),
) -> list[Trial]:
    """Build one trial for each seed.

    Args:
        caption: Caption of the object.
        out: Folder for `captions.txt`.
        budget: Name of the budget; None for fine on an accelerator, else quick. The recipe of fine is
            `dream_fields_shape`.
        seeds: Seeds, one a trial.
        encoder: Name of the guide, or of several with commas between; None for the budget's.
        prompt: Text that the guide reads, with `{}` for the caption; None for the caption alone.
        settings: Changes of fields, as `--set` takes them: `dream_fields.num_steps=500`.

    Raises:
        UsageError: An unknown budget, encoder, key or value.
    """
    from models.dream_fields import embedded_recipe

    size = budget_named(budget or ("fine" if accelerators.num_accelerators() else "quick"))
    variant, recipe = embedded_recipe(size.name)
    chosen = (("encoder", encoder), ("prompt", prompt))
    given: dict[str, Any] = {name: value for name, value in chosen if value is not None}
    arm = Arm(method=dataclasses.replace(recipe, **given), variant=variant)
    task: Any = CaptionTask(caption=caption, captions=retrieval_set(caption, out))
    table = Table(
        name="object",
        question="",
        tasks=(task,),
        baseline="object",
        arms={"object": arm},
        metrics=(),
        protocol=PROTOCOL,
    )
    suite = Suite(name="generate", question="", tables={base_name(size): (table,)}, num_seeds={})
    suite, size = overrides.apply(suite, size, settings)
    trials, _ = suite.expand(size, seeds)
    if is_embedded(trials[0]) and task.judges is None:
        task = dataclasses.replace(trials[0].task, judges=CLOSED_WORLD_JUDGES)  # type: ignore[type-var]
        trials = [dataclasses.replace(trial, task=task) for trial in trials]
    return trials


def retrieval_set(caption: str, out: pathlib.Path) -> str:
    """Return the name of the set of captions that the judge chooses from.

    It is the closed world's, if the caption is in it. Otherwise a file is written with the caption and those captions
    of the closed world that mean something else.
    """
    known = caption_set(WORLD).captions
    if normalized(caption) in map(normalized, known):
        return WORLD
    path = out / "captions.txt"
    others = [other for other in known if not mean_the_same(caption, other)]
    write_file(path, "\n".join([caption, *others]) + "\n")
    return f"file:{path}"


def mean_the_same(caption: str, other: str) -> bool:
    """Tell whether two captions have the same meaning in the closed world."""
    try:
        return grammar.parse(caption) == grammar.parse(other)
    except UsageError:
        return False


def is_embedded(trial: Trial) -> bool:
    """Tell whether one of a trial's guides is embedded: such an encoder knows the closed world only."""
    return any(name in catalog.EMBEDDED for name in trial.method.encoders)
