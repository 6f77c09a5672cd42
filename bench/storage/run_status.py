"""Tells what is running in a store, and keeps a second driver out of it.

`status.json` is the driver's heartbeat, for whoever looks on; `.lock` is held by the one driver that may write.
"""

from __future__ import annotations

import contextlib
import os
import pathlib
import time
from collections.abc import Iterator, Mapping
from typing import Any, TypedDict

from bench.errors import UsageError
from bench.storage import files, json_values
from tasks.data_dir.atomic_files import write_file
from tasks.data_dir.locking import file_lock, unwritable

DEAD_S = 600
"""Silence after which a driver on another host is taken to be dead."""


class Heartbeat(TypedDict):
    """The sign of life in a status: the driver's process, the mark of its host, and the time in seconds."""

    pid: int
    host: str
    heartbeat: float


def write_status(root: pathlib.Path, status: Mapping[str, Any]) -> None:
    """Write what is running, with this process and the time."""
    stamped = {**status, "pid": os.getpid(), "host": files.host_mark(), "heartbeat": time.time()}
    content = json_values.to_bytes(json_values.nan_to_none(stamped), "status")
    # not synced: after a crash of the host there is no driver that it could tell of
    write_file(root / "status.json", content, temporary=files.temporary_path(root), sync=False)


def read_status(root: pathlib.Path) -> dict[str, Any] | None:
    """Return the last status, with `silent_s` and `alive`; None if nothing runs.

    A status that does not parse counts as none: it is not synced, so that a crash of the host may leave it empty.
    """
    path = root / "status.json"
    try:
        status = json_values.from_bytes(path.read_bytes(), str(path))
        json_values.convert(status, Heartbeat, str(path))
    except (FileNotFoundError, ValueError):
        return None
    silent_s = time.time() - status["heartbeat"]
    is_here = status["host"] == files.host_mark()
    is_alive = files.is_alive(status["pid"]) if is_here else silent_s < DEAD_S
    return status | {"silent_s": silent_s, "alive": is_alive}


def clear_status(root: pathlib.Path) -> None:
    """Remove the status."""
    (root / "status.json").unlink(missing_ok=True)


@contextlib.contextmanager
def driver_lock(root: pathlib.Path) -> Iterator[None]:
    """Keep other drivers out for as long as it is held, and no longer than this process lives.

    Raises:
        UsageError: Another driver holds it, and is named by its process; or the folder cannot be written.
    """
    path = root / ".lock"

    def refuse() -> None:
        raise UsageError(
            f"{root}: expected no other run to write here, got one in process {path.read_text().strip()}; "
            "wait for it (python -m bench status), or name another folder with --results"
        )

    with contextlib.ExitStack() as held:
        try:
            root.mkdir(parents=True, exist_ok=True)
            held.enter_context(file_lock(path, refuse))
            path.write_text(f"{os.getpid()}\n")
        except OSError as error:
            raise unwritable(root, error, "name another folder with --results") from error
        yield
        path.write_text("")
