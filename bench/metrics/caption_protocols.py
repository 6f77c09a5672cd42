"""Scores a field that was made from a caption: do judges find the caption again in its views?

`CAPTION_PROTOCOLS` lists the protocols. A judge never guided the trial. The number of the trial's own guide has a name
of its own, `@guide`, and is always reported as in-loop.

n: scored views, h and w: pixels of a view.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from jaxtyping import Int, Shaped

from bench.errors import UsageError, nearest
from bench.metrics import judges, r_precision, stored_views
from bench.metrics.caption_scorers import (
    FIELD_SCORERS,
    RING,
    JudgedViews,
    ScoreCollector,
    read_views,
    score_with_encoder,
)
from bench.metrics.metric_key import OWN_GUIDE, MetricKey
from bench.metrics.protocols import EncoderLoader, Protocol
from bench.metrics.registry import ENCODER_METRICS
from bench.metrics.scores import Scores
from models.clip import loading
from models.clip.checkpoints import catalog
from models.clip.encoder import Encoder
from models.imagenet.catalog import check_reads_text
from tasks.captions.caption_task import CaptionData

IN_LOOP = "in-loop: it guided this trial; see rprec1@guide"


@dataclasses.dataclass(frozen=True, kw_only=True)
class JudgedProtocol(Protocol):
    """Scores views of a caption's object that encoders judge before a plain grey; what all such protocols share.

    Attributes:
        view_ids: Which of the views of `tasks.captions.caption_task`.
        background: Grey that the views are put on: 1 is white.
        captions: Name of the retrieval set that the protocol is defined on; None if any.
    """

    view_ids: tuple[int, ...]
    background: float
    captions: str | None = None

    def can_score(self, view_ids: Sequence[int]) -> bool:
        """Whether one of the views is among those that it scores."""
        return not set(self.view_ids).isdisjoint(view_ids)

    def make_scores(
        self,
        view_ids: tuple[int, ...],
        views: JudgedViews,
        numbers: ScoreCollector,
        departs: Sequence[str],
        about: dict[str, Any],
    ) -> Scores:
        """Gather what a trial's numbers are stored with.

        Args:
            view_ids: Those of the views.
            views: What was judged.
            numbers: What judges made of them.
            departs: How they differ from what the protocol is defined on.
            about: What they were made with.
        """
        return Scores(
            protocol=self.name,
            version=self.version,
            view_ids=view_ids,
            per_view=numbers.per_view,
            reasons=numbers.reasons,
            context=numbers.context,
            departs="; ".join(departs) or None,
            field_state=views.state,
            about=about,
        )


@dataclasses.dataclass(frozen=True, kw_only=True)
class CaptionProtocol(JudgedProtocol):
    """Scores the views of a caption's object by encoders that look for the caption, in float32.

    Attributes:
        metrics: What every judge makes, `METRIC@JUDGE`: names in `bench.metrics.registry.ENCODER_METRICS`.
        guide_metrics: What the trial's own guide makes, `METRIC@guide`.
        field_metrics: Metrics that ignore the caption: "repeats" compares the views of the ring by the first judge's
            embeddings, "opacity" is a view's mean opacity.
        crash_is_miss: Whether tables count a trial that crashed as a miss.
    """

    metrics: tuple[str, ...]
    guide_metrics: tuple[str, ...]
    field_metrics: tuple[str, ...]
    crash_is_miss: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        self._check_known((*self.metrics, *self.guide_metrics), tuple(ENCODER_METRICS))
        self._check_known(self.field_metrics, tuple(FIELD_SCORERS))

    def _check_known(self, names: Sequence[str], known: Sequence[str]) -> None:
        for name in names:
            if name not in known:
                near = nearest(name, known)
                raise ValueError(f"protocol {self.name}: expected known metrics, got {name!r}; {near}")

    def has_metric(self, metric: str) -> bool:
        """Tell whether the protocol makes a metric. It makes none by an unknown encoder.

        Example:
            >>> names = ("rprec1@embedded-judge-rn", "opacity", "rank@guide", "rprec1@nobody")
            >>> [CAPTION_PROTOCOLS["std-v1"].has_metric(name) for name in names]
            [True, True, False, False]
        """
        key = MetricKey.parse(metric)
        if key.encoder is None:
            return metric in self.field_metrics
        if key.is_of_guide:
            return key.stem in self.guide_metrics
        return key.stem in self.metrics and is_encoder_name(key.encoder)

    def metric_names(self) -> tuple[str, ...]:
        """List the metrics that it makes, by every encoder that has a name.

        Example:
            >>> CAPTION_PROTOCOLS["dreamfields-2022"].metric_names()[-2:]
            ('nll@laion2b-vit-b-32', 'rprec1@guide')
        """
        by_judges = [f"{metric}@{name}" for name in named_encoders() for metric in self.metrics]
        by_guide = [f"{metric}@{OWN_GUIDE}" for metric in self.guide_metrics]
        return (*self.field_metrics, *by_judges, *by_guide)

    def crash_score(self, metric: str) -> tuple[tuple[int, ...], float] | None:
        """Give a miss where the paper's code counts a crash as one; None for a gap.

        Example:
            >>> CAPTION_PROTOCOLS["dreamfields-2022"].crash_score("rprec1@openai-vit-b-32")
            ((16,), 0.0)
            >>> CAPTION_PROTOCOLS["std-v1"].crash_score("rprec1@guide")
        """
        if not self.crash_is_miss or MetricKey.parse(metric).stem != "rprec1":
            return None
        return self.view_ids, 0.0

    def score(
        self,
        data: CaptionData,
        views: Mapping[str, Shaped[np.ndarray, "..."]],
        guides: Sequence[str] = (),
        load_encoder: EncoderLoader | None = None,
    ) -> Scores:
        """Make a trial's numbers from its stored views. See `Protocol.score`.

        If a judge cannot be loaded, its numbers are missing and the reason is stored; all other scores are made.

        Args:
            data: The task's caption, retrieval set, judges and cameras.
            views: "color" on the task's background, "opacity" and "ids", as float16; the views in any order.
            guides: Names of the encoders that guided the trial, the one of `@guide` first.
            load_encoder: Gives the judges and the guide; None takes `encoder_of`.

        Raises:
            UsageError: The views are not views of this task.
        """
        load = load_encoder or encoder_of
        rows, departs = choose_rows(self, data, views)
        judged_views = read_views(data, views, rows)
        numbers = ScoreCollector.of_views(judged_views)
        encoders: dict[str, Encoder | str] = {}
        for i, name in enumerate(data.judges):
            encoders[name] = held_out_judge(name, guides, load)
            keys = keys_of(self.metrics, name)
            embeddings = score_with_encoder(encoders[name], keys, data, judged_views, self.background, numbers)
            if i == 0:
                for metric in self.field_metrics:
                    FIELD_SCORERS[metric](judged_views, embeddings, numbers)
        if self.guide_metrics:
            encoders[OWN_GUIDE] = load(guides[0]) if guides else "no encoder guided this trial"
            keys = keys_of(self.guide_metrics, OWN_GUIDE)
            score_with_encoder(encoders[OWN_GUIDE], keys, data, judged_views, self.background, numbers)
        departs += resize_notes(judged_views.opacity.shape[1], encoders)
        view_ids = tuple(int(views["ids"][row]) for row in rows)
        return self.make_scores(view_ids, judged_views, numbers, departs, describe_judging(data, guides))


CAPTION_PROTOCOLS: dict[str, CaptionProtocol] = {
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
"""All protocols of captions, by name."""


# ---- encoders --------------------------------------------------------------------------------------------------------


@functools.lru_cache(maxsize=8)
def encoder_of(name: str) -> Encoder | str:
    """Load an encoder in float32 and keep it for the next trial; give the reason in one line where it cannot judge."""
    try:
        check_reads_text(name, "judge")
        return loading.load(name)
    except UsageError as error:
        return " ".join(str(error).split())


def held_out_judge(name: str, guides: Sequence[str], load: EncoderLoader) -> Encoder | str:
    """Load a judge, or say why it may not or cannot judge; a guide is known by its weights, whatever its name."""
    digests = {guide: catalog.weights_fingerprint(guide) for guide in guides}
    judge = judges.judge_of(name, {"": digests}, allow_in_loop=True)
    return IN_LOOP if judge.in_loop else load(name)


def named_encoders() -> list[str]:
    """List the encoders that have a name of their own, judges first."""
    others = [name for name in catalog.EMBEDDED if name not in catalog.JUDGES]
    return [*catalog.JUDGES, *others, *catalog.ENTRIES]


def is_encoder_name(name: str) -> bool:
    """Whether a name is that of an embedded or published encoder, or of a file or repository of the user's.

    Example:
        >>> [is_encoder_name(name) for name in ("embedded-judge-rn", "file:/a.safetensors", "nobody")]
        [True, True, False]
    """
    scheme, colon, _ = name.partition(":")
    is_listed = name in catalog.EMBEDDED or name in catalog.ENTRIES
    return is_listed or (colon != "" and scheme in loading.SCHEMES)


def keys_of(stems: Sequence[str], encoder: str) -> list[MetricKey]:
    """Name metrics that an encoder makes.

    Example:
        >>> [str(key) for key in keys_of(("rprec1", "margin_white"), "guide")]
        ['rprec1@guide', 'margin_white@guide']
    """
    return [MetricKey.parse(f"{stem}@{encoder}") for stem in stems]


# ---- views -----------------------------------------------------------------------------------------------------------


def choose_rows(
    protocol: JudgedProtocol, data: CaptionData, views: Mapping[str, Shaped[np.ndarray, "..."]]
) -> tuple[Int[np.ndarray, " n"], list[str]]:
    """Choose the rows of the stored views that are scored; say how they differ from what the protocol is defined on.

    Raises:
        UsageError: They are not views of this task, or none of the protocol's.
    """
    lacking = [name for name in ("color", "opacity", "ids") if name not in views]
    if lacking:
        raise UsageError(f"score: expected stored views with {' and '.join(lacking)}, got none; render them again")
    stored = [int(i) for i in views["ids"]]
    stored_views.check_ids(stored, data.test.ids)
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


def resize_notes(image_px: int, encoders: Mapping[str, Encoder | str]) -> list[str]:
    """Say which encoders got views that were resized; empty if none did."""
    names_by_size: dict[int, list[str]] = {}
    for name, encoder in encoders.items():
        if not isinstance(encoder, str) and encoder.image_px != image_px:
            names_by_size.setdefault(encoder.image_px, []).append(name)
    return [
        f"views of {image_px} px were brought to the {size} px of {', '.join(names)} by a bicubic filter"
        for size, names in names_by_size.items()
    ]


def describe_judging(data: CaptionData, guides: Sequence[str]) -> dict[str, Any]:
    """Describe what numbers were made with: the caption and its set, chance, judges and guides with their weights."""
    size = len(data.captions.captions)
    return {
        "caption": data.caption,
        "place": data.place,
        "captions": data.captions.name,
        "sha256": data.captions.sha256,
        "size": size,
        "chance": r_precision.chance(size),
        "chance5": r_precision.chance(size, top=5),
        "judges": {name: catalog.weights_fingerprint(name) for name in data.judges},
        "guides": {name: catalog.weights_fingerprint(name) for name in guides},
    }
