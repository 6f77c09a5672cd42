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


def opened_page(started, tmp_path, forms=None):
    """The page of six pictures, newly opened; each test has a quiz of its own, as browsers keep answers by its hash."""
    path = tmp_path / "a quiz #1" / "index.html"
    path.parent.mkdir()
    quiz = hashlib.sha256(str(tmp_path).encode()).hexdigest()
    path.write_text(render_quiz_page(quiz, [picture.png for picture in SMALL.pictures], forms))
    return Reader(started, path)


def check_log(reader):
    assert not [line for line in reader.driver.get_log("browser") if line["level"] == "SEVERE"]


@pytest.fixture
def page(started, tmp_path):
    """A quiz of one form."""
    it = opened_page(started, tmp_path)
    yield it
    check_log(it)


@pytest.fixture
def page_of_forms(started, tmp_path):
    """A quiz of two forms, of four pictures and of two."""
    it = opened_page(started, tmp_path, [[1, 2, 3, 4], [5, 6]])
    yield it
    check_log(it)


def place(page):
    return page.one("figcaption").text


def choose(page, *words):
    for word in words:
        page.one(f"[data-value='{word}']").click()


def saved(page, name, stem=None):
    box = page.one("input[aria-label='your name']")
    box.clear()
    box.send_keys(name)
    page.one("button", "Save answers").click()
    path = page.downloads / f"{stem or name}.csv"
    page.wait(path.exists)
    return read_answers(path)


def test_a_person_answers_one_form_of_several(page_of_forms):
    page = page_of_forms
    assert [x.text for x in page.all("#quiz li")] == ["Form 1, 4 pictures", "Form 2, 2 pictures"]
    assert not page.all("figure"), "a form is chosen first"
    page.one("#quiz a", "Form 2").click()
    page.wait(lambda: page.all("figure"))
    assert place(page) == "1 of 2 in form 2, picture 5" and not page.all("[role=alert]")
    choose(page, "chair", "metallic", "red")
    assert place(page) == "2 of 2 in form 2, picture 6" and "1 of 2 answered" in page.one("output").text
    assert not page.one("button", "Skip").is_enabled(), "no other form's pictures behind it"
    choose(page, "duck", "white", "matte")
    found = saved(page, "anna", "anna-form-2")
    assert found.person == "anna" and [answer.number for answer in found.answers] == [5, 6]
    page.driver.get(page.path.as_uri() + "#form-1")
    page.wait(lambda: place(page) == "1 of 4 in form 1, picture 1")
    assert page.one("[role=alert]").text.startswith("Form 2 was answered in this browser.")
    assert not page.one("button", "Save answers").is_enabled()
    page.driver.back()
    page.driver.get(page.path.as_uri() + "#form-9")
    page.wait(lambda: page.all("#quiz li"))
    assert [x.text for x in page.all("#quiz li")][1] == "Form 2, 2 pictures, 2 answered in this browser"


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
    told = page.one("#seen > p:nth-of-type(2)")
    assert not told.is_displayed(), "nothing was seen yet"
    for words in (("hat", "red", "matte"), ("?", "blue", "dotted")):
        assert told.is_displayed() == (words[0] == "?"), "all pictures are of one blue hat"
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
