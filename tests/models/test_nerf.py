"""NeRF's pixel batches, levels, learning rates and refusals."""

import dataclasses

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from bench.errors import UsageError
from bench.suites.identity import describe
from models.captured_recipes import NERF_LLFF_2020
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
        ({"ndc": True, "cones": True}, "ndc=False"),
        ({"ndc": True, "contraction": True}, "ndc=False"),
        ({"ndc": True, "lindisp": True}, "ndc=False"),
        ({"opaque_end": True, "far_wall": True}, "opaque_end=False"),
    ],
)
def test_settings_that_contradict_each_other(changes, message):
    with pytest.raises(UsageError, match=message):
        made(**changes)


class Shell(nn.Module):
    """Dense beyond a distance from the origin that is 1.75 after contraction, with one colour."""

    @nn.compact
    def __call__(self, samples, *, key=None):
        distance = jnp.linalg.norm(samples.means, axis=-1)
        strength = self.param("strength", nn.initializers.constant(50.0), ())
        return strength * (distance > 1.75), jnp.full((*distance.shape, 3), 0.25)


def one_ray(data, origin, direction, far=6.0):
    rays = jax.tree.map(lambda x: x[:1], batch(made(), data)[0])
    return rays._replace(
        origins=jnp.asarray([origin], jnp.float32),
        directions=jnp.asarray([direction], jnp.float32),
        near=jnp.ones(1),
        far=jnp.full(1, far),
        radius=jnp.full(1, 1e-3),
    )


@pytest.mark.parametrize("cones", [False, True])
def test_a_contracted_field_is_met_where_space_is(data, cones):
    """What the field has at 1.75 lies at distance 4, and samples in inverse depth find it in a scene without an end."""
    method = made(field=Shell(), contraction=True, lindisp=True, cones=cones, num_samples=64, num_importance=64)
    params, _ = method.init(jax.random.key(0), data)
    rays = one_ray(data, (0, 0, 0), (0, 0, -1), far=1000.0)
    views = jax.jit(lambda p: method.render_levels(p, data, rays, None))(params)[-1]
    assert float(views.distance[0]) == pytest.approx(4, abs=0.15) and float(views.opacity[0]) > 0.99
    density, _ = method.field_at(params, {}, data, jnp.asarray([[0.0, 0, -3.9], [0.0, 0, -4.1], [0.0, 0, -1e6]]))
    np.testing.assert_allclose(density, [0, 50, 50])


def test_resampling_keeps_to_inverse_depth(data):
    """With a field that is nowhere dense, importance samples are spaced as the first ones are."""
    method = made(lindisp=True, num_samples=16, num_importance=16)
    found = []

    class Watched(NeRF):
        def query_field(self, params, level, samples, key, ray_directions=None):
            found.append(samples.means)
            return jnp.zeros(samples.t_var.shape), jnp.zeros(samples.means.shape)

    watched = Watched(**{f.name: getattr(method, f.name) for f in dataclasses.fields(method)})
    rays = one_ray(data, (0, 0, 0), (0, 0, -1), far=1000.0)

    @jax.jit
    def sampled():
        watched.render_levels({}, data, rays, None)
        return found[1]

    inverse = -1 / np.asarray(sampled())[0, :, 2]
    assert (np.diff(inverse) <= 1e-6).all()
    quarter = [np.mean(inverse > 0.001 + share * 0.999) for share in (0.25, 0.5, 0.75)]
    np.testing.assert_allclose(quarter, [0.75, 0.5, 0.25], atol=0.05)


def test_an_opaque_end_hides_the_background_but_not_in_rays_that_end_early(data):
    field = dataclasses.replace(NERF.field, width=8, depth=2)
    method = made(field=field, opaque_end=True, num_importance=0)
    data = data._replace(background=jnp.asarray(50.0))  # it would be seen
    params, _ = method.init(jax.random.key(0), data)
    render = jax.jit(lambda rays: method.render(params, {}, data, rays))
    whole = render(one_ray(data, (0, 0, 4), (0, 0, -1)))
    np.testing.assert_allclose(whole.opacity, 1, atol=1e-6)
    assert float(whole.color.max()) <= 1
    early = render(one_ray(data, (0, 0, 4), (0, 0, -1), far=1.5))
    assert float(early.opacity[0]) < 0.9


class Slab(nn.Module):
    """Dense behind z' = 0, which in normalised device coordinates is a plane before the cameras."""

    @nn.compact
    def __call__(self, samples, *, key=None):
        strength = self.param("strength", nn.initializers.constant(500.0), ())
        return strength * (samples.means[..., 2] > 0), jnp.abs(samples.directions)


def test_a_plane_in_ndc_is_met_at_its_depth(data):
    method = made(field=Slab(), ndc=True, far_wall=True, num_samples=64, num_importance=128)
    found = method.prepare({}, ToyTask(image_px=PX, num_views=3))
    assert found.frustum is not None
    np.testing.assert_allclose(found.frustum.slopes, 2 * found.intrinsics.focal_x[0] / PX, rtol=1e-6)
    params, _ = method.init(jax.random.key(0), found)
    plane = float(found.frustum.plane)
    wanted = 2 * plane  # z' = 1 + 2 n / z is 0 at z = -2 n
    origin, direction = (0.1, -0.2, 0.3), (0.1, 0.05, -1.0)
    rays = one_ray(found, origin, direction)
    views = jax.jit(lambda p: method.render_levels(p, found, rays, None))(params)[-1]
    assert float(views.distance[0]) == pytest.approx(wanted + origin[2], rel=0.02)
    # Colours are told the direction in the world, not the one in the cube.
    np.testing.assert_allclose(views.color[0], np.abs(direction), atol=1e-3)
    density, _ = method.field_at(params, {}, found, jnp.asarray([[0.0, 0, -wanted * 0.99], [0.0, 0, -wanted * 1.01]]))
    assert float(density[0]) == 0 and float(density[1]) == pytest.approx(1000 * plane / (1.01 * wanted) ** 2, rel=1e-3)


def test_fitting_to_a_world():
    fitted = {world: NERF.fit_to_world(world) for world in ("bounded", "unbounded", "forward-facing")}
    assert fitted["bounded"] == NERF
    changed = {
        world: [f.name for f in dataclasses.fields(NERF) if getattr(method, f.name) != getattr(NERF, f.name)]
        for world, method in fitted.items()
    }
    assert changed["unbounded"] == ["opaque_end", "lindisp", "contraction"]
    assert changed["forward-facing"] == ["opaque_end", "lindisp"]
    released = NERF_2021.fit_to_world("forward-facing")
    assert released == dataclasses.replace(NERF_2021, ndc=True)
    assert NERF.fit_to_world("bounded", has_alpha=False).opaque_end
    assert NERF.fit_to_world("unbounded", has_alpha=True).opaque_end is False
    assert fitted["unbounded"].fit_to_world("bounded") == fitted["unbounded"]  # what a user chose stays


def test_new_fields_move_no_stored_trial():
    told = describe(NERF)
    assert not {"opaque_end", "lindisp", "contraction", "ndc"} & set(told)
    assert describe(NERF_LLFF_2020)["ndc"] is True


def test_the_setting_for_llff_is_that_of_the_paper():
    # Source: paper_configs/llff_config.txt of bmild/nerf, and its rate: 5e-4 * 0.1 ** (step / 250,000).
    told = (NERF_LLFF_2020.num_rays, NERF_LLFF_2020.num_samples, NERF_LLFF_2020.num_importance)
    assert told == (4096, 64, 128) and NERF_LLFF_2020.field.density_noise == 1
    assert NERF_LLFF_2020.final_rate ** (250_000 / 200_000) == pytest.approx(0.1)
    assert NERF_LLFF_2020.batching == "all views" and NERF_LLFF_2020.precrop_steps == 0
