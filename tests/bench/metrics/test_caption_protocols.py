"""Protocols of captions against plain loops, with an encoder that sees mean colours and reads colour words."""

from __future__ import annotations

import dataclasses
import json
import shutil

import jax.numpy as jnp
import numpy as np
import pytest

from bench.errors import UsageError
from bench.metrics.caption_protocols import CAPTION_PROTOCOLS, encoder_of
from bench.metrics.caption_scorers import RING
from bench.metrics.multiview_consistency import repeats
from bench.metrics.scores import Scores
from models.clip.checkpoints import catalog
from models.clip.encoder import Encoder
from models.clip.tokenizers import WordTokenizer
from tasks.captions import caption_task
from tasks.captions.caption_sets import CaptionSet
from tasks.captions.caption_task import CaptionData

COLORS = {
    "red": (1, 0, 0), "green": (0, 1, 0), "blue": (0, 0, 1), "white": (1, 1, 1), "yellow": (1, 1, 0),
    "pink": (1, 0.3, 0.3), "brown": (0.6, 0.3, 0.1),
}  # fmt: skip
WORDS = tuple(COLORS)
PX = 8


@dataclasses.dataclass(frozen=True)
class ColorTowers:
    """Sees the mean colour; reads the colour of a word. `weights` makes two of them different."""

    weights: tuple[float, float, float] = (1, 1, 1)
    image_px: int = PX
    context_length: int = 3
    image_feature_names: tuple[str, ...] = ("embedding",)
    text_feature_names: tuple[str, ...] = ("embedding",)

    def image(self, params, images, feature):
        return images.mean(axis=(1, 2)) * jnp.asarray(self.weights)[None]

    def text(self, params, tokens, feature):
        rows = np.zeros((4 + len(WORDS), 3), np.float32)
        rows[4:] = [COLORS[word] for word in WORDS]
        return jnp.asarray(rows)[tokens[:, 1]] * jnp.asarray(self.weights)[None]

    def logit_scale(self, params):
        return jnp.ones(())


def fake(name, **towers):
    return Encoder(
        name=name, params={}, towers=ColorTowers(**towers), tokenizer=WordTokenizer(WORDS, 3), mean=(0.0, 0.0, 0.0),
        std=(1.0, 1.0, 1.0), sha256=name,
    )  # fmt: skip


FAKES = {"judge": fake("judge"), "second": fake("second", weights=(1, 1, 0.2)), "own": fake("own", weights=(2, 1, 1))}


def load_encoder(name):
    """Gives the fakes by name, and all others as always."""
    return FAKES[name] if name in FAKES else encoder_of(name)


def task(caption="red", judges=("judge", "second"), name="colors") -> CaptionData:
    return CaptionData(
        caption=caption,
        captions=CaptionSet(name, WORDS, "f" * 64),
        place=WORDS.index(caption),
        judges=judges,
        test=caption_task.views(PX),
        near=1.9,
        far=6.1,
        pixel_center=0.5,
        background=0.5,
    )


def field(seed=0, px=PX, opacity=None):
    """Every view in the noisy colour of some word; how opaque its pixels are."""
    random = np.random.default_rng(seed)
    tints = np.asarray([COLORS[word] for word in (*WORDS, *WORDS, *WORDS)][:17])[random.permutation(17)]
    straight = tints[:, None, None] * random.uniform(0.5, 1, (17, px, px, 3))
    hides = random.uniform(0.6, 1, (17, px, px)) if opacity is None else np.full((17, px, px), opacity)
    return straight, hides


def stored(straight, opacity, grey=0.5):
    color = straight * opacity[..., None] + grey * (1 - opacity[..., None])
    return {
        "color": color.astype(np.float16),
        "opacity": opacity.astype(np.float16),
        "distance": np.ones_like(opacity, np.float16),
        "ids": np.arange(17, dtype=np.int32),
    }


def score(data, views, guides=(), name="std-v1") -> Scores:
    return CAPTION_PROTOCOLS[name].score(data, views, guides, load_encoder)


def slow(straight, opacity, view, background, place, weights=(1, 1, 1)):
    """One view's cosines with all words, from what was rendered and not from what was stored."""
    seen = (straight[view] * opacity[view][..., None] + background * (1 - opacity[view][..., None])).mean(axis=(0, 1))
    read = np.asarray([COLORS[word] for word in WORDS]) * weights
    seen = seen * weights
    cosines = [float(seen @ row / np.linalg.norm(seen) / np.linalg.norm(row)) for row in read]
    others = [x for i, x in enumerate(cosines) if i != place]
    return cosines, cosines[place], max(others), 1 + sum(x >= cosines[place] for x in others)


# --- what the numbers are ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("caption", ["red", "yellow"])
def test_std_v1_is_its_slow_twin(caption):
    straight, opacity = field()
    data = task(caption)
    scores = score(data, stored(straight, opacity), guides=("own",))
    assert scores.view_ids == RING
    for judge, weights in (("judge", (1, 1, 1)), ("second", (1, 1, 0.2)), ("guide", (2, 1, 1))):
        for i in RING:
            cosines, own, other, rank = slow(straight, opacity, i, 0.5, data.place, weights)
            assert scores.per_view[f"rprec1@{judge}"][i] == (rank == 1)
            assert scores.per_view[f"margin@{judge}"][i] == pytest.approx(own - other, abs=1e-3)  # float16
            if judge == "guide":
                continue
            assert scores.per_view[f"rprec5@{judge}"][i] == (rank <= 5)
            assert scores.per_view[f"rank@{judge}"][i] == rank
            assert scores.per_view[f"cosine@{judge}"][i] == pytest.approx(own, abs=1e-3)
            assert cosines[scores.context[f"predicted@{judge}"][i]] == max(cosines)
            assert cosines[scores.context[f"wrong@{judge}"][i]] == other
            _, own, other, rank = slow(straight, opacity, i, 1.0, data.place, weights)
            assert scores.per_view[f"rprec1_white@{judge}"][i] == (rank == 1)
            assert scores.per_view[f"margin_white@{judge}"][i] == pytest.approx(own - other, abs=1e-3)
    for i in RING:
        assert scores.per_view["opacity"][i] == pytest.approx(opacity[i].mean(), abs=1e-3)
    assert 0 < np.mean(scores.per_view["rprec1@judge"]) < 1  # it is a test only where both occur
    assert scores.reasons == {} and scores.departs is None and scores.field_state == "ok"
    assert set(scores.per_view) == {
        "opacity",
        "repeats",
        "rprec1@guide",
        "margin@guide",
        *(f"{metric}@{judge}" for metric in CAPTION_PROTOCOLS["std-v1"].metrics for judge in ("judge", "second")),
    }
    for name in scores.per_view:
        named = name.replace("@judge", "@embedded-judge-rn").replace("@second", "@embedded-judge-vit")
        assert CAPTION_PROTOCOLS["std-v1"].has_metric(named)


def test_dreamfields_2022_is_one_view_on_white():
    straight, opacity = field()
    data = task("red", name="coco-153")
    scores = score(data, stored(straight, opacity), guides=("own",), name="dreamfields-2022")
    cosines, own, _, rank = slow(straight, opacity, 16, 1.0, data.place)
    assert scores.view_ids == (16,) and scores.departs is None
    assert scores.per_view["rprec1@judge"] == [rank == 1]
    assert scores.per_view["cosine@judge"][0] == pytest.approx(own, abs=1e-3)
    nll = np.log(sum(np.exp(x) for x in cosines)) - own
    assert scores.per_view["nll@judge"][0] == pytest.approx(nll, abs=1e-3)
    assert (scores.context["azimuth_deg"], scores.context["elevation_deg"]) == ([30.0], [45.0])
    assert not any(name.startswith(("rank", "margin", "repeats", "rprec1_white")) for name in scores.per_view)


def test_repeats_is_that_of_each_ring():
    straight, opacity = field(3)
    scores = score(task(), stored(straight, opacity))
    for ring in (RING[:8], RING[8:]):
        seen = [
            (straight[i] * opacity[i][..., None] + 0.5 * (1 - opacity[i][..., None])).mean(axis=(0, 1)) for i in ring
        ]
        expected = repeats(np.stack([x / np.linalg.norm(x) for x in seen]))
        assert [scores.per_view["repeats"][i] for i in ring] == pytest.approx([expected] * 8, abs=1e-3)


def test_stored_views_may_come_in_any_order():
    views = stored(*field())
    order = np.random.default_rng(0).permutation(17)
    shuffled = {key: value[order] for key, value in views.items()}
    assert score(task(), shuffled, ("own",)) == score(task(), views, ("own",))


def test_context_has_the_angles_of_the_views():
    scores = score(task(), stored(*field()))
    assert scores.context["azimuth_deg"] == [45.0 * (i % 8) for i in range(16)]
    assert scores.context["elevation_deg"] == [15.0] * 8 + [45.0] * 8


def test_about_says_set_chance_judges_and_guides_and_survives_a_file():
    data = task(judges=("judge", "embedded-judge-rn"))
    scores = score(data, stored(*field()), guides=("embedded-vit-8",))
    assert scores.about == {
        "caption": "red", "place": 0, "captions": "colors", "sha256": "f" * 64, "size": 7,
        "chance": 1 / 7, "chance5": 5 / 7,
        "judges": {"judge": None, "embedded-judge-rn": catalog.EMBEDDED["embedded-judge-rn"]},
        "guides": {"embedded-vit-8": catalog.EMBEDDED["embedded-vit-8"]},
    }  # fmt: skip
    assert Scores.from_json(json.loads(json.dumps(scores.to_json(), allow_nan=False))) == scores


# --- misses -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("opacity", "state"), [
    (0.0, "empty"), (0.009, "empty"), (0.02, "ok"), (0.98, "ok"), (0.995, "solid"), (1.0, "solid"),
])  # fmt: skip
def test_an_empty_or_solid_field_is_a_miss_in_every_view(opacity, state):
    straight, clear = field(opacity=opacity)
    straight[...] = COLORS["red"]  # a solid one looks like its caption from everywhere
    data = task("red") if opacity > 0.5 else task("white")  # an empty one looks grey: like that word
    scores = score(data, stored(straight, clear), guides=("own",))
    hit = state == "ok"
    assert scores.field_state == state
    for judge in ("judge", "second"):
        assert scores.per_view[f"rprec1@{judge}"] == scores.per_view[f"rprec5@{judge}"] == [float(hit)] * 16
        assert scores.per_view[f"rank@{judge}"] == [1.0 if hit else 7.0] * 16
        assert min(scores.per_view[f"margin@{judge}"]) > 0  # as measured
    assert scores.per_view["rprec1@guide"] == [float(hit)] * 16
    assert scores.per_view["rprec1_white@judge"] == [float(hit)] * 16
    told = f"the field is {state}: a miss in every view"
    assert scores.reasons.get("rprec1@judge") == scores.reasons.get("rank@second") == (None if hit else told)
    if hit:
        assert scores.per_view["repeats"] == pytest.approx([1.0] * 16)
    else:
        assert scores.per_view["repeats"] == [None] * 16
        assert scores.reasons["repeats"] == f"the field is {state}: it has no sides"


def test_the_state_is_that_of_the_ring_also_where_one_view_is_scored():
    straight, opacity = field(opacity=0.0)
    opacity[16] = 0.5
    assert score(task(), stored(straight, opacity), name="dreamfields-2022").field_state == "empty"


def test_one_clear_pixel_is_not_solid():
    straight, opacity = field(opacity=1.0)
    opacity[3, 0, 0] = 0.9
    assert score(task(), stored(straight, opacity)).field_state == "ok"


@pytest.mark.parametrize("what", ["color", "opacity"])
def test_a_render_that_is_not_finite_has_no_numbers(what):
    views, whole = stored(*field()), stored(*field())
    views[what][5].flat[0] = np.nan
    scores, expected = score(task(), views, ("own",)), score(task(), whole, ("own",))
    assert scores.field_state == ("unknown" if what == "opacity" else "ok")
    for name, values in scores.per_view.items():
        gone = [i < 8 for i in RING] if name == "repeats" else [i == 5 for i in RING]
        assert [value is None for value in values] == gone
        assert [v for v in values if v is not None] == pytest.approx(
            [v for v, lost in zip(expected.per_view[name], gone, strict=True) if not lost], abs=1e-6
        )
        ring = "not all of the 8 views of its ring are there and finite"
        assert scores.reasons[name] == (ring if name == "repeats" else "render is not finite")
    assert scores.context["predicted@judge"][5] is None


# --- who judges -------------------------------------------------------------------------------------------------


def test_a_judge_that_guided_has_no_numbers():
    scores = score(task(), stored(*field()), guides=("own", "judge"))
    for metric in CAPTION_PROTOCOLS["std-v1"].metrics:
        assert scores.per_view[f"{metric}@judge"] == [None] * 16
        assert scores.reasons[f"{metric}@judge"] == "in-loop: it guided this trial; see rprec1@guide"
        assert None not in scores.per_view[f"{metric}@second"]
    assert scores.per_view["repeats"] == [None] * 16  # never by the eyes of a guide
    assert "predicted@judge" not in scores.context
    assert None not in scores.per_view["rprec1@guide"]


def test_the_same_weights_under_another_name_are_the_guide(tmp_path):
    copy = tmp_path / "renamed.safetensors"
    shutil.copy(catalog.EMBEDDED_FOLDER / "embedded-judge-rn.safetensors", copy)
    scores = score(task(judges=("embedded-judge-rn", "second")), stored(*field()), guides=("own", f"file:{copy}"))
    assert scores.reasons["rprec1@embedded-judge-rn"].startswith("in-loop")


def test_the_first_guide_is_the_one_of_guide():
    views = stored(*field())
    first = score(task(judges=("judge",)), views, guides=("second", "own"))
    alone = score(task(judges=("second",)), views)
    assert first.per_view["margin@guide"] == alone.per_view["margin@second"]


def test_without_a_guide_it_is_said_so():
    scores = score(task(), stored(*field()))
    assert scores.per_view["margin@guide"] == [None] * 16
    assert scores.reasons["rprec1@guide"] == "no encoder guided this trial"


def test_a_guide_that_reads_nothing_and_a_caption_too_long_have_reasons(monkeypatch):
    monkeypatch.setitem(FAKES, "blind", dataclasses.replace(FAKES["own"], name="blind", tokenizer=None))
    short = dataclasses.replace(FAKES["own"], name="short", tokenizer=WordTokenizer(WORDS, 2))
    monkeypatch.setitem(FAKES, "short", short)
    scores = score(task(judges=("judge", "short")), stored(*field()), guides=("blind",))
    assert scores.reasons["rprec1@guide"].startswith("blind: expected an encoder with CLIP's vocabulary")
    assert "expected at most 2 tokens" in scores.reasons["rank@short"]
    assert None not in scores.per_view["rank@judge"]


def test_a_judge_whose_weights_are_not_there_has_a_reason_of_one_line():
    scores = score(task(judges=("openai-rn101", "judge", "nobody")), stored(*field()))
    assert scores.per_view["rprec1@openai-rn101"] == [None] * 16
    reason = scores.reasons["rprec1@openai-rn101"]
    assert reason.startswith("openai-rn101: expected its weights at") and "\n" not in reason
    assert scores.reasons["rprec1@nobody"].startswith("encoder: expected one of the catalog, got 'nobody'")
    assert scores.reasons["repeats"] == reason  # by the first judge's eyes
    assert None not in scores.per_view["rprec1@judge"]


def test_judges_are_float32_and_read_once():
    found = encoder_of("embedded-judge-vit")
    assert found is encoder_of("embedded-judge-vit")
    assert found.towers.model.image_tower.dtype == jnp.float32


# --- what departs -----------------------------------------------------------------------------------------------


def test_views_of_another_size_are_resized_and_it_is_said(monkeypatch):
    monkeypatch.setitem(FAKES, "large", fake("large", image_px=16))
    scores = score(task(judges=("judge", "large")), stored(*field()), guides=("own",))
    assert scores.departs == "views of 8 px were brought to the 16 px of large by a bicubic filter"
    # a filter keeps the mean colour, but for edges and for what is cut off
    assert scores.per_view["margin@large"] == pytest.approx(scores.per_view["margin@judge"], abs=0.02)


def test_other_captions_than_the_papers_are_said():
    scores = score(task(), stored(*field()), name="dreamfields-2022")
    assert scores.departs == "dreamfields-2022 is defined on the captions coco-153; these are colors"


def test_part_of_the_views_is_said_and_its_ring_is_not_whole():
    views = {key: value[3:] for key, value in stored(*field()).items()}
    scores = score(task(), views)
    assert scores.view_ids == tuple(range(3, 16))
    assert scores.departs == "std-v1 is defined on 16 views; these are 13"
    assert [x is None for x in scores.per_view["repeats"]] == [True] * 5 + [False] * 8


@pytest.mark.parametrize(("change", "message"), [
    ({"ids": np.asarray([*range(16), 40])}, "17 test views, got view 40; render them again"),
    ({"ids": np.asarray([*range(16), 3])}, "17 test views, got one of them twice"),
    ({"ids": np.asarray([], np.int32)}, "17 test views, got none"),
    ({"color": np.zeros((17, 8, 4, 3), np.float16)}, "score: expected square views, got 4 x 8; render them"),
    ({"opacity": None}, "score: expected stored views with opacity, got none; render them again"),
])  # fmt: skip
def test_views_of_another_task_are_refused(change, message):
    views = {key: value for key, value in (stored(*field()) | change).items() if value is not None}
    with pytest.raises(UsageError, match=message):
        score(task(), views)


def test_a_protocol_needs_one_of_its_views():
    views = {key: value[:16] for key, value in stored(*field()).items()}
    with pytest.raises(UsageError, match=r"score: expected a view of dreamfields-2022 \(16\), got others"):
        score(task(), views, name="dreamfields-2022")


@pytest.mark.parametrize(("change", "message"), [
    ({"version": "1"}, "protocol std-v1: expected a version X.Y, got '1'"),
    ({"metrics": ("rprec",)}, "protocol std-v1: expected known metrics, got 'rprec'; the nearest is 'rprec"),
    ({"field_metrics": ("repeat",)}, "protocol std-v1: expected known metrics, got 'repeat'; the nearest is 'repeats'"),
])  # fmt: skip
def test_protocols_are_checked_when_they_are_made(change, message):
    with pytest.raises(ValueError, match=message):
        dataclasses.replace(CAPTION_PROTOCOLS["std-v1"], **change)
