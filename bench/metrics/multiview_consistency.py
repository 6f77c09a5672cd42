"""Measures what a single view does not show: precision round an object, and whether its far sides look alike.

A field that is optimised to fit a caption from every side may show its face to every camera: each view is right, and
the whole is no object. Floaters before the cameras are measured in `bench.metrics.photo_scorers`, by opacity.

v: views of a ring, evenly spaced in azimuth, f: features, n: views, c: clusters, s: shifts.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float

FAR_DEG = 90.0
"""From this angle on two views show different sides."""


def ring_cosines(embeddings: Float[np.ndarray, "v f"]) -> Float[np.ndarray, " s"]:
    """Average the cosines of views of a ring that are one place apart, two places, up to half the ring.

    Args:
        embeddings: Of length 1, in the order of azimuths, the whole ring.

    Example:
        >>> two_sides = np.eye(2)
        >>> ring_cosines(np.tile(two_sides, (4, 1))).tolist()  # by turns: 45, 90, 135 and 180 degrees apart
        [0.0, 1.0, 0.0, 1.0]
    """
    embeddings = embeddings.astype(np.float64)
    shifts = range(1, len(embeddings) // 2 + 1)
    return np.asarray([np.mean(np.sum(embeddings * np.roll(embeddings, -shift, axis=0), axis=1)) for shift in shifts])


def repeats(embeddings: Float[np.ndarray, "v f"]) -> float:
    """Score repeated faces in a ring: the similarity of sides that lie 90 degrees or more apart.

    For every shift of at least 90 degrees the mean cosine of views so far apart, over the whole ring; then the largest
    of these means, not below 0. It lies in [0, 1]: 1 where all sides look the same or the ring repeats itself exactly,
    at half or at quarter turns. It never falls when two far views become more alike, and of a ring of 8 no pair of
    views moves it by more than a quarter of its own change.

    A true ball scores 1, a cube nearly 1, and a car has two similar sides. So the number means nothing alone, only
    beside that of true renders of the same captions, or of another arm. Fog scores high too, and so do sides that the
    encoder cannot tell apart.

    It is not divided by the similarity of neighbours (`ring_cosines(...)[0]`): neighbours are 45 degrees apart, too far
    for that. Of true renders of 12 things of the closed world 10 had far sides as similar as neighbours, to either
    judge, so that the quotient was about 1 for true and for repeated sides. The far cosine itself separates them: over
    8 things without symmetry it was 0.88 and 0.90 (two judges), and 0.95 to 1.00 with one, two or four repeated sides.

    Args:
        embeddings: Of length 1, in the order of azimuths, the whole ring: at least 4.

    Raises:
        ValueError: The ring has fewer views.

    Example:
        >>> sides = np.eye(8)
        >>> repeats(sides), repeats(sides[[0, 0, 0, 0, 0, 0, 0, 0]]), repeats(sides[[0, 1, 2, 3, 0, 1, 2, 3]])
        (0.0, 1.0, 1.0)
        >>> around = np.radians(45.0 * np.arange(8))
        >>> round(repeats(np.stack([np.cos(around), np.sin(around)], axis=1)), 3)  # every side its own, slowly changing
        0.0
    """
    if len(embeddings) < 4:
        raise ValueError(f"repeats: expected a ring of at least 4 views, got {len(embeddings)}")
    cosines = ring_cosines(embeddings)
    apart_deg = 360.0 / len(embeddings) * np.arange(1, len(cosines) + 1)
    return float(np.clip(cosines[apart_deg >= FAR_DEG - 1e-6].max(), 0.0, 1.0))


def by_azimuth(
    values: Float[np.ndarray, " n"], azimuths_deg: Float[np.ndarray, " n"], clusters: Sequence[object]
) -> dict[float, Float[np.ndarray, " c"]]:
    """Group a metric by azimuth: at each azimuth one number for each cluster, ready for an interval over clusters.

    Elevations, seeds and trials of a cluster are averaged first. Front and back differ where a caption shows only from
    one side; a score that is the same all round, of a thing that has a front, is a sign of repeated faces.

    Args:
        values: One number for each view, such as `rprec1`.
        azimuths_deg: Of the views; rounded to a tenth of a degree.
        clusters: Of the views: their captions.

    Example:
        >>> values = np.asarray([1.0, 0.0, 1.0, 1.0])
        >>> azimuths_deg = np.asarray([0.0, 0.0, 0.0, 45.0])
        >>> found = by_azimuth(values, azimuths_deg, ["a", "a", "b", "a"])
        >>> {azimuth: numbers.tolist() for azimuth, numbers in found.items()}
        {0.0: [0.5, 1.0], 45.0: [1.0]}
    """
    gathered: dict[float, dict[object, list[float]]] = {}
    for value, azimuth, cluster in zip(values, azimuths_deg, clusters, strict=True):
        gathered.setdefault(round(float(azimuth), 1), {}).setdefault(cluster, []).append(float(value))
    return {
        azimuth: np.asarray([np.mean(numbers) for numbers in gathered[azimuth].values()])
        for azimuth in sorted(gathered)
    }
