"""Lenses: the formulas against a twin of OpenCV's, points there and back, and lenses that no ray can be found for."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bench.errors import UsageError
from tasks import cameras, lens_distortion
from tests.fixtures.lenses import LENSES, project

# Compiled once for all tests: op by op, each operation is a program of its own.
make_rays = jax.jit(cameras.view_rays, static_argnums=(2, 3))
undistort = jax.jit(lens_distortion.undistort)


def intrinsics_of(lens, width, height):
    focal = lens.focal_share * width
    return cameras.Intrinsics(
        *(np.float32(x) for x in (focal, 1.02 * focal, 0.49 * width, 0.52 * height)), lens.distortion()
    )


@pytest.mark.parametrize("lens", LENSES, ids=lambda lens: lens.name)
def test_a_ray_through_any_pixel_is_seen_in_that_pixel(lens):
    width, height = 800, 600
    inner = intrinsics_of(lens, width, height)
    pose = cameras.look_at(*(np.asarray(x) for x in (40.0, 20.0, 3.0)))
    rays = make_rays(jnp.asarray(pose), inner, height, width, 2.0, 6.0)
    points = np.asarray(rays.origins, np.float64) + 2.5 * np.asarray(rays.directions, np.float64)
    seen = project(lens, inner, pose, points)
    rows, columns = np.meshgrid(np.arange(height) + 0.5, np.arange(width) + 0.5, indexing="ij")
    # float32 poses turn a ray by 1e-7 or so; that is below 1e-3 px here.
    assert np.abs(seen[..., 0] - columns).max() < 1e-3
    assert np.abs(seen[..., 1] - rows).max() < 1e-3


@pytest.mark.parametrize("lens", LENSES, ids=lambda lens: lens.name)
def test_depth_along_the_axis_is_still_t(lens):
    inner = intrinsics_of(lens, 40, 30)
    pose = cameras.look_at(*(np.asarray(x) for x in (10.0, 50.0, 3.0)))
    rays = make_rays(jnp.asarray(pose), inner, 30, 40, 2.0, 6.0)
    np.testing.assert_allclose(np.asarray(rays.directions) @ -pose[:3, 2], 1, atol=5e-6)


@pytest.mark.parametrize("lens", LENSES, ids=lambda lens: lens.name)
def test_distort_is_the_formula_of_opencv(lens):
    x, y = (axis.astype(np.float32) for axis in np.meshgrid(np.linspace(-0.5, 0.5, 9), np.linspace(-0.4, 0.4, 7)))
    found = lens_distortion.distort(lens.distortion(), x, y)
    np.testing.assert_allclose(found, lens.slow_distort(x.astype(float), y.astype(float)), atol=1e-6)


@pytest.mark.parametrize("lens", LENSES, ids=lambda lens: lens.name)
def test_radius_is_the_distance_of_neighbouring_directions(lens):
    inner = intrinsics_of(lens, 400, 300)
    rays = make_rays(jnp.eye(4), inner, 300, 400, 2.0, 6.0)
    around = np.asarray(rays.directions)
    apart = 0.5 * np.linalg.norm(around[:, 2:] - around[:, :-2], axis=-1)
    np.testing.assert_allclose(rays.radius[:, 1:-1], apart * 2 / math.sqrt(12), rtol=3e-3)


def test_numpy_and_jax_give_the_same():
    lens = LENSES[0].distortion()
    x = np.linspace(-0.4, 0.4, 11, dtype=np.float32)
    for one, other in zip(
        lens_distortion.undistort(lens, x, x[::-1]),
        undistort(lens, jnp.asarray(x), jnp.asarray(x[::-1])),
        strict=True,
    ):
        np.testing.assert_allclose(one, other, atol=1e-6)


def test_each_photograph_has_its_own_lens():
    lenses = [LENSES[0].distortion(), None, LENSES[-1].distortion()]
    stacked = lens_distortion.stack_distortions(lenses)
    assert jax.tree.map(np.shape, stacked) == lens_distortion.Distortion((3, 6), (3, 2), (3,))
    points = jnp.array([0.2, 0.2, 0.2]), jnp.array([-0.1, -0.1, -0.1])
    together = undistort(stacked, *points)
    assert float(together.x[1]) == pytest.approx(0.2) and float(together.stretch[1]) == pytest.approx(1)
    for n in (0, 2):
        alone = undistort(lenses[n], points[0][n], points[1][n])
        np.testing.assert_allclose([x[n] for x in together], alone, atol=1e-6)
    assert lens_distortion.stack_distortions([None, None]) is None


@given(st.floats(-0.2, 0.2), st.floats(-0.05, 0.05), st.floats(-0.01, 0.01), st.floats(-0.01, 0.01))
@settings(max_examples=40, deadline=None)
def test_what_the_check_accepts_comes_back(k1, k2, p1, p2):
    lens = lens_distortion.lens_distortion("test", "OPENCV", {"k1": k1, "k2": k2, "p1": p1, "p2": p2})
    if lens is None:
        return
    try:
        lens_distortion.check_lens("test", lens, (50.0, 50.0), (32.0, 24.0), (48, 64))
    except UsageError:
        return
    columns, rows = (axis.astype(np.float32) for axis in np.meshgrid(np.arange(64) + 0.5, np.arange(48) + 0.5))
    x = (columns - 32) / 50
    y = (rows - 24) / 50
    ideal = lens_distortion.undistort(lens, x, y)
    again = lens_distortion.distort(lens, ideal.x, ideal.y)
    assert np.abs(np.stack(again) - np.stack([x, y])).max() * 50 < 1e-3


FOLDING = {
    "barrel that folds": ("OPENCV", {"k1": -0.9}),
    "rational with a pole": ("FULL_OPENCV", {"k4": -3.0}),
    "fisheye that turns back": ("OPENCV_FISHEYE", {"k1": -0.6}),
    "fisheye beyond the axis": ("OPENCV_FISHEYE", {"k1": -0.2, "k2": 0.0}),
}


@pytest.mark.parametrize("name", FOLDING)
def test_a_lens_that_folds_is_refused(name):
    model, coefficients = FOLDING[name]
    lens = lens_distortion.lens_distortion("photo 3", model, coefficients)
    focal = 20.0 if "beyond" in name else 40.0
    with pytest.raises(UsageError, match=r"photo 3.*one ray.*column \d+, row \d+; check its coefficients, or mask"):
        lens_distortion.check_lens("photo 3", lens, (focal, focal), (32.0, 24.0), (48, 64))


def test_what_is_masked_out_may_fold():
    lens = lens_distortion.lens_distortion("", "OPENCV", {"k1": -0.9})
    inside = np.zeros((48, 64), np.float32)
    inside[16:32, 24:40] = 1
    lens_distortion.check_lens("", lens, (40.0, 40.0), (32.0, 24.0), (48, 64), inside)


@pytest.mark.parametrize("lens", LENSES, ids=lambda lens: lens.name)
def test_lenses_of_real_cameras_are_accepted(lens):
    inner = intrinsics_of(lens, 800, 600)
    focal = float(inner.focal_x), float(inner.focal_y)
    center = float(inner.center_x), float(inner.center_y)
    lens_distortion.check_lens("", lens.distortion(), focal, center, (600, 800))


def test_unknown_models_and_coefficients_are_refused():
    with pytest.raises(UsageError, match="OPENCVV.*OPENCV"):
        lens_distortion.lens_distortion("cameras.txt", "OPENCVV", {})
    with pytest.raises(UsageError, match="k3=0.1"):
        lens_distortion.lens_distortion("cameras.txt", "RADIAL", {"k1": 0.1, "k3": 0.1})
    assert lens_distortion.lens_distortion("cameras.txt", "RADIAL", {"k1": 0.0, "k2": 0.0}) is None
    # Without coefficients a fisheye lens is no pinhole.
    assert lens_distortion.lens_distortion("cameras.txt", "OPENCV_FISHEYE", {}) is not None
