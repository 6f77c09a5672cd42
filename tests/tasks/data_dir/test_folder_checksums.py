"""A cached folder is known by the checksums of its files."""

import os

import pytest

from tasks.data_dir.folder_checksums import CHECKSUMS, find_folder_damage, write_checksums


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """Two files with their checksums."""
    monkeypatch.setenv("BENCH_DATA_DIR", str(tmp_path / "cache"))
    made = tmp_path / "views"
    made.mkdir()
    (made / "a").write_bytes(b"abc")
    (made / "b").write_bytes(b"")
    write_checksums(made)
    return made


def test_whole_and_unknown_folders(folder):
    assert find_folder_damage(folder) == ""
    (folder / "c").write_text("of another's")
    (folder / "d").mkdir()
    assert find_folder_damage(folder) == ""
    (folder / CHECKSUMS).unlink()
    (folder / "a").write_bytes(b"abd")
    assert find_folder_damage(folder) == "", "an earlier version kept none"


@pytest.mark.parametrize(
    ("harm", "told"),
    [
        (lambda folder: (folder / "a").write_bytes(b"abd"), "a is damaged"),
        (lambda folder: (folder / "a").write_bytes(b"ab"), "a is damaged"),
        (lambda folder: [(folder / name).write_bytes(b"abd") for name in "ab"], "a, b are damaged"),
        (lambda folder: (folder / "b").unlink(), "b is gone"),
        (lambda folder: ((folder / "b").unlink(), os.mkfifo(folder / "b")), "b is gone"),
        (lambda folder: (folder / CHECKSUMS).write_text("{"), "sha256.json is damaged"),
        (lambda folder: (folder / CHECKSUMS).write_text("[]"), "sha256.json is damaged"),
        (lambda folder: ((folder / CHECKSUMS).unlink(), os.mkfifo(folder / CHECKSUMS)), "sha256.json is damaged"),
    ],
)
def test_what_is_not_as_it_was_written(folder, harm, told):
    harm(folder)
    assert find_folder_damage(folder) == told
