"""Signals and the end of a run's time."""

import os
import signal

import pytest

from bench.training import stopping
from bench.training.stopping import StopRequest


def test_the_time_is_up(monkeypatch):
    now = [100.0]
    monkeypatch.setattr(stopping.time, "monotonic", lambda: now[0])
    stop = StopRequest(2.0)
    forever = StopRequest()
    assert not stop.is_due()
    now[0] += 120
    assert stop.is_due() and not forever.is_due()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_waits_where_there_is_something_to_keep(number, capfd):
    before = signal.getsignal(number)
    stop = StopRequest()
    with pytest.raises(KeyboardInterrupt, match=signal.Signals(number).name), stop.catch_signals():
        stop.is_patient = True
        os.kill(os.getpid(), number)
        assert stop.is_due()  # and goes on to here
        kept = True
    assert kept
    assert "leaving checkpoints" in capfd.readouterr().err
    assert signal.getsignal(number) is before


def test_a_second_one_does_not_wait(capfd):
    stop = StopRequest()
    with pytest.raises(KeyboardInterrupt, match="SIGTERM"), stop.catch_signals():
        stop.is_patient = True
        os.kill(os.getpid(), signal.SIGINT)
        os.kill(os.getpid(), signal.SIGTERM)
        pytest.fail("it went on")


def test_without_anything_to_keep_the_first_does_not_wait():
    stop = StopRequest()
    with pytest.raises(KeyboardInterrupt, match="SIGINT"), stop.catch_signals():
        os.kill(os.getpid(), signal.SIGINT)
        pytest.fail("it went on")


def test_a_run_in_the_background_hears_ctrl_c_too():
    """Shells let what they start with `&` ignore it."""
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        stop = StopRequest()
        with pytest.raises(KeyboardInterrupt, match="SIGINT"), stop.catch_signals():
            os.kill(os.getpid(), signal.SIGINT)
            pytest.fail("it went on")
        assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGINT, before)


def test_no_signal_no_exception():
    with StopRequest().catch_signals():
        pass


def test_a_run_in_the_background_hears_ctrl_c_before_it_trains():
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        stopping.heed_interrupt()
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGINT)
            pytest.fail("it went on")
    finally:
        signal.signal(signal.SIGINT, before)
