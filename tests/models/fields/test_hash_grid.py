"""The hash grid, against loops over points, levels and corners in float64."""

from __future__ import annotations

import dataclasses
import functools

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from bench.errors import UsageError
from models.fields.hash_grid import INITIAL_FEATURE, HashGrid, interpolate, resolutions
from models.method import num_parameters
from models.rendering.ray_sampling import Samples, samples_at_points
from tasks.budgets import BUDGETS, sized

# Levels of 2, 4 and 8 cells: 27, 125 and 729 corners, of which the last two share the 64 rows of their tables.
SMALL = HashGrid(
    width=8, num_levels=3, log2_table_size=6, base_resolution=2, finest_resolution=8, density_activation="softplus"
)
DEEP = dataclasses.replace(SMALL, num_hidden=2, num_features=3)
EVERY = pytest.mark.parametrize("field", [SMALL, DEEP], ids=["one hidden layer", "two"])
EVERY_GRADIENT = pytest.mark.parametrize(
    "field", [SMALL, pytest.param(DEEP, marks=pytest.mark.slow)], ids=["one hidden layer", "two"]
)


def some_samples(*shape: int, seed: int = 0, within: float = 1.45) -> Samples:
    return samples_at_points(
        jnp.asarray(np.random.default_rng(seed).uniform(-within, within, (*shape, 3)), jnp.float32)
    )


def random_params(field: nn.Module, seed: int = 0):
    shapes = jax.eval_shape(field.init, jax.random.key(0), some_samples(1))
    draw = np.random.default_rng(seed)
    return jax.tree.map(lambda s: jnp.asarray(0.5 * draw.normal(size=s.shape), s.dtype), shapes)


@functools.cache
def compiled(field: nn.Module):
    return jax.jit(field.apply)


# --- slow twins ---


def slow_row(corner: tuple[int, int, int], resolution: int, num_rows: int) -> int:
    """In whole numbers of any size, where the field's wrap around at 2^32."""
    x, y, z = corner
    if (resolution + 1) ** 3 <= num_rows:
        return x + (resolution + 1) * (y + (resolution + 1) * z)
    return (x ^ (y * 2654435761 % 2**32) ^ (z * 805459861 % 2**32)) % num_rows


def slow_corners(place: np.ndarray, resolution: int, num_rows: int) -> list[tuple[int, float]]:
    """Rows and shares of all corners of the whole grid that have one."""
    found = []
    for corner in np.ndindex(*(resolution + 1,) * 3):
        share = float(np.prod(np.maximum(0, 1 - np.abs(place - corner))))
        if share > 0:
            found.append((slow_row(corner, resolution, num_rows), share))
    return found


def slow_field(field: HashGrid, params, point: np.ndarray) -> tuple[float, np.ndarray]:
    weights = jax.tree.map(lambda x: np.asarray(x, np.float64), params["params"])
    place, features = np.clip((point / field.half_width + 1) / 2, 0, 1), []
    for i in range(field.num_levels):
        growth = (field.finest_resolution / field.base_resolution) ** (i / (field.num_levels - 1))
        resolution, table = round(field.base_resolution * growth), weights[f"level_{i}"]
        corners = slow_corners(place * resolution, resolution, len(table))
        features.append(sum(share * table[row] for row, share in corners))
    h = np.concatenate(features)
    for i in range(field.num_hidden):
        h = np.maximum(h @ weights[f"layer_{i}"]["kernel"] + weights[f"layer_{i}"]["bias"], 0)
    raw = h @ weights["color_and_density"]["kernel"] + weights["color_and_density"]["bias"]
    density = np.log1p(np.exp(raw[3])) if np.abs(point).max() <= field.half_width else 0.0
    return density, 1 / (1 + np.exp(-raw[:3]))


@EVERY
def test_field_matches_the_slow_twin(field):
    params, samples = random_params(field), some_samples(12, within=1.6)
    density, color = compiled(field)(params, samples)
    for i in range(12):
        expected = slow_field(field, params, np.asarray(samples.means[i], np.float64))
        np.testing.assert_allclose(density[i], expected[0], rtol=1e-4, atol=1e-6)
        np.testing.assert_allclose(color[i], expected[1], atol=1e-5)
    assert 0 < np.sum(np.asarray(density) == 0) < 12


@pytest.mark.parametrize("num_rows", [125, 32], ids=["stored in full", "hashed"])
def test_gradients_match_the_slow_twin(num_rows):
    draw = np.random.default_rng(1)
    table, place = draw.normal(size=(num_rows, 2)), draw.uniform(0, 4, (30, 3))
    of_result = draw.normal(size=(30, 2))

    def total(table, place):
        return jnp.sum(interpolate(table, place, 4) * of_result.astype(np.float32))

    inputs = jnp.asarray(table, jnp.float32), jnp.asarray(place, jnp.float32)
    of_table, of_place = jax.jit(jax.grad(total, argnums=(0, 1)))(*inputs)
    expected = np.zeros_like(table)
    for i in range(30):
        for row, share in slow_corners(place[i], 4, num_rows):
            expected[row] += share * of_result[i]
        for axis in range(3):
            step = 1e-6 * np.eye(3)[axis]
            ahead, behind = (
                sum(
                    share * table[row] @ of_result[i]
                    for row, share in slow_corners(place[i] + side * step, 4, num_rows)
                )
                for side in (1, -1)
            )
            np.testing.assert_allclose(of_place[i, axis], (ahead - behind) / 2e-6, rtol=1e-3, atol=1e-3)
    np.testing.assert_allclose(of_table, expected, rtol=1e-4, atol=1e-5)


def test_backward_keeps_nothing_but_the_table_and_the_places():
    table, place = jnp.ones((64, 2)), jnp.ones((500, 3))
    pull = jax.vjp(lambda t, x: interpolate(t, x, 8), table, place)[1]
    assert sum(leaf.size for leaf in jax.tree.leaves(pull)) == table.size + place.size


# --- grids ---


def test_resolutions_grow_evenly_from_base_to_finest():
    assert resolutions(4, 16, 128) == (16, 32, 64, 128)
    assert resolutions(5, 3, 48) == (3, 6, 12, 24, 48)
    for finest in range(17, 400, 13):
        found = resolutions(6, 16, finest)
        assert found[0] == 16 and found[-1] == finest
        growth = (finest / 16) ** (1 / 5)
        assert all(size <= 16 * growth**i + 1e-6 < size + 1 for i, size in enumerate(found))


def test_levels_that_fit_are_stored_in_full_and_others_have_the_tables_size():
    shapes = jax.eval_shape(SMALL.init, jax.random.key(0), some_samples(1))["params"]
    assert [shapes[f"level_{i}"].shape for i in range(3)] == [(27, 2), (64, 2), (64, 2)]
    # Tables, 6 features into 8 units, 8 units into 4.
    assert num_parameters(shapes) == 2 * (27 + 64 + 64) + 7 * 8 + 9 * 4


def test_a_hashed_level_spreads_its_corners_over_the_table():
    num, rows = 33, 2**10
    lattice = np.stack(np.meshgrid(*(np.arange(num),) * 3, indexing="ij"), axis=-1).reshape(-1, 3)
    # The gradient of a corner's own feature is 1 in its row.
    hits = jax.grad(lambda table: interpolate(table, jnp.asarray(lattice, jnp.float32), num - 1).sum())
    counts = np.asarray(jax.jit(hits)(jnp.zeros((rows, 1))))[:, 0]
    assert counts.sum() == pytest.approx(num**3, rel=1e-5)
    assert counts.min() > 0.4 * num**3 / rows and counts.max() < 2 * num**3 / rows


def test_outside_there_is_no_density_and_the_color_of_the_nearest_face():
    params = random_params(SMALL)
    where = jnp.asarray([[1.5, 0.3, -1.5], [1.501, 0.3, -1.5], [40.0, 0.3, -9.0], [0.0, -1.6, 0.0]])
    density, color = compiled(SMALL)(params, samples_at_points(where))
    assert density[0] > 0
    np.testing.assert_array_equal(density[1:], 0)
    np.testing.assert_allclose(color[1:3], jnp.stack([color[0]] * 2), atol=1e-5)


# --- training ---


def test_features_start_near_zero_on_both_sides():
    params = jax.jit(HashGrid(width=4).init)(jax.random.key(0), some_samples(1))["params"]
    features = np.concatenate([np.ravel(params[f"level_{i}"]) for i in range(8)])
    assert INITIAL_FEATURE == 1e-4  # section 4 of the paper
    assert -1e-4 <= features.min() < -0.99e-4 and 0.99e-4 < features.max() <= 1e-4
    assert abs(features.mean()) < 4e-4 / np.sqrt(12 * features.size) * 2


def test_a_step_moves_the_rows_of_corners_seen_and_no_others():
    params, samples = random_params(SMALL), some_samples(2)

    @jax.jit
    def loss(params):
        density, color = SMALL.apply(params, samples)
        return jnp.sum((density - 3) ** 2) + jnp.sum(color)

    gradients = jax.jit(jax.grad(loss))(params)["params"]
    for i, resolution in enumerate((2, 4, 8)):
        moved = np.flatnonzero(np.any(np.asarray(gradients[f"level_{i}"]) != 0, axis=1))
        places = np.clip((np.asarray(samples.means, np.float64) / 1.5 + 1) / 2, 0, 1) * resolution
        num_rows = len(gradients[f"level_{i}"])
        seen = {row for place in places for row, _ in slow_corners(place, resolution, num_rows)}
        assert set(moved.tolist()) == seen
    after = jax.tree.map(lambda p, g: p - 1e-3 * g, params, {"params": gradients})
    assert loss(after) < loss(params)


@EVERY_GRADIENT
def test_gradients_are_finite_far_away_and_without_direction(field):
    samples = some_samples(3)
    samples = samples._replace(means=samples.means * jnp.asarray([[1.0], [1e4], [1e30]]))
    params = jax.tree.map(lambda x: x * 100, random_params(field))

    def total(params, means):
        density, color = field.apply(params, samples._replace(means=means))
        return jnp.sum(density) + jnp.sum(color)

    gradients = jax.jit(jax.grad(total, argnums=(0, 1)))(params, samples.means)
    assert all(np.all(np.isfinite(g)) for g in jax.tree.leaves(gradients))


# --- what every field promises ---


@EVERY
@pytest.mark.parametrize("shape", [(), (3,), (2, 3)])
def test_it_takes_any_leading_axes(field, shape):
    params, samples = random_params(field), some_samples(*shape)
    density, color = jax.eval_shape(field.apply, params, samples)
    assert density.shape == shape and color.shape == (*shape, 3)
    assert density.dtype == color.dtype == jnp.float32


def test_leading_axes_do_not_matter():
    params, samples = random_params(SMALL), some_samples(6)
    grid = jax.tree.map(lambda x: x.reshape(2, 3, *x.shape[1:]), samples)
    for flat, shaped in zip(compiled(SMALL)(params, samples), compiled(SMALL)(params, grid), strict=True):
        np.testing.assert_allclose(shaped.reshape(flat.shape), flat, atol=1e-6)


@EVERY
def test_it_is_its_own_configuration(field):
    same = dataclasses.replace(field)
    assert same == field and hash(same) == hash(field) and {field: 1}[same] == 1
    other = dataclasses.replace(field, log2_table_size=7)
    assert other != field and dataclasses.replace(other, log2_table_size=6) == field


@EVERY_GRADIENT
def test_a_pack_and_its_gradients_equal_a_loop(field):
    samples = some_samples(5)
    params = [random_params(field, seed) for seed in range(2)]

    def loss(params):
        density, color = field.apply(params, samples)
        return jnp.sum(density**2) + jnp.sum(color)

    step = jax.value_and_grad(loss)
    packed = jax.jit(jax.vmap(step))(jax.tree.map(lambda *x: jnp.stack(x), *params))
    for i in range(2):
        alone = jax.jit(step)(params[i])
        jax.tree.map(lambda a, b, i=i: np.testing.assert_allclose(a[i], b, rtol=1e-4, atol=1e-5), packed, alone)


def test_noise_needs_a_key_and_moves_density_inside_only():
    samples, params = some_samples(40, within=2.0), random_params(SMALL)
    noisy = dataclasses.replace(SMALL, density_noise=1.0)
    plain = compiled(SMALL)(params, samples)
    quiet, loud = (compiled(noisy)(params, samples, key=key) for key in (None, jax.random.key(0)))
    np.testing.assert_allclose(quiet[0], plain[0], rtol=1e-5)
    np.testing.assert_allclose(loud[1], plain[1], atol=1e-6)
    np.testing.assert_array_equal(np.asarray(loud[0]) == 0, np.asarray(plain[0]) == 0)
    assert np.mean(np.abs(loud[0] - plain[0])) > 0.01


def test_bfloat16_keeps_float32_parameters_and_results():
    half = dataclasses.replace(SMALL, dtype="bfloat16")
    params, samples = random_params(SMALL), some_samples(40)
    assert jax.tree.all(
        jax.tree.map(lambda x: x.dtype == jnp.float32, jax.eval_shape(half.init, jax.random.key(0), samples))
    )
    exact, rough = compiled(SMALL)(params, samples), compiled(half)(params, samples)
    assert rough[0].dtype == rough[1].dtype == jnp.float32
    for a, b in zip(exact, rough, strict=True):
        assert np.any(np.asarray(a) != np.asarray(b))
        assert np.mean(np.abs(np.asarray(a) - np.asarray(b))) < 0.02 * (1 + np.mean(np.abs(np.asarray(a))))


def test_budgets_fill_the_width_and_leave_one_written_down():
    assert sized(HashGrid(), BUDGETS["smoke"]) == HashGrid(width=16)
    assert sized(HashGrid(width=5), BUDGETS["smoke"]) == HashGrid(width=5)


# --- messages ---


def test_an_open_width_says_how_to_fill_it():
    with pytest.raises(UsageError, match=r"HashGrid: .*width to be given.*tasks.budgets.sized"):
        jax.eval_shape(HashGrid().init, jax.random.key(0), some_samples(1))


@pytest.mark.parametrize(
    "changes, message",
    [
        ({"density_activation": "soft_plus"}, "HashGrid: expected density_activation .* the nearest is 'softplus'"),
        ({"dtype": "float16"}, "HashGrid: expected dtype to be one of .* got 'float16'"),
        ({"width": 0}, "HashGrid: expected width to be at least 1, got 0"),
        ({"density_noise": -1.0}, "HashGrid: expected density_noise from 0, got -1.0"),
        ({"num_hidden": 0}, "HashGrid: expected num_hidden from 1 to 8, got 0; the default is 1"),
        ({"num_levels": 1}, "HashGrid: expected num_levels from 2 to 32, got 1; the default is 8"),
        ({"num_features": 0}, "HashGrid: expected num_features from 1"),
        ({"log2_table_size": 30}, "HashGrid: expected log2_table_size from 4 to 24, got 30; the default is 15"),
        ({"base_resolution": 0}, "HashGrid: expected base_resolution from 1"),
        ({"finest_resolution": 8}, "HashGrid: expected finest_resolution from base_resolution, 16, got 8"),
        ({"half_width": 0.0}, "HashGrid: expected half_width above 0, got 0.0"),
    ],
)
def test_wrong_configurations_are_refused(changes, message):
    with pytest.raises(UsageError, match=message):
        HashGrid(**changes)
