"""Writes counted votes for a person: one row for each arm, and how the numbers are to be read."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from bench.counted_nouns import format_count
from bench.report.tables.words import printable


def vote_lines(told: Mapping[str, Any]) -> list[str]:
    """Write what `bench.analysis.votes.count_votes` found as lines."""
    num_decided = told["num_votes"] - told["num_ties"]
    width = max(len("arm"), *(len(printable(row["arm"])) for row in told["arms"]))
    rows = []
    for row in told["arms"]:
        interval = f"{row['low']:+.2f} to {row['high']:+.2f}"
        counts = f"{row['num_wins']:5}  {row['num_losses']:6}  {row['num_ties']:5}"
        rows.append(f"{printable(row['arm']):{width}}  {row['score']:+7.2f}  {interval:17}  {counts}")
    clusters = "1 scene or caption" if told["num_clusters"] == 1 else f"{told['num_clusters']} scenes or captions"
    votes = f"{format_count(told['num_votes'], 'vote')} between {format_count(len(rows), 'arm')}"
    ties = f"{format_count(told['num_ties'], 'tie')}; of the {num_decided} decided, {told['num_left']} chose the left"
    return [
        f"{printable(told['suite'])}: {votes} on {clusters}, {ties}",
        "",
        f"{'arm':{width}}  {'score':>7}  {'95% interval':17}  {'wins':>5}  {'losses':>6}  {'ties':>5}",
        *rows,
        "",
        *vote_notes(told),
    ]


def vote_notes(told: Mapping[str, Any]) -> list[str]:
    """Explain how the numbers are to be read, and what they cannot say."""
    notes = [
        "Scores are Bradley-Terry log odds about a mean of zero. An arm that is 1 above another wins 73 of 100 votes "
        "against it. A tie is half a win for each."
    ]
    if told["intervals"] == "clusters":
        notes.append("Intervals allow for votes on one scene or caption that hang together.")
    else:
        notes.append("Intervals take votes as independent: there are too few scenes or captions to tell.")
    if told["prior"]:
        notes.append(
            f"The votes alone give no finite score: {_reason_unbounded(told)}. So each arm was given {told['prior']:g} "
            "tie with an arm of score zero."
        )
    if not told["is_joined"]:
        notes.append("Some arms never met, not even through others. Scores do not compare those.")
    if told["num_same_arm"]:
        notes.append(f"Left out: {format_count(told['num_same_arm'], 'vote')} between two seeds of one arm.")
    if told["repeated"]:
        names = ", ".join(told["repeated"])
        notes.append(f"Counted once: {names}; another file begins with the same votes, as who saves twice has.")
    if told["not_stored"]:
        trials = format_count(len(told["not_stored"]), "trial")
        notes.append(f"Not stored here: {trials}. Arms of those are read from their ids.")
    return notes


def _reason_unbounded(told: Mapping[str, Any]) -> str:
    """Explain why the votes alone give no finite score."""
    extreme = [row["arm"] for row in told["arms"] if not row["num_ties"] and 0 in (row["num_wins"], row["num_losses"])]
    if extreme:
        return f"{', '.join(map(printable, extreme))} won or lost every vote"
    if not told["is_joined"]:
        return "some arms never met"
    return "a group of arms won every vote against the others"
