"""Selects the scores that a figure shows: of one table and metric, beside their places."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

from bench.analysis.table_result import TableResult
from bench.suites.suite import TrialSlot

PLACE_COLUMNS = ["arm", "trial_id", "place", "turn"]
"""Arm, trial, cluster and seed, under names that a frame of scores does not have."""


def select_scores(
    frame: pd.DataFrame, cells: Sequence[TrialSlot], result: TableResult, metric: str, columns: Sequence[str]
) -> pd.DataFrame:
    """Select the numbers of finished trials: one row for each place and view, without those that are missing.

    Args:
        frame: Scores, as `bench.storage.store.Store.frame` gives them.
        cells: Places of trials in tables.
        result: The table.
        metric: Which.
        columns: Columns of the frame that are kept, beside those of the places.
    """
    rows = [(cell.arm, cell.trial_id, cell.cluster, cell.seed) for cell in cells if cell.table == result.table]
    places = pd.DataFrame(rows, columns=PLACE_COLUMNS)
    is_chosen = (frame["protocol"] == result.protocol) & (frame["metric"] == metric)
    is_chosen &= (frame["status"] == "finished") & frame["value"].notna()
    return places.merge(frame.loc[is_chosen, ["trial_id", *columns]], on="trial_id")
