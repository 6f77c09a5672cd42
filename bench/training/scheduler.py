"""Trains packs, each once, in Ray workers or in this process, and hands on every trial's outcome.

With Ray, workers are actors that live as long as the run: one an accelerator, or without any one a CPU core (measured
on two cores: 8 ms a step on one core, 5.4 ms on both, so that a worker a core wins, and compiles at the same time).
A worker keeps its compiled programs, so packs of one program go to the same worker where possible; with an accelerator
it compiles the next programs while it trains, and scores a pack while it trains the next. `inline` does the same in
this process, one pack after the other, each on all devices that the process sees (`bench.training.device_mesh`). What
becomes of a pack that fails stands in `bench.training.queue`.

Outcomes and checkpoints come to this process, which stores them, as they are made: with those of a phase a trial
leaves its pack, whatever becomes of the rest.

Ctrl-C, or SIGTERM as `kill` and machines that are taken away send it, stops a run, and so does the end of its time
(`bench.training.stopping`):

1. Packs take the steps of their chunk and leave checkpoints. Where a run leaves none, or no steps are taken yet, a
   signal does not wait. With Ray, workers have `GRACE_S` after a signal to come to the end of their chunk.
2. Packs that are trained are scored, and their outcomes handed on, so they are stored; a second signal does not wait.
3. With Ray, the workers are killed, and the cluster that was started for the run is shut down.
4. After a signal `KeyboardInterrupt` goes on to the caller, with its name: `bench.training.run_suite` takes down the
   status, and the command line prints one line and exits with 130, or 143 after SIGTERM. The same command again goes
   on from the checkpoints.
"""

from __future__ import annotations

import contextlib
import importlib.util
import sys
from collections.abc import Sequence

from bench.errors import UsageError, nearest
from bench.storage.record import Outcome
from bench.training import cluster_token
from bench.training.failure_policy import FailurePolicy
from bench.training.inline_executor import InlineExecutor
from bench.training.precompile import BackgroundCompiler, has_accelerator
from bench.training.queue import Queue, QueuedPack
from bench.training.run_handlers import OnEvent, OnOutcome, OnProgress, RunHandlers
from bench.training.sitting import RunCheckpoints
from bench.training.stopping import StopRequest
from bench.training.worker import TRAINER
from bench.training.worker_devices import WorkerOptions

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
    checkpoints: RunCheckpoints | None = None,
    stop: StopRequest | None = None,
    on_event: OnEvent = lambda event: None,
    policy: FailurePolicy | None = None,
    workers: WorkerOptions | None = None,
) -> None:
    """Train packs, each once; return when every trial has an outcome, or when the time is up.

    Args:
        packs: Values of `bench.training.packing.Pack`.
        protocols: Names of the protocols that the trials are scored under.
        executor: `ray`, or `inline` for this process.
        address: A Ray cluster to join; None starts one on this host for the time of the run.
        on_outcome: Called in this process with each outcome as it comes, finished or failed; where scores are made
            beside training, in a thread of its own.
        on_progress: Called about once a second with a pack's key, its trials' ids and where it stands.
        train: `module:function` that takes a pack, protocols, a function to report to and a
            `bench.training.sitting.Sitting`, and returns outcomes.
        checkpoints: What packs go on from, and where they leave checkpoints; None for neither.
        stop: Says when to stop; None for signals alone.
        on_event: Called when a worker is given a pack, has trained it, and has scored it.
        policy: What is tried again, and how long a trial may take; None for the usual. The caller counts failures.
        workers: What is asked of Ray's workers; None for the usual.

    Raises:
        UsageError: No such executor, Ray does not start or cannot be joined, or a fault of the machine.
        KeyboardInterrupt: Ctrl-C or SIGTERM: see the top of this file.
    """
    checkpoints = checkpoints or RunCheckpoints()
    stop = stop or StopRequest()
    policy = policy or FailurePolicy()
    queue = Queue(packs, policy, stop.ask)

    def take_outcome(outcome: Outcome) -> None:
        on_outcome(queue.add_history(outcome))

    handlers = RunHandlers(protocols, take_outcome, on_progress, train, checkpoints, stop, on_event, policy)
    if choose_executor(executor, address) == "inline":
        compiler = BackgroundCompiler() if train == TRAINER and has_accelerator() else None
        with stop.catch_signals(), compiler or contextlib.nullcontext():
            InlineExecutor(queue, handlers, compiler).run()
    elif packs:
        if address is not None:
            cluster_token.choose_token_mode(address)
        from bench.training import ray_executor

        # Ray prints what it thinks of dead workers; standard output is for results.
        with contextlib.redirect_stdout(sys.stderr):
            ray_executor.run_on_ray(queue, handlers, address, workers)
    if queue.fault is not None:  # packs that were in training have left checkpoints
        raise UsageError(queue.fault)


def is_inline(executor: str) -> bool:
    """Tell whether packs are trained in this process: where that is asked for, or Ray is not installed."""
    return executor == "inline" or importlib.util.find_spec("ray") is None


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
    if executor == "ray" and is_inline(executor):
        if address is not None:
            raise UsageError("--address: expected Ray to be installed, got none; pip install ray")
        print("Ray is not installed: one pack after the other, in this process (pip install ray)", file=sys.stderr)
        return "inline"
    return executor
