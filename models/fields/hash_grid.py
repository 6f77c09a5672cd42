"""A field that is fast to train: features in grids of many resolutions, found by hash, and a small network on them.

Colour does not depend on direction, and a piece's extent is ignored.

*b: any leading axes of samples, rows: of a level's table, f: features of a level.

References:
    Mueller et al. 2022, "Instant Neural Graphics Primitives", https://arxiv.org/abs/2201.05989, section 3.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator
from typing import TypeAlias

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, PRNGKeyArray, UInt32

from bench.errors import UsageError
from models.fields.networks import DensityActivation, Dtype, _check, _dense, _density, _size
from models.method import sized_by
from models.rendering.ray_sampling import Samples

INITIAL_FEATURE = 1e-4
"""Features start evenly in plus and minus this: nearly nothing, so that no level has a pattern of its own."""

_PRIMES = (1, 2_654_435_761, 805_459_861)  # the paper's, one an axis (equation 4)


class HashGrid(nn.Module):
    """Instant NGP's encoding of a cube about the origin, and a network of few layers.

    A level is a cubic grid of resolution + 1 corners along an edge. Where its corners outnumber the rows of a table
    several share one row, whichever the hash says; nothing is done about that but to train. Tables want a learning
    rate of about 1e-2, far above a network's.

    Attributes:
        width: Units of a hidden layer; the paper has 64.
        num_hidden: Hidden layers, ReLU each.
        half_width: From the origin to a face of the cube, in scene units; outside density is zero and colour is that
            of the nearest face.
        num_levels: Grids, their resolutions even in logarithm from base to finest.
        num_features: Of a level.
        log2_table_size: Rows of a table at most, as a power of two. A level that fits is stored in full.
        base_resolution: Cells along an edge in the coarsest level.
        finest_resolution: Cells along an edge in the finest level.
        density_activation: See `MLP`.
        density_noise: See `MLP`.
        dtype: Of hidden layers; None takes the budget's `field_dtype`. Tables, interpolation in them and results are
            float32 in any case.
    """

    width: int | None = None
    num_hidden: int = 1
    half_width: float = 1.5
    num_levels: int = 8
    num_features: int = 2
    log2_table_size: int = 15
    base_resolution: int = 16
    finest_resolution: int = 128
    density_activation: DensityActivation = "shifted_softplus"
    density_noise: float = 0.0
    dtype: Dtype | None = sized_by("field_dtype", "float32")

    def __post_init__(self) -> None:
        _check(self)
        _check_grid(self)
        super().__post_init__()

    @nn.compact
    def __call__(
        self, samples: Samples, *, key: PRNGKeyArray | None = None
    ) -> tuple[Float[Array, "*b"], Float[Array, "*b 3"]]:
        """Density and colour at the middles of pieces of rays."""
        width, dtype = _size(self, "width"), _size(self, "dtype")
        dense = functools.partial(_dense, "lecun", dtype)
        place = jnp.clip(0.5 * (samples.means / self.half_width + 1), 0, 1)
        features = []
        for i, resolution in enumerate(resolutions(self.num_levels, self.base_resolution, self.finest_resolution)):
            num_rows = min((resolution + 1) ** 3, 2**self.log2_table_size)
            table = self.param(f"level_{i}", _initial_features, (num_rows, self.num_features))
            features.append(interpolated(table, place * resolution, resolution))
        h = jnp.concatenate(features, axis=-1).astype(dtype)
        for i in range(self.num_hidden):
            h = nn.relu(dense(width, name=f"layer_{i}")(h))
        raw = dense(4, name="color_and_density", is_head=True)(h)
        inside = jnp.max(jnp.abs(samples.means), axis=-1) <= self.half_width
        return jnp.where(inside, _density(self, raw[..., 3], key), 0), nn.sigmoid(raw[..., :3])


def resolutions(num_levels: int, base: int, finest: int) -> tuple[int, ...]:
    """Cells along an edge, level by level (equations 2 and 3).

    Example:
        >>> resolutions(4, 16, 128)
        (16, 32, 64, 128)
    """
    # The small number is for rounding: 127.9999999 is 128, and is not cut to 127.
    return tuple(int(size + 1e-6) for size in np.geomspace(base, finest, num_levels))


@functools.partial(jax.custom_vjp, nondiff_argnums=(2,))
def interpolated(table: Float[Array, "rows f"], place: Float[Array, "*b 3"], resolution: int) -> Float[Array, "*b f"]:
    """Features of a level, trilinear between corners.

    Corner by corner: no array has an axis of eight, and backward the corners' shares are computed again, not kept.

    Args:
        table: A row for each corner, x fastest, if it has `(resolution + 1)^3`; otherwise rows are hashed, and their
            number is a power of two.
        place: In cells, from 0 to `resolution`.
        resolution: Cells along an edge.
    """
    return _read(table, place, resolution)


def _read(table: Float[Array, "rows f"], place: Float[Array, "*b 3"], resolution: int) -> Float[Array, "*b f"]:
    result = jnp.zeros((*place.shape[:-1], table.shape[1]), table.dtype)
    for rows, share in _corners(place, resolution, table.shape[0]):
        result = result + share[..., None] * table.at[rows].get(mode="clip")
    return result


_Kept: TypeAlias = tuple[Float[Array, "rows f"], Float[Array, "*b 3"]]


def _forward(
    table: Float[Array, "rows f"], place: Float[Array, "*b 3"], resolution: int
) -> tuple[Float[Array, "*b f"], _Kept]:
    return _read(table, place, resolution), (table, place)


def _backward(resolution: int, kept: _Kept, of_result: Float[Array, "*b f"]) -> _Kept:
    table, place = kept
    # One array that all corners are added to; the transpose of the eight reads would be eight tables and their sum.
    of_table = jnp.zeros_like(table)
    for rows, share in _corners(place, resolution, table.shape[0]):
        of_table = of_table.at[rows].add(share[..., None] * of_result)
    # Where nobody asks for it a compiler leaves this out.
    _, pull = jax.vjp(lambda x: _read(table, x, resolution), place)
    return of_table, *pull(of_result)


interpolated.defvjp(_forward, _backward)


def _corners(
    place: Float[Array, "*b 3"], resolution: int, num_rows: int
) -> Iterator[tuple[UInt32[Array, "*b"], Float[Array, "*b"]]]:
    """The eight corners around a place: their rows, and their shares in it."""
    cell = jnp.clip(jnp.floor(jax.lax.stop_gradient(place)), 0, resolution - 1)
    fraction, cell = place - cell, cell.astype(jnp.uint32)
    for upper in np.ndindex(2, 2, 2):
        x, y, z = (cell[..., axis] + np.uint32(step) for axis, step in enumerate(upper))
        if num_rows == (resolution + 1) ** 3:
            rows = x + np.uint32(resolution + 1) * (y + np.uint32(resolution + 1) * z)
        else:
            rows = x * np.uint32(_PRIMES[0]) ^ y * np.uint32(_PRIMES[1]) ^ z * np.uint32(_PRIMES[2])
            rows = rows & np.uint32(num_rows - 1)
        near = [fraction[..., axis] if step else 1 - fraction[..., axis] for axis, step in enumerate(upper)]
        yield rows, near[0] * near[1] * near[2]


def _initial_features(key: PRNGKeyArray, shape: tuple[int, int]) -> Float[Array, "rows f"]:
    return jax.random.uniform(key, shape, minval=-INITIAL_FEATURE, maxval=INITIAL_FEATURE)


_RANGES = {
    "num_hidden": (1, 8),
    "num_levels": (2, 32),
    "num_features": (1, 16),
    "log2_table_size": (4, 24),
    "base_resolution": (1, 65_536),
    "finest_resolution": (1, 65_536),
}


def _check_grid(field: HashGrid) -> None:
    for name, (least, most) in _RANGES.items():
        value = getattr(field, name)
        if not least <= value <= most:
            raise UsageError(
                f"HashGrid: expected {name} from {least} to {most}, got {value}; "
                f"the default is {type(field).__dataclass_fields__[name].default}"
            )
    if field.finest_resolution < field.base_resolution:
        raise UsageError(
            f"HashGrid: expected finest_resolution from base_resolution, {field.base_resolution}, got "
            f"{field.finest_resolution}; write down the coarser one as base_resolution"
        )
    if field.half_width <= 0:
        raise UsageError(
            f"HashGrid: expected half_width above 0, got {field.half_width}; 1.5 fits NeRF's synthetic scenes"
        )
