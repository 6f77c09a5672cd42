"""Cast pictures: hits against a plain loop, places against the renderer's, pictures against path-traced ones."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from models.clip.pretraining.casting import cast_pictures as casting
from models.clip.pretraining.casting import placed_objects, ray_triangles, surfaces
from tasks.closed_world import appearance, meanings, pictures
from tasks.closed_world.meanings import ObjectSpec


def random_triangles(num, num_points=0, seed=0):
    """Small triangles round the origin, and points that fill the array up."""
    random = np.random.default_rng(seed)
    middles = random.uniform(-1, 1, (num, 1, 3))
    real = middles + random.normal(size=(num, 3, 3)) * 0.4
    filled = np.repeat(random.normal(size=(num_points, 1, 3)), 3, axis=1)
    return np.concatenate([real, filled])


def hit_distance(origin, direction, triangle):
    """Solve for one triangle with a matrix; infinity if it is missed."""
    first, second, third = triangle
    matrix = np.stack([second - first, third - first, -direction], axis=1)
    along, across, distance = np.linalg.solve(matrix, origin - first)
    inside = along >= 0 and across >= 0 and along + across <= 1
    return distance if inside and distance > 0 else np.inf


def test_nearest_hits_are_those_of_a_plain_loop():
    triangles = random_triangles(20, 236)
    origin = np.asarray([0.3, -4.0, 0.5])
    random = np.random.default_rng(1)
    directions = random.normal(size=(60, 3)) * [0.25, 0, 0.25] + [0, 1, 0]
    hits = ray_triangles.find_nearest(
        jnp.asarray(origin, jnp.float32), jnp.asarray(directions, jnp.float32), jnp.asarray(triangles, jnp.float32)
    )
    table = np.asarray([[hit_distance(origin, direction, one) for one in triangles[:20]] for direction in directions])
    expected = table.min(axis=1)
    is_hit = np.isfinite(expected)
    assert 10 < is_hit.sum() < 60
    np.testing.assert_allclose(np.asarray(hits.distance)[is_hit], expected[is_hit], rtol=1e-4)
    np.testing.assert_array_equal(np.asarray(hits.triangle)[is_hit], table.argmin(axis=1)[is_hit])
    assert (np.asarray(hits.distance)[~is_hit] == ray_triangles.NOWHERE).all()


def test_blocked_lights_are_those_of_a_plain_loop():
    triangles = random_triangles(12, 244, seed=2)
    random = np.random.default_rng(3)
    points = random.uniform(-1.5, 1.5, (40, 3))
    toward = random.normal(size=(3, 3))
    toward /= np.linalg.norm(toward, axis=1, keepdims=True)
    found = ray_triangles.find_blocked(
        jnp.asarray(points, jnp.float32), jnp.asarray(toward, jnp.float32), jnp.asarray(triangles, jnp.float32)
    )
    expected = [
        [any(np.isfinite(hit_distance(point, direction, one)) for one in triangles[:12]) for direction in toward]
        for point in points
    ]
    assert 5 < np.sum(expected) < 115
    np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("number", [1, 7])
def test_things_of_a_pair_stand_where_the_renderer_puts_them(number):
    pair = meanings.draw_pair("train", "guide", number)
    built = appearance.build_object(pair)
    shapes = placed_objects.kind_shapes()
    for prefix, placed in zip(("first-", "second-"), placed_objects.place_meaning(pair), strict=True):
        kind = meanings.KINDS.index(placed.spec.kind)
        corners = shapes.corners[shapes.starts[kind] : shapes.starts[kind + 1]]
        theirs = [part["mesh"].corners for name, part in built.items() if name.startswith(prefix)]
        np.testing.assert_allclose(placed.scale * corners + placed.shift, np.concatenate(theirs), atol=1e-5)
    assert {meanings.draw_pair("train", "guide", number).relation for number in (1, 7)} == {"on", "next to"}


def test_a_white_card_is_as_bright_as_its_environment():
    """Drawn lights together give the irradiance that a sum over all pixels of the environment gives."""
    environment = surfaces.environments("guide", 2)[1]
    rows = environment.shape[0]
    row, column = np.indices(environment.shape[:2])
    directions = np.asarray(surfaces.direction_of(jnp.asarray(row), jnp.asarray(column), rows))
    area = np.sin(np.pi * (row + 0.5) / rows) * (np.pi / rows) ** 2
    normal = np.asarray([0.3, 0.4, np.sqrt(0.75)])
    facing = np.maximum(directions @ normal, 0)
    exact = (environment * (facing * area)[..., None]).sum(axis=(0, 1))
    toward, added = surfaces.sample_lights(jnp.asarray(environment), (jnp.arange(4096) + 0.5) / 4096)
    found = (np.maximum(np.asarray(toward) @ normal, 0)[:, None] * np.asarray(added)).sum(axis=0)
    np.testing.assert_allclose(found, exact, rtol=0.02)
    looked = surfaces.look_up_radiance(jnp.asarray(environment), jnp.asarray(directions[10:12, 30], jnp.float32))
    np.testing.assert_allclose(looked, environment[10:12, 30], rtol=1e-3)


def test_tables_have_the_looks_of_the_world():
    look = surfaces.look_of("red", "checkered")
    np.testing.assert_allclose(look.texture[0, 0], appearance.linear(appearance.TONES["red"]), rtol=1e-6)
    assert len(np.unique(look.texture.reshape(-1, 3), axis=0)) == 2
    assert [surfaces.SURFACES[kind] for kind in surfaces.look_of("red", "metallic").surfaces[:1]] == ["roughconductor"]
    assert casting.program_size(1024) == 1024 and casting.program_size(10_848 + 44) == 16_384


def test_cast_pictures_are_like_path_traced_ones(monkeypatch):
    monkeypatch.setattr(casting, "AT_ONCE", 1)
    number = next(i for i in range(2000) if is_small(pictures.plan_picture("guide", i).meaning))
    images, shown = casting.cast_pictures("guide", [number], 24)
    spec = pictures.plan_picture("guide", number)
    assert shown == [spec.meaning]
    traced = pictures.render_meaning(
        spec.meaning, spec.pose[None], image_px=24, num_spp=64, family="guide", number=number, num_workers=1
    )
    opacity = np.abs(images[..., 3].astype(float) - traced[..., 3])
    assert opacity.mean() < 5
    both = (images[..., 3] > 250) & (traced[..., 3] > 250)
    assert both.sum() > 30
    difference = np.abs(images[both][:, :3].astype(float) - traced[both][:, :3])
    assert difference.mean() < 25


def is_small(meaning):
    """Tell whether a meaning is one thing of few triangles, matte: it takes seconds on a CPU."""
    return (
        isinstance(meaning, ObjectSpec)
        and meaning.kind in ("table", "house", "chair")
        and meaning.finish in ("matte", "striped")
    )


def test_pictures_trained_on_are_none_that_are_tested_on():
    from models.clip.pretraining import evaluate, picture_sets
    from models.clip.pretraining.recipes import RECIPES

    numbers = picture_sets.training_numbers(
        RECIPES["embedded-vit-8-attacked"].__class__(**{**vars(RECIPES["embedded-vit-8-attacked"]), "num_renders": 300})
    )
    assert 230 < len(numbers) < 270
    assert not evaluate.is_kept_for_testing(numbers).any()
    assert {pictures.plan_picture("guide", number).split for number in numbers} == {"train"}


def test_one_program_for_pictures_of_a_size():
    shapes = jax.eval_shape(
        lambda tables, batch: casting.cast_batch(tables, batch, 16, 1024),
        casting.build_tables("guide"),
        jax.tree.map(
            lambda leaf: np.stack([leaf, leaf]),
            casting.place_picture(
                placed_objects.place_meaning(ObjectSpec("cube", "red", "matte")), np.eye(4, dtype=np.float32), 3
            ),
        ),
    )
    assert shapes.shape == (2, 16, 16, 4) and shapes.dtype == np.uint8
