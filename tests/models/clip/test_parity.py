"""Every tower at full size equals its PyTorch original to 1e-4 of the tensor's largest value, in float32.

`make parity` runs these; they need torch (CPU), open_clip_torch and transformers. Weights are random; each goes through
a file in its original's layout and through `load`, as a user's would.
"""

import gc
import importlib.util

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from bench.errors import UsageError
from models import clip
from models.clip import loading, preprocess
from models.clip.checkpoints import catalog, hub, layouts
from models.clip.encoder import OPENAI_MEAN, OPENAI_STD
from models.clip.networks import architectures
from models.clip.networks.dual_encoder import to_unit_length
from models.clip.tokenizers import ClipTokenizer
from tests.fixtures.clip_tensors import to_tensors

torch = pytest.importorskip("torch")
for package in ("open_clip", "torchvision", "transformers"):
    if importlib.util.find_spec(package) is None:
        pytest.skip(f"the originals need {package}", allow_module_level=True)

pytestmark = pytest.mark.parity

TOLERANCE = 1e-4
CAPTIONS = [
    "a diagram",
    "an armchair in the shape of an avocado. armchair imitating avocado.",
    "a photo of a teapot, 3d",
]

VITS = ("ViT-B-32-quickgelu", "ViT-B-32", "ViT-B-16-quickgelu", "ViT-L-14-quickgelu", "ViT-L-14-336-quickgelu")
RESNETS = ("RN50-quickgelu", "RN101-quickgelu", "RN50x4-quickgelu")
CASES = [(name, "open_clip") for name in (*VITS, *RESNETS)] + [(name, "huggingface") for name in VITS]


def saved(name, layout, folder):
    """An original with random weights, the name that `load` takes for its file, and a function that asks it."""
    from tests.fixtures import clip_originals

    seed = sum(map(ord, name + layout))
    if layout == "open_clip":
        import safetensors.torch

        model = clip_originals.open_clip_model(name, seed)
        path = folder / "weights.safetensors"
        safetensors.torch.save_file({key: value.contiguous() for key, value in model.state_dict().items()}, path)
        return model, f"open_clip:{name}/{path}", clip_originals.said_by_open_clip
    model = clip_originals.huggingface_model(architectures.build(name), seed)
    model.save_pretrained(folder)
    return model, f"hf:{folder}", clip_originals.said_by_huggingface


def everything(encoder):
    """A function from parameters, images and tokens to all that has a name, through our towers."""
    model = encoder.towers.model
    mean, std = (np.float32(v).reshape(1, 1, 1, 3) for v in (encoder.mean, encoder.std))

    def said(params, images, tokens):
        found = dict(model.apply(params, (images - mean) / std, None, method="image"))
        found |= {f"text {k}": v for k, v in model.apply(params, tokens, None, method="text").items()}
        cosines = to_unit_length(found["embedding"]) @ to_unit_length(found["text embedding"]).T
        return found | {"logits": encoder.towers.logit_scale(params) * cosines}

    return said


@pytest.mark.parametrize(("name", "layout"), CASES)
def test_tower_equals_its_original(name, layout, tmp_path, parity_rows):
    from tests.fixtures import clip_originals

    model, where, ask = saved(name, layout, tmp_path)
    encoder = clip.load(where)
    rng = np.random.default_rng(0)
    num_images = 1 if "L-14" in name else 2
    images = rng.random((num_images, encoder.image_px, encoder.image_px, 3), np.float32)
    tokens = encoder.tokenize(CAPTIONS)
    resnet = name.startswith("RN")

    want, gradients, directions = original(model, ask, images, tokens, rng)
    cleared = None
    if resnet:
        # Gradients once more with weights that no rounding can take across a relu's kink.
        clip_originals.keep_clear_of_kinks(
            model, clip_originals.as_torch(torch.tensor(images), OPENAI_MEAN, OPENAI_STD), 1
        )
        state = {key: value.numpy() for key, value in model.state_dict().items()}
        cleared = layouts.to_variables(encoder.towers.model, "open_clip", state.__getitem__)
        want_clear, gradients, directions = original(model, ask, images, tokens, rng)
    del model
    gc.collect()

    @jax.jit
    def ours(params, images, tokens):
        said, back = jax.vjp(lambda images: everything(encoder)(params, images, tokens), images)
        zeros = jax.tree.map(jnp.zeros_like, said)
        return said, {key: back(zeros | {key: direction})[0] for key, direction in directions.items()}

    def answered(params):
        return jax.tree.map(np.asarray, ours(params, jnp.asarray(images), jnp.asarray(tokens)))

    got, got_gradients = answered(encoder.params)
    if cleared is not None:
        compare(name, layout, want, got, parity_rows)
        got, got_gradients = answered(cleared)
        compare(name, layout, want_clear, got)
    else:
        compare(name, layout, want, got, parity_rows)
        direct = encoder.image_features(encoder.params, images)
        np.testing.assert_allclose(direct, want["embedding"], atol=TOLERANCE * np.abs(want["embedding"]).max(), rtol=0)
    gradients, got_gradients = ({f"gradient of {k}": v for k, v in g.items()} for g in (gradients, got_gradients))
    compare(name, layout, gradients, got_gradients, parity_rows)


def original(model, ask, images, tokens, rng):
    """What the original says, and the gradients of some of it with respect to the image, in random directions."""
    from tests.fixtures import clip_originals

    pixels = torch.tensor(images, requires_grad=True)
    said = ask(model, clip_originals.as_torch(pixels, OPENAI_MEAN, OPENAI_STD), torch.tensor(tokens, dtype=torch.long))
    asked = [key for key in ("embedding", "logits", "class_token", "spatial") if key in said]
    directions = {key: rng.standard_normal(said[key].shape).astype(np.float32) for key in asked}
    sums = {key: (said[key] * torch.tensor(directions[key])).sum() for key in asked}
    gradients = {key: torch.autograd.grad(sums[key], pixels, retain_graph=True)[0].numpy() for key in asked}
    return {key: value.detach().numpy() for key, value in said.items()}, gradients, directions


def compare(name, layout, want, got, parity_rows=None):
    """Asserts, and adds rows: blocks and stages of a tower are one row, its worst."""
    assert set(got) == set(want)
    rows = {}
    for key, theirs in want.items():
        mine = got[key]
        assert theirs.shape == mine.shape, key
        largest, difference = float(np.abs(theirs).max()), float(np.abs(theirs - mine).max())
        assert 1e-6 < largest < 1e4, f"{key}: a comparison that says nothing, {largest}"
        assert theirs.std() > 1e-3 * largest, f"{key}: all values are alike"
        assert difference <= TOLERANCE * largest, f"{key}: {difference} of {largest}"
        row = key.rsplit("_", 1)[0] + "s" if key.rsplit("_", 1)[-1].isdigit() else key
        if row not in rows or difference / largest > rows[row][1] / rows[row][0]:
            rows[row] = (largest, difference)
    if parity_rows is not None:
        parity_rows += [(name, layout, row, *values) for row, values in rows.items()]


@pytest.mark.parametrize("name", ["ViT-B-32-quickgelu", "RN50-quickgelu"])
def test_back_to_the_originals_layout(name, tmp_path):
    model, where, _ = saved(name, "open_clip", tmp_path)
    encoder = clip.load(where)
    state = to_tensors(architectures.build(name), "open_clip", encoder.params)
    found = model.load_state_dict({key: torch.tensor(value) for key, value in state.items()}, strict=True)
    assert not found.missing_keys and not found.unexpected_keys
    for key, value in model.state_dict().items():
        if not key.endswith("num_batches_tracked"):
            assert np.array_equal(value.numpy(), state[key]), key


def test_back_to_the_layout_of_transformers(tmp_path):
    model, where, _ = saved("ViT-B-32-quickgelu", "huggingface", tmp_path)
    before = {key: value.clone() for key, value in model.state_dict().items()}
    state = to_tensors(architectures.build("ViT-B-32"), "huggingface", clip.load(where).params)
    found = model.load_state_dict({key: torch.tensor(value) for key, value in state.items()}, strict=False)
    assert not found.unexpected_keys
    assert all(key.endswith("position_ids") for key in found.missing_keys)
    assert all(torch.equal(value, before[key]) for key, value in model.state_dict().items())


class Holder(torch.nn.Module):
    """A module with nothing but a place for tensors."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x


def torchscript(state, path):
    """A TorchScript file whose state has given names, in half precision as OpenAI's has most of it."""
    root = Holder()
    for name, value in state.items():
        *folders, leaf = name.split(".")
        place = root
        for folder in folders:
            if folder not in dict(place.named_children()):
                place.add_module(folder, Holder())
            place = place.get_submodule(folder)
        place.register_buffer(leaf, value.half() if value.is_floating_point() else value)
    for name, value in (("input_resolution", 224), ("context_length", 77), ("vocab_size", 49408)):
        root.register_buffer(name, torch.tensor(value))
    torch.jit.save(torch.jit.script(root), str(path))


@pytest.mark.filterwarnings("ignore:`torch.jit:DeprecationWarning")
def test_openais_own_file(tmp_path, monkeypatch):
    from tests.fixtures import clip_originals

    model = clip_originals.open_clip_model("RN50-quickgelu", 5)
    path = tmp_path / "RN50.pt"
    torchscript({k: v for k, v in model.state_dict().items() if not k.endswith("num_batches_tracked")}, path)
    with pytest.raises(UsageError, match="expected OpenAI's file of openai-rn50 with SHA-256 afeb0e10"):
        clip.load(f"openai:{path}")
    entry = catalog.ENTRIES["openai-rn50"]
    pinned = type(entry)(**{**vars(entry), "openai_sha256": hub.remembered_sha256(path)})
    monkeypatch.setitem(catalog.ENTRIES, "openai-rn50", pinned)
    monkeypatch.setenv("BENCH_DATA_DIR", str(tmp_path / "cache"))
    named = clip.load(f"openai:{path}")
    assert loading.convert_original("openai-rn50", path) == catalog.ENTRIES["openai-rn50"].manual_path
    converted = clip.load("openai-rn50")
    assert named.towers == converted.towers
    assert jax.tree.all(jax.tree.map(lambda a, b: bool((a == b).all()), named.params, converted.params))
    want = model.visual.attnpool.q_proj.weight.half().float().numpy()
    assert np.array_equal(np.asarray(named.params["params"]["image_tower"]["pool"]["query"]["kernel"]), want.T)


def test_tokens_equal_open_clips():
    from tests.fixtures import clip_originals

    texts = [
        *CAPTIONS,
        "",
        "A Dog's life, isn't it? 1234",
        "fish &amp;amp; chips &lt;b&gt;",
        "“quoted” ‘text’ — ﬁne",
        "naïve café",
        "tab\tand\nnew  line",
        "Two people riding horses on the beach; 25% off!",
        "emoji 🙂 and ☃",
        "日本語の本",
        "co-op re-use e.g. x",
    ]
    want = clip_originals.open_clip().get_tokenizer("ViT-B-32")(texts).numpy()
    np.testing.assert_array_equal(ClipTokenizer().encode(texts), want)


@pytest.mark.parametrize("size", [(400, 400), (640, 427), (333, 500), (224, 224), (100, 120), (225, 1000)])
def test_preprocessing_equals_open_clips(size):
    from PIL import Image

    from tests.fixtures import clip_originals

    photo = Image.fromarray(np.random.default_rng(1).integers(0, 256, (size[1], size[0], 3), np.uint8))
    want = clip_originals.open_clip().image_transform(224, is_train=False)(photo).permute(1, 2, 0).numpy()
    got = (preprocess.photo(photo, 224) - np.float32(OPENAI_MEAN)) / np.float32(OPENAI_STD)
    assert np.abs(got - want).max() * min(OPENAI_STD) < 1e-6  # of a pixel: well under 1/255
