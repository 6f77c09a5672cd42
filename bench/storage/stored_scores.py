"""Says what a file of scores holds, as `bench.metrics.scores.Scores` writes it."""

from __future__ import annotations

from typing import Any, Literal, TypedDict

from bench.storage import json_values


class RequiredScores(TypedDict):
    """Fields of every file of scores."""

    protocol: str
    version: str
    view_ids: list[int]
    per_view: dict[str, list[float | None]]
    reasons: dict[str, str]
    context: dict[str, list[float | int | None]]


class StoredScores(RequiredScores, total=False):
    """The scores of one trial under one protocol; the fields here have a default."""

    departs: str | None
    field_state: Literal["ok", "empty", "solid", "unknown"]
    about: dict[str, Any]


def parse_scores(content: bytes, where: str) -> dict[str, Any]:
    """Return the scores of a file, checked field by field.

    Args:
        content: The file.
        where: Names the file in messages.

    Raises:
        ValueError: It is no JSON, or a field is missing or of another type; in one line.
    """
    return check_scores(json_values.from_bytes(content, where), where)


def check_scores(scores: Any, where: str) -> dict[str, Any]:
    """Return scores if each field is there and of its type.

    Args:
        scores: Plain values.
        where: Names the file in messages.

    Raises:
        ValueError: A field is missing or of another type, or views lack values; in one line.
    """
    json_values.convert(scores, StoredScores, where)
    num_views = len(scores["view_ids"])
    for metric, values in scores["per_view"].items():
        if len(values) != num_views:
            raise ValueError(f"{where}: expected {num_views} values of {metric!r:.40}, one a view, got {len(values)}")
    return scores
