"""Defines NeRF and its direct variants, which fit a field to the pixel colours of photographs alone.

A training step samples pixels, queries the field along their rays, and compares rendered with photographed colours.
With importance samples, a second (fine) level samples more densely where the first (coarse) level found density.

v: photographs, h and w: their pixels, r: rays of a step, s: samples of a ray, n: bins of a ray.

References:
    NeRF: Mildenhall et al. 2020, https://arxiv.org/abs/2003.08934.
    mip-NeRF: Barron et al. 2021, https://arxiv.org/abs/2103.13415.
    mip-NeRF 360: Barron et al. 2022, https://arxiv.org/abs/2111.12077.
    Simplified NeRF and all settings of 2021: DietNeRF, Jain et al. 2021, https://arxiv.org/abs/2104.00677.
"""

from __future__ import annotations

import dataclasses
from typing import Any, Literal, NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Float, Int, PRNGKeyArray

from bench.errors import UsageError
from models.fields.encodings import IdentityEncoding, IntegratedPositional, Positional
from models.fields.field_output import check_field_output
from models.fields.networks import MLP
from models.method import (
    Frozen,
    Hyperparameters,
    Method,
    Metrics,
    Params,
    State,
    StepWork,
    Views,
    added_later,
    hyperparameter,
)
from models.nerf_ranges import check_nerf_ranges
from models.ray_split import split_rays
from models.rendering import compositing, contraction, ndc, pixel_masks, ray_sampling
from tasks.cameras import Intrinsics, Rays, pixel_rays, select_cameras
from tasks.task import SceneTask, World


class NeRFData(NamedTuple):
    """Holds a trial's photographs on the device.

    Attributes:
        colors: In [0, 1], composited on the task's background.
        poses: Camera to world.
        intrinsics: One value for each photograph.
        near: First `t` of interest.
        far: Last `t` of interest.
        pixel_center: Position in a pixel that its ray passes through: 0.5 is the middle.
        background: Grey level behind the field.
        masks: 1 where a pixel counts in the loss, 0 where it does not; None if all count.
        frustum: What becomes the cube of normalised device coordinates; None for a method that does not use them.
    """

    colors: Float[Array, "v h w 3"]
    poses: Float[Array, "v 4 4"]
    intrinsics: Intrinsics
    near: Float[Array, ""]
    far: Float[Array, ""]
    pixel_center: Float[Array, ""]
    background: Float[Array, ""]
    masks: Float[Array, "v h w"] | None = None
    frustum: ndc.Frustum | None = None


@dataclasses.dataclass(frozen=True, kw_only=True)
class NeRF(Method):
    """Fits a field to the pixels of photographs.

    Attributes:
        field: The network. The fine level has a second one like it, unless both levels share one.
        num_rays: Rays of a step.
        num_samples: Samples along a ray on the first level.
        num_importance: Additional samples of the second level; 0 for one level only.
        cones: Whether samples are conical frustums of the pixel's cone (mip-NeRF) or points.
        share_levels: Whether both levels use one network.
        far_wall: Whether the last point of a ray stands for everything behind it, as in the released NeRF codes. A
            density there makes an opaque wall in front of the background.
        opaque_end: Whether the last bin of a ray stops all light that reaches it, so that nothing of the background is
            seen. For photographs without alpha, which have a colour everywhere: mip-NeRF 360 does so for them.
        lindisp: Whether samples are spaced, and placed by the first level, in inverse depth. For scenes whose far end
            is many times as far as their near one.
        contraction: Whether the field sees all of space contracted into a ball of radius 2 (mip-NeRF 360, equation 10).
            For scenes without an end.
        ndc: Whether the field sees normalised device coordinates (NeRF, appendix C). For forward-facing scenes.
        batching: Whether a step's rays come from all photographs, or from one that is sampled anew in each step.
        precrop_steps: For this many first steps rays come only from the middle half of the photographs.
        coarse_weight: Weight of the first level's loss.
        learning_rate: Learning rate of Adam after warm-up, for a network of 256 units. It is multiplied by
            256 / width, so that one value serves all budgets.
        final_rate: Share of the learning rate at the end of training; it falls exponentially.
        warmup: Share of the training over which the learning rate rises from zero. Without warm-up one in ten fields
            on white is empty after the first steps: density falls everywhere before it can gather anywhere.
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
    opaque_end: bool = added_later(False)
    lindisp: bool = added_later(False)
    contraction: bool = added_later(False)
    ndc: bool = added_later(False)

    def __post_init__(self) -> None:
        check_nerf_ranges(self)
        if self.ndc and (self.cones or self.contraction or self.lindisp):
            raise UsageError(
                "nerf: expected ndc without cones, contraction and lindisp, got both: in these coordinates depth is "
                "inverse already, nothing is far, and cones are none; set ndc=False, or the others to False"
            )
        if self.opaque_end and self.far_wall:
            raise UsageError(
                "nerf: expected opaque_end or far_wall, got both; both end a ray in a wall: set opaque_end=False"
            )
        if self.cones and self.far_wall:
            raise UsageError(
                "nerf: expected cones or far_wall, got both; cones end where the ray does: set far_wall=False"
            )
        if self.share_levels and self.num_importance == 0:
            raise UsageError(
                "nerf: expected two levels to share a network, got num_importance=0; set share_levels=False"
            )

    def fit_to_world(self, world: World, *, has_alpha: bool | None = None) -> NeRF:
        """Return this method with the sampling that a scene's surroundings ask for; all else is as it was.

        - bounded: unchanged.
        - unbounded: contraction, and samples in inverse depth.
        - forward-facing: samples in inverse depth between the scene's near and far; of a method with a far wall, as the
          released codes have it, normalised device coordinates, as these codes take them.

        Without alpha rays end opaque, as there is no background to be seen.

        Args:
            world: What lies around the scene.
            has_alpha: Whether the photographs have alpha; None: those of bounded scenes have.
        """
        if has_alpha is None:
            has_alpha = world == "bounded"
        opaque_end = self.opaque_end or not (has_alpha or self.far_wall)
        if world == "bounded":
            return dataclasses.replace(self, opaque_end=opaque_end)
        takes_ndc = world == "forward-facing" and (self.far_wall or self.ndc)
        return dataclasses.replace(
            self,
            opaque_end=opaque_end,
            contraction=world == "unbounded",
            lindisp=not takes_ndc,
            ndc=takes_ndc,
        )

    def work_per_step(self) -> StepWork:
        """Count the rays and points of a step."""
        rays = self.num_rays or 0
        return StepWork(rays, rays * self.points_per_ray())

    def points_per_ray(self) -> int:
        """Count the points of a ray, on all levels."""
        coarse = self.num_samples or 0
        return coarse + (coarse + self.num_importance if self.num_importance else 0)

    def prepare(self, frozen: Frozen, task: SceneTask) -> NeRFData:
        """Load the task's training photographs onto the device."""
        scene = task.load()
        masks = None if scene.train.masks is None else jnp.asarray(scene.train.masks, jnp.float32)
        return NeRFData(
            colors=jnp.asarray(scene.train.colors, jnp.float32),
            poses=jnp.asarray(scene.train.poses, jnp.float32),
            intrinsics=jax.tree.map(lambda x: jnp.asarray(x, jnp.float32), scene.train.intrinsics),
            near=jnp.asarray(scene.near, jnp.float32),
            far=jnp.asarray(scene.far, jnp.float32),
            pixel_center=jnp.asarray(scene.pixel_center, jnp.float32),
            background=jnp.asarray(getattr(task, "background", 1.0), jnp.float32),
            masks=masks,
            frustum=ndc.scene_frustum(scene) if self.ndc else None,
        )

    def init(self, key: PRNGKeyArray, data: NeRFData) -> tuple[Params, State]:
        """Initialise a network for each level."""
        one_point = ray_sampling.samples_at_points(jnp.zeros((1, 3), jnp.float32))
        coarse_key, fine_key = jax.random.split(key)
        params = {"coarse": self.field.init(coarse_key, one_point)["params"]}
        if self.num_importance and not self.share_levels:
            params["fine"] = self.field.init(fine_key, one_point)["params"]
        return params, {}

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
        """Compute the mean squared error of colours on both levels (NeRF, equation 6)."""
        pixel_key, ray_key = jax.random.split(key)
        rays, colors, weights = self.sample_pixel_batch(data, pixel_key, step)
        levels = self.render_levels(params, data, split_rays(rays), ray_key)
        errors = [pixel_masks.mean_inside((views.color - colors) ** 2, weights) for views in levels]
        loss = errors[-1]
        if len(errors) > 1:
            loss = loss + hyperparameters["coarse_weight"] * errors[0]
        metrics = {
            "mse": errors[-1],
            # Where no ray of a step counts, the error is 0.
            "psnr_train": -10 * jnp.log10(errors[-1] if weights is None else jnp.maximum(errors[-1], 1e-10)),
            "opacity": pixel_masks.mean_inside(levels[-1].opacity, weights),
        }
        return loss, (state, metrics)

    def optimizer(self, num_steps: int, hyperparameters: Hyperparameters) -> optax.GradientTransformation:
        """Build Adam with a learning rate that falls exponentially."""
        width = getattr(self.field, "width", None) or 256
        highest_rate = hyperparameters["learning_rate"] * 256 / width
        one_step = 1 / max(num_steps, 1)

        def rate(count: Int[Array, ""]) -> Float[Array, ""]:
            risen = jnp.minimum(1.0, (count + 1) * one_step / jnp.maximum(hyperparameters["warmup"], one_step))
            return highest_rate * risen * hyperparameters["final_rate"] ** (count * one_step)

        return optax.adam(rate)

    def render(self, params: Params, state: State, data: NeRFData, rays: Rays, num_samples: int | None = None) -> Views:
        """Render rays on the last level, with regular samples."""
        return self.render_levels(params, data, rays, None, num_samples)[-1]

    def field_at(
        self, params: Params, state: State, data: NeRFData, points: Float[Array, "*b 3"]
    ) -> tuple[Float[Array, "*b"], Float[Array, "*b 3"]]:
        """Return density and colour of the last level at points, as seen from above."""
        if data.frustum is None:
            return self.query_field(params, "fine", ray_sampling.samples_at_points(points), None)
        samples = ray_sampling.samples_at_points(ndc.convert_points_to_ndc(points, data.frustum))
        density, color = self.query_field(params, "fine", samples, None)
        return density * ndc.length_ratio(points, data.frustum), color

    def sample_pixel_batch(
        self, data: NeRFData, key: PRNGKeyArray, step: Int[Array, ""]
    ) -> tuple[Rays, Float[Array, "r 3"], Float[Array, " r"] | None]:
        """Sample pixels, and return their rays, photographed colours, and weights in the loss (None if all count)."""
        assert self.num_rays, "nerf: num_rays is open; give the method to tasks.budgets.sized first"
        num_views, height, width, _ = data.colors.shape
        view_key, row_key, column_key = jax.random.split(key, 3)
        shape = (self.num_rays,) if self.batching == "all views" else (1,)
        view = jnp.broadcast_to(jax.random.randint(view_key, shape, 0, num_views), (self.num_rays,))
        row = jax.random.randint(row_key, (self.num_rays,), *self.pixel_range(height, step))
        column = jax.random.randint(column_key, (self.num_rays,), *self.pixel_range(width, step))
        rays = pixel_rays(
            data.poses[view],
            select_cameras(data.intrinsics, view),
            column + data.pixel_center,
            row + data.pixel_center,
            data.near,
            data.far,
        )
        weights = None if data.masks is None else data.masks[view, row, column]
        return rays, data.colors[view, row, column], weights

    def pixel_range(self, size: int, step: Int[Array, ""]) -> tuple[int | Int[Array, ""], int | Int[Array, ""]]:
        """Return the first pixel along a side, and the end (exclusive), that a step may sample from."""
        if not self.precrop_steps:
            return 0, size
        is_cropped = step < self.precrop_steps
        first = jnp.where(is_cropped, size // 4, 0)
        end = jnp.where(is_cropped, size - size // 4, size)
        return first, end

    @jax.named_scope("rendering")
    def render_levels(
        self, params: Params, data: NeRFData, rays: Rays, key: PRNGKeyArray | None, num_samples: int | None = None
    ) -> list[Views]:
        """Render rays on each level, coarse first.

        Args:
            params: Of each level's network.
            data: Of the trial.
            rays: To render.
            key: For the positions of samples and the noise of densities. None gives regular samples and no noise.
            num_samples: Instead of the method's own. Importance samples change in proportion.
        """
        assert self.num_samples and self.num_importance is not None, "nerf: sizes are open; see tasks.budgets.sized"
        keys = jax.random.split(key, 4) if key is not None else (None,) * 4
        num_samples = num_samples or self.num_samples
        num_bins = num_samples if self.cones else num_samples - 1
        first, last = self.sampled_range(data, rays)
        coarse_s = ray_sampling.fenceposts(first, last, num_bins, keys[0])
        coarse_views, weights = self.render_level(params, "coarse", data, rays, coarse_s, keys[1])
        if not self.num_importance:
            return [coarse_views]
        num_importance = self.num_importance * num_samples // self.num_samples
        if self.cones:
            fine_s = ray_sampling.resample_fenceposts(coarse_s, weights, num_samples + num_importance, keys[2])
        else:
            fine_s = ray_sampling.add_importance_points(coarse_s, weights, num_importance, keys[2])
        fine_views, _ = self.render_level(params, "fine", data, rays, fine_s, keys[3])
        return [coarse_views, fine_views]

    def render_level(
        self, params: Params, level: str, data: NeRFData, rays: Rays, s: Float[Array, "*b s"], key: PRNGKeyArray | None
    ) -> tuple[Views, Float[Array, "*b n"]]:
        """Query a level's field along rays, and composite the result; `s` is what `sampled_range` says."""
        marched = rays if data.frustum is None else ndc.convert_to_ndc(rays, data.frustum)
        ends_opaque = rays.far >= data.far if self.opaque_end else None
        t = self.distances(rays, s)
        if self.cones:
            samples = ray_sampling.conical_frustums(marched, t)
            edges = t
        else:
            samples = ray_sampling.samples_on_rays(marched, t)
            # Each point stands for a bin that ends halfway to its neighbours, so that no bin lies behind the last one.
            middles = self.distances(rays, 0.5 * (s[..., 1:] + s[..., :-1]))
            edges = jnp.concatenate([t[..., :1], middles, t[..., -1:]], axis=-1)
        if data.frustum is not None:  # colours depend on directions in the world
            samples = samples._replace(directions=jnp.broadcast_to(rays.directions[..., None, :], samples.means.shape))
        density, color = self.query_field(params, level, samples, key, rays.directions)
        if self.far_wall:
            views, weights = compositing.render_points(density, color, t, marched, data.background)
        else:
            views, weights = compositing.render(density, color, edges, marched, data.background, ends_opaque)
        if data.frustum is not None:
            views = views._replace(distance=ndc.depth_from_ndc(rays, data.frustum, views.distance))
        return views, weights

    def sampled_range(self, data: NeRFData, rays: Rays) -> tuple[Float[Array, "*b"], Float[Array, "*b"]]:
        """Return the range in which samples are spaced: `t`, `t` of the converted rays, or a share of the way."""
        if self.lindisp:
            return jnp.zeros_like(rays.near), jnp.ones_like(rays.far)
        marched = rays if data.frustum is None else ndc.convert_to_ndc(rays, data.frustum)
        return marched.near, marched.far

    def distances(self, rays: Rays, s: Float[Array, "*b s"]) -> Float[Array, "*b s"]:
        """Turn what samples are spaced in into `t`."""
        return ray_sampling.space_inverse_depths(rays.near, rays.far, s) if self.lindisp else s

    @jax.named_scope("field")
    def query_field(
        self,
        params: Params,
        level: str,
        samples: ray_sampling.Samples,
        key: PRNGKeyArray | None,
        ray_directions: Float[Array, "*r 3"] | None = None,
    ) -> tuple[Float[Array, "*b"], Float[Array, "*b 3"]]:
        """Evaluate a level's network; both levels use the coarse one if there is no other.

        Args:
            params: Of each level's network.
            level: "coarse" or "fine".
            samples: Where.
            key: For the noise of densities; None adds none.
            ray_directions: Directions of the rays that the samples lie on; None if they lie on no rays.
        """
        if self.contraction:
            samples = contraction.contract_samples(samples, has_extent=self.cones)
        variables = {"params": params[level if level in params else "coarse"]}
        # Only NeRF's own network reads the direction of a ray once; others take it from every sample.
        of_rays: dict[str, Any] = {"ray_directions": ray_directions} if type(self.field) is MLP else {}
        return check_field_output(self.field, self.field.apply(variables, samples, key=key, **of_rays), samples)


FIELD = MLP(density_activation="shifted_softplus")

NERF = NeRF(field=FIELD)
"""NeRF with today's best practice: rays from all photographs, a density that always has a gradient, no far wall."""

NERF_WITHOUT_DIRECTIONS = dataclasses.replace(NERF, field=dataclasses.replace(FIELD, view_directions=False))
"""NeRF whose colour does not depend on the view direction."""

RAW_NERF = dataclasses.replace(NERF, field=dataclasses.replace(FIELD, encoding=IdentityEncoding()))
"""NeRF without positional encoding of positions; directions are still encoded."""

MIP_NERF = dataclasses.replace(
    NERF,
    field=dataclasses.replace(FIELD, encoding=IntegratedPositional(num_octaves=10)),
    cones=True,
    share_levels=True,
    coarse_weight=0.1,
)
"""mip-NeRF: conical frustums, and one network for both levels."""

SIMPLIFIED_NERF = dataclasses.replace(
    NERF,
    field=dataclasses.replace(FIELD, encoding=Positional(num_octaves=6), view_directions=False),
    num_importance=0,
)
"""DietNeRF's Simplified NeRF, with one setting for all scenes: one level, six octaves, no view directions."""

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
"""NeRF as DietNeRF's code trains it: for 200,000 steps, at a rate that would fall to a tenth in 500,000."""

NERF_2021_FAST = dataclasses.replace(NERF_2021, field=dataclasses.replace(FIELD_2021, dtype="bfloat16"))
"""`NERF_2021` with its field in bfloat16. All else is as released."""


def simplified_nerf_2021(learning_rate: float, num_octaves: int, view_directions: bool) -> NeRF:
    """Build Simplified NeRF as in DietNeRF's configuration files, which differ between scenes."""
    field = dataclasses.replace(
        FIELD_2021, encoding=Positional(num_octaves=num_octaves), view_directions=view_directions
    )
    return dataclasses.replace(NERF_2021, field=field, num_samples=128, num_importance=0, learning_rate=learning_rate)


SIMPLIFIED_NERF_2021 = simplified_nerf_2021(5e-5, 6, view_directions=False)
"""Setting for chair, drums, ficus, mic and ship."""

SIMPLIFIED_NERF_2021_LEGO = simplified_nerf_2021(5e-5, 6, view_directions=True)
SIMPLIFIED_NERF_2021_HOTDOG = simplified_nerf_2021(1e-5, 5, view_directions=False)
SIMPLIFIED_NERF_2021_MATERIALS = simplified_nerf_2021(1e-5, 6, view_directions=False)
