"""Trains packs in a process of its own."""

from __future__ import annotations

import importlib
import importlib.util
import os
import sys
import traceback
from collections.abc import Callable, Sequence
from typing import Any

from bench import import_paths
from bench.errors import UsageError
from bench.storage.record import Outcome
from bench.training.precompile import BackgroundCompiler
from bench.training.queue import Failure

TRAINER = "bench.training.trainer:train"
"""What trains a pack, as `module:function`: imported where it runs, because importing it imports JAX."""


def _trained(
    train: str, pack: Any, protocols: tuple[str, ...], report: Callable[[Any], None]
) -> list[Outcome] | Failure:
    """Trains a pack here; an exception becomes a value, which travels between processes whatever its type."""
    try:
        module, _, name = train.partition(":")
        outcomes = getattr(importlib.import_module(module), name)(pack, protocols, report)
    except UsageError as error:
        return Failure(str(error), None, is_usage=True)
    except Exception as error:
        return Failure(f"{type(error).__name__}: {error}", traceback.format_exc())
    expected, got = [trial.id for trial in pack.trials], [outcome.record.trial_id for outcome in outcomes]
    if sorted(got) != sorted(expected):
        return Failure(f"{train}: expected an outcome of each of {expected}, got those of {got}", None)
    return outcomes


class Worker:
    """An actor: one device, one pack at a time. Ray calls `train` always on the same thread, `progress` on another."""

    def __init__(self, sys_path: list[str] | None, train: str) -> None:
        if sys_path is not None:  # the driver's, on its host: its plug-ins are found as they were there
            sys.path[:] = dict.fromkeys([*sys_path, *sys.path])
        import_paths.put_root_first()
        self.trainer = train
        self.latest: Any = None
        self.compiler, self.is_first = BackgroundCompiler(), True

    def node(self) -> str:
        """The host that it runs on, as Ray calls it."""
        import ray

        return ray.get_runtime_context().get_node_id()

    def settle(self, first: int, num_cores: int) -> None:
        """Takes some of its host's cores for itself, and that many threads, before JAX starts any.

        JAX makes as many threads as the calling thread has cores, and they inherit them.
        """
        os.environ |= {"OMP_NUM_THREADS": str(num_cores), "NPROC": str(num_cores)}  # NPROC is read by XLA
        if hasattr(os, "sched_setaffinity"):  # not on macOS
            cores = sorted(os.sched_getaffinity(0))
            os.sched_setaffinity(0, {cores[(first + i) % len(cores)] for i in range(num_cores)})

    def train(self, pack: Any, protocols: tuple[str, ...], ahead: Sequence[Any] | None) -> list[Outcome] | Failure:
        """Trains a pack, and on an accelerator compiles others' programs (`ahead`); `progress` tells of the pack."""

        def report(progress: Any) -> None:
            self.latest = progress

        self.latest = None
        if ahead is not None:
            if self.is_first:
                self.compiler.begin_scores(pack, protocols)
            self.compiler.begin(ahead)
        self.is_first = False
        return _trained(self.trainer, pack, protocols, report)

    def progress(self) -> Any:
        """The latest report on the current pack; None before the first."""
        return self.latest
