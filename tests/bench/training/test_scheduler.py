import itertools
import logging
import os
import signal
import socket
import sys
import time
import types

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bench.errors import UsageError
from bench.import_paths import ROOT
from bench.storage import record
from bench.training import devices, ray_executor, scheduler, worker
from bench.training import queue as queue_module

FAKE = '''
"""A trainer that needs no JAX, in the user's folder, with trials that say what is to happen to them."""

import dataclasses, os, pathlib, signal, sys, threading, time
from typing import Any, NamedTuple

from bench import record
from bench.errors import UsageError


class Named(NamedTuple):
    name: str
    cluster: str = "a"


class Steps(NamedTuple):
    num_steps: int = 1

    @property
    def total_steps(self):
        return self.num_steps


@dataclasses.dataclass(frozen=True)
class Trial:
    id: str
    act: str = "ok"
    seed: int = 0
    method: Steps = Steps()
    variant: str = "fake"
    task: Named = Named("a__8v")
    budget: Named = Named("smoke")
    more: Any = None

    def identity(self):
        return {}


@dataclasses.dataclass(frozen=True)
class Pack:
    trials: tuple
    key: str

    @property
    def num_steps(self):
        return sum(trial.method.total_steps for trial in self.trials)


class Progress(NamedTuple):
    phase: str
    step: int


class Odd(Exception):
    """Cannot be made again from its message, so that it does not travel between processes."""

    def __init__(self, a, b):
        super().__init__(f"odd {a}")


class Broken:
    """A worker that does not start."""

    def __init__(self, *arguments):
        os._exit(1)

    def node(self):
        pass


def train(pack, protocols, report):
    import models

    for trial in pack.trials:
        act, _, argument = trial.act.partition(" ")
        report(Progress(act, len(pack.trials)))
        if act == "kill" or (act == "kill_once" and not pathlib.Path(argument).exists()):
            if argument:
                pathlib.Path(argument).touch()
            os.kill(os.getpid(), signal.SIGKILL)
        if act == "raise":
            raise Odd(trial.id, 1)
        if act == "usage":
            raise UsageError("--set: expected sense, got none; do this")
        if act == "sleep":
            time.sleep(float(argument))
        if act == "meet":  # begins together with others
            path, num = argument.rsplit(" ", 1)
            pathlib.Path(path, str(os.getpid())).touch()
            while len(os.listdir(path)) < int(num):
                time.sleep(0.02)
    left = [trial for trial in pack.trials if trial.act != "forget"]
    seen = {
        "pid": os.getpid(),
        "models": models.__file__,
        "cores": sorted(os.sched_getaffinity(0)),
        "threads": os.environ.get("OMP_NUM_THREADS"),
        "thread": threading.get_ident(),
        "protocols": list(protocols),
        "jax": "jax" in sys.modules,
        "key": pack.key,
        "ids": [trial.id for trial in pack.trials],
    }
    return [
        record.Outcome(
            record=record.of_trial(trial, status="finished", with_device=False), parameters={}, views={},
            scores={"seen": seen},
        )
        for trial in left
    ]
'''


@pytest.fixture(scope="module")
def fake(tmp_path_factory):
    """The fake trainer, in the folder where a user stands who has a `models/` of their own."""
    folder = tmp_path_factory.mktemp("user")
    (folder / "fake_trainer.py").write_text(FAKE)
    (folder / "models").mkdir()
    (folder / "models" / "__init__.py").write_text("raise AssertionError('the models of the user')")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setattr(sys, "path", [str(ROOT), str(folder), *sys.path])
        import fake_trainer

        yield fake_trainer
        del sys.modules["fake_trainer"]


@pytest.fixture(scope="module")
def ray(fake):
    """Ray, started once as a run starts it."""
    with ray_executor._ray(None) as is_local:
        assert is_local
        import ray

        yield ray


class Seen:
    """What a run told its caller."""

    def __init__(self):
        self.outcomes, self.progress = [], []

    def on_outcome(self, outcome):
        self.outcomes.append(outcome)

    def on_progress(self, key, trial_ids, progress):
        self.progress.append((key, trial_ids, progress))

    def of(self, trial_id):
        [found] = [outcome for outcome in self.outcomes if outcome.record.trial_id == trial_id]
        return found

    def statuses(self):
        return {outcome.record.trial_id: outcome.record.status for outcome in self.outcomes}

    def pids(self):
        return {o.scores["seen"]["pid"] for o in self.outcomes if o.scores}


def run(packs, seen, executor="ray", **options):
    scheduler.run(
        packs, ("std-v1",), executor=executor, on_outcome=seen.on_outcome, on_progress=seen.on_progress,
        **{"train": "fake_trainer:train"} | options,
    )  # fmt: skip
    return seen


def wait_until_gone(pids):
    for _ in range(600):
        if not any(os.path.exists(f"/proc/{pid}") for pid in pids):
            return
        time.sleep(0.1)
    raise AssertionError("workers are still there")


# The queue


def pack_of(key, *trials):
    made = [
        types.SimpleNamespace(id=f"{key}{i}", seed=s, method=types.SimpleNamespace(num_steps=n))
        for i, (s, n) in enumerate(trials)
    ]
    return types.SimpleNamespace(key=key, trials=tuple(made), num_steps=sum(n for _, n in trials))


def taken(queue, mine=(), others=()):
    return queue.take({(key, 1) for key in mine}, {(key, 1) for key in others}).pack.key


def test_low_seeds_come_first_then_long_packs():
    packs = [pack_of("short", (0, 10)), pack_of("long", (0, 20)), pack_of("later", (1, 99))]
    queue = queue_module.Queue(packs)
    assert [taken(queue) for _ in range(3)] == ["long", "short", "later"]


def test_a_worker_takes_what_it_has_compiled_then_what_nobody_has_then_anything():
    def queue():
        return queue_module.Queue([pack_of("a", (0, 1)), pack_of("b", (0, 5)), pack_of("c", (0, 9))])

    assert taken(queue(), mine="a", others="bc") == "a"
    assert taken(queue(), mine="x", others="bc") == "a"
    assert taken(queue(), mine="x", others="abc") == "c"
    assert taken(queue(), mine="ab", others="c") == "b"


@settings(max_examples=60, deadline=None)
@given(
    sizes=st.lists(st.integers(1, 4), min_size=1, max_size=4),
    endings=st.lists(st.sampled_from(["done", "died", "raised", "usage"]), min_size=200, max_size=200),
)
def test_whatever_happens_every_trial_has_one_outcome(fake, sizes, endings):
    packs = [
        fake.Pack(trials=tuple(fake.Trial(id=f"p{p}t{t}") for t in range(size)), key=f"p{p}")
        for p, size in enumerate(sizes)
    ]
    queue = queue_module.Queue(packs)
    ended, deaths = [], 0
    for ending in endings:
        if not queue.waiting:
            break
        attempt = queue.take(set(), set())
        if ending == "done":
            ended += attempt.trial_ids
        elif ending == "died":
            deaths += 1
            ended += [outcome.record.trial_id for outcome in queue.died(attempt, "killed")]
        else:
            failure = queue_module.Failure("why", None, is_usage=ending == "usage")
            outcomes = queue.raised(attempt, failure)
            assert len(outcomes) in (0, len(attempt.trial_ids))
            ended += [outcome.record.trial_id for outcome in outcomes]
    assert not queue.waiting
    assert sorted(ended) == sorted(trial.id for pack in packs for trial in pack.trials)
    assert deaths <= sum(2 + 2 * size for size in sizes)  # two of the pack, then two of each trial alone


# In this process


def test_inline_trains_everything_and_tells_of_it(fake):
    packs = [
        fake.Pack(trials=(fake.Trial("a0"), fake.Trial("a1")), key="a"),
        fake.Pack(trials=(fake.Trial("b0"),), key="b"),
    ]
    seen = run(packs, Seen(), executor="inline")
    assert seen.statuses() == {"a0": "finished", "a1": "finished", "b0": "finished"}
    assert seen.pids() == {os.getpid()}
    assert seen.of("a0").scores["seen"]["protocols"] == ["std-v1"]
    assert ("a", ("a0", "a1"), fake.Progress("ok", 2)) in seen.progress
    assert ("b", ("b0",), fake.Progress("ok", 1)) in seen.progress


def check_failures(seen):
    """The same with every executor."""
    assert seen.statuses() == {
        "good": "finished", "bad": "failed", "alone": "failed", "u0": "failed", "u1": "failed",
        "kept": "finished", "lost": "failed",
    }  # fmt: skip
    for name in ("bad", "alone"):
        failed = seen.of(name).record
        assert failed.reason == f"Odd: odd {name}"
        assert failed.traceback.startswith("Traceback (most recent call last):")
        assert "fake_trainer.py" in failed.traceback and str(ROOT) not in failed.traceback
        assert failed.pack_size == 1
    assert seen.of("good").scores["seen"]["ids"] == ["good"]  # its pack was taken apart
    for name in ("u0", "u1"):
        failed = seen.of(name).record
        assert failed.reason == "--set: expected sense, got none; do this"
        assert failed.traceback is None and failed.pack_size == 2  # tried once
    assert "expected an outcome of each of ['lost'], got those of []" in seen.of("lost").record.reason


def failing_packs(fake):
    return [
        fake.Pack(trials=(fake.Trial("good"), fake.Trial("bad", "raise")), key="a"),
        fake.Pack(trials=(fake.Trial("alone", "raise"),), key="a"),
        fake.Pack(trials=(fake.Trial("u0", "usage"), fake.Trial("u1")), key="b"),
        fake.Pack(trials=(fake.Trial("kept"), fake.Trial("lost", "forget")), key="b"),
    ]


def test_inline_exceptions_end_one_trial_each(fake):
    check_failures(run(failing_packs(fake), Seen(), executor="inline"))


def test_inline_an_unknown_trainer_is_a_failure_of_every_trial(fake):
    seen = run([fake.Pack(trials=(fake.Trial("a"),), key="a")], Seen(), executor="inline", train="no_such:train")
    assert seen.of("a").record.reason == "ModuleNotFoundError: No module named 'no_such'"


def test_what_the_caller_raises_is_not_caught(fake):
    def full(outcome):
        raise OSError("disk full")

    seen = Seen()
    seen.on_outcome = full
    with pytest.raises(OSError, match="disk full"):
        run([fake.Pack(trials=(fake.Trial("a"),), key="a")], seen, executor="inline")


def test_nothing_to_do_starts_nothing(monkeypatch):
    monkeypatch.setattr(ray_executor, "_ray", None)
    assert run([], Seen()).outcomes == []


def test_sigterm_ends_a_run_as_ctrl_c_does(fake):
    before = signal.getsignal(signal.SIGTERM)
    seen = Seen()
    seen.on_progress = lambda *arguments: os.kill(os.getpid(), signal.SIGTERM)
    with pytest.raises(KeyboardInterrupt, match="SIGTERM"):
        run([fake.Pack(trials=(fake.Trial("a"),), key="a")], seen, executor="inline")
    assert signal.getsignal(signal.SIGTERM) is before


def test_without_ray_one_line_says_so(fake, monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "ray", None)
    seen = run([fake.Pack(trials=(fake.Trial("a"),), key="a")], Seen())
    assert seen.statuses() == {"a": "finished"}
    assert capsys.readouterr().err == (
        "Ray is not installed: one pack after the other, in this process (pip install ray)\n"
    )
    with pytest.raises(UsageError, match="--address: expected Ray to be installed, got none; pip install ray"):
        run([], Seen(), address="auto")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"executor": "rya"}, "--executor: expected one of ray, inline, got 'rya'; the nearest is 'ray'"),
        ({"executor": "inline", "address": "auto"}, "--address: expected --executor ray with it, got inline"),
    ],
)
def test_options_that_make_no_sense(options, message):
    with pytest.raises(UsageError, match=message):
        run([], Seen(), **options)


# How Ray is asked


@pytest.mark.parametrize(
    ("resources", "num_accelerators", "is_local", "expected"),
    [
        ({"CPU": 2.0}, 0, False, ({"num_cpus": 1}, 2)),
        ({"CPU": 64.0}, 0, True, ({"num_cpus": 1}, 3)),  # of which this process may use three
        ({"CPU": 2.0, "GPU": 8.0}, 8, True, ({"num_gpus": 1, "num_cpus": 0}, 8)),
        ({"CPU": 2.0, "GPU": 8.0}, 0, True, ({"num_cpus": 1}, 2)),  # JAX was told or installed to do without
        ({"CPU": 2.0, "GPU": 8.0}, 0, False, ({"num_gpus": 1, "num_cpus": 0}, 8)),  # the hosts of others know better
        ({"CPU": 9.0, "TPU": 4.0}, 4, True, ({"resources": {"TPU": 1}, "num_cpus": 0}, 4)),
        ({}, 0, False, ({"num_cpus": 1}, 1)),
    ],
)
def test_a_worker_an_accelerator_or_else_a_core(resources, num_accelerators, is_local, expected, monkeypatch):
    monkeypatch.setattr(devices, "num_accelerators", lambda: num_accelerators)
    monkeypatch.setattr(devices, "num_cores", lambda: 3)
    assert ray_executor.worker_resources(resources, is_local) == expected


def no_ray(monkeypatch, init):
    import ray

    monkeypatch.setattr(ray, "is_initialized", lambda: False)
    monkeypatch.setattr(ray, "shutdown", lambda: None)
    monkeypatch.setattr(ray, "init", init)


def test_a_cluster_is_given_our_code_and_the_users_plugins(monkeypatch):
    asked = {}
    no_ray(monkeypatch, lambda **options: asked.update(options))
    monkeypatch.setattr(scheduler.import_paths, "plugin_sources", lambda: ["/home/me/my_pkg"])
    monkeypatch.setattr(record, "_git", lambda: ("abc", False))
    monkeypatch.setenv("BENCH_DATA_DIR", "/data")
    with socket.create_server(("127.0.0.1", 0)) as server:
        here = f"127.0.0.1:{server.getsockname()[1]}"
        with ray_executor._ray(here) as is_local:
            assert not is_local
    assert asked["address"] == here
    sent = asked["runtime_env"]
    assert sent["working_dir"] == str(ROOT)
    assert {"/.*", "/results", "/reports"} <= set(sent["excludes"])
    assert sent["py_modules"] == ["/home/me/my_pkg"]
    assert sent["env_vars"] == {"BENCH_GIT_COMMIT": "abc", "BENCH_GIT_DIRTY": "0", "BENCH_DATA_DIR": "/data"}


def test_ray_of_this_host_is_small_and_quiet(monkeypatch):
    asked = {}
    no_ray(monkeypatch, lambda **options: asked.update(options, path=os.environ["PYTHONPATH"]))
    monkeypatch.delenv("PYTHONPATH", raising=False)
    monkeypatch.delenv("RAY_USAGE_STATS_ENABLED", raising=False)
    with ray_executor._ray(None) as is_local:
        assert is_local
    assert asked == {
        "address": "local",  # never somebody else's that happens to run here
        "include_dashboard": False,
        "log_to_driver": False,
        "logging_level": logging.ERROR,
        "object_store_memory": 256 * 2**20,
        "path": str(ROOT),
    }
    assert "PYTHONPATH" not in os.environ
    assert os.environ["RAY_USAGE_STATS_ENABLED"] == "0"


@pytest.mark.parametrize(("address", "place"), [(None, "on this host"), ("auto", "at --address auto")])
def test_ray_that_does_not_start(monkeypatch, address, place):
    def init(**options):
        raise ConnectionError("nobody there\nand more")

    no_ray(monkeypatch, init)
    message = f"ray: expected a cluster {place}, got ConnectionError: nobody there; start one .* --executor inline"
    with pytest.raises(UsageError, match=message), ray_executor._ray(address):
        pass


def test_nobody_at_an_address_is_found_out_at_once(monkeypatch):
    no_ray(monkeypatch, None)
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    message = f"expected a cluster at --address 127.0.0.1:{port}, got ConnectionRefusedError: .*; start one with"
    with pytest.raises(UsageError, match=message), ray_executor._ray(f"127.0.0.1:{port}"):
        pass


def test_a_cluster_that_asks_for_its_token(monkeypatch):
    def init(**options):
        raise ConnectionError("no") from RuntimeError("ray.exceptions.AuthenticationError: InvalidAuthToken")

    no_ray(monkeypatch, init)
    with pytest.raises(UsageError, match="asks for its token: .* set RAY_AUTH_MODE=token"), ray_executor._ray("auto"):
        pass


# With Ray


def test_ray_trains_everything_on_workers_that_stay(ray, fake, tmp_path):
    num_workers = min(2, devices.num_cores())
    meet = f"meet {tmp_path} {num_workers}"  # a worker that is late on a busy machine finds something left
    packs = [
        fake.Pack(trials=(fake.Trial(f"{key}{i}", meet, method=fake.Steps(i)),), key=key)
        for key in "ab"
        for i in range(4)
    ]
    seen = run(packs, Seen())
    assert seen.statuses() == {trial.id: "finished" for pack in packs for trial in pack.trials}
    said = [outcome.scores["seen"] for outcome in seen.outcomes]
    assert len(seen.pids()) == num_workers and os.getpid() not in seen.pids()
    assert {x["models"] for x in said} == {str(ROOT / "models" / "__init__.py")}  # not the user's
    assert not any(x["jax"] for x in said)  # nothing starts threads before a worker has its core
    assert {x["threads"] for x in said} == {str(devices.num_cores() // num_workers)}
    by_pid = {x["pid"]: x for x in said}
    cores = [core for x in by_pid.values() for core in x["cores"]]
    assert len(cores) == len(set(cores)) == devices.num_cores() // num_workers * num_workers  # each its own
    assert len({(x["pid"], x["thread"]) for x in said}) == num_workers
    assert [x["protocols"] for x in said] == [["std-v1"]] * 8
    taken = [[x["key"] for x in said if x["pid"] == pid] for pid in by_pid]
    assert len({keys[0] for keys in taken}) == num_workers
    for keys in taken:  # moves to another program at most once: rather than to be idle at the end
        assert sum(now != then for now, then in itertools.pairwise(keys)) <= 1
    wait_until_gone(seen.pids())


def test_ray_exceptions_and_what_cannot_be_sent_end_one_trial_each(ray, fake, monkeypatch):
    only_here = types.ModuleType("only_here")
    exec("class Thing: pass", only_here.__dict__)
    only_here.Thing.__module__ = "only_here"
    monkeypatch.setitem(sys.modules, "only_here", only_here)
    unsendable = fake.Pack(trials=(fake.Trial("unsendable", more=only_here.Thing()),), key="a")
    seen = run([*failing_packs(fake), unsendable], Seen())
    failed = seen.of("unsendable").record
    assert failed.reason == "ModuleNotFoundError: No module named 'only_here'"
    assert "Worker.train()" in failed.traceback and "pid=" not in failed.traceback and "ip=" not in failed.traceback
    seen.outcomes.remove(seen.of("unsendable"))
    check_failures(seen)


def test_ray_a_worker_that_dies_costs_only_the_trial_to_blame(ray, fake, tmp_path, capfd):
    packs = [
        fake.Pack(trials=(fake.Trial("good"), fake.Trial("killer", "kill")), key="a"),
        fake.Pack(trials=(fake.Trial("unlucky", f"kill_once {tmp_path / 'killed'}"), fake.Trial("beside")), key="b"),
    ]
    seen = run(packs, Seen())
    assert seen.statuses() == {"good": "finished", "killer": "failed", "unlucky": "finished", "beside": "finished"}
    assert seen.of("unlucky").scores["seen"]["ids"] == ["unlucky", "beside"]  # the whole pack, on a fresh worker
    assert seen.of("good").scores["seen"]["ids"] == ["good"]
    reason = seen.of("killer").record.reason
    assert reason == "its worker died 2 times while it was trained alone (SYSTEM_ERROR): out of memory, or a crash"
    assert capfd.readouterr().out == ""  # for results, not for what Ray thinks


def test_ray_interrupted_keeps_what_is_finished_and_leaves_no_worker(ray, fake):
    packs = [
        fake.Pack(trials=(fake.Trial("quick", method=fake.Steps(2)),), key="a"),
        fake.Pack(trials=(fake.Trial("slow", "sleep 600"),), key="a"),
    ]
    seen = Seen()

    def on_progress(key, trial_ids, progress):
        if progress.phase == "sleep" and seen.outcomes:
            os.kill(os.getpid(), signal.SIGTERM)

    seen.on_progress = on_progress
    start = time.monotonic()
    with pytest.raises(KeyboardInterrupt, match="SIGTERM"):
        run(packs, seen)
    assert time.monotonic() - start < 300  # it does not wait for the trial that sleeps
    assert seen.statuses() == {"quick": "finished"}
    wait_until_gone(seen.pids())


def test_ray_workers_that_never_start_end_the_run(ray, fake, monkeypatch):
    monkeypatch.setattr(worker, "Worker", fake.Broken)
    with pytest.raises(
        UsageError, match="ray: expected workers that start, got 3 in a row that did not .* --executor inline"
    ):
        run([fake.Pack(trials=(fake.Trial("a"),), key="a")], Seen())
