"""Draws figures in the papers' style: differences to the baseline, error against the angle, learning curves.

A figure is text (SVG) and the numbers it shows (rows for a CSV beside it). Same numbers, same bytes: no dates, fixed
ids, letters as outlines. The background is left out and ink is one colour, so that a page may put its own there.
"""

from __future__ import annotations

import io
import re
import textwrap
from collections.abc import Container, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import pandas as pd

from bench.analysis import statistics
from bench.analysis.table_result import TableResult
from bench.metrics.registry import metric_named
from bench.report.tables import contents
from bench.storage.record import Record
from bench.suites.suite import TrialSlot

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure as MatplotlibFigure

INK = "#1c1e22"
"""Not black: matplotlib leaves black out of an SVG, and `in_page` would not find it."""

COLORS = {"better": "#1a7f4b", "worse": "#c0392b", "quiet": "#8a8f98", "": INK}

ANGLE_BIN_DEG = 10.0
"""Width of a bin: a few views of every scene fall into each."""

FEWEST_IN_BIN = 3
"""Clusters below which a bin is left out: its mean would be that of one odd scene."""


class Figure(NamedTuple):
    """A drawn figure.

    Attributes:
        name: For its files: letters, digits and dashes.
        title: What it shows.
        svg: The drawing, without a background.
        rows: The numbers in it.
    """

    name: str
    title: str
    svg: str
    rows: tuple[dict[str, Any], ...]


def forest(result: TableResult, metric: str) -> Figure:
    """Differences to the baseline with their intervals, an arm a line; only what is resolved has a colour.

    Args:
        result: The table.
        metric: Which.
    """
    entries = [e for e in result.column(metric) if e.difference is not None]
    rows = tuple(
        {"arm": e.arm, "difference": e.difference, "low": e.difference_low, "high": e.difference_high,
         "verdict": e.verdict, "num_pairs": e.num_pairs}
        for e in entries
    )  # fmt: skip
    with style():
        figure, axes = canvas(3.9, 0.72 + 0.3 * max(1, len(entries)))
        for place, entry in enumerate(reversed(entries)):
            color = COLORS[contents.tone(entry)]
            ends = [x for x in (entry.difference_low, entry.difference_high) if x is not None]
            axes.plot(ends, [place] * len(ends), color=color, lw=2.2, solid_capstyle="round")
            axes.plot([entry.difference or 0.0], [place], "o", color=color, ms=6)
        axes.axvline(0, color=INK, lw=0.8, alpha=0.55, zorder=0)
        axes.set_yticks(range(len(entries)), [shortened(e.arm) for e in reversed(entries)])
        axes.set_ylim(-0.6, len(entries) - 0.4)
        axes.tick_params(axis="y", length=0)
        axes.spines["left"].set_visible(False)
        axes.grid(axis="x", alpha=0.18, color=INK, lw=0.6)
        axes.locator_params(axis="x", nbins=5)
        known = metric_named(metric)
        way = {True: "right is better", False: "left is better", None: "neither side is better"}
        unit = f" [{known.unit}]" if known.unit else ""
        # below the figure, not the axes: long names make those narrow
        what, how = f"difference in {known.title}{unit}", way[known.higher_is_better]
        said = [f"{what}, {how}"] if len(what) < 34 else [*textwrap.wrap(what, 56, break_on_hyphens=False), how]
        figure.supxlabel(plain_lines(said), fontsize=9)
        name = f"{slug(result.table)}-forest-{slug(metric)}"
        svg = drawn(figure, name)
    return Figure(name, f"{known.title}: differences to {result.baseline}", svg, rows)


def by_angle(frame: pd.DataFrame, cells: Sequence[TrialSlot], result: TableResult, metric: str) -> Figure | None:
    """A metric against how far a view is from the nearest training camera; what few photos do not show.

    Args:
        frame: As `bench.storage.store.Store.frame` gives it.
        cells: Places of trials in tables.
        result: The table, for its name, arms and protocol.
        metric: Which.

    Returns:
        The figure, or None where no angles are known.
    """
    rows = angle_rows(frame, cells, result, metric)
    if not rows:
        return None
    colors = palette(result)
    with style():
        figure, axes = canvas(5.2, lines_height(len(result.arms)))
        for i, arm in enumerate(result.arms):
            mine = pd.DataFrame([row for row in rows if row["arm"] == arm])
            if mine.empty:
                continue
            # a little aside of each other, so that intervals do not hide one another
            angles = mine["angle_deg"] + 0.35 * (i - (len(result.arms) - 1) / 2)
            axes.plot(angles, mine["mean"], "o-", color=colors[arm], ms=4, label=plain(shortened(arm)))
            axes.vlines(angles, mine["low"], mine["high"], color=colors[arm], lw=1.1, alpha=0.6)
        axes.set_xlabel("angle to the nearest training view [degrees]")
        axes.set_ylabel(plain(contents.named(metric)))
        finish_lines(figure, axes)
        name = f"{slug(result.table)}-angle-{slug(metric)}"
        svg = drawn(figure, name)
    title = f"{metric_named(metric).title} against the angle to the nearest training view"
    return Figure(name, title, svg, tuple(rows))


def angle_rows(
    frame: pd.DataFrame, cells: Sequence[TrialSlot], result: TableResult, metric: str
) -> list[dict[str, Any]]:
    """Means and intervals by arm and bin of angles, over clusters: views and seeds of a scene count as one."""
    places = pd.DataFrame(
        [(c.arm, c.trial_id, c.cluster) for c in cells if c.table == result.table], columns=["arm", "trial_id", "place"]
    )
    chosen = frame[
        (frame["protocol"] == result.protocol) & (frame["metric"] == metric) & (frame["status"] == "finished")
        & frame["value"].notna() & frame["angle_to_nearest_deg"].notna()
    ]  # fmt: skip
    merged = places.merge(chosen[["trial_id", "value", "angle_to_nearest_deg"]], on="trial_id")
    merged["bin"] = (merged["angle_to_nearest_deg"] // ANGLE_BIN_DEG).astype(int)
    means = merged.groupby(["arm", "bin", "place"], sort=True)["value"].mean()
    rows = []
    for arm in result.arms:
        for number in sorted(set(merged.loc[merged["arm"] == arm, "bin"])):
            values = means[arm, number].to_numpy(np.float64)
            if len(values) >= min(FEWEST_IN_BIN, len(result.clusters)):
                interval = statistics.t_interval(values, limits=metric_named(metric).limits)
                angle = (number + 0.5) * ANGLE_BIN_DEG
                rows.append({"arm": arm, "angle_deg": angle, **interval._asdict(), "num_clusters": len(values)})
    return rows


def curves(
    records: Sequence[Record], cells: Sequence[TrialSlot], result: TableResult, term: str = "loss"
) -> Figure | None:
    """How a term of the loss fell: the median of an arm's trials, with the middle half of them behind it.

    Where the term has a target, that is the dashed line.

    Args:
        records: Of the trials.
        cells: Places of trials in tables.
        result: The table, for its name and arms.
        term: Which curve.

    Returns:
        The figure, or None where no record has the curve.
    """
    rows = curve_rows(records, cells, result, term)
    if not rows:
        return None
    colors, what = palette(result), term.replace("_", " ")
    with style():
        figure, axes = canvas(5.2, lines_height(len(result.arms)))
        for arm in result.arms:
            mine = pd.DataFrame([row for row in rows if row["arm"] == arm])
            if mine.empty:
                continue
            axes.plot(mine["step"], mine["median"], color=colors[arm], lw=1.6, label=plain(shortened(arm)))
            axes.fill_between(mine["step"], mine["low"], mine["high"], color=colors[arm], alpha=0.14, lw=0)
        draw_targets(axes, rows, colors)
        if term == "loss" and min(row["low"] for row in rows) > 0:
            axes.set_yscale("log")
        axes.set_xlabel("step")
        axes.set_ylabel(plain(what))
        finish_lines(figure, axes)
        name = f"{slug(result.table)}-curves-{slug(term)}"
        svg = drawn(figure, name)
    return Figure(name, f"Training: {what} by step, median and middle half of the trials", svg, tuple(rows))


def draw_targets(axes: Axes, rows: Sequence[dict[str, Any]], colors: dict[str, Any]) -> None:
    """Where a term was pulled to; a target that several arms share is one line, in ink."""
    by_arm: dict[str, tuple[tuple[float, float], ...]] = {}
    for row in rows:
        if row.get("target") is not None:
            by_arm[row["arm"]] = (*by_arm.get(row["arm"], ()), (row["step"], row["target"]))
    lines = list(dict.fromkeys(by_arm.values()))
    for i, line in enumerate(lines):
        color = INK if len(lines) == 1 else next(colors[arm] for arm, its in by_arm.items() if its == line)
        label = "_" if i else "target"
        axes.plot(*zip(*line, strict=True), color=color, lw=1.1, ls=(0, (4, 3)), alpha=0.8, label=label)


def curve_rows(
    records: Sequence[Record], cells: Sequence[TrialSlot], result: TableResult, term: str
) -> list[dict[str, Any]]:
    """Median and quartiles by arm and step over trials that have the curve; points that are not finite are left out.

    Beside them the median of the target, where some trial has one.
    """
    by_id = {record.trial_id: record for record in records if term in record.curves and "step" in record.curves}
    has_target = any(f"{term}_target" in record.curves for record in by_id.values())
    rows = []
    for arm in result.arms:
        mine = [cell.trial_id for cell in cells if cell.table == result.table and cell.arm == arm]
        mine = [trial_id for trial_id in mine if trial_id in by_id]
        targets = at_steps([by_id[trial_id] for trial_id in mine], f"{term}_target")
        for step, values in sorted(at_steps([by_id[trial_id] for trial_id in mine], term).items()):
            low, median, high = (float(x) for x in np.quantile(values, (0.25, 0.5, 0.75)))
            spread = {"median": median, "low": low, "high": high}
            goal = {"target": float(np.median(targets[step])) if step in targets else None} if has_target else {}
            rows.append({"arm": arm, "step": step, **spread, **goal, "num_trials": len(values)})
    return rows


def at_steps(records: Sequence[Record], term: str) -> dict[float, list[float]]:
    """The finite numbers of a curve at each step, of the records that have it."""
    found: dict[float, list[float]] = {}
    for record in (record for record in records if term in record.curves):
        for step, value in zip(record.curves["step"], record.curves[term], strict=True):
            if np.isfinite(value):
                found.setdefault(step, []).append(value)
    return found


# --- how figures look and are written ---------------------------------------------------------------------------------

FONT = "font-family: 'DejaVu Sans'; "
"""As matplotlib writes it at every word; a drawing says it once."""

FAMILIES = "DejaVu Sans, Verdana, sans-serif"


def style() -> Any:
    """Settings of every figure, for a `with`; seaborn's, made calmer."""
    import matplotlib
    import seaborn

    settings = seaborn.axes_style("ticks") | seaborn.plotting_context("paper") | {
        "font.family": ["DejaVu Sans"], "font.size": 9, "axes.labelsize": 9, "xtick.labelsize": 8.5,
        "ytick.labelsize": 9, "legend.fontsize": 8.5, "axes.spines.top": False, "axes.spines.right": False,
        "text.color": INK, "axes.labelcolor": INK, "axes.edgecolor": INK, "xtick.color": INK, "ytick.color": INK,
        "axes.linewidth": 0.7, "xtick.major.width": 0.7, "xtick.major.size": 3, "axes.facecolor": "none",
        "figure.facecolor": "none", "svg.fonttype": "none", "svg.hashsalt": "bench", "axes.unicode_minus": True,
        "text.usetex": False, "path.simplify": True,
    }  # fmt: skip
    # from the defaults: a user's own matplotlibrc must not change a page's bytes
    return matplotlib.rc_context({**matplotlib.rcParamsDefault, **settings, "backend": matplotlib.rcParams["backend"]})


def canvas(width_in: float, height_in: float) -> tuple[MatplotlibFigure, Axes]:
    """An empty figure that no window and no global state knows of."""
    from matplotlib.backends.backend_svg import FigureCanvasSVG
    from matplotlib.figure import Figure as MatplotlibFigure

    figure = MatplotlibFigure(figsize=(width_in, height_in), layout="constrained")
    FigureCanvasSVG(figure)
    return figure, figure.add_subplot()


def lines_height(num_labels: int) -> float:
    """Inches of a figure of lines: a long legend takes nothing of its axes."""
    return 3.7 + 0.18 * max(0, (num_labels + 1) // 2 - 3)


def finish_lines(figure: MatplotlibFigure, axes: Axes) -> None:
    """A quiet grid, and the legend below, in as many columns as names leave room for."""
    axes.grid(axis="y", alpha=0.18, color=INK, lw=0.6)
    longest = max(len(label) for label in axes.get_legend_handles_labels()[1])
    figure.legend(frameon=False, loc="outside lower center", ncols=3 if longest <= 14 else 2)


def palette(result: TableResult) -> dict[str, Any]:
    """A colour an arm, told apart by the colour-blind too; the baseline is ink."""
    import seaborn

    others = [arm for arm in result.arms if arm != result.baseline]
    colors = seaborn.color_palette("colorblind" if len(others) <= 9 else "husl", max(len(others), 1))
    return {**dict(zip(others, colors, strict=False)), result.baseline: INK}


def drawn(figure: MatplotlibFigure, ids: str) -> str:
    """A figure as SVG, of the same bytes each time; ids begin with a word, so that several may stand in one page.

    Its words are words, so that they can be searched, read aloud and edited; where matplotlib's font is missing, one of
    the same widths or a narrower one stands in.
    """
    out = io.StringIO()
    figure.savefig(out, format="svg", transparent=True, metadata={"Date": None, "Creator": None, "Format": None,
                                                                  "Type": None})  # fmt: skip
    text = out.getvalue()
    text = text[text.index("<svg") :]
    text = re.sub(r"\s*<metadata>.*?</metadata>|\s*<!--.*?-->", "", text, flags=re.DOTALL)
    used = set(re.findall(r'(?:href="|url\()#([^")]+)', text))
    text = re.sub(r"<[^>]*>", lambda tag: shorter(tag[0], ids, used), text)  # never the words between tags
    return re.sub(r">\s+<", ">\n<", text).replace("<svg ", f'<svg font-family="{FAMILIES}" ', 1)


def shorter(tag: str, ids: str, used: Container[str]) -> str:
    """A tag of a drawing: a hundredth of a point is enough, names that nothing refers to are not needed."""
    tag = re.sub(r' (?:d|x|y|x1|y1|x2|y2|width|height|points|transform)="[^"]*"', rounded, tag)
    tag = re.sub(r' id="([^"]*)"', lambda found: f' id="{ids}-{found[1]}"' if found[1] in used else "", tag)
    return re.sub(r'(href="|url\()#', rf"\1#{ids}-", tag).replace(FONT, "")


def rounded(attribute: re.Match[str]) -> str:
    """Lengths to a hundredth, on one line; a turn by nothing is none."""
    if attribute[0].startswith(' transform="rotate(-0 '):
        return ""
    return re.sub(r"(\.\d\d)\d+", r"\1", re.sub(r"\s+", " ", attribute[0])).replace(' "', '"')


def standalone(svg: str) -> str:
    """A drawing as a file of its own, on white."""
    head, _, rest = svg.partition(">")
    return f'<?xml version="1.0" encoding="utf-8"?>\n{head}>\n<rect width="100%" height="100%" fill="#ffffff"/>{rest}'


def in_page(svg: str, label: str) -> str:
    """A drawing inside a page: ink takes the page's colour, and a reader hears the label (already escaped)."""
    head, _, rest = svg.partition(">")
    head = re.sub(r' (width|height)="[^"]*"', "", head)
    text = f'{head} role="img" aria-label="{label}">{rest}'
    for tone, color in COLORS.items():
        text = text.replace(color, f"var(--{tone})" if tone else "currentColor")
    return text


def shortened(name: str, most: int = 24) -> str:
    """A name that fits beside an axis."""
    return name if len(name) <= most else name[: most - 1] + "…"


def plain(text: str) -> str:
    """Text that matplotlib shall not read as mathematics."""
    return "".join(c if c.isprintable() else "\ufffd" for c in text).replace("$", r"\$")


def plain_lines(lines: Sequence[str]) -> str:
    """Several lines of such text."""
    return "\n".join(map(plain, lines))


def slug(name: str) -> str:
    """A name for files: lower case, letters, digits and dashes.

    Example:
        >>> slug("CLIP backbones"), slug("../../etc"), slug("lpips_vgg")
        ('clip-backbones', 'etc', 'lpips-vgg')
    """
    return re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-") or "table"
