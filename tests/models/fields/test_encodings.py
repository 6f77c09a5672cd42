"""Encodings, against float64, explicit covariance matrices and averages over drawn points."""

from __future__ import annotations

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bench.errors import UsageError
from models.fields.encodings import (
    DirectionEncoding,
    FourierFeatures,
    IdentityEncoding,
    IntegratedPositional,
    Positional,
    fourier_vectors,
    projected_variance,
    sine_ahead,
)
from models.rendering.ray_sampling import Samples, scale_covariances


def some_samples(num: int, seed: int = 0, spread: float = 1.0) -> Samples:
    draw = np.random.default_rng(seed)
    return Samples(
        means=jnp.asarray(draw.uniform(-3, 3, (num, 3)), jnp.float32),
        directions=jnp.asarray(draw.normal(size=(num, 3)), jnp.float32),
        t_var=jnp.asarray(spread * draw.uniform(0, 0.02, num), jnp.float32),
        r_var=jnp.asarray(spread * draw.uniform(0, 0.01, num), jnp.float32),
    )


jit_projected_variance = jax.jit(projected_variance)


@functools.cache
def compiled(encoding):
    return jax.jit(lambda s: encoding.apply({}, s))


def encode(encoding, samples: Samples) -> np.ndarray:
    return np.asarray(compiled(encoding)(samples), np.float64)


def slow_covariance(samples: Samples, i: int) -> np.ndarray:
    """Along the ray t_var, across it r_var, as a matrix; float64."""
    d = np.asarray(samples.directions[i], np.float64)
    along = np.outer(d, d)
    return float(samples.t_var[i]) * along + float(samples.r_var[i]) * (np.eye(3) - along / (d @ d))


def slow_waves(x, num_octaves, damping):
    """Octave by octave, axis by axis: sines, then cosines."""
    sines, cosines = [], []
    for octave in range(num_octaves):
        for axis in range(3):
            phase = 2.0**octave * float(x[axis])
            sines.append(np.sin(phase) * damping(octave, axis))
            cosines.append(np.cos(phase) * damping(octave, axis))
    return sines + cosines


# --- sines ---


@pytest.mark.parametrize("most", [1.0, 100.0, 5e4, 2e5])
@pytest.mark.parametrize("compiled", [True, False])
def test_sines_of_large_numbers_are_exact_to_float32(most, compiled):
    # Compiled, products and sums may be fused; op by op each is rounded. Both must hold.
    x = np.random.default_rng(0).uniform(-most, most, (50_000, 2)).astype(np.float32)
    quarters = np.array([0, 1])
    function = jax.jit(sine_ahead) if compiled else sine_ahead
    result = np.asarray(function(jnp.asarray(x), quarters), np.float64)
    exact = np.stack([np.sin(x[:, 0].astype(np.float64)), np.cos(x[:, 1].astype(np.float64))], axis=-1)
    assert np.abs(result - exact).max() < 1.3e-7  # stated in the docstring; float32 has 6e-8 at 1


def test_derivatives_of_sines_are_sines():
    x = jnp.asarray(np.random.default_rng(0).uniform(-500, 500, 200), jnp.float32)

    def sine(x):
        return sine_ahead(x[None], np.array([0]))[0]

    first, second = jax.jit(jax.vmap(jax.grad(sine)))(x), jax.jit(jax.vmap(jax.grad(jax.grad(sine))))(x)
    np.testing.assert_allclose(first, np.cos(np.asarray(x, np.float64)), atol=1.3e-7)
    np.testing.assert_allclose(second, -np.sin(np.asarray(x, np.float64)), atol=1.3e-7)


# --- positional encodings ---


def test_raw_is_the_middle():
    samples = some_samples(2)
    np.testing.assert_array_equal(encode(IdentityEncoding(), samples), samples.means)


@pytest.mark.parametrize("identity", [True, False])
def test_positional_matches_the_slow_twin(identity):
    samples = some_samples(5)
    result = encode(Positional(num_octaves=10, identity=identity), samples)
    assert result.shape == (5, 63 if identity else 60)  # 63: NeRF's input, see the count of its parameters
    for i in range(5):
        expected = slow_waves(samples.means[i], 10, lambda octave, axis: 1.0)
        np.testing.assert_allclose(result[i], [*np.asarray(samples.means[i])] * identity + expected, atol=2e-7)


def test_integrated_matches_explicit_covariances():
    samples = some_samples(5, spread=0.1)
    result = encode(IntegratedPositional(num_octaves=6, identity=True), samples)
    for i in range(5):
        variance = np.diag(slow_covariance(samples, i))
        expected = slow_waves(samples.means[i], 6, lambda octave, axis, v=variance: np.exp(-0.5 * 4**octave * v[axis]))
        np.testing.assert_allclose(result[i], [*np.asarray(samples.means[i]), *expected], atol=1e-6)


@pytest.mark.parametrize(
    "integrated, plain",
    [
        (IntegratedPositional(num_octaves=16), Positional(num_octaves=16, identity=False)),
        (FourierFeatures(), FourierFeatures(integrated=False)),
    ],
)
def test_a_point_is_encoded_as_without_integration(integrated, plain):
    points = some_samples(20, spread=0.0)
    # Octaves are exact; a sum of three products is rounded as its compiler fuses it, by a spacing or two of the phase.
    phases = np.asarray(points.means) @ fourier_vectors(8, 128, False).T
    atol = 2 * np.spacing(np.abs(phases).max()) if isinstance(plain, FourierFeatures) else 1e-6
    assert atol < 4e-5
    np.testing.assert_allclose(encode(integrated, points), encode(plain, points), atol=atol)


@pytest.mark.parametrize(
    "integrated, plain",
    [
        (IntegratedPositional(num_octaves=4), Positional(num_octaves=4, identity=False)),
        (FourierFeatures(num_octaves=6), FourierFeatures(num_octaves=6, integrated=False)),
    ],
)
def test_integration_is_the_mean_over_the_piece(integrated, plain):
    samples, num = some_samples(1, seed=4), 40_000
    draw = np.random.default_rng(1)
    where = draw.multivariate_normal(np.asarray(samples.means[0]), slow_covariance(samples, 0), num)
    zero = jnp.zeros(num)
    drawn = Samples(jnp.asarray(where, jnp.float32), jnp.ones((num, 3)), zero, zero)
    # Each wave has a standard deviation of at most 1, so its mean over n draws one of at most 1 / sqrt(n) = 0.005;
    # five of those hold for all of the (at most 262) features with a probability above 0.9998.
    np.testing.assert_allclose(encode(integrated, samples)[0], encode(plain, drawn).mean(axis=0), atol=5 / num**0.5)


def test_a_wide_piece_has_no_waves_left_and_no_gradient_that_is_not_finite():
    samples = some_samples(3)._replace(t_var=jnp.full(3, 1e30), r_var=jnp.full(3, 1e30))
    assert np.abs(encode(IntegratedPositional(), samples)).max() == 0

    def total(samples):
        return jnp.sum(IntegratedPositional().apply({}, samples)) + jnp.sum(FourierFeatures().apply({}, samples))

    assert all(np.all(np.isfinite(g)) for g in jax.tree.leaves(jax.jit(jax.grad(total))(samples)))


def test_directions_have_length_one_whatever_the_rays_have():
    samples = some_samples(4)
    result = encode(DirectionEncoding(num_octaves=4), samples)
    assert result.shape == (4, 27)
    longer = samples._replace(directions=samples.directions * 7)
    np.testing.assert_allclose(encode(DirectionEncoding(num_octaves=4), longer), result, atol=3e-6)
    for i in range(4):
        d = np.asarray(samples.directions[i], np.float64)
        expected = slow_waves(d / np.linalg.norm(d), 4, lambda octave, axis: 1.0)
        np.testing.assert_allclose(result[i], [*(d / np.linalg.norm(d)), *expected], atol=3e-6)


# --- Fourier features ---


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 2**31 - 1), parallel=st.booleans())
def test_projected_variance_is_that_of_the_covariance_matrix(seed, parallel):
    samples = some_samples(2, seed)
    vectors = np.random.default_rng(seed).normal(size=(4, 3)).astype(np.float32)
    if parallel:
        vectors[0] = 200 * np.asarray(samples.directions[0])
        samples = samples._replace(t_var=samples.t_var * 0)
    result = np.asarray(jit_projected_variance(samples, vectors))
    assert np.all(result >= 0)
    for i in range(2):
        for j, vector in enumerate(vectors.astype(np.float64)):
            exact = vector @ slow_covariance(samples, i) @ vector
            # Where a vector points along its ray nothing but rounding is left of |p|^2 r_var.
            bound = 2e-6 * float(vector @ vector) * float(samples.r_var[i]) + 2e-6 * exact
            assert abs(result[i, j] - exact) <= bound


def test_fourier_features_match_explicit_covariances():
    samples = some_samples(3, spread=0.01)
    result = encode(FourierFeatures(), samples)
    assert result.shape == (3, 262)  # Dream Fields' input: two for each of 128 random directions and 3 axes
    vectors = fourier_vectors(8, 128, False).astype(np.float64)
    for i in range(3):
        phases = vectors @ np.asarray(samples.means[i], np.float64)
        damping = np.exp(-0.5 * np.einsum("ki,ij,kj->k", vectors, slow_covariance(samples, i), vectors))
        expected = np.concatenate([np.cos(phases) * damping, np.sin(phases) * damping])
        np.testing.assert_allclose(result[i], expected, atol=2e-5)  # phases up to 40 * 3 * sqrt(3), in float32


def test_released_fourier_vectors_are_those_of_the_released_code():
    # What the released Dream Fields code's formula gives with the random bits of jax before 0.5, evaluated apart
    # from this project with jax 0.10.2 and 0.11.2: 60 of 128 vanish, 61 are distinct, the longest has 40.12.
    random = fourier_vectors(8, 128, False)[3:]
    assert np.sum(~np.any(random, axis=1)) == 60
    assert len(np.unique(random, axis=0)) == 61
    assert np.linalg.norm(random, axis=1).max() == pytest.approx(40.124805)
    assert np.abs(random).sum() == 942 - 3


@pytest.mark.parametrize("unit", [True, False])
def test_fourier_vectors_are_axes_and_whole_numbers(unit):
    vectors = fourier_vectors(8, 128, unit)
    np.testing.assert_array_equal(vectors[:3], np.eye(3))
    np.testing.assert_array_equal(vectors, np.trunc(vectors))
    assert np.linalg.norm(vectors, axis=1).max() <= 2**8


def test_unit_directions_reach_all_lengths():
    lengths = np.linalg.norm(fourier_vectors(8, 2000, True)[3:], axis=1)
    # 2^u with u uniform on [0, 8]: half are above 2^4, a quarter above 2^6; cutting to integers takes at most
    # sqrt(3). Four standard errors of a share of 2000 are 0.045.
    assert abs(np.mean(lengths > 2**4 - 1) - 0.5) < 0.06
    assert abs(np.mean(lengths > 2**6 - 1) - 0.25) < 0.05


def test_fourier_features_are_the_same_inside_of_transformations():
    samples = some_samples(2)
    encoding = FourierFeatures(num_octaves=5)  # not yet in the cache: drawn inside of the trace
    packed = jax.jit(lambda s: jax.lax.scan(lambda _, x: (None, jax.vmap(lambda y: encoding.apply({}, y))(x)), None, s))
    inside = packed(jax.tree.map(lambda x: x[None], samples))[1][0]
    np.testing.assert_allclose(inside, encode(encoding, samples), atol=1e-6)
    assert isinstance(fourier_vectors(5, 128, False), np.ndarray)


def test_annealing_widens_the_piece():
    samples = some_samples(3, spread=0.01)
    plain, once, twice = (encode(FourierFeatures(), scale_covariances(samples, scale)) for scale in (0.0, 1.0, 2.0))
    seen = np.abs(plain) > 0.1
    # Damping is exp(-scale^2 variance / 2).
    np.testing.assert_allclose(twice[seen] / plain[seen], (once[seen] / plain[seen]) ** 4, atol=1e-4)


# --- all of them ---

ALL = [
    IdentityEncoding(),
    Positional(4),
    IntegratedPositional(4, identity=True),
    DirectionEncoding(2),
    FourierFeatures(num_directions=5),
]


@pytest.mark.parametrize("encoding", ALL, ids=lambda e: type(e).__name__)
def test_every_encoding_takes_any_leading_axes(encoding):
    samples = some_samples(6)
    flat = encode(encoding, samples)
    grid = encode(encoding, jax.tree.map(lambda x: x.reshape(2, 3, *x.shape[1:]), samples))
    np.testing.assert_allclose(grid.reshape(flat.shape), flat, atol=1e-6)
    single = encode(encoding, jax.tree.map(lambda x: x[0], samples))
    np.testing.assert_allclose(single, flat[0], atol=1e-6)
    packed = jax.jit(jax.vmap(lambda s: encoding.apply({}, s)))(samples)
    np.testing.assert_allclose(packed, flat, atol=1e-6)


@pytest.mark.parametrize("encoding", [Positional, IntegratedPositional, DirectionEncoding, FourierFeatures])
def test_octaves_out_of_range_are_refused(encoding):
    with pytest.raises(UsageError, match="expected num_octaves from 1 to 16, got 17; NeRF has 10"):
        encoding(num_octaves=17)
    with pytest.raises(UsageError, match=f"{encoding.__name__}: expected num_octaves from 1"):
        encoding(num_octaves=0)
