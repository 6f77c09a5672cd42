"""Forms show nothing twice, and as many pictures of each arm; what cannot be dealt so is refused."""

from __future__ import annotations

import collections

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bench.analysis.quiz.key import TRUE_RENDERS
from bench.errors import UsageError
from bench.report.quiz import dealing
from bench.report.quiz.sampling import ChosenView
from tasks.closed_world.meanings import ObjectPairSpec, meaning_of

THINGS = [meaning_of(f"{color}-matte-hat") for color in ("red", "orange", "yellow", "green", "blue", "pink")]

PAIRS = [meaning_of(f"{color}-matte-mug--on--green-matte-cube") for color in ("red", "orange", "yellow", "blue")]


def shown_of(pairs):
    """Pictures, each given as its arm and what it shows."""
    return [ChosenView(arm=arm, of=None, meaning=meaning, view=0) for arm, meaning in pairs]


def dealt(shown, forms):
    """Pictures by form."""
    by_form = collections.defaultdict(list)
    for one, form in zip(shown, forms, strict=True):
        by_form[form].append(one)
    return [by_form[form] for form in range(1, len(by_form) + 1)]


def spread(numbers):
    return max(numbers) - min(numbers)


PICTURES = st.lists(
    st.tuples(st.sampled_from(["a", "b", "c", TRUE_RENDERS]), st.sampled_from([*THINGS, *PAIRS])),
    min_size=1,
    max_size=60,
)


@settings(max_examples=60, deadline=None)
@given(pairs=PICTURES, seed=st.integers(0, 9), more=st.integers(0, 3))
def test_every_deal_shows_nothing_twice_and_is_balanced(pairs, seed, more):
    shown = shown_of(pairs)
    fewest = max(collections.Counter(one.meaning.id for one in shown).values())
    num = min(fewest + more, len(shown))
    forms = dealing.deal_forms(shown, seed, num if more else None)
    assert len(forms) == len(shown) and set(forms) == set(range(1, num + 1))
    by_form = dealt(shown, forms)
    assert spread([len(form) for form in by_form]) <= 1
    for form in by_form:
        assert len({one.meaning.id for one in form}) == len(form)
    for arm in {one.arm for one in shown}:
        assert spread([sum(one.arm == arm for one in form) for form in by_form]) <= 1


def test_arms_that_share_captions_make_a_latin_square():
    meanings = [*THINGS, *PAIRS]
    arms = ("a", "b", "c")
    shown = shown_of((arm, meaning) for arm in arms for meaning in meanings)
    by_form = dealt(shown, dealing.deal_forms(shown, seed=0))
    assert len(by_form) == len(arms)
    for form in by_form:
        assert {one.meaning.id for one in form} == {meaning.id for meaning in meanings}
        assert {sum(one.arm == arm for one in form) for arm in arms} <= {3, 4}
    for meaning in meanings:
        assert {one.arm for form in by_form for one in form if one.meaning == meaning} == set(arms)
    pairs = [sum(isinstance(one.meaning, ObjectPairSpec) for one in form) for form in by_form]
    assert pairs == [4, 4, 4]
    assert dealing.deal_forms(shown, seed=0) == dealing.deal_forms(shown, seed=0) != dealing.deal_forms(shown, seed=1)


def test_where_nothing_comes_twice_there_is_one_form():
    assert dealing.deal_forms(shown_of(("a", meaning) for meaning in THINGS), seed=0) == [1] * len(THINGS)


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        (2, "--forms: expected 3 to 6, as a thing has 3 pictures and a form shows it once, got 2; write --forms 3, or"),
        (7, "--forms: expected 3 to 6, as there are 6 pictures, got 7; write --forms 3"),
    ],
)
def test_impossible_numbers_are_refused_and_the_possible_ones_named(asked, said):
    red, green = THINGS[0], THINGS[3]
    shown = shown_of([("a", red), ("b", red), ("b", red), ("a", green), ("b", green), (TRUE_RENDERS, THINGS[5])])
    with pytest.raises(UsageError, match=said):
        dealing.deal_forms(shown, 0, asked)
    with pytest.raises(UsageError, match=said):
        dealing.choose_num_forms(shown[:5], asked, num_more=1)
    assert dealing.choose_num_forms(shown) == 3 and sorted(set(dealing.deal_forms(shown, 0, 6))) == [1, 2, 3, 4, 5, 6]


def test_a_coloring_needs_as_many_colors_as_edges_meet():
    random = np.random.default_rng(0)
    coloring = dealing.EdgeColoring(5)
    edges = [(int(a), (int(a) + shift) % 20) for shift in range(5) for a in range(20)]
    for place in random.permutation(len(edges)):
        coloring.add_edge(int(place), ("a", edges[place][0]), ("b", edges[place][1]))
    met = {(coloring.color_of[place], side, edge[side]) for place, edge in enumerate(edges) for side in (0, 1)}
    assert len(met) == 2 * len(edges), "no two of a colour meet"
