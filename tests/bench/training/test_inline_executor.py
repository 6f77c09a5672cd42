"""Scores and files of a pack beside the training of the next one, in this process."""

import threading

import pytest

from bench.training.inline_executor import InlineExecutor
from bench.training.precompile import BackgroundCompiler
from bench.training.queue import Queue
from tests.fixtures.scheduling import Listener, handlers

BESIDE = "fake_trainer:train_unscored"


class Compiler(BackgroundCompiler):
    """Compiles nothing."""

    def begin(self, packs):
        pass

    def begin_scores(self, pack, protocols):
        pass


def run(packs, heard, compiler=None):
    InlineExecutor(Queue(packs), handlers(heard, train=BESIDE), compiler or Compiler()).run()
    return heard


def test_the_next_pack_is_trained_while_one_is_scored(fake):
    """The scores of the first pack wait until the second one is in training."""
    second_began = threading.Event()
    heard = Listener()
    threads = set()

    def on_progress(key, trial_ids, progress):
        if trial_ids == ("b",) and progress.phase == "ok":
            second_began.set()
        if trial_ids == ("a",) and progress.phase == "score":
            assert second_began.wait(60)

    def on_outcome(outcome):
        threads.add(threading.current_thread().name.split("_")[0])
        heard.outcomes.append(outcome)

    heard.on_progress = on_progress
    heard.on_outcome = on_outcome
    run([fake.Pack(trials=(fake.Trial(name, method=fake.Steps(9)),), key=name) for name in "ab"], heard)
    assert heard.statuses() == {"a": "finished", "b": "finished"}
    assert threads == {"score"}


def test_without_anything_beside_all_is_done_in_this_thread(fake):
    heard = Listener()
    names = set()
    heard.on_outcome = lambda outcome: names.add(threading.current_thread().name)
    packs = [fake.Pack(trials=(fake.Trial(name),), key=name) for name in "ab"]
    InlineExecutor(Queue(packs), handlers(heard, train=BESIDE)).run()
    assert names == {threading.current_thread().name}


def test_scores_that_raise_end_one_trial_each(fake):
    packs = [
        fake.Pack(trials=(fake.Trial("good"), fake.Trial("bad", "score_raise")), key="a"),
        fake.Pack(trials=(fake.Trial("other"),), key="b"),
    ]
    heard = run(packs, Listener())
    assert heard.statuses() == {"good": "finished", "bad": "failed", "other": "finished"}
    assert heard.of("bad").record.reason == "Odd: odd bad"
    assert heard.seen("good")["ids"] == ["good"]  # its pack was taken apart


def test_what_the_caller_raises_ends_the_run(fake):
    heard = Listener()

    def full(outcome):
        raise OSError("disk full")

    heard.on_outcome = full
    with pytest.raises(OSError, match="disk full"):
        run([fake.Pack(trials=(fake.Trial("a"),), key="a")], heard)


def test_ctrl_c_keeps_what_is_trained(fake):
    """The first pack is still being scored when the second one is stopped."""
    stopped = threading.Event()
    heard = Listener()

    def on_progress(key, trial_ids, progress):
        if trial_ids == ("done",) and progress.phase == "score":
            assert stopped.wait(60)
        if progress.phase == "interrupt":
            stopped.set()

    heard.on_progress = on_progress
    packs = [
        fake.Pack(trials=(fake.Trial("done", method=fake.Steps(9)),), key="a"),
        fake.Pack(trials=(fake.Trial("stopped", "interrupt"),), key="a"),
    ]
    with pytest.raises(KeyboardInterrupt):
        run(packs, heard)
    assert heard.statuses() == {"done": "finished"}
