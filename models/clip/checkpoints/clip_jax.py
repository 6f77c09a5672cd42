"""How a checkpoint of the package clip-jax becomes an encoder: its own code runs, behind our interface.

A checkpoint is a folder with `config.json` and one folder a step, as that package's training writes it. Importing
this file does not import the package.

b: images or texts, h and w: pixels, t: tokens, f: features.
"""

from __future__ import annotations

import contextlib
import copy
import dataclasses
import functools
import json
import pathlib
from collections.abc import Iterator
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, PyTree

from bench.errors import UsageError
from models.clip.checkpoints import files as files_module
from models.clip.checkpoints import settings
from models.clip.encoder import Encoder
from models.clip.networks import dual_encoder
from models.clip.tokenizers import CLIP_END, CLIP_NUM_TOKENS, ClipTokenizer

INSTALL = "pip install '.[clip-jax]'"

HALF = (0.5, 0.5, 0.5)
"""Mean and deviation of the pixels: that package's training maps [0, 1] to [-1, 1]."""


@dataclasses.dataclass(frozen=True)
class ClipJaxTowers:
    """The package's model, as `Encoder` wants it.

    Attributes:
        config: The checkpoint's `config.json`, with the compute type wanted, as text so that it can be hashed.
    """

    config: str

    @property
    def image_px(self) -> int:
        """Width and height of the images it takes."""
        return _read(self.config)["vision_config"]["image_size"]

    @property
    def context_length(self) -> int:
        """Tokens of a text; 0 if it reads none: a captioning model only sees."""
        text = _read(self.config)["text_config"]
        return 0 if text.get("is_decoder", True) else text["max_length"]

    @property
    def image_feature_names(self) -> tuple[str, ...]:
        """What may be asked about an image: `embedding` only if the model pools; `spatial` is all its last tokens."""
        pools = _read(self.config)["vision_config"].get("pool_type") is not None
        return ("embedding", "pooled", "spatial") if pools else ("spatial",)

    @property
    def text_feature_names(self) -> tuple[str, ...]:
        """What may be asked about a text."""
        return ("embedding", "pooled") if self.context_length else ()

    def image(self, params: PyTree, images: Float[Array, "b h w 3"], feature: str) -> Float[Array, "b f"]:
        """Features of normalised images."""
        model = _model(self.config)
        with _their_rules():
            found = model.apply(params, pixel_values=images, method=model.get_image_features)
        if feature == "embedding":
            return found["image_embeds"]
        said = found["vision_model_output"]
        kept = said["pooled_output"] if feature == "pooled" else said["last_hidden_state"]
        return kept.reshape(kept.shape[0], -1)

    def text(self, params: PyTree, tokens: Int[Array, "b t"], feature: str) -> Float[Array, "b f"]:
        """Features of tokens; what follows the end of text is padding."""
        model = _model(self.config)
        end = _read(self.config)["text_config"].get("eos_token_id")
        after = jnp.cumsum(tokens == end, axis=1) - (tokens == end)
        positions = jnp.broadcast_to(jnp.arange(tokens.shape[1])[None], tokens.shape)
        with _their_rules():
            found = model.apply(
                params,
                input_ids=tokens,
                attention_mask=(after == 0).astype(jnp.int32),
                position_ids=positions,
                method=model.get_text_features,
            )
        return found["text_embeds"] if feature == "embedding" else found["text_model_output"]["pooled_output"]

    def logit_scale(self, params: PyTree) -> Float[Array, ""]:
        """What cosines are multiplied by."""
        return jnp.exp(params["params"]["logit_scale"][0])


def load(name: str, path: pathlib.Path, dtype: Any) -> Encoder:
    """The encoder of a checkpoint's folder, or of one step's folder in it; the latest step if there are several.

    Raises:
        UsageError: The extra is not installed, or it is no such folder, or its tensors are not those of its
            configuration.
    """
    _package(name)
    found = describe(name, path)
    config = copy.deepcopy(found.config)
    for part in (config, config["vision_config"], config["text_config"]):
        part["dtype"] = str(jnp.dtype(dtype))
        # Lists in JSON, tuples in the package.
        part.update({key: tuple(value) for key, value in part.items() if isinstance(value, list)})
    towers = ClipJaxTowers(json.dumps(config, sort_keys=True))
    params = {"params": _restored(name, found.folder, towers.config)}
    return Encoder(
        name=name,
        params=params,
        towers=towers,
        tokenizer=found.tokenizer,
        mean=HALF,
        std=HALF,
        sha256=files_module.sha256_of_variables(params),
    )


@dataclasses.dataclass(frozen=True, kw_only=True)
class Description:
    """A checkpoint on disk, its tensors not yet read.

    Attributes:
        config: All of its `config.json`.
        folder: Of its step.
        tokenizer: None if its vocabulary is not CLIP's: then only ids are known.
    """

    config: dict[str, Any]
    folder: pathlib.Path
    tokenizer: ClipTokenizer | None

    @property
    def image_px(self) -> int:
        """Width and height of the images it takes."""
        return self.config["vision_config"]["image_size"]

    @property
    def files(self) -> list[pathlib.Path]:
        """All files of the step, in order."""
        return sorted(path for path in self.folder.rglob("*") if path.is_file())


def describe(name: str, path: pathlib.Path) -> Description:
    """Return what a checkpoint's folder says; the package is not needed, and no tensor is read.

    Raises:
        UsageError: It is no such folder.
    """
    folder, config_path = _step(name, path)
    said = settings.read(config_path, name)
    if said.values.get("maxtext_mesh") or "vision_config" not in said or "text_config" not in said:
        raise UsageError(f"{name}: expected the config.json of a CLIPModel of clip-jax, got another; choose another")
    if said.part("vision_config").count("image_size", 0) == 0:
        said.refuse("vision_config", "with image_size")
    text = said.part("text_config").values
    context_length = 0 if text.get("is_decoder", True) else text.get("max_length", 0)
    reads = context_length and text.get("vocab_size") == CLIP_NUM_TOKENS and text.get("eos_token_id") == CLIP_END
    tokenizer = ClipTokenizer(context_length=context_length) if reads else None
    return Description(config=dict(said.values), folder=folder, tokenizer=tokenizer)


def _step(name: str, path: pathlib.Path) -> tuple[pathlib.Path, pathlib.Path]:
    """The folder of a step and the configuration beside it."""
    steps = sorted((p for p in path.glob("*") if p.is_dir() and p.name.isdigit()), key=lambda p: int(p.name))
    if not steps and path.name.isdigit() and path.is_dir():
        steps, path = [path], path.parent
    config = path / "config.json"
    if not steps or not config.is_file():
        lacks = "config.json" if steps else "folder of a step"
        raise UsageError(
            f"{name}: expected a folder of clip-jax, with config.json and a folder a step, got {path} without a "
            f"{lacks}; check the path"
        )
    return steps[-1], config


def _restored(name: str, folder: pathlib.Path, config: str) -> dict[str, Any]:
    """Parameters of a step, after their names and shapes were compared with the configuration's."""
    import orbax.checkpoint

    item = folder / "default" if (folder / "default").is_dir() else folder
    checkpointer = orbax.checkpoint.PyTreeCheckpointer()
    try:
        metadata = checkpointer.metadata(item.absolute())
    except (OSError, ValueError) as error:
        raise UsageError(f"{name}: expected a checkpoint in {item}, got {str(error)[:160]!r}; copy it again") from error
    there = {path: tuple(leaf.shape) for path, leaf in dual_encoder.flatten(_params(metadata)).items()}
    for path, shape in _wanted(config).items():
        key = next((key for key in (path, f"{path}/value") if key in there), None)
        if key is None or there[key] != shape:
            got = f"shape {there[key]}" if key else "no such tensor"
            raise UsageError(
                f"{name}: expected params/{path} of shape {shape}, got {got}; config.json is not that of these tensors"
            )
    # As NumPy arrays: the devices it was saved from are not those of this machine. Optimiser states stay on disk.
    wanted = {"params": _params(metadata)}
    as_numpy = jax.tree.map(lambda _: orbax.checkpoint.RestoreArgs(restore_type=np.ndarray), wanted)
    tree = checkpointer.restore(item.absolute(), item=wanted, restore_args=as_numpy, transforms={})["params"]
    flat = {path.removesuffix("/value"): leaf for path, leaf in dual_encoder.flatten(tree).items()}
    return dual_encoder.unflatten({path: jnp.asarray(np.asarray(flat[path]), jnp.float32) for path in _wanted(config)})


def _params(metadata: Any) -> dict[str, Any]:
    """What orbax says of the tensors under `params`."""
    tree = getattr(metadata, "item_metadata", metadata)
    return dict(getattr(tree, "tree", tree))["params"]


@functools.lru_cache(maxsize=8)
def _wanted(config: str) -> dict[str, tuple[int, ...]]:
    """Shape of each parameter of a configuration."""
    from clip_jax.utils import unbox_logicallypartioned

    model = _model(config)
    inputs = model.init_inputs(jax.random.key(0))
    with _their_rules():
        boxed = jax.eval_shape(lambda: model.init(**inputs))["params"]
    return {path: tuple(leaf.shape) for path, leaf in dual_encoder.flatten(unbox_logicallypartioned(boxed)).items()}


@functools.lru_cache(maxsize=8)
def _read(config: str) -> dict[str, Any]:
    return json.loads(config)


@functools.lru_cache(maxsize=8)
def _model(config: str) -> Any:
    """The package's linen module; it holds dicts, so it cannot be hashed itself."""
    return _package("clip-jax").CLIPModel(**_read(config))


def _package(name: str) -> Any:
    """The package, imported only now."""
    try:
        import clip_jax
    except ImportError as error:  # also: einshape missing, or a transformers that has no Flax any more
        raise UsageError(
            f"{name}: expected the extra clip-jax (clip-jax==0.0.6, einshape, transformers<5), got "
            f"{str(error)[:120]!r}; do `{INSTALL}`"
        ) from error
    return clip_jax


@contextlib.contextmanager
def _their_rules() -> Iterator[None]:
    """The package adds arrays of different ranks."""
    with jax.numpy_rank_promotion("allow"):
        yield
