"""Decides how trials lie on disk: a folder each, written once and whole, never appended to and never overwritten.

    <root>/<trial_id>/record.json parameters.safetensors views.safetensors scores/<protocol>.json
    <root>/<name>.tar.xz               finished trials in one file, see `bench.storage.archive`; never written by a run
    <root>/failed-<n>/<trial_id>/      failures that `retry` moved out of the way
    <root>/<trial_id>.unreadable-<n>/  records that did not parse, set aside so that the trial is run again
    <root>/status.json                 what is running now
    <root>/.lock                       held by the one driver that may write here
    <root>/.tmp-<host>-<pid>-...       being written; left behind by a writer that was killed, and swept up later

Only the driver writes. A folder appears under its name by one rename, so whoever reads sees all of it or nothing.
"""

from __future__ import annotations

import contextlib
import difflib
import fcntl
import hashlib
import json
import os
import pathlib
import platform
import re
import secrets
import shutil
import time
from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd

from bench.errors import UsageError
from bench.storage import archive
from bench.storage import record as records_
from bench.storage.record import Outcome, Record

ABANDONED_S = 24 * 3600
"""Age at which a temporary folder of another host is swept up: whether its writer lives cannot be asked from here."""

DEAD_S = 600
"""Silence after which a driver on another host is taken to be dead."""

DTYPES = ("float16", "float32", "int32")
"""What arrays are stored as."""


def open(path: str | os.PathLike[str], study: str = "") -> Store:
    """Opens a store, which need not exist yet; sweeps up after killed writers and sets aside what does not parse.

    Args:
        path: Its folder.
        study: Suite and budget, such as `sparse-views-standard`, whose archive is asked first for a trial that
            several archives hold, each of a training of its own.

    Raises:
        UsageError: A record has another schema version: the whole store is refused and left as it is.
    """
    return Store(pathlib.Path(path), study)


def modification_times(path: str | os.PathLike[str]) -> dict[str, tuple[int, ...]]:
    """What lies in a store, without reading any of it: two that are equal hold the same trials and scores.

    Cheap, to be asked again and again while others write.

    Returns:
        Of each trial's folder and each archive when it and its scores last changed, by name; empty where there is none.
    """
    found: dict[str, tuple[int, ...]] = {}
    with contextlib.suppress(FileNotFoundError), os.scandir(path) as entries:
        for entry in entries:
            if _is_trial_name(entry.name) or entry.name.endswith(archive.END):
                stamps = []
                for part in (entry.path, os.path.join(entry.path, "scores")):
                    # no scores, no folder, or moved by `retry` meanwhile
                    with contextlib.suppress(FileNotFoundError, NotADirectoryError):
                        stamps.append(os.stat(part).st_mtime_ns)
                found[entry.name] = tuple(stamps)
    return found


class Store:
    """Trials under one folder.

    Attributes:
        root: The folder.
        set_aside: New names of records that did not parse, with the reason: to be reported.
    """

    def __init__(self, root: pathlib.Path, study: str = "") -> None:
        self.root = root
        self.set_aside: list[str] = []
        self._records: dict[str, Record] = {}
        self._archived: dict[str, dict[str, bytes]] = {}
        unreadable = []
        for folder in sorted(root.iterdir()) if root.is_dir() else []:
            if _is_trial(folder):
                try:
                    self._records[folder.name] = _read(folder)
                except (ValueError, TypeError, AttributeError, FileNotFoundError) as error:
                    unreadable.append((folder, error))
        archives = sorted(root.glob(f"*{archive.END}"), key=lambda path: (path.name != study + archive.END, path))
        for path in archives if root.is_dir() else []:
            for trial_id, files in archive.read(path).items():
                if trial_id not in self._records:
                    self._records[trial_id] = _parsed(files.get("record.json", b""), f"{path}, {trial_id}", trial_id)
                    self._archived[trial_id] = files
        for folder, reason in unreadable:  # only now: a store of another schema version must stay as it is
            self._set_aside(folder, reason)
        self._sweep()

    def finished(self, trial_id: str) -> bool:
        """Whether there is a whole record of it that says so."""
        return trial_id in self._records and self._records[trial_id].status == "finished"

    def failed(self, trial_id: str) -> bool:
        """Whether there is a whole record of it that says so."""
        return trial_id in self._records and self._records[trial_id].status == "failed"

    def ids(self) -> list[str]:
        """Of all trials, sorted."""
        return sorted(self._records)

    def records(self) -> Iterator[Record]:
        """All records, sorted by id."""
        return (self._records[trial_id] for trial_id in self.ids())

    def read(self, trial_id: str) -> Record:
        """The record of a trial; UsageError names the nearest id if there is none."""
        if trial_id not in self._records:
            raise UsageError(f"trial: expected one of {self.root}, got {trial_id!r}; {self._nearest(trial_id)}")
        return self._records[trial_id]

    def find(self, start: str) -> str:
        """The id that starts so.

        Raises:
            UsageError: None does, or several do.
        """
        if start in self._records:
            return start
        found = [trial_id for trial_id in self.ids() if trial_id.startswith(start)]
        if len(found) > 1:
            more = f" and {len(found) - 3} more" if len(found) > 3 else ""
            raise UsageError(
                f"trial: expected the start of one id, got {start!r}, which {len(found)} share; "
                f"say more: {', '.join(found[:3])}{more}"
            )
        return self.read(found[0] if found else start).trial_id

    def write(self, outcome: Outcome) -> pathlib.Path:
        """Stores what a trial left, under a temporary name that is then changed; returns its folder.

        Raises:
            UsageError: The trial is stored already.
        """
        record = outcome.record
        final = self.root / record.trial_id
        if not _is_trial_name(record.trial_id):
            raise ValueError(f"store: expected an id like nerf__knight__8v__s0__3f9c1a2b, got {record.trial_id!r}")
        self.root.mkdir(parents=True, exist_ok=True)
        temporary = _temporary(self.root)
        temporary.mkdir()
        try:
            for name, arrays in (("parameters", outcome.parameters), ("views", outcome.views)):
                if arrays:
                    _write(temporary / f"{name}.safetensors", _packed(arrays, f"{record.trial_id}, {name}"))
            for protocol, scores in outcome.scores.items():
                _write(temporary / "scores" / f"{protocol}.json", _json(scores, f"{record.trial_id}, {protocol}"))
            _write(temporary / "record.json", records_.dumps(record).encode())
            _rename(temporary, final)
        except BaseException:
            shutil.rmtree(temporary, ignore_errors=True)
            raise
        self._records[record.trial_id] = record
        self._archived.pop(record.trial_id, None)  # arrays are there now
        return final

    def write_scores(self, trial_id: str, protocol: str, scores: dict[str, Any]) -> None:
        """Stores the scores of one protocol; those that were there are replaced in one step."""
        self.read(trial_id)
        if trial_id in self._archived:
            raise UsageError(f"{trial_id}: expected a folder to put scores in, got an archive; run the trial here")
        path = self.root / trial_id / "scores" / f"{protocol}.json"
        path.parent.mkdir(exist_ok=True)
        temporary = _temporary(self.root)
        _write(temporary, _json(scores, f"{trial_id}, {protocol}"))
        os.replace(temporary, path)

    def scores(self, trial_id: str) -> dict[str, dict[str, Any]]:
        """By protocol; a file that does not parse is set aside and counts as missing, to be scored again."""
        self.read(trial_id)
        found = {}
        for name, content in self._archived.get(trial_id, {}).items():
            if name.startswith("scores/"):
                found[pathlib.PurePosixPath(name).stem] = json.loads(content)
        folder = self.root / trial_id / "scores"
        for path in sorted(folder.glob("*.json")) if folder.is_dir() else []:
            try:
                found[path.stem] = json.loads(path.read_bytes())
            except ValueError as error:
                self._set_aside(path, error)
        return found

    def views(self, trial_id: str) -> dict[str, np.ndarray]:
        """`color`, `opacity`, `distance`, `ids`; UsageError if this store keeps none of this trial.

        Of an archived trial there are few, as pictures: `bench.storage.archive.views_of`.
        """
        if trial_id in self._archived and self.has_views(trial_id):
            return archive.views_of(self._archived[trial_id])
        return self._arrays(trial_id, "views")

    def has_views(self, trial_id: str) -> bool:
        """Whether this store keeps views of the trial."""
        kept = self._archived.get(trial_id, {})
        return (self.root / trial_id / "views.safetensors").exists() or any(n.startswith("views-") for n in kept)

    def texts(self, trial_id: str) -> dict[str, bytes]:
        """The files of a trial that hold no arrays, and pictures of an archived one, by name."""
        self.read(trial_id)
        if trial_id in self._archived:
            return dict(self._archived[trial_id])
        folder = self.root / trial_id
        return {path.relative_to(folder).as_posix(): path.read_bytes() for path in sorted(folder.rglob("*.json"))}

    def parameters(self, trial_id: str) -> dict[str, np.ndarray]:
        """By flat names; UsageError if this store keeps none of this trial."""
        return self._arrays(trial_id, "parameters")

    def retry(self, trial_id: str) -> pathlib.Path:
        """Moves a failure out of the way, so that the trial is run again; returns where it is now.

        Raises:
            UsageError: The trial is unknown or did not fail.
        """
        if self.read(trial_id).status != "failed":
            raise UsageError(f"retry: expected a trial that failed, got {trial_id}, which finished; leave it as it is")
        n = 1
        while (self.root / f"failed-{n}" / trial_id).exists():
            n += 1
        target = self.root / f"failed-{n}" / trial_id
        target.parent.mkdir(exist_ok=True)
        os.rename(self.root / trial_id, target)
        del self._records[trial_id]
        return target

    def frame(self) -> pd.DataFrame:
        """Every score of every trial, tidy: a row a trial, protocol, metric and view.

        A trial without scores has one row, whose `protocol`, `metric` and `view` are missing: a failure is never a
        gap. `reason` says why a value is missing, or why the trial failed. Angles of a view are missing where they are
        not known.

        Example, which gives the mean over views, then seeds, then scenes, as tables do; run by a test:

            import bench.storage.store

            frame = bench.storage.store.open("results/runs").frame()
            psnr = frame[(frame["protocol"] == "std-v1") & (frame["metric"] == "psnr")]
            by_trial = psnr.groupby(["variant", "cluster", "seed"])["value"].mean()
            means = by_trial.groupby(["variant", "cluster"]).mean().groupby("variant").mean()
        """
        blocks = ScoreFrameBuilder()
        for record in self.records():
            scores = self.scores(record.trial_id)
            if not scores:
                blocks.add(record, None, None, record.reason or "not scored", [None], [None], {})
            for protocol, score in scores.items():
                for metric, values in score["per_view"].items():
                    reason = score["reasons"].get(metric)
                    blocks.add(record, protocol, metric, reason, score["view_ids"], values, score["context"])
        return blocks.frame()

    @contextlib.contextmanager
    def lock(self) -> Iterator[None]:
        """Keeps other drivers out for as long as it is held, and no longer than this process lives.

        Raises:
            UsageError: Another driver holds it; names its process.
        """
        self.root.mkdir(parents=True, exist_ok=True)
        with (self.root / ".lock").open("a+") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                file.seek(0)
                raise UsageError(
                    f"{self.root}: expected no other run to write here, got one in process {file.read().strip()}; "
                    "wait for it (python -m bench status), or name another folder with --results"
                ) from None
            file.truncate(0)
            file.write(f"{os.getpid()}\n")
            file.flush()
            yield
            file.truncate(0)

    def write_status(self, status: dict[str, Any]) -> None:
        """Says what is running, in one step; adds the process and the time, which is the driver's heartbeat.

        Args:
            status: What `python -m bench status` prints: `command`, `num_trials`, `num_done`, `num_failed`, and
                `running`, a list of `{"trial_ids", "phase", "step", "num_steps", "loss"}`. What is missing is not
                printed; numbers that are not finite become null.
        """
        status = status | {"pid": os.getpid(), "host": _host(), "heartbeat": time.time()}
        self.root.mkdir(parents=True, exist_ok=True)
        temporary = _temporary(self.root)
        temporary.write_bytes(_json(_finite(status), "status"))
        os.replace(temporary, self.root / "status.json")

    def read_status(self) -> dict[str, Any] | None:
        """What was last said to be running; None if nothing was. `alive` tells whether its driver still lives."""
        try:
            status = json.loads((self.root / "status.json").read_bytes())
        except FileNotFoundError:
            return None
        silent_s = time.time() - status["heartbeat"]
        alive = _lives(status["pid"]) if status["host"] == _host() else silent_s < DEAD_S
        return status | {"silent_s": silent_s, "alive": alive}

    def clear_status(self) -> None:
        """Says that nothing is running any more."""
        (self.root / "status.json").unlink(missing_ok=True)

    def _arrays(self, trial_id: str, name: str) -> dict[str, np.ndarray]:
        import safetensors.numpy

        self.read(trial_id)
        path = self.root / trial_id / f"{name}.safetensors"
        if not path.exists():
            raise UsageError(
                f"{trial_id}: expected its {name} in {self.root}, got none; "
                "committed references and failures may lack them: run the trial here"
            )
        return safetensors.numpy.load_file(path)

    def _nearest(self, trial_id: str) -> str:
        if not self._records:
            return "it holds no trial yet: python -m bench run"
        [close] = difflib.get_close_matches(trial_id, self._records, n=1, cutoff=0.0)
        return f"the nearest is {close!r} (python -m bench ls)"

    def _set_aside(self, path: pathlib.Path, error: Exception) -> None:
        n = 1
        while path.with_name(f"{path.name}.unreadable-{n}").exists():
            n += 1
        target = path.with_name(f"{path.name}.unreadable-{n}")
        try:
            os.rename(path, target)
        except OSError as refusal:  # a store that may only be read
            self.set_aside.append(f"{path.relative_to(self.root)}: {error} (left where it is: {refusal})")
        else:
            self.set_aside.append(f"{target.relative_to(self.root)}: {error}")

    def _sweep(self) -> None:
        """Removes what killed writers left behind. This process writes nothing while it opens a store."""
        for path in self.root.glob(".tmp-*"):
            host, pid = path.name.split("-")[1:3]
            try:
                age_s = time.time() - path.stat().st_mtime
            except FileNotFoundError:  # its writer has just renamed it
                continue
            is_dead = int(pid) == os.getpid() or not _lives(int(pid))
            if is_dead if host == _host() else age_s > ABANDONED_S:
                # Somebody else may sweep at the same time, or the store may only be read: what is left does no harm.
                shutil.rmtree(path, ignore_errors=True) if path.is_dir() else path.unlink(missing_ok=True)


class ScoreFrameBuilder:
    """Rows of `Store.frame`, gathered by blocks that share a trial, a protocol and a metric."""

    SHARED = (
        "trial_id", "status", "variant", "task", "cluster", "seed", "budget", "protocol", "metric", "reason",
        "num_steps", "wall_s", "device",
    )  # fmt: skip
    ANGLES = ("angle_to_nearest_deg", "azimuth_deg", "elevation_deg")
    ORDER = (*SHARED[:9], "view", "value", "reason", ANGLES[0], *SHARED[10:], *ANGLES[1:])

    def __init__(self) -> None:
        self.shared: list[tuple[Any, ...]] = []
        self.lengths: list[int] = []
        self.views: list[int | None] = []
        self.values: list[float | None] = []
        self.angles: dict[str, list[float | None]] = {name: [] for name in self.ANGLES}

    def add(
        self,
        record: Record,
        protocol: str | None,
        metric: str | None,
        reason: str | None,
        views: list[Any],
        values: list[Any],
        context: dict[str, list[Any]],
    ) -> None:
        """A block; the lists go by view."""
        for what, found in {"values": values, **context}.items():
            if len(found) != len(views):
                raise ValueError(
                    f"{record.trial_id}, {protocol}, {metric}: expected one a view, got {len(found)} {what} of "
                    f"{len(views)} views"
                )
        self.shared.append(
            (
                *(record.trial_id, record.status, record.variant, record.task, record.cluster, record.seed),
                *(record.budget, protocol, metric, reason, record.num_steps),
                *(record.timings.get("wall_s"), record.environment.get("device")),
            )
        )
        self.lengths.append(len(views))
        self.views += views
        self.values += values
        for name, angles in self.angles.items():
            angles += context.get(name, [None] * len(views))

    def frame(self) -> pd.DataFrame:
        """All rows."""
        numbers = {"seed": "int64", "num_steps": "int64", "wall_s": "float64"}
        rows = np.repeat(np.arange(len(self.lengths)), self.lengths)
        columns: dict[str, Any] = {}
        for name, values in zip(self.SHARED, zip(*self.shared, strict=True) if self.shared else [()] * 13, strict=True):
            columns[name] = pd.Series(values, dtype=numbers.get(name)).take(rows).array
        columns["view"] = pd.array(self.views, dtype="Int64")
        columns["value"] = np.asarray(self.values, dtype=np.float64)
        columns |= {name: np.asarray(found, dtype=np.float64) for name, found in self.angles.items()}
        return pd.DataFrame(columns)[list(self.ORDER)].rename_axis(index=None)


def _is_trial(folder: pathlib.Path) -> bool:
    return _is_trial_name(folder.name) and folder.is_dir()


def _is_trial_name(name: str) -> bool:
    """Whether a folder of that name is a trial's: no `.tmp-...`, `failed-1` or `....unreadable-1`."""
    is_special = re.match(r"\.|failed-\d+$", name) or re.search(r"\.unreadable-\d+$", name)
    return "__" in name and "/" not in name and not is_special


def _temporary(root: pathlib.Path) -> pathlib.Path:
    """A new name; whoever opens the store later can tell whether its writer lives."""
    return root / f".tmp-{_host()}-{os.getpid()}-{secrets.token_hex(4)}"


def _read(folder: pathlib.Path) -> Record:
    path = folder / "record.json"
    return _parsed(path.read_bytes(), str(path), folder.name)


def _parsed(content: bytes, where: str, trial_id: str) -> Record:
    record = Record.from_json(json.loads(content), where=where)
    if record.trial_id != trial_id:
        raise ValueError(f"{where}: expected the record of {trial_id}, got that of {record.trial_id}")
    return record


def _packed(arrays: dict[str, np.ndarray], where: str) -> bytes:
    """Arrays as safetensors."""
    import safetensors.numpy

    for name, array in arrays.items():
        if array.dtype.name not in DTYPES:
            raise ValueError(f"{where}, {name}: expected one of {', '.join(DTYPES)}, got {array.dtype}")
    # safetensors writes the memory as it lies, whatever the strides
    return safetensors.numpy.save({name: np.asarray(array, order="C") for name, array in arrays.items()})


def _json(value: Any, where: str) -> bytes:
    try:
        return (json.dumps(value, allow_nan=False) + "\n").encode()
    except ValueError as error:
        raise ValueError(f"{where}: expected numbers that are finite, or None with a reason, got {error}") from error


def _finite(value: Any) -> Any:
    """JSON values with None where a number is not finite."""
    if isinstance(value, dict):
        return {name: _finite(inner) for name, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(inner) for inner in value]
    return records_.finite(value) if isinstance(value, float) else value


def _write(path: pathlib.Path, content: bytes) -> None:
    """Writes a new file and waits until it is on the disk."""
    path.parent.mkdir(exist_ok=True)
    with path.open("xb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def _rename(temporary: pathlib.Path, final: pathlib.Path) -> None:
    """Gives a whole folder its name; the system refuses if there is one of that name that is not empty."""
    try:
        os.rename(temporary, final)
    except OSError as error:
        if final.exists():
            raise UsageError(
                f"{final}: expected no such trial yet, got one; records are never overwritten: "
                "python -m bench retry moves a failure out of the way"
            ) from error
        raise
    directory = os.open(final.parent, os.O_RDONLY)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)


def _lives(pid: int) -> bool:
    """Whether a process of this host lives."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:  # somebody else's
        return True
    return True


def _host() -> str:
    """Tells hosts apart without naming them."""
    return hashlib.sha256(platform.node().encode()).hexdigest()[:8]
