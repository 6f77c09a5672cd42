"""Runs where the extra clip-jax is installed: a small random model, saved and loaded through that package."""

import copy
import importlib.util
import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from bench.errors import UsageError
from models import clip
from models.clip.networks.dual_encoder import to_unit_length

for package in ("clip_jax", "einshape"):
    if importlib.util.find_spec(package) is None:
        pytest.skip("needs the extra clip-jax", allow_module_level=True)

# Warnings of the package and of what it imports, none of them about us.
pytestmark = [
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.filterwarnings("ignore::FutureWarning"),
    pytest.mark.filterwarnings("ignore:Sharding info not provided:UserWarning"),
]

COMMON = {
    "num_layers": 2, "use_rmsnorm": True, "ln_type": "normformer", "num_heads": 2, "mlp_dim": 48,
    "activations": ["gelu", "linear"],
}  # fmt: skip
CONFIG = {
    "text_config": {
        **COMMON, "vocab_size": 49408, "hidden_size": 24, "max_length": 16, "position_embedding_type": "rotary",
        "use_causal_mask": False, "eos_token_id": 49407, "pool_type": "eos", "is_decoder": False,
    },
    "vision_config": {
        **COMMON, "image_size": 32, "hidden_size": 32, "patch_size": 8, "position_embedding_type": "learnt",
        "position_embedding_shape": [4, 4], "use_causal_mask": False, "pool_type": "map", "registers": 2,
    },
    "projection_dim": 12, "logit_scale_init_value": 2.3, "logit_bias_init_value": -10.0, "dtype": "float32",
}  # fmt: skip


def saved(folder, config, step):
    """A random model, written as the package's training writes it."""
    import clip_jax
    import orbax.checkpoint
    from clip_jax.utils import unbox_logicallypartioned
    from flax.training import orbax_utils

    model = clip_jax.CLIPModel(**copy.deepcopy(config))
    with jax.numpy_rank_promotion("allow"):
        params = unbox_logicallypartioned(model.init_weights(jax.random.key(step))["params"])
    rng = np.random.default_rng(step)  # residual outputs start at zero, which would say nothing
    params = jax.tree.map(lambda x: x + 0.2 * rng.standard_normal(x.shape).astype(np.float32), params)
    state = {"params": params, "opt_state": {"count": jnp.zeros(3)}}
    options = orbax.checkpoint.CheckpointManagerOptions(enable_async_checkpointing=False)
    manager = orbax.checkpoint.CheckpointManager(str(folder), orbax.checkpoint.PyTreeCheckpointer(), options)
    manager.save(step, state, save_kwargs={"save_args": orbax_utils.save_args_from_target(state)})
    (folder / "config.json").write_text(json.dumps(config))
    return model, params


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    folder = tmp_path_factory.mktemp("clip-jax")
    saved(folder, CONFIG, 7)
    return folder, *saved(folder, CONFIG, 12)


def test_says_what_the_package_says(checkpoint):
    folder, model, params = checkpoint
    encoder = clip.load(f"clip-jax:{folder}")
    assert (encoder.image_px, encoder.context_length, encoder.known_words) == (32, 16, None)
    images = jax.random.uniform(jax.random.key(1), (2, 32, 32, 3))
    tokens = encoder.tokenize(["a diagram", "a dog on a chair"])
    with jax.numpy_rank_promotion("allow"):
        want = model.apply(
            {"params": params},
            input_ids=jnp.asarray(tokens),
            pixel_values=2 * images - 1,
            attention_mask=jnp.asarray(tokens > 0, jnp.int32),
            position_ids=jnp.broadcast_to(jnp.arange(16)[None], (2, 16)),
        )
    seen, read = encoder.image_features(encoder.params, images), encoder.text_features(encoder.params, tokens)
    np.testing.assert_allclose(to_unit_length(seen), want["image_embeds"], atol=1e-5)
    np.testing.assert_allclose(to_unit_length(read), want["text_embeds"], atol=1e-5)
    np.testing.assert_allclose(encoder.logits(encoder.params, seen, read), want["logits_per_image"], atol=1e-4)
    pooled = encoder.image_features(encoder.params, images, "pooled")
    np.testing.assert_allclose(pooled, want["vision_model_output"]["pooled_output"], atol=1e-5)
    spatial = encoder.image_features(encoder.params, images, "spatial")
    assert spatial.shape == (2, 16 * 32)
    gradient = jax.jit(jax.grad(lambda x: encoder.image_features(encoder.params, x).sum()))(images)
    assert bool(jnp.isfinite(gradient).all()) and float(jnp.abs(gradient).max()) > 0


def test_the_latest_step_or_the_one_named(checkpoint):
    folder, _, _ = checkpoint
    latest, named, older = (clip.load(f"clip-jax:{folder}{step}") for step in ("", "/12", "/7"))
    assert latest.sha256 == named.sha256 != older.sha256


def test_compute_type(checkpoint):
    folder, _, _ = checkpoint
    fine, coarse = clip.load(f"clip-jax:{folder}"), clip.load(f"clip-jax:{folder}", dtype=jnp.bfloat16)
    images = jax.random.uniform(jax.random.key(1), (1, 32, 32, 3))
    a, b = (e.image_features(e.params, images) for e in (fine, coarse))
    assert b.dtype == jnp.float32 and 1e-4 < float(jnp.abs(a - b).max() / jnp.abs(a).max()) < 0.1


def test_a_captioning_model_only_sees(tmp_path):
    text = {**CONFIG["text_config"], "is_decoder": True, "pool_type": None, "use_causal_mask": True, "mask_token_id": 4}
    config = {**CONFIG, "text_config": text, "vision_config": {**CONFIG["vision_config"], "pool_type": None}}
    saved(tmp_path, config, 1)
    encoder = clip.load(f"clip-jax:{tmp_path}")
    assert encoder.towers.image_feature_names == ("spatial",) and encoder.tokenizer is None
    assert encoder.image_features(encoder.params, jnp.zeros((1, 32, 32, 3)), "spatial").shape == (1, 512)
    with pytest.raises(UsageError, match="this one only sees"):
        encoder.text_features(encoder.params, np.zeros((1, 16), np.int32))


def test_messages(checkpoint, tmp_path):
    folder, _, _ = checkpoint
    with pytest.raises(UsageError, match="folder of clip-jax.*without a folder of a step"):
        clip.load(f"clip-jax:{tmp_path}")
    other = json.loads((folder / "config.json").read_text())
    other["vision_config"]["hidden_size"] = 64
    whole = (folder / "config.json").read_text()
    (folder / "config.json").write_text(json.dumps(other))
    with pytest.raises(UsageError, match=r"params/vision.* of shape .*got shape .*config.json"):
        clip.load(f"clip-jax:{folder}")
    (folder / "config.json").unlink()
    with pytest.raises(UsageError, match="without a config.json"):
        clip.load(f"clip-jax:{folder}")
    (folder / "config.json").write_text(whole)
