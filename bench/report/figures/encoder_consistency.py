"""Decides how the figure `clip-consistency` is made: are views of one scene more alike to an encoder than of two?

The plot of the DietNeRF authors' talk. Photographs of the embedded scenes go through an encoder, and cosines of pairs
of photographs are shown as histograms and against the angle between their cameras: pairs of one scene, and pairs of
different scenes. A photograph is never paired with itself, which the authors' own histogram did. Two features are
shown where they differ: the embedding, and what DietNeRF compares by default. Intervals are over scenes, for views of
a scene are not drawn independently, and pairs even less.

v: photographs, s: scenes, f: features, p: pairs, b: edges of bins, h and w: pixels.
"""

from __future__ import annotations

import dataclasses
import functools
import io
import pathlib
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import jax
import numpy as np
from jaxtyping import Array, Float, Int

from bench.analysis.statistics import Interval
from bench.analysis.table_result import FEWEST_CLUSTERS
from bench.analysis.view_pair_similarity import (
    FAR_DEG,
    Kind,
    SimilarityPairs,
    auc,
    far,
    far_gap,
    far_within,
    leave_one_out,
    mean_across,
    mean_cosine,
    overlap,
    pairs_of,
)
from bench.report.defaults import ENCODER_FIGURE
from bench.report.figures.standard import INK, Figure, canvas, drawn, plain, standalone, style
from bench.report.tables import formats
from models.clip import loading, preprocess
from models.clip.encoder import Encoder
from models.clip.networks.dual_encoder import normalize
from models.dietnerf import DIETNERF
from tasks.budgets import Budget, sized
from tasks.data_dir.atomic_files import write_file
from tasks.scenes.scenes import SCENES
from tasks.sparse_views import embedded
from tasks.sparse_views.embedded import SparseViews
from tasks.sparse_views.scene_views import NUM_POSES
from tasks.task import replace_views

if TYPE_CHECKING:
    from matplotlib.axes import Axes

MOST_VIEWS = 40
"""Photographs of a scene: pairs of them cover all angles, and an encoder sees them in seconds on a CPU."""

ANGLE_BIN_DEG = 15.0

NUM_BINS = 50
"""Of a histogram, from the lowest cosine, rounded down to a twentieth, to 1."""

# Blue and orange are told apart by the colour-blind, and one of the lines is dashed.
LOOKS: dict[Kind, dict[str, Any]] = {
    "within": {"color": "#0173b2", "ls": "-", "label": "views of the same scene"},
    "across": {"color": "#de8f05", "ls": "--", "label": "views of different scenes"},
}


class ScenePhotos(NamedTuple):
    """Photographs of all scenes.

    Attributes:
        colors: In [0, 1].
        poses: Camera to world; scenes are centred at the origin.
        scenes: Number of each photograph's scene.
    """

    colors: Float[np.ndarray, "v h w 3"]
    poses: Float[np.ndarray, "v 4 4"]
    scenes: Int[np.ndarray, " v"]


@dataclasses.dataclass(frozen=True, kw_only=True)
class SimilarityStatistics:
    """What one feature of one encoder says of all pairs.

    Attributes:
        encoder: Its name.
        feature: Its name.
        is_default: Whether DietNeRF compares this one unless told otherwise.
        pairs: Of photographs.
    """

    encoder: str
    feature: str
    is_default: bool
    pairs: SimilarityPairs

    def summary(self) -> dict[str, Interval | None]:
        """The numbers in a line; None where a scene alone or a view a scene leaves nothing to compare."""
        means = {number.__name__: leave_one_out(number, self.pairs) for number in (far_within, mean_across, far_gap)}
        # It is made of a maximum, whose spread leaving one out does not tell: no interval.
        share = overlap(self.pairs)
        return {
            "auc": leave_one_out(auc, self.pairs, is_share=True),
            "overlap": None if share is None else Interval(share, None, None),
            **means,
        }


# --- photographs and features -----------------------------------------------------------------------------------------


def views(budget: Budget, scenes: Sequence[str] = tuple(SCENES), most: int = MOST_VIEWS) -> ScenePhotos:
    """Photographs of scenes, of the training and test cameras, evenly spread; they are rendered if they are not there.

    Args:
        budget: Where the size of the photographs comes from.
        scenes: Names of embedded scenes.
        most: Photographs of a scene.
    """
    num_train, num_test = NUM_POSES["train"], NUM_POSES["test"]
    total = num_train + num_test
    # Both are spirals from the horizon to the top: even places in their order are even over the hemisphere.
    places = np.round(np.linspace(0, total - 1, min(most, total))).astype(int)
    ids = tuple(int(x) for x in places if x < num_train)
    tests = tuple(int(x) - num_train for x in places if x >= num_train)
    tasks = [sized(SparseViews(scene=scene, views=ids), budget) for scene in scenes]
    embedded.prepare_all(tasks)
    photos = []
    for task in tasks:
        data = task.load()
        photos += [data.train, replace_views(data.test, tests)]
    numbers = np.repeat(np.arange(len(scenes)), len(places))
    return ScenePhotos(np.concatenate([x.colors for x in photos]), np.concatenate([x.poses for x in photos]), numbers)


def measured(encoder: Encoder, looked: ScenePhotos) -> list[SimilarityStatistics]:
    """What an encoder's embedding says, and what DietNeRF's feature says where it is another.

    Args:
        encoder: Any.
        looked: The photographs.
    """
    default = DIETNERF.resolve_feature(encoder)
    return [
        SimilarityStatistics(
            encoder=encoder.name,
            feature=feature,
            is_default=feature == default,
            pairs=pairs_of(np.asarray(_seen(feature, encoder, looked.colors)), looked.poses, looked.scenes),
        )
        for feature in dict.fromkeys(("embedding", default))
    ]


@functools.partial(jax.jit, static_argnums=0)
def _seen(feature: str, encoder: Encoder, colors: Float[Array | np.ndarray, "v h w 3"]) -> Float[Array, "v f"]:
    """Features of length 1, of photographs resized as DietNeRF resizes them."""

    def one(photo: Float[Array, "h w 3"]) -> Float[Array, " f"]:
        if photo.shape[:2] != (encoder.image_px, encoder.image_px):
            photo = preprocess.resize(photo, encoder.image_px, kind="bilinear")
        return normalize(encoder.image_features(encoder.params, photo, feature))

    return jax.lax.map(one, colors, batch_size=16)


# --- the figure -------------------------------------------------------------------------------------------------------


def rows_of(found: SimilarityStatistics) -> Iterator[dict[str, Any]]:
    """Rows of the CSV: bins of the histograms, bins of angles, and the summary."""
    head = {"encoder": found.encoder, "feature": found.feature, "is_default": found.is_default}

    def row(what: str, pairs: str, bounds: tuple[Any, Any], value: Interval, chosen: SimilarityPairs) -> dict[str, Any]:
        numbers = {"value": value.mean, "low": value.low, "high": value.high}
        counts = {"num_pairs": len(chosen.cosines), "num_scenes": len(chosen.scenes)}
        return {**head, "what": what, "pairs": pairs, "from": bounds[0], "to": bounds[1], **numbers, **counts}

    edges = bins(found.pairs)
    for kind in LOOKS:
        pairs = found.pairs.of(kind)
        places = np.clip(np.searchsorted(edges, pairs.cosines, side="right") - 1, 0, NUM_BINS - 1)
        for i, (low, high) in enumerate(zip(edges[:-1], edges[1:], strict=True)):
            some = pairs.where(places == i)
            density = len(some.cosines) / max(1, len(pairs.cosines)) / (high - low)
            yield row("density", kind, (float(low), float(high)), Interval(float(density), None, None), some)
        for low in np.arange(0.0, 180.0, ANGLE_BIN_DEG):
            high = low + ANGLE_BIN_DEG
            some = pairs.where((pairs.angles_deg >= low) & ((pairs.angles_deg < high) | (high == 180)))
            mean = leave_one_out(mean_cosine, some)
            if mean is not None:
                yield row("cosine by angle", kind, (float(low), float(high)), mean, some)
    parts = {"far_within": ("within", far(found.pairs)), "mean_across": ("across", found.pairs.of("across"))}
    for name, value in found.summary().items():
        if value is not None:
            kinds, some = parts.get(name, ("both", found.pairs))
            yield row(name, kinds, (None, None), value, some)


def bins(pairs: SimilarityPairs) -> Float[np.ndarray, " b"]:
    """Edges of a histogram's bins, the same for both kinds."""
    lowest = np.floor(20 * pairs.cosines.min(initial=0.95)) / 20
    return np.linspace(min(float(lowest), 0.95), 1.0, NUM_BINS + 1)


def figure(every: Sequence[SimilarityStatistics]) -> tuple[Figure, bytes]:
    """The drawing with its numbers, and a small PNG of it: a row a feature of an encoder.

    Args:
        every: At least one.
    """
    from matplotlib.ticker import MaxNLocator

    rows = tuple(row for found in every for row in rows_of(found))
    with style():
        sheet, alone = canvas(6.6, 0.75 + 1.75 * len(every))
        alone.remove()
        grid = sheet.subplots(len(every), 2, squeeze=False, width_ratios=(1.0, 1.0))
        for (left, right), found in zip(grid, every, strict=True):
            mine = [r for r in rows if (r["encoder"], r["feature"]) == (found.encoder, found.feature)]
            draw_histogram(left, [r for r in mine if r["what"] == "density"])
            draw_angles(right, [r for r in mine if r["what"] == "cosine by angle"])
            whose = " (DietNeRF's)" if found.is_default else ""
            # the end of a long name is what tells two files of one folder apart
            name = found.encoder if len(found.encoder) <= 24 else "…" + found.encoder[-23:]
            left.set_title(plain(f"{name}: {found.feature}{whose}"), loc="left", fontsize=8.5)
            right.set_title(f"AUC {told(found.summary()['auc'])}", loc="right", fontsize=8.5)
            left.xaxis.set_major_locator(MaxNLocator(5))
            right.yaxis.set_major_locator(MaxNLocator(4))
        grid[-1][0].set_xlabel("cosine of two views")
        grid[-1][1].set_xlabel("angle between their cameras [degrees]")
        sheet.align_ylabels(grid[:, 1])
        handles, labels = grid[0][1].get_legend_handles_labels()
        sheet.legend(handles, labels, frameon=False, loc="outside lower center", ncols=2)
        svg, png = drawn(sheet, ENCODER_FIGURE), io.BytesIO()
        sheet.savefig(png, format="png", dpi=90, facecolor="white", metadata={"Software": None})
    title = "Cosines of views of one scene, and of different scenes"
    return Figure(ENCODER_FIGURE, title, svg, rows), png.getvalue()


def draw_histogram(axes: Axes, rows: Sequence[dict[str, Any]]) -> None:
    """Densities of cosines."""
    for kind, looks in LOOKS.items():
        mine = [r for r in rows if r["pairs"] == kind]
        edges = [r["from"] for r in mine] + [mine[-1]["to"]]
        heights = [r["value"] for r in mine]
        axes.stairs(heights, edges, fill=True, color=looks["color"], alpha=0.28, lw=0)
        axes.stairs(heights, edges, color=looks["color"], ls=looks["ls"], lw=1.3)
    axes.set_ylabel("density of pairs")
    axes.set_yticks([])
    axes.set_xlim(edges[0], edges[-1])
    axes.set_ylim(bottom=0)


def draw_angles(axes: Axes, rows: Sequence[dict[str, Any]]) -> None:
    """Mean cosines against the angle, with intervals over scenes."""
    for kind, looks in LOOKS.items():
        mine = [r for r in rows if r["pairs"] == kind]
        angles = [0.5 * (r["from"] + r["to"]) for r in mine]
        axes.plot(angles, [r["value"] for r in mine], marker="o", ms=3, lw=1.5, **looks)
        sure = [r for r in mine if r["low"] is not None]
        places = [0.5 * (r["from"] + r["to"]) for r in sure]
        low, high = ([r[end] for r in sure] for end in ("low", "high"))
        axes.fill_between(places, low, high, color=looks["color"], alpha=0.2, lw=0)
    axes.set_ylabel("mean cosine")
    axes.set_xlim(0, 180)
    axes.set_xticks(range(0, 181, 45))
    axes.grid(axis="y", alpha=0.18, color=INK, lw=0.6)


# --- what is said and written -----------------------------------------------------------------------------------------


def told(value: Interval | None) -> str:
    """A number and its interval; a number below 1 is never rounded to 1.

    Example:
        >>> told(Interval(0.9, 0.85, 0.95)), told(Interval(0.99996, None, None)), told(None)
        ('0.900 [0.850, 0.950]', '>0.999', 'not known')
    """
    if value is None:
        return "not known"
    ends = "" if value.low is None or value.high is None else f" [{value.low:.3f}, {value.high:.3f}]"
    near = ">0.999" if 0.9995 <= value.mean < 1 else "<0.001" if 0 < value.mean < 0.0005 else f"{value.mean:.3f}"
    return near + ends


def line(found: SimilarityStatistics) -> str:
    """All that a feature of an encoder comes to, in one line."""
    pairs, summary = found.pairs, found.summary()
    num_scenes = len(pairs.scenes)
    head = f"{found.encoder}, {found.feature}{' (DietNeRF compares this)' if found.is_default else ''}: "
    counts = (
        f"{num_scenes} scenes, {len(pairs.of('within').cosines)} pairs within, {len(pairs.of('across').cosines)} across"
    )
    if summary["auc"] is None:
        return f"{head}no AUC: it needs two scenes, and two views of one ({counts})"
    said = [f"AUC {told(summary['auc'])}", f"overlap {told(summary['overlap'])}"]
    if summary["far_gap"] is not None:
        means = f"{told_mean(summary['far_within'])} within at {FAR_DEG:.0f} degrees and more"
        said.append(f"{means}, {told_mean(summary['mean_across'])} across, difference {told(summary['far_gap'])}")
    sure = f"95% over {num_scenes} scenes"
    if num_scenes < FEWEST_CLUSTERS:
        sure = f"too few scenes for intervals: {num_scenes} of {FEWEST_CLUSTERS}"
    elif summary["auc"].low is None:
        sure += ", none for an AUC on which too many scenes agree"
    return f"{head}{'; '.join(said)} ({sure}; {counts.partition(', ')[2]})"


def told_mean(value: Interval | None) -> str:
    """A number without its interval."""
    return told(value and value._replace(low=None, high=None))


def write(names: Sequence[str], budget: Budget, out: pathlib.Path) -> tuple[list[str], list[pathlib.Path]]:
    """Makes the figure and writes it as SVG, CSV and PNG.

    Args:
        names: Of encoders, as `models.clip.loading.load` takes them.
        budget: Where the size of the photographs comes from.
        out: The folder.

    Returns:
        A line a feature of an encoder, and the files.

    Raises:
        UsageError: An encoder is not known or not on disk, or the scenes cannot be rendered.
    """
    encoders = [loading.load(name) for name in dict.fromkeys(names)]  # before anything is rendered
    looked = views(budget)
    every = [found for encoder in encoders for found in measured(encoder, looked)]
    made, png = figure(every)
    contents: dict[str, str | bytes] = {"svg": standalone(made.svg), "csv": formats.csv_rows(made.rows), "png": png}
    paths = {end: out / f"{ENCODER_FIGURE}.{end}" for end in contents}
    for end, path in paths.items():
        write_file(path, contents[end])
    return [line(found) for found in every], list(paths.values())
