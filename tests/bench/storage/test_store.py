import dataclasses
import json
import math
import os
import signal
import subprocess
import sys
import textwrap
import time

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from bench.errors import UsageError
from bench.import_paths import ROOT
from bench.storage import archive, files, run_status
from bench.storage.record import SCHEMA_VERSION, Outcome, Record
from bench.storage.store import Store, modification_times


def some_record(trial_id="nerf__knight__8v__s0__3f9c1a2b", **changes):
    variant, task, *_, seed, _ = trial_id.split("__")
    fields = {
        "schema_version": SCHEMA_VERSION,
        "trial_id": trial_id,
        "status": "finished",
        "variant": variant,
        "task": task,
        "cluster": task,
        "seed": int(seed[1:]),
        "budget": "smoke",
        "identity": {},
        "environment": {"device": "cpu"},
        "curves": {"loss": [0.5, 0.25]},
        "timings": {"wall_s": 1.5},
        "num_steps": 2,
        "num_parameters": 3,
        "pack_size": 1,
        "first_bad_step": None,
        "reason": None,
        "traceback": None,
    }
    return Record(**fields | changes)


def some_scores(psnr=(20.0, 22.0), **more):
    return {
        "protocol": "std-v1",
        "version": "1",
        "view_ids": [0, 7],
        "per_view": {"psnr": list(psnr), **more},
        "reasons": dict.fromkeys(more, "no weights"),
        "context": {"angle_to_nearest_deg": [10.0, 20.0]},
    }


def some_outcome(trial_id="nerf__knight__8v__s0__3f9c1a2b", scores=None, **changes):
    return Outcome(
        record=some_record(trial_id, **changes),
        parameters={"params/field/kernel": np.arange(3, dtype=np.float32)},
        views={"color": np.zeros((2, 4, 4, 3), np.float16), "ids": np.asarray([0, 7], np.int32)},
        scores={"std-v1": some_scores()} if scores is None else scores,
    )


def failure(trial_id="nerf__rook__8v__s1__00000001"):
    record = some_record(trial_id, status="failed", reason="the loss was not finite", first_bad_step=3)
    return Outcome(record=record, parameters={}, views={}, scores={})


def listing(root):
    return sorted(str(path.relative_to(root)) for path in root.rglob("*") if path.name != ".lock")


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
    with pytest.raises(UsageError, match="it holds no trial yet: python -m bench run"):
        trials.read("x")


def test_nothing_is_overwritten(tmp_path):
    trials = Store.open(tmp_path)
    first = some_outcome()
    trials.write(first)
    second = some_outcome(num_parameters=4)
    with pytest.raises(UsageError, match="expected no such trial yet, got one; records are never overwritten"):
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
    with pytest.raises(UsageError, match="expected its views in .*, got none; .*: run the trial here"):
        again.views("nerf__rook__8v__s1__00000001")
    with pytest.raises(UsageError, match="expected its parameters in"):
        again.parameters("nerf__rook__8v__s1__00000001")


@pytest.mark.parametrize("trial_id", ["nerf", "../a__b", ".a__b", "failed-1", "a__b.unreadable-1"])
def test_an_id_that_is_no_folder_name(tmp_path, trial_id):
    outcome = dataclasses.replace(some_outcome(), record=dataclasses.replace(some_record(), trial_id=trial_id))
    with pytest.raises(ValueError, match="expected an id like"):
        Store.open(tmp_path).write(outcome)
    assert listing(tmp_path) == []


def test_arrays_and_scores_that_cannot_be_stored_leave_nothing(tmp_path):
    trials = Store.open(tmp_path)
    with pytest.raises(ValueError, match="parameters, a: expected one of float16, float32, int32, got float64"):
        trials.write(dataclasses.replace(some_outcome(), parameters={"a": np.zeros(1)}))
    with pytest.raises(ValueError, match="std-v1: expected numbers that are finite, or None with a reason"):
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
    with pytest.raises(ValueError, match="expected numbers that are finite"):
        trials.write_scores(trial_id, "std-v1", some_scores((math.inf, 2.0)))
    assert trials.scores(trial_id)["std-v1"]["per_view"]["psnr"] == [1.0, 2.0]
    assert not [name for name in listing(tmp_path) if ".tmp" in name]
    with pytest.raises(UsageError, match="expected one of"):
        trials.write_scores("unknown__trial", "std-v1", {})


# What was not written whole


KILLED = """
import json, os, signal, sys
import numpy as np
from bench.storage import record
from bench.storage.store import Store
os.FUNCTION = lambda *paths: os.kill(os.getpid(), signal.SIGKILL)
made = record.Record.from_json(json.loads(sys.argv[2]))
arrays = {"a": np.zeros(9, np.float32)}
Store.open(sys.argv[1]).write(record.Outcome(record=made, parameters=arrays, views=arrays, scores={}))
"""


def python(code, *arguments, **options):
    variables = os.environ | {"PYTHONPATH": str(ROOT)}
    return subprocess.Popen([sys.executable, "-c", code, *arguments], env=variables, **options)


@pytest.mark.parametrize("function", ["rename", "fsync"])
def test_a_killed_write_leaves_a_temporary_folder_that_is_swept_up(tmp_path, function):
    root = tmp_path / "runs"
    writer = python(KILLED.replace("FUNCTION", function), str(root), json.dumps(some_record().to_json()))
    assert writer.wait() == -signal.SIGKILL
    [left] = root.iterdir()
    assert left.name.startswith(f".tmp-{files.host_mark()}-{writer.pid}-")
    trials = Store.open(root)
    assert trials.ids() == [] and trials.set_aside == []
    assert listing(root) == []
    trials.write(some_outcome())  # and the trial can be run again


def test_only_what_dead_writers_left_is_swept_up(tmp_path):
    sleeper = subprocess.Popen(["sleep", "60"])
    try:
        live = tmp_path / f".tmp-{files.host_mark()}-{sleeper.pid}-a"
        young = tmp_path / f".tmp-ffffffff-{sleeper.pid}-b"
        old = tmp_path / f".tmp-ffffffff-{sleeper.pid}-c"
        own = tmp_path / f".tmp-{files.host_mark()}-{os.getpid()}-d"  # of an earlier process of the same number
        for folder in (live, young, old):
            folder.mkdir()
        own.write_text("a file is swept up like a folder")
        long_ago = time.time() - 2 * files.ABANDONED_S
        os.utime(old, (long_ago, long_ago))
        Store.open(tmp_path)
        assert set(tmp_path.iterdir()) == {live, young}
    finally:
        sleeper.kill()
        sleeper.wait()


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


@pytest.mark.parametrize("text", ["", "{", "[]", '{"schema_version": 1}', "\xff", '{"schema_version": 1, "curves": 3}'])
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
    path = trials.write(some_outcome()) / "scores" / "std-v1.json"
    path.write_text("{")
    assert trials.scores("nerf__knight__8v__s0__3f9c1a2b") == {}
    assert trials.set_aside[0].startswith("nerf__knight__8v__s0__3f9c1a2b/scores/std-v1.json.unreadable-1: ")


def test_a_store_of_another_schema_version_is_refused_and_left_as_it_is(tmp_path):
    trials = Store.open(tmp_path)
    trials.write(some_outcome())
    other = tmp_path / trials.write(failure()).name / "record.json"
    other.write_text(other.read_text().replace('"schema_version": 1', '"schema_version": 2'))
    (tmp_path / "a__broken").mkdir()
    before = listing(tmp_path)
    with pytest.raises(UsageError, match="expected a record of schema version 1, got 2; it stays as it is"):
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
    with pytest.raises(UsageError, match="retry: expected a trial that failed, got .*, which finished"):
        trials.retry(trial_id)
    with pytest.raises(UsageError, match="the nearest is"):
        trials.retry("nerf__rook")
    assert (tmp_path / "failed-2" / trial_id / "record.json").exists()


# The frame


COLUMNS = [
    *("trial_id", "status", "variant", "task", "cluster", "seed", "budget", "protocol", "metric", "view", "value"),
    *("reason", "angle_to_nearest_deg", "num_steps", "wall_s", "device", "azimuth_deg", "elevation_deg"),
]
"""As compare.py expects them."""


def slow_frame(trials):
    """A row at a time."""
    rows = []
    for record in trials.records():
        shared = {name: getattr(record, name) for name in COLUMNS[:7]} | {
            "num_steps": record.num_steps,
            "wall_s": record.timings["wall_s"],
            "device": record.environment["device"],
        }
        scores = trials.scores(record.trial_id)
        if not scores:
            rows.append(shared | {"reason": record.reason or "not scored"})
        for protocol, score in scores.items():
            for metric, values in score["per_view"].items():
                for i, view in enumerate(score["view_ids"]):
                    rows.append(
                        shared
                        | {"protocol": protocol, "metric": metric, "view": view, "value": values[i]}
                        | {"reason": score["reasons"].get(metric)}
                        | {name: known[i] for name, known in score["context"].items() if name in COLUMNS}
                    )
    return pd.DataFrame(rows, columns=COLUMNS)


def test_frame_is_that_of_its_slow_twin(tmp_path):
    trials = Store.open(tmp_path)
    for i in range(3):
        scores = {"std-v1": some_scores((i + 0.5, 2.0), lpips=[None, 0.25]), "nerf-2020": some_scores((1.0, i + 0.0))}
        trials.write(some_outcome(f"nerf__a__8v__s{i}__{i}", scores=scores, timings={"wall_s": i + 0.5}))
    around = {"azimuth_deg": [0.0, 45.0], "elevation_deg": [15.0, 15.0], "predicted@a": [3, 4]}
    trials.write(some_outcome("dream__a_cup__0v__s0__7", scores={"std-v1": some_scores() | {"context": around}}))
    trials.write(some_outcome("nerf__unscored__8v__s0__9", scores={}))
    trials.write(failure())
    frame = Store.open(tmp_path).frame()
    assert list(frame.columns) == COLUMNS
    assert len(frame) == 3 * (2 * 2 + 2) + 2 + 2
    pd.testing.assert_frame_equal(frame, slow_frame(trials), check_dtype=False, check_index_type=False)
    assert frame["value"].dtype == np.float64 and frame["seed"].dtype == np.int64 and frame["view"].dtype == "Int64"
    failed = frame[frame["status"] == "failed"]
    assert failed["reason"].tolist() == ["the loss was not finite"]
    assert failed["metric"].isna().all() and failed["value"].isna().all()


def test_the_example_of_frame_gives_the_mean_of_scenes(tmp_path, monkeypatch):
    trials = Store.open(tmp_path / "results" / "runs")
    for scene, seed, psnr in (("a", 0, 1.0), ("a", 1, 3.0), ("b", 0, 10.0)):
        scores = {"std-v1": some_scores((psnr - 0.5, psnr + 0.5)), "nerf-2020": some_scores((99.0, 99.0))}
        name = f"nerf__{scene}__8v__s{seed}__0"
        trials.write(some_outcome(name, scores=scores, variant="nerf", cluster=scene, seed=seed))
    code = textwrap.dedent(Store.frame.__doc__.split("run by a test:\n")[1])
    monkeypatch.chdir(tmp_path)
    known = {}
    exec(code, known)
    assert known["means"].to_dict() == {"nerf": (2.0 + 10.0) / 2}
    assert len([line for line in code.splitlines() if line.strip()]) == 5, "five lines"


def test_frame_of_nothing_has_the_columns(tmp_path):
    frame = Store.open(tmp_path).frame()
    assert list(frame.columns) == COLUMNS and frame.empty


def test_frame_without_angles_and_with_views_missing(tmp_path):
    trials = Store.open(tmp_path)
    scores = some_scores()
    trials.write(some_outcome("nerf__a__8v__s0__1", scores={"std-v1": scores | {"context": {}}}))
    assert trials.frame()["angle_to_nearest_deg"].isna().all()
    trials.write(some_outcome("nerf__a__8v__s0__2", scores={"std-v1": scores | {"view_ids": [0]}}))
    with pytest.raises(ValueError, match="__2, std-v1, psnr: expected one a view, got 2 values of 1 views"):
        trials.frame()


def test_frame_with_more_angles_than_views(tmp_path):
    trials = Store.open(tmp_path)
    trials.write(some_outcome(scores={"std-v1": some_scores() | {"context": {"azimuth_deg": [0.0, 45.0, 90.0]}}}))
    with pytest.raises(ValueError, match="psnr: expected one a view, got 3 azimuth_deg of 2 views"):
        trials.frame()


# One driver at a time


def test_a_second_driver_is_told_of_the_first(tmp_path):
    trials = Store.open(tmp_path)
    with trials.lock():
        with (
            pytest.raises(
                UsageError, match=f"expected no other run to write here, got one in process {os.getpid()}; wait"
            ),
            Store.open(tmp_path).lock(),
        ):
            pass
        assert Store.open(tmp_path).ids() == []  # reading is free
    with Store.open(tmp_path).lock():
        pass


HOLDS = """
import sys, time
from bench.storage.store import Store
with Store.open(sys.argv[1]).lock():
    print("held", flush=True)
    time.sleep(60)
"""


def test_the_lock_of_a_dead_driver_is_taken_over(tmp_path):
    driver = python(HOLDS, str(tmp_path), stdout=subprocess.PIPE)
    try:
        assert driver.stdout.readline() == b"held\n"
        with pytest.raises(UsageError, match=f"in process {driver.pid};"), Store.open(tmp_path).lock():
            pass
    finally:
        driver.kill()
        driver.wait()
        driver.stdout.close()
    with Store.open(tmp_path).lock():
        assert (tmp_path / ".lock").read_text() == f"{os.getpid()}\n"


# What is running


def test_status_is_written_in_one_step_with_a_heartbeat(tmp_path):
    trials = Store.open(tmp_path)
    trials.write_status({"num_trials": 3, "running": [{"loss": math.nan, "trial_ids": ("a", "b")}]})
    status = trials.read_status()
    assert status["alive"] and status["pid"] == os.getpid() and 0 <= status["silent_s"] < 60
    assert status["num_trials"] == 3
    assert status["running"] == [{"loss": None, "trial_ids": ["a", "b"]}]
    assert listing(tmp_path) == ["status.json"]
    trials.clear_status()
    trials.clear_status()
    assert trials.read_status() is None


def test_a_dead_driver_is_told_from_a_silent_one(tmp_path):
    trials = Store.open(tmp_path)
    path = tmp_path / "status.json"
    trials.write_status({})
    status = json.loads(path.read_text())
    gone = subprocess.Popen(["true"])
    gone.wait()
    path.write_text(json.dumps(status | {"pid": gone.pid}))
    assert not trials.read_status()["alive"]
    path.write_text(json.dumps(status | {"heartbeat": time.time() - 2 * run_status.DEAD_S}))
    assert trials.read_status()["alive"]  # its process is there: it compiles
    path.write_text(json.dumps(status | {"host": "ffffffff", "heartbeat": time.time() - 2 * run_status.DEAD_S}))
    assert not trials.read_status()["alive"]
    path.write_text(json.dumps(status | {"host": "ffffffff", "pid": gone.pid}))
    assert trials.read_status()["alive"]
