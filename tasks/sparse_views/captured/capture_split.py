"""Decides which photographs of a capture may be trained on and which are held out."""

from __future__ import annotations

from typing import NamedTuple

from bench.errors import UsageError
from tasks.sparse_views.captured.capture import Capture, CapturedFrame


class CaptureSplit(NamedTuple):
    """The photographs of a scene that a task may use, by id.

    Attributes:
        train: Those that may be trained on.
        test: Those that are held out and scored.
        source: What decides it, for people.
    """

    train: dict[int, CapturedFrame]
    test: dict[int, CapturedFrame]
    source: str


def split_capture(capture: Capture, test_every: int) -> CaptureSplit:
    """Split as the files say, else hold out every nth photograph.

    Args:
        capture: The scene.
        test_every: Every nth photograph is held out where the files do not say which, and every nth of a file of
            held-out views is used.

    Raises:
        UsageError: One of the parts would be empty.
    """
    frames = capture.frames
    if any(frame.split == "train" for frame in frames):
        train = [frame for frame in frames if frame.split == "train"]
        test = [frame for frame in frames if frame.split == "test"]
        test = test or [frame for frame in frames if frame.split == "val"]
        source = "as the files say"
        if capture.has_test_file:
            test = test[::test_every]
            source = f"every {test_every}th view of the file of held-out views"
    else:
        test = list(frames[::test_every])
        train = [frame for place, frame in enumerate(frames) if place % test_every]
        source = f"every {test_every}th photo is held out"
    if not train or not test:
        raise UsageError(
            f"{capture.folder}: expected photos to train on and photos to hold out, got {len(train)} and {len(test)}; "
            "give more photos, or correct the split in the files of cameras"
        )
    return CaptureSplit({frame.id: frame for frame in train}, {frame.id: frame for frame in test}, source)
