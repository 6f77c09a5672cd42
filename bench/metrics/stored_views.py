"""Checks a trial's stored views, and tells whether its field is empty or solid.

n: views, h and w: pixels of a view.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float

from bench.errors import UsageError
from bench.metrics.scores import FieldState

LEAST_OPACITY = 0.01
"""Below this mean opacity a field is empty."""

MOST_OPACITY = 0.99
"""Above this opacity in every pixel a field is solid."""


def check_ids(stored: Sequence[int], known: Sequence[int]) -> None:
    """Refuse views that are none, that are not the task's, or that are there twice.

    Args:
        stored: Ids of the stored views.
        known: Ids of the task's test views.

    Raises:
        UsageError: With what to do.

    Example:
        >>> check_ids([0, 2], known=[0, 1, 2])
        >>> check_ids([0, 7], known=[0, 1, 2])
        Traceback (most recent call last):
            ...
        bench.errors.UsageError: score: expected views of the task's 3 test views, got view 7; render them again
    """
    strangers = sorted(set(stored) - set(known))
    if not stored:
        got = "none"
    elif strangers:
        got = f"view {strangers[0]}"
    elif len(set(stored)) < len(stored):
        got = "one of them twice"
    else:
        return
    raise UsageError(f"score: expected views of the task's {len(known)} test views, got {got}; render them again")


def field_state(
    opacity: Float[np.ndarray, "n h w"] | None,
    true_alphas: Float[np.ndarray, "n h w"] | None = None,
    masks: Float[np.ndarray, "n h w"] | None = None,
) -> FieldState:
    """Tell whether training ended in an empty or a solid volume, which a mean over scenes hides.

    Args:
        opacity: Of the rendered views; None where it was not stored.
        true_alphas: Of the true views; None where there are none. A scene that fills every view may be solid, and one
            that shows nothing may be empty.
        masks: 1 where a pixel counts, 0 where it does not; None if all do.

    Example:
        >>> [field_state(np.full((2, 4, 4), x, np.float32)) for x in (0.001, 0.5, 0.999)]
        ['empty', 'ok', 'solid']
        >>> field_state(np.ones((2, 4, 4), np.float32), true_alphas=np.ones((2, 4, 4), np.float32))
        'ok'
        >>> field_state(None)
        'unknown'
    """
    if opacity is not None and masks is not None and (masks > 0).any():
        opacity = opacity[masks > 0].reshape(1, 1, -1)
        true_alphas = None if true_alphas is None else true_alphas[masks > 0].reshape(1, 1, -1)
    if opacity is None or not np.isfinite(opacity).all():
        return "unknown"
    may_be_empty = true_alphas is not None and true_alphas.mean() < LEAST_OPACITY
    may_be_solid = true_alphas is not None and true_alphas.min() > MOST_OPACITY
    if opacity.mean() < LEAST_OPACITY and not may_be_empty:
        return "empty"
    if opacity.min() > MOST_OPACITY and not may_be_solid:
        return "solid"
    return "ok"
