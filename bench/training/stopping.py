"""Stops a run: at a signal, when its time is up, or when too many trials have failed.

Where a run leaves checkpoints, the first SIGTERM or Ctrl-C lets packs take the steps of their chunk, leave a
checkpoint and end; a second one ends the run at once, as the first does where there is nothing to keep.
"""

from __future__ import annotations

import contextlib
import math
import os
import signal
import threading
import time
from collections.abc import Iterator
from types import FrameType

GRACE_S = 15.0
"""Seconds that workers have to leave their checkpoints after a signal: machines that are taken away give 20 to 30, and
Ray takes some of them to shut down."""

SIGNALS = (signal.SIGTERM, signal.SIGINT)


class StopRequest:
    """Tells whether a run is to stop.

    Args:
        minutes: Time from now until it is; None for ever.

    Attributes:
        deadline: When its time is up, on the clock of `time.monotonic`.
        signal_name: The signal that asked for it; None where none did.
        why: Why the run itself asked for it, such as too many failures; None where it did not.
        is_patient: Whether a signal waits for the end of a chunk: only while there is something to keep.
        has_begun: Whether a pack was begun: a run whose time is short takes a chunk of steps nevertheless, so that it
            comes further.
    """

    def __init__(self, minutes: float | None = None) -> None:
        self.deadline = math.inf if minutes is None else time.monotonic() + 60 * minutes
        self.signal_name: str | None = None
        self.why: str | None = None
        self.is_patient = False
        self.has_begun = False

    def is_due(self) -> bool:
        """Tell whether no further steps are to be taken."""
        return self.signal_name is not None or self.why is not None or time.monotonic() >= self.deadline

    def ask(self, why: str) -> None:
        """Let packs take the steps of their chunk, leave checkpoints and end."""
        self.why = self.why or why

    def may_begin(self) -> bool:
        """Tell whether another pack may be begun."""
        is_asked = self.signal_name is not None or self.why is not None
        return not is_asked and (not self.is_due() or not self.has_begun)

    @contextlib.contextmanager
    def catch_signals(self) -> Iterator[None]:
        """Let SIGTERM and Ctrl-C ask for a stop; raise what they mean when all is kept.

        Raises:
            KeyboardInterrupt: A signal came; its name is the error's argument.
        """
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        before = {number: signal.signal(number, self._take_signal) for number in SIGNALS}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler or signal.SIG_DFL)
        if self.signal_name is not None:
            raise KeyboardInterrupt(self.signal_name)

    def _take_signal(self, number: int, frame: FrameType | None) -> None:
        name = signal.Signals(number).name
        if not self.is_patient or self.signal_name is not None:
            self.signal_name = name
            raise KeyboardInterrupt(name)
        self.signal_name = name
        line = f"{name}: leaving checkpoints at the end of this chunk of steps; once more ends at once\n"
        os.write(2, line.encode())  # `print` may be at work already


def heed_interrupt() -> None:
    """Let Ctrl-C, or `kill -INT`, end a run that was started in the background: shells let it ignore the signal."""
    if threading.current_thread() is threading.main_thread() and signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def exit_code(stop: KeyboardInterrupt) -> int:
    """Return what a process exits with that a signal has stopped.

    Example:
        >>> exit_code(KeyboardInterrupt("SIGTERM")), exit_code(KeyboardInterrupt())
        (143, 130)
    """
    return 143 if "SIGTERM" in stop.args else 130
