"""Looks at the machine: devices and their memory, and room in the folders that runs write to."""

from __future__ import annotations

import os
import pathlib
import tempfile
from collections.abc import Iterable, Mapping

from bench.doctor.check import Check
from tasks import host_cores

GIB = 2**30

ROOM_BYTES = 10 * GIB
"""Free bytes below which a person should know: a study at `standard` of some hundred trials takes about that."""

LEAST_BYTES = GIB
"""Free bytes below which a run may end halfway: views of one pack at `standard`, programs and checkpoints."""

ROOM_FILES = 100_000
"""Free inodes: ten thousand trials of six files and a folder or two each."""

LEAST_FILES = 1_000

LEAST_HOST_BYTES = 4 * GIB
"""Memory of the host beside the devices: a driver, Mitsuba and one worker."""


def check_devices() -> list[Check]:
    """List the devices that JAX sees, with their memory."""
    import jax

    from bench.training import accelerators

    checks = []
    for device in jax.local_devices():
        stats = device.memory_stats() or {}
        limit = stats.get("bytes_limit")
        if limit is None:
            measured = f"{host_cores.num_cores()} cores" if device.platform == "cpu" else "memory not told"
        else:
            measured = f"{limit / GIB:.1f} GiB for JAX, {stats.get('bytes_in_use', 0) / GIB:.1f} in use"
        checks.append(Check("ok", f"device {device.id}", f"{device.device_kind}, {measured}"))
    num_seen = accelerators.num_accelerators()
    if num_seen and jax.default_backend() == "cpu":
        advice = "JAX does not use them: make setup EXTRAS=cuda, or look at JAX_PLATFORMS"
        checks.append(Check("FAIL", "accelerators", f"{num_seen} here, none used", "used", advice))
    return [*checks, *_check_host_memory(pathlib.Path("/proc/meminfo"))]


def _check_host_memory(path: pathlib.Path) -> list[Check]:
    try:
        lines = dict(line.split(":", 1) for line in path.read_text().splitlines() if ":" in line)
        total, free = (int(lines[name].split()[0]) * 1024 for name in ("MemTotal", "MemAvailable"))
    except (OSError, KeyError, ValueError):
        return []
    enough = free >= LEAST_HOST_BYTES
    measured = f"{free / GIB:.1f} of {total / GIB:.1f} GiB free"
    advice = "" if enough else "fewer workers: --pack-size, or a smaller budget"
    return [Check("ok" if enough else "warn", "memory of the host", measured, f"{LEAST_HOST_BYTES // GIB} GiB", advice)]


def check_folders(folders: Mapping[str, pathlib.Path]) -> list[Check]:
    """Look at the room and the rights in folders; one that is not there yet stands for the nearest above it."""
    return [check for name, path in folders.items() for check in _check_folder(name, path)]


def _check_folder(name: str, path: pathlib.Path) -> Iterable[Check]:
    place = next(each for each in (path.absolute(), *path.absolute().parents) if each.exists())
    where = f"{name}: {path}"
    if not place.is_dir():
        yield Check("FAIL", where, f"{place} is a file", "a folder", "name another folder")
        return
    try:
        with tempfile.TemporaryFile(dir=place) as file:
            file.write(b"written by bench doctor")
            file.flush()
        room = os.statvfs(place)
    except OSError as error:
        yield Check("FAIL", where, str(error.strerror), "a folder that can be written", f"mend the rights of {place}")
        return
    yield _rate(where, room.f_bavail * room.f_frsize, LEAST_BYTES, ROOM_BYTES)
    if room.f_files:  # some file systems do not count inodes
        yield _rate_files(f"{name}: inodes", room.f_favail)


def _rate(where: str, free: int, least: int, enough: int) -> Check:
    measured = f"{free / GIB:.1f} GiB free"
    if free < least:
        return Check("FAIL", where, measured, f"at least {least // GIB} GiB", "make room, or name another folder")
    if free < enough:
        return Check("warn", where, measured, f"{enough // GIB} GiB for a study", "make room")
    return Check("ok", where, measured, f"at least {least // GIB} GiB")


def _rate_files(where: str, free: int) -> Check:
    expected = f"at least {LEAST_FILES:,}"
    if free < LEAST_FILES:
        return Check("FAIL", where, f"{free:,} free", expected, "remove small files, or name another folder")
    if free < ROOM_FILES:
        return Check("warn", where, f"{free:,} free", f"{ROOM_FILES:,} for ten thousand trials")
    return Check("ok", where, f"{free:,} free", expected)
