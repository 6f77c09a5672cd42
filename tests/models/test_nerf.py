"""NeRF's pixel batches, levels, learning rates and refusals."""

import dataclasses

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from bench.errors import UsageError
from models.fields.networks import MLP
from models.nerf import NERF, NERF_2021, SIMPLIFIED_NERF, NeRF
from models.rendering.ray_sampling import samples_at_points
from tasks.cameras import hemisphere, pixel_rays, select_cameras
from tests.fixtures.toys import ToyTask

SIZES = {"num_steps": 100, "num_rays": 400, "num_samples": 8, "num_importance": 4}
PX = 8


class Ball(nn.Module):
    """Dense inside a ball of radius 1, with the position as its colour."""

    width: int | None = 256

    @nn.compact
    def __call__(self, samples, *, key=None):
        strength = self.param("strength", nn.initializers.constant(5.0), ())
        is_inside = jnp.linalg.norm(samples.means, axis=-1) < 1
        return strength * is_inside, nn.sigmoid(samples.means)


def made(**changes):
    return NeRF(**{"field": Ball(), **SIZES, **changes})


@pytest.fixture(scope="module")
def data():
    """Three photographs whose colours are their view, row and column."""
    found = made().prepare({}, ToyTask(image_px=PX, num_views=3))
    view, row, column = np.meshgrid(np.arange(3), np.arange(PX), np.arange(PX), indexing="ij")
    return found._replace(colors=jnp.asarray(np.stack([view, row, column], axis=-1), jnp.float32))


def batch(method, data, step=0, seed=0):
    sample = jax.jit(method.sample_pixel_batch)
    rays, colors, _ = sample(data, jax.random.key(seed), jnp.asarray(step))
    return rays, np.asarray(colors).astype(int)


def test_colours_are_those_of_the_pixels_that_rays_pass_through(data):
    rays, pixels = batch(made(), data)
    view, row, column = pixels.T
    assert {tuple(pixel) for pixel in pixels} <= {(v, r, c) for v in range(3) for r in range(PX) for c in range(PX)}
    assert len({tuple(pixel) for pixel in pixels}) > 150  # of 192, in 400 draws
    wanted = pixel_rays(
        jnp.asarray(hemisphere(3), jnp.float32)[view],
        select_cameras(data.intrinsics, view),
        jnp.asarray(column + 0.5, jnp.float32),
        jnp.asarray(row + 0.5, jnp.float32),
        2.0,
        6.0,
    )
    np.testing.assert_allclose(rays.origins, wanted.origins, atol=1e-6)
    np.testing.assert_allclose(rays.directions, wanted.directions, atol=1e-6)


def test_a_batch_of_one_view_is_of_one_view_and_another_one_next_time(data):
    method = made(batching="one view")
    views = [batch(method, data, seed=seed)[1][:, 0] for seed in range(10)]
    assert all(len(set(view)) == 1 for view in views)
    assert len({view[0] for view in views}) > 1


def test_first_steps_sample_the_middle_half(data):
    method = made(precrop_steps=10)
    for step, allowed in ((0, range(2, 6)), (9, range(2, 6)), (10, range(8))):
        pixels = batch(method, data, step=step)[1]
        assert set(pixels[:, 1]) == set(pixels[:, 2]) == set(allowed)


@pytest.mark.parametrize("changes", [{}, {"far_wall": True}, {"cones": True}, {"cones": True, "share_levels": True}])
def test_both_levels_find_a_ball(data, changes):
    method = made(**changes, num_samples=64, num_importance=64)
    params, _ = method.init(jax.random.key(0), data)
    assert set(params) == ({"coarse"} if method.share_levels else {"coarse", "fine"})
    origins = jnp.asarray([[0.0, -4.0, 0.0], [0.0, -4.0, 1.5]])
    rays = batch(method, data)[0]
    rays = jax.tree.map(lambda x: x[:2], rays)._replace(
        origins=origins, directions=jnp.asarray([[0.0, 1.0, 0.0]] * 2), radius=jnp.full(2, 1e-3)
    )
    levels = jax.jit(lambda p: method.render_levels(p, data, rays, None))(params)
    assert len(levels) == 2
    for views in levels:
        np.testing.assert_allclose(views.opacity, [1, 0], atol=2e-3)
        # The ball begins at t = 3; the mean free path in it is 1 / 5.
        np.testing.assert_allclose(views.distance, [3.2, 6], atol=0.1)


def test_one_level_has_one_network(data):
    method = made(num_importance=0)
    params, _ = method.init(jax.random.key(0), data)
    assert set(params) == {"coarse"}
    density, _ = method.field_at(params, {}, data, jnp.asarray([[0.0, 0, 0], [2.0, 0, 0]]))
    np.testing.assert_allclose(density, [5, 0])


def rates(method, num_steps, count):
    """Learning rates of the first steps, from updates of a constant gradient, which Adam makes as long as the rate."""
    names = ("learning_rate", "final_rate", "warmup")
    hyperparameters = {name: jnp.asarray(getattr(method, name)) for name in names}
    optimizer = method.optimizer(num_steps, hyperparameters)
    state = optimizer.init(jnp.zeros(()))
    found = []
    for _ in range(count):
        updates, state = optimizer.update(jnp.ones(()), state)
        found.append(-float(optax.apply_updates(jnp.zeros(()), updates)))
    return found


def test_the_rate_rises_and_falls():
    found = rates(made(learning_rate=1e-2, final_rate=0.1, warmup=0.2), 10, 10)
    wanted = [1e-2 * min(1, (i + 1) / 2) * 0.1 ** (i / 10) for i in range(10)]
    np.testing.assert_allclose(found, wanted, rtol=1e-4)


def test_narrow_networks_have_higher_rates():
    found = rates(made(field=Ball(width=64), learning_rate=1e-3, warmup=0.0), 10, 1)
    assert found[0] == pytest.approx(4e-3, rel=1e-4)


def test_the_released_rate_is_a_tenth_after_half_a_million_steps():
    assert NERF_2021.final_rate ** (500_000 / 200_000) == pytest.approx(0.1)


def test_a_network_without_directions_is_the_simplified_one():
    field = dataclasses.replace(SIMPLIFIED_NERF.field, width=8, depth=2)
    params = field.init(jax.random.key(0), samples_at_points(jnp.zeros((1, 3))))["params"]
    assert "view" not in params and isinstance(NERF.field, MLP) and NERF.field.view_directions


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"cones": True, "far_wall": True}, "far_wall=False"),
        ({"share_levels": True, "num_importance": 0}, "share_levels=False"),
    ],
)
def test_settings_that_contradict_each_other(changes, message):
    with pytest.raises(UsageError, match=message):
        made(**changes)
