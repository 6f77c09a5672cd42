"""Scores are compiled once, with training or some seconds after compiling began, and only for an accelerator."""

from __future__ import annotations

import threading

import pytest

from bench.export import preparation


@pytest.mark.parametrize(
    "has_accelerator, calls, num_begun",
    [
        (True, ["begin"], 1),
        (True, ["begin", "begin"], 1),  # training reports every chunk
        (True, ["begin_later", "begin_later", "begin"], 1),  # a pack that was halved compiles twice
        (True, ["cancel", "begin"], 0),
        (True, ["begin_later", "cancel"], 0),
        (False, ["begin_later", "begin"], 0),
    ],
)
def test_scores_are_begun_once(has_accelerator, calls, num_begun, monkeypatch):
    monkeypatch.setattr(preparation.precompile, "has_accelerator", lambda: has_accelerator)
    begun = []
    scores = preparation.ScorePreparation(lambda: begun.append(1))
    for name in calls:
        getattr(scores, name)()
    scores.cancel()
    assert len(begun) == num_begun


def test_scores_are_begun_while_programs_are_still_compiled(monkeypatch):
    monkeypatch.setattr(preparation.precompile, "has_accelerator", lambda: True)
    monkeypatch.setattr(preparation, "TRACED_S", 0.01)
    begun = threading.Event()
    preparation.ScorePreparation(begun.set).begin_later()
    assert begun.wait(10)
