"""Draws the cameras of a scene from above and from the side, beside near and far, before anything is trained.

Lengths are in the unit of the file's poses; the scene is turned and centred as a field sees it.

n: cameras, k: points.
"""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from jaxtyping import Float

from bench.report.figures.style import COLORS, INK, escape_math, figure_style
from bench.report.scene_summary import SceneLook, default_views
from bench.suites.builtin.sparse_views import NUM_VIEWS
from tasks.sparse_views.captured.placement import place_points, place_poses

if TYPE_CHECKING:
    from matplotlib.axes import Axes

HELD_OUT = "#d1722b"

RANGE = "#3b78b5"

CHOSEN = "#1d8a4b"

MOST_POINTS = 6000

MOST_LABELS = 12

PADDING = 1.4
"""Half the side of a view, in distances of the farthest camera from the middle."""

DEPTHS_TITLE = "each bar: the depths that a photo is known to show; shaded: near to far, which are wider by a margin"
"""Explains the bars beside the shaded range, which reaches farther at both ends."""

LINEAR_UP_TO = 20
"""Far over near up to which depths are drawn on a linear axis."""


class Drawing(NamedTuple):
    """Holds cameras and points to draw, turned and centred, in the unit of the file.

    Attributes:
        ids: Of the photographs that are trained on or held out.
        depths: Nearest and farthest depth that each shows, as far as known.
        poses: Of their cameras.
        corners: Of each camera's picture, at a small distance before it.
        points: Sparse points, at most `MOST_POINTS`.
        is_test: Whether a camera's photograph is held out.
        near: First depth of interest.
        far: Last depth of interest.
        radius: Distance of the farthest camera from the origin.
        is_chosen: Whether a study trains on a camera's photograph where nothing else is set.
    """

    ids: tuple[int, ...]
    depths: Float[np.ndarray, "n 2"]
    poses: Float[np.ndarray, "n 4 4"]
    corners: Float[np.ndarray, "n 4 3"]
    points: Float[np.ndarray, "k 3"]
    is_test: tuple[bool, ...]
    near: float
    far: float
    radius: float
    is_chosen: tuple[bool, ...]


def draw_scene(look: SceneLook) -> bytes:
    """Draw a scene that was looked at; return a PNG file."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure as MatplotlibFigure

    drawing = _arrange(look)
    is_forward = look.placement.world == "forward-facing"
    # From above, a forward-facing scene's depth (-z) goes up the page; others are drawn like a map.
    views = (("from above", 0, 2), ("from the side", 2, 1)) if is_forward else (
        ("from above", 0, 1), ("from the side", 0, 2))  # fmt: skip
    with figure_style():
        figure = MatplotlibFigure(figsize=(11, 8.2), layout="constrained")
        FigureCanvasAgg(figure)
        grid = figure.add_gridspec(2, 2, height_ratios=(2.4, 1))
        for place, (title, across, up) in enumerate(views):
            _draw_view(figure.add_subplot(grid[0, place]), look, drawing, across, up, title)
        _draw_depths(figure.add_subplot(grid[1, :]), drawing)
        figure.suptitle(escape_math(_title(look, drawing)), fontsize=9.5)
        figure.legend(*_legend(look), frameon=False, loc="outside lower center", ncols=7)
        out = io.BytesIO()
        figure.savefig(out, format="png", dpi=110, facecolor="white", metadata={"Software": None})
    return out.getvalue()


def _title(look: SceneLook, drawing: Drawing) -> str:
    place = look.placement
    num_all = len(look.capture.frames)
    photos = f"{len(drawing.ids)} of {num_all} photos" if len(drawing.ids) < num_all else f"{num_all} photos"
    return (
        f"{look.task.scene}: {look.capture.kind}, {photos}, {place.world}; near {drawing.near:.3g}, "
        f"far {drawing.far:.3g} ({place.reasons['near and far']})"
    )


def _arrange(look: SceneLook) -> Drawing:
    turned = look.placement._replace(scale=1.0)
    chosen = default_views(look, NUM_VIEWS)
    held_out = {id(frame) for frame in look.split.test.values()}
    used = held_out | {id(frame) for frame in look.split.train.values()}
    places = [place for place, frame in enumerate(look.capture.frames) if id(frame) in used]
    frames = [look.capture.frames[place] for place in places]
    poses = place_poses(turned, np.stack([frame.pose for frame in frames])).astype(np.float64)
    radius = float(np.linalg.norm(poses[:, :3, 3], axis=1).max())
    size = 0.12 * radius
    corners = []
    for frame, pose in zip(frames, poses, strict=True):
        camera = frame.camera
        columns = (np.array([0, camera.width, camera.width, 0]) - camera.center_x) / camera.focal_x
        rows = (np.array([0, 0, camera.height, camera.height]) - camera.center_y) / camera.focal_y
        corners.append(pose[:3, 3] + size * np.stack([columns, -rows, -np.ones(4)], axis=-1) @ pose[:3, :3].T)
    points = look.capture.points
    drawn = np.zeros((0, 3))
    if points is not None:
        drawn = place_points(turned, points.positions[:: max(1, len(points.positions) // MOST_POINTS)])
    scale = look.placement.scale
    is_test = [id(frame) in held_out for frame in frames]
    is_chosen = [frame.id in chosen and id(frame) not in held_out for frame in frames]
    return Drawing(
        ids=tuple(frame.id for frame in frames),
        depths=look.placement.depths[places],
        poses=poses,
        corners=np.stack(corners),
        points=drawn,
        is_test=tuple(is_test),
        near=look.placement.near / scale,
        far=look.placement.far / scale,
        radius=radius,
        is_chosen=tuple(is_chosen),
    )


def _draw_view(axes: Axes, look: SceneLook, drawing: Drawing, across: int, up: int, title: str) -> None:
    """Draw one projection: `across` and `up` are the axes of the world that lie in the page."""
    from matplotlib.patheffects import withStroke

    if len(drawing.points):
        axes.plot(drawing.points[:, across], drawing.points[:, up], ".", ms=1.2, color=COLORS["quiet"], alpha=0.5)
    positions = drawing.poses[:, :3, 3]
    ahead = -drawing.poses[:, :3, 2]
    first = positions + drawing.near * ahead
    last = positions + drawing.far * ahead
    faint = min(0.3, 8 / len(positions))
    _add_lines(axes, np.stack([first, last], axis=1)[..., [across, up]], color=RANGE, lw=1.1, alpha=faint)
    for ends in (first, last):
        axes.plot(ends[:, across], ends[:, up], ".", ms=3, color=RANGE, alpha=0.5)
    outlines = np.concatenate([drawing.corners, drawing.corners[:, :1]], axis=1)
    apexes = np.broadcast_to(positions[:, None], drawing.corners.shape)
    edges = np.stack([apexes, drawing.corners], axis=2).reshape(-1, 2, 3)
    colors = [HELD_OUT if is_test else INK for is_test in drawing.is_test]
    _add_lines(axes, outlines[..., [across, up]], color=colors, lw=0.8)
    _add_lines(axes, edges[..., [across, up]], color=[color for color in colors for _ in range(4)], lw=0.5)
    for place in np.flatnonzero(drawing.is_chosen):  # above all cameras, where many stand close together
        x, y = positions[place, [across, up]]
        axes.plot(x, y, "o", ms=6, mew=1.4, mfc="none", color=CHOSEN, zorder=4)
        axes.annotate(
            str(drawing.ids[place]), (x, y), xytext=(5, 4), textcoords="offset points",
            fontsize=8, color=CHOSEN, fontweight="bold", annotation_clip=True,
            zorder=5, path_effects=[withStroke(linewidth=2.5, foreground="white")],
        )  # fmt: skip
    axes.plot([0], [0], "+", ms=11, mew=1.6, color=COLORS["worse"])
    _draw_circle(axes, look, drawing)
    _set_limits(axes, look, drawing, across, up)
    names = ["x", "y", "z"]
    axes.set_title(title, fontsize=9)
    axes.set_xlabel(f"{names[across]}, in the poses' unit")
    axes.set_ylabel(names[up])


def _add_lines(axes: Axes, lines: Float[np.ndarray, "m p 2"], **style: Any) -> None:
    """Draw many lines as one thing: each by itself would take seconds."""
    from matplotlib.collections import LineCollection

    axes.add_collection(LineCollection(list(lines), **style))


def _draw_circle(axes: Axes, look: SceneLook, drawing: Drawing) -> None:
    """Draw the sphere that new views are taken from, or the ball outside of which space is contracted."""
    if look.placement.world == "forward-facing":
        return
    mean = float(np.linalg.norm(drawing.poses[:, :3, 3], axis=1).mean())
    radius = mean if look.placement.world == "bounded" else 1 / look.placement.scale
    angle = np.linspace(0, 2 * np.pi, 200)
    axes.plot(radius * np.cos(angle), radius * np.sin(angle), ls=(0, (4, 3)), lw=0.7, color=COLORS["quiet"])


def _set_limits(axes: Axes, look: SceneLook, drawing: Drawing, across: int, up: int) -> None:
    """Show cameras and what they look at; far of a scene without an end may lie outside of the page."""
    axes.set_aspect("equal", adjustable="box")
    if look.placement.world == "forward-facing":
        positions = drawing.poses[:, :3, 3]
        ends = np.concatenate([positions, positions - drawing.far * drawing.poses[:, :3, 2]])
        low = ends.min(axis=0)
        high = ends.max(axis=0)
    else:
        most = max(PADDING * drawing.radius, 1e-6)
        low = np.full(3, -most)
        high = np.full(3, most)
    middle = 0.5 * (low + high)
    half = 0.55 * (high - low).max()  # a square, with a margin
    limits = {name: (middle[place] - half, middle[place] + half) for name, place in (("x", across), ("y", up))}
    # The scene's depth goes up the page, or to the right of it, as one looks into it.
    is_forward = look.placement.world == "forward-facing"
    axes.set_xlim(*(limits["x"][::-1] if is_forward and across == 2 else limits["x"]))
    axes.set_ylim(*(limits["y"][::-1] if is_forward and up == 2 else limits["y"]))


def _draw_depths(axes: Axes, drawing: Drawing) -> None:
    """Draw the depths that each photograph shows between near and far, as far as they are known."""
    from matplotlib.ticker import ScalarFormatter

    axes.axhspan(drawing.near, drawing.far, color=RANGE, alpha=0.12, lw=0)
    places = np.arange(len(drawing.ids))
    is_test = np.array(drawing.is_test)
    for chosen, color in ((~is_test, INK), (is_test, HELD_OUT)):
        low, high = drawing.depths[chosen].T
        axes.vlines(places[chosen], low, high, color=color, lw=1.4)
        for ends in (low, high):
            axes.plot(places[chosen], ends, "_", ms=4, color=color)
    if drawing.far > LINEAR_UP_TO * drawing.near:
        axes.set_yscale("log")
        axes.yaxis.set_major_formatter(ScalarFormatter())
    axes.set_title(DEPTHS_TITLE, fontsize=9)
    axes.set_ylabel("depth seen,\nin the poses' unit")
    axes.set_xlabel("photo (id)")
    labelled = places[:: max(1, len(places) // MOST_LABELS)]
    axes.set_xticks(labelled, [str(drawing.ids[place]) for place in labelled])
    axes.margins(x=0.01)


def _legend(look: SceneLook) -> tuple[list[Any], list[str]]:
    from matplotlib.lines import Line2D

    shown = [
        (Line2D([], [], color=INK, lw=1), "to train on"),
        (Line2D([], [], color=HELD_OUT, lw=1), "held out"),
        (Line2D([], [], color=CHOSEN, ls="", marker="o", mfc="none", ms=6), "trained on by default (id)"),
        (Line2D([], [], color=RANGE, lw=2, alpha=0.4, marker=".", ms=4), "from near to far"),
        (Line2D([], [], color=COLORS["worse"], ls="", marker="+", ms=9), "the field's centre"),
    ]
    circle = {"bounded": "the cameras' mean distance", "unbounded": "space is contracted outside"}
    if look.placement.world in circle:
        dashes = Line2D([], [], color=COLORS["quiet"], ls=(0, (4, 3)), lw=0.8)
        shown.append((dashes, circle[look.placement.world]))
    if look.capture.points is not None:
        shown.append((Line2D([], [], color=COLORS["quiet"], ls="", marker=".", ms=3), "sparse points"))
    return [line for line, _ in shown], [name for _, name in shown]
