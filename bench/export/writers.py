"""Writes files of objects beside the thread that talks to the device: in processes, or in threads.

Python lets one thread of a process compute at a time. In an object's 13 s on an H100, the threads that wrote its video,
mesh and pictures held the interpreter for 3.2 s, in which the thread that trains and renders waited. So processes write
beside an accelerator. They start with the command, and import what they need while it works. Without an accelerator
threads write: training takes the host's cores there, and processes would import everything once more.

Imports nothing heavy: processes are started before JAX is imported.
"""

from __future__ import annotations

import atexit
import concurrent.futures
import contextlib
import functools
import multiprocessing
import multiprocessing.connection
import multiprocessing.process
import os
import signal
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import BrokenExecutor, Executor, Future
from typing import ParamSpec, TypeVar

from bench import bytecode
from bench.training import accelerators
from tasks import host_cores

P = ParamSpec("P")
T = TypeVar("T")

NUM_WRITERS = 4
"""Processes or threads that write: for a video, a mesh, pictures, and one more."""

FEWEST_CORES = 2 * NUM_WRITERS
"""Cores of a host on which writers have processes of their own."""


class Writers:
    """Does work beside this thread, or in it.

    Args:
        executor: Threads or processes; None to do it in the thread that asks.
    """

    def __init__(self, executor: Executor | None = None) -> None:
        self.executor = executor

    def begin(self, function: Callable[P, T], *arguments: P.args, **named: P.kwargs) -> Callable[[], T]:
        """Begin some work; return what waits for its result.

        Args:
            function: Of a module, as its name is sent to a process.
            arguments: Its arguments, which are sent too.
            named: As `arguments`.
        """
        do_here = functools.partial(function, *arguments, **named)
        if self.executor is None:
            result = do_here()
            return lambda: result
        try:
            begun = self.executor.submit(function, *arguments, **named)
        except BrokenExecutor:
            return do_here
        return functools.partial(wait_or_do, begun, do_here)

    def call(self, function: Callable[P, T], *arguments: P.args, **named: P.kwargs) -> T:
        """Do some work as `begin` does, and wait for its result."""
        return self.begin(function, *arguments, **named)()


HERE = Writers()
"""Does all work in the thread that asks."""


def wait_or_do(begun: Future[T], do_here: Callable[[], T]) -> T:
    """Return the result of some work; do it here if its process ended, for want of memory perhaps."""
    try:
        return begun.result()
    except BrokenExecutor:
        return do_here()


@contextlib.contextmanager
def open_writers() -> Iterator[Writers]:
    """Open writers for as long as a command needs them: processes beside an accelerator, threads elsewhere."""
    if not has_processes():
        with open_threads() as threads:
            yield threads
        return
    begun = concurrent.futures.ProcessPoolExecutor(
        NUM_WRITERS, mp_context=multiprocessing.get_context("spawn"), initializer=begin_process
    )
    others = multiprocessing.active_children()
    started: list[multiprocessing.process.BaseProcess] = []
    try:
        with hold_back_ctrl_c():  # they inherit it: one that has only just begun would print a traceback
            for _ in range(NUM_WRITERS):
                begun.submit(warm_up_process)
            started = [process for process in multiprocessing.active_children() if process not in others]
        yield Writers(begun)
    except BaseException:  # else the command would not end until they have imported all
        for process in started:
            process.terminate()
        raise
    finally:
        begun.shutdown(wait=False, cancel_futures=True)


@contextlib.contextmanager
def open_threads() -> Iterator[Writers]:
    """Open threads as writers: a process would run a caller's script again, from its top."""
    with concurrent.futures.ThreadPoolExecutor(NUM_WRITERS, thread_name_prefix="write") as threads:
        yield Writers(threads)


@contextlib.contextmanager
def hold_back_ctrl_c() -> Iterator[None]:
    """Let Ctrl-C wait for a moment; processes that are started meanwhile never get it."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def has_processes() -> bool:
    """Tell whether writers have processes of their own: beside an accelerator, on a host with enough cores."""
    return accelerators.num_accelerators() > 0 and host_cores.num_cores() >= FEWEST_CORES


def begin_process() -> None:
    """Begin a process of writers: it uses no device, leaves Ctrl-C to the command, and ends with it."""
    os.environ["JAX_PLATFORMS"] = "cpu"
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    atexit.register(os._exit, 0)  # all is written; to unload two thousand modules takes time
    threading.Thread(target=end_with_parent, daemon=True).start()
    bytecode.keep_bytecode()


def end_with_parent() -> None:
    """End this process when the command has ended: one that was killed cannot say so."""
    parent = multiprocessing.parent_process()
    assert parent is not None
    multiprocessing.connection.wait([parent.sentinel])
    os._exit(0)


def warm_up_process() -> None:
    """Let a process import what writes files while the command has nothing to write."""
    from bench.export import warm_up

    warm_up.try_writers()
