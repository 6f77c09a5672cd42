"""Fits the arms of a table to what lies around each scene, where a folder of photographs is not of a thing alone.

An arm keeps its name. On such a scene it is trained with the sampling that `NeRF.fit_to_world` gives it: an exception
of that scene's, which the table says. It is done last, after `--set`, so that exceptions hold what the user changed.
"""

from __future__ import annotations

import dataclasses
from typing import Any

from bench.suites.suite import Arm, Table
from models.method import Method
from models.nerf import NeRF
from tasks.task import Task, World, photos_have_alpha, scene_surroundings

SAMPLING = ("opaque_end", "lindisp", "contraction", "ndc")
"""Fields of NeRF's that decide how rays of a scene without an end are sampled; a method that sets one is left alone."""

FITTED = (*SAMPLING, "pose_distribution")
"""Fields that differ between scenes of several kinds."""


def fit_to_surroundings(table: Table) -> Table:
    """Give each arm its exceptions on scenes that are not bounded; a table of bounded scenes stays as it is."""
    arms = {name: _fitted_arm(arm, table.tasks) for name, arm in table.arms.items()}
    if all(arms[name] is arm for name, arm in table.arms.items()):
        return table
    return dataclasses.replace(table, arms=arms)


def _fitted_arm(arm: Arm, tasks: tuple[Task, ...]) -> Arm:
    exceptions: dict[str, tuple[str, Method]] = {}
    for task in tasks:
        variant, method = arm.on(task.cluster)
        fitted = fitted_method(variant, method, scene_surroundings(task), photos_have_alpha(task))
        if fitted != (variant, method):
            exceptions[task.cluster] = fitted
    if not exceptions:
        return arm
    changes = (*arm.changes, *(f"method.{name}" for name in FITTED))
    return dataclasses.replace(arm, exceptions={**arm.exceptions, **exceptions}, changes=changes)


def fitted_method(
    variant: str, method: Method, surroundings: World, has_alpha: bool | None = None
) -> tuple[str, Method]:
    """Return the variant and the method that a scene is trained with.

    Args:
        variant: The method's short name; fields that stand in it, `nerf+lindisp=True`, keep what the user gave them.
        method: As it is for bounded scenes. One that is no NeRF stays as it is.
        surroundings: What lies around the scene.
        has_alpha: Whether its photographs have alpha; None if they do not say.
    """
    is_plain = surroundings == "bounded" and has_alpha is not False
    if is_plain or not isinstance(method, NeRF) or any(getattr(method, name) for name in SAMPLING):
        return variant, method
    fitted = method.fit_to_world(surroundings, has_alpha=has_alpha)
    kept: dict[str, Any] = {name: getattr(method, name) for name in FITTED if f"+{name}=" in variant}
    if kept:
        fitted = dataclasses.replace(fitted, **kept)
    if fitted == method:
        return variant, method
    mark = "opaque_end=True" if surroundings == "bounded" else f"world={surroundings}"
    return f"{variant}+{mark}", fitted
