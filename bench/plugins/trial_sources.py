"""Decides where each trial of a comparison comes from: what is stored here, the committed reference, or training.

A trial of the reference is taken where it is the same trial (its id holds task, method, data, budget, seed and the
weights of its encoders) and was scored as one scores now. Where it is not, the reason is kept.
"""

from __future__ import annotations

import pathlib
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from bench.import_paths import ROOT
from bench.metrics.protocols import Protocol
from bench.metrics.task_kinds import kind_of
from bench.plugins.comparison_suite import StoredTrial
from bench.storage.record import Record
from bench.storage.score_frame import score_frame
from bench.storage.store import unknown_trial
from bench.storage.trial_reader import TrialReader, is_stored
from bench.suites.differences import differing
from bench.suites.suite import TrialSlot
from bench.suites.trial import Trial

if TYPE_CHECKING:
    import numpy
    import pandas

REFERENCE = ROOT / "results" / "reference"
"""Records and scores of the baselines, that come with the project."""


class TrialSource(NamedTuple):
    """The place that a trial comes from, and why it is not the reference."""

    where: Literal["here", "stored", "reference", "training"]
    why: str = ""


def find_sources(
    trials: Sequence[Trial], protocol: str, here: TrialReader, reference: TrialReader
) -> dict[str, TrialSource]:
    """Find the source of each trial, by id: first what is stored here, then the reference, then training."""
    found = {}
    alike: dict[tuple[str, str, int], list[Record]] = {}
    for record in reference.records():
        alike.setdefault((record.variant, record.cluster, record.seed), []).append(record)
    for trial in trials:
        if is_stored(here, trial.id):
            found[trial.id] = TrialSource("stored" if isinstance(trial, StoredTrial) else "here")
            continue
        of_its_name = alike.get((trial.variant, trial.task.cluster, trial.seed), [])
        why = reason_not_reusable(trial, protocol, reference, of_its_name)
        found[trial.id] = TrialSource("training", why) if why else TrialSource("reference")
    return found


def reason_not_reusable(trial: Trial, protocol: str, reference: TrialReader, alike: Sequence[Record]) -> str | None:
    """Return why a trial is not taken from the reference; None if it is the same trial, scored as one scores now.

    Args:
        trial: The trial.
        protocol: The protocol that it must be scored under.
        reference: Where it may lie.
        alike: The records there of the same variant, cluster and seed.
    """
    if reference.finished(trial.id):
        return reason_outdated(trial, protocol, reference)
    if reference.failed(trial.id):
        return "failed there"
    at_budget = [record for record in alike if record.budget == trial.budget.name]
    if at_budget:
        return nearest_mismatch(trial, at_budget)
    if alike:
        budgets = sorted({record.budget for record in alike})
        return f"there at another budget ({', '.join(budgets)})"
    return "not there"


def nearest_mismatch(trial: Trial, records: Sequence[Record]) -> str:
    """Describe how a trial differs from the record that is most like it."""
    wanted = trial.identity()
    fields = [list(differing(record.identity, wanted)) for record in records]
    return describe_mismatch(min(fields, key=len))


def describe_mismatch(names: Sequence[str]) -> str:
    """Say in which fields another trial differs; three at most.

    The fingerprint of the data differs wherever the task does: it is named only if nothing else differs.

    Example:
        >>> describe_mismatch(["task.num_views", "fingerprint"])
        'there with another task.num_views'
    """
    if list(names) == ["fingerprint"]:
        return "there on other data (fingerprint)"
    shown = [name for name in names if name != "fingerprint"]
    return f"there with another {', '.join(shown[:3])}"


def reason_outdated(trial: Trial, protocol: str, store: TrialReader) -> str | None:
    """Return why a finished trial's scores may not be set beside those of today; None if they may."""
    return outdated_scores(store.scores(trial.id).get(protocol), kind_of(trial.task).protocol(protocol))


def outdated_scores(scores: Mapping[str, Any] | None, wanted: Protocol) -> str | None:
    """Return why stored scores may not be set beside those of a protocol; None if they may.

    Example:
        >>> from bench.metrics.photo_protocols import PHOTO_PROTOCOLS
        >>> std_v1 = PHOTO_PROTOCOLS["std-v1"]
        >>> outdated_scores({"version": "0.9"}, std_v1)
        'scored with std-v1 0.9, which is now 1.1'
        >>> outdated_scores(None, std_v1)
        'not scored with std-v1'
    """
    if scores is None:
        return f"not scored with {wanted.name}"
    if wanted.version_mark(scores["version"]) is None:
        return None
    return f"scored with {wanted.name} {scores['version']}, which is now {wanted.version}"


def source_summary(found: Mapping[str, TrialSource], slots: Sequence[TrialSlot], label: str, where: str) -> list[str]:
    """Say where the trials of the baselines and of the method come from, in a line each.

    Args:
        found: As `find_sources` gives it.
        slots: Places of trials in the tables of the comparison.
        label: Label of the method.
        where: What the reference is called.

    Example:
        >>> slots = [TrialSlot("t", arm, trial, "scene", 0) for arm, trial in (("M", "m"), ("B", "b"), ("B", "c"))]
        >>> found = {"m": TrialSource("training"), "b": TrialSource("reference")}
        >>> found["c"] = TrialSource("training", "not there")
        >>> source_summary(found, slots, "M", "results/reference")
        ['baselines: 1 of 2 trials from results/reference; 1 to train here: not there', 'M: 1 of 1 trials to train']
    """
    own = dict.fromkeys(slot.trial_id for slot in slots if slot.arm == label)
    others = dict.fromkeys(slot.trial_id for slot in slots if slot.arm != label)
    return [
        _summarize_baselines([found[trial_id] for trial_id in others], where),
        f"{label}: {_summarize_own([found[trial_id] for trial_id in own], where)}",
    ]


def _summarize_baselines(sources: Sequence[TrialSource], where: str) -> str:
    num = Counter(source.where for source in sources)
    parts = [f"baselines: {num['reference']} of {len(sources)} trials from {where}"]
    if num["here"]:
        parts.append(f"{num['here']} found here")
    if num["training"]:
        why = Counter(source.why for source in sources if source.where == "training")
        reasons = list(why) if len(why) == 1 else [f"{reason} ({count})" for reason, count in why.items()]
        parts.append(f"{num['training']} to train here: {'; '.join(reasons)}")
    return "; ".join(parts)


def _summarize_own(sources: Sequence[TrialSource], where: str) -> str:
    num: Counter[str] = Counter(source.where for source in sources)
    words = {
        "training": "to train",
        "here": "found here",
        "reference": f"from {where}",
        "stored": "stored under this name",
    }
    return ", ".join(f"{num[key]} of {len(sources)} trials {word}" for key, word in words.items() if num[key])


class MergedStore:
    """Trials of several stores, read as one: a `TrialReader` that takes each trial from the store it is told.

    Args:
        homes: By trial id, the store that holds it.
        root: The folder that messages name.
    """

    def __init__(self, homes: Mapping[str, TrialReader], root: pathlib.Path) -> None:
        self.root = root
        self.set_aside = [line for store in _distinct(homes.values()) for line in store.set_aside]
        self._homes = dict(homes)
        self._own_lines: list[str] = []

    @property
    def left_out(self) -> list[str]:
        """List the files that are damaged, in any of the stores."""
        found = [line for store in _distinct(self._homes.values()) for line in store.left_out]
        return list(dict.fromkeys(found + self._own_lines))

    def leave_out(self, line: str) -> None:
        """Note that a file is not used."""
        self._own_lines.append(line)

    def finished(self, trial_id: str) -> bool:
        """Tell whether the trial has a record and ran to its end."""
        return trial_id in self._homes and self._homes[trial_id].finished(trial_id)

    def failed(self, trial_id: str) -> bool:
        """Tell whether the trial has a record and failed."""
        return trial_id in self._homes and self._homes[trial_id].failed(trial_id)

    def ids(self) -> list[str]:
        """Return the ids of all trials, sorted."""
        return sorted(self._homes)

    def records(self) -> Iterator[Record]:
        """Yield all records, sorted by id."""
        return (self.read(trial_id) for trial_id in self.ids())

    def read(self, trial_id: str) -> Record:
        """Return the record of a trial; raise a UsageError if there is none."""
        return self._home(trial_id).read(trial_id)

    def scores(self, trial_id: str) -> dict[str, dict[str, Any]]:
        """Return a trial's scores by protocol."""
        return self._home(trial_id).scores(trial_id)

    def has_views(self, trial_id: str) -> bool:
        """Tell whether views of the trial are kept."""
        return trial_id in self._homes and self._homes[trial_id].has_views(trial_id)

    def views(self, trial_id: str) -> dict[str, numpy.ndarray]:
        """Return a trial's views by name; raise a UsageError if none are kept."""
        return self._home(trial_id).views(trial_id)

    def parameters(self, trial_id: str) -> dict[str, numpy.ndarray]:
        """Return a trial's parameters by flat names; raise a UsageError if none are kept."""
        return self._home(trial_id).parameters(trial_id)

    def texts(self, trial_id: str) -> dict[str, bytes]:
        """Return the files of a trial that hold no arrays, by name."""
        return self._home(trial_id).texts(trial_id)

    def file_stamps(self, trial_id: str) -> list[tuple[str, int, int]]:
        """Return name, size and time of change of a trial's files; equal lists tell of the same files."""
        return self._home(trial_id).file_stamps(trial_id)

    def frame(self) -> pandas.DataFrame:
        """Return every score of every trial, tidy, see `bench.storage.score_frame`."""
        return score_frame((self.read(trial_id), self.scores(trial_id)) for trial_id in self.ids())

    def _home(self, trial_id: str) -> TrialReader:
        if trial_id not in self._homes:
            raise unknown_trial(trial_id, self._homes, self.root)
        return self._homes[trial_id]


def _distinct(stores: Iterable[TrialReader]) -> list[TrialReader]:
    """Return each store once, in order."""
    return list({id(store): store for store in stores}.values())


def merge_stores(
    ids: Iterable[str], here: TrialReader, reference: TrialReader, found: Mapping[str, TrialSource]
) -> MergedStore:
    """Read some trials as one store, each from its source; those that are not stored yet are left out."""
    homes: dict[str, TrialReader] = {}
    for trial_id in ids:
        store = reference if found[trial_id].where == "reference" else here
        if is_stored(store, trial_id):
            homes[trial_id] = store
    return MergedStore(homes, here.root)
