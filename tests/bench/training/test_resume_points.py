"""The driver's side of checkpoints: what trials go on from, what is written, and what is removed."""

import dataclasses

import numpy as np
import pytest

from bench.errors import UsageError
from bench.storage import record
from bench.storage.checkpoint_files import CheckpointFolder, checkpoint_to_bytes
from bench.storage.store import Store
from bench.suites.selection import Selection
from bench.training import packing, programs, resume_points
from bench.training.checkpointing import training_name
from bench.training.packing import make_packs, root
from bench.training.queue import Queue
from bench.training.resume_points import StoredCheckpoints
from bench.training.run_suite import TrainingOptions, train_missing
from tests.fixtures import toy_studies
from tests.fixtures.toy_packs import TINY, toy_pack
from tests.fixtures.toys import ToyMethod, ToyPhase

AT_ONCE = 1e-9
"""Minutes after which a run stops at the end of its first chunk of steps."""


def run(folder, trials, **options):
    """Train what is missing; return how many trials left an outcome."""
    chosen = Selection(suite=toy_studies.toy_suite(), budget=TINY, trials=list(trials), cells=[])
    store = Store.open(folder)
    with store.lock():
        return train_missing(TrainingOptions(**{"executor": "inline"} | options), chosen, store)


def steps(folder):
    return sorted(head.step for head in CheckpointFolder.open(folder).heads.values())


def open_checkpoints(folder):
    return StoredCheckpoints.open(Store.open(folder), 300.0)


class TestTimeBox:
    """A run that takes a chunk of steps a sitting."""

    @pytest.mark.slow
    def test_ends_as_one_that_was_left_alone(self, tmp_path, capsys):
        pack = toy_pack(ToyPhase(), ToyPhase(extra_steps=9), ToyMethod(), seeds=[3, 3, 4])
        run(tmp_path / "whole", pack.trials)
        seen = []
        num_stored = []
        while sum(num_stored) < 3:
            num_stored.append(run(tmp_path / "boxed", pack.trials, minutes=AT_ONCE))
            seen.append(steps(tmp_path / "boxed"))
            assert len(seen) < 20
        assert seen[:3] == [[5], [10], [15]]
        assert "1 trial goes on from checkpoints" in capsys.readouterr().err
        whole, boxed = (Store.open(tmp_path / name) for name in ("whole", "boxed"))
        for trial in pack.trials:
            np.testing.assert_equal(boxed.read(trial.id).curves, whole.read(trial.id).curves)
            assert boxed.scores(trial.id) == whole.scores(trial.id)
            assert boxed.read(trial.id).resumed_at and not whole.read(trial.id).resumed_at
        assert seen[-1] == [] and not (tmp_path / "boxed" / ".checkpoints").exists()

    def test_without_checkpoints_is_refused(self):
        with pytest.raises(UsageError, match="--checkpoint-minutes: expected checkpoints beside --minutes, got 0"):
            TrainingOptions(minutes=3.0, checkpoint_minutes=0.0)


class TestPacks:
    def test_are_put_together_by_step_and_phase(self):
        pack = toy_pack(*[ToyPhase()] * 3, ToyPhase(extra_steps=9), seeds=[1, 2, 3, 3])
        one, two, three, branch = pack.trials
        own = packing.Static(packing.split_hyperparameters(branch.method)[0])
        points = {
            one.id: packing.ResumePoint(None, 10),
            three.id: packing.ResumePoint(None, 10),
            branch.id: packing.ResumePoint(own, 28),
        }
        packs = make_packs(pack.trials, 8, points)
        assert sorted(sorted(trial.seed for trial in each.trials) for each in packs) == [[1, 3], [2], [3]]
        assert len({each.key for each in packs}) == 1  # one compiled program serves all
        left = {each.first_step: each.num_steps for each in packs}
        assert left == {0: 23, 10: 2 * (23 - 10), 28: 32 - 28}
        assert [len(each.trials) for each in make_packs(pack.trials, 8)] == [4]

    def test_of_another_size_go_on(self, tmp_path):
        pack = toy_pack(ToyMethod(), ToyMethod(), seeds=[3, 4])
        run(tmp_path, pack.trials, minutes=AT_ONCE, pack_size=2)
        assert steps(tmp_path) == [5, 5]
        run(tmp_path, pack.trials, minutes=AT_ONCE, pack_size=1)  # one of them went on
        assert steps(tmp_path) == [5, 10]
        assert run(tmp_path, pack.trials, pack_size=2) == 2
        assert sorted(found.resumed_at for found in Store.open(tmp_path).records()) == [[5], [5, 10]]


class TestWhatStays:
    def test_the_end_of_a_root_for_what_continues_it(self, tmp_path, monkeypatch):
        pack = toy_pack(ToyPhase(), ToyPhase(extra_steps=9), seeds=[3, 3])
        for _ in range(6):
            run(tmp_path, pack.trials, minutes=AT_ONCE)
        assert Store.open(tmp_path).ids() == [pack.trials[0].id]  # stored though the other is not
        assert steps(tmp_path) == [23, 28]
        (tmp_path / ".checkpoints" / f"{training_name(pack.trials[1])}.safetensors").unlink()
        with monkeypatch.context() as patch:  # its root's program is not even compiled
            compiled = programs.CompiledPrograms.compile
            starts = []

            def compile_noted(pack, phase, *arrays):
                starts.append(phase.start)
                return compiled(pack, phase, *arrays)

            patch.setattr(programs.CompiledPrograms, "compile", compile_noted)
            assert run(tmp_path, pack.trials) == 1
            assert starts == [23]
        record = Store.open(tmp_path).read(pack.trials[1].id)
        assert record.resumed_at[-1] == 23 and record.curves["step"] == [5, 10, 15, 20, 23, 28, 32]
        assert steps(tmp_path) == []

    def test_nothing_of_what_was_stored_by_a_driver_that_was_killed_then(self, tmp_path):
        pack = toy_pack(ToyMethod())
        run(tmp_path, pack.trials, minutes=AT_ONCE)
        kept = CheckpointFolder.open(tmp_path)
        [(name, head)] = kept.heads.items()
        content = kept.read(name)
        run(tmp_path, pack.trials)
        kept.write([(head, content)])
        open_checkpoints(tmp_path)
        assert not (tmp_path / ".checkpoints").exists()

    def test_that_of_a_trial_whose_worker_died_for_when_it_is_retried(self, tmp_path):
        pack = toy_pack(ToyMethod(), ToyMethod(breaks_at=7.0), seeds=[3, 4])
        run(tmp_path, pack.trials, minutes=AT_ONCE)
        found = open_checkpoints(tmp_path)
        found.resume_points(pack.trials)
        died, diverged = (record.make_failed_outcome(trial, "for the test").record for trial in pack.trials)
        found.forget(died)
        assert steps(tmp_path) == [5, 5]
        found.forget(dataclasses.replace(diverged, first_bad_step=7))
        assert steps(tmp_path) == [5]


class TestRefused:
    @pytest.fixture
    def stopped(self, tmp_path):
        pack = toy_pack(ToyMethod(), seeds=[3])
        run(tmp_path, pack.trials, minutes=AT_ONCE)
        return pack.trials, tmp_path, CheckpointFolder.open(tmp_path).path(training_name(pack.trials[0]))

    @pytest.mark.parametrize("damage", [lambda content: content[:-9], lambda content: b"", lambda content: b"{}" * 40])
    def test_a_damaged_file_is_named_and_the_trial_starts_afresh(self, stopped, damage, capsys):
        trials, folder, path = stopped
        path.write_bytes(damage(path.read_bytes()))
        assert run(folder, trials) == 1
        lines = [line for line in capsys.readouterr().err.splitlines() if line.startswith("checkpoint not used")]
        assert len(lines) == 1 and f".checkpoints/{path.name}: expected " in lines[0]
        assert Store.open(folder).read(trials[0].id).resumed_at == []
        assert not path.parent.exists()  # it was replaced, and removed with its trial

    def test_the_file_of_another_trial_under_this_name(self, stopped, capsys):
        trials, folder, path = stopped
        other = toy_pack(ToyMethod(learning_rate=0.3), seeds=[3]).trials
        kept = CheckpointFolder.open(folder)
        [(name, head)] = kept.heads.items()
        renamed = dataclasses.replace(head, name=training_name(other[0]))
        content = kept.read(name)
        made = resume_points.parse_checkpoint(content, name)
        kept.write([(renamed, checkpoint_to_bytes(made._replace(head=renamed)))])
        assert run(folder, other) == 1
        assert "expected a checkpoint of this trial, got one of another" in capsys.readouterr().err
        assert Store.open(folder).read(other[0].id).resumed_at == []

    def test_a_disk_that_is_full_costs_the_checkpoint_alone(self, tmp_path, capsys, monkeypatch):
        def full(folder, checkpoints):
            raise OSError("No space left on device")

        monkeypatch.setattr(CheckpointFolder, "write", full)
        trials = toy_pack(ToyPhase(), ToyPhase(extra_steps=9), seeds=[3, 3]).trials
        assert run(tmp_path, trials) == 2
        assert "checkpoint not written, training goes on: No space left" in capsys.readouterr().err


def test_a_pack_whose_trials_have_all_left_is_not_tried_again():
    [attempt] = Queue([toy_pack(ToyMethod())]).waiting
    queue = Queue([])
    assert queue.handle_death(attempt.without(attempt.trial_ids), "killed") == [] and not queue.waiting


def test_a_name_does_not_depend_on_the_variant():
    trial = toy_pack(ToyPhase(extra_steps=9)).trials[0]
    assert training_name(trial) == training_name(trial.renamed("another")) != training_name(root(trial))
    assert training_name(trial) == trial.id.removeprefix("toy__")
