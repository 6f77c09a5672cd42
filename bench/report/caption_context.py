"""Gathers what a table of captions needs beside its numbers: judges, guides, upper bounds."""

from __future__ import annotations

from typing import Any, NamedTuple

from tasks.captions.caption_sets import CaptionSet

TRUTH = "true renders"
"""Rows of tables: what the judges make of the objects that captions mean, path-traced: the ceiling."""


Rows = list[dict[str, Any]]


class CaptionTableContext(NamedTuple):
    """What is known of a table of captions beside its numbers.

    Attributes:
        captions: The retrieval set.
        judge: The one that decides.
        confusions: By arm and caption, which wrong captions stood first or nearest in how many views; `confused`.
        departs: Where trials are not what the protocol is defined on.
        failures: What became of objects that are none, of how many in each arm: `bench.analysis.failure_modes.describe_failures`.
        num_empty: Finished trials whose field is empty.
        num_finished: Of how many.
    """

    captions: CaptionSet
    judge: str
    confusions: tuple[dict[str, Any], ...] = ()
    departs: tuple[str, ...] = ()
    failures: tuple[str, ...] = ()
    num_empty: int = 0
    num_finished: int = 0

    @property
    def size(self) -> int:
        """Captions of the set."""
        return len(self.captions.captions)
