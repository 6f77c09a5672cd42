"""Counts degenerate objects by arm: empty or solid fields, clouds, adversarial objects, repeated faces.

A mean over captions hides them. Their definitions are here, the same for every arm. An adversarial object is one in
which its guide finds the caption, and a judge does not.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from typing import Any

import numpy as np

from bench.analysis import upper_bounds
from bench.metrics.metric_key import OWN_GUIDE, MetricKey
from bench.metrics.scores import NOT_A_THING
from bench.suites.suite import TrialSlot

CLOUD = 0.5
"""Mean opacity of a view above which a field is a cloud. Of 64 true objects of the closed world none is above 0.41."""

LEAST_BY_GUIDE = 0.5
"""An adversarial object: its guide finds the caption in at least this share of views."""

MOST_BY_JUDGE = 0.25
"""An adversarial object: the judge finds the caption in fewer than this share of views."""

ABOVE_TRUTH = 0.05
"""Repeated faces: their score is above that of true renders of the same caption by more than this."""

FAILURES = {
    "failed": "crashed or not finite",
    "empty": "an empty volume",
    "solid": "a solid volume",
    "cloud": f"fills the view: mean opacity above {CLOUD:g}",
    "adversarial": f"made for its guide alone: found by it in at least {LEAST_BY_GUIDE:.0%} of views, by the judge in "
    f"fewer than {MOST_BY_JUDGE:.0%}",
    "repeated faces": f"far sides more alike than true renders' by over {ABOVE_TRUTH:g}",
}
"""By failure, the words that describe it; a trial may have several."""


def find_failures(scores: Mapping[str, Any], judge: str, true_repeats: float | None) -> list[str]:
    """Find the failures of a finished object.

    Args:
        scores: A trial's stored scores under `std-v1`.
        judge: Name of the encoder that decides.
        true_repeats: The repeated-face score of true renders of its caption; None if there are none.

    Example:
        >>> scores = {"field_state": "ok", "per_view": {"rprec1@guide": [1, 1], "rprec1@me": [0, 0], "opacity": [0.7]}}
        >>> find_failures(scores, "me", None)
        ['cloud', 'adversarial']
        >>> find_failures({"field_state": "empty", "per_view": {}}, "me", None)
        ['empty']
    """
    if scores["field_state"] in NOT_A_THING:
        return [scores["field_state"]]
    by_guide = mean_over_views(scores, str(MetricKey("rprec1", OWN_GUIDE)))
    by_judge = mean_over_views(scores, str(MetricKey("rprec1", judge)))
    opacity = mean_over_views(scores, "opacity")
    repeats = mean_over_views(scores, "repeats")
    found = []
    if opacity is not None and opacity > CLOUD:
        found.append("cloud")
    if by_guide is not None and by_judge is not None and by_guide >= LEAST_BY_GUIDE and by_judge < MOST_BY_JUDGE:
        found.append("adversarial")
    if repeats is not None and true_repeats is not None and repeats > true_repeats + ABOVE_TRUTH:
        found.append("repeated faces")
    return found


def mean_over_views(scores: Mapping[str, Any], metric: str) -> float | None:
    """Average a metric over the views that have a number; None if none has.

    Example:
        >>> mean_over_views({"per_view": {"opacity": [0.25, None, 0.75]}}, "opacity")
        0.5
    """
    values = [x for x in scores["per_view"].get(metric, ()) if x is not None]
    return float(np.mean(values)) if values else None


def count_failures(
    slots: Sequence[TrialSlot],
    scores: Mapping[str, Mapping[str, Any]],
    failed: Collection[str],
    judge: str,
    set_sha: str,
) -> dict[str, Counter[str]]:
    """Count the trials of each arm by failure, and all of them under "trials".

    Args:
        slots: Of one table.
        scores: By trial id, of those that finished.
        failed: Ids of trials that crashed or diverged.
        judge: Name of the encoder that decides.
        set_sha: SHA-256 of the retrieval set, for what true renders of it score.
    """
    truth = upper_bounds.scores_by_caption(set_sha, "repeats")
    found: dict[str, Counter[str]] = {slot.arm: Counter({"trials": 0}) for slot in slots}
    for slot in slots:
        counts = found[slot.arm]
        if slot.trial_id in failed:
            counts.update(["trials", "failed"])
        elif slot.trial_id in scores:
            counts.update(["trials", *find_failures(scores[slot.trial_id], judge, truth.get(slot.cluster))])
    return found


def describe_failures(found: Mapping[str, Mapping[str, int]]) -> list[str]:
    """Describe the counts, one line for each failure that occurs, with the arms that have it in their order.

    Example:
        >>> describe_failures({"full": {"trials": 9}, "bare": {"trials": 4, "empty": 1, "cloud": 3}})
        ['an empty volume: bare 1 of 4', 'fills the view: mean opacity above 0.5: bare 3 of 4']
    """
    lines = []
    for failure, meaning in FAILURES.items():
        arms = [
            f"{arm} {counts[failure]} of {counts['trials']}" for arm, counts in found.items() if counts.get(failure)
        ]
        if arms:
            lines.append(f"{meaning}: {'; '.join(arms)}")
    return lines
