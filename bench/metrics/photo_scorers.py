"""Makes the numbers of photographs: which function each metric is, and which views have none.

A scorer takes all scored views with their truths and gives one number for each view, or None with a reason. `SCORERS`
is the table of them. How a number is read stands in `bench.metrics.registry`, which also says how to add one.

n: views, h and w: pixels of a view.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import numpy as np
from jaxtyping import Float

from bench.metrics import image, lpips


class ViewsAndTruth(NamedTuple):
    """Rendered and true views, prepared as the protocol says.

    Attributes:
        color: Rendered colours.
        truth: True colours.
        alphas: True alphas.
        near_opacity: Opacity of the first fifth of the rays from the photographs' cameras; None if it was not stored.
    """

    color: Float[np.ndarray, "n h w 3"]
    truth: Float[np.ndarray, "n h w 3"]
    alphas: Float[np.ndarray, "n h w"]
    near_opacity: Float[np.ndarray, "m p q"] | None = None


Scored = tuple[list[float | None], str | None]
"""One number for each view, None where it is missing; and the reason why some are missing."""


def _numbers(values: Float[np.ndarray, " n"]) -> list[float | None]:
    return [float(value) for value in values]


def _by_image(function: Callable[..., Any], name: str, min_px: int = 1) -> Callable[[ViewsAndTruth], Scored]:
    """Make a scorer of a function of prediction and truth; views below `min_px` have no number."""

    def scorer(views: ViewsAndTruth) -> Scored:
        num_views, height, width = views.alphas.shape
        if min(height, width) < min_px:
            return [None] * num_views, f"{name} needs views of at least {min_px} px, these are {width} x {height}"
        return _numbers(image.per_image(function, views.color, views.truth)), None

    return scorer


_psnr_foreground = jax.jit(image.psnr_foreground)


def _psnr_fg(views: ViewsAndTruth) -> Scored:
    if (views.alphas > 0.5).all():
        return [None] * len(views.alphas), "there is no background: the true views bring no alpha, or nothing else"
    values, present = image.per_image(_psnr_foreground, views.color, views.truth, views.alphas)
    reason = None if present.all() else f"no foreground in {(~present).sum()} of {len(present)} views"
    return [value if ok else None for value, ok in zip(_numbers(values), present, strict=True)], reason


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
    return [100 * float(views.near_opacity.mean(dtype=np.float64))] * num_views, None


# `psnr` does not clip here: the protocol decides whether colours are clipped first.
SCORERS: dict[str, Callable[[ViewsAndTruth], Scored]] = {
    "psnr": _by_image(jax.jit(functools.partial(image.psnr, clip=False)), "psnr"),
    "psnr_fg": _psnr_fg,
    "psnr_u8": _by_image(jax.jit(image.psnr_u8), "psnr_u8"),
    "mse": _by_image(jax.jit(image.mse), "mse"),
    "ssim": _by_image(jax.jit(image.ssim), "ssim", image.SSIM_MIN_PX),
    "ssim_sk7": _by_image(jax.jit(image.ssim_sk7), "ssim_sk7", image.SSIM_SK7_MIN_PX),
    "lpips_vgg": _lpips("lpips_vgg", "vgg"),
    "lpips_alex": _lpips("lpips_alex", "alex"),
    "lpips_vgg_01": _lpips("lpips_vgg_01", "vgg", legacy_01=True),
    "floaters": _floaters,
}
"""By the metric's name, the function that makes it."""
