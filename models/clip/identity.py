"""Tells which encoder a name means: weights, architecture, how pixels are normalised, how texts become tokens.

Weights alone are not enough: the same file read with another mean, or with another tokenizer, is another encoder. No
weights are loaded for it; of a file of ours the header is read, and hashes of large files are remembered.
"""

from __future__ import annotations

import functools
import hashlib
import json
import pathlib
from collections.abc import Sequence
from typing import Any

from models.clip.checkpoints import catalog, sharded
from models.clip.checkpoints.catalog import EMBEDDED, EMBEDDED_FOLDER, ENTRIES
from models.clip.checkpoints.files import read_header, tokenizer_to_json
from models.clip.encoder import OPENAI_MEAN, OPENAI_STD
from models.clip.networks import architectures
from models.clip.networks.dual_encoder import DualEncoder
from models.clip.tokenizers import ClipTokenizer
from tasks.data_dir import content_hashes

READ_BESIDE = (
    "config.json", "preprocessor_config.json", "processor_config.json", "open_clip_config.json", "tokenizer.json",
    "tokenizer_config.json", "vocab.json", "merges.txt", "special_tokens_map.json",
)  # fmt: skip
"""Files beside a checkpoint of another's layout that may say how it is read."""


def encoder_identity(name: str) -> dict[str, Any]:
    """Tell what an encoder is, as JSON.

    Args:
        name: As `models.clip.loading.load` takes it.

    Returns:
        `weights`: their SHA-256, None where neither the catalog nor a file says one (then the name holds a commit).
        `architecture` and `tokenizer`: digests, `image_px`, `mean` and `std`: of pixels; or, for a checkpoint of
        another's layout, `beside`: digests of the files that say so. Paths are no part of it.
    """
    scheme, _, rest = name.partition(":")
    if name in EMBEDDED:
        return _of_our_file(EMBEDDED_FOLDER / f"{name}.safetensors", EMBEDDED[name])
    if name in ENTRIES:
        return _of_entry(name)
    path = path_of(name)
    if path is None or not path.exists():
        return {"weights": None}
    if scheme == "file":
        return _of_our_file(path, content_hashes.sha256_of(path))
    folder = path if path.is_dir() else path.parent
    beside = {file: content_hashes.sha256_of(folder / file) for file in READ_BESIDE if (folder / file).is_file()}
    found = {"weights": weights_of(path), "beside": _digest(beside)}
    return found | ({"architecture": rest.partition("/")[0]} if scheme == "open_clip" else {})


def path_of(name: str) -> pathlib.Path | None:
    """Find the file or folder that an encoder's name holds; None where it holds a repository of the hub."""
    scheme, colon, rest = name.partition(":")
    place = rest.partition("/")[2] if scheme == "open_clip" else rest
    if not colon or not place or place.startswith("hf:"):
        return None
    return pathlib.Path(place).expanduser()


def weights_of(path: pathlib.Path) -> str:
    """Hash the weights in a file, in the shards of an index, or in all files of a folder that hold weights."""
    if path.is_file() and sharded.is_index(path):
        shards = sharded.files(path, path.name)
        return _digest([content_hashes.sha256_of(file) for file in (path, *shards)], 64)
    if path.is_file():
        return content_hashes.sha256_of(path)
    files = sorted(file for file in path.rglob("*") if file.is_file() and file.name not in READ_BESIDE)
    hashes = content_hashes.sha256_of_all(files)
    return _digest([[str(file.relative_to(path)), found] for file, found in zip(files, hashes, strict=True)], 64)


@functools.lru_cache(maxsize=64)
def _of_entry(name: str) -> dict[str, Any]:
    """Tell a published checkpoint as it is pinned, on disk or not."""
    model = architectures.build(ENTRIES[name].architecture)
    tokenizer = tokenizer_to_json(ClipTokenizer())
    return _parts(catalog.weights_fingerprint(name), model, OPENAI_MEAN, OPENAI_STD, tokenizer)


@functools.lru_cache(maxsize=64)  # a suite asks once a trial
def _of_our_file(path: pathlib.Path, sha256: str) -> dict[str, Any]:
    header = read_header(path, path.name)
    return _parts(sha256, header.model, header.mean, header.std, tokenizer_to_json(header.tokenizer))


def _parts(
    sha256: str | None, model: DualEncoder, mean: Sequence[float], std: Sequence[float], tokenizer: Any
) -> dict[str, Any]:
    return {
        "weights": sha256,
        "architecture": _digest(architectures.to_json(model)),
        "image_px": model.image_tower.image_px,
        "mean": list(mean),
        "std": list(std),
        "tokenizer": _digest(tokenizer) if tokenizer else None,
    }


def _digest(tree: Any, num_digits: int = 16) -> str:
    return hashlib.sha256(json.dumps(tree, sort_keys=True).encode()).hexdigest()[:num_digits]
