"""Numbers that go into a table and come back: the same to the last digit, or refused."""

import dataclasses
import json

import numpy as np
import pandas as pd
import pytest

from bench.storage import number_tables
from bench.storage.store import Store
from tests.fixtures.stored_trials import failure, some_outcome, some_scores

NAME = f"toys-quick{number_tables.END}"


@pytest.fixture
def stored(tmp_path):
    """A store of three trials, one of them failed, and the table of its numbers."""
    store = Store.open(tmp_path / "runs")
    scores = {"std-v1": some_scores((0.1 + 0.2, None)), "nerf-2020": some_scores((1.0, 2.0))}
    store.write(some_outcome("nerf__a__s0__0", scores=scores))
    store.write(some_outcome("nerf__b__s0__1", scores={"std-v1": some_scores((3.0, 4.0))}))
    store.write(failure())
    numbers = {trial_id: (store.read(trial_id), store.scores(trial_id)) for trial_id in store.ids()}
    (tmp_path / "reference").mkdir()
    number_tables.write_numbers(tmp_path / "reference" / NAME, numbers)
    return store, tmp_path / "reference"


def test_scores_come_back_to_the_last_digit(stored):
    store, folder = stored
    back = Store.open(folder)
    assert back.ids() == store.ids()
    for trial_id in store.ids():
        assert back.scores(trial_id) == store.scores(trial_id)
        expected = dataclasses.replace(store.read(trial_id), curves={})
        assert back.read(trial_id) == expected
    pd.testing.assert_frame_equal(back.frame(), store.frame())


def test_pandas_reads_it_without_this_project(stored):
    frame = pd.read_parquet(stored[1] / NAME)
    row = frame[(frame["trial_id"] == "nerf__b__s0__1") & (frame["metric"] == "psnr")].iloc[0]
    assert row["mean"] == 3.5 and np.array_equal(row["values"], [3.0, 4.0])
    assert frame[frame["status"] == "failed"]["metric"].isna().all()


def test_an_edited_table_is_refused(stored):
    path = stored[1] / NAME
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(bytes(content))
    again = Store.open(stored[1])
    [line] = again.left_out
    assert again.ids() == [] and "SHA-256 that manifest.json names" in line


@pytest.mark.parametrize("content", [b"", b"PAR1", b"no table at all"])
def test_what_is_no_table(tmp_path, content):
    (tmp_path / NAME).write_bytes(content)
    [line] = Store.open(tmp_path).left_out
    assert "expected a table of numbers" in line


def test_a_manifest_that_is_no_json(stored):
    (stored[1] / number_tables.MANIFEST).write_text("{")
    [line] = Store.open(stored[1]).left_out
    assert "manifest.json: expected the hashes" in line


def test_the_manifest_names_every_file(stored):
    manifest = json.loads((stored[1] / number_tables.MANIFEST).read_text())
    assert manifest[NAME]["trials"] == 3 and manifest[NAME]["bytes"] == (stored[1] / NAME).stat().st_size


def test_values_of_one_metric_are_those_of_the_scores(stored):
    store, folder = stored
    back = Store.open(folder)
    for trial_id in store.ids():
        for metric in ("psnr", "ssim", "nobody's"):
            assert back.values(trial_id, metric) == store.values(trial_id, metric)
    assert back.values("nerf__a__s0__0", "psnr") == {"std-v1": [0.1 + 0.2, None], "nerf-2020": [1.0, 2.0]}


def test_files_of_a_trial_are_named_and_counted(stored):
    files = number_tables.read_numbers(stored[1] / NAME)["nerf__a__s0__0"]
    assert sorted(files) == ["record.json", "scores/nerf-2020.json", "scores/std-v1.json"] and len(files) == 3
    with pytest.raises(KeyError):
        files["scores/dietnerf-2021.json"]


def test_a_number_that_is_not_finite_is_refused(stored):
    store, folder = stored
    numbers = {"nerf__b__s0__1": (store.read("nerf__b__s0__1"), {"std-v1": some_scores((np.inf, 1.0))})}
    number_tables.write_numbers(folder / NAME, numbers)
    [line] = Store.open(folder).left_out
    assert "numbers that are finite" in line


def test_scores_of_another_form_are_refused(stored):
    store, folder = stored
    scores = {"std-v1": some_scores() | {"version": 2}}
    number_tables.write_numbers(folder / NAME, {"nerf__b__s0__1": (store.read("nerf__b__s0__1"), scores)})
    again = Store.open(folder)
    assert again.scores("nerf__b__s0__1") == {}
    [line] = again.left_out
    assert "expected scores" in line
