"""Names and numbers of a report that the command line tells; imports nothing heavy."""

from __future__ import annotations

NUM_CLUSTERS = 12
"""Scenes or captions of each table whose pictures turn, if nobody says how many."""

MOST_TRIALS = 64
"""Pictures that turn in one table, if nobody says how many: more make a page too large."""

ENCODER_FIGURE = "clip-consistency"
"""Name of the figure that `bench.report.figures.encoder_consistency` draws."""
