"""The report as a person uses it, in Chromium without network, from disk."""

from __future__ import annotations

import base64
import json
import re

import numpy as np
import pytest

pytest.importorskip("selenium", reason="selenium is not installed")

from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.support.select import Select

from tests.browser.conftest import ARMS, BESIDE, CAPTIONS, contents, written

pytestmark = pytest.mark.browser


def test_sorts_by_mouse_and_by_keyboard(reader):
    head = reader.one("section[data-table] th .sort", "PSNR")
    cell = "return arguments[0].closest('th').getAttribute('aria-sort')"
    assert reader.js(cell, head) == "none" and reader.column(0) == [*ARMS, BESIDE]
    head.click()
    assert reader.js(cell, head) == "descending" and reader.column(0)[0] == ARMS[1]
    head.send_keys(Keys.ENTER)
    *numbers, beside = [float(text) for text in reader.column(1)]
    assert reader.js(cell, head) == "ascending" and numbers == sorted(numbers)
    assert numbers[0] < beside == 21.0 < numbers[-1], "what arms are read beside stays below them"
    head.send_keys(Keys.SPACE)
    assert reader.js(cell, head) == "none" and reader.column(0) == [*ARMS, BESIDE]
    reader.one("section[data-table] th .sort", "arm").click()
    assert reader.column(0) == [*sorted(ARMS), BESIDE]


def test_filters_by_words_and_by_verdict(reader):
    box, verdict = reader.one(".tools input[type=search]"), Select(reader.one("section[data-table] .tools select"))
    box.send_keys("oth")
    assert reader.column(0) == ["other", BESIDE]
    assert reader.one("section[data-table] .tools output").text.startswith("1 of 3 arms")
    box.clear()
    box.send_keys("number 2")
    assert len(reader.column(0)) == 4, "a word of captions says nothing of arms"
    last = "section[data-table] table[data-rows=clusters]"
    assert reader.column(0, last) == ["a blue thing number 2", "mean"]
    box.send_keys(Keys.CONTROL, "a")
    box.send_keys(Keys.DELETE)
    assert {option.text for option in verdict.options} >= {"any", "better"}
    verdict.select_by_visible_text("better")
    assert reader.column(0) == [ARMS[1], BESIDE]


def test_an_arm_and_a_trial_are_opened_by_keyboard_alone(reader):
    arm = reader.one("section[data-table] .open", "bare")
    arm.send_keys(Keys.ENTER)
    assert reader.one("dialog h2").text == ARMS[1] and "16 trials" in reader.one("dialog .small").text
    assert len(reader.column(0, "dialog table")) == 16
    reader.one("dialog .open", "a blue thing number 0").send_keys(Keys.ENTER)
    assert reader.one("dialog h2").text == "a blue thing number 0"
    headings = [x.text for x in reader.all("dialog h3")]
    assert headings == [
        "Views",
        "Over training",
        "Training",
        "Scores",
        "What differs from the baseline",
        "Where it lies",
    ]
    assert len(reader.all("dialog .strip-row img")) == 10 and len(reader.all("dialog svg polyline")) == 2
    text = reader.one("dialog").text
    assert "width" in text and "63" in text and "64" in text, "its field and the baseline's"
    assert "python -m bench show v1__thing-2__s0__00000000" in text and "total loss" in text
    reader.one("dialog button", "← All").click()
    assert reader.one("dialog h2").text == ARMS[1]
    ActionChains(reader.driver).send_keys(Keys.ESCAPE).perform()
    assert not reader.js("return document.querySelector('dialog').open")
    assert reader.js("return document.activeElement === arguments[0]", arm), "back where one was"


def test_why_a_trial_failed_and_a_link_to_it(reader):
    reader.one("section[data-table] .open", "other").click()
    assert "failed: the loss was <i>not</i> finite" in reader.one("dialog").text
    reader.driver.get(reader.path.as_uri() + "#trial=v2__thing-3__s1__00000000")
    reader.driver.refresh()
    assert "failed: the loss was <i>not</i> finite" in reader.one("dialog .worse").text
    assert reader.one("dialog h2").text == CAPTIONS[3]


def test_turntables_turn_together(reader):
    look = reader.one("#look")
    places = "return [...document.querySelectorAll('#look .frame img')].map(x => x.style.transform)"
    reader.js("arguments[0].scrollIntoView()", look)
    before = reader.js(places)
    assert len(before) == 3 and len(set(before)) == 1 and reader.one("#look output").text == "azimuth 0°"
    reader.wait(lambda: reader.js("return [...document.querySelectorAll('#look img')].every(x => x.naturalWidth)"))
    slider = reader.one("#look input[type=range]")
    numbers = "return [...document.querySelectorAll('#look figcaption small')].map(x => x.textContent)"
    assert all(re.fullmatch(r"(baseline, )?(\d+\.\d+) dB here, mean \2 dB", text) for text in reader.js(numbers))
    slider.send_keys(Keys.ARROW_RIGHT)
    assert all(re.fullmatch(r"(baseline, )?mean \d+\.\d+ dB", text) for text in reader.js(numbers)), "not scored"
    after = reader.js(places)
    assert len(set(after)) == 1 and after != before
    assert slider.get_attribute("aria-valuetext") == reader.one("#look output").text == "azimuth 45°"
    play = reader.one("#look button", "Play")
    play.click()
    reader.wait(lambda: reader.js(places) != after)
    assert play.text == "Pause" and play.get_attribute("aria-pressed") == "true"
    play.click()
    rest = reader.js(places)
    reader.driver.execute_async_script("setTimeout(arguments[0], 600)")
    assert reader.js(places) == rest and play.text == "Play"
    Select(reader.one("#look .tools label:nth-child(3) select")).select_by_visible_text("over training")
    assert reader.one("#look output").text.startswith("step ")
    reader.one("#look button", "Next").click()
    assert CAPTIONS[1] in reader.one("#look .frame img").get_attribute("alt")


def test_a_mesh_is_loaded_when_asked_for_and_turned_by_dragging_and_by_keys(reader):
    assert not reader.all("iframe")
    button = reader.one("#objects button", "Load the mesh")
    reader.js("arguments[0].scrollIntoView({block: 'center'})", button)
    button.click()
    frame = reader.one("#objects iframe")
    reader.driver.switch_to.frame(frame)
    canvas = reader.wait(lambda: reader.all("canvas"))[0]
    reader.wait(lambda: reader.js("return typeof camera === 'object' && typeof controls === 'object'"))
    before = reader.js("return camera.position.toArray()")
    shown = base64.b64decode(canvas.screenshot_as_base64)
    ActionChains(reader.driver).click_and_hold(canvas).move_by_offset(60, 20).move_by_offset(40, 0).release().perform()
    reader.wait(lambda: reader.js("return camera.position.toArray()") != before)
    assert base64.b64decode(canvas.screenshot_as_base64) != shown, "it looks otherwise"
    where = "return [camera.position.clone().sub(controls.target).length(), ...camera.position.toArray()]"
    far, *before = reader.js(where)
    keys = ActionChains(reader.driver)
    keys.send_keys(Keys.ARROW_LEFT, Keys.ARROW_UP).perform()
    turned, *after = reader.js(where)
    assert turned == pytest.approx(far, rel=1e-6) and np.abs(np.subtract(after, before)).max() > 0.05
    keys = ActionChains(reader.driver)
    keys.send_keys(Keys.ARROW_DOWN, Keys.ARROW_RIGHT, "+").perform()
    nearer, *back = reader.js(where)
    assert nearer == pytest.approx(0.9 * far, rel=1e-4) and np.divide(back, before) == pytest.approx(0.9, abs=0.02)
    assert "arrow keys turn it" in canvas.get_attribute("aria-label") and canvas.get_attribute("tabindex") == "0"
    reader.driver.switch_to.default_content()


def test_votes_are_cast_by_keys_and_buttons_and_saved(reader):
    reader.js("document.querySelector('#vote .tiles').scrollIntoView({block: 'center'})")
    assert not reader.one("#vote button", "Save votes").is_enabled()
    asked = reader.one("#vote .tiles").get_attribute("innerHTML")
    assert not any(arm in asked for arm in ("full", "bare", "other")), "blind"
    said = reader.one("#vote .votes output")
    reader.one("#vote button", "A is better").click()
    assert said.text.startswith("1 vote,")
    reader.driver.execute_async_script("setTimeout(arguments[0], 100)")
    ActionChains(reader.driver).send_keys("b").send_keys("=").perform()
    assert said.text.startswith("3 votes,")
    reader.one(".tools input[type=search]").send_keys("a")
    assert said.text.startswith("3 votes,"), "who writes does not vote"
    reader.driver.refresh()
    reader.one("#vote button", "Save votes").click()
    path = reader.downloads / "votes-made-up.json"
    reader.wait(path.exists)
    saved = json.loads(path.read_text())
    assert (saved["schema"], saved["suite"], set(saved)) == (1, "made <up>", {"schema", "suite", "votes"})
    assert [vote["choice"] for vote in saved["votes"]] == ["left", "right", "tie"]
    known = set(reader.data()["trials"]["id"])
    for vote in saved["votes"]:
        left, right = vote["left"].split("__"), vote["right"].split("__")
        assert {vote["left"], vote["right"]} <= known and left[0] != right[0] and left[1] == right[1]
    reader.one("#vote button", "Forget votes").click()
    assert reader.one("#vote .votes output").text == "no vote yet"


def test_names_are_shown_and_never_run(reader):
    from selenium.common.exceptions import NoAlertPresentException

    reader.js("window.addEventListener('securitypolicyviolation', () => { window.violated = true; })")
    shown = reader.js("return document.querySelector('#look select:has(option:nth-child(6))').textContent")
    assert CAPTIONS[0] in shown and CAPTIONS[1] in shown
    for name in (CAPTIONS[0], CAPTIONS[1]):
        reader.js("document.querySelectorAll('details').forEach(x => { x.open = true; })")
        reader.one("section[data-table] table[data-rows=clusters] .open", name).click()
        assert reader.one("dialog h2").text == name
        reader.one("dialog .open", ARMS[0]).click() if reader.all("dialog .open") else None
        reader.one("dialog button", "Close").click()
    with pytest.raises(NoAlertPresentException):
        _ = reader.driver.switch_to.alert.text
    assert reader.js("return document.scripts.length") == 2 and not reader.all("b") and not reader.all("i")
    assert reader.data()["tables"][0]["clusters"][0] == CAPTIONS[0]


def test_what_a_reader_of_screens_needs(reader):
    reader.one("section[data-table] .open", "bare").click()
    reader.one("dialog .open", "a blue thing number 0").click()
    without = """
    const all = document.querySelectorAll('img, iframe, svg[role=img], input, select, button, a');
    return [...all].filter(x => {
      const name = x.getAttribute('alt') || x.getAttribute('aria-label') || x.title || x.textContent.trim();
      const label = x.labels && [...x.labels].some(l => l.textContent.trim());
      return !name && !label;
    }).map(x => x.outerHTML)"""
    assert reader.js(without) == []
    levels = reader.js("return [...document.querySelectorAll('main h1, main h2, main h3')].map(x => +x.tagName[1])")
    assert levels[0] == 1 and levels.count(1) == 1 and all(b - a <= 1 for a, b in zip(levels, levels[1:], strict=False))
    assert reader.js("return document.documentElement.lang") == "en"


@pytest.mark.parametrize("width", [390, 1400])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_it_fits_the_window(reader, width, scheme):
    size = {"width": width, "height": 844, "deviceScaleFactor": 1, "mobile": False}
    reader.driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
    features = [{"name": "prefers-color-scheme", "value": scheme}]
    reader.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": features})
    try:
        assert reader.js("const x = document.documentElement; return [innerWidth, x.scrollWidth - x.clientWidth]") == [
            width, 0
        ]  # fmt: skip
        paper = reader.js("return getComputedStyle(document.body).backgroundColor")
        assert paper == {"light": "rgb(255, 255, 255)", "dark": "rgb(22, 24, 28)"}[scheme]
        reader.one("section[data-table] .open", "bare").click()
        assert reader.js("return document.querySelector('dialog').scrollWidth") <= min(width, 980)
    finally:
        reader.driver.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})
        reader.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": []})


def test_without_the_script_the_page_can_be_read(reader):
    reader.driver.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": True})
    try:
        reader.driver.refresh()
        text = reader.one("main").text
        assert "PSNR" in text and ARMS[1] in text and "How it was made" in text
        assert "Side by side" not in text and "Blind vote" not in text and "viewer" in text
    finally:
        reader.driver.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": False})


def test_the_whole_folder_comes_out_the_same_again(report, tmp_path):
    again = written(tmp_path)
    assert contents(again.parent) == contents(report.parent)
