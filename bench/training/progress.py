"""Shows where a run stands: a table that redraws itself in a terminal, plain lines in a log file.

Imports no JAX: workers import it to say where they stand.
"""

from __future__ import annotations

import math
import sys
import threading
import time
from collections.abc import Callable
from types import TracebackType
from typing import NamedTuple

from rich import progress as rich_progress
from rich import progress_bar as rich_progress_bar
from rich.console import Console, Group
from rich.live import Live
from rich.progress import BarColumn, MofNCompleteColumn, TaskID, TextColumn, TimeElapsedColumn
from rich.table import Table
from rich.text import Text

from bench.storage.record import Outcome

LOG_EVERY_S = 20.0
"""Seconds between two lines on a pack in a log file."""

MIN_DONE = 0.05
"""Trials that must be done before the time left is estimated."""


class Progress(NamedTuple):
    """A report on a pack that is being trained.

    Attributes:
        phase: `prepare`, `compile`, `train`, `render` or `score`.
        step: The last gradient step taken.
        num_steps: Gradient steps of the whole training.
        loss: Mean over the pack's trials; NaN before the first step.
    """

    phase: str
    step: int
    num_steps: int
    loss: float


class RunningPack(NamedTuple):
    """A pack on a worker: its latest report, and how many trials it has."""

    progress: Progress
    num_trials: int


class ProgressTable:
    """Counts the trials that are done and shows the packs that run; a context manager.

    It is told from several threads: packs are scored and stored beside training.

    Args:
        num_trials: All that were asked for.
        num_done: Of these, how many were found finished.
        on_change: Called with the state, to be written down for `bench status`.
    """

    def __init__(self, num_trials: int, num_done: int, on_change: Callable[[dict[str, object]], None]) -> None:
        self.console = Console(stderr=True)
        self.num_trials = num_trials
        self.num_at_start = num_done
        self.num_done = num_done
        self.num_failed = 0
        self.start = time.monotonic()
        self.running: dict[tuple[str, ...], RunningPack] = {}
        self.logged: dict[tuple[str, ...], float] = {}
        self.on_change = on_change
        self.lock = threading.RLock()
        self.live: Live | None = None
        if self.console.is_terminal and sys.stderr.isatty():
            self.live = Live(console=self.console, refresh_per_second=4, get_renderable=self.draw)

    def __enter__(self) -> ProgressTable:
        if self.live:
            self.live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self.live:
            self.live.stop()

    def on_progress(self, key: str, trial_ids: tuple[str, ...], progress: Progress) -> None:
        """Note where a pack stands."""
        with self.lock:
            self.running[trial_ids] = RunningPack(progress, len(trial_ids))
            self.publish_state()
            now = time.monotonic()
            if not self.live and now - self.logged.get(trial_ids, -math.inf) > LOG_EVERY_S:
                self.logged[trial_ids] = now
                name = key.rsplit("-", 1)[0]
                self.console.print(
                    f"  {name}, {format_trials(len(trial_ids))}: {progress.phase} {progress.step}/{progress.num_steps}",
                    highlight=False,
                )

    def on_outcome(self, outcome: Outcome) -> None:
        """Count a trial that is stored."""
        record = outcome.record
        failed = record.status == "failed"
        with self.lock:
            self.num_failed += failed
            self.num_done += not failed
            self.running = {ids: pack for ids, pack in self.running.items() if record.trial_id not in ids}
            self.publish_state()
            if not self.live or failed:
                word = f"failed: {record.reason}" if failed else f"{record.timings.get('wall_s', math.nan):.1f} s"
                line = f"[{self.num_done + self.num_failed}/{self.num_trials}] {record.trial_id} {word}"
                self.console.print(line, highlight=False, markup=False, soft_wrap=True)

    def publish_state(self) -> None:
        """Hand the state on, for `bench status` in a second terminal."""
        running = [
            {
                "trial_ids": list(ids),
                "phase": pack.progress.phase,
                "step": pack.progress.step,
                "num_steps": pack.progress.num_steps,
            }
            for ids, pack in self.running.items()
        ]
        self.on_change(
            {
                "num_trials": self.num_trials,
                "num_done": self.num_done,
                "num_failed": self.num_failed,
                "left_s": self.estimate_left_s(),
                "running": running,
            }
        )

    def estimate_left_s(self) -> float | None:
        """Estimate the seconds to go, at the pace so far; None before anything is done."""
        finished = self.num_done + self.num_failed - self.num_at_start
        started = sum(pack.num_trials * fraction_done(pack.progress) for pack in self.running.values())
        done = finished + started
        if done <= MIN_DONE:
            return None
        seconds_each = (time.monotonic() - self.start) / done
        return seconds_each * max(0.0, self.num_trials - self.num_at_start - done)

    def draw(self) -> Group:
        """Draw the table as it stands now."""
        table = Table(box=None, padding=(0, 2, 0, 0), show_header=True, header_style="dim")
        table.add_column("pack")
        table.add_column("trials", justify="right")
        table.add_column("phase")
        table.add_column("")
        table.add_column("loss", justify="right")
        with self.lock:
            running = dict(self.running)
        for ids, pack in running.items():
            progress = pack.progress
            loss = "" if math.isnan(progress.loss) else f"{progress.loss:.4f}"
            bar = rich_progress_bar.ProgressBar(total=1.0, completed=fraction_done(progress), width=24)
            table.add_row(ids[0].split("__")[0], str(pack.num_trials), progress.phase, bar, loss)
        line = f"{self.num_done}/{self.num_trials} trials"
        if self.num_failed:
            line += f", {self.num_failed} failed"
        left_s = self.estimate_left_s()
        if left_s is not None:
            line += f", about {format_seconds(left_s)} left"
        return Group(Text(line, style="bold"), table)


class ProgressBar:
    """Shows where one pack stands: a bar in a terminal, plain lines in a log file; a context manager."""

    def __init__(self) -> None:
        self.console = Console(stderr=True)
        self.logged = ("", -1)
        self.task = TaskID(0)
        self.bar: rich_progress.Progress | None = None

    def __enter__(self) -> ProgressBar:
        if self.console.is_terminal and sys.stderr.isatty():
            columns = (TextColumn("{task.description:8}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
            self.bar = rich_progress.Progress(*columns, TextColumn("{task.fields[loss]}"), console=self.console)
            self.task = self.bar.add_task("prepare", total=None, loss="")
            self.bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self.bar:
            self.bar.stop()

    def on_progress(self, progress: Progress) -> None:
        """Show a report of the trainer's; in a log file one a phase and tenth of the steps."""
        loss = f"loss {progress.loss:.4f}" if math.isfinite(progress.loss) else ""
        if self.bar:
            self.bar.update(
                self.task,
                description=progress.phase,
                loss=loss,
                completed=progress.step,
                total=progress.num_steps,
            )
            return
        tenth = progress.step * 10 // max(1, progress.num_steps)
        if (progress.phase, tenth) != self.logged:
            self.logged = (progress.phase, tenth)
            print(f"{progress.phase} {progress.step}/{progress.num_steps} {loss}".rstrip(), file=sys.stderr, flush=True)


def fraction_done(progress: Progress) -> float:
    """Return how much of a pack is done, in [0, 1]: training is nearly all of it.

    Example:
        >>> [fraction_done(Progress(phase, 50, 100, 0.1)) for phase in ("train", "render", "score")]
        [0.45, 0.95, 0.95]
    """
    if progress.phase in ("render", "score"):
        return 0.95
    return 0.9 * progress.step / max(1, progress.num_steps)


def format_trials(num: int) -> str:
    """Count the trials of a pack, of which one may go on where another ends: they are not all trained at once.

    Example:
        >>> format_trials(1), format_trials(2)
        ('1 trial', '2 trials')
    """
    return f"{num} trial" if num == 1 else f"{num} trials"


def format_seconds(seconds: float | int) -> str:
    """Write seconds for a person.

    Example:
        >>> format_seconds(8), format_seconds(200), format_seconds(7300)
        ('8 s', '3 min 20 s', '2 h 1 min')
    """
    minutes, rest = divmod(round(seconds), 60)
    if minutes >= 60:
        return f"{minutes // 60} h {minutes % 60} min"
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"
