"""The data frame of all scores against its slow twin, and what it refuses."""

import textwrap

import numpy as np
import pandas as pd
import pytest

from bench.storage.store import Store
from tests.fixtures.stored_trials import failure, some_outcome, some_scores

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
    assert set(trials.frame()["trial_id"]) == {"nerf__a__8v__s0__1", "nerf__a__8v__s0__2"}
    [line] = trials.set_aside
    assert "__2/scores/std-v1.json: expected 1 values of 'psnr', one a view, got 2" in line


def test_frame_with_more_angles_than_views(tmp_path):
    trials = Store.open(tmp_path)
    trials.write(some_outcome(scores={"std-v1": some_scores() | {"context": {"azimuth_deg": [0.0, 45.0, 90.0]}}}))
    with pytest.raises(ValueError, match="psnr: expected one a view, got 3 azimuth_deg of 2 views"):
        trials.frame()
