"""Tells which encoder a name means: weights, architecture, how pixels are normalised, how texts become tokens.

Weights alone are not enough: the same file read with another mean, or with another tokenizer, is another encoder. A
path is no part of it: two copies of one checkpoint are one encoder. No weights are loaded for it; of a file of ours the
header is read, and hashes of large files are remembered.
"""

from __future__ import annotations

import functools
import hashlib
import json
import pathlib
import time
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from flax import linen

from models.clip.checkpoints import catalog, hub
from models.clip.checkpoints.catalog import EMBEDDED, EMBEDDED_FOLDER, ENTRIES
from models.clip.checkpoints.files import read_header, tokenizer_to_json
from models.clip.encoder import OPENAI_MEAN, OPENAI_STD
from models.clip.networks import architectures
from models.clip.networks.dual_encoder import DualEncoder
from models.clip.tokenizers import ClipTokenizer
from models.imagenet.architectures import CLASSIFIERS
from models.imagenet.catalog import IMAGENET

SCHEME = "clip"
"""Begins the name of an encoder by its content, which `canonical_name` gives; nothing is loaded by such a name."""

SETTLED_NS = 2_000_000_000
"""A file that changed less than this ago may change again within one tick of the clock, and is read again."""


def encoder_identity(name: str) -> dict[str, Any]:
    """Describe an encoder by what its features depend on, as JSON.

    Args:
        name: As `models.clip.loading.load` takes it.

    Returns:
        `weights`: their SHA-256. `architecture` and `tokenizer`: digests. `image_px`, `mean` and `std` of pixels. Of
        OpenAI's file that no catalog names, the weights alone: its architecture follows from them. Of a repository of
        the hub, `weights` is None and the rest is left out: its name holds a commit, and nothing is fetched for it.

    Raises:
        UsageError: The name holds a path, and there is no checkpoint there, or one that cannot be loaded.
    """
    if name in EMBEDDED:
        return _of_our_file(EMBEDDED_FOLDER / f"{name}.safetensors", EMBEDDED[name])
    if name in ENTRIES:
        return _of_entry(name)
    if name in IMAGENET:
        return _of_classifier(name)
    path = path_of(name)
    if path is None:
        return {"weights": None}
    state = _state(name, path)
    newest = max((changed for _, _, changed, _ in state), default=0)
    is_settled = time.time_ns() - newest > SETTLED_NS
    return dict(_remembered(name, state) if state and is_settled else _of_path(name, path))


def canonical_name(name: str) -> str:
    """Name an encoder without a path: by the catalog where it is one of those, else by a digest of its identity.

    Names without a path, and repositories of the hub, stay as they are.

    Example:
        >>> canonical_name("embedded-vit-8"), canonical_name("hf:owner/name@" + "0" * 40)[:13]
        ('embedded-vit-8', 'hf:owner/name')

    Raises:
        UsageError: As `encoder_identity`.
    """
    if path_of(name) is None:
        return name
    found = encoder_identity(name)
    for known in (*EMBEDDED, *ENTRIES):
        if catalog.weights_fingerprint(known) == found["weights"] and encoder_identity(known) == found:
            return known
    return f"{SCHEME}:{_digest(found, 12)}"


def path_of(name: str) -> pathlib.Path | None:
    """Find the file or folder that an encoder's name holds; None where it holds none, or a repository of the hub."""
    scheme, _, rest = name.partition(":")
    if scheme in ("file", "openai", "clip-jax"):
        return pathlib.Path(rest).expanduser()
    if scheme == "open_clip":
        place = rest.partition("/")[2]
        return pathlib.Path(place).expanduser() if place and not place.startswith("hf:") else None
    if scheme == "hf":
        path = pathlib.Path(rest).expanduser()
        return path if rest.startswith((".", "/", "~")) or path.exists() else None
    return None


def _state(name: str, path: pathlib.Path) -> tuple[tuple[str, int, int, int], ...]:
    """Read size, time of change and inode of the files that an encoder may be read from."""
    found = []
    for file in sorted(_files_of(name.partition(":")[0], path)):
        status = file.stat()
        found.append((str(file), status.st_size, status.st_mtime_ns, status.st_ino))
    return tuple(found)


def _files_of(scheme: str, path: pathlib.Path) -> Iterator[pathlib.Path]:
    found: Iterable[pathlib.Path] = [path]
    if scheme == "clip-jax":
        found = path.rglob("*")
    elif scheme in ("hf", "open_clip"):
        folder = path if path.is_dir() else path.parent
        found = (file for ending in ("*.json", "*.safetensors", "*.txt") for file in folder.glob(ending))
    return (file for file in found if file.is_file())


@functools.lru_cache(maxsize=64)  # a suite asks once a trial, and a vocabulary takes long to read
def _remembered(name: str, _: tuple[tuple[str, int, int, int], ...]) -> dict[str, Any]:
    path = path_of(name)
    assert path is not None
    return _of_path(name, path)


def _of_path(name: str, path: pathlib.Path) -> dict[str, Any]:
    from models.clip.checkpoints.encoder_parts import encoder_parts

    if name.startswith("openai:") and path.is_file():
        weights = hub.remembered_sha256(path)
        if weights not in {entry.openai_sha256 for entry in ENTRIES.values()}:
            return {"weights": weights}  # only torch could read its architecture
    parts = encoder_parts(name)
    return {
        "weights": parts["sha256"],
        "architecture": _digest(parts["architecture"]),
        "image_px": parts["image_px"],
        "mean": parts["mean"],
        "std": parts["std"],
        "tokenizer": _digest(parts["tokenizer"]) if parts["tokenizer"] else None,
    }


@functools.lru_cache(maxsize=64)
def _of_entry(name: str) -> dict[str, Any]:
    """Describe a published checkpoint as it is pinned, on disk or not."""
    model = architectures.build(ENTRIES[name].architecture)
    tokenizer = tokenizer_to_json(ClipTokenizer())
    return _parts(catalog.weights_fingerprint(name), model, OPENAI_MEAN, OPENAI_STD, tokenizer)


@functools.lru_cache(maxsize=64)
def _of_classifier(name: str) -> dict[str, Any]:
    """Describe a network that was trained on ImageNet's labels as it is pinned, on disk or not."""
    checkpoint = IMAGENET[name]
    model = CLASSIFIERS[checkpoint.architecture]
    return _parts(checkpoint.sha256, model, checkpoint.mean, checkpoint.std, None)


@functools.lru_cache(maxsize=64)  # a suite asks once a trial
def _of_our_file(path: pathlib.Path, sha256: str) -> dict[str, Any]:
    header = read_header(path, path.name)
    return _parts(sha256, header.model, header.mean, header.std, tokenizer_to_json(header.tokenizer))


def _parts(
    sha256: str | None, model: linen.Module, mean: Sequence[float], std: Sequence[float], tokenizer: Any
) -> dict[str, Any]:
    tower: Any = model.image_tower if isinstance(model, DualEncoder) else model
    return {
        "weights": sha256,
        "architecture": _digest(architectures.to_json(model)),
        "image_px": tower.image_px,
        "mean": list(mean),
        "std": list(std),
        "tokenizer": _digest(tokenizer) if tokenizer else None,
    }


def _digest(tree: Any, num_digits: int = 16) -> str:
    return hashlib.sha256(json.dumps(tree, sort_keys=True).encode()).hexdigest()[:num_digits]
