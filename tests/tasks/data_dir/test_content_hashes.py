"""Hashes of files: right after every edit, remembered otherwise, and of no harm where they are damaged."""

import hashlib
import os
import time

import pytest

from tasks.data_dir import content_hashes

HOUR_NS = 3_600_000_000_000


@pytest.fixture
def file(tmp_path, monkeypatch):
    """A file that was written an hour ago."""
    monkeypatch.setenv("BENCH_DATA_DIR", str(tmp_path / "cache"))
    content_hashes._remembered.cache_clear()
    path = tmp_path / "photo.png"
    write(path, b"one")
    yield path
    content_hashes._remembered.cache_clear()


def write(path, content, age_ns=HOUR_NS):
    path.write_bytes(content)
    then = time.time_ns() - age_ns
    os.utime(path, ns=(then, then))


def told(path):
    """As another process would tell it."""
    content_hashes._remembered.cache_clear()
    return content_hashes.sha256_of(path)


def true(path):
    return hashlib.sha256(path.read_bytes()).hexdigest()


@pytest.fixture
def reads(monkeypatch):
    """Which files are read."""
    found = []
    real = hashlib.file_digest
    monkeypatch.setattr(hashlib, "file_digest", lambda file, name: found.append(file.name) or real(file, name))
    return found


def test_a_second_start_reads_nothing(file, reads):
    assert told(file) == told(file) == true(file)
    assert len(reads) == 1


@pytest.mark.parametrize("content", [b"two", b"longer"])
def test_an_edit_in_place_is_seen(file, content):
    before = told(file)
    write(file, content, HOUR_NS // 2)
    assert told(file) == true(file) != before


def test_another_file_moved_to_its_place_is_seen_with_the_same_time_and_size(file):
    told(file)
    stat = file.stat()
    other = file.with_name("other.png")
    write(other, b"two")
    os.utime(other, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    other.replace(file)
    assert told(file) == true(file)


def test_what_changed_a_moment_ago_is_read_again(file, reads):
    write(file, b"new", age_ns=0)
    stat = file.stat()
    assert told(file) == true(file)
    file.write_bytes(b"wen")
    os.utime(file, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    assert told(file) == true(file)


def test_an_edit_whose_time_and_size_were_put_back_is_seen(file):
    told(file)
    stat = file.stat()
    file.write_bytes(bytes(reversed(file.read_bytes())))
    os.utime(file, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    assert told(file) == true(file)


@pytest.mark.parametrize(
    "damage",
    ["", "{", "[]", "null", '{"a": 1}', '{"PATH": [1, 2, 3, "x"]}', '{"PATH": [3, 0, 0, null]}', "\x00\x00"],
)
def test_a_damaged_memory_is_forgotten(file, damage):
    told(file)
    content_hashes.place().write_text(damage.replace("PATH", str(file)))
    assert told(file) == true(file)
    assert told(file) == true(file)


def test_a_folder_that_cannot_be_written_is_no_error(file, tmp_path, monkeypatch):
    (tmp_path / "in the way").write_text("")
    monkeypatch.setenv("BENCH_DATA_DIR", str(tmp_path / "in the way" / "cache"))
    assert told(file) == true(file)


def test_all_are_told_in_order(file):
    other = file.with_name("other.png")
    write(other, b"two")
    content_hashes._remembered.cache_clear()
    assert content_hashes.sha256_of_all([file, other, file]) == [true(file), true(other), true(file)]
    with pytest.raises(OSError, match="gone"):
        content_hashes.sha256_of(file.with_name("gone.png"))
