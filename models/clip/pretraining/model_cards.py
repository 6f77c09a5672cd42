"""What is said about an embedded encoder: how it was made, and how well it does on what it was not trained on."""

from __future__ import annotations

from typing import Any

from models.clip.checkpoints import catalog, files
from models.clip.networks import architectures

TITLES = {
    "retrieval_64": "the right caption of 64",
    "zero_shot": "the right caption of all single things in the set",
    "kind": "kind, of all things there are",
    "color": "colour",
    "finish": "finish",
}


def card(name: str) -> dict[str, Any]:
    """The card of an embedded encoder, from its file."""
    found = files.read(catalog.EMBEDDED_FOLDER / f"{name}.safetensors", name)
    tower = architectures.to_json(found.model.image_tower)
    return {
        "name": name,
        "role": "judge: never guides" if name in catalog.JUDGES else "guide",
        "image_tower": ", ".join(f"{key} {value}" for key, value in tower.items() if value is not None),
        "sha256": catalog.EMBEDDED[name],
        **found.card,
    }


def lines(said: dict[str, Any]) -> list[str]:
    """A card as lines of text, the accuracies last."""
    plain = [f"{key.replace('_', ' ')}: {value}" for key, value in said.items() if key != "accuracy"]
    return plain + [
        f"{title}, {TITLES.get(metric, metric)}: {number(found)}"
        for title, metrics in said.get("accuracy", {}).items()
        for metric, found in metrics.items()
    ]


def number(found: dict[str, Any]) -> str:
    """A mean with its interval and what it is of.

    Example:
        >>> number({"mean": 0.5, "low": 0.4, "high": 0.61, "num_pictures": 20, "num_meanings": 10, "num_captions": 64})
        '0.500 [0.400, 0.610] (20 pictures of 10 meanings, among 64 captions)'
    """
    return (
        f"{found['mean']:.3f} [{found['low']:.3f}, {found['high']:.3f}] ({found['num_pictures']} pictures of "
        f"{found['num_meanings']} meanings, among {found['num_captions']} captions)"
    )


def markdown() -> str:
    """The page of all cards."""
    text = (
        "# Embedded encoders\n\nSmall CLIP models of the closed world (`tasks/closed_world/meanings.py`), made by "
        "`python -m models.clip.pretraining.train`. They know its things, and nothing else. Accuracies are on renders that were "
        "not trained on, before mid-grey, with 95% intervals by resampling meanings. Judges are trained on other "
        "renders, under other light, with another seed, and refuse to guide. This page is printed by "
        "`python -m bench encoders --cards`.\n"
    )
    for name in catalog.EMBEDDED:
        text += f"\n## {name}\n\n" + "\n".join(f"- {line}" for line in lines(card(name))) + "\n"
    return text
