"""Fits the arms of a table to what lies around each scene, where a folder of photographs is not of a thing alone.

An arm keeps its name and is trained, on such a scene, as the released codes train on captured scenes: an exception of
that scene's, which the table says.
"""

from __future__ import annotations

import dataclasses

from bench.suites.suite import Arm, Table
from models.dietnerf import DietNeRF
from models.method import Method
from tasks.task import scene_surroundings


def fit_to_surroundings(table: Table) -> Table:
    """Give each arm its exceptions on scenes that are not bounded; a table of bounded scenes stays as it is."""
    around = {task.cluster: scene_surroundings(task) for task in table.tasks}
    arms = {name: _fitted_arm(arm, around) for name, arm in table.arms.items()}
    return dataclasses.replace(table, arms=arms) if arms != table.arms else table


def _fitted_arm(arm: Arm, around: dict[str, str]) -> Arm:
    exceptions = dict(arm.exceptions)
    for cluster, surroundings in around.items():
        variant, method = arm.on(cluster)
        fitted = fitted_method(variant, method, surroundings)
        if fitted != (variant, method):
            exceptions[cluster] = fitted
    return dataclasses.replace(arm, exceptions=exceptions)


def fitted_method(variant: str, method: Method, surroundings: str) -> tuple[str, Method]:
    """Return the variant and the method that a scene is trained with.

    DietNeRF looks from between the photographs' cameras, as released for captured scenes: on a hemisphere around a room
    it would stand in the walls, and before a facade it would stand behind it.

    Args:
        variant: The method's short name.
        method: As it is for bounded scenes.
        surroundings: What lies around the scene.
    """
    if surroundings != "bounded" and isinstance(method, DietNeRF) and method.pose_distribution.startswith("hemisphere"):
        return f"{variant}+pose_distribution=interpolated", dataclasses.replace(
            method, pose_distribution="interpolated"
        )
    return variant, method
