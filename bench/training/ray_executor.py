"""Spreads packs over Ray workers, on one host or a cluster."""

from __future__ import annotations

import contextlib
import dataclasses
import logging
import os
import re
import socket
import sys
import warnings
from collections.abc import Callable, Iterator
from typing import Any

from bench import import_paths
from bench.errors import UsageError
from bench.storage import record
from bench.storage.record import Outcome
from bench.training.queue import Attempt, Failure, Queue
from bench.training.worker import TRAINER, Worker

NUM_STARTS = 3
"""How many workers in a row may die before they have started."""


POLL_S = 1.0


OBJECT_STORE_BYTES = 256 * 2**20
"""Outcomes on their way to the driver; what does not fit goes to the disk. Small, as `/dev/shm` is in a container."""


NOT_SENT = ("/.*", "/results", "/reports", "/tests", "/build", "__pycache__", "*.egg-info")
"""What workers on other hosts are not given of `ROOT`."""


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
