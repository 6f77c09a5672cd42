"""Prepares, in threads, what comes after the training of `generate`: the programs that score objects and write them."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import numpy as np

from bench.export import field, generation_page, warm_up, writers
from bench.export.field import TrainedField
from bench.report.page import html
from bench.storage import environment
from bench.suites.trial import Trial
from bench.training import precompile
from models.method import Data

TRACED_S = 6.0
"""Seconds after which the programs of training are traced. Tracing takes the whole interpreter, compiling does not."""


class ScorePreparation:
    """Begins to compile what scores the objects, where there is an accelerator: not while training is traced.

    It begins with training, when the interpreter waits for the device. Where compiling takes long, as nothing is kept
    of it yet, it begins `TRACED_S` after that did.

    Args:
        begin: Begins it in a thread.
    """

    def __init__(self, begin: Callable[[], None]) -> None:
        self.begin_scores = begin
        self.lock = threading.Lock()
        self.is_needed = precompile.has_accelerator()
        self.timer = threading.Timer(TRACED_S, self.begin)
        self.timer.daemon = True

    def begin_later(self) -> None:
        """Begin after `TRACED_S`, unless training begins before; a pack that is halved asks again, which is nothing."""
        if self.is_needed and self.timer.ident is None:
            self.timer.start()

    def begin(self) -> None:
        """Begin now, once."""
        with self.lock:
            if self.is_needed:
                self.is_needed = False
                self.begin_scores()

    def cancel(self) -> None:
        """Do not begin any more."""
        self.timer.cancel()
        with self.lock:
            self.is_needed = False


class WriterPreparation:
    """Compiles what writing the objects needs, in threads, while they are trained; imports it too where threads write.

    Args:
        trial: Any of the trials.
        sizes: As `make_objects` takes them.
        threads: Where it is done.
    """

    def __init__(self, trial: Trial, sizes: dict[str, Any], threads: ThreadPoolExecutor) -> None:
        self.trial = trial
        self.image_px = sizes["image_px"]
        self.threads = threads
        self.prepared: Future[Data] | None = None
        self.untrained: Future[TrainedField] | None = None

    def begin(self) -> None:
        """Begin, once."""
        if self.prepared is None:
            self.prepared = self.threads.submit(field.load_field_data, self.trial)
            self.untrained = self.threads.submit(self.make_untrained)
            self.threads.submit(self.compile_programs)
            if not writers.has_processes():
                self.threads.submit(warm_up.import_writers)
            self.threads.submit(prepare_page)

    def data(self) -> Data:
        """Wait for the arrays that all seeds share."""
        return field.load_field_data(self.trial) if self.prepared is None else self.prepared.result()

    def make_untrained(self) -> TrainedField:
        """Make a field of zeros, which has the shapes of the trained ones."""
        return field.untrained_field(self.trial, self.data())

    def field_alike(self) -> TrainedField | None:
        """Wait for the field of zeros; None where there is none."""
        if self.untrained is None or self.untrained.exception() is not None:
            return None
        return self.untrained.result()

    def compile_programs(self) -> None:
        """Render a few frames of a field of zeros and look it up at a point; the trained fields find the programs."""
        untrained = self.field_alike()
        if untrained is None:
            return
        path = field.choose_path(untrained, image_px=self.image_px)
        _, num_in_group = field.divide_frames(len(path.poses), path.height * path.width)
        field.render_path(untrained, path._replace(poses=path.poses[:num_in_group]))
        field.at_points(untrained, np.zeros((1, 3), np.float32))


def prepare_page() -> None:
    """Compile the page's template, and ask for the versions of packages and code."""
    html.compile_template(generation_page.TEMPLATE)
    environment.describe_environment()
