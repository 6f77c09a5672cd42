"""Writes notes on the arms of a table: differences from the baseline, missing trials, degenerate fields, encoders."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from bench.counted_nouns import format_count
from bench.report.tables.words import to_sentence
from bench.storage.trial_reader import TrialReader, is_stored
from bench.suites.suite import Table, TrialSlot
from bench.suites.trial import Trial
from models.imagenet.catalog import IMAGENET


def write_arm_notes(table: Table, cells: Sequence[TrialSlot], noun: str) -> dict[str, str]:
    """Write a note on each arm: the suite's own, its differences to the baseline, and whether it has fewer trials.

    Args:
        table: The table.
        cells: Its places.
        noun: What a cluster is called.
    """
    few = arms_with_fewer_trials(cells, noun)
    notes = {}
    for name, arm in table.arms.items():
        parts = (arm.note, describe_differences(table, name), few.get(name, ""))
        notes[name] = " ".join(to_sentence(part) for part in parts if part)
    return notes


def describe_differences(table: Table, name: str) -> str:
    """Describe how an arm differs from the baseline; empty where it does not."""
    changed, own = table.readable_differences(name)
    parts = []
    for field, (value, baseline_value) in changed.items():
        parts.append(f"{field.removeprefix('method.')} {value} instead of {baseline_value}")
    for field, value in own.items():
        parts.append(f"{field.removeprefix('method.')} {value}")
    return f"Differs in {', '.join(parts)}" if parts else ""


def arms_with_fewer_trials(cells: Sequence[TrialSlot], noun: str) -> dict[str, str]:
    """Describe the arms that were given fewer clusters or seeds than others.

    Args:
        cells: Places of one table.
        noun: What a cluster is called.

    Example:
        >>> cells = [TrialSlot("t", "a", f"a-{name}", name, 0) for name in "xyz"]
        >>> arms_with_fewer_trials([*cells, TrialSlot("t", "b", "b-x", "x", 0)], "caption")
        {'b': 'Only on 1 of 3 captions: read its paired difference, not its mean'}
    """
    num_clusters = len({cell.cluster for cell in cells})
    num_seeds = len({cell.seed for cell in cells})
    notes = {}
    for arm, of_arm in _cells_by_arm(cells).items():
        clusters = {cell.cluster for cell in of_arm}
        seeds = {cell.seed for cell in of_arm}
        parts = []
        if len(clusters) < num_clusters:
            parts.append(f"{len(clusters)} of {format_count(num_clusters, noun)}")
        if len(seeds) < num_seeds:
            parts.append(f"{len(seeds)} of {format_count(num_seeds, 'seed')}")
        if parts:
            notes[arm] = f"Only on {' and '.join(parts)}: read its paired difference, not its mean"
    return notes


def degenerate_field_notes(table: Table, cells: Sequence[TrialSlot], store: TrialReader) -> list[str]:
    """List the arms whose fields ended empty or solid, and on what: a failure of training, not a quality.

    Args:
        table: The table.
        cells: Places of trials in tables.
        store: Where scores lie.
    """
    notes = []
    by_arm = _cells_by_arm(cell for cell in cells if cell.table == table.name)
    for arm in table.arms:
        of_arm = [cell for cell in by_arm.get(arm, []) if is_stored(store, cell.trial_id)]
        places: dict[str, list[str]] = {}
        for cell in of_arm:
            state = store.scores(cell.trial_id).get(table.protocol, {}).get("field_state", "ok")
            if state in ("empty", "solid"):  # "unknown" is of renders without opacity: nothing failed
                places.setdefault(state, []).append(f"{cell.cluster} (seed {cell.seed})")
        for state, where in places.items():
            fields = format_count(len(where), f"{state} field")
            notes.append(f"{arm}: {fields} of {len(of_arm)}: {list_some(where)}")
    return notes


def masked_score_notes(table: Table, cells: Sequence[TrialSlot], store: TrialReader) -> list[str]:
    """Say on which clusters only what masks leave counts in the numbers, and how they are made then.

    Args:
        table: The table.
        cells: Places of trials in tables.
        store: Where scores lie.
    """
    clusters: dict[str, dict[str, None]] = {}
    for cell in cells:
        if cell.table != table.name or not store.finished(cell.trial_id):
            continue
        about = store.scores(cell.trial_id).get(table.protocol, {}).get("about", {}).get("masks")
        if about:
            clusters.setdefault(about, {})[cell.cluster] = None
    return [f"{list_some(list(found))}: {about}." for about, found in clusters.items()]


def imagenet_encoder_notes(table: Table, cells: Sequence[TrialSlot], trials: Sequence[Trial]) -> list[str]:
    """Say which arms see through an encoder that ImageNet's labels trained: it is no CLIP, and no paper's.

    Args:
        table: The table.
        cells: Places of trials in tables.
        trials: All chosen trials.
    """
    encoders = {trial.id: trial.method.encoders for trial in trials}
    arms: dict[str, dict[str, None]] = {}
    for cell in cells:
        if cell.table == table.name:
            for name in encoders.get(cell.trial_id, ()):
                if name in IMAGENET:
                    arms.setdefault(name, {})[cell.arm] = None
    return [
        f"{' · '.join(found)}: the encoder {name} was trained on ImageNet's labels. It is not CLIP, and the "
        "numbers are not those of a paper that used CLIP."
        for name, found in arms.items()
    ]


def _cells_by_arm(cells: Iterable[TrialSlot]) -> dict[str, list[TrialSlot]]:
    """Put the places of each arm together: with many arms a look at all places for each would take long."""
    found: dict[str, list[TrialSlot]] = {}
    for cell in cells:
        found.setdefault(cell.arm, []).append(cell)
    return found


def list_some(names: Sequence[str], most: int = 4) -> str:
    """List the first few names, and say how many more there are.

    Example:
        >>> list_some(["a", "b", "c"], 2), list_some(["a", "b"], 2)
        ('a, b and 1 more', 'a, b')
    """
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more
