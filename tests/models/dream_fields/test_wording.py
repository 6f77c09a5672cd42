"""Which captions an object must not fit."""

import pytest

from bench.errors import UsageError
from models.dream_fields.wording import NUM_NEGATIVES, choose_negatives, means, with_other_kinds
from tasks.captions.caption_task import CaptionTask
from tasks.closed_world import grammar
from tasks.closed_world.meanings import KINDS


def data_of(caption, captions="closed-world"):
    return CaptionTask(caption=caption, captions=captions, view_px=8).load()


def test_kinds_are_all_but_its_own():
    found = choose_negatives(data_of("a blue dotted guitar"), "kinds", ())
    assert {grammar.parse(caption).kind for caption in found} == set(KINDS) - {"guitar"}
    assert {(grammar.parse(caption).color, grammar.parse(caption).finish) for caption in found} == {("blue", "dotted")}
    assert len(found) == NUM_NEGATIVES == len(KINDS) - 1


def test_of_a_pair_one_thing_is_changed_at_a_time():
    pair = grammar.parse("a red cube under a gray mug")
    others = with_other_kinds(pair)
    changed = [(other.first.kind != "mug") + (other.second.kind != "cube") for other in others]
    assert set(changed) == {1} and {other.relation for other in others} == {"on"}
    assert {other.first.kind for other in others} >= {"ball", "robot"}
    assert {other.second.kind for other in others} >= {"bench", "bridge"}
    assert len(set(others)) == len(others)


def test_a_set_of_the_world_gives_other_meanings():
    data = data_of("a blue dotted guitar")
    found = choose_negatives(data, "set", ())
    assert len(set(found)) == NUM_NEGATIVES
    assert set(found) <= set(data.captions.captions) - {data.caption}


def test_captions_of_no_world_have_those_of_their_set(tmp_path):
    path = tmp_path / "mine.txt"
    path.write_text("a dragon\na snail made of baguette\na unicorn\n")
    data = data_of("a dragon", f"file:{path}")
    assert choose_negatives(data, "kinds", ()) == ["a snail made of baguette", "a unicorn"]
    assert not means("a unicorn", data) and means("A dragon.", data)


def test_given_captions_count_instead(tmp_path):
    data = data_of("a blue dotted guitar")
    assert choose_negatives(data, "kinds", ("fog", "A blue dotted guitar")) == ["fog"]
    with pytest.raises(UsageError, match=r"expected captions that differ from 'a blue dotted guitar' .* got none"):
        choose_negatives(data, "kinds", ("a blue dotted guitar",))
