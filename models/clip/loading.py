"""How the name of an encoder becomes the encoder: the catalog's names, and names that say where a file is.

| name | what it is |
|---|---|
| `openai-vit-b-32` ... | an entry of `ENTRIES`: revision and SHA-256 pinned, looked for on disk, else fetched |
| an entry of `EMBEDDED` | a small encoder that comes with the project |
| `open_clip:ARCHITECTURE/PATH` | a safetensors file in open_clip's layout; `hf:OWNER/NAME@COMMIT` may stand for PATH |
| `hf:PATH`, `hf:OWNER/NAME@COMMIT` | a folder or repository of `transformers.CLIPModel`, in one file or in shards |
| `openai:PATH` | OpenAI's original TorchScript file; needs torch |
| `file:PATH` | a file that `weights.write` wrote |
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

from bench.errors import UsageError, nearest
from models.clip.checkpoints import catalog, files, foreign, hub, layouts
from models.clip.checkpoints.catalog import EMBEDDED, ENTRIES, PublishedCheckpoint
from models.clip.checkpoints.files import Checkpoint
from models.clip.checkpoints.foreign import CheckpointFiles
from models.clip.encoder import Encoder, LinenTowers
from models.clip.networks import architectures, dual_encoder
from models.clip.networks.dual_encoder import DualEncoder
from models.clip.tokenizers import ClipTokenizer, Tokenizer


def load(name: str, *, dtype: Any = jnp.float32) -> Encoder:
    """The encoder of a name; its weights are read anew each time.

    Args:
        name: See the table at the head of this file.
        dtype: Compute type, float32 or bfloat16. Parameters and features are float32. Judges are always float32.

    Raises:
        UsageError: There is no such encoder, or its weights are not on disk and cannot be fetched, or they are not
            the file or the architecture that they should be.
    """
    dtype = jnp.dtype(dtype)
    if dtype not in (jnp.float32, jnp.bfloat16):
        raise UsageError(f"{name}: expected dtype float32 or bfloat16, got {dtype}; choose one of the two")
    scheme, colon, rest = name.partition(":")
    if name in ENTRIES:
        return _published(ENTRIES[name], dtype)
    if name in EMBEDDED:
        return _embedded(name, dtype)
    if colon and scheme in SCHEMES:
        return SCHEMES[scheme](name, rest, dtype)
    raise unknown(name)


def unknown(name: str) -> UsageError:
    """Return what is said of a name that is no encoder's."""
    return UsageError(
        f"encoder: expected one of the catalog, got {name!r}; {nearest(name, [*ENTRIES, *EMBEDDED])}; others are "
        f"written {', '.join(f'{scheme}:...' for scheme in SCHEMES)}; python -m bench encoders lists them"
    )


def abstract(name: str, *, dtype: Any = jnp.float32) -> Encoder:
    """An encoder whose parameters are shapes alone, for `jax.eval_shape`: reads no weights, where its name says enough.

    Args:
        name: As for `load`. Only names of the catalog need no weights.
        dtype: Compute type.

    Raises:
        UsageError: As `load`.
    """
    if name in ENTRIES:
        model, pixels = architectures.build(ENTRIES[name].architecture), {}
        tokenizer: Tokenizer | None = ClipTokenizer()
    elif name in EMBEDDED:
        found = files.read_header(catalog.EMBEDDED_FOLDER / f"{name}.safetensors", name)
        model, tokenizer, pixels = found.model, found.tokenizer, {"mean": found.mean, "std": found.std}
    else:
        encoder = load(name, dtype=dtype)
        shapes = jax.tree.map(lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype), encoder.params)
        return dataclasses.replace(encoder, params=shapes)
    return Encoder(
        name=name,
        params=jax.eval_shape(functools.partial(dual_encoder.init, model), jax.random.key(0)),
        towers=LinenTowers(dual_encoder.with_dtype(model, dtype)),
        tokenizer=tokenizer,
        sha256=catalog.fingerprint(name) or "",
        **pixels,
    )


def convert(name: str, path: pathlib.Path) -> pathlib.Path:
    """Writes OpenAI's original file as safetensors where the catalog looks; torch is needed this once.

    Raises:
        UsageError: The entry has no such file, the file is not it, or torch is not there.
    """
    known = [other.name for other in ENTRIES.values() if other.openai_sha256]
    if name not in known:
        raise UsageError(f"--convert: expected a model of OpenAI's, got {name!r}; {nearest(name, known)}")
    entry = ENTRIES[name]
    if not path.is_file():
        raise UsageError(f"--convert: expected a file {path}, got none; check the path")
    assert entry.openai_sha256 is not None
    hub.check_sha256(path, entry.openai_sha256, name)
    model, variables = _torchscript(path, name)
    card = {"converted_from_sha256": entry.openai_sha256, "variables_sha256": files.sha256_of_variables(variables)}
    files.write(entry.place, Checkpoint(model=model, variables=variables, tokenizer=ClipTokenizer(), card=card))
    return entry.place


def _encoder(
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
        params=jax.tree.map(jnp.asarray, variables),
        towers=LinenTowers(dual_encoder.with_dtype(model, dtype)),
        tokenizer=tokenizer,
        sha256=sha256,
        **pixels,
    )


def _published(entry: PublishedCheckpoint, dtype: Any) -> Encoder:
    """From the place for files put there by hand, else from the hub's cache, else over the network."""
    model = architectures.build(entry.architecture)
    if entry.place.is_file():
        return _placed(entry, model, dtype)
    if not entry.sources:
        raise UsageError(f"{entry.name}: expected its weights at {entry.place}, got no such file; {entry.how_to_get}")
    path = hub.fetch(entry.sources[0], entry.name, entry.how_to_get)
    variables = files.read_foreign(path, model, "open_clip", entry.name)
    assert entry.sources[0].sha256 is not None
    return _encoder(entry.name, model, variables, ClipTokenizer(), entry.sources[0].sha256, dtype)


def _placed(entry: PublishedCheckpoint, model: DualEncoder, dtype: Any) -> Encoder:
    """A file put there by hand: one of the pinned ones, or what `convert` made of OpenAI's."""
    shapes, _, _ = files.read_tensors(entry.place, entry.name)
    layout = layouts.detect_layout(shapes)
    if layout == "ours":
        checkpoint = files.read(entry.place, entry.name)
        got = (checkpoint.card.get("converted_from_sha256"), checkpoint.card.get("variables_sha256"))
        if got != (entry.openai_sha256, files.sha256_of_variables(checkpoint.variables)):
            raise UsageError(
                f"{entry.name}: expected {entry.place} as `--convert` wrote it, got an altered file or another's; "
                "delete it and convert OpenAI's file again"
            )
        digest = hub.sha256_of(entry.place)
        return _encoder(entry.name, model, checkpoint.variables, ClipTokenizer(), digest, dtype)
    pinned = [source.sha256 for source in entry.sources]
    digest = hub.sha256_of(entry.place)
    if layout is None or digest not in pinned:
        raise UsageError(
            f"{entry.name}: expected {entry.place} with SHA-256 {' or '.join(map(str, pinned)) or 'of a pinned file'}, "
            f"got {digest}; the file is truncated, altered or another: delete it, then {entry.how_to_get}"
        )
    variables = files.read_foreign(entry.place, model, layout, entry.name)
    return _encoder(entry.name, model, variables, ClipTokenizer(), digest, dtype)


def _embedded(name: str, dtype: Any) -> Encoder:
    path = catalog.EMBEDDED_FOLDER / f"{name}.safetensors"
    if not path.is_file():
        raise UsageError(f"{name}: expected {path}, which comes with the project, got no such file; check it out again")
    digest = hub.check_sha256(path, EMBEDDED[name], name)
    return _own(name, path, digest, dtype)


def _own(name: str, path: pathlib.Path, digest: str, dtype: Any) -> Encoder:
    found = files.read(path, name)
    return _encoder(name, found.model, found.variables, found.tokenizer, digest, dtype, mean=found.mean, std=found.std)


def _load_file(name: str, rest: str, dtype: Any) -> Encoder:
    """`file:PATH`."""
    path = own_file(name, rest)
    return _own(name, path, hub.sha256_of(path), dtype)


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
    """`open_clip:ARCHITECTURE/PATH`."""
    return _read_foreign(name, foreign.open_clip(name, rest), dtype)


def _load_huggingface(name: str, rest: str, dtype: Any) -> Encoder:
    """`hf:PATH` or `hf:OWNER/NAME@COMMIT`."""
    return _read_foreign(name, foreign.huggingface(name, rest), dtype)


def _read_foreign(name: str, found: CheckpointFiles, dtype: Any) -> Encoder:
    variables = files.read_foreign(found.path, found.model, found.layout, name)
    digest = hub.sha256_of_files(found.files)
    normalisation = dataclasses.asdict(found.pixels)
    return _encoder(name, found.model, variables, found.tokenizer, digest, dtype, **normalisation)


def _load_openai(name: str, rest: str, dtype: Any) -> Encoder:
    """`openai:PATH`."""
    model, variables, digest = read_openai(name, pathlib.Path(rest).expanduser())
    return _encoder(name, model, variables, ClipTokenizer(), digest, dtype)


def read_openai(name: str, path: pathlib.Path) -> tuple[DualEncoder, PyTree, str]:
    """Return the architecture, the variables and the SHA-256 of OpenAI's original file.

    Raises:
        UsageError: It is none, or one of OpenAI's that was altered.
    """
    model, variables = _torchscript(path, name)
    digest = hub.sha256_of(path)
    known = {entry.openai_sha256: entry for entry in ENTRIES.values()}
    named = [entry for entry in ENTRIES.values() if architectures.build(entry.architecture) == model]
    if named and digest not in known:
        raise UsageError(
            f"{name}: expected OpenAI's file of {named[0].name} with SHA-256 {named[0].openai_sha256}, got {digest}; "
            "the file is truncated, altered or another: get it again"
        )
    return model, variables, digest


def _torchscript(path: pathlib.Path, where: str) -> tuple[DualEncoder, PyTree]:
    """Architecture and variables of OpenAI's original file; all of OpenAI's models are QuickGELU."""
    tensors = files.read_torchscript(path, where)
    shapes = {name: np.shape(tensor) for name, tensor in tensors.items()}
    name = layouts.find_architecture("open_clip", shapes) or architectures.NAMES[0]
    model = architectures.build(name + architectures.QUICK)
    layouts.check(model, "open_clip", shapes, where)
    return model, layouts.to_variables(model, "open_clip", lambda key: tensors[key])


def _load_clip_jax(name: str, rest: str, dtype: Any) -> Encoder:
    """`clip-jax:PATH`."""
    from models.clip.checkpoints import clip_jax

    return clip_jax.load(name, pathlib.Path(rest).expanduser(), dtype)


SCHEMES: dict[str, Callable[[str, str, Any], Encoder]] = {
    "open_clip": _load_open_clip,
    "hf": _load_huggingface,
    "openai": _load_openai,
    "file": _load_file,
    "clip-jax": _load_clip_jax,
}
