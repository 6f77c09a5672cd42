"""Makes the scores again that a finished trial should have and has not: missing, cut, flipped, or of a new protocol.

They are made from its stored views, as `rescore` does. Where the views are lost too, the trial is named with the
reason, and stays as it is: tables count it as a trial without a number, and `retry` lets the next run train it again.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence

from bench.errors import MachineFault, UsageError
from bench.metrics.task_kinds import kind_of
from bench.storage.store import Store
from bench.suites.trial import Trial
from bench.training.rescore import rescore_trial
from tasks.sparse_views.embedded import prepare_all


def missing_protocols(trial: Trial, protocol_names: Sequence[str], trials_store: Store) -> list[str]:
    """List the protocols that apply to a finished trial, and under which it has no whole scores.

    Args:
        trial: The trial; none are listed of one that is not finished.
        protocol_names: Those of a suite.
        trials_store: Where it is stored.
    """
    if not trials_store.finished(trial.id):
        return []
    known = kind_of(trial.task).protocols
    wanted = [name for name in protocol_names if name in known]
    stored = trials_store.scores(trial.id)
    return [name for name in wanted if name not in stored]


def find_missing_scores(
    trials: Sequence[Trial], protocol_names: Sequence[str], trials_store: Store
) -> dict[str, list[str]]:
    """List what `missing_protocols` does, by id, of the trials of which it lists any."""
    missing = {trial.id: missing_protocols(trial, protocol_names, trials_store) for trial in trials}
    return {trial_id: names for trial_id, names in missing.items() if names}


def repair_scores(trials: Sequence[Trial], protocol_names: Sequence[str], trials_store: Store) -> dict[str, str]:
    """Score the finished trials again that lack scores; say so in a line each.

    Args:
        trials: Of a suite.
        protocol_names: Its protocols.
        trials_store: Where they are stored; the caller holds its lock.

    Returns:
        Of the trials whose scores cannot be made, the reason by their id.

    Raises:
        UsageError: Weights of a scorer are missing or altered.
        MachineFault: The disk or the system fails.
    """
    needed = find_missing_scores(trials, protocol_names, trials_store)
    torn = [trial for trial in trials if trial.id in needed]
    if not torn:
        return {}
    lost = _without_views(torn, trials_store)
    scored = [trial for trial in torn if trial.id not in lost]
    for kind in dict.fromkeys(kind_of(trial.task) for trial in scored):
        kind.check_scorers()
    prepare_all([trial.task for trial in scored])
    for trial in scored:
        try:
            rescore_trial(trial, needed[trial.id], trials_store)
        except MachineFault:
            raise
        except UsageError as error:
            lost[trial.id] = str(error)
        except (ValueError, KeyError, IndexError, TypeError) as error:  # views of another shape, or of another trial
            lost[trial.id] = f"{trial.id}: expected views that can be scored, got {type(error).__name__}: {error}"
        else:
            for name in needed[trial.id]:
                print(f"scored again: {trial.id}/scores/{name}.json was missing or damaged", file=sys.stderr)
    return lost


def _without_views(trials: Sequence[Trial], trials_store: Store) -> dict[str, str]:
    """Say of which trials there is nothing to score, and why, by their id."""
    lost = {}
    for trial in trials:
        if not trials_store.has_views(trial.id):
            told = [line for line in trials_store.left_out if line.startswith(f"{trial.id}/views.")]
            lost[trial.id] = told[0] if told else f"{trial.id}: expected views to score, got none"
    return lost


def describe_lost(lost: Mapping[str, str]) -> list[str]:
    """Name the trials whose scores cannot be made, with what to do; empty where there are none."""
    if not lost:
        return []
    lines = [f"no scores, and none can be made: {reason}" for reason in lost.values()]
    num = "1 finished trial has" if len(lost) == 1 else f"{len(lost)} finished trials have"
    lines.append(
        f"{num} no scores and no views to make them of: python -m bench retry --damaged moves such trials aside, and "
        "the next run trains them again"
    )
    return lines
