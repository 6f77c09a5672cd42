"""Scores stored trials again, from their stored views, and stores the scores."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from bench.errors import DamagedFile, MachineFault, UsageError
from bench.metrics.task_kinds import kind_of, protocols_named
from bench.storage.store import Store
from bench.suites.trial import Trial


def rescore_finished(
    trials: Sequence[Trial],
    protocol_names: Sequence[str],
    trials_store: Store,
    on_scored: Callable[[Trial, list[str]], None],
) -> dict[str, str]:
    """Score the finished ones among some trials again.

    Args:
        trials: Those that are not finished are left out.
        protocol_names: The protocols to score under.
        trials_store: Where they are stored; locked meanwhile.
        on_scored: Called with each trial and the protocols that apply to it.

    Returns:
        Of the trials whose views are missing or damaged, the reason by their id.

    Raises:
        UsageError: An unknown protocol, or none of the trials is finished.
    """
    for name in protocol_names:
        protocols_named(name)
    finished = [trial for trial in trials if trials_store.finished(trial.id)]
    if not finished:
        raise UsageError(f"rescore: expected finished trials in {trials_store.root}, found none; run the suite first")
    with trials_store.lock():
        lost = {}
        for trial in finished:
            try:
                applied = rescore_trial(trial, protocol_names, trials_store)
            except MachineFault:
                raise
            except DamagedFile as error:
                lost[trial.id] = str(error)
            else:
                on_scored(trial, applied)
    return lost


def rescore_trial(trial: Trial, protocol_names: Sequence[str], trials_store: Store) -> list[str]:
    """Score the stored views of a trial under those of the protocols that apply to it; return their names."""
    views = trials_store.views(trial.id)
    data = trial.task.load()
    known = kind_of(trial.task).protocols
    applied = [name for name in protocol_names if name in known]
    for name in applied:
        scores = known[name].score(data, views, trial.method.encoders)
        trials_store.write_scores(trial.id, name, scores.to_json())
    return applied
