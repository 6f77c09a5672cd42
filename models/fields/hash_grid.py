"""Defines a field that trains fast: features in hashed grids of many resolutions, and a small network on them.

Colour does not depend on the view direction, and the extent of samples is ignored.

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
from models.fields.density import DensityActivation, activate_density
from models.fields.networks import Dtype, check_fields, dense_layer, filled_size
from models.method import sized_by
from models.rendering.ray_sampling import Samples

INITIAL_FEATURE = 1e-4
"""Initial features are uniform between minus and plus this, so small that no level has a visible pattern."""

_PRIMES = (1, 2_654_435_761, 805_459_861)  # the paper's, one for each axis (equation 4)


class HashGrid(nn.Module):
    """Instant NGP's encoding of a cube about the origin, with a small network.

    A level is a cubic grid of resolution + 1 corners along an edge. If a level has more corners than its table has
    rows, several corners share a row, which the hash chooses. Training is left to deal with these collisions. Tables
    need a learning rate of about 1e-2, far higher than that of a network.

    Attributes:
        width: Units of a hidden layer; the paper has 64.
        num_hidden: Hidden layers, with ReLU.
        half_width: Distance from the origin to a face of the cube, in scene units. Outside the cube density is zero,
            and colour is that of the nearest face.
        num_levels: Grids. Their resolutions form a geometric sequence from base to finest.
        num_features: Features of a level.
        log2_table_size: Base-2 logarithm of a table's maximal number of rows. A level that fits is stored in full.
        base_resolution: Cells along an edge in the coarsest level.
        finest_resolution: Cells along an edge in the finest level.
        density_activation: See `MLP`.
        density_noise: See `MLP`.
        dtype: Type of hidden layers; None takes the budget's `field_dtype`. Tables, their interpolation and results
            are always float32.
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
        check_fields(self)
        _check_grid(self)
        super().__post_init__()

    @nn.compact
    def __call__(
        self, samples: Samples, *, key: PRNGKeyArray | None = None, sharpness: Float[Array, ""] | None = None
    ) -> tuple[Float[Array, "*b"], Float[Array, "*b 3"]]:
        """Compute density and colour at the positions of samples."""
        width = filled_size(self, "width")
        dtype = filled_size(self, "dtype")
        dense = functools.partial(dense_layer, "lecun", dtype)
        position = jnp.clip(0.5 * (samples.means / self.half_width + 1), 0, 1)
        features = []
        for i, resolution in enumerate(resolutions(self.num_levels, self.base_resolution, self.finest_resolution)):
            num_rows = min((resolution + 1) ** 3, 2**self.log2_table_size)
            table = self.param(f"level_{i}", _initial_features, (num_rows, self.num_features))
            features.append(interpolate(table, position * resolution, resolution))
        h = jnp.concatenate(features, axis=-1).astype(dtype)
        for i in range(self.num_hidden):
            h = nn.relu(dense(width, name=f"layer_{i}")(h))
        raw = dense(4, name="color_and_density", is_head=True)(h)
        is_inside = jnp.max(jnp.abs(samples.means), axis=-1) <= self.half_width
        density = jnp.where(is_inside, activate_density(self, raw[..., 3], samples, key, sharpness), 0)
        return density, nn.sigmoid(raw[..., :3])


def resolutions(num_levels: int, base: int, finest: int) -> tuple[int, ...]:
    """Compute the cells along an edge of each level (equations 2 and 3).

    Example:
        >>> resolutions(4, 16, 128)
        (16, 32, 64, 128)
    """
    # The small number is for rounding: 127.9999999 must become 128, not 127.
    return tuple(int(size + 1e-6) for size in np.geomspace(base, finest, num_levels))


@functools.partial(jax.custom_vjp, nondiff_argnums=(2,))
def interpolate(table: Float[Array, "rows f"], position: Float[Array, "*b 3"], resolution: int) -> Float[Array, "*b f"]:
    """Interpolate the features of a level trilinearly between corners.

    The corners are processed one by one, so that no array has an axis of eight. The backward pass computes the corners'
    weights again instead of keeping them.

    Args:
        table: One row for each corner, x fastest, if there are `(resolution + 1)^3` rows. Otherwise rows are hashed,
            and their number is a power of two.
        position: In cells, from 0 to `resolution`.
        resolution: Cells along an edge.
    """
    return _weighted_sum(table, position, resolution)


def _weighted_sum(
    table: Float[Array, "rows f"], position: Float[Array, "*b 3"], resolution: int
) -> Float[Array, "*b f"]:
    result = jnp.zeros((*position.shape[:-1], table.shape[1]), table.dtype)
    for rows, weight in _corners(position, resolution, table.shape[0]):
        result = result + weight[..., None] * table.at[rows].get(mode="clip")
    return result


_TableAndPosition: TypeAlias = tuple[Float[Array, "rows f"], Float[Array, "*b 3"]]


def _forward(
    table: Float[Array, "rows f"], position: Float[Array, "*b 3"], resolution: int
) -> tuple[Float[Array, "*b f"], _TableAndPosition]:
    return _weighted_sum(table, position, resolution), (table, position)


def _backward(resolution: int, saved: _TableAndPosition, result_grad: Float[Array, "*b f"]) -> _TableAndPosition:
    table, position = saved
    # One array accumulates all corners. The transpose of eight lookups would make eight tables and add them up.
    table_grad = jnp.zeros_like(table)
    for rows, weight in _corners(position, resolution, table.shape[0]):
        table_grad = table_grad.at[rows].add(weight[..., None] * result_grad)
    # The compiler removes this where the gradient of positions is not used.
    _, pull_back = jax.vjp(lambda x: _weighted_sum(table, x, resolution), position)
    [position_grad] = pull_back(result_grad)
    return table_grad, position_grad


interpolate.defvjp(_forward, _backward)


def _corners(
    position: Float[Array, "*b 3"], resolution: int, num_rows: int
) -> Iterator[tuple[UInt32[Array, "*b"], Float[Array, "*b"]]]:
    """Yield the table row and the interpolation weight of each of the eight corners around a position."""
    cell = jnp.clip(jnp.floor(jax.lax.stop_gradient(position)), 0, resolution - 1)
    fraction = position - cell
    cell = cell.astype(jnp.uint32)
    for corner in np.ndindex(2, 2, 2):
        x, y, z = (cell[..., axis] + np.uint32(step) for axis, step in enumerate(corner))
        if num_rows == (resolution + 1) ** 3:
            rows = x + np.uint32(resolution + 1) * (y + np.uint32(resolution + 1) * z)
        else:
            rows = x * np.uint32(_PRIMES[0]) ^ y * np.uint32(_PRIMES[1]) ^ z * np.uint32(_PRIMES[2])
            rows = rows & np.uint32(num_rows - 1)
        weights = [fraction[..., axis] if step else 1 - fraction[..., axis] for axis, step in enumerate(corner)]
        yield rows, weights[0] * weights[1] * weights[2]


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
