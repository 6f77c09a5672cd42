"""Makes objects from a caption: what is trained, against which captions it is judged, and the fields that come of it.

`python -m bench generate` and the notebook in `reports/` are two ways in.
"""

from __future__ import annotations

import dataclasses
import pathlib
from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple

from bench.errors import UsageError
from bench.export import field as field_module
from bench.export.field import TrainedField
from bench.storage.record import Outcome
from bench.suites import overrides
from bench.suites.suite import Arm, Suite, Table, base_name
from bench.suites.trial import Trial
from bench.training import devices, packing, trainer
from models.clip.checkpoints import catalog
from tasks.budgets import budget_named
from tasks.captions.caption_sets import CLOSED_WORLD_JUDGES, caption_set, normalized
from tasks.captions.caption_task import CaptionTask
from tasks.closed_world import grammar
from tasks.data_dir.atomic_files import write_file

PROTOCOL, WORLD = "std-v1", "closed-world"


class GeneratedObject(NamedTuple):
    """What came of one seed.

    Attributes:
        trial: What was trained.
        outcome: All that it left; its record says how it ended.
        field: To be looked at; None if training failed.
    """

    trial: Trial
    outcome: Outcome
    field: TrainedField | None


def make(
    caption: str,
    out: pathlib.Path,
    *,
    seeds: Iterable[int] = (0,),
    on_progress: Callable[[trainer.Progress], None] = lambda progress: None,
    **options: Any,
) -> list[GeneratedObject]:
    """Trains an object a seed, all at once, in this process.

    Args:
        caption: What to make, in a person's words.
        out: Folder for what the judge chooses from, where the caption is in no set of ours.
        seeds: An object each.
        on_progress: Called now and then with where it stands.
        options: As `trials_of` takes them: `budget`, `encoder`, `prompt`, `settings`.

    Raises:
        UsageError: An unknown budget, encoder, key or value.
    """
    trials = trials_of(caption, out, seeds=seeds, **options)
    [pack] = packing.make_packs(trials, len(trials))
    outcomes = {outcome.record.trial_id: outcome for outcome in trainer.train(pack, (PROTOCOL,), on_progress)}
    found = []
    for trial in trials:
        outcome = outcomes[trial.id]
        is_there = outcome.record.status == "finished"
        found.append(
            GeneratedObject(trial, outcome, field_module.field_of(trial, outcome.parameters) if is_there else None)
        )
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
    """A trial a seed.

    Args:
        caption: What to make.
        out: Folder for `captions.txt`.
        budget: Its name; None for standard on an accelerator, else quick.
        seeds: One each.
        encoder: The guide; None for the budget's.
        prompt: What the guide reads, `{}` being the caption; None for the caption itself.
        settings: Changes of fields, as `--set` takes them: `dream_fields.num_steps=500`.

    Raises:
        UsageError: An unknown budget, encoder, key or value.
    """
    from models.dream_fields import DREAM_FIELDS

    size = budget_named(budget or ("standard" if devices.num_accelerators() else "quick"))
    chosen = (("encoder", encoder), ("prompt", prompt))
    given: dict[str, Any] = {name: value for name, value in chosen if value is not None}
    arm = Arm(method=dataclasses.replace(DREAM_FIELDS, **given), variant="dream_fields")
    task: Any = CaptionTask(caption=caption, captions=retrieval_set(caption, out))
    table = Table(
        name="object", question="", tasks=(task,), baseline="object", arms={"object": arm}, metrics=(),
        protocol=PROTOCOL,
    )  # fmt: skip
    suite = Suite(name="generate", question="", tables={base_name(size): (table,)}, num_seeds={})
    suite, size = overrides.apply(suite, size, settings)
    trials, _ = suite.expand(size, seeds)
    if is_embedded(trials[0]) and task.judges is None:
        task = dataclasses.replace(trials[0].task, judges=CLOSED_WORLD_JUDGES)  # type: ignore[type-var]
        trials = [dataclasses.replace(trial, task=task) for trial in trials]
    return trials


def retrieval_set(caption: str, out: pathlib.Path) -> str:
    """The set that the judge chooses from: the closed world's, or the caption before those that mean another thing.

    The second is written to a file.
    """
    known = caption_set(WORLD).captions
    if normalized(caption) in map(normalized, known):
        return WORLD
    path = out / "captions.txt"
    others = [other for other in known if not mean_the_same(caption, other)]
    write_file(path, "\n".join([caption, *others]) + "\n")
    return f"file:{path}"


def mean_the_same(caption: str, other: str) -> bool:
    """Whether two captions are two ways of saying one thing of the closed world."""
    try:
        return grammar.parse(caption) == grammar.parse(other)
    except UsageError:
        return False


def is_embedded(trial: Trial) -> bool:
    """Whether a guide is one of our own, which know the closed world only."""
    return any(name in catalog.EMBEDDED for name in trial.method.encoders)
