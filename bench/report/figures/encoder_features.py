"""Photographs embedded scenes and passes the photographs through an encoder, for the figure `clip-consistency`.

v: photographs, f: features, h and w: pixels.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Sequence
from typing import NamedTuple

import jax
import numpy as np
from jaxtyping import Array, Float, Int

from bench.analysis.statistics import Interval
from bench.analysis.view_pair_similarity import (
    SimilarityPairs,
    auc,
    far_gap,
    far_within,
    leave_one_out,
    mean_across,
    overlap,
    pairs_of,
)
from models.clip import preprocess
from models.clip.encoder import Encoder
from models.clip.networks.dual_encoder import to_unit_length
from models.dietnerf import DIETNERF
from tasks.budgets import Budget, sized
from tasks.scenes.scenes import SCENES
from tasks.sparse_views import embedded
from tasks.sparse_views.embedded import SparseViews
from tasks.sparse_views.scene_views import NUM_POSES
from tasks.task import replace_views

MOST_VIEWS = 40
"""Photographs of a scene: pairs of them cover all angles, and an encoder sees them in seconds on a CPU."""


class ScenePhotos(NamedTuple):
    """Photographs of all scenes.

    Attributes:
        colors: In [0, 1].
        poses: Camera to world; scenes are centred at the origin.
        scenes: Number of each photograph's scene.
    """

    colors: Float[np.ndarray, "v h w 3"]
    poses: Float[np.ndarray, "v 4 4"]
    scenes: Int[np.ndarray, " v"]


@dataclasses.dataclass(frozen=True, kw_only=True)
class SimilarityStatistics:
    """Similarities of all pairs of photographs in one feature of one encoder.

    Attributes:
        encoder: Name of the encoder.
        feature: Name of the feature.
        is_default: Whether DietNeRF compares this feature unless told otherwise.
        pairs: Pairs of photographs.
    """

    encoder: str
    feature: str
    is_default: bool
    pairs: SimilarityPairs

    def summary(self) -> dict[str, Interval | None]:
        """Summarize the pairs by name; None where one scene or one view a scene leaves nothing to compare."""
        numbers = (far_within, mean_across, far_gap)
        means = {number.__name__: leave_one_out(number, self.pairs) for number in numbers}
        # The overlap is made of a maximum, whose spread leaving one out does not tell: no interval.
        share = overlap(self.pairs)
        return {
            "auc": leave_one_out(auc, self.pairs, is_share=True),
            "overlap": None if share is None else Interval(share, None, None),
            **means,
        }


def load_photos(budget: Budget, scenes: Sequence[str] = tuple(SCENES), most: int = MOST_VIEWS) -> ScenePhotos:
    """Load photographs of the training and test cameras, evenly spread; render those that are missing.

    Args:
        budget: Size of the photographs.
        scenes: Names of embedded scenes.
        most: Photographs of a scene.
    """
    num_train = NUM_POSES["train"]
    total = num_train + NUM_POSES["test"]
    # Both are spirals from the horizon to the top: even places in their order are even over the hemisphere.
    places = np.round(np.linspace(0, total - 1, min(most, total))).astype(int)
    train_ids = tuple(int(x) for x in places if x < num_train)
    test_ids = tuple(int(x) - num_train for x in places if x >= num_train)
    tasks = [sized(SparseViews(scene=scene, views=train_ids), budget) for scene in scenes]
    embedded.prepare_all(tasks)
    photos = []
    for task in tasks:
        data = task.load()
        photos += [data.train, replace_views(data.test, test_ids)]
    return ScenePhotos(
        colors=np.concatenate([photo.colors for photo in photos]),
        poses=np.concatenate([photo.poses for photo in photos]),
        scenes=np.repeat(np.arange(len(scenes)), len(places)),
    )


def measure_similarity(encoder: Encoder, photos: ScenePhotos) -> list[SimilarityStatistics]:
    """Measure similarities in an encoder's embedding, and in DietNeRF's feature where that is another.

    Args:
        encoder: Any.
        photos: The photographs.
    """
    default = DIETNERF.resolve_feature(encoder)
    found = []
    for feature in dict.fromkeys(("embedding", default)):
        features = np.asarray(_unit_features(feature, encoder, photos.colors))
        pairs = pairs_of(features, photos.poses, photos.scenes)
        found.append(
            SimilarityStatistics(encoder=encoder.name, feature=feature, is_default=feature == default, pairs=pairs)
        )
    return found


@functools.partial(jax.jit, static_argnums=0)
def _unit_features(feature: str, encoder: Encoder, colors: Float[Array | np.ndarray, "v h w 3"]) -> Float[Array, "v f"]:
    """Compute features of length 1, of photographs resized as DietNeRF resizes them."""

    def unit_feature(photo: Float[Array, "h w 3"]) -> Float[Array, " f"]:
        if photo.shape[:2] != (encoder.image_px, encoder.image_px):
            photo = preprocess.resize(photo, encoder.image_px, kind="bilinear")
        return to_unit_length(encoder.image_features(encoder.params, photo, feature))

    return jax.lax.map(unit_feature, colors, batch_size=16)
