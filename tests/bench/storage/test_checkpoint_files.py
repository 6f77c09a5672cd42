"""Checkpoints on disk: whole or not there, checked before they are used, and named where they cannot be."""

import dataclasses
import json
import os
import random

import numpy as np
import pytest

from bench.storage import checkpoint_files
from bench.storage.checkpoint_files import (
    CheckpointFolder,
    CheckpointHead,
    TrainingCheckpoint,
    checkpoint_to_bytes,
    parse_checkpoint,
)

NAME = "kettle__3v__s0__3f9c1a2b"


def some_checkpoint(**changes):
    head = CheckpointHead(
        version=checkpoint_files.CHECKPOINT_VERSION, name=NAME, identity="a" * 64, step=40,
        trials={f"nerf__{NAME}": 100}, counted_by=[], resumed_at=[20], seconds={"train_s": 1.5}, seconds_shared={},
        memory=None,
    )  # fmt: skip
    arrays = {
        "state/step": np.asarray(7, np.int32),
        "state/key": np.asarray([1, 2], np.uint32),
        "state/alive": np.asarray(True),
        "curves/000/loss": np.asarray([0.5, np.nan]),
        "strip_steps": np.zeros(0, np.int64),
        "strip": np.arange(12, dtype=np.float16).reshape(1, 2, 2, 3),
    }
    return TrainingCheckpoint(dataclasses.replace(head, **changes), arrays)


def test_comes_back_as_it_was():
    made = some_checkpoint()
    head, arrays = parse_checkpoint(checkpoint_to_bytes(made), "here")
    assert head == made.head
    assert set(arrays) == set(made.arrays)
    for name, array in made.arrays.items():
        assert arrays[name].dtype == array.dtype and arrays[name].shape == array.shape
        np.testing.assert_array_equal(arrays[name], array)


def test_any_flipped_bit_is_seen():
    content = checkpoint_to_bytes(some_checkpoint())
    chance = random.Random(0)
    for _ in range(300):
        damaged = bytearray(content)
        damaged[chance.randrange(len(content))] ^= 1 << chance.randrange(8)
        with pytest.raises(ValueError, match="^here: expected ") as refusal:
            parse_checkpoint(bytes(damaged), "here")
        assert "\n" not in str(refusal.value)


@pytest.mark.parametrize("num_bytes", [0, 3, 8, 30, 400, -1])
def test_a_file_that_is_cut_is_refused(num_bytes):
    content = checkpoint_to_bytes(some_checkpoint())
    with pytest.raises(ValueError, match="^here: expected a checkpoint.*, got a damaged file"):
        parse_checkpoint(content[:num_bytes], "here")


def test_another_version_is_named():
    with pytest.raises(ValueError, match="here: expected a checkpoint of version 1, got 999"):
        parse_checkpoint(checkpoint_to_bytes(some_checkpoint(version=999)), "here")


def test_a_head_with_a_wrong_field_is_refused():
    content = checkpoint_to_bytes(some_checkpoint()).replace(b'\\"step\\": 40', b'\\"step\\": []')
    with pytest.raises(ValueError, match="here: expected the fields of CheckpointHead, .*step"):
        parse_checkpoint(content, "here")


class TestFolder:
    def test_a_folder_that_is_not_there_has_none(self, tmp_path):
        folder = CheckpointFolder.open(tmp_path / "none")
        assert (folder.heads, folder.refused) == ({}, {})
        assert not (tmp_path / "none").exists()

    def test_the_new_one_takes_the_place_of_the_old(self, tmp_path):
        folder = CheckpointFolder.open(tmp_path)
        for step in (40, 60):
            made = some_checkpoint(step=step)
            folder.write([(made.head, checkpoint_to_bytes(made))])
        assert [path.name for path in (tmp_path / ".checkpoints").iterdir()] == [f"{NAME}.safetensors"]
        again = CheckpointFolder.open(tmp_path)
        assert again.heads[NAME].step == folder.heads[NAME].step == 60
        assert parse_checkpoint(again.read(NAME), "here").head.step == 60
        again.remove(NAME)
        assert list(tmp_path.iterdir()) == []

    def test_a_write_that_fails_leaves_the_old_one(self, tmp_path, monkeypatch):
        folder = CheckpointFolder.open(tmp_path)
        made = some_checkpoint()
        folder.write([(made.head, checkpoint_to_bytes(made))])

        def full(*paths):
            raise OSError("disk full")

        monkeypatch.setattr(os, "replace", full)
        later = some_checkpoint(step=60)
        with pytest.raises(OSError, match="disk full"):
            folder.write([(later.head, checkpoint_to_bytes(later))])
        assert CheckpointFolder.open(tmp_path).heads[NAME].step == 40
        assert [path.name for path in tmp_path.iterdir()] == [".checkpoints"]

    def test_what_cannot_be_used_is_named_in_a_line_and_left(self, tmp_path):
        folder = tmp_path / ".checkpoints"
        folder.mkdir()
        good = checkpoint_to_bytes(some_checkpoint())
        (folder / f"{NAME}.safetensors").write_bytes(good)
        (folder / "renamed.safetensors").write_bytes(good)
        (folder / "empty.safetensors").touch()
        (folder / "text.safetensors").write_text("no checkpoint at all")
        (folder / "huge.safetensors").write_bytes((2**40).to_bytes(8, "little") + b"{}")
        (folder / "later.safetensors").write_bytes(checkpoint_to_bytes(some_checkpoint(version=2, name="later")))
        (folder / "a_folder.safetensors").mkdir()
        os.mkfifo(folder / "a_pipe.safetensors")
        header = json.dumps({"__metadata__": {"head": "[]", "sha256": ""}}).encode()
        (folder / "list.safetensors").write_bytes(len(header).to_bytes(8, "little") + header)
        found = CheckpointFolder.open(tmp_path)
        assert list(found.heads) == [NAME]
        assert set(found.refused) == {"renamed", "empty", "text", "huge", "later", "a_folder", "a_pipe", "list"}
        assert f"expected the checkpoint of renamed, got that of {NAME}" in found.refused["renamed"]
        assert "expected a checkpoint of version 1, got 2" in found.refused["later"]
        for name, line in found.refused.items():
            assert line.startswith(f".checkpoints/{name}.safetensors: expected ") and "\n" not in line
        assert len(list(folder.iterdir())) == 9
