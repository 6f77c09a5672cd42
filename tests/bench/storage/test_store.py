"""Trials go to disk whole and come back the same; what is damaged is set aside, nothing is overwritten."""

import dataclasses
import json
import math
import os
import subprocess

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from bench.errors import UsageError
from bench.storage import files
from bench.storage.folder_changes import modification_times
from bench.storage.record import SCHEMA_VERSION
from bench.storage.store import Store
from tests.fixtures.stored_trials import (
    failure,
    forget_checksums,
    listing,
    python,
    some_outcome,
    some_record,
    some_scores,
)

# Writing and reading


ARRAYS = st.sampled_from([np.float16, np.float32, np.int32]).flatmap(
    lambda dtype: hnp.arrays(dtype, hnp.array_shapes(min_dims=0, max_dims=4, max_side=3))
)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    parameters=st.dictionaries(st.text(st.characters(codec="ascii", categories=["L", "N"]), min_size=1), ARRAYS),
    views=st.dictionaries(st.sampled_from(["color", "opacity", "ids"]), ARRAYS),
    score=st.floats(allow_nan=False, allow_infinity=False) | st.none(),
)
def test_what_is_written_is_read(tmp_path_factory, parameters, views, score):
    root = tmp_path_factory.mktemp("store")
    outcome = dataclasses.replace(
        some_outcome(scores={"std-v1": some_scores((score, 1.0))}), parameters=parameters, views=views
    )
    trial_id = outcome.record.trial_id
    Store.open(root).write(outcome)
    again = Store.open(root)
    assert again.finished(trial_id)
    assert again.read(trial_id) == outcome.record
    assert again.scores(trial_id) == outcome.scores
    for name, expected in (("parameters", parameters), ("views", views)):
        if expected:
            found = getattr(again, name)(trial_id)
            assert found.keys() == expected.keys()
            for key in expected:
                np.testing.assert_array_equal(found[key], expected[key], strict=True)


def test_arrays_that_lie_crosswise_in_memory(tmp_path):
    crosswise = np.arange(12, dtype=np.float32).reshape(3, 4).T
    outcome = dataclasses.replace(some_outcome(), parameters={"a": crosswise, "b": crosswise[::2, ::-1]})
    Store.open(tmp_path).write(outcome)
    found = Store.open(tmp_path).parameters(outcome.record.trial_id)
    np.testing.assert_array_equal(found["a"], crosswise)
    np.testing.assert_array_equal(found["b"], crosswise[::2, ::-1])


def test_layout_on_disk(tmp_path):
    outcome = some_outcome()
    assert Store.open(tmp_path).write(outcome) == tmp_path / outcome.record.trial_id
    name = outcome.record.trial_id
    assert listing(tmp_path) == [
        name,
        f"{name}/parameters.safetensors",
        f"{name}/record.json",
        f"{name}/scores",
        f"{name}/scores/std-v1.json",
        f"{name}/views.safetensors",
    ]


def test_opening_makes_nothing(tmp_path):
    trials = Store.open(tmp_path / "none")
    assert not (tmp_path / "none").exists()
    assert list(trials.records()) == []
    assert trials.read_status() is None
    with pytest.raises(UsageError, match="no trial yet: python -m bench run"):
        trials.read("x")


def test_nothing_is_overwritten(tmp_path):
    trials = Store.open(tmp_path)
    first = some_outcome()
    trials.write(first)
    second = some_outcome(num_parameters=4)
    with pytest.raises(UsageError, match="never overwritten"):
        trials.write(second)
    assert Store.open(tmp_path).read(first.record.trial_id).num_parameters == 3
    assert listing(tmp_path)[0] == first.record.trial_id  # no temporary folder is left


def test_a_failed_trial_is_stored_too_and_may_have_views(tmp_path):
    trials = Store.open(tmp_path)
    trials.write(failure())
    trials.write(some_outcome(status="failed", reason="why", scores={}))
    again = Store.open(tmp_path)
    assert again.failed("nerf__rook__8v__s1__00000001") and not again.finished("nerf__rook__8v__s1__00000001")
    assert set(again.views("nerf__knight__8v__s0__3f9c1a2b")) == {"color", "ids"}
    assert not again.failed("unknown") and not again.finished("unknown")
    with pytest.raises(UsageError, match="its views in .*, got none; .*run the trial here"):
        again.views("nerf__rook__8v__s1__00000001")
    with pytest.raises(UsageError, match="its parameters in"):
        again.parameters("nerf__rook__8v__s1__00000001")


@pytest.mark.parametrize("trial_id", ["nerf", "../a__b", ".a__b", "failed-1", "a__b.unreadable-1"])
def test_an_id_that_is_no_folder_name(tmp_path, trial_id):
    outcome = dataclasses.replace(some_outcome(), record=dataclasses.replace(some_record(), trial_id=trial_id))
    with pytest.raises(ValueError, match="expected an id like"):
        Store.open(tmp_path).write(outcome)
    assert listing(tmp_path) == []


def test_arrays_and_scores_that_cannot_be_stored_leave_nothing(tmp_path):
    trials = Store.open(tmp_path)
    with pytest.raises(ValueError, match="parameters, a: .*float32.*, got float64"):
        trials.write(dataclasses.replace(some_outcome(), parameters={"a": np.zeros(1)}))
    with pytest.raises(ValueError, match="std-v1: .*finite"):
        trials.write(some_outcome(scores={"std-v1": some_scores((math.nan, 1.0))}))
    assert listing(tmp_path) == []


def test_scores_are_replaced_in_one_step(tmp_path):
    trials = Store.open(tmp_path)
    trials.write(some_outcome())
    trial_id = "nerf__knight__8v__s0__3f9c1a2b"
    trials.write_scores(trial_id, "std-v1", some_scores((1.0, 2.0)))
    trials.write_scores(trial_id, "nerf-2020", some_scores((3.0, 4.0)))
    assert {k: v["per_view"]["psnr"] for k, v in Store.open(tmp_path).scores(trial_id).items()} == {
        "std-v1": [1.0, 2.0],
        "nerf-2020": [3.0, 4.0],
    }
    with pytest.raises(ValueError, match="finite"):
        trials.write_scores(trial_id, "std-v1", some_scores((math.inf, 2.0)))
    assert trials.scores(trial_id)["std-v1"]["per_view"]["psnr"] == [1.0, 2.0]
    assert not [name for name in listing(tmp_path) if ".tmp" in name]
    with pytest.raises(UsageError, match="expected one of"):
        trials.write_scores("unknown__trial", "std-v1", {})


WRITES = """
import json, sys
import numpy as np
from bench.storage import record
from bench.storage.store import Store
made = json.loads(sys.argv[2])
trials = Store.open(sys.argv[1])
arrays = {"a": np.zeros(1000, np.float32)}
for n in range(30):
    one = record.Record.from_json(made | {"trial_id": f"nerf__a__8v__s0__{n}"})
    trials.write(record.Outcome(record=one, parameters=arrays, views=arrays, scores=json.loads(sys.argv[3])))
    trials.write_status({"running": []})
"""


def test_a_reader_beside_a_running_driver_does_no_harm(tmp_path):
    """It opens the store again and again, and so sweeps: every trial is there at the end, and none was seen half."""
    scores = json.dumps({"std-v1": some_scores()})
    Store.open(tmp_path / "none").frame()  # imports what takes longer than all that the driver writes
    driver = python(WRITES, str(tmp_path), json.dumps(some_record().to_json()), scores)
    num_seen, num_times = [], 0
    while driver.poll() is None:
        there = modification_times(tmp_path)
        trials = Store.open(tmp_path)
        assert trials.set_aside == [] and set(there) <= set(trials.ids())
        assert len(trials.frame()) == 2 * len(trials.ids())
        num_seen.append(len(trials.ids()))
        num_times += 1
    assert driver.returncode == 0 and len(Store.open(tmp_path).ids()) == 30
    assert num_times > 3 and num_seen == sorted(num_seen)
    assert not [path for path in tmp_path.iterdir() if path.name.startswith(".tmp-")]


@pytest.mark.parametrize("text", ["", "{", "[]", '{"schema_version": 2}', "\xff", '{"schema_version": 2, "curves": 3}'])
def test_what_does_not_parse_is_set_aside_and_run_again(tmp_path, text):
    trial_id = "nerf__knight__8v__s0__3f9c1a2b"
    for n in (1, 2):
        Store.open(tmp_path).write(some_outcome())
        (tmp_path / trial_id / "record.json").write_bytes(text.encode("latin-1"))
        trials = Store.open(tmp_path)
        assert not trials.finished(trial_id) and not trials.failed(trial_id)
        assert len(trials.set_aside) == 1 and trials.set_aside[0].startswith(f"{trial_id}.unreadable-{n}: ")
        assert (tmp_path / f"{trial_id}.unreadable-{n}" / "views.safetensors").exists()
    assert Store.open(tmp_path).set_aside == []


def test_a_folder_without_a_record_and_a_renamed_one_are_set_aside(tmp_path):
    trials = Store.open(tmp_path)
    trials.write(some_outcome())
    os.rename(tmp_path / "nerf__knight__8v__s0__3f9c1a2b", tmp_path / "nerf__knight__8v__s0__copy")
    (tmp_path / "nerf__empty").mkdir()
    (tmp_path / "notes").mkdir()
    (tmp_path / "a__file").write_text("")
    trials = Store.open(tmp_path)
    assert trials.ids() == []
    assert "nerf__empty.unreadable-1: " in trials.set_aside[0]
    assert "expected the record of nerf__knight__8v__s0__copy, got that of" in trials.set_aside[1]
    assert {"notes", "a__file"} <= set(listing(tmp_path))


def test_what_cannot_be_moved_is_reported_where_it_is(tmp_path, monkeypatch):
    (tmp_path / "nerf__empty").mkdir()

    def refuse(*paths):
        raise PermissionError("read-only")

    monkeypatch.setattr(os, "rename", refuse)
    [said] = Store.open(tmp_path).set_aside
    assert said.startswith("nerf__empty: ") and said.endswith("(left where it is: read-only)")


def test_scores_that_do_not_parse_are_set_aside_and_count_as_missing(tmp_path):
    trials = Store.open(tmp_path)
    folder = trials.write(some_outcome())
    forget_checksums(folder)
    trials = Store.open(tmp_path)
    (folder / "scores" / "std-v1.json").write_text("{")
    assert trials.scores("nerf__knight__8v__s0__3f9c1a2b") == {}
    assert trials.set_aside[0].startswith("nerf__knight__8v__s0__3f9c1a2b/scores/std-v1.json.unreadable-1: ")


def test_a_store_of_another_schema_version_is_refused_and_left_as_it_is(tmp_path):
    trials = Store.open(tmp_path)
    trials.write(some_outcome())
    other = tmp_path / trials.write(failure()).name / "record.json"
    forget_checksums(other.parent)
    other.write_text(other.read_text().replace(f'"schema_version": {SCHEMA_VERSION}', '"schema_version": 99'))
    (tmp_path / "a__broken").mkdir()
    before = listing(tmp_path)
    with pytest.raises(UsageError, match=f"schema version {SCHEMA_VERSION}, got 99; it stays as it is"):
        Store.open(tmp_path)
    assert listing(tmp_path) == before


# Finding, retrying


def test_the_start_of_an_id_is_enough(tmp_path):
    trials = Store.open(tmp_path)
    for trial_id in ("nerf__a__8v__s0__1", "nerf__a__8v__s1__2", "nerf__b__8v__s0__3", "dietnerf__a__8v__s0__4"):
        trials.write(some_outcome(trial_id))
    assert trials.find("diet") == "dietnerf__a__8v__s0__4"
    assert trials.find("nerf__a__8v__s1__2") == "nerf__a__8v__s1__2"
    with pytest.raises(
        UsageError, match="got 'nerf__a', which 2 share; say more: nerf__a__8v__s0__1, nerf__a__8v__s1__2"
    ):
        trials.find("nerf__a")
    with pytest.raises(UsageError, match="got '', which 4 share; .* and 1 more"):
        trials.find("")
    with pytest.raises(UsageError, match="the nearest is 'dietnerf__a__8v__s0__4'"):
        trials.find("dietnref__a")


def test_retry_moves_a_failure(tmp_path):
    trials = Store.open(tmp_path)
    trial_id = failure().record.trial_id
    for n in (1, 2):
        trials.write(failure())
        assert trials.retry(trial_id) == tmp_path / f"failed-{n}" / trial_id
        assert not trials.failed(trial_id)
    trials = Store.open(tmp_path)
    assert trials.ids() == []
    trials.write(some_outcome(trial_id))
    with pytest.raises(UsageError, match="retry: .*which finished"):
        trials.retry(trial_id)
    with pytest.raises(UsageError, match="the nearest is"):
        trials.retry("nerf__rook")
    assert (tmp_path / "failed-2" / trial_id / "record.json").exists()


# Listing trials is quick


LIGHT = """
import sys
from bench.storage.store import Store
trials = Store.open(sys.argv[1])
assert [trials.scores(name)["std-v1"]["per_view"]["psnr"] for name in trials.ids()] == [[20.0, 22.0]]
heavy = {"jax", "numpy", "pandas", "scipy", "PIL", "jaxtyping", "safetensors", "flax", "ray"}
print(sorted(heavy & sys.modules.keys()))
"""


def test_records_and_scores_are_read_without_what_takes_long_to_import(tmp_path):
    Store.open(tmp_path).write(some_outcome())
    reader = python(LIGHT, str(tmp_path), stdout=subprocess.PIPE)
    output, _ = reader.communicate()
    assert reader.returncode == 0 and output == b"[]\n"


def test_a_second_store_of_one_process_takes_nothing_from_the_first(tmp_path, monkeypatch):
    """A page is drawn by a thread while another thread stores a trial."""
    made = some_outcome()
    publish = files.publish_folder
    others = []

    def publish_beside_a_reader(temporary, final):
        others.append(Store.open(tmp_path))
        others.append(Store.open(tmp_path, is_guest=True))
        publish(temporary, final)

    monkeypatch.setattr(files, "publish_folder", publish_beside_a_reader)
    folder = Store.open(tmp_path).write(made)
    assert len(others) == 2 and (folder / "record.json").is_file()
    assert Store.open(tmp_path).read(made.record.trial_id) == Store.open(tmp_path).read(made.record.trial_id)


def test_a_guest_renames_and_removes_nothing(tmp_path):
    made = some_outcome()
    folder = Store.open(tmp_path).write(made)
    (folder / "record.json").write_text("{")
    left = tmp_path / ".tmp-00000000-1-abcd"
    left.mkdir()
    os.utime(left, (0, 0))
    guest = Store.open(tmp_path, is_guest=True)
    assert not guest.set_aside and folder.is_dir() and left.is_dir()
    [line] = guest.left_out
    assert line.startswith(f"{folder.name}: ")
