"""How a published file is had, and known to be the one it should be.

A file is named by repository, name and commit. It comes from the hub's cache, or over the network, and is summed
before it is used.
"""

from __future__ import annotations

import dataclasses
import hashlib
import pathlib
import re
from typing import Any

from bench.errors import UsageError


@dataclasses.dataclass(frozen=True, kw_only=True)
class HubFile:
    """A file in a repository of the Hugging Face hub.

    Attributes:
        repository: owner/name.
        file: Its name in it.
        revision: A commit; a branch would move.
        sha256: Of the file; None where only the hub's own record of it is known.
        num_bytes: Of the file, if known.
    """

    repository: str
    file: str
    revision: str
    sha256: str | None = None
    num_bytes: int | None = None

    def __post_init__(self) -> None:
        if not re.fullmatch(r"[0-9a-f]{40}", self.revision):
            raise UsageError(
                f"hf:{self.repository}: expected a pinned revision of 40 hexadecimal digits, got {self.revision!r}; "
                f"write hf:{self.repository}@COMMIT, as the repository's list of commits has it"
            )

    @property
    def command(self) -> str:
        """What fetches it by hand."""
        return f"hf download {self.repository} {self.file} --revision {self.revision}"


def sha256_of(path: pathlib.Path) -> str:
    """Of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def check_sha256(path: pathlib.Path, expected: str, where: str, num_bytes: int | None = None) -> str:
    """The file's hash, if it is the expected one.

    Raises:
        UsageError: It is not: the file was cut short, or changed, or is another.
    """
    found = sha256_of(path)
    if found != expected:
        size = path.stat().st_size
        cut = f" ({size} of {num_bytes} bytes)" if num_bytes and size != num_bytes else ""
        raise UsageError(
            f"{where}: expected {path} with SHA-256 {expected}, got {found}{cut}; "
            "the file is truncated, altered or another: delete it and get it again"
        )
    return found


def in_cache(source: HubFile) -> pathlib.Path | None:
    """Where the hub's cache has a file; None if it has not. Asks no network."""
    found = _huggingface_hub().try_to_load_from_cache(source.repository, source.file, revision=source.revision)
    return pathlib.Path(found) if isinstance(found, str) else None


def fetch(source: HubFile, where: str, otherwise: str) -> pathlib.Path:
    """A file of the hub: from its cache, else over the network (not in offline mode, `HF_HUB_OFFLINE=1`).

    Args:
        source: Which file.
        where: Who wants it, for a message.
        otherwise: What the user can do without a network, for a message.

    Raises:
        UsageError: It cannot be had, or is not the file it should be.
    """
    path = in_cache(source)
    if path is None:
        try:
            download = _huggingface_hub().hf_hub_download
            path = pathlib.Path(download(source.repository, source.file, revision=source.revision))
        except (OSError, ValueError) as error:  # the package's errors are all of these
            why = str(error).strip().splitlines()[0] if str(error).strip() else ""
            raise UsageError(
                f"{where}: expected {source.repository}/{source.file} on disk or over the network, got "
                f"{type(error).__name__} ({why:.160}); {otherwise}"
            ) from error
    expected = source.sha256 or _recorded_sha256(path)
    if expected:
        check_sha256(path, expected, where, source.num_bytes)
    return path


def _recorded_sha256(path: pathlib.Path) -> str | None:
    """The hub's cache calls large files by their SHA-256."""
    name = path.resolve().name
    return name if re.fullmatch(r"[0-9a-f]{64}", name) else None


def _huggingface_hub() -> Any:
    try:
        import huggingface_hub
    except ModuleNotFoundError as error:
        raise UsageError(
            "weights: expected the package huggingface_hub, it is not installed; do `pip install huggingface_hub`"
        ) from error
    return huggingface_hub
