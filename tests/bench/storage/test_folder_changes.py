"""A listing tells of what is new in a folder of trials, and of nothing else."""

import time

from bench.storage import archive
from bench.storage.folder_changes import modification_times
from bench.storage.store import Store
from tests.fixtures.stored_trials import failure, some_outcome, some_scores


def test_a_listing_tells_new_trials_and_new_scores(tmp_path):
    assert modification_times(tmp_path / "none") == {} and not (tmp_path / "none").exists()
    trials = Store.open(tmp_path)
    trials.write(some_outcome())
    first = modification_times(tmp_path)
    assert list(first) == ["nerf__knight__8v__s0__3f9c1a2b"] and modification_times(tmp_path) == first
    trials.write_status({"running": []})
    (tmp_path / ".tmp-other").mkdir()
    assert modification_times(tmp_path) == first, "nothing is stored by that"
    time.sleep(0.01)
    trials.write_scores("nerf__knight__8v__s0__3f9c1a2b", "nerf-2020", some_scores())
    second = modification_times(tmp_path)
    assert second != first
    trials.write(failure())
    assert len(modification_times(tmp_path)) == 2
    (tmp_path / f"kept{archive.END}").write_bytes(b"")
    assert f"kept{archive.END}" in modification_times(tmp_path)
