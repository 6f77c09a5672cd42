"""A registered version is tied to what it computes: whoever changes the one without the other hears of it here."""

import importlib.util
import json

import numpy as np
import pytest

from bench.errors import UsageError
from bench.suites import registry
from bench.suites.identity import describe
from bench.suites.registered_types import TYPES
from models.fields.networks import MLP
from tasks.budgets import BUDGETS
from tasks.captions.unlisted import UnlistedCaption
from tests.fixtures import golden_types
from tests.fixtures.golden_types import COMPUTES_NOTHING, GOLDEN, NUMBERS, entry

RTOL = 1e-4


@pytest.fixture(scope="module")
def golden():
    return json.loads(GOLDEN.read_text())


def advice(name):
    return f"raise the version of {name} in registered_types.py, or undo; then python -m tests.fixtures.golden_types"


@pytest.mark.parametrize("key", TYPES)
def test_a_version_computes_what_it_computed(key, golden):
    name, version = TYPES[key]
    if name == "ClipTokenizer" and importlib.util.find_spec("instant_clip_tokenizer") is None:
        pytest.skip("instant-clip-tokenizer is not installed")
    assert name in golden, f"{name} is new: python -m tests.fixtures.golden_types writes it down"
    known, found = golden[name], entry(key)
    assert known["version"] == version, f"{name}/{version}: python -m tests.fixtures.golden_types writes it down"
    assert known["fields"] == found["fields"], advice(name)
    assert known.get("numbers", {}).keys() == found.get("numbers", {}).keys(), advice(name)
    for label, numbers in found.get("numbers", {}).items():
        scale = RTOL * max(1e-3, float(np.median(np.abs(known["numbers"][label]))))
        np.testing.assert_allclose(numbers, known["numbers"][label], RTOL, scale, err_msg=f"{label}: {advice(name)}")


def test_every_type_is_computed_or_said_to_compute_nothing():
    assert {registered.name for registered in TYPES.values()} == {*NUMBERS, *COMPUTES_NOTHING}


def test_the_file_holds_no_type_that_is_gone(golden):
    assert set(golden) == {registered.name for registered in TYPES.values()}


def test_a_change_is_noticed(golden, monkeypatch):
    monkeypatch.setattr(
        "models.fields.density._ACTIVATIONS", dict.fromkeys(("relu", "softplus", "shifted_softplus"), abs)
    )
    found = golden_types.networks(MLP, {"default": {"width": 8, "depth": 3}})["default"]
    assert not np.allclose(found, golden["MLP"]["numbers"]["default"], RTOL)


def test_what_stands_is_never_overwritten(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(golden_types, "GOLDEN", tmp_path / "golden.json")
    monkeypatch.setattr(
        golden_types,
        "TYPES",
        {"models.fields.encodings:IdentityEncoding": TYPES["models.fields.encodings:IdentityEncoding"]},
    )
    golden_types.main()
    edited = golden_types.GOLDEN.read_text().replace('"version": 1', '"version": 1, "note": "edited"')
    golden_types.GOLDEN.write_text(edited)
    golden_types.main()
    assert "edited" in golden_types.GOLDEN.read_text()
    assert "Raw/1: left as it was" in capsys.readouterr().out
    raised = TYPES["models.fields.encodings:IdentityEncoding"]._replace(version=2)
    monkeypatch.setattr(golden_types, "TYPES", {"models.fields.encodings:IdentityEncoding": raised})
    monkeypatch.setitem(TYPES, "models.fields.encodings:IdentityEncoding", raised)
    golden_types.main()
    assert "edited" not in golden_types.GOLDEN.read_text()


@pytest.mark.parametrize(
    ("name", "budget"), [(name, budget) for name in registry.SUITES for budget in registry.suite(name).tables]
)
def test_every_type_of_every_suite_is_registered(name, budget):
    try:
        tables = registry.suite(name).tables_at(BUDGETS[budget])
    except UsageError as error:
        if "registered" in str(error):
            raise
        pytest.skip(str(error))  # data that is not on this machine
    for table in tables:
        for arm in table.arms.values():
            describe(arm.method, "method")
        for task in table.tasks:
            if not isinstance(task, UnlistedCaption):  # a stand-in, of which there is no trial
                describe(task, "task")


@pytest.mark.parametrize("name", registry.VARIANTS)
def test_every_variant_is_registered(name):
    assert "@code" not in json.dumps(describe(registry.variant(name)))
