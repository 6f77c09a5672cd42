"""Holds a drill: an undisturbed run, then rounds of faults, then the verdict."""

from __future__ import annotations

import dataclasses
import os
import pathlib
import shutil
import sys
import time
from collections import Counter
from collections.abc import Sequence
from typing import Any

from bench.counted_nouns import format_count
from bench.drill.drill_round import DrillRound, MadeFault, Say
from bench.drill.drilled_command import DrilledCommand
from bench.drill.faults import KINDS, Fault, plan_faults, plan_sittings
from bench.drill.live_faults import RayCluster
from bench.drill.mean_color import FOLDER_VARIABLE
from bench.drill.place import DrillPlace
from bench.drill.processes import end_all
from bench.drill.small_disk import SmallDisk
from bench.drill.verdict import RULES, BrokenRule, find_broken_rules, read_contents
from bench.errors import UsageError
from bench.storage.store import Store

SITTINGS_A_ROUND = 4
"""A round's trials are trained before there can be more."""

MOST_ROUNDS = 30

MOST_IDLE_ROUNDS = 3
"""Rounds in a row in which no fault found its occasion."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class DrillReport:
    """Counts the faults of a drill, and lists the rules that were broken.

    Attributes:
        made: Faults that were made.
        num_rounds: Rounds that were held.
        num_trials: Trials that finished in them.
        disk: How the disk was filled, `tmpfs` or `limit`.
        num_nodes: Nodes of Ray.
        wall_s: Seconds that it took.
        broken: Rules that do not hold.
    """

    made: tuple[MadeFault, ...]
    num_rounds: int
    num_trials: int
    disk: str
    num_nodes: int
    wall_s: float
    broken: tuple[BrokenRule, ...]

    @property
    def counts(self) -> dict[str, int]:
        """Count the faults by kind; kinds of which there was none are left out."""
        counted = Counter(made.fault.kind for made in self.made)
        return {kind: counted[kind] for kind in KINDS if counted[kind]}

    def to_lines(self) -> list[str]:
        """Describe it in lines: counts, rules, verdict."""
        lines = [f"{kind:20} {number:3}" for kind, number in self.counts.items()]
        lines.append(f"{'all':20} {len(self.made):3}")
        disk = "a small tmpfs" if self.disk == "tmpfs" else "a limit on the size of the driver's files"
        lines.append(f"disk: {disk}; {self.num_nodes} {'node' if self.num_nodes == 1 else 'nodes'} of Ray")
        for rule, text in RULES.items():
            whys = [broken.why for broken in self.broken if broken.rule == rule]
            lines.append(f"{'broken' if whys else 'holds':7} {text}")
            lines += [f"        {why}" for why in whys]
        verdict = "every rule holds" if not self.broken else f"{len(self.broken)} findings against the rules"
        rounds = f"{self.num_trials} trials in {self.num_rounds} rounds, {self.wall_s:.0f} s"
        return [*lines, f"drill: {len(self.made)} faults, {rounds}: {verdict}"]

    def to_json(self) -> dict[str, Any]:
        """Return plain values."""
        made = [
            {"number": each.fault.number, "kind": each.fault.kind, "what": each.what, "at_s": round(each.at_s, 1)}
            for each in self.made
        ]
        return {
            "counts": self.counts,
            "num_faults": len(self.made),
            "faults": made,
            "num_rounds": self.num_rounds,
            "num_trials": self.num_trials,
            "disk": self.disk,
            "num_nodes": self.num_nodes,
            "wall_s": round(self.wall_s, 1),
            "broken": [broken._asdict() for broken in self.broken],
            "is_sound": not self.broken,
        }


def hold_drill(
    folder: pathlib.Path,
    num_faults: int,
    seed: int,
    kinds: Sequence[str] | None = None,
    num_nodes: int = 1,
    say: Say = lambda line: None,
) -> DrillReport:
    """Hold a drill.

    Args:
        folder: Where it works; must be empty or missing.
        num_faults: Faults that are made.
        seed: Of all that is drawn.
        kinds: Kinds of faults; None for all.
        num_nodes: Nodes of Ray: 1 for a Ray that the command starts, 2 for a cluster that it joins.
        say: Takes a line on what happens.

    Raises:
        UsageError: A wrong kind or number, a folder that is not empty, a system that is not Linux, or an undisturbed
            run that does not finish.
    """
    faults = plan_faults(num_faults, seed, kinds)
    if not sys.platform.startswith("linux"):
        raise UsageError(f"drill: expected Linux, which lists processes in /proc, got {sys.platform}; run it there")
    if folder.exists() and any(folder.iterdir()):
        raise UsageError(f"--results: expected an empty folder or none, got {folder}; name another")
    start = time.monotonic()
    place = DrillPlace(folder)
    place.make()
    say(f"drill in {place.root}: {num_faults} faults, seed {seed}; an undisturbed run first")
    expected, expected_tables = run_undisturbed(place)
    say(f"{time.monotonic() - start:5.0f} s  {format_count(len(expected), 'trial')} trained undisturbed")
    cluster = start_cluster(place, num_nodes)
    made: list[MadeFault] = []
    broken: list[BrokenRule] = []
    num_rounds = 0
    num_idle = 0
    left = faults
    try:
        while left and num_rounds < MOST_ROUNDS and num_idle < MOST_IDLE_ROUNDS:
            num_rounds += 1
            held, left = hold_round(place, num_rounds, left, cluster, start, say, (expected, expected_tables))
            made += held.made
            broken += held.broken
            num_idle = 0 if held.made else num_idle + 1
            disk = held.disk.kind
    finally:
        if cluster is not None:
            cluster.close()
        end_all(place.mark, 10.0)
    broken += [BrokenRule("made", f"fault {fault.number}, {fault.kind}, found no occasion") for fault in left]
    return DrillReport(
        made=tuple(made),
        num_rounds=num_rounds,
        num_trials=num_rounds * len(expected),
        disk=disk,
        num_nodes=num_nodes,
        wall_s=time.monotonic() - start,
        broken=tuple(broken),
    )


def run_undisturbed(place: DrillPlace) -> tuple[dict[str, Any], str]:
    """Train all trials without a fault; return what each left, and the tables."""
    command = DrilledCommand(place, place.root / "undisturbed")
    code = command.wait()
    if code != 0:
        told = command.lines[-1] if command.lines else "nothing"
        raise UsageError(f"drill: expected an undisturbed run to finish, got exit {code} ({told}); mend that first")
    return read_contents(Store.open(command.results)), place.read_tables()


def hold_round(
    place: DrillPlace,
    number: int,
    faults: Sequence[Fault],
    cluster: RayCluster | None,
    start: float,
    say: Say,
    expected: tuple[dict[str, Any], str],
) -> tuple[DrillRound, list[Fault]]:
    """Hold a round with the next faults, and judge it; return it, and the faults that are left."""
    sittings = plan_sittings(faults)
    disk = SmallDisk(place.root / f"round-{number}")
    held = DrillRound(place, disk, cluster, start, say)
    try:
        held.hold(sittings[:SITTINGS_A_ROUND])
        found = read_contents(Store.open(held.results))
        held.broken += find_broken_rules(found, expected[0], held.history(), place.read_tables(), expected[1])
        if held.broken:
            shutil.copytree(held.results, place.root / f"broken-{number}", dirs_exist_ok=True)
            (place.root / f"broken-{number}.log").write_text("\n".join(held.lines) + "\n")
    finally:
        disk.close()
    for each in held.broken:
        say(f"broken: {RULES[each.rule]}: {each.why}")
    later = [fault for sitting in sittings[SITTINGS_A_ROUND:] for fault in sitting.faults]
    say(f"{time.monotonic() - start:5.0f} s  round {number}: {len(held.made)} faults, {len(held.broken)} findings")
    return held, held.postponed + later


def start_cluster(place: DrillPlace, num_nodes: int) -> Any:
    """Start a cluster of several nodes; None for one node: the command starts its own Ray."""
    if num_nodes == 1:
        return None
    os.environ[FOLDER_VARIABLE] = str(place.faults)
    from bench.drill.ray_nodes import RayNodes

    return RayNodes(num_nodes)
