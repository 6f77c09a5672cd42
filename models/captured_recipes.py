"""Defines the recipes of NeRF and DietNeRF for scenes that somebody photographed, by what lies around the scene.

`NeRF.fit_to_world` makes them of any recipe. Sparse-view suites fit their arms so to a captured scene; the names here
are for runs of one method.
"""

from __future__ import annotations

import dataclasses

from models.dietnerf import DIETNERF
from models.nerf import FIELD_2021, NERF, NERF_2021

NERF_LLFF_2020 = dataclasses.replace(
    NERF_2021,
    field=dataclasses.replace(FIELD_2021, density_noise=1.0),
    num_rays=4096,
    batching="all views",
    precrop_steps=0,
    final_rate=0.1**0.8,
    ndc=True,
)
"""NeRF as its code trains it on forward-facing photographs, for 200,000 steps (paper_configs/llff_config.txt of
bmild/nerf), initialised as in DietNeRF's code."""

NERF_UNBOUNDED = NERF.fit_to_world("unbounded")
"""`NERF` for a scene without an end: contraction, and samples in inverse depth."""

NERF_FORWARD_FACING = NERF.fit_to_world("forward-facing")
"""`NERF` for forward-facing photographs: samples in inverse depth between the scene's bounds."""

DIETNERF_UNBOUNDED = DIETNERF.fit_to_world("unbounded")
"""`DIETNERF` for a scene without an end."""

DIETNERF_FORWARD_FACING = DIETNERF.fit_to_world("forward-facing")
"""`DIETNERF` for forward-facing photographs."""
