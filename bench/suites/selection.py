"""Decides which trials of a suite a command is about."""

from __future__ import annotations

import dataclasses

from bench.suites.suite import Suite, Table, TrialSlot
from bench.suites.trial import Trial
from tasks.budgets import Budget


@dataclasses.dataclass(frozen=True, kw_only=True)
class Selection:
    """A suite with the command line's choices carried out."""

    suite: Suite
    budget: Budget
    trials: list[Trial]
    cells: list[TrialSlot]

    @property
    def tables(self) -> tuple[Table, ...]:
        """Tables of which some trial was chosen."""
        chosen = {cell.table for cell in self.cells}
        return tuple(table for table in self.suite.tables_at(self.budget) if table.name in chosen)

    @property
    def protocols(self) -> tuple[str, ...]:
        """Names of the protocols its trials are scored under."""
        return self.suite.protocols_at(self.budget)


def study(chosen: Selection) -> str:
    """What the archive of its trials and the folder of its report are called."""
    return f"{chosen.suite.name}-{chosen.budget.name}"
