"""Whose fault it is that a worker died."""

import pytest

from bench.training import worker_deaths
from bench.training.node_facts import count_oom_kills, find_crash
from bench.training.worker_deaths import LastWords, WorkerDeath, WorkerStopped, explain_death

KILLED = "Worker exit type: SYSTEM_ERROR Worker exit detail: Worker unexpectedly exits with a connection error code 2."


class DiedError(Exception):
    pass


@pytest.mark.parametrize(
    ("error", "host", "expected"),
    [
        (DiedError(KILLED), LastWords(3, None), WorkerDeath("somebody killed it", False)),
        (DiedError(KILLED), LastWords(4, None), WorkerDeath("out of memory", True)),
        (DiedError(KILLED), LastWords(3, "SIGSEGV"), WorkerDeath("SIGSEGV", True)),
        (DiedError(KILLED), LastWords(None, None), WorkerDeath("SYSTEM_ERROR", True)),  # nobody counts: as it was
        (DiedError(KILLED), None, WorkerDeath("its host was lost", False)),
        (DiedError("Worker exit type: NODE_OUT_OF_MEMORY ..."), None, WorkerDeath("out of memory", True)),
        (DiedError("Task was killed due to the node running low on memory."), None, WorkerDeath("out of memory", True)),
        (
            DiedError("The actor died because its node has died. Node Id: 1a"),
            None,
            WorkerDeath("its host was lost", False),
        ),
        (WorkerStopped("hung: no answer", True), None, WorkerDeath("hung: no answer", True)),
        (WorkerStopped("taken away", False), None, WorkerDeath("taken away", False)),
    ],
)
def test_causes(error, host, expected, monkeypatch):
    monkeypatch.setattr(worker_deaths, "ask_host", lambda node, pid: host)
    assert explain_death(error, "node", 7, 3) == expected


def test_one_that_never_started():
    assert explain_death(DiedError("no"), None, None, None) == WorkerDeath("DiedError", True)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Fatal Python error: Segmentation fault\n\nCurrent thread", "Segmentation fault"),
        ("*** SIGABRT received at time=1 on cpu 0 ***\nFatal Python error: Aborted", "SIGABRT"),
        ("*** SIGTERM received at time=1 on cpu 0 ***", None),
        ("x" * 100_000 + "terminate called after throwing 'std::bad_alloc'", "after throwing 'std::bad_alloc'"),
        ("warning: nothing\n", None),
    ],
)
def test_what_a_log_says(text, expected, tmp_path):
    (tmp_path / "worker-ab-01000000-12.err").write_text(text)
    (tmp_path / "worker-ab-01000000-112.err").write_text("Fatal Python error: of another")
    assert find_crash(str(tmp_path), 12) == expected
    assert find_crash(str(tmp_path), 13) is None


def test_counters_of_the_kernel_or_none(monkeypatch, tmp_path):
    file = tmp_path / "events"
    file.write_text("low 0\noom 3\noom_kill 2\n")
    monkeypatch.setattr("bench.training.node_facts.OOM_COUNTERS", ((str(file), r"^oom_kill (\d+)"), ("/no", "x")))
    assert count_oom_kills() == 2
    monkeypatch.setattr("bench.training.node_facts.OOM_COUNTERS", (("/no", "x"),))
    assert count_oom_kills() is None
