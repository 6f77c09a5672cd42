"""How a description becomes pixels: path tracing by Mitsuba, on the processor, the same bytes on every run.

The one public way in is `photograph_all`: shots in, images out, one process a core; `photograph` makes one image.
Only Mitsuba's `scalar_rgb` variant is used: it needs nothing but the processor. A view's bytes depend on its shot
alone, never on the number of threads or processes: blocks have a fixed size (a pixel's random numbers start from its
block), and the reconstruction filter is `box` (wider ones add neighbours' samples up in the order of the threads).

Workers start soon because nothing that they import imports JAX: keep it so.

n: views, h and w: pixels of a view.
"""

from __future__ import annotations

import functools
import hashlib
import math
import multiprocessing
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float, UInt8

from tasks.path_tracing.materials import Fragment
from tasks.path_tracing.meshes import Mesh

INTEGRATOR = {"type": "path", "max_depth": 16, "rr_depth": 6, "hide_emitters": True, "block_size": 16}
"""Depth 16: with 8 a bottle's thick bottom stays black; it costs no more, as most paths end by Russian roulette.
`hide_emitters`: the light shows in mirrors and through glass, never behind things."""

SHOULDER = 0.5
"""Linear radiance is kept up to here; above, it nears 1 ever more slowly, so that bright places keep their shapes."""


class RenderRequest(NamedTuple):
    """One view to be taken; small, and may be sent to another process.

    Attributes:
        describe: A function of a module, that gives the description.
        args: What it is called with; hashable. Shots with equal functions and arguments share a loaded scene.
        pose: Camera to world, see `tasks.cameras`.
        fov_deg: Field of view, in degrees.
        image_px: Width and height.
        num_spp: Samples a pixel.
        seed: Of the view's noise; two views of a scene should not have the same.
    """

    describe: Callable[..., dict[str, Fragment]]
    args: tuple[Any, ...]
    pose: Float[np.ndarray, "4 4"]
    fov_deg: float
    image_px: int
    num_spp: int
    seed: int


def load(description: Mapping[str, Fragment]) -> Any:
    """A Mitsuba scene of a description, see `tasks.path_tracing.materials`."""
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
    """One view of a loaded scene: sRGB with straight alpha, 0 where nothing is.

    Args:
        scene: From `load`.
        pose: Camera to world.
        fov_deg: Field of view, in degrees.
        image_px: Width and height.
        num_spp: Samples a pixel; a few more where they do not fill a grid: 132 for 128.
        seed: Of the noise.
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
    """From linear radiance times alpha to what is stored: sRGB and straight alpha, 8 bits each.

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
    """Takes all shots, which must be of one size.

    Args:
        shots: In an order in which neighbours are of the same scene, which is then loaded once a process.
        num_workers: Processes; None takes one a core or 16 shots, 1 stays in this process. They are spawned, so a
            script that calls this needs `if __name__ == "__main__":`.
        on_view: Called in this process with the index of each view when it and all before it are there.

    Returns:
        The same bytes whatever the number of processes.
    """
    if not shots:
        raise ValueError("photograph_all: expected at least one shot, got none")
    sizes = sorted({shot.image_px for shot in shots})
    if len(sizes) > 1:
        raise ValueError(f"photograph_all: expected shots of one size, got {sizes} px; call once a size")
    if num_workers is None:
        cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
        num_workers = min(cores, -(-len(shots) // 16))  # a process takes seconds to start: not for a few views
    images = None
    for i, image in enumerate(_taken(shots, min(num_workers, len(shots)))):
        if images is None:
            images = np.empty((len(shots), *image.shape), np.uint8)
        images[i] = image
        if on_view is not None:
            on_view(i)
    return images  # type: ignore[return-value]


def fingerprint(description: Mapping[str, Fragment], **settings: Any) -> str:
    """Names what a rendering depends on: the description, Mitsuba's version, how it is traced and developed.

    Args:
        description: See `tasks.path_tracing.materials`; places and textures count to 5 decimals, since sines differ in the last bit
            between machines.
        settings: What else there is: sizes, samples, versions.
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
    """The sampler's own rounding, up to a grid of nearly equal sides; done here so that it need not warn."""
    rows = math.isqrt(num_spp)
    return rows * -(-num_spp // rows)


def _loaded_fragment(fragment: Any) -> Any:
    """Turns meshes, pixels and matrices into Mitsuba's own, all the way down."""
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
    return load(describe(*args))


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
    """One thread a process: the processes already fill the cores."""
    import drjit

    _mitsuba()
    drjit.set_thread_count(0)


def _taken(shots: Sequence[RenderRequest], num_workers: int) -> Iterator[UInt8[np.ndarray, "h w 4"]]:
    if num_workers <= 1:
        yield from map(_take, shots)
        return
    # Spawned, not forked: by now JAX has threads, which a fork would leave behind in the middle of anything.
    with ProcessPoolExecutor(num_workers, multiprocessing.get_context("spawn"), _start_worker) as pool:
        # In chunks a worker keeps to one scene; eight chunks a worker keep all of them busy until near the end.
        chunksize = max(1, min(16, len(shots) // (8 * num_workers)))
        try:
            yield from pool.map(_take, shots, chunksize=chunksize)
        except BrokenProcessPool as error:
            raise RuntimeError(
                "photograph_all: expected worker processes to stay alive, one ended; is the calling script's start "
                'under `if __name__ == "__main__":`, and is there memory? num_workers=1 needs neither'
            ) from error


def _pieces(value: Any) -> Iterator[bytes]:
    """A value as bytes that do not depend on the order of keys, nor on the last bits of a float."""
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
        # 0.37: written-down lengths such as 0.015625 would lie just between two steps, where the last bit decides.
        yield np.floor(value.astype(np.float64) * 1e5 + 0.37).astype("<i8").tobytes()
    elif isinstance(value, float):
        yield from _pieces(np.asarray([value]))
    else:
        yield f"{value!r};".encode()
