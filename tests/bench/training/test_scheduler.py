"""The choice of an executor, training in this process, and how a run is stopped."""

import os
import signal
import sys

import pytest

from bench.errors import UsageError
from bench.training import scheduler
from bench.training.inline_executor import InlineExecutor
from bench.training.precompile import BackgroundCompiler
from bench.training.progress import Progress
from bench.training.queue import Queue
from bench.training.stopping import StopRequest
from tests.fixtures.scheduling import Kept, Listener, check_failures, failing_packs, handlers, train


def train_here(packs, listener, **options):
    return train(packs, listener, executor="inline", **options)


class TestInline:
    def test_trains_everything_and_tells_of_it(self, fake):
        packs = [
            fake.Pack(trials=(fake.Trial("a0"), fake.Trial("a1")), key="a"),
            fake.Pack(trials=(fake.Trial("b0"),), key="b"),
        ]
        heard = train_here(packs, Listener())
        assert heard.statuses() == {"a0": "finished", "a1": "finished", "b0": "finished"}
        assert heard.pids() == {os.getpid()}
        assert heard.seen("a0")["protocols"] == ["std-v1"]
        assert ("a", ("a0", "a1"), Progress("ok", 2, 9, 0.5)) in heard.progress
        assert ("b", ("b0",), Progress("ok", 1, 9, 0.5)) in heard.progress

    def test_a_pack_is_begun_and_trained_and_scored(self, fake):
        packs = [fake.Pack(trials=(fake.Trial(name),), key=name) for name in ("a", "b")]
        events = []
        train(packs, Listener(), executor="inline", on_event=events.append)
        assert [(event.kind, event.worker, event.trial_ids) for event in events] == [
            (kind, 0, (name,)) for name in ("a", "b") for kind in ("begun", "trained", "ended")
        ]
        assert [event.seconds for event in events] == sorted(event.seconds for event in events)

    def test_exceptions_end_one_trial_each(self, fake):
        check_failures(train_here(failing_packs(fake), Listener()))

    def test_what_the_caller_raises_is_not_caught(self, fake):
        def full(outcome):
            raise OSError("disk full")

        heard = Listener()
        heard.on_outcome = full
        with pytest.raises(OSError, match="disk full"):
            train_here([fake.Pack(trials=(fake.Trial("a"),), key="a")], heard)

    def test_scores_are_begun_once_and_every_other_program_once(self, fake):
        begun = []

        class Recorder(BackgroundCompiler):
            def begin(self, packs):
                begun.extend(pack.key for pack in packs)

            def begin_scores(self, pack, protocols):
                begun.append(f"scores of {pack.key}")

        packs = [fake.Pack(trials=(fake.Trial(f"t{i}"),), key=key) for i, key in enumerate("aaabc")]
        heard = Listener()
        InlineExecutor(Queue(packs), handlers(heard), Recorder()).run()
        assert begun == ["scores of a", "b", "c"]
        assert set(heard.statuses()) == {"t0", "t1", "t2", "t3", "t4"}


class TestLeft:
    """What a pack hands on before its end stays, whatever becomes of the rest."""

    def pack(self, fake, what, path):
        return fake.Pack(trials=(fake.Trial("first"), fake.Trial("second", f"leave {what} {path}")), key="a")

    def test_by_a_pack_that_raises(self, fake, tmp_path):
        kept = Kept()
        heard = train_here([self.pack(fake, "raise", tmp_path / "left")], Listener(), checkpoints=kept)
        assert heard.statuses() == {"first": "finished", "second": "failed"}
        assert heard.seen("first")["early"] and len(heard.outcomes) == 2
        assert heard.of("second").record.reason == "Odd: odd second"
        assert kept.contents == {"second": b"three steps"}

    def test_by_a_pack_whose_time_is_up(self, fake, tmp_path):
        kept = Kept()
        packs = [self.pack(fake, "wait", tmp_path / "left"), fake.Pack(trials=(fake.Trial("later", seed=1),), key="b")]
        heard = train_here(packs, Listener(), checkpoints=kept, stop=StopRequest(1e-9))
        assert heard.statuses() == {"first": "finished"}  # and no failure of the others
        heard = train_here([packs[0].without(["first"])], heard, checkpoints=kept)
        assert heard.seen("second")["saved"] == {"second": "three steps"}


class TestStopped:
    def test_ctrl_c_keeps_what_is_finished(self, fake):
        packs = [
            fake.Pack(trials=(fake.Trial("done", method=fake.Steps(2)),), key="a"),
            fake.Pack(trials=(fake.Trial("stopped", "interrupt"), fake.Trial("beside")), key="a"),
        ]
        heard = Listener()
        with pytest.raises(KeyboardInterrupt):
            train_here(packs, heard)
        assert heard.statuses() == {"done": "finished"}  # and no failure: the next run trains the others

    def test_sigterm_ends_a_run_as_ctrl_c_does(self, fake):
        before = signal.getsignal(signal.SIGTERM)
        heard = Listener()
        heard.on_progress = lambda *arguments: os.kill(os.getpid(), signal.SIGTERM)
        with pytest.raises(KeyboardInterrupt, match="SIGTERM"):
            train_here([fake.Pack(trials=(fake.Trial("a"),), key="a")], heard)
        assert signal.getsignal(signal.SIGTERM) is before


class TestExecutor:
    @pytest.mark.parametrize("executor", scheduler.EXECUTORS)
    def test_nothing_to_do_starts_nothing(self, executor):
        assert train([], Listener(), executor=executor).outcomes == []
        ray = sys.modules.get("ray")
        assert ray is None or not ray.is_initialized()

    def test_without_ray_one_line_says_so(self, fake, monkeypatch, capsys):
        monkeypatch.setitem(sys.modules, "ray", None)
        heard = train([fake.Pack(trials=(fake.Trial("a"),), key="a")], Listener())
        assert heard.statuses() == {"a": "finished"}
        [line] = capsys.readouterr().err.splitlines()
        assert "Ray is not installed" in line and "pip install ray" in line
        with pytest.raises(UsageError, match="--address: .* pip install ray"):
            train([], Listener(), address="auto")

    @pytest.mark.parametrize(
        ("options", "message"),
        [
            ({"executor": "rya"}, "--executor: .* ray, inline, got 'rya'; .* 'ray'"),
            ({"executor": "inline", "address": "auto"}, "--address: .* --executor ray .* got inline"),
        ],
    )
    def test_options_that_make_no_sense(self, options, message):
        with pytest.raises(UsageError, match=message):
            train([], Listener(), **options)
