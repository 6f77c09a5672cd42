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
import dataclasses
import importlib
import importlib.util
import logging
import os
import re
import signal
import socket
import sys
import threading
import traceback
import warnings
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

from bench import import_paths
from bench.errors import UsageError, nearest
from bench.storage import record
from bench.storage.record import Outcome
from bench.training.precompile import NUM_AHEAD, BackgroundCompiler, has_accelerator

TRAINER = "bench.training.trainer:train"
"""What trains a pack, as `module:function`: imported where it runs, because importing it imports JAX."""

EXECUTORS = ("ray", "inline")

NUM_TRIES = 2
"""How many workers may die of one pack, and then of one trial alone."""

NUM_STARTS = 3
"""How many workers in a row may die before they have started."""

POLL_S = 1.0

OBJECT_STORE_BYTES = 256 * 2**20
"""Outcomes on their way to the driver; what does not fit goes to the disk. Small, as `/dev/shm` is in a container."""

NOT_SENT = ("/.*", "/results", "/reports", "/tests", "/build", "__pycache__", "*.egg-info")
"""What workers on other hosts are not given of `ROOT`."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Attempt:
    """A pack that waits or is being trained, and how many workers have died of it.

    Attributes:
        pack: A `bench.training.packing.Pack`, not named here: this file is imported by workers before their threads are limited,
            and must not import JAX.
        num_deaths: Of workers, since it became this pack.
    """

    pack: Any
    num_deaths: int = 0

    @property
    def program(self) -> tuple[str, int]:
        """Equal for packs that one compiled program serves as it is."""
        return self.pack.key, len(self.pack.trials)

    @property
    def trial_ids(self) -> tuple[str, ...]:
        """Of its trials."""
        return tuple(trial.id for trial in self.pack.trials)

    @property
    def block(self) -> int:
        """Its lowest seed: blocks of seeds are balanced, so that what is finished when a run is stopped is, too."""
        return min(trial.seed for trial in self.pack.trials)

    @property
    def work(self) -> int:
        """In steps; the long ones go first, so that workers finish together."""
        return self.pack.num_steps

    def alone(self) -> list[Attempt]:
        """One attempt a trial."""
        return [Attempt(pack=dataclasses.replace(self.pack, trials=(trial,))) for trial in self.pack.trials]


class Failure(NamedTuple):
    """Why a pack left no outcomes.

    Attributes:
        reason: One line.
        traceback: None where the line says all.
        is_usage: A mistake of the user's: true of all trials of the pack, so that none is to blame.
    """

    reason: str
    traceback: str | None
    is_usage: bool = False


class Queue:
    """What is still to be trained, and what is tried next after something went wrong."""

    def __init__(self, packs: Sequence[Any]) -> None:
        self.waiting = [Attempt(pack=pack) for pack in packs]

    def take(
        self, mine: set[tuple[str, int]], others: set[tuple[str, int]], begun: Sequence[tuple[str, int]] = ()
    ) -> Attempt:
        """The next pack for a worker: of the lowest seeds, of a program that it has compiled, the longest.

        Args:
            mine: Programs that the worker has compiled.
            others: Programs that other workers have; taken only rather than to be idle.
            begun: Programs that the worker has begun to compile, in that order; next to those that it has.
        """

        def rank(attempt: Attempt) -> tuple[int, int, bool, int]:
            program = attempt.program
            place = begun.index(program) + 1 if program in begun else len(begun) + 1
            return attempt.block, 0 if program in mine else place, program in others, -attempt.work

        best = min(self.waiting, key=rank)
        self.waiting.remove(best)
        return best

    def ahead(self, known: set[tuple[str, int]]) -> list[Attempt]:
        """A pack of each of the next `NUM_AHEAD` programs that nobody knows, in the order in which they are taken."""
        found: dict[tuple[str, int], Attempt] = {}
        for attempt in sorted(self.waiting, key=lambda attempt: (attempt.block, -attempt.work)):
            if attempt.program not in known:
                found.setdefault(attempt.program, attempt)
        return list(found.values())[:NUM_AHEAD]

    def died(self, attempt: Attempt, how: str) -> list[Outcome]:
        """A worker died: tries again, then one by one, then gives up; returns the outcomes of the given up."""
        num_deaths = attempt.num_deaths + 1
        if num_deaths < NUM_TRIES:
            self.waiting.append(dataclasses.replace(attempt, num_deaths=num_deaths))
            return []
        if len(attempt.pack.trials) > 1:
            self.waiting += attempt.alone()
            return []
        reason = f"its worker died {num_deaths} times while it was trained alone ({how}): out of memory, or a crash"
        return [record.failed(attempt.pack.trials[0], reason)]

    def raised(self, attempt: Attempt, failure: Failure) -> list[Outcome]:
        """An exception: tries the trials one by one to find which is to blame; returns those that are."""
        trials = attempt.pack.trials
        if len(trials) > 1 and not failure.is_usage:
            self.waiting += attempt.alone()
            return []
        return [record.failed(trial, failure.reason, failure.traceback, len(trials)) for trial in trials]


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


@dataclasses.dataclass(eq=False)
class WorkerHandle:
    """What the driver knows of one worker.

    Attributes:
        actor: Ray's handle.
        waits_for: What its worker is busy with: `node` at first, then `train`; None when it is free.
        node: Its host, once known.
        place: Its number on that host.
        attempt: What it trains.
        asked: The latest question for progress that has no answer yet.
        compiled: Programs that it has.
        begun: Programs that it compiles ahead, in that order.
    """

    actor: Any
    waits_for: Any
    node: str | None = None
    place: int = 0
    attempt: Attempt | None = None
    asked: Any = None
    compiled: set[tuple[str, int]] = dataclasses.field(default_factory=set)
    begun: list[tuple[str, int]] = dataclasses.field(default_factory=list)

    @property
    def known(self) -> set[tuple[str, int]]:
        """Programs that it has or will have."""
        return self.compiled | set(self.begun)


class RayExecutor:
    """The workers of a run, seen from the driver."""

    def __init__(
        self,
        queue: Queue,
        protocols: tuple[str, ...],
        on_outcome: Callable[[Outcome], None],
        on_progress: Callable[[str, tuple[str, ...], Any], None],
        train: str,
        is_local: bool,
    ) -> None:
        import ray

        self.ray = ray
        self.queue, self.protocols, self.train, self.is_local = queue, protocols, train, is_local
        self.on_outcome, self.on_progress = on_outcome, on_progress
        self.need, num_slots = worker_resources(ray.cluster_resources(), is_local)
        self.size = max(1, min(num_slots, len(queue.waiting)))
        self.cores_each = num_slots // self.size if self.need == {"num_cpus": 1} else 0
        self.compiles_ahead = train == TRAINER and self.need != {"num_cpus": 1}
        self.num_failed_starts = 0
        self.hands: list[WorkerHandle] = []

    def run(self) -> None:
        """Until nothing waits and nobody works."""
        try:
            self.hands = [self.hire() for _ in range(self.size)]
            while self.queue.waiting or any(hand.attempt for hand in self.hands):
                self.give_work()
                self.listen(POLL_S)
                self.ask_progress()
        except KeyboardInterrupt:
            self.listen(0.0)  # what is finished is kept
            raise
        finally:
            for hand in self.hands:
                self.ray.kill(hand.actor)

    def hire(self) -> WorkerHandle:
        """Starts a worker."""
        sys_path = [entry or os.getcwd() for entry in sys.path] if self.is_local else None
        made = self.ray.remote(concurrency_groups={"progress": 1})(Worker)  # type: ignore[call-overload]
        actor = made.options(max_restarts=0, **self.need).remote(sys_path, self.train)
        return WorkerHandle(actor, actor.node.remote())

    def give_work(self) -> None:
        """Gives every free worker a pack, if one waits."""
        for hand in self.hands:
            if hand.waits_for is None and self.queue.waiting:
                others = set().union(*(other.known for other in self.hands if other is not hand))
                hand.attempt = self.queue.take(hand.compiled, others, hand.begun)
                hand.compiled.add(hand.attempt.program)
                packs: list[Any] | None = None
                if self.compiles_ahead:
                    following = self.queue.ahead(others | hand.known)
                    hand.begun += [other.program for other in following]
                    packs = [other.pack for other in following]
                hand.asked = None  # what was asked of the pack before
                hand.waits_for = hand.actor.train.remote(hand.attempt.pack, self.protocols, packs)

    def listen(self, timeout_s: float) -> None:
        """Waits for answers, at most so long, and acts on them."""
        busy = {hand.waits_for: hand for hand in self.hands if hand.waits_for is not None}
        if busy:
            self.ray.wait(list(busy), num_returns=1, timeout=timeout_s)
            for reference in self.ray.wait(list(busy), num_returns=len(busy), timeout=0)[0]:
                self.hear(busy[reference])

    def hear(self, hand: WorkerHandle) -> None:
        """A worker has answered, or died."""
        errors = self.ray.exceptions
        try:
            answer = self.ray.get(hand.waits_for)
        except (errors.RayTaskError, errors.UnserializableException) as error:  # what could not be sent there or back
            text = _without_hosts(str(error))
            answer = Failure(text.splitlines()[-1], text)
        except errors.RayError as error:
            self.replace(hand, error)
            return
        hand.waits_for = None
        if hand.attempt is None:
            self.settle(hand, answer)
            return
        attempt, hand.attempt = hand.attempt, None
        for outcome in self.queue.raised(attempt, answer) if isinstance(answer, Failure) else answer:
            self.on_outcome(outcome)

    def settle(self, hand: WorkerHandle, node: str) -> None:
        """A worker has started: it gets the first cores of its host that no other has."""
        self.num_failed_starts = 0
        taken = {other.place for other in self.hands if other.node == node}
        hand.node, hand.place = node, next(place for place in range(len(taken) + 1) if place not in taken)
        if self.cores_each:
            hand.actor.settle.remote(hand.place * self.cores_each, self.cores_each)

    def replace(self, hand: WorkerHandle, error: Exception) -> None:
        """A worker has died: a fresh one takes its place, and its pack is tried again or given up."""
        self.hands.remove(hand)
        self.ray.kill(hand.actor)  # it may only be out of reach
        if hand.attempt is not None:
            for outcome in self.queue.died(hand.attempt, _how_it_died(error)):
                self.on_outcome(outcome)
        else:
            self.num_failed_starts += 1
        if self.num_failed_starts >= NUM_STARTS:
            if not any(other.node for other in self.hands):
                raise UsageError(
                    f"ray: expected workers that start, got {NUM_STARTS} in a row that did not "
                    f"({_first_line(error)}); try --executor inline"
                ) from error
        elif self.queue.waiting:
            self.hands.append(self.hire())

    def ask_progress(self) -> None:
        """Hands on what busy workers say of themselves, and asks again."""
        for hand in self.hands:
            if hand.attempt is None:
                hand.asked = None
                continue
            if hand.asked is not None and self.ray.wait([hand.asked], timeout=0)[0]:
                with contextlib.suppress(self.ray.exceptions.RayError):  # it died: `hear` learns of it
                    progress = self.ray.get(hand.asked)
                    if progress is not None:
                        self.on_progress(hand.attempt.pack.key, hand.attempt.trial_ids, progress)
                hand.asked = None
            if hand.asked is None:
                hand.asked = hand.actor.progress.options(concurrency_group="progress").remote()


@contextlib.contextmanager
def _ray(address: str | None) -> Iterator[bool]:
    """Ray, for as long as it is needed; yields whether its workers run on this host. One that runs already is used."""
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    import ray

    if ray.is_initialized():
        yield address is None
        return
    try:
        if address is None:
            path = [str(import_paths.ROOT), *filter(None, [os.environ.get("PYTHONPATH")])]
            with _variables(PYTHONPATH=os.pathsep.join(path)), warnings.catch_warnings():
                # JAX and Python warn of threads at a fork; what Ray forks becomes another program at once.
                warnings.filterwarnings("ignore", r"(?s).*fork\(\)", RuntimeWarning)
                warnings.filterwarnings("ignore", r"(?s).*fork\(\)", DeprecationWarning)
                ray.init(
                    address="local",
                    include_dashboard=False,
                    log_to_driver=False,
                    logging_level=logging.ERROR,
                    object_store_memory=OBJECT_STORE_BYTES,
                )
        else:
            check_reachable(address)
            ray.init(
                address=address, log_to_driver=False, logging_level=logging.WARNING, runtime_env=worker_runtime_env()
            )
    except (ConnectionError, RuntimeError, ValueError, OSError) as error:
        place = "on this host" if address is None else f"at --address {address}"
        raise UsageError(f"ray: expected a cluster {place}, got {_first_line(error)}; {_remedy(error)}") from error
    try:
        yield address is None
    finally:
        ray.shutdown()


def check_reachable(address: str) -> None:
    """Raises OSError if nobody listens at `host:port`: Ray itself takes minutes to find out."""
    host, colon, port = address.rpartition(":")
    if colon and port.isdigit() and "/" not in host:
        socket.create_connection((host, int(port)), timeout=10).close()


def worker_runtime_env() -> dict[str, Any]:
    """What workers on other hosts are given: our code, the user's plug-ins, the commit."""
    variables = record.git_variables()
    if "BENCH_DATA_DIR" in os.environ:
        variables["BENCH_DATA_DIR"] = os.environ["BENCH_DATA_DIR"]
    return {
        "working_dir": str(import_paths.ROOT),
        "excludes": list(NOT_SENT),
        "py_modules": import_paths.plugin_sources(),
        "env_vars": variables,
    }


def worker_resources(resources: dict[str, float], is_local: bool) -> tuple[dict[str, Any], int]:
    """What one worker needs, in Ray's words, and how many there can be."""
    from bench.training import devices

    num_usable = devices.num_accelerators() if is_local else sys.maxsize  # Ray counts GPUs that this JAX cannot use
    accelerators: dict[str, dict[str, Any]] = {
        "GPU": {"num_gpus": 1, "num_cpus": 0},
        "TPU": {"resources": {"TPU": 1}, "num_cpus": 0},
    }
    for name, need in accelerators.items():
        num_slots = min(int(resources.get(name, 0)), num_usable)
        if num_slots:
            return need, num_slots
    num_cores = int(resources.get("CPU", 1))
    return {"num_cpus": 1}, max(1, min(num_cores, devices.num_cores()) if is_local else num_cores)


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


@contextlib.contextmanager
def _variables(**values: str) -> Iterator[None]:
    """Environment variables for processes that are started meanwhile."""
    before = {name: os.environ.get(name) for name in values}
    os.environ.update(values)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


def _how_it_died(error: Exception) -> str:
    """Ray's word for it; the rest of what Ray says names hosts."""
    found = re.search(r"Worker exit type: (\w+)", str(error))
    return found.group(1) if found else type(error).__name__


def _without_hosts(text: str) -> str:
    """What Ray says, without colours and without addresses and processes of hosts."""
    return re.sub(r"\x1b\[[0-9;]*m|\(pid=[^)]*\)", "", text).strip()


def _remedy(error: BaseException) -> str:
    """What a user may do about a cluster that cannot be joined; Ray itself names the cause far down in its message."""
    if "AuthenticationError" in str(error):
        return "the cluster asks for its token: put it where Ray looks for it and set RAY_AUTH_MODE=token"
    if error.__cause__ is not None:
        return _remedy(error.__cause__)
    return "start one with `ray start --head`, or use --executor inline"


def _first_line(error: Exception) -> str:
    return f"{type(error).__name__}: {(str(error).strip().splitlines() or [''])[0][:200]}"
