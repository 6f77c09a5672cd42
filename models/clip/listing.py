"""Lists the encoders of the catalog: what each is, whether it is on disk, and how to get it."""

from __future__ import annotations

import math
from typing import Any

from models.clip.checkpoints import catalog, files
from models.clip.networks import architectures, dual_encoder
from models.clip.pretraining import model_cards


def summarize_encoder(name: str) -> dict[str, Any]:
    """Summarize one encoder; no file is read for a published one."""
    found = catalog.find_weights(name)
    if name in catalog.EMBEDDED:
        model = files.read_model(catalog.EMBEDDED_FOLDER / f"{name}.safetensors", name)
        trained_on = "this project"
        architecture = type(model.image_tower).__name__
    else:
        entry = catalog.ENTRIES[name]
        model = architectures.build(entry.architecture)
        trained_on = entry.trained_on
        architecture = entry.architecture
    return {
        "name": name,
        "architecture": architecture,
        "image_px": model.image_tower.image_px,
        "embedding_dim": model.image_tower.embedding_dim,
        "trained_on": trained_on + (", judge" if name in catalog.JUDGES else ""),
        "on_disk": str(found) if found else None,
    }


def describe_encoder(name: str) -> dict[str, Any]:
    """Describe all that is known of one encoder."""
    found = summarize_encoder(name)
    if name in catalog.EMBEDDED:
        return found | model_cards.model_card(name)
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
