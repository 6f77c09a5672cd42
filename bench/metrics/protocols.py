"""How a number is made from a finished field: named, versioned definitions, and the scores that they give.

A number is a trial, a metric and a protocol. `std-v1` is the one for claims about differences; the others do what a
paper's code does, with its quirks, for the column that stands beside the paper's. Here are those of photographs; those
of captions are in `bench.metrics.caption_protocols`, and `std-v1` is the name of one of either kind.

n: views, h and w: pixels of a view.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TypeVar

import numpy as np
from jaxtyping import Shaped

from bench.errors import UsageError, nearest
from bench.metrics import caption_protocols
from bench.metrics.caption_protocols import CaptionProtocol
from bench.metrics.metric_key import OWN_GUIDE, MetricKey
from bench.metrics.photo_protocols import OF_PHOTOS, Protocol, _score_photos
from bench.metrics.scores import Scores
from models.clip import loading
from models.clip.checkpoints import catalog
from tasks.captions.caption_task import CaptionData
from tasks.task import SceneData

_P = TypeVar("_P")


PROTOCOLS: dict[str, Protocol | CaptionProtocol] = {**caption_protocols.PROTOCOLS, **OF_PHOTOS}
"""By name; under `std-v1` that of photographs: `score` takes the one of the task's kind."""


def get(name: str) -> Protocol | CaptionProtocol:
    """The protocol of that name.

    Raises:
        UsageError: If there is none.

    Example:
        >>> get("std-v1").version
        '1.1'
    """
    if name not in PROTOCOLS:
        raise UsageError(f"protocol: expected a known name, got {name!r}; {nearest(name, PROTOCOLS)}")
    return PROTOCOLS[name]


def applies_to(protocol_name: str, data: SceneData | CaptionData) -> bool:
    """Whether a protocol of that name is defined on the kind of a task: of photographs, or of captions.

    Example:
        >>> import dataclasses
        >>> from tasks.captions.caption_task import held_out_tasks
        >>> data = dataclasses.replace(held_out_tasks(1)[0], view_px=8).load()
        >>> [applies_to(name, data) for name in ("std-v1", "dietnerf-2021", "dreamfields-2022")]
        [True, False, True]
    """
    return protocol_name in (caption_protocols.PROTOCOLS if isinstance(data, CaptionData) else OF_PHOTOS)


def has_metric(protocol_name: str, metric: str) -> bool:
    """Whether a protocol makes a metric, of photographs or of captions.

    Raises:
        UsageError: There is no such protocol.

    Example:
        >>> [has_metric("std-v1", name) for name in ("psnr", "rprec1@embedded-judge-rn", "rank@guide")]
        [True, True, False]
    """
    get(protocol_name)
    if protocol_name in OF_PHOTOS and metric in OF_PHOTOS[protocol_name].metrics:
        return True
    if protocol_name not in caption_protocols.PROTOCOLS:
        return False
    of_captions = caption_protocols.PROTOCOLS[protocol_name]
    key = MetricKey.parse(metric)
    if key.encoder is None:
        return metric in of_captions.field_metrics
    if key.is_of_guide:
        return key.stem in of_captions.guide_metrics
    scheme, colon, _ = key.encoder.partition(":")
    is_listed = key.encoder in catalog.EMBEDDED or key.encoder in catalog.ENTRIES
    return (is_listed or bool(colon and scheme in loading.SCHEMES)) and key.stem in of_captions.metrics


def metric_names(protocol_name: str) -> tuple[str, ...]:
    """What a protocol makes, for a message: of captions by every encoder that has a name.

    Raises:
        UsageError: There is no such protocol.

    Example:
        >>> metric_names("dreamfields-2022")[-2:], "rprec1@openai-vit-b-32" in metric_names("std-v1")
        (('nll@laion2b-vit-b-32', 'rprec1@guide'), True)
    """
    get(protocol_name)
    found: list[str] = []
    if protocol_name in OF_PHOTOS:
        found += OF_PHOTOS[protocol_name].metrics
    if protocol_name in caption_protocols.PROTOCOLS:
        of_captions = caption_protocols.PROTOCOLS[protocol_name]
        names = [*catalog.JUDGES, *(n for n in catalog.EMBEDDED if n not in catalog.JUDGES), *catalog.ENTRIES]
        found += of_captions.field_metrics
        found += [f"{metric}@{name}" for name in names for metric in of_captions.metrics]
        found += [f"{metric}@{OWN_GUIDE}" for metric in of_captions.guide_metrics]
    return tuple(found)


def crash_counts_as(protocol_name: str, metric: str) -> tuple[tuple[int, ...], float] | None:
    """What a table puts for a trial that crashed: views and their number; None where a crash has no number.

    Example:
        >>> crash_counts_as("dreamfields-2022", "rprec1@openai-vit-b-32"), crash_counts_as("std-v1", "rprec1@guide")
        (((16,), 0.0), None)
    """
    protocol = caption_protocols.PROTOCOLS.get(protocol_name)
    if protocol is None or not protocol.crash_is_miss or MetricKey.parse(metric).stem != "rprec1":
        return None
    return protocol.view_ids, 0.0


def version_mark(protocol: Protocol | CaptionProtocol, version: str) -> str | None:
    """What a table says of numbers made under another version; None if they may stand in it as they are.

    Example:
        >>> version_mark(get("std-v1"), "1.7")
        >>> version_mark(get("std-v1"), "0.3")
        'scored with std-v1 0.3, which is now 1.1: rescore, the numbers may differ'
    """
    if version.split(".")[0] == protocol.version.split(".")[0]:
        return None
    return f"scored with {protocol.name} {version}, which is now {protocol.version}: rescore, the numbers may differ"


def score(
    protocol: Protocol | CaptionProtocol,
    data: SceneData | CaptionData,
    views: Mapping[str, Shaped[np.ndarray, "..."]],
    guides: Sequence[str] = (),
) -> Scores:
    """Makes a trial's numbers from its stored views, by the protocol of that name that fits the kind of its task.

    Args:
        protocol: How.
        data: The task's arrays.
        views: "color" and "ids", and "opacity" if there is one, as float16; the views in any order. "near_opacity", if
            there is one, is of other cameras.
        guides: Names of the encoders that guided the trial: they do not judge its captions.

    Raises:
        UsageError: If the views are not views of this task's test set, or the protocol is one of other tasks.
    """
    if isinstance(data, CaptionData):
        if isinstance(protocol, Protocol):
            protocol = _of_kind(protocol.name, caption_protocols.PROTOCOLS, "captions")
        return caption_protocols.score(protocol, data, views, guides)
    if isinstance(protocol, CaptionProtocol):
        protocol = _of_kind(protocol.name, OF_PHOTOS, "photographs")
    return _score_photos(protocol, data, views)


def _of_kind(name: str, known: Mapping[str, _P], kind: str) -> _P:
    """The protocol of a name for a kind of task."""
    if name not in known:
        raise UsageError(f"protocol {name}: expected one of {kind}, which this task is; choose {', '.join(known)}")
    return known[name]
