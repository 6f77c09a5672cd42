"""Notices that Ray itself has died, which a waiting driver never hears of, and hosts that are about to be taken away.

Ray ends a driver by force a minute after its head has died; a run ends before that, in order, or starts Ray anew.
"""

from __future__ import annotations

import contextlib
import os
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator

import ray

from bench.errors import ClusterLost

EVERY_S = 4.0
"""Seconds between two looks."""

SILENT_S = 30.0
"""Seconds without an answer of the head, after which it is lost: Ray ends the driver by force after 60."""

MAX_REFUSED = 4
"""Looks in a row at which nobody listens at the head's port."""


STUCK_S = 30.0
"""Seconds in which a run must have noticed that Ray has died; after 60 Ray ends it without a word."""

NEEDED = ("raylet", "gcs_server")
"""Processes of Ray's without which a run cannot go on."""


class RayLost(Exception):
    """Ray died under a run: its workers are gone, the packs are to be trained again."""


class RayHealth:
    """Looks at Ray from a thread of its own, because a question to a dead head does not return.

    Attributes:
        lost: What has died; None while all is well.
        draining: Hosts that will be taken away, as Ray names them.
    """

    def __init__(self) -> None:
        context = ray.get_runtime_context()
        self.address: str = context.gcs_address
        self.node: str = context.get_node_id()
        self.processes = getattr(ray._private.worker, "_global_node", None)
        self.lost: str | None = None
        self.draining: set[str] = set()
        self.answered = time.monotonic()
        self.num_refused = 0
        self.is_over = threading.Event()
        self.looked = -EVERY_S
        self.thread = threading.Thread(target=self.keep_asking, name="ray-health", daemon=True)
        self.thread.start()

    def keep_asking(self) -> None:
        """Ask the head for its hosts, until the run is over."""
        while not self.is_over.wait(EVERY_S):
            with contextlib.suppress(Exception):  # what is not answered is noticed by its time
                hosts = ray.nodes()
                self.answered = time.monotonic()
                mine = [host for host in hosts if host["NodeID"] == self.node]
                if mine and not mine[0]["Alive"] and not self.is_over.is_set():
                    self.lost = "the part of Ray on this host (raylet) died"
                self.draining = find_draining()

    def check(self, is_urgent: bool = False) -> None:
        """Look whether Ray is there.

        Args:
            is_urgent: Whether to look in any case, as a worker has died: perhaps not alone.

        Raises:
            RayLost: It is not.
        """
        now = time.monotonic()
        if is_urgent or now - self.looked >= EVERY_S:
            self.looked = now
            self.lost = self.lost or self.find_dead_process() or self.find_silent_head(now)
        if self.lost is not None:
            raise RayLost(self.lost)

    def find_dead_process(self) -> str | None:
        """Name a process of a Ray that was started for the run and has died."""
        return name_dead_process(self.processes)

    def find_silent_head(self, now: float) -> str | None:
        """Tell whether the head is lost: nobody listens there, or it gives no answer."""
        host, colon, port = self.address.rpartition(":")
        if colon and port.isdigit():
            try:
                socket.create_connection((host, int(port)), timeout=2).close()
                self.num_refused = 0
            except OSError:
                self.num_refused += 1
        if self.num_refused >= MAX_REFUSED:
            return "nobody listens at the address of Ray's head any more"
        if now - self.answered > SILENT_S:
            return f"Ray's head gave no answer for {now - self.answered:.0f} s"
        return None

    def close(self) -> None:
        """Let the thread end."""
        self.is_over.set()


def name_dead_process(node: object) -> str | None:
    """Name a process that a run needs and that has died, of what Ray knows of this host."""
    dead = []
    with contextlib.suppress(Exception):  # another version of Ray has other names
        dead = [name for name, _ in node.dead_processes() if name in NEEDED]  # type: ignore[attr-defined]
    return f"a process of Ray's ({dead[0]}) died" if dead else None


def find_dead_now() -> str | None:
    """Name a process that has died of the Ray that this process has started, if it has; also while it starts."""
    return name_dead_process(getattr(ray._private.worker, "_global_node", None))


@contextlib.contextmanager
def end_when_stuck(
    find_dead: Callable[[], str | None] = find_dead_now,
    stuck_s: float = STUCK_S,
    end: Callable[[int], object] = os._exit,
) -> Iterator[None]:
    """Let a run that hangs in a question to a dead Ray end with a line, before Ray ends it without one.

    Args:
        find_dead: Names what has died; None while all lives.
        stuck_s: Seconds for which the run may go on with a dead Ray.
        end: Ends the process with an exit code.
    """
    is_over = threading.Event()

    def look() -> None:
        since: float | None = None
        while not is_over.wait(min(EVERY_S, stuck_s) / 2):
            lost = find_dead()
            now = time.monotonic()
            since = None if lost is None else since or now
            if since is not None and now - since >= stuck_s:
                print(
                    f"bench: ray: {lost}, and it answers no more; the same command continues",
                    file=sys.stderr,
                    flush=True,
                )
                end(ClusterLost.exit_code)
                return

    thread = threading.Thread(target=look, name="ray-stuck", daemon=True)
    thread.start()
    try:
        yield
    finally:
        is_over.set()


def find_draining() -> set[str]:
    """Name the hosts that Ray is told will be taken away (`ray drain-node`, or a cluster's autoscaler)."""
    with contextlib.suppress(Exception):  # no public function says it; another version of Ray has other names
        from ray._private.state import state

        return set(state.get_draining_nodes())
    return set()
