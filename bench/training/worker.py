"""Trains packs in a process of its own, and turns an exception into a value that travels between processes.

Imports no JAX: a worker limits its threads before JAX starts any.
"""

from __future__ import annotations

import contextlib
import importlib
import itertools
import os
import signal
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from types import FrameType
from typing import NamedTuple, Protocol, TypeAlias, TypeVar, runtime_checkable

from bench import import_paths
from bench.device_errors import explain_device_error, is_device_fault
from bench.errors import UsageError
from bench.storage.record import Outcome
from bench.training import node_facts
from bench.training.failure_policy import cause_of
from bench.training.precompile import BackgroundCompiler
from bench.training.progress import Progress
from bench.training.queue import Failure, QueuedPack, Stopped
from bench.training.sitting import Message, Sitting, StoredRows, TrainingStopped

TRAINER = "bench.training.trainer:train_unscored"
"""The function that trains a pack, as `module:function`: imported where it runs, because importing it imports JAX."""

MAX_NEWS_BYTES = 64 * 2**20
"""Of checkpoints in one answer of a worker: they lie in the object store on their way."""

LEAVING_S = 18.0
"""Seconds that a worker takes to leave after SIGTERM: hosts that are taken away give 20 to 30."""

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
        explained = explain_device_error(error)
        if explained is not None and is_device_fault(error):
            return Failure(explained, None, cause_of(error))
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
        cpu_s: Seconds of cores that the worker has used.
        is_leaving: Whether its host is taken away: it is to be given nothing more.
    """

    progress: Progress | None
    messages: dict[int, Message]
    result: TrainedPack | Failure | Stopped | None = None
    cpu_s: float = 0.0
    is_leaving: bool = False

    def trial_ids(self) -> list[str]:
        """Name the trials whose outcomes are among the messages."""
        return [message.record.trial_id for message in self.messages.values() if isinstance(message, Outcome)]


class WorkerPlace(NamedTuple):
    """Names the host and the process of a worker.

    Attributes:
        node: The host, as Ray names it.
        pid: Its process.
        num_oom_kills: Processes that the host had killed for their memory when it started; None if nobody counts.
    """

    node: str
    pid: int
    num_oom_kills: int | None


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
        self.is_leaving = False
        self.num_working = 0
        self.counting = threading.Lock()

    def place(self) -> WorkerPlace:
        """Return where it runs."""
        import ray

        return WorkerPlace(ray.get_runtime_context().get_node_id(), os.getpid(), node_facts.count_oom_kills())

    def leave(self, number: int, frame: FrameType | None) -> None:
        """Leave checkpoints and end, because the host is taken away: SIGTERM says so."""
        self.is_stopping = True
        if not self.is_leaving:
            self.is_leaving = True
            threading.Thread(target=self.end_soon, daemon=True).start()

    def end_soon(self) -> None:
        """End when all that was asked for is done and has come, or the time is up."""
        end = time.monotonic() + LEAVING_S
        while time.monotonic() < end and (self.num_working or self.trained or self.outbox.messages):
            time.sleep(0.1)
        os._exit(143)

    def use_cores(self, first: int, num_cores: int) -> None:
        """Take some of its host's cores for itself, and that many threads, before JAX starts any.

        JAX makes as many threads as the calling thread has cores, and they inherit them.
        """
        os.environ |= {"OMP_NUM_THREADS": str(num_cores), "NPROC": str(num_cores)}  # NPROC is read by XLA
        if hasattr(os, "sched_setaffinity"):  # not on macOS
            cores = sorted(os.sched_getaffinity(0))
            os.sched_setaffinity(0, {cores[(first + i) % len(cores)] for i in range(num_cores)})

    def limit_memory(self, share: float) -> None:
        """Take at most this part of the GPU's memory, because others share it; what the user set counts more."""
        os.environ.setdefault("XLA_PYTHON_CLIENT_MEM_FRACTION", f"{share:.3f}")

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
        with self.at_work():
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
        with self.at_work():
            pack, unscored, sitting = self.trained.pop(trained.number)
            return self.answer(self.trainer.score(pack, unscored, lambda progress: None, sitting))

    @contextlib.contextmanager
    def at_work(self) -> Iterator[None]:
        """Note that a pack is trained or scored meanwhile."""
        with self.counting:
            self.num_working += 1
        try:
            yield
        finally:
            with self.counting:
                self.num_working -= 1

    def answer(self, result: TrainedPack | Failure | Stopped | None) -> News:
        """Put all that has not come yet beside a result."""
        return News(self.latest, self.outbox.after(0), result, time.process_time(), self.is_leaving)

    def news(self, num_seen: int = 0) -> News:
        """Return the latest report on the current pack, and what was handed on after so many messages."""
        messages = self.outbox.after(num_seen, MAX_NEWS_BYTES)
        return News(self.latest, messages, None, time.process_time(), self.is_leaving)

    def stop(self) -> None:
        """Let the pack in training end at the end of its chunk of steps, with checkpoints."""
        self.is_stopping = True


class LeavingWorker(Worker):
    """A worker that has its process to itself, and leaves it in order when SIGTERM says that the host is taken away."""

    def __init__(self, sys_path: list[str] | None, train: str) -> None:
        super().__init__(sys_path, train)
        signal.signal(signal.SIGTERM, self.leave)  # Ray makes actors on the main thread
