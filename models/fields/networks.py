"""What a field is: from pieces of rays to density (an inverse length, not negative) and colour (in [0, 1]).

Every field is a linen module, its own configuration: frozen, hashable, comparable, `dataclasses.replace` works. A
size left as None comes from the budget (`tasks.budgets.sized`). A field of your own needs no more than
`__call__(samples, *, key=None)` with these annotations.

*b: any leading axes of samples, f: features.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, Literal, get_args

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, PRNGKeyArray

from bench.errors import UsageError, nearest
from models.fields.encodings import Directions, FourierFeatures, Positional
from models.method import sized_by
from models.rendering.ray_sampling import Samples

DensityActivation = Literal["relu", "softplus", "shifted_softplus"]
Initializer = Literal["lecun", "xavier"]
Dtype = Literal["float32", "bfloat16"]


class MLP(nn.Module):
    """NeRF's network: hidden layers with the input joined in again halfway, colour from a branch that sees directions.

    Attributes:
        width: Units of a hidden layer; the view branch has half.
        depth: Hidden layers. The input joins again after layer `depth // 2`, counted from 0 (4 of 8).
        encoding: Of pieces.
        direction_encoding: Of the ray's direction.
        view_directions: Whether colour depends on direction; off, one layer gives density and colour.
        density_activation: "relu" as NeRF; "shifted_softplus", of x - 1, as mip-NeRF, always has a gradient.
        density_noise: Standard deviation of noise added before that activation where a key is given.
        initializer: "lecun" is flax's default; "xavier" is uniform with the activation's gain, as DietNeRF.
        dtype: Of hidden layers; None takes the budget's `field_dtype`. Parameters and results are float32 in any case.
    """

    width: int | None = None
    depth: int | None = None
    encoding: nn.Module = Positional(num_octaves=10)
    direction_encoding: nn.Module = Directions(num_octaves=4)
    view_directions: bool = True
    density_activation: DensityActivation = "relu"
    density_noise: float = 0.0
    initializer: Initializer = "lecun"
    dtype: Dtype | None = sized_by("field_dtype", "float32")

    def __post_init__(self) -> None:
        _check(self)
        super().__post_init__()

    @nn.compact
    def __call__(
        self, samples: Samples, *, key: PRNGKeyArray | None = None
    ) -> tuple[Float[Array, "*b"], Float[Array, "*b 3"]]:
        """Density and colour of pieces of rays."""
        width, depth = _size(self, "width"), _size(self, "depth")
        dtype = _size(self, "dtype")
        hidden = functools.partial(_dense, self.initializer, dtype, gain=2**0.5)
        head = functools.partial(_dense, self.initializer, dtype, is_head=True)
        encoded = self.encoding(samples).astype(dtype)
        h = encoded
        for i in range(depth):
            if i > 0 and i == depth // 2 + 1:
                h = jnp.concatenate([encoded, h], axis=-1)
            h = nn.relu(hidden(width, name=f"layer_{i}")(h))
        if self.view_directions:
            raw_density = head(1, name="density")(h)[..., 0]
            feature = _dense(self.initializer, dtype, width, name="feature")(h)
            directions = self.direction_encoding(samples).astype(dtype)
            h = nn.relu(hidden(max(width // 2, 1), name="view")(jnp.concatenate([feature, directions], axis=-1)))
            raw_color = head(3, name="color")(h)
        else:
            raw = head(4, name="color_and_density")(h)
            raw_color, raw_density = raw[..., :3], raw[..., 3]
        return _density(self, raw_density, key), nn.sigmoid(raw_color)


class ResidualMLP(nn.Module):
    """Dream Fields' network: residual blocks with layer normalisation, no view directions (its appendix C).

    Attributes:
        width: Units of the residual stream; 128 as published.
        hidden: Units inside a block; None for twice the stream's.
        num_blocks: How many blocks; 4 as published.
        encoding: Of pieces.
        density_activation: See `MLP`.
        density_noise: See `MLP`.
        dtype: See `MLP`.
    """

    width: int | None = sized_by("residual_width")
    hidden: int | None = None
    num_blocks: int | None = None
    encoding: nn.Module = FourierFeatures()
    density_activation: DensityActivation = "softplus"
    density_noise: float = 0.0
    dtype: Dtype | None = sized_by("field_dtype", "float32")

    def __post_init__(self) -> None:
        _check(self)
        super().__post_init__()

    @nn.compact
    def __call__(
        self, samples: Samples, *, key: PRNGKeyArray | None = None
    ) -> tuple[Float[Array, "*b"], Float[Array, "*b 3"]]:
        """Density and colour of pieces of rays."""
        dtype = _size(self, "dtype")
        dense = functools.partial(_dense, "lecun", dtype)
        width, hidden = _size(self, "width"), self.hidden or 2 * _size(self, "width")
        h = nn.swish(dense(width, name="first")(self.encoding(samples).astype(dtype)))
        for i in range(_size(self, "num_blocks")):
            inside = nn.LayerNorm(dtype=jnp.dtype(dtype), name=f"norm_{i}")(h)
            inside = nn.swish(dense(hidden, name=f"expand_{i}")(inside))
            h = h + dense(width, name=f"reduce_{i}")(inside)
        h = nn.swish(dense(width, name="last")(h))
        raw = dense(4, name="color_and_density", is_head=True)(h)
        return _density(self, raw[..., 3], key), nn.sigmoid(raw[..., :3])


class Voxels(nn.Module):
    """No network: density and colour at the corners of a cubic grid about the origin, trilinear between them.

    Attributes:
        resolution: Corners along an edge.
        half_width: From the origin to a face, in scene units; outside density is zero.
        density_activation: Of the interpolated number; every corner starts at 0 with grey colour.
        density_noise: See `MLP`.
    """

    resolution: int = 64
    half_width: float = 1.5
    density_activation: DensityActivation = "shifted_softplus"
    density_noise: float = 0.0

    def __post_init__(self) -> None:
        _check(self)
        if self.resolution < 2 or self.half_width <= 0:
            raise UsageError(
                f"Voxels: expected resolution from 2 and half_width above 0, got {self.resolution} and "
                f"{self.half_width}; 64 and 1.5 fit NeRF's synthetic scenes"
            )
        super().__post_init__()

    @nn.compact
    def __call__(
        self, samples: Samples, *, key: PRNGKeyArray | None = None
    ) -> tuple[Float[Array, "*b"], Float[Array, "*b 3"]]:
        """Density and colour at the middles of pieces of rays."""
        num = self.resolution
        grid = self.param("grid", nn.initializers.zeros, (num, num, num, 4), jnp.float32)
        place = (samples.means / self.half_width + 1) * (0.5 * (num - 1))
        cell = jnp.clip(jnp.floor(place), 0, num - 2)
        fraction = place - cell
        cell = cell.astype(jnp.int32)
        raw = jnp.zeros((*place.shape[:-1], 4), jnp.float32)
        for corner in np.ndindex(2, 2, 2):
            share = jnp.ones(place.shape[:-1], jnp.float32)
            for axis, upper in enumerate(corner):
                share = share * (fraction[..., axis] if upper else 1 - fraction[..., axis])
            x, y, z = (cell[..., axis] + upper for axis, upper in enumerate(corner))
            raw = raw + share[..., None] * grid[x, y, z]
        inside = jnp.max(jnp.abs(samples.means), axis=-1) <= self.half_width
        density = jnp.where(inside, _density(self, raw[..., 3], key), 0)
        return density, nn.sigmoid(raw[..., :3])


_ACTIVATIONS: dict[str, Callable[[Array], Array]] = {
    "relu": nn.relu,
    "softplus": nn.softplus,
    "shifted_softplus": lambda x: nn.softplus(x - 1),
}


def _dense(
    initializer: Initializer, dtype: Dtype, features: int, *, name: str, gain: float = 1.0, is_head: bool = False
) -> nn.Dense:
    """A layer with zero bias; a head's results are float32 even where it multiplies bfloat16."""
    if initializer == "xavier":
        kernel_init = nn.initializers.variance_scaling(gain**2, "fan_avg", "uniform")
    else:
        kernel_init = nn.initializers.lecun_normal()
    wide = functools.partial(jax.lax.dot_general, preferred_element_type=jnp.float32) if is_head else None
    return nn.Dense(features, dtype=jnp.dtype(dtype), kernel_init=kernel_init, name=name, dot_general=wide)


def _density(field: nn.Module, raw: Float[Array, "*b"], key: PRNGKeyArray | None) -> Float[Array, "*b"]:
    if field.density_noise and key is not None:
        raw = raw + field.density_noise * jax.random.normal(key, raw.shape)
    return _ACTIVATIONS[field.density_activation](raw)


def _size(field: nn.Module, name: str) -> Any:
    size = getattr(field, name)
    if size is None:
        raise UsageError(
            f"{type(field).__name__}: expected {name} to be given, got None; write it down, or fill it with "
            "tasks.budgets.sized(field, budget)"
        )
    return size


_CHOICES = {
    "density_activation": get_args(DensityActivation),
    "initializer": get_args(Initializer),
    "dtype": get_args(Dtype),
}
_COUNTS = ("width", "depth", "hidden", "num_blocks")


def _check(field: nn.Module) -> None:
    where = type(field).__name__
    for name, known in _CHOICES.items():
        value = getattr(field, name, None)
        if value is not None and value not in known:
            raise UsageError(f"{where}: expected {name} to be one of {known}, got {value!r}; {nearest(value, known)}")
    for name in _COUNTS:
        value = getattr(field, name, None)
        if value is not None and value < 1:
            raise UsageError(f"{where}: expected {name} to be at least 1, got {value}; NeRF has 8 layers of 256")
    if field.density_noise < 0:
        raise UsageError(f"{where}: expected density_noise from 0, got {field.density_noise}; 0 turns it off")
