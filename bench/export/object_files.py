"""Writes the files of a trained field: a turntable, a mesh, a sheet of views, and pictures of its training.

n: frames, h and w: pixels of a frame.
"""

from __future__ import annotations

import contextlib
import pathlib
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

import numpy as np
from jaxtyping import Shaped

from bench.export import pictures
from bench.export.camera_path import CameraPath
from bench.export.field import TrainedField, choose_path, render_path
from bench.export.mesh import MeshResult, mesh
from bench.export.pictures import FilePart
from bench.export.surface import write_surface
from bench.export.writers import Writers, open_threads
from bench.storage.timings import PhaseTimer, sum_timings

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
        meshed = [] if self.meshed.surface is None else [self.meshed.told()]
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
    writers: Writers | None = None,
) -> ExportedFiles:
    """Write all files of a trained field: video, mesh and pictures of training, at the same time.

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
        writers: Processes or threads that write them; None to open threads for these files.
    """
    for name in (*FILES, *CAPTURE_FILES):  # a file of an earlier field must not be taken for one of this field
        (folder / name).unlink(missing_ok=True)
    path = choose_path(field, num_frames=num_frames, image_px=image_px)
    with contextlib.ExitStack() as opened:
        if writers is None:
            writers = opened.enter_context(open_threads())
        strips = {name: views[name] for name in pictures.STRIP_VIEWS if name in views}
        drawn_later = writers.begin(pictures.write_training_pictures, folder, strips, dict(curves))
        asking = opened.enter_context(ThreadPoolExecutor(1))  # asks the device for the mesh while frames are rendered
        begun = asking.submit(write_meshes, field, folder, writers, resolution=resolution, level=level, box=box)
        filmed = render_frames(field, folder, path, writers)
        drawn = drawn_later()
        meshed, formed = begun.result()
    files = (*filmed.files, *drawn.files, *formed.files)
    notes = (*filmed.notes, *formed.notes)
    return ExportedFiles(files, meshed, notes, sum_timings(filmed.seconds, drawn.seconds, formed.seconds), path.told)


def render_frames(field: TrainedField, folder: pathlib.Path, path: CameraPath, writers: Writers) -> FilePart:
    """Render the frames of a path, and have them written."""
    clock = PhaseTimer()
    frames = render_path(field, path)  # on the grey that judges saw: on white, white parts would be lost
    clock.lap("turntable_s")
    name = "camera_path" if field.follows_capture else pictures.TURNTABLE
    written = writers.call(pictures.write_frames, folder, name, frames)
    return written._replace(seconds=written.seconds | clock.laps)


def write_meshes(
    field: TrainedField,
    folder: pathlib.Path,
    writers: Writers,
    *,
    resolution: int | None,
    level: float | None,
    box: Sequence[float] | None,
) -> tuple[MeshResult, FilePart]:
    """Write the mesh of a field in all formats; return it too, or the reason that there is none."""
    clock = PhaseTimer()
    meshed = mesh(field, resolution=resolution, level=level, box=box, writers=writers)
    files: tuple[str, ...] = ()
    notes: tuple[str, ...] = (meshed.told(),)
    if meshed.surface is not None:
        files = tuple(writers.call(write_surface, folder, meshed.surface, field.capture))
        notes = ()
    clock.lap("mesh_s")
    return meshed, FilePart(files, clock.laps, notes)
