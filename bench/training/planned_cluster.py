"""Says what a run would take on devices that are not here, from figures that were measured on one of their kind."""

from __future__ import annotations

import heapq
import re
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from bench.errors import UsageError
from bench.training.packing import ProgramCost
from bench.training.queue import Program, Queue, QueuedPack


class PlannedDevices(NamedTuple):
    """Devices that a run is planned for.

    Attributes:
        num: Number of them; each trains packs of its own.
        kind: A part of their name, such as `H100`.
    """

    num: int
    kind: str

    def is_of_kind(self, device: str) -> bool:
        """Tell whether a device has that name.

        Example:
            >>> [PlannedDevices(64, "h100").is_of_kind(name) for name in ("NVIDIA H100 80GB HBM3", "cpu")]
            [True, False]
        """
        return self.kind.lower() in device.lower()


class PlannedTime(NamedTuple):
    """The time of a run.

    Attributes:
        wall_s: Seconds until the last device is done.
        busy_s: Seconds of all devices together in which they train or compile.
    """

    wall_s: float
    busy_s: float


def parse_devices(text: str) -> PlannedDevices:
    """Parse devices in words.

    Raises:
        UsageError: It is not of that form.

    Example:
        >>> parse_devices("64xH100")
        PlannedDevices(num=64, kind='H100')
    """
    found = re.fullmatch(r"([1-9]\d{0,5})\s*[xX*]\s*(\S.*)", text)
    if found is None:
        raise UsageError(f"--devices: expected a number and a kind of device, got {text!r}; write 64xH100")
    return PlannedDevices(int(found[1]), found[2].strip())


def profiles_of_kind(profiles: Sequence[dict[str, Any]], planned: PlannedDevices) -> list[dict[str, Any]]:
    """Choose the profiles that were measured on such a device.

    Raises:
        UsageError: None was; the message names the devices that were measured.
    """
    chosen = [found for found in profiles if planned.is_of_kind(str(found.get("device", "")))]
    if not chosen:
        known = ", ".join(sorted({str(found.get("device")) for found in profiles})) or "none"
        raise UsageError(
            f"--devices: expected profiles of {planned.kind} in --profile, got those of {known}; run python -m bench "
            "profile --out FILE on one"
        )
    return chosen


def plan_time(packs: Sequence[QueuedPack], costs: Mapping[str, ProgramCost], num_devices: int) -> PlannedTime:
    """Hand packs out to devices as a run does, and count the time: each device compiles each program that it gets.

    Args:
        packs: To be trained.
        costs: By the key of a pack.
        num_devices: Devices; no pack is divided among them.
    """
    queue = Queue(packs)
    free = [(0.0, device) for device in range(num_devices)]
    compiled: list[set[Program]] = [set() for _ in free]
    known: set[Program] = set()
    busy_s = 0.0
    wall_s = 0.0
    while queue.waiting:
        begin_s, device = heapq.heappop(free)
        attempt = queue.take(compiled[device], known)
        cost = costs[attempt.pack.key]
        seconds = 0.0 if attempt.program in compiled[device] else cost.compile_s
        seconds += attempt.pack.num_steps * cost.step_s + len(attempt.pack.trials) * cost.render_s
        compiled[device].add(attempt.program)
        known.add(attempt.program)
        busy_s += seconds
        wall_s = max(wall_s, begin_s + seconds)
        heapq.heappush(free, (begin_s + seconds, device))
    return PlannedTime(wall_s, busy_s)
