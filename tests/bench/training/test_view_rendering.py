"""Views of whole packs: which ray makes which pixel, in blocks of any size, and what is kept."""

import math

import jax.numpy as jnp
import numpy as np
import pytest

from bench.training import batch, trainer, view_rendering
from models.method import Views
from tasks.cameras import Intrinsics, select_cameras, view_rays
from tests.fixtures.toy_packs import quiet, toy_pack
from tests.fixtures.toys import ToyMethod

PX = 6


@pytest.fixture(scope="module")
def scene():
    return toy_pack(ToyMethod()).trials[0].task.load()


def rays_as_views(rays):
    """Colours that tell the direction of a ray."""
    return Views(color=rays.directions, opacity=jnp.ones_like(rays.near), distance=rays.far)


@pytest.mark.parametrize("num_at_once", [1, 7, PX * PX, 1000])
def test_pixels_are_in_order_whatever_the_block(scene, num_at_once):
    cameras = batch.cameras_of(scene, scene.test)
    views = view_rendering.render_in_blocks(cameras, PX, PX, num_at_once, rays_as_views)
    assert views.color.shape == (3, PX, PX, 3)
    for i in range(3):
        intrinsics = select_cameras(scene.test.intrinsics, i)
        rays = view_rays(jnp.asarray(scene.test.poses[i]), intrinsics, PX, PX, scene.near, scene.far)
        np.testing.assert_allclose(views.color[i], rays.directions, atol=1e-6)


def test_views_of_a_pack_are_those_of_its_fields(scene):
    outcome = trainer.train(toy_pack(ToyMethod()), (), quiet)[0]
    for i in range(3):
        intrinsics = select_cameras(scene.test.intrinsics, i)
        rays = view_rays(jnp.asarray(scene.test.poses[i]), intrinsics, PX, PX, 2.0, 6.0)
        mean = outcome.parameters["params/mean"]
        np.testing.assert_allclose(
            outcome.views["color"][i], np.clip(mean + 0.1 * np.asarray(rays.directions), 0, 1), atol=1e-3
        )
    assert outcome.views["color"].dtype == np.float16
    assert list(outcome.views["ids"]) == [0, 1, 2]


def test_what_stands_before_the_photographs_cameras():
    outcome = trainer.train(toy_pack(ToyMethod()), ("std-v1",), quiet)[0]
    near = outcome.views["near_opacity"]
    assert near.shape == (2, batch.NEAR_PX, batch.NEAR_PX) and near.dtype == np.float16
    # The toy's field is solid everywhere.
    assert outcome.scores["std-v1"]["per_view"]["floaters"] == [100.0] * 3


def test_intrinsics_scale_with_the_number_of_pixels():
    scaled = view_rendering.scale_intrinsics(Intrinsics(*(jnp.asarray([x]) for x in (10.0, 20.0, 3.0, 4.0))), 0.5, 2.0)
    assert [float(x[0]) for x in scaled[:4]] == [20.0, 10.0, 6.0, 2.0]


@pytest.mark.parametrize(("num_steps", "chunk"), [(400, 8), (1500, 30), (10_000, 50), (23, 5), (20, 4), (7, 7)])
def test_the_strip_has_views_evenly_and_at_the_end(num_steps, chunk):
    ends = [min(start + chunk, num_steps) for start in range(0, num_steps, chunk)]
    due = [end for i, end in enumerate(ends) if view_rendering.is_strip_step(end, i * chunk, num_steps)]
    assert len(due) == min(view_rendering.NUM_STRIP, len(ends)) and due[-1] == num_steps
    even = [math.ceil(num_steps * (i + 1) / len(due)) for i in range(len(due))]
    assert all(0 <= found - wanted < chunk for found, wanted in zip(due, even, strict=True))


def test_what_stands_before_cameras_is_the_first_fifth_of_the_way():
    near, far = jnp.asarray([2.0, 1.0, 0.1]), jnp.asarray([6.0, 4.0, 100.0])
    found = view_rendering.near_end(near, far)
    np.testing.assert_allclose(found[:2], [2.8, 1.6], rtol=1e-6)
    # Of a scene without an end a fifth of the way in depth holds nearly all there is.
    assert float(1 / found[2]) == pytest.approx(0.8 / 0.1 + 0.2 / 100, rel=1e-5)
