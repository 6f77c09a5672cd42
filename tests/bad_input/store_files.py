"""Damaged scores, archives and other files in a store: named in a line, and never in the way of the trials."""

from __future__ import annotations

import json
import os
import pathlib

from tests.bad_input.bad_case import STORE, BadCase, setup
from tests.bad_input.records import DEEP, record_of, write_scores
from tests.bad_input.verbs import TRIAL


@setup
def scores_are_cut(place):
    path = record_of(place).parent / "scores" / "std-v1.json"
    path.write_bytes(path.read_bytes()[:40])


@setup
def scores_are_empty(place):
    write_scores(place, b"")


@setup
def scores_are_a_list(place):
    write_scores(place, b"[]")


@setup
def scores_with_nan(place):
    path = record_of(place).parent / "scores" / "std-v1.json"
    write_scores(place, path.read_bytes().replace(b"20.0", b"NaN"))


@setup
def scores_with_1e999(place):
    path = record_of(place).parent / "scores" / "std-v1.json"
    write_scores(place, path.read_bytes().replace(b"20.0", b"1e999"))


@setup
def scores_of_too_few_views(place):
    path = record_of(place).parent / "scores" / "std-v1.json"
    write_scores(place, path.read_bytes().replace(b"[20.0, 22.0]", b"[20.0]"))


@setup
def scores_are_words(place):
    path = record_of(place).parent / "scores" / "std-v1.json"
    write_scores(place, path.read_bytes().replace(b"20.0", b'"good"'))


@setup
def scores_are_deep(place):
    write_scores(place, DEEP)


@setup
def scores_are_a_folder(place):
    path = record_of(place).parent / "scores" / "std-v1.json"
    path.unlink()
    path.mkdir()


@setup
def scores_in_utf16(place):
    path = record_of(place).parent / "scores" / "std-v1.json"
    write_scores(place, path.read_text().encode("utf-16"))


def write_archive(place: pathlib.Path, content: bytes, name: str = "sparse-views-smoke.tar.xz") -> None:
    """Put a file of many trials into the store."""
    (place / STORE / name).write_bytes(content)


@setup
def archive_is_empty(place):
    write_archive(place, b"")


@setup
def archive_is_text(place):
    write_archive(place, b"no archive at all\n" * 100)


@setup
def archive_is_cut(place):
    from bench.storage import archive

    archive.write_archive(place / STORE / "a.tar.xz", {"x": {"record.json": os.urandom(20_000)}})
    path = place / STORE / "a.tar.xz"
    path.write_bytes(path.read_bytes()[:10_000])


@setup
def archive_has_no_record(place):
    from bench.storage import archive

    archive.write_archive(place / STORE / "a.tar.xz", {"nerf__x__8v__s0__00000001": {"scores/std-v1.json": b"{}"}})


@setup
def archive_climbs_out(place):
    import io
    import lzma
    import tarfile

    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as tar:
        entry = tarfile.TarInfo("../../evil/record.json")
        entry.size = 2
        tar.addfile(entry, io.BytesIO(b"{}"))
    write_archive(place, lzma.compress(packed.getvalue()))


@setup
def archive_claims_gigabytes(place):
    import lzma
    import tarfile

    entry = tarfile.TarInfo("nerf__x__8v__s0__00000001/record.json")
    entry.size = 2**40
    write_archive(place, lzma.compress(entry.tobuf(tarfile.GNU_FORMAT) + b"\0" * 1024))


@setup
def archive_is_a_folder(place):
    (place / STORE / "a.tar.xz").mkdir()


@setup
def numbers_are_empty(place):
    write_archive(place, b"", "a.parquet")


@setup
def numbers_are_text(place):
    write_archive(place, b"PAR1 is not all that it takes PAR1", "a.parquet")


@setup
def numbers_have_other_columns(place):
    import pyarrow
    import pyarrow.parquet

    pyarrow.parquet.write_table(pyarrow.table({"colour": ["red"]}), place / STORE / "a.parquet")


@setup
def a_manifest_that_is_no_json(place):
    numbers_have_other_columns(place)
    (place / STORE / "manifest.json").write_text("{")


@setup
def status_is_cut(place):
    (place / STORE / "status.json").write_text('{"pid": 1, "num_tri')


@setup
def status_is_empty(place):
    (place / STORE / "status.json").write_text("")


@setup
def status_is_a_list(place):
    (place / STORE / "status.json").write_text("[1]")


@setup
def status_with_words_for_numbers(place):
    told = {"pid": "one", "host": 3, "heartbeat": "now", "running": "all"}
    (place / STORE / "status.json").write_text(json.dumps(told))


@setup
def a_checkpoint_that_is_cut(place):
    folder = place / STORE / ".checkpoints"
    folder.mkdir()
    (folder / "0123456789abcdef.safetensors").write_bytes(b"\x10\0\0\0\0\0\0\0{")


@setup
def a_checkpoint_with_a_huge_header(place):
    folder = place / STORE / ".checkpoints"
    folder.mkdir()
    (folder / "0123456789abcdef.safetensors").write_bytes(b"\xff" * 8 + b"{}")


@setup
def old_results_without_records(place):
    (place / "old" / "nerf__x__8v__s0__00000001").mkdir(parents=True)


@setup
def old_results_with_a_broken_record(place):
    old_results_without_records(place)
    (place / "old" / "nerf__x__8v__s0__00000001" / "record.json").write_text("{")


@setup
def old_results_that_are_deep(place):
    old_results_without_records(place)
    (place / "old" / "nerf__x__8v__s0__00000001" / "record.json").write_bytes(DEEP)


SCORES = tuple(
    BadCase(f"show {TRIAL} --results runs", f"{TRIAL}/scores/std-v1.json", name, code=0, moves=f"{TRIAL}/scores/std-v1")
    for name in (
        "scores_are_cut",
        "scores_are_empty",
        "scores_are_a_list",
        "scores_with_nan",
        "scores_with_1e999",
        "scores_of_too_few_views",
        "scores_are_words",
        "scores_are_deep",
        "scores_are_a_folder",
        "scores_in_utf16",
    )
)

ARCHIVES = tuple(
    BadCase("ls --results runs", says, name, code=0)
    for name, says in {
        "archive_is_empty": "sparse-views-smoke.tar.xz: expected",
        "archive_is_text": "sparse-views-smoke.tar.xz: expected",
        "archive_is_cut": "a.tar.xz: expected",
        "archive_has_no_record": "a.tar.xz",
        "archive_climbs_out": "sparse-views-smoke.tar.xz",
        "archive_is_a_folder": "a.tar.xz: expected a plain file, got a folder",
        "numbers_are_empty": "a.parquet: expected a table of numbers",
        "numbers_are_text": "a.parquet: expected a table of numbers",
        "numbers_have_other_columns": "a.parquet: expected a table of numbers",
        "a_manifest_that_is_no_json": "manifest.json: expected the hashes",
    }.items()
)

BESIDE = (
    BadCase("status --results runs", "left out: runs/status.json: expected", "status_is_cut", code=0),
    BadCase("status --results runs", "left out: runs/status.json: expected", "status_is_a_list", code=0),
    BadCase("status --results runs", "left out: runs/status.json: expected", "status_with_words_for_numbers", code=0),
    BadCase("status --json --results runs", "runs/status.json: expected", "status_is_empty", code=0),
    BadCase("status --results runs", "1 finished, 1 failed", "a_checkpoint_that_is_cut", code=0),
    BadCase("status --results runs", "1 finished, 1 failed", "a_checkpoint_with_a_huge_header", code=0),
    BadCase("adopt old --results runs", "old", "old_results_without_records"),
    BadCase("adopt old --results runs", "old", "old_results_with_a_broken_record"),
    BadCase("adopt old --results runs", "old", "old_results_that_are_deep"),
    BadCase("ls --results runs", "sparse-views-smoke.tar.xz: expected", "archive_claims_gigabytes", code=0),
)

TABLE = (*SCORES, *ARCHIVES, *BESIDE)
