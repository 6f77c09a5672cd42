"""Trains packs, each once, in Ray workers or in this process, and hands on every trial's outcome.

With Ray, workers are actors that live as long as the run: one an accelerator, or without any one a CPU core (measured
on two cores: 8 ms a step on one core, 5.4 ms on both, so that a worker a core wins, and compiles at the same time).
A worker keeps its compiled programs, so packs of one program go to the same worker where possible; with an accelerator
it compiles the next programs while it trains, and scores a pack while it trains the next. `inline` does the same in
this process, one pack after the other. What becomes of a pack that fails stands in `bench.training.queue`.

Ctrl-C, or SIGTERM as `kill` sends it, raises `KeyboardInterrupt` in this process. Then:

1. Packs that are trained are scored, and their outcomes handed on, so they are stored. Packs in training are lost:
   nothing is stored in the middle of a trial. A second Ctrl-C does not wait for scores.
2. With Ray, the workers are killed, and the cluster that was started for the run is shut down.
3. `KeyboardInterrupt` goes on to the caller: `bench.training.run_suite` takes down the status, and the command line
   prints one line and exits with 130. The same command again trains what is missing.
"""

from __future__ import annotations

import contextlib
import importlib.util
import signal
import sys
import threading
from collections.abc import Iterator, Sequence
from types import FrameType

from bench.errors import UsageError, nearest
from bench.training.inline_executor import InlineExecutor, OnOutcome, OnProgress
from bench.training.precompile import BackgroundCompiler, has_accelerator
from bench.training.queue import Queue, QueuedPack
from bench.training.worker import TRAINER

EXECUTORS = ("ray", "inline")


def train_packs(
    packs: Sequence[QueuedPack],
    protocols: tuple[str, ...],
    *,
    executor: str,
    address: str | None = None,
    on_outcome: OnOutcome,
    on_progress: OnProgress,
    train: str = TRAINER,
) -> None:
    """Train packs, each once; return when every trial has an outcome.

    Args:
        packs: Values of `bench.training.packing.Pack`.
        protocols: Names of the protocols that the trials are scored under.
        executor: `ray`, or `inline` for this process.
        address: A Ray cluster to join; None starts one on this host for the time of the run.
        on_outcome: Called in this process with each outcome as it comes, finished or failed; where scores are made
            beside training, in a thread of its own.
        on_progress: Called about once a second with a pack's key, its trials' ids and where it stands.
        train: `module:function` that takes a pack, protocols and a function to report to, and returns outcomes.

    Raises:
        UsageError: No such executor, or Ray does not start or cannot be joined.
        KeyboardInterrupt: Ctrl-C or SIGTERM: see the top of this file.
    """
    if choose_executor(executor, address) == "inline":
        compiler = BackgroundCompiler() if train == TRAINER and has_accelerator() else None
        with _sigterm_as_interrupt(), compiler or contextlib.nullcontext():
            InlineExecutor(Queue(packs), protocols, on_outcome, on_progress, train, compiler).run()
    elif packs:
        from bench.training import ray_executor

        # Ray prints what it thinks of dead workers; standard output is for results.
        with (
            contextlib.redirect_stdout(sys.stderr),
            ray_executor.connect_ray(address) as is_local,
            _sigterm_as_interrupt(),
        ):
            ray_executor.RayExecutor(Queue(packs), protocols, on_outcome, on_progress, train, is_local).run()


def choose_executor(executor: str, address: str | None) -> str:
    """Return the executor that is asked for, or `inline`, with one line that says so, where Ray is not installed.

    Raises:
        UsageError: No such executor, or an address that it has no use for.
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
        return "inline"
    return executor


@contextlib.contextmanager
def _sigterm_as_interrupt() -> Iterator[None]:
    """Let `kill` end a run as Ctrl-C does."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def stop(number: int, frame: FrameType | None) -> None:
        raise KeyboardInterrupt("SIGTERM")

    before = signal.signal(signal.SIGTERM, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before or signal.SIG_DFL)
