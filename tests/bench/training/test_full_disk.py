"""A disk that is really full, where this process may mount one: nothing is lost, and the same command continues."""

from __future__ import annotations

import subprocess

import pytest

from bench.errors import UsageError
from bench.storage.store import Store
from bench.suites.selection import Selection
from bench.suites.trial import Trial
from bench.training.run_suite import TrainingOptions, train_missing
from tests.fixtures import toy_studies
from tests.fixtures.toys import ToyMethod

SIZE_MB = 4


@pytest.fixture
def disk(tmp_path):
    """A disk of a few megabytes."""
    mount = ["mount", "-t", "tmpfs", "-o", f"size={SIZE_MB}m", "tmpfs", str(tmp_path)]
    try:
        done = subprocess.run(mount, capture_output=True, check=False)
    except FileNotFoundError:
        pytest.skip("mount is not installed")
    if done.returncode:
        pytest.skip("this process may not mount a disk")
    yield tmp_path
    subprocess.run(["umount", "-l", str(tmp_path)], check=True)


def fill(disk, left_bytes):
    """Fill it up but for some bytes."""
    path = disk / "filler"
    with path.open("wb", buffering=0) as file:
        try:
            while True:
                file.write(bytes(4096))
        except OSError:
            file.truncate(max(0, file.tell() - left_bytes))
    return path


@pytest.mark.slow
@pytest.mark.parametrize("left_bytes", [0, 4096, 8192, 16384])
def test_a_disk_that_fills_up_while_trials_are_trained(disk, left_bytes):
    trials = []
    for seed in range(3):
        trials.append(
            Trial(task=toy_studies.ToyScene(), method=ToyMethod(), budget=toy_studies.SMOKE, seed=seed, variant="toy")
        )
    chosen = Selection(suite=toy_studies.toy_suite(), budget=toy_studies.SMOKE, trials=trials, cells=[])
    options = TrainingOptions(executor="inline", pack_size=1)
    results = disk / "results"
    fillers = []

    def fill_at_second(event):
        if event.kind == "begun" and event.trial_ids == (trials[1].id,):
            fillers.append(fill(disk, left_bytes))

    with pytest.raises(UsageError, match="expected to store .*got No space left on device; free the disk"):
        trials_store = Store.open(results)
        with trials_store.lock():
            train_missing(options, chosen, trials_store, fill_at_second)
    kept = Store.open(results)
    assert kept.ids() == [trials[0].id] and kept.finished(trials[0].id) and kept.set_aside == []
    assert not [path for path in results.iterdir() if path.name.startswith(".tmp")]
    with pytest.raises(UsageError, match="can be written, got 'No space left on device'"):
        train_missing(options, chosen, kept)
    fillers[0].unlink()
    kept = Store.open(results)
    with kept.lock():
        assert train_missing(options, chosen, kept) == 2
    assert all(Store.open(results).finished(trial.id) for trial in trials)
