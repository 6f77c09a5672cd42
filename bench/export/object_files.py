"""What a finished field leaves beside numbers: a turntable, a mesh, views round it, a strip and curves of its training.

World: as in `tasks.cameras`, z up. A mesh in memory and as PLY is in the world; GLB and OBJ are written with y up, as
programs that read these expect.

n: frames, h and w: pixels of a frame, p: points asked at once, g: points of the grid along a side, v: vertices.
"""

from __future__ import annotations

import io
import math
import pathlib
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Shaped, UInt8
from PIL import Image, ImageDraw

from bench.export.field import TrainedField, turntable
from bench.export.mesh import MeshResult, mesh, write_mesh
from bench.export.video import write_video
from bench.report.figures import style
from bench.report.images import image_grid
from bench.report.tables import csv_files
from bench.storage.timings import PhaseTimer
from tasks.data_dir.atomic_files import write_file

FILES = (
    *("turntable.mp4", "turntable.webp", "views.png", "strip.png", "curves.csv", "curves.png"),
    *("object.glb", "object.obj", "object.ply"),
)
"""All that may be left."""

MAX_STRIP, STRIP_COLUMNS = 24, 12
"""Renders in a strip, and how many of them stand in a row."""


TERMS = {"loss": "total loss", "negative_cosine": "negative cosine", "transmittance": "transmittance"}
"""Curves that are drawn, with their titles, each before its target if it has one; the file of numbers has all."""


# --- pictures ---------------------------------------------------------------------------------------------------------


def tiles(
    images: Sequence[Shaped[np.ndarray, "h w 3"]],
    labels: Sequence[str],
    num_columns: int,
    tile_px: int = image_grid.TILE_PX,
) -> Image.Image:
    """Pictures in rows, with what they are written under each.

    Args:
        images: Colours in [0, 1] or bytes, all of one size.
        labels: One each.
        num_columns: In a row.
        tile_px: How wide tiles are, about.
    """
    shown = [image_grid.resize_view(x.astype(np.float32) / (255 if x.dtype == np.uint8 else 1), tile_px) for x in images]
    (height, width), gap, line = shown[0].shape[:2], image_grid.GAP_PX, image_grid.LABEL_PX + 6
    num_columns = min(num_columns, len(shown))
    num_rows = math.ceil(len(shown) / num_columns)
    size = gap + num_columns * (width + gap), gap + num_rows * (height + line + gap)
    canvas = Image.new("RGB", size, image_grid.PAPER)
    draw = ImageDraw.Draw(canvas)
    for i, (image, label) in enumerate(zip(shown, labels, strict=True)):
        x, y = gap + i % num_columns * (width + gap), gap + i // num_columns * (height + line + gap)
        canvas.paste(Image.fromarray(image), (x, y))
        text = image_grid.cut_text(label, width)
        draw.text((x + width // 2, y + height + 2), text, fill=image_grid.QUIET, font=image_grid.label_font(), anchor="ma")
    return canvas


def strip(frames: Shaped[np.ndarray, "n h w 3"], steps: Sequence[int]) -> Image.Image:
    """Renders over training, with the step under each; of many, some from the first to the last.

    Args:
        frames: Colours in [0, 1] or bytes, in the order of training.
        steps: How many were taken before each.
    """
    chosen = np.unique(np.linspace(0, len(frames) - 1, min(len(frames), MAX_STRIP)).round().astype(int))
    labels = [f"step {steps[i]}" for i in chosen]
    return tiles([frames[i] for i in chosen], labels, STRIP_COLUMNS, tile_px=112)


def views_sheet(frames: UInt8[np.ndarray, "n h w 3"]) -> Image.Image:
    """Eight frames of a turntable, an eighth of a turn apart."""
    places = np.arange(8) * len(frames) // 8
    return tiles([frames[i] for i in places], [f"{360 * i / len(frames):g}°" for i in places], 4)


def curves_figure(curves: Mapping[str, Sequence[float]]) -> bytes | None:
    """Curves of the total loss, the negative cosine and the transmittance, as PNG; None where there are none."""
    import matplotlib

    known = [name for name in TERMS if name in curves]
    if not known or not curves["step"]:
        return None
    with style.figure_style(), matplotlib.rc_context({"figure.facecolor": "white"}):
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


# --- meshes -----------------------------------------------------------------------------------------------------------


# --- all of it --------------------------------------------------------------------------------------------------------


class ExportedFiles(NamedTuple):
    """What was written of one field.

    Attributes:
        files: Their names.
        meshed: What became of the mesh.
        notes: What could not be done, and why.
        seconds: By phase.
    """

    files: tuple[str, ...]
    meshed: MeshResult
    notes: tuple[str, ...]
    seconds: dict[str, float]

    def told(self) -> list[str]:
        """What is to be said of it, a line each."""
        return [*([self.meshed.told()] if self.meshed.mesh is not None else []), *self.notes]


def export_object(
    field: TrainedField,
    folder: pathlib.Path,
    *,
    views: Mapping[str, Shaped[np.ndarray, "..."]],
    curves: Mapping[str, Sequence[float]],
    num_frames: int = 48,
    image_px: int | None = None,
    resolution: int = 96,
    level: float | None = None,
) -> ExportedFiles:
    """Writes everything that a finished field leaves.

    Args:
        field: Which.
        folder: Made if it is missing; files of the same names are replaced.
        views: As stored; "strip" and "strip_steps", where they are, become strip.png.
        curves: As recorded; none are drawn if there are none.
        num_frames: Of the turntable.
        image_px: Width and height of its frames; None for `FRAME_PX`.
        resolution: Of the grid that the mesh is made on.
        level: Density at the mesh's surface; see `mesh`.
    """
    clock, notes = PhaseTimer(), []
    for name in FILES:  # what an earlier field left and this one does not must not seem to be this one's
        (folder / name).unlink(missing_ok=True)
    frames = turntable(field, num_frames=num_frames, image_px=image_px)
    clock.lap("turntable_s")
    files, why = write_video(folder / "turntable", frames)
    notes += [why] if why else []
    pictures = {"views.png": image_grid.encode_png(views_sheet(frames))}
    if "strip" in views:
        pictures["strip.png"] = image_grid.encode_png(strip(views["strip"], [int(step) for step in views["strip_steps"]]))
    if curves.get("step"):
        rows = [dict(zip(curves, values, strict=True)) for values in zip(*curves.values(), strict=True)]
        pictures["curves.csv"] = csv_files.rows_csv(rows).encode()
        drawn = curves_figure(curves)
        pictures |= {"curves.png": drawn} if drawn is not None else {}
    for name, content in pictures.items():
        write_file(folder / name, content)
    clock.lap("pictures_s")
    meshed = mesh(field, resolution=resolution, level=level)
    if meshed.mesh is None:
        notes.append(meshed.told())
    made = write_mesh(folder, meshed.mesh) if meshed.mesh is not None else []
    clock.lap("mesh_s")
    return ExportedFiles((*files, *pictures, *made), meshed, tuple(notes), clock.laps)
