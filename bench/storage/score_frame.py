"""Puts every score of a store into one tidy data frame: one row for each trial, protocol, metric and view."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from bench.storage.record import Record

COLUMNS = (
    "trial_id",
    "status",
    "variant",
    "task",
    "cluster",
    "seed",
    "budget",
    "protocol",
    "metric",
    "view",
    "value",
    "reason",
    "angle_to_nearest_deg",
    "num_steps",
    "wall_s",
    "device",
    "azimuth_deg",
    "elevation_deg",
)

ANGLES = ("angle_to_nearest_deg", "azimuth_deg", "elevation_deg")
"""Columns that are known view by view and are no scores."""

DTYPES = {"seed": "int64", "num_steps": "int64", "wall_s": "float64"}
"""Types of the columns that hold one number for each trial; pandas finds those of the others."""


def score_frame(trials: Iterable[tuple[Record, Mapping[str, Mapping[str, Any]]]]) -> pd.DataFrame:
    """Return one row for each trial, protocol, metric and view.

    A trial without scores has one row, whose `protocol`, `metric` and `view` are missing: a failure is never a gap.

    Args:
        trials: Records, each with its scores by protocol as they are stored.

    Raises:
        ValueError: A list of scores has another length than the list of views.
    """
    builder = ScoreFrameBuilder()
    for record, scores in trials:
        if not scores:
            builder.add(record, None, None, record.reason or "not scored", [None], [None], {})
        for protocol, score in scores.items():
            for metric, values in score["per_view"].items():
                reason = score["reasons"].get(metric)
                builder.add(record, protocol, metric, reason, score["view_ids"], values, score["context"])
    return builder.frame()


class ScoreFrameBuilder:
    """Gathers rows by blocks that share a trial, a protocol and a metric."""

    def __init__(self) -> None:
        self._blocks: list[dict[str, Any]] = []
        self._lengths: list[int] = []
        self._views: list[int | None] = []
        self._values: list[float | None] = []
        self._angles: dict[str, list[float | None]] = {name: [] for name in ANGLES}

    def add(
        self,
        record: Record,
        protocol: str | None,
        metric: str | None,
        reason: str | None,
        views: Sequence[int | None],
        values: Sequence[float | None],
        context: Mapping[str, Sequence[Any]],
    ) -> None:
        """Add a block.

        Args:
            record: The trial.
            protocol: The protocol; None if the trial has no scores.
            metric: The metric; None if the trial has no scores.
            reason: Why values are missing.
            views: Ids of the views.
            values: A score a view.
            context: By name, one number for each view that is no score; only `ANGLES` become columns.

        Raises:
            ValueError: Values or context have another length than views.
        """
        for name, found in {"values": values, **context}.items():
            if len(found) != len(views):
                raise ValueError(
                    f"{record.trial_id}, {protocol}, {metric}: expected one a view, got {len(found)} {name} of "
                    f"{len(views)} views"
                )
        self._blocks.append(
            {
                "trial_id": record.trial_id,
                "status": record.status,
                "variant": record.variant,
                "task": record.task,
                "cluster": record.cluster,
                "seed": record.seed,
                "budget": record.budget,
                "protocol": protocol,
                "metric": metric,
                "reason": reason,
                "num_steps": record.num_steps,
                "wall_s": record.timings.get("wall_s"),
                "device": record.environment.get("device"),
            }
        )
        self._lengths.append(len(views))
        self._views += views
        self._values += values
        for name, angles in self._angles.items():
            angles += context.get(name, [None] * len(views))

    def frame(self) -> pd.DataFrame:
        """Return all rows, in the order in which they were added."""
        rows = np.repeat(np.arange(len(self._lengths)), self._lengths)
        columns: dict[str, Any] = {
            "view": pd.array(self._views, dtype="Int64"),
            "value": np.asarray(self._values, dtype=np.float64),
        }
        for name, angles in self._angles.items():
            columns[name] = np.asarray(angles, dtype=np.float64)
        for name in COLUMNS:
            if name not in columns:
                by_block = pd.Series([block[name] for block in self._blocks], dtype=DTYPES.get(name))
                columns[name] = by_block.array.take(rows)
        return pd.DataFrame(columns)[list(COLUMNS)]
