"""An encoder is another one with other weights, pixels or tokens, and the same one at another place."""

import dataclasses
import os
import shutil
import time

import numpy as np
import pytest
import safetensors.numpy

from bench.errors import UsageError
from models.clip.checkpoints import catalog, files, hub
from models.clip.encoder import OPENAI_MEAN
from models.clip.identity import canonical_name, encoder_identity
from models.clip.tokenizers import WordTokenizer
from tests.fixtures import clip_checkpoints


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


def test_a_name_without_a_path_is_the_same_for_every_copy(checkpoint, tmp_path):
    identity(tmp_path, "one", checkpoint)
    shutil.copy(tmp_path / "one.safetensors", tmp_path / "two.safetensors")
    one, two = (canonical_name(f"file:{tmp_path / name}.safetensors") for name in ("one", "two"))
    assert one == two and one.startswith("clip:")
    copy = shutil.copy(catalog.EMBEDDED_FOLDER / "embedded-vit-8.safetensors", tmp_path / "copy.safetensors")
    assert canonical_name(f"file:{copy}") == "embedded-vit-8"
    assert canonical_name("embedded-judge-rn") == "embedded-judge-rn"


HALF = {"image_mean": [0.5, 0.5, 0.5]}
OTHER_TEXT = {
    **clip_checkpoints.CONFIG,
    "text_config": {**clip_checkpoints.CONFIG["text_config"], "hidden_act": "gelu"},
}


@pytest.mark.parametrize(
    ("parts", "files"),
    [
        ({"mean"}, {"preprocessor_config": HALF}),
        ({"std"}, {"preprocessor_config": {"image_std": [0.5, 0.5, 0.5]}}),
        ({"weights"}, {"seed": 1}),
        ({"architecture"}, {"config": OTHER_TEXT}),
        (set(), {"README": "other words"}),
        (set(), {"preprocessor_config": {"image_mean": list(OPENAI_MEAN), "do_center_crop": True}}),
    ],
)
def test_a_folder_of_transformers_is_told_by_its_parts(tmp_path, parts, files):
    one = encoder_identity(f"hf:{clip_checkpoints.folder(tmp_path / 'one')}")
    other = encoder_identity(f"hf:{clip_checkpoints.folder(tmp_path / 'other', **files)}")
    assert {part for part in one if one[part] != other[part]} == parts


def test_a_cache_folder_is_no_part(tmp_path):
    folder = clip_checkpoints.folder(tmp_path / "m")
    blobs = tmp_path / "blobs"
    blobs.mkdir()
    linked = tmp_path / "snapshots" / clip_checkpoints.COMMIT
    linked.mkdir(parents=True)
    for number, file in enumerate(sorted(folder.iterdir())):
        shutil.copy(file, blobs / str(number))
        (linked / file.name).symlink_to(blobs / str(number))
    assert canonical_name(f"hf:{linked}") == canonical_name(f"hf:{folder}")
    assert canonical_name(f"hf:{folder / 'model.safetensors'}") == canonical_name(f"hf:{folder}")


@pytest.mark.parametrize("is_settled", [False, True])
def test_what_is_edited_in_place_is_read_again(tmp_path, is_settled):
    path = clip_checkpoints.folder(tmp_path / "m", preprocessor_config=HALF)
    made_ns = time.time_ns() - 10_000_000_000 * is_settled
    for file in path.iterdir():
        os.utime(file, ns=(made_ns, made_ns))
    assert encoder_identity(f"hf:{path}")["mean"] == [0.5, 0.5, 0.5]
    clip_checkpoints.write(path / "preprocessor_config.json", {"image_mean": [0.6, 0.5, 0.5]})
    assert encoder_identity(f"hf:{path}")["mean"] == [0.6, 0.5, 0.5]


def test_the_nonlinearity_and_pixels_of_open_clip_count(tmp_path):
    path = tmp_path / "weights.safetensors"
    safetensors.numpy.save_file({"logit_scale": np.zeros((), np.float32)}, path)
    exact, quick = (encoder_identity(f"open_clip:ViT-B-32{ending}/{path}") for ending in ("", "-quickgelu"))
    assert {part for part in exact if exact[part] != quick[part]} == {"architecture"}
    clip_checkpoints.write(tmp_path / "open_clip_config.json", {"preprocess_cfg": {"mean": 0.5}})
    assert encoder_identity(f"open_clip:ViT-B-32/{path}")["mean"] == [0.5, 0.5, 0.5]


def test_openais_file_is_told_by_its_weights_without_torch(tmp_path, monkeypatch):
    path = tmp_path / "RN.pt"
    path.write_bytes(b"weights")
    assert encoder_identity(f"openai:{path}") == {"weights": hub.remembered_sha256(path)}
    monkeypatch.setattr(hub, "remembered_sha256", lambda _: catalog.ENTRIES["openai-rn101"].openai_sha256)
    assert canonical_name(f"openai:{path}") == "openai-rn101"


def test_a_repository_of_the_hub_is_told_by_its_name():
    name = "hf:owner/name@" + "0" * 40
    for each in (name, f"open_clip:ViT-B-32/{name}"):
        assert encoder_identity(each) == {"weights": None} and canonical_name(each) == each


@pytest.mark.parametrize("name", ["file:/none.safetensors", "hf:/none", "openai:/none.pt"])
def test_a_path_where_nothing_lies_is_refused(name):
    with pytest.raises(UsageError, match="none"):
        canonical_name(name)


def test_shards_count_where_an_index_is_named(tmp_path):
    path = clip_checkpoints.split(clip_checkpoints.folder(tmp_path / "m"))
    name = f"hf:{path / 'model.safetensors.index.json'}"
    first = encoder_identity(name)
    shard = path / "model-00002-of-00003.safetensors"
    values = {tensor: value + 1 for tensor, value in safetensors.numpy.load_file(shard).items()}
    safetensors.numpy.save_file(values, shard)
    other = encoder_identity(name)
    assert {part for part in first if first[part] != other[part]} == {"weights"}
