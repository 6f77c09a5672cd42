"""Renders descriptions by path tracing with Mitsuba on the CPU; the same request always gives the same bytes.

The main function is `photograph_all`: it renders many requests, with one process a core. Only Mitsuba's variant
`scalar_rgb` is used, which runs on every CPU. The bytes of a view depend on its request alone, not on the number of
threads or processes. For this, blocks have a fixed size, because a pixel's random numbers depend on its block. And the
reconstruction filter is `box`, because wider filters sum the samples of neighbours in the order of the threads.

Workers start quickly because nothing that they import imports JAX: keep it so.

n: views, h and w: pixels of a view.
"""

from __future__ import annotations

import functools
import hashlib
import math
import multiprocessing
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float, UInt8

from tasks.host_cores import num_cores
from tasks.path_tracing.materials import Fragment
from tasks.path_tracing.meshes import Mesh

INTEGRATOR = {"type": "path", "max_depth": 16, "rr_depth": 6, "hide_emitters": True, "block_size": 16}
"""Settings of the path tracer.

With `max_depth` 8 a bottle's thick bottom stays black; 16 takes no longer, because Russian roulette ends most paths.
With `hide_emitters` the light is visible in mirrors and through glass, but not as a background.
"""

SHOULDER = 0.5
"""Linear radiance above which the tone curve bends; it approaches 1, so that bright places keep their contrast."""


class RenderRequest(NamedTuple):
    """One view to render; small enough to be sent to another process.

    Attributes:
        describe: Module-level function that returns the description.
        args: Hashable arguments for it. Requests with equal functions and arguments share a loaded scene.
        pose: Camera to world, see `tasks.cameras`.
        fov_deg: Field of view, in degrees.
        image_px: Width and height.
        num_spp: Samples a pixel.
        seed: Seed of the view's noise; two views of a scene should have different seeds.
    """

    describe: Callable[..., dict[str, Fragment]]
    args: tuple[Any, ...]
    pose: Float[np.ndarray, "4 4"]
    fov_deg: float
    image_px: int
    num_spp: int
    seed: int


def load_scene(description: Mapping[str, Fragment]) -> Any:
    """Load a description as a Mitsuba scene, see `tasks.path_tracing.materials`."""
    mi = _mitsuba()
    loaded = {name: _loaded_fragment(fragment) for name, fragment in description.items()}
    return mi.load_dict({"type": "scene", "integrator": dict(INTEGRATOR), **loaded})


def render_view(
    scene: Any,
    pose: Float[np.ndarray, "4 4"],
    *,
    fov_deg: float,
    image_px: int,
    num_spp: int,
    seed: int,
) -> UInt8[np.ndarray, "h w 4"]:
    """Render one view of a loaded scene: sRGB with straight alpha, 0 in the background.

    Args:
        scene: Scene from `load_scene`.
        pose: Camera to world.
        fov_deg: Field of view, in degrees.
        image_px: Width and height.
        num_spp: Samples a pixel, rounded up to a grid: 128 gives 132.
        seed: Seed of the noise.
    """
    mi = _mitsuba()
    # Mitsuba's camera looks along +z with +x to the left: ours, turned by half a turn about its y axis.
    to_world = np.asarray(pose, np.float64) @ np.diag([-1.0, 1.0, -1.0, 1.0])
    sensor = mi.load_dict({
        "type": "perspective", "fov": fov_deg, "fov_axis": "x", "near_clip": 0.05, "far_clip": 100.0,
        "to_world": mi.ScalarTransform4f(to_world),
        "film": {
            "type": "hdrfilm", "width": image_px, "height": image_px, "pixel_format": "rgba",
            "component_format": "float32", "rfilter": {"type": "box"},
        },
        # Correlated multi-jittered samples: an eighth of the variance of independent ones, measured at 64 a pixel.
        "sampler": {"type": "multijitter", "sample_count": _on_grid(num_spp)},
    })  # fmt: skip
    return to_srgb_uint8(np.array(mi.render(scene, sensor=sensor, seed=seed), np.float64))


def to_srgb_uint8(radiance: Float[np.ndarray, "h w 4"]) -> UInt8[np.ndarray, "h w 4"]:
    """Convert linear radiance times alpha to the stored form: sRGB and straight alpha, 8 bits each.

    Example:
        >>> to_srgb_uint8(np.asarray([[[0.2, 0.4, 0.1, 1.0], [0.1, 0.2, 0.05, 0.5], [0.0, 0.0, 0.0, 0.0]]])).tolist()
        [[[124, 170, 89, 255], [124, 170, 89, 128], [0, 0, 0, 0]]]
    """
    alpha = np.clip(radiance[..., 3:], 0, 1)
    color = np.where(alpha > 0, radiance[..., :3] / np.maximum(alpha, 1e-6), 0)
    room = 1 - SHOULDER
    above = np.maximum(color - SHOULDER, 0) / room
    color = np.clip(color, 0, SHOULDER) + room * above / (1 + above)
    srgb = np.where(color <= 0.0031308, 12.92 * color, 1.055 * np.maximum(color, 1e-9) ** (1 / 2.4) - 0.055)
    return np.floor(np.concatenate([srgb, alpha], axis=-1) * 255 + 0.5).astype(np.uint8)


def photograph_all(
    shots: Sequence[RenderRequest], *, num_workers: int | None = None, on_view: Callable[[int], None] | None = None
) -> UInt8[np.ndarray, "n h w 4"]:
    """Render all requests, which must have one size.

    Args:
        shots: Requests, sorted by scene, so that each process loads a scene only once.
        num_workers: Number of processes; None for one a core, but at least 16 requests each; 1 for this process. They
            are spawned, so a script that calls this needs `if __name__ == "__main__":`.
        on_view: Function that is called in this process with the index of each view, in order.

    Returns:
        Images; their bytes do not depend on the number of processes.
    """
    if not shots:
        raise ValueError("photograph_all: expected at least one shot, got none")
    sizes = sorted({shot.image_px for shot in shots})
    if len(sizes) > 1:
        raise ValueError(f"photograph_all: expected shots of one size, got {sizes} px; call once a size")
    if num_workers is None:
        num_workers = min(num_cores(), -(-len(shots) // 16))  # a process takes seconds to start: not for a few views
    images = None
    for i, image in enumerate(_taken(shots, min(num_workers, len(shots)))):
        if images is None:
            images = np.empty((len(shots), *image.shape), np.uint8)
        images[i] = image
        if on_view is not None:
            on_view(i)
    return images  # type: ignore[return-value]


def rendering_fingerprint(description: Mapping[str, Fragment], **settings: Any) -> str:
    """Hash everything that a rendering depends on: description, Mitsuba's version, path tracer and tone curve.

    Args:
        description: Description, see `tasks.path_tracing.materials`. Its floats are rounded to 5 decimals, because the
            last bit of a sine differs between machines.
        settings: Further settings: sizes, samples, versions.
    """
    from importlib.metadata import version

    digest = hashlib.sha256()
    whole = {"description": description, "mitsuba": version("mitsuba"), "integrator": INTEGRATOR, "shoulder": SHOULDER}
    for piece in _pieces({**whole, "settings": settings}):
        digest.update(piece)
    return digest.hexdigest()[:16]


# ---- helpers ---------------------------------------------------------------------------------------------------------


def _mitsuba() -> Any:
    import mitsuba

    if mitsuba.variant() != "scalar_rgb":
        mitsuba.set_variant("scalar_rgb")
    return mitsuba


def _on_grid(num_spp: int) -> int:
    """Round samples up to a grid of nearly equal sides, as the sampler would do with a warning."""
    rows = math.isqrt(num_spp)
    return rows * -(-num_spp // rows)


def _loaded_fragment(fragment: Any) -> Any:
    """Convert meshes, pixels and matrices to Mitsuba's types, at every depth."""
    mi = _mitsuba()
    if not isinstance(fragment, dict):
        return fragment
    if fragment.get("type") == "mesh":
        return _loaded_mesh(fragment["mesh"], mi.load_dict(_loaded_fragment(fragment["bsdf"])))
    loaded = {}
    for key, value in fragment.items():
        if key == "pixels":
            loaded["bitmap"] = mi.Bitmap(np.ascontiguousarray(value, np.float32))
        elif key == "to_world":
            loaded[key] = mi.ScalarTransform4f(np.asarray(value, np.float64))
        else:
            loaded[key] = _loaded_fragment(value)
    return loaded


def _loaded_mesh(mesh: Mesh, bsdf: Any) -> Any:
    mi = _mitsuba()
    properties = mi.Properties()
    properties["bsdf"] = bsdf
    num = len(mesh.corners)
    loaded = mi.Mesh("mesh", 3 * num, num, has_vertex_normals=True, has_vertex_texcoords=True, props=properties)
    arrays = mi.traverse(loaded)
    for key, values in (("positions", mesh.corners), ("normals", mesh.normals), ("texcoords", mesh.uvs)):
        arrays["vertex_" + key] = np.ascontiguousarray(values, np.float32).reshape(-1)
    arrays["faces"] = np.arange(3 * num, dtype=np.uint32)
    arrays.update()
    return loaded


@functools.lru_cache(maxsize=4)
def _loaded_scene(describe: Callable[..., dict[str, Fragment]], args: tuple[Any, ...]) -> Any:
    return load_scene(describe(*args))


def _take(shot: RenderRequest) -> UInt8[np.ndarray, "h w 4"]:
    return render_view(
        _loaded_scene(shot.describe, shot.args),
        shot.pose,
        fov_deg=shot.fov_deg,
        image_px=shot.image_px,
        num_spp=shot.num_spp,
        seed=shot.seed,
    )


def _start_worker() -> None:
    """Set one thread a process, because the processes already use all cores."""
    import drjit

    _mitsuba()
    drjit.set_thread_count(0)


def _taken(shots: Sequence[RenderRequest], num_workers: int) -> Iterator[UInt8[np.ndarray, "h w 4"]]:
    if num_workers <= 1:
        yield from map(_take, shots)
        return
    # Spawned, not forked: JAX has threads by now, and a fork copies their locks in any state.
    with ProcessPoolExecutor(num_workers, multiprocessing.get_context("spawn"), _start_worker) as pool:
        # In a chunk a worker renders mostly one scene; with eight chunks a worker all are busy until near the end.
        chunksize = max(1, min(16, len(shots) // (8 * num_workers)))
        try:
            yield from pool.map(_take, shots, chunksize=chunksize)
        except BrokenProcessPool as error:
            raise RuntimeError(
                "photograph_all: expected worker processes to stay alive, one ended; is the calling script's start "
                'under `if __name__ == "__main__":`, and is there memory? num_workers=1 needs neither'
            ) from error


def _pieces(value: Any) -> Iterator[bytes]:
    """Yield a value as bytes that do not depend on the order of keys or on the last bits of a float."""
    if isinstance(value, Mapping):
        for key in sorted(value):
            yield f"{key}:".encode()
            yield from _pieces(value[key])
    elif isinstance(value, (list, tuple)):
        yield f"[{len(value)}]".encode()
        for item in value:
            yield from _pieces(item)
    elif isinstance(value, Mesh):
        yield from _pieces((value.corners, value.normals, value.uvs))
    elif isinstance(value, np.ndarray):
        yield f"{value.shape}".encode()
        # With 0.37 instead of 0.5, lengths such as 0.015625 do not lie between two steps, where the last bit decides.
        yield np.floor(value.astype(np.float64) * 1e5 + 0.37).astype("<i8").tobytes()
    elif isinstance(value, float):
        yield from _pieces(np.asarray([value]))
    else:
        yield f"{value!r};".encode()
