"""Makes the numbers of photographs: which function each metric is, and which views have none.

A scorer takes all scored views with their truths and gives one number for each view, or None with a reason. `_SCORERS`
is the table of them. How a number is read stands in `bench.metrics.registry`, which also says how to add one.

Where photographs have masks, only pixels inside of them count: errors are divided by the mask's area, SSIM is the mean
over the windows that lie wholly inside, and LPIPS is the mean over the mask of each layer's distances, of two pictures
that are alike outside (`hide_outside`).

n: views, h and w: pixels of a view, m: photographs' cameras, p: pixels along a side of what stands before them.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any, Literal, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float

from bench.metrics import image, lpips
from bench.metrics.kept_photographs import KEPT_PHOTOGRAPHS, Photographs
from bench.metrics.registry import NO_BACKGROUND

Levels = Literal["clip", "raw", "truncate"]
"""How colours are prepared: "clip" brings the prediction to [0, 1], "raw" leaves it, "truncate" turns prediction and
truth into the values of an 8-bit PNG as NeRF's `to8b` writes it."""


class ViewsAndTruth(NamedTuple):
    """Rendered and true views.

    Attributes:
        color: Rendered colours, finite; best as they are stored, in float16.
        truth: True colours.
        alphas: True alphas.
        near_opacity: Opacity of the first fifth of the rays from the photographs' cameras; None if it was not stored.
        masks: 1 where a pixel counts, 0 where it does not; None if all do. Outside of them both pictures are alike.
        near_masks: Masks of the photographs whose `near_opacity` it is.
        photographs: Names what truth, alphas and masks were made of, and how. Views of other trials with the same
            photographs share what is kept of them. None to keep nothing.
        levels: How colours are prepared, on the device.
    """

    color: Float[np.ndarray, "n h w 3"]
    truth: Float[np.ndarray, "n h w 3"]
    alphas: Float[np.ndarray, "n h w"]
    near_opacity: Float[np.ndarray, "m p p"] | None = None
    masks: Float[np.ndarray, "n h w"] | None = None
    near_masks: Float[np.ndarray, "m h w"] | None = None
    photographs: Photographs | None = None
    levels: Levels = "raw"


class Scored(NamedTuple):
    """The numbers of a metric.

    Attributes:
        values: One for each view; None where it is missing.
        reason: Why some are missing; None if none is.
    """

    values: list[float | None]
    reason: str | None


def hide_outside(
    images: Float[np.ndarray, "n h w 3"], truth: Float[np.ndarray, "n h w 3"], masks: Float[np.ndarray, "n h w"]
) -> Float[np.ndarray, "n h w 3"]:
    """Give pixels outside of the masks the mean colour that the true view has inside.

    Done to rendered and true views alike, it hides what was outside from windows and networks, which see across a
    mask's edge.

    Args:
        images: Rendered or true views.
        truth: True views.
        masks: 1 where a pixel counts, 0 where it does not.

    Example:
        >>> truth = np.array([[[[0.25] * 3, [0.9] * 3]]], np.float32)
        >>> print(hide_outside(np.zeros_like(truth), truth, np.array([[[1, 0]]], np.float32))[0, 0, :, 0])
        [0.   0.25]
    """
    weights = masks[..., None].astype(np.float64)
    area = np.maximum(weights.sum(axis=(1, 2), keepdims=True), 1e-12)
    inside = (np.where(weights > 0, truth, 0) * weights).sum(axis=(1, 2), keepdims=True) / area
    return np.where(weights > 0, images, inside.astype(np.float32))


class Scorer(NamedTuple):
    """A metric's way from views to numbers.

    Attributes:
        compute: Takes colours, what they are compared with, alphas if it needs them and, where there are some, masks,
            on the device; gives a number for each view, and where views may lack one, whether it is there.
        min_px: Width and height below which views have no number.
        lacking: Why a view has no number.
        why_none: Tells why no view has a number, before anything is computed; None where they have.
        layers_of: Computes of true views what colours are compared with instead; None if they are compared themselves.
        needs_alphas: Whether the number depends on true alphas.
    """

    compute: Callable[..., Any]
    min_px: int = 1
    lacking: str = "the mask leaves nothing"
    why_none: Callable[[ViewsAndTruth], str | None] = lambda views: None
    layers_of: Callable[[Float[Array, "n h w 3"]], lpips.Layers] | None = None
    needs_alphas: bool = False


def _of_pair(function: Callable[..., Any], min_px: int = 1, window_px: int = 1) -> Scorer:
    """Make a scorer of a compiled function of prediction, truth and perhaps a mask.

    Args:
        function: Gives a number for each view.
        min_px: Smaller views have no number.
        window_px: Pixels along a side of what must lie wholly inside a mask, or there is no number.
    """

    @jax.jit
    def has_window(masks: Float[Array, "n h w"]) -> Bool[Array, " n"]:
        return image.whole_windows(masks, window_px).max(axis=(-2, -1)) > 0

    def compute(
        color: Float[Array, "n h w 3"],
        truth: Any,
        masks: Float[Array, "n h w"] | None = None,
    ) -> Any:
        if masks is None:
            return function(color, truth)
        return function(color, truth, masks), has_window(masks)

    lacking = f"no {window_px} px window fits into the mask" if window_px > 1 else "the mask leaves nothing"
    return Scorer(compute, min_px, lacking)


def _lpips(network: lpips.Network, legacy_01: bool = False) -> Scorer:
    def distance_to(
        color: Float[Array, "n h w 3"], layers: lpips.Layers, masks: Float[Array, "n h w"] | None = None
    ) -> Float[Array, " n"]:
        return lpips.distance_to(layers, color, masks, network=network, legacy_01=legacy_01)

    layers_of = functools.partial(lpips.layers_of, network=network, legacy_01=legacy_01)
    return _of_pair(distance_to, lpips.MIN_PX[network])._replace(layers_of=layers_of)


def _no_background(views: ViewsAndTruth) -> str | None:
    counted = views.alphas if views.masks is None else views.alphas[views.masks > 0]
    if (counted > 0.5).all():
        return NO_BACKGROUND
    return None


# `psnr` does not clip here: the protocol decides whether colours are clipped first.
_SCORERS: dict[str, Scorer] = {
    "psnr": _of_pair(jax.jit(functools.partial(image.psnr, clip=False))),
    "psnr_fg": Scorer(
        jax.jit(image.psnr_foreground), lacking="no foreground", why_none=_no_background, needs_alphas=True
    ),
    "psnr_u8": _of_pair(jax.jit(image.psnr_u8)),
    "mse": _of_pair(jax.jit(image.mse)),
    "ssim": _of_pair(jax.jit(image.ssim), image.SSIM_MIN_PX, window_px=image.SSIM_MIN_PX),
    "ssim_sk7": _of_pair(jax.jit(image.ssim_sk7), image.SSIM_SK7_MIN_PX, window_px=image.SSIM_SK7_MIN_PX),
    "lpips_vgg": _lpips("vgg"),
    "lpips_alex": _lpips("alex"),
    "lpips_vgg_01": _lpips("vgg", legacy_01=True),
}
"""By the metric's name, the function that makes it of images."""

METRIC_NAMES = (*_SCORERS, "floaters")
"""All metrics of photographs."""


def score_photos(names: Sequence[str], views: ViewsAndTruth) -> dict[str, Scored]:
    """Make the numbers of several metrics; the views go to the device once for all of them.

    Of photographs, only what the device does not keep from earlier trials is sent.

    Args:
        names: Of the metrics.
        views: At least one.
    """
    found: dict[str, Scored] = {}
    computed: list[str] = []
    for name in names:
        reason = None if name == "floaters" else _why_none(name, views)
        if name == "floaters":
            found[name] = _score_floaters(views)
        elif reason is not None:
            found[name] = Scored([None] * len(views.alphas), reason)
        else:
            computed.append(name)
    if computed:

        def compute(start: int, color: Float[Array, "n h w 3"]) -> list[Any]:
            prepared = _bring_prediction_to(views.levels, color)
            beside = _ChunkPhotographs(views, start)
            return [_SCORERS[name].compute(prepared, *beside.arguments(_SCORERS[name], name)) for name in computed]

        answers = image.per_chunk(compute, views.color)
        found |= {name: _read_answer(name, answer) for name, answer in zip(computed, answers, strict=True)}
    return {name: found[name] for name in names}


_clip = jax.jit(functools.partial(jnp.clip, min=0, max=1))
"""A program of its own, so that digits do not depend on where colours were clipped."""


def _bring_prediction_to(levels: Levels, color: Float[Array, "n h w 3"]) -> Float[Array, "n h w 3"]:
    return _clip(color) if levels == "clip" else _bring_truth_to(levels, color)


def _bring_truth_to(levels: Levels, truth: Float[Array, "n h w 3"]) -> Float[Array, "n h w 3"]:
    return image.to_8bit(truth, rounding="truncate") if levels == "truncate" else truth


class _ChunkPhotographs:
    """Holds the photographs of one chunk on the device. Each array is sent, or computed, when it is first needed."""

    def __init__(self, views: ViewsAndTruth, start: int) -> None:
        self.views = views
        self.start = start
        self.sent: dict[str, Float[Array, "n h w ..."]] = {}

    def arguments(self, scorer: Scorer, name: str) -> list[Any]:
        """Return what a scorer takes beside colours: the truth or a network's layers of it, alphas, masks."""
        found: list[Any] = []
        if scorer.layers_of is None:
            found.append(self.array("truth"))
        else:
            found.append(self._kept(name, functools.partial(self._layers, scorer.layers_of)))
        if scorer.needs_alphas:
            found.append(self.array("alphas"))
        if self.views.masks is not None:
            found.append(self.array("masks"))
        return found

    def array(self, name: Literal["truth", "alphas", "masks"]) -> Float[Array, "n h w ..."]:
        """Return an array of the photographs, at the levels that are compared."""
        if name not in self.sent:
            [self.sent[name]] = self._kept(name, functools.partial(self._send, name))
        return self.sent[name]

    def _kept(self, name: str, make: Callable[[], tuple[Any, ...]]) -> tuple[Any, ...]:
        """Make arrays; where photographs are known, only if no other trial has."""
        if self.views.photographs is None:
            return make()
        return KEPT_PHOTOGRAPHS.get(self.views.photographs, (name, self.start), make)

    def _send(self, name: Literal["truth", "alphas", "masks"]) -> tuple[Float[Array, "n h w ..."]]:
        [array] = image.put_chunk([getattr(self.views, name)], self.start)
        return (_bring_truth_to(self.views.levels, array) if name == "truth" else array,)

    def _layers(self, layers_of: Callable[[Float[Array, "n h w 3"]], lpips.Layers]) -> lpips.Layers:
        return layers_of(self.array("truth"))


def _why_none(name: str, views: ViewsAndTruth) -> str | None:
    """Tell why no view has a number of a metric; None where they have."""
    _, height, width = views.alphas.shape
    min_px = _SCORERS[name].min_px
    if min(height, width) < min_px:
        return f"{name} needs views of at least {min_px} px, these are {width} x {height}"
    return _SCORERS[name].why_none(views)


def _read_answer(name: str, answer: Any) -> Scored:
    """Read the numbers of a metric, and where views may lack one, whether it is there."""
    if not isinstance(answer, tuple):
        return Scored([float(value) for value in answer], None)
    values, present = answer
    reason = None if present.all() else f"{_SCORERS[name].lacking} in {(~present).sum()} of {len(present)} views"
    return Scored([float(value) if ok else None for value, ok in zip(values, present, strict=True)], reason)


def _score_floaters(views: ViewsAndTruth) -> Scored:
    """Measure the opacity right before the photographs' cameras, in percent; one number for all views.

    With too few photographs a field may explain each of them by a sheet before its camera. Test views do not show it.
    """
    num_views = len(views.alphas)
    if views.near_opacity is None:
        return Scored([None] * num_views, "nothing was stored of what stands right before the photographs' cameras")
    near_opacity = views.near_opacity
    if views.near_masks is not None:
        near_opacity = near_opacity[_sample_masks(views.near_masks, near_opacity.shape) > 0]
        if not near_opacity.size:
            return Scored([None] * num_views, "the photographs' masks leave nothing")
    return Scored([100 * float(near_opacity.mean(dtype=np.float64))] * num_views, None)


def _sample_masks(masks: Float[np.ndarray, "m h w"], shape: tuple[int, ...]) -> Float[np.ndarray, "m p p"]:
    """Look masks up at the middles of the pixels of other pictures."""
    places = [((np.arange(new) + 0.5) * old / new).astype(int) for old, new in zip(masks.shape, shape, strict=True)]
    return masks[:, places[1]][:, :, places[2]]
