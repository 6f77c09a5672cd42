"""Counts blind votes between pictures: Bradley-Terry scores of the arms, with intervals.

A report's page saves votes as files; trials that are stored say which arm and which scene or caption they are.
"""

from __future__ import annotations

import collections
import hashlib
import pathlib
import re
from collections.abc import Collection, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from bench.errors import UsageError
from bench.storage import json_values
from bench.storage.store import Store
from tasks.data_dir.guarded_files import read_plain_file

if TYPE_CHECKING:  # a wrong file is refused before anything heavy is imported
    from bench.analysis.bradley_terry import BradleyTerryScores

SCHEMA = 1
"""Schema of the files."""

CHOICES = {"left": 1.0, "right": 0.0, "tie": 0.5}
"""Words of a vote, each as a win of the left one."""


class Vote(NamedTuple):
    """A choice between two trials.

    Attributes:
        left: Id of the one.
        right: Id of the other.
        outcome: 1 where the left one won, 0 where the right one did, 0.5 for a tie.
    """

    left: str
    right: str
    outcome: float


class VotedTrial(NamedTuple):
    """A trial as votes see it.

    Attributes:
        variant: Its variant.
        cluster: Its scene or caption.
        more: Rest of its task's name, such as `8v`.
    """

    variant: str
    cluster: str
    more: str


# --- reading ----------------------------------------------------------------------------------------------------------


def read_votes(path: pathlib.Path) -> tuple[str, list[Vote]]:
    """Read the suite and the votes of a file.

    Raises:
        UsageError: It is no file of votes.
    """
    try:
        found = json_values.parse_user_json(read_plain_file(path), str(path))
    except FileNotFoundError as error:
        raise UsageError(
            f"{path}: expected votes that a report's page saved, got no such file or directory; name the file that it "
            "saved"
        ) from error
    except ValueError as error:
        raise UsageError(f"{error}; name the file that a report's page saved") from error
    if not isinstance(found, dict) or found.get("schema") != SCHEMA:
        got = found.get("schema") if isinstance(found, dict) else type(found).__name__
        raise UsageError(
            f"{path}: expected votes of schema {SCHEMA}, got {got!r:.60}; save them with this version's page"
        )
    suite = found.get("suite")
    votes = found.get("votes")
    if not isinstance(suite, str) or not isinstance(votes, list):
        raise UsageError(f"{path}: expected the name of a suite and a list of votes, got none; save them again")
    return suite, [parse_vote(vote, f"{path}, vote {i + 1}") for i, vote in enumerate(votes)]


def parse_vote(vote: Any, where: str) -> Vote:
    """Parse a vote; UsageError if it is none."""
    if not isinstance(vote, dict) or not all(isinstance(vote.get(side), str) for side in ("left", "right", "choice")):
        raise UsageError(f"{where}: expected a trial left, one right and a choice, got {vote!r:.80}; take it out")
    if vote["choice"] not in CHOICES:
        raise UsageError(f"{where}: expected a choice of {', '.join(CHOICES)}, got {vote['choice']!r:.60}; take it out")
    if vote["left"] == vote["right"]:
        raise UsageError(f"{where}: expected two trials, got {vote['left']!r} on both sides; take it out")
    return Vote(vote["left"], vote["right"], CHOICES[vote["choice"]])


def find_voted_trials(votes: Sequence[Vote], trials: Store) -> tuple[dict[str, VotedTrial], list[str]]:
    """Find what each trial stands for, and list those that are not stored: they are known by their ids only.

    Raises:
        UsageError: An id is none.
    """
    found: dict[str, VotedTrial] = {}
    missing: list[str] = []
    known = set(trials.ids())
    for trial_id in dict.fromkeys(x for vote in votes for x in (vote.left, vote.right)):
        if not re.fullmatch(r".+?__.+__s\d+__[0-9a-f]+", trial_id):
            raise UsageError(
                f"votes: expected ids of trials like nerf__knight__8v__s0__3f9c1a2b, got {trial_id!r}; take its votes "
                "out"
            )
        variant, *task = trial_id.split("__")[:-2]
        if trial_id in known:
            record = trials.read(trial_id)
            variant = record.variant
            task = record.task.split("__")
        else:
            missing.append(trial_id)
        found[trial_id] = VotedTrial(variant, task[0], "__".join(task[1:]))
    return found, missing


def name_arms(places: Mapping[str, VotedTrial]) -> dict[str, str]:
    """Name the arm of each trial: its variant, and what its task says besides where one variant has several tasks.

    Example:
        >>> few = VotedTrial("nerf", "chess", "8v")
        >>> many = VotedTrial("nerf", "chess", "100v")
        >>> name_arms({"a": few, "b": many, "c": VotedTrial("mip", "chess", "8v")})
        {'a': 'nerf, 8v', 'b': 'nerf, 100v', 'c': 'mip'}
    """
    mores: dict[str, set[str]] = {}
    for place in places.values():
        mores.setdefault(place.variant, set()).add(place.more)
    arms = {}
    for trial_id, place in places.items():
        has_several_tasks = len(mores[place.variant]) > 1
        arms[trial_id] = f"{place.variant}, {place.more}" if has_several_tasks and place.more else place.variant
    return arms


class CastVotes(NamedTuple):
    """The votes of several files.

    Attributes:
        suite: Whose page saved them.
        votes: Each once.
        repeated: Files that were left out, as another one of the same browser's holds all of theirs.
    """

    suite: str
    votes: list[Vote]
    repeated: list[str]


def read_files(paths: Sequence[pathlib.Path]) -> CastVotes:
    """Read the votes of several files; UsageError if they do not belong together.

    A page saves all votes of its browser each time, so that who saved twice has a file that begins like another.
    """
    resolved = [path.resolve() for path in paths]
    counts = collections.Counter(resolved)
    again = [str(path) for path, place in zip(paths, resolved, strict=True) if counts[place] > 1]
    if again:
        raise UsageError(f"votes: expected each file once, got {again[0]} twice; leave one out")
    suites, votes = zip(*map(read_votes, paths), strict=True)
    kept, repeated = leave_out_repeated(votes)
    if len(set(suites)) > 1:
        raise UsageError(f"votes: expected files of one suite, got {', '.join(sorted(set(suites)))}; count each alone")
    return CastVotes(suites[0], [vote for i in kept for vote in votes[i]], [str(paths[i]) for i in repeated])


def leave_out_repeated(votes: Sequence[Sequence[Vote]]) -> tuple[list[int], list[int]]:
    """Divide files of votes by number: those to count, and those whose votes another one begins with.

    Example:
        >>> one, other = Vote("a", "b", 1.0), Vote("a", "c", 0.0)
        >>> leave_out_repeated([[one], [one, other], [other], [one, other]])
        ([1, 2], [0, 3])
    """
    longest_first = sorted(range(len(votes)), key=lambda i: (-len(votes[i]), i))
    lengths = {len(each) for each in votes}
    kept: list[int] = []
    begun: set[bytes] = set()  # how the files that are kept begin, at each length that some file has
    for i in longest_first:
        digests = _digest_starts(votes[i], lengths)
        if digests[-1] not in begun:
            kept.append(i)
            begun.update(digests)
    return sorted(kept), sorted(set(range(len(votes))) - set(kept))


def _digest_starts(votes: Sequence[Vote], lengths: Collection[int]) -> list[bytes]:
    """Digest the first votes of a file, as many as each of some lengths, at last all of them."""
    digest = hashlib.sha256()
    found = [digest.digest()]
    for number, vote in enumerate(votes, start=1):
        digest.update(f"{tuple(vote)!r}\n".encode())
        if number in lengths:
            found.append(digest.digest())
    return found


def check_sides(votes: Sequence[Vote], places: Mapping[str, VotedTrial]) -> None:
    """Raise UsageError where two sides of a vote show different things."""
    for vote in votes:
        left = places[vote.left].cluster
        right = places[vote.right].cluster
        if left != right:
            raise UsageError(
                f"votes: expected both sides to show one scene or caption, got {left!r} and {right!r}; take it out"
            )


# --- counting ---------------------------------------------------------------------------------------------------------


def count_votes(paths: Sequence[pathlib.Path], trials: Store) -> dict[str, Any]:
    """Count the votes of several files, as JSON; arms in the order of their scores.

    Raises:
        UsageError: A file is given twice or is no file of votes, files are of several suites, two sides of a vote show
            different things, or no vote is between two arms.
    """
    suite, cast, repeated = read_files(paths)
    places, missing = find_voted_trials(cast, trials)
    check_sides(cast, places)
    arms = name_arms(places)
    used = [vote for vote in cast if arms[vote.left] != arms[vote.right]]
    if not used:
        raise UsageError(f"votes: expected votes between two arms, got none among {len(cast)}; vote on the page first")
    import numpy as np

    from bench.analysis import bradley_terry

    left = [arms[vote.left] for vote in used]
    right = [arms[vote.right] for vote in used]
    names = sorted({*left, *right})
    of_votes = [places[vote.left].cluster for vote in used]
    clusters = sorted(set(of_votes))
    place_of = {name: place for place, name in enumerate(names)}
    left_indices = np.array([place_of[name] for name in left])
    right_indices = np.array([place_of[name] for name in right])
    outcomes = np.array([vote.outcome for vote in used])
    place_of_cluster = {cluster: place for place, cluster in enumerate(clusters)}
    cluster_indices = np.array([place_of_cluster[cluster] for cluster in of_votes])
    found = bradley_terry.bradley_terry(left_indices, right_indices, outcomes, cluster_indices)
    decided = [vote for vote in used if vote.outcome != 0.5]
    return {
        "suite": suite,
        "num_votes": len(used),
        "num_ties": len(used) - len(decided),
        "num_left": sum(vote.outcome == 1.0 for vote in decided),
        "num_clusters": len(clusters),
        "num_same_arm": len(cast) - len(used),
        "not_stored": missing,
        "repeated": repeated,
        "prior": found.prior,
        "intervals": "clusters" if found.num_clusters else "votes",
        "is_joined": found.is_joined,
        "arms": arm_rows(names, arms, used, found),
    }


def arm_rows(
    names: Sequence[str], arms: Mapping[str, str], used: Sequence[Vote], found: BradleyTerryScores
) -> list[dict[str, Any]]:
    """Make a row for each arm, the strongest first, with its score and its counts of votes."""
    rows = []
    outcomes_of: dict[str, list[float]] = {name: [] for name in names}
    for vote in used:
        outcomes_of[arms[vote.left]].append(vote.outcome)
        outcomes_of[arms[vote.right]].append(1 - vote.outcome)
    for i, name in enumerate(names):
        outcomes = outcomes_of[name]
        counts = {
            "num_wins": outcomes.count(1.0),
            "num_losses": outcomes.count(0.0),
            "num_ties": outcomes.count(0.5),
        }
        rows.append({"arm": name, "score": found.scores[i], "low": found.low[i], "high": found.high[i], **counts})
    return sorted(rows, key=lambda row: (-row["score"], row["arm"]))
