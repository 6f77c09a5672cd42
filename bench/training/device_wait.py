"""Says for what workers wait that do not start, and who holds it: nothing waits in silence."""

from __future__ import annotations

import collections
import contextlib
import sys
import time

import ray

from bench.counted_nouns import format_count

FIRST_S = 20.0
"""Seconds until the first line."""

AGAIN_S = 300.0
"""Seconds from one line to the next."""


class DeviceWait:
    """Tells now and then that workers wait for devices.

    Args:
        needs: What one worker takes, in words.
    """

    def __init__(self, needs: str) -> None:
        self.needs = needs
        self.since: float | None = None
        self.told: float | None = None

    def update(self, num_waiting: int, num_started: int) -> None:
        """Note how many workers wait to be started and how many have been; print a line if it is time.

        Args:
            num_waiting: Workers that Ray has not started yet.
            num_started: Workers that it has.
        """
        now = time.monotonic()
        if not num_waiting:
            if self.told is not None:
                print(f"ray: {format_count(num_started, 'worker')} started, none waits", file=sys.stderr)
            self.since = None
            self.told = None
            return
        self.since = self.since or now
        last, pause = (self.since, FIRST_S) if self.told is None else (self.told, AGAIN_S)
        if now - last >= pause:
            self.told = now
            print(self.describe(num_waiting, num_started, now - self.since), file=sys.stderr)

    def describe(self, num_waiting: int, num_started: int, waited_s: float) -> str:
        """Say for what workers wait, and who holds it."""
        total = ray.cluster_resources()
        free = ray.available_resources()
        kinds = [name for name in ("GPU", "TPU", "CPU") if name in total]
        amounts = ", ".join(f"{free.get(name, 0):g} of {total[name]:g} {name} free" for name in kinds) or "no devices"
        holders = find_holders()
        held = f"held by {'; '.join(holders)}" if holders else "no other run is at work: hosts may be starting, or gone"
        others = f" ({num_started} at work)" if num_started else ""
        has = "has" if num_waiting == 1 else "have"
        return (
            f"ray: {format_count(num_waiting, 'worker')}{others} {has} waited {waited_s:.0f} s for {self.needs} each; "
            f"the cluster has {amounts}, {held}"
        )


def find_holders() -> list[str]:
    """Name the other drivers of the cluster whose workers are alive, and how many each has."""
    with contextlib.suppress(Exception):  # no public function says it; another version of Ray has other names
        from ray._private.state import state

        mine = ray.get_runtime_context().get_job_id()
        alive = state.actor_table(None, actor_state_name="ALIVE").values()
        counts = collections.Counter(actor["JobID"] for actor in alive)
        drivers = {job["JobID"]: job for job in state.job_table()}
        return [
            f"the driver on {drivers[job]['DriverIPAddress']}, process {drivers[job]['DriverPid']} "
            f"({format_count(num, 'worker')})"
            for job, num in counts.items()
            if job != mine and job in drivers
        ]
    return []
