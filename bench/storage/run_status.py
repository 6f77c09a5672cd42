"""Tells what is running in a store: `status.json` is the driver's heartbeat, for whoever looks on."""

from __future__ import annotations

import os
import pathlib
import time
from collections.abc import Mapping
from typing import Any, TypedDict

from bench.storage import files, json_values
from tasks.data_dir.atomic_files import write_file
from tasks.data_dir.guarded_files import read_plain_file

STATUS = "status.json"

DEAD_S = 600
"""Silence after which a driver on another host is taken to be dead."""


class Heartbeat(TypedDict):
    """The sign of life in a status: the driver's process, the mark of its host, and the time in seconds."""

    pid: int
    host: str
    heartbeat: float


def write_status(root: pathlib.Path, status: Mapping[str, Any]) -> None:
    """Write what is running, with this process and the time."""
    who = {"pid": os.getpid(), "host": files.host_mark(), "boot": files.boot_id()}
    stamped = {**status, **who, "heartbeat": time.time()}
    content = json_values.to_bytes(json_values.nan_to_none(stamped), "status")
    # not synced: after a crash of the host there is no driver that it could tell of
    write_file(root / STATUS, content, temporary=files.temporary_path(root), sync=False)


def read_status(root: pathlib.Path) -> dict[str, Any] | None:
    """Return the last status, with `silent_s` and `alive`; None if nothing runs.

    Raises:
        ValueError: It does not parse. It is not synced: a crash of the host may leave it empty.
    """
    path = root / STATUS
    try:
        status = json_values.from_bytes(read_plain_file(path), str(path))
        json_values.convert(status, Heartbeat, str(path))
    except (FileNotFoundError, NotADirectoryError):
        return None
    silent_s = time.time() - status["heartbeat"]
    is_here = status["host"] == files.host_mark()
    is_alive = abs(silent_s) < DEAD_S  # a clock may be years ahead
    if is_here:  # after another start of the host another process has its number
        is_alive = files.is_alive(status["pid"]) and status.get("boot", files.boot_id()) == files.boot_id()
    return status | {"silent_s": max(0.0, silent_s), "alive": is_alive}


def clear_status(root: pathlib.Path) -> None:
    """Remove the status."""
    (root / STATUS).unlink(missing_ok=True)
