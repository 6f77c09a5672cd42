"""Ceiling, chance and notes beside a table of captions are right."""

from __future__ import annotations

from bench.report import caption_notes
from bench.report.caption_context import CaptionTableContext
from tasks.captions.caption_sets import caption_set

JUDGE = "embedded-judge-rn"
CLUSTERS = ["a blue dotted guitar", "an orange metallic snowman", "a pink windmill"]
METRICS = (f"rprec1@{JUDGE}", f"margin@{JUDGE}", "rprec1@guide", "opacity")


def closed_world(**known):
    return CaptionTableContext(caption_set("closed-world"), JUDGE, **known)


def test_the_embedded_set_is_named_and_explained():
    first, embedded = caption_notes.write_caption_notes(closed_world(), METRICS, CLUSTERS)
    assert "128 captions of closed-world" in first and "5230974a1fc6" in first
    assert embedded == caption_notes.EMBEDDED


def test_ceiling_and_chance_are_found():
    rows = caption_notes.find_reference_rows(closed_world(), METRICS, CLUSTERS)
    found = {(row.name, row.metric): row for row in rows}
    ceiling, chance = caption_notes.TRUE_RENDERS, caption_notes.CHANCE
    assert list(found) == [
        (ceiling, METRICS[0]),
        (ceiling, METRICS[1]),
        (ceiling, METRICS[3]),
        (chance, METRICS[0]),
        (chance, METRICS[2]),
    ]
    assert 0.8 < found[ceiling, METRICS[0]].low <= found[ceiling, METRICS[0]].mean <= 1
    assert found[chance, METRICS[0]] == (chance, METRICS[0], 1 / 128, None, None)


def test_a_ceiling_over_fewer_captions_says_so():
    notes = caption_notes.write_caption_notes(closed_world(), METRICS, [*CLUSTERS, "no such thing"])
    assert "3 of the 4 captions" in notes[2]


def test_other_sets_have_chance_alone_and_no_path(captioned):
    notes = captioned.result.notes
    assert "8 captions of a file of yours" in notes[0] and "abababababab" in notes[0]
    rows = caption_notes.find_reference_rows(captioned.context, [f"rprec1@{JUDGE}"], [])
    assert rows == (("chance", f"rprec1@{JUDGE}", 0.125, None, None),)
    assert any("views of 16 px" in note for note in notes)
    assert not any("true renders" in note or note == caption_notes.EMBEDDED for note in notes)


def test_empty_fields_are_counted_where_there_are_any_and_a_margin():
    some, none = closed_world(num_empty=1, num_finished=9), closed_world(num_finished=9)
    notes = caption_notes.write_caption_notes(some, METRICS, CLUSTERS)
    assert caption_notes.EMPTY_MARGIN in notes and any("1 of 9 trials" in note for note in notes)
    for context, metrics in ((some, METRICS[:1]), (none, METRICS)):
        notes = caption_notes.write_caption_notes(context, metrics, CLUSTERS)
        assert not any("mpty field" in note for note in notes)


def test_failures_are_told():
    context = closed_world(failures=("an empty volume: bare 1 of 4",))
    assert any("bare 1 of 4" in note for note in caption_notes.write_caption_notes(context, METRICS, CLUSTERS))


def test_the_gap_between_guide_and_judge(captioned):
    gap = caption_notes.guide_judge_gap(captioned.result, JUDGE)
    assert gap is not None and "full +0.50, bare +0.62" in gap
    assert caption_notes.guide_judge_gap(captioned.result, "openai-vit-b-32") is None
