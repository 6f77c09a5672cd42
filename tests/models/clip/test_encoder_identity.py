"""An encoder is another one with other weights, pixels or tokens, and the same one at another place."""

import dataclasses
import shutil

import pytest

from models.clip.checkpoints import catalog, files
from models.clip.identity import encoder_identity, weights_of
from models.clip.tokenizers import WordTokenizer


@pytest.fixture
def checkpoint():
    found = files.read_checkpoint(catalog.EMBEDDED_FOLDER / "embedded-vit-8.safetensors", "embedded-vit-8")
    return dataclasses.replace(found, card={})


def identity(folder, name, checkpoint):
    files.write(folder / f"{name}.safetensors", checkpoint)
    return encoder_identity(f"file:{folder / name}.safetensors")


def test_every_name_of_the_catalog_has_one_of_its_own():
    names = [*catalog.EMBEDDED, *catalog.ENTRIES]
    found = {name: encoder_identity(name) for name in names}
    assert len({str(each) for each in found.values()}) == len(names)
    assert all(found[name]["weights"] == catalog.weights_fingerprint(name) for name in names)
    assert found["embedded-vit-8"]["image_px"] > 0


def test_pixels_and_tokens_count_besides_weights(checkpoint, tmp_path):
    tokenizer = checkpoint.tokenizer
    others = {
        "same": checkpoint,
        "mean": dataclasses.replace(checkpoint, mean=(0.4, 0.5, 0.5)),
        "std": dataclasses.replace(checkpoint, std=(0.4, 0.5, 0.5)),
        "words": dataclasses.replace(
            checkpoint, tokenizer=WordTokenizer(words=tokenizer.words[::-1], context_length=tokenizer.context_length)
        ),
    }
    found = [identity(tmp_path, name, each) for name, each in others.items()]
    for each in found:
        del each["weights"]  # the header is in the same file
    assert len({str(each) for each in found}) == len(others)


def test_a_copy_at_another_place_is_the_same(checkpoint, tmp_path):
    (tmp_path / "b").mkdir()
    one = identity(tmp_path, "one", checkpoint)
    shutil.copy(tmp_path / "one.safetensors", tmp_path / "b" / "two.safetensors")
    assert encoder_identity(f"file:{tmp_path / 'b' / 'two.safetensors'}") == one


@pytest.mark.parametrize("file", ["config.json", "preprocessor_config.json", "vocab.json", "model.safetensors"])
def test_what_lies_beside_a_foreign_checkpoint_counts(tmp_path, file):
    (tmp_path / "config.json").write_text("{}")
    (tmp_path / "model.safetensors").write_bytes(b"numbers")
    before = encoder_identity(f"hf:{tmp_path}")
    (tmp_path / file).write_bytes(b"edited")
    assert encoder_identity(f"hf:{tmp_path}") != before


def test_a_repository_of_the_hub_is_told_by_its_name():
    assert encoder_identity("hf:owner/name@" + "0" * 40) == {"weights": None}


def test_shards_count_where_an_index_is_named(tmp_path):
    index = tmp_path / "model.safetensors.index.json"
    index.write_text('{"weight_map": {"a": "model-1.safetensors", "b": "model-2.safetensors"}}')
    for number in (1, 2):
        (tmp_path / f"model-{number}.safetensors").write_bytes(b"weights")
    first = weights_of(index)
    assert first == weights_of(index)
    (tmp_path / "model-2.safetensors").write_bytes(b"others!")
    assert weights_of(index) != first
