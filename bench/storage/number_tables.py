"""Decides how the numbers of a study are kept beside the code: records and scores in one Parquet file, without curves.

    results/reference/manifest.json          SHA-256, bytes and trials of each file
    results/reference/<suite>-<budget>.parquet   a row for each trial, protocol and metric

`pandas.read_parquet` reads a file as it is: `values` are by view, in the order of `view_ids`, and `mean` is over them. A
trial without scores has one row, with its reason. The columns `record` and `scores` hold the rest as JSON, so that a
store reads the file as it reads folders of trials.
"""

from __future__ import annotations

import hashlib
import json
import pathlib
from collections.abc import Iterator, Mapping
from typing import Any

from bench.errors import UsageError
from bench.storage import json_values
from bench.storage.record import Record
from tasks.data_dir.atomic_files import write_file

END = ".parquet"

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


def read_numbers(path: pathlib.Path) -> dict[str, dict[str, bytes]]:
    """Return the files of each trial as its folder would hold them: `record.json` and `scores/<protocol>.json`.

    Raises:
        UsageError: The file is damaged, is no such table, or is not the one that the manifest names.
    """
    import pyarrow
    import pyarrow.parquet

    content = path.read_bytes()
    _check_manifest(path, content)
    try:
        table = pyarrow.parquet.read_table(pyarrow.BufferReader(content))
        columns = {name: table.column(name).to_pylist() for name in (*TEXT_COLUMNS, "values")}
    except (pyarrow.ArrowException, KeyError) as error:
        reason = str(error).splitlines()[0]
        raise UsageError(f"{path}: expected a table of numbers, got {reason}; bring it again") from error
    found: dict[str, dict[str, bytes]] = {}
    open_scores: dict[tuple[str, str], dict[str, Any]] = {}
    for i, trial_id in enumerate(columns["trial_id"]):
        files = found.setdefault(trial_id, {"record.json": columns["record"][i].encode()})
        protocol = columns["protocol"][i]
        if protocol is None:
            continue
        scores = open_scores.setdefault((trial_id, protocol), json.loads(columns["scores"][i]) | {"per_view": {}})
        scores["per_view"][columns["metric"][i]] = columns["values"][i]
        files.setdefault(f"scores/{protocol}.json", b"")
    for (trial_id, protocol), scores in open_scores.items():
        found[trial_id][f"scores/{protocol}.json"] = json_values.to_bytes(scores, f"{path}, {trial_id}, {protocol}")
    return found


def _rows(record: Record, scores: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield the rows of one trial."""
    plain = record.to_json() | {"curves": {}}
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
    entries = json.loads(manifest.read_bytes()) if manifest.is_file() else {}
    entries[path.name] = {"sha256": _sha256(content), "bytes": len(content), "trials": num_trials}
    write_file(manifest, (json.dumps(dict(sorted(entries.items())), indent=1) + "\n").encode())


def _check_manifest(path: pathlib.Path, content: bytes) -> None:
    """Refuse a file that is not the one in the manifest; a file that no manifest names is read as it is."""
    manifest = path.with_name(MANIFEST)
    try:
        entry = json.loads(manifest.read_bytes()).get(path.name)
    except FileNotFoundError:
        return
    except (ValueError, AttributeError) as error:
        raise UsageError(
            f"{manifest}: expected the hashes of the files beside it, got no JSON; bring it again"
        ) from error
    if entry is not None and entry.get("sha256") != _sha256(content):
        raise UsageError(f"{path}: expected the SHA-256 that {MANIFEST} names, got another; bring both again")


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
