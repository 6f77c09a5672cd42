"""Finds the files that hold the tensors of a checkpoint: a single file, or the shards that an index names.

An index is `model.safetensors.index.json`. Its `weight_map` gives for each tensor the file beside it that holds it.
"""

from __future__ import annotations

import pathlib
import re

from bench.errors import UsageError
from models.clip.checkpoints import settings

INDEX_FILE = "model.safetensors.index.json"

_SHARD = re.compile(r"[^/\\:\x00-\x1f]+\.safetensors")


def is_index(path: pathlib.Path) -> bool:
    """Whether a file is an index of shards, by its name."""
    return path.name.endswith(".index.json")


def weight_map(index: pathlib.Path, where: str) -> dict[str, str]:
    """Return the name of the shard of each tensor.

    Args:
        index: The index.
        where: Who reads it, for messages.

    Raises:
        UsageError: It is no index, or names something other than a file beside it.
    """
    part = settings.read_settings(index, where)
    if not part.part("weight_map").values:
        part.refuse("weight_map", "with the shard of every tensor", "get it again")
    shards = part.part("weight_map")
    for tensor, shard in shards.values.items():
        # A path could lead out of the folder: to a file that nobody named.
        if not isinstance(shard, str) or not _SHARD.fullmatch(shard) or shard.startswith("."):
            shards.refuse(tensor, "to be the name of a .safetensors file beside it, without folders", "get it again")
    return dict(shards.values)


def shard_names(index: pathlib.Path, where: str) -> list[str]:
    """Return the names of all shards in order.

    Raises:
        UsageError: As `weight_map`.
    """
    return sorted(set(weight_map(index, where).values()))


def files(path: pathlib.Path, where: str) -> list[pathlib.Path]:
    """Return the files that hold tensors: the file itself, or all shards of an index.

    Args:
        path: A file of tensors, or an index.
        where: Who reads them, for messages.

    Raises:
        UsageError: A shard is missing, or the index is none.
    """
    if not is_index(path):
        return [path]
    found = [path.parent / name for name in shard_names(path, where)]
    missing = [shard.name for shard in found if not shard.is_file()]
    if missing:
        raise UsageError(
            f"{where}: expected {len(found)} shards beside {path}, got no {missing[0]}"
            f"{f' and {len(missing) - 1} others' if missing[1:] else ''}; get the missing files of the same repository"
        )
    return found
