"""Objects made from captions are shown from one camera, with what a judge took them for; nothing where none is kept."""

from __future__ import annotations

import pathlib

import numpy as np
import pytest

from bench.report.images import caption_sheets, image_grid
from bench.storage.store import Store
from bench.suites.suite import TrialSlot
from tasks.captions.caption_sets import CaptionSet

JUDGE = "embedded-judge-rn"
CAPTIONS = CaptionSet("mine", tuple(f"a thing number {i}" for i in range(20)), "")


class Kept(Store):
    """A store of views and scores in memory; the trials of arm b failed."""

    def __init__(self, with_views=True, strip=True):
        super().__init__(pathlib.Path("nowhere"))
        self.with_views = with_views
        self.strip = strip

    def finished(self, name):
        return name.startswith("a")

    def failed(self, name):
        return name.startswith("b")

    def has_views(self, name):
        return self.with_views

    def views(self, name):
        i = int(name[1:])
        found = {"color": np.full((3, 8, 8, 3), i / 20, np.float16), "ids": np.asarray([0, 1, 2], np.int32)}
        found["color"][0] = 1.0
        if self.strip:
            found |= {"strip": np.full((2, 8, 8, 3), i / 20, np.float16), "strip_steps": np.asarray([5, 10], np.int32)}
        return found

    def scores(self, name):
        i = int(name[1:])
        context = {f"predicted@{JUDGE}": [0, i if i % 2 else 3, 0]}
        return {"std-v1": {"view_ids": [0, 1, 2], "field_state": "ok", "about": {"place": i}, "context": context}}


def judged(store):
    return caption_sheets.JudgedStore(store, "std-v1", JUDGE, CAPTIONS)


def cells(arms="ab", num=14):
    return [TrialSlot("t", arm, f"{arm}{i}", CAPTIONS.captions[i], 0) for arm in arms for i in range(num)]


@pytest.fixture
def drawn(monkeypatch):
    """Tiles of the sheets that were drawn."""
    found = {}
    for name in ("draw_sheet", "draw_gallery"):
        real = getattr(image_grid, name)

        def spy(tiles, *args, name=name, real=real, **options):
            found[name] = tiles
            return real(tiles, *args, **options)

        monkeypatch.setattr(image_grid, name, spy)
    return found


def test_rows_are_the_first_captions_and_labels_what_the_judge_found(drawn):
    assert caption_sheets.draw_contact_sheet(cells(), judged(Kept()))
    rows = drawn["draw_sheet"]
    assert list(rows) == list(CAPTIONS.captions[:12]) and list(rows["a thing number 0"]) == ["a", "b"]
    found, wrong = rows["a thing number 1"]["a"], rows["a thing number 2"]["a"]
    assert (found.label, found.tone) == ("found", "better") and found.color[0, 0, 0] == pytest.approx(0.05, abs=1e-3)
    assert (wrong.label, wrong.tone) == ("a thing number 3", "worse")
    assert rows["a thing number 1"]["b"] == image_grid.LabelledImage(None, "failed", "worse")


def test_an_arm_with_fewer_captions_leaves_places_empty(drawn):
    caption_sheets.draw_contact_sheet([*cells("a", 3), *cells("b", 1)], judged(Kept()))
    assert drawn["draw_sheet"]["a thing number 2"]["b"] == image_grid.LabelledImage(None, "not planned")


def test_all_of_one_arm_with_their_captions(drawn):
    image = caption_sheets.draw_arm_gallery(cells("a", 20), judged(Kept()))
    assert [tile.label for tile in drawn["draw_gallery"]] == list(CAPTIONS.captions)
    found = [i for i, tile in enumerate(drawn["draw_gallery"]) if tile.tone == "better"]
    assert found == list(range(1, 20, 2))
    assert image.width == image_grid.GAP_PX + 8 * (160 + image_grid.GAP_PX)


def test_a_strip_a_caption(drawn):
    assert caption_sheets.draw_training_strips(cells("a"), Kept())
    rows = drawn["draw_sheet"]
    assert len(rows) == caption_sheets.NUM_STRIPS and list(rows["a thing number 0"]) == ["step 5", "step 10"]
    assert caption_sheets.draw_training_strips(cells("a"), Kept(strip=False)) is None


def test_a_store_without_views_has_no_pictures():
    for made in (
        caption_sheets.draw_contact_sheet(cells(), judged(Kept(False))),
        caption_sheets.draw_training_strips(cells("a"), Kept(False)),
        caption_sheets.draw_arm_gallery(cells("a"), judged(Kept(False))),
    ):
        assert made is None


@pytest.mark.parametrize(
    ("scores", "said"),
    [
        (None, "not scored"),
        ({"field_state": "empty"}, "empty field"),
        ({"view_ids": [0]}, "not judged"),
        ({"context": {f"predicted@{JUDGE}": [0, None]}}, "not finite"),
    ],
)
def test_where_there_is_no_verdict_that_is_said(scores, said):
    usual = {"view_ids": [0, 1], "field_state": "ok", "about": {"place": 0}, "context": {f"predicted@{JUDGE}": [0, 0]}}
    assert caption_sheets.describe_verdict(None if scores is None else usual | scores, JUDGE, CAPTIONS)[0] == said
