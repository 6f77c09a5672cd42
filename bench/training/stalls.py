"""Notices a worker that hangs: it lives, but nothing comes of it.

What counts is progress: another phase, another step, something handed on. A worker that gives no answer at all is
stopped, or its host is gone. One whose threads are at work on cores is given longer: there a chunk may take long.

Imports no JAX and no Ray.
"""

from __future__ import annotations

import dataclasses
import math
import time

SILENT_S = 300.0
"""Seconds without any answer after which a worker is taken for stopped."""

STALL_MINUTES = 30.0
"""Minutes without progress after which a worker is taken for hung, if nobody says others."""

BUSY_FACTOR = 8
"""A worker whose cores are at work may take so many times longer, and any one so many times its slowest step so far."""

BUSY_SHARE = 0.5
"""Cores that are at work, on average, in a worker that computes on them."""


@dataclasses.dataclass(eq=False)
class StallWatch:
    """Watches one worker.

    Attributes:
        stall_s: Seconds without progress that are taken for a hang; infinite for none.
        silent_s: Seconds without an answer.
        last: What the latest progress was.
        since: When it came.
        cpu_s: Seconds of cores that the worker had used by then.
        cpu_now_s: Seconds of cores that it had used at its latest answer.
        asked: When the question was put that has no answer yet; None where there is none.
        longest_s: The longest time from one progress to the next.
    """

    stall_s: float = 60 * STALL_MINUTES
    silent_s: float = SILENT_S
    last: object = None
    since: float = dataclasses.field(default_factory=time.monotonic)
    cpu_s: float = 0.0
    cpu_now_s: float = 0.0
    asked: float | None = None
    longest_s: float = 0.0

    def begin(self) -> None:
        """Note that the worker is given something to do."""
        self.since = time.monotonic()
        self.cpu_s = self.cpu_now_s
        self.last = None
        self.asked = None

    def ask(self) -> None:
        """Note that it is asked where it stands."""
        self.asked = time.monotonic()

    def hear(self, progress: object, cpu_s: float) -> None:
        """Note an answer.

        Args:
            progress: Another value than before if it came further.
            cpu_s: Seconds of cores that it has used since it started.
        """
        self.asked = None
        self.cpu_now_s = cpu_s
        if progress != self.last:
            now = time.monotonic()
            self.longest_s = max(self.longest_s, now - self.since)
            self.last = progress
            self.since = now
            self.cpu_s = cpu_s

    def why_hung(self) -> str | None:
        """Say why the worker is taken for hung; None if it is not."""
        if math.isinf(self.stall_s):
            return None
        now = time.monotonic()
        silent_s = min(self.silent_s, self.stall_s)
        if self.asked is not None and now - self.asked > silent_s:
            return f"it gave no answer for {now - self.asked:.0f} s"
        idle_s = now - self.since
        is_busy = self.cpu_now_s - self.cpu_s > BUSY_SHARE * idle_s
        limit_s = max(self.stall_s * (BUSY_FACTOR if is_busy else 1), BUSY_FACTOR * self.longest_s)
        return f"it made no progress for {idle_s:.0f} s" if idle_s > limit_s else None
