"""Makes the short names that variants and folders have."""

from __future__ import annotations

import hashlib
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


def shorten_name(text: str, most: int) -> str:
    """Cut a name that is too long for a file, and end it in a hash of the whole; leave any other as it is.

    Args:
        text: The name.
        most: Bytes that it may have.

    Example:
        >>> shorten_name("kettle", 20), shorten_name("a-long-long-long-name", 20)
        ('kettle', 'a-long-long-5b3c579c')
    """
    if len(text.encode(errors="replace")) <= most:
        return text
    hashed = hashlib.sha256(text.encode(errors="backslashreplace")).hexdigest()[:8]
    return f"{text.encode(errors='replace')[: most - 9].decode(errors='ignore').rstrip('-')}-{hashed}"


def file_safe(text: str) -> str:
    """Replace what no name of a file may hold: separators of paths, control characters, halves of characters.

    Example:
        >>> file_safe("a/b"), file_safe("caf\u00e9 2")
        ('a-b', 'caf\u00e9 2')
    """
    return re.sub(r"[/\x00-\x1f\x7f\ud800-\udfff]", "-", text)


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

    groups = [[name] for name in encoders] + [list(encoders)]  # one name in a field, or all of them
    for names in groups:
        written = re.escape(folder_safe(f"={','.join(names)}"))
        canonical = folder_safe(f"={','.join(map(canonical_name, names))}")
        variant = re.sub(rf"{written}(?=\+|$)", canonical, variant)
    return variant
