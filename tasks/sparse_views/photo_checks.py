"""Refuses photographs that are both trained on and held out, and ranges of depth in which cameras see nothing.

n: cameras.
"""

from __future__ import annotations

import pathlib
from collections.abc import Mapping, Sequence

import numpy as np
from jaxtyping import Float

from bench.errors import UsageError
from tasks.data_dir import content_hashes
from tasks.sparse_views import photo_files
from tasks.sparse_views.camera_geometry import find_meeting_point


def refuse_shared_photos(
    where: str, train: Mapping[int, pathlib.Path], test: Mapping[int, pathlib.Path]
) -> dict[pathlib.Path, str]:
    """Refuse photographs that are trained on and held out, whatever they are called: they are compared by their bytes.

    Args:
        where: The scene, for the message.
        train: Photographs that may be trained on, by id.
        test: Photographs that are held out, by id.

    Returns:
        The hash of each.

    Raises:
        UsageError: A photograph is in both. One of a single colour is no photograph of anything, and may be.
        OSError: A file cannot be read.
    """
    paths = [*train.values(), *test.values()]
    hashes = dict(zip(paths, content_hashes.sha256_of_all(paths), strict=True))
    trained = {hashes[path]: (number, path) for number, path in train.items()}
    shared = [(number, path) for number, path in test.items() if hashes[path] in trained]
    for number, path in shared:
        other_number, other = trained[hashes[path]]
        if not _is_of_one_color(path, where):
            raise UsageError(
                f"{where}: expected photos that are either trained on or held out, got {len(shared)} of {len(test)} "
                f"held-out photos among those to train on: {path.name} (held out, id {number}) is {other.name} (id "
                f"{other_number}); take them out of one split, or list each photo once"
            )
    return hashes


def _is_of_one_color(path: pathlib.Path, where: str) -> bool:
    image = photo_files.read_photo(path, where)
    return bool((image == image[0, 0]).all())


def repeated_photos(hashes: Mapping[pathlib.Path, str], paths: Sequence[pathlib.Path]) -> list[pathlib.Path]:
    """List the photographs whose bytes an earlier one has too."""
    seen: set[str] = set()
    found = []
    for path in paths:
        if hashes[path] in seen:
            found.append(path)
        seen.add(hashes[path])
    return found


def refuse_empty_range(where: str, poses: Float[np.ndarray, "n 4 4"], near: float, far: float) -> None:
    """Refuse near and far between which no camera has the place that all look at.

    Cameras that look in one direction, or outward, do not say where the scene lies, and are not refused.

    Args:
        where: The scene, for the message.
        poses: Of all its cameras.
        near: First depth of interest.
        far: Last depth of interest.

    Raises:
        UsageError: They lie elsewhere.
    """
    meeting = find_meeting_point(poses)
    depths = meeting.depths[meeting.depths > 0]
    # Axes that miss each other by as much as they are long meet nowhere.
    meets = meeting.is_known and len(depths) > 0.5 * len(poses) and np.median(meeting.misses) < 0.3 * np.median(depths)
    if meets and not ((depths >= near) & (depths <= far)).any():
        raise UsageError(
            f"{where}: expected cameras that look at something between near={near:g} and far={far:g}, got cameras that "
            f"all look at a place {depths.min():.3g} to {depths.max():.3g} away; set "
            f"task.near={0.5 * depths.min():.2g} and task.far={1.5 * depths.max():.2g}, or give the folder "
            "as a captured scene (--scenes FOLDER)"
        )
