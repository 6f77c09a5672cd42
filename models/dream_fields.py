"""Dream Fields: a field that starts from a caption alone, and must look like it from everywhere, in every crop.

A step renders a small view from a random pose, cuts random windows out of it, puts random backgrounds behind them, and
asks an encoder how well each fits the caption. Fog fits too: what keeps the object solid is that most of the view must
be transparent, up to a target. Every mechanism is a field of its own, and most of them are hyperparameters that may
differ within a pack, so that the arms of an ablation share one compiled program.

p: pixels of the view's side, r: rays, k: fenceposts of a ray, n: windows, f: features.

References:
    Dream Fields: Jain et al. 2022, https://arxiv.org/abs/2112.01455, and its released code.
    Beta prior: Lombardi et al. 2019, "Neural Volumes", https://arxiv.org/abs/1906.07751, section 5.
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
from models import augmentations
from models.clip.checkpoints import catalog
from models.clip.encoder import Encoder
from models.clip.networks.dual_encoder import normalized
from models.fields.encodings import FourierFeatures, Positional
from models.fields.hash_grid import HashGrid
from models.fields.networks import MLP, ResidualMLP, Voxels
from models.method import (
    Frozen,
    Hyperparameters,
    Method,
    Metrics,
    Params,
    State,
    Views,
    check_options,
    choice,
    hyperparameter,
    in_data,
    sized_by,
    split_hyperparameters,
    subset,
)  # fmt: skip
from models.rendering import compositing, random_poses, ray_sampling
from tasks.cameras import BLENDER_FOV_DEG, Rays, intrinsics_from_fov, view_rays
from tasks.captions.caption_task import CaptionTask

Transmittance = Literal["none", "clipped additive", "gated", "clipped gated"]

TRANSMITTANCE: tuple[Transmittance, ...] = ("none", "clipped additive", "gated", "clipped gated")

RAYS_AT_ONCE = 4096
"""Of a view, forward and backward: of more, activations are made again on the way back, so that a pack fits."""

EMPTY = 1e-6
"""A density that sums to less has no centre."""


ENCODING = FourierFeatures(num_octaves=4, num_directions=48, unit_directions=True)
"""Directions as the paper's text has them. Objects of the embedded world are simple and their views small: with five
octaves or six they fall apart into crumbs, and a wider encoding is the better part of a small field's cost."""


class DreamFieldsData(NamedTuple):
    """A trial's caption on the device.

    Attributes:
        text: What the guide reads in the prompt, of length 1.
        near: First `t` of interest of the views that are scored.
        far: Last `t` of interest.
        background: Grey behind those views.
        hyperparameters: The trial's own, for rendering, which is given none.
    """

    text: Float[Array, " f"]
    near: Float[Array, ""]
    far: Float[Array, ""]
    background: Float[Array, ""]
    hyperparameters: Hyperparameters


@dataclasses.dataclass(frozen=True, kw_only=True)
class DreamFields(Method):
    """A field optimised so that every view of it fits a caption.

    Attributes:
        num_steps: Gradient steps; None takes the budget's `caption_steps`. What is a share is one of these.
        encoder: Name of the guide; None takes the budget's `guide`.
        encoder_dtype: What it computes in; None takes the budget's `guide_dtype`.
        prompt: What the guide reads, with the caption in it. Scores are of the plain caption.
        field: The network.
        render_px: Width and height of the view that is trained on.
        num_samples: Pieces along a ray in training.
        num_view_samples: Along those of the views that are scored.
        num_crops: Windows of a step's view, each before a background of its own.
        crop_share: Of a view's side that a window has; 1 for no crops.
        backgrounds: Kinds that are drawn from, with equal chances.
        max_blur_px: A background is blurred by a standard deviation even in [0, max_blur_px], in the encoder's pixels.
        transmittance: How empty space is asked for. With L the mean negative cosine, T the view's mean transmittance,
            tau its target and t = min(tau, T): "clipped additive" L - weight t, as the paper uses; "gated" T L;
            "clipped gated" t L; "none" L.
        transmittance_weight: Of the additive form.
        first_opacity: What 1 - tau is at first.
        last_opacity: What it becomes, exponentially, over `opacity_share` of the steps. True objects of the closed
            world stop 0.19 of a view's light (standard views, mean of 64); the paper's have 0.12 at another framing.
        opacity_share: See `last_opacity`.
        beta_weight: Of the prior that opacities of rays are near 0 or 1, from Neural Volumes.
        beta_after: Share of the steps before which it is off.
        bounds: Whether the field is zero outside of a cube about its origin, and asked only inside.
        half_width: Of that cube.
        track_origin: Whether the cube and the cameras follow the centre of density. Here the origin is state and
            moves; the released code freezes it into its compiled step, so that it stays where it was.
        origin_decay: Of the moving average that they follow.
        azimuth_deg: Range of the cameras' azimuths.
        low_deg: Least elevation of the cameras, in degrees above the horizon.
        high_deg: Greatest.
        radius: Distance of the cameras.
        focal_multiplier: Zoom of the training cameras over `tasks.cameras.BLENDER_FOV_DEG`.
        cut_at_bounds: Whether scored views, too, place their samples between the bounds only. The released code asks
            between fixed distances there.
        variance_scale: See `models.rendering.ray_sampling.conical_frustums`: 1/12 as released.
        first_blur: By how much the encoding's pieces are wider at first than they are; it falls to 0, in a line, over
            `blur_share` of the steps.
        blur_share: See `first_blur`.
        learning_rate: Of Adam.
        first_rate: What it begins at, as a share; it rises exponentially over `warmup`.
        warmup: Share of the steps.
        adam_epsilon: Of Adam.
        skip_bad_steps: Whether a step that is not finite is left out, as released, instead of ending the trial.
    """

    num_steps: int | None = sized_by("caption_steps")
    encoder: str | None = sized_by("guide")
    encoder_dtype: Literal["float32", "bfloat16"] | None = sized_by("guide_dtype")  # type: ignore[assignment]
    prompt: str = in_data("{}")
    field: nn.Module = ResidualMLP(encoding=ENCODING, dtype=None)
    render_px: int | None = None
    num_samples: int | None = sized_by("caption_samples")
    num_view_samples: int | None = sized_by("view_samples")
    num_crops: int | None = None
    crop_share: float = hyperparameter(0.8)
    backgrounds: tuple[str, ...] = subset(augmentations.DREAM_FIELDS, tuple(augmentations.BACKGROUNDS))
    max_blur_px: float = hyperparameter(4.0)
    transmittance: Transmittance = choice("clipped additive", TRANSMITTANCE)
    transmittance_weight: float = hyperparameter(0.5)
    first_opacity: float = hyperparameter(0.6)
    last_opacity: float = hyperparameter(0.19)
    opacity_share: float = hyperparameter(0.1)
    beta_weight: float = hyperparameter(0.0)
    beta_after: float = hyperparameter(0.5)
    bounds: bool = choice(True, (False, True))
    half_width: float = hyperparameter(1.2)
    track_origin: bool = choice(False, (False, True))
    origin_decay: float = hyperparameter(0.99)
    azimuth_deg: float = hyperparameter(360.0)
    low_deg: float = hyperparameter(30.0)
    high_deg: float = hyperparameter(30.0)
    radius: float = hyperparameter(4.0)
    focal_multiplier: float = hyperparameter(1.0)
    cut_at_bounds: bool = choice(True, (False, True))
    variance_scale: float = hyperparameter(1.0)
    first_blur: float = hyperparameter(1.0)
    blur_share: float = hyperparameter(0.1)
    learning_rate: float = hyperparameter(1e-3)
    first_rate: float = hyperparameter(0.1)
    warmup: float = hyperparameter(0.1)
    adam_epsilon: float = hyperparameter(1e-5)
    skip_bad_steps: bool = False

    def __post_init__(self) -> None:
        check_options(self)
        for name, low, high in _RANGES:
            value = getattr(self, name)
            if not low <= value <= high:
                best = low if value < low else high
                raise UsageError(f"dream_fields: expected {name} from {low:g} to {high:g}, got {value:g}; try {best:g}")
        if self.prompt.count("{}") != 1:
            raise UsageError(
                f"dream_fields: expected one {{}} for the caption in prompt, got {self.prompt!r}; try 'a photo of {{}}'"
            )
        if self.low_deg > self.high_deg:
            raise UsageError(
                f"dream_fields: expected low_deg up to high_deg, got {self.low_deg:g} and {self.high_deg:g}; swap them"
            )
        if self.encoder is not None:
            catalog.check_guide(self.encoder)

    @property
    def encoders(self) -> tuple[str, ...]:
        """The guide."""
        return (self.encoder,) if self.encoder else ()

    @property
    def skips_bad_steps(self) -> bool:
        """As the field says."""
        return self.skip_bad_steps

    def prepare(self, frozen: Frozen, task: CaptionTask) -> DreamFieldsData:
        """What the guide reads in the prompt."""
        data, encoder = task.load(), frozen[self.encoders[0]]
        tokens = encoder.tokenize([self.prompt.replace("{}", data.caption)])
        return DreamFieldsData(
            text=_read(encoder, jnp.asarray(tokens)),
            near=jnp.asarray(data.near, jnp.float32),
            far=jnp.asarray(data.far, jnp.float32),
            background=jnp.asarray(data.background, jnp.float32),
            hyperparameters={
                name: jnp.asarray(value, jnp.float32) for name, value in split_hyperparameters(self)[1].items()
            },
        )

    def init(self, key: PRNGKeyArray, data: DreamFieldsData) -> tuple[Params, State]:
        """The network, about the world's origin."""
        somewhere = ray_sampling.samples_at_points(jnp.zeros((1, 3), jnp.float32))
        return self.field.init(key, somewhere).get("params", {}), {"origin": jnp.zeros((3,), jnp.float32)}

    def loss(
        self,
        params: Params,
        state: State,
        frozen: Frozen,
        data: DreamFieldsData,
        hyperparameters: Hyperparameters,
        key: PRNGKeyArray,
        step: Int[Array, ""],
    ) -> tuple[Float[Array, ""], tuple[State, Metrics]]:
        """Mean negative cosine of windows and caption, and what keeps the object solid (equations 7 to 11)."""
        pose_key, ray_key, window_key = jax.random.split(key, 3)
        progress = step / jnp.maximum(self.num_steps or 0, 1)
        blur = 1 + hyperparameters["first_blur"] * jnp.maximum(
            0, 1 - progress / jnp.maximum(hyperparameters["blur_share"], 1e-6)
        )
        seen = self.render_training_view(
            params, state, hyperparameters, self.sample_training_rays(hyperparameters, pose_key), ray_key, blur
        )
        cosine = jnp.mean(self.crop_similarities(frozen, data, hyperparameters, seen.image, window_key))
        passed = 1 - jnp.mean(seen.image[..., 3])
        target = 1 - opacity_target(hyperparameters, progress)
        loss = transmittance_loss(
            hyperparameters["transmittance"], hyperparameters["transmittance_weight"], -cosine, passed, target
        )
        beta = beta_prior(seen.image[..., 3])
        loss = loss + jnp.where(progress >= hyperparameters["beta_after"], hyperparameters["beta_weight"], 0) * beta
        decay = jnp.where(seen.total > EMPTY, hyperparameters["origin_decay"], 1.0)
        origin = state["origin"] + hyperparameters["track_origin"] * (1 - decay) * (seen.center - state["origin"])
        metrics = {"negative_cosine": -cosine, "transmittance": passed, "transmittance_target": target, "beta": beta}
        return loss, ({"origin": jax.lax.stop_gradient(origin)}, metrics)

    def optimizer(self, num_steps: int, hyperparameters: Hyperparameters) -> optax.GradientTransformation:
        """Adam with a rate that rises and then stays."""

        def rate(count: Int[Array, ""]) -> Float[Array, ""]:
            risen = jnp.minimum(1, (count + 1) / jnp.maximum(hyperparameters["warmup"] * num_steps, 1))
            return hyperparameters["learning_rate"] * hyperparameters["first_rate"] ** (1 - risen)

        return optax.adam(rate, eps=hyperparameters["adam_epsilon"])

    def render(
        self, params: Params, state: State, data: DreamFieldsData, rays: Rays, num_samples: int | None = None
    ) -> Views:
        """What is seen on the task's grey, from cameras that look at the tracked origin."""
        assert self.num_view_samples, "dream_fields: num_view_samples is open; see tasks.budgets.sized"
        hyperparameters = data.hyperparameters
        tdist = ray_sampling.fenceposts(
            *ray_bounds(hyperparameters, rays, hyperparameters["bounds"] * hyperparameters["cut_at_bounds"]),
            num_samples or self.num_view_samples,
        )
        density, color, _ = self.query_field(params, state, hyperparameters, rays, tdist, None, 1.0)
        return compositing.render(density, color, tdist, rays, data.background)[0]

    def field_at(
        self, params: Params, state: State, data: DreamFieldsData, points: Float[Array, "*b 3"]
    ) -> tuple[Float[Array, "*b"], Float[Array, "*b 3"]]:
        """The field about its tracked origin, seen from above; zero outside of its bounds."""
        found: Any = self.field.apply(
            {"params": params}, ray_sampling.samples_at_points(points + broadcast(state, points))
        )
        density, color = found
        return jnp.where(is_in_bounds(data.hyperparameters, points), density, 0), color

    def sample_training_rays(self, hyperparameters: Hyperparameters, key: PRNGKeyArray) -> Rays:
        """Rays of a view from a random pose, row by row."""
        assert self.render_px, "dream_fields: render_px is open; see tasks.budgets.sized"
        around_key, up_key = jax.random.split(key)
        azimuth_deg = hyperparameters["azimuth_deg"] * jax.random.uniform(around_key)
        elevation_deg = hyperparameters["low_deg"] + (
            hyperparameters["high_deg"] - hyperparameters["low_deg"]
        ) * jax.random.uniform(up_key)
        inner = intrinsics_from_fov(BLENDER_FOV_DEG, self.render_px, self.render_px)
        inner = inner._replace(
            focal_x=inner.focal_x * hyperparameters["focal_multiplier"],
            focal_y=inner.focal_y * hyperparameters["focal_multiplier"],
        )
        pose = random_poses.look_at(azimuth_deg, elevation_deg, hyperparameters["radius"])
        reach = 3**0.5 * hyperparameters["half_width"]
        side = self.render_px
        rays = view_rays(pose, inner, side, side, hyperparameters["radius"] - reach, hyperparameters["radius"] + reach)
        return jax.tree.map(lambda x: x.reshape(side * side, *x.shape[2:]), rays)

    def render_training_view(
        self,
        params: Params,
        state: State,
        hyperparameters: Hyperparameters,
        rays: Rays,
        key: PRNGKeyArray,
        blur: Float[Array, ""],
    ) -> TrainingView:
        """A training view, some rays at a time."""
        assert self.num_samples and self.render_px, "dream_fields: sizes are open; see tasks.budgets.sized"
        num_rays, num_samples = self.render_px**2, self.num_samples
        num_blocks = -(-num_rays // RAYS_AT_ONCE)
        place = jnp.arange(num_blocks * min(RAYS_AT_ONCE, num_rays))  # the last block is filled with the last ray

        def some(block: tuple[Int[Array, " r"], PRNGKeyArray]) -> tuple[Array, Array, Array]:
            index, block_key = block
            mine: Rays = jax.tree.map(lambda x: x[jnp.minimum(index, num_rays - 1)], rays)
            post_key, noise_key = jax.random.split(block_key)
            tdist = ray_sampling.fenceposts(
                *ray_bounds(hyperparameters, mine, hyperparameters["bounds"]), num_samples, post_key
            )
            density, color, means = self.query_field(params, state, hyperparameters, mine, tdist, noise_key, blur)
            views, _ = compositing.render(density, color, tdist, mine, 0.0)
            counted = jnp.where(index[:, None] < num_rays, density, 0)
            total, center = jnp.sum(counted), jnp.sum(counted[..., None] * means, axis=(0, 1))
            return jnp.concatenate([views.color, views.opacity[:, None]], axis=-1), total, center

        place, keys = place.reshape(num_blocks, -1), jax.random.split(key, num_blocks)
        image, total, center = (
            jax.lax.map(jax.checkpoint(some), (place, keys)) if num_blocks > 1
            else jax.tree.map(lambda x: x[None], some((place[0], keys[0])))
        )  # fmt: skip
        image = image.reshape(-1, 4)[:num_rays].reshape(self.render_px, self.render_px, 4)
        total, center = jax.lax.stop_gradient((jnp.sum(total), jnp.sum(center, axis=0)))
        return TrainingView(image, total, center / jnp.maximum(total, EMPTY))

    def query_field(
        self,
        params: Params,
        state: State,
        hyperparameters: Hyperparameters,
        rays: Rays,
        tdist: Float[Array, "*b k"],
        key: PRNGKeyArray | None,
        blur: Float[Array, ""] | float,
    ) -> tuple[Float[Array, "*b k-1"], Float[Array, "*b k-1 3"], Float[Array, "*b k-1 3"]]:
        """Density, colour and middles of pieces of rays; middles are in the world, where the origin may have moved."""
        samples = ray_sampling.conical_frustums(rays, tdist)
        within = is_in_bounds(hyperparameters, samples.means)
        moved = samples._replace(
            means=samples.means + broadcast(state, samples.means),
            r_var=samples.r_var * hyperparameters["variance_scale"],
        )
        found: Any = self.field.apply({"params": params}, ray_sampling.scale_covariances(moved, blur), key=key)
        density, color = found
        return jnp.where(within, density, 0), color, moved.means

    def crop_similarities(
        self,
        frozen: Frozen,
        data: DreamFieldsData,
        hyperparameters: Hyperparameters,
        image: Float[Array, "p p 4"],
        key: PRNGKeyArray,
    ) -> Float[Array, " n"]:
        """How well each window fits the caption, to the guide."""
        assert self.num_crops, "dream_fields: num_crops is open; see tasks.budgets.sized"
        encoder: Encoder = frozen[self.encoders[0]]

        def window(key: PRNGKeyArray) -> Float[Array, "h w 3"]:
            place_key, behind_key = jax.random.split(key)
            piece = augmentations.random_window(place_key, image, hyperparameters["crop_share"], encoder.image_px)
            behind = augmentations.chosen_background(
                behind_key, encoder.image_px, hyperparameters["backgrounds"], hyperparameters["max_blur_px"]
            )
            return augmentations.composited(piece[..., :3], piece[..., 3], behind)

        windows = jax.vmap(window)(jax.random.split(key, self.num_crops))
        found = normalized(encoder.image_features(encoder.params, windows))
        return jnp.einsum("nf,f->n", found, data.text, precision="highest")


class TrainingView(NamedTuple):
    """A training view.

    Attributes:
        image: Colour times opacity, and opacity.
        total: Sum of the densities it was made of.
        center: Where they have their centre.
    """

    image: Float[Array, "p p 4"]
    total: Float[Array, ""]
    center: Float[Array, "3"]


def transmittance_loss(
    form: Float[Array, ""],
    weight: Float[Array, ""],
    fit: Float[Array, ""],
    passed: Float[Array, ""],
    target: Float[Array, ""],
) -> Float[Array, ""]:
    """The loss with empty space asked for.

    Args:
        form: Place in `TRANSMITTANCE`.
        weight: Of the additive form.
        fit: The mean negative cosine.
        passed: The view's mean transmittance.
        target: What more of it does not help.

    References:
        Dream Fields, equations 8 and 9 (additive) and 11 (gated). The text once writes the gated forms with the other
        sign; of a negative cosine this one is to be made small.
    """
    clipped = jnp.minimum(passed, target)
    forms = jnp.stack([fit, fit - weight * clipped, passed * fit, clipped * fit])
    return jnp.sum(jnp.where(jnp.arange(len(TRANSMITTANCE)) == form, forms, 0))


def opacity_target(hyperparameters: Hyperparameters, progress: Float[Array, ""]) -> Float[Array, ""]:
    """One minus the target, annealed exponentially from the first to the last."""
    share = jnp.minimum(1, progress / jnp.maximum(hyperparameters["opacity_share"], 1e-6))
    return (
        hyperparameters["first_opacity"] * (hyperparameters["last_opacity"] / hyperparameters["first_opacity"]) ** share
    )


def beta_prior(opacity: Float[Array, "p p"]) -> Float[Array, ""]:
    """Least where rays are stopped altogether or not at all; there it is about 0."""
    return jnp.mean(jnp.log(0.1 + opacity) + jnp.log(1.1 - opacity) - jnp.log(0.1) - jnp.log(1.1))


def ray_bounds(
    hyperparameters: Hyperparameters, rays: Rays, cut: Float[Array, ""]
) -> tuple[Float[Array, "*b"], Float[Array, "*b"]]:
    """Where to ask along rays: between the faces of the cube if it is cut out, else from near to far.

    A ray that misses the cube is asked on no length, in its middle.
    """
    safe = jnp.where(jnp.abs(rays.directions) < 1e-9, 1e-9, rays.directions)
    first, second = ((side * hyperparameters["half_width"] - rays.origins) / safe for side in (-1, 1))
    enter = jnp.max(jnp.minimum(first, second), axis=-1)
    leave = jnp.min(jnp.maximum(first, second), axis=-1)
    middle = 0.5 * (rays.near + rays.far)
    hits = leave > jnp.maximum(enter, 0)
    near = jnp.where(cut > 0, jnp.where(hits, jnp.maximum(enter, 0), middle), rays.near)
    far = jnp.where(cut > 0, jnp.where(hits, leave, middle), rays.far)
    return near, far


def is_in_bounds(hyperparameters: Hyperparameters, points: Float[Array, "*b 3"]) -> Any:
    """Whether the field may be anything there: in the cube, or anywhere without bounds."""
    # A little more than the cube: samples at its faces are within it but for rounding.
    return (jnp.max(jnp.abs(points), axis=-1) <= hyperparameters["half_width"] * 1.0001) | (
        hyperparameters["bounds"] == 0
    )


def broadcast(state: State, points: Float[Array, "*b 3"]) -> Float[Array, "*b 3"]:
    """The tracked origin, as often as there are points."""
    return jnp.broadcast_to(state["origin"], points.shape)


@jax.jit
def _read(encoder: Encoder, tokens: Int[Array, "1 t"]) -> Float[Array, " f"]:
    """What an encoder reads, of length 1."""
    return normalized(encoder.text_features(encoder.params, tokens))[0]


_RANGES = (
    ("crop_share", 0.05, 1.0), ("max_blur_px", 0.0, 100.0), ("transmittance_weight", 0.0, 1e3),
    ("first_opacity", 1e-3, 1.0), ("last_opacity", 1e-3, 1.0), ("opacity_share", 0.0, 1.0), ("beta_weight", 0.0, 1e3),
    ("beta_after", 0.0, 1.0), ("half_width", 1e-3, 2.0), ("origin_decay", 0.0, 1.0), ("azimuth_deg", 0.0, 360.0),
    ("low_deg", -89.0, 89.0), ("high_deg", -89.0, 89.0), ("radius", 3.5, 100.0), ("focal_multiplier", 0.1, 10.0),
    ("variance_scale", 0.0, 10.0), ("first_blur", 0.0, 100.0), ("blur_share", 0.0, 1.0), ("learning_rate", 0.0, 1e3),
    ("first_rate", 1e-6, 1.0), ("warmup", 0.0, 1.0), ("adam_epsilon", 0.0, 1.0),
)  # fmt: skip


# --- named values -----------------------------------------------------------------------------------------------------

DREAM_FIELDS = DreamFields()
"""The recipe of the embedded world: the paper's mechanisms, framed and paced for its small views."""

PLAIN = dataclasses.replace(DREAM_FIELDS, crop_share=1.0, backgrounds=("white",), max_blur_px=0.0)
"""Without crops and random backgrounds: what an encoder's tricks come through."""

SIMPLE_FIELD = MLP(encoding=Positional(num_octaves=6), view_directions=False, density_activation="softplus", dtype=None)
"""NeRF's network as Simplified NeRF has it."""

SIMPLIFIED = dataclasses.replace(PLAIN, field=SIMPLE_FIELD, transmittance="none", bounds=False, first_blur=0.0)
"""Where Table 1 of the paper begins: no prior at all."""

VOXELS = dataclasses.replace(DREAM_FIELDS, field=Voxels(half_width=1.2, resolution=48), learning_rate=0.1)
"""Explicit density and colour."""

HASH_GRID = dataclasses.replace(
    DREAM_FIELDS,
    field=HashGrid(
        half_width=1.2, width=64, density_activation="softplus", base_resolution=8, finest_resolution=64, dtype=None
    ),
    learning_rate=1e-2,
)
"""A grid of many resolutions: none of the originals had it."""

DREAM_FIELDS_2022 = DreamFields(
    field=ResidualMLP(),
    crop_share=154 / 168,
    max_blur_px=10.0,
    last_opacity=0.12,
    opacity_share=0.05,
    half_width=1.0,
    origin_decay=0.999,
    focal_multiplier=1.2,
    cut_at_bounds=False,
    variance_scale=1 / 12,
    blur_share=0.1,
    learning_rate=1e-4,
    first_rate=0.1,
    warmup=0.15,
    skip_bad_steps=True,
)
"""As the released code trains it. Decided one by one:

- the target of transmittance is 0.40 to 0.88 (papers' 4.5), which is what the code's factor of 1.2 comes to;
- backgrounds: even noise, checkerboard and Fourier texture, a third each, though the text says Gaussian noise;
- the encoding is annealed, over a tenth of the steps, though a comment there says it is not;
- directions of the encoding are normalised along the wrong axis (`FourierFeatures.unit_directions=False`), and the
  variance across a ray is divided by 12 twice (`variance_scale`);
- the origin is not tracked: the code freezes it into its compiled step;
- scored views have no zoom and no cut at the bounds; a step that is not finite is left out.

Two things are not as there: the encoding's scale falls from 2 to 1 in a straight line, not as 2^(1 - share), and the
rate of the warm-up is one step ahead.
"""


def preset_2022(num_steps: int, render_px: int, crop_px: int) -> DreamFields:
    """One of the released sizes, with everything else as it is."""
    return dataclasses.replace(
        DREAM_FIELDS_2022, num_steps=num_steps, render_px=render_px, crop_share=crop_px / render_px,
        opacity_share=500 / num_steps, blur_share=1000 / num_steps, warmup=1500 / num_steps,
        num_samples=192, num_view_samples=512, field=ResidualMLP(width=128, num_blocks=4),
    )  # fmt: skip


DREAM_FIELDS_LQ = preset_2022(10_000, 88, 80)
DREAM_FIELDS_MQ = preset_2022(10_000, 168, 154)
DREAM_FIELDS_HQ = preset_2022(20_000, 252, 224)
"""The released presets; the middle one is the paper's for all ablations."""
