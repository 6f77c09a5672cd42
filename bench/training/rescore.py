"""Scores stored trials again under a protocol."""

from __future__ import annotations

from collections.abc import Sequence

from bench.metrics import protocols
from bench.storage.store import Store
from bench.suites.trial import Trial


def again(trial: Trial, names: Sequence[str], trials_store: Store) -> list[str]:
    """Scores the stored views of a trial under those protocols that are of its kind; says which."""
    views, data = trials_store.views(trial.id), trial.task.load()
    suited = [name for name in names if protocols.applies_to(name, data)]
    for name in suited:
        scores = protocols.score(protocols.get(name), data, views, trial.method.encoders)
        trials_store.write_scores(trial.id, name, scores.to_json())
    return suited
