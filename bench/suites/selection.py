"""Selects the trials of a suite that a command is about."""

from __future__ import annotations

import dataclasses
import difflib

from bench.errors import UsageError
from bench.suites import option_syntax, overrides, registry
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
    seeds = option_syntax.parse_seeds(options.seeds) if options.seeds else None
    trials, cells = suite.expand(budget, seeds)
    trials, cells = overrides.only(trials, cells, options.only)
    return Selection(suite=suite, budget=budget, trials=trials, cells=cells)


def study_name(chosen: Selection) -> str:
    """Return the name of a study: of the archive of its trials, and of the folder of its report."""
    return f"{chosen.suite.name}-{chosen.budget.name}"


def find_trial(start: str, trials: list[Trial], where: str) -> Trial:
    """Find the trial whose id starts so.

    Args:
        start: The id, or as many of its letters as no other has.
        trials: Trials to choose from.
        where: What asks, for messages.

    Raises:
        UsageError: No id starts so, or several do.
    """
    by_id = {trial.id: trial for trial in trials}
    found = [start] if start in by_id else [trial_id for trial_id in by_id if trial_id.startswith(start)]
    if len(found) == 1:
        return by_id[found[0]]
    if found:
        more = f" and {len(found) - 3} more" if len(found) > 3 else ""
        raise UsageError(
            f"{where}: expected the start of one id, got {start!r}, which {len(found)} share; "
            f"say more: {', '.join(found[:3])}{more}"
        )
    close = difflib.get_close_matches(start, by_id, n=1, cutoff=0.0)
    nearest_id = f"the nearest is {close[0]!r}" if close else "it has none"
    raise UsageError(f"{where}: expected a trial of the suite at this budget, got {start!r}; {nearest_id}")
