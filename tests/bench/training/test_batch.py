"""The arrays of a pack: a row for each of its roots."""

import jax
import jax.numpy as jnp
import numpy as np

from bench.training import batch
from tests.fixtures.toy_packs import toy_pack
from tests.fixtures.toys import ToyMethod, ToyPhase, ToyTask


def test_a_row_for_each_root_in_order():
    pack = toy_pack(ToyPhase(), ToyPhase(extra_steps=4), ToyPhase(learning_rate=0.3), seeds=[3, 3, 4])
    static, loaded, scenes = batch.load_batch(pack)
    assert static == ToyPhase(num_steps=static.num_steps, num_rays=static.num_rays)  # no phase, no rate of its own
    assert len(scenes) == len(pack.roots) == 2
    np.testing.assert_allclose(loaded.hyperparameters["learning_rate"], [0.1, 0.3], rtol=1e-6)
    expected = jnp.stack([jax.random.key(3), jax.random.key(4)])
    np.testing.assert_array_equal(jax.random.key_data(loaded.keys), jax.random.key_data(expected))
    np.testing.assert_array_equal(loaded.data["colors"][1], pack.trials[2].task.load().train.colors)


def test_cameras_are_those_of_the_test_views_and_the_first_that_took_photographs():
    pack = toy_pack(ToyMethod(), task=ToyTask(num_views=12))
    _, loaded, [scene] = batch.load_batch(pack)
    np.testing.assert_array_equal(loaded.cameras.poses[0], scene.test.poses)
    np.testing.assert_array_equal(loaded.photographers.poses[0], scene.train.poses[: batch.NUM_NEAR_VIEWS])
    assert (loaded.cameras.near.tolist(), loaded.cameras.far.tolist()) == ([scene.near], [scene.far])


def test_stacking_and_indexing_undo_each_other():
    trees = [{"x": jnp.arange(3) + i, "y": (jnp.ones(()) * i,)} for i in range(4)]
    stacked = batch.stack_trials(trees)
    assert (stacked["x"].shape, stacked["y"][0].shape) == ((4, 3), (4,))
    for i, tree in enumerate(trees):
        jax.tree.map(np.testing.assert_array_equal, batch.index_trial(stacked, i), tree)


def test_keys_are_those_of_their_seeds():
    seeds = [0, 3, 2**31, 2**40 + 3]
    expected = [jax.random.key_data(jax.random.key(seed)) for seed in seeds]
    np.testing.assert_array_equal(jax.random.key_data(batch.make_keys(np.asarray(seeds))), expected)
