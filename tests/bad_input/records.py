"""Damaged and foreign records in a store: named in a line, and never in the way of the other trials."""

from __future__ import annotations

import json
import os
import pathlib

from tests.bad_input.bad_case import STORE, BadCase, setup
from tests.bad_input.verbs import FAILED, SMOKE, TRIAL
from tests.fixtures.stored_trials import forget_checksums

DEEP = b"[" * 100_000 + b"]" * 100_000

HUGE = "9" * 400


def record_of(place: pathlib.Path) -> pathlib.Path:
    """Return the record of the trial that finished."""
    return place / STORE / TRIAL / "record.json"


def change_record(place: pathlib.Path, **fields: object) -> None:
    """Give a record other values, as an editor or another program would: without a checksum."""
    forget_checksums(record_of(place).parent)
    told = json.loads(record_of(place).read_text())
    record_of(place).write_text(json.dumps(told | fields))


def write_scores(place: pathlib.Path, content: bytes) -> None:
    """Put other scores there, of a trial without checksums."""
    forget_checksums(record_of(place).parent)
    (record_of(place).parent / "scores" / "std-v1.json").write_bytes(content)


def text_of_record(place: pathlib.Path) -> str:
    """Return the text of a record without checksums."""
    forget_checksums(record_of(place).parent)
    return record_of(place).read_text()


@setup
def record_is_empty(place):
    record_of(place).write_bytes(b"")


@setup
def record_is_cut(place):
    record_of(place).write_bytes(record_of(place).read_bytes()[:100])


@setup
def record_is_binary(place):
    record_of(place).write_bytes(bytes(range(256)) * 4)


@setup
def record_is_null_bytes(place):
    record_of(place).write_bytes(b"\0" * 4096)


@setup
def record_is_a_list(place):
    record_of(place).write_text("[1, 2, 3]")


@setup
def record_is_a_number(place):
    record_of(place).write_text("-0")


@setup
def record_is_deep(place):
    record_of(place).write_bytes(DEEP)


@setup
def record_is_a_line_of_10_mb(place):
    record_of(place).write_text('{"trial_id": "' + "x" * 10_000_000 + '"}')


@setup
def record_is_far_too_large(place):
    with record_of(place).open("wb") as file:
        file.truncate(200 * 2**20)


@setup
def record_is_a_folder(place):
    record_of(place).unlink()
    record_of(place).mkdir()


@setup
def record_is_a_pipe(place):
    record_of(place).unlink()
    os.mkfifo(record_of(place))


@setup
def record_leads_out(place):
    (place / "elsewhere.json").write_bytes(record_of(place).read_bytes())
    record_of(place).unlink()
    record_of(place).symlink_to(place / "elsewhere.json")


@setup
def record_leads_nowhere(place):
    record_of(place).unlink()
    record_of(place).symlink_to(place / "nowhere.json")


@setup
def record_is_gone(place):
    record_of(place).unlink()


@setup
def record_in_utf16(place):
    record_of(place).write_bytes(text_of_record(place).encode("utf-16"))


@setup
def record_in_latin1(place):
    record_of(place).write_bytes(text_of_record(place).replace("smoke", "smök").encode("latin-1"))


@setup
def record_with_nan(place):
    record_of(place).write_text(text_of_record(place).replace("0.25", "NaN"))


@setup
def record_with_infinity(place):
    record_of(place).write_text(text_of_record(place).replace("0.25", "Infinity"))


@setup
def record_with_1e999(place):
    record_of(place).write_text(text_of_record(place).replace("0.25", "1e999"))


@setup
def record_with_a_huge_int(place):
    record_of(place).write_text(text_of_record(place).replace('"num_steps": 2', f'"num_steps": {HUGE}'))


@setup
def record_with_a_word_for_a_number(place):
    change_record(place, num_steps="many")


@setup
def record_with_a_fraction_of_a_step(place):
    change_record(place, num_steps=1.5)


@setup
def record_with_negative_steps(place):
    change_record(place, num_steps=-7)


@setup
def record_with_an_unknown_status(place):
    change_record(place, status="done")


@setup
def record_with_an_unknown_field(place):
    change_record(place, colour="red")


@setup
def record_without_a_field(place):
    told = json.loads(text_of_record(place))
    del told["variant"]
    record_of(place).write_text(json.dumps(told))


@setup
def record_that_says_a_key_twice(place):
    text = text_of_record(place)
    record_of(place).write_text(text.replace('"num_steps": 2', '"num_steps": 3, "num_steps" : 2'))


@setup
def scores_that_say_a_key_twice(place):
    path = record_of(place).parent / "scores" / "std-v1.json"
    write_scores(place, path.read_bytes().replace(b'"psnr":', b'"psnr": [30.0, 30.0], "psnr":'))


@setup
def record_of_another_trial(place):
    change_record(place, trial_id=TRIAL.replace("knight", "rook"))


@setup
def record_edited_by_hand(place):
    record_of(place).write_text(record_of(place).read_text().replace('"num_steps": 2', '"num_steps": 3'))


@setup
def record_of_a_later_version(place):
    change_record(place, schema_version=99)


@setup
def record_of_a_version_that_is_no_number(place):
    change_record(place, schema_version="new")


@setup
def reason_with_a_terminals_codes(place):
    path = place / STORE / FAILED
    forget_checksums(path)
    told = json.loads((path / "record.json").read_text())
    (path / "record.json").write_text(json.dumps(told | {"reason": "\x1b[31mred\x1b[2J"}))


ASIDE = f"{TRIAL}"

RECORDS = tuple(
    BadCase(f"{verb} --results runs", says, name, code=0, moves=ASIDE)
    for verb in ("ls",)
    for name, says in {
        "record_is_empty": TRIAL,
        "record_is_cut": TRIAL,
        "record_is_binary": TRIAL,
        "record_is_null_bytes": TRIAL,
        "record_is_a_list": TRIAL,
        "record_is_a_number": TRIAL,
        "record_is_deep": TRIAL,
        "record_is_a_line_of_10_mb": TRIAL,
        "record_is_far_too_large": TRIAL,
        "record_is_a_folder": TRIAL,
        "record_is_a_pipe": TRIAL,
        "record_leads_out": TRIAL,
        "record_leads_nowhere": TRIAL,
        "record_is_gone": TRIAL,
        "record_in_utf16": TRIAL,
        "record_in_latin1": TRIAL,
        "record_with_nan": TRIAL,
        "record_with_infinity": TRIAL,
        "record_with_1e999": TRIAL,
        "record_with_a_huge_int": TRIAL,
        "record_with_a_word_for_a_number": TRIAL,
        "record_with_a_fraction_of_a_step": TRIAL,
        "record_with_negative_steps": TRIAL,
        "record_with_an_unknown_status": TRIAL,
        "record_with_an_unknown_field": TRIAL,
        "record_without_a_field": TRIAL,
        "record_of_another_trial": TRIAL,
        "record_edited_by_hand": TRIAL,
    }.items()
)

REFUSED = (
    BadCase("ls --results runs", "99", "record_of_a_later_version"),
    BadCase("ls --results runs", "without a schema version", "record_of_a_version_that_is_no_number", 0, moves=ASIDE),
    BadCase(f"show {TRIAL} --results runs", f"got '{TRIAL}'", "record_is_cut", moves=ASIDE),
    BadCase("retry --all --results runs", "99", "record_of_a_later_version"),
    BadCase(f"report {SMOKE} --results runs", "99", "record_of_a_later_version"),
    BadCase("status --results runs", "99", "record_of_a_later_version"),
    BadCase(f"run {SMOKE} --executor inline --results runs", "99", "record_of_a_later_version"),
)

NAMED = tuple(
    BadCase(words, says, "record_is_cut", moves=ASIDE)
    for words, says in (
        (f"plan {SMOKE} --no-pilot --only scene=kettel --results runs", "the nearest is 'kettle'"),
        (f"export {TRIAL} {SMOKE} --results runs", f"got '{TRIAL}'"),
        ("votes none.json --results runs", "none.json"),
        ("import none --task sparse-views:kettle --name mine --budget smoke --results runs", "none"),
    )
)

TWICE = (
    BadCase("ls --results runs", "'num_steps' twice", "record_that_says_a_key_twice", code=0, moves=ASIDE),
    BadCase(f"show {TRIAL} --results runs", "'psnr' twice", "scores_that_say_a_key_twice", code=0, moves=ASIDE),
)

TERMINAL = BadCase("ls --failed --results runs", "\\x1b[31mred", "reason_with_a_terminals_codes", code=0)

TABLE = (*RECORDS, *REFUSED, *NAMED, *TWICE, TERMINAL)
