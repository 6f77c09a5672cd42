"""Chooses the pictures of a blind quiz: as many views of each arm, over all captions, in an order that says nothing.

An arm is a variant, with its budget and its folder of results where the quiz has several. Each arm gives the same
number of views: captions are taken in turn, each time another trial or view. True renders, the ceiling, show other
things of the world than the arms' captions, so that nobody learns from them what an arm was asked for.

h and w: pixels of a view.
"""

from __future__ import annotations

import collections
import dataclasses
import pathlib
from collections.abc import Iterator, Mapping, Sequence

import numpy as np
from jaxtyping import UInt8

from bench.analysis.quiz.pictures import meaning_of_record, read_view
from bench.errors import UsageError
from bench.metrics.caption_scorers import RING
from bench.metrics.judges import guides_of
from bench.storage.record import Record
from bench.storage.store import Store
from bench.storage.trial_reader import read_whole_views
from tasks.closed_world.meanings import Meaning, ObjectPairSpec, pairs, things


@dataclasses.dataclass(frozen=True, kw_only=True)
class QuizTrial:
    """A stored trial that a quiz may show.

    Attributes:
        store: Label of its folder of results.
        trial: Its id.
        variant: Its variant.
        budget: Its budget.
        meaning: What its caption means.
        guides: Encoders that guided it: pairs of a name and the SHA-256 of the weights.
    """

    store: str
    trial: str
    variant: str
    budget: str
    meaning: Meaning
    guides: tuple[tuple[str, str | None], ...] = ()


@dataclasses.dataclass(frozen=True, kw_only=True)
class ChosenView:
    """A view that the quiz shows.

    Attributes:
        arm: Its arm.
        of: The trial; None of a true render.
        meaning: What it shows.
        view: Id among `tasks.captions.caption_task.views`.
    """

    arm: str
    of: QuizTrial | None
    meaning: Meaning
    view: int


def list_quiz_trials(stores: Mapping[str, Store], trial_ids: frozenset[str] | None = None) -> list[QuizTrial]:
    """List the finished trials of captions of the closed world that have views.

    Args:
        stores: By label.
        trial_ids: Trials to choose from; None for all.

    Raises:
        UsageError: There are none.
    """
    found = []
    for label, trials_store in stores.items():
        for record in trials_store.records():
            meaning = meaning_of_record(record)
            is_chosen = trial_ids is None or record.trial_id in trial_ids
            if meaning is None or not is_chosen or not has_all_views(trials_store, record):
                continue
            found.append(
                QuizTrial(
                    store=label,
                    trial=record.trial_id,
                    variant=record.variant,
                    budget=record.budget,
                    meaning=meaning,
                    guides=tuple(guides_of(record.identity).items()),
                )
            )
    if not found:
        where = ", ".join(str(trials_store.root) for trials_store in stores.values())
        raise UsageError(
            f"quiz: expected finished trials from captions of the closed world, with views, in {where}, got none; "
            "train some: python -m bench run --suite text-to-3d"
        )
    return found


def has_all_views(trials_store: Store, record: Record) -> bool:
    """Whether a store keeps a trial's views as arrays: archives keep two, lossy ones."""
    return trials_store.has_views(record.trial_id) and (trials_store.root / record.trial_id).is_dir()


def name_quiz_arms(trials: Sequence[QuizTrial]) -> dict[QuizTrial, str]:
    """Name the arm of each trial: its variant, and its budget and folder where there are several.

    Example:
        >>> from tasks.closed_world.meanings import ObjectSpec
        >>> hat = ObjectSpec("hat", "red", "matte")
        >>> one = QuizTrial(store="a", trial="t", variant="v", budget="quick", meaning=hat)
        >>> list(name_quiz_arms([one]).values())
        ['v']
        >>> list(name_quiz_arms([one, dataclasses.replace(one, store="b")]).values())
        ['a: v', 'b: v']
    """
    has_stores = len({trial.store for trial in trials}) > 1
    has_budgets = len({trial.budget for trial in trials}) > 1
    names = {}
    for trial in trials:
        name = f"{trial.variant}, {trial.budget}" if has_budgets else trial.variant
        names[trial] = f"{trial.store}: {name}" if has_stores else name
    return names


def choose_quiz_views(
    arms: Mapping[str, Sequence[QuizTrial]], num_views: int, seed: int, *, num_true: int
) -> list[ChosenView]:
    """Choose the views of all arms, and of true renders, and shuffle them.

    Args:
        arms: Trials by arm.
        num_views: Of the quiz, true renders among them.
        seed: Of all draws.
        num_true: Of them, true renders.

    Raises:
        UsageError: An arm has fewer views.
    """
    random = np.random.default_rng(seed)
    chosen: list[ChosenView] = []
    for place, (arm, trials) in enumerate(arms.items()):
        num = (num_views - num_true) // len(arms) + (place < (num_views - num_true) % len(arms))
        available = len(trials) * len(RING)
        if num > available:
            raise UsageError(f"quiz: expected {num} views of {arm}, got {available}; lower --num-views")
        for trial, view in take_in_turn(trials, num, random):
            chosen.append(ChosenView(arm=arm, of=trial, meaning=trial.meaning, view=view))
    return [chosen[place] for place in random.permutation(len(chosen))]


def take_in_turn(trials: Sequence[QuizTrial], num: int, random: np.random.Generator) -> Iterator[tuple[QuizTrial, int]]:
    """Take views of trials: captions in turn, of each another trial and view; no view twice."""
    by_caption: dict[str, list[tuple[QuizTrial, int]]] = collections.defaultdict(list)
    for trial in trials:
        for view in RING:
            by_caption[trial.meaning.id].append((trial, view))
    captions = sorted(by_caption)
    left = {name: [by_caption[name][i] for i in random.permutation(len(by_caption[name]))] for name in captions}
    taken = 0
    while taken < num:
        for place in random.permutation(len(captions)):
            if taken < num and left[captions[place]]:
                taken += 1
                yield left[captions[place]].pop()


def draw_true_meanings(shown: Sequence[Meaning], num: int, seed: int) -> list[Meaning]:
    """Draw held-out things and pairs for true renders, none of them among the arms', pairs as often as among those."""
    taken = {meaning.id for meaning in shown}
    share = sum(isinstance(meaning, ObjectPairSpec) for meaning in shown) / max(1, len(shown))
    num_pairs = round(num * share)
    random = np.random.default_rng((seed, 1))
    singles: list[Meaning] = [thing for thing in things("held_out") if thing.id not in taken]
    both = [pair for pair in pairs("held_out", num_pairs + len(taken), seed) if pair.id not in taken]
    drawn = [singles[i] for i in random.permutation(len(singles))[: num - num_pairs]]
    return [*drawn, *both[:num_pairs]]


# ---- pixels ----------------------------------------------------------------------------------------------------------


def read_chosen_views(chosen: Sequence[ChosenView], stores: Mapping[str, Store]) -> list[UInt8[np.ndarray, "h w 3"]]:
    """Read the chosen views of trials; each trial is read once.

    Raises:
        UsageError: A trial's views are damaged, or lack a view.
    """
    by_trial: dict[QuizTrial, list[int]] = collections.defaultdict(list)
    for place, one in enumerate(chosen):
        assert one.of is not None
        by_trial[one.of].append(place)
    images: dict[int, UInt8[np.ndarray, "h w 3"]] = {}
    for trial, places in by_trial.items():
        where = pathlib.Path(stores[trial.store].root) / trial.trial
        views = read_whole_views(stores[trial.store], trial.trial)
        if views is None or "ids" not in views:
            raise UsageError(f"{where}: expected its views, got damaged ones; python -m bench retry, or leave it out")
        for place in places:
            images[place] = read_view(views, chosen[place].view, str(where))
    return [images[place] for place in range(len(chosen))]
