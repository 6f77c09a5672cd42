"""What a run does about trials that fail: in a table, and with the scheduler in this process."""

from __future__ import annotations

import errno

import pytest

from bench.errors import UsageError
from bench.training.failure_policy import FailurePolicy, cause_of
from bench.training.stopping import StopRequest
from tests.fixtures.scheduling import Kept, Listener, train


class JaxRuntimeError(RuntimeError):
    """Named as JAX names what its runtime says."""


def raised_from(error, cause):
    """An error that was raised because of another one."""
    error.__cause__ = cause
    return error


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (UsageError("--set: expected sense"), "user"),
        (raised_from(UsageError("cache: cannot be written"), OSError(errno.EROFS, "Read-only")), "machine"),
        (raised_from(UsageError("scene: no such file"), FileNotFoundError(errno.ENOENT, "gone")), "user"),
        (OSError(errno.ENOSPC, "No space left on device"), "machine"),
        (OSError(errno.EDQUOT, "Disk quota exceeded"), "machine"),
        (PermissionError(errno.EACCES, "Permission denied"), "machine"),
        (raised_from(ValueError("half a file"), OSError(errno.EIO, "I/O error")), "machine"),
        (FileNotFoundError(errno.ENOENT, "gone"), "trial"),
        (ConnectionResetError(), "passing"),
        (TimeoutError(), "passing"),
        (MemoryError(), "passing"),
        (JaxRuntimeError("INTERNAL: CUDA_ERROR_LAUNCH_FAILED"), "passing"),
        (JaxRuntimeError("INVALID_ARGUMENT: shapes"), "trial"),
        (JaxRuntimeError("RESOURCE_EXHAUSTED: CUDA_ERROR_OUT_OF_MEMORY"), "trial"),
        (JaxRuntimeError("INTERNAL: Failed to create cuBLAS handle"), "machine"),
        (RuntimeError("Unable to initialize backend 'cuda': INTERNAL: no supported devices"), "machine"),
        (RuntimeError("INTERNAL: of somebody else"), "trial"),
        (ValueError("shapes"), "trial"),
    ],
    ids=lambda value: value if isinstance(value, str) else type(value).__name__,
)
def test_whose_fault_it_is(error, expected):
    assert cause_of(error) == expected


def test_causes_that_go_round_in_a_circle_end():
    error = ValueError("a")
    error.__cause__ = raised_from(ValueError("b"), error)
    assert cause_of(error) == "trial"


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"on_failure": "stopp"}, "--on-failure: expected one of continue, stop, got 'stopp'; the nearest is 'stop'"),
        ({"retries": -1}, "--retries: expected a whole number of at least 0, got -1"),
        ({"max_failures": 0}, "--max-failures: expected a whole number of at least 1, got 0"),
        ({"trial_minutes": 0.0}, "--trial-minutes: expected a number above 0, got 0.0"),
        ({"on_failure": "stop", "max_failures": 3}, "--max-failures: .* not after 3; leave one of them out"),
    ],
)
def test_what_makes_no_sense_is_refused(fields, message):
    with pytest.raises(UsageError, match=message):
        FailurePolicy(**fields)


@pytest.mark.parametrize(
    ("fields", "failures_to_stop", "why"),
    [
        ({}, None, None),
        ({"on_failure": "stop"}, 1, "1 trial failed (--on-failure stop)"),
        ({"max_failures": 3}, 3, "3 trials failed (--max-failures 3)"),
    ],
)
def test_a_budget_of_failures(fields, failures_to_stop, why):
    policy = FailurePolicy(**fields)
    said = [policy.why_stop(number) for number in range(5)]
    assert next((number for number, each in enumerate(said) if each), None) == failures_to_stop
    assert why is None or said[failures_to_stop] == why
    assert bool(policy.describe()) == bool(fields)


def test_a_run_that_is_asked_to_stop_begins_nothing_more():
    stop = StopRequest()
    assert stop.may_begin()
    stop.ask("one trial failed")
    stop.ask("another did")
    assert stop.is_due() and not stop.may_begin() and stop.why == "one trial failed"


def packs_of(fake, **acts):
    return [fake.Pack(trials=(fake.Trial(name, act),), key=name) for name, act in acts.items()]


def test_a_lost_connection_passes_the_second_time(fake, tmp_path):
    for retries, status in ((0, "failed"), (1, "finished")):
        act = f"lose {tmp_path / str(retries)}"
        heard = train(packs_of(fake, a=act), Listener(), executor="inline", policy=FailurePolicy(retries=retries))
        assert heard.statuses() == {"a": status}
        earlier = heard.of("a").record.earlier_failures
        assert earlier == ["ConnectionResetError: the node went away"] * retries


def test_a_fault_of_the_machine_ends_the_run_and_blames_no_trial(fake):
    heard = Listener()
    packs = [fake.Pack(trials=tuple(fake.Trial(name, "full" if name == "b" else "ok") for name in "abc"), key="k")]
    packs += packs_of(fake, d="ok")
    with pytest.raises(UsageError, match=r"OSError: \[Errno 28\] No space left on device: 'cache/field.bin'; no trial"):
        train(packs, heard, executor="inline", policy=FailurePolicy(retries=5))
    assert heard.statuses() == {}


def test_the_first_failure_stops_a_run_that_says_so(fake):
    heard = Listener()
    stop = StopRequest()
    keep = heard.on_outcome

    def on_outcome(outcome):
        keep(outcome)
        if outcome.record.status == "failed":
            stop.ask("a trial failed")

    heard.on_outcome = on_outcome
    train(packs_of(fake, a="raise", b="ok"), heard, executor="inline", stop=stop, checkpoints=Kept())
    assert heard.statuses() == {"a": "failed"}
