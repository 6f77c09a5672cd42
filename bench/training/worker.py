"""Trains packs in a process of its own, and turns an exception into a value that travels between processes.

Imports no JAX: a worker limits its threads before JAX starts any.
"""

from __future__ import annotations

import importlib
import itertools
import os
import sys
import threading
import traceback
from collections.abc import Callable, Sequence
from typing import NamedTuple, Protocol, TypeAlias, TypeVar, runtime_checkable

from bench import import_paths
from bench.errors import UsageError
from bench.storage.record import Outcome
from bench.training.failure_policy import cause_of
from bench.training.precompile import BackgroundCompiler
from bench.training.progress import Progress
from bench.training.queue import Failure, QueuedPack, Stopped
from bench.training.sitting import Message, Sitting, StoredRows, TrainingStopped

TRAINER = "bench.training.trainer:train_unscored"
"""The function that trains a pack, as `module:function`: imported where it runs, because importing it imports JAX."""

MAX_NEWS_BYTES = 64 * 2**20
"""Of checkpoints in one answer of a worker: they lie in the object store on their way."""

ReportProgress: TypeAlias = Callable[[Progress], None]
"""Called now and then with where a pack stands."""

T = TypeVar("T")


@runtime_checkable
class Unscored(Protocol):
    """A pack that is trained and not scored: the part of `bench.training.scoring.UnscoredPack` that is needed here."""

    def score(self, report: ReportProgress) -> list[Outcome]:
        """Return an outcome of each trial, with its scores."""


class TrainedPack(NamedTuple):
    """A trained pack that lies in its worker: ask for its outcomes by the number.

    Attributes:
        number: Counts the packs of the worker.
    """

    number: int


class PackTrainer:
    """Trains packs in this process, one after the other; scores of each may be made while the next one is trained.

    Args:
        train: The trainer, as `module:function`. It returns outcomes, or something `Unscored`.
    """

    def __init__(self, train: str) -> None:
        self.train_name = train
        self.training = threading.Lock()

    def train(
        self, pack: QueuedPack, protocols: tuple[str, ...], report: ReportProgress, sitting: Sitting
    ) -> Unscored | Failure | Stopped | None:
        """Train a pack; an exception becomes a `Failure`, whatever its type.

        Args:
            pack: Trials of one program.
            protocols: Names of the protocols that the trials are scored under.
            report: Called now and then with where the pack stands.
            sitting: Takes the outcomes, those of a pack that fails later too.

        Returns:
            None where all outcomes have been handed on.
        """

        def attempt() -> list[Outcome] | Unscored:
            module, _, name = self.train_name.partition(":")
            return getattr(importlib.import_module(module), name)(pack, protocols, report, sitting)

        with self.training:
            result = try_to(attempt)
        return self.check(pack, result, sitting) if isinstance(result, list) else result

    def score(
        self, pack: QueuedPack, trained: Unscored, report: ReportProgress, sitting: Sitting
    ) -> Failure | Stopped | None:
        """Score a trained pack. Where memory is too small beside a pack in training, wait until that is trained."""
        result = try_to(lambda: trained.score(report))
        if isinstance(result, Failure) and "RESOURCE_EXHAUSTED" in result.reason:
            with self.training:
                result = try_to(lambda: trained.score(report))
        return self.check(pack, result, sitting) if isinstance(result, list) else result

    def train_and_score(
        self, pack: QueuedPack, protocols: tuple[str, ...], report: ReportProgress, sitting: Sitting
    ) -> Failure | Stopped | None:
        """Train a pack and score it."""
        result = self.train(pack, protocols, report, sitting)
        return self.score(pack, result, report, sitting) if isinstance(result, Unscored) else result

    def check(self, pack: QueuedPack, outcomes: list[Outcome], sitting: Sitting) -> Failure | None:
        """Hand on the outcomes that are not yet, if they are those of the pack's trials."""
        expected = [trial.id for trial in pack.trials]
        got = [outcome.record.trial_id for outcome in outcomes]
        if sorted(got) != sorted(expected):
            return Failure(f"{self.train_name}: expected an outcome of each of {expected}, got those of {got}", None)
        sitting.add_outcomes(outcomes)
        return None


def try_to(make: Callable[[], T]) -> T | Failure | Stopped:
    """Return what a function makes; an exception becomes a `Failure`, whatever its type."""
    try:
        return make()
    except TrainingStopped as stop:
        return Stopped(str(stop))
    except UsageError as error:
        return Failure(str(error), None, cause_of(error))
    except Exception as error:
        return Failure(f"{type(error).__name__}: {error}", traceback.format_exc(), cause_of(error))


class Outbox:
    """Keeps a worker's messages until its driver says that they have come.

    Nothing is lost with an answer that goes astray: it is sent again. Messages are numbered from 1.
    """

    def __init__(self) -> None:
        self.messages: dict[int, Message] = {}
        self.num_put = 0
        self.lock = threading.Lock()

    def put(self, message: Message) -> None:
        """Add a message; of a pack's checkpoints only the last are kept."""
        with self.lock:
            if isinstance(message, StoredRows):
                for number, other in list(self.messages.items()):
                    if isinstance(other, StoredRows) and other.names == message.names:
                        del self.messages[number]
            self.num_put += 1
            self.messages[self.num_put] = message

    def after(self, number: int, max_bytes: int | None = None) -> dict[int, Message]:
        """Forget the messages up to a number, which have come; return those that follow.

        Args:
            number: Of the last that has come.
            max_bytes: Of checkpoints that are returned at once, the others being for the next time; None for any.
        """
        found: dict[int, Message] = {}
        size = 0
        with self.lock:
            self.messages = {n: message for n, message in self.messages.items() if n > number}
            for n, message in self.messages.items():
                size += message.num_bytes if isinstance(message, StoredRows) else 0
                if found and max_bytes is not None and size > max_bytes:
                    break
                found[n] = message
        return found


class News(NamedTuple):
    """A worker's answer to its driver.

    Attributes:
        progress: Where the pack in training stands; None before it says so.
        messages: What packs handed on, by number.
        result: What became of the pack that was asked for; None while it is trained, and where all is in the messages.
    """

    progress: Progress | None
    messages: dict[int, Message]
    result: TrainedPack | Failure | Stopped | None = None


class Worker:
    """A Ray actor: one device, one pack in training at a time.

    Ray calls `train` always on the same thread, `outcomes` on another, and `news` and `stop` on a third.
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
        self.trainer = PackTrainer(train)
        self.trained: dict[int, tuple[QueuedPack, Unscored, Sitting]] = {}
        self.numbers = itertools.count()
        self.latest: Progress | None = None
        self.compiler = BackgroundCompiler()
        self.is_first = True
        self.outbox = Outbox()
        self.is_stopping = False

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
        self,
        pack: QueuedPack,
        protocols: tuple[str, ...],
        ahead: Sequence[QueuedPack] | None,
        saved: dict[str, bytes] | None = None,
        every_s: float | None = None,
        trial_s: float | None = None,
    ) -> News:
        """Train a pack; `news` tells meanwhile where it stands, and what it has handed on.

        Args:
            pack: Trials of one program.
            protocols: Names of the protocols that they are scored under.
            ahead: Packs whose programs are compiled meanwhile, on an accelerator; None where nothing is done beside
                training.
            saved: Files of the checkpoints that it goes on from, by the training's name.
            every_s: Seconds from one checkpoint to the next; None where it leaves none.
            trial_s: Seconds that the training of a trial may take; None for any number.

        Returns:
            What it handed on; where scores are made beside the training of the next pack, also what `outcomes` takes.
        """

        def report(progress: Progress) -> None:
            self.latest = progress

        self.latest = None
        sitting = Sitting(
            saved=dict(saved or {}),
            every_s=every_s,
            trial_s=trial_s,
            hand_on=self.outbox.put,
            is_over=lambda: self.is_stopping,
            scores_beside=ahead is not None,
        )
        if ahead is None:
            return self.answer(self.trainer.train_and_score(pack, protocols, report, sitting))
        if self.is_first:
            self.compiler.begin_scores(pack, protocols)
        self.compiler.begin(ahead)
        self.is_first = False
        result = self.trainer.train(pack, protocols, report, sitting)
        if not isinstance(result, Unscored):
            return self.answer(result)
        number = next(self.numbers)
        self.trained[number] = (pack, result, sitting)
        return self.answer(TrainedPack(number))

    def outcomes(self, trained: TrainedPack) -> News:
        """Score a trained pack, and hand on an outcome of each of its trials."""
        pack, unscored, sitting = self.trained.pop(trained.number)
        return self.answer(self.trainer.score(pack, unscored, lambda progress: None, sitting))

    def answer(self, result: TrainedPack | Failure | Stopped | None) -> News:
        """Put all that has not come yet beside a result."""
        return News(self.latest, self.outbox.after(0), result)

    def news(self, num_seen: int = 0) -> News:
        """Return the latest report on the current pack, and what was handed on after so many messages."""
        return News(self.latest, self.outbox.after(num_seen, MAX_NEWS_BYTES))

    def stop(self) -> None:
        """Let the pack in training end at the end of its chunk of steps, with checkpoints."""
        self.is_stopping = True
