"""Draws the figures of a table of captions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from bench.analysis import upper_bounds
from bench.analysis.table_result import TableResult
from bench.metrics import judges, multiview_consistency, r_precision
from bench.metrics.metric_key import OWN_GUIDE, MetricKey
from bench.metrics.registry import ENCODER_METRICS, metric_named
from bench.report.caption_context import CaptionTableContext, Rows
from bench.report.figures import standard
from bench.report.figures.standard import Figure, plain, shortened, slug
from bench.report.tables import contents
from bench.storage.record import Record
from bench.suites.suite import TrialSlot

CURVES = ("loss", "negative_cosine", "transmittance")
"""Terms of the loss that are drawn, where records have them."""


BY_LUCK: dict[str, Any] = {"color": standard.INK, "lw": 0.8, "ls": (0, (4, 3)), "alpha": 0.7, "label": "chance"}
"""How the line of chance looks."""


NUM_BARS = 12
"""Confusions in the figure; its numbers hold all."""


def confusions(result: TableResult, judged: CaptionTableContext) -> Figure | None:
    """What the baseline's objects are most often taken for; None where the judge errs nowhere."""
    of_baseline = [row for row in judged.confusions if row["arm"] == result.baseline and row["num_first"]][:NUM_BARS]
    if not of_baseline:
        return None
    with standard.style():
        figure, axes = standard.canvas(5.2, 0.7 + 0.4 * len(of_baseline))
        shares = [row["num_first"] / row["num_views"] for row in reversed(of_baseline)]
        names = [(shortened(r["caption"], 44), f"→ {shortened(r['wrong'], 44)}") for r in reversed(of_baseline)]
        axes.barh(range(len(shares)), shares, height=0.55, color=standard.COLORS["quiet"])
        axes.set_yticks(range(len(shares)), [standard.plain_lines(name) for name in names], fontsize=7.5)
        axes.tick_params(axis="y", length=0)
        axes.set_xlim(0, 1)
        axes.set_xlabel("share of views")
        name = f"{slug(result.table)}-confusions"
        svg = standard.drawn(figure, name)
    title = f"What {judged.judge} takes objects of {result.baseline} for; all arms in the CSV"
    return Figure(name, title, svg, judged.confusions)


def lines(
    result: TableResult,
    frame: pd.DataFrame,
    cells: Sequence[TrialSlot],
    records: Sequence[Record],
    judged: CaptionTableContext,
) -> tuple[Figure, ...]:
    """All figures of a table of captions but the forests."""
    found = [by_azimuth(frame, cells, result, judged), by_distractors(frame, cells, result, judged)]
    found += [guides_by_judges(result, cells, records), confusions(result, judged)]
    found += [standard.curves(records, cells, result, term) for term in CURVES]
    return tuple(figure for figure in found if figure is not None)


def numbers(frame: pd.DataFrame, cells: Sequence[TrialSlot], result: TableResult, metric: str) -> pd.DataFrame:
    """A metric's numbers in a table: arm, cluster, azimuth and value, in an order of their own."""
    places = pd.DataFrame(
        [(c.arm, c.trial_id, c.cluster) for c in cells if c.table == result.table], columns=["arm", "trial_id", "place"]
    )
    chosen = frame[
        (frame["protocol"] == result.protocol) & (frame["metric"] == metric) & (frame["status"] == "finished")
        & frame["value"].notna()
    ]  # fmt: skip
    columns = ["trial_id", "view", "value", *(["azimuth_deg"] if "azimuth_deg" in frame else [])]
    return places.merge(chosen[columns], on="trial_id").sort_values(["trial_id", "view"], kind="stable")


def by_azimuth(
    frame: pd.DataFrame, cells: Sequence[TrialSlot], result: TableResult, judged: CaptionTableContext
) -> Figure | None:
    """R-Precision round the object, beside chance: a thing that has a front is not found from everywhere alike.

    Args:
        frame: As `bench.storage.store.Store.frame` gives it.
        cells: Places of trials in tables.
        result: The table.
        judged: Its set and judge.

    Returns:
        The figure, or None where no azimuths are known.
    """
    metric = f"rprec1@{judged.judge}"
    known = numbers(frame, cells, result, metric)
    known = known[known["azimuth_deg"].notna()] if "azimuth_deg" in known else known[:0]
    rows: Rows = []
    for arm in result.arms:
        mine = known[known["arm"] == arm]
        values, azimuths_deg = (mine[name].to_numpy(np.float64) for name in ("value", "azimuth_deg"))
        for azimuth, means in multiview_consistency.by_azimuth(values, azimuths_deg, list(mine["place"])).items():
            ends = upper_bounds.metric_interval(metric, means)._asdict()
            chance = r_precision.chance(judged.size)
            rows.append({"arm": arm, "azimuth_deg": azimuth, **ends, "chance": chance, "num_clusters": len(means)})
    if not rows:
        return None
    with standard.style():
        figure, axes = standard.canvas(5.2, standard.lines_height(len(result.arms) + 1))
        for i, (arm, mine) in enumerate(by_arm(rows, result)):
            draw_arm(axes, mine["azimuth_deg"] + 15.0 * bar_offset(i, result), mine, result, arm)
        axes.axhline(r_precision.chance(judged.size), **BY_LUCK)
        axes.set_xticks(range(0, 360, 45))
        axes.set_xlabel("azimuth [degrees]")
        name = f"{slug(result.table)}-azimuth-{slug(metric)}"
        svg = finished(figure, axes, metric, name)
    return Figure(name, f"{metric_named(metric).title}, round the object", svg, tuple(rows))


def by_distractors(
    frame: pd.DataFrame, cells: Sequence[TrialSlot], result: TableResult, judged: CaptionTableContext
) -> Figure | None:
    """R-Precision against the number of wrong captions, exactly, from ranks in the whole set.

    Args:
        frame: As `bench.storage.store.Store.frame` gives it.
        cells: Places of trials in tables.
        result: The table.
        judged: Its set and judge.

    Returns:
        The figure, or None where no ranks are known.
    """
    metric = f"rprec1@{judged.judge}"
    known = numbers(frame, cells, result, f"rank@{judged.judge}")
    all_ranks, rows = np.arange(1, judged.size + 1), []
    sizes = [2**i for i in range(1, judged.size.bit_length()) if 2**i < judged.size] + [judged.size]
    for arm in result.arms:
        mine = known[known["arm"] == arm]
        for size in sizes if len(mine) else []:
            precision = r_precision.precision_at(all_ranks, judged.size, size - 1)
            hits = pd.Series(precision[mine["value"].to_numpy(np.int64) - 1], index=mine["place"])
            means = hits.groupby(level=0, sort=True).mean().to_numpy(np.float64)
            ends = upper_bounds.metric_interval(metric, means)._asdict()
            rows.append({"arm": arm, "num_distractors": size - 1, **ends, "chance": 1 / size,
                         "num_clusters": len(means)})  # fmt: skip
    if not rows:
        return None
    with standard.style():
        figure, axes = standard.canvas(5.2, standard.lines_height(len(result.arms) + 1))
        for i, (arm, mine) in enumerate(by_arm(rows, result)):
            draw_arm(axes, (mine["num_distractors"] + 1) * 1.12 ** bar_offset(i, result), mine, result, arm)
        axes.plot(sizes, [1 / size for size in sizes], **BY_LUCK)
        axes.set_xscale("log", base=2)
        axes.set_xticks(sizes, [str(size) for size in sizes])
        axes.minorticks_off()
        axes.set_xlabel("captions to choose from")
        name = f"{slug(result.table)}-distractors-{slug(metric)}"
        svg = finished(figure, axes, metric, name)
    return Figure(name, f"{metric_named(metric).title}, among fewer captions", svg, tuple(rows))


def by_arm(rows: Rows, result: TableResult) -> list[tuple[str, pd.DataFrame]]:
    """The rows of each arm that has some."""
    found = [(arm, pd.DataFrame([row for row in rows if row["arm"] == arm])) for arm in result.arms]
    return [(arm, mine) for arm, mine in found if not mine.empty]


def bar_offset(place: int, result: TableResult) -> float:
    """Where an arm's points lie between -0.5 and 0.5, so that intervals do not hide one another."""
    return (place + 0.5) / len(result.arms) - 0.5


def draw_arm(axes: Any, x: pd.Series, mine: pd.DataFrame, result: TableResult, arm: str) -> None:
    """An arm's line with its intervals; its name says if it has fewer captions than the table."""
    color, num = standard.palette(result)[arm], int(mine["num_clusters"].max())
    few = f" ({contents.counted(num, result.cluster_noun)})" if num < len(result.clusters) else ""
    axes.plot(x, mine["mean"], "o-", color=color, ms=3.5, lw=1.3, label=plain(shortened(arm) + few))
    ends = mine[["low", "high"]].astype(np.float64)  # one caption has no interval
    axes.vlines(x, ends["low"], ends["high"], color=color, lw=1.1, alpha=0.6)


def finished(figure: Any, axes: Any, metric: str, name: str) -> str:
    """A figure of shares, with its legend, as SVG."""
    axes.set_ylim(-0.03, 1.03)
    axes.set_ylabel(ENCODER_METRICS[MetricKey.parse(metric).stem].title)  # the judge stands in the figure's title
    standard.finish_lines(figure, axes)
    return standard.drawn(figure, name)


def guides_by_judges(result: TableResult, cells: Sequence[TrialSlot], records: Sequence[Record]) -> Figure | None:
    """R-Precision of every guide by every judge; where they are the same, or none judges, in-loop and in brackets.

    Args:
        result: The table.
        cells: Places of trials in tables.
        records: Of the trials: they know who guided.

    Returns:
        The figure, or None where all arms have one guide.
    """
    guides = guides_of(result, cells, records)
    if len(set(guides.values())) < 2:
        return None
    keys = [MetricKey.parse(metric) for metric in result.metrics]
    columns = [key.encoder for key in keys if key.encoder and key.stem == "rprec1" and not key.is_of_guide]
    own = f"rprec1@{OWN_GUIDE}" in result.metrics
    rows: Rows = []
    for arm, guide in guides.items():
        mine = [(judge, is_same(judge, guide)) for judge in columns]
        if own and not any(same for _, same in mine):
            mine.append((OWN_GUIDE, True))
        for judge, same in mine:
            entry = result.entry(arm, f"rprec1@{OWN_GUIDE if same else judge}") if own or not same else None
            found = {field: getattr(entry, field, None) for field in ("mean", "low", "high", "num_clusters")}
            rows.append({"arm": arm, "guide": guide, "judge": judge, "in_loop": same, **found})
    name = f"{slug(result.table)}-guides-by-judges"
    columns += [OWN_GUIDE] if any(row["judge"] == OWN_GUIDE for row in rows) else []
    svg = matrix(rows, list(guides), columns, name)
    return Figure(name, "R-Precision, guides by judges; in brackets: in-loop, the guide's own", svg, tuple(rows))


def guides_of(result: TableResult, cells: Sequence[TrialSlot], records: Sequence[Record]) -> dict[str, str]:
    """The encoder that guided each arm, of those that have a record and a guide."""
    by_id = {record.trial_id: record for record in records}
    found: dict[str, str] = {}
    for arm in result.arms:
        for cell in cells:
            if (cell.table, cell.arm) == (result.table, arm) and cell.trial_id in by_id:
                used = judges.guides_of(by_id[cell.trial_id].identity)
                found |= {arm: next(iter(used))} if used else {}
                break
    return found


def is_same(judge: str, guide: str) -> bool:
    """Whether two names are of one encoder, by its weights."""
    from models.clip.checkpoints import catalog

    guided = {"": {guide: catalog.fingerprint(guide)}}
    return bool(judges.judge_of(judge, guided, allow_in_loop=True).in_loop)


def matrix(rows: Rows, arms: Sequence[str], columns: Sequence[str], name: str) -> str:
    """A heat map: a row an arm, a column a judge."""
    import matplotlib
    from matplotlib.patches import Rectangle

    colors = matplotlib.colormaps["Blues"]
    with standard.style():
        figure, axes = standard.canvas(2.2 + 1.1 * len(columns), 0.75 + 0.52 * len(arms))
        empty = {(x, y) for x in range(len(columns)) for y in range(len(arms))}
        for row in rows:
            x, y = columns.index(row["judge"]), arms.index(row["arm"])
            mean = row["mean"]
            if mean is None:
                continue
            empty.discard((x, y))
            # brackets and a paler cell: what guided is no judge
            shade = 0.75 * float(np.clip(mean, 0, 1)) + 0.05
            axes.add_patch(Rectangle((x - 0.48, y - 0.46), 0.96, 0.92, lw=0, facecolor=colors(shade),
                                     alpha=0.4 if row["in_loop"] else 1.0))  # fmt: skip
            text = f"({mean:.2f})" if row["in_loop"] else f"{mean:.2f}"
            half = contents.half_width(mean, row["low"], row["high"], 2)
            ink = "#ffffff" if shade > 0.55 and not row["in_loop"] else "#14161a"
            axes.text(x, y, f"{text}\n{half}" if half else text, ha="center", va="center", fontsize=8.5, color=ink)
        for x, y in sorted(empty):
            axes.text(x, y, contents.DASH, ha="center", va="center", fontsize=9)
        guides = {row["arm"]: row["guide"] for row in rows}
        if len(set(guides.values())) < len(guides):
            guides = {arm: f"{arm}: {guide}" for arm, guide in guides.items()}
        heads = ["its own guide" if judge == OWN_GUIDE else judge for judge in columns]
        axes.set_xticks(
            range(len(columns)),
            [plain(shortened(head)) for head in heads],
            rotation=20,
            ha="right",
            rotation_mode="anchor",
        )
        axes.set_yticks(range(len(arms)), [plain(shortened(guides[arm], 40)) for arm in arms])
        axes.tick_params(length=0)
        axes.set_xlim(-0.5, len(columns) - 0.5)
        axes.set_ylim(len(arms) - 0.5, -0.5)
        axes.set_ylabel("guide")
        axes.set_xlabel("judge")
        for side in axes.spines.values():
            side.set_visible(False)
        return standard.drawn(figure, name)
