"""A record goes to JSON and back; what is no record is told in one line."""

import dataclasses
import json
import math
import pathlib
import types

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.errors import UsageError, escape_controls
from bench.import_paths import ROOT
from bench.storage import json_values, record
from bench.storage.record import Record


def some_record(**changes):
    fields = {
        "schema_version": record.SCHEMA_VERSION,
        "trial_id": "nerf__knight__8v__s0__3f9c1a2b",
        "status": "finished",
        "variant": "nerf",
        "task": "knight__8v",
        "cluster": "knight",
        "seed": 0,
        "budget": "smoke",
        "identity": {"task": {"type": "SparseViews", "num_views": 8}, "seed": 0},
        "environment": {"device": "cpu"},
        "curves": {"step": [1.0, 2.0], "loss": [0.5, 0.25]},
        "timings": {"wall_s": 1.5},
        "num_steps": 2,
        "num_parameters": 100,
        "pack_size": 1,
        "first_bad_step": None,
        "reason": None,
        "traceback": None,
    }
    return Record(**fields | changes)


def some_trial(**changes):
    fields = {
        "id": "nerf__knight__8v__s3__3f9c1a2b",
        "variant": "nerf",
        "task": types.SimpleNamespace(name="knight__8v", cluster="knight"),
        "method": types.SimpleNamespace(total_steps=20),
        "budget": types.SimpleNamespace(name="smoke"),
        "seed": 3,
        "identity": lambda: {"seed": 3},
    }
    return types.SimpleNamespace(**fields | changes)


NUMBERS = st.floats(allow_nan=False, allow_infinity=False, width=64)


@given(
    curves=st.dictionaries(st.text(), st.lists(NUMBERS)),
    timings=st.dictionaries(st.text(), NUMBERS),
    seed=st.integers(0, 2**40),
    failure=st.none() | st.text(),
)
def test_json_and_back(curves, timings, seed, failure):
    status = "finished" if failure is None else "failed"
    before = some_record(curves=curves, timings=timings, seed=seed, status=status, reason=failure)
    expected = before if failure is None else dataclasses.replace(before, reason=escape_controls(failure))
    assert Record.from_json(json.loads(before.to_text())) == expected


def test_what_a_terminal_would_obey_is_escaped():
    told = some_record(status="failed", reason="\x1b[2Jgone", traceback="line\n\x07", environment={"\x9b": ["\x7f"]})
    read = Record.from_json(json.loads(told.to_text()))
    assert (read.reason, read.traceback) == ("\\x1b[2Jgone", "line\n\\x07")
    assert read.environment == {"\\x9b": ["\\x7f"]}


def test_what_is_not_finite_is_null_in_curves_and_timings_and_nan_again():
    before = some_record(curves={"loss": [1.0, math.nan, math.inf, -math.inf]}, timings={"wall_s": math.nan})
    text = before.to_text()
    assert '"loss": [1.0, null, null, null]' in text
    assert '"wall_s": null' in text
    after = Record.from_json(json.loads(text))
    assert after.curves["loss"][0] == 1.0
    assert all(math.isnan(x) for x in after.curves["loss"][1:])
    assert math.isnan(after.timings["wall_s"])


def test_anywhere_else_it_is_refused():
    with pytest.raises(ValueError, match="not JSON compliant"):
        some_record(identity={"far": math.inf}).to_text()


def test_text_has_a_line_a_field():
    assert len(some_record().to_text().splitlines()) == 23 + 2


def test_another_schema_version_is_refused_with_what_to_do():
    plain = some_record().to_json() | {"schema_version": 99}
    with pytest.raises(
        UsageError,
        match=f"here: .* schema version {record.SCHEMA_VERSION}, got 99; it stays as it is: .* --results",
    ):
        Record.from_json(plain, where="here")


def test_the_schema_of_before_names_the_command_that_takes_it_over():
    plain = some_record().to_json() | {"schema_version": 1}
    with pytest.raises(UsageError, match="schema version 2, got 1.*python -m bench adopt FOLDER"):
        Record.from_json(plain, where="here")


@pytest.mark.parametrize("plain", [[], None, {}, {"schema_version": "1"}])
def test_what_is_no_record(plain):
    with pytest.raises(ValueError, match="without a schema version"):
        Record.from_json(plain)


def test_a_record_with_other_fields_names_them():
    plain = some_record().to_json()
    with pytest.raises(ValueError, match="here: .*unknown sead"):
        Record.from_json(plain | {"sead": 0}, where="here")
    del plain["seed"]
    with pytest.raises(ValueError, match="here: .*missing.*`seed`"):
        Record.from_json(plain, where="here")


def test_a_record_of_before_memory_was_noted_is_read():
    plain = some_record().to_json()
    del plain["memory_bytes"]
    assert Record.from_json(plain) == some_record()


@pytest.mark.parametrize(
    ("change", "where"),
    [
        ({"seed": "0"}, r"\$.seed"),
        ({"seed": True}, r"\$.seed"),
        ({"seed": None}, r"\$.seed"),
        ({"identity": []}, r"\$.identity"),
        ({"curves": {"loss": ["a"]}}, r"\$.curves"),
        ({"curves": [1.0]}, r"\$.curves"),
        ({"curves": None}, r"\$.curves"),
        ({"timings": {"wall_s": [1.0]}}, r"\$.timings"),
        ({"reason": 3}, r"\$.reason"),
        ({"status": "done"}, r"'done' - at `\$.status"),
        ({"status": "failed"}, "expected a reason if and only if it failed"),
    ],
)
def test_a_field_of_another_type_is_named_in_one_line(change, where):
    with pytest.raises(ValueError, match=f"^here: .*{where}") as caught:
        Record.from_json(some_record().to_json() | change, where="here")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(("status", "reason"), [("failed", None), ("finished", "why")])
def test_a_failure_and_nothing_else_has_a_reason(status, reason):
    with pytest.raises(ValueError, match="a reason if and only if"):
        some_record(status=status, reason=reason)


def test_of_trial_takes_everything_from_the_trial():
    made = record.make_record(some_trial(), status="finished", curves={"loss": [1.0]}, num_parameters=7, pack_size=4)
    assert made.trial_id == "nerf__knight__8v__s3__3f9c1a2b"
    assert (made.variant, made.task, made.cluster, made.seed, made.budget) == (
        "nerf",
        "knight__8v",
        "knight",
        3,
        "smoke",
    )
    assert (made.num_steps, made.num_parameters, made.pack_size) == (20, 7, 4)
    assert made.identity == {"seed": 3}
    assert made.environment["device"] == "cpu"  # conftest.py: JAX_PLATFORMS=cpu


def test_a_failed_outcome_has_one_line_and_no_folders():
    home = str(pathlib.Path.home())
    outcome = record.make_failed_outcome(
        some_trial(), "a\n  b", f'File "{ROOT}/bench/x.py", "{home}/lib/y.py"', pack_size=2
    )
    assert outcome.record.status == "failed"
    assert outcome.record.reason == "a b"
    assert outcome.record.traceback == 'File "bench/x.py", "~/lib/y.py"'
    assert outcome.record.pack_size == 2
    assert outcome.record.environment["device"] is None
    assert (outcome.parameters, outcome.views, outcome.scores) == ({}, {}, {})


def test_a_reason_with_a_file_name_that_is_no_unicode_is_read_again():
    outcome = record.make_failed_outcome(some_trial(), "no file b\udcff.png", "Traceback: b\udcff.png")
    again = Record.from_json(json_values.from_bytes(outcome.record.to_text().encode(), "here"))
    assert again == outcome.record and again.reason == "no file b\\udcff.png"
