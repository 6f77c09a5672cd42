"""Makes the numbers of views from a caption: what an encoder says of them, and what their opacity says.

`bench.metrics.caption_protocols` chooses the views, the background, the encoders and the metrics. Cosines, ranks and
margins are computed in `bench.metrics.r_precision`.

n: views, h and w: pixels of a view, f: features.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Int, Shaped

from bench.errors import UsageError
from bench.metrics import multiview_consistency, r_precision, stored_views
from bench.metrics.metric_key import MetricKey
from bench.metrics.scores import NOT_A_THING, NOT_FINITE, FieldState
from models.clip.encoder import Encoder
from tasks.captions.caption_task import CaptionData

RING = tuple(range(16))
"""Ids of the views of `std-v1`: 8 azimuths at an elevation of 15 degrees, then at 45."""

NUM_AROUND = 8
"""Views of one elevation."""


class JudgedViews(NamedTuple):
    """A trial's views as its judges get them.

    Attributes:
        premultiplied: Colour times opacity.
        opacity: The share of the background that each pixel hides.
        finite: Views all of whose pixels are finite; the others are zeros here.
        state: Whether the field is empty or solid, by its opacity all round.
        elevation_deg: Of the views.
        azimuth_deg: Of the views.
    """

    premultiplied: Float[np.ndarray, "n h w 3"]
    opacity: Float[np.ndarray, "n h w"]
    finite: Bool[np.ndarray, " n"]
    state: FieldState
    elevation_deg: Float[np.ndarray, " n"]
    azimuth_deg: Float[np.ndarray, " n"]

    def on(self, background: float) -> Float[np.ndarray, "n h w 3"]:
        """Put the views on a plain grey, in [0, 1]."""
        return np.clip(self.premultiplied + background * (1 - self.opacity[..., None]), 0, 1)


def read_views(
    data: CaptionData, views: Mapping[str, Shaped[np.ndarray, "..."]], rows: Int[np.ndarray, " n"]
) -> JudgedViews:
    """Read the chosen rows of stored views, and take the task's background out of them."""
    color = views["color"][rows].astype(np.float32)
    opacity = views["opacity"][rows].astype(np.float32)
    finite = np.isfinite(color).all(axis=(1, 2, 3)) & np.isfinite(opacity).all(axis=(1, 2))
    color = np.where(finite[:, None, None, None], color, 0)
    opacity = np.where(finite[:, None, None], opacity, 0)
    in_ring = np.isin(views["ids"], RING)
    around = views["opacity"][in_ring if in_ring.any() else slice(None)].astype(np.float32)
    places = [data.test.ids.index(int(i)) for i in views["ids"][rows]]
    return JudgedViews(
        premultiplied=color - data.background * (1 - opacity[..., None]),
        opacity=opacity,
        finite=finite,
        state=stored_views.field_state(around),
        elevation_deg=data.test.elevation_deg[places],
        azimuth_deg=data.test.azimuth_deg[places],
    )


@dataclasses.dataclass
class ScoreCollector:
    """Collects numbers for `bench.metrics.scores.Scores`, whose fields these are."""

    per_view: dict[str, list[float | None]] = dataclasses.field(default_factory=dict)
    reasons: dict[str, str] = dataclasses.field(default_factory=dict)
    context: dict[str, list[float | int | None]] = dataclasses.field(default_factory=dict)

    @classmethod
    def of_views(cls, views: JudgedViews) -> ScoreCollector:
        """Begin with the directions of the views, and without a number."""
        azimuths: list[float | int | None] = [float(x) for x in views.azimuth_deg]
        elevations: list[float | int | None] = [float(x) for x in views.elevation_deg]
        return cls(context={"azimuth_deg": azimuths, "elevation_deg": elevations})

    def add(
        self,
        name: str,
        values: Shaped[np.ndarray, " n"],
        present: Bool[np.ndarray, " n"],
        reason: str | None = None,
        missing: str = NOT_FINITE,
    ) -> None:
        """Add a metric.

        Args:
            name: The metric's.
            values: One number for each view.
            present: Views whose number counts; the others have none.
            reason: A remark on all numbers; None without one.
            missing: Why some views have no number.
        """
        self.per_view[name] = [float(value) if ok else None for value, ok in zip(values, present, strict=True)]
        told = [text for text in (reason, None if present.all() else missing) if text]
        if told:
            self.reasons[name] = "; ".join(told)

    def miss(self, name: str, num_views: int, reason: str) -> None:
        """Add a metric without any number."""
        self.per_view[name] = [None] * num_views
        self.reasons[name] = reason


def score_with_encoder(
    encoder: Encoder | str,
    keys: Sequence[MetricKey],
    data: CaptionData,
    views: JudgedViews,
    background: float,
    numbers: ScoreCollector,
) -> Float[np.ndarray, "n f"] | str:
    """Add the numbers of one encoder.

    Args:
        encoder: The encoder, or the reason why there is none.
        keys: The metrics, all by this encoder.
        data: The task's caption and retrieval set.
        views: What it judges.
        background: Grey that the views are put on, but for metrics on white.
        numbers: Where they are added.

    Returns:
        The views' embeddings on that background, or the reason why there are none.
    """
    texts = encoder if isinstance(encoder, str) else embed_captions(encoder, data)
    if isinstance(encoder, str) or isinstance(texts, str):
        for key in keys:
            numbers.miss(str(key), len(views.finite), str(texts))
        return str(texts)
    embeddings = r_precision.image_embeddings(encoder, views.on(background))
    ranks = r_precision.ranked(embeddings @ texts.T, data.place)
    ranks_on_white = ranks
    if any(key.background == "white" for key in keys):
        on_white = r_precision.image_embeddings(encoder, views.on(1.0))
        ranks_on_white = r_precision.ranked(on_white @ texts.T, data.place)
    for key in keys:
        found = ranks_on_white if key.background == "white" else ranks
        values, reason = metric_values(key.base, found, views.state, len(texts))
        numbers.add(str(key), values, views.finite, reason)
    if not keys[0].is_of_guide:
        for field, places in (("predicted", ranks.predicted), ("wrong", ranks.wrong)):
            numbers.context[str(MetricKey(field, keys[0].encoder))] = [
                int(place) if ok else None for place, ok in zip(places, views.finite, strict=True)
            ]
    return embeddings


def embed_captions(encoder: Encoder, data: CaptionData) -> Float[np.ndarray, "m f"] | str:
    """Embed the retrieval set; give the reason in one line where the encoder cannot read it."""
    try:
        return r_precision.text_embeddings(encoder, data.captions)
    except UsageError as error:
        return " ".join(str(error).split())


def metric_values(
    base: str, ranks: r_precision.RetrievalRanks, state: FieldState, set_size: int
) -> tuple[Shaped[np.ndarray, " n"], str | None]:
    """Take a metric's numbers from ranks; an empty or solid field is a miss in every view.

    Args:
        base: Of the metric: "rprec1", "rank", "margin".
        ranks: Of the views.
        state: Of the field.
        set_size: Captions in the set: the rank of a miss.

    Returns:
        The numbers, and why they are those of a miss; None where they are as measured.

    Example:
        >>> ranks = r_precision.ranked(np.asarray([[0.1, 0.3], [0.3, 0.2]]), place=1)
        >>> metric_values("rprec1", ranks, "ok", 2)[0].tolist()
        [True, False]
        >>> metric_values("rank", ranks, "empty", 2)
        (array([2, 2]), 'the field is empty: a miss in every view')
    """
    hits = {"rprec1": ranks.hit1, "rprec5": ranks.hit5}
    values = hits[base] if base in hits else getattr(ranks, base)
    can_be_miss = base in hits or base == "rank"
    if state not in NOT_A_THING or not can_be_miss:
        return values, None
    miss = set_size if base == "rank" else 0
    return np.full_like(values, miss), f"the field is {state}: a miss in every view"


# ---- metrics that no text decides ------------------------------------------------------------------------------------


def score_repeats(views: JudgedViews, embeddings: Float[np.ndarray, "n f"] | str, numbers: ScoreCollector) -> None:
    """Add the repeated-face score: one number a ring, given to all of its views, so that their mean is over rings."""
    num_views = len(views.finite)
    if isinstance(embeddings, str):
        return numbers.miss("repeats", num_views, embeddings)
    if views.state in NOT_A_THING:
        return numbers.miss("repeats", num_views, f"the field is {views.state}: it has no sides")
    values = np.zeros(num_views)
    is_whole = np.zeros(num_views, np.bool_)
    for elevation in np.unique(views.elevation_deg):
        ring = np.flatnonzero(views.elevation_deg == elevation)
        if len(ring) == NUM_AROUND and views.finite[ring].all():
            in_order = ring[np.argsort(views.azimuth_deg[ring])]
            values[ring] = multiview_consistency.repeats(embeddings[in_order])
            is_whole[ring] = True
    why = f"not all of the {NUM_AROUND} views of its ring are there and finite"
    numbers.add("repeats", values, is_whole, missing=why)


def score_opacity(views: JudgedViews, embeddings: Float[np.ndarray, "n f"] | str, numbers: ScoreCollector) -> None:
    """Add the mean opacity of each view."""
    numbers.add("opacity", views.opacity.mean(axis=(1, 2), dtype=np.float64), views.finite)


FIELD_SCORERS: dict[str, Callable[[JudgedViews, Float[np.ndarray, "n f"] | str, ScoreCollector], None]] = {
    "repeats": score_repeats,
    "opacity": score_opacity,
}
"""By metric; each gets the embeddings of the first judge, or the reason why there are none."""
