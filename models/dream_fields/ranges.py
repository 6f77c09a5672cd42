"""Decides which values the hyperparameters of Dream Fields may have."""

from __future__ import annotations

from typing import Any

from bench.errors import UsageError

RANGES = {
    "crop_share": (0.05, 1.0),
    "max_blur_px": (0.0, 100.0),
    "transmittance_weight": (0.0, 1e3),
    "first_opacity": (1e-3, 1.0),
    "last_opacity": (1e-3, 1.0),
    "opacity_share": (0.0, 1.0),
    "beta_weight": (0.0, 1e3),
    "beta_after": (0.0, 1.0),
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
"""Smallest and largest value of each numeric hyperparameter."""


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
