"""Makes the numbers of photographs: which function each metric is, and which views have none.

A scorer takes all scored views with their truths and gives one number for each view, or None with a reason. `SCORERS`
is the table of them. How a number is read stands in `bench.metrics.registry`, which also says how to add one.

Where photographs have masks, only pixels inside of them count: errors are divided by the mask's area, SSIM is the mean
over the windows that lie wholly inside, and LPIPS is the mean over the mask of each layer's distances, of two pictures
that are alike outside (`hide_outside`).

n: views, h and w: pixels of a view, m: photographs' cameras, p: pixels along a side of what stands before them.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import numpy as np
from jaxtyping import Array, Bool, Float

from bench.metrics import image, lpips


class ViewsAndTruth(NamedTuple):
    """Rendered and true views, prepared as the protocol says.

    Attributes:
        color: Rendered colours.
        truth: True colours.
        alphas: True alphas.
        near_opacity: Opacity of the first fifth of the rays from the photographs' cameras; None if it was not stored.
        masks: 1 where a pixel counts, 0 where it does not; None if all do. Outside of them both pictures are alike.
        near_masks: Masks of the photographs whose `near_opacity` it is.
    """

    color: Float[np.ndarray, "n h w 3"]
    truth: Float[np.ndarray, "n h w 3"]
    alphas: Float[np.ndarray, "n h w"]
    near_opacity: Float[np.ndarray, "m p p"] | None = None
    masks: Float[np.ndarray, "n h w"] | None = None
    near_masks: Float[np.ndarray, "m h w"] | None = None


Scored = tuple[list[float | None], str | None]
"""One number for each view, None where it is missing; and the reason why some are missing."""


def _numbers(values: Float[np.ndarray, " n"]) -> list[float | None]:
    return [float(value) for value in values]


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


def _with_numbers(values: Float[np.ndarray, " n"], present: Bool[np.ndarray, " n"], lacking: str) -> Scored:
    """Leave out the numbers of views that have none, with the reason."""
    reason = None if present.all() else f"{lacking} in {(~present).sum()} of {len(present)} views"
    return [value if ok else None for value, ok in zip(_numbers(values), present, strict=True)], reason


def _by_image(
    function: Callable[..., Any], name: str, min_px: int = 1, window_px: int = 1
) -> Callable[[ViewsAndTruth], Scored]:
    """Make a scorer of a function of prediction, truth and perhaps a mask.

    Args:
        function: Gives a number for each view.
        name: Name of the metric.
        min_px: Smaller views have no number.
        window_px: Pixels along a side of what must lie wholly inside a mask, or there is no number.
    """

    @jax.jit
    def has_window(masks: Float[Array, "n h w"]) -> Bool[Array, " n"]:
        return image.whole_windows(masks, window_px).max(axis=(-2, -1)) > 0

    def scorer(views: ViewsAndTruth) -> Scored:
        num_views, height, width = views.alphas.shape
        if min(height, width) < min_px:
            return [None] * num_views, f"{name} needs views of at least {min_px} px, these are {width} x {height}"
        if views.masks is None:
            return _numbers(image.per_image(function, views.color, views.truth)), None
        values = image.per_image(function, views.color, views.truth, views.masks)
        present = image.per_image(has_window, views.masks)
        lacking = "the mask leaves nothing" if window_px == 1 else f"no {window_px} px window fits into the mask"
        return _with_numbers(values, present, lacking)

    return scorer


_psnr_foreground = jax.jit(image.psnr_foreground)


def _psnr_fg(views: ViewsAndTruth) -> Scored:
    counted = views.alphas if views.masks is None else views.alphas[views.masks > 0]
    if (counted > 0.5).all():
        return [None] * len(views.alphas), "there is no background: the true views bring no alpha, or nothing else"
    masks = () if views.masks is None else (views.masks,)
    values, present = image.per_image(_psnr_foreground, views.color, views.truth, views.alphas, *masks)
    return _with_numbers(values, present, "no foreground")


def _lpips(name: str, network: lpips.Network, legacy_01: bool = False) -> Callable[[ViewsAndTruth], Scored]:
    function = functools.partial(lpips.lpips, network=network, legacy_01=legacy_01)
    return _by_image(function, name, lpips.MIN_PX[network])


def _floaters(views: ViewsAndTruth) -> Scored:
    """Measure the opacity right before the photographs' cameras, in percent; one number for all views.

    With too few photographs a field may explain each of them by a sheet before its camera. Test views do not show it.
    """
    num_views = len(views.alphas)
    if views.near_opacity is None:
        return [None] * num_views, "nothing was stored of what stands right before the photographs' cameras"
    near_opacity = views.near_opacity
    if views.near_masks is not None:
        near_opacity = near_opacity[_sample_masks(views.near_masks, near_opacity.shape) > 0]
        if not near_opacity.size:
            return [None] * num_views, "the photographs' masks leave nothing"
    return [100 * float(near_opacity.mean(dtype=np.float64))] * num_views, None


def _sample_masks(masks: Float[np.ndarray, "m h w"], shape: tuple[int, ...]) -> Float[np.ndarray, "m p p"]:
    """Look masks up at the middles of the pixels of other pictures."""
    places = [((np.arange(new) + 0.5) * old / new).astype(int) for old, new in zip(masks.shape, shape, strict=True)]
    return masks[:, places[1]][:, :, places[2]]


# `psnr` does not clip here: the protocol decides whether colours are clipped first.
SCORERS: dict[str, Callable[[ViewsAndTruth], Scored]] = {
    "psnr": _by_image(jax.jit(functools.partial(image.psnr, clip=False)), "psnr"),
    "psnr_fg": _psnr_fg,
    "psnr_u8": _by_image(jax.jit(image.psnr_u8), "psnr_u8"),
    "mse": _by_image(jax.jit(image.mse), "mse"),
    "ssim": _by_image(jax.jit(image.ssim), "ssim", image.SSIM_MIN_PX, window_px=image.SSIM_MIN_PX),
    "ssim_sk7": _by_image(jax.jit(image.ssim_sk7), "ssim_sk7", image.SSIM_SK7_MIN_PX, window_px=image.SSIM_SK7_MIN_PX),
    "lpips_vgg": _lpips("lpips_vgg", "vgg"),
    "lpips_alex": _lpips("lpips_alex", "alex"),
    "lpips_vgg_01": _lpips("lpips_vgg_01", "vgg", legacy_01=True),
    "floaters": _floaters,
}
"""By the metric's name, the function that makes it."""
