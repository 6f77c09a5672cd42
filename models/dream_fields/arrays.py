"""Holds the arrays of Dream Fields: what a trial reads, and what a training view gives.

f: features, p: pixels along a side of the view.
"""

from __future__ import annotations

from typing import NamedTuple

from jaxtyping import Array, Float

from models.method import Hyperparameters


class DreamFieldsData(NamedTuple):
    """Holds a trial's caption on the device.

    Attributes:
        text: The guide's embedding of the prompt, of length 1.
        near: First `t` of interest of the scored views.
        far: Last `t` of interest of the scored views.
        background: Grey level behind the scored views.
        hyperparameters: The trial's own. `render` and `field_at` read them here.
    """

    text: Float[Array, " f"]
    near: Float[Array, ""]
    far: Float[Array, ""]
    background: Float[Array, ""]
    hyperparameters: Hyperparameters


class TrainingView(NamedTuple):
    """Holds a rendered training view.

    Attributes:
        image: Colour multiplied by opacity, and opacity.
        total: Sum of the sampled densities.
        center: Centre of density.
    """

    image: Float[Array, "p p 4"]
    total: Float[Array, ""]
    center: Float[Array, "3"]
