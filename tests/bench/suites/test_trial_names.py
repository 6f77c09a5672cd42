"""No trial is lost to a name: folders are legal and short, whatever scenes, captions and variants are called."""

from __future__ import annotations

import dataclasses

import pytest

from bench.errors import UsageError
from bench.report.figures.figure import MAX_SLUG, slugify
from bench.storage import store
from bench.storage.trial_folder import is_trial_name
from bench.suites import selection
from bench.suites.trial import MAX_ID_BYTES, folder_name
from bench.suites.variant_names import file_safe, shorten_name
from tests.fixtures import toy_studies

LONG = "x" * 400

NAMES = {
    "plain": "knight__8v",
    "long": LONG,
    "long, of several bytes": "\u68ee" * 200,
    "slash": "../../etc/passwd",
    "backslash": "..\\scene",
    "dots": "..",
    "hidden": ".hidden",
    "NUL": "a\0b",
    "line": "two\nlines\tand a bell\x07",
    "escape": "\x1b[31mred",
    "emoji": "\U0001f600\U0001f468\u200d\U0001f469\u200d\U0001f467",
    "trailing space": "scene ",
    "trailing dot": "scene.",
    "reserved": "CON",
    "reserved with an end": "nul.txt",
    "half a character": "caf\udce9",
    "words of a store": "failed-1",
    "more words of a store": "x.unreadable-1",
    "temporary": ".tmp-ab-1-cd",
    "empty": "",
}


@pytest.mark.parametrize("where", ["variant", "task"])
@pytest.mark.parametrize("name", NAMES.values(), ids=NAMES)
def test_every_name_makes_a_folder(name, where, tmp_path):
    parts = {"variant": "nerf", "task": "knight__8v"} | {where: name}
    found = folder_name(**parts, seed=0, hashed="3f9c1a2b")
    assert len(found.encode()) <= MAX_ID_BYTES and found.endswith("__s0__3f9c1a2b")
    assert is_trial_name(found)
    (tmp_path / found).mkdir()
    assert [path.name for path in tmp_path.iterdir()] == [found]
    assert not set(found) & {"/", "\0", "\n", "\x1b"}


def test_names_that_were_legal_stay_as_they_are():
    for name in ("knight__8v", "my scene__3v", "caf\u00e9__8v", ".hidden__8v", "a:b__8v", "scene.__8v"):
        assert folder_name("nerf", name, 0, "3f9c1a2b") == f"nerf__{name}__s0__3f9c1a2b"
        assert file_safe(name) == name


@pytest.mark.parametrize("name", NAMES.values(), ids=NAMES)
def test_every_name_makes_a_file_of_a_report(name):
    found = slugify(name)
    assert found and len(found) <= MAX_SLUG and set(found) <= set("abcdefghijklmnopqrstuvwxyz0123456789-")
    assert found not in ("con", "nul", "com1", "lpt9", "aux", "prn")


def test_what_is_cut_is_told_apart_by_a_hash():
    one, other = (shorten_name(LONG + end, 100) for end in "ab")
    assert one != other and len(one) == len(other) == 100 and one[:80] == other[:80]
    assert slugify(LONG + "a") != slugify(LONG + "b")
    assert len(shorten_name("\u68ee" * 200, 100).encode()) <= 100


def test_a_study_of_many_settings_has_a_name_that_files_may_have():
    budget = dataclasses.replace(toy_studies.SMOKE, name="quick" + "+num_steps=100" * 30)
    suite = dataclasses.replace(toy_studies.toy_suite(), name="sparse-views")
    chosen = selection.Selection(suite=suite, budget=budget, trials=[], cells=[])
    name = selection.study_name(chosen)
    assert len(name) == selection.MAX_STUDY_BYTES and name.startswith("sparse-views-quick+num_steps=100")
    short = dataclasses.replace(chosen, budget=dataclasses.replace(budget, name="quick"))
    assert selection.study_name(short) == "sparse-views-quick"


@pytest.mark.parametrize(
    ("ids", "is_refused"),
    [
        (("nerf__Vase__s0__ab", "nerf__vase__s0__ab"), True),
        (("nerf__Vase__s0__ab", "nerf__vase__s0__cd"), False),
        (("nerf__caf\u00e9__s0__ab", "nerf__cafe\u0301__s0__ab"), True),
        (("nerf__vase__s0__ab", "nerf__vase__s0__ab"), False),
    ],
)
def test_folders_that_some_disks_take_for_one_are_refused_before_training(ids, is_refused):
    if not is_refused:
        selection.check_folder_names(ids)
        return
    with pytest.raises(UsageError, match="expected ids that differ in more than capitals, got nerf__.*; rename"):
        selection.check_folder_names(ids)


def test_a_trial_of_long_names_is_stored_and_found_again(tmp_path):
    [trial, *_], _ = toy_studies.toy_suite().expand(toy_studies.SMOKE)
    trial = dataclasses.replace(trial, variant="toy/" + "+learning_rate=0.00123456789" * 20)
    kept = store.Store.open(tmp_path)
    kept.write(toy_studies.outcome(trial))
    assert store.Store.open(tmp_path).finished(trial.id)
    assert store.Store.open(tmp_path).read(trial.id).variant == trial.variant
