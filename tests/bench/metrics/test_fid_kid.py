"""Frechet and kernel distances against plain twins, and the features that they are of."""

import itertools

import numpy as np
import pytest
from scipy import linalg

from bench.errors import UsageError
from bench.metrics import fid_kid
from bench.metrics.fid_kid import frechet, kernel

RANDOM = np.random.default_rng(3)


def normal(num, num_features, mean=0.0, scale=1.0):
    return RANDOM.normal(mean, scale, (num, num_features)).astype(np.float32)


def test_frechet_is_the_formula_with_a_matrix_root():
    a, b = normal(60, 5), normal(80, 5, 0.3, 1.7)
    roots = linalg.sqrtm(np.cov(a.T) @ np.cov(b.T))
    expected = ((a.mean(0) - b.mean(0)) ** 2).sum() + np.trace(np.cov(a.T) + np.cov(b.T) - 2 * roots.real)
    assert frechet(a, b) == pytest.approx(expected, rel=1e-5)


def test_frechet_with_fewer_images_than_features():
    """The covariance of images on a line has rank one: the spreads differ by 2 - 1, the means by 0."""
    line = np.asarray([[-1.0], [1.0]]) / np.sqrt(2)  # variance 1
    direction = np.eye(6)[2:3]
    assert frechet(line @ direction, 2 * line @ direction) == pytest.approx(1.0)
    assert frechet(normal(9, 40), normal(9, 40)) > 0


def test_a_set_is_where_it_is_and_order_does_not_matter():
    a = normal(30, 50)
    assert frechet(a, a[::-1]) == pytest.approx(0.0, abs=1e-6)
    assert frechet(a, a + 2) == pytest.approx(4 * 50, rel=1e-6)


def test_kernel_is_the_estimator_by_loops():
    x, y = normal(6, 4), normal(6, 4, 0.5)
    found = kernel(x, y, subset_size=6, num_subsets=1)

    def value(a, b):
        return (float(a @ b) / 4 + 1) ** 3

    inside = [np.mean([value(a, b) for a, b in itertools.permutations(rows, 2)]) for rows in (x, y)]
    across = np.mean([value(a, b) for a, b in itertools.product(x, y)])
    assert found.mean == pytest.approx(sum(inside) - 2 * across, rel=1e-5)
    assert (found.std, found.subset_size) == (0.0, 6)


def test_kernel_is_unbiased_and_sees_a_shift():
    same = [kernel(normal(40, 8), normal(40, 8), num_subsets=5, seed=i).mean for i in range(40)]
    assert abs(np.mean(same)) < 4 * np.std(same) / np.sqrt(len(same))
    assert kernel(normal(40, 8), normal(40, 8, 1.0)).mean > max(same)


def test_subsets_are_no_larger_than_the_sets():
    assert kernel(normal(5, 3), normal(90, 3)).subset_size == 5


@pytest.mark.parametrize("function", [frechet, kernel])
def test_one_image_is_no_set(function):
    with pytest.raises(ValueError, match="at least 2 images"):
        function(normal(1, 3), normal(5, 3))


def test_features_do_not_depend_on_the_batch(monkeypatch):
    monkeypatch.setattr(fid_kid, "BATCH", 4)
    images = RANDOM.random((5, 32, 32, 3)).astype(np.float32)
    extract = fid_kid.features("encoder:embedded-vit-16")
    found = extract(images)
    assert found.shape == (5, 128)
    np.testing.assert_allclose(found[4:], extract(images[4:]), atol=1e-5)


def test_vgg_features_are_the_last_layer_of_lpips(monkeypatch):
    """Images that differ are apart, equal ones are not; the layer's activations are never negative."""
    monkeypatch.setattr(fid_kid, "BATCH", 2)
    images = RANDOM.random((2, 32, 32, 3)).astype(np.float32)
    found = fid_kid.features("lpips-vgg")(np.concatenate([images, images[:1]]))
    assert found.shape == (3, 512) and found.min() >= 0
    np.testing.assert_allclose(found[0], found[2], rtol=1e-5)
    assert np.abs(found[0] - found[1]).max() > 1e-3


def test_unknown_features():
    with pytest.raises(UsageError, match="features: expected lpips-vgg, encoder:NAME or inception:PATH, got 'resnet'"):
        fid_kid.features("resnet")
