"""Passes photographs of embedded scenes, or of a user's, through an encoder, for the figure `clip-consistency`.

v: photographs, f: features, h and w: pixels.
"""

from __future__ import annotations

import dataclasses
import functools
import pathlib
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
    mean_within,
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
from tasks.sparse_views.scene_folders import open_scene
from tasks.sparse_views.scene_views import NUM_POSES
from tasks.task import Photos, replace_views

MOST_VIEWS = 40
"""Photographs of a scene: pairs of them cover all angles, and an encoder sees them in seconds on a CPU."""


class ScenePhotos(NamedTuple):
    """Photographs of all scenes.

    Attributes:
        colors: In [0, 1]; an array a scene, because scenes may have photographs of different sizes.
        poses: Camera to world; scenes are centred at the origin.
        scenes: Number of each photograph's scene.
        names: Of the scenes; empty for all that are embedded.
    """

    colors: tuple[Float[np.ndarray, "_ h w 3"], ...]
    poses: Float[np.ndarray, "v 4 4"]
    scenes: Int[np.ndarray, " v"]
    names: tuple[str, ...] = ()


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
        numbers = (mean_within, far_within, mean_across, far_gap)
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
    loaded = [task.load() for task in tasks]
    return join_scenes([(data.train, replace_views(data.test, test_ids)) for data in loaded])


def load_folder_photos(folders: Sequence[pathlib.Path], budget: Budget, most: int = MOST_VIEWS) -> ScenePhotos:
    """Load photographs of scenes in a user's folders, some that a method may train on and all or some held-out ones.

    Args:
        folders: A scene each.
        budget: Width of the photographs; those that are smaller keep their size.
        most: Photographs of a scene.

    Raises:
        UsageError: A folder cannot be read as a scene.
    """
    pairs = []
    for folder in folders:
        task = open_scene(folder)
        extent = task.extent()
        sizes = {"num_views": min(extent.num_train, most), "image_px": min(budget.image_px, extent.image_px)}
        data = dataclasses.replace(task, **sizes).load()  # type: ignore[type-var]
        num_train = len(data.train.ids)
        total = num_train + len(data.test.ids)
        places = np.round(np.linspace(0, total - 1, min(most, total))).astype(int)
        train = replace_views(data.train, tuple(int(i) for i in places if i < num_train))
        test = replace_views(data.test, tuple(int(i) - num_train for i in places if i >= num_train))
        pairs.append((train, test))
    return join_scenes(pairs)._replace(names=tuple(folder.name for folder in folders))


def join_scenes(pairs: Sequence[tuple[Photos, Photos]]) -> ScenePhotos:
    """Join the photographs of scenes, of each the training ones and the held-out ones."""
    colors = tuple(np.concatenate([photos.colors for photos in pair]) for pair in pairs)
    return ScenePhotos(
        colors=colors,
        poses=np.concatenate([photos.poses for pair in pairs for photos in pair]),
        scenes=np.repeat(np.arange(len(pairs)), [len(of_scene) for of_scene in colors]),
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
        features = np.concatenate([_unit_features(feature, encoder, colors) for colors in photos.colors])
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
