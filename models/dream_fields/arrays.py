"""Holds the arrays of Dream Fields: what a trial reads, and what a training view gives.

f: features, m: other captions, p: pixels along a side of the view.
"""

from __future__ import annotations

from typing import NamedTuple

from jaxtyping import Array, Float

from models.method import Hyperparameters


class GuideTexts(NamedTuple):
    """Holds what one guide reads, as embeddings of length 1.

    Attributes:
        caption: Of the prompt.
        others: Of the captions that the object must not fit; None if they are in no term of the loss.
        is_other: 1 for each of these captions, 0 for a row that only fills the array up; None as `others`.
        shape: Of the words for the object's shape; None if no crop shows the shape alone.
    """

    caption: Float[Array, " f"]
    others: Float[Array, "m f"] | None = None
    is_other: Float[Array, " m"] | None = None
    shape: Float[Array, " f"] | None = None


class DreamFieldsData(NamedTuple):
    """Holds a trial's caption on the device.

    Attributes:
        texts: What each guide reads, in the order of the guides.
        near: First `t` of interest of the scored views.
        far: Last `t` of interest of the scored views.
        background: Grey level behind the scored views.
        hyperparameters: The trial's own. `render` and `field_at` read them here.
    """

    texts: tuple[GuideTexts, ...]
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
        distortion: Mean over rays of how far their weights are spread; None if it is in no term of the loss.
    """

    image: Float[Array, "p p 4"]
    total: Float[Array, ""]
    center: Float[Array, "3"]
    distortion: Float[Array, ""] | None = None
