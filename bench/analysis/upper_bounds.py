"""Reads the upper bounds of caption metrics: the scores of true renders of the objects that captions mean.

Tables print them below the arms, with chance. They are stored in `upper_bounds.json` beside this file, which comes with
the project. After a change of judges, retrieval set or protocol they are measured anew by

    python -m bench upper-bounds --set closed-world --num 64

which renders the captions' objects and scores the renders like any field: `bench.analysis.true_renders`.

c: captions.
"""

from __future__ import annotations

import functools
import json
import pathlib
from collections.abc import Sequence
from typing import Any

import numpy as np
from jaxtyping import Float

from bench.analysis import statistics
from bench.metrics import r_precision
from bench.metrics.metric_key import MetricKey
from bench.metrics.registry import metric_named

FILE = pathlib.Path(__file__).with_name("upper_bounds.json")


@functools.cache
def stored_bounds() -> dict[str, dict[str, Any]]:
    """Read the project's file: an entry a retrieval set; empty where there is no file."""
    return json.loads(FILE.read_text()) if FILE.is_file() else {}


def upper_bound(
    set_sha: str, metric: str, clusters: Sequence[str] | None = None
) -> tuple[statistics.Interval, int] | None:
    """Average a metric over true renders.

    Args:
        set_sha: SHA-256 of the retrieval set, or its first digits.
        metric: Of `std-v1`.
        clusters: The captions of a table, as `CaptionTask.cluster` has them; None for all that were rendered.

    Returns:
        The mean with its interval over captions, and their number; None where none of them was rendered, or not scored
        by this metric.

    Example:
        >>> [name] = [name for name in stored_bounds() if name.startswith("closed-world")]
        >>> bound, num_captions = upper_bound(stored_bounds()[name]["sha256"], "rprec1@embedded-judge-rn")
        >>> bound.mean > 0.9, num_captions
        (True, 64)
    """
    scores = scores_by_caption(set_sha, metric)
    names = scores if clusters is None else dict.fromkeys(clusters)
    values = [scores[name] for name in names if name in scores]
    if not values:
        return None
    return metric_interval(metric, np.asarray(values, np.float64)), len(values)


def scores_by_caption(set_sha: str, metric: str) -> dict[str, float]:
    """Read what true renders of a set's captions score; captions without a number are left out.

    Args:
        set_sha: SHA-256 of the retrieval set, or its first digits.
        metric: Of `std-v1`.

    Example:
        >>> scores_by_caption("no such set", "repeats")
        {}
    """
    entries = [entry for entry in stored_bounds().values() if set_sha and entry["sha256"].startswith(set_sha)]
    if not entries or metric not in entries[0]["by_caption"]:
        return {}
    scores = zip(entries[0]["rendered"], entries[0]["by_caption"][metric], strict=True)
    return {name: score for name, score in scores if score is not None}


def metric_interval(metric: str, values: Float[np.ndarray, " c"]) -> statistics.Interval:
    """Compute a mean over captions with its 95% interval, cut at the metric's limits.

    Example:
        >>> [round(x, 3) for x in metric_interval("rprec1@embedded-judge-rn", np.asarray([1.0, 1.0, 0.5, 1.0]))]
        [0.875, 0.477, 1.0]
    """
    return statistics.t_interval(values, limits=metric_named(metric).limits)


def chance_level(metric: str, set_size: int) -> float | None:
    """Compute a metric's value by chance in a set of captions; None where that depends on the encoder.

    Example:
        >>> [chance_level(f"{name}@embedded-judge-rn", 128) for name in ("rprec1_white", "rprec5", "rank", "margin")]
        [0.0078125, 0.0390625, 64.5, None]
    """
    base = MetricKey.parse(metric).base
    if base in r_precision.TOP:
        return r_precision.chance(set_size, top=r_precision.TOP[base])
    return (set_size + 1) / 2 if base == "rank" else None
