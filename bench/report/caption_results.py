"""What a table of captions says and draws beside its numbers: ceiling and chance, precision by side, the guide's gap.

A number of caption retrieval says little alone: beside it stand what true renders get and what guessing gets, from how
many captions it was chosen, and what the encoder that guided says. That one's numbers are always in brackets.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from bench.analysis import upper_bounds
from bench.analysis.table_result import ReferenceRow, TableResult
from bench.metrics.metric_key import OWN_GUIDE
from bench.metrics.scores import NOT_A_THING
from bench.report.caption_context import TRUTH, CaptionTableContext, Rows
from bench.report.tables import contents
from bench.suites.suite import TrialSlot
from tasks.captions.caption_sets import CLOSED_WORLD_JUDGES, CaptionSet, judges_of

EMBEDDED = (
    "embedded world: guides and judges are small encoders that come with the project, trained on renders of a small "
    "world and its language; numbers are comparable with each other, not with those of CLIP or of a paper"
)


EMPTY_MARGIN = "margin: an empty field counts with the margin of a plain picture"
"""It moves the mean of an arm that has many."""


# ---- in words --------------------------------------------------------------------------------------------------------


def notes(judged: CaptionTableContext, metrics: Sequence[str], clusters: Sequence[str]) -> list[str]:
    """What must stand beside a table: its retrieval set, what failed, and where the protocol is not kept.

    Args:
        judged: The retrieval set, and where the protocol is not kept.
        metrics: The table's.
        clusters: Its captions.
    """
    captions, size = judged.captions, judged.size
    kind = "a file of yours" if captions.name.startswith("file:") else captions.name
    lines = [f"retrieval among the {size} captions of {kind}, SHA-256 {captions.sha256[:12]}"]
    lines += [EMBEDDED] if judges_of(captions.name) == CLOSED_WORLD_JUDGES else []
    few = [found[1] for m in metrics if (found := upper_bounds.upper_bound(captions.sha256, m, clusters)) is not None]
    if few and max(few) < len(set(clusters)):
        lines.append(f"{TRUTH}: of {max(few)} of the {contents.counted(len(set(clusters)), 'caption')}")
    if judged.num_empty and any(metric.startswith("margin") for metric in metrics):
        lines += [EMPTY_MARGIN, f"empty fields: {judged.num_empty} of {contents.counted(judged.num_finished, 'trial')}"]
    lines += [f"failures, of trials: {said}" for said in judged.failures]
    return [*lines, *(f"departs from the protocol: {said}" for said in judged.departs)]


def bounds(judged: CaptionTableContext, metrics: Sequence[str], clusters: Sequence[str]) -> tuple[ReferenceRow, ...]:
    """What true renders of the captions score, and chance, under each metric that has them.

    Args:
        judged: The retrieval set.
        metrics: The table's.
        clusters: Its captions.
    """
    found = []
    for metric in metrics:
        known = upper_bounds.upper_bound(judged.captions.sha256, metric, clusters)
        found += [ReferenceRow(TRUTH, metric, *known[0])] if known else []
    lucky = [(metric, upper_bounds.chance_level(metric, judged.size)) for metric in metrics]
    return (*found, *(ReferenceRow("chance", metric, value) for metric, value in lucky if value is not None))


def guide_judge_gap(result: TableResult, judge: str) -> str | None:
    """How much more often the guide finds its own captions than the judge does: a line, None where nothing is known."""
    own, other = f"rprec1@{OWN_GUIDE}", f"rprec1@{judge}"
    if not {own, other} <= set(result.metrics):
        return None
    pairs = [(arm, result.entry(arm, own).mean, result.entry(arm, other).mean) for arm in result.arms]
    said = [f"{arm} {mine - its:+.2f}" for arm, mine, its in pairs if mine is not None and its is not None]
    return f"in-loop R-Precision of the guide minus that of {judge}: {'; '.join(said)}" if said else None


def arms_with_fewer_trials(cells: Sequence[TrialSlot], noun: str) -> dict[str, str]:
    """Which arms of a table were given fewer clusters or seeds than others, in words.

    Example:
        >>> cells = [TrialSlot("t", arm, arm + c, c, 0) for arm, some in (("a", "xyz"), ("b", "x")) for c in some]
        >>> arms_with_fewer_trials(cells, "caption")
        {'b': 'on 1 of 3 captions: read its difference, which is paired, not its mean'}
    """
    arms = dict.fromkeys(cell.arm for cell in cells)
    found = {}
    for arm in arms:
        mine = [cell for cell in cells if cell.arm == arm]
        told = []
        for field, each in (("cluster", noun), ("seed", "seed")):
            num, most = (len({getattr(cell, field) for cell in some}) for some in (mine, cells))
            if num < most:
                told.append(f"on {num} of {contents.counted(most, each)}")
        if told:
            found[arm] = f"{', '.join(told)}: read its difference, which is paired, not its mean"
    return found


# ---- confusions ------------------------------------------------------------------------------------------------------


def confused(
    cells: Sequence[TrialSlot], scores: Mapping[str, Mapping[str, Any]], judge: str, captions: CaptionSet
) -> Rows:
    """Which wrong captions a judge took objects for; fields that are empty or solid are left out.

    Args:
        cells: Of one table.
        scores: Of its protocol, by trial.
        judge: Whose verdict.
        captions: The retrieval set.

    Returns:
        A row an arm, caption and wrong caption: `num_first`, views in which it came before the right one, and
        `num_nearest`, views in which it was the best wrong one, of `num_views`. The most frequent of an arm first.
    """
    counts: dict[tuple[str, str], dict[int, list[int]]] = {}
    totals: dict[tuple[str, str], int] = {}
    for cell in cells:
        found = scores.get(cell.trial_id)
        wrong = found and found["context"].get(f"wrong@{judge}")
        if not found or not wrong or found["field_state"] in NOT_A_THING:
            continue
        key = cell.arm, cell.cluster
        for nearest, first in zip(wrong, found["context"][f"predicted@{judge}"], strict=True):
            if nearest is not None:
                count = counts.setdefault(key, {}).setdefault(nearest, [0, 0])
                count[0] += first == nearest
                count[1] += 1
                totals[key] = totals.get(key, 0) + 1
    rows: Rows = [
        {"arm": arm, "caption": name, "wrong": captions.captions[place], "num_first": first, "num_nearest": nearest,
         "num_views": totals[arm, name]}
        for (arm, name), by_place in counts.items() for place, (first, nearest) in by_place.items()
    ]  # fmt: skip
    order = list(dict.fromkeys(cell.arm for cell in cells))
    return sorted(
        rows,
        key=lambda r: (order.index(r["arm"]), -r["num_first"] / r["num_views"], -r["num_nearest"] / r["num_views"],
                       r["caption"], r["wrong"]),
    )  # fmt: skip


# ---- lines -----------------------------------------------------------------------------------------------------------


# ---- guides and judges -----------------------------------------------------------------------------------------------
