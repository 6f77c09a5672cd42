"""Trains packs in a process of its own, and turns an exception into a value that travels between processes.

Imports no JAX: a worker limits its threads before JAX starts any.
"""

from __future__ import annotations

import importlib
import os
import sys
import traceback
from collections.abc import Callable, Sequence

from bench import import_paths
from bench.errors import UsageError
from bench.storage.record import Outcome
from bench.training.precompile import BackgroundCompiler
from bench.training.progress import Progress
from bench.training.queue import Failure, QueuedPack

TRAINER = "bench.training.trainer:train"
"""The function that trains a pack, as `module:function`: imported where it runs, because importing it imports JAX."""


def try_to_train(
    train: str, pack: QueuedPack, protocols: tuple[str, ...], report: Callable[[Progress], None]
) -> list[Outcome] | Failure:
    """Train a pack in this process; an exception becomes a `Failure`, whatever its type.

    Args:
        train: The trainer, as `module:function`.
        pack: Trials of one program.
        protocols: Names of the protocols that the trials are scored under.
        report: Called now and then with where the pack stands.
    """
    try:
        module, _, name = train.partition(":")
        outcomes = getattr(importlib.import_module(module), name)(pack, protocols, report)
    except UsageError as error:
        return Failure(str(error), None, is_usage=True)
    except Exception as error:
        return Failure(f"{type(error).__name__}: {error}", traceback.format_exc())
    expected = [trial.id for trial in pack.trials]
    got = [outcome.record.trial_id for outcome in outcomes]
    if sorted(got) != sorted(expected):
        return Failure(f"{train}: expected an outcome of each of {expected}, got those of {got}", None)
    return outcomes


class Worker:
    """A Ray actor: one device, one pack at a time.

    Ray calls `train` always on the same thread, and `progress` on another.
    """

    def __init__(self, sys_path: list[str] | None, train: str) -> None:
        """Start the worker.

        Args:
            sys_path: The driver's, where it runs on this host, so that the user's plug-ins are found; else None.
            train: The trainer, as `module:function`.
        """
        if sys_path is not None:
            sys.path[:] = dict.fromkeys([*sys_path, *sys.path])
        import_paths.put_root_first()
        self.trainer = train
        self.latest: Progress | None = None
        self.compiler = BackgroundCompiler()
        self.is_first = True

    def node(self) -> str:
        """Return the host that it runs on, as Ray names it."""
        import ray

        return ray.get_runtime_context().get_node_id()

    def use_cores(self, first: int, num_cores: int) -> None:
        """Take some of its host's cores for itself, and that many threads, before JAX starts any.

        JAX makes as many threads as the calling thread has cores, and they inherit them.
        """
        os.environ |= {"OMP_NUM_THREADS": str(num_cores), "NPROC": str(num_cores)}  # NPROC is read by XLA
        if hasattr(os, "sched_setaffinity"):  # not on macOS
            cores = sorted(os.sched_getaffinity(0))
            os.sched_setaffinity(0, {cores[(first + i) % len(cores)] for i in range(num_cores)})

    def train(
        self, pack: QueuedPack, protocols: tuple[str, ...], ahead: Sequence[QueuedPack] | None
    ) -> list[Outcome] | Failure:
        """Train a pack; `progress` tells meanwhile where it stands.

        Args:
            pack: Trials of one program.
            protocols: Names of the protocols that they are scored under.
            ahead: Packs whose programs are compiled meanwhile, on an accelerator; None where nothing is.
        """

        def report(progress: Progress) -> None:
            self.latest = progress

        self.latest = None
        if ahead is not None:
            if self.is_first:
                self.compiler.begin_scores(pack, protocols)
            self.compiler.begin(ahead)
        self.is_first = False
        return try_to_train(self.trainer, pack, protocols, report)

    def progress(self) -> Progress | None:
        """Return the latest report on the current pack; None before the first."""
        return self.latest
