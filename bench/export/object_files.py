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
from typing import TYPE_CHECKING, Any, NamedTuple

import flax.traverse_util
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Shaped, UInt8
from PIL import Image, ImageDraw

from bench.errors import UsageError
from bench.report.figures import standard
from bench.report.images import image_grid
from bench.report.page.page import write_file
from bench.report.tables import formats
from bench.storage.timings import PhaseTimer
from bench.suites.suite import Trial
from bench.training import devices, trainer
from bench.training.trainer import Cameras
from models.method import Data, Method, Params, State, Views
from tasks.cameras import BLENDER_FOV_DEG, Intrinsics, Rays, intrinsics_from_fov, look_at

if TYPE_CHECKING:
    from trimesh import Trimesh

RADIUS = 4.0
"""Distance of the turntable's camera from the origin: that of all test cameras."""

FRAME_PX = {"cpu": 80, "accelerator": 160}
"""Side of a turntable's frames if nobody says another: on two cores 48 frames of 160 px take minutes."""

POINTS_AT_ONCE = {"cpu": 1 << 13, "accelerator": 1 << 18}

COLOR_CELLS = 10
"""How deep below a mesh's surface its colours come from, in cells of the grid."""

MIN_PART = 0.01
"""Share of a mesh's surface below which a part that floats by itself is dropped."""

FILES = (
    *("turntable.mp4", "turntable.webp", "views.png", "strip.png", "curves.csv", "curves.png"),
    *("object.glb", "object.obj", "object.ply"),
)
"""All that may be left."""

MAX_STRIP, STRIP_COLUMNS = 24, 12
"""Renders in a strip, and how many of them stand in a row."""

H264 = "libx264"

TERMS = {"loss": "total loss", "negative_cosine": "negative cosine", "transmittance": "transmittance"}
"""Curves that are drawn, with their titles, each before its target if it has one; the file of numbers has all."""


class TrainedField(NamedTuple):
    """A finished field, with all that it takes to look at it.

    Attributes:
        method: With its numbers, which rendering may ask for.
        params: Trained.
        state: As training left it.
        data: The trial's arrays.
        near: First `t` of interest of a camera at `RADIUS`.
        far: Last `t` of interest.
        background: Grey that `method.render` puts behind the field.
    """

    method: Method
    params: Params
    state: State
    data: Data
    near: float
    far: float
    background: float

    @property
    def half_width(self) -> float:
        """Of the largest cube about the origin that lies between `near` and `far` of every camera."""
        return (self.far - self.near) / 2 / math.sqrt(3)


class MeshResult(NamedTuple):
    """What became of a field as a mesh.

    Attributes:
        mesh: With colours at its vertices; None where there is no surface.
        reason: Why there is none; None if there is one.
        level: Density at its surface; None where there is none.
        share_inside: Share of the cube that is denser than that: near 1 for a field that fills everything.
        is_watertight: Whether each edge is of two faces.
        num_dropped: Small parts that floated by themselves and were left out.
    """

    mesh: Trimesh | None
    reason: str | None
    level: float | None
    share_inside: float
    is_watertight: bool = False
    num_dropped: int = 0

    def told(self) -> str:
        """The mesh in a sentence."""
        if self.mesh is None:
            return f"no mesh: {self.reason}"
        dropped = f", {self.num_dropped} small floating parts dropped" if self.num_dropped else ""
        closed = "watertight" if self.is_watertight else "not watertight"
        return f"mesh of {len(self.mesh.faces)} faces, {closed}, surface at a density of {self.level:.3g}{dropped}"

    def to_json(self) -> dict[str, Any]:
        """All but the mesh itself."""
        told = {name: value for name, value in self._asdict().items() if name != "mesh"}
        if self.mesh is not None:
            told |= {"num_vertices": len(self.mesh.vertices), "num_faces": len(self.mesh.faces)}
        return told


def field_of(trial: Trial, parameters: Mapping[str, Shaped[np.ndarray, "..."]]) -> TrainedField:
    """The field that a trial's stored parameters are of.

    Args:
        trial: As it was trained.
        parameters: By flat names, as an `Outcome` or a store has them.

    Raises:
        UsageError: They are not those of the trial's method.
    """
    method = trial.method
    data = jax.tree.map(jnp.asarray, method.prepare(trainer.encoders_of(method), trial.task))
    params, state = jax.eval_shape(method.init, jax.random.key(trial.seed), data)
    wanted = {"params": params} | ({"state": state} if jax.tree.leaves(state) else {})
    shapes = {name: x.shape for name, x in flax.traverse_util.flatten_dict(wanted, sep="/").items()}
    got = {name: x.shape for name, x in parameters.items()}
    if got != shapes:
        name = next(name for name in {**shapes, **got} if shapes.get(name) != got.get(name))
        raise UsageError(
            f"{trial.id}: expected parameters of its method, {name} of {shapes.get(name, 'no')} shape, got "
            f"{got.get(name, 'none')}; they are of another version of the method: train it again"
        )
    filled = flax.traverse_util.unflatten_dict({k: jnp.asarray(x) for k, x in parameters.items()}, sep="/")
    scene = trial.task.load()
    behind = next((x.background for x in (scene, data, trial.task) if hasattr(x, "background")), 1.0)
    return TrainedField(
        method, filled["params"], filled.get("state", state), data, float(scene.near), float(scene.far), float(behind)
    )


# --- pictures ---------------------------------------------------------------------------------------------------------


def turntable(
    field: TrainedField,
    *,
    num_frames: int = 48,
    image_px: int | None = None,
    elevation_deg: float = 30.0,
    background: float = 1.0,
) -> UInt8[np.ndarray, "n h w 3"]:
    """Frames once round the object, the first from +x.

    Args:
        field: What is looked at.
        num_frames: A whole turn.
        image_px: Width and height; None for `FRAME_PX`.
        elevation_deg: Of the camera.
        background: Grey behind the object: 1 is white.
    """
    image_px = FRAME_PX["cpu" if devices.is_cpu() else "accelerator"] if image_px is None else image_px
    azimuth_deg = np.arange(num_frames) * 360 / num_frames
    poses = look_at(azimuth_deg, np.full(num_frames, elevation_deg), np.full(num_frames, RADIUS))
    inner = Intrinsics(*(jnp.full(1, x, jnp.float32) for x in intrinsics_from_fov(BLENDER_FOV_DEG, image_px, image_px)))
    num_at_once = trainer.RAYS_AT_ONCE["cpu" if devices.is_cpu() else "accelerator"]
    near, far, center = (jnp.asarray(x, jnp.float32) for x in (field.near, field.far, 0.5))
    frames = []
    for pose in poses:
        cameras = Cameras(jnp.asarray(pose[None]), inner, near, far, center)
        asked = (field.params, field.state, field.data, cameras)
        seen = devices.compiled(render_cameras, (field.method, image_px, min(num_at_once, image_px**2)), asked)(*asked)
        shown = seen.color + (1 - seen.opacity[..., None]) * (background - field.background)
        frames.append(image_grid.to_bytes(np.asarray(shown[0])))
    return np.stack(frames)


def render_cameras(
    method: Method, image_px: int, num_at_once: int, params: Params, state: State, data: Data, cameras: Cameras
) -> Views:
    """What cameras see, some rays at a time; traced."""

    def seen(rays: Rays) -> Views:
        return jax.tree.map(lambda x: x.astype(jnp.float32), method.render(params, state, data, rays))

    return trainer.render_cameras(cameras, image_px, image_px, num_at_once, seen)


def write_video(
    path: pathlib.Path, frames: UInt8[np.ndarray, "n h w 3"], fps: int = 16
) -> tuple[list[str], str | None]:
    """Writes frames as an animated WebP, and as MP4 (H.264) where PyAV can.

    Args:
        path: Without an ending.
        frames: Of any size.
        fps: Frames a second.

    Returns:
        Names of what was written, and why there is no MP4; None if there is one.
    """
    images = [Image.fromarray(frame) for frame in frames]
    out = io.BytesIO()
    images[0].save(
        out, format="WEBP", save_all=True, append_images=images[1:], duration=round(1000 / fps), loop=0, quality=90
    )
    write_file(path.with_name(f"{path.name}.webp"), out.getvalue())
    try:
        import av
    except ImportError:
        return [f"{path.name}.webp"], "no MP4: PyAV is not installed (pip install av); the WebP shows the same"
    try:
        write_file(path.with_name(f"{path.name}.mp4"), mp4(frames, fps))
    except (av.FFmpegError, ValueError) as error:  # an FFmpeg without x264, or one that refuses
        return [f"{path.name}.webp"], f"no MP4: PyAV could not write it ({error}); the WebP shows the same"
    return [f"{path.name}.mp4", f"{path.name}.webp"], None


def mp4(frames: UInt8[np.ndarray, "n h w 3"], fps: int) -> bytes:
    """Frames as H.264 in 4:2:0, which every browser plays; an odd side loses its last pixel."""
    import av

    height, width = (size - size % 2 for size in frames.shape[1:3])
    out = io.BytesIO()
    with av.open(out, "w", format="mp4") as container:
        stream: Any = container.add_stream(H264, rate=fps, options={"crf": "17"})
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        for frame in frames[:, :height, :width]:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(np.ascontiguousarray(frame), format="rgb24")))
        container.mux(stream.encode())
    return out.getvalue()


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
    shown = [image_grid.resized(x.astype(np.float32) / (255 if x.dtype == np.uint8 else 1), tile_px) for x in images]
    (height, width), gap, line = shown[0].shape[:2], image_grid.GAP_PX, image_grid.LABEL_PX + 6
    num_columns = min(num_columns, len(shown))
    num_rows = math.ceil(len(shown) / num_columns)
    size = gap + num_columns * (width + gap), gap + num_rows * (height + line + gap)
    canvas = Image.new("RGB", size, image_grid.PAPER)
    draw = ImageDraw.Draw(canvas)
    for i, (image, label) in enumerate(zip(shown, labels, strict=True)):
        x, y = gap + i % num_columns * (width + gap), gap + i // num_columns * (height + line + gap)
        canvas.paste(Image.fromarray(image), (x, y))
        text = image_grid.fitting(label, width)
        draw.text((x + width // 2, y + height + 2), text, fill=image_grid.QUIET, font=image_grid.font(), anchor="ma")
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
    with standard.style(), matplotlib.rc_context({"figure.facecolor": "white"}):
        figure, axes = standard.canvas(3.0 * len(known), 2.3)
        axes.remove()
        for i, name in enumerate(known):
            panel = figure.add_subplot(1, len(known), i + 1)
            panel.plot(curves["step"], curves[name], color="#2458a6", lw=1.4)
            if f"{name}_target" in curves:
                panel.plot(curves["step"], curves[f"{name}_target"], color=standard.COLORS["quiet"], lw=1.0, ls="--")
            panel.set_title(TERMS[name], fontsize=9, loc="left")
            panel.set_xlabel("step")
            panel.grid(axis="y", alpha=0.18, color=standard.INK, lw=0.6)
        out = io.BytesIO()
        figure.savefig(out, format="png", dpi=160, metadata={"Software": None})
    return out.getvalue()


# --- meshes -----------------------------------------------------------------------------------------------------------


def mesh(
    field: TrainedField, *, resolution: int = 96, half_width: float | None = None, level: float | None = None
) -> MeshResult:
    """The surface of a field, by marching cubes, with colours at its vertices.

    Vertices are placed between the points of the grid by the share of light that a cell of each one's density stops,
    1 - exp(-density * cell), and not by density itself: the surface is the same, and a density of thousands beside
    none does not pull it to the outer point.

    Args:
        field: What is meshed.
        resolution: Points of the grid along a side.
        half_width: Of the cube about the origin; None for all of the volume that cameras see.
        level: Density at the surface; None for `surface_level`.
    """
    import skimage.measure
    import trimesh

    half_width = field.half_width if half_width is None else half_width
    cell = 2 * half_width / (resolution - 1)
    density = np.nan_to_num(np.maximum(density_on_grid(field, resolution, half_width), 0), nan=0.0, posinf=1e30)
    level = surface_level(density, cell) if level is None else level
    share_inside = float(np.mean(density > level))
    if share_inside == 0:
        reason = f"expected a density above {level:.3g} somewhere, got {density.max():.3g} at most; give a lower level"
        if level == math.inf:
            reason = (
                "expected a field that stops half of the light somewhere, got one that is empty or thin fog "
                f"(density {density.max():.3g} at most); train longer, or give a level"
            )
        return MeshResult(None, reason, None, share_inside)
    # Zeros all round, so that what reaches the border of the cube is closed there.
    stopped = np.pad(-np.expm1(-density * cell), 1)
    # "ascent", because its faces are left-handed: outsides shall be outside.
    at, faces, _, _ = skimage.measure.marching_cubes(stopped, -math.expm1(-level * cell), gradient_direction="ascent")
    made = trimesh.Trimesh((at - 1) * cell - half_width, faces, process=True)
    made.update_faces(np.all(made.faces != np.roll(made.faces, 1, axis=1), axis=1))
    num_dropped = drop_small_parts(made)
    made.visual = trimesh.visual.ColorVisuals(made, vertex_colors=vertex_colors(field, made, cell))
    return MeshResult(made, None, level, share_inside, bool(made.is_watertight), num_dropped)


def vertex_colors(field: TrainedField, made: Trimesh, cell: float) -> UInt8[np.ndarray, "v 3"]:
    """What one sees of a field who looks at a mesh's vertices straight from outside.

    That is the field's colour composited over the first `COLOR_CELLS` cells below the surface. The colour at the
    surface itself is seen by nobody where a field is soft, and training has left it as it happened to be.
    """
    start, inward = made.vertices.astype(np.float32), -made.vertex_normals.astype(np.float32)
    left = np.ones(len(start), np.float32)
    seen, unseen = np.zeros_like(start), at_points(field, start)[1]
    for i in range(COLOR_CELLS):
        density, color = at_points(field, start + np.float32((i + 0.5) * cell) * inward)
        after = left * np.exp(-cell * np.maximum(density, 0))
        seen += (left - after)[:, None] * color
        left = after
    stopped = (1 - left)[:, None]
    return image_grid.to_bytes(np.where(stopped > 1e-3, seen / np.maximum(stopped, 1e-3), unseen)[None])[0]


def surface_level(density: Float[np.ndarray, "g g g"], cell: float) -> float:
    """The density at which a field has its surface, if nobody says another.

    It is that at which one cell of the grid stops half of the light, log(2) / cell. Fields trained briefly are
    nowhere so dense and yet hide what is behind them: then it is half of the density that one looks at, which is the
    median, over lines along the axes from all six sides, of the density where a line has lost half of its light.

    Args:
        density: On a grid, none negative.
        cell: Distance of its points.

    Returns:
        A density; infinity if no line loses half of its light.

    Example:
        >>> soft, hard = np.zeros((2, 9, 9, 9), np.float32)
        >>> soft[2:7, 2:7, 2:7], hard[2:7, 2:7, 2:7] = 3.0, 1000.0
        >>> surface_level(soft, cell=0.1), round(surface_level(hard, cell=0.1), 3)
        (1.5, 6.931)
    """
    seen = []
    for axis in range(3):
        for lines in (np.moveaxis(density, axis, 0), np.flip(np.moveaxis(density, axis, 0), axis=0)):
            depth = np.cumsum(lines, axis=0, dtype=np.float64) * cell  # optical: the light that is left is exp(-depth)
            where = np.argmax(depth >= math.log(2), axis=0)
            there = np.take_along_axis(lines, where[None], axis=0)[0]
            seen.append(there[depth[-1] >= math.log(2)])
    found = np.concatenate(seen)
    return min(math.log(2) / cell, float(np.median(found)) / 2) if len(found) else math.inf


def density_on_grid(field: TrainedField, resolution: int, half_width: float) -> Float[np.ndarray, "g g g"]:
    """Density at the points of a grid that fills a cube about the origin; axes x, y, z."""
    places = np.linspace(-half_width, half_width, resolution, dtype=np.float32)
    num_points, num_at_once = resolution**3, points_at_once()
    found = []
    for start in range(0, num_points, num_at_once):  # all points of a fine grid would take gigabytes
        index = np.arange(start, min(start + num_at_once, num_points))
        points = places[np.stack(np.unravel_index(index, (resolution,) * 3), axis=-1)]
        found.append(at_points(field, points)[0])
    return np.concatenate(found).reshape((resolution,) * 3)


def points_at_once() -> int:
    """How many points are asked at once."""
    return POINTS_AT_ONCE["cpu" if devices.is_cpu() else "accelerator"]


def at_points(
    field: TrainedField, points: Float[np.ndarray, "v 3"]
) -> tuple[Float[np.ndarray, " v"], Float[np.ndarray, "v 3"]]:
    """Density and colour at any number of points, by one program for all numbers."""
    num_at_once, found = points_at_once(), []
    for start in range(0, len(points), num_at_once):
        some = points[start : start + num_at_once]
        padded = jnp.asarray(np.pad(some, ((0, num_at_once - len(some)), (0, 0))))
        asked = (field.params, field.state, field.data, padded)
        answer = jax.device_get(devices.compiled(query_field, (field.method,), asked)(*asked))
        found.append([x[: len(some)].astype(np.float32) for x in answer])
    densities, colors = zip(*found, strict=True)
    return np.concatenate(densities), np.concatenate(colors)


def query_field(
    method: Method, params: Params, state: State, data: Data, points: Float[Array, "p 3"]
) -> tuple[Float[Array, " p"], Float[Array, "p 3"]]:
    """The field at points; traced."""
    return method.field_at(params, state, data, points)


def drop_small_parts(made: Trimesh) -> int:
    """Takes parts out of a mesh that have less than `MIN_PART` of its surface; the largest stays. Says how many."""
    import trimesh

    labels = trimesh.graph.connected_component_labels(made.edges, node_count=len(made.vertices))[made.faces[:, 0]]
    areas = np.bincount(labels, made.area_faces)
    is_part = np.bincount(labels) > 0
    kept = (areas >= MIN_PART * areas.sum()) | (areas == areas.max())
    made.update_faces(kept[labels])
    made.remove_unreferenced_vertices()
    return int(np.sum(is_part & ~kept))


def write_mesh(folder: pathlib.Path, made: Trimesh) -> list[str]:
    """Writes object.glb, object.obj and object.ply, all with colours at vertices.

    PLY keeps the world's axes, z up. GLB and OBJ have y up. Colours of a field are those of a screen (sRGB), and so
    they stand in OBJ and PLY; GLB's are linear by its specification, and are written as numbers with enough digits
    for that. Its material has no gloss of its own: the colours have been seen under light already.

    Returns:
        Their names.
    """
    turned: Any = made.copy()
    turned.apply_transform([[1, 0, 0, 0], [0, 0, 1, 0], [0, -1, 0, 0], [0, 0, 0, 1]])
    contents: dict[str, Any] = {
        "object.glb": glb(turned),
        "object.obj": turned.export(file_type="obj", include_normals=True, include_color=True, header=None),
        "object.ply": made.export(file_type="ply", vertex_normal=True),
    }
    for name, content in contents.items():
        write_file(folder / name, content)
    return list(contents)


def glb(made: Any) -> bytes:
    """A mesh as binary glTF, with linear colours as numbers; a vertex's bytes would tell dark tones too coarsely."""
    screen = np.asarray(made.visual.vertex_colors, np.float32)[:, :3] / 255
    linear = np.where(screen <= 0.04045, screen / 12.92, ((screen + 0.055) / 1.055) ** 2.4).astype(np.float32)
    bare = made.copy()
    bare.visual = None
    bare.vertex_attributes["_LINEAR"] = np.pad(linear, ((0, 0), (0, 1)), constant_values=1)

    def finish(tree: dict[str, Any]) -> None:
        [drawn] = tree["meshes"][0]["primitives"]
        drawn["attributes"]["COLOR_0"] = drawn["attributes"].pop("_LINEAR")
        drawn["material"] = 0
        tree["materials"] = [{"name": "vertex colors", "pbrMetallicRoughness": {"metallicFactor": 0.0}}]

    return bare.export(file_type="glb", include_normals=True, tree_postprocessor=finish)


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
    pictures = {"views.png": image_grid.png(views_sheet(frames))}
    if "strip" in views:
        pictures["strip.png"] = image_grid.png(strip(views["strip"], [int(step) for step in views["strip_steps"]]))
    if curves.get("step"):
        rows = [dict(zip(curves, values, strict=True)) for values in zip(*curves.values(), strict=True)]
        pictures["curves.csv"] = formats.csv_rows(rows).encode()
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
