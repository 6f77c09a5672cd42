"""Counts which wrong captions a judge takes objects for."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

from bench.metrics.scores import NOT_A_THING
from bench.suites.suite import TrialSlot
from tasks.captions.caption_sets import CaptionSet


def count_confusions(
    cells: Sequence[TrialSlot], scores: Mapping[str, Mapping[str, Any]], judge: str, captions: CaptionSet
) -> list[dict[str, Any]]:
    """Count the views in which a wrong caption stood first, or was the best wrong one.

    Fields that are empty or solid are left out.

    Args:
        cells: Places of one table.
        scores: Scores under the table's protocol, by trial.
        judge: Encoder that judges.
        captions: The retrieval set.

    Returns:
        One row for each arm, caption and wrong caption: `num_first`, views in which it came before the right one, and
        `num_nearest`, views in which it was the best wrong one, of `num_views`. The most frequent of an arm first.
    """
    num_nearest: dict[tuple[str, str], Counter[int]] = defaultdict(Counter)
    num_first: dict[tuple[str, str], Counter[int]] = defaultdict(Counter)
    for cell in cells:
        place = (cell.arm, cell.cluster)
        for nearest, first in wrong_and_first_captions(scores.get(cell.trial_id), judge):
            num_nearest[place][nearest] += 1
            num_first[place][nearest] += first == nearest
    rows = []
    for (arm, caption), counts in num_nearest.items():
        for wrong, num in counts.items():
            rows.append(
                {
                    "arm": arm,
                    "caption": caption,
                    "wrong": captions.captions[wrong],
                    "num_first": num_first[arm, caption][wrong],
                    "num_nearest": num,
                    "num_views": counts.total(),
                }
            )
    order = list(dict.fromkeys(cell.arm for cell in cells))
    return sorted(rows, key=lambda row: (order.index(row["arm"]), *_rank(row)))


def wrong_and_first_captions(scores: Mapping[str, Any] | None, judge: str) -> list[tuple[int, int | None]]:
    """List, of each view, the best wrong caption and the caption that stood first, by their places in the set.

    Args:
        scores: Scores of a trial; None where it has none.
        judge: Encoder that judges.
    """
    if not scores or scores["field_state"] in NOT_A_THING:
        return []
    wrong = scores["context"].get(f"wrong@{judge}")
    if not wrong:
        return []
    pairs = zip(wrong, scores["context"][f"predicted@{judge}"], strict=True)
    return [(nearest, first) for nearest, first in pairs if nearest is not None]


def _rank(row: Mapping[str, Any]) -> tuple[float, float, str, str]:
    """Rank the most frequent confusions first, then by name."""
    num_views = row["num_views"]
    return -row["num_first"] / num_views, -row["num_nearest"] / num_views, row["caption"], row["wrong"]
