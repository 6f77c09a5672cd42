"""Finds the files of checkpoints that other projects saved, and reads everything from them except tensors.

Names are `hf:PATH`, `hf:OWNER/NAME@COMMIT` and `open_clip:ARCHITECTURE/PATH`, where `hf:OWNER/NAME@COMMIT` may stand
for PATH. Normalisation, shards and vocabulary are the repository's own, or are refused; where a repository does not
describe them, they are CLIP's.
"""

from __future__ import annotations

import dataclasses
import pathlib
from typing import Protocol, runtime_checkable

from bench.errors import UsageError
from models.clip import tokenizers
from models.clip.checkpoints import hub, pixels, settings, sharded
from models.clip.checkpoints.hub import HubFile
from models.clip.checkpoints.pixels import Pixels
from models.clip.checkpoints.settings import CheckpointSettings
from models.clip.checkpoints.tensor_names import Layout
from models.clip.networks import architectures
from models.clip.networks.dual_encoder import DualEncoder
from models.clip.tokenizers import CLIP_NUM_TOKENS, ClipTokenizer, Tokenizer

# Words in the names of checkpoints that were trained with QuickGELU.
_QUICK_GELU_WORDS = ("openai", "quickgelu", "metaclip", "dfn2b", "dfn5b", "yfcc15m", "cc12m")

_TENSORS_FILE = "model.safetensors"
_OPEN_CLIP_TENSORS_FILE = "open_clip_model.safetensors"


@dataclasses.dataclass(frozen=True, kw_only=True)
class CheckpointFiles:
    """A checkpoint on disk, its tensors not yet read.

    Attributes:
        model: Its architecture.
        layout: How its tensors are named.
        pixels: The normalisation it was trained with.
        tokenizer: None if its vocabulary is not CLIP's.
        path: The file of tensors, or the index of its shards.
        files: All files of tensors.
    """

    model: DualEncoder
    layout: Layout
    pixels: Pixels
    tokenizer: Tokenizer | None
    path: pathlib.Path
    files: tuple[pathlib.Path, ...]


@runtime_checkable
class _Repository(Protocol):
    """A folder on disk or a repository of the hub that holds one checkpoint."""

    def find(self, file: str) -> pathlib.Path | None:
        """Return a file; None if it is certain that there is none."""


@dataclasses.dataclass(frozen=True)
class _Folder:
    path: pathlib.Path

    def find(self, file: str) -> pathlib.Path | None:
        """Return a file; None if there is none."""
        found = self.path / file
        return found if found.is_file() else None


@dataclasses.dataclass(frozen=True)
class _HubRepository:
    repository: str
    revision: str
    where: str

    def source(self, file: str) -> HubFile:
        """Return the address of a file."""
        return HubFile(repository=self.repository, file=file, revision=self.revision)

    @property
    def by_hand(self) -> str:
        """The way to get the files without a network, for the end of a message."""
        return (
            f"where there is a network do `hf download {self.repository} --revision {self.revision}` and give the "
            "folder it prints, or a file in it, as the path"
        )

    def find(self, file: str) -> pathlib.Path | None:
        """Return a file, fetched if need be; None if the hub says that there is none."""
        return hub.fetch_if_there(self.source(file), self.where, self.by_hand)

    def get(self, file: str) -> pathlib.Path:
        """Return a file that must be there, fetched if need be."""
        return hub.fetch(self.source(file), self.where, self.by_hand)


def huggingface(name: str, rest: str) -> CheckpointFiles:
    """Return the checkpoint of `hf:PATH` or `hf:OWNER/NAME@COMMIT`.

    Args:
        name: The whole name, for messages.
        rest: What follows the scheme.

    Raises:
        UsageError: It is not there, or says what this package does not do.
    """
    place = pathlib.Path(rest).expanduser()
    if place.exists() or rest.startswith((".", "/", "~")):
        repository: _Repository
        repository, config, path = _in_folder(name, place)
    else:
        repository, config, path = _on_hub(name, rest)
    config_values = settings.read_settings(config, name)
    model = architectures.from_huggingface(config_values.values, config_values.where)
    found = pixels.from_transformers(
        _settings(repository, pixels.PROCESSOR_FILE, name),
        _settings(repository, pixels.PREPROCESSOR_FILE, name),
        model.image_tower.image_px,
    )
    return CheckpointFiles(
        model=model,
        layout="huggingface",
        pixels=found,
        tokenizer=_tokenizer(model, repository, name),
        path=path,
        files=tuple(sharded.files(path, name)),
    )


def open_clip(name: str, rest: str) -> CheckpointFiles:
    """Return the checkpoint of `open_clip:ARCHITECTURE/PATH`.

    Args:
        name: The whole name, for messages.
        rest: What follows the scheme.

    Raises:
        UsageError: It is not there, or says what this package does not do, or another architecture.
    """
    architecture, _, place = rest.partition("/")
    model = architectures.build(architecture)
    if not place:
        raise UsageError(f"{name}: expected open_clip:ARCHITECTURE/PATH, got no path; write the file after the slash")
    word = next((word for word in _QUICK_GELU_WORDS if word in place.lower()), None)
    if word:
        _check_nonlinearity(name, architecture, f"{word!r} weights")
    repository: _Repository
    if place.startswith("hf:"):
        on_hub = _hub_repository(name, place.removeprefix("hf:"))
        path = on_hub.get(_OPEN_CLIP_TENSORS_FILE)
        repository = on_hub
    else:
        path = pathlib.Path(place).expanduser()
        repository = _Folder(path.parent)
    config = _settings(repository, pixels.OPEN_CLIP_FILE, name)
    if config and config.part("model_cfg").flag("quick_gelu", False):
        _check_nonlinearity(name, architecture, f"weights whose {pixels.OPEN_CLIP_FILE} says model_cfg.quick_gelu")
    return CheckpointFiles(
        model=model,
        layout="open_clip",
        pixels=pixels.from_open_clip(config, model.image_tower.image_px) if config else Pixels(),
        tokenizer=clip_tokenizer(model),
        path=path,
        files=tuple(sharded.files(path, name)),
    )


def clip_tokenizer(model: DualEncoder) -> Tokenizer | None:
    """Return CLIP's own vocabulary, where the text tower has as many tokens."""
    tower = model.text_tower
    if tower is None or tower.num_tokens != CLIP_NUM_TOKENS:
        return None
    return ClipTokenizer(context_length=tower.context_length)


def _check_nonlinearity(name: str, architecture: str, weights: str) -> None:
    """Refuse an architecture that says no nonlinearity for weights that were trained with QuickGELU."""
    if architecture.endswith((architectures.QUICK, architectures.EXACT)):
        return
    place = name.partition("/")[2]
    raise UsageError(
        f"{name}: expected {architecture}{architectures.QUICK} for {weights}, which were trained with "
        f"QuickGELU, got {architecture}, which is GELU and gives wrong features; write "
        f"open_clip:{architecture}{architectures.QUICK}/{place} "
        f"(or {architecture}{architectures.EXACT} if you are sure)"
    )


def _in_folder(name: str, place: pathlib.Path) -> tuple[_Repository, pathlib.Path, pathlib.Path]:
    """Return a folder, its `config.json`, and its tensors or their index; a file's name chooses among several."""
    is_file = place.is_file() or (not place.is_dir() and place.suffix in (".safetensors", ".json", ".bin", ".pt"))
    folder = _Folder(place.parent if is_file else place)
    config = folder.find("config.json")
    if config is None:
        raise UsageError(
            f"{name}: expected {folder.path / 'config.json'}, which says the architecture and its nonlinearity, got "
            "none; put the checkpoint's config.json beside its tensors"
        )
    if is_file:
        return folder, config, place
    path = folder.find(_TENSORS_FILE) or folder.find(sharded.INDEX_FILE)
    if path is None:
        others = sorted(other.name for other in folder.path.glob("*.bin*"))
        got = f"{others[0]}, which may be a pickle" if others else "neither"
        raise UsageError(
            f"{name}: expected {_TENSORS_FILE} or {sharded.INDEX_FILE} in {folder.path}, got {got}; "
            "get the safetensors of the same checkpoint"
        )
    return folder, config, path


def _on_hub(name: str, rest: str) -> tuple[_Repository, pathlib.Path, pathlib.Path]:
    """Return a repository of the hub, its `config.json`, and its tensors or their index, all of them fetched."""
    repository = _hub_repository(name, rest)
    config = repository.get("config.json")
    path = repository.find(_TENSORS_FILE)
    if path is None:
        path = repository.find(sharded.INDEX_FILE)
        if path is None:
            raise UsageError(
                f"{name}: expected {_TENSORS_FILE} or {sharded.INDEX_FILE} in the repository, got neither; choose a "
                "repository or a commit that has safetensors"
            )
        for shard in sharded.shard_names(path, name):
            repository.get(shard)
    return repository, config, path


def _hub_repository(name: str, rest: str) -> _HubRepository:
    """Return the repository of `OWNER/NAME@COMMIT`."""
    repository, _, revision = rest.partition("@")
    if repository.count("/") != 1:
        raise UsageError(f"{name}: expected hf:OWNER/NAME@COMMIT or hf:PATH, got {rest!r}; check the path")
    return _HubRepository(repository, revision, name)


def _settings(repository: _Repository, file: str, where: str) -> CheckpointSettings | None:
    path = repository.find(file)
    return settings.read_settings(path, where) if path else None


def _tokenizer(model: DualEncoder, repository: _Repository, where: str) -> Tokenizer | None:
    """Return CLIP's own tokenizer, unless the repository has another vocabulary of as many tokens."""
    found = clip_tokenizer(model)
    if found is None:
        return None
    vocabulary = _settings(repository, "vocab.json", where)
    if vocabulary is None:
        described = _settings(repository, "tokenizer.json", where)
        vocabulary = described.part("model").part("vocab") if described else None
    if vocabulary is not None and not tokenizers.is_clip_vocabulary(vocabulary.values):
        return None
    return found
