"""The data of a page's script: every trial in its place, compact, the same each time, safe between tags."""

from __future__ import annotations

import dataclasses
import json
import math
import re

import pytest

from bench.report.images.interactive_media import InteractiveMedia, MeshViewer
from bench.report.images.turntables import FrameStrip
from bench.report.page import html, quiz_words, script_data
from bench.report.page.script_data import InternedList
from tests.fixtures.report_studies import contents_of
from tests.fixtures.stored_trials import some_record


def given(made, records=None, media=None):
    records = made.records if records is None else records
    return script_data.make_script_data(contents_of(made, title="s"), records, media)


def test_every_place_has_its_trial_and_its_numbers(usual):
    data = given(usual)
    (table,) = data["tables"]
    assert (table["arms"], table["baseline"], table["noun"]) == (["base", "better", "same"], 0, "scene")
    assert len(table["places"]) == len(usual.cells) == 48
    for (arm, cluster, seed, trial), scores, cell in zip(table["places"], table["scores"], usual.cells, strict=True):
        assert data["trials"]["id"][trial] == cell.trial_id
        assert (table["arms"][arm], table["clusters"][cluster], seed) == (cell.arm, cell.cluster, cell.seed)
        rows = usual.frame[(usual.frame["trial_id"] == cell.trial_id) & (usual.frame["metric"] == "psnr")]
        assert scores[0] == pytest.approx(rows["value"].mean(), rel=1e-5) if len(rows) else scores == [None] * 3
    assert table["verdicts"][1] == [usual.result.entry("better", metric).verdict for metric in usual.result.metrics]


def test_a_baseline_that_was_not_chosen_is_no_row(without_baseline):
    table = given(without_baseline)["tables"][0]
    assert (table["arms"], table["baseline"]) == (["better", "same"], -1)
    assert set(table["differs"]) == {None}


def test_what_became_of_trials(usual):
    data = given(usual, usual.records[1:])
    trials = data["trials"]
    assert trials["id"] == sorted(trials["id"])
    assert [trials["status"].count(status) for status in (0, 1, 2)] == [46, 1, 1]
    failed = trials["status"].index(1)
    assert data["reasons"][trials["reason"][failed]] == "the loss was not finite at step 7"
    absent = trials["status"].index(2)
    assert trials["id"][absent] == usual.records[0].trial_id
    assert all(trials[name][absent] is None for name in ("reason", "seconds", "steps", "curves"))
    assert trials["seconds"][failed] == 14


def test_why_a_score_is_missing(captioned):
    (table,), reasons = given(captioned)["tables"], given(captioned)["reasons"]
    by_arm = {
        table["arms"][arm]: {reasons[i] for i in (why or {}).values()}
        for (arm, *_), why in zip(table["places"], table["whys"], strict=True)
    }
    assert by_arm == {"full": set(), "bare": set(), "other guide": {"in-loop"}}


def test_curves_are_thinned_and_what_is_not_finite_is_none(usual):
    record = usual.records[0]
    steps = [float(i) for i in range(1, 101)]
    goal = [0.5] * 100
    curves = {"step": steps, "loss": [math.nan, *([0.123456] * 99)], "loss_target": goal, "mse": steps}
    once = InternedList()
    found = script_data.thin_curves(dataclasses.replace(record, curves=curves), once)
    assert set(found) == {"step", "loss", "loss_target"} and len(found["loss"]) == script_data.MOST_POINTS
    assert found["loss"][0] is None and found["loss"][1] == 0.123
    assert once.values[found["loss_target"]] == [0.5] * script_data.MOST_POINTS
    assert once.values[found["step"]][0] == 1 and once.values[found["step"]][-1] == 100
    assert script_data.thin_curves(dataclasses.replace(record, curves={"step": [], "loss": []}), once) is None
    assert script_data.thin_curves(dataclasses.replace(record, curves={"step": [1.0], "mse": [1.0]}), once) is None


def test_fields_that_differ_from_the_baseline(usual):
    base, other = usual.records[0], usual.records[1]
    left = {"task": {"type": "T", "scene": "a"}, "method": {"type": "M", "field": {"type": "F", "width": 4}, "k": None}}
    right = {
        "task": {"type": "T", "scene": "a"},
        "method": {"type": "M", "field": {"type": "F", "width": 8}, "k": "<b>"},
    }
    pair = [dataclasses.replace(its, identity=identity) for its, identity in ((other, right), (base, left))]
    assert script_data.fields_that_differ(*pair) == [["field.width", "8", "4"], ["k", "<b>", "none"]]
    assert script_data.fields_that_differ(pair[0], pair[0]) == []
    assert script_data.fields_that_differ(None, base) is None and script_data.fields_that_differ(base, None) is None


def test_what_can_be_looked_at(usual):
    first, second = sorted(cell.trial_id for cell in usual.cells)[:2]
    reels = {trial_id: (FrameStrip("views", f"media/{trial_id}.webp", ("view 0", "view 1"), 8, 6, b"w"),)
             for trial_id in (first, second)}  # fmt: skip
    viewer = MeshViewer(first, "n", "a", "about", {"objects/x.html": b"h", "objects/x.glb": b"g"})
    shown = InteractiveMedia(reels=reels, viewers=(viewer,))
    assert set(shown.contents()) == {f"media/{first}.webp", f"media/{second}.webp", "objects/x.html", "objects/x.glb"}
    data = given(usual, media=shown)
    assert data["reels"]["0"] == {"views": {"path": f"media/{first}.webp", "labels": 0, "width": 8, "height": 6}}
    assert data["viewers"] == {"0": "objects/x.html"} and data["labels"] == [["view 0", "view 1"]]


def test_each_frame_has_the_number_of_its_own_view(usual):
    trial_id = sorted(cell.trial_id for cell in usual.cells)[0]
    metric = usual.result.metrics[0]
    rows = usual.frame[(usual.frame["trial_id"] == trial_id) & (usual.frame["metric"] == metric)]
    by_view = dict(zip(rows["view"], rows["value"], strict=True))
    views = (*by_view, 999)
    strip = FrameStrip("views", "media/a.webp", tuple(map(str, views)), 8, 6, b"w", views)
    table = given(usual, media=InteractiveMedia(reels={trial_id: (strip,)}))["tables"][0]
    assert table["views"] == {"0": [pytest.approx(value, rel=1e-5) for value in by_view.values()] + [None]}
    assert (
        given(usual, media=InteractiveMedia(reels={trial_id: (strip._replace(views=()),)}))["tables"][0]["views"] == {}
    )


def test_the_same_each_time_and_safe_between_tags(hostile):
    shuffled = given(hostile, hostile.records[::-1])
    text = script_data.dump_json(given(hostile))
    assert text == script_data.dump_json(shuffled) and "<" not in text and "\x1b" not in text
    assert json.loads(text)["tables"][0]["arms"][1] == "<script>alert(1)</script> & $x^2$ [red]\ufffd[31m"


# The look of the page


def schemes():
    """Colours by name, light and dark."""
    style = html.asset("page.css")
    found = [dict(re.findall(r"--(\w+): (#\w{6});", block)) for block in re.findall(r":root \{(.*?)\}", style, re.S)]
    assert len(found) == 2 and set(found[0]) == set(found[1])
    return found


def luminance(color):
    parts = [int(color[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [x / 12.92 if x <= 0.04045 else ((x + 0.055) / 1.055) ** 2.4 for x in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(a, b):
    """Contrast of WCAG 2.1: 1 for equal colours, 21 for black on white."""
    high, low = sorted((luminance(a), luminance(b)), reverse=True)
    return (high + 0.05) / (low + 0.05)


def test_contrast_of_black_and_white():
    assert contrast("#000000", "#ffffff") == pytest.approx(21)
    assert contrast("#777777", "#ffffff") == pytest.approx(4.48, abs=0.01)


@pytest.mark.parametrize("place", [0, 1], ids=["light", "dark"])
def test_everything_can_be_read_in_both_schemes(place):
    colors = schemes()[place]
    for ground in ("paper", "wash"):
        for ink in ("ink", "quiet", "better", "worse", "link"):
            assert contrast(colors[ink], colors[ground]) >= 4.5, (ink, ground)
    assert contrast(colors["edge"], colors["paper"]) >= 3, "edges of controls"


def test_nothing_moves_by_itself_and_focus_is_seen():
    style = html.asset("page.css")
    assert "@media (prefers-reduced-motion: reduce)" in style and ":focus-visible { outline: 2px" in style
    assert "animation:" not in style.replace("animation: none", "") and "@keyframes" not in style


def test_the_script_writes_text_as_text():
    script = html.explorer_script()
    for way in ("innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval(", "new Function", "</"):
        assert way not in script
    assert "fetch(" not in script and "XMLHttpRequest" not in script and "import(" not in script


def test_a_blind_quiz_asks_about_captions_of_the_world_alone():
    hat, other, failed = (
        some_record(f"full__x__s{seed}__0", cluster=cluster)
        for seed, cluster in enumerate(["a red hat", "a <red> kite", "a blue hat"])
    )
    failed = dataclasses.replace(failed, status="failed", reason="it burnt")
    places = {record.trial_id: 10 + place for place, record in enumerate((hat, other, failed))}
    found = quiz_words.list_asked_trials([hat, other, failed], places)
    assert (found["trials"], found["things"]) == ([10], [0])
    assert set(found["swatches"]) == set(found["properties"]["color"])
    assert quiz_words.list_asked_trials([other, failed], places) is None
    assert quiz_words.list_asked_trials([hat], {}) is None


def test_a_blind_quiz_knows_which_trials_show_one_thing():
    captions = ["a red hat", "a blue hat", "a red hat", "a green duck", "a blue hat"]
    records = [some_record(f"full__x__s{place}__0", cluster=cluster) for place, cluster in enumerate(captions)]
    found = quiz_words.list_asked_trials(records[::-1], {record.trial_id: i for i, record in enumerate(records)})
    assert (found["trials"], found["things"]) == ([0, 1, 2, 3, 4], [0, 1, 0, 2, 1])
    assert "hat" not in str(found["things"]), "numbers give nothing away"
