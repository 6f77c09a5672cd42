"""Bad files of votes, of profiles and of measurements."""

from __future__ import annotations

import json
import pathlib

from tests.bad_input.bad_case import BadCase, setup
from tests.bad_input.records import DEEP
from tests.bad_input.verbs import SMOKE, TRIAL

OTHER = TRIAL.replace("nerf__", "dietnerf__")


def write_votes(place: pathlib.Path, *votes: object, **changes: object) -> None:
    """Write a file of votes; one good vote if none is given."""
    told = {"schema": 1, "suite": "ablations", "votes": list(votes) or [vote()]}
    (place / "votes.json").write_text(json.dumps(told | changes))


def vote(left: object = TRIAL, right: object = OTHER, choice: object = "left") -> dict[str, object]:
    """Make a vote."""
    return {"left": left, "right": right, "choice": choice}


@setup
def votes_are_empty(place):
    (place / "votes.json").write_bytes(b"")


@setup
def votes_are_cut(place):
    write_votes(place)
    (place / "votes.json").write_text((place / "votes.json").read_text()[:-5])


@setup
def votes_are_no_text(place):
    (place / "votes.json").write_bytes(b"\xff\xfe\x00\xd8" + bytes(range(256)))


@setup
def votes_are_null_bytes(place):
    (place / "votes.json").write_bytes(b"\0" * 1000)


@setup
def votes_are_deep(place):
    (place / "votes.json").write_bytes(DEEP)


@setup
def votes_are_a_list(place):
    (place / "votes.json").write_text("[]")


@setup
def votes_are_a_page(place):
    (place / "votes.json").write_text("<!doctype html><title>votes</title>")


@setup
def votes_of_another_schema(place):
    write_votes(place, schema=2)


@setup
def votes_of_a_schema_as_long_as_a_book(place):
    write_votes(place, schema="x" * 1_000_000)


@setup
def votes_of_schema_nan(place):
    write_votes(place, schema=float("nan"))


@setup
def votes_of_no_suite(place):
    write_votes(place, suite=None)


@setup
def votes_are_none(place):
    write_votes(place, votes=[])


@setup
def votes_are_an_object(place):
    write_votes(place, votes={"left": TRIAL})


@setup
def a_vote_is_a_number(place):
    write_votes(place, -0.0)


@setup
def a_vote_is_huge(place):
    write_votes(place, ["x" * 1_000_000])


@setup
def a_vote_without_a_choice(place):
    write_votes(place, {"left": TRIAL, "right": OTHER})


@setup
def a_vote_of_another_choice(place):
    write_votes(place, vote(choice="both"))


@setup
def a_choice_with_a_terminals_codes(place):
    write_votes(place, vote(choice="\x1b[2Jleft"))


@setup
def a_vote_for_the_same_twice(place):
    write_votes(place, vote(right=TRIAL))


@setup
def a_vote_for_no_trial(place):
    write_votes(place, vote(left="../../etc/passwd"))


@setup
def a_vote_between_two_scenes(place):
    write_votes(place, vote(right=OTHER.replace("knight", "rook")))


@setup
def votes_of_one_arm(place):
    write_votes(place, vote(left=OTHER, right=OTHER.replace("s0", "s1")))


@setup
def votes_of_two_suites(place):
    write_votes(place)
    (place / "votes.json").rename(place / "first.json")
    write_votes(place, suite="sparse-views")


@setup
def votes_of_a_suite_with_a_terminals_codes(place):
    write_votes(place)
    (place / "votes.json").rename(place / "first.json")
    write_votes(place, suite="\x1b[31mred")


@setup
def votes_with_surrogates(place):
    (place / "votes.json").write_text(json.dumps({"schema": 1, "suite": "\ud800", "votes": [vote(choice="\ud800")]}))


def write_profile(place: pathlib.Path, told: object) -> None:
    """Write a file of profiles."""
    (place / "profile.json").write_text(json.dumps(told))


PROFILE = {"method_digest": "0", "pack_size": 1, "trace_s": 1.0, "compile_cold_s": 1.0, "field_step_ms": 1.0}


@setup
def profile_is_cut(place):
    (place / "profile.json").write_text("[{")


@setup
def profile_is_binary(place):
    (place / "profile.json").write_bytes(bytes(range(256)))


@setup
def profile_is_deep(place):
    (place / "profile.json").write_bytes(DEEP)


@setup
def profile_is_an_object(place):
    write_profile(place, {})


@setup
def profile_lacks_a_key(place):
    write_profile(place, [{"method_digest": "x"}])


@setup
def profile_holds_words(place):
    write_profile(place, [PROFILE | {"field_step_ms": "fast"}])


@setup
def profile_holds_nan(place):
    write_profile(place, [PROFILE | {"field_step_ms": float("nan")}])


@setup
def profile_holds_infinity(place):
    (place / "profile.json").write_text(json.dumps([PROFILE]).replace("1.0", "1e999"))


@setup
def profile_holds_a_negative_pack(place):
    write_profile(place, [PROFILE | {"pack_size": -1}])


@setup
def profile_holds_a_list_for_a_digest(place):
    write_profile(place, [PROFILE | {"method_digest": ["x"]}])


@setup
def measurements_are_cut(place):
    (place / "scaling.json").write_text("[{")


@setup
def measurements_are_a_number(place):
    (place / "scaling.json").write_text("7")


@setup
def measurements_are_words(place):
    (place / "scaling.json").write_text('[["x"]]')


@setup
def measurements_are_no_text(place):
    (place / "scaling.json").write_bytes(b"\xff\xff")


VOTES = tuple(
    BadCase("votes votes.json --results runs", says, name)
    for name, says in {
        "votes_are_empty": "votes.json: expected JSON",
        "votes_are_cut": "votes.json: expected JSON",
        "votes_are_no_text": "votes.json: expected",
        "votes_are_null_bytes": "votes.json: expected JSON",
        "votes_are_deep": "votes.json: expected",
        "votes_are_a_list": "votes.json: expected votes of schema 1, got 'list'",
        "votes_are_a_page": "votes.json: expected JSON",
        "votes_of_another_schema": "votes.json: expected votes of schema 1, got 2",
        "votes_of_a_schema_as_long_as_a_book": "votes.json: expected votes of schema 1, got 'xxx",
        "votes_of_schema_nan": "votes.json: expected",
        "votes_of_no_suite": "votes.json: expected the name of a suite and a list of votes",
        "votes_are_none": "votes: expected votes between two arms, got none",
        "votes_are_an_object": "votes.json: expected the name of a suite and a list of votes",
        "a_vote_is_a_number": "votes.json, vote 1: expected a trial left, one right and a choice, got -0.0",
        "a_vote_is_huge": "votes.json, vote 1: expected a trial left",
        "a_vote_without_a_choice": "votes.json, vote 1: expected a trial left",
        "a_vote_of_another_choice": "votes.json, vote 1: expected a choice of left, right, tie, got 'both'",
        "a_choice_with_a_terminals_codes": "votes.json, vote 1: expected a choice of",
        "a_vote_for_the_same_twice": "on both sides",
        "a_vote_for_no_trial": "votes: expected ids of trials",
        "a_vote_between_two_scenes": "expected both sides to show one scene or caption",
        "votes_of_one_arm": "votes: expected votes between two arms, got none among 1",
        "votes_with_surrogates": "votes.json",
    }.items()
)

SEVERAL = (
    BadCase("votes first.json votes.json --results runs", "expected files of one suite, got", "votes_of_two_suites"),
    BadCase(
        "votes first.json votes.json --results runs",
        "expected files of one suite, got",
        "votes_of_a_suite_with_a_terminals_codes",
    ),
    BadCase("votes votes.json ./votes.json --results runs", "expected each file once", "votes_of_one_arm"),
)

PROFILES = tuple(
    BadCase(f"plan {SMOKE} --profile profile.json --results runs", says, name)
    for name, says in {
        "profile_is_cut": "--profile: expected a file of profiles, got profile.json (not JSON)",
        "profile_is_binary": "--profile: expected a file of profiles, got profile.json",
        "profile_is_deep": "--profile: expected",
        "profile_is_an_object": "--profile: expected profiles in profile.json, got something else",
        "profile_lacks_a_key": "--profile: expected profiles in profile.json",
        "profile_holds_words": "--profile: expected",
        "profile_holds_nan": "--profile: expected",
        "profile_holds_infinity": "--profile: expected",
        "profile_holds_a_negative_pack": "--profile: expected",
        "profile_holds_a_list_for_a_digest": "--profile: expected",
    }.items()
)

MEASUREMENTS = tuple(
    BadCase(f"scaling {SMOKE} --out scaling.json", "--out scaling.json: expected measurements", name)
    for name in ("measurements_are_cut", "measurements_are_a_number", "measurements_are_words",
                 "measurements_are_no_text")
)  # fmt: skip

TABLE = (*VOTES, *SEVERAL, *PROFILES, *MEASUREMENTS)
