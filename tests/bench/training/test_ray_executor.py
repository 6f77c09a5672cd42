"""How Ray is asked, and runs on its workers."""

import contextlib
import itertools
import os
import signal
import sys
import time
import types

import pytest

from bench.errors import UsageError
from bench.import_paths import ROOT
from bench.training import ray_executor
from bench.training.queue import Queue
from bench.training.stopping import StopRequest
from tasks import host_cores
from tests.fixtures.scheduling import Kept, Listener, check_failures, failing_packs, handlers, train


def wait_until_gone(pids):
    for _ in range(600):
        if not any(os.path.exists(f"/proc/{pid}") for pid in pids):
            return
        time.sleep(0.1)
    raise AssertionError("workers are still there")


def test_everything_is_trained_on_workers_that_stay(ray, fake, tmp_path):
    num_workers = min(2, host_cores.num_cores())
    meet = f"meet {tmp_path} {num_workers}"  # a worker that is late on a busy machine finds something left
    packs = [
        fake.Pack(trials=(fake.Trial(f"{key}{i}", meet, method=fake.Steps(i)),), key=key)
        for key in "ab"
        for i in range(4)
    ]
    events = []
    heard = train(packs, Listener(), on_event=events.append)
    assert heard.statuses() == {trial.id: "finished" for pack in packs for trial in pack.trials}
    for kind in ("begun", "trained", "ended"):
        of_kind = [event for event in events if event.kind == kind]
        assert len(of_kind) == len(packs)
        assert {event.worker for event in of_kind} == set(range(num_workers))
    begun = [event.trial_ids for event in events if event.kind == "begun"]
    assert sorted(begun) == sorted((trial.id,) for pack in packs for trial in pack.trials)
    seen = [outcome.scores["seen"] for outcome in heard.outcomes]
    assert len(heard.pids()) == num_workers and os.getpid() not in heard.pids()
    assert {x["models"] for x in seen} == {str(ROOT / "models" / "__init__.py")}  # not the user's
    assert not any(x["jax"] for x in seen)  # nothing starts threads before a worker has its core
    assert {x["threads"] for x in seen} == {str(host_cores.num_cores() // num_workers)}
    by_pid = {x["pid"]: x for x in seen}
    cores = [core for x in by_pid.values() for core in x["cores"]]
    assert len(cores) == len(set(cores)) == host_cores.num_cores() // num_workers * num_workers  # each its own
    assert len({(x["pid"], x["thread"]) for x in seen}) == num_workers
    assert [x["protocols"] for x in seen] == [["std-v1"]] * 8
    taken = [[x["key"] for x in seen if x["pid"] == pid] for pid in by_pid]
    assert len({keys[0] for keys in taken}) == num_workers
    for keys in taken:  # moves to another program at most once: rather than to be idle at the end
        assert sum(now != then for now, then in itertools.pairwise(keys)) <= 1
    wait_until_gone(heard.pids())


def test_exceptions_and_what_cannot_be_sent_end_one_trial_each(ray, fake, monkeypatch):
    only_here = types.ModuleType("only_here")
    exec("class Thing: pass", only_here.__dict__)
    only_here.Thing.__module__ = "only_here"
    monkeypatch.setitem(sys.modules, "only_here", only_here)
    unsendable = fake.Pack(trials=(fake.Trial("unsendable", more=only_here.Thing()),), key="a")
    heard = train([*failing_packs(fake), unsendable], Listener())
    failed = heard.of("unsendable").record
    assert failed.reason == "ModuleNotFoundError: No module named 'only_here'"
    assert "Worker.train()" in failed.traceback and "pid=" not in failed.traceback and "ip=" not in failed.traceback
    heard.outcomes.remove(heard.of("unsendable"))
    check_failures(heard)


def test_a_worker_that_dies_costs_only_the_trial_to_blame(ray, fake, tmp_path, capfd):
    packs = [
        fake.Pack(trials=(fake.Trial("good"), fake.Trial("killer", "crash")), key="a"),
        fake.Pack(trials=(fake.Trial("unlucky", f"kill_once {tmp_path / 'killed'}"), fake.Trial("beside")), key="b"),
    ]
    heard = train(packs, Listener())
    assert heard.statuses() == {"good": "finished", "killer": "failed", "unlucky": "finished", "beside": "finished"}
    assert heard.seen("unlucky")["ids"] == ["unlucky", "beside"]  # the whole pack, on a fresh worker
    assert heard.seen("good")["ids"] == ["good"]
    reason = heard.of("killer").record.reason
    assert "died 2 times" in reason and "(SIGABRT)" in reason
    assert heard.of("killer").record.earlier_failures == ["its worker died (SIGABRT)"] * 3  # two of the pack
    assert heard.of("unlucky").record.earlier_failures == []  # no fault of its own
    assert capfd.readouterr().out == ""  # for results, not for what Ray thinks


def test_a_run_that_is_stopped_keeps_what_is_finished_and_leaves_no_worker(ray, fake):
    packs = [
        fake.Pack(trials=(fake.Trial("quick", method=fake.Steps(2)),), key="a"),
        fake.Pack(trials=(fake.Trial("slow", "sleep 600"),), key="a"),
    ]
    heard = Listener()

    def on_progress(key, trial_ids, progress):
        if progress.phase == "sleep" and heard.outcomes:
            os.kill(os.getpid(), signal.SIGTERM)

    heard.on_progress = on_progress
    start = time.monotonic()
    with pytest.raises(KeyboardInterrupt, match="SIGTERM"):
        train(packs, heard)
    assert time.monotonic() - start < 300  # it does not wait for the trial that sleeps
    assert heard.statuses() == {"quick": "finished"}
    wait_until_gone(heard.pids())


def test_scores_are_made_beside_the_training_of_the_next_pack(ray, fake, tmp_path):
    """On an accelerator; a worker that dies loses what it has not scored, and that is trained again."""
    unlucky = f"score_kill_once {tmp_path / 'killed'}"
    packs = [
        fake.Pack(trials=(fake.Trial("a", method=fake.Steps(3)),), key="a"),
        fake.Pack(trials=(fake.Trial("good", method=fake.Steps(2)), fake.Trial("bad", "score_raise")), key="a"),
        fake.Pack(trials=(fake.Trial("unlucky", unlucky),), key="a"),
        fake.Pack(trials=(fake.Trial("last"),), key="a"),
    ]
    heard = Listener()
    beside = handlers(heard, train="fake_trainer:train_unscored")
    executor = ray_executor.RayExecutor(Queue(packs), beside, True, worker=fake.IdleCompiler)
    executor.num_workers = 1
    executor.compiles_ahead = True
    executor.run()
    names = ("a", "good", "bad", "unlucky", "last")
    assert heard.statuses() == {name: "failed" if name == "bad" else "finished" for name in names}
    assert heard.of("bad").record.reason == "Odd: odd bad"


def leaving_pack(fake, what, path):
    return fake.Pack(trials=(fake.Trial("first"), fake.Trial("second", f"leave {what} {path}")), key="a")


def test_a_worker_that_dies_has_left_outcomes_and_checkpoints(ray, fake, tmp_path):
    kept = Kept(tmp_path / "left")
    heard = train([leaving_pack(fake, "kill", kept.path)], Listener(), checkpoints=kept)
    assert heard.statuses() == {"first": "finished", "second": "finished"}
    assert heard.seen("first")["early"]
    seen = heard.seen("second")
    assert seen["ids"] == ["second"]  # the first had left the pack
    assert seen["saved"] == {"second": "three steps"} and seen["every_s"] == 300.0


@pytest.mark.parametrize("reason", ["SIGTERM", "time", "failures"])
def test_workers_stop_at_the_end_of_a_chunk(ray, fake, tmp_path, reason):
    kept = Kept(tmp_path / "left")
    heard = Listener()
    stop = StopRequest(1e-9 if reason == "time" else None)
    keep = heard.on_outcome

    def on_outcome(outcome):
        keep(outcome)
        if reason == "SIGTERM" and outcome.record.trial_id == "first":  # then its worker has left the checkpoint too
            os.kill(os.getpid(), signal.SIGTERM)
        if reason == "failures":
            stop.ask("a trial failed")

    heard.on_outcome = on_outcome
    packs = [leaving_pack(fake, "wait", kept.path), fake.Pack(trials=(fake.Trial("later", seed=1),), key="b")]
    start = time.monotonic()
    with contextlib.ExitStack() as stack:
        if reason == "SIGTERM":
            stack.enter_context(pytest.raises(KeyboardInterrupt, match="SIGTERM"))
        train(packs, heard, checkpoints=kept, stop=stop)
    assert time.monotonic() - start < 300
    assert kept.contents == {"second": b"three steps"}
    assert "second" not in heard.statuses() and heard.statuses()["first"] == "finished"


def test_workers_that_never_start_end_the_run(ray, fake):
    queue = Queue([fake.Pack(trials=(fake.Trial("a"),), key="a")])
    heard = Listener()
    executor = ray_executor.RayExecutor(queue, handlers(heard), True, worker=fake.BrokenWorker)
    with pytest.raises(UsageError, match="got 3 in a row that did not .* --executor inline"):
        executor.run()
    assert heard.outcomes == []


def test_ray_of_this_host_listens_on_loopback_alone(ray):
    """The gcs, the raylet and the workers, each of which takes orders."""

    @ray.remote
    def pid():
        return os.getpid()

    worker = ray.get(pid.remote())
    node = ray._private.worker._global_node
    processes = [found.process.pid for each in node.all_processes.values() for found in each]
    places = [place for each in (worker, os.getpid(), *processes) for place in listening(each)]
    assert len(places) >= 4
    assert set(places) <= {"0100007F", "0000000000000000FFFF00000100007F"}, places


def listening(pid):
    """The addresses at which a process listens, as the kernel writes them."""
    inodes = set()
    for entry in os.scandir(f"/proc/{pid}/fd"):
        try:
            inodes.add(os.readlink(entry.path))
        except OSError:
            continue
    found = []
    for name in ("tcp", "tcp6"):
        with open(f"/proc/{pid}/net/{name}") as file:
            for line in list(file)[1:]:
                words = line.split()
                if words[3] == "0A" and f"socket:[{words[9]}]" in inodes:
                    found.append(words[1].split(":")[0])
    return found


class ExecutorWithoutRay(ray_executor.RayExecutor):
    """An executor whose first question to Ray fails, with one worker that trains a pack."""

    def __init__(self, error):
        self.error = error
        self.is_local = True
        self.num_workers = 1
        self.workers = []
        self.returned = []
        self.queue = types.SimpleNamespace(waiting=["a pack"], put_back=self.returned.append)
        stop = types.SimpleNamespace(is_patient=False, may_begin=lambda: True, is_due=lambda: False)
        checkpoints = types.SimpleNamespace(every_s=None)
        self.handlers = types.SimpleNamespace(stop=stop, checkpoints=checkpoints)

    def start_worker(self):
        return types.SimpleNamespace(attempts=["the first", "the second"], actor=None)

    def hand_out_packs(self):
        raise self.error


def test_a_raylet_that_dies_during_a_question_is_ray_lost_and_not_a_traceback(monkeypatch):
    monkeypatch.setattr(ray_executor, "RayHealth", lambda: types.SimpleNamespace(close=lambda: None))
    monkeypatch.setattr(ray_executor.ray, "kill", lambda actor: None)
    executor = ExecutorWithoutRay(OSError("Broken pipe"))
    with pytest.raises(ray_executor.RayLost, match="raylet.*Broken pipe"):
        executor.run()
    assert executor.returned == ["the first", "the second"] and not executor.workers
    with pytest.raises(OSError, match="No space left"):  # a full disk stays what it is
        ExecutorWithoutRay(OSError(28, "No space left on device")).run()
