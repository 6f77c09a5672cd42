"""Makes the faults that hit processes while they train: signals, and faults that workers take from a folder."""

from __future__ import annotations

import signal
from typing import Protocol, runtime_checkable

from bench.drill.drilled_command import DrilledCommand
from bench.drill.faults import Fault
from bench.drill.mean_color import MEMORY, NAN
from bench.drill.processes import find_processes, send, wait_until

MOMENT_S = 1.5
"""A fault comes at a random moment of so many seconds after a worker was seen to train."""

EFFECT_S = 60.0
"""Seconds that a fault has to show."""

FAULT_FILES = {"loss-nan": NAN, "out-of-memory": MEMORY}

DRIVER_SIGNALS = (signal.SIGKILL, signal.SIGKILL, signal.SIGTERM, signal.SIGINT)


@runtime_checkable
class RayCluster(Protocol):
    """A cluster of several nodes on this host, whose nodes can be ended."""

    @property
    def address(self) -> str:
        """Give its address."""

    def kill_raylet(self, is_head: bool) -> str:
        """Kill the raylet of a node; say which."""

    def kill_node(self) -> str:
        """Kill all processes of a node; say which."""

    def mend(self) -> None:
        """Bring back what was killed."""


def pause_s(fault: Fault) -> float:
    """Return how long to wait before a fault is made."""
    return MOMENT_S * fault.draw


def make_fault(fault: Fault, command: DrilledCommand, cluster: RayCluster | None) -> str | None:
    """Make a fault; say what was hit, or None where there was no occasion any more.

    Args:
        fault: One that hits processes.
        command: The command that trains.
        cluster: The cluster that it has joined; None where it started its own Ray.
    """
    chance = fault.chance()
    if fault.kind in FAULT_FILES:
        path = command.place.faults / FAULT_FILES[fault.kind]
        path.touch()
        if wait_until(lambda: command.has_ended or not path.exists(), EFFECT_S) and not path.exists():
            return "one trial" if fault.kind == "loss-nan" else "one pack"
        path.unlink(missing_ok=True)
        return None
    if fault.kind in ("worker-killed", "worker-stopped"):
        workers = command.workers()
        number = signal.SIGKILL if fault.kind == "worker-killed" else signal.SIGSTOP
        pid = chance.choice(workers) if workers else None
        return f"worker in process {pid}, {number.name}" if pid is not None and send(pid, number) else None
    if fault.kind == "driver-killed":
        number = chance.choice(DRIVER_SIGNALS)
        return f"driver, {number.name}" if send(command.pid, number) else None
    if cluster is not None:
        is_head = fault.kind == "raylet-killed" and chance.random() < 0.5
        return cluster.kill_raylet(is_head) if fault.kind == "raylet-killed" else cluster.kill_node()
    return kill_ray(command, is_whole=fault.kind == "node-killed")


def kill_ray(command: DrilledCommand, is_whole: bool) -> str | None:
    """Kill the raylet that the command has started, or all processes of Ray's."""
    ray = [found for found in find_processes(command.place.mark) if found.pid != command.pid]
    victims = ray if is_whole else [found for found in ray if found.name == "raylet"]
    hit = [found for found in victims if send(found.pid, signal.SIGKILL)]
    if not hit:
        return None
    return f"all {len(hit)} processes of Ray's" if is_whole else f"raylet in process {hit[0].pid}"


def wait_for_effect(fault: Fault, command: DrilledCommand, cluster: RayCluster | None, num_lines: int) -> None:
    """Wait until the command has noticed a fault: it says so, or has ended; mend the cluster.

    Args:
        fault: One that was made.
        command: The command that trains.
        cluster: The cluster that it has joined, if it has.
        num_lines: Lines that it had said before the fault.
    """
    words = {
        "worker-killed": ("died (",),
        "worker-stopped": ("hangs:",),
        "raylet-killed": ("starting it anew", "died ("),
        "node-killed": ("starting it anew", "died ("),
        "loss-nan": (" failed: ",),
    }.get(fault.kind)
    if words is not None:
        wait_until(lambda: command.has_ended or _says(command.lines[num_lines:], words), EFFECT_S)
    if cluster is not None and fault.kind in ("raylet-killed", "node-killed"):
        cluster.mend()


def _says(lines: list[str], words: tuple[str, ...]) -> bool:
    return any(word in line for word in words for line in lines)
