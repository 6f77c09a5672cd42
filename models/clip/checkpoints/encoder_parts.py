"""Describes what the features of an encoder depend on, without reading its weights into memory.

These parts are weights, architecture, normalisation of pixels, and tokenizer. Encoders with equal parts give equal
features.
"""

from __future__ import annotations

import hashlib
import json
import pathlib
from typing import Any

from models.clip import loading
from models.clip.checkpoints import catalog, foreign, hub
from models.clip.checkpoints.catalog import PublishedCheckpoint
from models.clip.checkpoints.files import read_header, tokenizer_to_json
from models.clip.checkpoints.foreign import CheckpointFiles
from models.clip.checkpoints.pixels import Pixels
from models.clip.checkpoints.settings import Triple
from models.clip.networks import architectures
from models.clip.networks.dual_encoder import DualEncoder
from models.clip.tokenizers import ClipTokenizer, Tokenizer
from models.imagenet.architectures import CLASSIFIERS
from models.imagenet.catalog import IMAGENET, ImageNetCheckpoint


def encoder_parts(name: str) -> dict[str, Any]:
    """Return the parts of an encoder as JSON.

    Args:
        name: As for `loading.load`.

    Returns:
        `sha256` of all weights. `weights`: the SHA-256 of each of their files, by its name. `architecture`, including
        the activation. `image_px`, `mean` and `std` of pixels. `tokenizer`: its type and settings, or None;
        `tokenizer_sha256`: their hash. Paths are not included: a copy of a folder has the same parts, except the names
        in `weights`.

    Raises:
        UsageError: As `loading.load`, except for errors that only reading the tensors shows.
    """
    scheme, colon, rest = name.partition(":")
    if name in catalog.ENTRIES:
        return _of_entry(catalog.ENTRIES[name])
    if name in catalog.EMBEDDED:
        path = catalog.EMBEDDED_FOLDER / f"{name}.safetensors"
        return _of_own_file(name, path, catalog.EMBEDDED[name])
    if name in IMAGENET:
        return _of_classifier(IMAGENET[name])
    if colon and scheme in _SCHEMES:
        return _SCHEMES[scheme](name, rest)
    raise loading.unknown(name)


def _parts(
    files: dict[str, str], sha256: str, model: DualEncoder, normalisation: Pixels, tokenizer: Tokenizer | None
) -> dict[str, Any]:
    return {
        "weights": files,
        "sha256": sha256,
        "architecture": architectures.to_json(model),
        **_pixel_parts(model.image_tower.image_px, normalisation.mean, normalisation.std),
        **_tokenizer_parts(tokenizer),
    }


def _pixel_parts(image_px: int, mean: Triple, std: Triple) -> dict[str, Any]:
    return {"image_px": image_px, "mean": list(mean), "std": list(std)}


def _tokenizer_parts(tokenizer: Tokenizer | None) -> dict[str, Any]:
    written = tokenizer_to_json(tokenizer)
    digest = hashlib.sha256(json.dumps(written, sort_keys=True).encode()).hexdigest()
    return {"tokenizer": written, "tokenizer_sha256": digest if written else None}


def _of_entry(entry: PublishedCheckpoint) -> dict[str, Any]:
    """Return the parts of a published checkpoint, which follow from its pinned hashes alone."""
    pinned = catalog.weights_fingerprint(entry.name) or ""
    file = entry.sources[0].file if entry.sources else f"{entry.name}.pt"
    return _parts({file: pinned}, pinned, architectures.build(entry.architecture), Pixels(), ClipTokenizer())


def _of_classifier(checkpoint: ImageNetCheckpoint) -> dict[str, Any]:
    """Return the parts of a network that was trained on ImageNet's labels, which follow from its pinned hash."""
    model = CLASSIFIERS[checkpoint.architecture]
    return {
        "weights": {pathlib.PurePath(checkpoint.file).name: checkpoint.sha256},
        "sha256": checkpoint.sha256,
        "architecture": architectures.to_json(model),
        **_pixel_parts(model.image_px, checkpoint.mean, checkpoint.std),
        **_tokenizer_parts(None),
    }


def _of_own_file(name: str, path: pathlib.Path, sha256: str) -> dict[str, Any]:
    header = read_header(path, name)
    normalisation = Pixels(header.mean, header.std)
    return _parts({path.name: sha256}, sha256, header.model, normalisation, header.tokenizer)


def _of_file(name: str, rest: str) -> dict[str, Any]:
    path = loading.own_file(name, rest)
    return _of_own_file(name, path, hub.remembered_sha256(path))


def _of_checkpoint(found: CheckpointFiles) -> dict[str, Any]:
    digests = {path.name: hub.remembered_sha256(path) for path in found.files}
    return _parts(digests, hub.sha256_of_files(found.files), found.model, found.pixels, found.tokenizer)


def _of_openai(name: str, rest: str) -> dict[str, Any]:
    path = pathlib.Path(rest).expanduser()
    if path.is_file():
        sha256 = hub.remembered_sha256(path)
        for entry in catalog.ENTRIES.values():
            if sha256 == entry.openai_sha256:
                model = architectures.build(entry.architecture)
                return _parts({path.name: sha256}, sha256, model, Pixels(), ClipTokenizer())
    # The architecture of a file that is not pinned is known only after torch has read all of it.
    model, _, sha256 = loading.read_openai(name, path)
    return _parts({path.name: sha256}, sha256, model, Pixels(), ClipTokenizer())


def _of_clip_jax(name: str, rest: str) -> dict[str, Any]:
    from models.clip.checkpoints import clip_jax

    found = clip_jax.describe_checkpoint(name, pathlib.Path(rest).expanduser())
    digests = {str(path.relative_to(found.folder)): hub.remembered_sha256(path) for path in found.files}
    return {
        "weights": digests,
        "sha256": hub.sha256_of_files(found.files),
        "architecture": found.config,
        **_pixel_parts(found.image_px, clip_jax.HALF, clip_jax.HALF),
        **_tokenizer_parts(found.tokenizer),
    }


_SCHEMES = {
    "open_clip": lambda name, rest: _of_checkpoint(foreign.open_clip(name, rest)),
    "hf": lambda name, rest: _of_checkpoint(foreign.huggingface(name, rest)),
    "openai": _of_openai,
    "file": _of_file,
    "clip-jax": _of_clip_jax,
}
