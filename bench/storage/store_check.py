"""Checks a whole store, file by file, and changes nothing in it: what is damaged, doubtful or taken for another.

    found = check_store("results/runs")
    for finding in found.findings:
        print(finding.describe())

SHA-256 of files that have not changed since are remembered (`tasks.data_dir.content_hashes`): a first check reads the
whole store, the next ones hardly more than its records.
"""

from __future__ import annotations

import dataclasses
import os
import pathlib
import stat
from collections.abc import Callable, Iterable, Iterator
from typing import Literal, NamedTuple, TypeAlias

from bench.errors import MACHINE_ERRORS, DamagedFile, MachineFault, UsageError, escape_controls, machine_fault
from bench.storage import archived_trials, checksums, run_status, trial_folder
from bench.storage.checkpoint_files import CheckpointFolder
from bench.storage.folder_changes import FILE_ENDS
from bench.storage.record import Record
from tasks.data_dir.content_hashes import sha256_of_all
from tasks.data_dir.guarded_files import describe_kind

FindingKind: TypeAlias = Literal["damaged", "doubtful", "mistaken"]


class StoreFinding(NamedTuple):
    """Something in a store that a person should know of.

    Attributes:
        kind: `damaged` where content is lost, `mistaken` where a trial lies under the name of another, `doubtful` where
            something is there that should not be, or is not there that should.
        trial_id: The trial, or the file of many trials, or another name in the store.
        reason: What was found, in a line.
        file: Name of the file in the trial's folder; empty where it is about the whole trial, or about none.
    """

    kind: FindingKind
    trial_id: str
    reason: str
    file: str = ""

    def describe(self) -> str:
        """Describe it in one line that can be printed."""
        return escape_controls(" ".join(f"{self.kind}: {self.reason}".split()))


@dataclasses.dataclass(frozen=True, kw_only=True)
class StoreCheck:
    """The state of a store.

    Attributes:
        num_trials: Trials with a folder of their own.
        num_files: Files that were compared with their record.
        unchecked: Ids of trials that an earlier version stored, without checksums.
        findings: What is wrong.
    """

    num_trials: int
    num_files: int
    unchecked: tuple[str, ...]
    findings: tuple[StoreFinding, ...]

    @property
    def is_sound(self) -> bool:
        """Tell whether nothing was found."""
        return not self.findings

    def describe(self) -> list[str]:
        """Describe it in lines: a summary, then every finding."""
        of_kind = {kind: sum(finding.kind == kind for finding in self.findings) for kind in _KINDS}
        counts = ", ".join(f"{num} {kind}" for kind, num in of_kind.items() if num) or "nothing wrong"
        unchecked = f", {len(self.unchecked)} stored without checksums: unchecked" if self.unchecked else ""
        head = f"{self.num_trials} trials, {self.num_files} files compared by SHA-256{unchecked}: {counts}"
        return [head, *(finding.describe() for finding in self.findings)]


def find_damaged_trials(root: str | os.PathLike[str]) -> list[str]:
    """List the trials that have lost views or parameters: what `run` cannot make again without training."""
    arrays = {f"{name}.safetensors" for name in trial_folder.ARRAYS}
    findings = check_store(root).findings
    return list(dict.fromkeys(each.trial_id for each in findings if each.kind == "damaged" and each.file in arrays))


_KINDS: tuple[FindingKind, ...] = ("damaged", "mistaken", "doubtful")


def check_store(root: str | os.PathLike[str], judge: Callable[[Record], str] = lambda record: "") -> StoreCheck:
    """Check all that lies in a store, which need not exist; nothing is changed or moved.

    Args:
        root: The folder.
        judge: Says why a record may not be what it is named after, empty where nothing speaks against it, such as
            `bench.training.adoption.is_doubtful`.

    Raises:
        UsageError: The folder cannot be read.
        MachineFault: The disk or the system fails.
    """
    place = pathlib.Path(root)
    try:
        names = sorted(os.listdir(place)) if os.path.lexists(place) else []
    except OSError as error:
        raise UsageError(f"{place}: expected a folder of results, got {error.strerror!r}; name another") from error
    findings: list[StoreFinding] = []
    trials: list[_CheckedTrial] = []
    for name in names:
        if name.endswith(FILE_ENDS):
            findings += _check_archive(place / name)
        elif trial_folder.is_trial_name(name) and os.path.isdir(place / name):
            trials.append(_check_trial(place / name, judge))
            findings += trials[-1].findings
        elif not _is_known_name(name):
            findings.append(StoreFinding("doubtful", name, f"{name}: expected trials, got something else; remove it"))
    findings += _compare_contents(place, trials)
    findings += _check_status(place)
    records = [trial.record for trial in trials if trial.record is not None]
    old = [record.trial_id for record in records if not record.files and record.status == "finished"]
    for training, why in CheckpointFolder.open(place).refused.items():
        findings.append(StoreFinding("damaged", training, why))
    return StoreCheck(
        num_trials=len(trials),
        num_files=sum(len(record.files) for record in records),
        unchecked=tuple(old),
        findings=tuple(findings),
    )


def _check_status(place: pathlib.Path) -> list[StoreFinding]:
    """Find a status that does not parse: nothing is lost with it."""
    try:
        run_status.read_status(place)
    except MachineFault:
        raise
    except ValueError as error:
        return [StoreFinding("doubtful", run_status.STATUS, f"{error}; the next run writes it anew")]
    return []


class _CheckedTrial(NamedTuple):
    """A trial whose record is read, and whose files are listed but not hashed yet."""

    findings: list[StoreFinding]
    record: Record | None
    there: list[str]


def _is_known_name(name: str) -> bool:
    """Tell whether something of that name belongs into a store besides trials and archives."""
    known = ("status.json", "manifest.json", ".lock", ".driver.json", ".checkpoints", "README.md")
    return name in known or name.startswith((".tmp-", "failed-")) or ".unreadable-" in name


def _check_trial(folder: pathlib.Path, judge: Callable[[Record], str]) -> _CheckedTrial:
    name = folder.name
    try:
        record = trial_folder.read_record(folder)
    except MachineFault:
        raise
    except FileNotFoundError:
        lost = StoreFinding("damaged", name, f"{name}: expected a {trial_folder.RECORD}, got none")
        return _CheckedTrial([lost], None, [])
    except (UsageError, ValueError) as error:
        kind: FindingKind = "mistaken" if isinstance(error, checksums.MistakenRecord) else "damaged"
        return _CheckedTrial([StoreFinding(kind, name, str(error))], None, [])
    findings = []
    doubt = judge(record)
    if doubt:
        findings.append(StoreFinding("doubtful", name, f"{name}: {doubt}"))
    there = _files_of(folder)
    if checksums.is_checked(record):
        findings += _compare_names(folder, record, there)
    else:
        findings += _read_files(folder, record)
    if record.status == "finished" and not any(file.startswith("scores/") for file in (*there, *record.files)):
        findings.append(StoreFinding("doubtful", name, f"{name}: expected scores, got none; run the suite again"))
    return _CheckedTrial(findings, record, there)


def _files_of(folder: pathlib.Path) -> list[str]:
    """List what lies in a trial's folder besides its record, by name; folders are followed, links are not."""
    found = []
    for at, folders, names in os.walk(folder):
        links = [name for name in folders if os.path.islink(os.path.join(at, name))]
        found += [pathlib.Path(at, name).relative_to(folder).as_posix() for name in [*names, *links]]
    return sorted(name for name in found if name != trial_folder.RECORD)


def _compare_names(folder: pathlib.Path, record: Record, there: list[str]) -> Iterator[StoreFinding]:
    """Compare the names of a trial's files with its record."""
    for name in sorted({*there, *record.files}):
        kind: FindingKind = "damaged"
        if name not in record.files:
            kind = "doubtful"
            what = "expected a file that its record names, got a stray one; remove it"
        elif name not in there:
            what = "expected the file that its record names, got none"
        elif not stat.S_ISREG(mode := (folder / name).lstat().st_mode):
            what = f"expected a plain file, got {describe_kind(mode)}"
        else:
            continue
        yield StoreFinding(kind, folder.name, f"{folder.name}/{name}: {what}", name)


def _compare_contents(place: pathlib.Path, trials: Iterable[_CheckedTrial]) -> list[StoreFinding]:
    """Compare the content of all files that have a checksum: all at once, as the memory of hashes is written once."""
    known = []
    for trial in trials:
        if trial.record is not None:
            names = [name for name in trial.there if name in trial.record.files]
            known += [(trial.record, name, place / trial.record.trial_id / name) for name in names]
    plain = [entry for entry in known if stat.S_ISREG(entry[2].lstat().st_mode)]
    findings = []
    for (record, name, _), found in zip(plain, _hash_files([path for *_, path in plain]), strict=True):
        try:
            checksums.check_hash(record, name, found, f"{record.trial_id}/{name}")
        except DamagedFile as error:
            findings.append(StoreFinding("damaged", record.trial_id, str(error), name))
    return findings


def _hash_files(paths: list[pathlib.Path]) -> list[str]:
    """Hash files; one that cannot be read has an empty hash."""
    try:
        return sha256_of_all(paths)
    except OSError as error:
        if error.errno in MACHINE_ERRORS:
            raise machine_fault(error) from error
        if len(paths) < 2:
            return [""] * len(paths)
    half = len(paths) // 2
    return _hash_files(paths[:half]) + _hash_files(paths[half:])


def _read_files(folder: pathlib.Path, record: Record) -> Iterator[StoreFinding]:
    """Read what an earlier version stored, which has no checksums: only what does not parse is found."""
    for name in trial_folder.score_names(folder, record):
        try:
            trial_folder.read_trial_scores(folder, name, record)
        except MachineFault:
            raise
        except ValueError as error:
            yield StoreFinding("damaged", folder.name, str(error), name)
    for name in trial_folder.ARRAYS:
        file = f"{name}.safetensors"
        if os.path.lexists(folder / file) and not trial_folder.has_arrays(folder, name):
            what = f"{folder.name}/{file}: expected arrays, got a file that is cut or none"
            yield StoreFinding("damaged", folder.name, what, file)


def _check_archive(path: pathlib.Path) -> list[StoreFinding]:
    findings = []
    try:
        for trial_id, contents in archived_trials.read_trials_file(path).items():
            record = archived_trials.parse_archived_record(contents, f"{path.name}, {trial_id}", trial_id)
            lines: list[str] = []
            archived_trials.parse_archived_scores(contents, record, f"{path.name}, {trial_id}", lines.append)
            findings += [StoreFinding("damaged", trial_id, line) for line in lines]
    except MachineFault:
        raise
    except (UsageError, OSError) as error:
        findings.append(StoreFinding("damaged", path.name, str(error)))
    return findings
