"""The parts of an encoder: equal if and only if the encoder gives the same features."""

import json
import pathlib

import numpy as np
import pytest
import safetensors.numpy

from bench.errors import UsageError
from models import clip
from models.clip.checkpoints import catalog, hub, layouts
from models.clip.checkpoints import files as files_module
from models.clip.checkpoints.encoder_parts import encoder_parts
from models.clip.checkpoints.files import Checkpoint
from models.clip.networks import architectures
from models.clip.tokenizers import ClipTokenizer, WordTokenizer
from tests.fixtures import clip_checkpoints, clip_twins

HALF = {"image_mean": [0.5, 0.5, 0.5], "image_std": [0.5, 0.5, 0.5]}


@pytest.fixture(autouse=True)
def no_numbers(monkeypatch):
    """No tensor is read."""

    def refuse(*_):
        raise AssertionError("a tensor was read")

    monkeypatch.setattr(layouts, "to_variables", refuse)


def parts_of(path, **files):
    return encoder_parts(f"hf:{clip_checkpoints.folder(path, **files)}")


def test_a_folder_of_transformers(tmp_path):
    parts = parts_of(tmp_path / "m")
    path = tmp_path / "m" / "model.safetensors"
    assert parts["sha256"] == parts["weights"]["model.safetensors"] == hub.remembered_sha256(path)
    assert parts["image_px"] == 16 and parts["tokenizer"] is parts["tokenizer_sha256"] is None
    assert json.loads(json.dumps(parts)) == parts
    assert parts == parts_of(tmp_path / "copy")


@pytest.mark.parametrize(
    ("key", "files"),
    [
        ("mean", {"preprocessor_config": {"image_mean": [0.5, 0.5, 0.5]}}),
        ("std", {"processor_config": {"image_processor": {"image_std": [0.5, 0.5, 0.5]}}}),
        ("sha256", {"seed": 1}),
        (
            "architecture",
            {"config": {**clip_checkpoints.CONFIG, "text_config": {
                **clip_checkpoints.CONFIG["text_config"], "hidden_act": "gelu"}}},
        ),
    ],
)  # fmt: skip
def test_what_changes_features_changes_a_part(tmp_path, key, files):
    first = parts_of(tmp_path / "first")
    other = parts_of(tmp_path / "other", **files)
    assert {name for name in first if first[name] != other[name]} - {"weights"} == {key}


def test_all_shards_are_parts(tmp_path):
    path = clip_checkpoints.split(clip_checkpoints.folder(tmp_path / "m"))
    parts = encoder_parts(f"hf:{path}")
    assert parts["weights"] == {shard.name: hub.remembered_sha256(shard) for shard in path.glob("*.safetensors")}
    shard = path / "model-00002-of-00003.safetensors"
    values = {name: value + 1 for name, value in safetensors.numpy.load_file(shard).items()}
    safetensors.numpy.save_file(values, shard)
    assert encoder_parts(f"hf:{path}")["sha256"] != parts["sha256"]
    shard.unlink()
    with pytest.raises(UsageError, match="got no model-00002-of-00003.safetensors"):
        encoder_parts(f"hf:{path}")


def test_a_file_of_ours(tmp_path):
    model, path = clip_twins.small(), tmp_path / "small.safetensors"
    made = {"model": model, "variables": clip_twins.variables(model), "mean": (0.1, 0.2, 0.3), "std": (1.0, 1.0, 2.0)}
    files_module.write(path, Checkpoint(tokenizer=WordTokenizer(words=("a", "cup"), context_length=6), **made))
    parts = encoder_parts(f"file:{path}")
    assert (parts["mean"], parts["std"]) == ([0.1, 0.2, 0.3], [1.0, 1.0, 2.0])
    assert parts["tokenizer"] == {"type": "words", "context_length": 6, "words": ["a", "cup"]}
    files_module.write(path, Checkpoint(tokenizer=WordTokenizer(words=("cup", "a"), context_length=6), **made))
    assert encoder_parts(f"file:{path}")["tokenizer_sha256"] != parts["tokenizer_sha256"]
    with pytest.raises(UsageError, match="expected a file .*none.safetensors, got none"):
        encoder_parts(f"file:{tmp_path / 'none.safetensors'}")


@pytest.mark.parametrize("name", [*catalog.EMBEDDED, "openai-vit-b-32", "openai-rn101"])
def test_a_name_of_the_catalog_has_what_its_encoder_has(name):
    parts = encoder_parts(name)
    encoder = clip.abstract(name)
    assert parts["sha256"] == catalog.weights_fingerprint(name)
    assert (tuple(parts["mean"]), tuple(parts["std"])) == (encoder.mean, encoder.std)
    assert parts["image_px"] == encoder.image_px
    assert parts["tokenizer"] == files_module.tokenizer_to_json(encoder.tokenizer)
    assert parts["architecture"] == architectures.to_json(encoder.towers.model)


def test_the_nonlinearity_of_open_clips_file_is_a_part(tmp_path):
    path = tmp_path / "weights.safetensors"
    safetensors.numpy.save_file({"logit_scale": np.zeros((), np.float32)}, path)
    exact, quick = (encoder_parts(f"open_clip:ViT-B-32{ending}/{path}") for ending in ("", "-quickgelu"))
    assert {key for key in exact if exact[key] != quick[key]} == {"architecture"}
    assert exact["tokenizer"] == files_module.tokenizer_to_json(ClipTokenizer())
    clip_checkpoints.write(tmp_path / "open_clip_config.json", {"preprocess_cfg": {"mean": 0.5}})
    assert encoder_parts(f"open_clip:ViT-B-32/{path}")["mean"] == [0.5, 0.5, 0.5]


def test_openais_file_that_is_pinned_needs_no_torch(tmp_path, monkeypatch):
    path = tmp_path / "RN50.pt"
    path.write_bytes(b"stands for it")
    monkeypatch.setitem(__import__("sys").modules, "torch", None)
    with pytest.raises(UsageError, match="expected the package torch"):
        encoder_parts(f"openai:{path}")
    pinned = catalog.ENTRIES["openai-rn50"].openai_sha256
    monkeypatch.setattr(hub, "remembered_sha256", lambda _: pinned)
    parts = encoder_parts(f"openai:{path}")
    assert parts["sha256"] == pinned
    assert parts["architecture"] == architectures.to_json(architectures.build("RN50-quickgelu"))


def test_a_folder_of_clip_jax_needs_not_its_package(tmp_path):
    step = tmp_path / "7" / "default"
    step.mkdir(parents=True)
    (step / "tensor").write_bytes(b"1")
    text = {"is_decoder": False, "max_length": 77, "vocab_size": 49408, "eos_token_id": 49407}
    config = {"vision_config": {"image_size": 32}, "text_config": text}
    clip_checkpoints.write(tmp_path / "config.json", config)
    parts = encoder_parts(f"clip-jax:{tmp_path}")
    assert (parts["mean"], parts["image_px"], parts["architecture"]) == ([0.5, 0.5, 0.5], 32, config)
    assert list(parts["weights"]) == [str(pathlib.Path("default", "tensor"))]
    assert parts["tokenizer"] == {"type": "clip", "context_length": 77}
    (step / "tensor").write_bytes(b"2")
    assert encoder_parts(f"clip-jax:{tmp_path}")["sha256"] != parts["sha256"]


@pytest.mark.parametrize("name", ["openai-vit-b-23", "nothing:x", "clip", "hf:clip", "open_clip:ViT-B-32"])
def test_names_that_are_none_are_refused_as_in_loading(name):
    with pytest.raises(UsageError) as raised:
        encoder_parts(name)
    with pytest.raises(UsageError) as loaded:
        clip.load(name)
    assert str(raised.value) == str(loaded.value)
