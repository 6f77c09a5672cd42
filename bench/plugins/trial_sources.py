"""Decides where each trial of a comparison comes from: what is stored here, the committed reference, or training.

A trial of the reference is taken where it is the same trial (its id holds task, method, data, budget, seed and the
weights of its encoders) and was scored as one scores now. Where it is not, it is said why.
"""

from __future__ import annotations

import pathlib
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Literal, NamedTuple

import numpy as np

from bench.import_paths import ROOT
from bench.metrics import caption_protocols, photo_protocols, protocols
from bench.metrics.caption_protocols import CaptionProtocol
from bench.metrics.photo_protocols import Protocol
from bench.plugins.comparison_suite import StoredTrial
from bench.storage.store import Store
from bench.suites.suite import TrialSlot
from bench.suites.trial import Trial, flat
from tasks.captions.caption_task import CaptionTask

REFERENCE = ROOT / "results" / "reference"
"""Records and scores of the baselines, that come with the project."""


class TrialSource(NamedTuple):
    """Where a trial comes from, and why not from the reference."""

    where: Literal["here", "stored", "reference", "training"]
    why: str = ""


def origins(trials: Sequence[Trial], protocol: str, here: Store, reference: Store) -> dict[str, TrialSource]:
    """By trial: what is stored here comes first, then the reference where it agrees, then training."""
    found = {}
    for trial in trials:
        if here.finished(trial.id) or here.failed(trial.id):
            found[trial.id] = TrialSource("stored" if isinstance(trial, StoredTrial) else "here")
            continue
        why = reason_not_reusable(trial, protocol, reference)
        found[trial.id] = TrialSource("training", why) if why else TrialSource("reference")
    return found


def reason_not_reusable(trial: Trial, protocol: str, reference: Store) -> str | None:
    """Why a trial is not taken from the reference; None where it is: the same trial, scored as one scores now."""
    if reference.finished(trial.id):
        return outdated(trial, protocol, reference)
    if reference.failed(trial.id):
        return "failed there"
    alike = [
        record for record in reference.records()
        if (record.variant, record.cluster, record.seed) == (trial.variant, trial.task.cluster, trial.seed)
    ]  # fmt: skip
    same = [record for record in alike if record.budget == trial.budget.name]
    if same:
        wanted = flat(trial.identity())
        return min((describe_mismatch(wanted, flat(record.identity)) for record in same), key=len)[0]
    if alike:
        return f"there at another budget ({', '.join(sorted({record.budget for record in alike}))})"
    return "not there"


def describe_mismatch(wanted: Mapping[str, Any], got: Mapping[str, Any]) -> list[str]:
    """How another trial differs: the sentence, then the fields, the fewer the nearer."""
    names = [name for name in dict.fromkeys([*wanted, *got]) if wanted.get(name) != got.get(name)]
    if names == ["fingerprint"]:
        return ["there on other data (fingerprint)", *names]
    shown = [name for name in names if name != "fingerprint" or len(names) == 1][:3]
    return [f"there with another {', '.join(shown)}", *names]


def outdated(trial: Trial, protocol: str, store: Store) -> str | None:
    """Why a finished trial's scores may not be set beside those of today; None where they may."""
    return outdated_scores(store.scores(trial.id).get(protocol), definition(protocol, trial.task))


def outdated_scores(scores: Mapping[str, Any] | None, wanted: Protocol | CaptionProtocol) -> str | None:
    """The same of scores, as they are stored.

    Example:
        >>> outdated_scores({"version": "0.9"}, protocols.get("std-v1"))
        'scored with std-v1 0.9, which is now 1.1'
        >>> outdated_scores(None, protocols.get("std-v1"))
        'not scored with std-v1'
    """
    if scores is None:
        return f"not scored with {wanted.name}"
    if protocols.version_mark(wanted, scores["version"]) is None:
        return None
    return f"scored with {wanted.name} {scores['version']}, which is now {wanted.version}"


def definition(protocol: str, task: Any) -> Protocol | CaptionProtocol:
    """The protocol of that name that is meant for such a task."""
    if isinstance(task, CaptionTask):
        return caption_protocols.PROTOCOLS[protocol]
    return photo_protocols.OF_PHOTOS[protocol]


def source_summary(found: Mapping[str, TrialSource], cells: Sequence[TrialSlot], mine: str, where: str) -> list[str]:
    """Where the baselines' trials come from, and the method's: a line each.

    Args:
        found: As `origins` gave it.
        cells: Of the study.
        mine: Label of the method.
        where: What the reference is called.

    Example:
        >>> cells = [Cell("t", "mine", "m", "s", 0), Cell("t", "base", "b", "s", 0), Cell("t", "base", "c", "t", 0)]
        >>> found = {"m": Origin("training"), "b": Origin("reference"), "c": Origin("training", "not there")}
        >>> told(found, cells, "mine", "results/reference")
        ['baselines: 1 of 2 trials from results/reference; 1 to train here: not there', 'mine: 1 of 1 trials to train']
    """
    ours = [found[i] for i in dict.fromkeys(cell.trial_id for cell in cells if cell.arm == mine)]
    theirs = [found[i] for i in dict.fromkeys(cell.trial_id for cell in cells if cell.arm != mine)]
    num = Counter(each.where for each in theirs)
    parts = [f"baselines: {num['reference']} of {len(theirs)} trials from {where}"]
    parts += [f"{num['here']} found here"] if num["here"] else []
    if num["training"]:
        why = Counter(each.why for each in theirs if each.where == "training")
        several = len(why) > 1
        said = "; ".join(f"{reason} ({count})" if several else reason for reason, count in why.items())
        parts.append(f"{num['training']} to train here: {said}")
    own: Counter[str] = Counter(each.where for each in ours)
    words = {
        "training": "to train",
        "here": "found here",
        "reference": f"from {where}",
        "stored": "stored under this name",
    }
    said = ", ".join(f"{own[key]} of {len(ours)} trials {word}" for key, word in words.items() if own[key])
    return ["; ".join(parts), f"{mine}: {said}"]


class MergedStore(Store):
    """Trials of several stores, read as one: of each the named ones. Nothing is written through it.

    Args:
        homes: By trial id, the store that it is read from.
        root: The folder that messages name.
    """

    def __init__(self, homes: Mapping[str, Store], root: pathlib.Path) -> None:
        self.root = root
        self.set_aside = [line for store in dict.fromkeys(homes.values()) for line in store.set_aside]
        self._homes = dict(homes)
        self._records = {trial_id: store.read(trial_id) for trial_id, store in homes.items()}
        self._archived = {}

    def scores(self, trial_id: str) -> dict[str, dict[str, Any]]:
        """As the trial's own store has them."""
        return self._homes[self.read(trial_id).trial_id].scores(trial_id)

    def views(self, trial_id: str) -> dict[str, np.ndarray]:
        """As the trial's own store has them."""
        return self._homes[self.read(trial_id).trial_id].views(trial_id)

    def has_views(self, trial_id: str) -> bool:
        """Whether the trial's own store has any."""
        return trial_id in self._homes and self._homes[trial_id].has_views(trial_id)

    def texts(self, trial_id: str) -> dict[str, bytes]:
        """As the trial's own store has them."""
        return self._homes[self.read(trial_id).trial_id].texts(trial_id)

    def parameters(self, trial_id: str) -> dict[str, np.ndarray]:
        """As the trial's own store has them."""
        return self._homes[self.read(trial_id).trial_id].parameters(trial_id)


def joined(ids: Iterable[str], here: Store, reference: Store, found: Mapping[str, TrialSource]) -> MergedStore:
    """What there is of some trials, each from where it comes from."""
    homes: dict[str, Store] = {}
    for trial_id in ids:
        store = reference if found[trial_id].where == "reference" else here
        if store.finished(trial_id) or store.failed(trial_id):
            homes[trial_id] = store
    return MergedStore(homes, here.root)
