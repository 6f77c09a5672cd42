"""Draws the figure `clip-consistency`: are views of one scene more alike to an encoder than views of two?

The plot of the DietNeRF authors' talk. Photographs of the embedded scenes, or of a user's (`--scenes`), go through an
encoder, and cosines of pairs of photographs are shown as histograms and against the angle between their cameras: pairs
of one scene, and pairs of different scenes. A photograph is never paired with itself, which the authors' own histogram
did. Two features are shown where they differ: the embedding, and what DietNeRF compares by default. Intervals are over
scenes, because views of a scene are not drawn independently, and pairs even less.

b: edges of bins.
"""

from __future__ import annotations

import io
import pathlib
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Float

from bench.analysis.statistics import Interval
from bench.analysis.table_result import FEWEST_CLUSTERS
from bench.analysis.view_pair_similarity import FAR_DEG, Kind, SimilarityPairs, far, leave_one_out, mean_cosine
from bench.counted_nouns import format_count
from bench.report.defaults import ENCODER_FIGURE
from bench.report.figures.encoder_features import (
    SimilarityStatistics,
    load_folder_photos,
    load_photos,
    measure_similarity,
)
from bench.report.figures.figure import Figure, Row
from bench.report.figures.style import INK, escape_math, figure_style, make_canvas, shorten
from bench.report.figures.svg import standalone_svg, to_svg
from bench.report.tables.csv_files import rows_csv
from models.clip import loading
from models.imagenet.catalog import IMAGENET
from tasks.budgets import Budget
from tasks.data_dir.atomic_files import write_file

if TYPE_CHECKING:
    from matplotlib.axes import Axes

ANGLE_BIN_DEG = 15.0

NUM_BINS = 50
"""Bins of a histogram, from the lowest cosine, rounded down to a twentieth, to 1."""

LONGEST_NAME = 24

# Blue and orange are told apart by the colour-blind, and one of the lines is dashed.
LOOKS: dict[Kind, dict[str, Any]] = {
    "within": {"color": "#0173b2", "ls": "-", "label": "views of the same scene"},
    "across": {"color": "#de8f05", "ls": "--", "label": "views of different scenes"},
}


def write_consistency_figure(
    names: Sequence[str], budget: Budget, folder: pathlib.Path, scenes: Sequence[pathlib.Path] = ()
) -> tuple[list[str], list[pathlib.Path]]:
    """Make the figure and write it as SVG, CSV and PNG.

    Args:
        names: Names of encoders, as `models.clip.loading.load` takes them.
        budget: Size of the photographs.
        folder: Where the files lie.
        scenes: Folders of a user's scenes; empty for the embedded ones.

    Returns:
        One line for each feature of an encoder, and the files.

    Raises:
        UsageError: An encoder is not known or not on disk, or the scenes cannot be rendered.
    """
    encoders = [loading.load(name) for name in dict.fromkeys(names)]  # before anything is rendered
    photos = load_folder_photos(scenes, budget) if scenes else load_photos(budget)
    found = [statistics for encoder in encoders for statistics in measure_similarity(encoder, photos)]
    figure, png = draw_consistency(found, ", ".join(photos.names))
    files: dict[str, str | bytes] = {"svg": standalone_svg(figure.svg), "csv": rows_csv(figure.rows), "png": png}
    paths = [folder / f"{ENCODER_FIGURE}.{end}" for end in files]
    for path, content in zip(paths, files.values(), strict=True):
        write_file(path, content)
    return [summarize_similarity(statistics) for statistics in found], paths


# --- numbers ----------------------------------------------------------------------------------------------------------


def consistency_rows(found: SimilarityStatistics) -> Iterator[Row]:
    """Compute the rows of the CSV: bins of the histograms, bins of angles, and the summary."""
    for kind in LOOKS:
        yield from density_rows(found, kind)
        yield from cosine_rows(found, kind)
    parts = {
        "mean_within": ("within", found.pairs.of("within")),
        "far_within": ("within", far(found.pairs)),
        "mean_across": ("across", found.pairs.of("across")),
    }
    for name, value in found.summary().items():
        if value is not None:
            kinds, pairs = parts.get(name, ("both", found.pairs))
            yield make_row(found, name, kinds, (None, None), value, pairs)


def density_rows(found: SimilarityStatistics, kind: Kind) -> Iterator[Row]:
    """Compute the densities of cosines of one kind of pairs, a bin a row."""
    edges = histogram_edges(found.pairs)
    pairs = found.pairs.of(kind)
    bins = np.clip(np.searchsorted(edges, pairs.cosines, side="right") - 1, 0, NUM_BINS - 1)
    for i, (low, high) in enumerate(zip(edges[:-1], edges[1:], strict=True)):
        some = pairs.where(bins == i)
        density = len(some.cosines) / max(1, len(pairs.cosines)) / (high - low)
        value = Interval(float(density), None, None)
        yield make_row(found, "density", kind, (float(low), float(high)), value, some)


def cosine_rows(found: SimilarityStatistics, kind: Kind) -> Iterator[Row]:
    """Compute mean cosines of one kind of pairs by angle, a bin a row; bins without pairs are left out."""
    pairs = found.pairs.of(kind)
    for low in np.arange(0.0, 180.0, ANGLE_BIN_DEG):
        high = low + ANGLE_BIN_DEG
        is_below = (pairs.angles_deg < high) | (high == 180)
        some = pairs.where((pairs.angles_deg >= low) & is_below)
        mean = leave_one_out(mean_cosine, some)
        if mean is not None:
            yield make_row(found, "cosine by angle", kind, (float(low), float(high)), mean, some)


def make_row(
    found: SimilarityStatistics,
    quantity: str,
    kinds: str,
    bounds: tuple[float | None, float | None],
    value: Interval,
    pairs: SimilarityPairs,
) -> Row:
    """Make a row of the CSV.

    Args:
        found: Encoder and feature.
        quantity: What was computed.
        kinds: Of which pairs.
        bounds: Limits of the bin; None for a row of the summary.
        value: The number with its interval.
        pairs: The pairs that it was computed of.
    """
    return {
        "encoder": found.encoder,
        "feature": found.feature,
        "is_default": found.is_default,
        "what": quantity,
        "pairs": kinds,
        "from": bounds[0],
        "to": bounds[1],
        "value": value.mean,
        "low": value.low,
        "high": value.high,
        "num_pairs": len(pairs.cosines),
        "num_scenes": len(pairs.scenes),
    }


def histogram_edges(pairs: SimilarityPairs) -> Float[np.ndarray, " b"]:
    """Compute the edges of a histogram's bins, the same for both kinds of pairs."""
    lowest = np.floor(20 * pairs.cosines.min(initial=0.95)) / 20
    return np.linspace(min(float(lowest), 0.95), 1.0, NUM_BINS + 1)


# --- the figure -------------------------------------------------------------------------------------------------------


def draw_consistency(every: Sequence[SimilarityStatistics], scenes: str = "") -> tuple[Figure, bytes]:
    """Draw the figure, one row for each feature of an encoder, and a small PNG of it.

    Args:
        every: At least one.
        scenes: Names of a user's scenes, for the head.
    """
    rows = tuple(row for found in every for row in consistency_rows(found))
    with figure_style():
        sheet, axes = make_canvas(6.6, 0.75 + 1.75 * len(every))
        axes.remove()
        grid = sheet.subplots(len(every), 2, squeeze=False, width_ratios=(1.0, 1.0))
        for (left, right), found in zip(grid, every, strict=True):
            selected = [row for row in rows if (row["encoder"], row["feature"]) == (found.encoder, found.feature)]
            draw_panels(left, right, found, selected)
        grid[-1][0].set_xlabel("cosine of two views")
        grid[-1][1].set_xlabel("angle between their cameras [degrees]")
        sheet.align_ylabels(grid[:, 1])
        if scenes:
            sheet.suptitle(escape_math(f"photographs of {shorten(scenes, 80)}"), fontsize=8.5)
        handles, labels = grid[0][1].get_legend_handles_labels()
        sheet.legend(handles, labels, frameon=False, loc="outside lower center", ncols=2)
        svg = to_svg(sheet, ENCODER_FIGURE)
        png = io.BytesIO()
        sheet.savefig(png, format="png", dpi=90, facecolor="white", metadata={"Software": None})
    title = "Cosines of views of one scene, and of different scenes"
    return Figure(ENCODER_FIGURE, title, svg, rows), png.getvalue()


def draw_panels(left: Axes, right: Axes, found: SimilarityStatistics, rows: Sequence[Row]) -> None:
    """Draw the histogram and the cosines by angle of one feature, under its name."""
    from matplotlib.ticker import MaxNLocator

    draw_histogram(left, [row for row in rows if row["what"] == "density"])
    draw_angles(right, [row for row in rows if row["what"] == "cosine by angle"])
    whose = " (DietNeRF's)" if found.is_default else ""
    name = name_of(found.encoder, LONGEST_NAME)
    left.set_title(escape_math(f"{name}: {found.feature}{whose}"), loc="left", fontsize=8.5)
    right.set_title(f"AUC {format_interval(found.summary()['auc'])}", loc="right", fontsize=8.5)
    left.xaxis.set_major_locator(MaxNLocator(5))
    right.yaxis.set_major_locator(MaxNLocator(4))


def name_of(encoder: str, most: int | None = None) -> str:
    """Name an encoder, and say where it is no CLIP model.

    Example:
        >>> name_of("embedded-vit-8"), name_of("efficientnet-lite0"), name_of("file:/a/long/path.safetensors", 12)
        ('embedded-vit-8', 'efficientnet-lite0 [ImageNet]', '…safetensors')
    """
    # The end of a long name is what tells two files of one folder apart.
    short = encoder if most is None or len(encoder) <= most else "…" + encoder[1 - most :]
    return f"{short} [ImageNet]" if encoder in IMAGENET else short


def draw_histogram(axes: Axes, rows: Sequence[Row]) -> None:
    """Draw densities of cosines."""
    for kind, looks in LOOKS.items():
        selected = [row for row in rows if row["pairs"] == kind]
        edges = [row["from"] for row in selected] + [selected[-1]["to"]]
        heights = [row["value"] for row in selected]
        axes.stairs(heights, edges, fill=True, color=looks["color"], alpha=0.28, lw=0)
        axes.stairs(heights, edges, color=looks["color"], ls=looks["ls"], lw=1.3)
    axes.set_ylabel("density of pairs")
    axes.set_yticks([])
    axes.set_xlim(edges[0], edges[-1])
    axes.set_ylim(bottom=0)


def draw_angles(axes: Axes, rows: Sequence[Row]) -> None:
    """Draw mean cosines against the angle, with intervals over scenes."""
    for kind, looks in LOOKS.items():
        selected = [row for row in rows if row["pairs"] == kind]
        axes.plot(middles(selected), [row["value"] for row in selected], marker="o", ms=3, lw=1.5, **looks)
        sure = [row for row in selected if row["low"] is not None]
        low = [row["low"] for row in sure]
        high = [row["high"] for row in sure]
        axes.fill_between(middles(sure), low, high, color=looks["color"], alpha=0.2, lw=0)
    axes.set_ylabel("mean cosine")
    axes.set_xlim(0, 180)
    axes.set_xticks(range(0, 181, 45))
    axes.grid(axis="y", alpha=0.18, color=INK, lw=0.6)


def middles(rows: Sequence[Row]) -> list[float]:
    """List the middles of bins."""
    return [0.5 * (row["from"] + row["to"]) for row in rows]


# --- in words ---------------------------------------------------------------------------------------------------------


def summarize_similarity(found: SimilarityStatistics) -> str:
    """Summarize one feature of an encoder on a line."""
    pairs = found.pairs
    summary = found.summary()
    num_scenes = len(pairs.scenes)
    default = " (DietNeRF compares this)" if found.is_default else ""
    head = f"{name_of(found.encoder)}, {found.feature}{default}: "
    num_pairs = f"{len(pairs.of('within').cosines)} pairs within, {len(pairs.of('across').cosines)} across"
    if summary["auc"] is None:
        return f"{head}no AUC: it needs two scenes, and two views of one ({num_scenes} scenes, {num_pairs})"
    parts = [f"AUC {format_interval(summary['auc'])}", f"overlap {format_interval(summary['overlap'])}"]
    if summary["far_gap"] is not None:
        parts.append(
            f"{format_mean(summary['far_within'])} within at {FAR_DEG:.0f} degrees and more "
            f"({format_mean(summary['mean_within'])} at all angles), "
            f"{format_mean(summary['mean_across'])} across, difference {format_interval(summary['far_gap'])}"
        )
    sure = f"95% over {num_scenes} scenes"
    if num_scenes < FEWEST_CLUSTERS:
        sure = f"no intervals: {format_count(num_scenes, 'scene')}, {FEWEST_CLUSTERS} needed"
    elif summary["auc"].low is None:
        sure += ", none for an AUC on which too many scenes agree"
    return f"{head}{'; '.join(parts)} ({sure}; {num_pairs})"


def format_interval(value: Interval | None) -> str:
    """Write a number and its interval; a number below 1 is never rounded to 1.

    Example:
        >>> format_interval(Interval(0.9, 0.85, 0.95)), format_interval(Interval(0.99996, None, None))
        ('0.900 [0.850, 0.950]', '>0.999')
    """
    if value is None:
        return "not known"
    ends = "" if value.low is None or value.high is None else f" [{value.low:.3f}, {value.high:.3f}]"
    if 0.9995 <= value.mean < 1:
        return f">0.999{ends}"
    if 0 < value.mean < 0.0005:
        return f"<0.001{ends}"
    return f"{value.mean:.3f}{ends}"


def format_mean(value: Interval | None) -> str:
    """Write a number without its interval."""
    return format_interval(value and value._replace(low=None, high=None))
