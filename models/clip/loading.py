"""Loads an encoder by its name: a name of the catalog, or a name that contains the path of a file.

| name | encoder |
|---|---|
| `openai-vit-b-32` ... | an entry of `ENTRIES` with pinned revision and SHA-256, from disk or over the network |
| an entry of `EMBEDDED` | a small encoder that comes with the project |
| an entry of `IMAGENET` | an image classifier, from a package of weights; it reads no text |
| `open_clip:ARCHITECTURE/PATH` | a safetensors file in open_clip's layout; `hf:OWNER/NAME@COMMIT` may stand for PATH |
| `hf:PATH`, `hf:OWNER/NAME@COMMIT` | a folder or repository of `transformers.CLIPModel`, in one file or in shards |
| `openai:PATH` | OpenAI's original TorchScript file; needs torch |
| `file:PATH` | a file that `checkpoints.files.write` wrote |
| `clip-jax:PATH` | a folder of the package clip-jax; needs the extra of that name |
"""

from __future__ import annotations

import dataclasses
import functools
import pathlib
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import PyTree

from bench.errors import DamagedFile, UsageError, nearest
from models.clip.checkpoints import catalog, files, foreign, hub, layouts
from models.clip.checkpoints.catalog import EMBEDDED, ENTRIES, PublishedCheckpoint
from models.clip.checkpoints.files import Checkpoint
from models.clip.checkpoints.foreign import CheckpointFiles
from models.clip.encoder import Encoder, LinenTowers
from models.clip.networks import architectures, dual_encoder
from models.clip.networks.dual_encoder import DualEncoder
from models.clip.tokenizers import ClipTokenizer, Tokenizer
from models.imagenet.catalog import IMAGENET


def load(name: str, *, dtype: Any = jnp.float32) -> Encoder:
    """Load an encoder; its weights are read again at each call.

    Args:
        name: See the table at the head of this file.
        dtype: Compute type, float32 or bfloat16. Parameters and features are float32. Judges are always float32.

    Raises:
        UsageError: There is no such encoder, or its weights are not on disk and cannot be fetched, or their file or
            architecture is wrong.
    """
    dtype = jnp.dtype(dtype)
    if dtype not in (jnp.float32, jnp.bfloat16):
        raise UsageError(f"{name}: expected dtype float32 or bfloat16, got {dtype}; choose one of the two")
    scheme, colon, rest = name.partition(":")
    if name in ENTRIES:
        return _load_published(ENTRIES[name], dtype)
    if name in EMBEDDED:
        return _load_embedded(name, dtype)
    if name in IMAGENET:
        return _imagenet_loading().load_imagenet(name, dtype)
    if colon and scheme in SCHEMES:
        return SCHEMES[scheme](name, rest, dtype)
    raise unknown(name)


def check_encoder_name(name: str) -> None:
    """Refuse a name that `load` knows nothing of, without reading anything.

    Raises:
        UsageError: There is no such encoder.
    """
    scheme, colon, _ = name.partition(":")
    if name not in {*ENTRIES, *EMBEDDED, *IMAGENET} and not (colon and scheme in SCHEMES):
        raise unknown(name)


def unknown(name: str) -> UsageError:
    """Return the error for a name that no encoder has."""
    near = nearest(name, [*ENTRIES, *EMBEDDED, *IMAGENET])
    return UsageError(
        f"encoder: expected one of the catalog, got {name!r}; {near}; others are "
        f"written {', '.join(f'{scheme}:...' for scheme in SCHEMES)}; python -m bench encoders lists them"
    )


def abstract(name: str, *, dtype: Any = jnp.float32) -> Encoder:
    """Return an encoder whose parameters are only shapes, for `jax.eval_shape`.

    Args:
        name: As for `load`. For names of the catalog no weights are read.
        dtype: Compute type.

    Raises:
        UsageError: As `load`.
    """
    if name in IMAGENET:
        return _imagenet_loading().abstract_imagenet(name, dtype)
    if name in ENTRIES:
        header = Checkpoint(
            model=architectures.build(ENTRIES[name].architecture), variables=None, tokenizer=ClipTokenizer()
        )
    elif name in EMBEDDED:
        header = files.read_header(catalog.EMBEDDED_FOLDER / f"{name}.safetensors", name)
    else:
        encoder = load(name, dtype=dtype)
        shapes = jax.tree.map(lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype), encoder.params)
        return dataclasses.replace(encoder, params=shapes)
    return Encoder(
        name=name,
        params=jax.eval_shape(functools.partial(dual_encoder.init, header.model), jax.random.key(0)),
        towers=LinenTowers(dual_encoder.with_dtype(header.model, dtype)),
        tokenizer=header.tokenizer,
        sha256=catalog.weights_fingerprint(name) or "",
        mean=header.mean,
        std=header.std,
    )


def convert_original(name: str, path: pathlib.Path) -> pathlib.Path:
    """Convert OpenAI's original file to safetensors, where the catalog finds it. This needs torch.

    Raises:
        UsageError: The entry has no such file, the file is another, or torch is not installed.
    """
    known = [other.name for other in ENTRIES.values() if other.openai_sha256]
    if name not in known:
        raise UsageError(f"--convert: expected a model of OpenAI's, got {name!r}; {nearest(name, known)}")
    entry = ENTRIES[name]
    if not path.is_file():
        raise UsageError(f"--convert: expected a file {path}, got none; check the path")
    assert entry.openai_sha256 is not None
    hub.check_sha256(path, entry.openai_sha256, name)
    model, variables = _read_torchscript(path, name)
    card = {"converted_from_sha256": entry.openai_sha256, "variables_sha256": files.sha256_of_variables(variables)}
    files.write(entry.manual_path, Checkpoint(model=model, variables=variables, tokenizer=ClipTokenizer(), card=card))
    return entry.manual_path


def _make_encoder(
    name: str,
    model: DualEncoder,
    variables: PyTree,
    tokenizer: Tokenizer | None,
    sha256: str,
    dtype: Any,
    **pixels: Any,
) -> Encoder:
    return Encoder(
        name=name,
        params=jax.device_put(variables),  # `jnp.asarray` would compile a program for each shape
        towers=LinenTowers(dual_encoder.with_dtype(model, dtype)),
        tokenizer=tokenizer,
        sha256=sha256,
        **pixels,
    )


def _load_published(entry: PublishedCheckpoint, dtype: Any) -> Encoder:
    """Load a file that was put on disk by hand, else one from the hub's cache, else one over the network."""
    model = architectures.build(entry.architecture)
    if entry.manual_path.is_file():
        return _load_manual(entry, model, dtype)
    if not entry.sources:
        raise UsageError(
            f"{entry.name}: expected its weights at {entry.manual_path}, got no such file; {entry.how_to_get}"
        )
    path = hub.fetch(entry.sources[0], entry.name, entry.how_to_get)
    variables = files.read_foreign(path, model, "open_clip", entry.name)
    assert entry.sources[0].sha256 is not None
    return _make_encoder(entry.name, model, variables, ClipTokenizer(), entry.sources[0].sha256, dtype)


def _load_manual(entry: PublishedCheckpoint, model: DualEncoder, dtype: Any) -> Encoder:
    """Load a file that was put on disk by hand: one of the pinned files, or one that `convert_original` wrote."""
    path = entry.manual_path
    shapes, _, _ = files.read_tensors(path, entry.name)
    layout = layouts.detect_layout(shapes)
    if layout == "ours":
        checkpoint = files.read_checkpoint(path, entry.name)
        got = (checkpoint.card.get("converted_from_sha256"), checkpoint.card.get("variables_sha256"))
        if got != (entry.openai_sha256, files.sha256_of_variables(checkpoint.variables)):
            raise DamagedFile(
                f"{entry.name}: expected {path} as `--convert` wrote it, got an altered file or another's; "
                "delete it and convert OpenAI's file again"
            )
        digest = hub.remembered_sha256(path)
        return _make_encoder(entry.name, model, checkpoint.variables, ClipTokenizer(), digest, dtype)
    pinned = [source.sha256 for source in entry.sources]
    digest = hub.remembered_sha256(path)
    if layout is None or digest not in pinned:
        expected = " or ".join(map(str, pinned)) or "of a pinned file"
        raise DamagedFile(
            f"{entry.name}: expected {path} with SHA-256 {expected}, "
            f"got {digest}; the file is truncated, altered or another: delete it, then {entry.how_to_get}"
        )
    variables = files.read_foreign(path, model, layout, entry.name)
    return _make_encoder(entry.name, model, variables, ClipTokenizer(), digest, dtype)


def _load_embedded(name: str, dtype: Any) -> Encoder:
    path = catalog.EMBEDDED_FOLDER / f"{name}.safetensors"
    if not path.is_file():
        raise DamagedFile(
            f"{name}: expected {path}, which comes with the project, got no such file; check it out again"
        )
    digest = hub.check_sha256(path, EMBEDDED[name], name)
    # Its hash says that it is the file that our tests read whole: to compute all shapes again takes half a second.
    return _load_own_format(name, path, digest, dtype, is_known=True)


def _load_own_format(name: str, path: pathlib.Path, digest: str, dtype: Any, *, is_known: bool = False) -> Encoder:
    found = files.read_checkpoint(path, name, is_known=is_known)
    return _make_encoder(
        name, found.model, found.variables, found.tokenizer, digest, dtype, mean=found.mean, std=found.std
    )


def _load_file(name: str, rest: str, dtype: Any) -> Encoder:
    """Load `file:PATH`."""
    path = own_file(name, rest)
    return _load_own_format(name, path, hub.remembered_sha256(path), dtype)


def own_file(name: str, rest: str) -> pathlib.Path:
    """Return the file of `file:PATH`.

    Raises:
        UsageError: There is none.
    """
    path = pathlib.Path(rest).expanduser()
    if not path.is_file():
        raise UsageError(f"{name}: expected a file {path}, got none; check the path")
    return path


def _load_open_clip(name: str, rest: str, dtype: Any) -> Encoder:
    """Load `open_clip:ARCHITECTURE/PATH`."""
    return _load_foreign(name, foreign.open_clip(name, rest), dtype)


def _load_huggingface(name: str, rest: str, dtype: Any) -> Encoder:
    """Load `hf:PATH` or `hf:OWNER/NAME@COMMIT`."""
    return _load_foreign(name, foreign.huggingface(name, rest), dtype)


def _load_foreign(name: str, found: CheckpointFiles, dtype: Any) -> Encoder:
    variables = files.read_foreign(found.path, found.model, found.layout, name)
    digest = hub.sha256_of_files(found.files)
    normalisation = dataclasses.asdict(found.pixels)
    return _make_encoder(name, found.model, variables, found.tokenizer, digest, dtype, **normalisation)


def _load_openai(name: str, rest: str, dtype: Any) -> Encoder:
    """Load `openai:PATH`."""
    model, variables, digest = read_openai(name, pathlib.Path(rest).expanduser())
    return _make_encoder(name, model, variables, ClipTokenizer(), digest, dtype)


def read_openai(name: str, path: pathlib.Path) -> tuple[DualEncoder, PyTree, str]:
    """Return the architecture, the variables and the SHA-256 of OpenAI's original file.

    Raises:
        UsageError: It is no such file, or it is one of OpenAI's that was altered.
    """
    model, variables = _read_torchscript(path, name)
    digest = hub.remembered_sha256(path)
    known = {entry.openai_sha256: entry for entry in ENTRIES.values()}
    alike = [entry for entry in ENTRIES.values() if architectures.build(entry.architecture) == model]
    if alike and digest not in known:
        raise UsageError(
            f"{name}: expected OpenAI's file of {alike[0].name} with SHA-256 {alike[0].openai_sha256}, got {digest}; "
            "the file is truncated, altered or another: get it again"
        )
    return model, variables, digest


def _read_torchscript(path: pathlib.Path, where: str) -> tuple[DualEncoder, PyTree]:
    """Read architecture and variables of OpenAI's original file. All of OpenAI's models use QuickGELU."""
    tensors = files.read_torchscript(path, where)
    shapes = {name: np.shape(tensor) for name, tensor in tensors.items()}
    name = layouts.find_architecture("open_clip", shapes) or architectures.NAMES[0]
    model = architectures.build(name + architectures.QUICK)
    layouts.check_tensors(model, "open_clip", shapes, where)
    return model, layouts.to_variables(model, "open_clip", lambda key: tensors[key])


def _imagenet_loading() -> Any:
    """Import the other loader, which itself imports `Encoder` of this package."""
    from models.imagenet import loading

    return loading


def _load_clip_jax(name: str, rest: str, dtype: Any) -> Encoder:
    """Load `clip-jax:PATH`."""
    from models.clip.checkpoints import clip_jax

    return clip_jax.load_checkpoint(name, pathlib.Path(rest).expanduser(), dtype)


SCHEMES: dict[str, Callable[[str, str, Any], Encoder]] = {
    "open_clip": _load_open_clip,
    "hf": _load_huggingface,
    "openai": _load_openai,
    "file": _load_file,
    "clip-jax": _load_clip_jax,
}
