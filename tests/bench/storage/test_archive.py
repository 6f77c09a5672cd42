"""One small file of many trials: whole numbers, few pictures, the same bytes, and a store that reads it."""

import dataclasses
import io
import tarfile

import numpy as np
import pytest

from bench.errors import UsageError
from bench.export import suite_archive
from bench.report.images import image_grid
from bench.storage import archive
from bench.storage.store import Store
from tests.bench.storage.test_archived_pictures import views
from tests.fixtures.stored_trials import some_outcome
from tests.fixtures.toys import ToyTask

FIRST, SECOND = "toy__a__8v__s0__00000001", "toy__b__8v__s0__00000002"


def test_of_a_scene_the_middle_view_is_kept(tmp_path):
    made = Store.open(tmp_path)
    task = ToyTask(image_px=8)
    middle = image_grid.find_middle_view(task.load())
    made.write(
        dataclasses.replace(some_outcome(FIRST), views=views() | {"ids": np.arange(17, dtype=np.int32) + middle - 3})
    )
    assert f"views-{middle}.webp" in suite_archive.collect_files(made, FIRST, task)


def test_the_same_trials_give_the_same_bytes_in_any_order(tmp_path):
    trials = {"b__x": {"record.json": b"1", "scores/s.json": b"2"}, "a__x": {"record.json": b"3"}}
    archive.write_archive(tmp_path / "1.tar.xz", trials)
    archive.write_archive(tmp_path / "2.tar.xz", dict(reversed(trials.items())))
    assert (tmp_path / "1.tar.xz").read_bytes() == (tmp_path / "2.tar.xz").read_bytes()
    assert archive.read_archive(tmp_path / "1.tar.xz") == trials


@pytest.mark.parametrize("content", [b"", b"nothing of the kind", None])
def test_what_is_no_archive_is_refused(tmp_path, content):
    path = tmp_path / "x.tar.xz"
    archive.write_archive(path, {"a__x": {"record.json": b"1" * 5000}})
    path.write_bytes(path.read_bytes()[:60] if content is None else content)
    with pytest.raises(UsageError, match=r"x.tar.xz: .*whole archive.*bring it again"):
        archive.read_archive(path)


def test_odd_members_and_too_many_bytes_are_refused(tmp_path, monkeypatch):
    path = tmp_path / "x.tar.xz"
    with tarfile.open(path, "w:xz") as made:
        made.addfile(tarfile.TarInfo("loose.json"), io.BytesIO())
    with pytest.raises(UsageError, match="folders of trials, got 'loose.json'"):
        archive.read_archive(path)
    archive.write_archive(path, {"a__x": {"record.json": b"12345"}})
    monkeypatch.setattr(archive, "MAX_BYTES", 4)
    with pytest.raises(UsageError, match="at most 100000 files and 0 MiB, got more"):
        archive.read_archive(path)


class TestStore:
    def archived(self, tmp_path):
        made = Store.open(tmp_path / "runs")
        made.write(dataclasses.replace(some_outcome(FIRST), views=views()))
        made.write(dataclasses.replace(some_outcome(SECOND), views={}))
        files = {trial_id: suite_archive.collect_files(made, trial_id) for trial_id in made.ids()}
        archive.write_archive(tmp_path / "reference" / "toys-smoke.tar.xz", files)
        return made, Store.open(tmp_path / "reference")

    def test_numbers_are_those_of_the_folders(self, tmp_path):
        made, kept = self.archived(tmp_path)
        assert kept.ids() == made.ids() and list(kept.records()) == list(made.records())
        assert kept.frame().equals(made.frame()) and not kept.set_aside
        assert [kept.scores(trial_id) for trial_id in kept.ids()] == [made.scores(trial_id) for trial_id in made.ids()]

    def test_there_are_pictures_but_nothing_can_be_written_or_scored(self, tmp_path):
        _, kept = self.archived(tmp_path)
        first, second = kept.ids()
        assert kept.has_views(first) and not kept.has_views(second)
        assert kept.views(first)["ids"].tolist() == [1, 5]
        with pytest.raises(UsageError, match=f"{first}.* got an archive"):
            kept.write_scores(first, "std-v1", {})
        with pytest.raises(UsageError, match="expected its parameters"):
            kept.parameters(first)

    def test_of_two_trainings_of_a_trial_the_studys_own_is_taken(self, tmp_path):
        for name, num_steps in (("a-smoke", 11), ("b-smoke", 22)):
            made = Store.open(tmp_path / name)
            made.write(dataclasses.replace(some_outcome(FIRST, num_steps=num_steps), views={}))
            archive.write_archive(
                tmp_path / "kept" / f"{name}.tar.xz", {FIRST: suite_archive.collect_files(made, FIRST)}
            )
        for study, num_steps in (("", 11), ("a-smoke", 11), ("b-smoke", 22), ("c-smoke", 11)):
            assert Store.open(tmp_path / "kept", study).read(FIRST).num_steps == num_steps

    def test_it_is_archived_again_as_it_is(self, tmp_path):
        _, kept = self.archived(tmp_path)
        again = {trial_id: suite_archive.collect_files(kept, trial_id) for trial_id in kept.ids()}
        archive.write_archive(tmp_path / "again.tar.xz", again)
        assert (tmp_path / "again.tar.xz").read_bytes() == (tmp_path / "reference/toys-smoke.tar.xz").read_bytes()

    def test_a_trial_that_is_run_again_stands_before_the_archive(self, tmp_path):
        _, kept = self.archived(tmp_path)
        kept.write(some_outcome(SECOND, timings={"wall_s": 9.0}))
        assert kept.parameters(SECOND) and kept.read(SECOND).timings == {"wall_s": 9.0}
        again = Store.open(tmp_path / "reference")
        assert again.read(SECOND).timings == {"wall_s": 9.0} and again.ids() == [FIRST, SECOND]


def test_the_verb_keeps_what_is_stored_of_a_suite(tmp_path, capsys):
    from bench import __main__ as command_line

    words = ["archive", "--suite", "ablations", "--budget", "smoke", "--only", "table=regularizers"]
    where = ["--results", str(tmp_path / "runs"), "--out", str(tmp_path / "kept")]
    assert command_line.main([*words, *where]) == 2
    assert "archive: expected trials of ablations in" in capsys.readouterr().err
    trials = suite_trials()
    Store.open(tmp_path / "runs").write(some_outcome(trials[0], cluster="x", task="x"))
    assert command_line.main([*words, *where]) == 0
    assert f"ablations-smoke.tar.xz: 1 of {len(trials)} trials, 0.0 MiB" in capsys.readouterr().out
    assert Store.open(tmp_path / "kept").ids() == [trials[0]]


def suite_trials():
    from bench.suites import overrides, registry
    from tasks.budgets import BUDGETS

    smoke = BUDGETS["smoke"]
    suite = overrides.with_tables_of(registry.suite("ablations"), smoke, ["table=regularizers"])
    return [trial.id for trial in suite.expand(smoke)[0]]


@pytest.mark.parametrize("name", ["record.json", "scores/std-v1.json"])
@pytest.mark.parametrize("content", [b"{", b"{}"])
def test_a_damaged_trial_in_an_archive_is_told_in_one_line(tmp_path, name, content):
    made = Store.open(tmp_path / "runs")
    made.write(some_outcome(FIRST))
    files = suite_archive.collect_files(made, FIRST) | {name: content}
    archive.write_archive(tmp_path / "kept" / f"x{archive.END}", {FIRST: files})
    kept = Store.open(tmp_path / "kept")
    if kept.ids():
        assert kept.scores(FIRST) == kept.scores(FIRST) == {}
    [line] = kept.left_out
    assert FIRST in line and line.endswith("; bring the archive again") and "\n" not in line


def test_a_failure_in_an_archive_cannot_be_retried(tmp_path):
    made = Store.open(tmp_path / "runs")
    made.write(some_outcome(FIRST, status="failed", reason="why", scores={}))
    archive.write_archive(tmp_path / "kept" / f"x{archive.END}", {FIRST: suite_archive.collect_files(made, FIRST)})
    with pytest.raises(UsageError, match=f"retry: .*{FIRST} in an archive; run the trial here"):
        Store.open(tmp_path / "kept").retry(FIRST)
