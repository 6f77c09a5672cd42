"""Lists what a page needs to ask what pictures of the closed world show: words, and trials that it may ask about."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from bench.analysis.quiz.pictures import meaning_of_record
from bench.storage.record import Record
from tasks.closed_world.meanings import PROPERTIES

SWATCHES = {
    "red": "#d62828",
    "orange": "#f28c28",
    "yellow": "#f5d327",
    "green": "#2e9e44",
    "turquoise": "#2ec4b6",
    "blue": "#2456c8",
    "purple": "#7b3fa0",
    "pink": "#f29bb7",
    "brown": "#7a4a28",
    "white": "#ffffff",
    "gray": "#8d8d8d",
    "black": "#151515",
}
"""What each colour is like, beside its word."""


def list_words_and_swatches() -> dict[str, Any]:
    """List the words of each property, and what each colour is like."""
    return {"properties": {name: list(values) for name, values in PROPERTIES.items()}, "swatches": SWATCHES}


def list_asked_trials(records: Sequence[Record], places: Mapping[str, int]) -> dict[str, Any] | None:
    """List the trials whose caption is of the closed world, with the words of answers; None where there is none.

    Of each trial a number says which thing it shows, so that things which were not seen yet are asked about first.

    Args:
        records: Of the report.
        places: Place of each trial in the page's data.
    """
    asked = {
        places[record.trial_id]: meaning.id
        for record in records
        if record.trial_id in places and (meaning := meaning_of_record(record))
    }
    if not asked:
        return None
    trials = sorted(asked)
    meanings = [asked[trial] for trial in trials]
    different = list(dict.fromkeys(meanings))
    things = [different.index(name) for name in meanings]
    return {"trials": trials, "things": things, **list_words_and_swatches()}
