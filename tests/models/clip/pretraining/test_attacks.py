"""Attacks on pictures stay within their length and raise the loss; pictures without surface keep their shape."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from models.clip.pretraining import attacks, batches, recipes, shape_pictures, train
from tasks.closed_world import meanings as meanings_module
from tasks.closed_world.meanings import ObjectSpec


@pytest.fixture(scope="module")
def picture():
    """A disc with a red and a blue half."""
    rows, columns = np.mgrid[:32, :32]
    found = np.zeros((32, 32, 4), np.uint8)
    found[..., 0] = np.where(rows < 16, 200, 20)
    found[..., 2] = np.where(rows < 16, 20, 200)
    found[..., 3] = np.where(np.hypot(rows - 15.5, columns - 15.5) < 12, 255, 0)
    return jnp.asarray(found)


def test_an_attack_raises_the_loss_within_its_length():
    random = np.random.default_rng(0)
    direction = jnp.asarray(random.normal(size=(3, 8, 8, 3)), jnp.float32)
    pictures = jnp.asarray(random.uniform(0.3, 0.7, (3, 8, 8, 3)), jnp.float32)
    radius = jnp.asarray([0.0, 0.5, 1.0])
    changed = attacks.attack_pictures(lambda x: (x * direction).sum(), pictures, radius, 3)
    length = np.sqrt(((changed - pictures) ** 2).sum(axis=(1, 2, 3)))
    # The loss is linear: the best change is the direction itself, as long as is allowed.
    np.testing.assert_allclose(length, radius, atol=1e-5)
    gain = ((changed - pictures) * direction).sum(axis=(1, 2, 3))
    best = np.asarray(radius) * np.sqrt((np.asarray(direction) ** 2).sum(axis=(1, 2, 3)))
    np.testing.assert_allclose(gain, best, rtol=1e-3, atol=1e-4)


def test_an_attack_keeps_to_the_range_of_pixels():
    pictures = jnp.ones((1, 4, 4, 3))
    changed = attacks.attack_pictures(lambda x: x.sum(), pictures, jnp.asarray([5.0]), 2)
    np.testing.assert_array_equal(changed, pictures)


def test_a_hidden_surface_keeps_the_shape_and_no_color_of_its_own(picture):
    hidden = jax.jit(jax.vmap(lambda key: shape_pictures.hide_surface(key, picture)))
    seen = np.asarray(hidden(jax.random.split(jax.random.key(0), 32)))
    assert (seen[..., 3] == np.asarray(picture)[..., 3]).all()
    for one in seen.astype(np.float64):
        top = one[8, 16, :3]
        bottom = one[24, 16, :3]
        # Both halves have one hue: the one is a multiple of the other, within rounding.
        np.testing.assert_allclose(top * bottom.sum(), bottom * top.sum(), atol=0.02 * top.sum() * bottom.sum())
    assert len({tuple(one[8, 16, :3]) for one in seen}) > 16


def test_shuffled_tiles_hold_the_same_pixels(picture):
    seen = np.asarray(shape_pictures.shuffle_tiles(jax.random.key(1), picture))
    assert (seen != np.asarray(picture)).any()

    def sort(pixels):
        return sorted(map(tuple, np.asarray(pixels).reshape(-1, 4).tolist()))

    assert sort(seen) == sort(picture)


def test_a_warp_of_no_length_changes_nothing(picture, monkeypatch):
    monkeypatch.setattr(shape_pictures, "WARP_SHARE", 0.0)
    seen = np.asarray(shape_pictures.warp_smoothly(jax.random.key(1), picture))
    opaque = np.asarray(picture)[..., 3] == 255
    np.testing.assert_allclose(seen[opaque].astype(int), np.asarray(picture)[opaque].astype(int), atol=1)
    assert (seen[~opaque, 3] == 0).all()


def recipe_of(**changes):
    base = recipes.RECIPES["embedded-vit-8"]
    tower = recipes.vit(16, 16, 1, 2)
    return base.__class__(**{"image_tower": tower, "text_tower": base.text_tower, "batch_size": 64, **changes})


def test_a_batch_matches_pictures_without_surface_with_their_kind():
    things = [ObjectSpec("mug", "red", "matte"), ObjectSpec("mug", "blue", "matte"), ObjectSpec("ball", "red", "matte")]
    pair = meanings_module.ObjectPairSpec(things[0], "next to", things[2])
    pool = batches.build_training_set(np.full((4, 64, 64, 4), 255, np.uint8), [*things, pair])
    assert pool.kinds.tolist() == [4, 4, 5, -1]
    words = recipes.TOKENIZER.encode(["mug", "ball"])
    np.testing.assert_array_equal(np.asarray(pool.tokens)[[4, 5], 0], words)
    recipe = recipe_of(shape_share=0.5, broken_share=0.25)
    sample = functools.partial(batches.sample_batch, recipe)
    assert jax.eval_shape(sample, pool, jax.random.key(0)).images.shape == (80, 64, 64, 3)
    # Without its pictures, which take long to compile.
    batch = jax.jit(lambda pool, key: sample(pool, key)._replace(images=None))(pool, jax.random.key(0))
    labels = np.asarray(batch.labels)
    assert {4, 5} < set(labels.tolist()) and set(labels.tolist()) <= {0, 1, 2, 3, 4, 5}
    kind = np.asarray([4, 4, 5, -1, 4, 5])[labels]
    is_word = labels >= 4
    expected = (kind[:, None] == kind) & (kind >= 0) & (is_word[:, None] != is_word)
    np.testing.assert_array_equal(batch.is_ambiguous, expected)


def test_loss_leaves_ambiguous_pairs_out_and_counts_broken_pictures():
    random = np.random.default_rng(0)
    logits = random.normal(size=(4, 3))
    ambiguous = np.asarray([[False, True, False], [True, False, False], [False, False, False]])
    total = 0.0
    for i in range(3):
        kept = [j for j in range(3) if not ambiguous[i, j]]
        total += np.log(np.exp(logits[i, kept]).sum()) - logits[i, i]
        kept = [j for j in range(3) if not ambiguous[j, i]] + [3]
        total += np.log(np.exp(logits[kept, i]).sum()) - logits[i, i]
    found = train.contrastive_loss(jnp.asarray(logits, jnp.float32), jnp.arange(3), jnp.asarray(ambiguous))
    assert float(found) == pytest.approx(total / 6, rel=1e-5)


def test_a_step_with_every_change_compiles():
    recipe = recipe_of(attack_radius=1.0, attack_growth=0.5, shape_share=0.5, broken_share=0.25)
    pool = batches.build_training_set(np.zeros((2, 64, 64, 4), np.uint8), [ObjectSpec("mug", "red", "matte")] * 2)
    variables = jax.eval_shape(lambda key: train.dual_encoder.init(recipe.model, key), jax.random.key(0))
    state = train.EncoderTrainState(variables, jax.eval_shape(train.make_optimizer(recipe).init, variables["params"]))
    after, curve = jax.eval_shape(
        lambda x: train.train_encoder_step(recipe, jnp.bfloat16, x, pool, jax.random.key(0)), state
    )
    assert jax.tree.map(lambda x: (x.shape, x.dtype), after) == jax.tree.map(lambda x: (x.shape, x.dtype), state)
    assert curve.shape == (2,)
