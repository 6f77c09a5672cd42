"""Files of scores are checked when they are read."""

import dataclasses
import json

import pytest

from bench.metrics.scores import Scores
from bench.storage import stored_scores
from tests.fixtures.stored_trials import some_scores


def parsed(scores):
    return stored_scores.parse_scores(json.dumps(scores).encode(), "here")


def test_scores_come_back_as_they_are():
    scores = some_scores((1.0, 2), lpips=[None, 0.25]) | {"field_state": "empty", "about": {"judge": [1]}, "later": 3}
    assert parsed(scores) == scores


def test_the_form_is_that_of_the_scores_that_protocols_give():
    fields = {field.name: field.default is dataclasses.MISSING for field in dataclasses.fields(Scores)}
    del fields["about"]  # its default is made anew for each
    required = {name for name, is_required in fields.items() if is_required}
    assert stored_scores.StoredScores.__required_keys__ == required
    assert stored_scores.StoredScores.__optional_keys__ == {*fields, "about"} - required


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"per_view": None}, r"\$.per_view"),
        ({"per_view": {"psnr": ["a"]}}, r"\$.per_view"),
        ({"view_ids": [0.5]}, r"\$.view_ids"),
        ({"field_state": "odd"}, "'odd'"),
    ],
)
def test_a_field_of_another_type_is_named(change, words):
    with pytest.raises(ValueError, match=f"^here: .*{words}"):
        parsed(some_scores() | change)


def test_a_missing_field_is_named():
    scores = some_scores()
    del scores["reasons"]
    with pytest.raises(ValueError, match="^here: .*`reasons`"):
        parsed(scores)
    with pytest.raises(ValueError, match="^here: .*object"):
        parsed([])
