"""Defines the caption task: the caption of an object, the captions among which it must be retrieved, and the cameras.

A retrieval set (`caption_set`) is fixed: it never depends on which trials were run, and reports print its SHA-256
beside every number. The sets are
- `closed-world`: 128 canonical captions of `tasks.closed_world.meanings`: 64 held-out ones, then 64 that the embedded
  encoders were trained on;
- `coco-153`: the object-centric COCO captions of Dream Fields, downloaded from its official repository and checked;
- `composed:NAME`: a grid of `tasks.captions.templates`;
- `file:PATH`: a text file of the user's, one caption a line, without blank lines and lines that start with #.

A `CaptionTask` is one caption of a set. All objects are rendered from the same 17 cameras (`views`), on grey.

n: views.
"""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import math
import re
from typing import NamedTuple

import jax
import numpy as np
from jaxtyping import Float

from bench.errors import UsageError, nearest
from tasks.cameras import BLENDER_FOV_DEG, Intrinsics, intrinsics_from_fov, look_at
from tasks.captions.caption_sets import CaptionSet, Split, _place, caption_set, judges_of, normalized, splits
from tasks.sparse_views.view_selection import digest_parts
from tasks.task import DataShapes

VIEWS_VERSION = 1
"""Part of every fingerprint; raise it with any change of `views`."""

NUM_VIEWS = 17

RADIUS = 4.0

HALF_SIDE = 1.2
"""Half the side of the cube about the origin that holds the object."""

NEAR = RADIUS - math.sqrt(3) * HALF_SIDE

FAR = RADIUS + math.sqrt(3) * HALF_SIDE


class CaptionViews(NamedTuple):
    """Cameras from which an object is scored.

    Attributes:
        ids: Place of each view among `views`.
        poses: Camera to world, see `tasks.cameras`.
        intrinsics: In pixels, one of each number for each view.
        azimuth_deg: Degrees from +x toward +y.
        elevation_deg: Degrees above the horizon.
    """

    ids: tuple[int, ...]
    poses: Float[np.ndarray, "n 4 4"]
    intrinsics: Intrinsics
    azimuth_deg: Float[np.ndarray, " n"]
    elevation_deg: Float[np.ndarray, " n"]


class CaptionData(NamedTuple):
    """Data of a caption task.

    Attributes:
        caption: Caption of the object.
        captions: Set in which retrieval must find the caption.
        place: Place of the caption in the set.
        judges: Names of the encoders that score, the primary one first.
        test: Views that a trial is scored on.
        near: First `t` of interest along every ray.
        far: Last `t` of interest.
        pixel_center: Position of a ray in its pixel, see `tasks.cameras.view_rays`.
        background: Grey behind the stored views.
    """

    caption: str
    captions: CaptionSet
    place: int
    judges: tuple[str, ...]
    test: CaptionViews
    near: float
    far: float
    pixel_center: float
    background: float


@dataclasses.dataclass(frozen=True, kw_only=True)
class CaptionTask:
    """Task of making an object from a caption, without photographs.

    Attributes:
        caption: Caption of the set; case, spaces and a final full stop are changed to those of the set.
        captions: Name of the retrieval set.
        view_px: Width and height of the views; None until a budget fills it.
        judges: Names of the encoders that score; None for those of the set. They change scores, but not the trial.
        found_in: Retrieval set itself, so that a worker on another machine does not need its file.
    """

    caption: str
    captions: str = dataclasses.field(default="closed-world", metadata={"identity": lambda name: without_place(name)})
    view_px: int | None = None
    judges: tuple[str, ...] | None = dataclasses.field(default=None, metadata={"identity": False})
    found_in: CaptionSet = dataclasses.field(init=False, repr=False, compare=False, metadata={"identity": False})

    def __post_init__(self) -> None:
        if not normalized(self.caption):
            raise UsageError(f"caption: expected words, got {self.caption!r}; for example 'a red metallic chair'")
        if self.view_px is not None and self.view_px < 1:
            raise UsageError(f"task {self.caption!r}: expected view_px of at least 1, got {self.view_px}")
        if self.judges is not None and (not self.judges or len(set(self.judges)) < len(self.judges)):
            raise UsageError(
                f"task {self.caption!r}: expected one or more different judges, got {self.judges}; leave `judges` out "
                "for those of the set"
            )
        found = caption_set(self.captions)
        object.__setattr__(self, "found_in", found)
        object.__setattr__(self, "caption", found.captions[_place(self.caption, found)])

    @property
    def name(self) -> str:
        """Readable name, for folders: `a-red-metallic-chair`; it ends in a hash if it does not keep every character.

        Example:
            >>> CaptionTask(caption="a teapot in the shape of a Rubik's cube", captions="composed:shapes").name
            'a-teapot-in-the-shape-of-a-rubik-s-cube-90f087'
        """
        said = normalized(self.caption)
        slug = re.sub(r"[^a-z0-9]+", "-", said).strip("-")
        if slug.replace("-", " ") == said and len(slug) <= 48:
            return slug
        return f"{slug[:41].rstrip('-')}-{hashlib.sha256(said.encode()).hexdigest()[:6]}".lstrip("-")

    @property
    def cluster(self) -> str:
        """Normalised caption."""
        return normalized(self.caption)

    @property
    def num_views(self) -> int:
        """Number of photographs: none."""
        return 0

    def layout(self) -> DataShapes:
        """Return the shapes of the arrays, without loading them."""
        view_px = self._size()
        return DataShapes(0, NUM_VIEWS, view_px, view_px)

    def fingerprint(self) -> str:
        """Hash the retrieval set and the version of the cameras."""
        return digest_parts([self.found_in.sha256, VIEWS_VERSION])

    def load(self) -> CaptionData:
        """Load the caption with its set and its cameras, read-only."""
        return CaptionData(
            caption=self.caption,
            captions=self.found_in,
            place=self.found_in.captions.index(self.caption),
            judges=judges_of(self.captions) if self.judges is None else self.judges,
            test=views(self._size()),
            near=NEAR,
            far=FAR,
            pixel_center=0.5,
            background=0.5,
        )

    def _size(self) -> int:
        assert self.view_px, f"{self.name}: its size is open; give it to tasks.budgets.sized first"
        return self.view_px


def without_place(name: str) -> str:
    """Remove the path from a set's name: a file counts by the hash of its content, wherever it lies.

    Example:
        >>> without_place("file:~/own.txt"), without_place("composed:shapes")
        ('file', 'composed:shapes')
    """
    return "file" if name.startswith("file:") else name


def tasks_of(name: str, num: int | None = None, split: Split | None = None) -> tuple[CaptionTask, ...]:
    """Make tasks of the first captions of a set, or of one of its splits.

    Args:
        name: Name of the set.
        num: Number of tasks; None for all.
        split: Split of the set; None for both.

    Raises:
        UsageError: There are fewer captions, or the set has no such split.

    Example:
        >>> [task.name for task in tasks_of("composed:world-pairs", 2)]
        ['a-purple-rocket-on-a-white-cylinder', 'an-orange-windmill-on-a-yellow-table']
    """
    found = caption_set(name).captions
    if split is not None:
        known = splits(name)
        if split not in known:
            said = nearest(split, known) if known else "it has none; leave `split` out"
            raise UsageError(f"captions {name}: expected one of its splits, got {split!r}; {said}")
        found = known[split]
    num = len(found) if num is None else num
    if not 1 <= num <= len(found):
        raise UsageError(f"captions {name}: expected a number from 1 to {len(found)}, got {num}")
    return tuple(CaptionTask(caption=caption, captions=name) for caption in found[:num])


def held_out_tasks(num: int = 64) -> tuple[CaptionTask, ...]:
    """Make tasks of the first held-out captions of the closed world: of every four, three single things and a pair."""
    return tasks_of("closed-world", num, "held_out")


@functools.lru_cache(maxsize=16)
def views(view_px: int) -> CaptionViews:
    """Return the cameras of all caption tasks, read-only; at distance 4, looking at the origin.

    Ids 0 to 15 belong to the protocol `std-v1`: elevation 15 degrees, then 45, each with 8 azimuths. Id 16 belongs to
    `dreamfields-2022`: azimuth 30, elevation 45.

    Args:
        view_px: Width and height.
    """
    azimuth = np.array([*range(0, 360, 45), *range(0, 360, 45), 30], np.float32)
    elevation = np.array([15] * 8 + [45] * 8 + [45], np.float32)
    one = intrinsics_from_fov(BLENDER_FOV_DEG, view_px, view_px)
    intrinsics = jax.tree.map(lambda x: np.full(NUM_VIEWS, x, np.float32), one)
    poses = look_at(azimuth, elevation, np.full(NUM_VIEWS, RADIUS))
    for array in (poses, azimuth, elevation, *jax.tree.leaves(intrinsics)):
        array.setflags(write=False)  # shared by all trials of a process
    return CaptionViews(tuple(range(NUM_VIEWS)), poses, intrinsics, azimuth, elevation)
