"""Fields, against forward passes in float64 and the sizes that papers state."""

from __future__ import annotations

import dataclasses
import functools

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from bench.errors import UsageError
from bench.training.flop_count import count_products
from models.fields import networks
from models.fields.encodings import FourierFeatures, IntegratedPositional, Positional
from models.fields.networks import MLP, ResidualMLP, Voxels
from models.method import num_parameters
from models.rendering.ray_sampling import Samples, samples_at_points
from tasks.budgets import BUDGETS, sized

SMALL = {
    "mlp": MLP(width=8, depth=4, encoding=Positional(3), density_activation="shifted_softplus"),
    "mlp without directions": MLP(width=8, depth=2, encoding=IntegratedPositional(3), view_directions=False),
    "residual": ResidualMLP(width=8, hidden=12, num_blocks=2, encoding=FourierFeatures(num_directions=5)),
    "voxels": Voxels(resolution=5),
}
EVERY = pytest.mark.parametrize("field", SMALL.values(), ids=SMALL.keys())


def some_samples(*shape: int, seed: int = 0) -> Samples:
    draw = np.random.default_rng(seed)
    return Samples(
        means=jnp.asarray(draw.uniform(-1.4, 1.4, (*shape, 3)), jnp.float32),
        directions=jnp.asarray(draw.normal(size=(*shape, 3)), jnp.float32),
        t_var=jnp.asarray(draw.uniform(0, 1e-3, shape), jnp.float32),
        r_var=jnp.asarray(draw.uniform(0, 1e-3, shape), jnp.float32),
    )


def random_params(field: nn.Module, seed: int = 0):
    """Random everywhere, so that biases and grids take part; of the shapes that `init` gives."""
    shapes = jax.eval_shape(field.init, jax.random.key(0), samples_at_points(jnp.zeros((1, 3))))
    draw = np.random.default_rng(seed)
    return jax.tree.map(lambda s: jnp.asarray(0.5 * draw.normal(size=s.shape), s.dtype), shapes)


@functools.cache
def compiled(field: nn.Module):
    return jax.jit(field.apply)


def apply(field: nn.Module, params, samples: Samples):
    return compiled(field)(params, samples)


def count(field: nn.Module) -> int:
    return num_parameters(jax.eval_shape(field.init, jax.random.key(0), samples_at_points(jnp.zeros((1, 3)))))


# --- sizes that papers state ---


def test_nerf_has_the_parameters_of_the_released_code():
    # nerf-pytorch and DietNeRF: 8 layers of 256, 10 and 4 octaves, view directions.
    field = MLP(width=256, depth=8, encoding=Positional(10))
    assert count(field) == 595_844
    # "494K parameters" of NeRF without view directions: Dream Fields, section 4.7.
    assert count(dataclasses.replace(field, view_directions=False)) == 494_084


def test_dream_fields_has_the_parameters_of_the_released_code():
    field = sized(ResidualMLP(), BUDGETS["paper"])
    assert count(field) == 315_396  # 262 Fourier features, released configuration
    # With 48 axis-aligned features, near the "280K" of the paper's section 4.7.
    assert count(dataclasses.replace(field, encoding=IntegratedPositional(num_octaves=8))) == 288_004


# --- slow twins ---


def dense(params, name, x):
    layer = params["params"][name]
    return x @ np.asarray(layer["kernel"], np.float64) + np.asarray(layer["bias"], np.float64)


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def slow_encoding(x, num_octaves):
    phases = np.concatenate([2.0**k * x for k in range(num_octaves)])
    return np.concatenate([x, np.sin(phases), np.cos(phases)])


def slow_mlp(params, x, d, depth, octaves, density_of):
    """One point of NeRF's network with view directions."""
    encoded = h = slow_encoding(x, octaves)
    for i in range(depth):
        h = np.maximum(dense(params, f"layer_{i}", h), 0)
        if i == depth // 2 and i + 1 < depth:
            h = np.concatenate([encoded, h])
    density = density_of(dense(params, "density", h)[0])
    branch = np.concatenate([dense(params, "feature", h), slow_encoding(d / np.linalg.norm(d), 4)])
    return density, sigmoid(dense(params, "color", np.maximum(dense(params, "view", branch), 0)))


@pytest.mark.parametrize("depth", [1, 2, 3, 8])
def test_mlp_matches_the_slow_twin(depth):
    field = MLP(width=7, depth=depth, encoding=Positional(2), density_activation="shifted_softplus")
    params, samples = random_params(field), some_samples(4)
    density, color = apply(field, params, samples)
    for i in range(4):
        x, d = (np.asarray(a[i], np.float64) for a in (samples.means, samples.directions))
        expected = slow_mlp(params, x, d, depth, 2, lambda raw: np.log1p(np.exp(raw - 1)))
        np.testing.assert_allclose(density[i], expected[0], rtol=2e-4, atol=1e-5)
        np.testing.assert_allclose(color[i], expected[1], atol=2e-4)


@pytest.mark.parametrize(
    "activation, function",
    [
        ("relu", lambda x: np.maximum(x, 0)),
        ("softplus", lambda x: np.log1p(np.exp(x))),
        ("shifted_softplus", lambda x: np.log1p(np.exp(x - 1))),
    ],
)
def test_density_activations(activation, function):
    field = MLP(width=7, depth=2, encoding=Positional(2), view_directions=False, density_activation=activation)
    params, samples = random_params(field), some_samples(6)
    density, color = apply(field, params, samples)
    for i in range(6):
        h = slow_encoding(np.asarray(samples.means[i], np.float64), 2)
        for layer in range(2):
            h = np.maximum(dense(params, f"layer_{layer}", h), 0)
        raw = dense(params, "color_and_density", h)
        np.testing.assert_allclose(density[i], function(raw[3]), rtol=1e-4, atol=1e-5)
        np.testing.assert_allclose(color[i], sigmoid(raw[:3]), atol=1e-5)


def test_residual_mlp_matches_the_slow_twin():
    field = ResidualMLP(width=6, hidden=9, num_blocks=2, encoding=Positional(2))
    params, samples = random_params(field), some_samples(4)
    density, color = apply(field, params, samples)

    def swish(x):
        return x * sigmoid(x)

    for i in range(4):
        h = swish(dense(params, "first", slow_encoding(np.asarray(samples.means[i], np.float64), 2)))
        for block in range(2):
            norm = {k: np.asarray(v, np.float64) for k, v in params["params"][f"norm_{block}"].items()}
            inside = (h - h.mean()) / np.sqrt(h.var() + 1e-6) * norm["scale"] + norm["bias"]
            h = h + dense(params, f"reduce_{block}", swish(dense(params, f"expand_{block}", inside)))
        raw = dense(params, "color_and_density", swish(dense(params, "last", h)))
        np.testing.assert_allclose(density[i], np.log1p(np.exp(raw[3])), rtol=2e-4, atol=1e-5)
        np.testing.assert_allclose(color[i], sigmoid(raw[:3]), atol=2e-4)


def test_voxels_match_the_slow_twin():
    field = Voxels(resolution=5, half_width=1.5, density_activation="softplus")
    params, samples = random_params(field), some_samples(20)
    grid = np.asarray(params["params"]["grid"], np.float64)
    density, color = apply(field, params, samples)
    for i in range(20):
        place = (np.asarray(samples.means[i], np.float64) / 1.5 + 1) / 2 * 4
        raw = np.zeros(4)
        for corner in np.ndindex(5, 5, 5):
            raw += grid[corner] * np.prod(np.maximum(0, 1 - np.abs(place - corner)))
        np.testing.assert_allclose(density[i], np.log1p(np.exp(raw[3])), rtol=1e-4)
        np.testing.assert_allclose(color[i], sigmoid(raw[:3]), atol=1e-4)


def test_voxels_hold_their_corners_and_nothing_outside():
    field = Voxels(resolution=3, half_width=1.0)
    params = random_params(field)
    where = jnp.array([[1.0, 1.0, 1.0], [-1.0, 0.0, 1.0], [1.001, 0.0, 0.0], [50.0, -50.0, 0.0]])
    density, color = apply(field, params, samples_at_points(where))
    grid = np.asarray(params["params"]["grid"])
    np.testing.assert_allclose(density[:2], np.log1p(np.exp(grid[[2, 0], [2, 1], [2, 2], 3] - 1)), rtol=1e-5)
    np.testing.assert_allclose(color[0], sigmoid(grid[2, 2, 2, :3]), rtol=1e-5)
    np.testing.assert_array_equal(density[2:], 0)
    assert np.all(np.isfinite(color))


# --- what every field promises ---


@EVERY
def test_density_and_color_are_in_range(field):
    density, color = apply(field, random_params(field), some_samples(5))
    assert np.all(density >= 0) and np.all(color >= 0) and np.all(color <= 1)


@EVERY
@pytest.mark.parametrize("shape", [(), (3,), (2, 3)])
def test_fields_take_any_leading_axes(field, shape):
    density, color = jax.eval_shape(field.apply, random_params(field), some_samples(*shape))
    assert density.shape == shape and color.shape == (*shape, 3)
    assert density.dtype == color.dtype == jnp.float32


@EVERY
def test_fields_are_their_own_configuration(field):
    same = dataclasses.replace(field)
    assert same == field and hash(same) == hash(field) and {field: 1}[same] == 1
    other = dataclasses.replace(field, density_noise=0.5)
    assert other != field and dataclasses.replace(other, density_noise=0.0) == field


@EVERY
def test_a_pack_of_fields_equals_a_loop(field):
    samples = some_samples(5)
    params = [random_params(field, seed) for seed in range(2)]
    stacked = jax.tree.map(lambda *x: jnp.stack(x), *params)
    packed = jax.jit(jax.vmap(field.apply, in_axes=(0, None)))(stacked, samples)
    for i in range(2):
        for both, alone in zip(packed, apply(field, params[i], samples), strict=True):
            np.testing.assert_allclose(both[i], alone, atol=1e-5)


@EVERY
def test_gradients_are_finite_far_away_and_without_direction(field):
    samples = some_samples(3)
    samples = samples._replace(means=samples.means * 1e4, directions=samples.directions.at[0].set(0))
    params = jax.tree.map(lambda x: x * 100, random_params(field))  # densities up to 1e10 in deep fields

    def total(params, means):
        density, color = field.apply(params, samples._replace(means=means))
        return jnp.sum(density) + jnp.sum(color)

    gradients = jax.jit(jax.grad(total, argnums=(0, 1)))(params, samples.means)
    assert all(np.all(np.isfinite(g)) for g in jax.tree.leaves(gradients))


@EVERY
def test_noise_needs_a_key_and_moves_density_only(field):
    samples, params = some_samples(5), random_params(field)
    noisy = dataclasses.replace(field, density_noise=1.0)

    def both(params, samples, key):
        return noisy.apply(params, samples), noisy.apply(params, samples, key=key)

    plain = apply(field, params, samples)
    quiet, loud = jax.jit(both)(params, samples, jax.random.key(0))
    np.testing.assert_allclose(quiet[0], plain[0], rtol=1e-5)
    np.testing.assert_allclose(loud[1], plain[1], atol=1e-6)
    assert np.mean(np.abs(loud[0] - plain[0])) > 0.01


@pytest.mark.parametrize("name", ["mlp", "mlp without directions", "residual"])
def test_bfloat16_keeps_float32_parameters_and_results(name):
    field = SMALL[name]
    half = dataclasses.replace(field, dtype="bfloat16")
    params, samples = random_params(field), some_samples(40)
    shapes = jax.eval_shape(half.init, jax.random.key(0), samples)
    assert all(leaf.dtype == jnp.float32 for leaf in jax.tree.leaves(shapes))
    exact, rough = apply(field, params, samples), apply(half, params, samples)
    assert rough[0].dtype == rough[1].dtype == jnp.float32
    for a, b in zip(exact, rough, strict=True):
        assert np.any(np.asarray(a) != np.asarray(b))  # it did compute in bfloat16
        # bfloat16 keeps 8 bits: 0.4% a rounding, a few layers of them.
        assert np.mean(np.abs(np.asarray(a) - np.asarray(b))) < 0.03 * (1 + np.mean(np.abs(np.asarray(a))))


# --- single properties ---


def test_density_never_depends_on_direction_and_color_only_if_asked():
    samples = some_samples(5)
    turned = samples._replace(directions=-samples.directions)
    for name, depends in (("mlp", True), ("mlp without directions", False)):
        field = SMALL[name]
        params = random_params(field)
        density, color = apply(field, params, samples)
        other_density, other_color = apply(field, params, turned)
        np.testing.assert_allclose(density, other_density, rtol=1e-5)
        assert np.any(np.abs(color - other_color) > 1e-3) == depends


def test_xavier_is_uniform_within_the_bound_of_each_layers_activation():
    field = MLP(width=64, depth=4, encoding=Positional(4), initializer="xavier")
    params = jax.jit(field.init)(jax.random.key(0), some_samples(1))["params"]
    for name, layer in params.items():
        fan_in, fan_out = layer["kernel"].shape
        gain = 2**0.5 if name.startswith("layer") or name == "view" else 1.0  # torch's gain of ReLU; linear otherwise
        bound = gain * np.sqrt(6 / (fan_in + fan_out))
        assert 0.9 * bound < np.abs(layer["kernel"]).max() <= bound * (1 + 1e-6)
        np.testing.assert_array_equal(layer["bias"], 0)
    assert params["layer_3"]["kernel"].shape == (27 + 64, 64)  # the input joins after layer 2 of 4


def test_lecun_has_the_variance_of_its_inputs_share():
    field = MLP(width=128, depth=2, encoding=Positional(4), view_directions=False)
    params = jax.jit(field.init)(jax.random.key(0), some_samples(1))["params"]
    # 16,384 draws: the standard deviation is known to about 0.6%.
    assert np.std(params["layer_1"]["kernel"]) == pytest.approx(128**-0.5, rel=0.03)


def test_budgets_fill_open_sizes_and_leave_others():
    field = sized(MLP(), BUDGETS["smoke"])
    assert (field.width, field.depth) == (16, 2)
    assert sized(MLP(width=5), BUDGETS["smoke"]) == dataclasses.replace(field, width=5)
    field = sized(ResidualMLP(), BUDGETS["smoke"])
    assert (field.width, field.hidden, field.num_blocks) == (16, None, 1)
    assert count(field) == count(dataclasses.replace(field, hidden=32))  # twice the stream's
    published = ResidualMLP(width=128, num_blocks=4)
    assert sized(ResidualMLP(), BUDGETS["paper"]) == sized(published, BUDGETS["smoke"]) == published


# --- messages ---


def test_an_open_size_says_how_to_fill_it():
    with pytest.raises(UsageError, match=r"MLP: .*width to be given.*tasks.budgets.sized"):
        jax.eval_shape(MLP().init, jax.random.key(0), some_samples(1))
    for field, name in ((ResidualMLP(), "width"), (ResidualMLP(width=8), "num_blocks")):
        with pytest.raises(UsageError, match=f"ResidualMLP: expected {name} to be given, got None"):
            jax.eval_shape(field.init, jax.random.key(0), some_samples(1))


@pytest.mark.parametrize(
    "make, message",
    [
        (lambda: MLP(density_activation="soft_plus"), "MLP: expected density_activation .* the nearest is 'softplus'"),
        (lambda: MLP(initializer="xavir"), "the nearest is 'xavier'"),
        (lambda: ResidualMLP(dtype="float16"), "expected dtype to be one of .* got 'float16'"),
        (lambda: MLP(width=0), "MLP: expected width to be at least 1, got 0"),
        (lambda: ResidualMLP(num_blocks=0), "expected num_blocks to be at least 1"),
        (lambda: ResidualMLP(density_noise=-1.0), "expected density_noise from 0, got -1.0"),
        (lambda: Voxels(resolution=1), "Voxels: expected resolution from 2"),
    ],
)
def test_wrong_configurations_are_refused(make, message):
    with pytest.raises(UsageError, match=message):
        make()


# --- one wave for equal features ---


class Unfolded(nn.Module):
    """Hides that an encoding is `FourierFeatures`, so that every feature is computed."""

    inner: nn.Module

    @nn.compact
    def __call__(self, samples):
        return self.inner(samples)


@pytest.mark.parametrize(
    "encoding",
    [FourierFeatures(), FourierFeatures(num_octaves=4, num_directions=48, unit_directions=True)],
    ids=["released", "ours"],
)
def test_distinct_waves_give_what_all_features_give(encoding):
    folded = ResidualMLP(width=16, num_blocks=1, encoding=encoding)
    plain = ResidualMLP(width=16, num_blocks=1, encoding=Unfolded(encoding))
    samples = some_samples(40)
    params = random_params(folded)
    assert jax.tree.map(jnp.shape, params) == jax.tree.map(jnp.shape, random_params(plain))

    def loss(field, params):
        density, color = field.apply(params, samples)
        return jnp.mean(density**2) + jnp.mean(jnp.sin(5 * color))

    mine, gradients = jax.jit(jax.value_and_grad(functools.partial(loss, folded)))(params)
    wanted, wanted_gradients = jax.jit(jax.value_and_grad(functools.partial(loss, plain)))(params)
    assert float(mine) == pytest.approx(float(wanted), rel=1e-5)
    for found, right in zip(jax.tree.leaves(gradients), jax.tree.leaves(wanted_gradients), strict=True):
        assert np.linalg.norm(found - right) <= 1e-5 * np.linalg.norm(right)


@pytest.mark.parametrize("encoding", [FourierFeatures(), FourierFeatures(4, 48, True)], ids=["released", "ours"])
def test_features_are_sums_of_distinct_waves(encoding):
    samples = some_samples(30)
    folding = encoding.folding
    waves, wanted = (
        jax.jit(functools.partial(encoding.apply, {}, method=m))(samples) for m in ("distinct_waves", None)
    )
    features = np.asarray(waves) @ folding.matrix + folding.constant
    np.testing.assert_allclose(features, wanted, atol=1e-6)
    assert len({tuple(v) for v in folding.vectors} | {tuple(-v) for v in folding.vectors}) == 2 * len(folding.vectors)


def test_same_initial_parameters_as_a_dense_layer():
    folded, plain = (
        ResidualMLP(width=8, num_blocks=1, encoding=e) for e in (FourierFeatures(), Unfolded(FourierFeatures()))
    )
    mine, wanted = (jax.jit(field.init)(jax.random.key(3), some_samples(1)) for field in (folded, plain))
    jax.tree.map(np.testing.assert_array_equal, mine, wanted)


# --- types of products ---


def product_types(field: nn.Module) -> set[str]:
    """Types of all products of a field's forward and backward pass."""
    params = jax.eval_shape(field.init, jax.random.key(0), some_samples(4))

    def loss(params, samples):
        density, color = field.apply(params, samples)
        return jnp.mean(density) + jnp.mean(color)

    return {product.types for product in count_products(jax.grad(loss), params, some_samples(4))}


@pytest.mark.parametrize("field", [ResidualMLP(width=8, num_blocks=1), MLP(width=8, depth=2)], ids=["residual", "mlp"])
def test_bfloat16_reaches_every_large_product(field):
    types = product_types(dataclasses.replace(field, dtype="bfloat16"))
    # Of the float32 products only that of the fold matrix with the first kernel is left, whose size has no samples.
    assert {t for t in types if "bfloat16" not in t} <= {"float32 x float32 -> float32"}
    assert not any(t.startswith(("float32 x bfloat16", "bfloat16 x float32")) for t in types), types
    assert all("bfloat16" not in t for t in product_types(field))


def test_a_head_errs_no_more_than_twice_as_much_as_a_plain_product():
    draw = np.random.default_rng(0)
    x, kernel = (draw.normal(size=shape) for shape in ((500, 16), (16, 4)))
    gradient = draw.normal(size=(500, 4))
    rounded = [jnp.asarray(a, jnp.bfloat16) for a in (x, kernel)]

    def plain(x, kernel):
        return jnp.matmul(x, kernel, preferred_element_type=jnp.float32)

    def errors(product):
        _, pull = jax.vjp(product, *rounded)
        found = pull(jnp.asarray(gradient, jnp.float32))
        truth = gradient @ kernel.T, x.T @ gradient
        return [np.linalg.norm(np.float64(f) - t) / np.linalg.norm(t) for f, t in zip(found, truth, strict=True)]

    for mine, theirs in zip(errors(networks._head_product), errors(plain), strict=True):
        assert mine <= 2 * theirs
    np.testing.assert_array_equal(networks._head_product(*rounded), plain(*rounded))
