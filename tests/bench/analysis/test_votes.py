"""Votes of known strengths come to those; files that are none are refused with the line that says why."""

from __future__ import annotations

import json

import numpy as np
import pytest

from bench import __main__ as command_line
from bench.analysis import bradley_terry, votes
from bench.storage.record import SCHEMA_VERSION, Outcome, Record
from bench.storage.store import Store

TRUE = {"dream_fields": 0.8, "dream_fields_plain": -0.2, "dream_fields_no_blur": -0.6}
CAPTIONS = tuple(f"a-red-thing-{i}" for i in range(20))


def trial_id(variant, caption, seed=0):
    return f"{variant}__{caption}__s{seed}__0123abcd"


def simulated(num, seed=0, true=TRUE):
    """Votes between random arms of one caption, on random sides; a tenth are ties."""
    rng, found = np.random.default_rng(seed), []
    for _ in range(num):
        left, right = rng.choice(list(true), 2, replace=False)
        caption = CAPTIONS[rng.integers(len(CAPTIONS))]
        is_left = rng.uniform() < 1 / (1 + np.exp(true[right] - true[left]))
        choice = "tie" if rng.uniform() < 0.1 else "left" if is_left else "right"
        found.append({"left": trial_id(left, caption), "right": trial_id(right, caption), "choice": choice})
    return found


def saved(path, cast, suite="ablations", schema=1):
    path.write_text(json.dumps({"schema": schema, "suite": suite, "votes": cast}))
    return path


def run(*words):
    return command_line.main(["votes", *(str(word) for word in words)])


def told(capsys, *words):
    assert run(*words, "--json") == 0
    return json.loads(capsys.readouterr().out)


def test_scores_are_those_that_made_the_votes(tmp_path, capsys):
    paths = [saved(tmp_path / f"{i}.json", simulated(1500, seed=i)) for i in range(2)]
    found = told(capsys, *paths, "--results", tmp_path / "none")
    assert [row["arm"] for row in found["arms"]] == list(TRUE), "the strongest first"
    # a tie says nothing of who is stronger: a tenth of them pulls scores together by about as much
    for row in found["arms"]:
        assert (
            row["score"] == pytest.approx(0.9 * TRUE[row["arm"]], abs=0.12) and row["low"] < row["score"] < row["high"]
        )
    assert found["num_votes"] == 3000 and found["num_ties"] == pytest.approx(300, abs=60)
    assert found["intervals"] == "clusters" and found["prior"] == 0 and found["is_joined"]
    wins, losses, ties = (sum(row[f"num_{x}"] for row in found["arms"]) for x in ("wins", "losses", "ties"))
    assert wins == losses == 3000 - found["num_ties"] and ties == 2 * found["num_ties"]


def test_what_a_person_reads(tmp_path, capsys):
    cast = simulated(300)
    path = saved(tmp_path / "votes.json", cast)
    assert run(path, "--results", tmp_path) == 0
    lines = capsys.readouterr().out.splitlines()
    num_ties = sum(vote["choice"] == "tie" for vote in cast)
    num_left = sum(vote["choice"] == "left" for vote in cast)
    assert lines[0] == (
        f"ablations: 300 votes between 3 arms on 20 scenes or captions, {num_ties} ties; of the {300 - num_ties} "
        f"decided, {num_left} chose the left"
    )
    assert lines[2].split() == ["arm", "score", "95%", "interval", "wins", "losses", "ties"]
    assert [line.split()[0] for line in lines[3:6]] == list(TRUE)
    found = bradley_terry.bradley_terry(
        *(np.array([list(TRUE).index(vote[side].split("__")[0]) for vote in cast]) for side in ("left", "right")),
        np.array([votes.CHOICES[vote["choice"]] for vote in cast]),
        np.array([CAPTIONS.index(vote["left"].split("__")[1]) for vote in cast]),
    )
    assert f"{found.scores[0]:+.2f}  {found.low[0]:+.2f} to {found.high[0]:+.2f}" in lines[3]
    assert len({line.rindex(line.split()[-1]) + len(line.split()[-1]) for line in lines[2:6]}) == 1, "in columns"
    assert "wins 73 of 100 votes" in lines[7]
    assert "hang together" in lines[8]
    assert "60 trials" in lines[9] and "read from their ids" in lines[9]


def test_an_arm_that_won_all_and_few_captions_are_said(tmp_path, capsys):
    cast = [
        {"left": trial_id(a, "a-cup"), "right": trial_id(b, "a-cup"), "choice": "left"}
        for a, b in (("best", "x"), ("best", "y"), ("x", "y"), ("y", "x"))
    ]
    assert run(saved(tmp_path / "v.json", cast), "--results", tmp_path) == 0
    text = capsys.readouterr().out
    assert "no finite score: best won or lost every vote" in text and "given 1 tie" in text
    assert "votes as independent" in text and "too few scenes or captions" in text
    assert "4 votes between 3 arms on 1 scene or caption, 0 ties" in text


def test_votes_that_were_saved_twice_count_once(tmp_path, capsys):
    cast = simulated(40)
    alone = told(capsys, saved(tmp_path / "votes.json", cast), "--results", tmp_path / "none")
    first = saved(tmp_path / "votes (1).json", cast[:25])  # saved before the others were cast
    copy = saved(tmp_path / "copy.json", cast)
    found = told(capsys, tmp_path / "votes.json", first, copy, "--results", tmp_path / "none")
    assert found["repeated"] == [str(first), str(copy)]
    assert {**found, "repeated": []} == alone
    assert run(tmp_path / "votes.json", first, "--results", tmp_path / "none") == 0
    assert f"Counted once: {first}; another file begins with the same votes" in capsys.readouterr().out


def test_groups_that_never_met_are_said(tmp_path, capsys):
    pairs = (("a", "b"), ("b", "a"), ("c", "d"), ("d", "c"))
    cast = [{"left": trial_id(x, "a-cup"), "right": trial_id(y, "a-cup"), "choice": "left"} for x, y in pairs]
    assert run(saved(tmp_path / "v.json", cast), "--results", tmp_path) == 0
    text = capsys.readouterr().out
    assert "Some arms never met" in text and "a group of arms won" not in text


def test_arms_are_those_of_the_store(tmp_path, capsys):
    """One variant on 8 and on 100 photographs is two arms; a record knows its variant better than a name does."""
    trials = Store.open(tmp_path / "runs")
    for variant, name, task in (("my__own", "my__own__chess__8v__s0__00000001", "chess__8v"),):
        record = Record(
            schema_version=SCHEMA_VERSION,
            trial_id=name, status="finished", variant=variant, task=task, cluster="chess", seed=0,
            budget="smoke", identity={}, environment={}, curves={}, timings={}, num_steps=1, num_parameters=1,
            pack_size=1, first_bad_step=None, reason=None, traceback=None,
        )  # fmt: skip
        trials.write(Outcome(record=record, parameters={}, views={}, scores={}))
    few, many, own = "nerf__chess__8v__s0__1", "nerf__chess__100v__s0__2", "my__own__chess__8v__s0__00000001"
    cast = [{"left": few, "right": many, "choice": "right"}, {"left": own, "right": few, "choice": "tie"},
            {"left": few, "right": "nerf__chess__8v__s1__3", "choice": "left"}]  # fmt: skip
    found = told(capsys, saved(tmp_path / "v.json", cast), "--results", tmp_path / "runs")
    assert {row["arm"] for row in found["arms"]} == {"nerf, 8v", "nerf, 100v", "my__own"}
    assert found["num_same_arm"] == 1 and found["num_votes"] == 2 and own not in found["not_stored"]
    assert run(tmp_path / "v.json", "--results", tmp_path / "runs") == 0
    assert "1 vote between two seeds of one arm" in capsys.readouterr().out


GOOD = {"left": trial_id("a", "a-cup"), "right": trial_id("b", "a-cup"), "choice": "left"}


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (None, "expected votes that a report's page saved, got"),
        ("{", "expected JSON, got Expecting property name"),
        ("[]", "expected votes of schema 1, got 'list'; save them with this version's page"),
        ({"schema": 2}, "expected votes of schema 1, got 2; save them with this version's page"),
        ({"schema": 1, "suite": "a"}, "expected the name of a suite and a list of votes, got none; save them again"),
        ({"schema": 1, "suite": "a", "votes": []}, "expected votes between two arms, got none among 0; vote on the"),
        ([GOOD, 3], "vote 2: expected a trial left, one right and a choice, got 3; take it out"),
        ([GOOD, {"left": "a"}], "vote 2: expected a trial left, one right and a choice, got {'left': 'a'}"),
        ([GOOD | {"choice": "both"}], "vote 1: expected a choice of left, right, tie, got 'both'; take it out"),
        ([GOOD | {"right": GOOD["left"]}], "vote 1: expected two trials, got 'a__a-cup__s0__0123abcd' on both sides"),
        (
            [GOOD | {"right": "../../etc"}],
            "expected ids of trials like nerf__knight__8v__s0__3f9c1a2b, got '../../etc'",
        ),
        ([GOOD | {"right": trial_id("b", "a-hat")}], "one scene or caption, got 'a-cup' and 'a-hat'; take it out"),
        ([GOOD | {"right": trial_id("a", "a-cup", 1)}], "expected votes between two arms, got none among 1"),
    ],
)
def test_files_that_are_none(tmp_path, capsys, content, said):
    path = tmp_path / "v.json"
    if isinstance(content, list):
        saved(path, content)
    elif content is not None:
        path.write_text(content if isinstance(content, str) else json.dumps(content))
    assert run(path, "--results", tmp_path) == 2
    printed = capsys.readouterr()
    assert said in printed.err and printed.out == ""


def test_files_that_do_not_belong_together(tmp_path, capsys):
    one = saved(tmp_path / "1.json", [GOOD])
    other = saved(tmp_path / "2.json", [GOOD], suite="text-to-3d")
    assert run(one, other, "--results", tmp_path) == 2
    assert "votes: expected files of one suite, got ablations, text-to-3d; count each alone" in capsys.readouterr().err
    assert run(one, tmp_path / "." / "1.json", "--results", tmp_path) == 2
    assert "votes: expected each file once, got" in capsys.readouterr().err


def test_looks_at_files_grow_with_their_votes(monkeypatch):
    """Each file compared with each other was a thousand times a thousand looks."""
    looks = []
    starts = votes._digest_starts
    monkeypatch.setattr(votes, "_digest_starts", lambda each, lengths: looks.append(len(each)) or starts(each, lengths))
    files = [[votes.Vote(f"a{i}", "b", 1.0)] * (1 + i % 3) for i in range(1000)]
    kept, repeated = votes.leave_out_repeated([*files, *files])
    assert (kept, repeated) == (list(range(1000)), list(range(1000, 2000)))
    assert sum(looks) == 2 * sum(map(len, files))
