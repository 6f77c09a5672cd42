"""Defines the pictures and meshes that a reader can turn in the page of a report."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import NamedTuple

from bench.report.images.turntables import FrameStrip


class MeshViewer(NamedTuple):
    """A mesh that a reader can turn.

    Attributes:
        trial_id: Trial whose field was meshed.
        name: Scene or caption of the trial.
        arm: Arm of the trial.
        about: One sentence on the mesh.
        contents: Two files by path in the report's folder: the viewer's page, then the mesh.
    """

    trial_id: str
    name: str
    arm: str
    about: str
    contents: Mapping[str, bytes]


@dataclasses.dataclass(frozen=True, kw_only=True)
class InteractiveMedia:
    """Everything that a reader can turn in a page.

    Attributes:
        reels: Frame strips by trial id, see `bench.report.images.turntables`.
        viewers: Meshes.
    """

    reels: Mapping[str, tuple[FrameStrip, ...]] = dataclasses.field(default_factory=dict)
    viewers: tuple[MeshViewer, ...] = ()

    def contents(self) -> dict[str, bytes]:
        """List all files by path in the report's folder."""
        found: dict[str, bytes] = {}
        for reels in self.reels.values():
            for reel in reels:
                found[reel.path] = reel.content
        for viewer in self.viewers:
            found |= viewer.contents
        return found
