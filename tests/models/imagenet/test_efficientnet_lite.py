"""EfficientNet-Lite at a small size against loops in float64, from tensors as the published file names them."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from bench.errors import UsageError
from models.imagenet import variables
from models.imagenet.architectures import CLASSIFIERS
from models.imagenet.efficientnet_lite import EfficientNetLite
from models.imagenet.loading import ImageOnlyTowers
from tests.models.imagenet.test_windows import depthwise, padded

SMALL = EfficientNetLite(
    image_px=33, channels=(4, 4, 6, 6, 8, 8, 10), depths=(1, 2, 1, 1, 1, 1, 1), embedding_dim=10, num_classes=7
)
KERNELS = (3, 3, 5, 3, 5, 5, 3)
STRIDES = (1, 2, 2, 2, 1, 2, 1)


def tensors(seed=0):
    """A state dict with every tensor that the package's model has at these sizes."""
    rng = np.random.default_rng(seed)
    made = {}

    def convolution(name, normalisation, shape):
        made[f"{name}.weight"] = rng.normal(0, 1.5 / np.sqrt(np.prod(shape[1:])), shape)
        made[f"{normalisation}.weight"] = rng.uniform(0.5, 1.5, shape[0])
        made[f"{normalisation}.bias"] = rng.normal(0.5, 0.5, shape[0])
        made[f"{normalisation}.running_mean"] = rng.normal(0, 0.3, shape[0])
        made[f"{normalisation}.running_var"] = rng.uniform(0.01, 2, shape[0])
        made[f"{normalisation}.num_batches_tracked"] = np.array(3)

    convolution("_conv_stem", "_bn0", (32, 3, 3, 3))
    width, number = 32, 0
    for channels, depth, size in zip(SMALL.channels, SMALL.depths, KERNELS, strict=True):
        for _ in range(depth):
            block = f"_blocks.{number}"
            inner = width if number == 0 else 6 * width
            if number:
                convolution(f"{block}._expand_conv", f"{block}._bn0", (inner, width, 1, 1))
            convolution(f"{block}._depthwise_conv", f"{block}._bn1", (inner, 1, size, size))
            convolution(f"{block}._project_conv", f"{block}._bn2", (channels, inner, 1, 1))
            width = channels
            number += 1
    convolution("_conv_head", "_bn1", (10, width, 1, 1))
    made["_fc.weight"] = rng.normal(size=(7, 10))
    made["_fc.bias"] = rng.normal(size=7)
    return {name: np.asarray(array, np.float32) for name, array in made.items()}


def twin(state, image):
    """All features of one image, in float64, with batch normalisation as it is written in the paper."""
    state = {name: array.astype(np.float64) for name, array in state.items()}

    def normalised(x, name):
        scale = state[f"{name}.weight"] / np.sqrt(state[f"{name}.running_var"] + 1e-3)
        return (x - state[f"{name}.running_mean"]) * scale + state[f"{name}.bias"]

    def relu6(x):
        return np.clip(x, 0, 6)

    def pointwise(x, name):
        return x @ state[f"{name}.weight"][:, :, 0, 0].T

    kernel = state["_conv_stem.weight"].transpose(2, 3, 1, 0)
    rows = padded(image, 3, 2)
    x = np.array(
        [[np.tensordot(rows[i : i + 3, j : j + 3], kernel, 3) for j in range(0, 33, 2)] for i in range(0, 33, 2)]
    )
    x = relu6(normalised(x, "_bn0"))
    found = {"stage_0": x.mean(axis=(0, 1))}
    number = 0
    for stage, depth in enumerate(SMALL.depths):
        for j in range(depth):
            block = f"_blocks.{number}"
            y = relu6(normalised(pointwise(x, f"{block}._expand_conv"), f"{block}._bn0")) if number else x
            kernel = state[f"{block}._depthwise_conv.weight"][:, 0].transpose(1, 2, 0)
            y = depthwise(y, kernel, 0.0, STRIDES[stage] if j == 0 else 1)
            y = relu6(normalised(y, f"{block}._bn1"))
            y = normalised(pointwise(y, f"{block}._project_conv"), f"{block}._bn2")
            x = x + y if j else y
            number += 1
        found[f"stage_{stage + 1}"] = x.mean(axis=(0, 1))
    x = relu6(normalised(pointwise(x, "_conv_head"), "_bn1"))
    found |= {"spatial": x.ravel(), "embedding": x.mean(axis=(0, 1))}
    return found | {"logits": found["embedding"] @ state["_fc.weight"].T + state["_fc.bias"]}


@pytest.fixture(scope="module")
def params():
    found = dict(variables.fold_efficientnet(tensors(), SMALL, "small"))
    assert {path: np.shape(array) for path, array in found.items()} == variables.classifier_shapes(SMALL)
    return variables.unflatten({path: np.asarray(array, np.float32) for path, array in found.items()})


def images(num=2):
    return np.random.default_rng(1).normal(size=(num, 33, 33, 3)).astype(np.float32)


def test_every_feature_is_that_of_the_loops(params):
    found = jax.jit(lambda params, images: SMALL.apply(params, images, None))(params, images())
    expected = [twin(tensors(), image) for image in images()]
    assert {*found} == {*SMALL.features} == {*expected[0]}
    for name, features in found.items():
        want = np.stack([each[name] for each in expected])
        np.testing.assert_allclose(features, want, atol=2e-5 * np.abs(want).max(), err_msg=name)
        assert np.abs(want).max() > 0.05 and np.std(want) > 0.01, name


def test_one_feature_is_one_of_all(params):
    towers = ImageOnlyTowers(SMALL)
    every = jax.jit(lambda x: SMALL.apply(params, x, None))(images())
    names = ("embedding", "logits", "stage_2")
    found = jax.jit(lambda x: [towers.image(params, x, name) for name in names])(images())
    for name, features in zip(names, found, strict=True):
        np.testing.assert_allclose(features, every[name], rtol=1e-5, atol=1e-6)


def test_gradients_reach_the_picture(params):
    direction = np.random.default_rng(2).normal(size=(1, 33, 33, 3)).astype(np.float32)

    @jax.jit
    def slope(x):
        return jax.jvp(lambda x: (SMALL.apply(params, x) ** 2).sum(), (x,), (jnp.asarray(direction),))[1]

    @jax.jit
    def gradient(x):
        return jax.grad(lambda x: (SMALL.apply(params, x) ** 2).sum())(x)

    x = jnp.asarray(images(1))
    assert float((gradient(x) * direction).sum()) == pytest.approx(float(slope(x)), rel=1e-4)
    state = tensors()
    step = 1e-6 * direction[0].astype(np.float64)
    ahead, behind = (
        (twin(state, images(1)[0].astype(np.float64) + sign * step)["embedding"] ** 2).sum() for sign in (1, -1)
    )
    assert float(slope(x)) == pytest.approx((ahead - behind) / 2e-6, rel=1e-3)
    assert float(jnp.mean(jnp.abs(gradient(x)) > 0)) > 0.99


def test_bfloat16_is_near(params):
    half = dataclasses.replace(SMALL, dtype=jnp.bfloat16)
    found, gradient = jax.jit(
        lambda x: (half.apply(params, x), jax.grad(lambda x: half.apply(params, x).astype(jnp.float32).sum())(x))
    )(images())
    want = np.stack([twin(tensors(), image)["embedding"] for image in images()])
    assert found.dtype == jnp.bfloat16 and gradient.dtype == jnp.float32
    assert np.linalg.norm(found - want) < 0.03 * np.linalg.norm(want)
    assert np.isfinite(gradient).all()


def test_a_state_that_lacks_a_tensor_or_has_one_more():
    state = tensors()
    with pytest.raises(UsageError, match="small: expected no other tensors, got extra.weight; install"):
        dict(variables.fold_efficientnet(state | {"extra.weight": np.zeros(1)}, SMALL, "small"))
    del state["_blocks.3._bn2.bias"]
    with pytest.raises(UsageError, match=r"small: expected the tensor _blocks\.3\._bn2\.bias, got none"):
        dict(variables.fold_efficientnet(state, SMALL, "small"))


@pytest.mark.parametrize(
    ("name", "num_parameters"), [("EfficientNet-Lite0", 4_652_008), ("EfficientNet-Lite2", 6_092_072)]
)
def test_full_sizes_have_the_published_number_of_parameters(name, num_parameters):
    """As the originals count them: a scale and a shift for each channel, of which folding leaves the shift."""
    shapes = variables.classifier_shapes(CLASSIFIERS[name])
    scales = sum(shape[0] for path, shape in shapes.items() if path.endswith("/bias") and "classifier" not in path)
    assert sum(int(np.prod(shape)) for shape in shapes.values()) + scales == num_parameters
