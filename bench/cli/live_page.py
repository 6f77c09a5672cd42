"""Draws the page of a run while it trains, so that its first pictures can be opened after a minute or two.

A thread of the run's process draws: first when a trial is stored, then at most every `EVERY_S`, and never for more than
a small share of the time. Where the system lets it, it gives way to what trains on the same cores. The last page, of
all trials, is drawn by the run itself at its end.
"""

from __future__ import annotations

import contextlib
import os
import pathlib
import sys
import threading
import time
from types import TracebackType
from typing import TYPE_CHECKING

from bench.cli import report_options
from bench.storage.store import Store
from tasks.data_dir.atomic_files import write_file

if TYPE_CHECKING:
    from bench.suites.selection import Selection
    from bench.training.run_handlers import PackEvent

FIRST_S = 30.0
"""Seconds before the first page, at least: a run that ends sooner draws its only page at its end."""

EVERY_S = 90.0
"""Seconds between two pages, at least."""

STORED_S = 2.0
"""Seconds after the end of a pack in which its outcomes are stored: a pack's end is told of just before."""

MOST_SHARE = 0.1
"""Of the time, at most, that drawing takes of one core."""

NICENESS = 10
"""Added to the drawing thread's: cores are for training. Ray's workers have 15 by themselves."""

LAST_WAIT_S = 5.0
"""Seconds that a run which is stopped waits for a page that is being drawn."""


class LivePage:
    """Draws the page of a run while it trains; a context manager.

    A page that cannot be drawn now costs the run nothing: a line says so, and its end draws it.

    Args:
        chosen: Trials and tables.
        results: The store's folder.
        folder: The report's folder.
        command: Command line that makes the report again.

    Attributes:
        page: Path of the page; None before the first is drawn.
    """

    def __init__(self, chosen: Selection, results: pathlib.Path, folder: pathlib.Path, command: str) -> None:
        self.chosen = chosen
        self.results = results
        self.folder = folder
        self.command = command
        self.page: pathlib.Path | None = None
        self.is_ending = False
        self.ended: float | None = None  # when the first pack ended that is not on the page yet
        self.told = threading.Condition()
        self.thread = threading.Thread(target=self._draw_when_due, name="page", daemon=True)

    def __enter__(self) -> LivePage:
        self.thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        with self.told:
            self.is_ending = True
            self.told.notify()
        self.thread.join(None if error is None else LAST_WAIT_S)  # else two would write into one folder
        if self.page is not None:
            self._let_rest(self.page)

    def note_event(self, event: PackEvent) -> None:
        """Note what became of a pack: one that ended has pictures for the next page."""
        if event.kind == "ended":
            with self.told:
                self.ended = self.ended or time.monotonic()
                self.told.notify()

    def _draw_when_due(self) -> None:
        """Draw pages until the run ends or a page cannot be drawn."""
        give_way()
        due = time.monotonic() + FIRST_S
        while self._wait_until(due):
            start = time.monotonic()
            try:
                page = self._draw()
            except Exception as error:  # whatever it is: the page at the run's end meets it too, and says all of it
                print(f"page not drawn while trials run: {error}; the run draws it at its end", file=sys.stderr)
                return
            if self.page is None:
                print(f"pictures so far: {page}, drawn again while trials run", file=sys.stderr, flush=True)
            self.page = page
            took_s = time.monotonic() - start
            due = time.monotonic() + max(EVERY_S, took_s / MOST_SHARE)

    def _wait_until(self, due: float) -> bool:
        """Wait until something new is to be drawn and the time has come; False if the run ends before."""
        with self.told:
            while not self.is_ending:
                if self.ended is None:
                    self.told.wait()
                    continue
                left_s = max(due, self.ended + STORED_S) - time.monotonic()
                if left_s <= 0:
                    self.ended = None
                    return True
                self.told.wait(left_s)
        return False

    def _draw(self) -> pathlib.Path:
        """Draw what is stored now; return the page's path."""
        from bench.report import build

        trials_store = Store.open(self.results, is_guest=True)  # the run writes meanwhile
        contents = build.gather_contents(
            self.chosen,
            trials_store,
            command=self.command,
            media=report_options.plan_media(self.chosen, trials_store, report_options.MediaOptions()),
            refresh_s=EVERY_S,
        )
        return build.draw_report(contents, self.folder).page

    def _let_rest(self, page: pathlib.Path) -> None:
        """Let the last page no longer load itself again: nobody draws a next one."""
        from bench.report.page.html import without_auto_refresh

        with contextlib.suppress(OSError):  # the run says so when it draws its own
            write_file(page, without_auto_refresh(page.read_text(encoding="utf-8")))


def give_way() -> None:
    """Lower this thread's priority, where threads have one of their own."""
    if sys.platform == "linux":
        with contextlib.suppress(OSError):
            thread = threading.get_native_id()
            os.setpriority(os.PRIO_PROCESS, thread, os.getpriority(os.PRIO_PROCESS, thread) + NICENESS)
