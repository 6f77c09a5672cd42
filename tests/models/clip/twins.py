"""The towers once more in plain NumPy, float64, one image and one head at a time; and small models to try them on."""

from __future__ import annotations

import math

import jax
import numpy as np

from models.clip.networks import dual_encoder
from models.clip.networks.dual_encoder import DualEncoder
from models.clip.networks.resnet import ModifiedResNet
from models.clip.networks.text_transformer import TextTransformer
from models.clip.networks.vit import VisionTransformer

TEXT = TextTransformer(
    num_tokens=20, context_length=6, width=12, depth=2, num_heads=3, embedding_dim=5, activation="quick_gelu",
    end_of_text=2,
)  # fmt: skip
VIT = VisionTransformer(
    image_px=16, patch_px=8, width=12, depth=2, num_heads=3, embedding_dim=5, activation="quick_gelu"
)  # fmt: skip
RESNET = ModifiedResNet(image_px=16, stage_sizes=(1, 2), width=4, num_heads=2, embedding_dim=5)


def small(tower="vit"):
    """A dual encoder of a few thousand numbers."""
    return DualEncoder(image_tower=VIT if tower == "vit" else RESNET, text_tower=TEXT)


def variables(model, seed=0):
    """Random ones, in which every tensor matters: norms scale, shift and have statistics."""
    rng = np.random.default_rng(seed)

    def value(path, leaf):
        name = path[-1].key
        noise = rng.standard_normal(leaf.shape)
        if name == "var":
            return rng.uniform(0.5, 1.5, leaf.shape).astype(np.float32)
        if name == "scale":
            return (1 + 0.3 * noise).astype(np.float32)
        if name == "kernel":
            return (noise / math.sqrt(math.prod(leaf.shape[:-1]))).astype(np.float32)
        return (0.3 * noise).astype(np.float32)

    shapes = jax.eval_shape(lambda: dual_encoder.init(model, jax.random.key(0)))
    return jax.tree_util.tree_map_with_path(value, shapes)


def layer_norm(x, p):
    mean, var = x.mean(-1, keepdims=True), x.var(-1, keepdims=True)
    return (x - mean) / np.sqrt(var + 1e-5) * p["scale"] + p["bias"]


def dense(x, p):
    return x @ p["kernel"].astype(np.float64) + p["bias"]


def activate(x, activation):
    if activation == "quick_gelu":
        return x / (1 + np.exp(-1.702 * x))
    return np.vectorize(lambda v: v * 0.5 * (1 + math.erf(v / math.sqrt(2))))(x)


def attend(query, key, value, causal):
    """One head; tokens by loops."""
    mixed = np.zeros_like(value[: len(query)])
    for i in range(len(query)):
        seen = range(i + 1) if causal else range(len(key))
        weights = np.exp([query[i] @ key[j] / math.sqrt(len(query[i])) for j in seen])
        mixed[i] = sum(w * value[j] for w, j in zip(weights / weights.sum(), seen, strict=True))
    return mixed


def block(x, p, num_heads, activation, causal=False):
    width = x.shape[-1]
    size = width // num_heads
    qkv = dense(layer_norm(x, p["norm_1"]), p["attention"]["qkv"])
    query, key, value = qkv[:, :width], qkv[:, width : 2 * width], qkv[:, 2 * width :]
    heads = [slice(h * size, (h + 1) * size) for h in range(num_heads)]
    mixed = np.concatenate([attend(query[:, h], key[:, h], value[:, h], causal) for h in heads], axis=-1)
    x = x + dense(mixed, p["attention"]["out"])
    hidden = activate(dense(layer_norm(x, p["norm_2"]), p["widen"]), activation)
    return x + dense(hidden, p["narrow"])


def vit(tower, p, image):
    """All features of one image."""
    size, num = tower.patch_px, tower.image_px // tower.patch_px
    tokens = [p["class_token"]]
    for row in range(num):
        for column in range(num):
            patch = image[row * size : (row + 1) * size, column * size : (column + 1) * size]
            tokens.append(patch.ravel() @ p["patches"]["kernel"])
    x = layer_norm(np.stack(tokens).astype(np.float64) + p["positions"], p["norm_before"])
    said = {"block_0": x[0]}
    for i in range(tower.depth):
        x = block(x, p[f"block_{i}"], tower.num_heads, tower.activation)
        said[f"block_{i + 1}"] = x[0]
    embedding = layer_norm(x[0], p["norm_after"]) @ p["projection"]
    return said | {"class_token": x[0], "spatial": x[1:].ravel(), "embedding": embedding}


def text(tower, p, tokens):
    """All features of one text."""
    end = next(i for i, token in enumerate(tokens) if token == tower.end_of_text)
    x = p["tokens"]["embedding"][tokens].astype(np.float64) + p["positions"]
    said = {"block_0": x[end]}
    for i in range(tower.depth):
        x = block(x, p[f"block_{i}"], tower.num_heads, tower.activation, causal=True)
        said[f"block_{i + 1}"] = x[end]
    said["end_token"] = layer_norm(x[end], p["norm_after"])
    return said | {"embedding": said["end_token"] @ p["projection"]}


def convolve(x, kernel, stride=1):
    """One image, pixel by pixel, zeros around it."""
    size = kernel.shape[0]
    padded = np.pad(x, ((size // 2, size // 2), (size // 2, size // 2), (0, 0)))
    rows, columns = (math.ceil(side / stride) for side in x.shape[:2])
    found = np.zeros((rows, columns, kernel.shape[-1]))
    for i in range(rows):
        for j in range(columns):
            window = padded[i * stride : i * stride + size, j * stride : j * stride + size]
            found[i, j] = np.tensordot(window, kernel.astype(np.float64), 3)
    return found


def halve(x):
    return (x[::2, ::2] + x[1::2, ::2] + x[::2, 1::2] + x[1::2, 1::2]) / 4


def resnet(tower, p, stats, image):
    """All features of one image."""

    def norm(x, q, s):
        return (x - s["mean"]) / np.sqrt(s["var"] + 1e-5) * q["scale"] + q["bias"]

    def relu(x):
        return np.maximum(x, 0)

    x = image.astype(np.float64)
    for i in range(3):
        x = convolve(x, p[f"stem_{i}"]["kernel"], 2 if i == 0 else 1)
        x = relu(norm(x, p[f"stem_norm_{i}"], stats[f"stem_norm_{i}"]))
    x = halve(x)
    said = {"stage_0": x.mean((0, 1))}
    for i, num in enumerate(tower.stage_sizes):
        for j in range(num):
            q, s = p[f"stage_{i}_block_{j}"], stats[f"stage_{i}_block_{j}"]
            shrink = i > 0 and j == 0
            y = relu(norm(convolve(x, q["conv_0"]["kernel"]), q["norm_0"], s["norm_0"]))
            y = relu(norm(convolve(y, q["conv_1"]["kernel"]), q["norm_1"], s["norm_1"]))
            y = halve(y) if shrink else y
            y = norm(convolve(y, q["conv_2"]["kernel"]), q["norm_2"], s["norm_2"])
            if "shortcut" in q:
                x = convolve(halve(x) if shrink else x, q["shortcut"]["kernel"])
                x = norm(x, q["shortcut_norm"], s["shortcut_norm"])
            x = relu(x + y)
        said[f"stage_{i + 1}"] = x.mean((0, 1))
    said["spatial"] = x.ravel()
    pixels = x.reshape(-1, x.shape[-1])
    pixels = np.concatenate([pixels.mean(0, keepdims=True), pixels]) + p["pool"]["positions"]
    query, key, value = (dense(pixels, p["pool"][name]) for name in ("query", "key", "value"))
    size = pixels.shape[-1] // tower.num_heads
    heads = [slice(h * size, (h + 1) * size) for h in range(tower.num_heads)]
    mixed = np.concatenate([attend(query[:1, h], key[:, h], value[:, h], False)[0] for h in heads])
    return said | {"embedding": dense(mixed, p["pool"]["out"])}
