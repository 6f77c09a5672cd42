"""Spreads packs over Ray workers, on one host or a cluster.

The one module that imports Ray at its top: it is imported only where Ray is asked for and installed.
"""

from __future__ import annotations

import contextlib
import os
import re
import sys
import time

import ray

from bench.errors import ClusterLost, UsageError
from bench.storage.record import Outcome
from bench.training import cluster_check, ray_connection, worker_deaths
from bench.training.device_wait import DeviceWait
from bench.training.inline_executor import MAX_UNSCORED
from bench.training.queue import Attempt, Failure, Queue, QueuedPack, Stopped
from bench.training.ray_health import RayHealth, RayLost
from bench.training.ray_worker_handle import WorkerHandle
from bench.training.run_handlers import RunHandlers
from bench.training.sitting import StoredRows
from bench.training.stalls import StallWatch
from bench.training.stopping import GRACE_S
from bench.training.worker import TRAINER, LeavingWorker, News, TrainedPack, WorkerPlace
from bench.training.worker_deaths import WorkerStopped
from bench.training.worker_devices import WorkerDevices, WorkerOptions
from bench.training.worker_environment import with_whole_paths

MAX_FAILED_STARTS = 3
"""Workers in a row that may die before they have started."""

MAX_RESTARTS = 3
"""Times in a row that a Ray of this host's own is started anew without that a trial was finished in between."""

SETTLE_S = 0.5
"""Seconds in which processes that die together have died."""

POLL_S = 1.0
"""Seconds between two looks at what the workers do."""

GROW_S = 30.0
"""Seconds between two looks whether a cluster has room for more workers."""


def run_on_ray(queue: Queue, handlers: RunHandlers, address: str | None, options: WorkerOptions | None = None) -> None:
    """Train a queue on Ray's workers; a Ray that was started for the run and dies is started anew.

    Args:
        queue: The packs to be trained.
        handlers: What is done with what they leave.
        address: A cluster to join; None starts one on this host.
        options: What is asked of the workers.

    Raises:
        UsageError: Ray does not start or cannot be joined, or its hosts lack what the packs need.
        ClusterLost: The cluster died, or the host's own Ray did again and again.
        KeyboardInterrupt: A signal came.
    """
    num_restarts = 0
    while True:
        num_before = len(queue.trial_ids())
        try:
            with ray_connection.connect_ray(address) as is_local, handlers.stop.catch_signals():
                RayExecutor(queue, handlers, is_local, options=options).run()
                return
        except RayLost as lost:
            num_restarts = num_restarts + 1 if len(queue.trial_ids()) >= num_before else 1
            if address is not None or num_restarts > MAX_RESTARTS:
                place = "this host" if address is None else f"--address {address}"
                raise ClusterLost(
                    f"ray: expected the cluster of {place} to live, got: {lost}; what is finished is stored: when it "
                    "is up again, the same command continues"
                ) from lost
            print(f"ray: {lost}; starting it anew, packs go on from their checkpoints", file=sys.stderr)


class RayExecutor:
    """The workers of a run, seen from the driver.

    Args:
        queue: The packs to be trained.
        handlers: What is done with what they leave.
        is_local: Whether the workers run on this host.
        worker: The class of the actors.
        options: What is asked of the workers.
    """

    def __init__(
        self,
        queue: Queue,
        handlers: RunHandlers,
        is_local: bool,
        worker: type = LeavingWorker,
        options: WorkerOptions | None = None,
    ) -> None:
        self.queue = queue
        self.handlers = handlers
        self.is_local = is_local
        self.worker = worker
        self.options = options or WorkerOptions()
        self.devices = WorkerDevices.choose(ray.cluster_resources(), is_local, self.options.devices_each)
        num_slots = self.devices.num_slots
        self.num_workers = max(1, min(num_slots, len(queue.waiting)))
        is_core = self.devices.kind == "CPU"
        self.cores_each = max(1, num_slots // self.num_workers) if is_core else 0
        self.compiles_ahead = handlers.train == TRAINER and not is_core
        self.wait = DeviceWait(f"{self.options.devices_each:g} {self.devices.kind}")
        self.grown = time.monotonic()
        self.num_failed_starts = 0
        self.num_started = 0
        self.workers: list[WorkerHandle] = []
        self.stopped_at: float | None = None
        self.health: RayHealth | None = None

    def run(self) -> None:
        """Train until nothing waits and nobody works, or until the run is to stop.

        Raises:
            KeyboardInterrupt: Outcomes that were there have been handed on, and the workers are killed.
            RayLost: Ray died; all that was in training waits again.
        """
        if not self.is_local:
            cluster_check.announce_cluster(
                [each.pack for each in self.queue.waiting], self.devices.kind, self.num_workers
            )
        stop = self.handlers.stop
        stop.is_patient = self.handlers.checkpoints.every_s is not None
        health = self.health = RayHealth()
        try:
            self.workers = [self.start_worker() for _ in range(self.num_workers)]
            while (self.queue.waiting and stop.may_begin()) or any(worker.is_busy for worker in self.workers):
                if stop.is_due() and not stop.may_begin() and self.must_leave():
                    break
                self.hand_out_packs()
                self.take_answers(POLL_S)
                self.poll_news()
                health.check()
                self.replace_hung_workers()
                self.leave_hosts(health.draining)
                self.use_more_devices()
                self.wait.update(self.num_waiting(), len(self.workers) - self.num_waiting())
        except KeyboardInterrupt:
            self.keep_what_is_trained(health)
            raise
        except RayLost:
            self.put_packs_back()
            raise
        except OSError as error:
            if error.errno is not None:  # of a disk or a file
                raise
            # Ray says `OSError: Broken pipe`, without a number, when the raylet here dies during a question.
            self.put_packs_back()
            raise RayLost(f"the part of Ray on this host (raylet) died: {error}") from error
        finally:
            health.close()
            stop.is_patient = False
            for worker in self.workers:
                ray.kill(worker.actor)

    def put_packs_back(self) -> None:
        """Let the packs of all workers wait again, as the workers are gone."""
        for worker in self.workers:
            for attempt in worker.attempts:
                self.queue.put_back(attempt)
        self.workers = []

    def num_waiting(self) -> int:
        """Count the workers that Ray has not started yet."""
        return sum(worker.node is None for worker in self.workers)

    def replace_hung_workers(self) -> None:
        """Kill workers from which nothing comes, and start others in their place."""
        for worker in list(self.workers):
            why = worker.watch.why_hung() if worker.is_busy else None
            if why is not None:
                print(f"ray: worker {worker.number} hangs: {why}; another takes its place", file=sys.stderr)
                for outcome in self.replace_worker(worker, WorkerStopped(f"hung: {why}", is_blamed=True)):
                    self.handlers.on_outcome(outcome)

    def leave_hosts(self, nodes: set[str]) -> None:
        """Let workers leave checkpoints and end whose hosts will be taken away."""
        for worker in self.workers:
            if worker.node in nodes and not worker.is_leaving:
                print(f"ray: the host of worker {worker.number} is taken away: it leaves a checkpoint", file=sys.stderr)
                worker.is_leaving = True
                worker.actor.stop.options(concurrency_group="news").remote()

    def use_more_devices(self) -> None:
        """Start more workers where a cluster has grown, or has got back what it had lost."""
        if self.is_local or time.monotonic() - self.grown < GROW_S or not self.handlers.stop.may_begin():
            return
        self.grown = time.monotonic()
        num_slots = WorkerDevices.choose(ray.cluster_resources(), self.is_local, self.devices.num_each).num_slots
        num_busy = sum(worker.is_busy for worker in self.workers)
        num_wanted = min(num_slots, num_busy + len(self.queue.waiting))
        for _ in range(num_wanted - len(self.workers)):
            self.workers.append(self.start_worker())

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
        actor = actor_class.options(max_restarts=0, **self.devices.options()).remote(sys_path, self.handlers.train)
        self.num_started += 1
        watch = StallWatch(self.options.stall_s)
        return WorkerHandle(actor, actor.place.remote(), watch, number=self.num_started - 1)

    def hand_out_packs(self) -> None:
        """Give every free worker a pack, if one waits and the run is not to stop."""
        if not self.handlers.stop.may_begin():
            return
        for worker in self.workers:
            is_free = worker.pending is None and len(worker.scoring) <= MAX_UNSCORED and not worker.is_leaving
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
                worker.watch.begin()
                checkpoints = self.handlers.checkpoints
                saved = checkpoints.saved_for(attempt.pack)
                worker.pending = worker.actor.train.remote(
                    attempt.pack if self.is_local else with_whole_paths(attempt.pack),
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

    def keep_what_is_trained(self, health: RayHealth) -> None:
        """Take the outcomes of packs that are trained; wait for their scores."""
        self.poll_news()
        self.take_answers(0.0, more_packs=False)
        with contextlib.suppress(RayLost):
            while any(worker.scoring for worker in self.workers):
                self.take_answers(POLL_S, more_packs=False)
                health.check()

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
        worker.is_leaving |= answer.is_leaving
        worker.watch.begin()
        if isinstance(answer.result, TrainedPack):
            asked: ray.ObjectRef = worker.actor.outcomes.options(concurrency_group="outcomes").remote(answer.result)
            worker.scoring[asked] = attempt
        else:
            self.handlers.note("ended", worker.number, attempt.trial_ids)
        left.append((worker, answer))
        if isinstance(answer.result, Stopped) and worker.is_leaving and not self.handlers.stop.is_due():
            self.put_elsewhere(worker, attempt, answer)
        if not isinstance(answer.result, Failure):
            return []
        return self.queue.handle_error(attempt.without(answer.trial_ids()), answer.result)

    def put_elsewhere(self, worker: WorkerHandle, attempt: Attempt, answer: News) -> None:
        """Let a pack wait again that left a host which is taken away; start a worker on another one."""
        self.take_messages(worker, answer)  # its checkpoints, before another worker goes on from them
        self.queue.put_back(attempt.without(answer.trial_ids()))
        if not worker.scoring:
            self.replace_worker(worker, WorkerStopped("its host was taken away", is_blamed=False))

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

    def place_worker(self, worker: WorkerHandle, place: WorkerPlace) -> None:
        """Give a worker that has started the first cores of its host that no other has."""
        self.num_failed_starts = 0
        taken = {other.slot for other in self.workers if other.node == place.node}
        worker.node = place.node
        worker.pid = place.pid
        worker.num_oom_kills = place.num_oom_kills
        worker.slot = next(slot for slot in range(len(taken) + 1) if slot not in taken)
        if self.cores_each:
            worker.actor.use_cores.remote(worker.slot * self.cores_each, self.cores_each)
        if self.devices.memory_share is not None:
            worker.actor.limit_memory.remote(self.devices.memory_share)

    def replace_worker(self, worker: WorkerHandle, error: Exception) -> list[Outcome]:
        """Start a fresh worker in place of one that died, whose packs are tried again or given up.

        Returns:
            Outcomes of the trials that are given up.

        Raises:
            UsageError: Worker after worker died before it had started.
            RayLost: It died with the rest of Ray, which must be asked nothing more: no answer would come.
        """
        if self.is_local and self.health is not None and not isinstance(error, WorkerStopped):
            time.sleep(SETTLE_S)
            self.health.check(is_urgent=True)
        self.workers.remove(worker)
        ray.kill(worker.actor)  # it may only be out of reach
        self.take_last_news(worker)
        attempts = worker.attempts
        outcomes: list[Outcome] = []
        if attempts:
            death = worker_deaths.explain_death(error, worker.node, worker.pid, worker.num_oom_kills)
            is_blamed = death.is_blamed and not worker.is_leaving
            if not isinstance(error, WorkerStopped):  # of those it was said
                print(f"ray: worker {worker.number} died ({death.how}); its pack is tried again", file=sys.stderr)
            for attempt in attempts:
                outcomes += self.queue.handle_death(attempt, death.how, is_blamed)
        elif worker.node is None:
            self.num_failed_starts += 1
        if self.num_failed_starts >= MAX_FAILED_STARTS:
            if not any(other.node for other in self.workers):
                raise UsageError(
                    f"ray: expected workers that start, got {MAX_FAILED_STARTS} in a row that did not "
                    f"({ray_connection.describe_cause(error)}); try --executor inline"
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
                worker.watch.ask()
                worker.asked = worker.actor.news.options(concurrency_group="news").remote(worker.num_seen)

    def take_last_news(self, worker: WorkerHandle) -> None:
        """Store what a worker handed on before it died, as far as it has come."""
        if worker.asked is not None and ray.wait([worker.asked], timeout=0)[0]:
            with contextlib.suppress(ray.exceptions.RayError):
                self.take_messages(worker, ray.get(worker.asked))

    def take_news(self, worker: WorkerHandle, news: News) -> None:
        """Store what a busy worker handed on, and tell where the pack stands that it trains."""
        self.take_messages(worker, news)
        worker.is_leaving |= news.is_leaving
        worker.watch.hear((news.progress, worker.num_seen), news.cpu_s)
        attempt = worker.attempt
        if news.progress is not None:
            worker.phase = news.progress.phase
        if news.progress is not None and attempt is not None and attempt.trial_ids:
            self.handlers.on_progress(attempt.pack.key, attempt.trial_ids, news.progress)


def _without_hosts(text: str) -> str:
    """Take colours, and addresses and processes of hosts, out of what Ray says."""
    return re.sub(r"\x1b\[[0-9;]*m|\(pid=[^)]*\)", "", text).strip()
