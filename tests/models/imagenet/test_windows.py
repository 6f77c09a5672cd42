"""Depthwise convolution and max pooling against loops over pixels."""

import math

import jax
import numpy as np
import pytest

from models.imagenet import windows


def padded(x, size, stride):
    """Zeros as TensorFlow's SAME has them, from the sizes alone: the result has `size / stride` pixels, rounded up."""
    sides = []
    for length in x.shape[:2]:
        zeros = max((math.ceil(length / stride) - 1) * stride + size - length, 0)
        sides.append((zeros // 2, math.ceil(zeros / 2)))
    return np.pad(x, (*sides, (0, 0)))


def depthwise(x, kernel, bias, stride):
    """One image, pixel by pixel, in float64."""
    size = len(kernel)
    shape = (math.ceil(x.shape[0] / stride), math.ceil(x.shape[1] / stride))
    x = padded(x.astype(np.float64), size, stride)
    found = np.zeros((*shape, x.shape[-1]))
    for row, column in np.ndindex(shape):
        window = x[row * stride : row * stride + size, column * stride : column * stride + size]
        found[row, column] = (window * kernel).sum(axis=(0, 1)) + bias
    return found


@pytest.mark.parametrize("shape", [(9, 9), (8, 11), (3, 2)])
@pytest.mark.parametrize(("size", "stride"), [(3, 1), (3, 2), (5, 1), (5, 2)])
def test_depthwise_convolution(shape, size, stride):
    rng = np.random.default_rng(size + stride)
    x = rng.normal(size=(2, *shape, 3)).astype(np.float32)
    layer = windows.DepthwiseConvolution(size, stride)
    params = {"kernel": rng.normal(size=(size, size, 3)).astype(np.float32), "bias": np.float32([1, -2, 3])}
    found = jax.jit(layer.apply)({"params": params}, x)
    expected = [depthwise(image, params["kernel"], params["bias"], stride) for image in x]
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(("size", "shape"), [(2, (8, 8)), (2, (7, 9)), (3, (13, 13)), (3, (6, 7))])
def test_max_pool(size, shape):
    x = np.random.default_rng(size).normal(size=(1, *shape, 2)).astype(np.float32)
    found = jax.jit(windows.max_pool, static_argnums=(1, 2))(x, size, 2)
    rows, columns = ((length - size) // 2 + 1 for length in shape)
    expected = np.zeros((1, rows, columns, 2), np.float32)
    for row, column in np.ndindex(rows, columns):
        window = x[:, 2 * row : 2 * row + size, 2 * column : 2 * column + size]
        expected[:, row, column] = window.max(axis=(1, 2))
    np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("size", [(7, 3, 1), (224, 3, 2), (65, 5, 2), (33, 3, 2), (130, 5, 2), (4, 1, 2)])
def test_padding_leaves_no_pixel_out(size):
    length, window, stride = size
    before, behind = windows.same_padding(*size)
    assert 0 <= behind - before <= 1
    assert (length + before + behind - window) // stride + 1 == math.ceil(length / stride)
