"""Decides how figures look: settings, colours, sizes, and names that fit beside an axis."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure as MatplotlibFigure

    from bench.analysis.table_result import TableResult

INK = "#1c1e22"
"""Not black: matplotlib leaves black out of an SVG, and a page would not find it."""

COLORS = {"better": "#1a7f4b", "worse": "#c0392b", "quiet": "#8a8f98", "": INK}

CALM_SETTINGS: dict[str, Any] = {
    "figure.facecolor": "white",
    "axes.labelcolor": ".15",
    "xtick.direction": "out",
    "ytick.direction": "out",
    "xtick.color": ".15",
    "ytick.color": ".15",
    "axes.axisbelow": True,
    "grid.linestyle": "-",
    "text.color": ".15",
    "font.family": ["sans-serif"],
    "font.sans-serif": ["Arial", "DejaVu Sans", "Liberation Sans", "Bitstream Vera Sans", "sans-serif"],
    "lines.solid_capstyle": "round",
    "patch.edgecolor": "w",
    "patch.force_edgecolor": True,
    "xtick.top": False,
    "ytick.right": False,
    "axes.grid": False,
    "axes.facecolor": "white",
    "axes.edgecolor": ".15",
    "grid.color": ".8",
    "axes.spines.left": True,
    "axes.spines.bottom": True,
    "axes.spines.right": True,
    "axes.spines.top": True,
    "xtick.bottom": True,
    "ytick.left": True,
    "axes.linewidth": 1.0,
    "grid.linewidth": 0.8,
    "lines.linewidth": 1.2,
    "lines.markersize": 4.8,
    "patch.linewidth": 0.8,
    "xtick.major.width": 1.0,
    "ytick.major.width": 1.0,
    "xtick.minor.width": 0.8,
    "ytick.minor.width": 0.8,
    "xtick.major.size": 4.8,
    "ytick.major.size": 4.8,
    "xtick.minor.size": 3.2,
    "ytick.minor.size": 3.2,
    "font.size": 9.6,
    "axes.labelsize": 9.6,
    "axes.titlesize": 9.6,
    "xtick.labelsize": 8.8,
    "ytick.labelsize": 8.8,
    "legend.fontsize": 8.8,
    "legend.title_fontsize": 9.6,
}
"""Those of seaborn's style `ticks` and context `paper`, written out: seaborn takes seconds to import."""

SETTINGS = {
    "font.family": ["DejaVu Sans"],
    "font.size": 9,
    "axes.labelsize": 9,
    "xtick.labelsize": 8.5,
    "ytick.labelsize": 9,
    "legend.fontsize": 8.5,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "text.color": INK,
    "axes.labelcolor": INK,
    "axes.edgecolor": INK,
    "xtick.color": INK,
    "ytick.color": INK,
    "axes.linewidth": 0.7,
    "xtick.major.width": 0.7,
    "xtick.major.size": 3,
    "axes.facecolor": "none",
    "figure.facecolor": "none",
    "svg.fonttype": "none",
    "svg.hashsalt": "bench",
    "axes.unicode_minus": True,
    "text.usetex": False,
    "path.simplify": True,
}


def figure_style() -> Any:
    """Return a context in which figures are drawn: seaborn's settings, made calmer."""
    import matplotlib

    # From the defaults: a user's own matplotlibrc must not change a page's bytes. The backend stays as it is; even to
    # read it would import pyplot, which takes a third of a second.
    settings: Any = dict(matplotlib.rcParamsDefault)
    del settings["backend"]
    settings.update(CALM_SETTINGS | SETTINGS)
    return matplotlib.rc_context(settings)


def make_canvas(width_in: float, height_in: float) -> tuple[MatplotlibFigure, Axes]:
    """Make an empty figure that no window and no global state knows of."""
    from matplotlib.backends.backend_svg import FigureCanvasSVG
    from matplotlib.figure import Figure as MatplotlibFigure

    figure = MatplotlibFigure(figsize=(width_in, height_in), layout="constrained")
    FigureCanvasSVG(figure)
    return figure, figure.add_subplot()


def line_figure_height(num_labels: int) -> float:
    """Compute the inches of a figure of lines: a long legend takes nothing of its axes."""
    return 3.7 + 0.18 * max(0, (num_labels + 1) // 2 - 3)


def add_grid_and_legend(figure: MatplotlibFigure, axes: Axes) -> None:
    """Add a quiet grid, and the legend below, in as many columns as names leave room for."""
    axes.grid(axis="y", alpha=0.18, color=INK, lw=0.6)
    longest = max(len(label) for label in axes.get_legend_handles_labels()[1])
    figure.legend(frameon=False, loc="outside lower center", ncols=3 if longest <= 14 else 2)


def arm_colors(result: TableResult) -> dict[str, Any]:
    """Choose a colour an arm, told apart by the colour-blind too; the baseline is ink."""
    import seaborn

    others = [arm for arm in result.arms if arm != result.baseline]
    colors = seaborn.color_palette("colorblind" if len(others) <= 9 else "husl", max(len(others), 1))
    return {**dict(zip(others, colors, strict=False)), result.baseline: INK}


def shorten(name: str, most: int = 24) -> str:
    """Shorten a name, so that it fits beside an axis."""
    return name if len(name) <= most else name[: most - 1] + "…"


def escape_math(text: str) -> str:
    """Escape a text that matplotlib shall not read as mathematics."""
    return "".join(character if character.isprintable() else "\ufffd" for character in text).replace("$", r"\$")


def escape_lines(lines: Sequence[str]) -> str:
    """Escape several lines."""
    return "\n".join(escape_math(line) for line in lines)
