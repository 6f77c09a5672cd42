"""Starts a Ray cluster of several nodes on this host, for the command to join, and ends parts of it."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import time
from typing import Any

from ray.cluster_utils import Cluster

from bench.training.socket_folder import choose_socket_folder

OBJECT_STORE_BYTES = 128 * 2**20


class RayNodes:
    """A cluster of nodes with one core each, whose nodes can be ended.

    Args:
        num_nodes: With the head.
    """

    def __init__(self, num_nodes: int) -> None:
        self.num_nodes = num_nodes
        self.port = free_port()
        os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
        self.cluster = self._start()

    @property
    def address(self) -> str:
        """Give its address, which stays."""
        return self.cluster.address

    def kill_raylet(self, is_head: bool) -> str:
        """Kill the raylet of the head, or of another node; say which."""
        node = self._head() if is_head else self._other()
        process = next(info.process for info in node.all_processes["raylet"])
        os.kill(process.pid, signal.SIGKILL)
        return f"raylet of {'the head' if is_head else 'a second node'} in process {process.pid}"

    def kill_node(self) -> str:
        """Kill all processes of a node that is not the head."""
        node = self._other()
        with contextlib.suppress(Exception):  # Ray waits for the processes in an order of its own
            node.kill_all_processes(check_alive=False, allow_graceful=False, wait=True)
        return "all processes of a second node"

    def mend(self) -> None:
        """Bring back nodes that died; a head that died takes the cluster with it, which begins anew."""
        time.sleep(1)
        if not _lives(self._head()):
            self._shut_down()
            self.cluster = self._start()
            return
        for node in [node for node in self.cluster.worker_nodes if not _lives(node)]:
            with contextlib.suppress(Exception):
                self.cluster.remove_node(node, allow_graceful=False)
            self.cluster.worker_nodes.discard(node)
        while len(self.cluster.worker_nodes) < self.num_nodes - 1:
            self.cluster.add_node(num_cpus=1, object_store_memory=OBJECT_STORE_BYTES)

    def close(self) -> None:
        """End all of it."""
        self._shut_down()

    def _start(self) -> Cluster:
        sizes: dict[str, Any] = {"num_cpus": 1, "object_store_memory": OBJECT_STORE_BYTES}
        head = {**sizes, "gcs_server_port": self.port, "include_dashboard": False, "temp_dir": choose_socket_folder()}
        cluster = Cluster(initialize_head=True, head_node_args={name: value for name, value in head.items() if value})
        for _ in range(self.num_nodes - 1):
            cluster.add_node(**sizes)
        return cluster

    def _shut_down(self) -> None:
        for node in [*self.cluster.worker_nodes, self._head()]:
            with contextlib.suppress(Exception):
                node.kill_all_processes(check_alive=False, allow_graceful=False, wait=True)

    def _head(self) -> Any:
        return self.cluster.head_node

    def _other(self) -> Any:
        return next(iter(self.cluster.worker_nodes))


def _lives(node: Any) -> bool:
    """Tell whether the raylet and, at the head, the store of the cluster's state live."""
    dead = [name for name, _ in node.dead_processes()]
    return not {"raylet", "gcs_server"} & set(dead) and bool(node.live_processes())


def free_port() -> int:
    """Return a port at which nobody listens."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])
