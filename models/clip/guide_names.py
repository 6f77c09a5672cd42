"""Reads the names of the encoders that guide a field together: one name, or several with commas between."""

from __future__ import annotations

from bench.errors import UsageError
from models.clip import loading
from models.clip.checkpoints import catalog
from models.imagenet.catalog import IMAGENET, check_reads_text


def split_guide_names(text: str | None) -> tuple[str, ...]:
    """Split names at the commas between them. A comma after which no name begins belongs to a path.

    Example:
        >>> split_guide_names("embedded-vit-8,embedded-vit-16")
        ('embedded-vit-8', 'embedded-vit-16')
        >>> split_guide_names("file:/mine,1.safetensors,embedded-vit-8")
        ('file:/mine,1.safetensors', 'embedded-vit-8')
        >>> split_guide_names(None)
        ()
    """
    names: list[str] = []
    for part in (text or "").split(","):
        is_path = bool(names) and names[-1].partition(":")[0] in loading.SCHEMES
        if is_path and not _begins_name(part):
            names[-1] += f",{part}"
        elif part.strip() or names:
            names.append(part.strip())
    return tuple(names)


def check_guides(text: str, where: str) -> None:
    """Refuse a guide that is named twice, a judge among them, and an encoder that reads no text.

    Args:
        text: Names with commas between.
        where: What asks for them, for the message.

    Raises:
        UsageError: With the name.
    """
    names = split_guide_names(text)
    for i, name in enumerate(names):
        if not name:
            raise UsageError(f"{where}: expected names with commas between in encoder, got {text!r}; take one out")
        if name in names[:i]:
            raise UsageError(f"{where}: expected every guide once, got {name!r} twice in {text!r}; take one out")
        catalog.check_guide(name)
        check_reads_text(name, where)


def _begins_name(part: str) -> bool:
    """Tell whether a name of the catalog, or one with a scheme, begins here."""
    name = part.strip()
    scheme, colon, _ = name.partition(":")
    return name in {*catalog.ENTRIES, *catalog.EMBEDDED, *IMAGENET} or (colon != "" and scheme in loading.SCHEMES)
