"""Puts `--set` into the order in which trials are stored.

Names of budgets and variants hold the changes in the order in which they were given, and the name of its budget is a
part of what a trial is. The same changes in another order would be trained again.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Collection, Iterable, Sequence

from bench.suites.identity import digest
from bench.suites.option_syntax import parse_setting
from bench.suites.suite import base_name
from bench.suites.trial import Trial
from bench.suites.variant_names import file_safe, folder_safe

MAX_PERMUTED = 5
"""More changes of a budget than that stay as they are given: there are too many orders."""


def order_as_stored(
    settings: tuple[str, ...],
    select: Callable[[tuple[str, ...]], Iterable[Trial]],
    list_stored: Callable[[], Collection[str]],
) -> tuple[str, ...]:
    """Return the settings in the order under which the most of their trials are stored; as given if none is better.

    Args:
        settings: Of `--set`.
        select: Selects the trials that settings in an order lead to.
        list_stored: Lists the names of the stored trials; called where there is more than one order.
    """
    of_budget = [setting for setting in settings if parse_setting(setting)[0] == "budget"]
    others = [setting for setting in settings if parse_setting(setting)[0] not in ("budget", "task")]
    if max(len(of_budget), len(others)) < 2 or len(of_budget) > MAX_PERMUTED:
        return settings
    stored = list_stored()
    if not stored:
        return settings
    trials = list(select(settings))
    num_as_given = sum(trial.id in stored for trial in trials)
    if num_as_given == len(trials):
        return settings
    by_digest = {name.rpartition("__")[2]: name for name in stored}
    found_by_order = {order: find_same_trials(trials, order, by_digest) for order in itertools.permutations(of_budget)}
    best_order = max(found_by_order, key=lambda order: len(found_by_order[order]))
    found = found_by_order[best_order]
    if len(found) <= num_as_given:
        return settings
    changed = put_in_order(settings, best_order, order_of_parts(others, found))
    num_as_changed = sum(trial.id in stored for trial in select(changed))
    return changed if num_as_changed > num_as_given else settings


def find_same_trials(
    trials: Iterable[Trial], of_budget: Sequence[str], by_digest: dict[str, str]
) -> list[tuple[Trial, str]]:
    """Find trials that are stored under a budget whose changes are in an order, each with its stored name.

    Args:
        trials: In the order of changes that was given.
        of_budget: Changes of the budget in the order that is tried.
        by_digest: Names of stored trials by the digest at their end.
    """
    ending = "".join(f"+{name_change(setting)}" for setting in of_budget)
    found = []
    for trial in trials:
        identity = trial.identity() | {"budget": f"{base_name(trial.budget)}{ending}"}
        name = by_digest.get(digest(identity))
        if name is not None:
            found.append((trial, name))
    return found


def order_of_parts(settings: Sequence[str], found: Iterable[tuple[Trial, str]]) -> list[str]:
    """Put changes of methods into the order in which names of stored variants have them.

    Args:
        settings: Changes of methods, as they were given.
        found: Trials, each with the name under which it is stored.
    """
    ordered = list(settings)
    for trial, name in found:
        parts = name.split("__")[0].split("+")[1:]
        if sorted(parts) != sorted(file_safe(trial.variant).split("+")[1:]):
            continue  # a long name was cut
        places = [place for place, setting in enumerate(ordered) if in_folder(setting) in parts]
        sorted_settings = sorted((ordered[place] for place in places), key=lambda x: parts.index(in_folder(x)))
        for place, setting in zip(places, sorted_settings, strict=True):
            ordered[place] = setting
    return ordered


def put_in_order(settings: Sequence[str], of_budget: Sequence[str], others: Sequence[str]) -> tuple[str, ...]:
    """Exchange changes of the budget and of methods among their places; those of tasks stay."""
    next_of_budget = iter(of_budget)
    next_of_methods = iter(others)
    ordered = []
    for setting in settings:
        head = parse_setting(setting)[0]
        if head == "task":
            ordered.append(setting)
        elif head == "budget":
            ordered.append(next(next_of_budget))
        else:
            ordered.append(next(next_of_methods))
    return tuple(ordered)


def name_change(setting: str) -> str:
    """Write a change as names of budgets and variants have it: `num_steps=9`."""
    _, field, text = parse_setting(setting)
    return f"{field}={text}"


def in_folder(setting: str) -> str:
    """Write a change as names of folders have it."""
    return file_safe(folder_safe(name_change(setting)))
