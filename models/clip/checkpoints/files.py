"""Reads and writes the files of encoders, and checks that they are complete.

It reads only safetensors, with one exception: OpenAI's original TorchScript file, if the user gives its path and has
torch. It never loads a pickle from a file that the user did not name.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import pathlib
import warnings
from collections.abc import Mapping
from typing import Any

import numpy as np
from jaxtyping import PyTree

from bench.errors import DamagedFile, UsageError
from models.clip.checkpoints import hub, layouts, sharded
from models.clip.checkpoints.settings import CheckpointSettings
from models.clip.checkpoints.tensor_names import Layout
from models.clip.encoder import OPENAI_MEAN, OPENAI_STD
from models.clip.networks import architectures, dual_encoder
from models.clip.networks.dual_encoder import DualEncoder
from models.clip.tokenizers import ClipTokenizer, Tokenizer, WordTokenizer
from tasks.data_dir.atomic_files import write_file

FORMAT = "nerf-bench-clip-1"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Checkpoint:
    """Content of a file in this project's format.

    Attributes:
        model: Architecture.
        variables: Nested variables, float32.
        tokenizer: None if it reads no text.
        mean: Mean of pixels, by colour.
        std: Standard deviation of pixels, by colour.
        card: Model card: how it was made, and its accuracy.
    """

    model: DualEncoder
    variables: PyTree
    tokenizer: Tokenizer | None
    mean: tuple[float, float, float] = OPENAI_MEAN
    std: tuple[float, float, float] = OPENAI_STD
    card: dict[str, Any] = dataclasses.field(default_factory=dict)


def sha256_of_variables(variables: PyTree) -> str:
    """Hash variables independently of their file: paths, shapes and float32 bytes, sorted by path."""
    digest = hashlib.sha256()
    for path, leaf in sorted(dual_encoder.flatten(variables).items()):
        array = np.asarray(leaf, np.float32, order="C")
        digest.update(f"{path} {array.shape}\n".encode())
        digest.update(array.tobytes())
    return digest.hexdigest()


def read_tensors(path: pathlib.Path, where: str) -> tuple[dict[str, tuple[int, ...]], dict[str, str], Any]:
    """Open a safetensors file.

    Returns:
        Shape of each tensor, the file's metadata, and a function that reads one tensor.

    Raises:
        UsageError: There is no such file, or it is no safetensors file, or it is truncated.
    """
    import safetensors

    if not path.is_file():
        raise UsageError(f"{where}: expected a file {path}, got none; check the path")
    if path.suffix != ".safetensors":
        raise UsageError(
            f"{where}: expected a .safetensors file, got {path.name}, which may be a pickle; "
            "get the safetensors of the same checkpoint (OpenAI's own .pt may be read as openai:PATH)"
        )
    try:
        file = safetensors.safe_open(path, "numpy")
    except (safetensors.SafetensorError, OSError) as error:
        raise DamagedFile(
            f"{where}: expected a whole safetensors file, got {path.name}, which cannot be read ({error}); get it again"
        ) from error
    names = list(file.keys())
    shapes = {name: tuple(file.get_slice(name).get_shape()) for name in names}
    return shapes, file.metadata() or {}, file.get_tensor


def read_shards(index: pathlib.Path, where: str) -> tuple[dict[str, tuple[int, ...]], Any]:
    """Open all shards of an index.

    Returns:
        Shape of each tensor, and a function that reads one tensor.

    Raises:
        UsageError: A shard is missing or truncated, or has other tensors than the index says.
    """
    shard_of = sharded.weight_map(index, where)
    shapes: dict[str, tuple[int, ...]] = {}
    readers: dict[str, Any] = {}
    for path in sharded.files(index, where):
        found, _, readers[path.name] = read_tensors(path, where)
        expected = {tensor for tensor, shard in shard_of.items() if shard == path.name}
        wrong = sorted(expected.symmetric_difference(found))
        if wrong:
            got = "one that the index does not name there" if wrong[0] in found else "no such tensor"
            raise UsageError(
                f"{where}: expected the tensors in {path.name} that {index.name} names, got {got}: {wrong[0]}; "
                "get the index and all shards of the same repository"
            )
        shapes.update(found)
    return shapes, lambda tensor: readers[shard_of[tensor]](tensor)


def read_foreign(path: pathlib.Path, model: DualEncoder, layout: Layout, where: str) -> PyTree:
    """Read our variables from a checkpoint in the layout of another project.

    Args:
        path: A file of tensors, or an index of shards.
        model: Its architecture.
        layout: Layout of its tensors.
        where: Name of the encoder that is loaded, for messages.

    Raises:
        UsageError: It has another architecture or layout.
    """
    if sharded.is_index(path):
        shapes, tensor = read_shards(path, where)
    else:
        shapes, _, tensor = read_tensors(path, where)
    found = layouts.detect_layout(shapes)
    if found not in (layout, None):
        schemes = {"open_clip": "open_clip:ARCHITECTURE/PATH", "huggingface": "hf:PATH", "ours": "file:PATH"}
        raise UsageError(f"{where}: expected tensors named as {layout} has them, got {found}; write {schemes[found]}")
    layouts.check_tensors(model, layout, shapes, where)
    return layouts.to_variables(model, layout, tensor)


def read_model(path: pathlib.Path, where: str) -> DualEncoder:
    """Read the architecture from a file in this project's format.

    Raises:
        UsageError: It is another kind of file.
    """
    return read_header(path, where).model


def read_header(path: pathlib.Path, where: str) -> Checkpoint:
    """Read a file in this project's format without its tensors: `variables` is None.

    Raises:
        UsageError: It is another kind of file.
    """
    _, metadata, _ = read_tensors(path, where)
    return _header(path, metadata, where)


def read_checkpoint(path: pathlib.Path, where: str, *, is_known: bool = False) -> Checkpoint:
    """Read a file that `write` wrote.

    Args:
        path: The file.
        where: Name of the encoder that is loaded, for messages.
        is_known: Whether a hash says that its tensors are those of its architecture; else they are compared.

    Raises:
        UsageError: It is another kind of file, or it is truncated.
    """
    shapes, metadata, tensor = read_tensors(path, where)
    header = _header(path, metadata, where)
    if is_known:
        flat = {key: np.asarray(tensor(key)).astype(np.float32) for key in shapes}
        return dataclasses.replace(header, variables=dual_encoder.unflatten(flat))
    layouts.check_tensors(header.model, "ours", shapes, where)
    return dataclasses.replace(header, variables=layouts.to_variables(header.model, "ours", tensor))


def _header(path: pathlib.Path, metadata: dict[str, str], where: str) -> Checkpoint:
    """Parse the metadata of a file in this project's format."""
    if metadata.get("format") != FORMAT:
        raise UsageError(
            f"{where}: expected a file that says its architecture (format {FORMAT}), got {path.name}; "
            "write open_clip:ARCHITECTURE/PATH or hf:PATH for others' checkpoints"
        )
    values = {}
    for key in ("architecture", "tokenizer", "mean", "std", "card"):
        try:
            values[key] = json.loads(metadata[key])
        except (KeyError, ValueError, RecursionError) as error:
            raise UsageError(
                f"{where}: expected {key} as JSON in the header of {path.name}, got {error!r:.120}; make the file again"
            ) from error
    header = CheckpointSettings(values, f"{where}: header of {path.name}")
    model = architectures.from_json(dict(header.part("architecture").values))
    if not isinstance(model, DualEncoder):
        header.refuse("architecture", "of type DualEncoder", "make the file again")
    return Checkpoint(
        model=model,
        variables=None,
        tokenizer=_tokenizer_from_json(values["tokenizer"]),
        mean=header.triple("mean", OPENAI_MEAN),
        std=header.triple("std", OPENAI_STD),
        card=values["card"],
    )


def write(path: pathlib.Path, checkpoint: Checkpoint, dtype: Any = np.float32) -> str:
    """Write a checkpoint as one file with everything that is needed to use it; return its SHA-256.

    Args:
        path: Ends in .safetensors. An existing file is replaced as a whole.
        checkpoint: Content of the file.
        dtype: Type of the stored numbers; float16 halves the file.
    """
    import safetensors.numpy

    variables = dual_encoder.flatten(checkpoint.variables)
    flat = {name: np.asarray(leaf).astype(dtype, order="C") for name, leaf in variables.items()}
    metadata = {
        "format": FORMAT,
        "architecture": json.dumps(architectures.to_json(checkpoint.model), sort_keys=True),
        "tokenizer": json.dumps(tokenizer_to_json(checkpoint.tokenizer)),
        "mean": json.dumps(checkpoint.mean),
        "std": json.dumps(checkpoint.std),
        "card": json.dumps(checkpoint.card, sort_keys=True),
    }
    write_file(path, safetensors.numpy.save(flat, metadata))
    return hub.remembered_sha256(path)


def read_torchscript(path: pathlib.Path, where: str) -> dict[str, np.ndarray]:
    """Read the tensors of OpenAI's original file.

    Raises:
        UsageError: There is no such file, torch is not installed, or it is no TorchScript file.
    """
    if not path.is_file():
        raise UsageError(f"{where}: expected a file {path}, got none; check the path")
    try:
        import torch
    except ModuleNotFoundError as error:
        raise UsageError(
            f"{where}: expected the package torch, which alone reads OpenAI's original files, it is not installed; "
            "do `pip install torch`, or use the safetensors of the same checkpoint"
        ) from error
    try:
        with warnings.catch_warnings():
            # Torch deprecates TorchScript, but OpenAI's files use it.
            warnings.simplefilter("ignore", DeprecationWarning)
            state = torch.jit.load(str(path), map_location="cpu").state_dict()
    except RuntimeError as error:
        raise UsageError(
            f"{where}: expected OpenAI's original TorchScript file, got {path.name}, which torch cannot read "
            f"({str(error).splitlines()[0]:.120}); get it again"
        ) from error
    return {name: tensor.detach().float().numpy() for name, tensor in state.items()}


def tokenizer_to_json(tokenizer: Tokenizer | None) -> dict[str, Any] | None:
    """Write a tokenizer as JSON: its type, and everything that its ids depend on."""
    if tokenizer is None:
        return None
    if isinstance(tokenizer, WordTokenizer):
        return {"type": "words", "context_length": tokenizer.context_length, "words": list(tokenizer.words)}
    if isinstance(tokenizer, ClipTokenizer):
        return {"type": "clip", "context_length": tokenizer.context_length}
    raise TypeError(f"a tokenizer that cannot be written down: {tokenizer!r}")


def _tokenizer_from_json(written: Mapping[str, Any] | None) -> Tokenizer | None:
    if written is None:
        return None
    if written["type"] == "words":
        return WordTokenizer(words=tuple(written["words"]), context_length=written["context_length"])
    assert written["type"] == "clip"
    return ClipTokenizer(context_length=written["context_length"])
