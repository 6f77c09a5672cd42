"""Lists the encoders that have names: what each is, whether it is on disk, and how to get it."""

from __future__ import annotations

import math
from typing import Any

from models.clip.checkpoints import catalog, files
from models.clip.networks import architectures, dual_encoder
from models.clip.pretraining import model_cards
from models.imagenet.architectures import CLASSIFIERS
from models.imagenet.catalog import IMAGENET, TRAINED_ON
from models.imagenet.variables import classifier_shapes


def encoder_names() -> list[str]:
    """List the names: of encoders that come with the project, of published CLIP models, of ImageNet's classifiers."""
    return [*catalog.EMBEDDED, *catalog.ENTRIES, *IMAGENET]


def summarize_encoder(name: str) -> dict[str, Any]:
    """Summarize one encoder; no file is read for a published one."""
    found = catalog.find_weights(name)
    if name in IMAGENET:
        architecture = IMAGENET[name].architecture
        tower: Any = CLASSIFIERS[architecture]
        trained_on = TRAINED_ON
    elif name in catalog.EMBEDDED:
        tower = files.read_model(catalog.EMBEDDED_FOLDER / f"{name}.safetensors", name).image_tower
        trained_on = "this project"
        architecture = type(tower).__name__
    else:
        entry = catalog.ENTRIES[name]
        tower = architectures.build(entry.architecture).image_tower
        trained_on = entry.trained_on
        architecture = entry.architecture
    return {
        "name": name,
        "architecture": architecture,
        "image_px": tower.image_px,
        "embedding_dim": tower.embedding_dim,
        "trained_on": trained_on + (", judge" if name in catalog.JUDGES else ""),
        "on_disk": str(found) if found else None,
    }


def describe_encoder(name: str) -> dict[str, Any]:
    """Describe all that is known of one encoder."""
    found = summarize_encoder(name)
    if name in catalog.EMBEDDED:
        return found | model_cards.model_card(name)
    if name in IMAGENET:
        return found | _describe_classifier(name, is_here=bool(found["on_disk"]))
    entry = catalog.ENTRIES[name]
    sources = [f"{source.repository}/{source.file}@{source.revision}" for source in entry.sources]
    hashes = [str(source.sha256) for source in entry.sources]
    model = architectures.build(entry.architecture)
    shapes = dual_encoder.variable_shapes(model)
    num_parameters = sum(math.prod(shape) for path, shape in shapes.items() if path.startswith("params/"))
    return found | {
        "parameters": num_parameters,
        "features": ", ".join(model.image_tower.features),
        "sources": "; ".join(sources),
        "sha256": "; ".join(hashes),
        "place": str(entry.manual_path),
        "to get it": entry.how_to_get if not found["on_disk"] else None,
    }


def _describe_classifier(name: str, *, is_here: bool) -> dict[str, Any]:
    """Describe a network that was trained on ImageNet's labels."""
    checkpoint = IMAGENET[name]
    model = CLASSIFIERS[checkpoint.architecture]
    return {
        "parameters": sum(math.prod(shape) for shape in classifier_shapes(model).values()),
        "features": ", ".join(model.features),
        "sources": f"{checkpoint.file} of the package {checkpoint.package} {checkpoint.version}",
        "sha256": checkpoint.sha256,
        "to get it": None if is_here else checkpoint.how_to_get,
    }
