"""Trains packs in this process, one after the other; scores and stores each while the next one is trained.

JAX lets go of Python's lock while the device works, so that one thread is enough for what is done beside training.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import NamedTuple, TypeAlias

from bench.storage.record import Outcome
from bench.training.precompile import BackgroundCompiler
from bench.training.progress import Progress
from bench.training.queue import Attempt, Failure, Program, Queue
from bench.training.worker import TRAINER, PackTrainer, ReportProgress, Unscored

OnOutcome: TypeAlias = Callable[[Outcome], None]
OnProgress: TypeAlias = Callable[[str, tuple[str, ...], Progress], None]

MAX_UNSCORED = 1
"""Packs of a device that wait for their scores while one is trained: their views lie in the host's memory."""


class ScoredBeside(NamedTuple):
    """A pack that is scored beside training.

    Attributes:
        attempt: The pack.
        failure: Why it could not be scored, once that is known; None if its outcomes were handed on.
    """

    attempt: Attempt
    failure: Future[Failure | None]


class InlineExecutor:
    """The packs of a run that is trained in this process.

    Args:
        queue: Empty afterwards.
        protocols: As in `bench.training.scheduler.train_packs`.
        on_outcome: As there.
        on_progress: As there.
        train: As there.
        compiler: Compiles the next programs meanwhile; None where nothing is done beside training.
    """

    def __init__(
        self,
        queue: Queue,
        protocols: tuple[str, ...],
        on_outcome: OnOutcome,
        on_progress: OnProgress,
        train: str = TRAINER,
        compiler: BackgroundCompiler | None = None,
    ) -> None:
        self.queue = queue
        self.protocols = protocols
        self.on_outcome = on_outcome
        self.on_progress = on_progress
        self.compiler = compiler
        self.trainer = PackTrainer(train)
        self.thread = ThreadPoolExecutor(1, thread_name_prefix="score")
        self.scored: deque[ScoredBeside] = deque()
        self.compiled: set[Program] = set()
        self.begun: list[Program] = []

    def run(self) -> None:
        """Train until nothing waits and everything is handed on.

        Raises:
            KeyboardInterrupt: Outcomes of packs that were trained have been handed on.
        """
        try:
            while self.queue.waiting or self.scored:
                if self.queue.waiting:
                    self.train_next()
                self.settle(MAX_UNSCORED if self.queue.waiting else 0)
        except KeyboardInterrupt:
            self.settle(0)
            raise
        finally:
            self.thread.shutdown(wait=False, cancel_futures=True)

    def train_next(self) -> None:
        """Train the next pack, and begin its scores."""
        attempt = self.queue.take(self.compiled, set(), self.begun)
        self.compile_ahead(attempt)
        result = self.trainer.train(attempt.pack, self.protocols, self.reporter(attempt))
        if isinstance(result, Unscored) and self.compiler is not None:
            self.scored.append(ScoredBeside(attempt, self.thread.submit(self.finish, attempt, result)))
            return
        failure = self.finish(attempt, result)
        if failure is not None:
            self.give_up(attempt, failure)

    def compile_ahead(self, attempt: Attempt) -> None:
        """Begin to compile the programs of the packs behind one that is trained now."""
        is_first = not self.compiled
        self.compiled.add(attempt.program)
        if self.compiler is None:
            return
        if is_first:
            self.compiler.begin_scores(attempt.pack, self.protocols)
        upcoming = self.queue.upcoming_programs(self.compiled | set(self.begun))
        self.begun += [other.program for other in upcoming]
        self.compiler.begin([other.pack for other in upcoming])

    def reporter(self, attempt: Attempt) -> ReportProgress:
        """Return the function that is told where a pack stands."""
        return lambda progress: self.on_progress(attempt.pack.key, attempt.trial_ids, progress)

    def finish(self, attempt: Attempt, result: list[Outcome] | Unscored | Failure) -> Failure | None:
        """Score a pack if that is not done yet, and hand its outcomes on; return why it has none."""
        if isinstance(result, Unscored):
            result = self.trainer.score(attempt.pack, result, self.reporter(attempt))
        if isinstance(result, Failure):
            return result
        for outcome in result:
            self.on_outcome(outcome)
        return None

    def settle(self, num_left: int) -> None:
        """Look after the packs that were scored meanwhile; wait until no more than so many are not."""
        while self.scored and (len(self.scored) > num_left or self.scored[0].failure.done()):
            attempt, ended = self.scored.popleft()
            failure = ended.result()
            if failure is not None:
                self.give_up(attempt, failure)

    def give_up(self, attempt: Attempt, failure: Failure) -> None:
        """Put the trials of a pack that failed back into the queue one by one, or hand their failures on."""
        for outcome in self.queue.handle_error(attempt, failure):
            self.on_outcome(outcome)
