import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from bench.errors import UsageError
from models.clip.encoder import Encoder, LinenTowers
from models.clip.networks import dual_encoder
from models.clip.networks.dual_encoder import DualEncoder
from models.clip.networks.transformer import activate
from models.clip.tokenizers import WordTokenizer
from tests.fixtures import clip_twins

RNG = np.random.default_rng(3)
IMAGES = RNG.standard_normal((2, 16, 16, 3)).astype(np.float32)
TOKENS = np.array([[1, 7, 9, 2, 0, 0], [1, 5, 2, 2, 19, 3], [1, 4, 5, 6, 7, 2]], np.int32)


def run(module, variables, x, **options):
    """A module's answer, compiled: one operation at a time takes many times as long."""
    return jax.jit(lambda variables, x: module.apply(variables, x, **options))(variables, jnp.asarray(x))


def features(encoder, images, feature="embedding"):
    return jax.jit(lambda params, x: encoder.image_features(params, x, feature))(encoder.params, images)


def encoder(tower="vit", dtype=jnp.float32, **changes):
    model = clip_twins.small(tower)
    return Encoder(
        name="small",
        params=jax.tree.map(jnp.asarray, clip_twins.variables(model)),
        towers=LinenTowers(dual_encoder.with_dtype(model, dtype)),
        tokenizer=WordTokenizer(words=("red", "cup"), context_length=6),
        sha256="0" * 64,
        **changes,
    )


@pytest.mark.parametrize("activation", ["quick_gelu", "gelu"])
def test_vit_equals_its_slow_twin(activation):
    tower = dataclasses.replace(clip_twins.VIT, activation=activation)
    variables = clip_twins.variables(DualEncoder(image_tower=tower))
    got = run(tower, {"params": variables["params"]["image_tower"]}, IMAGES, feature=None)
    for i in range(2):
        want = clip_twins.vit(tower, variables["params"]["image_tower"], IMAGES[i])
        assert set(want) == set(got) == set(tower.features)
        for name, value in want.items():
            np.testing.assert_allclose(got[name][i], value, atol=2e-5, err_msg=name)


def test_resnet_equals_its_slow_twin():
    variables = clip_twins.variables(clip_twins.small("resnet"))
    params, stats = variables["params"]["image_tower"], variables["batch_stats"]["image_tower"]
    got = run(clip_twins.RESNET, {"params": params, "batch_stats": stats}, IMAGES, feature=None)
    for i in range(2):
        want = clip_twins.resnet(clip_twins.RESNET, params, stats, IMAGES[i])
        assert set(want) == set(got) == set(clip_twins.RESNET.features)
        for name, value in want.items():
            np.testing.assert_allclose(got[name][i], value, atol=2e-5, err_msg=name)


def test_text_equals_its_slow_twin():
    variables = clip_twins.variables(clip_twins.small())["params"]["text_tower"]
    got = run(clip_twins.TEXT, {"params": variables}, TOKENS, feature=None)
    for i in range(3):
        want = clip_twins.text(clip_twins.TEXT, variables, TOKENS[i])
        assert set(want) == set(got) == set(clip_twins.TEXT.features)
        for name, value in want.items():
            np.testing.assert_allclose(got[name][i], value, atol=2e-5, err_msg=name)


def test_largest_id_ends_a_text_in_clips_own_vocabulary():
    named, largest = clip_twins.TEXT, dataclasses.replace(clip_twins.TEXT, end_of_text=None)
    params = {"params": clip_twins.variables(clip_twins.small())["params"]["text_tower"]}
    tokens = np.array([[1, 7, 2, 0, 0, 0]])
    ended = np.where(tokens == 2, 19, tokens)  # 19 is the largest id of this vocabulary
    moved = jax.tree.map(lambda x: x, params)
    table = moved["params"]["tokens"]["embedding"].copy()
    table[19] = table[2]
    moved["params"]["tokens"] = {"embedding": table}
    np.testing.assert_allclose(run(named, params, tokens), run(largest, moved, ended), atol=1e-6)


def test_what_follows_the_end_of_a_text_does_not_matter():
    params = {"params": clip_twins.variables(clip_twins.small())["params"]["text_tower"]}
    padded, busy = np.array([[1, 7, 9, 2, 0, 0]]), np.array([[1, 7, 9, 2, 13, 8]])
    np.testing.assert_array_equal(run(clip_twins.TEXT, params, padded), run(clip_twins.TEXT, params, busy))


@pytest.mark.parametrize("tower", ["vit", "resnet"])
def test_gradient_with_respect_to_the_image_is_that_of_the_twin(tower):
    model = clip_twins.small(tower)
    variables = clip_twins.variables(model)
    direction, weight = RNG.standard_normal(IMAGES[:1].shape), RNG.standard_normal(5)

    def twin(image):
        params = variables["params"]["image_tower"]
        if tower == "vit":
            return clip_twins.vit(model.image_tower, params, image)["embedding"] @ weight
        return (
            clip_twins.resnet(model.image_tower, params, variables["batch_stats"]["image_tower"], image)["embedding"]
            @ weight
        )

    def ours(image):
        return (model.apply(variables, image, method="image") * weight[None].astype(np.float32)).sum()

    step = 1e-5
    image = IMAGES[:1].astype(np.float64)
    want = (twin((image + step * direction)[0]) - twin((image - step * direction)[0])) / (2 * step)
    got = float((jax.jit(jax.grad(ours))(jnp.asarray(IMAGES[:1])) * direction).sum())
    assert abs(want) > 1e-2
    assert got == pytest.approx(want, rel=1e-3)


def test_quick_gelu_is_not_gelu():
    # Hendrycks and Gimpel 2016: GELU(1) = Phi(1) = 0.8413; x sigmoid(1.702 x) at 1 = 0.8458.
    x = jnp.ones(())
    assert float(activate(x, "gelu")) == pytest.approx(0.841345, abs=1e-5)
    assert float(activate(x, "quick_gelu")) == pytest.approx(0.845796, abs=1e-5)


def test_features_take_any_leading_axes_and_are_normalised_inside():
    small = encoder(mean=(0.1, 0.2, 0.3), std=(0.5, 0.6, 0.7))
    images = jnp.asarray(RNG.random((2, 3, 16, 16, 3), np.float32))
    got = features(small, images, "class_token")
    pixels = (images - np.float32(small.mean).reshape(1, 1, 1, 1, 3)) / np.float32(small.std).reshape(1, 1, 1, 1, 3)
    want = run(small.towers.model, small.params, pixels[1, 2][None], feature="class_token", method="image")[0]
    assert got.shape == (2, 3, 12)
    np.testing.assert_allclose(got[1, 2], want, atol=1e-5)
    traced = jax.eval_shape(small.text_features, small.params, jnp.asarray(TOKENS.reshape(1, 3, 6)))
    assert traced.shape == (1, 3, 5)


@pytest.mark.parametrize("tower", ["vit", "resnet"])
def test_bfloat16_computes_in_it_but_keeps_float32_at_both_ends(tower):
    fine, coarse = encoder(tower), encoder(tower, jnp.bfloat16)
    images = jnp.asarray(RNG.random((2, 16, 16, 3), np.float32))
    a, b = (features(e, images) for e in (fine, coarse))
    assert a.dtype == b.dtype == jnp.float32
    assert {leaf.dtype for leaf in jax.tree.leaves(coarse.params)} == {jnp.dtype("float32")}
    difference = float(jnp.abs(a - b).max() / jnp.abs(a).max())
    assert 1e-5 < difference < 0.05
    products = str(jax.make_jaxpr(lambda x: coarse.image_features(coarse.params, x))(images))
    assert "bf16" in products
    traced = str(jax.make_jaxpr(lambda x: coarse.text_features(coarse.params, x))(jnp.asarray(TOKENS)))
    assert "bf16" in traced


def test_layers_after_a_feature_are_not_run():
    small = encoder()
    images = jnp.zeros((1, 16, 16, 3))

    def num_products(feature):
        traced = jax.make_jaxpr(lambda x: small.image_features(small.params, x, feature))(images)
        return str(traced).count("dot_general")

    counts = [num_products(feature) for feature in ("block_0", "block_1", "class_token", "embedding")]
    assert counts == sorted(set(counts))


def test_an_encoder_is_an_argument_of_a_compiled_function():
    small = encoder()
    num_traces = 0

    @jax.jit
    def seen(encoder, images):
        nonlocal num_traces
        num_traces += 1
        return encoder.image_features(encoder.params, images)

    images = jnp.zeros((1, 16, 16, 3))
    other = dataclasses.replace(small, params=jax.tree.map(lambda x: 2 * x, small.params))
    assert not np.allclose(seen(small, images), seen(other, images))
    assert num_traces == 1
    assert len(jax.tree.leaves(small)) == len(jax.tree.leaves(small.params))


def test_logits_are_scaled_cosines():
    small = encoder()
    seen, read = RNG.standard_normal((2, 5)).astype(np.float32), RNG.standard_normal((3, 5)).astype(np.float32)
    scale = np.exp(small.params["params"]["logit_scale"])
    want = [[scale * (a @ b) / np.linalg.norm(a) / np.linalg.norm(b) for b in read] for a in seen]
    np.testing.assert_allclose(small.logits(small.params, jnp.asarray(seen), jnp.asarray(read)), want, rtol=1e-5)
    images = jnp.asarray(RNG.random((2, 16, 16, 3), np.float32))
    pixels = (images - np.float32(small.mean).reshape(1, 1, 1, 3)) / np.float32(small.std).reshape(1, 1, 1, 3)
    want = jax.jit(small.towers.model.apply)(small.params, pixels, jnp.asarray(TOKENS))

    @jax.jit
    def logits(params):
        return small.logits(params, small.image_features(params, images), small.text_features(params, TOKENS))

    np.testing.assert_allclose(logits(small.params), want, rtol=1e-4)


def test_an_encoder_that_never_saw_text():
    model = DualEncoder(image_tower=clip_twins.VIT)
    params = clip_twins.variables(model)
    blind = Encoder(name="control", params=params, towers=LinenTowers(model), tokenizer=None, sha256="")
    assert blind.context_length == 0 and blind.known_words == frozenset()
    with pytest.raises(UsageError, match="control: .*this one only sees"):
        blind.tokenize(["a cup"])
    with pytest.raises(UsageError, match="control: expected an encoder that reads text"):
        blind.text_features(params, TOKENS)


def test_messages_about_images_features_and_tokens():
    small = encoder()
    with pytest.raises(UsageError, match=r"16 x 16 px, got 20 x 12.*preprocess.resize"):
        small.image_features(small.params, jnp.zeros((1, 12, 20, 3)))
    with pytest.raises(UsageError, match="image tower, got 'classtoken'; the nearest is"):
        small.image_features(small.params, jnp.zeros((1, 16, 16, 3)), "classtoken")
    with pytest.raises(UsageError, match="text tower, got 'spatial'"):
        small.text_features(small.params, TOKENS, "spatial")
    with pytest.raises(UsageError, match="6 tokens a text, got 4"):
        small.text_features(small.params, TOKENS[:, :4])


def test_running_statistics_move_in_training_only():
    model = clip_twins.small("resnet")
    variables = clip_twins.variables(model)
    said, moved = run(model, variables, IMAGES, method="image", train=True, mutable=["batch_stats"])
    before, after = (dual_encoder.flatten(v["batch_stats"]) for v in (variables, moved))
    assert all(not np.allclose(before[path], after[path]) for path in before)
    assert not np.allclose(said, run(model, variables, IMAGES, method="image"))


def test_modules_are_their_own_configuration():
    assert clip_twins.small() == clip_twins.small() and hash(clip_twins.small()) == hash(clip_twins.small())
    assert dual_encoder.with_dtype(clip_twins.small(), jnp.bfloat16) != clip_twins.small()
    assert dual_encoder.unflatten(dual_encoder.flatten({"a": {"b": 1}, "c": 2})) == {"a": {"b": 1}, "c": 2}
