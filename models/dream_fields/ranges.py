"""Decides which values the settings of Dream Fields may have."""

from __future__ import annotations

import inspect
from typing import Any

from bench.errors import UsageError
from models.clip.guide_names import check_guides

RANGES = {
    "crop_share": (0.05, 1.0),
    "close_share": (0.0, 1.0),
    "close_crop_share": (0.05, 1.0),
    "silhouette_share": (0.0, 1.0),
    "max_blur_px": (0.0, 100.0),
    "transmittance_weight": (0.0, 1e3),
    "first_opacity": (1e-3, 1.0),
    "last_opacity": (1e-3, 1.0),
    "opacity_share": (0.0, 1.0),
    "beta_weight": (0.0, 1e3),
    "beta_after": (0.0, 1.0),
    "distortion_weight": (0.0, 1e3),
    "last_sharpness": (1e-2, 1e3),
    "negative_weight": (0.0, 1e3),
    "contrast_weight": (0.0, 1e3),
    "half_width": (1e-3, 2.0),
    "origin_decay": (0.0, 1.0),
    "azimuth_deg": (0.0, 360.0),
    "low_deg": (-89.0, 89.0),
    "high_deg": (-89.0, 89.0),
    "radius": (3.5, 100.0),
    "focal_multiplier": (0.1, 10.0),
    "variance_scale": (0.0, 10.0),
    "first_blur": (0.0, 100.0),
    "blur_share": (0.0, 1.0),
    "learning_rate": (0.0, 1e3),
    "first_rate": (1e-6, 1.0),
    "warmup": (0.0, 1.0),
    "adam_epsilon": (0.0, 1.0),
}
"""Smallest and largest value of each number."""


def check_ranges(method: Any) -> None:
    """Refuse a hyperparameter outside its range.

    Raises:
        UsageError: With the nearest value that is allowed.
    """
    for name, (low, high) in RANGES.items():
        value = getattr(method, name)
        if not low <= value <= high:
            best = low if value < low else high
            raise UsageError(f"dream_fields: expected {name} from {low:g} to {high:g}, got {value:g}; try {best:g}")


def check_settings(method: Any) -> None:
    """Refuse settings that do not fit together, and guides that may not guide.

    Raises:
        UsageError: With what to write instead.
    """
    if method.prompt.count("{}") != 1:
        raise UsageError(
            f"dream_fields: expected one {{}} for the caption in prompt, got {method.prompt!r}; try 'a photo of {{}}'"
        )
    if method.proposal_bins is not None and (method.proposal_bins < 2 or not method.bounds):
        raise UsageError(
            f"dream_fields: expected proposal_bins from 2 together with bounds, got {method.proposal_bins} and "
            f"bounds={method.bounds}; the grid covers the cube of the bounds: try proposal_bins=192 and bounds=True"
        )
    if method.low_deg > method.high_deg:
        raise UsageError(
            f"dream_fields: expected low_deg up to high_deg, got {method.low_deg:g} and {method.high_deg:g}; swap them"
        )
    if method.encoder is not None:
        check_guides(method.encoder, "dream_fields")
    if method.last_sharpness != 1 and "sharpness" not in inspect.signature(type(method.field).__call__).parameters:
        raise UsageError(
            f"dream_fields: expected a field that takes `sharpness` for last_sharpness={method.last_sharpness:g}, got "
            f"{type(method.field).__name__}; give its __call__ that argument, or take a field of models/fields"
        )
