"""Connects to Ray for the time of a run: starts it on this host, or joins a cluster."""

from __future__ import annotations

import contextlib
import logging
import os
import socket
import warnings
from collections.abc import Iterator

import ray

from bench import import_paths
from bench.errors import UsageError
from bench.training.cluster_token import give_own_token
from bench.training.ray_health import end_when_stuck
from bench.training.socket_folder import choose_socket_folder
from bench.training.worker_environment import worker_runtime_env

OBJECT_STORE_BYTES = 256 * 2**20
"""Outcomes on their way to the driver; what does not fit goes to the disk. Small, as `/dev/shm` is in a container."""

MAX_CAUSE = 300
"""Letters of what Ray says that are shown."""


@contextlib.contextmanager
def connect_ray(address: str | None) -> Iterator[bool]:
    """Connect to Ray for the time of a run; yield whether its workers run on this host.

    A connection that is there already is used, and left.

    Args:
        address: A cluster to join; None starts one on this host, and shuts it down at the end.

    Raises:
        UsageError: Ray does not start, or cannot be joined.
    """
    if ray.is_initialized():
        yield address is None
        return
    with end_when_stuck() if address is None else contextlib.nullcontext():
        yield from _connected(address)


def _connected(address: str | None) -> Iterator[bool]:
    """Connect, yield whether workers run on this host, and take leave."""
    try:
        if address is None:
            _start_ray()
        else:
            _join_ray(address)
    except UsageError:
        raise
    except Exception as error:  # a start that times out raises an Exception of no class of its own
        place = "on this host" if address is None else f"at --address {address}"
        raise UsageError(f"ray: expected a cluster {place}, got {describe_cause(error)}; {_remedy(error)}") from error
    try:
        with _without_words():
            yield address is None
    finally:
        ray.shutdown()


@contextlib.contextmanager
def _without_words() -> Iterator[None]:
    """Keep back what Ray prints of workers and processes that died, twenty lines each: the run says it in one."""
    from ray._private import worker

    name = "print_to_stdstream"
    before = getattr(worker, name, None)
    setattr(worker, name, lambda *arguments, **options: None)
    try:
        yield
    finally:
        if before is not None:
            setattr(worker, name, before)


def _start_ray() -> None:
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    give_own_token()
    path = [str(import_paths.ROOT), *filter(None, [os.environ.get("PYTHONPATH")])]
    with _variables(PYTHONPATH=os.pathsep.join(path)), _on_loopback(), warnings.catch_warnings():
        # JAX and Python warn of threads at a fork; what Ray forks becomes another program at once.
        warnings.filterwarnings("ignore", r"(?s).*fork\(\)", RuntimeWarning)
        warnings.filterwarnings("ignore", r"(?s).*fork\(\)", DeprecationWarning)
        ray.init(
            address="local",
            include_dashboard=False,
            log_to_driver=False,
            logging_level=logging.ERROR,
            object_store_memory=OBJECT_STORE_BYTES,
            _temp_dir=choose_socket_folder(),
        )


@contextlib.contextmanager
def _on_loopback() -> Iterator[None]:
    """Let a Ray that starts meanwhile listen on 127.0.0.1 alone, as it does by itself on macOS and Windows.

    Ray turns `_node_ip_address="127.0.0.1"` into the host's outer address; the switch that macOS has is the way in.
    """
    from ray._private import ray_constants

    name = "ENABLE_RAY_CLUSTER"
    if not hasattr(ray_constants, name):  # another version: then Ray listens as it does by itself
        yield
        return
    before = getattr(ray_constants, name)
    setattr(ray_constants, name, False)
    try:
        yield
    finally:
        setattr(ray_constants, name, before)


def _join_ray(address: str) -> None:
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    check_reachable(address)
    ray.init(address=address, log_to_driver=False, logging_level=logging.ERROR, runtime_env=worker_runtime_env())


def check_reachable(address: str) -> None:
    """Raise OSError if nobody listens at `host:port`: Ray itself takes minutes to find out."""
    host, colon, port = address.rpartition(":")
    if colon and port.isdigit() and "/" not in host:
        socket.create_connection((host, int(port)), timeout=10).close()


@contextlib.contextmanager
def _variables(**values: str) -> Iterator[None]:
    """Set environment variables for processes that are started meanwhile."""
    before = {name: os.environ.get(name) for name in values}
    os.environ.update(values)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


def describe_cause(error: BaseException) -> str:
    """Say in one line what Ray says: the last line where it gives a traceback, else the first."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()] or [""]
    if any("Traceback (most recent" in line or line.startswith(("ray::", "\x1b[36mray::")) for line in lines):
        cause = lines[-1]
    else:
        cause = " ".join(lines) if "ersion mismatch" in lines[0] else lines[0]
    return f"{type(error).__name__}: {cause[:MAX_CAUSE]}"


def _remedy(error: BaseException) -> str:
    """Say what to do about a cluster that cannot be joined; Ray names the cause far down in its message."""
    if "AuthenticationError" in str(error):
        return (
            "the cluster asks for its token: copy ~/.ray/auth_token of the host that started it to the same place "
            "here, or name it with RAY_AUTH_TOKEN_PATH"
        )
    if "ersion mismatch" in str(error):
        return "use the same versions of Ray and Python here and on the cluster"
    if "timed out" in str(error):
        return "the machine may be busy: try again, or use --executor inline"
    if error.__cause__ is not None:
        return _remedy(error.__cause__)
    return "start one with `ray start --head`, or use --executor inline"
