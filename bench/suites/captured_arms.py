"""Fits the arms of a table to what lies around each scene, where a folder of photographs is not of a thing alone.

An arm keeps its name. On a scene that is not bounded it is trained with the sampling that such a scene asks for
(`NeRF.fit_to_world`): an exception of that scene's, which the table says.
"""

from __future__ import annotations

import dataclasses

from bench.suites.suite import Arm, Table
from models.method import Method
from models.nerf import NeRF
from tasks.task import World, photos_have_alpha, scene_surroundings


def fit_to_surroundings(table: Table) -> Table:
    """Give each arm its exceptions on captured scenes; a table of bounded scenes with alpha stays as it is."""
    around = {task.cluster: (scene_surroundings(task), photos_have_alpha(task)) for task in table.tasks}
    arms = {name: _fitted_arm(arm, around) for name, arm in table.arms.items()}
    return dataclasses.replace(table, arms=arms) if arms != table.arms else table


def _fitted_arm(arm: Arm, around: dict[str, tuple[World, bool | None]]) -> Arm:
    exceptions = dict(arm.exceptions)
    for cluster, (surroundings, has_alpha) in around.items():
        variant, method = arm.on(cluster)
        fitted = fitted_method(variant, method, surroundings, has_alpha)
        if fitted != (variant, method):
            exceptions[cluster] = fitted
    return dataclasses.replace(arm, exceptions=exceptions)


def fitted_method(
    variant: str, method: Method, surroundings: World, has_alpha: bool | None = None
) -> tuple[str, Method]:
    """Return the variant and the method that a scene is trained with.

    Args:
        variant: The method's short name.
        method: As it is for bounded scenes. One that is no NeRF stays as it is.
        surroundings: What lies around the scene.
        has_alpha: Whether the photographs have alpha; None if they do not say.
    """
    if not isinstance(method, NeRF):
        return variant, method
    fitted = method.fit_to_world(surroundings, has_alpha=has_alpha)
    if fitted == method:
        return variant, method
    mark = "opaque_end=True" if surroundings == "bounded" else f"world={surroundings}"
    return f"{variant}+{mark}", fitted
