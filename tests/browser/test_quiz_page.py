"""A blind quiz as a person answers it, in Chromium without network, from disk."""

from __future__ import annotations

import hashlib
import json

import pytest

pytest.importorskip("selenium", reason="selenium is not installed")

from selenium.webdriver.common.keys import Keys

from bench.analysis.quiz.answers import QuizAnswer, read_answers
from bench.report.quiz.quiz_page import render_quiz_page
from tests.browser.conftest import Reader
from tests.fixtures.quizzes import SMALL

pytestmark = pytest.mark.browser


@pytest.fixture
def page(started, tmp_path):
    """The page of six pictures, newly opened; each test has a quiz of its own, as browsers keep answers by its hash."""
    path = tmp_path / "a quiz #1" / "index.html"
    path.parent.mkdir()
    quiz = hashlib.sha256(str(tmp_path).encode()).hexdigest()
    path.write_text(render_quiz_page(quiz, [picture.png for picture in SMALL.pictures]))
    it = Reader(started, path)
    yield it
    assert not [line for line in it.driver.get_log("browser") if line["level"] == "SEVERE"]


def place(page):
    return page.one("figcaption").text


def choose(page, *words):
    for word in words:
        page.one(f"[data-value='{word}']").click()


def saved(page, name):
    box = page.one("input[aria-label='your name']")
    box.clear()
    box.send_keys(name)
    page.one("button", "Save answers").click()
    path = page.downloads / f"{name}.csv"
    page.wait(path.exists)
    return read_answers(path)


def test_answers_by_buttons_and_by_keys_are_saved(page):
    assert place(page) == "1 of 6" and not page.one("button", "Save answers").is_enabled()
    choose(page, "chair", "metallic", "red")
    assert place(page) == "2 of 6", "a whole answer leads on"
    typed = page.one("#typed")
    typed.send_keys("hat ye dot", Keys.ENTER)
    assert place(page) == "3 of 6"
    typed.send_keys("b", Keys.ENTER)
    assert "which of ball, bench, bed" in page.one("output").text and place(page) == "3 of 6"
    typed.clear()
    typed.send_keys("furry", Keys.ENTER)
    assert "no kind, colour or finish" in page.one("output").text
    typed.clear()
    typed.send_keys("?", Keys.ENTER)
    assert place(page) == "4 of 6"
    choose(page, "boat")
    found = saved(page, "anna")
    assert found.person == "anna" and found.quiz in page.path.read_text()
    assert found.answers == (
        QuizAnswer(1, {"kind": "chair", "color": "red", "finish": "metallic"}),
        QuizAnswer(2, {"kind": "hat", "color": "yellow", "finish": "dotted"}),
        QuizAnswer(3, {"kind": "?", "color": "?", "finish": "?"}),
        QuizAnswer(4, {"kind": "boat"}),
    )


def test_answers_stay_when_the_page_is_left(page):
    choose(page, "chair", "metallic", "red")
    page.driver.get(page.path.as_uri())
    assert place(page) == "2 of 6" and "1 of 6 answered" in page.one("output").text
    page.one("button", "Back").click()
    pressed = [x.get_attribute("data-value") for x in page.all("[data-name][aria-pressed=true]")]
    assert pressed == ["chair", "red", "metallic"]
    choose(page, "hat")
    assert place(page) == "1 of 6", "a changed mind stays"
    assert saved(page, "ben").answers[0].chosen["kind"] == "hat"


def test_the_page_gives_nothing_away(page):
    text = page.path.read_text()
    assert not [word for word in ("true render", "full", "plain", "red-metallic") if word in text.split("<body>")[1]]
    assert len(page.all("[data-name=kind]")) == 42 and len(page.all("[data-name=color]")) == 13
    page.one("#typed").send_keys(Keys.ARROW_RIGHT, Keys.ARROW_RIGHT)
    assert place(page) == "3 of 6"


# Beside the blind vote, on a report's page


def test_a_reports_page_asks_beside_its_blind_vote(reader):
    page = reader
    assert page.one("nav a", "blind quiz").is_displayed()
    asked = page.one("#seen").get_attribute("innerHTML")
    assert not any(word in asked for word in ("full", "other", "a blue hat", "kite")), "blind"
    for words in (("hat", "red", "matte"), ("?", "blue", "dotted")):
        for word in words:
            page.one(f"#seen [data-value='{word}']").click()
    assert page.one("#seen .votes output").text.startswith("2 answers,")
    page.driver.refresh()
    page.one("#seen button", "Save answers").click()
    path = page.downloads / "seen-made-up.json"
    page.wait(path.exists)
    saved = json.loads(path.read_text())
    assert (saved["schema"], saved["suite"], len(saved["seen"])) == (1, "made <up>", 2)
    first, second = saved["seen"]
    assert (first["kind"], first["color"], first["finish"], second["kind"]) == ("hat", "red", "matte", "?")
    world = page.data()["world"]
    known = {page.data()["trials"]["id"][place] for place in world["trials"]}
    assert {first["trial"], second["trial"]} <= known and first["view"] in range(8)
    assert all("thing-7" in trial for trial in known), "what is not of the world is not asked about"
    page.one("#seen button", "Forget answers").click()
    assert page.one("#seen .votes output").text == "no answer yet"
