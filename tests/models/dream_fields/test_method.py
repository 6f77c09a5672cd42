"""Renders, crops and learning rates of Dream Fields against plain twins."""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from bench.training.batch import hyperparameters_of, stack_trials
from models import augmentations
from models.dream_fields import (
    DREAM_FIELDS,
    DREAM_FIELDS_LQ,
    PLAIN,
    guidance,
)
from models.dream_fields.cameras import sample_training_rays
from models.dream_fields.training_view import render_training_view
from models.method import split_hyperparameters
from models.rendering import compositing, ray_sampling
from tasks.budgets import BUDGETS, sized
from tests.fixtures.toy_dreams import (
    GUIDE,
    NAME,
    NUM_CROPS,
    NUM_SAMPLES,
    PX,
    Blob,
    made,
    prepared,
    rays_of,
    slow_blob,
    slow_cosine,
)

RNG = np.random.default_rng(4)


def looking(num=9, away=4.0):
    """Rays from a few cameras about the origin, some beside the cube, of no width."""
    origins = RNG.normal(size=(num, 3))
    origins *= away / np.linalg.norm(origins, axis=1, keepdims=True)
    rays = rays_of(origins, (RNG.uniform(-1.2, 1.2, (num, 3)) - origins) / away)
    return rays._replace(radius=jnp.zeros(num))


@pytest.mark.parametrize("changes", [{}, {"bounds": False}, {"cut_at_bounds": False}, {"half_width": 0.4}])
def test_a_render_of_many_samples_is_field_at_summed_slowly(changes):
    method = made(**changes)
    params, _, data = prepared(method)
    state, rays = {"origin": jnp.asarray([0.1, 0.3, -0.2])}, looking()
    views = jax.jit(lambda p, s, r: method.render(p, s, data, r, 2000))(params, state, rays)
    t = np.linspace(1, 7, 6001)
    t = (t[1:] + t[:-1]) / 2
    field_at = jax.jit(lambda points: method.field_at(params, state, data, points))
    for i in range(9):
        origin, direction = (np.asarray(x[i], np.float64) for x in (rays.origins, rays.directions))
        density, color = (np.asarray(x, np.float64) for x in field_at(
            jnp.asarray(origin + t[:, None] * direction, jnp.float32)
        ))  # fmt: skip
        depth = density * 1e-3 * np.linalg.norm(direction)
        weights = -np.diff(np.exp(-np.concatenate([[0], np.cumsum(depth)])))
        passed = 1 - weights.sum()
        np.testing.assert_allclose(views.opacity[i], 1 - passed, atol=2e-3)
        np.testing.assert_allclose(views.color[i], weights @ color + passed * 0.5, atol=2e-3)
        np.testing.assert_allclose(views.distance[i], weights @ t + passed * 7, atol=1e-2)


def test_field_at_is_about_the_tracked_origin_and_zero_outside():
    method, points = made(half_width=0.5), jnp.asarray([[0.1, 0.2, 0.3], [0.6, 0, 0]])
    params, _, data = prepared(method)
    state = {"origin": jnp.asarray([0.3, -0.1, 0.0])}
    density, color = method.field_at(params, state, data, points)
    wanted = [slow_blob(3.0, np.asarray(point) + np.array([0.3, -0.1, 0.0])) for point in np.asarray(points)]
    np.testing.assert_allclose(density, [wanted[0][0], 0], rtol=1e-5)
    np.testing.assert_allclose(color, [color for _, color in wanted], rtol=1e-5)
    free = made(half_width=0.5, bounds=False)
    density, _ = free.field_at(params, state, prepared(free)[2], points)
    np.testing.assert_allclose(density, [density for density, _ in wanted], rtol=1e-5)


def test_arms_of_a_pack_are_seen_within_their_own_bounds():
    arms = [made(), made(bounds=False), made(half_width=0.4), made(cut_at_bounds=False)]
    static = split_hyperparameters(arms[0])[0]
    assert {split_hyperparameters(arm)[0] for arm in arms} == {static}
    params, state, _ = prepared(static)
    data, rays = [prepared(arm)[2] for arm in arms], looking(9, away=3.0)
    points = jnp.asarray(RNG.uniform(-1.5, 1.5, (20, 3)), jnp.float32)

    def both(data):
        return static.render(params, state, data, rays), static.field_at(params, state, data, points)

    packed = jax.jit(jax.vmap(both))(stack_trials(data))
    for i, one in enumerate(data):
        for mine, alone in zip(jax.tree.leaves(packed), jax.tree.leaves(jax.jit(both)(one)), strict=True):
            np.testing.assert_allclose(mine[i], alone, atol=1e-5)
    opacity, density = np.asarray(packed[0].opacity), np.asarray(packed[1][0])
    assert np.abs(opacity[0] - opacity[1]).max() > 0.01 and np.abs(opacity[0] - opacity[2]).max() > 0.01
    outside = np.abs(np.asarray(points)).max(axis=1) > 1.2001
    assert (density[1][outside] > 0).all() and (density[0][outside] == 0).all() and outside.any()


def test_an_origin_that_moved_is_a_field_that_moved_back():
    here, there = made(), made(field=Blob(place=(-0.3, 0.2, 0.1)))
    params, state, data = prepared(here)
    rays = looking()
    moved = here.render(params, {"origin": jnp.asarray([0.3, -0.2, -0.1])}, data, rays)
    still = there.render(params, state, data, rays)
    for mine, other in zip(moved, still, strict=True):
        np.testing.assert_allclose(mine, other, atol=1e-5)


def test_blocks_of_rays_count_each_ray_once(monkeypatch):
    method = made()
    params, _, _ = prepared(method)
    state, hyperparameters = {"origin": jnp.asarray([0.1, 0.0, -0.1])}, hyperparameters_of(made(bounds=False))
    monkeypatch.setattr("models.dream_fields.training_view.RAYS_AT_ONCE", 8)  # 36 rays: four whole blocks and a part

    @jax.jit
    def both(key):
        rays = sample_training_rays(hyperparameters, method.render_px, jax.random.key(1))
        found, blocks = render_training_view(method, params, state, hyperparameters, rays, key, jnp.ones(())), []
        for i, block_key in enumerate(jax.random.split(key, 5)):
            mine = jax.tree.map(lambda x, i=i: x[np.minimum(np.arange(8 * i, 8 * i + 8), 35)], rays)
            tdist = ray_sampling.fenceposts(mine.near, mine.far, NUM_SAMPLES, jax.random.split(block_key)[0])
            density, color, means = method.query_field(params, state, hyperparameters, mine, tdist, None, 1.0)
            views, _ = compositing.render(density, color, tdist, mine, 0.0)
            blocks.append((jnp.concatenate([views.color, views.opacity[:, None]], axis=-1), density, means))
        return found, [jnp.concatenate(parts)[:36] for parts in zip(*blocks, strict=True)]

    found, (image, density, means) = both(jax.random.key(2))
    np.testing.assert_allclose(found.image.reshape(36, 4), image, atol=1e-5)
    assert float(found.total) == pytest.approx(float(density.sum()), rel=1e-5)
    np.testing.assert_allclose(found.center, np.average(means, axis=(0, 1), weights=density), atol=1e-5)


def test_density_noise_is_drawn_in_training_alone():
    noisy, plain = made(field=Blob(noise=1.0)), made()
    params, state, data = prepared(noisy)
    hyperparameters, rays = hyperparameters_of(noisy), looking()

    def train(method):
        view = sample_training_rays(hyperparameters, method.render_px, jax.random.key(1))
        return render_training_view(method, params, state, hyperparameters, view, jax.random.key(2), jnp.ones(())).image

    loud, calm = (jax.jit(functools.partial(train, method))() for method in (noisy, plain))
    # Programs of their own: within a larger one the last digit depends on what else is computed.
    kept, wanted = (jax.jit(method.render)(params, state, data, rays) for method in (noisy, plain))
    assert np.abs(loud - calm).max() > 0.01
    np.testing.assert_array_equal(kept.color, wanted.color)


# --- what the guide sees ----------------------------------------------------------------------------------------------


@functools.cache
def compiled_cosines(method):
    return jax.jit(
        lambda data, hyperparameters, image, key: guidance.compare_crops(
            method, {NAME: GUIDE}, data, hyperparameters, image, key
        ).cosines[0]
    )


def cosines(method, image):
    _, _, data = prepared(method)
    static, image = split_hyperparameters(method)[0], jnp.asarray(image, jnp.float32)
    return np.asarray(compiled_cosines(static)(data, hyperparameters_of(method), image, jax.random.key(0))), data.texts[
        0
    ].caption


def some_image():
    opacity = RNG.uniform(0, 1, (PX, PX, 1))
    return np.concatenate([RNG.uniform(0, 1, (PX, PX, 3)) * opacity, opacity], axis=-1)


def test_plain_windows_are_the_view_on_white():
    changes = {name: getattr(PLAIN, name) for name in ("crop_share", "backgrounds", "max_blur_px")}
    assert dataclasses.replace(DREAM_FIELDS, **changes) == PLAIN
    method, image = made(**changes), some_image()
    found, text = cosines(method, image)
    on_white = jax.image.resize(image[..., :3] + 1 - image[..., 3:], (8, 8, 3), "linear")
    np.testing.assert_allclose(found, [slow_cosine(GUIDE, on_white, text)] * NUM_CROPS, atol=1e-5)


def test_windows_have_places_and_backgrounds_of_their_own():
    image, clear = some_image(), np.zeros((PX, PX, 4))
    behind = {"max_blur_px": 0.0, "crop_share": 1.0}
    moved, _ = cosines(made(crop_share=0.5, backgrounds=("white",), max_blur_px=0.0), image)
    before, _ = cosines(made(backgrounds=("uniform noise",), **behind), image)
    assert len(np.unique(moved)) == len(np.unique(before)) == NUM_CROPS
    for kind, level in augmentations.CONSTANT_BACKGROUNDS.items():
        found, text = cosines(made(backgrounds=(kind,), **behind), clear)
        np.testing.assert_allclose(found, slow_cosine(GUIDE, np.full((8, 8, 3), level), text), atol=1e-5)


def test_only_the_backgrounds_that_are_asked_for_are_drawn():
    clear = np.zeros((PX, PX, 4))
    found, text = cosines(made(backgrounds=("white", "black"), num_crops=40), clear)
    levels = [slow_cosine(GUIDE, np.full((8, 8, 3), level), text) for level in (1.0, 0.0)]
    which = np.abs(found[:, None] - np.asarray(levels)).argmin(axis=1)
    np.testing.assert_allclose(found, np.asarray(levels)[which], atol=1e-5)
    assert 8 < which.sum() < 32


def test_a_view_before_any_background_is_opaque_where_it_is_solid():
    solid = np.concatenate([np.full((PX, PX, 3), 0.3), np.ones((PX, PX, 1))], axis=-1)
    found, text = cosines(made(), solid)
    np.testing.assert_allclose(found, slow_cosine(GUIDE, np.full((8, 8, 3), 0.3), text), atol=1e-5)


def test_the_guide_reads_the_prompt_and_the_numbers_come_along():
    method = made(prompt="a photo of {}", last_opacity=0.3)
    data = prepared(method)[2]
    tokens = GUIDE.tokenize(["a photo of a blue dotted guitar"])
    wanted = np.asarray(GUIDE.params["reads"])[tokens[0]].sum(axis=0)
    np.testing.assert_allclose(data.texts[0].caption, wanted / np.linalg.norm(wanted), atol=1e-6)
    assert np.abs(data.texts[0].caption - prepared(made())[2].texts[0].caption).max() > 0.01
    assert (float(data.near), float(data.far), float(data.background)) == pytest.approx((1.9215, 6.0785, 0.5), abs=1e-3)
    for name, value in hyperparameters_of(method).items():
        np.testing.assert_array_equal(data.hyperparameters[name], value)


# --- rates ------------------------------------------------------------------------------------------------------------


def rates(method, num_steps, num):
    """Of the first steps: Adam's update of a constant gradient is its rate."""
    optimizer = method.optimizer(num_steps, hyperparameters_of(method))

    def one(state, _):
        updates, state = optimizer.update(jnp.ones(()), state)
        return state, -updates * (1 + method.adam_epsilon)

    return np.asarray(jax.lax.scan(one, optimizer.init(jnp.zeros(())), None, num)[1])


def test_the_rate_rises_as_released():
    """From 1e-5 to 1e-4 over 1500 steps, exponentially, then stays: schedule.lr_fn, a step ahead."""
    assert sized(DREAM_FIELDS_LQ, BUDGETS["paper"]).num_steps == 10_000
    found = rates(DREAM_FIELDS_LQ, 10_000, 1600)
    step = np.arange(1600) + 1
    wanted = np.where(step < 1500, np.exp(np.log(1e-5) * (1 - step / 1500) + np.log(1e-4) * step / 1500), 1e-4)
    np.testing.assert_allclose(found, wanted, rtol=2e-3)


def test_the_rate_is_whole_from_the_start_without_a_warmup():
    np.testing.assert_allclose(rates(made(warmup=0.0, learning_rate=0.02), 100, 5), 0.02, rtol=1e-4)
    found = rates(made(warmup=0.1, first_rate=0.1, learning_rate=1e-3), 100, 20)
    np.testing.assert_allclose(found[[4, 9, 19]], [1e-3 * 0.1**0.5, 1e-3, 1e-3], rtol=1e-4)


def test_adam_has_its_epsilon():
    method = made(warmup=0.0, learning_rate=1.0, adam_epsilon=1e-2)
    optimizer = method.optimizer(10, hyperparameters_of(method))
    updates, _ = optimizer.update(jnp.asarray(1e-3), optimizer.init(jnp.zeros(())))
    assert float(updates) == pytest.approx(-1e-3 / (1e-3 + 1e-2), rel=1e-3)
    assert isinstance(optimizer, optax.GradientTransformation)
