"""Makes the short names that variants and folders have."""

from __future__ import annotations

import re


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
