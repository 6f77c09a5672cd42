"""Draws pictures of a trained field and of its training, and writes them. The host does this; no device is asked.

n: frames, h and w: pixels of a frame.
"""

from __future__ import annotations

import io
import math
import pathlib
import threading
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Shaped, UInt8
from PIL import Image, ImageDraw

from bench.export.video import write_video
from bench.report.figures import style
from bench.report.images import image_grid
from bench.report.tables import csv_files
from bench.storage.timings import PhaseTimer
from tasks.data_dir.atomic_files import write_file

TURNTABLE = "turntable"
"""Name of a video that goes once round a field."""

STRIP_VIEWS = ("strip", "strip_steps")
"""Stored views that become a strip."""

MAX_STRIP = 24
"""Renders in a strip, at most."""

STRIP_COLUMNS = 12
"""Renders in a row of a strip."""

FIGURE_LOCK = threading.Lock()
"""Held while a figure is drawn: matplotlib's settings are those of the whole process."""

TERMS = {"loss": "total loss", "negative_cosine": "negative cosine", "transmittance": "transmittance"}
"""Curves that `curves.png` shows, with their titles; `curves.csv` holds all curves."""


def tiles(
    images: Sequence[Shaped[np.ndarray, "h w 3"]],
    labels: Sequence[str],
    num_columns: int,
    tile_px: int = image_grid.TILE_PX,
) -> Image.Image:
    """Draw pictures in rows, with a label under each.

    Args:
        images: Colours in [0, 1] or bytes, all of one size.
        labels: Labels, one a picture.
        num_columns: Pictures in a row.
        tile_px: Approximate width of a picture.
    """
    shown = [image_grid.resize_view(as_floats(image), tile_px) for image in images]
    height, width = shown[0].shape[:2]
    gap = image_grid.GAP_PX
    line = image_grid.LABEL_PX + 6
    num_columns = min(num_columns, len(shown))
    num_rows = math.ceil(len(shown) / num_columns)
    size = (gap + num_columns * (width + gap), gap + num_rows * (height + line + gap))
    canvas = Image.new("RGB", size, image_grid.PAPER)
    draw = ImageDraw.Draw(canvas)
    font = image_grid.label_font()
    for i, (image, label) in enumerate(zip(shown, labels, strict=True)):
        row, column = divmod(i, num_columns)
        x = gap + column * (width + gap)
        y = gap + row * (height + line + gap)
        canvas.paste(Image.fromarray(image), (x, y))
        text = image_grid.cut_text(label, width)
        draw.text((x + width // 2, y + height + 2), text, fill=image_grid.QUIET, font=font, anchor="ma")
    return canvas


def as_floats(image: Shaped[np.ndarray, "h w 3"]) -> Float[np.ndarray, "h w 3"]:
    """Return colours in [0, 1], from such colours or from bytes."""
    return image.astype(np.float32) / (255 if image.dtype == np.uint8 else 1)


def strip(frames: Shaped[np.ndarray, "n h w 3"], steps: Sequence[int]) -> Image.Image:
    """Draw renders from the course of training, with the step under each.

    Args:
        frames: Colours in [0, 1] or bytes, in the order of training; `MAX_STRIP` at even distances are drawn.
        steps: Step of each frame.
    """
    chosen = np.unique(np.linspace(0, len(frames) - 1, min(len(frames), MAX_STRIP)).round().astype(int))
    labels = [f"step {steps[i]}" for i in chosen]
    return tiles([frames[i] for i in chosen], labels, STRIP_COLUMNS, tile_px=112)


def views_sheet(frames: UInt8[np.ndarray, "n h w 3"], *, is_turn: bool = True) -> Image.Image:
    """Draw eight frames of a closed path, an eighth of it apart; of a turn, with angles."""
    places = np.arange(8) * len(frames) // 8
    labels = [f"{360 * i / len(frames):g}°" if is_turn else f"frame {i}" for i in places]
    return tiles([frames[i] for i in places], labels, 4)


def curves_figure(curves: Mapping[str, Sequence[float]]) -> bytes | None:
    """Plot total loss, negative cosine and transmittance over training as PNG; None if none of them was recorded."""
    known = [name for name in TERMS if name in curves]
    if not known or not curves["step"]:
        return None
    import matplotlib

    with FIGURE_LOCK, style.figure_style(), matplotlib.rc_context({"figure.facecolor": "white"}):
        figure, axes = style.make_canvas(3.0 * len(known), 2.3)
        axes.remove()
        for i, name in enumerate(known):
            panel = figure.add_subplot(1, len(known), i + 1)
            panel.plot(curves["step"], curves[name], color="#2458a6", lw=1.4)
            if f"{name}_target" in curves:
                panel.plot(curves["step"], curves[f"{name}_target"], color=style.COLORS["quiet"], lw=1.0, ls="--")
            panel.set_title(TERMS[name], fontsize=9, loc="left")
            panel.set_xlabel("step")
            panel.grid(axis="y", alpha=0.18, color=style.INK, lw=0.6)
        out = io.BytesIO()
        figure.savefig(out, format="png", dpi=160, metadata={"Software": None})
    return out.getvalue()


class FilePart(NamedTuple):
    """Some of the files of a field, which are written beside the others.

    Attributes:
        files: Names of the files.
        seconds: Seconds by phase.
        notes: Sentences on what could not be written, and why.
    """

    files: tuple[str, ...]
    seconds: dict[str, float]
    notes: tuple[str, ...] = ()


def write_frames(folder: pathlib.Path, name: str, frames: UInt8[np.ndarray, "n h w 3"]) -> FilePart:
    """Write the frames of a closed path as a video, and some of them as a sheet.

    Args:
        folder: Folder of the files.
        name: Of the video; of a turntable, the sheet has angles.
        frames: Of the path.
    """
    clock = PhaseTimer()
    files, why_no_mp4 = write_video(folder / name, frames)
    sheet = views_sheet(frames, is_turn=name == TURNTABLE)
    write_file(folder / "views.png", image_grid.encode_png(sheet, is_small=False), sync=False)
    clock.lap("pictures_s")
    return FilePart((*files, "views.png"), clock.laps, (why_no_mp4,) if why_no_mp4 else ())


def write_training_pictures(
    folder: pathlib.Path, views: Mapping[str, Shaped[np.ndarray, "..."]], curves: Mapping[str, Sequence[float]]
) -> FilePart:
    """Write the strip and the curves of training."""
    clock = PhaseTimer()
    pictures = training_pictures(views, curves)
    for name, content in pictures.items():
        write_file(folder / name, content, sync=False)
    clock.lap("pictures_s")
    return FilePart(tuple(pictures), clock.laps)


def training_pictures(
    views: Mapping[str, Shaped[np.ndarray, "..."]], curves: Mapping[str, Sequence[float]]
) -> dict[str, bytes]:
    """Draw the strip and the curves of training, and tabulate the curves; return contents by file name."""
    contents = {}
    if "strip" in views:
        steps = [int(step) for step in views["strip_steps"]]
        contents["strip.png"] = image_grid.encode_png(strip(views["strip"], steps), is_small=False)
    if curves.get("step"):
        rows = [dict(zip(curves, values, strict=True)) for values in zip(*curves.values(), strict=True)]
        contents["curves.csv"] = csv_files.rows_csv(rows).encode()
        figure = curves_figure(curves)
        if figure is not None:
            contents["curves.png"] = figure
    return contents
