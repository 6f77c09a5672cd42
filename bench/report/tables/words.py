"""Defines the wording that all tables share: counts, sentences, and how metrics are called."""

from __future__ import annotations

from collections.abc import Sequence

from bench.metrics.metric_key import MetricKey
from bench.metrics.registry import metric_named

ARROWS = {True: " ↑", False: " ↓", None: ""}
"""Marks which way is better, by a metric's `higher_is_better`."""


def printable(text: str) -> str:
    """Put a person's text on one line, and replace control characters, which could steer a terminal."""
    line = " ".join(text.split())
    return "".join(character if character.isprintable() else "\ufffd" for character in line)


def to_sentence(text: str) -> str:
    """Begin a text with a capital and end it with a full stop.

    Example:
        >>> to_sentence("a mesh of 3 triangles"), to_sentence("Is it?")
        ('A mesh of 3 triangles.', 'Is it?')
    """
    end = "" if text.endswith((".", "?", "!")) else "."
    return text[:1].upper() + text[1:] + end


def metric_title(metric: str) -> str:
    """Name a metric with its unit."""
    known = metric_named(metric)
    return f"{known.title} [{known.unit}]" if known.unit else known.title


def column_heading(metric: str) -> str:
    """Name a metric with its unit and an arrow to the better side.

    Example:
        >>> column_heading("psnr"), column_heading("lpips_vgg"), column_heading("opacity")
        ('PSNR [dB] ↑', 'LPIPS, VGG ↓', 'mean opacity')
    """
    return metric_title(metric) + ARROWS[metric_named(metric).higher_is_better]


def metric_direction(metric: str) -> str:
    """Name a metric, and say which way is better: `PSNR [dB], higher is better`."""
    return f"{metric_title(metric)}, {better_direction(metric)}"


def better_direction(metric: str) -> str:
    """Say which way is better.

    Example:
        >>> better_direction("psnr"), better_direction("lpips_vgg"), better_direction("repeats")
        ('higher is better', 'lower is better', 'to be read beside that of true renders')
    """
    higher_is_better = metric_named(metric).higher_is_better
    if higher_is_better is None:
        return "to be read beside that of true renders"
    return "higher is better" if higher_is_better else "lower is better"


def primary_judge(metrics: Sequence[str]) -> str:
    """Find the encoder that judges a table's first columns; empty where no encoder judges.

    Example:
        >>> primary_judge(("rprec1@guide", "margin@embedded-judge-rn", "repeats"))
        'embedded-judge-rn'
    """
    for metric in metrics:
        key = MetricKey.parse(metric)
        if key.encoder and not key.is_of_guide:
            return key.encoder
    return ""
