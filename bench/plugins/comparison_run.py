"""Selects the trials of a comparison, finds where each comes from, and trains or scores what is missing."""

from __future__ import annotations

import dataclasses
import pathlib
from collections.abc import Collection, Mapping

from bench.errors import UsageError
from bench.import_paths import ROOT
from bench.plugins import comparison_suite, trial_sources
from bench.plugins.comparison_suite import Comparison, StoredTrial
from bench.plugins.trial_sources import MergedStore, TrialSource
from bench.storage.store import Store
from bench.suites import option_syntax, overrides, registry, scene_study
from bench.suites.selection import Selection, SelectionOptions, check_places
from bench.suites.setting_order import order_as_stored
from bench.suites.trial import Trial
from bench.training import run_suite
from bench.training.rescore import rescore_trial
from bench.training.run_suite import TrainingOptions
from bench.training.score_repair import repair_scores


@dataclasses.dataclass(frozen=True, kw_only=True)
class ComparisonOptions(SelectionOptions):
    """A user's words about a comparison: the suite gives tasks and metrics.

    Attributes:
        method: The method that is compared.
        against: Names of baselines, each perhaps several with commas.
    """

    method: str
    against: tuple[str, ...] = ()


@dataclasses.dataclass(frozen=True, kw_only=True)
class ComparisonRun:
    """A comparison with its trials.

    Attributes:
        study: The method, its baselines and their tables.
        chosen: Trials and tables.
        here: The user's own store.
        reference: Store of the baselines that come with the project.
        sources: Where each trial comes from.
    """

    study: Comparison
    chosen: Selection
    here: Store
    reference: Store
    sources: Mapping[str, TrialSource]

    @property
    def protocol(self) -> str:
        """Name the protocol that all are scored under."""
        return self.chosen.tables[0].protocol

    def describe_sources(self) -> list[str]:
        """Describe where baselines and method come from, in a line each."""
        where = describe_folder(trial_sources.REFERENCE)
        return trial_sources.source_summary(self.sources, self.chosen.cells, self.study.label, where)

    def complete(self, options: TrainingOptions) -> MergedStore:
        """Train what is stored nowhere and score again what is outdated; return all trials as one store.

        Raises:
            UsageError: What cannot be trained or scored here.
        """
        local = [trial for trial in self.chosen.trials if self.sources[trial.id].where != "reference"]
        own = [trial for trial in local if not isinstance(trial, StoredTrial)]
        with self.here.lock():
            lost = repair_scores(own, (self.protocol,), self.here)
            run_suite.train_missing(options, dataclasses.replace(self.chosen, trials=local), self.here)
            self._rescore_outdated(lost)
        for reason in lost.values():
            self.here.leave_out(f"no scores, and none can be made: {reason}")
        ids = {cell.trial_id for cell in self.chosen.cells}
        return trial_sources.merge_stores(ids, self.here, self.reference, self.sources)

    def _rescore_outdated(self, lost: Collection[str]) -> None:
        """Score again what is stored here with scores of another version.

        Args:
            lost: Ids of trials without scores, of which none can be made.

        Raises:
            UsageError: Scores are of another version and cannot be made again, as the views are not stored or
                the renders were imported.
        """
        for trial in self.chosen.trials:
            if self.sources[trial.id].where == "reference" or not self.here.finished(trial.id):
                continue
            if trial.id in lost:
                continue
            why = trial_sources.reason_outdated(trial, self.protocol, self.here)
            if why is None:
                continue
            # an archive keeps pictures of some views, without opacity
            has_all_views = self.here.has_views(trial.id) and "opacity" in self.here.views(trial.id)
            if isinstance(trial, StoredTrial) or not has_all_views:
                raise UsageError(
                    f"{trial.id}: expected scores of {self.protocol} as it is now, or views to make them of, got a "
                    f"trial {why}; import it again, move it out of {self.here.root}, or name another folder with "
                    "--results"
                )
            rescore_trial(trial, (self.protocol,), self.here)


def start_comparison(options: ComparisonOptions, here: Store) -> ComparisonRun:
    """Select the trials and find where each comes from.

    Raises:
        UsageError: An unknown method, baseline, suite, scene, key or value.
    """
    study, chosen = select_comparison(with_settings_as_stored(options, here), here)
    reference = Store.open(trial_sources.REFERENCE, f"{options.suite}-{chosen.budget.name}")
    if reference.left_out:  # it comes with the project: else what it holds would be trained here, for hours
        raise UsageError(reference.left_out[0])
    sources = trial_sources.find_sources(chosen.trials, chosen.tables[0].protocol, here, reference)
    return ComparisonRun(study=study, chosen=chosen, here=here, reference=reference, sources=sources)


def with_settings_as_stored(options: ComparisonOptions, here: Store) -> ComparisonOptions:
    """Put `--set` into the order in which its trials are stored, here or in the reference, if they are."""

    def select(settings: tuple[str, ...]) -> list[Trial]:
        return select_comparison(dataclasses.replace(options, settings=settings), here)[1].trials

    def list_stored() -> set[str]:
        return {*here.ids(), *Store.open(trial_sources.REFERENCE, is_guest=True).ids()}

    return dataclasses.replace(options, settings=order_as_stored(options.settings, select, list_stored))


def select_comparison(options: ComparisonOptions, here: Store) -> tuple[Comparison, Selection]:
    """Select what is compared, with the user's choices carried out.

    Raises:
        UsageError: An unknown method, baseline, suite, scene, key or value.
    """
    records = list(here.records())
    suite = registry.suite(options.suite)
    if options.scenes is not None:
        suite = scene_study.put_on_folders(suite, options.budget, options.scenes, options.only)
    study = comparison_suite.make_comparison(suite, options.budget, options.method, options.against, records)
    changed, budget = overrides.apply(study.suite, options.budget, options.settings)
    changed = scene_study.fit_to_photographs(changed, budget)
    study = dataclasses.replace(study, suite=changed)
    seeds = option_syntax.parse_seeds(options.seeds) if options.seeds else None
    trials, cells = comparison_suite.expand(study, budget, seeds, options.only, records)
    check_places(cells)
    chosen = Selection(suite=changed, budget=budget, trials=trials, cells=cells, settings=options.settings)
    check_both_sides(study, chosen)
    return study, chosen


def check_both_sides(study: Comparison, chosen: Selection) -> None:
    """Refuse a comparison of which one side was left out, before anything is trained.

    Raises:
        UsageError: A table has no trial of the method, or none of its baseline.
    """
    for table in chosen.tables:
        arms = {cell.arm for cell in chosen.cells if cell.table == table.name}
        for side in (study.label, table.baseline):
            if side not in arms:
                raise UsageError(
                    f"compare {study.label}: expected trials of it and of {table.baseline}, its baseline, got none of "
                    f"{side} with --only; name both there: --only 'arm={study.label},{table.baseline}'"
                )


def describe_folder(path: pathlib.Path) -> str:
    """Name a folder as a person does: one of ours from the root of the repository."""
    return path.relative_to(ROOT).as_posix() if path.is_relative_to(ROOT) else str(path)
