"""Takes single pictures out of stored trials, as a quiz shows them: bytes before neutral grey, and what they mean.

h and w: pixels.
"""

from __future__ import annotations

import io
from collections.abc import Mapping
from typing import Any

import numpy as np
from jaxtyping import Shaped, UInt8
from PIL import Image

from bench.errors import UsageError
from bench.storage.record import Record
from tasks.closed_world import grammar
from tasks.closed_world.meanings import Meaning

GREY = 0.5
"""Background of all pictures, and of the views as caption tasks store them."""


def meaning_of_record(record: Record) -> Meaning | None:
    """Return what the caption of a finished trial means; None if it failed, or has no caption of the closed world."""
    if record.status != "finished":
        return None
    try:
        return grammar.parse(record.cluster)
    except UsageError:
        return None


def read_view(views: Mapping[str, Shaped[np.ndarray, "..."]], view: int, where: str) -> UInt8[np.ndarray, "h w 3"]:
    """Read a stored view as bytes; it stands on neutral grey already.

    Raises:
        UsageError: It was not stored, or is not square.
    """
    places = np.flatnonzero(views["ids"] == view)
    if not len(places):
        raise UsageError(f"{where}: expected view {view}, got none; render the trial again")
    color = views["color"][places[0]].astype(np.float32)
    if color.shape[0] != color.shape[1]:
        raise UsageError(
            f"{where}: expected square views, got {color.shape[1]} x {color.shape[0]}; leave the trial out"
        )
    return quantize_pixels(color)


def quantize_pixels(color: Any) -> UInt8[np.ndarray, "h w 3"]:
    """Round colours in [0, 1] to bytes; what is not finite becomes grey.

    Example:
        >>> quantize_pixels([[[0.0, 0.5, float("nan")]]]).tolist()
        [[[0, 128, 128]]]
    """
    finite = np.nan_to_num(np.asarray(color, np.float32), nan=GREY, posinf=1.0, neginf=0.0)
    return (np.clip(finite, 0, 1) * 255 + 0.5).astype(np.uint8)


def to_png(image: Any) -> bytes:
    """Encode a picture as PNG, the same bytes each time."""
    out = io.BytesIO()
    Image.fromarray(np.asarray(image)).save(out, "PNG")
    return out.getvalue()
