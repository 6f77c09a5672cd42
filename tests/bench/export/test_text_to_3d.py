"""A caption becomes a trial a seed, judged against captions that mean something else."""

from __future__ import annotations

import pytest

from bench.errors import UsageError
from bench.export import text_to_3d
from tasks.captions.caption_sets import CLOSED_WORLD_JUDGES, caption_set

KNOWN = "a blue dotted guitar"
"""One of the captions of the set `closed-world`."""


@pytest.mark.parametrize(
    ("caption", "other", "expected"),
    [
        ("a red metallic chair", "the metal red chair", True),
        ("a blue mug on a green cube", "a green cube under a blue mug", True),
        ("a red chair", "a blue chair", False),
        ("a dragon", "a dragon", False),  # of another world: nothing is known of what it means
    ],
)
def test_captions_of_one_meaning(caption, other, expected):
    assert text_to_3d.mean_the_same(caption, other) is expected


def test_a_caption_of_the_closed_world_needs_no_file(tmp_path):
    assert text_to_3d.retrieval_set(KNOWN.upper(), tmp_path) == "closed-world"
    assert list(tmp_path.iterdir()) == []


def test_any_other_caption_stands_before_those_that_mean_something_else(tmp_path):
    caption = "a guitar that is blue and dotted"  # means what `KNOWN` means
    assert text_to_3d.retrieval_set(caption, tmp_path) == f"file:{tmp_path / 'captions.txt'}"
    first, *others = (tmp_path / "captions.txt").read_text().splitlines()
    assert first == caption
    assert others == [other for other in caption_set("closed-world").captions if other != KNOWN]


def test_a_trial_a_seed(tmp_path):
    trials = text_to_3d.trials_of(
        "a dragon", tmp_path, budget="smoke", seeds=(3, 5), settings=["dream_fields.num_steps=7"]
    )
    assert [trial.seed for trial in trials] == [3, 5]
    assert {trial.method.num_steps for trial in trials} == {7}
    assert {trial.task.caption for trial in trials} == {"a dragon"}
    assert all(text_to_3d.is_embedded(trial) for trial in trials)
    assert trials[0].task.judges == CLOSED_WORLD_JUDGES  # those of a user's file would need a download


def test_another_guide_keeps_the_judges_of_its_file(tmp_path):
    [trial] = text_to_3d.trials_of("a dragon", tmp_path, budget="smoke", encoder="openai-vit-b-16", prompt="one {}")
    assert trial.method.encoders == ("openai-vit-b-16",)
    assert trial.method.prompt == "one {}"
    assert not text_to_3d.is_embedded(trial)
    assert trial.task.judges is None


def test_an_unknown_budget_names_the_nearest(tmp_path):
    with pytest.raises(UsageError, match="--budget: .* got 'smoky'; the nearest is 'smoke'"):
        text_to_3d.trials_of("a dragon", tmp_path, budget="smoky")
