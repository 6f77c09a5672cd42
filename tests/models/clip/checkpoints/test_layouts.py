import dataclasses
import json

import jax
import numpy as np
import pytest

from bench.errors import UsageError
from models.clip.checkpoints import layouts
from models.clip.networks import architectures, dual_encoder
from models.clip.networks.dual_encoder import DualEncoder
from tests.fixtures import clip_twins
from tests.fixtures.clip_tensors import to_tensors


@pytest.mark.parametrize(
    ("tower", "layout"), [("vit", "open_clip"), ("vit", "huggingface"), ("resnet", "open_clip"), ("vit", "ours")]
)
def test_there_and_back(tower, layout):
    model = clip_twins.small(tower)
    variables = clip_twins.variables(model)
    tensors = to_tensors(model, layout, variables)
    layouts.check_tensors(model, layout, {name: value.shape for name, value in tensors.items()}, "here")
    back = layouts.to_variables(model, layout, tensors.__getitem__)
    assert jax.tree.structure(back) == jax.tree.structure(variables)
    assert all(np.array_equal(a, b) for a, b in zip(jax.tree.leaves(back), jax.tree.leaves(variables), strict=True))


@pytest.mark.parametrize("layout", ["open_clip", "huggingface"])
def test_patches_are_the_original_convolution(layout):
    model = clip_twins.small()
    tensors = to_tensors(model, layout, clip_twins.variables(model))
    name = {"open_clip": "visual.conv1.weight", "huggingface": "vision_model.embeddings.patch_embedding.weight"}[layout]
    kernel = tensors[name]
    assert kernel.shape == (12, 3, 8, 8)
    image = np.random.default_rng(0).standard_normal((16, 16, 3))
    want = sum(kernel[5, c, y, x] * image[8 + y, x, c] for c in range(3) for y in range(8) for x in range(8))
    ours = layouts.to_variables(model, layout, tensors.__getitem__)["params"]["image_tower"]["patches"]["kernel"]
    assert image[8:16, :8].ravel() @ ours[:, 5] == pytest.approx(want)


def test_queries_keys_and_values_stand_in_this_order():
    model = clip_twins.small()
    variables = clip_twins.variables(model)
    kernel = variables["params"]["text_tower"]["block_1"]["attention"]["qkv"]["kernel"]
    theirs = to_tensors(model, "huggingface", variables)
    for i, part in enumerate("qkv"):
        name = f"text_model.encoder.layers.1.self_attn.{part}_proj.weight"
        np.testing.assert_array_equal(theirs[name], kernel[:, 12 * i : 12 * (i + 1)].T)
    packed = to_tensors(model, "open_clip", variables)["transformer.resblocks.1.attn.in_proj_weight"]
    np.testing.assert_array_equal(packed, kernel.T)


def test_numbers_of_published_models():
    # Parameters in millions as open_clip's model_profile.csv has them: B/32 151.28, RN50x4 178.3.
    for name, millions in (("ViT-B-32", 151.28), ("RN50x4", 178.3)):
        shapes = dual_encoder.variable_shapes(architectures.build(name))
        found = sum(int(np.prod(shape)) for path, shape in shapes.items() if path.startswith("params/"))
        assert found / 1e6 == pytest.approx(millions, abs=0.01)


def shapes_of(name, layout="open_clip"):
    return layouts.tensor_shapes(architectures.build(name), layout)


@pytest.mark.parametrize(
    ("layout", "first"),
    [("open_clip", "visual.conv1.weight"), ("huggingface", "vision_model.embeddings.patch_embedding.weight")],
)
def test_another_architecture_names_the_first_differing_tensor(layout, first):
    with pytest.raises(UsageError) as raised:
        layouts.check_tensors(architectures.build("ViT-B-16"), layout, shapes_of("ViT-B-32", layout), "open_clip:x")
    assert str(raised.value) == (
        f"open_clip:x: expected {first} of shape (768, 3, 16, 16), got shape (768, 3, 32, 32); "
        "this is a checkpoint of ViT-B-32"
    )


def test_a_tensor_that_is_missing_or_too_many():
    model = clip_twins.small()
    got = layouts.tensor_shapes(model, "open_clip")
    fewer = {name: shape for name, shape in got.items() if name != "visual.transformer.resblocks.1.ln_2.bias"}
    with pytest.raises(UsageError, match=r"resblocks.1.ln_2.bias of shape \(12,\), got no such tensor"):
        layouts.check_tensors(model, "open_clip", fewer, "x")
    more = {**got, "visual.transformer.resblocks.2.ln_1.weight": (12,)}
    with pytest.raises(UsageError, match=r"no tensor .*resblocks.2.ln_1.weight, got one of shape \(12,\)"):
        layouts.check_tensors(model, "open_clip", more, "x")
    layouts.check_tensors(model, "open_clip", {**got, "attn_mask": (6, 6), "input_resolution": ()}, "x")


def test_a_resnet_is_told_from_a_vit():
    with pytest.raises(UsageError, match="this is a checkpoint of RN50$"):
        layouts.check_tensors(clip_twins.small(), "open_clip", shapes_of("RN50"), "x")
    with pytest.raises(UsageError, match="huggingface: expected a ViT with a text tower"):
        layouts.tensor_shapes(clip_twins.small("resnet"), "huggingface")


@pytest.mark.parametrize(
    "names", [["visual.conv1.weight"], ["vision_model.x"], ["params/logit_scale"], ["model.layer"]]
)
def test_layouts_are_told_by_their_names(names):
    want = {"visual.conv1.weight": "open_clip", "vision_model.x": "huggingface", "params/logit_scale": "ours"}
    assert layouts.detect_layout(names) == want.get(names[0])


@pytest.mark.parametrize(
    "model",
    [
        clip_twins.small(),
        clip_twins.small("resnet"),
        DualEncoder(image_tower=clip_twins.VIT),
        architectures.build("RN50x16-quickgelu"),
    ],
)
def test_an_architecture_is_written_down_and_read_again(model):
    written = json.loads(json.dumps(architectures.to_json(model)))
    assert architectures.from_json(written) == model


def test_a_wrong_description_is_refused():
    written = architectures.to_json(clip_twins.VIT)
    with pytest.raises(UsageError, match="a type, got 'VisionTransformr'; the nearest is"):
        architectures.from_json(written | {"type": "VisionTransformr"})
    with pytest.raises(UsageError, match="VisionTransformer: .*got 'wide'; the nearest is 'width'"):
        architectures.from_json(written | {"wide": 3})
    with pytest.raises(UsageError, match="activation to be .*got 'swish'"):
        architectures.from_json(written | {"activation": "swish"})
    with pytest.raises(UsageError, match="expected depth to be .*, got True"):
        architectures.from_json(written | {"depth": True})


def test_the_ending_of_a_name_says_the_nonlinearity():
    for tower in ("image_tower", "text_tower"):
        assert getattr(architectures.build("ViT-L-14-quickgelu"), tower).activation == "quick_gelu"
        assert getattr(architectures.build("ViT-L-14"), tower).activation == "gelu"
        assert getattr(architectures.build("ViT-L-14-gelu"), tower).activation == "gelu"
    with pytest.raises(UsageError, match="got 'ViT-B-23'; the nearest is 'ViT-B-32'"):
        architectures.build("ViT-B-23")


def test_configuration_of_transformers():
    # What an old config.json of transformers leaves out has the class's defaults: those of OpenAI's B/32.
    assert architectures.from_huggingface(
        {"model_type": "clip", "text_config": {"eos_token_id": 2}}
    ) == architectures.build("ViT-B-32-quickgelu")
    new = architectures.from_huggingface(
        {"model_type": "clip", "vision_config": {"hidden_act": "gelu", "intermediate_size": 1000}}
    )
    assert new.text_tower == dataclasses.replace(
        architectures.build("ViT-B-32-quickgelu").text_tower, end_of_text=49407
    )
    assert new.image_tower == dataclasses.replace(architectures.build("ViT-B-32").image_tower, hidden_width=1000)
    with pytest.raises(UsageError, match="config.json: expected model_type 'clip', got 'siglip'"):
        architectures.from_huggingface({"model_type": "siglip"})
    with pytest.raises(UsageError, match="text_config.hidden_act .*got 'relu'"):
        architectures.from_huggingface({"model_type": "clip", "text_config": {"hidden_act": "relu"}})
    with pytest.raises(UsageError, match="expected vision_config.layer_norm_eps 1e-05, got 1e-06"):
        architectures.from_huggingface({"model_type": "clip", "vision_config": {"layer_norm_eps": 1e-6}})
