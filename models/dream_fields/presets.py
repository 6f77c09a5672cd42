"""Names the variants of Dream Fields: the recipe for the embedded world, its ablations, and the released recipe."""

from __future__ import annotations

import dataclasses

from models.dream_fields.method import ENCODING, DreamFields
from models.fields.encodings import Positional
from models.fields.hash_grid import HashGrid
from models.fields.networks import MLP, ResidualMLP, Voxels

DREAM_FIELDS = DreamFields()
"""The recipe for the embedded world: the paper's mechanisms, with cameras and schedules for its small views."""

DREAM_FIELDS_SHAPE = DreamFields(
    field=ResidualMLP(encoding=dataclasses.replace(ENCODING, num_octaves=5), dtype=None),
    silhouette_share=0.25,
    low_deg=0.0,
    high_deg=60.0,
)
"""The recipe for recognisable objects, for the sizes and the guide of the budget `fine`.

The encoding has one octave more than that of `DREAM_FIELDS`, a quarter of the crops show the shape alone, and cameras
go from the horizon to 60 degrees. The suite `recognition` asks what each part brings.
"""


def embedded_recipe(budget: str) -> tuple[str, DreamFields]:
    """Return the recipe of a budget for the embedded world, with its short name.

    Args:
        budget: Name of the budget. `fine` has the guide and the sizes for recognisable objects.
    """
    if budget == "fine":
        return "dream_fields_shape", DREAM_FIELDS_SHAPE
    return "dream_fields", DREAM_FIELDS


PLAIN = dataclasses.replace(DREAM_FIELDS, crop_share=1.0, backgrounds=("white",), max_blur_px=0.0)
"""Dream Fields without augmentation (no crops, white background); known to give adversarial objects."""

SIMPLE_FIELD = MLP(encoding=Positional(num_octaves=6), view_directions=False, density_activation="softplus", dtype=None)
"""NeRF's network as in Simplified NeRF."""

SIMPLIFIED = dataclasses.replace(PLAIN, field=SIMPLE_FIELD, transmittance="none", bounds=False, first_blur=0.0)
"""The first row of the paper's Table 1: no prior at all."""

VOXELS = dataclasses.replace(DREAM_FIELDS, field=Voxels(half_width=1.2, resolution=48), learning_rate=0.1)
"""A voxel grid of density and colour instead of a network."""

HASH_GRID = dataclasses.replace(
    DREAM_FIELDS,
    field=HashGrid(
        half_width=1.2, width=64, density_activation="softplus", base_resolution=8, finest_resolution=64, dtype=None
    ),
    learning_rate=1e-2,
)
"""A multi-resolution hash grid, which is newer than the original papers."""

DREAM_FIELDS_2022 = DreamFields(
    field=ResidualMLP(dtype=None),
    crop_share=154 / 168,
    max_blur_px=10.0,
    last_opacity=0.12,
    opacity_share=0.05,
    half_width=1.0,
    origin_decay=0.999,
    focal_multiplier=1.2,
    cut_at_bounds=False,
    variance_scale=1 / 12,
    blur_share=0.1,
    learning_rate=1e-4,
    first_rate=0.1,
    warmup=0.15,
    skip_bad_steps=True,
)
"""The recipe of the released code. Where paper and code differ, these decisions follow the code:

- The transmittance target goes from 0.40 to 0.88 (section 4.5), which is what the code's factor of 1.2 gives.
- Backgrounds are uniform noise, checkerboard and Fourier texture, a third each. The text says Gaussian noise.
- The encoding is annealed over a tenth of the steps, although a comment in the code says that it is not.
- Directions of the encoding are normalised along the wrong axis (`FourierFeatures.unit_directions=False`), and the
  variance across a ray is divided by 12 twice (`variance_scale`).
- The origin is not tracked: the code freezes it into its compiled step.
- Scored views have no zoom and no cut at the bounds. A step that is not finite is skipped.

Two things differ from the code: the scale of the encoding falls linearly from 2 to 1, not as 2^(1 - share), and the
warm-up of the learning rate is one step ahead.
"""


def preset_2022(num_steps: int, render_px: int, crop_px: int) -> DreamFields:
    """Build one of the released presets, which differ in sizes and number of steps only."""
    return dataclasses.replace(
        DREAM_FIELDS_2022,
        num_steps=num_steps,
        render_px=render_px,
        crop_share=crop_px / render_px,
        opacity_share=500 / num_steps,
        blur_share=1000 / num_steps,
        warmup=1500 / num_steps,
        num_samples=192,
        num_view_samples=512,
        field=ResidualMLP(width=128, num_blocks=4, dtype=None),
    )


DREAM_FIELDS_LQ = preset_2022(10_000, 88, 80)
DREAM_FIELDS_MQ = preset_2022(10_000, 168, 154)
DREAM_FIELDS_HQ = preset_2022(20_000, 252, 224)
"""The released presets of low, medium and high quality. The paper uses the medium one for all its ablations."""


def fast_preset(released: DreamFields) -> DreamFields:
    """Build the fast form of a released preset: in bfloat16, with a third of the samples, where the field is dense.

    All else is as released: sizes, steps, losses, cameras.
    """
    samples = released.num_samples or 0
    return dataclasses.replace(
        released,
        field=dataclasses.replace(released.field, dtype="bfloat16"),  # type: ignore[call-arg]
        encoder_dtype="bfloat16",
        num_samples=samples // 3,
        proposal_bins=samples,
    )


DREAM_FIELDS_LQ_FAST = fast_preset(DREAM_FIELDS_LQ)
DREAM_FIELDS_MQ_FAST = fast_preset(DREAM_FIELDS_MQ)
DREAM_FIELDS_HQ_FAST = fast_preset(DREAM_FIELDS_HQ)
"""The released presets, as fast as they get here."""
