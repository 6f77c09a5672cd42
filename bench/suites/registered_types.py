"""Names the types of this project that can stand in a trial's identity, each with the version of what it computes.

A trial is found again by its identity, so an identity must not change when a file moves or a class gets another name:
the names below stay as they are, and only the left side follows the code. When a type computes something else than
before, raise its version here: its trials are then others, and are trained anew.
`tests/bench/suites/test_identity_golden.py` holds what every version computes, and fails where code and version
disagree.

Rounding is not another computation. Where the same formula gives results that differ by no more than float32 rounds,
the version stays: a new release of JAX, or another device, changes as much. So it was when DietNeRF with
`pose_distribution="interpolated"` took SciPy's Slerp, as JAX has it, in place of our own: its poses moved by 7e-7.
"""

from __future__ import annotations

from typing import NamedTuple

from bench.errors import UsageError
from bench.import_paths import OURS


class Registered(NamedTuple):
    """A name that stays, and the version of what stands behind it."""

    name: str
    version: int

    def __str__(self) -> str:
        return f"{self.name}/{self.version}"


TYPES: dict[str, Registered] = {
    # methods
    "models.method:Method": Registered("Method", 1),
    "models.nerf:NeRF": Registered("NeRF", 1),
    "models.dietnerf:DietNeRF": Registered("DietNeRF", 1),
    "models.dream_fields.method:DreamFields": Registered("DreamFields", 1),
    "bench.plugins.imported_renders:ImportedRenders": Registered("ImportedRenders", 1),
    "bench.drill.mean_color:MeanColor": Registered("MeanColor", 1),
    # fields
    "models.fields.networks:MLP": Registered("MLP", 1),
    "models.fields.networks:ResidualMLP": Registered("ResidualMLP", 1),
    "models.fields.networks:Voxels": Registered("Voxels", 1),
    "models.fields.hash_grid:HashGrid": Registered("HashGrid", 1),
    # encodings
    "models.fields.encodings:IdentityEncoding": Registered("Raw", 1),
    "models.fields.encodings:Positional": Registered("Positional", 1),
    "models.fields.encodings:IntegratedPositional": Registered("Integrated", 1),
    "models.fields.encodings:DirectionEncoding": Registered("Directions", 1),
    "models.fields.encodings:FourierFeatures": Registered("FourierFeatures", 1),
    # encoders
    "models.clip.networks.dual_encoder:DualEncoder": Registered("DualEncoder", 1),
    "models.clip.networks.vit:VisionTransformer": Registered("VisionTransformer", 1),
    "models.clip.networks.resnet:ModifiedResNet": Registered("ModifiedResNet", 1),
    "models.clip.networks.resnet:Bottleneck": Registered("Bottleneck", 1),
    "models.clip.networks.resnet:AttentionPool": Registered("AttentionPool", 1),
    "models.clip.networks.text_transformer:TextTransformer": Registered("TextTransformer", 1),
    "models.clip.networks.transformer:Attention": Registered("Attention", 1),
    "models.clip.networks.transformer:Block": Registered("Block", 1),
    "models.imagenet.efficientnet_lite:EfficientNetLite": Registered("EfficientNetLite", 1),
    "models.imagenet.efficientnet_lite:InvertedResidual": Registered("InvertedResidual", 1),
    "models.imagenet.windows:DepthwiseConvolution": Registered("DepthwiseConvolution", 1),
    "models.imagenet.convolution_stack:ConvolutionStack": Registered("ConvolutionStack", 1),
    "models.clip.tokenizers:ClipTokenizer": Registered("ClipTokenizer", 1),
    "models.clip.tokenizers:WordTokenizer": Registered("WordTokenizer", 1),
    # tasks
    "tasks.sparse_views.embedded:SparseViews": Registered("SparseViews", 1),
    "tasks.sparse_views.nerf_synthetic:BlenderScene": Registered("BlenderScene", 1),
    "tasks.sparse_views.captured.captured_scene:CapturedScene": Registered("CapturedScene", 1),
    "tasks.sparse_views.noise_scene:NoiseScene": Registered("NoiseScene", 1),
    "tasks.captions.caption_task:CaptionTask": Registered("CaptionTask", 1),
    "tasks.captions.caption_sets:CaptionSet": Registered("CaptionSet", 1),
    "tasks.task:DataShapes": Registered("Layout", 1),
}
"""By `module:class`. A class that is renamed keeps its name here; no name is given twice."""


def is_ours(module: str) -> bool:
    """Tell whether a module, by its dotted name, belongs to this project."""
    return module.split(".")[0] in OURS


def registered(kind: type) -> Registered | None:
    """Look up a type of this project; None for a type of anybody else's.

    Raises:
        UsageError: It is of this project and not in the table, which is a mistake of ours.
    """
    if not is_ours(kind.__module__):
        return None
    key = f"{kind.__module__}:{kind.__qualname__}"
    if key not in TYPES:
        raise UsageError(
            f"{key}: expected a registered type, got one that is not in bench/suites/registered_types.py, so that a "
            "trial of it could not be found again; add it there with version 1"
        )
    return TYPES[key]
