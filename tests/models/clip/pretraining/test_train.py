"""Pretraining: its loss against a plain twin, what it sees, and a run so small that it fits in a test."""

import dataclasses
import json

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from bench.errors import UsageError
from models.clip import loading
from models.clip.checkpoints import catalog, files
from models.clip.pretraining import batches, evaluate, model_cards, recipes
from models.clip.pretraining import train as train_module
from models.clip.pretraining.recipes import RECIPES, TOKENIZER
from tasks.closed_world import grammar
from tasks.closed_world import meanings as meanings_module
from tasks.closed_world.meanings import ObjectSpec

MEANINGS = (
    ObjectSpec("mug", "red", "matte"),
    ObjectSpec("cube", "blue", "striped"),
    ObjectSpec("ball", "green", "glossy"),
)


@pytest.fixture(scope="module")
def images():
    """A picture a meaning: a square of its colour."""
    colors = {"red": (200, 30, 30), "blue": (30, 30, 200), "green": (30, 200, 30)}
    found = np.zeros((3, 64, 64, 4), np.uint8)
    for image, meaning in zip(found, MEANINGS, strict=True):
        image[16:48, 16:48] = (*colors[meaning.color], 255)
    return found


def tiny(**changes):
    return dataclasses.replace(
        RECIPES["embedded-vit-8"],
        image_tower=dataclasses.replace(recipes.vit(16, 32, 1, 2), embedding_dim=16),
        text_tower=recipes.text_tower(16, 1, 2, 16),
        **{"num_steps": 60, "batch_size": 12, "learning_rate": 3e-3, **changes},
    )


def test_loss_shares_the_captions_of_equal_meanings():
    logits = np.random.default_rng(0).normal(size=(4, 4))
    meanings = [7, 3, 7, 1]
    total = 0.0
    for table in (logits, logits.T):
        for i in range(4):
            own = [j for j in range(4) if meanings[j] == meanings[i]]
            chances = np.exp(table[i]) / np.exp(table[i]).sum()
            total -= sum(np.log(chances[j]) for j in own) / len(own) / 4 / 2
    found = train_module.contrastive_loss(jnp.asarray(logits, jnp.float32), jnp.asarray(meanings))
    assert float(found) == pytest.approx(total, rel=1e-5)


def test_pool_holds_every_paraphrase(images):
    pool = batches.build_training_set(images[[0, 1, 0]], [MEANINGS[0], MEANINGS[1], MEANINGS[0]])
    assert pool.meanings.tolist() == [0, 1, 0]
    np.testing.assert_array_equal(np.asarray(pool.tokens)[2:, 0], TOKENIZER.encode(["mug", "cube"]))
    for row, meaning in zip(np.asarray(pool.tokens)[:2], MEANINGS[:2], strict=True):
        said = TOKENIZER.encode(grammar.paraphrases(meaning))
        assert {tuple(t) for t in row.tolist()} == {tuple(t) for t in said.tolist()}
        np.testing.assert_array_equal(row[0], TOKENIZER.encode([grammar.caption(meaning)])[0])


def test_a_pool_of_kinds_names_no_color_and_has_no_pairs(images):
    pair = meanings_module.ObjectPairSpec(MEANINGS[0], "next to", MEANINGS[1])
    pool = batches.build_training_set(images, [MEANINGS[0], pair, MEANINGS[2]], "kinds")
    np.testing.assert_array_equal(np.asarray(pool.images), images[[0, 2]])
    np.testing.assert_array_equal(np.asarray(pool.tokens)[:, 0], TOKENIZER.encode(["mug", "ball"]))


def test_accuracy_by_kind_is_the_best_word(images):
    encoder = loading.load("embedded-vit-8-labels")
    words = sorted(meanings_module.KINDS)
    seen, read = (
        np.asarray(x, np.float64)
        for x in (
            jax.jit(encoder.image_features)(encoder.params, evaluate.composite_on_grey(images)),
            jax.jit(encoder.text_features)(encoder.params, encoder.tokenize(words)),
        )
    )
    right = 0
    for row, meaning in zip(seen, MEANINGS, strict=True):
        cosines = [row @ word / np.linalg.norm(row) / np.linalg.norm(word) for word in read]
        right += words[int(np.argmax(cosines))] == meaning.kind
    found = evaluate.measure_kind_accuracy(encoder, images, MEANINGS)["kind"]
    assert (found["mean"], found["num_pictures"]) == (pytest.approx(right / 3, abs=1e-3), 3)


def test_a_card_says_how_a_recipe_was_changed():
    changed = dataclasses.replace(RECIPES["embedded-rn"], num_steps=7, batch_size=8)
    assert recipes.changed_options("embedded-rn", changed) == " --num-steps 7 --batch-size 8"
    assert recipes.changed_options("embedded-rn", RECIPES["embedded-rn"]) == ""


def test_what_a_step_sees_keeps_the_color(images):
    look = jax.jit(jax.vmap(lambda key: batches.augment_picture(key, jnp.asarray(images[0]))))
    seen = np.asarray(look(jax.random.split(jax.random.key(0), 64)))
    assert seen.min() >= 0 and seen.max() <= 1
    middle = seen[:, 28:36, 28:36].mean(axis=(0, 1, 2))
    assert middle[0] > middle[1] + 0.2 and middle[0] > middle[2] + 0.2
    assert seen[:, 2, 2].std(axis=0).min() > 0.1  # the backgrounds differ


def test_learning_rate_is_that_of_optax():
    recipe = tiny(num_steps=400)
    theirs = optax.warmup_cosine_decay_schedule(0.0, recipe.learning_rate, 20, 400)
    for step in (0, 7, 20, 133, 399, 400):
        assert float(train_module.learning_rate_at(recipe, step, 400)) == pytest.approx(float(theirs(step)), abs=1e-9)


@pytest.mark.slow
def test_takes_no_longer_than_it_may(images):
    pool = batches.build_training_set(images, MEANINGS)
    assert train_module.fit(tiny(num_steps=200), pool, show=False, most_s=0.0).num_steps == train_module.CHUNK


@pytest.mark.slow
def test_learns_three_things(images):
    recipe = tiny()
    variables = train_module.fit(recipe, batches.build_training_set(images, MEANINGS), show=False).variables
    checkpoint = files.Checkpoint(
        model=recipe.model, variables=variables, tokenizer=TOKENIZER, mean=recipes.MEAN, std=recipes.STD
    )
    found = evaluate.measure_accuracy(checkpoint, images, MEANINGS)
    assert found["zero_shot"]["mean"] == 1.0
    assert found["retrieval_64"] == {
        "mean": 1.0, "low": 1.0, "high": 1.0, "num_pictures": 3, "num_meanings": 3, "num_captions": 3
    }  # fmt: skip


def test_no_weak_types_that_would_compile_again(images):
    recipe = tiny()
    pool = batches.build_training_set(images, MEANINGS)
    variables = jax.eval_shape(lambda key: train_module.dual_encoder.init(recipe.model, key), jax.random.key(0))
    train = train_module.EncoderTrainState(
        variables, jax.eval_shape(train_module.make_optimizer(recipe).init, variables["params"])
    )
    after, _ = jax.eval_shape(
        lambda t: train_module.train_encoder_step(recipe, jnp.bfloat16, t, pool, jax.random.key(0)), train
    )
    assert jax.tree.map(lambda x: (x.shape, x.dtype), after) == jax.tree.map(lambda x: (x.shape, x.dtype), train)


def test_retrieval_counts_how_often_the_own_caption_is_best():
    cosines = np.asarray([[0.9, 0.1, 0.5], [0.2, 0.1, 0.3]])
    # The first picture's own caption beats both others; the second's loses to both.
    np.testing.assert_array_equal(evaluate.retrieval(cosines, np.asarray([0, 1])), [1.0, 0.0])


def test_retrieval_is_the_mean_over_random_sets_of_64():
    random = np.random.default_rng(0)
    cosines = random.normal(size=(6, 80))
    cosines[:, 3] = np.linspace(2.2, 3.4, 6)
    own = np.full(6, 3)
    found = evaluate.retrieval(cosines, own)
    others = np.asarray([random.permutation(np.delete(np.arange(80), 3))[:63] for _ in range(4000)])
    drawn = np.asarray([(row[3] > row[others].max(axis=1)).mean() for row in cosines])
    np.testing.assert_allclose(found, drawn, atol=0.03)
    assert 0.02 < found.mean() < 0.98


def test_held_out_meanings_are_not_trained_on():
    """Neither a fixed tenth of the combinations, nor what the embedded scenes show."""
    held_out = set(meanings_module.things("held_out"))
    assert {thing for shown in meanings_module.SHOWN_IN_SCENES.values() for thing in shown} <= held_out
    kept = evaluate.is_kept_for_testing(range(2000))
    assert 0.02 < kept.mean() < 0.04 and (kept == evaluate.is_kept_for_testing(range(2000))).all()


def test_judges_differ_from_guides_in_all_that_is_said():
    for name, recipe in RECIPES.items():
        assert (recipe.family == "judge") == ("judge" in name)
    assert all(RECIPES[name].family == "judge" for name in catalog.JUDGES)
    assert len({recipe.seed for recipe in RECIPES.values()}) == len(RECIPES)


@pytest.mark.parametrize("name", catalog.EMBEDDED)
def test_embedded_encoders_load_and_have_cards(name):
    encoder = loading.load(name)
    assert encoder.sha256 == catalog.EMBEDDED[name]
    said = model_cards.model_card(name)
    assert said["command"] == f"python -m models.clip.pretraining.train {name}"
    metric = "kind" if RECIPES[name].says == "kinds" else "retrieval_64"
    assert said["accuracy"]["held-out combinations"][metric]["mean"] > 0.95
    assert name in (catalog.EMBEDDED_FOLDER / "README.md").read_text()


def test_embedded_encoders_are_small_and_their_page_is_theirs():
    sizes = [(catalog.EMBEDDED_FOLDER / f"{name}.safetensors").stat().st_size for name in catalog.EMBEDDED]
    assert max(sizes) <= 12 * 2**20
    assert sum(sizes) <= 45 * 2**20
    assert (catalog.EMBEDDED_FOLDER / "README.md").read_text() == model_cards.markdown()


def test_cards_are_plain_values():
    for name in catalog.EMBEDDED:
        assert json.loads(json.dumps(model_cards.model_card(name))) == model_cards.model_card(name)


def test_unknown_name(capsys):
    assert train_module.main(["embedded-vit-9"]) == 2
    assert "pretrain: expected an embedded encoder, got 'embedded-vit-9'" in capsys.readouterr().err


def test_refuses_too_few_renders(monkeypatch, tmp_path):
    monkeypatch.setenv("BENCH_DATA_DIR", str(tmp_path))
    with pytest.raises(UsageError, match="expected num_renders of at least 20, got 3"):
        train_module.pretrain_encoder("embedded-vit-8", tiny(num_renders=3), tmp_path, show=False)
