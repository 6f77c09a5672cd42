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
import dataclasses
import os
import pathlib
import shutil
import zlib
from collections.abc import Collection, Iterator, Mapping
from typing import TYPE_CHECKING, Any

from bench.errors import DamagedFile, UsageError, escape_controls
from bench.storage import (
    archived_trials,
    checksums,
    driver_lock,
    files,
    json_values,
    number_tables,
    run_status,
    trial_folder,
)
from bench.storage.folder_changes import FILE_ENDS
from bench.storage.record import Outcome, Record
from bench.storage.trial_folder import is_trial_name
from bench.storage.trial_ids import match_trial_ids, refuse_several
from tasks.data_dir.atomic_files import write_file

if TYPE_CHECKING:  # both take long to import, and listing trials needs neither
    import numpy
    import pandas


class Store:
    """Trials under one folder. `Store.open` reads a folder; the constructor touches no disk.

    Attributes:
        root: The folder.
        set_aside: New names of records that did not parse, with the reason: to be reported.
        left_out: Files that are damaged and stay where they are, with the reason: to be reported.
    """

    def __init__(self, root: pathlib.Path) -> None:
        self.root = root
        self.set_aside: list[str] = []
        self.left_out: list[str] = []
        self._records: dict[str, Record] = {}
        self._archived: dict[str, Mapping[str, bytes]] = {}

    @classmethod
    def open(cls, path: str | os.PathLike[str], study: str = "", *, is_guest: bool = False) -> Store:
        """Read a folder, which need not exist yet.

        Records that do not parse are set aside, and what killed writers left behind is removed.

        Args:
            path: The folder.
            study: Suite and budget, such as `sparse-views-standard`, whose archive is read first: several archives may
                hold one trial, each of a training of its own.
            is_guest: Whether another is at work there: nothing is renamed or removed, what does not parse is left out.

        Raises:
            UsageError: A record has another schema version: the whole store is refused and left as it is.
        """
        store = cls(pathlib.Path(path))
        unreadable = store._read_folders()
        store._read_archives(study)
        for folder, reason in unreadable:  # only now: a store of another schema version must stay as it is
            if is_guest:
                store.leave_out(f"{folder.name}: {reason}")
            else:
                store._set_aside(folder, reason)
        if not is_guest:
            files.remove_abandoned(store.root, driver_lock.driving_host(store.root))
        return store

    def _read_folders(self) -> list[tuple[pathlib.Path, Exception]]:
        """Read the record of each folder; return the folders whose record does not parse, with the reason."""
        unreadable: list[tuple[pathlib.Path, Exception]] = []
        for folder in self._list_folder():
            if not is_trial_name(folder.name) or not folder.is_dir():
                continue
            try:
                self._records[folder.name] = trial_folder.read_record(folder)
            except (ValueError, FileNotFoundError) as error:
                unreadable.append((folder, error))
        return unreadable

    def _list_folder(self) -> list[pathlib.Path]:
        """List what lies in the store; nothing where there is no folder yet."""
        try:
            return sorted(self.root.iterdir())
        except FileNotFoundError:
            return []
        except OSError as error:
            why = error.strerror or type(error).__name__
            raise UsageError(f"{self.root}: expected a folder of results, got {why!r}; name another") from error

    def _read_archives(self, study: str) -> None:
        """Read the trials that have no folder; of a trial in several archives, the study's own comes first."""
        paths = [path for path in self._list_folder() if path.name.endswith(FILE_ENDS) and path.name[0] != "."]
        own = {study + end for end in FILE_ENDS}
        for path in sorted(paths, key=lambda path: (path.name not in own, path)):
            try:
                self._add_archive(path)
            except (DamagedFile, FileNotFoundError) as error:
                self.leave_out(str(error))

    def _add_archive(self, path: pathlib.Path) -> None:
        """Read the trials of one file that were not found before."""
        for trial_id, contents in archived_trials.read_trials_file(path).items():
            if trial_id not in self._records:
                record = archived_trials.parse_archived_record(contents, f"{path}, {trial_id}", trial_id)
                self._records[trial_id] = record
                self._archived[trial_id] = contents

    def leave_out(self, line: str) -> None:
        """Note, once, that a file is not used: in a line that names it and says why."""
        line = escape_controls(line)
        if line not in self.left_out:
            self.left_out.append(line)

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
        """Return the one id that is so called, starts so, or else holds this, such as the hash at its end.

        Raises:
            UsageError: No id does, or several do.
        """
        if start in self._records:
            return start
        found = match_trial_ids(start, self.ids())
        refuse_several("trial", start, found)
        return self.read(found[0] if found else start).trial_id

    def write(self, outcome: Outcome) -> pathlib.Path:
        """Store what a trial left, in one step for whoever reads; return its folder.

        Raises:
            UsageError: The trial is stored already.
        """
        record = outcome.record
        final = self.root / record.trial_id
        if not is_trial_name(record.trial_id):
            raise ValueError(f"store: expected an id like nerf__knight__8v__s0__3f9c1a2b, got {record.trial_id!r}")
        self.root.mkdir(parents=True, exist_ok=True)
        temporary = files.temporary_path(self.root)
        temporary.mkdir()
        try:
            contents = trial_folder.file_contents(outcome)
            record, contents[trial_folder.RECORD] = checksums.seal_record(record, contents)
            for name, content in contents.items():
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
        record = self.read(trial_id)
        if trial_id in self._archived:
            raise UsageError(f"{trial_id}: expected a folder to put scores in, got an archive; run the trial here")
        name = f"scores/{protocol}.json"
        folder = self.root / trial_id
        content = json_values.to_bytes(scores, f"{trial_id}, {protocol}")
        if (folder / name).is_dir():  # somebody's mistake, which no file can replace
            self._set_aside(folder / name, ValueError("expected a file of scores, got a folder"))
        write_file(folder / name, content, temporary=files.temporary_path(self.root))
        self.left_out = [line for line in self.left_out if not line.startswith(f"{trial_id}/{name}:")]
        if checksums.is_checked(record) or not self.file_stamps(trial_id):
            changed = dataclasses.replace(record, files=record.files | {name: checksums.hash_bytes(content)})
            self._records[trial_id], text = checksums.sealed(changed)
            write_file(folder / trial_folder.RECORD, text, temporary=files.temporary_path(self.root))

    def scores(self, trial_id: str) -> dict[str, dict[str, Any]]:
        """Return a trial's scores by protocol, without those that are damaged.

        A file that does not match the record is named in `left_out`; one that does not parse is set aside. Both are
        made again by the next `run`.
        """
        record = self.read(trial_id)
        if trial_id in self._archived:
            where = f"{self.root}, {trial_id} in an archive"
            return archived_trials.parse_archived_scores(self._archived[trial_id], record, where, self.leave_out)
        found = {}
        folder = self.root / trial_id
        for name in trial_folder.score_names(folder, record):
            try:
                found[pathlib.PurePosixPath(name).stem] = trial_folder.read_trial_scores(folder, name, record)
            except DamagedFile as error:  # left there until they are made again
                self.leave_out(str(error))
            except ValueError as error:
                self._set_aside(folder / name, error)
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
        """Tell whether this store keeps views of the trial, which are as long as they should be."""
        folder = self.root / trial_id
        if trial_folder.has_arrays(folder, "views"):
            return True
        if os.path.lexists(folder / "views.safetensors"):
            self.leave_out(f"{trial_id}/views.safetensors: expected arrays, got a file that is cut, or none")
        return any(name.startswith("views-") for name in self._archived.get(trial_id, ()))

    def texts(self, trial_id: str) -> dict[str, bytes]:
        """Return the files of a trial that hold no arrays, by name; of an archived trial its pictures too."""
        record = self.read(trial_id)
        if trial_id in self._archived:
            return dict(self._archived[trial_id])
        folder = self.root / trial_id
        found = {trial_folder.RECORD: checksums.sealed(record)[1]}
        for name in trial_folder.score_names(folder, record):
            try:
                found[name] = trial_folder.read_checked(folder, name, record)
            except DamagedFile as error:
                self.leave_out(str(error))
        return found

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

    def retry(self, trial_id: str, *, is_damaged: bool = False) -> pathlib.Path:
        """Move a failure out of the way, so that the trial is run again; return where it is now.

        Args:
            trial_id: The trial.
            is_damaged: Whether its files are damaged: then it may have finished.

        Raises:
            UsageError: The trial is unknown, did not fail, or lies in an archive.
        """
        if self.read(trial_id).status != "failed" and not is_damaged:
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
        """Return what was last said to be running; None if nothing is. `alive` tells whether its driver lives.

        A status that does not parse counts as none, and is named in `left_out`; the next run writes it anew.
        """
        start = f"{self.root / run_status.STATUS}: "
        self.left_out = [line for line in self.left_out if not line.startswith(start)]  # it may be another by now
        try:
            return run_status.read_status(self.root)
        except ValueError as error:
            self.leave_out(str(error))
            return None

    def clear_status(self) -> None:
        """Say that nothing is running any more."""
        run_status.clear_status(self.root)

    def _arrays(self, trial_id: str, name: str) -> dict[str, numpy.ndarray]:
        record = self.read(trial_id)
        if not os.path.lexists(self.root / trial_id / f"{name}.safetensors"):
            raise UsageError(
                f"{trial_id}: expected its {name} in {self.root}, got none; "
                "committed references and failures may lack them: run the trial here"
            )
        return trial_folder.read_trial_arrays(self.root / trial_id, name, record)

    def _set_aside(self, path: pathlib.Path, error: Exception) -> None:
        """Rename what does not parse, so that its trial is run or scored again."""
        target = files.numbered_path(path, "unreadable")
        try:
            os.rename(path, target)
        except OSError as refusal:  # a store that may only be read
            line = f"{path.relative_to(self.root)}: {error} (left where it is: {refusal})"
        else:
            line = f"{target.relative_to(self.root)}: {error}"
        self.set_aside.append(escape_controls(line))


def unknown_trial(trial_id: str, known: Collection[str], root: pathlib.Path) -> UsageError:
    """Return the error about a trial that is not stored; it names the nearest one that is."""
    if known:
        import difflib

        [close] = difflib.get_close_matches(trial_id, known, n=1, cutoff=0.0)
        advice = f"the nearest is {close!r} (python -m bench ls)"
    else:
        advice = "it holds no trial yet: python -m bench run"
    return UsageError(f"trial: expected one of {root}, got {trial_id!r}; {advice}")
