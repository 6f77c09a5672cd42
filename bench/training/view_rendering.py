"""Renders the views of trained fields that are stored and scored."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Array, Float16, Int, Shaped

from bench.training import devices
from bench.training.batch import NEAR_PX, NEAR_SHARE, Batch, Cameras, Solved
from models.method import Data, Method, Params, State, Views
from tasks.cameras import Intrinsics, Rays, pixel_rays

STRIP_VIEW = 1
"""From which of the standard cameras: azimuth 45, elevation 15."""


class Rendered(NamedTuple):
    """What is kept of a finished field.

    Attributes:
        views: Of the test cameras.
        near_opacity: Of the first part of rays from the photographs' cameras, where there should be nothing; None
            where there are no photographs.
        strip: Colours from one camera, now and then in training; None if they were not taken.
        strip_steps: When.
    """

    views: Views
    near_opacity: Float16[Array, "*k m p p"] | None
    strip: Float16[np.ndarray, "*k m h w 3"] | None = None
    strip_steps: Int[np.ndarray, "*k m"] | None = None


def render(
    method: Method, height: int, width: int, num_at_once: int, params: Params, state: State, batch: Batch
) -> Rendered:
    """All test views of a whole pack, as float16, some rays of each trial at a time; leading axes k n h w."""

    def one(params: Params, state: State, data: Data, cameras: Cameras, photographers: Cameras | None) -> Rendered:
        def seen(rays: Rays) -> Views:
            found = method.render(params, state, data, rays)
            return jax.tree.map(lambda x: x.astype(jnp.float16), found)

        views = render_cameras(cameras, height, width, num_at_once, seen)
        if photographers is None:
            return Rendered(views, None)
        blocks = NEAR_PX / height, NEAR_PX / width
        near = photographers._replace(
            intrinsics=scaled(photographers.intrinsics, *blocks),
            far=photographers.near + NEAR_SHARE * (photographers.far - photographers.near),
            pixel_center=jnp.asarray(0.5),
        )
        return Rendered(views, render_cameras(near, NEAR_PX, NEAR_PX, num_at_once, seen).opacity)

    return devices.over_trials(one)(params, state, batch.data, batch.cameras, batch.photographers)


def render_progress_view(
    method: Method, height: int, width: int, num_at_once: int, params: Params, state: State, batch: Batch
) -> Float16[Array, "k h w 3"]:
    """One view of every field of a pack."""
    cameras = batch.cameras
    one = slice(STRIP_VIEW, STRIP_VIEW + 1)
    cameras = cameras._replace(
        poses=cameras.poses[:, one], intrinsics=Intrinsics(*(x[:, one] for x in cameras.intrinsics))
    )
    rendered = render(method, height, width, num_at_once, params, state, batch._replace(cameras=cameras))
    return rendered.views.color[:, 0]


def scaled(intrinsics: Intrinsics, down: float, across: float) -> Intrinsics:
    """Those of the same camera with another number of pixels."""
    focal_x, focal_y, center_x, center_y = intrinsics
    return Intrinsics(focal_x * across, focal_y * down, center_x * across, center_y * down)


def render_cameras(cameras: Cameras, height: int, width: int, num_at_once: int, seen: Callable[[Rays], Views]) -> Views:
    """What is seen through every pixel of some cameras, some rays at a time."""
    num_views = cameras.poses.shape[0]
    num_rays = num_views * height * width

    def some(index: Int[Array, " r"]) -> Views:
        view, rest = index // (height * width), index % (height * width)
        return seen(
            pixel_rays(
                cameras.poses[view],
                Intrinsics(*(x[view] for x in cameras.intrinsics)),
                rest % width + cameras.pixel_center,
                rest // width + cameras.pixel_center,
                cameras.near,
                cameras.far,
            )
        )

    num_blocks = math.ceil(num_rays / num_at_once)
    index = jnp.minimum(jnp.arange(num_blocks * num_at_once), num_rays - 1).reshape(num_blocks, num_at_once)
    views = lax.map(some, index)
    return jax.tree.map(
        lambda x: x.reshape((-1, *x.shape[2:]))[:num_rays].reshape((num_views, height, width, *x.shape[2:])), views
    )


def stored_views(scene: Solved, rendered: Rendered) -> dict[str, Shaped[np.ndarray, "..."]]:
    """Views as they are stored."""
    arrays = {name: np.asarray(value, np.float16) for name, value in rendered.views._asdict().items()}
    if rendered.near_opacity is not None:
        arrays["near_opacity"] = np.asarray(rendered.near_opacity, np.float16)
    if rendered.strip is not None:
        arrays |= {"strip": np.asarray(rendered.strip, np.float16), "strip_steps": np.asarray(rendered.strip_steps)}
    return arrays | {"ids": np.asarray(scene.test.ids, np.int32)}
