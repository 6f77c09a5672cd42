"""Selects the trials of a suite that a command is about."""

from __future__ import annotations

import dataclasses

from bench.suites import overrides, registry
from bench.suites.suite import Suite, Table, TrialSlot
from bench.suites.trial import Trial
from tasks.budgets import Budget


@dataclasses.dataclass(frozen=True, kw_only=True)
class SelectionOptions:
    """A user's choices of trials, still in words.

    Attributes:
        suite: Its name.
        budget: Sizes of everything.
        seeds: Such as `0-4`; None for the suite's own.
        only: Conditions `KEY=VALUE` that all hold.
        settings: Changes `HEAD.FIELD=VALUE` of variants, of tasks or of the budget.
    """

    suite: str
    budget: Budget
    seeds: str | None = None
    only: tuple[str, ...] = ()
    settings: tuple[str, ...] = ()


@dataclasses.dataclass(frozen=True, kw_only=True)
class Selection:
    """A suite with the user's choices carried out.

    Attributes:
        suite: With its changed variants and tasks.
        budget: With its changed sizes.
        trials: Those that were chosen, each once.
        cells: Their places in the suite's tables.
    """

    suite: Suite
    budget: Budget
    trials: list[Trial]
    cells: list[TrialSlot]

    @property
    def tables(self) -> tuple[Table, ...]:
        """List the tables of which some trial was chosen."""
        chosen = {cell.table for cell in self.cells}
        return tuple(table for table in self.suite.tables_at(self.budget) if table.name in chosen)

    @property
    def protocols(self) -> tuple[str, ...]:
        """Name the protocols that the trials are scored under."""
        return self.suite.protocols_at(self.budget)


def select_trials(options: SelectionOptions) -> Selection:
    """Carry out a user's choices.

    Raises:
        UsageError: An unknown suite, arm, scene, key or value.
    """
    suite, budget = overrides.apply(registry.suite(options.suite), options.budget, options.settings)
    suite = overrides.with_tables_of(suite, budget, options.only)
    seeds = overrides.parsed_seeds(options.seeds) if options.seeds else None
    trials, cells = suite.expand(budget, seeds)
    trials, cells = overrides.only(trials, cells, options.only)
    return Selection(suite=suite, budget=budget, trials=trials, cells=cells)


def study(chosen: Selection) -> str:
    """Name the archive of its trials and the folder of its report."""
    return f"{chosen.suite.name}-{chosen.budget.name}"
