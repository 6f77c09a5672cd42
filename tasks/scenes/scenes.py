"""Lists the eight embedded scenes, each difficult for another reason, and renders views of them.

`SCENES` lists them, `render_scene_view` and `render_scene` render them, `fingerprint` hashes everything that the pixels
depend on. Every scene is centred at the origin, within a ball of radius 1.2 and a cube of half side 1, with z up,
without a ground and in the same light. A function without arguments builds its description, see
`tasks.path_tracing.materials`.

n: views, h and w: pixels of a view.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import numpy as np
from jaxtyping import Float, UInt8

from bench.errors import UsageError, nearest
from tasks.cameras import BLENDER_FOV_DEG
from tasks.path_tracing import mitsuba_renderer
from tasks.path_tracing.materials import Fragment, in_studio
from tasks.scenes import scene_models

SCENES_VERSION = 1
"""Part of every fingerprint; raise it when scenes change in a way that their descriptions do not show."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Scene:
    """One embedded scene.

    Attributes:
        name: Name, one word.
        title: Sentence on the object that it shows.
        hard_because: Reason that it is difficult for a radiance field.
        build: Function that builds its description.
    """

    name: str
    title: str
    hard_because: str
    build: Callable[[], dict[str, Fragment]]


SCENES = {
    scene.name: scene
    for scene in (
        Scene(
            name="kettle",
            title="A copper kettle with a steel lid, polished to a mirror.",
            build=scene_models.kettle,
            hard_because="mirror-like metal: what is seen on it moves with the camera",
        ),
        Scene(
            name="locomotive",
            title="A toy locomotive of glossy plastic.",
            build=scene_models.locomotive,
            hard_because="highlights that depend on the view",
        ),
        Scene(
            name="birdcage",
            title="A yellow bird on a swing in a brass cage.",
            build=scene_models.birdcage,
            hard_because="thin rods, and holes between them",
        ),
        Scene(
            name="balloon",
            title="A hot-air balloon in patchwork, with a wicker basket.",
            build=scene_models.balloon,
            hard_because="fine texture",
        ),
        Scene(
            name="lotus",
            title="A lotus flower over three of its leaves.",
            build=scene_models.lotus,
            hard_because="self-occlusion: petals behind petals",
        ),
        Scene(
            name="bottle",
            title="A ship in a glass bottle on a wooden stand.",
            build=scene_models.ship_in_bottle,
            hard_because="a transparent part that bends the light",
        ),
        Scene(
            name="castle",
            title="A walled castle of toy bricks.",
            build=scene_models.castle,
            hard_because="many small parts",
        ),
        Scene(
            name="chess",
            title="A white king and a black knight.",
            build=scene_models.chess,
            hard_because="two separate objects, with empty space between them",
        ),
    )
}
"""The embedded scenes, in the order of the pages."""


def described(scene: str) -> Scene:
    """Look up a scene by name.

    Raises:
        UsageError: There is no such scene.
    """
    if scene not in SCENES:
        raise UsageError(f"scene: expected an embedded scene, got {scene!r}; {nearest(scene, SCENES)}")
    return SCENES[scene]


def render_scene_view(
    scene: str, pose: Float[np.ndarray, "4 4"], *, image_px: int, num_spp: int, seed: int
) -> UInt8[np.ndarray, "h w 4"]:
    """Render one view in this process: sRGB with straight alpha.

    Args:
        scene: Name of an embedded scene.
        pose: Camera to world, see `tasks.cameras`; the field of view is `BLENDER_FOV_DEG`.
        image_px: Width and height.
        num_spp: Samples a pixel.
        seed: Seed of the noise.
    """
    return render_scene(scene, pose[None], image_px=image_px, num_spp=num_spp, num_workers=1, first_seed=seed)[0]


def render_scene(
    scene: str,
    poses: Float[np.ndarray, "n 4 4"],
    *,
    image_px: int,
    num_spp: int,
    num_workers: int | None = None,
    first_seed: int = 0,
    on_view: Callable[[int], None] | None = None,
) -> UInt8[np.ndarray, "n h w 4"]:
    """Render views of one scene; `render_scene_view` gives the same bytes, one view at a time.

    Args:
        scene: Name of an embedded scene.
        poses: Camera to world.
        image_px: Width and height.
        num_spp: Samples a pixel.
        num_workers: Number of processes, see `tasks.path_tracing.mitsuba_renderer.photograph_all`.
        first_seed: Seed of the first view; each next view has the next seed.
        on_view: Function that is called with the index of each finished view.
    """
    build = described(scene).build
    shots = [
        mitsuba_renderer.RenderRequest(in_studio, (build,), pose, BLENDER_FOV_DEG, image_px, num_spp, first_seed + i)
        for i, pose in enumerate(poses)
    ]
    return mitsuba_renderer.photograph_all(shots, num_workers=num_workers, on_view=on_view)


def fingerprint(scene: str, image_px: int, num_spp: int) -> str:
    """Hash everything that a scene's views depend on, except poses and seeds; never pixels.

    Args:
        scene: Name of an embedded scene.
        image_px: Width and height.
        num_spp: Samples a pixel.
    """
    return mitsuba_renderer.rendering_fingerprint(
        in_studio(described(scene).build),
        version=SCENES_VERSION,
        fov_deg=BLENDER_FOV_DEG,
        image_px=image_px,
        num_spp=num_spp,
    )
