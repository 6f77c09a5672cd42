"""Draws R-Precision of every guide by every judge."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from bench.analysis.table_result import TableResult
from bench.metrics import judges
from bench.metrics.metric_key import OWN_GUIDE, MetricKey
from bench.report.figures.figure import Figure, Row, slugify
from bench.report.figures.style import escape_math, figure_style, make_canvas, shorten
from bench.report.figures.svg import to_svg
from bench.report.tables.cells import DASH, format_interval_ends
from bench.storage.record import Record
from bench.suites.suite import TrialSlot

if TYPE_CHECKING:
    from matplotlib.axes import Axes

LIGHT_INK = "#ffffff"
DARK_INK = "#14161a"


def draw_guide_matrix(result: TableResult, cells: Sequence[TrialSlot], records: Sequence[Record]) -> Figure | None:
    """Draw R-Precision by guide and judge; in-loop numbers, of a guide as its own judge, stand in brackets.

    Args:
        result: The table.
        cells: Places of trials in tables.
        records: Records of the trials: they know who guided.

    Returns:
        The figure, or None where all arms have one guide, or the table has no R-Precision.
    """
    guides = find_guides(result, cells, records)
    if len(set(guides.values())) < 2:
        return None
    judge_names = list_judges(result)
    rows = matrix_rows(result, guides, judge_names)
    if not rows:
        return None
    if any(row["judge"] == OWN_GUIDE for row in rows):
        judge_names.append(OWN_GUIDE)
    name = f"{slugify(result.table)}-guides-by-judges"
    svg = draw_matrix(rows, guides, judge_names, name)
    title = "R-Precision, guides by judges; in brackets: in-loop, the guide's own"
    return Figure(name, title, svg, tuple(rows))


def find_guides(result: TableResult, cells: Sequence[TrialSlot], records: Sequence[Record]) -> dict[str, str]:
    """Find what guided each arm that has a record and a guide: an encoder, or several with commas between."""
    by_id = {record.trial_id: record for record in records}
    guides: dict[str, str] = {}
    for arm in result.arms:
        ids = [cell.trial_id for cell in cells if (cell.table, cell.arm) == (result.table, arm)]
        record = next((by_id[trial_id] for trial_id in ids if trial_id in by_id), None)
        used = judges.guides_of(record.identity) if record is not None else {}
        if used:
            guides[arm] = ",".join(used)
    return guides


def list_judges(result: TableResult) -> list[str]:
    """List the encoders that judge R-Precision in a table; the trials' own guides are not among them."""
    keys = [MetricKey.parse(metric) for metric in result.metrics]
    return [key.encoder for key in keys if is_plain_r_precision(key) and not key.is_of_guide and key.encoder]


def is_plain_r_precision(key: MetricKey) -> bool:
    """Tell whether a metric is R-Precision on the protocol's own background."""
    return key.base == "rprec1" and key.background is None


def matrix_rows(result: TableResult, guides: dict[str, str], judge_names: Sequence[str]) -> list[Row]:
    """List the numbers of each guide by each judge, and by itself where it is none of the judges."""
    own_metric = f"rprec1@{OWN_GUIDE}"
    has_own = own_metric in result.metrics
    rows: list[Row] = []
    for arm, guide in guides.items():
        first, *others = guide.split(",")  # names in records hold no commas
        pairs = [(judge, is_same_encoder(judge, first)) for judge in judge_names]
        if has_own and not any(is_own for _, is_own in pairs):
            pairs.append((OWN_GUIDE, True))
        for judge, is_own in pairs:
            metric = own_metric if is_own else f"rprec1@{judge}"
            entry = result.entry(arm, metric) if has_own or not is_own else None
            is_own = is_own or any(is_same_encoder(judge, other) for other in others)
            numbers = {field: getattr(entry, field, None) for field in ("mean", "low", "high", "num_clusters")}
            rows.append({"arm": arm, "guide": guide, "judge": judge, "in_loop": is_own, **numbers})
    return rows


def is_same_encoder(judge: str, guide: str) -> bool:
    """Tell whether two names are of one encoder, by its weights."""
    from models.clip.checkpoints import catalog

    guided = {"": {guide: catalog.weights_fingerprint(guide)}}
    return bool(judges.judge_of(judge, guided, allow_in_loop=True).in_loop)


def draw_matrix(rows: Sequence[Row], guides: dict[str, str], judge_names: Sequence[str], name: str) -> str:
    """Draw a heat map as SVG: one row for each arm, one column for each judge.

    Args:
        rows: Numbers by arm and judge.
        guides: Guides by arm.
        judge_names: Columns.
        name: What ids begin with.
    """
    arms = list(guides)
    with figure_style():
        figure, axes = make_canvas(2.2 + 1.1 * len(judge_names), 0.75 + 0.52 * len(arms))
        empty = {(x, y) for x in range(len(judge_names)) for y in range(len(arms))}
        for row in rows:
            if row["mean"] is not None:
                place = (judge_names.index(row["judge"]), arms.index(row["arm"]))
                empty.discard(place)
                draw_field(axes, *place, row)
        for x, y in sorted(empty):
            axes.text(x, y, DASH, ha="center", va="center", fontsize=9)
        heads = ["its own guide" if judge == OWN_GUIDE else judge for judge in judge_names]
        axes.set_xticks(
            range(len(heads)),
            [escape_math(shorten(head)) for head in heads],
            rotation=20,
            ha="right",
            rotation_mode="anchor",
        )
        axes.set_yticks(range(len(arms)), [escape_math(shorten(label, 40)) for label in label_guides(guides)])
        axes.tick_params(length=0)
        axes.set_xlim(-0.5, len(judge_names) - 0.5)
        axes.set_ylim(len(arms) - 0.5, -0.5)
        axes.set_ylabel("guide")
        axes.set_xlabel("judge")
        for side in axes.spines.values():
            side.set_visible(False)
        return to_svg(figure, name)


def label_guides(guides: dict[str, str]) -> list[str]:
    """Label the rows by their guides, and by their arms too where several arms have one guide."""
    if len(set(guides.values())) == len(guides):
        return list(guides.values())
    return [f"{arm}: {guide}" for arm, guide in guides.items()]


def draw_field(axes: Axes, x: int, y: int, row: dict[str, Any]) -> None:
    """Draw one field of the map; of an in-loop number paler and in brackets, because what guided is no judge."""
    import matplotlib
    from matplotlib.patches import Rectangle

    mean = row["mean"]
    is_own = row["in_loop"]
    shade = 0.75 * float(np.clip(mean, 0, 1)) + 0.05
    color = matplotlib.colormaps["Blues"](shade)
    alpha = 0.4 if is_own else 1.0
    axes.add_patch(Rectangle((x - 0.48, y - 0.46), 0.96, 0.92, lw=0, facecolor=color, alpha=alpha))
    text = f"({mean:.2f})" if is_own else f"{mean:.2f}"
    ends = format_interval_ends(mean, row["low"], row["high"], 2)
    ink = LIGHT_INK if shade > 0.55 and not is_own else DARK_INK
    axes.text(x, y, f"{text}\n{ends}" if ends else text, ha="center", va="center", fontsize=8.5, color=ink)
