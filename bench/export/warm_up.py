"""Does once, in memory, what takes longest the first time that an object's files are written."""

from __future__ import annotations

import importlib

from PIL import Image

from bench.export import pictures, surface

WRITERS = (
    "av",
    "matplotlib.backends.backend_agg",
    "matplotlib.backends.backend_svg",
    "skimage.measure",
    "trimesh",
)
"""Packages that write an object's files."""


def import_writers() -> None:
    """Import the packages that write an object's files."""
    for name in WRITERS:
        importlib.import_module(name)
    Image.init()


def try_writers() -> None:
    """Import them, draw curves, and encode a mesh."""
    import_writers()
    pictures.curves_figure({"step": [1.0, 2.0], **dict.fromkeys(pictures.TERMS, [1.0, 0.0])})
    surface.encode_mesh(surface.make_ball().to_trimesh())
