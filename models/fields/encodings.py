"""What a field is fed instead of raw coordinates: sines and cosines of many frequencies, blurred by a piece's extent.

Every encoding is a linen module without parameters: its own configuration, hashable and comparable. Frequencies are
2^k radians a scene unit, WITHOUT the factor pi of NeRF's equation 4, as in the released NeRF, DietNeRF and mip-NeRF
codes: a period of octave k is 2 pi / 2^k scene units.

*b: any leading axes, f: features, k: directions that points are projected on.

References:
    NeRF: Mildenhall et al. 2020, https://arxiv.org/abs/2003.08934.
    mip-NeRF: Barron et al. 2021, https://arxiv.org/abs/2103.13415.
    Dream Fields: Jain et al. 2022, https://arxiv.org/abs/2112.01455, section 4.7 and appendix C.
"""

from __future__ import annotations

import functools

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from bench.errors import UsageError
from models.rendering.ray_sampling import Samples


class Raw(nn.Module):
    """The coordinates themselves."""

    @nn.compact
    def __call__(self, samples: Samples) -> Float[Array, "*b f"]:
        """Encodes the middles of pieces."""
        return samples.means


class Positional(nn.Module):
    """NeRF's positional encoding of a piece's middle (equation 4); its extent is ignored.

    Attributes:
        num_octaves: Frequencies 1, 2, ..., 2^(num_octaves - 1).
        identity: Whether the coordinates come along, as in all released codes.
    """

    num_octaves: int = 10
    identity: bool = True

    def __post_init__(self) -> None:
        _check_octaves("Positional", self.num_octaves, at_most=16)
        super().__post_init__()

    @nn.compact
    def __call__(self, samples: Samples) -> Float[Array, "*b f"]:
        """Encodes the middles of pieces."""
        return _waves(samples.means, None, self.num_octaves, self.identity)


class Integrated(nn.Module):
    """mip-NeRF's integrated positional encoding (equation 14): the mean of `Positional` over a Gaussian piece.

    Attributes:
        num_octaves: Frequencies 1, 2, ..., 2^(num_octaves - 1).
        identity: Whether the coordinates come along.
    """

    num_octaves: int = 16
    identity: bool = False

    def __post_init__(self) -> None:
        _check_octaves("Integrated", self.num_octaves, at_most=16)
        super().__post_init__()

    @nn.compact
    def __call__(self, samples: Samples) -> Float[Array, "*b f"]:
        """Encodes pieces, each as a whole."""
        variance = projected_variance(samples, np.eye(3, dtype=np.float32))
        return _waves(samples.means, variance, self.num_octaves, self.identity)


class Directions(nn.Module):
    """The positional encoding of the ray's direction, of length one.

    Attributes:
        num_octaves: Frequencies 1, 2, ..., 2^(num_octaves - 1).
        identity: Whether the direction itself comes along.
    """

    num_octaves: int = 4
    identity: bool = True

    def __post_init__(self) -> None:
        _check_octaves("Directions", self.num_octaves, at_most=16)
        super().__post_init__()

    @nn.compact
    def __call__(self, samples: Samples) -> Float[Array, "*b f"]:
        """Encodes directions."""
        directions = samples.directions
        norm_squared = jnp.sum(directions**2, axis=-1, keepdims=True)
        unit = directions * jax.lax.rsqrt(jnp.maximum(norm_squared, 1e-20))
        return _waves(unit, None, self.num_octaves, self.identity)


class FourierFeatures(nn.Module):
    """Dream Fields' encoding: cosines and sines along the three axes and along fixed random directions, integrated.

    To anneal it, widen the pieces: `models.rendering.ray_sampling.scale_covariances(samples, scale)`.

    Attributes:
        num_octaves: Lengths of the random directions are 2^u, u uniform between 0 and this.
        num_directions: How many random directions, besides the three axes of length one.
        unit_directions: What the lengths are lengths of. False is as the released code: it normalises each
            coordinate over the directions, not each direction, which makes them about 0.15 as long as written; cut
            to integers, 60 of the 128 are zero, 61 are distinct and none is longer than 41. True is the text.
        integrated: Whether a piece's extent damps its waves; False sees its middle only.
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
        """Encodes pieces, each as a whole."""
        vectors = fourier_vectors(self.num_octaves, self.num_directions, self.unit_directions)
        # Each vector twice: a cosine is a sine a quarter turn ahead. One formula over all features keeps loops
        # vectorised on a CPU, where putting sines beside cosines afterwards takes four times as long.
        twice = np.concatenate([vectors, vectors])
        quarters = np.repeat([1, 0], len(vectors))
        waves = sine_ahead(project(samples.means, twice), quarters)
        return waves * jnp.exp(-0.5 * projected_variance(samples, twice)) if self.integrated else waves


@functools.cache
def fourier_vectors(num_octaves: int, num_directions: int, unit_directions: bool) -> Float[np.ndarray, "k 3"]:
    """The three axes and the random directions of `FourierFeatures`; whole numbers, the same on every machine."""
    # Out of any trace, and with the random bits that jax drew by default in 2022.
    with jax.ensure_compile_time_eval(), jax.threefry_partitionable(False):
        key = jax.random.key(124124)  # the released code's
        length_key = jax.random.fold_in(key, 1) if unit_directions else key
        directions = jax.random.normal(key, (3, num_directions))
        directions = directions / jnp.linalg.norm(directions, axis=0 if unit_directions else 1, keepdims=True)
        lengths = 2 ** (num_octaves * jax.random.uniform(length_key, (num_directions,)))
        vectors = np.trunc(np.asarray(lengths[None, :] * directions)).T
    return np.concatenate([np.eye(3), vectors]).astype(np.float32)


def project(x: Float[Array, "*b 3"], vectors: Float[Array | np.ndarray, "k 3"]) -> Float[Array, "*b k"]:
    """Scalar products with fixed vectors, in full float32.

    Not a matmul: an accelerator's default precision would be wrong by whole radians at high frequencies, and three
    products fuse with the sines that follow.
    """
    rows = vectors.T.reshape(3, *(1,) * (x.ndim - 1), -1)
    return x[..., :1] * rows[0] + x[..., 1:2] * rows[1] + x[..., 2:] * rows[2]


def projected_variance(samples: Samples, vectors: Float[Array | np.ndarray, "k 3"]) -> Float[Array, "*b k"]:
    """Variance of each piece along fixed vectors, in scene units times the vector's length, squared."""
    norm_squared = jnp.maximum(jnp.sum(samples.directions**2, axis=-1), 1e-20)
    excess = (samples.t_var - samples.r_var / norm_squared)[..., None]
    lengths_squared = (vectors**2).sum(axis=1).reshape(*(1,) * samples.t_var.ndim, -1)
    along = project(samples.directions, vectors) * project(samples.directions * excess, vectors)
    # Rounding may leave less than nothing, where a vector points along a ray.
    return jnp.maximum(along + samples.r_var[..., None] * lengths_squared, 0)


# pi / 2 in four parts: the first three have so few bits that a multiple of up to 2^17 of each is exact.
_HALF_PI = tuple(np.float32(part) for part in (1.5625, 0.0081787109375, 0.00011730194091796875, 3.1391647326e-07))
# Fitted here: least largest error, on [-pi / 4, pi / 4], of r + r^3 S(r^2) and 1 - r^2 / 2 + r^4 C(r^2).
_SINE = tuple(np.float32(c) for c in (-0.16666655242443085, 0.008332177996635437, -0.00019517235341481864))
_COSINE = tuple(np.float32(c) for c in (0.04166664555668831, -0.0013887366512790322, 2.4438379114144482e-05))


@jax.custom_jvp
def sine_ahead(x: Float[Array, "*b f"], quarters: Int[Array | np.ndarray, " f"]) -> Float[Array, "*b f"]:
    """`sin(x + quarters pi / 2)` in float32, wrong by at most 1.3e-7 up to |x| = 200,000: one quarter is a cosine.

    Without branches: on a CPU this takes a sixth of the time of `jnp.sin`, which there is the better part of a small
    field's cost.

    Args:
        x: In radians.
        quarters: Exact quarter turns that each feature is ahead.
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
    """Sines, then cosines, of all octaves, damped by a variance, behind the coordinates if asked for."""
    octaves = np.arange(num_octaves)
    scales = 2.0 ** np.concatenate([[0] * identity, octaves, octaves])
    quarters = np.repeat([0] * identity + [0, 1], [1] * identity + [num_octaves] * 2)

    def of_each_row(y: Float[Array, "*b 3"], factors: Float[np.ndarray, " rows"]) -> Float[Array, "*b f"]:
        column = factors.astype(np.float32).reshape(*(1,) * (y.ndim - 1), -1, 1)
        return (y[..., None, :] * column).reshape(*y.shape[:-1], 3 * len(factors))

    phases = of_each_row(x, scales)
    waves = sine_ahead(phases, np.repeat(quarters, 3))
    if variance is not None:
        waves = waves * jnp.exp(-0.5 * of_each_row(variance, scales**2))
    if not identity:
        return waves
    # `where` and no concatenation, for the reason given in `FourierFeatures`.
    place = jax.lax.broadcasted_iota(jnp.int32, waves.shape, waves.ndim - 1)
    return jnp.where(place < 3, phases, waves)


def _check_octaves(where: str, num_octaves: int, *, at_most: int) -> None:
    if not 1 <= num_octaves <= at_most:
        raise UsageError(
            f"{where}: expected num_octaves from 1 to {at_most}, got {num_octaves}; NeRF has 10, beyond {at_most} "
            "float32 coordinates are too coarse"
        )
