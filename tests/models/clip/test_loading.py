import dataclasses
import hashlib
import json
import re
import types

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import safetensors.numpy

from bench.errors import UsageError
from models import clip
from models.clip import loading
from models.clip.checkpoints import catalog, files, hub
from models.clip.checkpoints.catalog import PublishedCheckpoint
from models.clip.checkpoints.files import Checkpoint
from models.clip.checkpoints.hub import HubFile
from models.clip.networks import architectures
from models.clip.tokenizers import ClipTokenizer, WordTokenizer
from tests.fixtures import clip_twins
from tests.fixtures.clip_tensors import to_tensors

WORDS = WordTokenizer(words=("a", "red", "cup"), context_length=6)
COMMIT = "0123456789abcdef0123456789abcdef01234567"


@pytest.fixture(autouse=True)
def small_world(monkeypatch, tmp_path):
    """One small published architecture, its own cache folders, and no network."""
    monkeypatch.setenv("BENCH_DATA_DIR", str(tmp_path / "cache"))
    named = architectures.build

    def tiny(name):
        plain = name.removesuffix("-quickgelu").removesuffix("-gelu")
        if plain != "tiny":
            return named(name)
        activation = "quick_gelu" if name.endswith("-quickgelu") else "gelu"
        towers = (dataclasses.replace(tower, activation=activation) for tower in (clip_twins.VIT, clip_twins.TEXT))
        return clip_twins.DualEncoder(*towers)

    monkeypatch.setattr(architectures, "build", tiny)
    monkeypatch.setattr(hub, "_huggingface_hub", lambda: fake_hub(tmp_path / "hub"))


def fake_hub(folder):
    """The hub's client with a cache folder and no network; what it raises, the package raises in offline mode."""

    def place(repository, file, revision):
        return folder / f"models--{repository.replace('/', '--')}" / "snapshots" / revision / file

    def cached(repository, file, *, revision):
        path = place(repository, file, revision)
        return str(path) if path.exists() else None

    def download(repository, file, *, revision):
        raise FileNotFoundError("Cannot find the requested files in the disk cache\nand more")

    return types.SimpleNamespace(try_to_load_from_cache=cached, hf_hub_download=download, place=place)


def saved(path, layout="open_clip", seed=0, **changes):
    """A checkpoint of the small architecture in a layout."""
    model = clip_twins.small()
    tensors = to_tensors(model, layout, clip_twins.variables(model, seed))
    path.parent.mkdir(parents=True, exist_ok=True)
    safetensors.numpy.save_file({**tensors, **changes}, path)
    return path


def published(monkeypatch, path, **changes):
    """An entry of the catalog whose pinned file is `path`."""
    source = HubFile(
        repository="some/clip", file="open_clip_model.safetensors", revision=COMMIT, sha256=hub.remembered_sha256(path),
        num_bytes=path.stat().st_size,
    )  # fmt: skip
    entry = PublishedCheckpoint(name="tiny", architecture="tiny-quickgelu", trained_on="nothing", sources=(source,))
    entry = dataclasses.replace(entry, **changes)
    monkeypatch.setitem(catalog.ENTRIES, "tiny", entry)
    return entry


def equal(a, b):
    return all(np.array_equal(x, y) for x, y in zip(jax.tree.leaves(a), jax.tree.leaves(b), strict=True))


def test_a_file_of_ours(tmp_path):
    model, path = clip_twins.small("resnet"), tmp_path / "small.safetensors"
    made = Checkpoint(
        model=model, variables=clip_twins.variables(model), tokenizer=WORDS, mean=(0.1, 0.2, 0.3), std=(1.0, 1.0, 2.0),
        card={"steps": 3},
    )  # fmt: skip
    digest = files.write(path, made)
    encoder = clip.load(f"file:{path}")
    assert encoder.sha256 == digest == hashlib.sha256(path.read_bytes()).hexdigest()
    assert (encoder.image_px, encoder.context_length, encoder.known_words) == (16, 6, {"a", "red", "cup"})
    assert (encoder.mean, encoder.std) == (made.mean, made.std)
    assert encoder.tokenize(["a red cup"]).tolist() == [[1, 4, 5, 6, 2, 0]]
    assert equal(encoder.params, made.variables)
    assert files.read_checkpoint(path, "x").card == {"steps": 3}
    assert [p.name for p in tmp_path.iterdir()] == ["small.safetensors"]


def test_half_precision_files_are_half_as_large(tmp_path):
    model = clip_twins.small("resnet")
    made = Checkpoint(model=model, variables=clip_twins.variables(model), tokenizer=None)
    files.write(tmp_path / "full.safetensors", made)
    files.write(tmp_path / "half.safetensors", made, np.float16)
    full, half = (clip.load(f"file:{tmp_path / name}.safetensors") for name in ("full", "half"))
    assert {leaf.dtype for leaf in jax.tree.leaves(half.params)} == {jnp.dtype("float32")}
    close = jax.tree.map(lambda a, b: bool(jnp.allclose(a, b, atol=2e-3)), full.params, half.params)
    assert jax.tree.all(close) and not equal(full.params, half.params)


def test_embedded_encoders_are_files_with_a_pinned_hash(tmp_path, monkeypatch):
    path = tmp_path / "embedded" / "tiny-vit.safetensors"
    model = clip_twins.small()
    digest = files.write(
        path, Checkpoint(model=model, variables=clip_twins.variables(model), tokenizer=WORDS), np.float16
    )
    monkeypatch.setattr(catalog, "EMBEDDED_FOLDER", path.parent)
    monkeypatch.setitem(catalog.EMBEDDED, "tiny-vit", digest)
    assert clip.load("tiny-vit").sha256 == digest
    assert catalog.find_weights("tiny-vit") == path
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(UsageError, match="tiny-vit: .*SHA-256 .*truncated, altered or another"):
        clip.load("tiny-vit")
    path.unlink()
    with pytest.raises(UsageError, match="comes with the project, got no such file"):
        clip.load("tiny-vit")


def test_open_clips_layout_by_path(tmp_path):
    path = saved(tmp_path / "weights.safetensors")
    quick, exact = clip.load(f"open_clip:tiny-quickgelu/{path}"), clip.load(f"open_clip:tiny/{path}")
    assert quick.towers.model.image_tower.activation == "quick_gelu"
    assert exact.towers.model.image_tower.activation == "gelu"
    assert equal(quick.params, exact.params) and equal(quick.params, clip_twins.variables(clip_twins.small()))
    assert quick.sha256 == hub.remembered_sha256(path)


def test_a_nonlinearity_that_the_name_of_the_weights_denies_is_refused(tmp_path):
    path = saved(tmp_path / "OpenAI" / "weights.safetensors")
    with pytest.raises(
        UsageError, match=r"expected tiny-quickgelu for 'openai' weights.*open_clip:tiny-quickgelu/"
    ) as said:
        clip.load(f"open_clip:tiny/{path}")
    assert "gives wrong features" in str(said.value)
    assert clip.load(f"open_clip:tiny-quickgelu/{path}").towers.model.image_tower.activation == "quick_gelu"
    assert clip.load(f"open_clip:tiny-gelu/{path}").towers.model.image_tower.activation == "gelu"


def test_compute_type(tmp_path):
    path = saved(tmp_path / "weights.safetensors")
    coarse = clip.load(f"open_clip:tiny/{path}", dtype=jnp.bfloat16)
    assert coarse.towers.model.text_tower.dtype == jnp.bfloat16
    assert {leaf.dtype for leaf in jax.tree.leaves(coarse.params)} == {jnp.dtype("float32")}
    with pytest.raises(UsageError, match="expected dtype float32 or bfloat16, got float16"):
        clip.load(f"open_clip:tiny/{path}", dtype=jnp.float16)


def huggingface_folder(folder, **changes):
    saved(folder / "model.safetensors", "huggingface", **changes)
    image, text = clip_twins.VIT, clip_twins.TEXT
    common = {
        "hidden_act": "quick_gelu",
        "num_hidden_layers": 2,
        "num_attention_heads": 3,
        "hidden_size": 12,
        "intermediate_size": 48,
    }
    config = {
        "model_type": "clip",
        "projection_dim": 5,
        "vision_config": {**common, "image_size": image.image_px, "patch_size": image.patch_px},
        "text_config": {**common, "vocab_size": 20, "max_position_embeddings": text.context_length, "eos_token_id": 7},
    }
    (folder / "config.json").write_text(json.dumps(config))
    return folder


def test_layout_of_transformers(tmp_path):
    folder = huggingface_folder(tmp_path / "model")
    encoder = clip.load(f"hf:{folder}")
    assert equal(encoder.params, clip_twins.variables(clip_twins.small()))
    assert encoder.towers.model.text_tower.end_of_text == 7
    assert encoder.mean == (0.48145466, 0.4578275, 0.40821073)
    assert encoder.tokenizer is None  # the vocabulary has 20 tokens: it is not CLIP's
    (folder / "preprocessor_config.json").write_text('{"image_mean": [0.5, 0.5, 0.5], "image_std": [0.25, 0.25, 0.25]}')
    named = clip.load(f"hf:{folder / 'model.safetensors'}")
    assert (named.mean, named.std) == ((0.5, 0.5, 0.5), (0.25, 0.25, 0.25))
    (folder / "config.json").unlink()
    with pytest.raises(UsageError, match="config.json, .*got none"):
        clip.load(f"hf:{folder}")


def test_layouts_are_not_mixed_up(tmp_path):
    folder = huggingface_folder(tmp_path / "model")
    with pytest.raises(UsageError, match="got huggingface; write hf:PATH"):
        clip.load(f"open_clip:tiny/{folder / 'model.safetensors'}")
    with pytest.raises(UsageError, match=r"says its architecture.*write open_clip:"):
        clip.load(f"file:{folder / 'model.safetensors'}")


def test_a_checkpoint_of_another_architecture(tmp_path):
    path = saved(tmp_path / "weights.safetensors", **{"visual.proj": np.zeros((12, 6), np.float32)})
    with pytest.raises(UsageError, match=r"visual.proj of shape \(12, 5\), got shape \(12, 6\)"):
        clip.load(f"open_clip:tiny/{path}")


def test_files_that_are_not_whole_or_not_safetensors(tmp_path):
    path = saved(tmp_path / "weights.safetensors")
    path.write_bytes(path.read_bytes()[:-10])
    with pytest.raises(UsageError, match="whole safetensors file, got weights.safetensors"):
        clip.load(f"open_clip:tiny/{path}")
    with pytest.raises(UsageError, match="nowhere.safetensors, got none"):
        clip.load(f"open_clip:tiny/{tmp_path / 'nowhere.safetensors'}")
    pickled = tmp_path / "weights.pt"
    pickled.write_bytes(b"\x80\x04.")
    with pytest.raises(UsageError, match="got weights.pt, which may be a pickle"):
        clip.load(f"open_clip:tiny/{pickled}")
    with pytest.raises(UsageError, match="expected open_clip:ARCHITECTURE/PATH, got no path"):
        clip.load("open_clip:tiny")


def test_names_that_do_not_exist():
    with pytest.raises(UsageError, match="got 'openai-vit-b-23'; the nearest is 'openai-vit-b-32'"):
        clip.load("openai-vit-b-23")
    with pytest.raises(UsageError, match="open_clip:..., hf:..., openai:..., file:..., clip-jax:..."):
        clip.load("opn_clip:ViT-B-32/x")
    with pytest.raises(UsageError, match="expected one of open_clip's names.*got 'ViT-Z'"):
        clip.load("open_clip:ViT-Z/x")


def test_no_network_says_what_to_put_where(tmp_path):
    with pytest.raises(UsageError) as raised:
        clip.load("openai-vit-b-32")
    assert str(raised.value) == (
        "openai-vit-b-32: expected timm/vit_base_patch32_clip_224.openai/open_clip_model.safetensors on disk or over "
        "the network, got FileNotFoundError (Cannot find the requested files in the disk cache); where there is a "
        "network do `hf download timm/vit_base_patch32_clip_224.openai open_clip_model.safetensors --revision "
        f"a6f597a30f7b82c51704746581f9a4e41421e878` and put the file at {tmp_path}/cache/encoders/"
        "openai-vit-b-32.safetensors; or with OpenAI's original file (SHA-256 "
        "40d365715913c9da98579312b702a82c18be219cc2a73407c4526f58eba950af) and torch do "
        "`python -m bench encoders --convert openai-vit-b-32=PATH`"
    )
    with pytest.raises(UsageError, match=r"openai-rn101: .*as open_clip:RN101"):
        clip.load("openai-rn101")


def test_from_the_hubs_cache(tmp_path, monkeypatch):
    path = fake_hub(tmp_path / "hub").place("some/clip", "open_clip_model.safetensors", COMMIT)
    entry = published(monkeypatch, saved(path))
    assert catalog.find_weights("tiny") == path
    encoder = clip.load("tiny")
    assert encoder.sha256 == entry.sources[0].sha256
    assert encoder.towers.model.image_tower.activation == "quick_gelu"
    assert isinstance(encoder.tokenizer, ClipTokenizer)
    whole = path.read_bytes()
    path.write_bytes(whole[:-7])
    with pytest.raises(
        UsageError, match=rf"with SHA-256 {entry.sources[0].sha256}, got .*\({len(whole) - 7} of {len(whole)} bytes\)"
    ):
        clip.load("tiny")
    path.write_bytes(whole[:-1] + b"!")
    with pytest.raises(UsageError, match="truncated, altered or another"):
        clip.load("tiny")


def test_put_on_disk_by_hand(tmp_path, monkeypatch):
    entry = published(monkeypatch, saved(tmp_path / "weights.safetensors"))
    assert catalog.find_weights("tiny") is None
    entry.manual_path.parent.mkdir(parents=True)
    entry.manual_path.write_bytes((tmp_path / "weights.safetensors").read_bytes())
    assert catalog.find_weights("tiny") == entry.manual_path
    assert equal(clip.load("tiny").params, clip_twins.variables(clip_twins.small()))
    saved(entry.manual_path, seed=1)
    with pytest.raises(UsageError, match=r"tiny.safetensors with SHA-256 .*delete it, then where"):
        clip.load("tiny")


def test_either_published_layout_may_be_put_on_disk(tmp_path, monkeypatch):
    folder = huggingface_folder(tmp_path / "model")
    published(monkeypatch, folder / "model.safetensors")
    place = catalog.ENTRIES["tiny"].manual_path
    place.parent.mkdir(parents=True)
    place.write_bytes((folder / "model.safetensors").read_bytes())
    assert equal(clip.load("tiny").params, clip_twins.variables(clip_twins.small()))


def test_a_converted_file_is_known_by_its_numbers(tmp_path, monkeypatch):
    original = saved(tmp_path / "weights.safetensors")  # stands for OpenAI's file: only its hash is asked for
    entry = published(monkeypatch, original, openai_sha256=hub.remembered_sha256(original))
    model = clip_twins.small()
    monkeypatch.setattr(loading, "_read_torchscript", lambda path, where: (model, clip_twins.variables(model)))
    assert loading.convert_original("tiny", original) == entry.manual_path
    assert equal(clip.load("tiny").params, clip_twins.variables(model))
    found = files.read_checkpoint(entry.manual_path, "tiny")
    files.write(entry.manual_path, dataclasses.replace(found, variables=clip_twins.variables(model, seed=2)))
    with pytest.raises(UsageError, match="as `--convert` wrote it, got an altered file"):
        clip.load("tiny")


def test_only_openais_own_file_is_converted(tmp_path):
    other = saved(tmp_path / "weights.safetensors")
    with pytest.raises(UsageError, match="openai-rn50: expected .* with SHA-256 afeb0e10"):
        loading.convert_original("openai-rn50", other)
    with pytest.raises(UsageError, match="--convert: expected a file .*, got none"):
        loading.convert_original("openai-rn50", tmp_path / "none.pt")
    with pytest.raises(UsageError, match="--convert: .*got 'openai-rn5'; the nearest is"):
        loading.convert_original("openai-rn5", other)


def test_openais_file_needs_torch(tmp_path, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "torch", None)
    path = saved(tmp_path / "RN50.pt")
    with pytest.raises(UsageError, match="the package torch.*pip install torch"):
        clip.load(f"openai:{path}")
    with pytest.raises(UsageError, match="expected a file .*ViT.pt, got none"):
        clip.load(f"openai:{tmp_path / 'ViT.pt'}")


def test_repositories_are_pinned_by_commit(tmp_path):
    with pytest.raises(UsageError, match=r"hf:some/clip: .*pinned revision.*got ''.*@COMMIT"):
        clip.load("hf:some/clip")
    with pytest.raises(UsageError, match="got 'main'; write hf:some/clip@COMMIT"):
        clip.load("open_clip:tiny/hf:some/clip@main")
    with pytest.raises(UsageError, match=r"expected hf:OWNER/NAME@COMMIT or hf:PATH, got 'clip'"):
        clip.load("hf:clip")
    with pytest.raises(
        UsageError,
        match=rf"some/clip/config.json .*hf download some/clip --revision {COMMIT}",
    ):
        clip.load(f"hf:some/clip@{COMMIT}")


def test_from_a_repository_whose_hash_the_hub_recorded(tmp_path):
    place = fake_hub(tmp_path / "hub").place
    folder = huggingface_folder(place("some/clip", "x", COMMIT).parent)
    blob = saved(tmp_path / "blob.safetensors")
    target = tmp_path / "hub" / "blobs" / hub.remembered_sha256(blob)
    target.parent.mkdir(parents=True)
    target.write_bytes(blob.read_bytes())
    (folder / "open_clip_model.safetensors").symlink_to(target)
    for file in ("processor_config.json", "preprocessor_config.json", "open_clip_config.json"):
        (folder / file).write_text("{}")  # without a network nobody could say that there is none
    assert equal(clip.load(f"hf:some/clip@{COMMIT}").params, clip_twins.variables(clip_twins.small()))
    assert clip.load(f"open_clip:tiny/hf:some/clip@{COMMIT}").sha256 == target.name
    target.write_bytes(target.read_bytes() + b" ")
    with pytest.raises(UsageError, match=f"with SHA-256 {target.name}, got "):
        clip.load(f"open_clip:tiny/hf:some/clip@{COMMIT}")


def test_the_real_client_in_offline_mode_says_the_same(monkeypatch, tmp_path):
    import huggingface_hub
    import huggingface_hub.constants

    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path / "none"))
    monkeypatch.setattr(hub, "_huggingface_hub", lambda: huggingface_hub)
    with pytest.raises(UsageError, match="openai-rn50: .*timm/resnet50_clip.openai/open_clip_model.safetensors"):
        clip.load("openai-rn50")


def test_every_entry_is_pinned_and_says_its_nonlinearity():
    for entry in catalog.ENTRIES.values():
        assert architectures.build(entry.architecture)
        assert entry.architecture.endswith("-quickgelu") == entry.name.startswith("openai-")
        for source in entry.sources:
            assert re.fullmatch(r"[0-9a-f]{64}", str(source.sha256)) and re.fullmatch(r"[0-9a-f]{40}", source.revision)
        assert entry.sources or re.fullmatch(r"[0-9a-f]{64}", str(entry.openai_sha256))


def test_the_package_extra_is_named_when_missing(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "clip_jax", None)
    with pytest.raises(UsageError, match=r"expected the extra clip-jax .*do `pip install '.\[clip-jax\]'`"):
        clip.load("clip-jax:somewhere")
