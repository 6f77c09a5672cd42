"""Defines DietNeRF: NeRF from few photographs, with a loss for semantic consistency of unobserved views.

Every few steps it renders a small view from a random pose, and compares its features with those of a random
photograph. The features come from an encoder that is not trained. An optional last phase (fine-tuning) uses the
photographs' pixels alone.

v: photographs, p: pixels along a side of an image, f: features, r: rays, l: levels, n: images.

References:
    DietNeRF: Jain et al. 2021, https://arxiv.org/abs/2104.00677, and its released code.
"""

from __future__ import annotations

import dataclasses
import functools
from typing import Any, Literal, NamedTuple, get_args

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, PRNGKeyArray

from bench.errors import UsageError, nearest
from models.clip import preprocess
from models.clip.checkpoints import catalog
from models.clip.encoder import Encoder
from models.clip.networks.dual_encoder import to_unit_length
from models.method import Frozen, Hyperparameters, Method, Metrics, Params, State, StepWork, added_later, hyperparameter
from models.nerf import FIELD_2021, NERF_2021, NeRF, NeRFData
from models.rare_loss import loss_of_some_steps
from models.ray_split import join_rays, split_rays
from models.rendering import pixel_masks, random_poses, ray_sampling
from tasks.cameras import Rays, pixel_rays
from tasks.task import SceneTask, World

PoseDistribution = Literal["hemisphere", "hemisphere area", "interpolated", "observed"]

RAYS_AT_ONCE = 1024
"""Most rays in one block of a small view, where a method does not say."""


class DietNeRFData(NamedTuple):
    """Holds a trial's photographs and their features.

    Attributes:
        pixels: Photographs as NeRF uses them.
        features: Features of each photograph, normalised to length 1.
        radius: Mean distance of the cameras from the origin.
    """

    pixels: NeRFData
    features: Float[Array, "v f"]
    radius: Float[Array, ""]


@dataclasses.dataclass(frozen=True, kw_only=True)
class DietNeRF(NeRF):
    """Adds the semantic consistency loss to NeRF.

    Attributes:
        encoder: Name of the encoder that compares views; None takes the budget's.
        feature: Name of the image feature that is compared. "default" is the one of the released code: a ViT's class
            token after the last block, and the embedding of other encoders.
        consistency_weight: Weight of the loss (1 minus cosine) on the last level.
        coarse_consistency_weight: Weight of the loss on the first level.
        consistency_every: Steps from one comparison to the next. The loss is not scaled up to make up for it.
        consistency_px: Width and height of the small view; None takes the budget's.
        view_share: Share of a photograph's width that the small view covers, at a random position: 335 of 400 pixels
            in the released code.
        pose_distribution: "hemisphere", uniform in angle, as released for scenes around the origin; "hemisphere area",
            uniform in area; "interpolated" between three of the photographs' poses, as released for captured scenes;
            "observed", the photographs' own poses.
        finetune_steps: Additional steps after the others, on pixels alone. Such a trial continues the one without
            them. None takes the budget's number.
        encoder_dtype: Compute type of the encoder.
        rays_at_once: Most rays in one block of the small view. The backward pass recomputes activations block by block,
            so that a pack fits in memory. Other blocks place samples at random anew, and change speed, but no
            expectation. None takes `RAYS_AT_ONCE`.
        keep_activations: Whether to keep activations for the backward pass instead, at about 5 KB a point in bfloat16.
    """

    encoder: str | None = None
    feature: str = "default"
    consistency_weight: float = hyperparameter(0.1)
    coarse_consistency_weight: float = hyperparameter(0.1)
    consistency_every: int = 10
    consistency_px: int | None = None
    view_share: float = 0.84
    pose_distribution: PoseDistribution = "hemisphere"
    finetune_steps: int | None = 0
    encoder_dtype: Literal["float32", "bfloat16"] = "float32"
    rays_at_once: int | None = added_later(None)
    keep_activations: bool = dataclasses.field(default=False, metadata={"identity": False})

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.pose_distribution not in get_args(PoseDistribution):
            raise UsageError(
                f"dietnerf: expected a pose_distribution, got {self.pose_distribution!r}; "
                + nearest(self.pose_distribution, get_args(PoseDistribution))
            )
        if not 0 < self.view_share <= 1:
            raise UsageError(f"dietnerf: expected view_share above 0 and up to 1, got {self.view_share}")
        if self.consistency_every < 1:
            raise UsageError(f"dietnerf: expected consistency_every of at least 1, got {self.consistency_every}")
        if self.rays_at_once is not None and self.rays_at_once < 1:
            raise UsageError(f"dietnerf: expected rays_at_once of at least 1, got {self.rays_at_once}")
        if self.finetune_steps is not None and self.finetune_steps < 0:
            raise UsageError(f"dietnerf: expected finetune_steps of at least 0, got {self.finetune_steps}")
        if self.encoder is not None:
            catalog.check_guide(self.encoder)

    @property
    def encoders(self) -> tuple[str, ...]:
        """Name of the encoder that compares views."""
        return (self.encoder,) if self.encoder else ()

    @property
    def continues(self) -> Method | None:
        """This method without the last phase; None if it has none."""
        return dataclasses.replace(self, finetune_steps=0) if self.finetune_steps else None

    @property
    def total_steps(self) -> int:
        """Steps of both phases."""
        return (self.num_steps or 0) + (self.finetune_steps or 0)

    @property
    def rare_every(self) -> int:
        """Steps from one comparison to the next."""
        return self.consistency_every

    def fit_to_world(self, world: World, *, has_alpha: bool | None = None) -> NeRF:
        """Fit as NeRF does; small views are seen from between the cameras, as released for captured scenes.

        On a hemisphere around a room they would be seen from in its walls, and before a facade from behind it.
        """
        is_around = self.pose_distribution.startswith("hemisphere") and world != "bounded"
        method = dataclasses.replace(self, pose_distribution="interpolated") if is_around else self
        return NeRF.fit_to_world(method, world, has_alpha=has_alpha)

    def work_per_step(self) -> StepWork:
        """Count the rays and points of a step; those of the small view by the share of steps that render one."""
        pixels = super().work_per_step()
        rays = (self.consistency_px or 0) ** 2 / self.consistency_every
        return StepWork(pixels.rays + rays, pixels.points + rays * self.points_per_ray())

    def prepare(self, frozen: Frozen, task: SceneTask) -> DietNeRFData:  # type: ignore[override]
        """Load the task's photographs and compute their features."""
        pixels = super().prepare(frozen, task)
        encoder = frozen[self.encoders[0]]
        shown = pixel_masks.fill_outside(pixels.colors, pixels.masks)
        return DietNeRFData(
            pixels=pixels,
            features=_photo_features(self.resolve_feature(encoder), encoder, shown),
            radius=jnp.mean(jnp.linalg.norm(pixels.poses[:, :3, 3], axis=-1)),
        )

    def init(self, key: PRNGKeyArray, data: DietNeRFData) -> tuple[Params, State]:  # type: ignore[override]
        """Initialise a network for each level."""
        return super().init(key, data.pixels)

    def loss(  # type: ignore[override]
        self,
        params: Params,
        state: State,
        frozen: Frozen,
        data: DietNeRFData,
        hyperparameters: Hyperparameters,
        key: PRNGKeyArray,
        step: Int[Array, ""],
    ) -> tuple[Float[Array, ""], tuple[State, Metrics]]:
        """Compute NeRF's loss and, every `consistency_every` steps, the consistency loss."""
        pixel_key, view_key = jax.random.split(key)
        loss, (state, metrics) = super().loss(params, state, frozen, data.pixels, hyperparameters, pixel_key, step)
        if self.finetune_steps:
            return loss, (state, metrics)

        def weighted(params: Params) -> tuple[Float[Array, ""], Float[Array, ""]]:
            losses = self.consistency_losses(params, frozen, data, view_key)
            total = hyperparameters["consistency_weight"] * losses[-1]
            if losses.shape[0] > 1:
                total = total + hyperparameters["coarse_consistency_weight"] * losses[0]
            return total, losses[-1]

        is_now = step % self.consistency_every == 0
        consistency, distance = loss_of_some_steps(weighted, params, is_now)
        # The curve is a mean over all steps, and most steps have 0: scale it to the mean over comparisons.
        metrics["consistency"] = distance * self.consistency_every
        return loss + consistency, (state, metrics)

    def consistency_losses(
        self, params: Params, frozen: Frozen, data: DietNeRFData, key: PRNGKeyArray
    ) -> Float[Array, " l"]:
        """Compute 1 minus the cosine of features, of a random photograph and a small random view, for each level."""
        assert self.consistency_px, "dietnerf: consistency_px is open; give the method to tasks.budgets.sized first"
        pose_key, window_key, ray_key, photo_key = jax.random.split(key, 4)
        encoder = frozen[self.encoders[0]]
        rays = self.small_view_rays(data, self.sample_pose(data, pose_key), window_key)
        colors = self.render_in_blocks(params, data.pixels, rays, ray_key)
        side = self.consistency_px
        images = jnp.clip(colors.reshape(-1, side, side, 3), 0.0, 1.0)
        features = _image_features(self.resolve_feature(encoder), encoder, images)
        photo_features = data.features[jax.random.randint(photo_key, (), 0, data.features.shape[0])]
        return 1 - jnp.einsum("lf,f->l", features, photo_features, precision="highest")

    def sample_pose(self, data: DietNeRFData, key: PRNGKeyArray) -> Float[Array, "4 4"]:
        """Sample the pose of the small view."""
        poses = data.pixels.poses
        if self.pose_distribution == "interpolated":
            return random_poses.interpolate_random_poses(key, poses)
        if self.pose_distribution == "observed":
            return poses[jax.random.randint(key, (), 0, poses.shape[0])]
        uniform_in = "angle" if self.pose_distribution == "hemisphere" else "area"
        return random_poses.sample_on_hemisphere(key, data.radius, uniform_in=uniform_in)

    def small_view_rays(self, data: DietNeRFData, pose: Float[Array, "4 4"], key: PRNGKeyArray) -> Rays:
        """Return the rays of the small view, row by row: a window at a random position in a photograph's frame."""
        assert self.consistency_px
        _, height, width, _ = data.pixels.colors.shape
        stride = self.view_share * min(height, width) / self.consistency_px
        free_px = jnp.asarray([height, width]) - stride * self.consistency_px
        top, left = jax.random.uniform(key, (2,)) * free_px
        offsets = jnp.arange(self.consistency_px) * stride + 0.5 * (stride - 1) + data.pixels.pixel_center
        rows, columns = jnp.meshgrid(offsets + top, offsets + left, indexing="ij")
        shape = (rows.size,)
        return pixel_rays(
            jnp.broadcast_to(pose, (*shape, 4, 4)),
            jax.tree.map(lambda x: jnp.broadcast_to(x[0], (*shape, *x.shape[1:])), data.pixels.intrinsics),
            columns.ravel(),
            rows.ravel(),
            data.pixels.near,
            data.pixels.far,
        )

    def render_in_blocks(self, params: Params, data: NeRFData, rays: Rays, key: PRNGKeyArray) -> Float[Array, "l r 3"]:
        """Render the colours of each level block by block."""
        num_rays = rays.near.shape[0]
        num_blocks, num_at_once = ray_sampling.equal_blocks(num_rays, self.rays_at_once or RAYS_AT_ONCE)
        # The last block is filled up with the last ray.
        indices = jnp.minimum(jnp.arange(num_blocks * num_at_once), num_rays - 1).reshape(num_blocks, num_at_once)

        def render_block(block: tuple[Int[Array, " r"], PRNGKeyArray]) -> Float[Array, "l r 3"]:
            index, block_key = block
            block_rays = split_rays(jax.tree.map(lambda x: x[index], rays))
            levels = self.render_levels(params, data, block_rays, block_key)
            return jnp.stack([join_rays(views.color) for views in levels])

        render = render_block if self.keep_activations else jax.checkpoint(render_block)
        if num_blocks == 1:
            return render((indices[0], jax.random.split(key, 1)[0]))
        colors = jax.lax.map(render, (indices, jax.random.split(key, num_blocks)))
        return jnp.moveaxis(colors, 0, 1).reshape(colors.shape[1], -1, 3)[:, :num_rays]

    def render(  # type: ignore[override]
        self, params: Params, state: State, data: DietNeRFData, rays: Rays, num_samples: int | None = None
    ) -> Any:
        """Render rays on the last level, with regular samples."""
        return super().render(params, state, data.pixels, rays, num_samples)

    def field_at(  # type: ignore[override]
        self, params: Params, state: State, data: DietNeRFData, points: Float[Array, "*b 3"]
    ) -> tuple[Float[Array, "*b"], Float[Array, "*b 3"]]:
        """Return density and colour of the last level at points, as seen from above."""
        return super().field_at(params, state, data.pixels, points)

    def resolve_feature(self, encoder: Encoder) -> str:
        """Return the name of the feature that is compared.

        Raises:
            UsageError: The encoder has none of that name.
        """
        names = encoder.towers.image_feature_names
        if self.feature == "default":
            return "class_token" if "class_token" in names else "embedding"
        if self.feature not in names:
            raise UsageError(
                f"dietnerf: expected a feature of {encoder.name}, got {self.feature!r}; {nearest(self.feature, names)}"
            )
        return self.feature


@jax.named_scope("encoder")
def _image_features(feature: str, encoder: Encoder, images: Float[Array, "n p p 3"]) -> Float[Array, "n f"]:
    """Compute features of images, normalised to length 1."""
    if images.shape[-3:-1] != (encoder.image_px, encoder.image_px):
        images = preprocess.resize(images, encoder.image_px, kind="bilinear")
    return to_unit_length(encoder.image_features(encoder.params, images, feature))


@functools.partial(jax.jit, static_argnums=0)
def _photo_features(feature: str, encoder: Encoder, photos: Float[Array, "v h w 3"]) -> Float[Array, "v f"]:
    """Compute features of photographs one by one: a hundred at once would not fit beside a large encoder."""
    return jax.lax.map(lambda photo: _image_features(feature, encoder, photo[None])[0], photos)


DIETNERF = DietNeRF(consistency_weight=0.03, coarse_consistency_weight=0.03)
"""DietNeRF on the common NeRF recipe. Of the weights 0.01, 0.03 and 0.1 this one was best with three photographs at the
budget `standard`, on four scenes and a seed that no table uses."""

DIETNERF_FINETUNED = dataclasses.replace(DIETNERF, finetune_steps=None)
"""DietNeRF with a last phase on pixels alone."""

DIETNERF_2021 = DietNeRF(**{f.name: getattr(NERF_2021, f.name) for f in dataclasses.fields(NERF_2021)})
"""DietNeRF as its code trains it: weight 0.1 on both levels, every tenth step, views of 168 x 168 pixels."""

DIETNERF_FINETUNED_2021 = dataclasses.replace(DIETNERF_2021, finetune_steps=None)

DIETNERF_2021_FAST = dataclasses.replace(
    DIETNERF_2021,
    field=dataclasses.replace(FIELD_2021, dtype="bfloat16"),
    encoder_dtype="bfloat16",
    rays_at_once=4032,
)
"""`DIETNERF_2021` in bfloat16, field and encoder, with the small view in 7 blocks. All else is as released."""
