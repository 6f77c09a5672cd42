"""Measures how the training of a suite scales with the devices of this host.

Every measurement trains the same trials in a process of its own that sees some of the devices, into an empty folder and
with an empty cache of compiled programs, and is thrown away.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import pathlib
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from typing import Any

from bench.errors import UsageError
from bench.storage.store import Store
from bench.suites.selection import Selection
from bench.training import accelerators
from bench.training.run_handlers import PackEvent
from bench.training.run_suite import TrainingOptions, train_missing
from bench.training.worker_times import WorkerTimes, slowest, split_times
from tasks import host_cores
from tasks.data_dir import location

PROGRAMS = "programs"
"""Folder of compiled programs in the folder of data, of which every measurement has one of its own."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Measurement:
    """The training of some trials on some devices.

    Attributes:
        executor: `ray` or `inline`.
        num_devices: Accelerators, or cores where there are none.
        device: Their kind; None if no trial was finished.
        num_trials: Trials that were trained.
        num_failed: Of these, how many failed.
        wall_s: Seconds from the start of the process to its end.
        workers: What each worker did with them.
    """

    executor: str
    num_devices: int
    device: str | None
    num_trials: int
    num_failed: int
    wall_s: float
    workers: tuple[WorkerTimes, ...]

    @property
    def slowest(self) -> WorkerTimes:
        """The worker that was done last."""
        return slowest(self.workers)

    @property
    def warm_s(self) -> float:
        """Seconds without starting and without what the slowest worker spent on compiling."""
        return self.wall_s - self.slowest.seconds["start"] - self.slowest.seconds["compile"]

    @classmethod
    def from_json(cls, plain: dict[str, Any]) -> Measurement:
        """Read what `dataclasses.asdict` made."""
        return cls(**plain | {"workers": tuple(WorkerTimes(**worker) for worker in plain["workers"])})


def efficiency(one: Measurement, several: Measurement) -> float:
    """Return the speed-up of a measurement over one of fewer devices, as a share of what the devices promise."""
    return one.wall_s * one.num_devices / (several.wall_s * several.num_devices)


def warm_efficiency(one: Measurement, several: Measurement) -> float:
    """Return the same without starting and compiling, which a long study does once."""
    return one.warm_s * one.num_devices / (several.warm_s * several.num_devices)


def count_devices() -> int:
    """Count the devices of this host: accelerators, or cores where there are none."""
    return accelerators.num_accelerators() or host_cores.num_cores()


def train_once(options: TrainingOptions, chosen: Selection, results: pathlib.Path, began: float) -> Measurement:
    """Train trials in this process, on the devices that it sees.

    Args:
        options: Where.
        chosen: The trials.
        results: An empty folder.
        began: When the process was started, as `time.time` tells it.
    """
    events: list[PackEvent] = []
    store = Store.open(results)
    with store.lock():
        train_missing(options, chosen, store, events.append)
    records = list(store.records())
    timings = {record.trial_id: record.timings for record in records}
    ended = time.time()
    return Measurement(
        executor=options.executor,
        num_devices=count_devices(),
        device=next((record.environment["device"] for record in records if record.status == "finished"), None),
        num_trials=len(records),
        num_failed=sum(record.status == "failed" for record in records),
        wall_s=ended - began,
        workers=tuple(split_times(events, timings, began, ended)),
    )


def train_apart(words: Sequence[str], executor: str, num_devices: int) -> Measurement:
    """Train trials in a process that sees some of the devices.

    Args:
        words: Of the command line, that choose the trials.
        executor: `ray` or `inline`.
        num_devices: How many of the devices.

    Raises:
        UsageError: There are not that many, or the process failed; what it said stands above.
    """
    num_here = count_devices()
    if num_devices > num_here:
        raise UsageError(f"--devices: expected up to {num_here}, which this host has, got {num_devices}")
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        variables = os.environ | {"BENCH_DATA_DIR": str(share_data(folder / "data"))}
        cores = None
        if accelerators.num_accelerators():
            variables["CUDA_VISIBLE_DEVICES"] = ",".join(visible_devices()[:num_devices])
        else:
            cores = sorted(os.sched_getaffinity(0))[:num_devices]
        found = folder / "measurement.json"
        command = [sys.executable, "-m", "bench", "scaling", *words, "--executors", executor, "--into", str(found)]
        began = time.time()
        with stay_on_cores(cores):
            done = subprocess.run(
                command, env=variables | {"BENCH_SCALING_BEGAN": repr(began)}, stdout=sys.stderr, check=False
            )
        if done.returncode or not found.exists():
            raise UsageError(f"scaling: expected {executor} on {num_devices} to end well, got {done.returncode}")
        return Measurement.from_json(json.loads(found.read_text()))


@contextlib.contextmanager
def stay_on_cores(cores: Sequence[int] | None) -> Iterator[None]:
    """Keep this thread on some cores for a while, and the processes that it starts meanwhile; None for all it has.

    A function that the new process calls for it would have this process forked, which JAX warns of.
    """
    if cores is None:
        yield
        return
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, cores)
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def visible_devices() -> list[str]:
    """Name the accelerators that this process sees, as CUDA_VISIBLE_DEVICES does."""
    shown = os.environ.get("CUDA_VISIBLE_DEVICES")
    if shown is None:
        return [str(i) for i in range(accelerators.num_accelerators())]
    return [word.strip() for word in shown.split(",")]


def share_data(folder: pathlib.Path) -> pathlib.Path:
    """Make a folder of data that is the user's but for compiled programs, of which it has none."""
    folder.mkdir()
    ours = location.folder()
    for entry in ours.iterdir() if ours.exists() else ():
        if entry.name != PROGRAMS:
            (folder / entry.name).symlink_to(entry)
    return folder
