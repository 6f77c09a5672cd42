"""Encodes positions and directions as sines and cosines of many frequencies, which the extent of a sample damps.

Each encoding is a linen module without parameters: it is its own configuration, hashable and comparable. Frequencies
are 2^k radians per scene unit, WITHOUT the factor pi of NeRF's equation 4, as in the released codes of NeRF, DietNeRF
and mip-NeRF: the period of octave k is 2 pi / 2^k scene units.

*b: any leading axes, f: features, k: directions that points are projected on.

References:
    NeRF: Mildenhall et al. 2020, https://arxiv.org/abs/2003.08934.
    mip-NeRF: Barron et al. 2021, https://arxiv.org/abs/2103.13415.
    Dream Fields: Jain et al. 2022, https://arxiv.org/abs/2112.01455, section 4.7 and appendix C.
"""

from __future__ import annotations

import contextlib
import functools
from typing import NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from bench.errors import UsageError
from models.rendering.ray_sampling import Samples


class IdentityEncoding(nn.Module):
    """Passes on the coordinates unchanged."""

    @nn.compact
    def __call__(self, samples: Samples) -> Float[Array, "*b f"]:
        """Encode the positions of samples."""
        return samples.means


class Positional(nn.Module):
    """Encodes positions as NeRF does (equation 4); the extent of samples is ignored.

    Attributes:
        num_octaves: Frequencies are 1, 2, ..., 2^(num_octaves - 1).
        identity: Whether the features include the coordinates, as in all released codes.
    """

    num_octaves: int = 10
    identity: bool = True

    def __post_init__(self) -> None:
        _check_octaves("Positional", self.num_octaves, at_most=16)
        super().__post_init__()

    @nn.compact
    def __call__(self, samples: Samples) -> Float[Array, "*b f"]:
        """Encode the positions of samples."""
        return _waves(samples.means, None, self.num_octaves, self.identity)


class IntegratedPositional(nn.Module):
    """Encodes Gaussians as mip-NeRF does (equation 14): the mean of `Positional` over a Gaussian.

    Attributes:
        num_octaves: Frequencies are 1, 2, ..., 2^(num_octaves - 1).
        identity: Whether the features include the coordinates.
    """

    num_octaves: int = 16
    identity: bool = False

    def __post_init__(self) -> None:
        _check_octaves("IntegratedPositional", self.num_octaves, at_most=16)
        super().__post_init__()

    @nn.compact
    def __call__(self, samples: Samples) -> Float[Array, "*b f"]:
        """Encode Gaussian samples."""
        variance = projected_variance(samples, np.eye(3, dtype=np.float32))
        return _waves(samples.means, variance, self.num_octaves, self.identity)


class DirectionEncoding(nn.Module):
    """Encodes the direction of rays, normalised to length 1.

    Attributes:
        num_octaves: Frequencies are 1, 2, ..., 2^(num_octaves - 1).
        identity: Whether the features include the direction itself.
    """

    num_octaves: int = 4
    identity: bool = True

    def __post_init__(self) -> None:
        _check_octaves("DirectionEncoding", self.num_octaves, at_most=16)
        super().__post_init__()

    @nn.compact
    def __call__(self, samples: Samples) -> Float[Array, "*b f"]:
        """Encode the directions of samples."""
        directions = samples.directions
        norm_squared = jnp.sum(directions**2, axis=-1, keepdims=True)
        unit = directions * jax.lax.rsqrt(jnp.maximum(norm_squared, 1e-20))
        return _waves(unit, None, self.num_octaves, self.identity)


class FourierFeatures(nn.Module):
    """Encodes as Dream Fields does: cosines and sines along the axes and along fixed random vectors, integrated.

    To anneal it, widen the samples: `models.rendering.ray_sampling.scale_covariances(samples, scale)`.

    Attributes:
        num_octaves: The lengths of the random vectors are 2^u, with u uniform between 0 and this.
        num_directions: Number of random vectors, besides the three axes of length 1.
        unit_directions: Whether directions are normalised before they are multiplied by these lengths, as the text
            says. False is the released code: it normalises each coordinate over all vectors instead, which makes the
            vectors about 0.15 times as long. After truncation to integers, 60 of the 128 are zero, 61 are distinct,
            and none is longer than 41.
        integrated: Whether the extent of a sample damps its waves; False uses its position only.
    """

    num_octaves: int = 8
    num_directions: int = 128
    unit_directions: bool = False
    integrated: bool = True

    def __post_init__(self) -> None:
        _check_octaves("FourierFeatures", self.num_octaves, at_most=16)
        super().__post_init__()

    @nn.compact
    def __call__(self, samples: Samples) -> Float[Array, "*b f"]:
        """Encode Gaussian samples."""
        vectors = fourier_vectors(self.num_octaves, self.num_directions, self.unit_directions)
        return self._waves_along(vectors, samples)

    def distinct_waves(self, samples: Samples) -> Float[Array, "*b m"]:
        """Compute each wave once: of the features, those that are neither constant nor another one, or its negative.

        Many random vectors are equal, opposite or zero after truncation: the released encoding has 262 features and
        116 distinct waves. `folding` says which features each wave stands for.
        """
        return self._waves_along(self.folding.vectors, samples)

    @property
    def folding(self) -> Folding:
        """Tell which features are equal, opposite or constant."""
        return fold_features(self.num_octaves, self.num_directions, self.unit_directions)

    def _waves_along(self, vectors: Float[np.ndarray, "k 3"], samples: Samples) -> Float[Array, "*b f"]:
        """Compute the cosines along some vectors, and then the sines."""
        # Each vector twice, because a cosine is a sine a quarter turn ahead. One formula for all features keeps loops
        # vectorised on a CPU; concatenating sines and cosines afterwards takes four times as long.
        twice = np.concatenate([vectors, vectors])
        quarters = np.repeat([1, 0], len(vectors))
        waves = sine_ahead(project(samples.means, twice), quarters)
        if self.integrated:
            waves = waves * jnp.exp(-0.5 * projected_variance(samples, twice))
        return waves


class Folding(NamedTuple):
    """Says which features of `FourierFeatures` are sums of which distinct waves.

    Attributes:
        vectors: The distinct vectors: no zero, no two that are equal or opposite.
        matrix: `features = distinct_waves @ matrix + constant`.
        constant: 1 for the cosine along a zero vector, 0 for all else.
    """

    vectors: Float[np.ndarray, "k 3"]
    matrix: Float[np.ndarray, "m f"]
    constant: Float[np.ndarray, " f"]


@functools.cache
def fold_features(num_octaves: int, num_directions: int, unit_directions: bool) -> Folding:
    """Find the distinct waves among the features of `FourierFeatures`.

    Example:
        >>> folding = fold_features(8, 128, unit_directions=False)
        >>> folding.matrix.shape, int(folding.constant.sum())
        ((116, 262), 60)
    """
    vectors = fourier_vectors(num_octaves, num_directions, unit_directions)
    places: dict[tuple[float, ...], int] = {}
    entries: list[tuple[int, int, int]] = []
    constant = np.zeros(2 * len(vectors), np.float32)
    for i, vector in enumerate(vectors):
        if not vector.any():
            constant[i] = 1
            continue
        sign = int(np.sign(vector[np.flatnonzero(vector)[0]]))
        place = places.setdefault(tuple(float(x) for x in sign * vector), len(places))
        entries.append((i, place, sign))
    num_distinct = len(places)
    matrix = np.zeros((2 * num_distinct, 2 * len(vectors)), np.float32)
    for i, place, sign in entries:
        matrix[place, i] = 1  # a cosine does not see the sign
        matrix[num_distinct + place, len(vectors) + i] = sign
    return Folding(np.asarray(list(places), np.float32), matrix, constant)


@functools.cache
def fourier_vectors(num_octaves: int, num_directions: int, unit_directions: bool) -> Float[np.ndarray, "k 3"]:
    """Return the axes and the random vectors of `FourierFeatures`: integers, equal on every machine."""
    # Outside of any trace, on the host, and with the random bits that JAX drew by default in 2022.
    with _on_host(), jax.ensure_compile_time_eval(), jax.threefry_partitionable(False):
        seed = np.asarray(124124, np.int32)  # the released code's
        vectors = np.trunc(np.asarray(_draw_vectors(num_octaves, num_directions, unit_directions, seed))).T
    return np.concatenate([np.eye(3), vectors]).astype(np.float32)


@functools.partial(jax.jit, static_argnums=(0, 1, 2))
def _draw_vectors(
    num_octaves: int, num_directions: int, unit_directions: bool, seed: Int[Array | np.ndarray, ""]
) -> Float[Array, "3 k"]:
    """Draw the random vectors before truncation, in one program; each operation alone would be one of its own.

    The seed is an argument, so that JAX traces what follows from it instead of computing it at once.
    """
    key = jax.random.key(seed)
    length_key = jax.random.fold_in(key, 1) if unit_directions else key
    directions = jax.random.normal(key, (3, num_directions))
    directions = directions / jnp.linalg.norm(directions, axis=0 if unit_directions else 1, keepdims=True)
    lengths = 2 ** (num_octaves * jax.random.uniform(length_key, (num_directions,)))
    return lengths[None, :] * directions


def _on_host() -> contextlib.AbstractContextManager[None]:
    """Compute on the CPU, where small programs compile faster; where that is not offered, on the default device."""
    try:
        return jax.default_device(jax.local_devices(backend="cpu")[0])
    except RuntimeError:  # JAX_PLATFORMS names accelerators alone
        return contextlib.nullcontext()


def project(x: Float[Array, "*b 3"], vectors: Float[Array | np.ndarray, "k 3"]) -> Float[Array, "*b k"]:
    """Compute the dot products with fixed vectors, in full float32.

    This is not a matmul, because an accelerator's default precision would be wrong by whole radians at high
    frequencies, and because three products fuse with the sines that follow.
    """
    rows = vectors.T.reshape(3, *(1,) * (x.ndim - 1), -1)
    return x[..., :1] * rows[0] + x[..., 1:2] * rows[1] + x[..., 2:] * rows[2]


def projected_variance(samples: Samples, vectors: Float[Array | np.ndarray, "k 3"]) -> Float[Array, "*b k"]:
    """Compute the variance of each sample along fixed vectors, scaled by the squared length of the vector."""
    if samples.covariance is not None:
        return _projected_covariance(samples.covariance, vectors)
    norm_squared = jnp.maximum(jnp.sum(samples.directions**2, axis=-1), 1e-20)
    excess = (samples.t_var - samples.r_var / norm_squared)[..., None]
    lengths_squared = (vectors**2).sum(axis=1).reshape(*(1,) * samples.t_var.ndim, -1)
    along = project(samples.directions, vectors) * project(samples.directions * excess, vectors)
    # Rounding may give a negative value where a vector points along a ray.
    return jnp.maximum(along + samples.r_var[..., None] * lengths_squared, 0)


def _projected_covariance(
    covariance: Float[Array, "*b 3 3"], vectors: Float[Array | np.ndarray, "k 3"]
) -> Float[Array, "*b k"]:
    """Compute v C v of each vector, in full float32."""
    found = jnp.zeros((*covariance.shape[:-2], len(vectors)), jnp.float32)
    for row in range(3):
        for column in range(row, 3):
            # The matrix is symmetric: what is off its diagonal counts twice.
            factor = (vectors[:, row] * vectors[:, column] * (1 if row == column else 2)).reshape(
                *(1,) * (covariance.ndim - 2), -1
            )
            found = found + covariance[..., row, column, None] * factor
    return jnp.maximum(found, 0)


# pi / 2 as a sum of four parts. The first three have so few bits that their product with integers to 2^17 is exact.
_HALF_PI = tuple(np.float32(part) for part in (1.5625, 0.0081787109375, 0.00011730194091796875, 3.1391647326e-07))
# Minimax fits on [-pi / 4, pi / 4], made for this file: sine is r + r^3 S(r^2), cosine is 1 - r^2 / 2 + r^4 C(r^2).
_SINE = tuple(np.float32(c) for c in (-0.16666655242443085, 0.008332177996635437, -0.00019517235341481864))
_COSINE = tuple(np.float32(c) for c in (0.04166664555668831, -0.0013887366512790322, 2.4438379114144482e-05))


@jax.custom_jvp
def sine_ahead(x: Float[Array, "*b f"], quarters: Int[Array | np.ndarray, " f"]) -> Float[Array, "*b f"]:
    """Compute `sin(x + quarters pi / 2)` in float32, with an error of at most 1.3e-7 up to |x| = 200,000.

    It has no branches: on a CPU it takes a sixth of the time of `jnp.sin`, which would take most of the time of a small
    field.

    Args:
        x: In radians.
        quarters: Exact quarter turns that each feature is ahead. One quarter makes a cosine.
    """
    turned = jnp.round(x * np.float32(2 / np.pi))
    r = x
    for part in _HALF_PI:
        r = r - turned * part
    r2 = r * r
    sine = r + r * r2 * (_SINE[0] + r2 * (_SINE[1] + r2 * _SINE[2]))
    cosine = 1 - 0.5 * r2 + r2 * r2 * (_COSINE[0] + r2 * (_COSINE[1] + r2 * _COSINE[2]))
    quadrant = turned.astype(jnp.int32) + quarters.reshape(*(1,) * (x.ndim - 1), -1)
    value = jnp.where((quadrant & 1) == 1, cosine, sine)
    return jnp.where((quadrant & 2) == 2, -value, value)


@sine_ahead.defjvp
def _sine_ahead_jvp(primals, tangents):
    x, quarters = primals
    return sine_ahead(x, quarters), sine_ahead(x, quarters + 1) * tangents[0]


def _waves(
    x: Float[Array, "*b 3"], variance: Float[Array, "*b 3"] | None, num_octaves: int, identity: bool
) -> Float[Array, "*b f"]:
    """Compute the coordinates (if `identity`), then sines and cosines of all octaves, damped by a variance."""
    octaves = np.arange(num_octaves)
    scales = 2.0 ** np.concatenate([octaves, octaves])
    quarters = np.repeat([0, 1], num_octaves)
    if identity:
        # A row of its own for the coordinates, whose sines are replaced at the end.
        scales = np.concatenate([[1.0], scales])
        quarters = np.concatenate([[0], quarters])

    phases = _outer_product(x, scales)
    waves = sine_ahead(phases, np.repeat(quarters, 3))
    if variance is not None:
        waves = waves * jnp.exp(-0.5 * _outer_product(variance, scales**2))
    if identity:
        # `where` instead of a concatenation, for the reason given in `FourierFeatures`.
        index = jax.lax.broadcasted_iota(jnp.int32, waves.shape, waves.ndim - 1)
        waves = jnp.where(index < 3, phases, waves)
    return waves


def _outer_product(x: Float[Array, "*b 3"], factors: Float[np.ndarray, " rows"]) -> Float[Array, "*b f"]:
    """Multiply coordinates by each of several factors; the features of a factor stand together."""
    column = factors.astype(np.float32).reshape(*(1,) * (x.ndim - 1), -1, 1)
    return (x[..., None, :] * column).reshape(*x.shape[:-1], 3 * len(factors))


def _check_octaves(where: str, num_octaves: int, *, at_most: int) -> None:
    if not 1 <= num_octaves <= at_most:
        raise UsageError(
            f"{where}: expected num_octaves from 1 to {at_most}, got {num_octaves}; NeRF has 10, beyond {at_most} "
            "float32 coordinates are too coarse"
        )
