"""An encoder that guided a trial does not judge it."""

import pytest

from bench.errors import UsageError
from bench.metrics import judges
from bench.metrics.judges import judge_of
from models.clip.checkpoints import catalog

GUIDE = "embedded-vit-8"


def guides(**encoders):
    """Two trials: one without an encoder, one with those."""
    return {"plain": {}, "guided": encoders}


def test_a_judge_that_guided_nothing_stamps_nothing():
    judge = judge_of("embedded-judge-rn", guides(**{GUIDE: catalog.EMBEDDED[GUIDE]}))
    assert judge.stamp(["plain", "guided"]) is None


def test_the_guide_is_refused_and_judges_are_named():
    with pytest.raises(UsageError, match=r"guided none of the trials, got the guide of 1 of 2; choose embedded-judge"):
        judge_of(GUIDE, guides(**{GUIDE: catalog.EMBEDDED[GUIDE]}))


def test_the_same_weights_under_another_name_are_the_same_encoder():
    with pytest.raises(UsageError, match="the guide of 1 of 2"):
        judge_of(GUIDE, guides(renamed=catalog.EMBEDDED[GUIDE]))


def test_encoders_without_a_known_sum_are_told_apart_by_name():
    assert not judge_of("file:a", guides(**{"file:b": None})).in_loop
    with pytest.raises(UsageError, match="judge file:a"):
        judge_of("file:a", guides(**{"file:a": None}))


def test_forced_it_is_stamped_where_it_guided_and_nowhere_else():
    judge = judge_of(GUIDE, guides(**{GUIDE: catalog.EMBEDDED[GUIDE]}), allow_in_loop=True)
    assert judge.stamp(["guided"]) == judges.IN_LOOP
    assert judge.stamp(["plain", "guided"]) == "in-loop"
    assert judge.stamp(["plain"]) is None


def test_guides_are_read_from_an_identity():
    assert judges.guides_of({"encoders": {"a": {"weights": "1"}}}) == {"a": "1"}
    assert judges.guides_of({"seed": 1}) == {}
