"""Probes of the metrics: of photographs, of captions, and of sets of pictures."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from bench.doctor.probes.probe import Probe, Rounds, disc, of_arrays, rendered_pictures, true_pictures
from bench.metrics import fid_kid, image, lpips, multiview_consistency, r_precision

NUM = 2

IMAGE_PX = 48

PHOTO_METRICS: dict[str, Callable[..., Any]] = {
    "psnr": functools.partial(image.psnr, clip=False),
    "psnr_u8": image.psnr_u8,
    "mse": image.mse,
    "ssim": image.ssim,
    "ssim_sk7": image.ssim_sk7,
    "lpips_vgg": functools.partial(lpips.lpips, network="vgg"),
    "lpips_alex": functools.partial(lpips.lpips, network="alex"),
    "lpips_vgg_01": functools.partial(lpips.lpips, network="vgg", legacy_01=True),
}
"""By the metric's name, the function of rendered and true pictures."""

MASKED = ("mse", "ssim", "ssim_sk7", "lpips_alex")

SIMPLE = ("floaters", "opacity")
"""Metrics that are means of an opacity: `mean opacity` stands for both."""


def all_metric_probes() -> list[Probe]:
    """List the probes of all metrics."""
    pair = (rendered_pictures(NUM, IMAGE_PX), true_pictures(NUM, IMAGE_PX))
    alpha = disc(NUM, IMAGE_PX, 0.8)
    pairs = {"psnr_u8": tuple(map(_between_levels, pair))}
    found = [
        Probe(f"metric {name}", of_arrays(function, *pairs.get(name, pair)), is_quick=not name.startswith("lpips"))
        for name, function in PHOTO_METRICS.items()
    ]
    found += [Probe(f"metric {name}, in a mask", of_arrays(PHOTO_METRICS[name], *pair, alpha)) for name in MASKED]
    clipped = functools.partial(image.psnr, clip=True)
    found += [
        Probe("metric psnr, clipped", of_arrays(clipped, *pair)),
        Probe("metric psnr_fg", of_arrays(image.psnr_foreground, *pair, alpha), is_quick=True),
        Probe("metric psnr, values of PNG files", of_arrays(_truncated_psnr, *map(_between_levels, pair))),
        Probe("mean opacity", of_arrays(jnp.mean, alpha * pair[1][..., 0])),
    ]
    return found + _caption_probes() + _set_probes()


def _between_levels(pictures: Float[np.ndarray, "n h w 3"]) -> Float[np.ndarray, "n h w 3"]:
    """Move colours to 0.3 levels above one of the 256, so that no rounding error decides which one is saved."""
    return ((np.clip(np.floor(pictures * 255), 1, 253) + 0.3) / 255).astype(np.float32)


def _truncated_psnr(prediction: Float[Array, "n h w 3"], truth: Float[Array, "n h w 3"]) -> Float[Array, " n"]:
    """Compute what `nerf-2020` does."""
    return image.psnr(image.to_8bit(prediction, "truncate"), image.to_8bit(truth, "truncate"))


def _caption_probes() -> list[Probe]:
    """List the probes of what an encoder's cosines are turned into."""
    cosines = np.sin(1.7 * np.arange(6 * 40).reshape(6, 40) ** 1.5)
    ranks = np.asarray([1, 2, 5, 40])
    precision = functools.partial(r_precision.precision_at, set_size=40, num_distractors=10)
    around = np.sin(0.9 * np.arange(8)[:, None] * (1 + np.arange(5)[None, :]))
    unit = around / np.linalg.norm(around + 0.1, axis=1, keepdims=True)
    return [
        Probe("ranks of captions", of_arrays(_ranked, cosines), Rounds.FLOAT64, is_quick=True),
        Probe("R-Precision among fewer", of_arrays(precision, ranks), Rounds.FLOAT64, is_quick=True),
        Probe("metric repeats", of_arrays(multiview_consistency.repeats, unit), Rounds.FLOAT64, is_quick=True),
    ]


def _ranked(cosines: Float[np.ndarray, "n m"]) -> tuple[Any, ...]:
    return tuple(r_precision.ranked(cosines, place=3))


def _set_probes() -> list[Probe]:
    """List the probes of distances between sets of pictures."""
    first = np.sin(1.1 * np.arange(40 * 12).reshape(40, 12) ** 1.3)
    second = np.cos(0.7 * np.arange(30 * 12).reshape(30, 12) ** 1.4) + 0.2
    return [
        Probe("FID of features", of_arrays(fid_kid.frechet, first, second), Rounds.FLOAT64, is_quick=True),
        Probe("KID of features", of_arrays(_kernel, first, second), Rounds.FLOAT64, is_quick=True),
        Probe("features lpips-vgg of FID and KID", _prepare_vgg),
    ]


def _kernel(first: Float[np.ndarray, "n f"], second: Float[np.ndarray, "m f"]) -> tuple[float, float]:
    found = fid_kid.kernel(first, second, subset_size=20, num_subsets=10)
    return found.mean, found.std


def _prepare_vgg() -> tuple[Callable[..., Any], tuple[Any, ...]]:
    return fid_kid.vgg_features, (lpips.load_weights("vgg"), true_pictures(NUM, IMAGE_PX))
