"""Decides whose fault it is that a worker died: its pack's, or its machine's.

A pack that may be to blame is tried again a few times and then taken apart (`bench.training.queue`); a machine's fault
costs a pack nothing but the time. To blame is:

- memory: the kernel, or Ray, killed a process of the host for its memory meanwhile;
- a crash: the worker's log names one (a segmentation fault, an abort);
- a hang: it made no progress for long (`bench.training.stalls`);
- what cannot be told apart from these, where the kernel does not count what it kills.

A host that was lost or taken away is not, nor is a worker that somebody killed.
"""

from __future__ import annotations

import contextlib
import re
from typing import NamedTuple

import ray
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from bench.training import node_facts

LOOK_S = 30.0
"""Seconds for the question to a host; one that gives no answer is lost."""

LOST = re.compile(r"node (?:\S+ )?(?:has )?(?:died|crashed|was terminated)|its node has died|node was|NODE_DIED", re.I)


class WorkerStopped(Exception):
    """A worker was ended by its driver, because it hung or its host is taken away."""

    def __init__(self, how: str, is_blamed: bool) -> None:
        super().__init__(how)
        self.is_blamed = is_blamed


class WorkerDeath(NamedTuple):
    """Explains the death of a worker.

    Attributes:
        how: In a few words, without names of hosts.
        is_blamed: Whether its pack may be to blame.
    """

    how: str
    is_blamed: bool


class LastWords(NamedTuple):
    """Holds the traces that a dead worker left on its host.

    Attributes:
        num_oom_kills: Processes killed for their memory so far; None where nobody counts.
        crash: What its log says.
    """

    num_oom_kills: int | None
    crash: str | None


def explain_death(error: Exception, node: str | None, pid: int | None, num_oom_kills: int | None) -> WorkerDeath:
    """Find out why a worker died.

    Args:
        error: What Ray says.
        node: Its host, as Ray names it; None if it never started.
        pid: Its process.
        num_oom_kills: Processes that its host had killed for their memory when it started.
    """
    if isinstance(error, WorkerStopped):
        return WorkerDeath(str(error), error.is_blamed)
    how = how_it_died(error)
    if "OutOfMemory" in how or "OUT_OF_MEMORY" in how or "low on memory" in str(error):
        return WorkerDeath("out of memory", True)
    if LOST.search(str(error)):
        return WorkerDeath("its host was lost", False)
    if node is None or pid is None:
        return WorkerDeath(how, True)
    found = ask_host(node, pid)
    if found is None:
        return WorkerDeath("its host was lost", False)
    if found.crash is not None:
        return WorkerDeath(found.crash, True)
    if found.num_oom_kills is None or num_oom_kills is None:
        return WorkerDeath(how, True)
    if found.num_oom_kills > num_oom_kills:
        return WorkerDeath("out of memory", True)
    return WorkerDeath("somebody killed it", False)


def ask_host(node: str, pid: int) -> LastWords | None:
    """Ask a host of a worker that died there; None if it gives no answer."""
    if node == ray.get_runtime_context().get_node_id():
        return find_last_words(pid)
    place = NodeAffinitySchedulingStrategy(node, soft=False)
    with contextlib.suppress(ray.exceptions.RayError, ray.exceptions.GetTimeoutError):
        asked = ray.remote(find_last_words).options(num_cpus=0, scheduling_strategy=place, max_retries=0).remote(pid)
        return ray.get(asked, timeout=LOOK_S)
    return None


def find_last_words(pid: int) -> LastWords:
    """Read what this host says of a worker that died here."""
    return LastWords(node_facts.count_oom_kills(), node_facts.find_crash(logs_folder(), pid))


def logs_folder() -> str:
    """Return the folder of Ray's logs on this host; empty if Ray does not say."""
    node = getattr(ray._private.worker, "_global_node", None)
    return node.get_logs_dir_path() if node is not None else ""


def how_it_died(error: Exception) -> str:
    """Return Ray's word for a death; the rest of what Ray says names hosts."""
    found = re.search(r"Worker exit type: (\w+)", str(error))
    return found.group(1) if found else type(error).__name__
