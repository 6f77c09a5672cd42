"""Spreads packs over Ray workers, on one host or a cluster.

The one module that imports Ray at its top: it is imported only where Ray is asked for and installed.
"""

from __future__ import annotations

import contextlib
import logging
import os
import re
import socket
import sys
import time
import warnings
from collections.abc import Iterator
from typing import TypeAlias

import ray

from bench import import_paths
from bench.errors import UsageError
from bench.storage import environment
from bench.storage.record import Outcome
from bench.training.inline_executor import MAX_UNSCORED
from bench.training.queue import Failure, Queue, QueuedPack
from bench.training.ray_worker_handle import WorkerHandle
from bench.training.run_handlers import RunHandlers
from bench.training.sitting import StoredRows
from bench.training.socket_folder import choose_socket_folder
from bench.training.stopping import GRACE_S
from bench.training.worker import TRAINER, News, TrainedPack, Worker

MAX_FAILED_STARTS = 3
"""Workers in a row that may die before they have started."""

POLL_S = 1.0
"""Seconds between two looks at what the workers do."""

OBJECT_STORE_BYTES = 256 * 2**20
"""Outcomes on their way to the driver; what does not fit goes to the disk. Small, as `/dev/shm` is in a container."""

NOT_SENT = ("/.*", "/results", "/reports", "/tests", "/build", "__pycache__", "*.egg-info")
"""Files of `ROOT` that workers on other hosts are not given."""

Resources: TypeAlias = dict[str, int | dict[str, int]]
"""Resources of one worker, in Ray's words."""


class RayExecutor:
    """The workers of a run, seen from the driver.

    Args:
        queue: The packs to be trained.
        handlers: What is done with what they leave.
        is_local: Whether the workers run on this host.
        worker: The class of the actors.
    """

    def __init__(
        self,
        queue: Queue,
        handlers: RunHandlers,
        is_local: bool,
        worker: type = Worker,
    ) -> None:
        self.queue = queue
        self.handlers = handlers
        self.is_local = is_local
        self.worker = worker
        self.resources, num_slots = worker_resources(ray.cluster_resources(), is_local)
        self.num_workers = max(1, min(num_slots, len(queue.waiting)))
        is_core = self.resources == {"num_cpus": 1}
        self.cores_each = num_slots // self.num_workers if is_core else 0
        self.compiles_ahead = handlers.train == TRAINER and not is_core
        self.num_failed_starts = 0
        self.num_started = 0
        self.workers: list[WorkerHandle] = []
        self.stopped_at: float | None = None

    def run(self) -> None:
        """Train until nothing waits and nobody works, or until the run is to stop.

        Raises:
            KeyboardInterrupt: Outcomes that were there have been handed on, and the workers are killed.
        """
        stop = self.handlers.stop
        stop.is_patient = self.handlers.checkpoints.every_s is not None
        try:
            self.workers = [self.start_worker() for _ in range(self.num_workers)]
            while (self.queue.waiting and stop.may_begin()) or any(worker.is_busy for worker in self.workers):
                if stop.is_due() and not stop.may_begin() and self.must_leave():
                    break
                self.hand_out_packs()
                self.take_answers(POLL_S)
                self.poll_news()
        except KeyboardInterrupt:
            self.keep_what_is_trained()
            raise
        finally:
            stop.is_patient = False
            for worker in self.workers:
                ray.kill(worker.actor)

    def must_leave(self) -> bool:
        """Tell the workers to stop, once; tell after a signal whether they had enough time, or have nothing to keep."""
        if self.stopped_at is None:
            self.stopped_at = time.monotonic()
            for worker in self.workers:
                worker.actor.stop.options(concurrency_group="news").remote()
        is_late = time.monotonic() - self.stopped_at > GRACE_S
        is_needed = any(worker.has_something_to_keep for worker in self.workers)
        return self.handlers.stop.signal_name is not None and (is_late or not is_needed)

    def start_worker(self) -> WorkerHandle:
        """Start a worker."""
        sys_path = [entry or os.getcwd() for entry in sys.path] if self.is_local else None
        actor_class = ray.remote(concurrency_groups={"news": 1, "outcomes": 1})(self.worker)  # type: ignore[call-overload]
        actor = actor_class.options(max_restarts=0, **self.resources).remote(sys_path, self.handlers.train)
        self.num_started += 1
        return WorkerHandle(actor, actor.node.remote(), number=self.num_started - 1)

    def hand_out_packs(self) -> None:
        """Give every free worker a pack, if one waits and the run is not to stop."""
        if not self.handlers.stop.may_begin():
            return
        for worker in self.workers:
            is_free = worker.pending is None and len(worker.scoring) <= MAX_UNSCORED
            if is_free and self.queue.waiting:
                others = set().union(*(other.known for other in self.workers if other is not worker))
                attempt = self.queue.take(worker.compiled, others, worker.begun)
                self.handlers.stop.has_begun = True
                worker.attempt = attempt
                self.handlers.note("begun", worker.number, attempt.trial_ids)
                worker.compiled.add(attempt.program)
                ahead: list[QueuedPack] | None = None
                if self.compiles_ahead:
                    upcoming = self.queue.upcoming_programs(others | worker.known)
                    worker.begun += [other.program for other in upcoming]
                    ahead = [other.pack for other in upcoming]
                worker.asked = None  # an answer would be about the pack before
                worker.phase = ""
                checkpoints = self.handlers.checkpoints
                saved = checkpoints.saved_for(attempt.pack)
                worker.pending = worker.actor.train.remote(
                    attempt.pack,
                    self.handlers.protocols,
                    ahead,
                    saved,
                    checkpoints.every_s,
                    self.handlers.policy.trial_s,
                )

    def take_answers(self, timeout_s: float, more_packs: bool = True) -> None:
        """Wait for answers of workers, at most so long, and act on them.

        Args:
            timeout_s: Seconds.
            more_packs: Whether workers that are free get the next pack before what they left is stored.
        """
        busy = {worker.pending: worker for worker in self.workers if worker.pending is not None}
        busy |= {reference: worker for worker in self.workers for reference in worker.scoring}
        if not busy:
            return
        ray.wait(list(busy), num_returns=1, timeout=timeout_s)
        left: list[tuple[WorkerHandle, News]] = []
        given_up: list[Outcome] = []
        try:
            for reference in ray.wait(list(busy), num_returns=len(busy), timeout=0)[0]:
                worker = busy[reference]
                if worker in self.workers:  # else it was replaced just now
                    given_up += self.take_answer(worker, reference, left)
            if more_packs:
                self.hand_out_packs()
        finally:
            for worker, news in left:
                self.take_messages(worker, news)
            for outcome in given_up:
                self.handlers.on_outcome(outcome)

    def keep_what_is_trained(self) -> None:
        """Take the outcomes of packs that are trained; wait for their scores."""
        self.poll_news()
        self.take_answers(0.0, more_packs=False)
        while any(worker.scoring for worker in self.workers):
            self.take_answers(POLL_S, more_packs=False)

    def take_answer(
        self, worker: WorkerHandle, reference: ray.ObjectRef, left: list[tuple[WorkerHandle, News]]
    ) -> list[Outcome]:
        """Act on a worker's answer, or on its death.

        Args:
            worker: The worker.
            reference: The answer.
            left: Gets what packs have handed on, to be stored when all workers have something to do.

        Returns:
            Outcomes of the trials that are given up.
        """
        errors = ray.exceptions
        try:
            answer = ray.get(reference)
        except (errors.RayTaskError, errors.UnserializableException) as error:  # what could not be sent there or back
            text = _without_hosts(str(error))
            answer = News(None, {}, Failure(text.splitlines()[-1], text))
        except errors.RayError as error:
            return self.replace_worker(worker, error)
        attempt = worker.scoring.pop(reference, None)
        if attempt is None:
            worker.pending = None
            if worker.attempt is None:
                self.place_worker(worker, answer)
                return []
            attempt = worker.attempt
            worker.attempt = None
            self.handlers.note("trained", worker.number, attempt.trial_ids)
        if isinstance(answer.result, TrainedPack):
            asked: ray.ObjectRef = worker.actor.outcomes.options(concurrency_group="outcomes").remote(answer.result)
            worker.scoring[asked] = attempt
        else:
            self.handlers.note("ended", worker.number, attempt.trial_ids)
        left.append((worker, answer))
        if not isinstance(answer.result, Failure):
            return []
        stored = [message.record.trial_id for message in answer.messages.values() if isinstance(message, Outcome)]
        return self.queue.handle_error(attempt.without(stored), answer.result)

    def take_messages(self, worker: WorkerHandle, news: News) -> None:
        """Store what a worker handed on, each message once; trials that have an outcome leave their pack."""
        for number, message in sorted(news.messages.items()):
            if number <= worker.num_seen:
                continue
            worker.num_seen = number
            self.handlers.take_message(message)
            if isinstance(message, Outcome):
                worker.remove_trial(message.record.trial_id)
            elif isinstance(message, StoredRows):
                worker.forgive_deaths(message)
            worker.phase = worker.phase or "train"  # who hands something on has begun

    def place_worker(self, worker: WorkerHandle, node: str) -> None:
        """Give a worker that has started the first cores of its host that no other has."""
        self.num_failed_starts = 0
        taken = {other.slot for other in self.workers if other.node == node}
        worker.node = node
        worker.slot = next(slot for slot in range(len(taken) + 1) if slot not in taken)
        if self.cores_each:
            worker.actor.use_cores.remote(worker.slot * self.cores_each, self.cores_each)

    def replace_worker(self, worker: WorkerHandle, error: Exception) -> list[Outcome]:
        """Start a fresh worker in place of one that died, whose packs are tried again or given up.

        Returns:
            Outcomes of the trials that are given up.

        Raises:
            UsageError: Worker after worker died before it had started.
        """
        self.workers.remove(worker)
        ray.kill(worker.actor)  # it may only be out of reach
        self.take_last_news(worker)
        attempts = [attempt for attempt in (*worker.scoring.values(), worker.attempt) if attempt is not None]
        outcomes = [given_up for each in attempts for given_up in self.queue.handle_death(each, _how_it_died(error))]
        if not attempts:
            self.num_failed_starts += 1
        if self.num_failed_starts >= MAX_FAILED_STARTS:
            if not any(other.node for other in self.workers):
                raise UsageError(
                    f"ray: expected workers that start, got {MAX_FAILED_STARTS} in a row that did not "
                    f"({_first_line(error)}); try --executor inline"
                ) from error
        elif self.queue.waiting:
            self.workers.append(self.start_worker())
        return outcomes

    def poll_news(self) -> None:
        """Hand on where busy workers stand and what they left, and ask again."""
        for worker in self.workers:
            if not worker.is_busy:
                worker.asked = None
                continue
            if worker.asked is not None and ray.wait([worker.asked], timeout=0)[0]:
                asked = worker.asked
                worker.asked = None
                with contextlib.suppress(ray.exceptions.RayError):  # it died: `take_answer` learns of it
                    self.take_news(worker, ray.get(asked))
            if worker.asked is None:
                worker.asked = worker.actor.news.options(concurrency_group="news").remote(worker.num_seen)

    def take_last_news(self, worker: WorkerHandle) -> None:
        """Store what a worker handed on before it died, as far as it has come."""
        if worker.asked is not None and ray.wait([worker.asked], timeout=0)[0]:
            with contextlib.suppress(ray.exceptions.RayError):
                self.take_messages(worker, ray.get(worker.asked))

    def take_news(self, worker: WorkerHandle, news: News) -> None:
        """Store what a busy worker handed on, and tell where the pack stands that it trains."""
        self.take_messages(worker, news)
        attempt = worker.attempt
        if news.progress is not None:
            worker.phase = news.progress.phase
        if news.progress is not None and attempt is not None and attempt.trial_ids:
            self.handlers.on_progress(attempt.pack.key, attempt.trial_ids, news.progress)


@contextlib.contextmanager
def connect_ray(address: str | None) -> Iterator[bool]:
    """Connect to Ray for the time of a run; yield whether its workers run on this host.

    A connection that is there already is used, and left.

    Args:
        address: A cluster to join; None starts one on this host, and shuts it down at the end.

    Raises:
        UsageError: Ray does not start, or cannot be joined.
    """
    if ray.is_initialized():
        yield address is None
        return
    try:
        if address is None:
            _start_ray()
        else:
            _join_ray(address)
    except UsageError:
        raise
    except Exception as error:  # a start that times out raises an Exception of no class of its own
        place = "on this host" if address is None else f"at --address {address}"
        raise UsageError(f"ray: expected a cluster {place}, got {_first_line(error)}; {_remedy(error)}") from error
    try:
        yield address is None
    finally:
        ray.shutdown()


def _start_ray() -> None:
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
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
            _temp_dir=choose_socket_folder(),
        )


def _join_ray(address: str) -> None:
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    check_reachable(address)
    ray.init(address=address, log_to_driver=False, logging_level=logging.WARNING, runtime_env=worker_runtime_env())


def check_reachable(address: str) -> None:
    """Raise OSError if nobody listens at `host:port`: Ray itself takes minutes to find out."""
    host, colon, port = address.rpartition(":")
    if colon and port.isdigit() and "/" not in host:
        socket.create_connection((host, int(port)), timeout=10).close()


def worker_runtime_env() -> dict[str, str | list[str] | dict[str, str]]:
    """Return the environment of workers on other hosts: our code, the user's plug-ins, the commit."""
    variables = environment.commit_variables()
    if "BENCH_DATA_DIR" in os.environ:
        variables["BENCH_DATA_DIR"] = os.environ["BENCH_DATA_DIR"]
    return {
        "working_dir": str(import_paths.ROOT),
        "excludes": list(NOT_SENT),
        "py_modules": import_paths.plugin_sources(),
        "env_vars": variables,
    }


def worker_resources(resources: dict[str, float], is_local: bool) -> tuple[Resources, int]:
    """Return the resources that one worker takes, and how many workers there can be.

    Args:
        resources: Of the cluster, by Ray's names.
        is_local: Whether it is this host alone.
    """
    from bench.training import devices

    num_usable = devices.num_accelerators() if is_local else sys.maxsize  # Ray counts GPUs that this JAX cannot use
    accelerators: dict[str, Resources] = {
        "GPU": {"num_gpus": 1, "num_cpus": 0},
        "TPU": {"resources": {"TPU": 1}, "num_cpus": 0},
    }
    for name, needed in accelerators.items():
        num_slots = min(int(resources.get(name, 0)), num_usable)
        if num_slots:
            return needed, num_slots
    num_cores = int(resources.get("CPU", 1))
    if is_local:
        num_cores = max(1, min(num_cores, devices.num_cores()))
    return {"num_cpus": 1}, num_cores


@contextlib.contextmanager
def _variables(**values: str) -> Iterator[None]:
    """Set environment variables for processes that are started meanwhile."""
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
    """Return Ray's word for a death; the rest of what Ray says names hosts."""
    found = re.search(r"Worker exit type: (\w+)", str(error))
    return found.group(1) if found else type(error).__name__


def _without_hosts(text: str) -> str:
    """Take colours, and addresses and processes of hosts, out of what Ray says."""
    return re.sub(r"\x1b\[[0-9;]*m|\(pid=[^)]*\)", "", text).strip()


def _remedy(error: BaseException) -> str:
    """Say what to do about a cluster that cannot be joined; Ray names the cause far down in its message."""
    if "AuthenticationError" in str(error):
        return "the cluster asks for its token: put it where Ray looks for it and set RAY_AUTH_MODE=token"
    if "timed out" in str(error):
        return "the machine may be busy: try again, or use --executor inline"
    if error.__cause__ is not None:
        return _remedy(error.__cause__)
    return "start one with `ray start --head`, or use --executor inline"


def _first_line(error: Exception) -> str:
    return f"{type(error).__name__}: {(str(error).strip().splitlines() or [''])[0][:200]}"
