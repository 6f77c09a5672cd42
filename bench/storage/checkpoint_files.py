"""Decides how training that is not finished lies on disk: a file each, `<root>/.checkpoints/<training>.safetensors`.

A training is what one row of a pack trains: a trial, or the part of it that several trials share. Its name is that of a
trial without the variant: `kettle__8v__s0__3f9c1a2b`. So it does not matter how packs are put together when it goes on.

A file holds arrays, and in its header a head as JSON with a SHA-256 of both. It appears by one rename in place of the
one before, and is removed when all trials that wait for it are stored. Only the driver writes.
"""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import json
import os
import pathlib
import stat
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from bench.storage import files, json_values
from tasks.data_dir.atomic_files import write_file

if TYPE_CHECKING:
    import numpy

CHECKPOINT_VERSION = 1
"""Of `CheckpointHead`, and of what the arrays mean."""

FOLDER = ".checkpoints"

CHECKPOINT_END = ".safetensors"

MAX_HEADER_BYTES = 2**24
"""Of a file's header: names and shapes of arrays, and the head."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class CheckpointHead:
    """All of a checkpoint but its arrays.

    Attributes:
        version: `CHECKPOINT_VERSION` of who wrote it.
        name: Of the training, and of the file.
        identity: Digest of all that makes the training this one.
        step: Gradient steps that it has taken.
        trials: The trials that wait for it, with the gradient steps of each.
        counted_by: Those of them that count its seconds.
        resumed_at: Steps at which it went on in another sitting.
        seconds: Of all sittings, by what was done.
        seconds_shared: Of these, what was another training's that this one continues.
        memory: Bytes of a device that a row took at most; None if it is not known.
    """

    version: int
    name: str
    identity: str
    step: int
    trials: dict[str, int]
    counted_by: list[str]
    resumed_at: list[int]
    seconds: dict[str, float]
    seconds_shared: dict[str, float]
    memory: float | None


class TrainingCheckpoint(NamedTuple):
    """A training that is not finished: its head, and its arrays by flat names."""

    head: CheckpointHead
    arrays: dict[str, numpy.ndarray]


def checkpoint_to_bytes(checkpoint: TrainingCheckpoint) -> bytes:
    """Return a checkpoint as the content of its file."""
    import safetensors.numpy

    text = json.dumps(dataclasses.asdict(checkpoint.head), allow_nan=False)
    checksum = _checksum(text, checkpoint.arrays)
    return safetensors.numpy.save(checkpoint.arrays, metadata={"head": text, "sha256": checksum})


def parse_checkpoint(content: bytes, where: str) -> TrainingCheckpoint:
    """Read what `checkpoint_to_bytes` wrote.

    Args:
        content: The file.
        where: Names it in messages.

    Raises:
        ValueError: It is damaged, or of another version; in one line.
    """
    import safetensors.numpy

    metadata = _metadata(content, where)
    head = _parse_head(metadata, where)
    try:
        arrays = safetensors.numpy.load(content)
    except Exception as error:  # of safetensors, of numpy and of Python, as it comes
        raise ValueError(f"{where}: expected a checkpoint, got a damaged file ({type(error).__name__})") from error
    if metadata.get("sha256") != _checksum(metadata["head"], arrays):
        raise ValueError(f"{where}: expected a checkpoint, got a damaged file (its SHA-256 is another)")
    return TrainingCheckpoint(head, arrays)


class CheckpointFolder:
    """The checkpoints of a store. `CheckpointFolder.open` reads the folder; the constructor touches no disk.

    Attributes:
        root: The store's folder.
        heads: What is there, by the training's name.
        refused: A line on each file that cannot be used, by the training's name.
    """

    def __init__(self, root: pathlib.Path) -> None:
        self.root = root
        self.heads: dict[str, CheckpointHead] = {}
        self.refused: dict[str, str] = {}

    @classmethod
    def open(cls, root: str | os.PathLike[str]) -> CheckpointFolder:
        """Read the heads of all checkpoints of a store, which need not exist yet; changes nothing."""
        folder = cls(pathlib.Path(root))
        with contextlib.suppress(FileNotFoundError, NotADirectoryError):
            for path in sorted((folder.root / FOLDER).glob(f"*{CHECKPOINT_END}")):
                try:
                    head = read_checkpoint_head(path, folder.where(path.stem))
                except FileNotFoundError:  # its trial is finished
                    continue
                except (ValueError, OSError) as error:
                    folder.refused[path.stem] = str(error)
                else:
                    folder.heads[path.stem] = head
        return folder

    def path(self, name: str) -> pathlib.Path:
        """Return the file of a training."""
        return self.root / FOLDER / f"{name}{CHECKPOINT_END}"

    def where(self, name: str) -> str:
        """Name a file in messages."""
        return f"{FOLDER}/{name}{CHECKPOINT_END}"

    def read(self, name: str) -> bytes:
        """Return the content of a file whose head was read; it is checked by `parse_checkpoint`.

        Raises:
            OSError: It is not there, or cannot be read.
        """
        return self.path(name).read_bytes()

    def write(self, checkpoints: Sequence[tuple[CheckpointHead, bytes]]) -> None:
        """Put the checkpoints of a pack in place of those before; they outlive a crash of the host.

        All are on the disk under other names before the first is renamed: who is killed leaves all of a step, or, in
        the instant of the renames, some; then their packs are put together differently.
        """
        (self.root / FOLDER).mkdir(parents=True, exist_ok=True)
        staged: list[tuple[pathlib.Path, CheckpointHead]] = []
        try:
            for head, content in checkpoints:
                staged.append((files.temporary_path(self.root), head))
                write_file(staged[-1][0], content, temporary=files.temporary_path(self.root))
            for path, head in staged:
                os.replace(path, self.path(head.name))
        except BaseException:
            for path, _ in staged:
                path.unlink(missing_ok=True)
            raise
        for _, head in staged:
            self.heads[head.name] = head
            self.refused.pop(head.name, None)

    def refuse(self, name: str, why: str) -> None:
        """Note that a file whose head could be read cannot be used."""
        self.heads.pop(name, None)
        self.refused[name] = why

    def remove(self, name: str) -> None:
        """Remove a checkpoint, and the folder with the last of them."""
        self.heads.pop(name, None)
        self.refused.pop(name, None)
        self.path(name).unlink(missing_ok=True)
        with contextlib.suppress(OSError):
            (self.root / FOLDER).rmdir()


def read_checkpoint_head(path: pathlib.Path, where: str) -> CheckpointHead:
    """Read a checkpoint's head without its arrays, which are not checked.

    Raises:
        ValueError: It is no checkpoint, a damaged one, or one of another version; in one line.
        OSError: It cannot be read.
    """
    if not stat.S_ISREG(path.stat().st_mode):
        raise ValueError(f"{where}: expected a checkpoint, got something that is no file")
    with path.open("rb") as file:
        start = file.read(8)
        size = int.from_bytes(start, "little")
        content = start + file.read(min(size, MAX_HEADER_BYTES))
    head = _parse_head(_metadata(content, where), where)
    if head.name != path.stem:
        raise ValueError(f"{where}: expected the checkpoint of {path.stem}, got that of {head.name}")
    return head


def _metadata(content: bytes, where: str) -> dict[str, str]:
    """Return the texts in the header of a file."""
    size = int.from_bytes(content[:8], "little")
    damaged = ValueError(f"{where}: expected a checkpoint, got a damaged file (no header)")
    if len(content) < 8 or not 0 < size <= min(len(content) - 8, MAX_HEADER_BYTES):
        raise damaged
    try:
        plain: Any = json_values.from_bytes(content[8 : 8 + size], where)
    except ValueError as error:
        raise damaged from error
    found = plain.get("__metadata__") if isinstance(plain, dict) else None
    if not isinstance(found, dict) or not all(isinstance(text, str) for text in found.values()) or "head" not in found:
        raise damaged
    return found


def _parse_head(metadata: Mapping[str, str], where: str) -> CheckpointHead:
    plain = json_values.from_bytes(metadata["head"].encode(), where)
    version = plain.get("version") if isinstance(plain, dict) else None
    if version != CHECKPOINT_VERSION:
        raise ValueError(f"{where}: expected a checkpoint of version {CHECKPOINT_VERSION}, got {version}")
    return json_values.convert(plain, CheckpointHead, where)


def _checksum(text: str, arrays: Mapping[str, numpy.ndarray]) -> str:
    """Hash a head, and arrays with their names, types and shapes."""
    import numpy

    digest = hashlib.sha256(text.encode())
    for name in sorted(arrays):
        array = arrays[name]
        digest.update(f"{name} {array.dtype} {array.shape}".encode())
        digest.update(numpy.ascontiguousarray(array).view(numpy.uint8).data if array.size else b"")
    return digest.hexdigest()
