"""Selects the trials of a suite that a command is about."""

from __future__ import annotations

import dataclasses
import difflib
import unicodedata
from collections.abc import Iterable, Sequence

from bench.errors import UsageError
from bench.storage.trial_ids import match_trial_ids, refuse_several
from bench.suites import option_syntax, overrides, registry, scene_study
from bench.suites.suite import Placement, Suite, Table, TrialSlot, fill_slots
from bench.suites.trial import Trial
from bench.suites.uneven_settings import describe_uneven_settings
from bench.suites.variant_names import file_safe, shorten_name
from tasks.budgets import Budget
from tasks.task import Task

MAX_STUDY_BYTES = 120
"""Of a study's name, which is that of a folder and of files."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class SelectionOptions:
    """A user's choices of trials, still in words.

    Attributes:
        suite: Its name.
        budget: Sizes of everything.
        seeds: Such as `0-4`; None for the suite's own.
        only: Conditions `KEY=VALUE` that all hold.
        settings: Changes `HEAD.FIELD=VALUE` of variants, of tasks or of the budget.
        scenes: Folders of photographs in place of the suite's scenes, with commas between; None for the suite's own.
    """

    suite: str
    budget: Budget
    seeds: str | None = None
    only: tuple[str, ...] = ()
    settings: tuple[str, ...] = ()
    scenes: str | None = None


@dataclasses.dataclass(frozen=True, kw_only=True)
class Selection:
    """A suite with the user's choices carried out.

    Attributes:
        suite: With its changed variants and tasks.
        budget: With its changed sizes.
        trials: Those that were chosen, each once.
        cells: Their places in the suite's tables.
        without_data: Places of further trials whose data is not here. Only a plan has them.
        missing: What these lack, a line each.
        settings: Changes that the user made with `--set`, carried out above.
    """

    suite: Suite
    budget: Budget
    trials: list[Trial]
    cells: list[TrialSlot]
    without_data: tuple[Placement, ...] = ()
    missing: tuple[str, ...] = ()
    settings: tuple[str, ...] = ()

    @property
    def tables(self) -> tuple[Table, ...]:
        """List the tables of which some trial was chosen."""
        chosen = {cell.table for cell in self.cells} | {placement.table for placement in self.without_data}
        return tuple(table for table in self.suite.tables_at(self.budget) if table.name in chosen)

    @property
    def without_baseline(self) -> tuple[Table, ...]:
        """List the tables whose baseline was not chosen: they have means and no differences."""
        places = {(cell.table, cell.arm) for cell in self.cells}
        places |= {(placement.table, placement.arm) for placement in self.without_data}
        return tuple(table for table in self.tables if (table.name, table.baseline) not in places)

    def uneven_settings(self, table: Table) -> list[str]:
        """Say which of the user's settings changed some arms of a table, and not others that have the field."""
        places = [(cell.table, cell.arm) for cell in self.cells]
        places += [(placement.table, placement.arm) for placement in self.without_data]
        arms = {arm for name, arm in places if name == table.name}
        return describe_uneven_settings(table, arms, self.settings)

    @property
    def protocols(self) -> tuple[str, ...]:
        """Name the protocols that the trials are scored under."""
        return self.suite.protocols_at(self.budget)


def select_trials(options: SelectionOptions, *, allow_missing: bool = False) -> Selection:
    """Carry out a user's choices. Data is asked for of chosen trials alone.

    Args:
        options: The choices.
        allow_missing: Whether trials whose data is not here go to `Selection.without_data`, instead of an error.

    Raises:
        UsageError: An unknown suite, arm, scene, key or value; or data is not here.
    """
    suite = registry.suite(options.suite)
    if options.scenes is not None:
        suite = scene_study.put_on_folders(suite, options.budget, options.scenes, options.only)
    suite, budget = overrides.apply(suite, options.budget, options.settings)
    suite = scene_study.fit_to_photographs(overrides.with_tables_of(suite, budget, options.only), budget)
    seeds = option_syntax.parse_seeds(options.seeds) if options.seeds else None
    placements = overrides.only(suite.placements(budget, seeds), options.only)
    without: tuple[Placement, ...] = ()
    missing: tuple[str, ...] = ()
    if allow_missing:
        placements, without, missing = split_by_data(placements)
    trials, cells = fill_slots(placements)
    check_places(cells)
    check_folder_names(trial.id for trial in trials)
    return Selection(
        suite=suite,
        budget=budget,
        trials=trials,
        cells=cells,
        without_data=without,
        missing=missing,
        settings=options.settings,
    )


def split_by_data(
    placements: Sequence[Placement],
) -> tuple[list[Placement], tuple[Placement, ...], tuple[str, ...]]:
    """Split placements into those whose data is here and those whose is not, with what is missing."""
    reasons: dict[Task, str] = {}
    for placement in placements:
        task = placement.trial.task
        if task not in reasons:
            reasons[task] = why_data_is_missing(task)
    here = [placement for placement in placements if not reasons[placement.trial.task]]
    without = tuple(placement for placement in placements if reasons[placement.trial.task])
    return here, without, tuple(dict.fromkeys(filter(None, reasons.values())))


def why_data_is_missing(task: Task) -> str:
    """Say why a task cannot be told from others by its data, or its shapes are not known; empty where they are."""
    try:
        task.fingerprint()
        task.layout()
    except UsageError as error:
        return str(error)
    return ""


def check_places(cells: Sequence[TrialSlot]) -> None:
    """Refuse two trials at one place, before they are trained: no table could show both.

    Raises:
        UsageError: An arm has two trials on one cluster with one seed.
    """
    seen: dict[tuple[str, str, str, int], str] = {}
    for cell in cells:
        place = (cell.table, cell.arm, cell.cluster, cell.seed)
        first = seen.setdefault(place, cell.trial_id)
        if first != cell.trial_id:
            raise UsageError(
                f"table {cell.table}: expected one trial for an arm, cluster and seed, got {first} and {cell.trial_id} "
                f"for {cell.arm!r} on {cell.cluster!r}; choose one of them, or make arms of them"
            )


def check_folder_names(trial_ids: Iterable[str]) -> None:
    """Refuse trials whose folders some file systems take for one, before they are trained.

    Raises:
        UsageError: Two ids differ in capitals alone, or in how their letters are written.
    """
    seen: dict[str, str] = {}
    for trial_id in trial_ids:
        first = seen.setdefault(unicodedata.normalize("NFC", trial_id).casefold(), trial_id)
        if first != trial_id:
            raise UsageError(
                f"trials: expected ids that differ in more than capitals, got {first} and {trial_id}; rename a scene "
                "or a variant: some disks have one folder for both"
            )


def study_name(chosen: Selection) -> str:
    """Return the name of a study: of the archive of its trials, and of the folder of its report."""
    name = f"{chosen.suite.name}-{chosen.budget.name}"
    if chosen.suite.folders:
        name += f"-{scene_study.label_folders(chosen.suite.folders)}"
    return shorten_name(file_safe(name), MAX_STUDY_BYTES)


def find_trial(start: str, trials: list[Trial], where: str) -> Trial:
    """Find the trial whose id starts so, or else holds this, such as the hash at its end.

    Args:
        start: The id, or as many of its letters as no other has.
        trials: Trials to choose from.
        where: What asks, for messages.

    Raises:
        UsageError: No id is meant, or several are.
    """
    by_id = {trial.id: trial for trial in trials}
    found = match_trial_ids(start, by_id)
    refuse_several(where, start, found)
    if found:
        return by_id[found[0]]
    close = difflib.get_close_matches(start, by_id, n=1, cutoff=0.0)
    nearest_id = f"the nearest is {close[0]!r}" if close else "it has none"
    raise UsageError(f"{where}: expected a trial of the suite at this budget, got {start!r}; {nearest_id}")
