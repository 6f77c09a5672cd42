"""Fetches published files from the Hugging Face hub or its cache, and checks their hashes.

A file is identified by repository, name and commit. Its hash is checked before it is used.
"""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import os
import pathlib
import re
import tempfile
import time
from collections.abc import Sequence
from typing import Any

from bench.errors import DamagedFile, UsageError
from tasks.data_dir import location


@dataclasses.dataclass(frozen=True, kw_only=True)
class HubFile:
    """A file in a repository of the Hugging Face hub.

    Attributes:
        repository: OWNER/NAME.
        file: Name of the file in the repository.
        revision: A commit. A branch could change.
        sha256: Hash of the file; None if only the hub's own record of it is known.
        num_bytes: Size of the file, if known.
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
        """Command that fetches it by hand."""
        return f"hf download {self.repository} {self.file} --revision {self.revision}"


def remembered_sha256(path: pathlib.Path) -> str:
    """Return the SHA-256 of a file.

    The hash of a large file is remembered between runs by its path, size and times of change: gigabytes take seconds.
    """
    before = path.stat()
    memory = _memory_of(path, before) if before.st_size >= _REMEMBERED_BYTES else None
    if memory and (known := _remembered(memory)):
        return known
    with path.open("rb") as file:
        found = hashlib.file_digest(file, "sha256").hexdigest()
    # A file that has just changed may change again within the resolution of its times.
    settled = time.time() - max(before.st_mtime, before.st_ctime) > _SETTLED_S
    if memory and settled and _state(path.stat()) == _state(before):
        _remember(memory, found)
    return found


def sha256_of_files(paths: Sequence[pathlib.Path]) -> str:
    """Return the SHA-256 of weights: of the file itself, or of the sorted hashes of all shards."""
    digests = [remembered_sha256(path) for path in paths]
    if len(digests) == 1:
        return digests[0]
    return hashlib.sha256("\n".join(sorted(digests)).encode()).hexdigest()


_REMEMBERED_BYTES = 16 * 2**20
_SETTLED_S = 2.0


def _state(found: os.stat_result) -> tuple[int, int, int]:
    return found.st_size, found.st_mtime_ns, found.st_ctime_ns


def _memory_of(path: pathlib.Path, found: os.stat_result) -> pathlib.Path:
    """Return where the hash of a file in this state is kept; another state has another name."""
    key = "\n".join([str(path.resolve()), *map(str, _state(found))])
    return location.folder() / "file_hashes" / hashlib.sha256(key.encode()).hexdigest()[:40]


def _remembered(memory: pathlib.Path) -> str | None:
    try:
        known = memory.read_text(encoding="ascii")
    except (OSError, ValueError):
        return None
    return known if re.fullmatch(r"[0-9a-f]{64}", known) else None


def _remember(memory: pathlib.Path, digest: str) -> None:
    # Where the cache cannot be written, the hash is computed again next time.
    with contextlib.suppress(OSError):
        memory.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=memory.parent, delete=False) as temporary:
            temporary.write(digest.encode())
        os.replace(temporary.name, memory)


def check_sha256(path: pathlib.Path, expected: str, where: str, num_bytes: int | None = None) -> str:
    """Check a file's hash, and return it.

    Raises:
        UsageError: It is not the expected one: the file is truncated, altered or another.
    """
    found = remembered_sha256(path)
    if found != expected:
        size = path.stat().st_size
        cut = f" ({size} of {num_bytes} bytes)" if num_bytes and size != num_bytes else ""
        raise DamagedFile(
            f"{where}: expected {path} with SHA-256 {expected}, got {found}{cut}; "
            "the file is truncated, altered or another: delete it and get it again"
        )
    return found


def find_in_cache(source: HubFile) -> pathlib.Path | None:
    """Return the path of a file in the hub's cache; None if it is not there. Uses no network."""
    found = _look_up_in_cache(source)
    return pathlib.Path(found) if isinstance(found, str) else None


def fetch(source: HubFile, where: str, otherwise: str) -> pathlib.Path:
    """Fetch a file from the hub's cache or over the network (not in offline mode, `HF_HUB_OFFLINE=1`).

    Args:
        source: The file.
        where: Name of the encoder that needs it, for a message.
        otherwise: Advice without a network, for a message.

    Raises:
        UsageError: It cannot be fetched, or its hash is wrong.
    """
    try:
        return _fetch(source, where, otherwise)
    except _NotInRepository as error:
        raise _fetch_error(source, where, otherwise, error.answer) from error


def fetch_if_there(source: HubFile, where: str, otherwise: str) -> pathlib.Path | None:
    """Fetch a file that a repository may lack.

    Args:
        source: The file. Another file of the same repository must have been fetched before.
        where: Name of the encoder that needs it, for a message.
        otherwise: Advice without a network, for a message.

    Returns:
        Its path; None only if the hub answers 404 for it, now or earlier according to its cache.

    Raises:
        UsageError: Whether it exists is unknown, or it cannot be fetched, or its hash is wrong.
    """
    cached = _look_up_in_cache(source)
    if cached is not None and not isinstance(cached, str):
        return None
    try:
        return _fetch(source, where, otherwise)
    except _NotInRepository:
        return None


class _NotInRepository(Exception):
    """The hub has the repository and its commit, but not the file."""

    def __init__(self, answer: Exception) -> None:
        super().__init__(str(answer))
        self.answer = answer


def _fetch(source: HubFile, where: str, otherwise: str) -> pathlib.Path:
    path = find_in_cache(source)
    if path is None:
        try:
            download = _huggingface_hub().hf_hub_download
            path = pathlib.Path(download(source.repository, source.file, revision=source.revision))
        except UsageError:
            raise
        # The client's HTTP library raises errors of no base class that is promised.
        except Exception as error:
            if _is_404(error):
                raise _NotInRepository(error) from error
            raise _fetch_error(source, where, otherwise, error) from error
    expected = source.sha256 or _recorded_sha256(path)
    if expected:
        check_sha256(path, expected, where, source.num_bytes)
    return path


def _fetch_error(source: HubFile, where: str, otherwise: str, error: Exception) -> UsageError:
    # The client wraps an answer of the server, such as 500, in an error of its own.
    lines = [line for one in (error, error.__cause__) for line in str(one or "").strip().splitlines()[:1]]
    why = "; ".join(f"{line:.160}" for line in dict.fromkeys(lines))
    return UsageError(
        f"{where}: expected {source.repository}/{source.file} on disk or over the network, got "
        f"{type(error).__name__} ({why}); {otherwise}"
    )


def _is_404(error: Exception) -> bool:
    """Tell whether the hub has a repository and its commit, but not this file. Mirrors only answer 404."""
    from huggingface_hub import errors

    if isinstance(error, errors.RemoteEntryNotFoundError):
        return True
    answered = error.__cause__ if isinstance(error, errors.LocalEntryNotFoundError) else error
    if isinstance(answered, errors.RepositoryNotFoundError | errors.RevisionNotFoundError):
        return False
    return isinstance(answered, errors.HfHubHTTPError) and answered.response.status_code == 404


def _look_up_in_cache(source: HubFile) -> Any:
    """Return the path as text, None, or the client's mark that the hub has no such file."""
    return _huggingface_hub().try_to_load_from_cache(source.repository, source.file, revision=source.revision)


def _recorded_sha256(path: pathlib.Path) -> str | None:
    """Return the SHA-256 by which the hub's cache names a large file."""
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
