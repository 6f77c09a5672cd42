"""Lists all metrics: the name, unit, direction, digits, title and limits of each.

To add a metric of photographs, add to four files of `bench/metrics/`:
1. `image.py`, or a file of its own: the function, from rendered and true images to one number for each image;
2. `registry.py`: a row in `METRICS`, how the number is read and printed;
3. `photo_scorers.py`: a row in `_SCORERS`, which function makes it;
4. `photo_protocols.py`: its name in a protocol, whose version goes up.

To add a metric that an encoder makes of a caption's views, add to three:
1. `r_precision.py`: a field of `RetrievalRanks`, the numbers of all views;
2. `registry.py`: a row in `ENCODER_METRICS`;
3. `caption_protocols.py`: its name in a protocol, whose version goes up.

A table shows a metric if the suite names it: `metrics=` in `bench/suites/builtin/`. Stored trials get it by
`python -m bench rescore`.

Then run `python -m pytest tests/bench/metrics`: it checks that the metric prefers better views, and asks for a golden
number that keeps it from moving.
"""

from __future__ import annotations

import math
from typing import NamedTuple

from bench.errors import UsageError, nearest
from bench.metrics.metric_key import MetricKey


class Metric(NamedTuple):
    """A metric: its name, and the way its numbers are read and printed.

    Attributes:
        name: Its key in scores and on the command line.
        unit: Empty where it has none.
        higher_is_better: The metric's direction; None where neither way is better. A resolved difference is then
            reported as higher or lower, and is read beside the number of true renders.
        digits: After the point, in tables.
        title: For tables and axes.
        limits: The range of its means; intervals are cut there.
    """

    name: str
    unit: str
    higher_is_better: bool | None
    digits: int
    title: str
    limits: tuple[float, float] = (-math.inf, math.inf)


SHARE = (0.0, 1.0)
"""Limits of a share, and of what can be read as one."""

FROM_ZERO = (0.0, math.inf)

NO_BACKGROUND = "there is no background: the true views bring no alpha, or nothing else"
"""Why a view has no number of its foreground alone. It is stored with scores."""

NOT_SINGLE = "the caption means two things"
"""Why a caption has no number of single things."""

NOT_A_PAIR = "the caption means one thing"
"""Why a caption has no number of pairs."""

NOT_ASKED = (NOT_SINGLE, NOT_A_PAIR)
"""Reasons for which nothing was lost: the metric is not about that caption."""

METRICS: dict[str, Metric] = {
    metric.name: metric
    for metric in (
        Metric("psnr", "dB", True, 2, "PSNR"),
        Metric("psnr_fg", "dB", True, 2, "PSNR, foreground"),
        Metric("psnr_u8", "dB", True, 2, "PSNR, 8 bits"),
        Metric("mse", "", False, 5, "MSE", FROM_ZERO),
        Metric("ssim", "", True, 3, "SSIM", SHARE),
        Metric("ssim_sk7", "", True, 3, "SSIM, uniform 7 px", SHARE),
        Metric("lpips_vgg", "", False, 3, "LPIPS, VGG", FROM_ZERO),
        Metric("lpips_alex", "", False, 3, "LPIPS, AlexNet", FROM_ZERO),
        Metric("lpips_vgg_01", "", False, 3, "LPIPS, VGG fed [0, 1]", FROM_ZERO),
        Metric("floaters", "%", False, 2, "floaters", (0.0, 100.0)),
        # Neither way is better: far sides of true things are alike, and those of fog more or less so; a field can cover
        # too much and too little.
        Metric("repeats", "", None, 3, "repeated faces", SHARE),
        Metric("opacity", "", None, 3, "mean opacity", SHARE),
    )
}
"""Metrics whose name has no encoder in it, by name."""

ENCODER_METRICS: dict[str, Metric] = {
    metric.name: metric
    for metric in (
        Metric("rprec1", "", True, 3, "R-Precision", SHARE),
        Metric("rprec5", "", True, 3, "R-Precision, top 5", SHARE),
        Metric("rank", "", False, 1, "rank", (1.0, math.inf)),
        Metric("margin", "", True, 3, "margin"),
        Metric("cosine", "", True, 3, "cosine", (-1.0, 1.0)),
        Metric("nll", "", False, 3, "-log softmax of cosines", FROM_ZERO),
        Metric("rprec1_white", "", True, 3, "R-Precision on white", SHARE),
        Metric("margin_white", "", True, 3, "margin on white"),
    )
}
"""Metrics that every encoder makes of its ranks, by what stands before the @ of the name: `MetricKey.stem`."""

RECOGNITION_METRICS: dict[str, Metric] = {
    metric.name: metric
    for metric in (
        Metric("kind", "", True, 3, "kind recognised", SHARE),
        Metric("color", "", True, 3, "colour recognised", SHARE),
        Metric("finish", "", True, 3, "finish recognised", SHARE),
        Metric("kind_word", "", True, 3, "kind recognised by its word alone", SHARE),
        Metric("kind_single", "", True, 3, "kind recognised, single things", SHARE),
        Metric("kind_pair", "", True, 3, "kind recognised, pairs", SHARE),
    )
}
"""Metrics of `recognition-v1`, which every judge makes, likewise."""

_BY_ENCODERS = ENCODER_METRICS | RECOGNITION_METRICS


def metric_named(name: str) -> Metric:
    """Look a metric up; one that an encoder makes has the encoder in its name and title.

    Raises:
        UsageError: There is no such metric; the nearest are named.

    Example:
        >>> metric_named("psnr").title, metric_named("rprec1@embedded-judge-rn").title
        ('PSNR', 'R-Precision, by embedded-judge-rn')
        >>> metric_named("rprec1@guide").title
        'R-Precision, in-loop: by its own guide'
    """
    key = MetricKey.parse(name)
    if not is_metric(name):
        known = [*METRICS, *(f"{stem}@{key.encoder or 'guide'}" for stem in _BY_ENCODERS)]
        raise UsageError(f"metric: expected a known name, got {name!r}; {nearest(name, known)}")
    if key.encoder is None:
        return METRICS[name]
    known_metric = _BY_ENCODERS[key.stem]
    by = "in-loop: by its own guide" if key.is_of_guide else f"by {key.encoder}"
    return known_metric._replace(name=name, title=f"{known_metric.title}, {by}")


def is_metric(name: str) -> bool:
    """Whether a name is one of a metric; its encoder may be any.

    Example:
        >>> is_metric("rprec1@openai-vit-b-32"), is_metric("rprec1"), is_metric("psnr@guide"), is_metric("rank@")
        (True, False, False, False)
    """
    key = MetricKey.parse(name)
    if key.encoder is None:
        return name in METRICS
    return bool(key.encoder) and key.stem in _BY_ENCODERS
