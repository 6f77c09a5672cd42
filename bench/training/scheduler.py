"""Decides which worker trains which pack, and what becomes of a pack whose worker dies.

With Ray, workers are actors that live as long as the run: one an accelerator, or without any one a CPU core (measured
on two cores: 8 ms a step on one core, 5.4 ms on both, so that a worker a core wins, and compiles at the same time).
A worker keeps its compiled programs, so packs of one program go to the same worker where possible; with an accelerator
it compiles the next programs while it trains. `inline` does the same in this process, one pack after the other.

What goes wrong goes wrong for one trial: a pack whose worker died is tried once more, then its trials one by one; a
trial whose worker dies twice, or which raises alone, is an outcome that says so. Only `KeyboardInterrupt` ends a run.
"""

from __future__ import annotations

import contextlib
import importlib
import importlib.util
import signal
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from bench.errors import UsageError, nearest
from bench.storage.record import Outcome
from bench.training.precompile import BackgroundCompiler, has_accelerator
from bench.training.queue import Attempt, Failure, Queue
from bench.training.ray_executor import RayExecutor, _ray
from bench.training.worker import TRAINER, _trained

EXECUTORS = ("ray", "inline")


def run(
    packs: Sequence[Any],
    protocols: tuple[str, ...],
    *,
    executor: str,
    address: str | None = None,
    on_outcome: Callable[[Outcome], None],
    on_progress: Callable[[str, tuple[str, ...], Any], None],
    train: str = TRAINER,
) -> None:
    """Trains packs, each once; returns when every trial has an outcome.

    Args:
        packs: Values of `bench.training.packing.Pack`.
        protocols: How numbers are made of views.
        executor: `ray`, or `inline` for this process.
        address: A Ray cluster to join; None starts one on this host for the time of the run.
        on_outcome: Called in this process with each outcome as it comes, finished or failed.
        on_progress: Called about once a second with a pack's key, its trials' ids and where it stands.
        train: `module:function` that takes a pack, protocols and a function to report to, and returns outcomes.

    Raises:
        UsageError: No such executor, or Ray does not start or cannot be joined.
        KeyboardInterrupt: Ctrl-C or SIGTERM. Workers are gone by then; outcomes that were there have been handed on.
    """
    if executor not in EXECUTORS:
        raise UsageError(
            f"--executor: expected one of {', '.join(EXECUTORS)}, got {executor!r}; {nearest(executor, EXECUTORS)}"
        )
    if address is not None and executor != "ray":
        raise UsageError(f"--address: expected --executor ray with it, got {executor}; leave one of them out")
    if executor == "ray" and importlib.util.find_spec("ray") is None:
        if address is not None:
            raise UsageError("--address: expected Ray to be installed, got none; pip install ray")
        print("Ray is not installed: one pack after the other, in this process (pip install ray)", file=sys.stderr)
        executor = "inline"
    if not packs:
        return
    if executor == "inline":
        with _sigterm_as_interrupt():
            _run_inline(Queue(packs), protocols, on_outcome, on_progress, train)
    else:
        # Ray prints what it thinks of dead workers; standard output is for results.
        with contextlib.redirect_stdout(sys.stderr), _ray(address) as is_local, _sigterm_as_interrupt():
            RayExecutor(Queue(packs), protocols, on_outcome, on_progress, train, is_local).run()


def _run_inline(
    queue: Queue,
    protocols: tuple[str, ...],
    on_outcome: Callable[[Outcome], None],
    on_progress: Callable[[str, tuple[str, ...], Any], None],
    train: str,
) -> None:
    compiled: set[tuple[str, int]] = set()
    begun: list[tuple[str, int]] = []
    with BackgroundCompiler() as compiler:
        while queue.waiting:
            attempt = queue.take(compiled, set(), begun)
            is_first = not compiled
            compiled.add(attempt.program)
            if train == TRAINER and has_accelerator():
                if is_first:
                    compiler.begin_scores(attempt.pack, protocols)
                following = queue.ahead(compiled | set(begun))
                begun += [other.program for other in following]
                compiler.begin([other.pack for other in following])

            def report(progress: Any, attempt: Attempt = attempt) -> None:
                on_progress(attempt.pack.key, attempt.trial_ids, progress)

            result = _trained(train, attempt.pack, protocols, report)
            for outcome in queue.raised(attempt, result) if isinstance(result, Failure) else result:
                on_outcome(outcome)


@contextlib.contextmanager
def _sigterm_as_interrupt() -> Iterator[None]:
    """Lets `kill` end a run as Ctrl-C does."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def stop(number: int, frame: Any) -> None:
        raise KeyboardInterrupt("SIGTERM")

    before = signal.signal(signal.SIGTERM, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before or signal.SIG_DFL)
