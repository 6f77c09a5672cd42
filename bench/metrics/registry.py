"""Which metrics there are: how each is made of rendered and true views, and how it is read.

To add one of photographs: a function in `bench.metrics`, a row in `METRICS`, a row in `SCORERS`, and its name in a
protocol. Those of captions are made by `bench.metrics.caption_protocols`; where an encoder makes the number its name follows an @,
`rprec1@embedded-judge-rn`, and `@guide` stands for the one that guided the trial.

n: views, h and w: pixels of a view.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

import jax
import numpy as np
from jaxtyping import Float

from bench.metrics import image, lpips


class Metric(NamedTuple):
    """How a number is read.

    Attributes:
        name: Its key in scores and on the command line.
        unit: Empty where it has none.
        higher_is_better: Which way is up; None where neither is, so that a resolved difference is no praise: it is to
            be read beside what true renders have.
        digits: After the point, where it is printed.
        title: For tables and axes.
        limits: Where its means lie; the intervals of these are cut there.
    """

    name: str
    unit: str
    higher_is_better: bool | None
    digits: int
    title: str
    limits: tuple[float, float] = (-math.inf, math.inf)


SHARE = (0.0, 1.0)
"""Limits of a share, and of what can be read as one."""

FROM_ZERO = (0.0, math.inf)


OWN_GUIDE = "guide"
"""After the @ of a metric: the encoder that guided the trial, so that its number is never one of a judge."""


class Metrics(Mapping[str, Metric]):
    """Metrics by name: those that are listed, and those that an encoder makes, `BASE@ENCODER`.

    Iteration and length are of the listed names alone; there are as many others as there are encoders.

    Args:
        listed: By name.
        by_encoder: By what stands before the @; `name` and `title` are those parts.

    Example:
        >>> METRICS["rprec1@embedded-judge-rn"].title, METRICS["rprec1@guide"].title
        ('R-Precision, by embedded-judge-rn', 'R-Precision, in-loop: by its own guide')
        >>> "rprec1@openai-vit-b-32" in METRICS, "rprec1" in METRICS, "psnr@guide" in METRICS
        (True, False, False)
    """

    def __init__(self, listed: tuple[Metric, ...], by_encoder: tuple[Metric, ...]) -> None:
        self.listed = {metric.name: metric for metric in listed}
        self.by_encoder = {metric.name: metric for metric in by_encoder}

    def __getitem__(self, name: str) -> Metric:
        base, at, encoder = name.partition("@")
        if not at:
            return self.listed[name]
        if not encoder:
            raise KeyError(name)
        by = "in-loop: by its own guide" if encoder == OWN_GUIDE else f"by {encoder}"
        known = self.by_encoder[base]
        return known._replace(name=name, title=f"{known.title}, {by}")

    def __iter__(self) -> Iterator[str]:
        return iter(self.listed)

    def __len__(self) -> int:
        return len(self.listed)


METRICS = Metrics(
    listed=(
        Metric("psnr", "dB", True, 2, "PSNR"),
        Metric("psnr_fg", "dB", True, 2, "PSNR, foreground"),
        Metric("psnr_u8", "dB", True, 2, "PSNR, 8 bits"),
        Metric("mse", "", False, 5, "MSE", FROM_ZERO),
        Metric("ssim", "", True, 3, "SSIM", SHARE),
        Metric("ssim_sk7", "", True, 3, "SSIM, uniform 7 px", SHARE),
        Metric("lpips_vgg", "", False, 3, "LPIPS, VGG", FROM_ZERO),
        Metric("lpips_alex", "", False, 3, "LPIPS, AlexNet", FROM_ZERO),
        Metric("lpips_vgg_01", "", False, 3, "LPIPS, VGG fed [0, 1]", FROM_ZERO),
        Metric("floaters", "%", False, 2, "floaters", (0.0, 100.0)),
        # Neither way is up: far sides of true things are alike, and those of fog more or less so; a field can cover too
        # much and too little.
        Metric("repeats", "", None, 3, "repeated faces", SHARE),
        Metric("opacity", "", None, 3, "mean opacity", SHARE),
    ),
    by_encoder=(
        Metric("rprec1", "", True, 3, "R-Precision", SHARE),
        Metric("rprec5", "", True, 3, "R-Precision, top 5", SHARE),
        Metric("rank", "", False, 1, "rank", (1.0, math.inf)),
        Metric("margin", "", True, 3, "margin"),
        Metric("cosine", "", True, 3, "cosine", (-1.0, 1.0)),
        Metric("nll", "", False, 3, "-log softmax of cosines", FROM_ZERO),
        Metric("rprec1_white", "", True, 3, "R-Precision on white", SHARE),
        Metric("margin_white", "", True, 3, "margin on white"),
    ),
)


class ViewsAndTruth(NamedTuple):
    """Views and truths as the metrics of a protocol get them.

    Attributes:
        color: Rendered.
        truth: Likewise prepared.
        alphas: True ones.
        near_opacity: Of the first fifth of rays from the photographs' cameras; None if it was not stored.
    """

    color: Float[np.ndarray, "n h w 3"]
    truth: Float[np.ndarray, "n h w 3"]
    alphas: Float[np.ndarray, "n h w"]
    near_opacity: Float[np.ndarray, "m p q"] | None = None


Scored = tuple[list[float | None], str | None]
"""A number a view, and why some are missing."""


def _numbers(values: Float[np.ndarray, " n"]) -> list[float | None]:
    return [float(value) for value in values]


def _by_image(function: Callable[..., Any], name: str, min_px: int = 1) -> Callable[[ViewsAndTruth], Scored]:
    """A scorer from a function of prediction and truth; numbers of too small views are missing."""

    def scorer(seen: ViewsAndTruth) -> Scored:
        num_views, height, width = seen.alphas.shape
        if min(height, width) < min_px:
            return [None] * num_views, f"{name} needs views of at least {min_px} px, these are {width} x {height}"
        return _numbers(image.per_image(function, seen.color, seen.truth)), None

    return scorer


_psnr_foreground = jax.jit(image.psnr_foreground)


def _psnr_fg(seen: ViewsAndTruth) -> Scored:
    if (seen.alphas > 0.5).all():
        return [None] * len(seen.alphas), "there is no background: the true views bring no alpha, or nothing else"
    values, present = image.per_image(_psnr_foreground, *seen[:3])
    reason = None if present.all() else f"no foreground in {(~present).sum()} of {len(present)} views"
    return [value if ok else None for value, ok in zip(_numbers(values), present, strict=True)], reason


def _lpips(name: str, network: lpips.Network, legacy_01: bool = False) -> Callable[[ViewsAndTruth], Scored]:
    function = functools.partial(lpips.lpips, network=network, legacy_01=legacy_01)
    return _by_image(function, name, lpips.MIN_PX[network])


def _floaters(seen: ViewsAndTruth) -> Scored:
    """How much stands right before the cameras that took the photographs, in percent; one number for all views.

    A field that has too few photographs explains each of them by a sheet before its camera. Nothing else sees it.
    """
    num_views = len(seen.alphas)
    if seen.near_opacity is None:
        return [None] * num_views, "nothing was stored of what stands right before the photographs' cameras"
    return [100 * float(seen.near_opacity.mean(dtype=np.float64))] * num_views, None


# `psnr` does not clip here: what becomes of the colours first is the protocol's to say.
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
