"""Training on photographs with masks: what lies outside of them changes neither losses nor gradients."""

import dataclasses
import functools

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.dietnerf import DietNeRF
from models.nerf import NeRF
from models.rendering import pixel_masks
from tests.fixtures.toy_dreams import NAME, toy_guide
from tests.fixtures.toys import ToyTask

PX = 8
GUIDE = toy_guide()
SIZES = {"num_steps": 10, "num_rays": 64, "num_samples": 4, "num_importance": 0}


class Linear(nn.Module):
    """A density and colours that depend on the position, with few parameters."""

    @nn.compact
    def __call__(self, samples, *, key=None):
        raw = nn.Dense(4, name="all")(samples.means)
        return nn.softplus(raw[..., 3]), nn.sigmoid(raw[..., :3])


@dataclasses.dataclass(frozen=True, kw_only=True)
class PaintedTask(ToyTask):
    """Photographs of noise; `masked` gives them masks, `outside` another colour where they do not count."""

    masked: bool = True
    outside: float | None = None
    mask_seed: int = 0

    def load(self):
        scene = super().load()
        shape = scene.train.colors.shape
        colors = np.random.RandomState(5).rand(*shape).astype(np.float32)
        masks = (np.random.RandomState(self.mask_seed).rand(*shape[:3]) < 0.6).astype(np.float32)
        if self.outside is not None:
            colors = np.where(masks[..., None] > 0, colors, np.float32(self.outside))
        return scene._replace(train=scene.train._replace(colors=colors, masks=masks if self.masked else None))


def made(kind, **changes):
    more = {"encoder": NAME, "consistency_px": 4, "consistency_every": 1} if kind is DietNeRF else {}
    return kind(field=Linear(), **SIZES, **more, **changes)


def hyperparameters(method):
    names = [f.name for f in dataclasses.fields(method) if f.metadata.get("hyperparameter")]
    return {name: jnp.asarray(getattr(method, name), jnp.float32) for name in names}


@functools.cache
def loss_and_gradient(method):
    """Compile a step that is given photographs."""

    def step(params, data, key):
        given_loss = jax.value_and_grad(method.loss, has_aux=True)
        (loss, (_, metrics)), grads = given_loss(
            params, {}, {NAME: GUIDE}, data, hyperparameters(method), key, jnp.zeros((), jnp.int32)
        )
        return loss, metrics, grads

    return jax.jit(step)


@pytest.mark.parametrize("kind", [NeRF, DietNeRF])
def test_pixels_outside_change_nothing(kind):
    method = made(kind)
    step = loss_and_gradient(method)
    found = []
    for outside in (None, 0.0, 1.0):
        data = method.prepare({NAME: GUIDE}, PaintedTask(image_px=PX, outside=outside))
        params, _ = jax.jit(method.init)(jax.random.key(0), data)
        found.append(jax.tree.leaves(step(params, data, jax.random.key(3))))
    for other in found[1:]:
        for one, changed in zip(found[0], other, strict=True):
            np.testing.assert_array_equal(one, changed)
    everywhere = data._replace(masks=jnp.ones_like(data.masks)) if kind is NeRF else None
    if everywhere is not None:  # where they counted they would
        assert float(step(params, everywhere, jax.random.key(3))[0]) != float(found[0][0])


@pytest.mark.parametrize("batching", ["all views", "one view"])
def test_the_loss_is_the_mean_over_the_pixels_that_count(batching):
    method = made(NeRF, batching=batching)
    data = method.prepare({}, PaintedTask(image_px=PX))
    params, _ = method.init(jax.random.key(0), data)
    key = jax.random.key(8)
    loss, _, _ = loss_and_gradient(method)(params, data, key)
    pixel_key, ray_key = jax.random.split(key)

    @jax.jit
    def render():
        rays, colors, weights = method.sample_pixel_batch(data, pixel_key, jnp.zeros((), jnp.int32))
        return method.render_levels(params, data, rays, ray_key)[-1].color, colors, weights

    color, truth, weights = jax.tree.map(np.asarray, render())
    assert 0 < (weights == 0).sum() < len(weights)
    slow = [np.mean((color[i] - truth[i]) ** 2) for i in range(len(weights)) if weights[i]]
    assert float(loss) == pytest.approx(np.mean(slow), rel=1e-5)


def test_photographs_without_masks_bring_none():
    method = made(NeRF)
    data = method.prepare({}, PaintedTask(image_px=PX, masked=False))
    assert data.masks is None
    _, _, weights = method.sample_pixel_batch(data, jax.random.key(0), jnp.zeros((), jnp.int32))
    assert weights is None


def test_a_step_in_which_nothing_counts_is_finite():
    method = made(NeRF)
    data = method.prepare({}, PaintedTask(image_px=PX))
    data = data._replace(masks=jnp.zeros_like(data.masks))
    params, _ = method.init(jax.random.key(0), data)
    loss, metrics, grads = loss_and_gradient(method)(params, data, jax.random.key(0))
    assert float(loss) == 0 and all(np.isfinite(x).all() for x in jax.tree.leaves((metrics, grads)))


SHARES = st.floats(0, 1, width=32, allow_subnormal=False)  # XLA takes subnormal numbers for 0


@given(st.lists(st.tuples(SHARES, SHARES), min_size=1, max_size=6))
@settings(max_examples=30, deadline=None)
def test_mean_inside_is_a_weighted_mean(pairs):
    values, weights = (np.asarray(x, np.float32) for x in zip(*pairs, strict=True))
    found = float(jax.jit(pixel_masks.mean_inside)(values[:, None], weights))
    total = float(weights.astype(float).sum())
    wanted = float((values.astype(float) * weights).sum() / total) if total > 0 else 0
    assert found == pytest.approx(wanted, rel=1e-4, abs=1e-6)


def test_what_is_outside_is_filled_with_what_is_inside():
    colors = np.zeros((1, 2, 2, 3), np.float32)
    colors[0, 0] = [[0.2, 0.4, 0.6], [0.4, 0.6, 0.8]]
    masks = np.array([[[1, 1], [0, 0]]], np.float32)
    filled = np.asarray(pixel_masks.fill_outside(jnp.asarray(colors), jnp.asarray(masks)))
    np.testing.assert_array_equal(filled[0, 0], colors[0, 0])
    np.testing.assert_allclose(filled[0, 1], [[0.3, 0.5, 0.7]] * 2, atol=1e-6)
    assert pixel_masks.fill_outside(jnp.asarray(colors), None) is not None
