"""Runs the command that is drilled, always the same, and keeps every line that it says."""

from __future__ import annotations

import pathlib
import re
import subprocess
import sys
import threading
import time

from bench.drill.place import DrillPlace
from bench.drill.processes import find_processes, wait_until
from bench.storage.store import Store

CHECKPOINT_MINUTES = 0.01

STALL_MINUTES = 0.3
"""A stopped worker gives no answer for so long, then another takes its place."""

NUM_POINTS = 40
"""Chunks of steps of a trial: as many places at which a checkpoint may be left."""

DONE = re.compile(r"^\[\d+/\d+\] (\S+) ")
"""The line of a trial whose outcome was stored."""

DEADLINE_S = 420.0
"""No sitting takes so long, whatever happens: it hangs."""


class DrilledCommand:
    """One start of the command.

    Args:
        place: Where the drill works.
        results: Folder of results.
        address: The cluster to join; None for a Ray of its own.
        nice: Added to the niceness of the process; 0 for none.

    Attributes:
        lines: All that it has said.
        results: As given.
    """

    def __init__(self, place: DrillPlace, results: pathlib.Path, address: str | None = None) -> None:
        self.place = place
        self.results = results
        self.lines: list[str] = []
        self.started = time.monotonic()
        self.process = subprocess.Popen(
            run_words(results, address),
            cwd=place.code,
            env=place.environment(),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            start_new_session=True,
        )
        self.reader = threading.Thread(target=self._read, daemon=True)
        self.reader.start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        with self.process.stdout as printed:
            self.lines.extend(line.rstrip("\n") for line in iter(printed.readline, ""))

    @property
    def pid(self) -> int:
        """Give the driver's process."""
        return self.process.pid

    @property
    def has_ended(self) -> bool:
        """Tell whether the driver has ended."""
        return self.process.poll() is not None

    def is_training(self) -> bool:
        """Tell whether a worker takes steps now, as the run says of itself."""
        status = Store(self.results).read_status()
        is_mine = status is not None and status["pid"] == self.pid
        running = status["running"] if status is not None and is_mine else []
        return any(pack.get("phase") == "train" for pack in running)

    def wait_for_training(self, timeout_s: float = DEADLINE_S) -> bool:
        """Wait until a worker takes steps; False where the command ends before."""
        wait_until(lambda: self.has_ended or self.is_training(), timeout_s)
        return not self.has_ended and self.is_training()

    def workers(self) -> list[int]:
        """List the processes of Ray's that train packs."""
        return sorted(found.pid for found in find_processes(self.place.mark) if found.is_worker)

    def wait(self, timeout_s: float = DEADLINE_S) -> int | None:
        """Wait for the end; return the exit code, None if it hangs: it is killed then."""
        try:
            code = self.process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            code = None
        self.reader.join(timeout=10)
        return code

    def done_trials(self) -> list[str]:
        """List the trials of which it said that they are stored, as often as it said so."""
        found = (DONE.match(line.strip()) for line in self.lines)
        return [match.group(1) for match in found if match]


def run_words(results: pathlib.Path, address: str | None) -> list[str]:
    """Return the words of the command."""
    words = [sys.executable, "-m", "bench", "run", "--suite", "drill", "--budget", "smoke", "--results", str(results)]
    words += ["--pack-size", "2", "--set", f"budget.num_curve_points={NUM_POINTS}"]
    words += ["--checkpoint-minutes", str(CHECKPOINT_MINUTES), "--stall-minutes", str(STALL_MINUTES)]
    return words if address is None else [*words, "--address", address]


def run_verb(place: DrillPlace, *words: str) -> list[str]:
    """Run another verb to its end; return what it says."""
    done = subprocess.run(
        [sys.executable, "-m", "bench", *words],
        cwd=place.code,
        env=place.environment(),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        errors="replace",
        timeout=DEADLINE_S,
        check=False,
    )
    return [*done.stdout.splitlines(), *done.stderr.splitlines()]
