"""What one sees while trials run: a table that redraws itself in a terminal, plain lines in a log file."""

from __future__ import annotations

import math
import sys
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
from bench.training import trainer
from bench.training.trainer import Progress

LOG_EVERY_S = 20.0
"""How often a log file hears of a pack that runs."""


class RunningPack(NamedTuple):
    """A pack on a worker."""

    progress: Progress
    num_trials: int
    since: float


class ProgressTable:
    """Counts what is done and shows what runs; a context manager.

    Args:
        num_trials: All that were asked for.
        num_done: Of these, how many were found finished.
        on_change: Called with the state, to be written down for `bench status`.
    """

    def __init__(self, num_trials: int, num_done: int, on_change: Callable[[dict[str, object]], None]) -> None:
        self.console = Console(stderr=True)
        self.num_trials, self.num_done, self.num_failed = num_trials, num_done, 0
        self.num_at_start, self.start = num_done, time.monotonic()
        self.running: dict[tuple[str, ...], RunningPack] = {}
        self.logged: dict[tuple[str, ...], float] = {}
        self.on_change = on_change
        self.live = (
            Live(console=self.console, refresh_per_second=4, get_renderable=self.draw) if self.is_terminal else None
        )

    @property
    def is_terminal(self) -> bool:
        """Whether a table may redraw itself."""
        return self.console.is_terminal and sys.stderr.isatty()

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
        """A worker says where its pack stands."""
        since = self.running[trial_ids].since if trial_ids in self.running else time.monotonic()
        self.running[trial_ids] = RunningPack(progress, len(trial_ids), since)
        self.tell()
        now = time.monotonic()
        if not self.live and now - self.logged.get(trial_ids, -math.inf) > LOG_EVERY_S:
            self.logged[trial_ids] = now
            name = key.rsplit("-", 1)[0]
            self.console.print(
                f"  {name} x{len(trial_ids)}: {progress.phase} {progress.step}/{progress.num_steps}", highlight=False
            )

    def on_outcome(self, outcome: Outcome) -> None:
        """A trial is stored."""
        record = outcome.record
        failed = record.status == "failed"
        self.num_failed += failed
        self.num_done += not failed
        self.running = {ids: pack for ids, pack in self.running.items() if record.trial_id not in ids}
        self.tell()
        if not self.live or failed:
            word = f"failed: {record.reason}" if failed else f"{record.timings.get('wall_s', math.nan):.1f} s"
            self.console.print(
                f"[{self.num_done + self.num_failed}/{self.num_trials}] {record.trial_id} {word}",
                highlight=False, markup=False, soft_wrap=True,
            )  # fmt: skip

    def tell(self) -> None:
        """Writes the state down for a second terminal."""
        self.on_change(
            {
                "num_trials": self.num_trials,
                "num_done": self.num_done,
                "num_failed": self.num_failed,
                "left_s": self.left_s(),
                "running": [
                    {
                        "trial_ids": list(ids),
                        "phase": r.progress.phase,
                        "step": r.progress.step,
                        "num_steps": r.progress.num_steps,
                    }
                    for ids, r in self.running.items()
                ],
            }
        )

    def left_s(self) -> float | None:
        """Seconds to go at the pace so far; None before anything has finished."""
        finished = self.num_done + self.num_failed - self.num_at_start
        inside = sum(r.num_trials * share_done(r.progress) for r in self.running.values())
        if finished + inside <= 0.05:
            return None
        pace = (time.monotonic() - self.start) / (finished + inside)
        return pace * max(0.0, self.num_trials - self.num_at_start - finished - inside)

    def draw(self) -> Group:
        """The table, as it stands now."""
        table = Table(box=None, padding=(0, 2, 0, 0), show_header=True, header_style="dim")
        for name, justify in (
            ("pack", "left"),
            ("trials", "right"),
            ("phase", "left"),
            ("", "left"),
            ("loss", "right"),
        ):
            table.add_column(name, justify=justify)  # type: ignore[arg-type]
        for ids, pack in self.running.items():
            progress = pack.progress
            loss = "" if math.isnan(progress.loss) else f"{progress.loss:.4f}"
            bar = rich_progress_bar.ProgressBar(total=1.0, completed=share_done(progress), width=24)
            table.add_row(ids[0].split("__")[0], str(pack.num_trials), progress.phase, bar, loss)
        left = self.left_s()
        line = f"{self.num_done}/{self.num_trials} trials"
        line += f", {self.num_failed} failed" if self.num_failed else ""
        line += f", about {clock(left)} left" if left is not None else ""
        return Group(Text(line, style="bold"), table)


def share_done(progress: Progress) -> float:
    """How much of a pack is behind it, in [0, 1]: training is nearly all of it."""
    if progress.phase in ("render", "score"):
        return 0.95
    return 0.9 * progress.step / max(1, progress.num_steps)


def clock(seconds: float | int) -> str:
    """Seconds for a person.

    Example:
        >>> clock(8), clock(200), clock(7300)
        ('8 s', '3 min 20 s', '2 h 1 min')
    """
    minutes, rest = divmod(round(seconds), 60)
    if minutes >= 60:
        return f"{minutes // 60} h {minutes % 60} min"
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"


class ProgressBar:
    """What one sees meanwhile: a bar in a terminal, plain lines in a log; a context manager."""

    def __init__(self) -> None:
        self.console = Console(stderr=True)
        self.last, self.task = ("", -1), TaskID(0)
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

    def on_progress(self, progress: trainer.Progress) -> None:
        """The trainer says where it stands."""
        loss = f"loss {progress.loss:.4f}" if math.isfinite(progress.loss) else ""
        if self.bar:
            step, num_steps = progress.step, progress.num_steps
            self.bar.update(self.task, description=progress.phase, loss=loss, completed=step, total=num_steps)
            return
        tenth = progress.step * 10 // max(1, progress.num_steps)
        if (progress.phase, tenth) != self.last:  # a log wants a line now and then
            self.last = (progress.phase, tenth)
            print(f"{progress.phase} {progress.step}/{progress.num_steps} {loss}".rstrip(), file=sys.stderr, flush=True)
