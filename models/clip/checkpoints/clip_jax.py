"""Loads checkpoints of the package clip-jax as encoders, which run that package's own code behind our interface.

A checkpoint is a folder with `config.json` and one folder for each saved step, as the package's training writes it.
Importing this file does not import the package.

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
from models.clip.checkpoints import settings
from models.clip.checkpoints.files import sha256_of_variables
from models.clip.encoder import Encoder
from models.clip.networks import dual_encoder
from models.clip.tokenizers import CLIP_END, CLIP_NUM_TOKENS, ClipTokenizer

INSTALL = "pip install '.[clip-jax]'"

HALF = (0.5, 0.5, 0.5)
"""Mean and standard deviation of pixels: the package's training maps [0, 1] to [-1, 1]."""


@dataclasses.dataclass(frozen=True)
class ClipJaxTowers:
    """The package's model with the interface that `Encoder` needs.

    Attributes:
        config: The checkpoint's `config.json` with the requested compute type, as text so that it can be hashed.
    """

    config: str

    @property
    def image_px(self) -> int:
        """Width and height of its images."""
        return _read(self.config)["vision_config"]["image_size"]

    @property
    def context_length(self) -> int:
        """Tokens of a text; 0 for a captioning model, which embeds images only."""
        text = _read(self.config)["text_config"]
        return 0 if text.get("is_decoder", True) else text["max_length"]

    @property
    def image_feature_names(self) -> tuple[str, ...]:
        """Names of image features: `embedding` only if the model pools; `spatial` is all its last tokens."""
        pools = _read(self.config)["vision_config"].get("pool_type") is not None
        return ("embedding", "pooled", "spatial") if pools else ("spatial",)

    @property
    def text_feature_names(self) -> tuple[str, ...]:
        """Names of text features."""
        return ("embedding", "pooled") if self.context_length else ()

    def image(self, params: PyTree, images: Float[Array, "b h w 3"], feature: str) -> Float[Array, "b f"]:
        """Compute a feature of normalised images."""
        model = _model(self.config)
        with _allow_rank_promotion():
            found = model.apply(params, pixel_values=images, method=model.get_image_features)
        if feature == "embedding":
            return found["image_embeds"]
        outputs = found["vision_model_output"]
        features = outputs["pooled_output"] if feature == "pooled" else outputs["last_hidden_state"]
        return features.reshape(features.shape[0], -1)

    def text(self, params: PyTree, tokens: Int[Array, "b t"], feature: str) -> Float[Array, "b f"]:
        """Compute a feature of tokens; tokens after the end of text are padding."""
        model = _model(self.config)
        end = _read(self.config)["text_config"].get("eos_token_id")
        after = jnp.cumsum(tokens == end, axis=1) - (tokens == end)
        positions = jnp.broadcast_to(jnp.arange(tokens.shape[1])[None], tokens.shape)
        with _allow_rank_promotion():
            found = model.apply(
                params,
                input_ids=tokens,
                attention_mask=(after == 0).astype(jnp.int32),
                position_ids=positions,
                method=model.get_text_features,
            )
        return found["text_embeds"] if feature == "embedding" else found["text_model_output"]["pooled_output"]

    def logit_scale(self, params: PyTree) -> Float[Array, ""]:
        """Return the factor of cosines in logits."""
        return jnp.exp(params["params"]["logit_scale"][0])


def load_checkpoint(name: str, path: pathlib.Path, dtype: Any) -> Encoder:
    """Load the latest step of a checkpoint's folder, or the step whose folder is given.

    Raises:
        UsageError: The extra is not installed, or it is no such folder, or its tensors do not fit its configuration.
    """
    _package(name)
    found = describe_checkpoint(name, path)
    config = copy.deepcopy(found.config)
    for part in (config, config["vision_config"], config["text_config"]):
        part["dtype"] = str(jnp.dtype(dtype))
        # JSON has lists where the package has tuples.
        part.update({key: tuple(value) for key, value in part.items() if isinstance(value, list)})
    towers = ClipJaxTowers(json.dumps(config, sort_keys=True))
    params = {"params": _restore(name, found.folder, towers.config)}
    return Encoder(
        name=name,
        params=params,
        towers=towers,
        tokenizer=found.tokenizer,
        mean=HALF,
        std=HALF,
        sha256=sha256_of_variables(params),
    )


@dataclasses.dataclass(frozen=True, kw_only=True)
class Description:
    """A checkpoint on disk, without its tensors.

    Attributes:
        config: Content of its `config.json`.
        folder: Folder of its step.
        tokenizer: None if its vocabulary is not CLIP's; then only token ids are known.
    """

    config: dict[str, Any]
    folder: pathlib.Path
    tokenizer: ClipTokenizer | None

    @property
    def image_px(self) -> int:
        """Width and height of its images."""
        return self.config["vision_config"]["image_size"]

    @property
    def files(self) -> list[pathlib.Path]:
        """Files of the step, sorted."""
        return sorted(path for path in self.folder.rglob("*") if path.is_file())


def describe_checkpoint(name: str, path: pathlib.Path) -> Description:
    """Describe a checkpoint's folder. This needs no package, and reads no tensor.

    Raises:
        UsageError: It is no such folder.
    """
    folder, config_path = _find_step(name, path)
    config = settings.read_settings(config_path, name)
    if config.values.get("maxtext_mesh") or "vision_config" not in config or "text_config" not in config:
        raise UsageError(f"{name}: expected the config.json of a CLIPModel of clip-jax, got another; choose another")
    if config.part("vision_config").count("image_size", 0) == 0:
        config.refuse("vision_config", "with image_size")
    text = config.part("text_config").values
    context_length = 0 if text.get("is_decoder", True) else text.get("max_length", 0)
    is_clip_vocabulary = text.get("vocab_size") == CLIP_NUM_TOKENS and text.get("eos_token_id") == CLIP_END
    tokenizer = None
    if context_length and is_clip_vocabulary:
        tokenizer = ClipTokenizer(context_length=context_length)
    return Description(config=dict(config.values), folder=folder, tokenizer=tokenizer)


def _find_step(name: str, path: pathlib.Path) -> tuple[pathlib.Path, pathlib.Path]:
    """Find the folder of the latest step, and the configuration beside it."""
    steps = [folder for folder in path.glob("*") if folder.is_dir() and folder.name.isdigit()]
    steps.sort(key=lambda folder: int(folder.name))
    if not steps and path.name.isdigit() and path.is_dir():
        steps = [path]
        path = path.parent
    config = path / "config.json"
    if not steps or not config.is_file():
        lacks = "config.json" if steps else "folder of a step"
        raise UsageError(
            f"{name}: expected a folder of clip-jax, with config.json and a folder a step, got {path} without a "
            f"{lacks}; check the path"
        )
    return steps[-1], config


def _restore(name: str, folder: pathlib.Path, config: str) -> dict[str, Any]:
    """Read the parameters of a step, after comparing their names and shapes with the configuration's."""
    import orbax.checkpoint

    item = folder / "default" if (folder / "default").is_dir() else folder
    checkpointer = orbax.checkpoint.PyTreeCheckpointer()
    try:
        metadata = checkpointer.metadata(item.absolute())
    except (OSError, ValueError) as error:
        raise UsageError(f"{name}: expected a checkpoint in {item}, got {str(error)[:160]!r}; copy it again") from error
    shapes = {path: tuple(leaf.shape) for path, leaf in dual_encoder.flatten(_params(metadata)).items()}
    for path, shape in _parameter_shapes(config).items():
        key = next((key for key in (path, f"{path}/value") if key in shapes), None)
        if key is None or shapes[key] != shape:
            got = f"shape {shapes[key]}" if key else "no such tensor"
            raise UsageError(
                f"{name}: expected params/{path} of shape {shape}, got {got}; config.json is not that of these tensors"
            )
    # As NumPy arrays, because it was saved from other devices. States of the optimiser stay on disk.
    template = {"params": _params(metadata)}
    as_numpy = jax.tree.map(lambda _: orbax.checkpoint.RestoreArgs(restore_type=np.ndarray), template)
    tree = checkpointer.restore(item.absolute(), item=template, restore_args=as_numpy, transforms={})["params"]
    flat = {path.removesuffix("/value"): leaf for path, leaf in dual_encoder.flatten(tree).items()}
    params = {path: jnp.asarray(np.asarray(flat[path]), jnp.float32) for path in _parameter_shapes(config)}
    return dual_encoder.unflatten(params)


def _params(metadata: Any) -> dict[str, Any]:
    """Return orbax's description of the tensors under `params`."""
    tree = getattr(metadata, "item_metadata", metadata)
    return dict(getattr(tree, "tree", tree))["params"]


@functools.lru_cache(maxsize=8)
def _parameter_shapes(config: str) -> dict[str, tuple[int, ...]]:
    """Return the shape of each parameter of a configuration."""
    from clip_jax.utils import unbox_logicallypartioned

    model = _model(config)
    inputs = model.init_inputs(jax.random.key(0))
    with _allow_rank_promotion():
        boxed = jax.eval_shape(lambda: model.init(**inputs))["params"]
    params = dual_encoder.flatten(unbox_logicallypartioned(boxed))
    return {path: tuple(leaf.shape) for path, leaf in params.items()}


@functools.lru_cache(maxsize=8)
def _read(config: str) -> dict[str, Any]:
    return json.loads(config)


@functools.lru_cache(maxsize=8)
def _model(config: str) -> Any:
    """Build the package's linen module, which contains dicts and therefore cannot be hashed."""
    return _package("clip-jax").CLIPModel(**_read(config))


def _package(name: str) -> Any:
    """Import the package, only when it is needed."""
    try:
        import clip_jax
    except ImportError as error:  # also: einshape missing, or a transformers that has no Flax any more
        raise UsageError(
            f"{name}: expected the extra clip-jax (clip-jax==0.0.6, einshape, transformers<5), got "
            f"{str(error)[:120]!r}; do `{INSTALL}`"
        ) from error
    return clip_jax


@contextlib.contextmanager
def _allow_rank_promotion() -> Iterator[None]:
    """Allow the package to add arrays of different ranks, which is an error in this project."""
    with jax.numpy_rank_promotion("allow"):
        yield
