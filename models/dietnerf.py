"""DietNeRF: a field fitted to few photographs, whose views from anywhere must mean what the photographs mean.

Every few steps it renders a small view from a random pose, and an encoder compares what that shows with what a random
photograph shows. The encoder is not trained. A last phase may go on with the photographs' pixels alone.

v: photographs, p: pixels of the small view's side, f: features, r: rays.

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
from models.clip.networks.dual_encoder import normalized
from models.method import Frozen, Hyperparameters, Method, Metrics, Params, State, hyperparameter
from models.nerf import NERF_2021, NeRF, NeRFData
from models.rendering import random_poses
from tasks.cameras import Intrinsics, Rays, pixel_rays
from tasks.task import SceneTask

PoseDistribution = Literal["hemisphere", "hemisphere area", "interpolated", "observed"]

RAYS_AT_ONCE = 1024
"""Of a small view, forward and backward: its activations are made again on the way back, so that a pack fits."""


class DietNeRFData(NamedTuple):
    """A trial's photographs, and what the encoder says of them.

    Attributes:
        pixels: As NeRF has them.
        features: Of each photograph, of length 1.
        radius: Mean distance of the cameras from the origin.
    """

    pixels: NeRFData
    features: Float[Array, "v f"]
    radius: Float[Array, ""]


@dataclasses.dataclass(frozen=True, kw_only=True)
class DietNeRF(NeRF):
    """NeRF with the semantic consistency loss.

    Attributes:
        encoder: Name of the encoder that compares; None takes the budget's.
        feature: What it compares: a name of the encoder's image features. "default" is what the released code takes,
            a ViT's class token after the last block, and the embedding of other encoders.
        consistency_weight: Of one minus the cosine on the last level.
        coarse_consistency_weight: On the first level.
        consistency_every: Steps from one comparison to the next. The loss is not multiplied to make up for it.
        consistency_px: Width and height of the small view; None takes the budget's.
        view_share: Share of a photograph's width that the small view shows, at a random place: 335 of 400 pixels in the
            released code.
        pose_distribution: "hemisphere" as released for scenes around the origin, even in angle; "hemisphere area",
            even in area; "interpolated" between three of the photographs' poses, as released for captured scenes;
            "observed", the photographs' own.
        finetune_steps: Further steps, after the others, on pixels alone. Such a trial continues the one without them.
            None takes the budget's number.
        encoder_dtype: The encoder's compute type.
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

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.pose_distribution not in get_args(PoseDistribution):
            raise UsageError(
                f"dietnerf: expected a pose_distribution, got {self.pose_distribution!r}; "
                + nearest(self.pose_distribution, get_args(PoseDistribution))
            )
        if not 0 < self.view_share <= 1:
            raise UsageError(f"dietnerf: expected view_share above 0 and up to 1, got {self.view_share}")
        for name, least in (("consistency_every", 1), ("finetune_steps", 0)):
            value = getattr(self, name)
            if value is not None and value < least:
                raise UsageError(f"dietnerf: expected {name} of at least {least}, got {value}")
        if self.encoder is not None:
            catalog.check_guide(self.encoder)

    @property
    def encoders(self) -> tuple[str, ...]:
        """The one that compares."""
        return (self.encoder,) if self.encoder else ()

    @property
    def continues(self) -> Method | None:
        """The trial without the last phase."""
        return dataclasses.replace(self, finetune_steps=0) if self.finetune_steps else None

    @property
    def total_steps(self) -> int:
        """Both phases."""
        return (self.num_steps or 0) + (self.finetune_steps or 0)

    def prepare(self, frozen: Frozen, task: SceneTask) -> DietNeRFData:  # type: ignore[override]
        """The task's photographs and their features."""
        pixels = super().prepare(frozen, task)
        encoder = frozen[self.encoders[0]]
        return DietNeRFData(
            pixels=pixels,
            features=_seen(self.resolve_feature(encoder), encoder, pixels.colors),
            radius=jnp.mean(jnp.linalg.norm(pixels.poses[:, :3, 3], axis=-1)),
        )

    def init(self, key: PRNGKeyArray, data: DietNeRFData) -> tuple[Params, State]:  # type: ignore[override]
        """A network a level."""
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
        """Mean squared error of colours, and now and then one minus the cosine of features."""
        pixel_key, view_key = jax.random.split(key)
        loss, (state, metrics) = super().loss(params, state, frozen, data.pixels, hyperparameters, pixel_key, step)
        if self.finetune_steps:
            return loss, (state, metrics)

        def compared() -> Float[Array, " l"]:
            return self.consistency_losses(params, frozen, data, view_key)

        num_levels = 2 if self.num_importance else 1
        turn = step % self.consistency_every == 0
        distances = jax.lax.cond(turn, compared, lambda: jnp.zeros((num_levels,)))
        loss = loss + hyperparameters["consistency_weight"] * distances[-1]
        if num_levels > 1:
            loss = loss + hyperparameters["coarse_consistency_weight"] * distances[0]
        # The curve is a mean over steps: what only every so many of them have is scaled up to theirs.
        metrics["consistency"] = distances[-1] * self.consistency_every
        return loss, (state, metrics)

    def consistency_losses(
        self, params: Params, frozen: Frozen, data: DietNeRFData, key: PRNGKeyArray
    ) -> Float[Array, " l"]:
        """One minus the cosine between a random photograph and a small view from a random pose, on each level."""
        assert self.consistency_px, "dietnerf: consistency_px is open; give the method to tasks.budgets.sized first"
        pose_key, place_key, ray_key, photo_key = jax.random.split(key, 4)
        encoder = frozen[self.encoders[0]]
        rays = self.small_view_rays(data, self.sample_pose(data, pose_key), place_key)
        colors = self.render_in_chunks(params, data.pixels, rays, ray_key)
        side = self.consistency_px
        found = _features(self.resolve_feature(encoder), encoder, jnp.clip(colors.reshape(-1, side, side, 3), 0.0, 1.0))
        photo = data.features[jax.random.randint(photo_key, (), 0, data.features.shape[0])]
        return 1 - jnp.einsum("lf,f->l", found, photo, precision="highest")

    def sample_pose(self, data: DietNeRFData, key: PRNGKeyArray) -> Float[Array, "4 4"]:
        """Where the small view is taken from."""
        known = data.pixels.poses
        if self.pose_distribution == "interpolated":
            return random_poses.interpolated(key, known)
        if self.pose_distribution == "observed":
            return known[jax.random.randint(key, (), 0, known.shape[0])]
        even_in = "angle" if self.pose_distribution == "hemisphere" else "area"
        return random_poses.on_hemisphere(key, data.radius, even_in=even_in)

    def small_view_rays(self, data: DietNeRFData, pose: Float[Array, "4 4"], key: PRNGKeyArray) -> Rays:
        """Rays of the small view, row by row: a window of a photograph's size at a random place."""
        assert self.consistency_px
        _, height, width, _ = data.pixels.colors.shape
        stride = self.view_share * min(height, width) / self.consistency_px
        room = jnp.asarray([height, width]) - stride * self.consistency_px
        top, left = jax.random.uniform(key, (2,)) * room
        steps = jnp.arange(self.consistency_px) * stride + 0.5 * (stride - 1) + data.pixels.pixel_center
        rows, columns = jnp.meshgrid(steps + top, steps + left, indexing="ij")
        shape = (rows.size,)
        return pixel_rays(
            jnp.broadcast_to(pose, (*shape, 4, 4)),
            Intrinsics(*(jnp.broadcast_to(x[0], shape) for x in data.pixels.intrinsics)),
            columns.ravel(),
            rows.ravel(),
            data.pixels.near,
            data.pixels.far,
        )

    def render_in_chunks(self, params: Params, data: NeRFData, rays: Rays, key: PRNGKeyArray) -> Float[Array, "l r 3"]:
        """Colours of each level, some rays at a time, whose activations are not kept."""
        num_rays = rays.near.shape[0]
        num_blocks = -(-num_rays // RAYS_AT_ONCE)
        place = jnp.minimum(jnp.arange(num_blocks * RAYS_AT_ONCE), num_rays - 1).reshape(num_blocks, -1)
        if num_blocks == 1:
            place = place[:, :num_rays]

        @jax.checkpoint
        def some(block: tuple[Int[Array, " r"], PRNGKeyArray]) -> Float[Array, "l r 3"]:
            index, block_key = block
            levels = self.render_levels(params, data, jax.tree.map(lambda x: x[index], rays), block_key)
            return jnp.stack([views.color for views in levels])

        colors = jax.lax.map(some, (place, jax.random.split(key, num_blocks)))
        return jnp.moveaxis(colors, 0, 1).reshape(colors.shape[1], -1, 3)[:, :num_rays]

    def render(  # type: ignore[override]
        self, params: Params, state: State, data: DietNeRFData, rays: Rays, num_samples: int | None = None
    ) -> Any:
        """The last level, with regular samples."""
        return super().render(params, state, data.pixels, rays, num_samples)

    def field_at(  # type: ignore[override]
        self, params: Params, state: State, data: DietNeRFData, points: Float[Array, "*b 3"]
    ) -> tuple[Float[Array, "*b"], Float[Array, "*b 3"]]:
        """The last level's field, seen from above."""
        return super().field_at(params, state, data.pixels, points)

    def resolve_feature(self, encoder: Encoder) -> str:
        """The feature that is compared, by its name.

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


def _features(feature: str, encoder: Encoder, images: Float[Array, "n p p 3"]) -> Float[Array, "n f"]:
    """What the encoder says, of length 1."""
    if images.shape[-3:-1] != (encoder.image_px, encoder.image_px):
        images = preprocess.resize(images, encoder.image_px, kind="bilinear")
    return normalized(encoder.image_features(encoder.params, images, feature))


@functools.partial(jax.jit, static_argnums=0)
def _seen(feature: str, encoder: Encoder, photos: Float[Array, "v h w 3"]) -> Float[Array, "v f"]:
    """Features of photographs, one by one: a hundred at once would not fit beside a large encoder."""
    return jax.lax.map(lambda photo: _features(feature, encoder, photo[None])[0], photos)


DIETNERF = DietNeRF(consistency_weight=0.03, coarse_consistency_weight=0.03)
"""DietNeRF on the common NeRF recipe. Of the weights 0.01, 0.03 and 0.1 this one did best with three photographs at
`standard`, on four scenes and a seed that no table uses."""

DIETNERF_FINETUNED = dataclasses.replace(DIETNERF, finetune_steps=None)
"""The same, with a last phase on pixels alone."""

DIETNERF_2021 = DietNeRF(**{f.name: getattr(NERF_2021, f.name) for f in dataclasses.fields(NERF_2021)})
"""DietNeRF as its code trains it: weights 0.1 on both levels, every tenth step, 168 pixels a side."""

DIETNERF_FINETUNED_2021 = dataclasses.replace(DIETNERF_2021, finetune_steps=None)
