"""Makes the short names that variants and folders have."""

from __future__ import annotations

import re
from collections.abc import Sequence


def slug(label: str) -> str:
    """Turn a label of a table into a part of a variant's name.

    Example:
        >>> slug("weight 0.01")
        'weight_0_01'
    """
    return "_".join("".join(letter if letter.isalnum() else " " for letter in label).split())


def snake(name: str) -> str:
    """Turn a type's name into the form that the command line uses.

    Example:
        >>> snake("NeRF"), snake("DreamFields"), snake("DietNeRF")
        ('nerf', 'dream_fields', 'dietnerf')
    """
    name = name.replace("NeRF", "Nerf").replace("DietNerf", "Dietnerf")
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).lower()


def folder_safe(text: str) -> str:
    """Replace letters that may not stand in a folder's name."""
    return re.sub(r"[^A-Za-z0-9_.+=-]", "-", text)


def without_paths(variant: str, encoders: Sequence[str]) -> str:
    """Name encoders in a variant's name by what they are, so that a copy at another place makes the same variant.

    Args:
        variant: Safe for a folder, such as `dietnerf+encoder=file--home-me-mine.safetensors`.
        encoders: Names of the variant's encoders.

    Raises:
        UsageError: A name holds a path, and there is no checkpoint there.

    Example:
        >>> without_paths("dietnerf+encoder=embedded-vit-8", ["embedded-vit-8"])
        'dietnerf+encoder=embedded-vit-8'
    """
    from models.clip.identity import canonical_name  # imports JAX, which a name alone does not need

    for name in encoders:
        written = re.escape(folder_safe(f"={name}"))
        variant = re.sub(rf"{written}(?=\+|$)", folder_safe(f"={canonical_name(name)}"), variant)
    return variant
