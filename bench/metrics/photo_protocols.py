"""Decides how a finished field is scored against photographs: views, background, definitions, averages."""

from __future__ import annotations

import dataclasses
import functools
import re
from collections.abc import Mapping
from typing import Literal

import numpy as np
from jaxtyping import Float, Shaped

from bench.errors import UsageError, nearest
from bench.metrics import image
from bench.metrics.photo_scorers import SCORERS, ViewsAndTruth
from bench.metrics.scores import NOT_FINITE, FieldState, Scores
from tasks.cameras import angle_to_nearest_deg
from tasks.task import DataShapes, SceneData


@dataclasses.dataclass(frozen=True, kw_only=True)
class Protocol:
    """A definition of how numbers are made. Views are always scored from float16, which caps PSNR near 77 dB.

    Attributes:
        name: With dashes.
        version: "X.Y"; X goes up when numbers may change.
        about: One line for pages, and where the definition comes from.
        metrics: Names in `bench.metrics.photo_scorers.SCORERS`.
        levels: What becomes of the colours first: "clip" brings the prediction to [0, 1], "raw" leaves it,
            "truncate" turns prediction and truth into the values of an 8-bit PNG as NeRF's `to8b` writes it.
        image_px: Width and height it is defined at; None if any.
        num_views: Test views it is defined on; None if all of the task.
        view_ids: Which of the test views; None if all. Where a task has not all of them, all it has are scored.
        background: Grey that the truth stands on: 1 is white.
    """

    name: str
    version: str
    about: str
    metrics: tuple[str, ...]
    levels: Literal["clip", "raw", "truncate"]
    image_px: int | None = None
    num_views: int | None = None
    view_ids: tuple[int, ...] | None = None
    background: float = 1.0

    def __post_init__(self) -> None:
        if not re.fullmatch(r"\d+\.\d+", self.version):
            raise ValueError(f"protocol {self.name}: expected a version X.Y, got {self.version!r}")
        for name in self.metrics:
            if name not in SCORERS:
                near = nearest(name, SCORERS)
                raise ValueError(f"protocol {self.name}: expected known metrics, got {name!r}; {near}")
        if self.view_ids is not None and len(self.view_ids) != self.num_views:
            raise ValueError(f"protocol {self.name}: expected {self.num_views} view_ids, got {len(self.view_ids)}")


OF_PHOTOS: dict[str, Protocol] = {
    protocol.name: protocol
    for protocol in (
        Protocol(
            name="std-v1",
            version="1.1",
            about="floats clipped to [0, 1], all test views, on white; the one for claims about differences",
            metrics=("psnr", "psnr_fg", "ssim", "lpips_vgg", "lpips_alex", "psnr_u8", "mse", "floaters"),
            levels="clip",
        ),
        Protocol(
            name="nerf-2020",
            version="1.0",
            about="800 px, 200 views, on white, 8-bit PNG values (truncated as by to8b), tf.image.ssim, LPIPS-VGG on "
            "[-1, 1]; the authors' description in bmild/nerf #66",
            metrics=("psnr", "ssim", "lpips_vgg"),
            levels="truncate",
            image_px=800,
            num_views=200,
        ),
        Protocol(
            name="dietnerf-2021",
            version="1.0",
            about="400 px, every 8th of 200 views, on white, floats not clipped, scikit-image's SSIM, LPIPS-VGG fed "
            "[0, 1] (and [-1, 1] beside it); get_perceptual_metrics of ajayjain/DietNeRF",
            metrics=("psnr", "ssim_sk7", "lpips_vgg_01", "lpips_vgg"),
            levels="raw",
            image_px=400,
            num_views=25,
            view_ids=tuple(range(0, 200, 8)),
        ),
    )
}


def protocol_deviation(protocol: Protocol, layout: DataShapes, background: float | None = None) -> str | None:
    """Why a task is not what a protocol is defined on; None if it is. It is scored all the same, and marked.

    Args:
        protocol: The definition.
        layout: The task's shapes: `task.layout()`.
        background: Grey behind the task's objects; None if not known.

    Example:
        >>> protocol_deviation(OF_PHOTOS["dietnerf-2021"], DataShapes(8, 16, 48, 48))
        'dietnerf-2021 is defined at 400 px and on 25 views; this is 48 px and 16 views'
        >>> protocol_deviation(OF_PHOTOS["dietnerf-2021"], DataShapes(8, 200, 400, 400))  # it takes its 25 of the 200
        >>> protocol_deviation(OF_PHOTOS["std-v1"], DataShapes(8, 25, 48, 48), background=0.0)
        'std-v1 is defined on a background of 1; this is on 0'
    """
    wanted, got = [], []
    if protocol.image_px is not None and (layout.height, layout.width) != (protocol.image_px, protocol.image_px):
        wanted.append(f"at {protocol.image_px} px")
        got.append(f"{layout.height} px" if layout.height == layout.width else f"{layout.width} x {layout.height} px")
    enough = protocol.view_ids is not None and layout.num_test > max(protocol.view_ids)
    if protocol.num_views not in (None, layout.num_test) and not enough:
        wanted.append(f"on {protocol.num_views} views")
        got.append(f"{layout.num_test} views")
    if background is not None and abs(background - protocol.background) > 1 / 255:
        wanted.append(f"on a background of {protocol.background:.3g}")
        got.append(f"on {background:.3g}")
    return f"{protocol.name} is defined {' and '.join(wanted)}; this is {' and '.join(got)}" if wanted else None


def _score_photos(protocol: Protocol, data: SceneData, views: Mapping[str, Shaped[np.ndarray, "..."]]) -> Scores:
    places, rows, departs = _chosen(protocol, data, views)
    color = views["color"][rows].astype(np.float32)
    finite = np.isfinite(color).all(axis=(1, 2, 3))
    seen = _prepared(protocol, np.nan_to_num(color, posinf=0, neginf=0), data, places)
    seen = seen._replace(near_opacity=views.get("near_opacity"))
    per_view, reasons = {}, {}
    for name in protocol.metrics:
        values, reason = SCORERS[name](seen)
        per_view[name] = [value if ok else None for value, ok in zip(values, finite, strict=True)]
        told = [text for text in (reason, None if finite.all() else NOT_FINITE) if text]
        if told:
            reasons[name] = "; ".join(told)
    angles = angle_to_nearest_deg(data.test.poses[places], data.train.poses)
    opacity = views["opacity"][rows].astype(np.float32) if "opacity" in views else None
    return Scores(
        protocol=protocol.name,
        version=protocol.version,
        view_ids=tuple(int(data.test.ids[place]) for place in places),
        per_view=per_view,
        reasons=reasons,
        context={"angle_to_nearest_deg": [float(angle) for angle in angles]},
        departs=departs,
        field_state=field_state(opacity, data.test.alphas[places]),
    )


def field_state(opacity: Float[np.ndarray, "n h w"] | None, alphas: Float[np.ndarray, "n h w"]) -> FieldState:
    """Whether training ended in an empty or a solid volume: sparse views often do, and a mean hides it.

    Args:
        opacity: Of the rendered views; None if they bring none.
        alphas: True ones. A scene that fills every view is solid by right.

    Example:
        >>> alphas = np.zeros((2, 4, 4), np.float32)
        >>> alphas[:, 1:3, 1:3] = 1
        >>> [field_state(np.full((2, 4, 4), x, np.float32), alphas) for x in (0.001, 0.5, 0.999)]
        ['empty', 'ok', 'solid']
    """
    if opacity is None or not np.isfinite(opacity).all():
        return "unknown"
    if opacity.mean() < 0.01 <= alphas.mean():
        return "empty"
    if opacity.min() > 0.99 >= alphas.min():
        return "solid"
    return "ok"


def _chosen(
    protocol: Protocol, data: SceneData, views: Mapping[str, Shaped[np.ndarray, "..."]]
) -> tuple[Shaped[np.ndarray, " m"], Shaped[np.ndarray, " m"], str | None]:
    """Places of the scored views among the task's and among the stored ones, and how that departs from the protocol."""
    stored, known = [int(i) for i in views["ids"]], list(data.test.ids)
    strangers = sorted(set(stored) - set(known))
    if not stored or strangers or len(set(stored)) < len(stored):
        got = "none" if not stored else f"view {strangers[0]}" if strangers else "one of them twice"
        raise UsageError(f"score: expected views of the task's {len(known)} test views, got {got}; render them again")
    size, expected = views["color"].shape[1:], data.test.colors.shape[1:]
    if size != expected:
        texts = [" x ".join(str(n) for n in shape) for shape in (expected, size)]
        raise UsageError(f"score: expected views of {texts[0]}, got {texts[1]}; render them at the task's size")
    wanted = protocol.view_ids
    chosen = list(wanted) if wanted is not None and set(wanted) <= set(stored) else sorted(stored, key=known.index)
    places = np.array([known.index(i) for i in chosen])
    layout = DataShapes(len(data.train.ids), len(chosen), expected[0], expected[1])
    departs = protocol_deviation(protocol, layout, _background(data))
    told = [departs] if departs else []
    if wanted is not None and len(chosen) == len(wanted) and set(chosen) != set(wanted):
        few = f"{wanted[0]}, {wanted[1]}, ... {wanted[-1]}"
        told.append(f"{protocol.name} is defined on the views {few}; these are others")
    if protocol.num_views is None and len(chosen) < len(known):
        told.append(f"{protocol.name} is defined on all {len(known)} test views; these are {len(chosen)}")
    return places, np.array([stored.index(i) for i in chosen]), "; ".join(told) or None


def _background(data: SceneData) -> float | None:
    """Grey where there is no object at all; None where the object is everywhere."""
    empty = data.test.colors[data.test.alphas < 1e-3]
    return float(np.median(empty)) if len(empty) else None


def _prepared(
    protocol: Protocol, color: Float[np.ndarray, "n h w 3"], data: SceneData, places: Shaped[np.ndarray, " n"]
) -> ViewsAndTruth:
    truth = data.test.colors[places].astype(np.float32)
    if protocol.levels == "clip":
        color = np.clip(color, 0, 1)
    elif protocol.levels == "truncate":
        to_8bit = functools.partial(image.to_8bit, rounding="truncate")
        color, truth = image.per_image(to_8bit, color), image.per_image(to_8bit, truth)
    return ViewsAndTruth(color, truth, data.test.alphas[places].astype(np.float32))
