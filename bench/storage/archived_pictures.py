"""Keeps a few views of a trial as pictures: what an archive has in place of arrays.

They are for sheets of pictures, and no number is ever made of them. Captions have two views, lossy; scenes have the
middle one, lossless. n: views, h and w: pixels.
"""

from __future__ import annotations

import io
import re
from collections.abc import Mapping, Sequence

import numpy as np
from jaxtyping import Float, Shaped
from PIL import Image

VIEW_IDS = (1, 5)
"""Views that are kept of an object made from a caption: it is seen from two sides."""

QUALITY = 85
"""Quality of lossy WebP, of 100."""


def encode_views(
    views: Mapping[str, Shaped[np.ndarray, "..."]], view_ids: tuple[int, ...] = VIEW_IDS, *, lossless: bool = False
) -> dict[str, bytes]:
    """Return a few views, and the strip of training if there is one, as WebP by file name.

    Args:
        views: "color" and "ids", as a store gives them.
        view_ids: Views to keep; those that there are not are left out.
        lossless: Whether views keep all 256 shades, so that they may be set against photographs.
    """
    ids = [int(i) for i in views["ids"]]
    kept = [i for i in view_ids if i in ids]
    found = {}
    if kept:
        rows = [ids.index(i) for i in kept]
        found[_file_name("views", kept)] = _to_webp(views["color"][rows], lossless)
    if "strip" in views:
        found[_file_name("strip", views["strip_steps"].tolist())] = _to_webp(views["strip"])
    return found


def decode_views(files: Mapping[str, bytes]) -> dict[str, np.ndarray]:
    """Return the kept views as a store gives them: "color", "ids", and "strip", "strip_steps" if there is a strip.

    Views are squares. There is no opacity, so that nothing can be scored.

    Args:
        files: The files of a trial by name; only pictures are read.
    """
    found: dict[str, np.ndarray] = {}
    for name, content in files.items():
        match = re.fullmatch(r"(views|strip)-(\d+(?:-\d+)*)\.webp", name)
        if not match:
            continue
        numbers = np.asarray(match[2].split("-"), np.int32)
        colors = _from_webp(content, len(numbers))
        if match[1] == "views":
            found |= {"color": colors, "ids": numbers}
        else:
            found |= {"strip": colors, "strip_steps": numbers}
    return found


def _file_name(kind: str, numbers: Sequence[int]) -> str:
    """Return the name of a picture file: `views-1-5.webp`."""
    return f"{kind}-{'-'.join(str(number) for number in numbers)}.webp"


def _to_webp(colors: Float[np.ndarray, "n h w 3"], lossless: bool = False) -> bytes:
    side_by_side = np.concatenate(list(colors.astype(np.float32)), axis=1)
    scaled = np.clip(np.nan_to_num(side_by_side), 0, 1) * 255
    image = Image.fromarray((scaled + 0.5).astype(np.uint8))
    out = io.BytesIO()
    image.save(out, "WEBP", quality=100 if lossless else QUALITY, method=6, lossless=lossless)
    return out.getvalue()


def _from_webp(content: bytes, num: int) -> Float[np.ndarray, "n h w 3"]:
    with Image.open(io.BytesIO(content)) as opened:
        colors = np.asarray(opened.convert("RGB"), np.float32) / 255
    return np.stack(np.split(colors, num, axis=1)).astype(np.float16)
