"""Damages a file as disks and interrupted copies do: cuts it, or flips a byte; and chooses which file."""

from __future__ import annotations

import pathlib
import random
from collections.abc import Mapping
from typing import NamedTuple

from bench.storage.checkpoint_files import CHECKPOINT_END, FOLDER
from bench.storage.trial_folder import RECORD, is_trial_name

TRIAL_FILES: Mapping[str, tuple[str, ...]] = {
    "record-damaged": (RECORD,),
    "scores-damaged": ("scores/*.json",),
    "parameters-damaged": ("parameters.safetensors", "views.safetensors"),
}
"""Files of a trial that a kind of fault damages."""


class Damage(NamedTuple):
    """A file that was damaged.

    Attributes:
        kind: Kind of the fault.
        path: The file.
        how: What was done to it, in words.
        trial_id: The trial that it belongs to; empty for data and weights.
        before: What it held.
    """

    kind: str
    path: pathlib.Path
    how: str
    trial_id: str
    before: bytes

    def restore(self) -> None:
        """Bring the file back, as from a backup."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self.path.write_bytes(self.before)


def damage_file(kind: str, path: pathlib.Path, trial_id: str, chance: random.Random) -> Damage:
    """Cut a file, or flip a byte of it."""
    before = path.read_bytes()
    if chance.random() < 0.5:
        size = chance.randrange(len(before))
        how = f"cut from {len(before)} to {size} bytes"
        after = before[:size]
    else:
        place = chance.randrange(len(before))
        flipped = before[place] ^ (1 << chance.randrange(8))
        how = f"byte {place} of {len(before)} flipped from {before[place]} to {flipped}"
        after = before[:place] + bytes([flipped]) + before[place + 1 :]
    path.write_bytes(after)
    return Damage(kind, path, how, trial_id, before)


def find_victims(kind: str, results: pathlib.Path, data: pathlib.Path, weights: pathlib.Path) -> list[pathlib.Path]:
    """List the files that a kind of fault may damage.

    Args:
        kind: One of those of `bench.drill.faults.KINDS` that damage files.
        results: The folder of results.
        data: The folder of cached data.
        weights: The file of an encoder's weights.
    """
    if kind == "weights-damaged":
        return [weights]
    if kind == "data-damaged":
        return sorted(path for path in (data / "embedded_scenes").rglob("*.array_record*") if path.stat().st_size)
    if kind == "checkpoint-damaged":
        return sorted((results / FOLDER).glob(f"*{CHECKPOINT_END}"))
    folders = [folder for folder in results.iterdir() if is_trial_name(folder.name) and folder.is_dir()]
    return sorted(path for folder in folders for name in TRIAL_FILES[kind] for path in folder.glob(name))


def trial_of(path: pathlib.Path, results: pathlib.Path) -> str:
    """Name the trial that a file belongs to; empty for one of another place."""
    if not path.is_relative_to(results):
        return ""
    first = path.relative_to(results).parts[0]
    return first if is_trial_name(first) else ""
