"""When the page of a run is drawn while it trains: after a first pack, seldom, and at no cost to the run."""

from __future__ import annotations

import argparse
import threading

import pytest

from bench.cli import live_page
from bench.cli.live_page import LivePage
from bench.errors import UsageError
from bench.training.run_handlers import PackEvent

REFRESH = '<meta http-equiv="refresh" content="90">\n'


def event(kind):
    return PackEvent(kind, 0, ("a",), 0.0)


@pytest.fixture
def drawing(tmp_path, monkeypatch):
    """Drawn pages, counted; `drawn` is set by each, and `wait` lets it last."""
    told = argparse.Namespace(num=0, drawn=threading.Event(), wait=None, error=None, page=tmp_path / "index.html")

    def draw(self):
        told.num += 1
        if told.error:
            told.drawn.set()
            raise told.error
        if told.wait:
            told.wait.wait(10)
        told.page.write_text(f"{REFRESH}page {told.num}")
        told.drawn.set()
        return told.page

    monkeypatch.setattr(LivePage, "_draw", draw)
    monkeypatch.setattr(live_page, "FIRST_S", 0.0)
    monkeypatch.setattr(live_page, "STORED_S", 0.0)
    return told


def open_page(tmp_path):
    return LivePage(None, tmp_path, tmp_path, "python -m bench run")


def test_it_is_drawn_when_a_pack_has_ended_and_rests_afterwards(drawing, tmp_path, capsys):
    with open_page(tmp_path) as page:
        page.note_event(event("begun"))
        page.note_event(event("trained"))
        assert not drawing.drawn.wait(0.1), "nothing is stored yet"
        page.note_event(event("ended"))
        assert drawing.drawn.wait(10)
    assert drawing.page.read_text() == "page 1", "nobody draws a next one for it to load"
    assert capsys.readouterr().err == f"pictures so far: {drawing.page}, drawn again while trials run\n"


def test_it_is_drawn_seldom_and_says_where_it_is_once(drawing, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(live_page, "EVERY_S", 0.2)
    with open_page(tmp_path) as page:
        for num in (1, 2):
            drawing.drawn.clear()
            for _ in range(5):
                page.note_event(event("ended"))
            assert drawing.drawn.wait(10) and drawing.num == num, "many packs, one page"
    assert capsys.readouterr().err.count("pictures so far") == 1


def test_a_page_that_takes_long_is_drawn_less_often(drawing, tmp_path, monkeypatch):
    monkeypatch.setattr(live_page, "EVERY_S", 0.0)
    monkeypatch.setattr(live_page, "MOST_SHARE", 1e-9)
    with open_page(tmp_path) as page:
        page.note_event(event("ended"))
        assert drawing.drawn.wait(10)
        drawing.drawn.clear()
        page.note_event(event("ended"))
        assert not drawing.drawn.wait(0.2)
    assert drawing.num == 1


def test_a_page_waits_for_the_outcomes_of_its_pack(drawing, tmp_path, monkeypatch):
    """The end of a pack is told of a moment before they are stored, by Ray's executor."""
    monkeypatch.setattr(live_page, "STORED_S", 0.3)
    with open_page(tmp_path) as page:
        page.note_event(event("ended"))
        assert not drawing.drawn.wait(0.1)
        assert drawing.drawn.wait(10)


def test_a_short_run_draws_no_page_before_its_own(drawing, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(live_page, "FIRST_S", 60.0)
    with open_page(tmp_path) as page:
        page.note_event(event("ended"))
    assert drawing.num == 0 and not capsys.readouterr().err


@pytest.mark.parametrize("error", [UsageError("reports: expected a folder, got a file"), ValueError("odd")])
def test_what_cannot_be_drawn_is_said_once_and_costs_the_run_nothing(error, drawing, tmp_path, capsys):
    drawing.error = error
    with open_page(tmp_path) as page:
        page.note_event(event("ended"))
        assert drawing.drawn.wait(10)
        page.note_event(event("ended"))
    assert drawing.num == 1 and not drawing.page.exists()
    assert capsys.readouterr().err == f"page not drawn while trials run: {error}; the run draws it at its end\n"


def test_a_run_that_is_stopped_does_not_wait_for_a_page(drawing, tmp_path, monkeypatch):
    monkeypatch.setattr(live_page, "LAST_WAIT_S", 0.05)
    drawing.wait = threading.Event()
    page = open_page(tmp_path)
    with pytest.raises(KeyboardInterrupt), page:
        page.note_event(event("ended"))
        raise KeyboardInterrupt
    drawing.wait.set()
    page.thread.join(10)
    assert not page.thread.is_alive()
