"""Decides which training views of a scene a task uses, and how they appear in the task's name."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable

import numpy as np

from bench.errors import UsageError


def choose_training_views(num_views: int, subset_seed: int, num_train: int) -> tuple[int, ...]:
    """Choose training views: the first of a seeded permutation, so that 4 views are among the 8 of the same seed.

    Seed 0 of 100 views gives DietNeRF's choice. `np.random` is allowed here, because NumPy promises that the numbers of
    its legacy generator never change (NEP 19). No other number that a score depends on comes from it.

    Args:
        num_views: Number of views to choose.
        subset_seed: Seed of the permutation.
        num_train: Number of training views.

    Returns:
        Ids, in the permutation's order.

    References:
        DietNeRF's run_nerf.py: `np.random.seed(0); np.random.choice(100, 8, replace=False)`.

    Example:
        >>> choose_training_views(8, 0, 100)
        (26, 86, 2, 55, 75, 93, 16, 73)
    """
    return tuple(int(i) for i in np.random.RandomState(subset_seed).permutation(num_train)[:num_views])


def checked_num_views(where: str, num_views: int, views: tuple[int, ...] | None, default: int) -> int:
    """Check and return the number of views of a task; explicit ids decide it, if there are any.

    Raises:
        UsageError: The ids are empty, negative or repeated, or the number contradicts them.
    """
    if views is None:
        if num_views < 1:
            raise UsageError(f"{where}: expected num_views of at least 1, got {num_views}")
        return num_views
    if not views or len(set(views)) != len(views) or min(views) < 0:
        raise UsageError(f"{where}: expected views as different ids from 0 up, got {views}; for example views=(26, 86)")
    if num_views not in (default, len(views)):
        raise UsageError(
            f"{where}: expected num_views={len(views)} beside {len(views)} explicit views, got "
            f"{num_views}; leave one out"
        )
    return len(views)


def label(num_views: int, subset_seed: int, views: tuple[int, ...] | None) -> str:
    """Name a task's views for the task's name; more than four explicit ids become a hash.

    Example:
        >>> label(8, 0, None), label(4, 3, None), label(2, 0, (5, 7))
        ('8v', '4v__subset3', '2v__views-5-7')
        >>> label(14, 0, (2, 5, 8, 9, 10, 16, 34, 35, 40, 52, 53, 54, 58, 60))
        '14v__views-829a25'
    """
    if views is None:
        return f"{num_views}v" + (f"__subset{subset_seed}" if subset_seed else "")
    ids = "-".join(map(str, views))
    return f"{num_views}v__views-" + (ids if len(views) <= 4 else hashlib.sha256(ids.encode()).hexdigest()[:6])


def background_label(background: float) -> str:
    """Name the background for the task's name; white gives an empty text.

    Example:
        >>> background_label(1.0), background_label(0.0), background_label(0.5)
        ('', '__black', '__bg0.5')
    """
    return {1.0: "", 0.0: "__black"}.get(background, f"__bg{background:g}")


def digest_parts(parts: Iterable[object]) -> str:
    """Hash values by their text to sixteen hexadecimal digits."""
    return hashlib.sha256("\n".join(map(str, parts)).encode()).hexdigest()[:16]
