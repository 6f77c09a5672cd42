"""Makes up a scene whose photographs are noise, of any size: for profiles, as only shapes decide what a step costs."""

from __future__ import annotations

import dataclasses

import jax
import numpy as np

from tasks.cameras import BLENDER_FOV_DEG, hemisphere, intrinsics_from_fov
from tasks.task import DataShapes, Photos, SceneData


@dataclasses.dataclass(frozen=True, kw_only=True)
class NoiseScene:
    """A scene whose photographs are noise, taken from around the origin.

    Attributes:
        image_px: Width and height of a photograph.
        num_views: Photographs to train on.
        background: Grey level behind the field.
    """

    image_px: int
    num_views: int = 8
    background: float = 1.0

    @property
    def name(self) -> str:
        """Name the task in messages."""
        return "noise"

    @property
    def scene(self) -> str:
        """Name what is photographed."""
        return "noise"

    @property
    def cluster(self) -> str:
        """Name what trials are paired by."""
        return "noise"

    def layout(self) -> DataShapes:
        """Return the shapes of the arrays."""
        return DataShapes(self.num_views, 1, self.image_px, self.image_px)

    def fingerprint(self) -> str:
        """Name the source of the data."""
        return f"noise-{self.image_px}-{self.num_views}"

    def load(self) -> SceneData:
        """Draw the photographs."""
        train = self._photos(self.num_views, seed=0)
        return SceneData(
            train=train,
            test=self._photos(1, seed=1),
            near=2.0,
            far=6.0,
            pixel_center=0.5,
            all_train_poses=train.poses,
        )

    def _photos(self, num: int, seed: int) -> Photos:
        px = self.image_px
        generator = np.random.default_rng(seed)
        intrinsics = intrinsics_from_fov(BLENDER_FOV_DEG, px, px)
        return Photos(
            ids=tuple(range(num)),
            colors=generator.uniform(size=(num, px, px, 3)).astype(np.float32),
            alphas=np.ones((num, px, px), np.float32),
            poses=hemisphere(num),
            intrinsics=jax.tree.map(lambda x: np.full(num, x, np.float32), intrinsics),
        )
