"""Renders the views of trained fields that are stored and scored.

k: trials of a pack, n: views, h and w: pixels of a view, m: views of a strip or cameras of photographs, p: pixels along
a side of what stands before them, r: rays that are rendered at once.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Array, Float, Float16, Int, Shaped

from bench.training import devices
from bench.training.batch import NEAR_PX, NEAR_SHARE, Batch, Cameras, Solved
from models.method import Data, Method, Params, State, Views
from models.ray_split import split_rays
from tasks.cameras import Intrinsics, Rays, pixel_rays, select_cameras

STRIP_VIEW = 1
"""The standard camera from which the strip is rendered: azimuth 45, elevation 15."""

FAR_RATIO = 4
"""Ratio of far to near from which a fifth of the way is measured in inverse depth: else it would hold the scene."""

NUM_STRIP = 8
"""Views of a strip: how often an object that grows from a caption is rendered in training."""


class Rendered(NamedTuple):
    """The views of finished fields that are kept.

    Attributes:
        views: From the test cameras.
        near_opacity: Opacity of the first part of rays from the photographs' cameras, where there should be nothing;
            None where there are no photographs.
        strip: Colours from one camera, now and then in training; None if they were not rendered.
        strip_steps: The steps at which they were.
    """

    views: Views
    near_opacity: Float16[Array, "*k m p p"] | None
    strip: Float16[np.ndarray, "*k m h w 3"] | None = None
    strip_steps: Int[np.ndarray, "*k m"] | None = None


def render_views(
    method: Method, height: int, width: int, num_at_once: int, params: Params, state: State, batch: Batch
) -> Rendered:
    """Render all test views of a whole pack, as float16, some rays of each trial at a time."""

    def render_trial(
        params: Params, state: State, data: Data, cameras: Cameras, photographers: Cameras | None
    ) -> Rendered:
        def render_rays(rays: Rays) -> Views:
            views = method.render(params, state, data, rays)
            return jax.tree.map(lambda x: x.astype(jnp.float16), views)

        views = render_in_blocks(cameras, height, width, num_at_once, render_rays)
        if photographers is None:
            return Rendered(views, None)
        near = photographers._replace(
            intrinsics=scale_intrinsics(photographers.intrinsics, NEAR_PX / height, NEAR_PX / width),
            far=near_end(photographers.near, photographers.far),
            pixel_center=jnp.asarray(0.5),
        )
        return Rendered(views, render_in_blocks(near, NEAR_PX, NEAR_PX, num_at_once, render_rays).opacity)

    return devices.map_trials(render_trial)(params, state, batch.data, batch.cameras, batch.photographers)


def render_progress_view(
    method: Method, height: int, width: int, num_at_once: int, params: Params, state: State, batch: Batch
) -> Float16[Array, "k h w 3"]:
    """Render one view of every field of a pack."""
    one = slice(STRIP_VIEW, STRIP_VIEW + 1)
    camera = batch.cameras._replace(
        poses=batch.cameras.poses[:, one],
        intrinsics=select_cameras(batch.cameras.intrinsics, (slice(None), one)),
    )
    rendered = render_views(method, height, width, num_at_once, params, state, batch._replace(cameras=camera))
    return rendered.views.color[:, 0]


def is_strip_step(step: int, before: int, last: int) -> bool:
    """Tell whether the strip gets a view at the end of a chunk, so that there are `NUM_STRIP` of them, evenly spaced.

    Args:
        step: The last step of the chunk.
        before: The first step of the chunk.
        last: The last step of the training.

    Example:
        >>> [step for step in range(50, 801, 50) if is_strip_step(step, step - 50, 800)]
        [100, 200, 300, 400, 500, 600, 700, 800]
    """
    return step * NUM_STRIP // last > before * NUM_STRIP // last


def add_strip(rendered: Rendered, strip: list[tuple[int, Float16[np.ndarray, "k h w 3"]]]) -> Rendered:
    """Add the views that were rendered in training, each with its step."""
    if not strip:
        return rendered
    colors = np.stack([view for _, view in strip], axis=1)
    steps = np.asarray([step for step, _ in strip], np.int32)
    return rendered._replace(strip=colors, strip_steps=np.tile(steps, (len(colors), 1)))


def near_end(near: Float[Array, "*k"], far: Float[Array, "*k"]) -> Float[Array, "*k"]:
    """Return where the first part of a ray ends, in which nothing should stand; of a far scene, in inverse depth."""
    inverse = 1 / ((1 - NEAR_SHARE) / near + NEAR_SHARE / far)
    return jnp.where(far > FAR_RATIO * near, inverse, near + NEAR_SHARE * (far - near))


def scale_intrinsics(intrinsics: Intrinsics, down: float, across: float) -> Intrinsics:
    """Return the intrinsics of the same camera with another number of pixels."""
    return intrinsics._replace(
        focal_x=intrinsics.focal_x * across,
        focal_y=intrinsics.focal_y * down,
        center_x=intrinsics.center_x * across,
        center_y=intrinsics.center_y * down,
    )


def render_in_blocks(
    cameras: Cameras, height: int, width: int, num_at_once: int, render_rays: Callable[[Rays], Views]
) -> Views:
    """Render every pixel of some cameras, some rays at a time.

    Args:
        cameras: Of one trial.
        height: Pixels of a view.
        width: Pixels of a view.
        num_at_once: Rays that are rendered at once.
        render_rays: Renders that many rays.
    """
    num_views = cameras.poses.shape[0]
    num_rays = num_views * height * width

    def render_block(index: Int[Array, " r"]) -> Views:
        view = index // (height * width)
        pixel = index % (height * width)
        rays = pixel_rays(
            cameras.poses[view],
            select_cameras(cameras.intrinsics, view),
            pixel % width + cameras.pixel_center,
            pixel // width + cameras.pixel_center,
            cameras.near,
            cameras.far,
        )
        return render_rays(split_rays(rays))

    def to_images(x: Shaped[Array, "..."]) -> Shaped[Array, "..."]:
        return x.reshape((-1, *x.shape[2:]))[:num_rays].reshape((num_views, height, width, *x.shape[2:]))

    num_blocks = math.ceil(num_rays / num_at_once)
    index = jnp.minimum(jnp.arange(num_blocks * num_at_once), num_rays - 1)  # the last ray fills the last block
    views = lax.map(render_block, index.reshape(num_blocks, num_at_once))
    return jax.tree.map(to_images, views)


def to_stored_views(scene: Solved, rendered: Rendered) -> dict[str, Shaped[np.ndarray, "..."]]:
    """Return one trial's views as they are stored, by name; `ids` are those of the test views."""
    arrays = {name: np.asarray(value, np.float16) for name, value in rendered.views._asdict().items()}
    if rendered.near_opacity is not None:
        arrays["near_opacity"] = np.asarray(rendered.near_opacity, np.float16)
    if rendered.strip is not None:
        arrays |= {"strip": np.asarray(rendered.strip, np.float16), "strip_steps": np.asarray(rendered.strip_steps)}
    return arrays | {"ids": np.asarray(scene.test.ids, np.int32)}
