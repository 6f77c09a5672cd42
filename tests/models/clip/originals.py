"""PyTorch's originals with random weights, and what they say at every layer that has a name here.

Weights are such that activations stay near 1 and every tensor matters: norms have random scales, biases and statistics.
"""

from __future__ import annotations

import contextlib
import functools
import math

import numpy as np
import torch


@functools.cache
def import_torchvision():
    """Both packages import it; its compiled operators, which no tower uses, may be those of another torch."""
    register_fake = torch.library.register_fake
    torch.library.register_fake = lambda *args, **kwargs: lambda function: function
    try:
        import torchvision  # noqa: F401
    finally:
        torch.library.register_fake = register_fake


def open_clip():
    """The package."""
    import_torchvision()
    import open_clip as package

    return package


def randomize(model, seed):
    """Fills every parameter and statistic."""
    generator = torch.Generator().manual_seed(seed)

    def normal(tensor, std, mean=0.0):
        return torch.randn(tensor.shape, generator=generator) * std + mean

    with torch.no_grad():
        for name, tensor in model.state_dict().items():
            if not tensor.is_floating_point():
                continue
            if name.endswith("running_var"):
                value = torch.rand(tensor.shape, generator=generator) + 0.5
            elif name.endswith("logit_scale"):
                value = torch.tensor(2.3)
            elif name.endswith("bn3.weight"):  # what a block adds, where nothing keeps sums from growing
                value = normal(tensor, 0.1, 0.3)
            elif tensor.ndim == 1 and name.endswith("weight"):  # a norm's scale
                value = normal(tensor, 0.2, 1.0)
            elif tensor.ndim == 1 and not name.endswith("class_embedding"):
                value = normal(tensor, 0.2)
            elif "embedding" in name and "patch_embedding" not in name:
                value = normal(tensor, 0.5)
            elif tensor.ndim == 4 and tensor.shape[-1] in (1, 3):  # before a relu
                value = normal(tensor, math.sqrt(2 / tensor[0].numel()))
            else:
                fan_in = tensor[0].numel() if name.endswith(("weight", "in_proj_weight")) else tensor.shape[0]
                value = normal(tensor, fan_in**-0.5)
            tensor.copy_(value)
    return model.eval().requires_grad_(False)


def keep_clear_of_kinks(model, images, seed):
    """Gives a ResNet norms after which no unit is near zero: each channel is on, or off, everywhere.

    Where a unit is within rounding of a relu's kink its gradient is one thing or the other: PyTorch's own two memory
    formats then differ by 1e-3 to 4e-2 of a gradient's largest value. Statistics are those of these images.
    """
    generator = torch.Generator().manual_seed(seed)
    norms = {name: m for name, m in model.visual.named_modules() if isinstance(m, torch.nn.BatchNorm2d)}
    signs = {}
    for name, norm in norms.items():
        size = norm.weight.shape
        # Sums along a stage keep their sign: its last norms, and its shortcut's, agree.
        key = name.split(".")[0] if name.endswith(("bn3", "downsample.1")) and "layer" in name else name
        if key not in signs:
            signs[key] = torch.where(torch.rand(size, generator=generator) < 0.75, 1.0, -1.0)
        norm.weight.copy_(0.1 + 0.1 * torch.rand(size, generator=generator))
        norm.bias.copy_(signs[key] * (1 + 0.2 * torch.rand(size, generator=generator)))
        norm.momentum = 1.0
    with torch.no_grad():
        model.train()
        model.encode_image(images)
        model.eval()
    return model


def open_clip_model(name, seed):
    """An architecture of open_clip by its name."""
    return randomize(open_clip().create_model(name, pretrained=None, precision="fp32"), seed)


def huggingface_model(model, seed):
    """`transformers.CLIPModel` of one of our ViTs."""
    import_torchvision()
    from transformers import CLIPConfig, CLIPModel

    def sizes(tower):
        return {
            "hidden_size": tower.width, "intermediate_size": tower.hidden_width or 4 * tower.width,
            "num_hidden_layers": tower.depth, "num_attention_heads": tower.num_heads, "hidden_act": tower.activation,
            "projection_dim": tower.embedding_dim,
        }  # fmt: skip

    image, text = model.image_tower, model.text_tower
    config = CLIPConfig(
        vision_config={**sizes(image), "image_size": image.image_px, "patch_size": image.patch_px},
        text_config={
            **sizes(text), "vocab_size": text.num_tokens, "max_position_embeddings": text.context_length,
            "eos_token_id": 49407, "bos_token_id": 49406, "pad_token_id": 1,
        },
        projection_dim=image.embedding_dim,
    )  # fmt: skip
    return randomize(CLIPModel(config), seed)


@contextlib.contextmanager
def recorded(modules):
    """Keeps the output of modules, by name, while they run."""
    kept = {}

    def keep(name):
        def hook(module, inputs, output):
            kept[name] = output[0] if isinstance(output, tuple) else output

        return hook

    handles = [module.register_forward_hook(keep(name)) for name, module in modules.items()]
    try:
        yield kept
    finally:
        for handle in handles:
            handle.remove()


def said_by_open_clip(model, images, tokens):
    """Everything that has a name here: images normalised, channels first."""
    visual, blocks = model.visual, model.transformer.resblocks
    resnet = hasattr(visual, "attnpool")
    if resnet:
        modules = {f"stage_{i}": getattr(visual, f"layer{i}") for i in (1, 2, 3, 4)} | {"stage_0": visual.avgpool}
    else:
        modules = {"block_0": visual.ln_pre}
        modules |= {f"block_{i + 1}": block for i, block in enumerate(visual.transformer.resblocks)}
    modules |= {f"text block_{i + 1}": block for i, block in enumerate(blocks)} | {"text end_token": model.ln_final}
    with recorded(modules) as kept:
        seen, read = model.encode_image(images), model.encode_text(tokens)
    rows = torch.arange(len(tokens))
    end = tokens.argmax(dim=-1)
    said = {"embedding": seen, "text embedding": read}
    if resnet:
        said["spatial"] = kept["stage_4"].permute(0, 2, 3, 1).flatten(1)
        said |= {name: kept[name].mean(dim=(2, 3)) for name in kept if name.startswith("stage_")}
    else:
        said |= _of_tokens(kept)
    said |= {name: kept[name][rows, end] for name in kept if name.startswith("text ")}
    said["text block_0"] = (model.token_embedding(tokens) + model.positional_embedding)[rows, end]
    said["logits"] = _logits(model, seen, read)
    return said


def said_by_huggingface(model, images, tokens):
    """Everything that has a name here: images normalised, channels first."""
    vision, text = model.vision_model, model.text_model
    modules = {"block_0": vision.pre_layrnorm}
    modules |= {f"block_{i + 1}": block for i, block in enumerate(vision.encoder.layers)}
    modules |= {"text block_0": text.embeddings, "text end_token": text.final_layer_norm}
    modules |= {"embedding": model.visual_projection, "text embedding": model.text_projection}
    modules |= {f"text block_{i + 1}": block for i, block in enumerate(text.encoder.layers)}
    with recorded(modules) as kept:
        logits = model(input_ids=tokens, pixel_values=images).logits_per_image
    rows, end = torch.arange(len(tokens)), tokens.argmax(dim=-1)
    said = {"embedding": kept.pop("embedding"), "text embedding": kept.pop("text embedding"), "logits": logits}
    said |= _of_tokens(kept)
    return said | {name: kept[name][rows, end] for name in kept if name.startswith("text ")}


def _of_tokens(kept):
    blocks = {name: x for name, x in kept.items() if name.startswith("block_")}
    last = kept[f"block_{len(blocks) - 1}"]
    said = {name: x[:, 0] for name, x in blocks.items()}
    return said | {"class_token": last[:, 0], "spatial": last[:, 1:].flatten(1)}


def _logits(model, seen, read):
    norm = torch.nn.functional.normalize
    return model.logit_scale.exp() * norm(seen, dim=-1) @ norm(read, dim=-1).T


def as_torch(images, mean, std):
    """Images in [0, 1] as PyTorch's originals take them; differentiable."""
    mean, std = (torch.tensor(np.float32(v)) for v in (mean, std))
    return ((images - mean) / std).permute(0, 3, 1, 2)
