"""Defines Dream Fields: a field that is optimised from a caption alone, so that every view of it fits the caption.

A training step renders a small view from a random pose, takes random crops of it, composites them over random
backgrounds, and compares each with the caption by an encoder, the guide. Fog may fit a caption too: what keeps the
object solid is that most of the view must be transparent, up to a target (`losses`). Each mechanism has fields of its
own. Most of them are hyperparameters that may differ within a pack, so that the arms of an ablation share one compiled
program.

p: pixels along a side of the view, r: rays, k: fenceposts of a ray, n: crops, f: features.

References:
    Dream Fields: Jain et al. 2022, https://arxiv.org/abs/2112.01455, and its released code.
"""

from __future__ import annotations

import dataclasses
from typing import Any, Literal

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, Float, Int, PRNGKeyArray

from models import augmentations
from models.clip.guide_names import split_guide_names
from models.dream_fields import guidance, proposal, training_view
from models.dream_fields.arrays import DreamFieldsData, TrainingView
from models.dream_fields.bounds import broadcast_origin, is_in_bounds, move_origin, ray_bounds
from models.dream_fields.cameras import sample_training_rays
from models.dream_fields.guidance import CropFit
from models.dream_fields.losses import TRANSMITTANCE, Transmittance, beta_prior, opacity_target, transmittance_loss
from models.dream_fields.ranges import check_ranges, check_settings
from models.dream_fields.wording import Negatives
from models.fields.encodings import FourierFeatures
from models.fields.field_output import check_field_output
from models.fields.networks import ResidualMLP
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
    check_options,
    choice,
    hyperparameter,
    in_data,
    sized_by,
    split_hyperparameters,
    subset,
)
from models.rendering import compositing, ray_sampling
from models.rendering.ray_sampling import Samples
from tasks.cameras import Rays
from tasks.captions.caption_task import CaptionTask

ENCODING = FourierFeatures(num_octaves=4, num_directions=48, unit_directions=True)
"""Encoding with the directions of the paper's text. Objects of the embedded world are simple and their views small:
with five or six octaves they fall apart into crumbs, and a wider encoding takes most of the time of a small field."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class DreamFields(Method):
    """Optimises a field so that every view of it fits a caption.

    `opacity_share` and `blur_share` are shares of the training steps; `crop_share` is a share of the view.

    Length and guide:
        num_steps: Gradient steps; None takes the budget's `caption_steps`.
        encoder: Name of the guide; None takes the budget's `guide`. Several names, with commas between, guide together
            by the mean of their cosines.
        encoder_dtype: Compute type of the guide; None takes the budget's `guide_dtype`.
        prompt: Text that the guide reads, with `{}` for the caption. Scores always use the plain caption.

    Other captions, which the object must not fit (chosen by `models.dream_fields.wording`):
        negatives: "kinds" for the caption with other kinds of things in it, "set" for others of the retrieval set.
        negative_captions: Captions to take instead.
        negative_weight: Weight of the mean cosine with them.
        contrast_weight: Weight of the cross-entropy of finding the caption among them, at the guide's temperature.

    Network and sizes:
        field: The network.
        render_px: Width and height of the training view.
        num_samples: Samples along a ray in training.
        num_view_samples: Samples along a ray of the scored views.
        proposal_bins: Regular bins of a training ray at which a grid of densities says where to place the samples
            (`models.dream_fields.proposal`); None for regular samples, as published.

    Augmentation:
        num_crops: Crops of a training view, each over a background of its own.
        crop_share: Side of a crop as a share of the view's side; 1 for no crops.
        close_share: Probability that a crop is a close view instead, of side `close_crop_share`.
        close_crop_share: See `close_share`.
        silhouette_share: Probability that a crop shows the shape alone (`models.dream_fields.shape_crops`). Its text is
            then the word for the thing, without colour and finish, or the prompt where there is no single such word.
        backgrounds: Kinds of background, drawn with equal probability.
        max_blur_px: A background is blurred by a standard deviation uniform in [0, max_blur_px], in the guide's pixels.

    Sparsity:
        transmittance: Form of the transmittance loss. With L the mean negative cosine, T the view's mean
            transmittance, tau its target and t = min(tau, T): "clipped additive" is L - weight t, as in the paper;
            "gated" is T L; "clipped gated" is t L; "none" is L.
        transmittance_weight: Weight of the additive form.
        first_opacity: Target of the view's mean opacity (1 - tau) at the first step.
        last_opacity: Value that the target reaches exponentially after `opacity_share` of the steps. Real objects of
            the closed world have 0.19 (mean of 64 standard views); the paper has 0.12, at another framing.
        opacity_share: See `last_opacity`.
        beta_weight: Weight of the prior that ray opacities are near 0 or 1, from Neural Volumes.
        beta_after: Share of the steps before which this prior is off.
        distortion_weight: Weight of mip-NeRF 360's distortion loss, which draws a ray's weights together.
        last_sharpness: Factor of the field's value before its density activation, at the last step; it grows from 1
            exponentially. With "volsdf" the surface gets thinner by it.

    Bounds and origin:
        bounds: Whether the field is zero outside a cube about its origin, and sampled only inside.
        half_width: Half the side of that cube.
        track_origin: Whether the cube and the cameras follow the centre of density. Here the origin is state and
            moves; the released code freezes it into its compiled step, so that it never moves.
        origin_decay: Decay of the moving average that they follow.

    Cameras:
        azimuth_deg: Range of the training cameras' azimuths, from 0.
        low_deg: Lowest elevation of the training cameras, in degrees above the horizon.
        high_deg: Highest elevation.
        radius: Distance of the training cameras.
        focal_multiplier: Zoom of the training cameras relative to `tasks.cameras.BLENDER_FOV_DEG`.
        cut_at_bounds: Whether scored views are sampled only between the bounds, as training views are. The released
            code samples them between fixed distances.

    Encoding:
        variance_scale: See `models.rendering.ray_sampling.conical_frustums`: 1/12 as released.
        first_blur: How much wider than their size samples are at the first step. It falls linearly to 0 over
            `blur_share` of the steps.
        blur_share: See `first_blur`.

    Optimiser:
        learning_rate: Learning rate of Adam after warm-up.
        first_rate: Share of it at the first step; it rises exponentially over `warmup`.
        warmup: Share of the steps over which the learning rate rises.
        adam_epsilon: Epsilon of Adam.
        skip_bad_steps: Whether a step that is not finite is skipped, as released, instead of ending the trial.
    """

    num_steps: int | None = sized_by("caption_steps")
    encoder: str | None = sized_by("guide")
    encoder_dtype: Literal["float32", "bfloat16"] | None = sized_by("guide_dtype")  # type: ignore[assignment]
    prompt: str = in_data("{}")

    negatives: Negatives = added_later("kinds")
    negative_captions: tuple[str, ...] = added_later(())
    negative_weight: float = added_later(0.0)
    contrast_weight: float = added_later(0.0)

    field: nn.Module = ResidualMLP(encoding=ENCODING, dtype=None)
    render_px: int | None = None
    num_samples: int | None = sized_by("caption_samples")
    num_view_samples: int | None = sized_by("view_samples")
    proposal_bins: int | None = added_later(None)

    num_crops: int | None = None
    crop_share: float = hyperparameter(0.8)
    close_share: float = added_later(0.0)
    close_crop_share: float = added_later(0.4)
    silhouette_share: float = added_later(0.0)
    backgrounds: tuple[str, ...] = subset(augmentations.DREAM_FIELDS_BACKGROUNDS, tuple(augmentations.BACKGROUNDS))
    max_blur_px: float = hyperparameter(4.0)

    transmittance: Transmittance = choice("clipped additive", TRANSMITTANCE)
    transmittance_weight: float = hyperparameter(0.5)
    first_opacity: float = hyperparameter(0.6)
    last_opacity: float = hyperparameter(0.19)
    opacity_share: float = hyperparameter(0.1)
    beta_weight: float = hyperparameter(0.0)
    beta_after: float = hyperparameter(0.5)
    distortion_weight: float = added_later(0.0)
    last_sharpness: float = added_later(1.0)

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
        check_ranges(self)
        check_settings(self)

    @property
    def encoders(self) -> tuple[str, ...]:
        """Names of the guides."""
        return split_guide_names(self.encoder)

    @property
    def reads_negatives(self) -> bool:
        """Whether other captions than the trial's own are in the loss."""
        return self.negative_weight > 0 or self.contrast_weight > 0

    @property
    def skips_bad_steps(self) -> bool:
        """The field `skip_bad_steps`."""
        return self.skip_bad_steps

    @property
    def rare_every(self) -> int:
        """Steps from one update of the grid to the next; 1 without a grid."""
        return 1 if self.proposal_bins is None else proposal.UPDATE_EVERY

    def work_per_step(self) -> StepWork:
        """Count the rays and points of a step."""
        rays = (self.render_px or 0) ** 2
        return StepWork(rays, rays * (self.num_samples or 0))

    def prepare(self, frozen: Frozen, task: CaptionTask) -> DreamFieldsData:
        """Embed with each guide what it reads."""
        data = task.load()
        values = split_hyperparameters(self)[1]
        on_host: dict[str, Any] = {
            "near": np.asarray(data.near, np.float32),
            "far": np.asarray(data.far, np.float32),
            "background": np.asarray(data.background, np.float32),
            "hyperparameters": {name: np.asarray(value, np.float32) for name, value in values.items()},
        }
        texts = tuple(guidance.read_texts(self, frozen[name], data) for name in self.encoders)
        # `jnp.asarray` of a number would be a program of its own.
        return DreamFieldsData(texts=texts, **jax.device_put(on_host))

    def init(self, key: PRNGKeyArray, data: DreamFieldsData) -> tuple[Params, State]:
        """Initialise the network, the tracked origin, and the grid of densities if there is one."""
        one_point = ray_sampling.samples_at_points(jnp.zeros((1, 3), jnp.float32))
        params = self.field.init(key, one_point).get("params", {})
        state = {"origin": jnp.zeros((3,), jnp.float32)}
        if self.last_sharpness != 1:
            state["sharpness"] = jnp.ones((), jnp.float32)
        if self.proposal_bins is not None:
            state["density_grid"] = proposal.full_grid()
        return params, state

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
        """Compute the mean negative cosine of crops and caption, plus the sparsity terms (equations 7 to 11)."""
        assert self.render_px, "dream_fields: render_px is open; see tasks.budgets.sized"
        pose_key, ray_key, crop_key = jax.random.split(key, 3)
        progress = step / jnp.maximum(self.num_steps or 0, 1)
        blurred_share = jnp.maximum(hyperparameters["blur_share"], 1e-6)
        blur = 1 + hyperparameters["first_blur"] * jnp.maximum(0, 1 - progress / blurred_share)
        rays = sample_training_rays(hyperparameters, self.render_px, pose_key)
        if self.last_sharpness != 1:
            state = {**state, "sharpness": self.last_sharpness**progress}
        view = training_view.render_training_view(self, params, state, hyperparameters, rays, ray_key, blur)
        fit = guidance.compare_crops(self, frozen, data, hyperparameters, view.image, crop_key)
        cosine = fit.cosine
        opacity = view.image[..., 3]
        transmittance = 1 - jnp.mean(opacity)
        target = 1 - opacity_target(hyperparameters, progress)
        loss = transmittance_loss(
            hyperparameters["transmittance"],
            hyperparameters["transmittance_weight"],
            -cosine,
            transmittance,
            target,
        )
        beta = beta_prior(opacity)
        loss = loss + jnp.where(progress >= hyperparameters["beta_after"], hyperparameters["beta_weight"], 0) * beta
        metrics = {
            "negative_cosine": -cosine,
            "transmittance": transmittance,
            "transmittance_target": target,
            "beta": beta,
        }
        for name, (weight, term) in self._extra_terms(fit, view).items():
            loss = loss + weight * term
            metrics[name] = term
        origin = move_origin(
            hyperparameters, state["origin"], view.center, view.total > training_view.MIN_TOTAL_DENSITY
        )
        moved = {**state, "origin": origin}
        if self.proposal_bins is not None:
            moved["density_grid"] = self._updated_grid(params, state, hyperparameters, jax.random.fold_in(key, 3), step)
        return loss, (moved, metrics)

    def optimizer(self, num_steps: int, hyperparameters: Hyperparameters) -> optax.GradientTransformation:
        """Build Adam with a learning rate that rises exponentially and then stays constant."""

        def rate(count: Int[Array, ""]) -> Float[Array, ""]:
            risen = jnp.minimum(1, (count + 1) / jnp.maximum(hyperparameters["warmup"] * num_steps, 1))
            return hyperparameters["learning_rate"] * hyperparameters["first_rate"] ** (1 - risen)

        return optax.adam(rate, eps=hyperparameters["adam_epsilon"])

    def render(
        self, params: Params, state: State, data: DreamFieldsData, rays: Rays, num_samples: int | None = None
    ) -> Views:
        """Render rays over the task's grey. Rays are relative to the tracked origin."""
        assert self.num_view_samples, "dream_fields: num_view_samples is open; see tasks.budgets.sized"
        hyperparameters = data.hyperparameters
        near, far = ray_bounds(hyperparameters, rays, hyperparameters["bounds"] * hyperparameters["cut_at_bounds"])
        tdist = ray_sampling.fenceposts(near, far, num_samples or self.num_view_samples)
        density, color, _ = self.query_field(params, state, hyperparameters, rays, tdist, None, 1.0)
        return compositing.render(density, color, tdist, rays, data.background)[0]

    def field_at(
        self, params: Params, state: State, data: DreamFieldsData, points: Float[Array, "*b 3"]
    ) -> tuple[Float[Array, "*b"], Float[Array, "*b 3"]]:
        """Return density and colour at points relative to the tracked origin; density is zero out of bounds."""
        samples = ray_sampling.samples_at_points(points + broadcast_origin(state["origin"], points))
        density, color = self._apply_field(params, state, samples)
        return jnp.where(is_in_bounds(data.hyperparameters, points), density, 0), color

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
        """Evaluate the field along rays.

        Returns:
            Density, colour and positions of the samples. Positions are in world space, in which the origin may move.
        """
        samples = ray_sampling.conical_frustums(rays, tdist)
        is_inside = is_in_bounds(hyperparameters, samples.means)
        world_samples = samples._replace(
            means=samples.means + broadcast_origin(state["origin"], samples.means),
            r_var=samples.r_var * hyperparameters["variance_scale"],
        )
        blurred_samples = ray_sampling.scale_covariances(world_samples, blur)
        with jax.named_scope("field"):
            density, color = self._apply_field(params, state, blurred_samples, key)
        return jnp.where(is_inside, density, 0), color, world_samples.means

    def _extra_terms(self, fit: CropFit, view: TrainingView) -> dict[str, tuple[float, Array]]:
        """Collect the terms of the loss that have a weight: the weight and the value of each, by its curve's name."""
        terms: dict[str, tuple[float, Any]] = {
            "negative": (self.negative_weight, fit.negative),
            "contrast": (self.contrast_weight, fit.contrast),
            "distortion": (self.distortion_weight, view.distortion),
        }
        return {name: (weight, term) for name, (weight, term) in terms.items() if weight}

    def _apply_field(
        self, params: Params, state: State, samples: Samples, key: PRNGKeyArray | None = None
    ) -> tuple[Float[Array, "*b"], Float[Array, "*b 3"]]:
        """Evaluate the network as sharp as it is at this step."""
        options = {} if self.last_sharpness == 1 else {"sharpness": state["sharpness"]}
        return check_field_output(
            self.field, self.field.apply({"params": params}, samples, key=key, **options), samples
        )

    def _updated_grid(
        self, params: Params, state: State, hyperparameters: Hyperparameters, key: PRNGKeyArray, step: Int[Array, ""]
    ) -> Float[Array, "g g g"]:
        """Update the grid of densities if it is time."""

        def density_at(points: Float[Array, "n 3"]) -> Float[Array, " n"]:
            samples = ray_sampling.samples_at_points(points + broadcast_origin(state["origin"], points))
            return self._apply_field(params, state, samples)[0]

        return proposal.updated_grid(density_at, state["density_grid"], hyperparameters["half_width"], key, step)
