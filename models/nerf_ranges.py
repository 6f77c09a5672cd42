"""Decides which values the numbers of a NeRF may have."""

from __future__ import annotations

from typing import Any

from bench.errors import UsageError

NERF_RANGES = {
    "num_rays": (1, 2**24),
    "num_samples": (1, 2**16),
    "num_importance": (0, 2**16),
    "precrop_steps": (0, 2**31),
    "coarse_weight": (0.0, 1e3),
    "learning_rate": (0.0, 1e3),
    "final_rate": (0.0, 1e3),
    "warmup": (0.0, 1.0),
}
"""Smallest and largest value of each number."""


def check_nerf_ranges(method: Any) -> None:
    """Refuse a number outside of its range; an open size is none yet.

    Raises:
        UsageError: There is one.
    """
    for name, (least, most) in NERF_RANGES.items():
        value = getattr(method, name)
        if value is not None and not least <= value <= most:
            raise UsageError(f"nerf: expected {name} from {least:g} to {most:g}, got {value!r:.40}; correct it")
