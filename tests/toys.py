"""A task and a method so small that the trainer's own behaviour can be seen through them."""

from __future__ import annotations

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import optax

from models.method import Method, Views, number
from tasks.cameras import BLENDER_FOV_DEG, Intrinsics, hemisphere, intrinsics_from_fov
from tasks.task import DataShapes, Photos, SceneData


@dataclasses.dataclass(frozen=True, kw_only=True)
class ToyTask:
    """One colour everywhere."""

    scene: str = "grey"
    num_views: int = 2
    image_px: int | None = None

    @property
    def name(self):
        return f"{self.scene}__{self.num_views}v"

    @property
    def cluster(self):
        return self.scene

    def layout(self):
        return DataShapes(self.num_views, 3, self.image_px, self.image_px)

    def fingerprint(self):
        return "toy"

    def load(self):
        shade = {"grey": 0.5, "dark": 0.1}[self.scene]
        return SceneData(
            train=toy_photos(self.num_views, self.image_px, shade),
            test=toy_photos(3, self.image_px, shade),
            near=2.0,
            far=6.0,
            pixel_center=0.5,
            all_train_poses=hemisphere(self.num_views),
        )


def toy_photos(num_views, image_px, shade):
    inner = intrinsics_from_fov(BLENDER_FOV_DEG, image_px, image_px)
    alphas = np.zeros((num_views, image_px, image_px), np.float32)
    alphas[:, : image_px // 2] = 1
    return Photos(
        ids=tuple(range(num_views)),
        colors=np.full((num_views, image_px, image_px, 3), shade, np.float32),
        alphas=alphas,
        poses=hemisphere(num_views),
        intrinsics=Intrinsics(*(np.full(num_views, x, np.float32) for x in inner)),
    )


@dataclasses.dataclass(frozen=True, kw_only=True)
class ToyMethod(Method):
    """Learns the mean colour; a step number at which its loss breaks may be set."""

    num_rays: int | None = None
    learning_rate: float = number(0.1)
    breaks_at: float = number(-1.0)
    label: str = "plain"

    def prepare(self, frozen, task):
        return {"colors": jnp.asarray(task.load().train.colors)}

    def init(self, key, data):
        return {"mean": jax.random.uniform(key, (3,))}, {"num_seen": jnp.zeros((), jnp.int32)}

    def loss(self, params, state, frozen, data, numbers, key, step):
        row = jax.random.randint(key, (), 0, data["colors"].shape[1])
        loss = jnp.mean((data["colors"][:, row] - params["mean"][None, None]) ** 2)
        loss = jnp.where(step == numbers["breaks_at"].astype(jnp.int32), jnp.nan, loss)
        return loss, ({"num_seen": state["num_seen"] + 1}, {"mse": loss})

    def optimizer(self, num_steps, numbers):
        return optax.adam(lambda count: numbers["learning_rate"])

    def render(self, params, state, data, rays, num_samples=None):
        # Colour depends on the ray, so that a render in the wrong order is seen.
        color = jnp.clip(jnp.broadcast_to(params["mean"], rays.directions.shape) + 0.1 * rays.directions, 0, 1)
        return Views(color=color, opacity=jnp.ones_like(rays.near), distance=rays.near)

    def field_at(self, params, state, data, points):
        return jnp.ones(points.shape[:-1]), jnp.broadcast_to(params["mean"], points.shape)


@dataclasses.dataclass(frozen=True, kw_only=True)
class ToyPhase(ToyMethod):
    """One that goes on, for some steps, toward black."""

    extra_steps: int = 0

    @property
    def continues(self):
        return dataclasses.replace(self, extra_steps=0) if self.extra_steps else None

    @property
    def total_steps(self):
        return self.num_steps + self.extra_steps

    def loss(self, params, state, frozen, data, numbers, key, step):
        if self.extra_steps:
            return jnp.sum(params["mean"] ** 2), (state, {"dark": params["mean"][0]})
        return super().loss(params, state, frozen, data, numbers, key, step)
