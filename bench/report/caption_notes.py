"""Writes what must be read beside a table of captions: retrieval set, ceiling and chance, and the guide's own score.

A number of caption retrieval says little alone. It depends on how many captions there are to choose from, on what true
renders get, and on who judges: what the encoder that guided says of its own objects is never a judgement.
"""

from __future__ import annotations

from collections.abc import Sequence

from bench.analysis import upper_bounds
from bench.analysis.table_result import ReferenceRow, TableResult
from bench.counted_nouns import format_count
from bench.metrics.metric_key import OWN_GUIDE
from bench.report.caption_context import CaptionTableContext
from tasks.captions.caption_sets import CLOSED_WORLD_JUDGES, judges_of

EMBEDDED = (
    "Embedded world: guides and judges are small encoders that come with the project. They were trained on renders of "
    "a small world and its language. Numbers are comparable with each other, not with those of CLIP or of a paper."
)

EMPTY_MARGIN = "Margin: an empty field counts with the margin of a plain picture."
"""Explains the mean of an arm that has many empty fields."""

TRUE_RENDERS = "true renders"
"""Names the row of what judges make of path-traced renders of the objects that captions mean: the ceiling."""

CHANCE = "chance"


def write_caption_notes(context: CaptionTableContext, metrics: Sequence[str], clusters: Sequence[str]) -> list[str]:
    """Write the notes below a table: its retrieval set, what failed, and departures from the protocol.

    Args:
        context: What is known of the table beside its numbers.
        metrics: Metrics of the table.
        clusters: Captions of the table.
    """
    captions = context.captions
    name = "a file of yours" if captions.name.startswith("file:") else captions.name
    notes = [f"Retrieval is among the {context.size} captions of {name} (SHA-256 {captions.sha256[:12]})."]
    if judges_of(captions.name) == CLOSED_WORLD_JUDGES:
        notes.append(EMBEDDED)
    num_captions = len(set(clusters))
    num_true = num_captions_with_ceiling(context, metrics, clusters)
    if 0 < num_true < num_captions:
        notes.append(f"The row of {TRUE_RENDERS} is over {num_true} of the {format_count(num_captions, 'caption')}.")
    if context.num_empty and any(metric.startswith("margin") for metric in metrics):
        notes.append(EMPTY_MARGIN)
        trials = format_count(context.num_finished, "trial")
        notes.append(f"Empty fields: {context.num_empty} of {trials}.")
    notes += [f"Degenerate objects, {line}." for line in context.failures]
    notes += [f"Departs from the protocol: {line}." for line in context.departs]
    return notes


def num_captions_with_ceiling(context: CaptionTableContext, metrics: Sequence[str], clusters: Sequence[str]) -> int:
    """Count the captions of which true renders were scored; 0 where there is no ceiling."""
    bounds = [upper_bounds.upper_bound(context.captions.sha256, metric, clusters) for metric in metrics]
    return max((bound[1] for bound in bounds if bound is not None), default=0)


def find_reference_rows(
    context: CaptionTableContext, metrics: Sequence[str], clusters: Sequence[str]
) -> tuple[ReferenceRow, ...]:
    """Find what true renders of the captions score, and chance, under each metric that has them.

    Args:
        context: What is known of the table beside its numbers.
        metrics: Metrics of the table.
        clusters: Captions of the table.
    """
    ceilings = []
    chances = []
    for metric in metrics:
        bound = upper_bounds.upper_bound(context.captions.sha256, metric, clusters)
        if bound is not None:
            ceilings.append(ReferenceRow(TRUE_RENDERS, metric, *bound[0]))
        chance = upper_bounds.chance_level(metric, context.size)
        if chance is not None:
            chances.append(ReferenceRow(CHANCE, metric, chance))
    return (*ceilings, *chances)


def guide_judge_gap(result: TableResult, judge: str) -> str | None:
    """Say how much more often the guide finds its own captions than the judge does; None where neither is known.

    Args:
        result: The table.
        judge: Encoder that judges.
    """
    by_guide = f"rprec1@{OWN_GUIDE}"
    by_judge = f"rprec1@{judge}"
    if not {by_guide, by_judge} <= set(result.metrics):
        return None
    gaps = []
    for arm in result.arms:
        own = result.entry(arm, by_guide).mean
        of_judge = result.entry(arm, by_judge).mean
        if own is not None and of_judge is not None:
            gaps.append(f"{arm} {own - of_judge:+.2f}")
    return f"In-loop R-Precision of the guide minus that of {judge}: {', '.join(gaps)}." if gaps else None
