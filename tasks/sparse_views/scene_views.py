"""Decides where the cameras of the embedded scenes stand, and whether a rendered scene is still up to date."""

from __future__ import annotations

import contextlib
import functools
import importlib.metadata
import json
import pathlib
from typing import Literal

import numpy as np
from jaxtyping import Float

from bench.errors import UsageError
from tasks import cameras
from tasks.cameras import hemisphere
from tasks.data_dir import location
from tasks.data_dir.atomic_files import write_file
from tasks.data_dir.locking import unwritable
from tasks.path_tracing import materials, meshes, mitsuba_renderer
from tasks.scenes import scene_models, scenes
from tasks.sparse_views.view_selection import digest_parts

Split = Literal["train", "test", "val"]

NEAR = 2.0

FAR = 6.0

NUM_POSES: dict[Split, int] = {"train": 100, "test": 25, "val": 25}


POSES_VERSION = 1
"""Part of every fingerprint; raise it with any change of `split_poses`."""


# Turns of the spirals of poses. They were searched in steps of 0.02 for the largest distance between the nearest
# cameras of any two splits: it is 3.2 degrees, and neighbours among the 100 are 13 degrees apart.
_SHIFTS: dict[Split, float] = {"train": 0.0, "test": 1.7, "val": 1.08}


def split_poses(split: Split) -> Float[np.ndarray, "n 4 4"]:
    """Compute all poses of a split; a view's id is its place here."""
    return hemisphere(NUM_POSES[split], radius=4.0, shift=_SHIFTS[split])


@functools.cache
def scene_fingerprint(scene: str, image_px: int, num_spp: int) -> str:
    """Hash a scene's source and the renderer, see `tasks.scenes.scenes.fingerprint`.

    The hash needs the built scene, which takes seconds, and every command asks for it. So it is kept on disk until the
    source files of the scenes change. A host without the renderer uses the fingerprint that came with its data.
    """
    renderer = renderer_version()
    path = location.folder() / "fingerprints" / f"{digest_parts([source_digest(), scene, image_px, num_spp])}.json"
    with contextlib.suppress(OSError, ValueError, KeyError, TypeError):  # none is kept, or a damaged one: made anew
        kept = json.loads(path.read_text())
        if renderer in (None, kept["renderer"]):
            return str(kept["fingerprint"])
    if renderer is None:
        raise UsageError(
            f"scene {scene}: expected Mitsuba, or rendered data with its fingerprint in {location.folder()}, "
            "got neither; pip install mitsuba==3.9.1, or copy the folder from where it was rendered"
        )
    found = scenes.fingerprint(scene, image_px, num_spp)
    try:
        write_file(path, json.dumps({"renderer": renderer, "fingerprint": found}))
    except OSError as error:
        raise unwritable(path.parent, error) from error
    return found


def renderer_version() -> str | None:
    """Return Mitsuba's version; None if it is not installed."""
    try:
        return importlib.metadata.version("mitsuba")
    except importlib.metadata.PackageNotFoundError:
        return None


@functools.cache
def source_digest() -> str:
    """Hash the source files that build the scenes."""
    modules = (materials, scenes, meshes, scene_models, mitsuba_renderer, cameras)
    return digest_parts([pathlib.Path(str(module.__file__)).read_text() for module in modules])
