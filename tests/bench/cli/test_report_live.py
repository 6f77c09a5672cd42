"""A page that is drawn while trials run: again for each that is stored, and at rest once all are."""

from __future__ import annotations

import argparse
import re
import subprocess
import threading
import time

import pytest

from bench import __main__ as command_line
from bench.cli import live_page, report, suite_options
from bench.report import build
from bench.storage import files
from bench.storage.record import Outcome
from bench.storage.store import Store
from bench.training import run_suite
from bench.training.run_handlers import PackEvent
from tests.bench.cli.test_report import chosen, outcome
from tests.fixtures.bare_pages import leave_out_figures

ARM = ("--only", "arm=Dream Fields")

SCORES_ONLY = {"parameters": {}, "views": {}}


@pytest.fixture(scope="module")
def made():
    """The outcomes of two trials of an arm, without pictures."""
    both = [outcome(trial, place) for place, trial in enumerate(suite_options.selection(chosen(*ARM)).trials)]
    return [Outcome(record=one.record, scores=one.scores, **SCORES_ONLY) for one in both]


@pytest.fixture
def story(tmp_path, monkeypatch, request):
    """Functions that are called between looks, instead of a sleep; and the pages that were drawn."""
    told = argparse.Namespace(turns=[], slept=[], drawn=[], kept=Store.open(tmp_path / "runs"), out=tmp_path / "out")

    def sleep(seconds):
        told.slept.append(seconds)
        told.drawn.append((told.out / "index.html").read_text())
        told.turns.pop(0)()

    monkeypatch.setattr(report.time, "sleep", sleep)
    if request.function is not test_the_whole_page_is_that_of_a_plain_report:
        leave_out_figures(monkeypatch)
    return told


def run(story, *words):
    where = ("--results", str(story.kept.root), "--out", str(story.out))
    return command_line.main(
        ["report", "--suite", "compositional", "--budget", "smoke", *ARM, "--live", *where, *words]
    )


def stop():
    raise KeyboardInterrupt


REFRESH = re.compile(r'<meta http-equiv="refresh" content="(\d+)">')


def test_a_page_is_drawn_again_for_each_trial_until_all_are_stored(story, made, capsys):
    story.turns += [
        lambda: None,  # nothing new: nothing is written
        lambda: story.kept.write(made[0]),
        lambda: story.kept.write_status({"running": []}),  # no trial either
        lambda: story.kept.write(made[1]),
    ]
    assert run(story, "--every", "7") == 0
    page = story.out / "index.html"
    assert capsys.readouterr().out.splitlines() == [
        f"report: {page}: 0 of 2 trials",
        f"report: {page}: 1 of 2 trials",
        f"report: {page}: 2 of 2 trials",
    ]
    assert story.slept == [7.0] * 4
    assert [REFRESH.findall(text) for text in story.drawn] == [["7"]] * 4, "it loads itself again"
    assert "1 of 2" in story.drawn[2] and "1 of 2" in story.drawn[3]
    assert not REFRESH.search(page.read_text()), "a whole page rests"


def test_the_whole_page_is_that_of_a_plain_report(story, made, tmp_path):
    story.turns += [lambda: [story.kept.write(one) for one in made]]
    assert run(story) == 0
    assert report.main(chosen(*ARM, "--results", str(story.kept.root), "--out", str(tmp_path / "plain"))) == 0
    files = {
        side: {p.relative_to(side): p.read_bytes() for p in side.rglob("*.*")}
        for side in (story.out, tmp_path / "plain")
    }
    assert files[story.out] == files[tmp_path / "plain"]


def test_ctrl_c_leaves_a_page_that_rests(story, made, tmp_path, capsys):
    story.turns += [lambda: story.kept.write(made[0]), stop]
    assert run(story) == 0
    assert capsys.readouterr().err == ""
    assert REFRESH.search(story.drawn[-1]) and not REFRESH.search((story.out / "index.html").read_text())
    assert report.main(chosen(*ARM, "--results", str(story.kept.root), "--out", str(tmp_path / "plain"))) == 0
    assert (story.out / "index.html").read_bytes() == (tmp_path / "plain" / "index.html").read_bytes()


def test_failures_are_done_too_and_retried_ones_are_waited_for(story, made, capsys):
    from bench.storage.record import make_failed_outcome

    first, second = suite_options.selection(chosen(*ARM)).trials
    story.kept.write(make_failed_outcome(first, "the loss was not finite"))
    story.turns += [lambda: story.kept.write(made[1])]
    assert run(story) == 0
    assert capsys.readouterr().out.splitlines()[-1].endswith(": 2 of 2 trials, 1 of them failed")
    story.kept.retry(first.id)
    story.turns += [lambda: story.kept.write(made[0])]
    assert run(story) == 0
    assert [line.rpartition(": ")[2] for line in capsys.readouterr().out.splitlines()] == [
        "1 of 2 trials",
        "2 of 2 trials",
    ]


def test_trials_of_other_suites_change_nothing(story, made, capsys):
    import dataclasses

    other = dataclasses.replace(made[0].record, trial_id="nerf__kettle__8v__s0__00000000")
    story.turns += [
        lambda: story.kept.write(Outcome(record=other, scores={}, **SCORES_ONLY)),
        lambda: [story.kept.write(one) for one in made],
    ]
    assert run(story) == 0
    assert len(capsys.readouterr().out.splitlines()) == 2


def test_what_a_running_driver_writes_is_left_alone(story, made):
    """Opening a store sweeps up what dead writers left: not what a living one has under its hands."""
    driver = subprocess.Popen(["sleep", "60"])
    try:
        mine = story.kept.root / f".tmp-{files.host_mark()}-{driver.pid}-half"
        mine.mkdir(parents=True)
        (mine / "record.json").write_text('{"schema_ver')
        story.turns += [lambda: [story.kept.write(one) for one in made]]
        assert run(story) == 0
        assert (mine / "record.json").read_text() == '{"schema_ver'
    finally:
        driver.kill()
        driver.wait()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--every", "0"), "--every: expected seconds from 0.05 on, got 0; leave it out"),
        (("--distances",), "--live: expected no --distances beside it, got both; ask for them when all trials are"),
        (
            ("--figure", "clip-consistency"),
            "expected only --encoder, --scenes, --budget and --out beside it, got --suite, --only, --live",
        ),
        (("--price-per-hour", "-2"), "--price-per-hour: expected a number from 0 on, got -2.0; try 2.5"),
    ],
)
def test_options_that_do_not_go_together(story, words, said, capsys):
    assert run(story, *words) == 2
    assert said in capsys.readouterr().err


def test_every_needs_live(tmp_path, capsys):
    words = ["--suite", "compositional", "--budget", "smoke", "--results", str(tmp_path), "--every", "3"]
    assert command_line.main(["report", *words]) == 2
    assert "--every: expected --live" in capsys.readouterr().err


def test_a_price_reaches_the_page(story, made):
    for one in made:
        story.kept.write(one)
    assert run(story, "--price-per-hour", "360", "--currency", "EUR") == 0
    # two trials of a second each, at a tenth of a euro a second
    assert "0.20 EUR on " in (story.out / "index.html").read_text()
    assert "0.20 EUR on " in (story.out / "index.md").read_text()


def test_a_run_draws_its_page_while_it_trains(made, tmp_path, monkeypatch, capsys):
    """The first of two trials is stored; its page is there while the second one is trained."""
    monkeypatch.setattr(build, "ROOT", tmp_path)
    monkeypatch.setattr(live_page, "FIRST_S", 0.0)
    leave_out_figures(monkeypatch)
    page = tmp_path / "reports" / "compositional-smoke" / "index.html"
    seen = []

    def train(options, selected, kept, on_event, stop):
        kept.write(made[0])
        on_event(PackEvent("ended", 0, (made[0].record.trial_id,), 0.0))
        deadline = time.monotonic() + 20
        while not page.exists() and time.monotonic() < deadline:
            threading.Event().wait(0.02)
        seen.append(page.read_text())
        kept.write(made[1])
        return 2

    monkeypatch.setattr(run_suite, "train_missing", train)
    words = ["--suite", "compositional", "--budget", "smoke", *ARM, "--results", str(tmp_path / "runs")]
    assert command_line.main(["run", "--executor", "inline", *words]) == 0
    assert "1 of 2" in seen[0] and REFRESH.findall(seen[0]) == ["90"]
    assert not REFRESH.search(page.read_text()), "the whole page rests"
    assert capsys.readouterr().err.startswith(f"pictures so far: {page}, drawn again")
