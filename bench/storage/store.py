"""Decides how trials lie on disk: a folder each, written once and whole, never appended to and never overwritten.

    <root>/<trial_id>/record.json parameters.safetensors views.safetensors scores/<protocol>.json
    <root>/<name>.tar.xz               finished trials in one file, see `bench.storage.archive`; never written by a run
    <root>/<name>.parquet              their numbers alone, see `bench.storage.number_tables`; never written by a run
    <root>/failed-<n>/<trial_id>/      failures that `retry` moved out of the way
    <root>/<trial_id>.unreadable-<n>/  records that did not parse, set aside so that the trial is run again
    <root>/status.json                 what is running now, see `bench.storage.run_status`
    <root>/.checkpoints/               training that is not finished, see `bench.storage.checkpoint_files`
    <root>/.lock, .driver.json         held by the one driver that may write here, see `bench.storage.driver_lock`
    <root>/.tmp-<host>-<pid>-...       being written; left behind by a writer that was killed, and removed later

Only the driver writes. A folder appears under its name by one rename, so whoever reads sees all of it or nothing.
"""

from __future__ import annotations

import contextlib
import os
import pathlib
import re
import shutil
import zlib
from collections.abc import Collection, Iterator, Mapping
from typing import TYPE_CHECKING, Any

from bench.errors import UsageError
from bench.storage import archive, driver_lock, files, json_values, number_tables, run_status
from bench.storage.record import Outcome, Record
from bench.storage.stored_scores import parse_scores
from tasks.data_dir.atomic_files import write_file

if TYPE_CHECKING:  # both take long to import, and listing trials needs neither
    import numpy
    import pandas

FILE_ENDS = (archive.END, number_tables.END)
"""Of files that hold many trials each."""

DTYPES = ("float16", "float32", "int32")
"""What arrays are stored as."""


def modification_times(path: str | os.PathLike[str]) -> dict[str, tuple[int, ...]]:
    """Return when each trial's folder and each archive last changed, without reading any of them.

    Two results that are equal tell of the same trials and scores. It is cheap, to be asked again and again while
    others write.

    Returns:
        By name, the times of the folder and of its scores in nanoseconds; empty where there is no store.
    """
    found: dict[str, tuple[int, ...]] = {}
    with contextlib.suppress(FileNotFoundError), os.scandir(path) as entries:
        for entry in entries:
            if _is_trial_name(entry.name) or entry.name.endswith(FILE_ENDS):
                found[entry.name] = _change_times(entry.path)
    return found


def _change_times(folder: str) -> tuple[int, ...]:
    """Return the times of a folder and its scores; of neither if `retry` has just moved it."""
    times = []
    for part in (folder, os.path.join(folder, "scores")):
        with contextlib.suppress(FileNotFoundError, NotADirectoryError):
            times.append(os.stat(part).st_mtime_ns)
    return tuple(times)


class Store:
    """Trials under one folder. `Store.open` reads a folder; the constructor touches no disk.

    Attributes:
        root: The folder.
        set_aside: New names of records that did not parse, with the reason: to be reported.
    """

    def __init__(self, root: pathlib.Path) -> None:
        self.root = root
        self.set_aside: list[str] = []
        self._records: dict[str, Record] = {}
        self._archived: dict[str, Mapping[str, bytes]] = {}

    @classmethod
    def open(cls, path: str | os.PathLike[str], study: str = "") -> Store:
        """Read a folder, which need not exist yet.

        Records that do not parse are set aside, and what killed writers left behind is removed.

        Args:
            path: The folder.
            study: Suite and budget, such as `sparse-views-standard`, whose archive is read first: several archives may
                hold one trial, each of a training of its own.

        Raises:
            UsageError: A record has another schema version: the whole store is refused and left as it is.
        """
        store = cls(pathlib.Path(path))
        unreadable = store._read_folders()
        store._read_archives(study)
        for folder, reason in unreadable:  # only now: a store of another schema version must stay as it is
            store._set_aside(folder, reason)
        files.remove_abandoned(store.root, driver_lock.driving_host(store.root))
        return store

    def _read_folders(self) -> list[tuple[pathlib.Path, Exception]]:
        """Read the record of each folder; return the folders whose record does not parse, with the reason."""
        unreadable: list[tuple[pathlib.Path, Exception]] = []
        for folder in sorted(self.root.iterdir()) if self.root.is_dir() else []:
            if not _is_trial_name(folder.name) or not folder.is_dir():
                continue
            path = folder / "record.json"
            try:
                self._records[folder.name] = _parse(path.read_bytes(), str(path), folder.name)
            except (ValueError, FileNotFoundError) as error:
                unreadable.append((folder, error))
        return unreadable

    def _read_archives(self, study: str) -> None:
        """Read the trials that have no folder; of a trial in several archives, the study's own comes first."""
        paths = [path for end in FILE_ENDS for path in self.root.glob(f"*{end}")]
        own = {study + end for end in FILE_ENDS}
        for path in sorted(paths, key=lambda path: (path.name not in own, path)):
            for trial_id, contents in _read_archive(path).items():
                if trial_id not in self._records:
                    self._records[trial_id] = _parse_archived(contents, f"{path}, {trial_id}", trial_id)
                    self._archived[trial_id] = contents

    def finished(self, trial_id: str) -> bool:
        """Tell whether the trial has a record and ran to its end."""
        return trial_id in self._records and self._records[trial_id].status == "finished"

    def failed(self, trial_id: str) -> bool:
        """Tell whether the trial has a record and failed."""
        return trial_id in self._records and self._records[trial_id].status == "failed"

    def ids(self) -> list[str]:
        """Return the ids of all trials, sorted."""
        return sorted(self._records)

    def records(self) -> Iterator[Record]:
        """Yield all records, sorted by id."""
        return (self._records[trial_id] for trial_id in self.ids())

    def read(self, trial_id: str) -> Record:
        """Return the record of a trial.

        Raises:
            UsageError: There is none; names the nearest id.
        """
        if trial_id not in self._records:
            raise unknown_trial(trial_id, self._records, self.root)
        return self._records[trial_id]

    def find(self, start: str) -> str:
        """Return the one id that starts so.

        Raises:
            UsageError: No id does, or several do.
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
        """Store what a trial left, in one step for whoever reads; return its folder.

        Raises:
            UsageError: The trial is stored already.
        """
        record = outcome.record
        final = self.root / record.trial_id
        if not _is_trial_name(record.trial_id):
            raise ValueError(f"store: expected an id like nerf__knight__8v__s0__3f9c1a2b, got {record.trial_id!r}")
        self.root.mkdir(parents=True, exist_ok=True)
        temporary = files.temporary_path(self.root)
        temporary.mkdir()
        try:
            for name, content in _file_contents(outcome).items():
                write_file(temporary / name, content)
            files.publish_folder(temporary, final)
        except BaseException:
            shutil.rmtree(temporary, ignore_errors=True)
            raise
        self._records[record.trial_id] = record
        self._archived.pop(record.trial_id, None)  # arrays are there now
        return final

    def write_scores(self, trial_id: str, protocol: str, scores: dict[str, Any]) -> None:
        """Store the scores of one protocol; those that were there are replaced in one step.

        Raises:
            UsageError: The trial is unknown, or lies in an archive.
        """
        self.read(trial_id)
        if trial_id in self._archived:
            raise UsageError(f"{trial_id}: expected a folder to put scores in, got an archive; run the trial here")
        path = self.root / trial_id / "scores" / f"{protocol}.json"
        content = json_values.to_bytes(scores, f"{trial_id}, {protocol}")
        write_file(path, content, temporary=files.temporary_path(self.root))

    def scores(self, trial_id: str) -> dict[str, dict[str, Any]]:
        """Return a trial's scores by protocol; a file that does not parse is set aside, to be scored again."""
        self.read(trial_id)
        if isinstance(contents := self._archived.get(trial_id), number_tables.NumberFiles):
            return contents.scores()
        if trial_id in self._archived:
            return _parse_archived_scores(self._archived[trial_id], f"{self.root}, {trial_id} in an archive")
        found = {}
        folder = self.root / trial_id / "scores"
        for path in sorted(folder.glob("*.json")) if folder.is_dir() else []:
            try:
                found[path.stem] = parse_scores(path.read_bytes(), str(path.relative_to(self.root)))
            except ValueError as error:
                self._set_aside(path, error)
        return found

    def values(self, trial_id: str, metric: str) -> dict[str, list[float | None]]:
        """Return a trial's values of one metric, by protocol and view; an empty list where a protocol lacks it.

        Of a table of numbers it reads those alone, where `scores` reads all that the trial has.
        """
        contents = self._archived.get(trial_id)
        if isinstance(contents, number_tables.NumberFiles):
            return contents.values_of(metric)
        return {protocol: found["per_view"].get(metric, []) for protocol, found in self.scores(trial_id).items()}

    def views(self, trial_id: str) -> dict[str, numpy.ndarray]:
        """Return `color`, `opacity`, `distance` and `ids` of a trial.

        An archived trial has few views, kept as pictures: `bench.storage.archived_pictures.decode_views`.

        Raises:
            UsageError: This store keeps no views of the trial.
        """
        if trial_id in self._archived and self.has_views(trial_id):
            from bench.storage import archived_pictures

            return archived_pictures.decode_views(dict(self._archived[trial_id]))
        return self._arrays(trial_id, "views")

    def has_views(self, trial_id: str) -> bool:
        """Tell whether this store keeps views of the trial."""
        if (self.root / trial_id / "views.safetensors").exists():
            return True
        return any(name.startswith("views-") for name in self._archived.get(trial_id, ()))

    def texts(self, trial_id: str) -> dict[str, bytes]:
        """Return the files of a trial that hold no arrays, by name; of an archived trial its pictures too."""
        self.read(trial_id)
        if trial_id in self._archived:
            return dict(self._archived[trial_id])
        folder = self.root / trial_id
        return {path.relative_to(folder).as_posix(): path.read_bytes() for path in sorted(folder.rglob("*.json"))}

    def file_stamps(self, trial_id: str) -> list[tuple[str, int, int]]:
        """Return name, size and time of change of a trial's files; equal lists tell of the same files.

        Files of an archived trial have a checksum in place of the time.
        """
        self.read(trial_id)
        if trial_id in self._archived:
            contents = sorted(self._archived[trial_id].items())
            return [(name, len(content), zlib.crc32(content)) for name, content in contents]
        folder = self.root / trial_id
        stamps = []
        for path in sorted(folder.rglob("*")):
            if path.is_file():
                status = path.stat()
                stamps.append((path.relative_to(folder).as_posix(), status.st_size, status.st_mtime_ns))
        return stamps

    def parameters(self, trial_id: str) -> dict[str, numpy.ndarray]:
        """Return a trial's parameters by flat names.

        Raises:
            UsageError: This store keeps no parameters of the trial.
        """
        return self._arrays(trial_id, "parameters")

    def retry(self, trial_id: str) -> pathlib.Path:
        """Move a failure out of the way, so that the trial is run again; return where it is now.

        Raises:
            UsageError: The trial is unknown, did not fail, or lies in an archive.
        """
        if self.read(trial_id).status != "failed":
            raise UsageError(f"retry: expected a trial that failed, got {trial_id}, which finished; leave it as it is")
        if trial_id in self._archived:
            raise UsageError(f"retry: expected a trial with a folder, got {trial_id} in an archive; run the trial here")
        n = 1
        while (self.root / f"failed-{n}" / trial_id).exists():
            n += 1
        target = self.root / f"failed-{n}" / trial_id
        target.parent.mkdir(exist_ok=True)
        os.rename(self.root / trial_id, target)
        del self._records[trial_id]
        return target

    def frame(self) -> pandas.DataFrame:
        """Return every score of every trial, tidy: one row for each trial, protocol, metric and view.

        A trial without scores has one row, whose `protocol`, `metric` and `view` are missing. `reason` says why a value
        is missing, or why the trial failed. Angles of a view are missing where they are not known.

        Example, which gives the mean over views, then seeds, then scenes, as tables do; run by a test:

            from bench.storage.store import Store

            frame = Store.open("results/runs").frame()
            psnr = frame[(frame["protocol"] == "std-v1") & (frame["metric"] == "psnr")]
            by_trial = psnr.groupby(["variant", "cluster", "seed"])["value"].mean()
            means = by_trial.groupby(["variant", "cluster"]).mean().groupby("variant").mean()
        """
        from bench.storage.score_frame import score_frame

        return score_frame((record, self.scores(record.trial_id)) for record in self.records())

    def lock(self) -> contextlib.AbstractContextManager[None]:
        """Keep other drivers out while it is held.

        Raises:
            UsageError: Another driver holds it; names its host and process.
        """
        return driver_lock.driver_lock(self.root)

    def write_status(self, status: dict[str, Any]) -> None:
        """Say what is running; add the process and the time, which is the driver's heartbeat.

        Args:
            status: What `python -m bench status` prints: `policy`, `num_trials`, `num_done`, `num_failed`, and
                `running`, a list of `{"trial_ids", "phase", "step", "num_steps", "loss"}`. What is missing is not
                printed; numbers that are not finite become null.
        """
        run_status.write_status(self.root, status)

    def read_status(self) -> dict[str, Any] | None:
        """Return what was last said to be running; None if nothing is. `alive` tells whether its driver lives."""
        return run_status.read_status(self.root)

    def clear_status(self) -> None:
        """Say that nothing is running any more."""
        run_status.clear_status(self.root)

    def _arrays(self, trial_id: str, name: str) -> dict[str, numpy.ndarray]:
        import safetensors.numpy

        self.read(trial_id)
        path = self.root / trial_id / f"{name}.safetensors"
        if not path.exists():
            raise UsageError(
                f"{trial_id}: expected its {name} in {self.root}, got none; "
                "committed references and failures may lack them: run the trial here"
            )
        return safetensors.numpy.load_file(path)

    def _set_aside(self, path: pathlib.Path, error: Exception) -> None:
        """Rename what does not parse, so that its trial is run or scored again."""
        target = files.numbered_path(path, "unreadable")
        try:
            os.rename(path, target)
        except OSError as refusal:  # a store that may only be read
            self.set_aside.append(f"{path.relative_to(self.root)}: {error} (left where it is: {refusal})")
        else:
            self.set_aside.append(f"{target.relative_to(self.root)}: {error}")


def unknown_trial(trial_id: str, known: Collection[str], root: pathlib.Path) -> UsageError:
    """Return the error about a trial that is not stored; it names the nearest one that is."""
    if known:
        import difflib

        [close] = difflib.get_close_matches(trial_id, known, n=1, cutoff=0.0)
        advice = f"the nearest is {close!r} (python -m bench ls)"
    else:
        advice = "it holds no trial yet: python -m bench run"
    return UsageError(f"trial: expected one of {root}, got {trial_id!r}; {advice}")


def _file_contents(outcome: Outcome) -> dict[str, bytes]:
    """Return the files that a trial leaves, by name; the record is the last."""
    trial_id = outcome.record.trial_id
    contents = {}
    for name, arrays in (("parameters", outcome.parameters), ("views", outcome.views)):
        if arrays:
            contents[f"{name}.safetensors"] = _to_safetensors(arrays, f"{trial_id}, {name}")
    for protocol, scores in outcome.scores.items():
        contents[f"scores/{protocol}.json"] = json_values.to_bytes(scores, f"{trial_id}, {protocol}")
    contents["record.json"] = outcome.record.to_text().encode()
    return contents


def _is_trial_name(name: str) -> bool:
    """Tell whether a folder of that name is a trial's: no `.tmp-...`, `failed-1` or `....unreadable-1`."""
    is_special = re.match(r"\.|failed-\d+$", name) or re.search(r"\.unreadable-\d+$", name)
    return "__" in name and "/" not in name and not is_special


def _parse(content: bytes, where: str, trial_id: str) -> Record:
    record = Record.from_json(json_values.from_bytes(content, where), where=where)
    if record.trial_id != trial_id:
        raise ValueError(f"{where}: expected the record of {trial_id}, got that of {record.trial_id}")
    return record


def _read_archive(path: pathlib.Path) -> Mapping[str, Mapping[str, bytes]]:
    """Return the files of each trial in a file of many."""
    return number_tables.read_numbers(path) if path.name.endswith(number_tables.END) else archive.read_archive(path)


def _parse_archived(contents: Mapping[str, bytes], where: str, trial_id: str) -> Record:
    try:
        return _parse(contents.get("record.json", b""), where, trial_id)
    except ValueError as error:
        raise UsageError(f"{error}; bring the archive again") from error


def _parse_archived_scores(contents: Mapping[str, bytes], where: str) -> dict[str, dict[str, Any]]:
    found = {}
    for name, content in contents.items():
        if name.startswith("scores/"):
            try:
                found[pathlib.PurePosixPath(name).stem] = parse_scores(content, f"{where}, {name}")
            except ValueError as error:
                raise UsageError(f"{error}; bring the archive again") from error
    return found


def _to_safetensors(arrays: dict[str, numpy.ndarray], where: str) -> bytes:
    import numpy
    import safetensors.numpy

    for name, array in arrays.items():
        if array.dtype.name not in DTYPES:
            raise ValueError(f"{where}, {name}: expected one of {', '.join(DTYPES)}, got {array.dtype}")
    # safetensors writes the memory as it lies, whatever the strides
    return safetensors.numpy.save({name: numpy.asarray(array, order="C") for name, array in arrays.items()})
