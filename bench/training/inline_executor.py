"""Trains packs in this process, one after the other; scores and stores each while the next one is trained.

JAX lets go of Python's lock while the device works, so that one thread is enough for what is done beside training.
"""

from __future__ import annotations

from collections import deque
from concurrent.futures import Future, ThreadPoolExecutor
from typing import NamedTuple

from bench.training.precompile import BackgroundCompiler
from bench.training.progress import Progress
from bench.training.queue import Attempt, Failure, Program, Queue, Stopped
from bench.training.run_handlers import NotStored, RunHandlers
from bench.training.sitting import Message, Sitting
from bench.training.worker import PackTrainer, ReportProgress, Unscored

MAX_UNSCORED = 1
"""Packs of a device that wait for their scores while one is trained: their views lie in the host's memory."""


class ScoredBeside(NamedTuple):
    """A pack that is scored beside training.

    Attributes:
        attempt: The pack.
        sitting: Has its outcomes.
        failure: Why it could not be scored, once that is known; None if its outcomes were handed on.
    """

    attempt: Attempt
    sitting: Sitting
    failure: Future[Failure | Stopped | None]


class InlineExecutor:
    """The packs of a run that is trained in this process.

    Args:
        queue: Empty afterwards, unless the run was stopped.
        handlers: What is done with what packs leave.
        compiler: Compiles the next programs meanwhile; None where nothing is done beside training.
    """

    def __init__(self, queue: Queue, handlers: RunHandlers, compiler: BackgroundCompiler | None = None) -> None:
        self.queue = queue
        self.handlers = handlers
        self.compiler = compiler
        self.trainer = PackTrainer(handlers.train)
        self.thread = ThreadPoolExecutor(1, thread_name_prefix="score")
        self.scored: deque[ScoredBeside] = deque()
        self.compiled: set[Program] = set()
        self.begun: list[Program] = []

    def run(self) -> None:
        """Train until nothing waits or the run is to stop, and everything is handed on.

        Raises:
            KeyboardInterrupt: Outcomes of packs that were trained have been handed on.
        """
        stop = self.handlers.stop
        try:
            while (self.queue.waiting and stop.may_begin()) or self.scored:
                if self.queue.waiting and stop.may_begin():
                    stop.has_begun = True
                    self.train_next()
                self.settle(MAX_UNSCORED if self.queue.waiting and stop.may_begin() else 0)
        except KeyboardInterrupt:
            self.settle(0)
            raise
        except NotStored as refusal:
            raise refusal.error from None
        finally:
            stop.is_patient = False
            self.thread.shutdown(wait=False, cancel_futures=True)

    def train_next(self) -> None:
        """Train the next pack, and begin its scores."""
        attempt = self.queue.take(self.compiled, set(), self.begun)
        self.compile_ahead(attempt)
        checkpoints = self.handlers.checkpoints
        sitting = Sitting(
            saved=checkpoints.saved_for(attempt.pack),
            every_s=checkpoints.every_s,
            trial_s=self.handlers.policy.trial_s,
            hand_on=self.hand_on,
            is_over=self.handlers.stop.is_due,
            scores_beside=self.compiler is not None,
        )
        self.handlers.note("begun", 0, attempt.trial_ids)
        try:
            result = self.trainer.train(attempt.pack, self.handlers.protocols, self.reporter(attempt, sitting), sitting)
        finally:
            self.handlers.stop.is_patient = False
        self.handlers.note("trained", 0, attempt.trial_ids)
        if isinstance(result, Unscored) and self.compiler is not None:
            ended = self.thread.submit(self.finish, attempt, result, sitting)
            self.scored.append(ScoredBeside(attempt, sitting, ended))
            return
        failure = self.finish(attempt, result, sitting)
        self.give_up(attempt, failure, sitting)

    def hand_on(self, message: Message) -> None:
        """Store what a pack hands on, in the thread that makes it."""
        try:
            self.handlers.take_message(message)
        except Exception as error:
            raise NotStored(error) from error

    def compile_ahead(self, attempt: Attempt) -> None:
        """Begin to compile the programs of the packs behind one that is trained now."""
        is_first = not self.compiled
        self.compiled.add(attempt.program)
        if self.compiler is None:
            return
        if is_first:
            self.compiler.begin_scores(attempt.pack, self.handlers.protocols)
        upcoming = self.queue.upcoming_programs(self.compiled | set(self.begun))
        self.begun += [other.program for other in upcoming]
        self.compiler.begin([other.pack for other in upcoming])

    def reporter(self, attempt: Attempt, sitting: Sitting) -> ReportProgress:
        """Return the function that is told where a pack stands."""

        def report(progress: Progress) -> None:
            if progress.phase != "score" or self.compiler is None:  # else another pack may be in training
                # A signal waits for the end of a chunk, where there is something to keep.
                self.handlers.stop.is_patient = progress.phase == "train" and sitting.every_s is not None
            left = attempt.without(sitting.outcomes)
            if left.trial_ids:
                self.handlers.on_progress(attempt.pack.key, left.trial_ids, progress)

        return report

    def finish(
        self, attempt: Attempt, result: Unscored | Failure | Stopped | None, sitting: Sitting
    ) -> Failure | Stopped | None:
        """Score a pack if that is not done yet; return why not all of its outcomes were handed on."""
        if isinstance(result, Unscored):
            failure = self.trainer.score(attempt.pack, result, self.reporter(attempt, sitting), sitting)
        else:
            failure = result
        self.handlers.note("ended", 0, attempt.trial_ids)
        return failure

    def settle(self, num_left: int) -> None:
        """Look after the packs that were scored meanwhile; wait until no more than so many are not."""
        while self.scored and (len(self.scored) > num_left or self.scored[0].failure.done()):
            attempt, sitting, ended = self.scored.popleft()
            self.give_up(attempt, ended.result(), sitting)

    def give_up(self, attempt: Attempt, failure: Failure | Stopped | None, sitting: Sitting) -> None:
        """Put the trials of a pack that failed back into the queue one by one, or hand their failures on."""
        if isinstance(failure, Failure):
            for outcome in self.queue.handle_error(attempt.without(sitting.outcomes), failure):
                self.handlers.on_outcome(outcome)
