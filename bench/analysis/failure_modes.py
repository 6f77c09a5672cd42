"""Counts what became of objects that are none: empty or solid, a cloud, made for the guide alone, the same all round.

A mean over captions hides them. What counts as which is decided here, once, for every arm alike.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from typing import Any

import numpy as np

from bench.analysis import upper_bounds
from bench.metrics.metric_key import OWN_GUIDE
from bench.metrics.scores import NOT_A_THING
from bench.suites.suite import TrialSlot

CLOUD = 0.5
"""Mean opacity of a view from which a field fills it; of 64 true objects of the closed world none has over 0.41."""

SEEN, UNSEEN = 0.5, 0.25
"""Made for the guide alone: it finds the caption in at least so many views, and the judge in fewer than these."""

ABOVE_TRUTH = 0.05
"""By how much far sides are more alike than those of true renders of the same caption, where there are any."""

KINDS = {
    "failed": "crashed or not finite",
    "empty": "an empty volume",
    "solid": "a solid volume",
    "cloud": f"fills the view: mean opacity above {CLOUD:g}",
    "adversarial": f"made for its guide alone: found by it in at least {SEEN:.0%} of views, by the judge in fewer than "
    f"{UNSEEN:.0%}",
    "repeated faces": f"far sides more alike than true renders' by over {ABOVE_TRUTH:g}",
}
"""What is counted, and what it means; a trial may be of several kinds."""


def kinds_of(scores: Mapping[str, Any], judge: str, true_repeats: float | None) -> list[str]:
    """What is wrong with a finished object.

    Args:
        scores: Of a trial, as they are stored.
        judge: Name of the encoder that decides.
        true_repeats: The repeated-face score of true renders of its caption; None if there are none.

    Example:
        >>> scores = {"field_state": "ok", "per_view": {"rprec1@guide": [1, 1], "rprec1@me": [0, 0], "opacity": [0.7]}}
        >>> kinds_of(scores, "me", None)
        ['cloud', 'adversarial']
        >>> kinds_of({"field_state": "empty", "per_view": {}}, "me", None)
        ['empty']
    """
    if scores["field_state"] in NOT_A_THING:
        return [scores["field_state"]]
    own, its = (mean(scores, f"rprec1@{name}") for name in (OWN_GUIDE, judge))
    opacity, repeats = mean(scores, "opacity"), mean(scores, "repeats")
    found = {
        "cloud": opacity is not None and opacity > CLOUD,
        "adversarial": own is not None and its is not None and own >= SEEN and its < UNSEEN,
        "repeated faces": repeats is not None and true_repeats is not None and repeats > true_repeats + ABOVE_TRUTH,
    }
    return [kind for kind, holds in found.items() if holds]


def mean(scores: Mapping[str, Any], metric: str) -> float | None:
    """Over the views that have a number; None if none has."""
    values = [x for x in scores["per_view"].get(metric, ()) if x is not None]
    return float(np.mean(values)) if values else None


def counted(
    cells: Sequence[TrialSlot],
    scores: Mapping[str, Mapping[str, Any]],
    failed: Collection[str],
    judge: str,
    set_sha: str,
) -> dict[str, Counter[str]]:
    """How many trials of each arm are of which kind, and under "trials" how many there are.

    Args:
        cells: Of one table.
        scores: By trial id, of those that finished.
        failed: Ids of trials that crashed or diverged.
        judge: Name of the encoder that decides.
        set_sha: SHA-256 of the retrieval set, for what true renders of it score.
    """
    truth = upper_bounds.scores_by_caption(set_sha, "repeats")
    found: dict[str, Counter[str]] = {cell.arm: Counter() for cell in cells}
    for cell in cells:
        found[cell.arm]["trials"] += cell.trial_id in failed or cell.trial_id in scores
        if cell.trial_id in failed:
            found[cell.arm]["failed"] += 1
        elif cell.trial_id in scores:
            found[cell.arm].update(kinds_of(scores[cell.trial_id], judge, truth.get(cell.cluster)))
    return found


def lines(found: Mapping[str, Mapping[str, int]]) -> list[str]:
    """The counts as sentences, one a kind that there is: arms in their order, none left out that has one.

    Example:
        >>> lines({"full": {"trials": 9}, "bare": {"trials": 4, "empty": 1, "cloud": 3}})
        ['an empty volume: bare 1 of 4', 'fills the view: mean opacity above 0.5: bare 3 of 4']
    """
    told = []
    for kind, meaning in KINDS.items():
        arms = [f"{arm} {counts[kind]} of {counts['trials']}" for arm, counts in found.items() if counts.get(kind)]
        told += [f"{meaning}: {'; '.join(arms)}"] if arms else []
    return told
