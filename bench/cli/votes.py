"""`votes`: what blind votes between pictures come to: Bradley-Terry scores of the arms, with intervals."""

from __future__ import annotations

import argparse
import json
import pathlib
import re
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from bench.analysis import bradley_terry
from bench.analysis.bradley_terry import BradleyTerryScores
from bench.cli.common_options import add_results
from bench.errors import UsageError
from bench.report.tables.contents import counted
from bench.report.tables.formats import printable
from bench.storage.store import Store

HELP = "say which arm is preferred, from the files of votes that a report's page saves"
EXAMPLE = "python -m bench votes votes-ablations.json"

SCHEMA = 1
"""Of the files."""

CHOICES = {"left": 1.0, "right": 0.0, "tie": 0.5}
"""What a vote may say, as a win of the left one."""


class Vote(NamedTuple):
    """A choice between two trials; `outcome` is 1 where the left one won, 0 where the right one did, 0.5 for a tie."""

    left: str
    right: str
    outcome: float


class VotedTrial(NamedTuple):
    """What a trial stands for in a vote.

    Attributes:
        variant: How it was trained.
        cluster: Of what scene or caption it is.
        more: What its task says besides, such as `8v`.
    """

    variant: str
    cluster: str
    more: str


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of `votes`."""
    parser.add_argument("files", nargs="+", type=pathlib.Path, metavar="FILE", help="saved by a report's page")
    add_results(parser)
    parser.add_argument("--json", action="store_true", help="print it as JSON")


def main(args: argparse.Namespace) -> int:
    """Prints the scores."""
    told = tally(args.files, Store.open(args.results))
    print(json.dumps(told, indent=1, allow_nan=False) if args.json else "\n".join(lines(told)))
    return 0


# --- reading ----------------------------------------------------------------------------------------------------------


def read(path: pathlib.Path) -> tuple[str, list[Vote]]:
    """The suite and the votes of a file.

    Raises:
        UsageError: It is no file of votes.
    """
    try:
        found = json.loads(path.read_bytes())
    except (OSError, ValueError) as error:
        why = (error.strerror or "nothing").lower() if isinstance(error, OSError) else str(error)
        raise UsageError(
            f"{path}: expected votes that a report's page saved, got {why}; name the file that it saved"
        ) from error
    if not isinstance(found, dict) or found.get("schema") != SCHEMA:
        got = found.get("schema") if isinstance(found, dict) else type(found).__name__
        raise UsageError(f"{path}: expected votes of schema {SCHEMA}, got {got!r}; save them with this version's page")
    suite, votes = found.get("suite"), found.get("votes")
    if not isinstance(suite, str) or not isinstance(votes, list):
        raise UsageError(f"{path}: expected the name of a suite and a list of votes, got none; save them again")
    return suite, [vote_of(vote, f"{path}, vote {i + 1}") for i, vote in enumerate(votes)]


def vote_of(vote: Any, where: str) -> Vote:
    """A vote; UsageError if it is none."""
    if not isinstance(vote, dict) or not all(isinstance(vote.get(side), str) for side in ("left", "right", "choice")):
        raise UsageError(f"{where}: expected a trial left, one right and a choice, got {vote!r}; take it out")
    if vote["choice"] not in CHOICES:
        raise UsageError(f"{where}: expected a choice of {', '.join(CHOICES)}, got {vote['choice']!r}; take it out")
    if vote["left"] == vote["right"]:
        raise UsageError(f"{where}: expected two trials, got {vote['left']!r} on both sides; take it out")
    return Vote(vote["left"], vote["right"], CHOICES[vote["choice"]])


def places_of(votes: Sequence[Vote], trials: Store) -> tuple[dict[str, VotedTrial], list[str]]:
    """What each trial stands for, and which of them are not stored: those are known by their ids only.

    Raises:
        UsageError: An id is none.
    """
    found, missing, known = {}, [], set(trials.ids())
    for trial_id in dict.fromkeys(x for vote in votes for x in (vote.left, vote.right)):
        if not re.fullmatch(r".+?__.+__s\d+__[0-9a-f]+", trial_id):
            raise UsageError(
                f"votes: expected ids of trials like nerf__knight__8v__s0__3f9c1a2b, got {trial_id!r}; take its votes "
                "out"
            )
        variant, *task = trial_id.split("__")[:-2]
        if trial_id in known:
            record = trials.read(trial_id)
            variant, task = record.variant, record.task.split("__")
        else:
            missing.append(trial_id)
        found[trial_id] = VotedTrial(variant, task[0], "__".join(task[1:]))
    return found, missing


def arms_of(places: Mapping[str, VotedTrial]) -> dict[str, str]:
    """The arm of each trial: its variant, and what its task says besides where one variant is there with several.

    Example:
        >>> few, many = Place("nerf", "chess", "8v"), Place("nerf", "chess", "100v")
        >>> arms_of({"a": few, "b": many, "c": Place("mip", "chess", "8v")})
        {'a': 'nerf, 8v', 'b': 'nerf, 100v', 'c': 'mip'}
    """
    mores: dict[str, set[str]] = {}
    for place in places.values():
        mores.setdefault(place.variant, set()).add(place.more)
    return {
        trial_id: place.variant + (f", {place.more}" if len(mores[place.variant]) > 1 and place.more else "")
        for trial_id, place in places.items()
    }


def read_all(paths: Sequence[pathlib.Path]) -> tuple[str, list[Vote]]:
    """The suite and the votes of several files; UsageError if they do not belong together."""
    again = [str(path) for path in paths if sum(path.resolve() == other.resolve() for other in paths) > 1]
    if again:
        raise UsageError(f"votes: expected each file once, got {again[0]} twice; leave one out")
    suites, votes = zip(*map(read, paths), strict=True)
    if len(set(suites)) > 1:
        raise UsageError(f"votes: expected files of one suite, got {', '.join(sorted(set(suites)))}; count each alone")
    return suites[0], [vote for some in votes for vote in some]


def check_sides(votes: Sequence[Vote], places: Mapping[str, VotedTrial]) -> None:
    """UsageError where two sides of a vote show different things."""
    for vote in votes:
        left, right = places[vote.left].cluster, places[vote.right].cluster
        if left != right:
            raise UsageError(
                f"votes: expected both sides to show one scene or caption, got {left!r} and {right!r}; take it out"
            )


# --- counting ---------------------------------------------------------------------------------------------------------


def tally(paths: Sequence[pathlib.Path], trials: Store) -> dict[str, Any]:
    """All that is to be said of the votes, as JSON; arms in the order of their scores.

    Raises:
        UsageError: A file is given twice or is no file of votes, files are of several suites, two sides of a vote show
            different things, or no vote is between two arms.
    """
    suite, cast = read_all(paths)
    places, missing = places_of(cast, trials)
    check_sides(cast, places)
    arms = arms_of(places)
    used = [vote for vote in cast if arms[vote.left] != arms[vote.right]]
    if not used:
        raise UsageError(f"votes: expected votes between two arms, got none among {len(cast)}; vote on the page first")
    names = sorted({arms[x] for vote in used for x in (vote.left, vote.right)})
    clusters = sorted({places[vote.left].cluster for vote in used})
    found = bradley_terry.bradley_terry(
        np.array([names.index(arms[vote.left]) for vote in used]),
        np.array([names.index(arms[vote.right]) for vote in used]),
        np.array([vote.outcome for vote in used]),
        np.array([clusters.index(places[vote.left].cluster) for vote in used]),
    )
    decided = [vote for vote in used if vote.outcome != 0.5]
    return {
        "suite": suite,
        "num_votes": len(used),
        "num_ties": len(used) - len(decided),
        "num_left": sum(vote.outcome == 1.0 for vote in decided),
        "num_clusters": len(clusters),
        "num_same_arm": len(cast) - len(used),
        "not_stored": missing,
        "prior": found.prior,
        "intervals": "clusters" if found.num_clusters else "votes",
        "is_joined": found.is_joined,
        "arms": arm_rows(names, arms, used, found),
    }


def arm_rows(
    names: Sequence[str], arms: Mapping[str, str], used: Sequence[Vote], found: BradleyTerryScores
) -> list[dict[str, Any]]:
    """A row an arm, the strongest first: its score and how its votes went."""
    rows = []
    for i, name in enumerate(names):
        mine = [vote.outcome if arms[vote.left] == name else 1 - vote.outcome
                for vote in used if name in (arms[vote.left], arms[vote.right])]  # fmt: skip
        counts = {"num_wins": mine.count(1.0), "num_losses": mine.count(0.0), "num_ties": mine.count(0.5)}
        rows.append({"arm": name, "score": found.scores[i], "low": found.low[i], "high": found.high[i], **counts})
    return sorted(rows, key=lambda row: (-row["score"], row["arm"]))


# --- saying -----------------------------------------------------------------------------------------------------------


def lines(told: Mapping[str, Any]) -> list[str]:
    """The same for a person."""
    num_decided = told["num_votes"] - told["num_ties"]
    width = max(len("arm"), *(len(printable(row["arm"])) for row in told["arms"]))
    rows = []
    for row in told["arms"]:
        interval = f"{row['low']:+.2f} to {row['high']:+.2f}"
        counts = f"{row['num_wins']:5}  {row['num_losses']:6}  {row['num_ties']:5}"
        rows.append(f"{printable(row['arm']):{width}}  {row['score']:+7.2f}  {interval:17}  {counts}")
    what = "1 scene or caption" if told["num_clusters"] == 1 else f"{told['num_clusters']} scenes or captions"
    return [
        f"{printable(told['suite'])}: {counted(told['num_votes'], 'vote')} between {counted(len(rows), 'arm')} on "
        f"{what}, {counted(told['num_ties'], 'tie')}; of the {num_decided} decided, {told['num_left']} chose the left",
        "",
        f"{'arm':{width}}  {'score':>7}  {'95% interval':17}  {'wins':>5}  {'losses':>6}  {'ties':>5}",
        *rows,
        "",
        *notes(told),
    ]


def notes(told: Mapping[str, Any]) -> list[str]:
    """How the numbers are to be read, and what they cannot say."""
    found = [
        "scores: Bradley-Terry, log odds about a mean of zero; an arm that is 1 above another wins 73 of 100 votes "
        "against it; a tie is half a win for each"
    ]
    if told["intervals"] == "clusters":
        found.append("intervals: votes on one scene or caption may hang together")
    else:
        found.append("intervals: as if votes were independent; there are too few scenes or captions to see if they are")
    if told["prior"]:
        extreme = [
            row["arm"] for row in told["arms"] if not row["num_ties"] and 0 in (row["num_wins"], row["num_losses"])
        ]
        who = "some arms never met" if not told["is_joined"] else "a group of arms won every vote against the others"
        who = f"{', '.join(map(printable, extreme))} won or lost every vote" if extreme else who
        found.append(
            f"{who}: the votes alone give no finite score; each arm was given {told['prior']:g} tie with an arm of "
            "score zero besides"
        )
    if not told["is_joined"]:
        found.append("not every arm met every other, not even through others: between those the scores say nothing")
    if told["num_same_arm"]:
        found.append(f"{counted(told['num_same_arm'], 'vote')} between two seeds of one arm left out")
    if told["not_stored"]:
        found.append(f"{counted(len(told['not_stored']), 'trial')} not stored here; their arms are read from their ids")
    return found
