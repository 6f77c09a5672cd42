"""Checkpoints of others in folders: what they say of themselves is taken or refused, never passed over."""

import json

import jax
import numpy as np
import pytest
import safetensors.numpy

from bench.errors import UsageError
from models import clip
from models.clip import tokenizers
from models.clip.encoder import OPENAI_MEAN, OPENAI_STD
from models.clip.networks import architectures
from tests.fixtures import clip_checkpoints, clip_twins
from tests.fixtures.clip_checkpoints import CONFIG, IMAGE_PX

HALF = [0.5, 0.5, 0.5]
OPENAI = (OPENAI_MEAN, OPENAI_STD)
NONE = ((0.0, 0.0, 0.0), (1.0, 1.0, 1.0))
ALL_HALF = ((0.5, 0.5, 0.5), (0.5, 0.5, 0.5))
SAID = {"image_mean": HALF, "image_std": HALF}
PIXELS_OF_V4 = {
    "crop_size": {"height": IMAGE_PX, "width": IMAGE_PX}, "do_center_crop": True, "do_convert_rgb": True,
    "do_normalize": True, "do_rescale": True, "do_resize": True, "image_mean": HALF, "image_std": HALF,
    "image_processor_type": "CLIPImageProcessor", "resample": 3, "rescale_factor": 1 / 255,
    "size": {"shortest_edge": IMAGE_PX},
}  # fmt: skip


def normalisation(path):
    encoder = clip.load(f"hf:{path}")
    return encoder.mean, encoder.std


@pytest.mark.parametrize(
    ("files", "expected"),
    {
        "nothing is said": ({}, OPENAI),
        "an empty file": ({"preprocessor_config": {}}, OPENAI),
        "as version 4 writes it": ({"preprocessor_config": PIXELS_OF_V4}, ALL_HALF),
        "as version 5 writes it": ({"processor_config": {"image_processor": PIXELS_OF_V4}}, ALL_HALF),
        "keys that are not nested": ({"processor_config": SAID}, ALL_HALF),
        "a processor that says no pixels": ({"processor_config": {"processor_class": "CLIPProcessor"}}, OPENAI),
        "both files, agreeing": (
            {"processor_config": {"image_processor": SAID}, "preprocessor_config": SAID}, ALL_HALF
        ),
        "an older file beside one without pixels": ({"processor_config": {}, "preprocessor_config": SAID}, ALL_HALF),
        "one number for three": ({"preprocessor_config": {"image_mean": 0.5, "image_std": 0.5}}, ALL_HALF),
        "no normalisation": ({"preprocessor_config": {"do_normalize": False, "image_mean": None}}, NONE),
        "bytes to [0, 2]": (
            {"preprocessor_config": {"rescale_factor": 2 / 255, "image_mean": 1, "image_std": 1}}, ALL_HALF
        ),
        "sizes as numbers": ({"preprocessor_config": {**SAID, "size": IMAGE_PX, "crop_size": IMAGE_PX}}, ALL_HALF),
        "sizes as lists": ({"preprocessor_config": {**SAID, "crop_size": [IMAGE_PX, IMAGE_PX]}}, ALL_HALF),
        "squeezed, not cropped": (
            {"preprocessor_config": {**SAID, "do_center_crop": False, "size": {"height": 16, "width": 16}}}, ALL_HALF
        ),
        "what was left unset": (
            {"preprocessor_config": {**SAID, "do_pad": None, "size": None, "resample": None}}, ALL_HALF
        ),
        "a filter by its name": ({"preprocessor_config": {**SAID, "resample": "bicubic"}}, ALL_HALF),
        "a byte order mark": ({"preprocessor_config": b"\xef\xbb\xbf" + json.dumps(SAID).encode()}, ALL_HALF),
        "a byte order mark before config.json": ({"config": b"\xef\xbb\xbf" + json.dumps(CONFIG).encode()}, OPENAI),
    }.values(),
)  # fmt: skip
def test_normalisation_is_what_the_repository_says(tmp_path, files, expected):
    np.testing.assert_allclose(normalisation(clip_checkpoints.folder(tmp_path / "m", **files)), expected, rtol=1e-12)


PREPROCESSOR = [
    (b"{", "whole JSON file"),
    (b"", "whole JSON file"),
    (b"\xff\xfe{\x00", "whole JSON file"),
    (b"[" * 100_000, "whole JSON file"),
    (b"<html>502</html>", "whole JSON file"),
    (b"[0.5]", "a JSON object, got list"),
    ({"image_mean": None, "image_std": HALF}, "image_mean three finite numbers, got null"),
    ({"image_mean": [0.5, 0.5]}, r"image_mean three finite numbers, got \[0.5, 0.5\]"),
    ({"image_mean": [0.5] * 4}, "image_mean three"),
    ({"image_mean": ["0.5"] * 3}, "image_mean three"),
    ({"image_mean": "0.5"}, "image_mean three finite numbers, got '0.5'"),
    ({"image_mean": [True] * 3}, "image_mean three"),
    ({"image_mean": {"r": 0.5}}, "image_mean three"),
    (b'{"image_mean": [NaN, 0.5, 0.5]}', "image_mean three finite"),
    (b'{"image_mean": [1e999, 0.5, 0.5]}', "image_mean three finite"),
    (b'{"image_mean": [1' + b"0" * 400 + b", 0.5, 0.5]}", "image_mean three finite"),
    ({"image_std": [0.5, 0, 0.5]}, "image_std three numbers above 0"),
    ({"image_std": [0.5, -0.5, 0.5]}, "image_std three numbers above 0"),
    ({"image_std": None}, "image_std three"),
    ({"do_normalize": None}, "do_normalize true or false, got null"),
    ({"do_normalize": "false"}, "do_normalize true or false, got 'false'"),
    ({"do_rescale": False}, "do_rescale true"),
    ({"rescale_factor": 0}, "rescale_factor above 0"),
    ({"rescale_factor": -1}, "rescale_factor above 0"),
    ({"rescale_factor": "1/255"}, "rescale_factor a finite number"),
    ({"resample": 2}, r"resample 3 \(bicubic\).*got 2"),
    ({"resample": True}, "resample 3"),
    ({"resample": "lanczos"}, "resample 3"),
    ({"do_resize": False}, "do_resize true"),
    ({"do_pad": True}, "do_pad false"),
    ({"size": 224}, "size of 16 px.*got 224"),
    ({"size": "16"}, "size of 16 px"),
    ({"size": {"shortest_edge": 18}}, "size of 16 px"),
    ({"size": {"shortest_edge": 16, "longest_edge": 32}}, "size of 16 px"),
    ({"size": {"height": 16, "width": 18}}, "size of 16 px"),
    ({"size": []}, "size of 16 px"),
    ({"crop_size": {"height": 14, "width": 14}}, "crop_size of 16 px"),
    ({"crop_size": {"shortest_edge": 16}}, "crop_size of 16 px"),
    ({"do_center_crop": False, "size": {"shortest_edge": 16}}, "do_center_crop true"),
    ({"image_processor_type": "ViTImageProcessor"}, "image_processor_type of CLIP, got 'ViTImageProcessor'"),
]


@pytest.mark.parametrize(("said", "message"), PREPROCESSOR)
def test_pixels_that_this_package_cannot_give_are_refused(tmp_path, said, message):
    path = clip_checkpoints.folder(tmp_path / "m", preprocessor_config=said)
    with pytest.raises(UsageError, match=f"m: preprocessor_config.json: expected .*{message}") as raised:
        clip.load(f"hf:{path}")
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ({"processor_config": {"image_processor": None}}, "processor_config.json: expected image_processor to be an"),
        ({"processor_config": {"image_processor": []}}, "processor_config.json: expected image_processor to be an"),
        (
            {"processor_config": {"image_processor": {"image_std": [1, 1]}}},
            r"processor_config.json: expected image_processor.image_std three .*got \[1, 1\]",
        ),
        (
            {"processor_config": {"image_processor": {**SAID}}, "preprocessor_config": {}},
            "image_processor.image_mean as preprocessor_config.json beside it has it.*delete the one that is wrong",
        ),
        ({"processor_config": b'{"image_processor": {'}, "processor_config.json: expected a whole JSON file"),
    ],
)  # fmt: skip
def test_the_file_of_version_5_is_refused_likewise(tmp_path, files, message):
    with pytest.raises(UsageError, match=message):
        clip.load(f"hf:{clip_checkpoints.folder(tmp_path / 'm', **files)}")


def changed(part, **changes):
    return {**CONFIG, part: {**CONFIG[part], **changes}}


@pytest.mark.parametrize(
    ("said", "message"),
    [
        (json.dumps(CONFIG).encode()[:-30], "a whole JSON file"),
        (b"null", "a JSON object, got NoneType"),
        ({**CONFIG, "model_type": "siglip"}, "model_type 'clip', got 'siglip'"),
        ({**CONFIG, "model_type": None}, "model_type 'clip', got null"),
        ({**CONFIG, "vision_config": [1]}, r"vision_config to be an object, got \[1\]"),
        ({**CONFIG, "projection_dim": "5"}, "projection_dim a whole number from 1 to 16777216, got '5'"),
        (changed("vision_config", image_size="16"), "vision_config.image_size a whole number"),
        (changed("vision_config", image_size={"height": 16}), "vision_config.image_size a whole number"),
        (changed("vision_config", image_size=0), "vision_config.image_size a whole number"),
        (changed("vision_config", patch_size=32), "vision_config.patch_size of at most image_size, 16, got 32"),
        (changed("vision_config", hidden_act=["gelu"]), "vision_config.hidden_act quick_gelu or gelu"),
        (changed("text_config", num_attention_heads=5), "text_config.num_attention_heads to divide hidden_size, 12"),
        (changed("text_config", layer_norm_eps=None), "text_config.layer_norm_eps a finite number, got null"),
        (changed("text_config", eos_token_id=[7]), "text_config.eos_token_id a whole number from 0 to 16777216"),
        (changed("text_config", vocab_size=True), "text_config.vocab_size a whole number"),
    ],
)
def test_an_architecture_that_is_not_said_well_is_refused(tmp_path, said, message):
    path = clip_checkpoints.folder(tmp_path / "m", config=said)
    with pytest.raises(UsageError, match=f"m: config.json: expected {message}") as raised:
        clip.load(f"hf:{path}")
    assert "\n" not in str(raised.value)


class TestShards:
    """A folder whose tensors lie in several files."""

    def test_all_are_read(self, tmp_path):
        whole = clip.load(f"hf:{clip_checkpoints.folder(tmp_path / 'whole')}")
        path = clip_checkpoints.split(clip_checkpoints.folder(tmp_path / "split"))
        for name in (f"hf:{path}", f"hf:{path / 'model.safetensors.index.json'}"):
            encoder = clip.load(name)
            same = jax.tree.map(np.array_equal, whole.params, encoder.params)
            assert jax.tree.all(same)
            assert encoder.sha256 != whole.sha256
        shard = path / "model-00002-of-00003.safetensors"
        part = safetensors.numpy.load_file(shard)
        safetensors.numpy.save_file({name: value + 1 for name, value in part.items()}, shard)
        assert clip.load(f"hf:{path}").sha256 != encoder.sha256

    def test_one_that_is_missing_or_cut_is_named(self, tmp_path):
        path = clip_checkpoints.split(clip_checkpoints.folder(tmp_path / "m"))
        shard = path / "model-00002-of-00003.safetensors"
        shard.write_bytes(shard.read_bytes()[:-4])
        with pytest.raises(UsageError, match="whole safetensors file, got model-00002-of-00003"):
            clip.load(f"hf:{path}")
        shard.unlink()
        with pytest.raises(UsageError, match="3 shards .*got no model-00002-of-00003"):
            clip.load(f"hf:{path}")

    @pytest.mark.parametrize(
        "shard", ["../other.safetensors", "/etc/passwd", "a/b.safetensors", "..", "x.bin", "", ".safetensors", 3, None]
    )
    def test_an_index_leads_out_of_no_folder(self, tmp_path, shard):
        path = clip_checkpoints.split(clip_checkpoints.folder(tmp_path / "m"))
        safetensors.numpy.save_file(clip_checkpoints.tensors(), tmp_path / "other.safetensors")
        index = path / "model.safetensors.index.json"
        said = json.loads(index.read_text())
        said["weight_map"]["logit_scale"] = shard
        clip_checkpoints.write(index, said)
        message = "index.json: expected weight_map.logit_scale to be the name of a .safetensors file beside it"
        with pytest.raises(UsageError, match=message):
            clip.load(f"hf:{path}")

    @pytest.mark.parametrize(
        ("said", "message"),
        [
            (b'{"weight_map": {', "index.json: expected a whole JSON file"),
            ({}, "expected weight_map with the shard of every tensor, got none"),
            ({"weight_map": {}}, "expected weight_map with the shard of every tensor"),
            ({"weight_map": ["a"]}, "expected weight_map to be an object"),
        ],
    )
    def test_an_index_that_is_none(self, tmp_path, said, message):
        path = clip_checkpoints.split(clip_checkpoints.folder(tmp_path / "m"))
        clip_checkpoints.write(path / "model.safetensors.index.json", said)
        with pytest.raises(UsageError, match=message):
            clip.load(f"hf:{path}")

    def test_an_index_of_other_shards(self, tmp_path):
        path = clip_checkpoints.split(clip_checkpoints.folder(tmp_path / "m"))
        index = path / "model.safetensors.index.json"
        said = json.loads(index.read_text())
        shard = said["weight_map"].pop("logit_scale")
        clip_checkpoints.write(index, said)
        with pytest.raises(UsageError, match=f"{shard}.*does not name there: logit_scale"):
            clip.load(f"hf:{path}")
        said["weight_map"] |= {"logit_scale": shard, "logit_bias": shard}
        clip_checkpoints.write(index, said)
        with pytest.raises(UsageError, match=f"{shard}.*got no such tensor: logit_bias"):
            clip.load(f"hf:{path}")


def test_a_folder_without_safetensors_says_what_it_has(tmp_path):
    path = clip_checkpoints.folder(tmp_path / "m")
    (path / "model.safetensors").rename(path / "pytorch_model.bin")
    with pytest.raises(UsageError, match="pytorch_model.bin, which may be a pickle"):
        clip.load(f"hf:{path}")
    (path / "pytorch_model.bin").unlink()
    with pytest.raises(UsageError, match="model.safetensors or .*got neither"):
        clip.load(f"hf:{path}")


def clip_vocabulary():
    """CLIP's own as far as its package tells it; its pairs that are no plain words have names of their own."""
    pytest.importorskip("instant_clip_tokenizer")
    bpe = tokenizers._clip_vocabulary()
    ids = {}
    for i in range(tokenizers.CLIP_NUM_TOKENS):
        word = bpe.decode([i]).strip()
        plain = word.isascii() and word.isalpha() and bpe.encode(word) == [i]
        ids[f"{word}</w>" if plain else f"<{i}>"] = i
    ids["<|endoftext|>"] = ids.pop("<49407>")
    return ids


class TestVocabulary:
    """A repository with as many tokens as CLIP's has CLIP's own, unless its files say another."""

    @pytest.fixture
    def path(self, tmp_path):
        path = clip_checkpoints.folder(
            tmp_path / "m", config=changed("text_config", vocab_size=tokenizers.CLIP_NUM_TOKENS)
        )
        tensors = clip_checkpoints.tensors()
        tensors["text_model.embeddings.token_embedding.weight"] = np.zeros((tokenizers.CLIP_NUM_TOKENS, 12), np.float32)
        safetensors.numpy.save_file(tensors, path / "model.safetensors")
        return path

    def test_it_is_compared_with_clips(self, path):
        ids = clip_vocabulary()
        words = [pair for pair in ids if pair.endswith("</w>")]
        assert len(words) > 30_000
        own = tokenizers.ClipTokenizer(context_length=6)
        assert clip.load(f"hf:{path}").tokenizer == own
        clip_checkpoints.write(path / "tokenizer.json", {"model": {"vocab": ids}})
        assert clip.load(f"hf:{path}").tokenizer == own
        other = {**ids, words[0]: ids[words[1]], words[1]: ids[words[0]]}
        clip_checkpoints.write(path / "vocab.json", other)
        encoder = clip.load(f"hf:{path}")
        assert encoder.tokenizer is None
        with pytest.raises(UsageError, match="CLIP's vocabulary, this one has another"):
            encoder.tokenize(["a cup"])

    @pytest.mark.parametrize("said", [{"a</w>": 320}, {}, dict.fromkeys(map(str, range(49408)), 0)])
    def test_another_size_is_another_vocabulary(self, path, said):
        clip_checkpoints.write(path / "vocab.json", said)
        assert clip.load(f"hf:{path}").tokenizer is None

    def test_a_file_that_was_cut(self, path):
        (path / "vocab.json").write_text('{"a</w>": ')
        with pytest.raises(UsageError, match="vocab.json: expected a whole JSON file"):
            clip.load(f"hf:{path}")


class TestOpenClip:
    """A file of open_clip's, with `open_clip_config.json` beside it."""

    @pytest.fixture
    def path(self, tmp_path, monkeypatch):
        named = architectures.build
        monkeypatch.setattr(
            architectures, "build", lambda name: clip_twins.small() if name.startswith("tiny") else named(name)
        )
        path = tmp_path / "m" / "open_clip_model.safetensors"
        path.parent.mkdir()
        safetensors.numpy.save_file(clip_checkpoints.tensors(layout="open_clip"), path)
        return path

    @pytest.mark.parametrize(
        ("said", "expected"),
        [
            ({}, OPENAI),
            ({"preprocess_cfg": {"mean": HALF, "std": HALF}}, ALL_HALF),
            ({"preprocess_cfg": {"mean": HALF, "std": 0.5, "size": [16, 16], "interpolation": "bicubic"}}, ALL_HALF),
            ({"preprocess_cfg": {"mean": 0.5, "std": 0.5, "size": 16, "resize_mode": "squash"}}, ALL_HALF),
        ],
    )
    def test_normalisation_is_what_it_says(self, path, said, expected):
        clip_checkpoints.write(path.parent / "open_clip_config.json", said)
        encoder = clip.load(f"open_clip:tiny-quickgelu/{path}")
        assert (encoder.mean, encoder.std) == expected

    @pytest.mark.parametrize(
        ("said", "message"),
        [
            ({"mean": None}, "preprocess_cfg.mean three finite numbers, got null"),
            ({"std": [1, 0, 1]}, "preprocess_cfg.std three numbers above 0"),
            ({"interpolation": "bilinear"}, 'preprocess_cfg.interpolation "bicubic"'),
            ({"resize_mode": "longest"}, "preprocess_cfg.resize_mode"),
            ({"size": 224}, "preprocess_cfg.size of 16 px"),
            ({"mode": "L"}, 'preprocess_cfg.mode "RGB"'),
        ],
    )
    def test_what_cannot_be_given_is_refused(self, path, said, message):
        clip_checkpoints.write(path.parent / "open_clip_config.json", {"preprocess_cfg": said})
        with pytest.raises(UsageError, match=f"open_clip_config.json: expected {message}"):
            clip.load(f"open_clip:tiny/{path}")

    def test_its_nonlinearity_is_not_passed_over(self, path):
        clip_checkpoints.write(path.parent / "open_clip_config.json", {"model_cfg": {"quick_gelu": True}})
        with pytest.raises(UsageError, match=r"tiny-quickgelu for weights whose open_clip_config.json"):
            clip.load(f"open_clip:tiny/{path}")
        assert clip.load(f"open_clip:tiny-quickgelu/{path}").mean == OPENAI_MEAN
