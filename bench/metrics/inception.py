"""Computes the features of published FID and KID: the Inception network up to its last pooling, 2048 numbers an image.

Its weights come from a file that the user names: no package has them. Take pytorch-fid's
`pt_inception-2015-12-05-6726825d.pth` (read with PyTorch if that is installed), or the same tensors under the same
names as safetensors. It is TensorFlow's network of 2015: average pools do not count padding, the last block pools by
maximum.

b: images, h and w: pixels.
"""

from __future__ import annotations

import pathlib
import pickle
import struct
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Array, Float

from bench.errors import UsageError

IMAGE_PX = 299

EPSILON = 1e-3
"""Of batch normalisation."""

Map = Float[Array, "_ _ _ _"]
Tensors = dict[str, Any]
Conv = Callable[..., Map]


def pool3(tensors: Tensors, images: Float[Array, "b h w 3"]) -> Float[Array, "b 2048"]:
    """Compute the features of images in [0, 1].

    Images are resized without antialiasing from the corner of the pixel grid, and scaled, as torch-fidelity does after
    TensorFlow 1.

    Args:
        tensors: From `load_inception`.
        images: Of any size.
    """

    def conv(
        name: str,
        x: Map,
        num_out: int,
        kernel: tuple[int, int] = (1, 1),
        stride: int = 1,
        pad: tuple[int, int] = (0, 0),
    ) -> Map:
        del num_out  # for `inception_shapes`
        weight = jnp.transpose(tensors[f"{name}.conv.weight"], (2, 3, 1, 0))
        x = lax.conv_general_dilated(
            x,
            weight,
            (stride, stride),
            [(p, p) for p in pad],
            dimension_numbers=("NHWC", "HWIO", "NHWC"),
            precision=lax.Precision.HIGHEST,
        )
        gain = tensors[f"{name}.bn.weight"] * lax.rsqrt(tensors[f"{name}.bn.running_var"] + EPSILON)
        x = (x - tensors[f"{name}.bn.running_mean"].reshape(1, 1, 1, -1)) * gain.reshape(1, 1, 1, -1)
        return jax.nn.relu(x + tensors[f"{name}.bn.bias"].reshape(1, 1, 1, -1))

    return _network(conv, (255 * _resized(images) - 128) / 128)


def inception_shapes() -> dict[str, tuple[int, ...]]:
    """List the shape of every tensor that is needed, by name.

    Example:
        >>> inception_shapes()["Conv2d_1a_3x3.conv.weight"], len(inception_shapes())
        ((32, 3, 3, 3), 470)
    """
    found: dict[str, tuple[int, ...]] = {}

    def conv(
        name: str,
        x: Map,
        num_out: int,
        kernel: tuple[int, int] = (1, 1),
        stride: int = 1,
        pad: tuple[int, int] = (0, 0),
    ) -> Map:
        found[f"{name}.conv.weight"] = (num_out, x.shape[-1], *kernel)
        found.update({f"{name}.bn.{of}": (num_out,) for of in ("weight", "bias", "running_mean", "running_var")})
        sides = [(x.shape[i + 1] + 2 * pad[i] - kernel[i]) // stride + 1 for i in (0, 1)]
        return jnp.zeros((x.shape[0], *sides, num_out))

    jax.eval_shape(lambda x: _network(conv, x), jnp.zeros((1, IMAGE_PX, IMAGE_PX, 3)))
    return found


def load_inception(path: pathlib.Path) -> Tensors:
    """Load the tensors of a file; they are checked by name and shape.

    Raises:
        UsageError: There is no such file, it needs PyTorch, or it holds another network.
    """
    where = f"inception:{path}"
    if not path.is_file():
        raise UsageError(
            f"{where}: expected a file with the weights of pytorch-fid's Inception, got none; check the path"
        )
    if path.suffix in (".pth", ".pt"):
        found = _from_torch(path, where)
    else:
        import safetensors
        import safetensors.numpy

        try:
            found = safetensors.numpy.load_file(path)
        except safetensors.SafetensorError as error:
            raise UsageError(
                f"{where}: expected a safetensors file, got one that is not or is cut ({error})"
            ) from error
    for name, shape in inception_shapes().items():
        got = tuple(found[name].shape) if name in found else None
        if got != shape:
            raise UsageError(
                f"{where}: expected tensor {name} of shape {shape}, got {got or 'none'}; take pytorch-fid's"
            )
    return {name: jnp.asarray(found[name], jnp.float32) for name in inception_shapes()}


def _from_torch(path: pathlib.Path, where: str) -> dict[str, np.ndarray]:
    try:
        import torch
    except ImportError:
        raise UsageError(
            f"{where}: expected PyTorch to read a .pth file, got none; install torch, or take safetensors"
        ) from None
    try:
        tensors = torch.load(path, map_location="cpu", weights_only=True)
    except (pickle.UnpicklingError, struct.error, EOFError, RuntimeError, ValueError) as error:
        raise UsageError(
            f"{where}: expected a file that PyTorch reads, got one that is not or is cut ({error}); take pytorch-fid's"
        ) from error
    if not isinstance(tensors, dict) or not all(isinstance(tensor, torch.Tensor) for tensor in tensors.values()):
        raise UsageError(f"{where}: expected a dictionary of tensors, got something else; take pytorch-fid's file")
    return {name: tensor.numpy() for name, tensor in tensors.items()}


def _resized(images: Float[Array, "b h w 3"]) -> Float[Array, "b 299 299 3"]:
    """Resize bilinearly; output pixel i is at i times the ratio of sizes, as in TensorFlow 1."""
    rows = _weights(images.shape[1])
    columns = _weights(images.shape[2])
    return jnp.einsum("ih,jw,bhwc->bijc", rows, columns, images, precision="highest")


def _weights(size: int) -> Float[Array, "299 h"]:
    place = np.arange(IMAGE_PX) * (size / IMAGE_PX)
    low = np.minimum(place.astype(int), size - 1)
    high = np.minimum(low + 1, size - 1)
    share = place - low
    made = np.zeros((IMAGE_PX, size), np.float32)
    np.add.at(made, (np.arange(IMAGE_PX), low), 1 - share)
    np.add.at(made, (np.arange(IMAGE_PX), high), share)
    return jnp.asarray(made)


# ---- the network -----------------------------------------------------------------------------------------------------


def _network(conv: Conv, x: Map) -> Float[Array, "b 2048"]:
    x = conv("Conv2d_1a_3x3", x, 32, (3, 3), 2)
    x = conv("Conv2d_2a_3x3", x, 32, (3, 3))
    x = _max(conv("Conv2d_2b_3x3", x, 64, (3, 3), 1, (1, 1)))
    x = conv("Conv2d_3b_1x1", x, 80)
    x = _max(conv("Conv2d_4a_3x3", x, 192, (3, 3)))
    for name, num_pool in (("Mixed_5b", 32), ("Mixed_5c", 64), ("Mixed_5d", 64)):
        x = _block_a(conv, name, x, num_pool)
    x = _block_b(conv, "Mixed_6a", x)
    for name, width in (("Mixed_6b", 128), ("Mixed_6c", 160), ("Mixed_6d", 160), ("Mixed_6e", 192)):
        x = _block_c(conv, name, x, width)
    x = _block_d(conv, "Mixed_7a", x)
    x = _block_e(conv, "Mixed_7b", x, _mean)
    x = _block_e(conv, "Mixed_7c", x, lambda x: _max(x, 1, 1))
    return x.mean(axis=(1, 2))


def _block_a(conv: Conv, name: str, x: Map, num_pool: int) -> Map:
    five = conv(f"{name}.branch5x5_2", conv(f"{name}.branch5x5_1", x, 48), 64, (5, 5), 1, (2, 2))
    three = conv(f"{name}.branch3x3dbl_2", conv(f"{name}.branch3x3dbl_1", x, 64), 96, (3, 3), 1, (1, 1))
    three = conv(f"{name}.branch3x3dbl_3", three, 96, (3, 3), 1, (1, 1))
    pooled = conv(f"{name}.branch_pool", _mean(x), num_pool)
    return _joined(conv(f"{name}.branch1x1", x, 64), five, three, pooled)


def _block_b(conv: Conv, name: str, x: Map) -> Map:
    double = conv(f"{name}.branch3x3dbl_2", conv(f"{name}.branch3x3dbl_1", x, 64), 96, (3, 3), 1, (1, 1))
    double = conv(f"{name}.branch3x3dbl_3", double, 96, (3, 3), 2)
    return _joined(conv(f"{name}.branch3x3", x, 384, (3, 3), 2), double, _max(x))


def _block_c(conv: Conv, name: str, x: Map, width: int) -> Map:
    def across(part: str, x: Map, num_out: int) -> Map:
        return conv(f"{name}.{part}", x, num_out, (1, 7), 1, (0, 3))

    def down(part: str, x: Map, num_out: int) -> Map:
        return conv(f"{name}.{part}", x, num_out, (7, 1), 1, (3, 0))

    once = down("branch7x7_3", across("branch7x7_2", conv(f"{name}.branch7x7_1", x, width), width), 192)
    twice = down("branch7x7dbl_2", conv(f"{name}.branch7x7dbl_1", x, width), width)
    twice = down("branch7x7dbl_4", across("branch7x7dbl_3", twice, width), width)
    twice = across("branch7x7dbl_5", twice, 192)
    return _joined(conv(f"{name}.branch1x1", x, 192), once, twice, conv(f"{name}.branch_pool", _mean(x), 192))


def _block_d(conv: Conv, name: str, x: Map) -> Map:
    three = conv(f"{name}.branch3x3_2", conv(f"{name}.branch3x3_1", x, 192), 320, (3, 3), 2)
    seven = conv(f"{name}.branch7x7x3_2", conv(f"{name}.branch7x7x3_1", x, 192), 192, (1, 7), 1, (0, 3))
    seven = conv(f"{name}.branch7x7x3_3", seven, 192, (7, 1), 1, (3, 0))
    return _joined(three, conv(f"{name}.branch7x7x3_4", seven, 192, (3, 3), 2), _max(x))


def _block_e(conv: Conv, name: str, x: Map, pool: Callable[[Map], Map]) -> Map:
    def both(part: str, x: Map) -> Map:
        return _joined(
            conv(f"{name}.{part}a", x, 384, (1, 3), 1, (0, 1)), conv(f"{name}.{part}b", x, 384, (3, 1), 1, (1, 0))
        )

    three = both("branch3x3_2", conv(f"{name}.branch3x3_1", x, 384))
    double = conv(f"{name}.branch3x3dbl_2", conv(f"{name}.branch3x3dbl_1", x, 448), 384, (3, 3), 1, (1, 1))
    pooled = conv(f"{name}.branch_pool", pool(x), 192)
    return _joined(conv(f"{name}.branch1x1", x, 320), three, both("branch3x3dbl_3", double), pooled)


def _joined(*maps: Map) -> Map:
    return jnp.concatenate(maps, axis=-1)


def _max(x: Map, stride: int = 2, pad: int = 0) -> Map:
    around = [(0, 0), (pad, pad), (pad, pad), (0, 0)]
    return lax.reduce_window(x, -jnp.inf, lax.max, (1, 3, 3, 1), (1, stride, stride, 1), around)


def _mean(x: Map) -> Map:
    """Average 3 x 3 neighbours that are in the map: padding does not count."""
    sums = lax.reduce_window(x, 0.0, lax.add, (1, 3, 3, 1), (1, 1, 1, 1), [(0, 0), (1, 1), (1, 1), (0, 0)])
    down, across = (np.convolve(np.ones(side), np.ones(3), "same") for side in x.shape[1:3])
    return sums / np.outer(down, across).astype(np.float32)[None, :, :, None]
