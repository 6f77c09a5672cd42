"""What is taken for a hang, and what is not."""

import math

import pytest

from bench.training import stalls
from bench.training.stalls import StallWatch

CHUNK = "a chunk of steps"


def watch_for(monkeypatch, events, **limits):
    """Play what a worker does, as pairs of seconds and an event: the progress that it tells, `ask`, or `begin`."""
    now = [0.0]
    monkeypatch.setattr(stalls.time, "monotonic", lambda: now[0])
    watch = StallWatch(**{"stall_s": 100.0, "silent_s": 20.0} | limits)
    watch.begin()
    for seconds, event, *cpu_s in events:
        now[0] = float(seconds)
        if event == "ask":
            watch.ask()
        elif event == "begin":
            watch.begin()
        elif event is not None:
            watch.hear(event, *cpu_s)
    return watch.why_hung()


@pytest.mark.parametrize(
    ("events", "expected"),
    [
        ([(90, "a", 0.0), (180, None)], None),  # it came further
        ([(0, "a", 0.0), (99, "a", 0.0), (101, None)], "no progress for 101 s"),  # it answers, and that is all
        ([(0, "ask"), (21, None)], "no answer for 21 s"),  # stopped
        ([(0, "ask"), (15, "a", 0.0), (16, "ask"), (35, None)], None),
        ([(0, "a", 0.0), (300, "a", 290.0), (301, None)], None),  # its cores are at work
        ([(0, "a", 0.0), (810, "a", 800.0), (811, None)], "no progress for 811 s"),  # but not for ever
        ([(0, "a", 0.0), (300, "a", 30.0), (301, None)], "no progress for 301 s"),  # something else of it is
        ([(60, "a", 0.0), (400, "a", 0.0)], None),  # slow from the start: 8 times 60 s
        ([(60, "a", 0.0), (541, "a", 0.0)], "no progress for 481 s"),
        ([(0, "a", 0.0), (99, "begin"), (150, None)], None),  # the next pack
    ],
)
def test_hangs(events, expected, monkeypatch):
    why = watch_for(monkeypatch, events)
    assert (why is None) if expected is None else expected in why


def test_a_limit_of_zero_is_none(monkeypatch):
    assert watch_for(monkeypatch, [(0, "ask"), (10**6, None)], stall_s=math.inf) is None
