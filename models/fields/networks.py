"""Defines radiance fields: from samples to density (an inverse length, not negative) and colour (in [0, 1]).

Each field is a linen module and is its own configuration: frozen, hashable, comparable, and `dataclasses.replace`
works. A size left as None comes from the budget (`tasks.budgets.sized`). A field of your own only needs
`__call__(samples, *, key=None)` with these annotations.

*b: any leading axes of samples, f: features.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable
from typing import Any, Literal, get_args

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, PRNGKeyArray

from bench.errors import UsageError, nearest
from models.fields import relu_layers
from models.fields.density import DensityActivation, activate_density
from models.fields.encodings import DirectionEncoding, FourierFeatures, Positional
from models.fields.fused_block.choice import Kernel, residual_block
from models.fields.fused_relu.choice import Layers, folded_trunk, trunk_settings
from models.method import sized_by
from models.rendering.ray_sampling import Samples

Initializer = Literal["lecun", "xavier"]
Dtype = Literal["float32", "bfloat16"]


class MLP(nn.Module):
    """NeRF's network: hidden layers with a skip connection, and a branch for colour that sees view directions.

    Attributes:
        width: Units of a hidden layer; the view branch has half as many.
        depth: Hidden layers. The skip connection ends after layer `depth // 2`, counted from 0 (4 of 8).
        encoding: Encoding of positions.
        direction_encoding: Encoding of view directions.
        view_directions: Whether colour depends on the view direction. If not, one layer gives density and colour.
        density_activation: "relu" as in NeRF; "shifted_softplus", of x - 1, as in mip-NeRF, always has a gradient;
            "volsdf" for one surface about the origin (`models.fields.density`).
        density_noise: Standard deviation of the noise that is added before this activation if a key is given.
        initializer: "lecun" is Flax's default; "xavier" is uniform with the activation's gain, as in DietNeRF.
        dtype: Type of hidden layers; None takes the budget's `field_dtype`. Parameters and results are always float32.
        layers: How the same function is computed: as it is written in the paper ("plain"), with fewer products and
            fewer passes over memory ("folded"; see `models.fields.relu_layers`), in fused kernels on a Hopper GPU
            ("fused"), or in fused kernels where they can run ("auto"). These round differently.
    """

    width: int | None = None
    depth: int | None = None
    encoding: nn.Module = Positional(num_octaves=10)
    direction_encoding: nn.Module = DirectionEncoding(num_octaves=4)
    view_directions: bool = True
    density_activation: DensityActivation = "relu"
    density_noise: float = 0.0
    initializer: Initializer = "lecun"
    dtype: Dtype | None = sized_by("field_dtype", "float32")
    layers: Layers = dataclasses.field(default="auto", metadata={"identity": False})

    def __post_init__(self) -> None:
        check_fields(self)
        super().__post_init__()

    @nn.compact
    def __call__(
        self,
        samples: Samples,
        *,
        key: PRNGKeyArray | None = None,
        ray_directions: Float[Array, "*r 3"] | None = None,
        sharpness: Float[Array, ""] | None = None,
    ) -> tuple[Float[Array, "*b"], Float[Array, "*b 3"]]:
        """Compute density and colour of samples.

        Args:
            samples: Where; their directions count if the colour depends on them.
            key: For the noise of densities; None adds none.
            ray_directions: The directions, if they are the same along the last axis of samples, for each ray once.
            sharpness: See `activate_density`.
        """
        dtype = filled_size(self, "dtype")
        encoded = self.encoding(samples).astype(dtype)
        settings = None if self.is_initializing() else trunk_settings(self.layers, dtype, filled_size(self, "width"))
        head = functools.partial(dense_layer, self.initializer, dtype, is_head=True)
        if settings is not None:
            raw_density, h = self._fused_layers(encoded, samples, ray_directions, settings)
        elif self.layers == "plain":
            h = self._plain_trunk(encoded)
            if self.view_directions:
                raw_density = head(1, name="density")(h)[..., 0]
                h = self._plain_view_branch(h, self.direction_encoding(samples).astype(dtype))
        else:
            h = folded_trunk(relu_layers.fill_up(encoded), *self._hidden_weights(encoded.shape[-1]))
            if self.view_directions:
                raw_density = head(1, name="density")(h)[..., 0]
                h = self._view_branch(h, samples, ray_directions)
        if not self.view_directions:
            raw = h if settings is not None else head(4, name="color_and_density")(h)
            return activate_density(self, raw[..., 3], samples, key, sharpness), nn.sigmoid(raw[..., :3])
        return activate_density(self, raw_density, samples, key, sharpness), nn.sigmoid(head(3, name="color")(h))

    def _ends_skip(self, layer: int) -> bool:
        """Tell whether a layer sees the encoding a second time."""
        return layer > 0 and layer == filled_size(self, "depth") // 2 + 1

    def _plain_trunk(self, encoded: Float[Array, "*b k"]) -> Float[Array, "*b f"]:
        """Compute the hidden layers as they are written in the paper."""
        h = encoded
        for i in range(filled_size(self, "depth")):
            if self._ends_skip(i):
                h = jnp.concatenate([encoded, h], axis=-1)
            width = filled_size(self, "width")
            layer = dense_layer(self.initializer, filled_size(self, "dtype"), width, name=f"layer_{i}", gain=2**0.5)
            h = nn.relu(layer(h))
        return h

    def _hidden_weights(
        self, num_encoded: int
    ) -> tuple[tuple[tuple[Float[Array, "_ f"], ...], ...], tuple[Float[Array, " f"], ...]]:
        """Return the kernels of the hidden layers, those of the encoding apart, and the biases."""
        width = filled_size(self, "width")
        kernels = []
        biases = []
        for i in range(filled_size(self, "depth")):
            sizes = [num_encoded] if i == 0 else [width]
            if self._ends_skip(i):
                sizes = [num_encoded, width]
            kernel, bias = self._parameters(f"layer_{i}", sum(sizes), width, gain=2**0.5)
            kernels.append(tuple(jnp.split(kernel, sizes[:-1])))
            biases.append(bias)
        return tuple(kernels), tuple(biases)

    def _fused_layers(
        self,
        encoded: Float[Array, "*b k"],
        samples: Samples,
        ray_directions: Float[Array, "*r 3"] | None,
        settings: Any,
    ) -> tuple[Float[Array, "*b"], Float[Array, "*b g"]]:
        """Compute density before its activation, and the features that colour is made of, in the fused kernels.

        Without view directions the features are colour and density before their activations.
        """
        from models.fields.fused_relu.operation import fused_trunk

        width = filled_size(self, "width")
        weights = self._hidden_weights(encoded.shape[-1])
        if not self.view_directions:
            kernel, bias = self._parameters("color_and_density", width, 4)
            [raw] = fused_trunk(encoded, *weights, (kernel,), settings)
            raw = raw + relu_layers.for_all(bias, raw.ndim)
            return raw[..., 3], raw
        density_kernel, density_bias = self._parameters("density", width, 1)
        folded, shift, others = self._view_weights(encoded, samples, ray_directions)
        view, raw = fused_trunk(encoded, *weights, (folded, density_kernel), settings)
        for rows, kernel in others:
            view = view + jnp.matmul(rows, kernel.astype(rows.dtype))
        return raw[..., 0] + density_bias[0], relu_layers.relu_of_sum(view, shift)

    def _plain_view_branch(self, h: Float[Array, "*b f"], directions: Float[Array, "*b k"]) -> Float[Array, "*b g"]:
        """Compute the layers between density and colour as they are written in the paper."""
        dtype = filled_size(self, "dtype")
        width = filled_size(self, "width")
        feature = dense_layer(self.initializer, dtype, width, name="feature")(h)
        view = dense_layer(self.initializer, dtype, max(width // 2, 1), name="view", gain=2**0.5)
        return nn.relu(view(jnp.concatenate([feature, directions], axis=-1)))

    def _view_branch(
        self, h: Float[Array, "*b f"], samples: Samples, ray_directions: Float[Array, "*r 3"] | None
    ) -> Float[Array, "*b g"]:
        """Compute the layers between density and colour as one."""
        folded, shift, others = self._view_weights(h, samples, ray_directions)
        inputs = [h, *(rows for rows, _ in others)]
        return relu_layers.relu_layer(inputs, [folded, *(kernel for _, kernel in others)], shift)

    def _view_weights(
        self, like: Float[Array, "*b _"], samples: Samples, ray_directions: Float[Array, "*r 3"] | None
    ) -> tuple[Float[Array, "f g"], Float[Array, "*#b g"], list[tuple[Array, Array]]]:
        """Return the kernel and the shift of the layers between density and colour as one, and what else they add.

        The first of them has no activation, so the product of both kernels is taken once for all samples. Directions
        are in the shift where they are the rays'; otherwise they are rows with a kernel of their own.
        """
        width = filled_size(self, "width")
        directions = samples.directions if ray_directions is None else ray_directions[..., None, :]
        still = jnp.zeros(directions.shape[:-1], jnp.float32)
        encoded = self.direction_encoding(Samples(directions, directions, still, still))
        feature_kernel, feature_bias = self._parameters("feature", width, width)
        kernel, bias = self._parameters("view", width + encoded.shape[-1], max(width // 2, 1), gain=2**0.5)
        from_feature, from_directions = jnp.split(kernel, [width])
        precision = "highest" if like.dtype == jnp.float32 else None
        product = functools.partial(jnp.matmul, precision=precision)
        shift = relu_layers.for_all(bias + product(feature_bias, from_feature), like.ndim)
        folded = product(feature_kernel, from_feature)
        if ray_directions is not None:
            return folded, shift + product(encoded, from_directions), []
        filled = relu_layers.fill_up(encoded.astype(like.dtype))
        missing = filled.shape[-1] - encoded.shape[-1]
        return folded, shift, [(filled, jnp.pad(from_directions, [(0, missing), (0, 0)]))]

    def _parameters(
        self, name: str, inputs: int, features: int, gain: float = 1.0
    ) -> tuple[Float[Array, "k f"], Float[Array, " f"]]:
        """Return the kernel and the bias of a layer, which are those of `dense_layer`."""
        return relu_layers.DenseParameters(inputs, features, kernel_initializer(self.initializer, gain), name=name)()


class ResidualMLP(nn.Module):
    """Dream Fields' network: residual blocks with layer normalisation, without view directions (appendix C).

    Attributes:
        width: Units of the residual stream; 128 as published.
        hidden: Units inside a block; None for twice the width.
        num_blocks: Residual blocks; 4 as published.
        encoding: Encoding of samples.
        density_activation: See `MLP`.
        density_noise: See `MLP`.
        dtype: See `MLP`.
        kernel: How residual blocks are computed: by layers ("plain"), in fused kernels on a Hopper GPU ("fused"), or
            in fused kernels where they can run ("auto").
    """

    width: int | None = sized_by("residual_width")
    hidden: int | None = None
    num_blocks: int | None = None
    encoding: nn.Module = FourierFeatures()
    density_activation: DensityActivation = "softplus"
    density_noise: float = 0.0
    dtype: Dtype | None = sized_by("field_dtype", "float32")
    kernel: Kernel = dataclasses.field(default="auto", metadata={"identity": False})

    def __post_init__(self) -> None:
        check_fields(self)
        super().__post_init__()

    @nn.compact
    def __call__(
        self, samples: Samples, *, key: PRNGKeyArray | None = None, sharpness: Float[Array, ""] | None = None
    ) -> tuple[Float[Array, "*b"], Float[Array, "*b 3"]]:
        """Compute density and colour of samples."""
        dtype = filled_size(self, "dtype")
        dense = functools.partial(dense_layer, "lecun", dtype)
        width = filled_size(self, "width")
        hidden = self.hidden or 2 * width
        if isinstance(self.encoding, FourierFeatures):
            first = FoldedDense(width, self.encoding, dtype, name="first")(samples)
        else:
            first = dense(width, name="first")(self.encoding(samples).astype(dtype))
        h = nn.swish(first)
        for i in range(filled_size(self, "num_blocks")):
            norm = nn.LayerNorm(dtype=jnp.dtype(dtype), name=f"norm_{i}")
            expand = dense(hidden, name=f"expand_{i}")
            reduce = dense(width, name=f"reduce_{i}")
            h = residual_block(h, norm, expand, reduce, kernel=self.kernel)
        h = nn.swish(dense(width, name="last")(h))
        raw = dense(4, name="color_and_density", is_head=True)(h)
        return activate_density(self, raw[..., 3], samples, key, sharpness), nn.sigmoid(raw[..., :3])


class FoldedDense(nn.Module):
    """A dense layer on `FourierFeatures` that computes each distinct wave once.

    Equal features add their rows of the kernel instead, which gives the same result and the same gradients of the same
    parameters, with fewer waves and products: 116 instead of 262 in the released encoding.

    Attributes:
        features: Units of the layer.
        encoding: Encoding of samples.
        dtype: Type of the product and of the result.
    """

    features: int
    encoding: FourierFeatures
    dtype: Dtype

    @nn.compact
    def __call__(self, samples: Samples) -> Float[Array, "*b f"]:
        """Encode samples, and multiply."""
        dtype = jnp.dtype(self.dtype)
        folding = self.encoding.folding
        shape = (folding.matrix.shape[1], self.features)
        kernel = self.param("kernel", nn.initializers.lecun_normal(), shape, jnp.float32)
        bias = self.param("bias", nn.initializers.zeros, (self.features,), jnp.float32)
        waves = self.encoding.distinct_waves(samples).astype(dtype)
        folded = jnp.matmul(folding.matrix, kernel, precision="highest").astype(dtype)
        shift = (bias + jnp.matmul(folding.constant, kernel, precision="highest")).astype(dtype)
        return jnp.matmul(waves, folded) + jnp.broadcast_to(shift, (*waves.shape[:-1], self.features))


class Voxels(nn.Module):
    """A cubic grid of density and colour about the origin instead of a network, with trilinear interpolation.

    Attributes:
        resolution: Grid points along an edge.
        half_width: Distance from the origin to a face, in scene units; outside the grid density is zero.
        density_activation: Applied to the interpolated value. Every grid point starts at 0, with grey colour.
        density_noise: See `MLP`.
    """

    resolution: int = 64
    half_width: float = 1.5
    density_activation: DensityActivation = "shifted_softplus"
    density_noise: float = 0.0

    def __post_init__(self) -> None:
        check_fields(self)
        if self.resolution < 2 or self.half_width <= 0:
            raise UsageError(
                f"Voxels: expected resolution from 2 and half_width above 0, got {self.resolution} and "
                f"{self.half_width}; 64 and 1.5 fit NeRF's synthetic scenes"
            )
        super().__post_init__()

    @nn.compact
    def __call__(
        self, samples: Samples, *, key: PRNGKeyArray | None = None, sharpness: Float[Array, ""] | None = None
    ) -> tuple[Float[Array, "*b"], Float[Array, "*b 3"]]:
        """Interpolate density and colour at the positions of samples."""
        num = self.resolution
        grid = self.param("grid", nn.initializers.zeros, (num, num, num, 4), jnp.float32)
        position = (samples.means / self.half_width + 1) * (0.5 * (num - 1))
        cell = jnp.clip(jnp.floor(position), 0, num - 2)
        fraction = position - cell
        cell = cell.astype(jnp.int32)
        raw = jnp.zeros((*position.shape[:-1], 4), jnp.float32)
        for corner in np.ndindex(2, 2, 2):
            weight = jnp.ones(position.shape[:-1], jnp.float32)
            for axis, is_upper in enumerate(corner):
                weight = weight * (fraction[..., axis] if is_upper else 1 - fraction[..., axis])
            x, y, z = (cell[..., axis] + step for axis, step in enumerate(corner))
            raw = raw + weight[..., None] * grid[x, y, z]
        is_inside = jnp.max(jnp.abs(samples.means), axis=-1) <= self.half_width
        density = jnp.where(is_inside, activate_density(self, raw[..., 3], samples, key, sharpness), 0)
        return density, nn.sigmoid(raw[..., :3])


def kernel_initializer(initializer: Initializer, gain: float = 1.0) -> Callable[..., Array]:
    """Return what draws the kernel of a dense layer."""
    if initializer == "xavier":
        return nn.initializers.variance_scaling(gain**2, "fan_avg", "uniform")
    return nn.initializers.lecun_normal()


def dense_layer(
    initializer: Initializer, dtype: Dtype, features: int, *, name: str, gain: float = 1.0, is_head: bool = False
) -> nn.Dense:
    """Make a dense layer with zero bias. The results of a head are float32, even if it multiplies bfloat16."""
    kernel_init = kernel_initializer(initializer, gain)
    dot_general = _head_dot_general if is_head and dtype == "bfloat16" else None
    return nn.Dense(features, dtype=jnp.dtype(dtype), kernel_init=kernel_init, name=name, dot_general=dot_general)


def _head_dot_general(x: Array, kernel: Array, dimension_numbers: Any, **_options: Any) -> Array:
    """Multiply bfloat16 into float32, for `flax.linen.Dense`, which contracts the last axis of x."""
    assert dimension_numbers == (((x.ndim - 1,), (0,)), ((), ())), "a dense layer contracts the last axis"
    return _head_product(x, kernel)


@jax.custom_vjp
def _head_product(x: Array, kernel: Array) -> Array:
    """Multiply bfloat16 into float32, and in the backward pass round the float32 gradient before its two products.

    Otherwise both were products of float32 and bfloat16, which accelerators compute as float32.
    """
    return jnp.matmul(x, kernel, preferred_element_type=jnp.float32)


def _head_product_forward(x: Array, kernel: Array) -> tuple[Array, tuple[Array, Array]]:
    return _head_product(x, kernel), (x, kernel)


def _head_product_backward(saved: tuple[Array, Array], gradient: Array) -> tuple[Array, Array]:
    x, kernel = saved
    rounded = gradient.astype(x.dtype)
    rows = x.reshape(-1, x.shape[-1])
    kernel_gradient = jnp.matmul(rows.T, rounded.reshape(-1, rounded.shape[-1]), preferred_element_type=jnp.float32)
    return jnp.matmul(rounded, kernel.T), kernel_gradient.astype(kernel.dtype)


_head_product.defvjp(_head_product_forward, _head_product_backward)


def filled_size(field: nn.Module, name: str) -> Any:
    """Return a size of a field, which the budget must have filled.

    Raises:
        UsageError: It is None.
    """
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
    "kernel": get_args(Kernel),
    "layers": get_args(Layers),
}
_COUNTS = ("width", "depth", "hidden", "num_blocks")


def check_fields(field: nn.Module) -> None:
    """Refuse words and sizes that no field of this file can have. For `__post_init__`.

    Raises:
        UsageError: With the nearest word.
    """
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
