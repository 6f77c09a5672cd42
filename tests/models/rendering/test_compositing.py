"""Compositing along rays, against loops in float64 and what can be integrated by hand."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.rendering import compositing
from tasks.cameras import Rays

FEW = settings(max_examples=30, deadline=None)

# Compiled once: op by op, every new shape costs a compilation for each operation.
jit_render = jax.jit(compositing.render)
jit_render_points = jax.jit(compositing.render_points)
jit_weights = jax.jit(compositing.ray_weights)


def some_rays(num: int, seed: int = 0) -> Rays:
    draw = np.random.default_rng(seed)
    return Rays(
        origins=jnp.zeros((num, 3)),
        directions=jnp.asarray(draw.normal(size=(num, 3)), jnp.float32),
        near=jnp.full(num, 2.0),
        far=jnp.full(num, 6.0),
        radius=jnp.zeros(num),
    )


def some_field(num_rays: int, num_bins: int, seed: int = 0, num_posts: int | None = None):
    draw = np.random.default_rng(seed)
    density = np.exp(draw.normal(size=(num_rays, num_bins))).astype(np.float32)
    color = draw.uniform(size=(num_rays, num_bins, 3)).astype(np.float32)
    t = np.sort(draw.uniform(2, 6, (num_rays, num_posts or num_bins + 1)), axis=-1).astype(np.float32)
    return jnp.asarray(density), jnp.asarray(color), jnp.asarray(t)


def slow_composite(density, color, lengths, t, far, background):
    """Light walks along one ray; float64."""
    left, seen, distance, weights = 1.0, np.zeros(3), 0.0, []
    for sigma, shade, length, place in zip(density, color, lengths, t, strict=True):
        stopped = left * (1 - np.exp(-float(sigma) * float(length)))
        seen += stopped * np.asarray(shade, np.float64)
        distance += stopped * float(place)
        weights.append(stopped)
        left -= stopped
    return seen + left * np.asarray(background), 1 - left, distance + left * float(far), np.array(weights)


def check_ray(views, weights, i, expected):
    color, opacity, distance, expected_weights = expected
    np.testing.assert_allclose(views.color[i], color, atol=2e-6)
    np.testing.assert_allclose(views.opacity[i], opacity, atol=2e-6)
    np.testing.assert_allclose(views.distance[i], distance, atol=5e-6)
    np.testing.assert_allclose(weights[i], expected_weights, atol=2e-6)


def test_render_matches_a_walk_along_the_ray():
    rays = some_rays(5)
    density, color, tdist = some_field(5, 8)
    background = np.array([0.2, 0.5, 0.9])
    views, weights = jit_render(density, color, tdist, rays, jnp.asarray(background, jnp.float32))
    for i in range(5):
        posts = np.asarray(tdist[i], np.float64)
        lengths = np.diff(posts) * np.linalg.norm(np.asarray(rays.directions[i], np.float64))
        check_ray(
            views,
            weights,
            i,
            slow_composite(density[i], color[i], lengths, (posts[1:] + posts[:-1]) / 2, rays.far[i], background),
        )


def test_render_points_matches_a_walk_with_a_wall_at_its_end():
    rays = some_rays(5)
    density, color, t = some_field(5, 8, num_posts=8)
    density = density.at[2, -1].set(0.0)  # no wall behind this one
    views, weights = jit_render_points(density, color, t, rays, 1.0)
    for i in range(5):
        places = np.asarray(t[i], np.float64)
        lengths = np.append(np.diff(places), 1e10) * np.linalg.norm(np.asarray(rays.directions[i], np.float64))
        check_ray(views, weights, i, slow_composite(density[i], color[i], lengths, places, rays.far[i], np.ones(3)))
    np.testing.assert_array_equal(np.asarray(views.opacity)[[0, 1, 3, 4]], 1)
    assert views.opacity[2] < 1


def test_a_slab_stops_what_beer_and_lambert_say():
    rays = some_rays(1)._replace(directions=jnp.array([[0.0, 3.0, 4.0]]))  # of length 5
    tdist = jnp.linspace(2, 6, 9)[None]
    views, _ = jit_render(jnp.full((1, 8), 0.05), jnp.zeros((1, 8, 3)), tdist, rays, 1.0)
    passed = np.exp(-0.05 * 4 * 5)
    np.testing.assert_allclose(views.opacity[0], 1 - passed, rtol=1e-6)
    np.testing.assert_allclose(views.color[0], [passed] * 3, rtol=1e-6)


def test_empty_space_shows_the_background_at_far():
    rays = some_rays(2)
    _, color, tdist = some_field(2, 4)
    background = jnp.array([[0.1, 0.2, 0.3], [0.4, 0.5, 0.6]])
    views, weights = jit_render(jnp.zeros((2, 4)), color, tdist, rays, background)
    np.testing.assert_array_equal(views.color, background)
    np.testing.assert_array_equal(views.opacity, 0)
    np.testing.assert_array_equal(views.distance, rays.far)
    assert not np.any(weights)


def test_a_wall_shows_itself_where_it_stands():
    rays = some_rays(1)
    _, color, _ = some_field(1, 4)
    density = jnp.array([[0.0, 0.0, jnp.inf, 1.0]])
    views, weights = jit_render(density, color, jnp.array([[2.0, 3.0, 4.0, 4.5, 6.0]]), rays, 1.0)
    np.testing.assert_array_equal(weights, [[0, 0, 1, 0]])
    np.testing.assert_array_equal(views.color[0], color[0, 2])
    assert views.distance[0] == 4.25


def test_all_kinds_of_background_agree():
    rays = some_rays(2)
    arguments = (*some_field(2, 4), rays)
    expected = jit_render(*arguments, 0.25)[0].color
    for background in (jnp.asarray(0.25), jnp.full(3, 0.25), jnp.full((2, 3), 0.25)):
        np.testing.assert_array_equal(jit_render(*arguments, background)[0].color, expected)


@FEW
@given(
    st.lists(st.one_of(st.floats(0, 50, width=32), st.floats(0, 1e8, width=32), st.just(0.0)), min_size=6, max_size=6)
)
def test_weights_are_shares_of_one(depths):
    weights, opacity = jit_weights(jnp.asarray(depths, jnp.float32))
    assert np.all(weights >= 0)
    assert 0 <= opacity <= 1
    assert np.sum(weights) <= 1 + 1e-6  # rounding of a float32 sum
    np.testing.assert_allclose(np.sum(weights), opacity, atol=1e-6)


def test_thin_bins_keep_their_digits():
    depth = np.array([1e-9, 3e-8, 2e-9], np.float32)
    weights, opacity = jit_weights(jnp.asarray(depth))
    np.testing.assert_allclose(weights, depth, rtol=1e-6)  # 1 - exp(-x) is x here
    np.testing.assert_allclose(opacity, depth.sum(), rtol=1e-6)


def test_cutting_bins_in_two_changes_nothing():
    rays = some_rays(3)
    density, color, tdist = some_field(3, 5)
    middles = 0.5 * (tdist[:, 1:] + tdist[:, :-1])
    finer = jnp.sort(jnp.concatenate([tdist, middles], axis=-1), axis=-1)
    coarse, _ = jit_render(density, color, tdist, rays, 1.0)
    fine, _ = jit_render(jnp.repeat(density, 2, axis=1), jnp.repeat(color, 2, axis=1), finer, rays, 1.0)
    np.testing.assert_allclose(fine.color, coarse.color, atol=2e-6)
    np.testing.assert_allclose(fine.opacity, coarse.opacity, atol=2e-6)


def gradients_of(way):
    def total(density, color, t):
        views, weights = way(density, color, t, some_rays(2), 0.5)
        return jnp.sum(views.color) + jnp.sum(views.distance) + jnp.sum(views.opacity) + jnp.sum(weights**2)

    return jax.jit(jax.value_and_grad(total, argnums=(0, 1, 2)))


jit_gradients = {way: gradients_of(way) for way in (compositing.render, compositing.render_points)}


@pytest.mark.parametrize("huge", [0.0, 1e5, 1e20, 3e38, np.inf])
@pytest.mark.parametrize("way", [compositing.render, compositing.render_points])
def test_results_and_gradients_are_finite_at_extremes(way, huge):
    t = jnp.array([[2.0, 2.0, 3.0, 3.0, 6.0], [2.0, 2.0, 2.0, 2.0, 2.0]])  # bins of no length, and a ray of none
    num = 4 if way is compositing.render else 5
    density = jnp.full((2, num), 0.5).at[:, 1:3].set(huge)
    _, color, _ = some_field(2, num)
    value, gradients = jit_gradients[way](density, color, t)
    assert np.isfinite(value)
    assert all(np.all(np.isfinite(g)) for g in gradients)


def test_the_gradient_matches_finite_differences():
    rays = some_rays(1)
    density, color, tdist = some_field(1, 5, seed=2)
    lengths = np.diff(np.asarray(tdist[0], np.float64)) * np.linalg.norm(np.asarray(rays.directions[0], np.float64))
    middles = np.asarray(0.5 * (tdist[0, 1:] + tdist[0, :-1]), np.float64)

    def slow(values):
        return slow_composite(values, color[0], lengths, middles, 6.0, np.ones(3))[0].sum()

    gradient = jax.jit(jax.grad(lambda d: jnp.sum(compositing.render(d, color, tdist, rays, 1.0)[0].color)))(density)[0]
    for i in range(5):
        step = np.zeros(5)
        step[i] = 1e-5
        values = np.asarray(density[0], np.float64)
        np.testing.assert_allclose(gradient[i], (slow(values + step) - slow(values - step)) / 2e-5, atol=2e-5)


def test_vmap_over_trials_equals_a_loop():
    rays = some_rays(3)
    fields = [some_field(3, 4, seed=seed) for seed in range(2)]
    stacked = map(jnp.stack, zip(*fields, strict=True))
    packed = jax.jit(jax.vmap(lambda d, c, t: compositing.render(d, c, t, rays, 1.0)))(*stacked)
    for i, field in enumerate(fields):
        alone = jit_render(*field, rays, 1.0)
        jax.tree.map(lambda both, one, i=i: np.testing.assert_allclose(both[i], one, atol=1e-6), packed, alone)


def test_an_opaque_end_stops_all_light_there_and_only_there():
    density = jnp.asarray([[0.3, 0.0, 0.0]] * 2)
    color = jnp.broadcast_to(jnp.asarray([[0.1], [0.2], [0.9]]), (2, 3, 3))
    tdist = jnp.asarray([[1.0, 2.0, 3.0, 4.0]] * 2)
    ends = jnp.full(2, 4.0)
    rays = Rays(jnp.zeros((2, 3)), jnp.asarray([[0.0, 0.0, -1.0]] * 2), ends - 3, ends, ends * 0)
    views, weights = jit_render(density, color, tdist, rays, 0.5, jnp.asarray([True, False]))
    passed = np.exp(-0.3)
    np.testing.assert_allclose(views.opacity, [1, 1 - passed], atol=1e-6)
    np.testing.assert_allclose(views.color[0], 0.1 * (1 - passed) + 0.9 * passed, atol=1e-6)
    np.testing.assert_allclose(views.color[1], 0.1 * (1 - passed) + 0.5 * passed, atol=1e-6)
    np.testing.assert_allclose(weights[0], [1 - passed, 0, passed], atol=1e-6)
