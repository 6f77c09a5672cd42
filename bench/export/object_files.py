"""Writes the files of a trained field: a turntable, a mesh, a sheet of views, and pictures of its training.

n: frames, h and w: pixels of a frame.
"""

from __future__ import annotations

import io
import math
import pathlib
import threading
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Shaped, UInt8
from PIL import Image, ImageDraw

from bench.export.camera_path import CameraPath
from bench.export.field import TrainedField, choose_path, render_path
from bench.export.mesh import MeshResult, mesh, write_mesh
from bench.export.video import write_video
from bench.report.figures import style
from bench.report.images import image_grid
from bench.report.tables import csv_files
from bench.storage.timings import PhaseTimer, sum_timings
from tasks.data_dir.atomic_files import write_file

FILES = (
    "turntable.mp4",
    "turntable.webp",
    "views.png",
    "strip.png",
    "curves.csv",
    "curves.png",
    "object.glb",
    "object.obj",
    "object.ply",
)
"""Every file that `export_object` may write of an object."""

CAPTURE_FILES = ("camera_path.mp4", "camera_path.webp")
"""The video along a captured scene's own cameras, which comes in place of the turntable."""

MAX_STRIP = 24
"""Renders in a strip, at most."""

STRIP_COLUMNS = 12
"""Renders in a row of a strip."""

FIGURE_LOCK = threading.Lock()
"""Held while a figure is drawn: matplotlib's settings are those of the whole process."""

TERMS = {"loss": "total loss", "negative_cosine": "negative cosine", "transmittance": "transmittance"}
"""Curves that `curves.png` shows, with their titles; `curves.csv` holds all curves."""


# --- pictures ---------------------------------------------------------------------------------------------------------


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


# --- all files --------------------------------------------------------------------------------------------------------


class ExportedFiles(NamedTuple):
    """Files that were written of one field.

    Attributes:
        files: Names of the files.
        meshed: The mesh, or the reason that there is none.
        notes: Sentences on what could not be written, and why.
        seconds: Seconds by phase.
        path: What path the video's camera takes.
    """

    files: tuple[str, ...]
    meshed: MeshResult
    notes: tuple[str, ...]
    seconds: dict[str, float]
    path: str = ""

    def told(self) -> list[str]:
        """Describe the video, the mesh and what could not be written, a sentence each."""
        meshed = [] if self.meshed.mesh is None else [self.meshed.told()]
        return [f"video: {self.path}", *meshed, *self.notes]


def export_object(
    field: TrainedField,
    folder: pathlib.Path,
    *,
    views: Mapping[str, Shaped[np.ndarray, "..."]],
    curves: Mapping[str, Sequence[float]],
    num_frames: int = 48,
    image_px: int | None = None,
    resolution: int | None = None,
    level: float | None = None,
    box: Sequence[float] | None = None,
) -> ExportedFiles:
    """Write all files of a trained field: video, mesh and pictures of training beside each other, in threads.

    Args:
        field: Trained field.
        folder: Folder of the files, created if it is missing; files of the same names are replaced.
        views: Stored views; "strip" and "strip_steps", if present, become strip.png.
        curves: Recorded curves; without them no curves are written.
        num_frames: Frames of the video.
        image_px: Pixels along the longer side of its frames; None for `FRAME_PX`.
        resolution: Points along the longest side of the grid that the mesh is made on; None chooses it, see `mesh`.
        level: Density at the mesh's surface; see `mesh`.
        box: What is meshed, in the unit of the poses; see `mesh`.
    """
    for name in (*FILES, *CAPTURE_FILES):  # a file of an earlier field must not be taken for one of this field
        (folder / name).unlink(missing_ok=True)
    path = choose_path(field, num_frames=num_frames, image_px=image_px)
    with ThreadPoolExecutor(2) as threads:
        begun_mesh = threads.submit(write_meshes, field, folder, resolution=resolution, level=level, box=box)
        begun_pictures = threads.submit(write_training_pictures, folder, views, curves)
        filmed = write_frames(field, folder, path)
    drawn = begun_pictures.result()
    meshed, formed = begun_mesh.result()
    files = (*filmed.files, *drawn.files, *formed.files)
    notes = (*filmed.notes, *formed.notes)
    return ExportedFiles(files, meshed, notes, sum_timings(filmed.seconds, drawn.seconds, formed.seconds), path.told)


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


def write_frames(field: TrainedField, folder: pathlib.Path, path: CameraPath) -> FilePart:
    """Render the frames of a path; write them as a video, and some of them as a sheet."""
    clock = PhaseTimer()
    is_turn = not field.follows_capture
    frames = render_path(field, path)  # on the grey that judges saw: on white, white parts would be lost
    clock.lap("turntable_s")
    files, why_no_mp4 = write_video(folder / ("turntable" if is_turn else "camera_path"), frames)
    write_file(
        folder / "views.png", image_grid.encode_png(views_sheet(frames, is_turn=is_turn), is_small=False), sync=False
    )
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


def write_meshes(
    field: TrainedField,
    folder: pathlib.Path,
    *,
    resolution: int | None,
    level: float | None,
    box: Sequence[float] | None,
) -> tuple[MeshResult, FilePart]:
    """Write the mesh of a field in all formats; return it too, or the reason that there is none."""
    clock = PhaseTimer()
    meshed = mesh(field, resolution=resolution, level=level, box=box)
    files = () if meshed.mesh is None else tuple(write_mesh(folder, meshed.mesh, field.capture))
    clock.lap("mesh_s")
    return meshed, FilePart(files, clock.laps, (meshed.told(),) if meshed.mesh is None else ())


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
