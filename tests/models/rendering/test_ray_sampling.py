"""Sampling along rays, against loops in float64 and exact fractions."""

from __future__ import annotations

from fractions import Fraction

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.rendering import ray_sampling
from tasks.cameras import Rays, intrinsics_from_fov, look_at, view_rays

FEW = settings(max_examples=25, deadline=None)
SEEDS = st.integers(0, 2**31 - 1)

# Compiled once: op by op, every new shape costs a compilation for each operation.
jit_fenceposts = jax.jit(ray_sampling.fenceposts, static_argnums=2)
jit_invert_cdf = jax.jit(ray_sampling.invert_cdf)
jit_importance = jax.jit(ray_sampling.add_importance_points, static_argnums=2)
jit_inverse_depths = jax.jit(ray_sampling.space_inverse_depths)
jit_resample = jax.jit(ray_sampling.resample_fenceposts, static_argnums=2, static_argnames="padding")
jit_frustums = jax.jit(ray_sampling.conical_frustums, static_argnames="variance_scale")


def lengths(most: float) -> st.SearchStrategy[float]:
    return st.floats(0, most, width=32, allow_subnormal=False)  # XLA takes those for zero


def some_rays(num: int, seed: int = 0) -> Rays:
    draw = np.random.default_rng(seed)
    return Rays(
        origins=jnp.asarray(draw.normal(size=(num, 3)), jnp.float32),
        directions=jnp.asarray(draw.normal(size=(num, 3)), jnp.float32),
        near=jnp.full(num, 2.0),
        far=jnp.full(num, 6.0),
        radius=jnp.asarray(draw.uniform(1e-3, 1e-2, num), jnp.float32),
    )


def sorted_tdist(draw: np.random.Generator, rays: int, bins: int) -> np.ndarray:
    return np.sort(draw.uniform(2, 6, (rays, bins + 1)), axis=-1).astype(np.float32)


# --- fenceposts ---


def test_regular_fenceposts_are_evenly_spaced_and_end_exactly():
    near, far = jnp.array([2.0, 0.1]), jnp.array([6.0, 0.3])
    tdist = np.asarray(jit_fenceposts(near, far, 7))
    for row, low, high in zip(tdist, near, far, strict=True):
        np.testing.assert_allclose(row, np.linspace(float(low), float(high), 8), rtol=1e-6)
        assert row[0] == low and row[-1] == high


@FEW
@given(seed=SEEDS, near=lengths(1e4), length=lengths(1e3), jitter=st.booleans())
def test_fenceposts_are_sorted_and_within_the_ray(seed, near, length, jitter):
    near = np.full(3, near, np.float32)
    far = (near + np.float32(length)).astype(np.float32)
    key = jax.random.key(seed) if jitter else None
    tdist = np.asarray(jit_fenceposts(near, far, 12, key))
    assert tdist.shape == (3, 13)
    assert np.all(np.diff(tdist, axis=-1) >= 0)
    assert np.all(tdist >= near[:, None]) and np.all(tdist <= far[:, None])


def test_jittered_fenceposts_stay_within_half_a_bin_and_fill_it():
    num_bins, num_rays = 4, 4000
    tdist = jit_fenceposts(jnp.zeros(num_rays), jnp.full(num_rays, 4.0), num_bins, jax.random.key(0))
    shift = np.asarray(tdist) - np.arange(5)
    low, high = np.array([0, -0.5, -0.5, -0.5, -0.5]), np.array([0.5, 0.5, 0.5, 0.5, 0])
    assert np.all(shift >= low - 1e-6) and np.all(shift <= high + 1e-6)
    # Uniform between its bounds: mean in the middle, standard error 1 / sqrt(12 n) of the width.
    np.testing.assert_allclose(shift.mean(axis=0), (low + high) / 2, atol=4 / np.sqrt(12 * num_rays))
    assert np.all(shift.min(axis=0) < low + 0.01) and np.all(shift.max(axis=0) > high - 0.01)


# --- resampling ---


def slow_invert_cdf(tdist, weights, quantiles):
    """Walks along the bins; float64."""
    out = []
    for quantile in quantiles:
        left = float(quantile) * sum(map(float, weights))
        t = float(tdist[0])
        for low, high, weight in zip(tdist[:-1], tdist[1:], weights, strict=True):
            t = float(low)
            if left <= weight:
                t += (float(high) - float(low)) * (left / float(weight) if weight > 0 else 0)
                break
            left -= float(weight)
            t = float(high)
        out.append(t)
    return np.array(out)


def test_invert_cdf_matches_a_walk_along_the_bins():
    draw = np.random.default_rng(0)
    tdist = sorted_tdist(draw, 4, 9)
    weights = draw.uniform(0.05, 1, (4, 9)).astype(np.float32)
    quantiles = draw.uniform(0, 1, (4, 11)).astype(np.float32)
    quantiles[:, 0], quantiles[:, 1] = 0, 1
    result = jit_invert_cdf(tdist, weights, quantiles)
    expected = [slow_invert_cdf(*row) for row in zip(tdist, weights, quantiles, strict=True)]
    np.testing.assert_allclose(result, expected, atol=5e-6)


@FEW
@given(seed=SEEDS, zeros=st.integers(0, 8), scale=st.sampled_from([1e-6, 1.0, 1e6]))
def test_invert_cdf_is_monotone_within_bounds_and_avoids_empty_bins(seed, zeros, scale):
    draw = np.random.default_rng(seed)
    tdist = sorted_tdist(draw, 2, 9)
    weights = draw.uniform(0.1, 1, (2, 9)).astype(np.float32) * np.float32(scale)
    empty = draw.permutation(9)[:zeros]
    weights[:, empty] = 0
    quantiles = np.sort(draw.uniform(0.001, 0.999, (2, 40)), axis=-1).astype(np.float32)
    result = np.asarray(jit_invert_cdf(tdist, weights, quantiles))
    assert np.all(np.diff(result, axis=-1) >= 0)
    assert np.all(result >= tdist[:, :1]) and np.all(result <= tdist[:, -1:])
    for row, posts in zip(result, tdist, strict=True):
        for i in empty:
            edge = 1e-4 * (posts[i + 1] - posts[i]) + 2e-6
            assert not np.any((row > posts[i] + edge) & (row < posts[i + 1] - edge))


def slow_importance(t, weights, num):
    middles = [(float(a) + float(b)) / 2 for a, b in zip(t[:-1], t[1:], strict=True)]
    inner = [float(w) + 1e-5 for w in weights[1:-1]]
    return np.sort(np.concatenate([t, slow_invert_cdf(middles, inner, np.linspace(0, 1, num))]))


def test_importance_points_match_the_slow_twin():
    draw = np.random.default_rng(3)
    t = sorted_tdist(draw, 3, 9)
    weights = (draw.uniform(0, 1, (3, 10)) ** 6).astype(np.float32)
    result = np.asarray(jit_importance(t, weights, 7))
    expected = np.array([slow_importance(a, b, 7) for a, b in zip(t, weights, strict=True)])
    # The last quantile, 1, may fall anywhere in a last bin of next to no weight; its neighbour of 1e-5 is 1e-2 wide.
    np.testing.assert_allclose(result, expected, atol=2e-3)
    for row, old in zip(result, t, strict=True):
        assert np.isin(old, row).all()


@FEW
@given(seed=SEEDS, dark=st.booleans())
def test_importance_points_are_sorted_and_on_the_ray(seed, dark):
    draw = np.random.default_rng(seed)
    t = sorted_tdist(draw, 2, 9)
    weights = np.zeros((2, 10), np.float32) if dark else draw.uniform(0, 1, (2, 10)).astype(np.float32)
    result = np.asarray(jit_importance(t, weights, 6, jax.random.key(seed)))
    assert result.shape == (2, 10 + 6)
    assert np.all(np.diff(result, axis=-1) >= 0)
    assert np.all(result >= t[:, :1]) and np.all(result <= t[:, -1:])


def test_random_importance_points_follow_the_weights():
    t = jnp.arange(6.0)[None]
    weights = jnp.array([[9.0, 0.1, 0.6, 0.3, 0.0, 9.0]])
    num = 5_000
    drawn = np.asarray(jit_importance(t, weights, num, jax.random.key(0)))[0]
    drawn = drawn[~np.isin(drawn, np.arange(6.0))]
    counts, _ = np.histogram(drawn, bins=[0.5, 1.5, 2.5, 3.5, 4.5])
    np.testing.assert_allclose(counts / num, [0.1, 0.6, 0.3, 0], atol=4 * 0.5 / np.sqrt(num))


def slow_resample(tdist, weights, num_bins, padding):
    num = len(weights)
    blurred = []
    for i in range(num):
        before = max(weights[max(i - 1, 0)], weights[i])
        after = max(weights[i], weights[min(i + 1, num - 1)])
        blurred.append(0.5 * (before + after) + padding)
    return slow_invert_cdf(tdist, blurred, np.linspace(0, 1, num_bins + 1))


def test_resampled_fenceposts_match_the_slow_twin():
    draw = np.random.default_rng(5)
    tdist = sorted_tdist(draw, 3, 8)
    weights = (draw.uniform(0, 1, (3, 8)) ** 4).astype(np.float32)
    result = jit_resample(tdist, weights, 10)
    expected = [slow_resample(a, b.astype(np.float64), 10, 0.01) for a, b in zip(tdist, weights, strict=True)]
    np.testing.assert_allclose(result, expected, atol=1e-5)


@FEW
@given(seed=SEEDS, dark=st.booleans())
def test_resampled_fenceposts_are_sorted_and_on_the_ray(seed, dark):
    draw = np.random.default_rng(seed)
    tdist = sorted_tdist(draw, 2, 8)
    weights = np.zeros((2, 8), np.float32) if dark else draw.uniform(0, 1, (2, 8)).astype(np.float32) ** 9
    result = np.asarray(jit_resample(tdist, weights, 11, jax.random.key(seed)))
    assert result.shape == (2, 12)
    assert np.all(np.diff(result, axis=-1) >= 0)
    assert np.all(result >= tdist[:, :1]) and np.all(result <= tdist[:, -1:])


def test_without_padding_empty_space_far_from_a_surface_is_not_visited():
    tdist, weights = jnp.arange(9.0)[None], jnp.zeros((1, 8)).at[0, 4].set(1)
    # The blur reaches half of each neighbour: bins 3, 4 and 5.
    bare = np.asarray(jit_resample(tdist, weights, 200, jax.random.key(0), padding=0.0))
    assert bare.min() >= 3 and bare.max() <= 6
    padded = np.asarray(jit_resample(tdist, weights, 200, jax.random.key(0), padding=0.01))
    assert padded.min() < 3 and padded.max() > 6


@pytest.mark.parametrize("resample", [ray_sampling.add_importance_points, ray_sampling.resample_fenceposts])
def test_no_gradient_passes_through_resampling(resample):
    size = 6 if resample is ray_sampling.add_importance_points else 5

    def total(t, weights):
        return jnp.sum(resample(t, weights, 4, jax.random.key(0)) ** 2)

    gradients = jax.jit(jax.grad(total, argnums=(0, 1)))(jnp.arange(6.0)[None], jnp.ones((1, size)))
    assert all(np.all(np.asarray(g) == 0) for g in gradients)


def test_vmap_over_trials_equals_a_loop():
    draw = np.random.default_rng(8)
    t = jnp.asarray(np.stack([sorted_tdist(draw, 3, 9) for _ in range(2)]))
    weights = jnp.asarray(draw.uniform(0, 1, (2, 3, 10)), jnp.float32)
    keys = jax.random.split(jax.random.key(0), 2)

    def draw_all(t, weights, key):
        first, second, third = jax.random.split(key, 3)
        return (
            ray_sampling.fenceposts(t[:, 0], t[:, -1], 5, first),
            ray_sampling.add_importance_points(t, weights, 4, second),
            ray_sampling.resample_fenceposts(t, weights[:, 1:], 4, third),
        )

    packed = jax.jit(jax.vmap(draw_all))(t, weights, keys)
    one = jax.jit(draw_all)
    for i in range(2):
        for both, alone in zip(packed, one(t[i], weights[i], keys[i]), strict=True):
            np.testing.assert_allclose(both[i], alone, atol=1e-5)


# --- pieces of rays ---


def test_points_lie_on_their_rays_and_have_no_extent():
    rays = some_rays(3)
    t = jnp.array([[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]])
    samples = ray_sampling.samples_on_rays(rays, t)
    for i in range(3):
        for j in range(2):
            expected = np.asarray(rays.origins, np.float64)[i] + float(t[i, j]) * np.asarray(rays.directions)[i]
            np.testing.assert_allclose(samples.means[i, j], expected, atol=1e-5)
            np.testing.assert_array_equal(samples.directions[i, j], rays.directions[i])
    assert not np.any(samples.t_var) and not np.any(samples.r_var)


def test_free_points_look_straight_down():
    samples = ray_sampling.samples_at_points(jnp.ones((2, 5, 3)))
    assert samples.t_var.shape == (2, 5)
    np.testing.assert_array_equal(samples.directions[1, 4], [0, 0, -1])


def exact_moments(low: float, high: float) -> tuple[float, float, float]:
    """Mean and variance of t, and the mean of t^2 / 4, where the density of t goes as t^2; exact fractions.

    The cone's cross-section grows as t^2, and a disc of radius r t has variance (r t)^2 / 4 along any diameter.
    """
    a, b = Fraction(low), Fraction(high)
    moment = [sum(b**i * a ** (k - i) for i in range(k + 1)) / Fraction(k + 1) for k in (2, 3, 4)]
    mean, square = moment[1] / moment[0], moment[2] / moment[0]
    return float(mean), float(square - mean**2), float(square / 4)


@pytest.mark.parametrize("low, high", [(0.0, 1.0), (2.0, 2.5), (2.0, 2.0625), (5.5, 5.5009765625), (900.0, 900.125)])
def test_conical_frustums_have_the_exact_moments(low, high):
    rays = some_rays(2)
    samples = jit_frustums(rays, jnp.array([[low, high]] * 2))
    mean, t_var, r_var = exact_moments(low, high)
    for i in range(2):
        expected = np.asarray(rays.origins[i], np.float64) + mean * np.asarray(rays.directions[i], np.float64)
        np.testing.assert_allclose(samples.means[i, 0], expected, rtol=1e-5, atol=1e-5)
        np.testing.assert_allclose(samples.t_var[i, 0], t_var, rtol=1e-5)
        np.testing.assert_allclose(samples.r_var[i, 0], r_var * float(rays.radius[i]) ** 2, rtol=1e-5)


def test_conical_frustums_of_no_length_are_finite_and_have_no_length():
    samples = jit_frustums(some_rays(1), jnp.array([[0.0, 0.0, 3.0, 3.0]]))
    assert all(np.all(np.isfinite(x)) for x in jax.tree.leaves(samples))
    assert samples.t_var[0, 0] == 0 and samples.t_var[0, 2] == 0 and samples.r_var[0, 0] == 0


def test_a_thin_frustum_is_as_wide_as_its_pixel():
    # A uniform density as wide as the pixel has variance width^2 / 12; `Rays.radius` is made for that.
    pose = jnp.asarray(look_at(np.array(0.0), np.array(0.0), np.array(4.0)))
    rays = view_rays(pose, intrinsics_from_fov(40.0, 8, 8), 8, 8, 2.0, 6.0)
    samples = jit_frustums(rays, jnp.broadcast_to(jnp.array([3.999, 4.001]), (8, 8, 2)))
    width = 4.0 * float(jnp.linalg.norm(rays.directions[3, 4] - rays.directions[3, 3]))
    np.testing.assert_allclose(samples.r_var[3, 3, 0], width**2 / 12, rtol=1e-5)


def test_variance_scale_and_widened_scale_what_they_say():
    rays, tdist = some_rays(2), jnp.array([[2.0, 3.0]] * 2)
    plain = jit_frustums(rays, tdist)
    thin = jit_frustums(rays, tdist, variance_scale=1 / 12)
    np.testing.assert_allclose(thin.r_var * 12, plain.r_var, rtol=1e-6)
    np.testing.assert_array_equal(thin.t_var, plain.t_var)
    wide = ray_sampling.scale_covariances(plain, 2.0)
    np.testing.assert_allclose(wide.r_var, 4 * plain.r_var)
    np.testing.assert_allclose(wide.t_var, 4 * plain.t_var)


@pytest.mark.parametrize(("near", "far"), [(0.1, 1000.0), (2.0, 6.0), (1.0, 1.0), (0.3, 0.7)])
def test_inverse_depths_are_evenly_spaced_and_stay_on_the_ray(near, far):
    shares = jit_fenceposts(jnp.zeros(2), jnp.ones(2), 16)
    t = np.asarray(jit_inverse_depths(jnp.full(2, near), jnp.full(2, far), shares))
    assert (t[:, 0] == np.float32(near)).all() and (t[:, -1] == np.float32(far)).all()
    assert (np.diff(t, axis=-1) >= 0).all()
    np.testing.assert_allclose(1 / t, np.linspace(1 / near, 1 / far, 17)[None].repeat(2, 0), rtol=2e-5)


@given(st.floats(0.01, 2.0), st.floats(1.0, 1e5), st.integers(0, 2**16))
@FEW
def test_jittered_inverse_depths_are_sorted_and_stay_on_the_ray(near, ratio, seed):
    ends = np.float32([near]), np.float32([near * ratio])
    shares = jit_fenceposts(jnp.zeros(1), jnp.ones(1), 9, jax.random.key(seed))
    t = np.asarray(jit_inverse_depths(*map(jnp.asarray, ends), shares))
    assert (np.diff(t) >= 0).all() and t.min() >= ends[0][0] and t.max() <= ends[1][0]
