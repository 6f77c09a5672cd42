"""How numbers are made of a field that was made from a caption: does a judge find the caption again in its views?

Named, versioned definitions, as in `bench.metrics.protocols`, which calls this where the task is one of captions. A judge never
guided the trial; the number of the trial's own guide has a name of its own, `@guide`, and is always said to be in-loop.

n: views, h and w: pixels of a view, f: features.
"""

from __future__ import annotations

import dataclasses
import functools
import re
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Int, Shaped

from bench.errors import UsageError, nearest
from bench.metrics import judges, multiview_consistency, r_precision
from bench.metrics.metric_key import OWN_GUIDE, MetricKey
from bench.metrics.registry import ENCODER_METRICS
from bench.metrics.scores import NOT_FINITE, FieldState, Scores
from models.clip import loading
from models.clip.checkpoints import catalog
from models.clip.encoder import Encoder
from tasks.captions.caption_task import CaptionData

IN_LOOP = "in-loop: it guided this trial; see rprec1@guide"

RING = tuple(range(16))
"""Ids of the views of `std-v1`: 8 azimuths at an elevation of 15 degrees, then at 45."""

NUM_AROUND = 8


@dataclasses.dataclass(frozen=True, kw_only=True)
class CaptionProtocol:
    """A definition of how numbers are made of views from a caption. Views are scored from float16, by float32 judges.

    Attributes:
        name: With dashes.
        version: "X.Y"; X goes up when numbers may change.
        about: One line for pages, and where the definition comes from.
        metrics: What every judge makes, `METRIC@JUDGE`: names in `bench.metrics.registry.ENCODER_METRICS`.
        guide_metrics: What the trial's own guide makes, `METRIC@guide`.
        field_metrics: What is no encoder's verdict on the caption: "repeats", of the ring, by the first judge's eyes;
            "opacity", the mean of a view.
        view_ids: Which of the views of `tasks.captions.caption_task`.
        background: Grey that the views are put on: 1 is white.
        captions: Name of the retrieval set it is defined on; None if any.
        crash_is_miss: Whether tables count a trial that crashed as a miss.
    """

    name: str
    version: str
    about: str
    metrics: tuple[str, ...]
    guide_metrics: tuple[str, ...]
    field_metrics: tuple[str, ...]
    view_ids: tuple[int, ...]
    background: float
    captions: str | None = None
    crash_is_miss: bool = False

    def __post_init__(self) -> None:
        if not re.fullmatch(r"\d+\.\d+", self.version):
            raise ValueError(f"protocol {self.name}: expected a version X.Y, got {self.version!r}")
        for names, known in (
            (self.metrics + self.guide_metrics, tuple(ENCODER_METRICS)),
            (self.field_metrics, tuple(_OF_FIELDS)),
        ):
            for name in names:
                if name not in known:
                    raise ValueError(
                        f"protocol {self.name}: expected known metrics, got {name!r}; {nearest(name, known)}"
                    )


class JudgedViews(NamedTuple):
    """A trial's views as its judges get them.

    Attributes:
        premultiplied: Colour times opacity.
        opacity: How much of the background each pixel hides.
        finite: Views all of whose pixels are numbers; the others are zeros here.
        state: Of the field, told by its opacity all round.
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
        """The views before a plain background, in [0, 1]."""
        return np.clip(self.premultiplied + background * (1 - self.opacity[..., None]), 0, 1)


@dataclasses.dataclass
class ScoreCollector:
    """Numbers as they come, for `Scores`."""

    per_view: dict[str, list[float | None]] = dataclasses.field(default_factory=dict)
    reasons: dict[str, str] = dataclasses.field(default_factory=dict)
    context: dict[str, list[float | int | None]] = dataclasses.field(default_factory=dict)

    def add(
        self,
        name: str,
        values: Shaped[np.ndarray, " n"],
        present: Bool[np.ndarray, " n"],
        reason: str | None = None,
        missing: str = NOT_FINITE,
    ) -> None:
        """A metric, with what is to be said of all its numbers, and of those that are not there."""
        self.per_view[name] = [float(value) if ok else None for value, ok in zip(values, present, strict=True)]
        told = [text for text in (reason, None if present.all() else missing) if text]
        if told:
            self.reasons[name] = "; ".join(told)

    def miss(self, name: str, num_views: int, reason: str) -> None:
        """A metric without any number."""
        self.per_view[name], self.reasons[name] = [None] * num_views, reason


def score(
    protocol: CaptionProtocol,
    data: CaptionData,
    views: Mapping[str, Shaped[np.ndarray, "..."]],
    guides: Sequence[str] = (),
) -> Scores:
    """Makes a trial's numbers from its stored views.

    A judge that cannot be had has no numbers, and says why: what was trained is not lost for it.

    Args:
        protocol: How.
        data: The task's caption, retrieval set, judges and cameras.
        views: "color" on the task's background, "opacity" and "ids", as float16; the views in any order.
        guides: Names of the encoders that the trial was guided by, the one of `@guide` first.

    Raises:
        UsageError: If the views are not views of this task.
    """
    rows, departs = _chosen(protocol, data, views)
    seen, num_views = _seen(data, views, rows), len(rows)
    numbers, sizes = ScoreCollector(), {}
    numbers.context["azimuth_deg"] = [float(x) for x in seen.azimuth_deg]
    numbers.context["elevation_deg"] = [float(x) for x in seen.elevation_deg]
    for i, name in enumerate(data.judges):
        encoder = _held_out(name, guides)
        embeddings = score_with_encoder(protocol, protocol.metrics, data, seen, encoder, name, numbers)
        sizes[name] = None if isinstance(encoder, str) else encoder.image_px
        if i == 0:
            for metric in protocol.field_metrics:
                _OF_FIELDS[metric](seen, embeddings, numbers)
    if protocol.guide_metrics:
        own: Encoder | str = encoder_of(guides[0]) if guides else "no encoder guided this trial"
        score_with_encoder(protocol, protocol.guide_metrics, data, seen, own, OWN_GUIDE, numbers)
        sizes[OWN_GUIDE] = None if isinstance(own, str) else own.image_px
    departs += _resized(seen.opacity.shape[1], sizes)
    assert all(len(values) == num_views for values in numbers.per_view.values())
    return Scores(
        protocol=protocol.name,
        version=protocol.version,
        view_ids=tuple(int(views["ids"][row]) for row in rows),
        per_view=numbers.per_view,
        reasons=numbers.reasons,
        context=numbers.context,
        departs="; ".join(departs) or None,
        field_state=seen.state,
        about=_about(data, guides),
    )


def field_state(opacity: Float[np.ndarray, "n h w"]) -> FieldState:
    """Whether training ended in an empty or a solid volume; what a caption asks for is neither.

    Args:
        opacity: Of views all round.

    Example:
        >>> [field_state(np.full((2, 4, 4), x, np.float32)) for x in (0.001, 0.5, 0.999)]
        ['empty', 'ok', 'solid']
    """
    if not np.isfinite(opacity).all():
        return "unknown"
    if opacity.mean() < 0.01:
        return "empty"
    return "solid" if opacity.min() > 0.99 else "ok"


@functools.lru_cache(maxsize=8)
def encoder_of(name: str) -> Encoder | str:
    """An encoder in float32, kept for the next trial; or why it cannot be had, in a line."""
    try:
        return loading.load(name)
    except UsageError as error:
        return " ".join(str(error).split())


# ---- what becomes of the views ---------------------------------------------------------------------------------------


def _chosen(
    protocol: CaptionProtocol, data: CaptionData, views: Mapping[str, Shaped[np.ndarray, "..."]]
) -> tuple[Int[np.ndarray, " n"], list[str]]:
    """Places of the scored views among the stored ones, and how they depart from the protocol."""
    lacking = [name for name in ("color", "opacity", "ids") if name not in views]
    if lacking:
        raise UsageError(f"score: expected stored views with {' and '.join(lacking)}, got none; render them again")
    stored, known = [int(i) for i in views["ids"]], set(data.test.ids)
    strangers = sorted(set(stored) - known)
    if not stored or strangers or len(set(stored)) < len(stored):
        got = "none" if not stored else f"view {strangers[0]}" if strangers else "one of them twice"
        raise UsageError(f"score: expected views of the task's {len(known)}, got {got}; render them again")
    height, width = views["color"].shape[1:3]
    if height != width:
        raise UsageError(f"score: expected square views, got {width} x {height}; render them at the task's size")
    chosen = [i for i in protocol.view_ids if i in stored]
    if not chosen:
        wanted = ", ".join(str(i) for i in protocol.view_ids)
        raise UsageError(f"score: expected a view of {protocol.name} ({wanted}), got others; render them again")
    departs = []
    if len(chosen) < len(protocol.view_ids):
        departs.append(f"{protocol.name} is defined on {len(protocol.view_ids)} views; these are {len(chosen)}")
    if protocol.captions not in (None, data.captions.name):
        departs.append(
            f"{protocol.name} is defined on the captions {protocol.captions}; these are {data.captions.name}"
        )
    return np.asarray([stored.index(i) for i in chosen]), departs


def _seen(
    data: CaptionData, views: Mapping[str, Shaped[np.ndarray, "..."]], rows: Int[np.ndarray, " n"]
) -> JudgedViews:
    color, opacity = views["color"][rows].astype(np.float32), views["opacity"][rows].astype(np.float32)
    finite = np.isfinite(color).all(axis=(1, 2, 3)) & np.isfinite(opacity).all(axis=(1, 2))
    color = np.where(finite[:, None, None, None], color, 0)
    opacity = np.where(finite[:, None, None], opacity, 0)
    ring = np.isin(views["ids"], RING)
    around = views["opacity"][ring if ring.any() else slice(None)].astype(np.float32)
    places = [data.test.ids.index(int(i)) for i in views["ids"][rows]]
    return JudgedViews(
        premultiplied=color - data.background * (1 - opacity[..., None]),
        opacity=opacity,
        finite=finite,
        state=field_state(around),
        elevation_deg=data.test.elevation_deg[places],
        azimuth_deg=data.test.azimuth_deg[places],
    )


def _resized(image_px: int, sizes: Mapping[str, int | None]) -> list[str]:
    """Which encoders did not get views of their own size; empty if all did."""
    others: dict[int, list[str]] = {}
    for name, size in sizes.items():
        if size is not None and size != image_px:
            others.setdefault(size, []).append(name)
    return [
        f"views of {image_px} px were brought to the {size} px of {', '.join(names)} by a bicubic filter"
        for size, names in others.items()
    ]


def _about(data: CaptionData, guides: Sequence[str]) -> dict[str, Any]:
    size = len(data.captions.captions)
    return {
        "caption": data.caption,
        "place": data.place,
        "captions": data.captions.name,
        "sha256": data.captions.sha256,
        "size": size,
        "chance": r_precision.chance(size),
        "chance5": r_precision.chance(size, top=5),
        "judges": {name: catalog.fingerprint(name) for name in data.judges},
        "guides": {name: catalog.fingerprint(name) for name in guides},
    }


# ---- numbers ---------------------------------------------------------------------------------------------------------


def _held_out(name: str, guides: Sequence[str]) -> Encoder | str:
    """A judge, or why it may or can not judge: by its weights, whatever its name."""
    used = {"": {guide: catalog.fingerprint(guide) for guide in guides}}
    return IN_LOOP if judges.judge_of(name, used, allow_in_loop=True).in_loop else encoder_of(name)


def score_with_encoder(
    protocol: CaptionProtocol,
    metrics: tuple[str, ...],
    data: CaptionData,
    seen: JudgedViews,
    encoder: Encoder | str,
    name: str,
    numbers: ScoreCollector,
) -> Float[np.ndarray, "n f"] | str:
    """Adds the numbers of an encoder; gives what it saw on the protocol's background, or why it saw nothing."""
    num_views = len(seen.finite)
    if not isinstance(encoder, str):
        try:
            read = r_precision.text_embeddings(encoder, data.captions)
        except UsageError as error:
            encoder = " ".join(str(error).split())
    if isinstance(encoder, str):
        for metric in metrics:
            numbers.miss(f"{metric}@{name}", num_views, encoder)
        return encoder
    embeddings = r_precision.image_embeddings(encoder, seen.on(protocol.background))
    found = r_precision.ranked(embeddings @ read.T, data.place)
    on_white = found
    keys = [MetricKey.parse(f"{metric}@{name}") for metric in metrics]
    if any(key.background == "white" for key in keys):
        on_white = r_precision.ranked(r_precision.image_embeddings(encoder, seen.on(1.0)) @ read.T, data.place)
    for key in keys:
        made = on_white if key.background == "white" else found
        values, reason = metric_values(key.base, made, seen.state, len(read))
        numbers.add(str(key), values, seen.finite, reason)
    if name != OWN_GUIDE:
        for field, places in (("predicted", found.predicted), ("wrong", found.wrong)):
            numbers.context[f"{field}@{name}"] = [
                int(place) if ok else None for place, ok in zip(places, seen.finite, strict=True)
            ]
    return embeddings


def metric_values(
    metric: str, found: r_precision.RetrievalRanks, state: FieldState, set_size: int
) -> tuple[Shaped[np.ndarray, " n"], str | None]:
    """A metric's numbers, and why they are those of a miss whatever the views look like."""
    values = {"rprec1": found.hit1, "rprec5": found.hit5}.get(metric)
    values = getattr(found, metric) if values is None else values
    if state in ("empty", "solid") and metric in ("rprec1", "rprec5", "rank"):
        return np.full_like(values, set_size if metric == "rank" else 0), f"the field is {state}: a miss in every view"
    return values, None


def _repeats(seen: JudgedViews, embeddings: Float[np.ndarray, "n f"] | str, numbers: ScoreCollector) -> None:
    """One number a ring, which all of its views have; the mean over views is that over rings."""
    num_views = len(seen.finite)
    if isinstance(embeddings, str) or seen.state in ("empty", "solid"):
        why = embeddings if isinstance(embeddings, str) else f"the field is {seen.state}: it has no sides"
        return numbers.miss("repeats", num_views, why)
    values, whole = np.zeros(num_views), np.zeros(num_views, np.bool_)
    for elevation in np.unique(seen.elevation_deg):
        ring = np.flatnonzero(seen.elevation_deg == elevation)
        if len(ring) == NUM_AROUND and seen.finite[ring].all():
            values[ring] = multiview_consistency.repeats(embeddings[ring[np.argsort(seen.azimuth_deg[ring])]])
            whole[ring] = True
    numbers.add("repeats", values, whole, missing=f"not all of the {NUM_AROUND} views of its ring are there and finite")


def _opacity(seen: JudgedViews, embeddings: Float[np.ndarray, "n f"] | str, numbers: ScoreCollector) -> None:
    numbers.add("opacity", seen.opacity.mean(axis=(1, 2), dtype=np.float64), seen.finite)


_OF_FIELDS = {"repeats": _repeats, "opacity": _opacity}


PROTOCOLS: dict[str, CaptionProtocol] = {
    protocol.name: protocol
    for protocol in (
        CaptionProtocol(
            name="std-v1",
            version="1.0",
            about="8 azimuths at elevations of 15 and 45 degrees on mid-grey, each by every judge that did not guide, "
            "white beside it; an empty or solid field is a miss; the one for claims about differences",
            metrics=("rprec1", "rprec5", "rank", "margin", "cosine", "rprec1_white", "margin_white"),
            guide_metrics=("rprec1", "margin"),
            field_metrics=("repeats", "opacity"),
            view_ids=RING,
            background=0.5,
        ),
        CaptionProtocol(
            name="dreamfields-2022",
            version="1.0",
            about="one view at azimuth 30 and elevation 45 on white, at the encoder's size, the best of 153 captions "
            "by raw cosine; run_eval of google-research/dreamfields",
            metrics=("rprec1", "cosine", "nll"),
            guide_metrics=("rprec1",),
            field_metrics=(),
            view_ids=(16,),
            background=1.0,
            captions="coco-153",
            crash_is_miss=True,
        ),
    )
}
