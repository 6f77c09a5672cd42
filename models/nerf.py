"""NeRF and what came of it: a field fitted to photographs by the colours of their pixels alone.

A step draws pixels, sends rays through them, asks the field along each ray, and compares colours. With importance
samples a second level looks closer where the first one saw something.

v: photographs, h and w: their pixels, r: rays of a step, s: samples of a ray.

References:
    NeRF: Mildenhall et al. 2020, https://arxiv.org/abs/2003.08934.
    mip-NeRF: Barron et al. 2021, https://arxiv.org/abs/2103.13415.
    Simplified NeRF and all settings of 2021: DietNeRF, Jain et al. 2021, https://arxiv.org/abs/2104.00677.
"""

from __future__ import annotations

import dataclasses
from typing import Literal, NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Float, Int, PRNGKeyArray

from bench.errors import UsageError
from models.fields.encodings import Integrated, Positional, Raw
from models.fields.networks import MLP
from models.method import Frozen, Hyperparameters, Method, Metrics, Params, State, Views, hyperparameter
from models.rendering import compositing, ray_sampling
from tasks.cameras import Intrinsics, Rays, pixel_rays
from tasks.task import SceneTask


class NeRFData(NamedTuple):
    """A trial's photographs on the device.

    Attributes:
        colors: In [0, 1], on the task's background.
        poses: Camera to world.
        intrinsics: A number a view.
        near: First `t` of interest.
        far: Last `t` of interest.
        pixel_center: Where in a pixel its ray goes.
        background: Grey that shows where the field stops nothing.
    """

    colors: Float[Array, "v h w 3"]
    poses: Float[Array, "v 4 4"]
    intrinsics: Intrinsics
    near: Float[Array, ""]
    far: Float[Array, ""]
    pixel_center: Float[Array, ""]
    background: Float[Array, ""]


@dataclasses.dataclass(frozen=True, kw_only=True)
class NeRF(Method):
    """A field fitted to pixels.

    Attributes:
        field: The network; a second one like it serves the fine level, unless they share one.
        num_rays: Of a step.
        num_samples: On a ray, of the first level.
        num_importance: Further samples of the second level; 0 for one level only.
        cones: Whether samples are pieces of the pixel's cone (mip-NeRF) or points.
        share_levels: Whether both levels ask one network.
        far_wall: Whether the last point of a ray stands for everything behind it, as in the released NeRF codes. A
            density there makes an opaque wall before the background.
        batching: Whether a step's rays come from all photographs or from one, drawn anew.
        precrop_steps: For so many first steps rays come from the middle half of the photographs only.
        coarse_weight: Of the first level's loss.
        learning_rate: Of Adam at the first step, for a network of 256 units; a narrower one takes it times
            256 / width, so that one value serves all budgets.
        final_rate: What becomes of it over the training, exponentially, as a share.
        warmup: Share of the training over which the rate rises from zero. Without it one in ten fields on white ends
            empty within the first steps: density falls everywhere before it can gather anywhere.
    """

    field: nn.Module = MLP(density_activation="shifted_softplus")
    num_rays: int | None = None
    num_samples: int | None = None
    num_importance: int | None = None
    cones: bool = False
    share_levels: bool = False
    far_wall: bool = False
    batching: Literal["all views", "one view"] = "all views"
    precrop_steps: int = 0
    coarse_weight: float = hyperparameter(1.0)
    learning_rate: float = hyperparameter(1e-3)
    final_rate: float = hyperparameter(0.1)
    warmup: float = hyperparameter(0.1)

    def __post_init__(self) -> None:
        if self.cones and self.far_wall:
            raise UsageError(
                "nerf: expected cones or far_wall, got both; cones end where the ray does: set far_wall=False"
            )
        if self.share_levels and self.num_importance == 0:
            raise UsageError(
                "nerf: expected two levels to share a network, got num_importance=0; set share_levels=False"
            )

    def prepare(self, frozen: Frozen, task: SceneTask) -> NeRFData:
        """The task's training photographs."""
        scene = task.load()
        return NeRFData(
            colors=jnp.asarray(scene.train.colors, jnp.float32),
            poses=jnp.asarray(scene.train.poses, jnp.float32),
            intrinsics=Intrinsics(*(jnp.asarray(x, jnp.float32) for x in scene.train.intrinsics)),
            near=jnp.asarray(scene.near, jnp.float32),
            far=jnp.asarray(scene.far, jnp.float32),
            pixel_center=jnp.asarray(scene.pixel_center, jnp.float32),
            background=jnp.asarray(getattr(task, "background", 1.0), jnp.float32),
        )

    def init(self, key: PRNGKeyArray, data: NeRFData) -> tuple[Params, State]:
        """A network a level."""
        somewhere = ray_sampling.samples_at_points(jnp.zeros((1, 3), jnp.float32))
        keys = dict(zip(("coarse", "fine"), jax.random.split(key), strict=True))
        levels = ("coarse", "fine") if self.num_importance and not self.share_levels else ("coarse",)
        return {level: self.field.init(keys[level], somewhere)["params"] for level in levels}, {}

    def loss(
        self,
        params: Params,
        state: State,
        frozen: Frozen,
        data: NeRFData,
        hyperparameters: Hyperparameters,
        key: PRNGKeyArray,
        step: Int[Array, ""],
    ) -> tuple[Float[Array, ""], tuple[State, Metrics]]:
        """Mean squared error of colours on both levels (NeRF, equation 6)."""
        pixel_key, ray_key = jax.random.split(key)
        rays, colors = self.sample_pixel_batch(data, pixel_key, step)
        levels = self.render_levels(params, data, rays, ray_key)
        errors = [jnp.mean((views.color - colors) ** 2) for views in levels]
        loss = errors[-1] + (hyperparameters["coarse_weight"] * errors[0] if len(errors) > 1 else 0.0)
        metrics = {
            "mse": errors[-1],
            "psnr_train": -10 * jnp.log10(errors[-1]),
            "opacity": jnp.mean(levels[-1].opacity),
        }
        return loss, (state, metrics)

    def optimizer(self, num_steps: int, hyperparameters: Hyperparameters) -> optax.GradientTransformation:
        """Adam with a rate that falls exponentially."""
        first = hyperparameters["learning_rate"] * 256 / (getattr(self.field, "width", None) or 256)
        share_of = 1 / max(num_steps, 1)

        def rate(count: Int[Array, ""]) -> Float[Array, ""]:
            risen = jnp.minimum(1.0, (count + 1) * share_of / jnp.maximum(hyperparameters["warmup"], share_of))
            return first * risen * hyperparameters["final_rate"] ** (count * share_of)

        return optax.adam(rate)

    def render(self, params: Params, state: State, data: NeRFData, rays: Rays, num_samples: int | None = None) -> Views:
        """The last level, with regular samples."""
        return self.render_levels(params, data, rays, None, num_samples)[-1]

    def field_at(
        self, params: Params, state: State, data: NeRFData, points: Float[Array, "*b 3"]
    ) -> tuple[Float[Array, "*b"], Float[Array, "*b 3"]]:
        """The last level's field, seen from above."""
        return self.query_field(params, "fine", ray_sampling.samples_at_points(points), None)

    def sample_pixel_batch(
        self, data: NeRFData, key: PRNGKeyArray, step: Int[Array, ""]
    ) -> tuple[Rays, Float[Array, "r 3"]]:
        """Rays through random pixels of the photographs, and the colours they should show."""
        assert self.num_rays, "nerf: num_rays is open; give the method to tasks.budgets.sized first"
        num_views, height, width, _ = data.colors.shape
        view_key, row_key, column_key = jax.random.split(key, 3)
        shape = (self.num_rays,) if self.batching == "all views" else (1,)
        view = jnp.broadcast_to(jax.random.randint(view_key, shape, 0, num_views), (self.num_rays,))
        row, column = (
            jax.random.randint(k, (self.num_rays,), *self.pixel_range(size, step))
            for k, size in ((row_key, height), (column_key, width))
        )
        rays = pixel_rays(
            data.poses[view],
            Intrinsics(*(x[view] for x in data.intrinsics)),
            column + data.pixel_center,
            row + data.pixel_center,
            data.near,
            data.far,
        )
        return rays, data.colors[view, row, column]

    def pixel_range(self, size: int, step: Int[Array, ""]) -> tuple[int | Int[Array, ""], int | Int[Array, ""]]:
        """First pixel and the one behind the last that a step may draw from, along one side."""
        if not self.precrop_steps:
            return 0, size
        inside = step < self.precrop_steps
        return jnp.where(inside, size // 4, 0), jnp.where(inside, size - size // 4, size)

    def render_levels(
        self, params: Params, data: NeRFData, rays: Rays, key: PRNGKeyArray | None, num_samples: int | None = None
    ) -> list[Views]:
        """What each level sees; key None is for rendering: regular samples, no noise."""
        keys = jax.random.split(key, 4) if key is not None else (None,) * 4
        assert self.num_samples and self.num_importance is not None, "nerf: sizes are open; see tasks.budgets.sized"
        num = num_samples or self.num_samples
        first = ray_sampling.fenceposts(rays.near, rays.far, num if self.cones else num - 1, keys[0])
        views, weights = self.render_level(params, "coarse", data, rays, first, keys[1])
        if not self.num_importance:
            return [views]
        more = self.num_importance * num // self.num_samples
        if self.cones:
            second = ray_sampling.resample_fenceposts(first, weights, num + more, keys[2])
        else:
            second = ray_sampling.add_importance_points(first, weights, more, keys[2])
        return [views, self.render_level(params, "fine", data, rays, second, keys[3])[0]]

    def render_level(
        self, params: Params, level: str, data: NeRFData, rays: Rays, t: Float[Array, "*b s"], key: PRNGKeyArray | None
    ) -> tuple[Views, Float[Array, "*b n"]]:
        """Asks the field along rays and composites what it says."""
        if self.cones:
            density, color = self.query_field(params, level, ray_sampling.conical_frustums(rays, t), key)
            return compositing.render(density, color, t, rays, data.background)
        if self.far_wall:
            density, color = self.query_field(params, level, ray_sampling.points(rays, t), key)
            return compositing.render_points(density, color, t, rays, data.background)
        # Each point stands for the way half to its neighbours, so that nothing stands behind the last.
        edges = jnp.concatenate([t[..., :1], 0.5 * (t[..., 1:] + t[..., :-1]), t[..., -1:]], axis=-1)
        density, color = self.query_field(params, level, ray_sampling.points(rays, t), key)
        return compositing.render(density, color, edges, rays, data.background)

    def query_field(
        self, params: Params, level: str, samples: ray_sampling.Samples, key: PRNGKeyArray | None
    ) -> tuple[Float[Array, "*b"], Float[Array, "*b 3"]]:
        """Density and colour from a level's network."""
        variables = {"params": params[level if level in params else "coarse"]}
        return self.field.apply(variables, samples, key=key)  # type: ignore[return-value]


FIELD = MLP(density_activation="shifted_softplus")

NERF = NeRF(field=FIELD)
"""NeRF as it is best trained today: rays from all photographs, a density that always has a gradient, no wall."""

NERF_WITHOUT_DIRECTIONS = dataclasses.replace(NERF, field=dataclasses.replace(FIELD, view_directions=False))
"""Colour depends on the point alone."""

RAW_NERF = dataclasses.replace(NERF, field=dataclasses.replace(FIELD, encoding=Raw()))
"""Positions as they are; directions are still encoded."""

MIP_NERF = dataclasses.replace(
    NERF,
    field=dataclasses.replace(FIELD, encoding=Integrated(num_octaves=10)),
    cones=True,
    share_levels=True,
    coarse_weight=0.1,
)
"""mip-NeRF: cones, one network for both levels."""

SIMPLIFIED_NERF = dataclasses.replace(
    NERF,
    field=dataclasses.replace(FIELD, encoding=Positional(num_octaves=6), view_directions=False),
    num_importance=0,
)
"""One common setting of DietNeRF's Simplified NeRF: one network, six octaves, no view directions."""

FIELD_2021 = MLP(width=256, depth=8, initializer="xavier", density_activation="relu")

NERF_2021 = NeRF(
    field=FIELD_2021,
    num_rays=1024,
    num_samples=64,
    num_importance=128,
    far_wall=True,
    batching="one view",
    precrop_steps=500,
    learning_rate=5e-4,
    final_rate=0.1**0.4,
    warmup=0.0,
)
"""NeRF as DietNeRF's code trains it: rates fall by 0.1 in 500,000 steps, of which 200,000 are taken."""


def simplified_2021(learning_rate: float, num_octaves: int, view_directions: bool) -> NeRF:
    """Simplified NeRF as DietNeRF's configurations have it, which differ from scene to scene."""
    field = dataclasses.replace(
        FIELD_2021, encoding=Positional(num_octaves=num_octaves), view_directions=view_directions
    )
    return dataclasses.replace(NERF_2021, field=field, num_samples=128, num_importance=0, learning_rate=learning_rate)


SIMPLIFIED_NERF_2021 = simplified_2021(5e-5, 6, view_directions=False)
"""Of chair, drums, ficus, mic and ship."""

SIMPLIFIED_NERF_2021_LEGO = simplified_2021(5e-5, 6, view_directions=True)
SIMPLIFIED_NERF_2021_HOTDOG = simplified_2021(1e-5, 5, view_directions=False)
SIMPLIFIED_NERF_2021_MATERIALS = simplified_2021(1e-5, 6, view_directions=False)
