"""How parameters come from files and go into them: which file, is it whole, what does it hold.

Only safetensors are read, with one exception: OpenAI's original TorchScript file, where the user names it by its path
and has torch. A pickle is never loaded from a file that the user did not name.
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

from bench.errors import UsageError
from models.clip.checkpoints import hub, layouts
from models.clip.checkpoints.tensor_names import Layout
from models.clip.encoder import OPENAI_MEAN, OPENAI_STD
from models.clip.networks import architectures, dual_encoder
from models.clip.networks.dual_encoder import DualEncoder
from models.clip.tokenizers import ClipTokenizer, Tokenizer, WordTokenizer
from tasks.data_dir.atomic_files import write_file

FORMAT = "nerf-bench-clip-1"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Checkpoint:
    """What a file of ours holds.

    Attributes:
        model: Architecture.
        variables: Nested, float32.
        tokenizer: None if it reads no text.
        mean: Of the pixels, by colour.
        std: Likewise.
        card: What is known about how it was made.
    """

    model: DualEncoder
    variables: PyTree
    tokenizer: Tokenizer | None
    mean: tuple[float, float, float] = OPENAI_MEAN
    std: tuple[float, float, float] = OPENAI_STD
    card: dict[str, Any] = dataclasses.field(default_factory=dict)


def sha256_of_variables(variables: PyTree) -> str:
    """Of numbers, wherever they came from: paths, shapes and float32 bytes in the order of the paths."""
    summed = hashlib.sha256()
    for path, leaf in sorted(dual_encoder.flattened(variables).items()):
        array = np.asarray(leaf, np.float32, order="C")
        summed.update(f"{path} {array.shape}\n".encode())
        summed.update(array.tobytes())
    return summed.hexdigest()


def read_tensors(path: pathlib.Path, where: str) -> tuple[dict[str, tuple[int, ...]], dict[str, str], Any]:
    """Opens a safetensors file.

    Returns:
        Shape of each tensor, the file's metadata, and a function that reads one tensor.

    Raises:
        UsageError: No such file, or no safetensors file, or it is cut short.
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
        raise UsageError(
            f"{where}: expected a whole safetensors file, got {path.name}, of which it is said: {error}; get it again"
        ) from error
    names = list(file.keys())
    return {name: tuple(file.get_slice(name).get_shape()) for name in names}, file.metadata() or {}, file.get_tensor


def read_foreign(path: pathlib.Path, model: DualEncoder, layout: Layout, where: str) -> PyTree:
    """Variables from a checkpoint in another's layout.

    Raises:
        UsageError: It is not of this architecture or layout.
    """
    shapes, _, tensor = read_tensors(path, where)
    found = layouts.sniff(shapes)
    if found not in (layout, None):
        schemes = {"open_clip": "open_clip:ARCHITECTURE/PATH", "huggingface": "hf:PATH", "ours": "file:PATH"}
        raise UsageError(f"{where}: expected tensors named as {layout} has them, got {found}; write {schemes[found]}")
    layouts.check(model, layout, shapes, where)
    return layouts.to_ours(model, layout, tensor)


def read_model(path: pathlib.Path, where: str) -> DualEncoder:
    """The architecture that a file of ours says, without its numbers.

    Raises:
        UsageError: It is another kind of file.
    """
    _, metadata, _ = read_tensors(path, where)
    return _said(path, metadata, where)[0]


def read(path: pathlib.Path, where: str) -> Checkpoint:
    """What `write` wrote.

    Raises:
        UsageError: It is another kind of file, or is not whole.
    """
    shapes, metadata, tensor = read_tensors(path, where)
    model, said = _said(path, metadata, where)
    layouts.check(model, "ours", shapes, where)
    return Checkpoint(
        model=model,
        variables=layouts.to_ours(model, "ours", tensor),
        tokenizer=_tokenizer_from_json(said["tokenizer"]),
        mean=tuple(said["mean"]),
        std=tuple(said["std"]),
        card=said["card"],
    )


def _said(path: pathlib.Path, metadata: dict[str, str], where: str) -> tuple[DualEncoder, dict[str, Any]]:
    """What a file of ours says of itself."""
    if metadata.get("format") != FORMAT:
        raise UsageError(
            f"{where}: expected a file that says its architecture (format {FORMAT}), got {path.name}; "
            "write open_clip:ARCHITECTURE/PATH or hf:PATH for others' checkpoints"
        )
    said = {key: json.loads(metadata[key]) for key in ("architecture", "tokenizer", "mean", "std", "card")}
    model = architectures.from_json(said["architecture"])
    assert isinstance(model, DualEncoder)
    return model, said


def write(path: pathlib.Path, checkpoint: Checkpoint, dtype: Any = np.float32) -> str:
    """Writes one file that says everything needed to use it; returns its SHA-256.

    Args:
        path: Ends in .safetensors; replaced as a whole if it is there.
        checkpoint: What to write.
        dtype: Of the stored numbers: float16 halves the file.
    """
    import safetensors.numpy

    flat = {
        name: np.asarray(leaf).astype(dtype, order="C")
        for name, leaf in dual_encoder.flattened(checkpoint.variables).items()
    }
    metadata = {
        "format": FORMAT,
        "architecture": json.dumps(architectures.to_json(checkpoint.model), sort_keys=True),
        "tokenizer": json.dumps(_tokenizer_to_json(checkpoint.tokenizer)),
        "mean": json.dumps(checkpoint.mean),
        "std": json.dumps(checkpoint.std),
        "card": json.dumps(checkpoint.card, sort_keys=True),
    }
    write_file(path, safetensors.numpy.save(flat, metadata))
    return hub.sha256_of(path)


def read_torchscript(path: pathlib.Path, where: str) -> dict[str, np.ndarray]:
    """Tensors of OpenAI's original file.

    Raises:
        UsageError: No such file, no torch, or no TorchScript file.
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
            # Torch would like to have done with TorchScript; OpenAI's files are what they are.
            warnings.simplefilter("ignore", DeprecationWarning)
            state = torch.jit.load(str(path), map_location="cpu").state_dict()
    except RuntimeError as error:
        raise UsageError(
            f"{where}: expected OpenAI's original TorchScript file, got {path.name}, which torch cannot read "
            f"({str(error).splitlines()[0]:.120}); get it again"
        ) from error
    return {name: tensor.detach().float().numpy() for name, tensor in state.items()}


def _tokenizer_to_json(tokenizer: Tokenizer | None) -> dict[str, Any] | None:
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
