"""Decides how the numbers of a study are kept beside the code: records and scores in one Parquet file, without curves.

    results/reference/manifest.json          SHA-256, bytes and trials of each file, stamp of the doctor
    results/reference/<suite>-<budget>.parquet   a row for each trial, protocol and metric

`pandas.read_parquet` reads a file as it is: `values` are by view, in the order of `view_ids`, and `mean` is over them.
A trial without scores has one row, with its reason. The columns `record` and `scores` hold the rest as JSON, so that a
store reads the file as it reads folders of trials.
"""

from __future__ import annotations

import hashlib
import json
import pathlib
from collections.abc import Iterator, Mapping
from typing import Any

from bench.errors import DamagedFile
from bench.storage import doctor_stamp, json_values
from bench.storage.record import Record
from bench.storage.stored_scores import check_scores
from tasks.data_dir.atomic_files import write_file
from tasks.data_dir.guarded_files import MIB, read_plain_file

END = ".parquet"

MAX_BYTES = 1024 * MIB
"""Largest file that is read; 10,000 trials of a suite take about 10 MiB."""

MANIFEST = "manifest.json"

TEXT_COLUMNS = (
    "trial_id",
    "variant",
    "task",
    "cluster",
    "budget",
    "status",
    "reason",
    "protocol",
    "metric",
    "record",
    "scores",
)
"""Columns of words; each repeats itself over many rows, and is stored as a dictionary."""


READ_COLUMNS = ("trial_id", "protocol", "metric", "record", "scores")
"""Columns of words that hold all that a store knows; the others repeat it for other readers."""


def write_numbers(path: pathlib.Path, trials: Mapping[str, tuple[Record, Mapping[str, Any]]]) -> None:
    """Write the numbers of trials into one file, and name it in the manifest beside it.

    Args:
        path: The file; replaced if it is there.
        trials: By id, the record and the scores by protocol.
    """
    import pyarrow
    import pyarrow.parquet

    rows = [row for trial_id in sorted(trials) for row in _rows(*trials[trial_id])]
    text = pyarrow.dictionary(pyarrow.int32(), pyarrow.string())
    numbers = [
        ("seed", pyarrow.int64()),
        ("view_ids", pyarrow.list_(pyarrow.int32())),
        ("values", pyarrow.list_(pyarrow.float64())),
        ("mean", pyarrow.float64()),
    ]
    schema = pyarrow.schema([*((name, text) for name in TEXT_COLUMNS), *numbers])
    table = pyarrow.Table.from_pylist(rows, schema=schema)
    buffer = pyarrow.BufferOutputStream()
    pyarrow.parquet.write_table(table, buffer, compression="zstd", compression_level=19, use_dictionary=True)
    content = buffer.getvalue().to_pybytes()
    write_file(path, content)
    _name_in_manifest(path, content, len(trials))


def read_numbers(path: pathlib.Path) -> dict[str, NumberFiles]:
    """Return the files of each trial as its folder would hold them: `record.json` and `scores/<protocol>.json`.

    Raises:
        DamagedFile: The file is damaged, is no such table, or is not the one that the manifest names.
    """
    import pyarrow
    import pyarrow.parquet

    content = read_plain_file(path, MAX_BYTES)
    _check_manifest(path, content)
    names = [*READ_COLUMNS, "values"]
    try:
        table = pyarrow.parquet.read_table(pyarrow.BufferReader(content), columns=names)
        columns = {name: table.column(name).combine_chunks() for name in names}
        numbers = NumberTable(columns, str(path))
    except DamagedFile:
        raise
    except Exception as error:  # of Arrow, of NumPy and of Python, as it comes
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise DamagedFile(f"{path}: expected a table of numbers, got {reason}; bring it again") from error
    return {trial_id: NumberFiles(numbers, trial_id) for trial_id in numbers.rows_by_trial}


class NumberTable:
    """The columns of one file. Its rows become Python objects where they are asked for: all of them take 600 MB.

    Attributes:
        rows_by_trial: Numbers of each trial's rows, in the order of the file.
    """

    def __init__(self, columns: Mapping[str, Any], where: str) -> None:
        import numpy

        self._where = where
        self._words = {name: _split_words(columns[name]) for name in READ_COLUMNS}
        values = columns["values"]
        self._offsets = values.offsets.to_numpy()
        self._values = values.values.to_numpy(zero_copy_only=False)
        self._is_missing = values.values.is_null().to_numpy(zero_copy_only=False)
        if not numpy.isfinite(self._values[~self._is_missing]).all():
            raise DamagedFile(f"{where}: expected numbers that are finite, got others; bring the file again")
        trial_of_row, trial_ids = self._words["trial_id"]
        order = numpy.argsort(trial_of_row, kind="stable")
        places, starts = numpy.unique(trial_of_row[order], return_index=True)
        rows = numpy.split(order, starts[1:])
        self.rows_by_trial = {trial_ids[place]: mine.tolist() for place, mine in zip(places, rows, strict=True)}

    def word(self, row: int, column: str) -> str | None:
        """Return a word; None where there is none."""
        places, words = self._words[column]
        place = places[row]
        return None if place < 0 else words[place]

    def values(self, row: int) -> list[float | None]:
        """Return the values of a row by view; None where one is missing."""
        span = slice(self._offsets[row], self._offsets[row + 1])
        found = self._values[span].tolist()
        if not self._is_missing[span].any():
            return found
        return [None if is_missing else x for x, is_missing in zip(found, self._is_missing[span], strict=True)]

    def record(self, trial_id: str) -> bytes:
        """Return the record of a trial."""
        return (self.word(self.rows_by_trial[trial_id][0], "record") or "").encode()

    def protocols(self, trial_id: str) -> dict[str, list[int]]:
        """Return the rows of a trial by protocol; rows without scores are left out."""
        found: dict[str, list[int]] = {}
        for row in self.rows_by_trial[trial_id]:
            protocol = self.word(row, "protocol")
            if protocol is not None:
                found.setdefault(protocol, []).append(row)
        return found

    def scores(self, trial_id: str, protocol: str) -> dict[str, Any]:
        """Return the scores of a trial under a protocol.

        Raises:
            DamagedFile: The file does not hold scores there.
        """
        rows = self.protocols(trial_id)[protocol]
        where = f"{self._where}, {trial_id}, {protocol}"
        try:
            rest = json_values.from_bytes((self.word(rows[-1], "scores") or "").encode(), where)
            scores = rest | {"per_view": {self.word(row, "metric"): self.values(row) for row in rows}}
            return check_scores(scores, where)
        except (ValueError, TypeError) as error:
            raise DamagedFile(f"{where}: expected scores, got others ({error}); bring the file again") from error


class NumberFiles(Mapping[str, bytes]):
    """The files of one trial in a table of numbers, written when one is read."""

    def __init__(self, table: NumberTable, trial_id: str) -> None:
        self._table = table
        self._trial_id = trial_id

    def __getitem__(self, name: str) -> bytes:
        if name == "record.json":
            return self._table.record(self._trial_id)
        for protocol in self._table.protocols(self._trial_id):
            if name == f"scores/{protocol}.json":
                return json_values.to_bytes(self._table.scores(self._trial_id, protocol), name)
        raise KeyError(name)

    def __iter__(self) -> Iterator[str]:
        protocols = self._table.protocols(self._trial_id)
        return iter(["record.json", *(f"scores/{protocol}.json" for protocol in protocols)])

    def __len__(self) -> int:
        return 1 + len(self._table.protocols(self._trial_id))

    def scores(self) -> dict[str, dict[str, Any]]:
        """Return the scores by protocol, without writing them as a file first."""
        protocols = self._table.protocols(self._trial_id)
        return {protocol: self._table.scores(self._trial_id, protocol) for protocol in protocols}

    def values_of(self, metric: str) -> dict[str, list[float | None]]:
        """Return the values of one metric by protocol; an empty list where a protocol lacks it."""
        found: dict[str, list[float | None]] = {}
        for protocol, rows in self._table.protocols(self._trial_id).items():
            mine = [row for row in rows if self._table.word(row, "metric") == metric]
            found[protocol] = self._table.values(mine[-1]) if mine else []
        return found


def _split_words(column: Any) -> tuple[Any, list[str]]:
    """Return the place of each row's word in a list of words, -1 where there is none, and the list."""
    import pyarrow

    if not pyarrow.types.is_dictionary(column.type):
        column = column.dictionary_encode()
    return column.indices.fill_null(-1).to_numpy(zero_copy_only=False), column.dictionary.to_pylist()


def _rows(record: Record, scores: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield the rows of one trial."""
    plain = record.to_json() | {"curves": {}}
    del plain["files"]  # of the folder that it came from: the manifest has the checksum of this file
    shared = {
        "trial_id": record.trial_id,
        "variant": record.variant,
        "task": record.task,
        "cluster": record.cluster,
        "seed": record.seed,
        "budget": record.budget,
        "status": record.status,
        "reason": record.reason,
        "record": json.dumps(plain, allow_nan=False, separators=(",", ":")),
    }
    if not scores:
        yield shared
    for protocol, stored in scores.items():
        rest = {name: value for name, value in stored.items() if name != "per_view"}
        for metric, values in stored["per_view"].items():
            known = [value for value in values if value is not None]
            yield shared | {
                "protocol": protocol,
                "metric": metric,
                "scores": json.dumps(rest, allow_nan=False, separators=(",", ":")),
                "view_ids": stored["view_ids"],
                "values": values,
                "mean": sum(known) / len(known) if known else None,
                "reason": stored["reasons"].get(metric),
            }


def _name_in_manifest(path: pathlib.Path, content: bytes, num_trials: int) -> None:
    """Put the file's hash into the manifest of its folder."""
    manifest = path.with_name(MANIFEST)
    entries = _read_manifest(manifest)
    told = {"sha256": _sha256(content), "bytes": len(content), "trials": num_trials}
    entries[path.name] = told | {"doctor": doctor_stamp.describe_stamp()}
    write_file(manifest, (json.dumps(dict(sorted(entries.items())), indent=1) + "\n").encode())


def _check_manifest(path: pathlib.Path, content: bytes) -> None:
    """Refuse a file that is not the one in the manifest; a file that no manifest names is read as it is."""
    manifest = path.with_name(MANIFEST)
    entry = _read_manifest(manifest).get(path.name)
    if entry is not None and entry.get("sha256") != _sha256(content):
        raise DamagedFile(f"{path}: expected the SHA-256 that {MANIFEST} names, got another; bring both again")


def _read_manifest(manifest: pathlib.Path) -> dict[str, dict[str, Any]]:
    """Return the entries of a manifest by file; none where there is no manifest."""
    try:
        found = json_values.parse_user_json(read_plain_file(manifest), str(manifest))
        if not isinstance(found, dict) or not all(isinstance(entry, dict) for entry in found.values()):
            raise ValueError("no entry a file")
        return found
    except FileNotFoundError:
        return {}
    except ValueError as error:
        raise DamagedFile(
            f"{manifest}: expected the hashes of the files beside it, got no JSON; bring it again"
        ) from error


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
