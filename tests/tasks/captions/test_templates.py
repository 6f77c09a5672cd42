"""Grids are full and in a fixed order, held out is what is said to be, and the closed world's own are spread evenly."""

import collections
import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.errors import UsageError
from tasks.captions import templates
from tasks.captions.templates import TEMPLATES, Template
from tasks.closed_world import grammar
from tasks.closed_world import meanings as meanings_module
from tasks.closed_world.meanings import ObjectPairSpec, ObjectSpec

WORDS = st.lists(st.text("bcdfgh", min_size=1, max_size=4), min_size=2, max_size=7, unique=True).map(tuple)

each_template = pytest.mark.parametrize("template", TEMPLATES.values(), ids=list(TEMPLATES))


@given(WORDS, WORDS)
def test_every_cell_has_one_caption_and_the_first_ones_differ_in_both_words(rows, columns):
    template = Template(name="x", text="{} as {}", rows=rows, columns=columns)
    cells = template.cells
    assert set(cells) == set(itertools.product(range(len(rows)), range(len(columns)))) and len(set(cells)) == len(cells)
    assert set(template.captions) == {f"{row} as {column}" for row in rows for column in columns}
    assert template.captions == tuple(f"{rows[i]} as {columns[j]}" for i, j in cells)
    few = cells[: min(len(rows), len(columns))]
    assert len({i for i, _ in few}) == len({j for _, j in few}) == len(few)


@each_template
def test_held_out_and_seen_share_no_cell_and_every_word_is_in_both(template):
    assert not set(template.held_out) & set(template.seen)
    assert sorted(template.held_out + template.seen) == sorted(template.captions)
    assert 0.2 <= len(template.held_out) / len(template.captions) <= 0.4
    held_out = {cell for cell, c in zip(template.cells, template.captions, strict=True) if c in template.held_out}
    for side, words in enumerate((template.rows, template.columns)):
        for place in range(len(words)):
            own = {cell for cell in template.cells if cell[side] == place}
            assert own & held_out and own - held_out, words[place]


@pytest.mark.parametrize("name", ["shapes", "imitations", "materials"])
def test_of_other_grids_the_last_of_every_four_diagonals_is_held_out(name):
    template = TEMPLATES[name]
    expected = [caption for i, caption in enumerate(template.captions) if i // len(template.rows) % 4 == 3]
    assert list(template.held_out) == expected and len(expected) == 12
    assert "an armchair in the shape of an avocado" in TEMPLATES["shapes"].seen


@pytest.mark.parametrize("name", ["world-things", "world-pairs"])
def test_grids_of_the_closed_world_are_in_its_words_and_hold_out_what_it_does(name):
    template = TEMPLATES[name]
    meanings = {caption: grammar.parse(caption) for caption in template.captions}
    assert {caption: grammar.caption(meaning) for caption, meaning in meanings.items()} == {
        caption: caption for caption in template.captions
    }
    assert set(template.held_out) == {
        caption for caption, meaning in meanings.items() if meanings_module.is_held_out(meaning)
    }
    if name == "world-things":
        assert {meaning.finish for meaning in meanings.values()} == {"metallic"}
    else:  # held out by what stands on what, not by what each thing is
        assert all(not meanings_module.is_held_out(thing) for m in meanings.values() for thing in (m.first, m.second))
        assert len({thing.color for m in meanings.values() for thing in (m.first, m.second)}) == 12


def test_the_papers_and_the_talks_own_captions_are_there():
    expected = {
        "shapes": ("an armchair in the shape of an avocado", "a teapot in the shape of a glacier"),
        "imitations": ("an armchair imitating an avocado", "an armchair imitating a Rubik's cube"),
        "materials": ("a snail made of baguette",),
        "world-things": ("an orange metallic boat",),
        "world-pairs": ("a black robot on a pink bench", "an orange windmill on a gray sofa"),
    }
    for name, captions in expected.items():
        assert set(captions) <= set(TEMPLATES[name].captions)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"text": "a {} of wood"}, "template x: expected a text with {} twice and no other braces, got 'a {} of wood'"),
        ({"text": "{} {} {}"}, "expected a text with {} twice"),
        ({"text": "{} {} {kind}"}, "expected a text with {} twice and no other braces"),
        ({"rows": ("a",)}, "template x: expected two or more different words as rows, got .'a',."),
        ({"columns": ("a", "a")}, "expected two or more different words as columns"),
        ({"columns": ("a", " ")}, "expected two or more different words as columns"),
        ({"text": "{}{}", "rows": ("a", "ab"), "columns": ("bc", "c")}, "a caption of its own for every cell, got two"),
        ({"in_world": True}, "expected words of the closed world"),
    ],
)
def test_mistakes_are_told(fields, message):
    with pytest.raises(UsageError, match=message):
        Template(**{"name": "x", "text": "{} on {}", "rows": ("b", "c"), "columns": ("d", "f")} | fields)


def test_an_unknown_template_is_told():
    with pytest.raises(UsageError, match="template: expected a known one, got 'shape'; the nearest is 'shapes'"):
        templates.template("shape")
    assert templates.template("shapes") is TEMPLATES["shapes"]


@pytest.fixture
def meanings():
    return templates.closed_world()


class TestTheClosedWorld:
    def test_held_out_ones_come_first_three_things_to_a_pair(self, meanings):
        assert [meanings_module.split_of(meaning) for meaning in meanings] == ["held_out"] * 64 + ["train"] * 64
        assert [isinstance(meaning, ObjectPairSpec) for meaning in meanings] == [False, False, False, True] * 32

    def test_no_two_are_near_duplicates(self, meanings):
        things = [(m.kind, m.color) for m in meanings if isinstance(m, ObjectSpec)]
        pairs = [frozenset([m.first.kind, m.second.kind]) for m in meanings if isinstance(m, ObjectPairSpec)]
        assert len(set(things)) == len(things) == 96
        assert len(set(pairs)) == len(pairs) == 32

    def test_the_first_few_differ_in_kind_and_colour(self, meanings):
        for num, num_kinds, num_colors in ((4, 5, 5), (12, 15, 12)):
            things = [thing for m in meanings[:num] for thing in things_in(m)]
            assert len({thing.kind for thing in things}) == len(things) == num_kinds
            assert len({thing.color for thing in things}) == num_colors

    @pytest.mark.parametrize("num", [64, 128])
    def test_words_are_used_evenly(self, meanings, num):
        things = [thing for m in meanings[:num] for thing in things_in(m)]
        for field, known, most in (
            ("kind", meanings_module.KINDS, 2),
            ("color", meanings_module.COLORS, 2),
            ("finish", meanings_module.FINISHES, 3),
        ):
            counts = collections.Counter(getattr(thing, field) for thing in things)
            assert set(counts) == set(known)
            assert max(counts.values()) - min(counts.values()) <= most, field
        relations = collections.Counter(m.relation for m in meanings[:num] if isinstance(m, ObjectPairSpec))
        assert relations == dict.fromkeys(meanings_module.RELATIONS, num // 8)

    def test_pairs_are_of_two_colours(self, meanings):
        assert all(m.first.color != m.second.color for m in meanings if isinstance(m, ObjectPairSpec))


def things_in(meaning):
    return [meaning] if isinstance(meaning, ObjectSpec) else [meaning.first, meaning.second]
