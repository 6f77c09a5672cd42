"""Holds one round of a drill: trials in a fresh folder, faults in a few sittings, then the end of all trials.

After every fault the same command goes on. What a message asks for is done in between: `retry` for trials that a fault
has failed or whose arrays are damaged, a fresh copy of damaged weights, room on a full disk.
"""

from __future__ import annotations

import dataclasses
import itertools
import signal
import sys
import time
from collections import Counter
from collections.abc import Callable, Sequence

from bench.drill import live_faults
from bench.drill.damage import Damage, damage_file, find_victims, trial_of
from bench.drill.drilled_command import DEADLINE_S, DrilledCommand, run_verb
from bench.drill.faults import Fault, SittingFaults
from bench.drill.live_faults import RayCluster
from bench.drill.place import DrillPlace
from bench.drill.processes import end_all, send
from bench.drill.small_disk import SmallDisk
from bench.drill.verdict import BrokenRule, RoundHistory
from bench.storage.store import Store
from bench.storage.store_check import check_store
from bench.storage.trial_folder import is_trial_name
from bench.storage.trial_reader import describe_damage

MOST_RUNS = 8
"""Times that the command may be needed after the last fault until all is finished."""

ENDING_S = 60.0
"""Seconds after the last command in which the processes of killed drivers must have ended by themselves."""

PROVOKED = ("not finite", "does not fit in the memory", "its worker died", "hung", "out of memory")
"""Words of the reasons with which a fault may fail a trial."""

Say = Callable[[str], None]


@dataclasses.dataclass(frozen=True, kw_only=True)
class MadeFault:
    """A fault that was made.

    Attributes:
        fault: As planned.
        what: What was hit, in words.
        at_s: Seconds after the drill began.
    """

    fault: Fault
    what: str
    at_s: float


class DrillRound:
    """One round.

    Args:
        place: Where the drill works.
        disk: The disk of the results.
        cluster: The cluster that the command joins; None where it starts a Ray of its own.
        start: When the drill began, on the clock of `time.monotonic`.
        say: Prints a line.

    Attributes:
        made: Faults that were made.
        postponed: Faults for which there was no occasion.
        broken: Rules that were seen to be broken on the way.
    """

    def __init__(self, place: DrillPlace, disk: SmallDisk, cluster: RayCluster | None, start: float, say: Say) -> None:
        self.place = place
        self.disk = disk
        self.results = disk.folder / "results"
        self.cluster = cluster
        self.start = start
        self.say = say
        self.made: list[MadeFault] = []
        self.postponed: list[Fault] = []
        self.broken: list[BrokenRule] = []
        self.damages: list[tuple[Damage, int]] = []
        self.lines: list[str] = []
        self.done: Counter[str] = Counter()
        self.may_repeat: Counter[str] = Counter()

    def hold(self, sittings: Sequence[SittingFaults]) -> None:
        """Make the faults of all sittings, then let the command finish all trials."""
        self.place.forget_report()
        for sitting, following in itertools.zip_longest(sittings, sittings[1:]):
            kinds = () if following is None else [fault.kind for fault in following.before]
            self.hold_sitting(sitting, needs_checkpoints="checkpoint-damaged" in kinds)
        self.finish()
        again = [
            fault
            for fault in self.postponed
            if fault.kind in ("record-damaged", "scores-damaged", "parameters-damaged")
        ]
        if again:  # now all of them lie there
            self.postponed = [fault for fault in self.postponed if fault not in again]
            for fault in again:
                self.damage(fault)
            self.finish()
        self.find_processes_left()

    def find_processes_left(self) -> None:
        """Wait for what killed drivers left behind: Ray's agents take a while to notice that they are alone."""
        left = end_all(self.place.mark, ENDING_S) if self.cluster is None else []
        if left:
            self.break_rule("continued", f"processes were left: {', '.join(found.name for found in left)}", [])

    def history(self) -> RoundHistory:
        """Tell what happened, as the verdict needs it."""
        damages = tuple((damage, tuple(self.lines[first:])) for damage, first in self.damages)
        return RoundHistory(done=self.done, may_repeat=self.may_repeat, damages=damages)

    def hold_sitting(self, sitting: SittingFaults, needs_checkpoints: bool = False) -> None:
        """Damage files, run the command, make faults while it trains, and look after it.

        Args:
            sitting: Its faults.
            needs_checkpoints: Whether it is told to stop where no fault ends it, so that it leaves checkpoints.
        """
        for fault in sitting.before:
            self.damage(fault)
        command = self.run_command()
        waiting = list(sitting.during)
        while waiting and command.wait_for_training():
            fault = waiting.pop(0)
            time.sleep(live_faults.pause_s(fault))
            num_lines = len(command.lines)
            what = live_faults.make_fault(fault, command, self.cluster)
            if what is None:
                self.postponed.append(fault)
            else:
                self.note(fault, what)
                live_faults.wait_for_effect(fault, command, self.cluster, num_lines)
        self.postponed += waiting
        if sitting.end is not None:
            self.end_by_fault(sitting.end, command)
        elif needs_checkpoints and command.wait_for_training():
            send(command.pid, signal.SIGTERM)
        self.look_after(command, is_killed=sitting.end is not None)
        if self.made and self.made[-1].fault == sitting.end and self.missed(self.made[-1].fault, command):
            self.postponed.append(self.made.pop().fault)

    def missed(self, fault: Fault, command: DrilledCommand) -> bool:
        """Tell whether a disk was filled when all was stored already: no fault, as nothing had to be written."""
        words = ("No space left", "File too large")
        return fault.kind == "disk-full" and not any(word in line for word in words for line in command.lines)

    def run_command(self) -> DrilledCommand:
        """Start the command."""
        address = None if self.cluster is None else self.cluster.address
        return DrilledCommand(self.place, self.results, address)

    def end_by_fault(self, fault: Fault, command: DrilledCommand) -> None:
        """End a sitting by a fault, if it still trains."""
        if not command.wait_for_training():
            self.postponed.append(fault)
            return
        time.sleep(live_faults.pause_s(fault))
        if fault.kind == "disk-full":
            self.disk.fill(command.pid)
            self.note(fault, f"disk of results ({self.disk.kind}) filled")
            return
        what = live_faults.make_fault(fault, command, self.cluster)
        if what is None:
            self.postponed.append(fault)
        else:
            self.note(fault, what)

    def look_after(self, command: DrilledCommand, is_killed: bool = False) -> int | None:
        """Wait for the end of a sitting, keep what it said, and do what its messages ask for; return its exit code."""
        code = command.wait()
        self.disk.free()
        self.lines += command.lines
        self.done.update(command.done_trials())
        if code is None:
            self.break_rule("continued", f"the command did not end within {DEADLINE_S:.0f} s", command.lines)
        if any("Traceback (most recent call last)" in line for line in command.lines):
            self.break_rule("continued", "the command ended in a traceback", command.lines)
        elif code not in (0, 1, 2, 130, 143, -9):
            self.break_rule("continued", f"the command ended with {code}", command.lines)
        elif code == 2 and not is_killed and not self.is_explained(command.lines):
            self.break_rule("continued", "the command ended with 2 without a fault that explains it", command.lines)
        self.retry_failures()
        return code

    def is_explained(self, lines: Sequence[str]) -> bool:
        """Tell whether the end of a command that gave up is the right answer to a fault."""
        words = (
            "the cluster of",
            "expected a cluster",
            "No space left",
            "File too large",
            "damaged",
            "SHA-256",
            "comes with the",
        )
        return any(word in line for word in words for line in lines if line.startswith("bench: "))

    def retry_failures(self) -> None:
        """Let trials be trained again that a fault has failed; another failure breaks a rule."""
        trials = Store.open(self.results)
        self.lines += describe_damage(trials)  # what was damaged while the command ran is found here first
        failed = [trial_id for trial_id in trials.ids() if trials.failed(trial_id)]
        if not failed:
            return
        for trial_id in failed:
            reason = trials.read(trial_id).reason or ""
            if not any(word in reason for word in PROVOKED):
                self.break_rule("finished", f"{trial_id} failed, and no fault explains it: {reason}", [])
        self.may_repeat.update(failed)
        self.lines += run_verb(self.place, "retry", "--all", "--results", str(self.results))

    def damage(self, fault: Fault) -> None:
        """Damage a file, if there is one to damage."""
        chance = fault.chance()
        hit = {damage.path for damage, _ in self.damages} | {
            self.results / damage.trial_id for damage, _ in self.damages if damage.trial_id
        }
        if not self.results.exists() or (fault.kind == "weights-damaged" and not self.needs_weights()):
            self.postponed.append(fault)
            return
        found = find_victims(fault.kind, self.results, self.place.data, self.place.weights)
        victims = [
            path for path in found
            if fault.kind in ("data-damaged", "weights-damaged")
            or (path not in hit and self.results / trial_of(path, self.results) not in hit)
        ]  # fmt: skip
        if not victims:
            self.postponed.append(fault)
            return
        path = chance.choice(victims)
        damage = damage_file(fault.kind, path, trial_of(path, self.results), chance)
        self.damages.append((damage, len(self.lines)))
        if fault.kind in ("record-damaged", "parameters-damaged"):
            self.may_repeat[damage.trial_id] += 1
        self.note(fault, f"{path.relative_to(self.place.root)}: {damage.how}")
        if fault.kind == "weights-damaged":
            self.be_refused(damage)

    def needs_weights(self) -> bool:
        """Tell whether a trial is missing that is trained with the encoder; a record that is cut is left as it is."""
        stored = [path.parent.name for path in self.results.glob("*guided*/record.json")]
        return len([name for name in stored if is_trial_name(name)]) < self.num_guided

    num_guided = 8
    """Trials with the encoder."""

    def be_refused(self, damage: Damage) -> None:
        """Run the command with damaged weights: it must refuse them; then bring them back."""
        code = self.look_after(self.run_command(), is_killed=True)
        damage.restore()
        if code != 2:
            self.break_rule("named", f"damaged weights were not refused, the command ended with {code}", self.lines)

    def finish(self) -> None:
        """Run the command until all is finished and every damage that it can mend is mended."""
        for _ in range(MOST_RUNS):
            code = self.look_after(self.run_command())
            found = [finding.describe() for finding in check_store(self.results).findings]
            self.lines += found
            if any("safetensors" in line for line in found):
                self.lines += run_verb(self.place, "retry", "--damaged", "--results", str(self.results))
            elif code == 0:
                return
        self.break_rule("continued", f"not all was finished after {MOST_RUNS} runs", self.lines)

    def note(self, fault: Fault, what: str) -> None:
        """Note that a fault was made."""
        at_s = time.monotonic() - self.start
        self.made.append(MadeFault(fault=fault, what=what, at_s=at_s))
        self.say(f"{at_s:5.0f} s  fault {fault.number}, {fault.kind}: {what}")

    def break_rule(self, rule: str, why: str, lines: Sequence[str]) -> None:
        """Note that a rule is broken, with the last lines of what was said."""
        self.broken.append(BrokenRule(rule, why))
        for line in lines[-40:]:
            print(f"    | {line}", file=sys.stderr)
