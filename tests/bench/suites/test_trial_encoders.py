"""A trial is told by what its encoder is: not by the place of its file."""

import dataclasses
import shutil

import pytest

from bench.metrics.judges import guides_of, judge_of
from bench.suites import overrides, registry
from bench.suites.trial import Trial
from bench.suites.variant_names import without_paths
from models.clip.checkpoints import catalog, files
from models.dietnerf import DietNeRF
from models.dream_fields import DREAM_FIELDS
from tasks.budgets import budget_named
from tasks.captions.caption_task import CaptionTask


@pytest.fixture
def copies(tmp_path):
    """Paths of two copies of a checkpoint that no catalog has, and of one with another mean."""
    found = files.read_checkpoint(catalog.EMBEDDED_FOLDER / "embedded-vit-8.safetensors", "embedded-vit-8")
    one, other = tmp_path / "one.safetensors", tmp_path / "other.safetensors"
    files.write(one, dataclasses.replace(found, card={}))
    files.write(other, dataclasses.replace(found, card={}, mean=(0.4, 0.5, 0.5)))
    (tmp_path / "elsewhere").mkdir()
    copy = shutil.copy(one, tmp_path / "elsewhere" / "two.safetensors")
    return {"one": f"file:{one}", "copy": f"file:{copy}", "other": f"file:{other}"}


def trial(encoder, variant="dream_fields", method=DREAM_FIELDS):
    return Trial(
        task=CaptionTask(caption="a pink windmill"),
        method=dataclasses.replace(method, encoder=encoder),
        budget=budget_named("smoke"),
        seed=0,
        variant=without_paths(variant, [encoder]),
    )


@pytest.mark.parametrize("method", [DREAM_FIELDS, DietNeRF()])
def test_two_copies_are_one_trial_and_another_mean_is_another(copies, method):
    found = {name: trial(encoder, method=method) for name, encoder in copies.items()}
    assert found["one"].id == found["copy"].id != found["other"].id
    assert found["one"].identity() == found["copy"].identity()
    assert all(str(copies[name]) not in str(each.identity()) for name, each in found.items())


def test_a_copy_of_an_embedded_encoder_is_that_encoder(tmp_path):
    copy = shutil.copy(catalog.EMBEDDED_FOLDER / "embedded-vit-8.safetensors", tmp_path / "mine.safetensors")
    assert trial(f"file:{copy}").id == trial("embedded-vit-8").id


def test_set_names_variants_without_the_path(copies):
    budget = budget_named("smoke")
    ids = {}
    for name, encoder in copies.items():
        suite, size = overrides.apply(registry.suite("ablations"), budget, [f"dream_fields.encoder={encoder}"])
        table = suite.tables_at(size)[0]
        ids[name] = {each.id for _, each in dataclasses.replace(table, tasks=table.tasks[:1]).trials(size, (0,))}
        assert not any("safetensors" in each for each in ids[name])
    assert ids["one"] == ids["copy"] and not ids["one"] & ids["other"]


def test_a_longer_name_is_not_cut():
    assert without_paths("a+encoder=b+encoder=bc", ["b"]) == "a+encoder=b+encoder=bc"


def test_the_guide_is_known_as_a_judge_by_every_path(copies):
    guides = {"trial": guides_of(trial(copies["one"]).identity())}
    assert judge_of(copies["copy"], guides, allow_in_loop=True).in_loop == {"trial"}
    assert not judge_of("embedded-judge-rn", guides).in_loop
