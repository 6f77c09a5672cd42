"""Decides what a Ray worker takes: an accelerator where there is one, else a core; or a part of one, or several.

Imports no Ray and no JAX.
"""

from __future__ import annotations

import dataclasses
import sys
from typing import Literal, NamedTuple

from bench.errors import UsageError
from bench.training.stalls import STALL_MINUTES
from tasks import host_cores

MEMORY = 0.75
"""The part of a GPU's memory that JAX takes by itself: workers that share a GPU share this."""


class WorkerOptions(NamedTuple):
    """Holds a user's options for Ray's workers.

    Attributes:
        stall_s: Seconds without progress after which one is replaced; infinite for never.
        devices_each: Devices of one; less than 1 for several workers a device.
    """

    stall_s: float = 60 * STALL_MINUTES
    devices_each: float = 1.0


@dataclasses.dataclass(frozen=True, kw_only=True)
class WorkerDevices:
    """Says which devices each worker takes.

    Attributes:
        kind: As Ray names it.
        num_each: Devices of one worker; less than 1 for several workers a device.
        num_slots: Workers that there can be.
    """

    kind: Literal["GPU", "TPU", "CPU"]
    num_each: float
    num_slots: int

    @classmethod
    def choose(cls, resources: dict[str, float], is_local: bool, num_each: float = 1.0) -> WorkerDevices:
        """Choose what workers take.

        Args:
            resources: Of the cluster, by Ray's names.
            is_local: Whether it is this host alone.
            num_each: Devices of one worker; less than 1 for several workers a device.

        Raises:
            UsageError: No worker can have so many.
        """
        from bench.training import accelerators

        # Ray counts GPUs that this JAX cannot use; JAX_PLATFORMS=cpu goes to the workers of a cluster too.
        num_usable = accelerators.num_accelerators() if is_local else 0 if accelerators.is_told_cpu() else sys.maxsize
        kinds: tuple[Literal["GPU", "TPU"], ...] = ("GPU", "TPU")
        for kind in kinds:
            num_devices = min(resources.get(kind, 0), num_usable)
            if num_devices:
                return cls(kind=kind, num_each=num_each, num_slots=_share(num_devices, num_each, kind))
        num_cores = int(resources.get("CPU", 1))
        if is_local:
            num_cores = max(1, min(num_cores, host_cores.num_cores()))
        return cls(kind="CPU", num_each=num_each, num_slots=_share(num_cores, num_each, "CPU"))

    def options(self) -> dict[str, float | int | dict[str, float]]:
        """Return what one worker takes, in Ray's words."""
        if self.kind == "CPU":
            return {"num_cpus": self.num_each}
        if self.kind == "GPU":
            return {"num_gpus": self.num_each, "num_cpus": 0}
        return {"resources": {"TPU": self.num_each}, "num_cpus": 0}

    @property
    def memory_share(self) -> float | None:
        """Give the part of a GPU's memory that one worker takes; None for what JAX takes by itself."""
        return MEMORY * self.num_each if self.kind == "GPU" and self.num_each < 1 else None


def _share(num_devices: float | int, num_each: float, kind: str) -> int:
    """Return how many workers there can be; none is right for a cluster that has no devices yet."""
    if num_devices and num_each > num_devices:
        raise UsageError(
            f"--devices-per-worker: expected at most {num_devices:g}, the {kind}s that there are, got {num_each:g}; "
            "ask for fewer"
        )
    return int(num_devices / num_each + 1e-9)
