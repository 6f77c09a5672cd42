"""Scores a finished field against photographs: which views, on which background, in which definitions.

`PHOTO_PROTOCOLS` lists the protocols. The functions that make the numbers are in `bench.metrics.photo_scorers`.

Where photographs have masks, what is outside of them does not count in any protocol, and scores say so in `about` and
`context`. `std-v1` is defined so. The protocols of papers are not: these had no masks, and the scores say that too.

n: scored views, h and w: pixels of a view.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int, Shaped

from bench.errors import UsageError, nearest
from bench.metrics import stored_views
from bench.metrics.kept_photographs import KEPT_PHOTOGRAPHS, Photographs
from bench.metrics.photo_scorers import METRIC_NAMES, Levels, ViewsAndTruth, hide_outside, score_photos
from bench.metrics.protocols import EncoderLoader, Protocol
from bench.metrics.scores import NOT_FINITE, Scores
from tasks.cameras import angle_to_nearest_deg
from tasks.task import DataShapes, SceneData


@dataclasses.dataclass(frozen=True, kw_only=True)
class PhotoProtocol(Protocol):
    """Says how views are compared with photographs. Views from float16 cap PSNR near 77 dB.

    Attributes:
        metrics: Names in `bench.metrics.photo_scorers.METRIC_NAMES`.
        levels: How colours are prepared, see `Levels`.
        image_px: Width and height that the protocol is defined at; None if any.
        num_views: Number of test views that it is defined on; None if all of the task.
        view_ids: Which of the test views; None if all. Where a task lacks some of them, all it has are scored.
        background: Grey behind the truth: 1 is white.
    """

    metrics: tuple[str, ...]
    levels: Levels
    image_px: int | None = None
    num_views: int | None = None
    view_ids: tuple[int, ...] | None = None
    background: float = 1.0

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in self.metrics:
            if name not in METRIC_NAMES:
                near = nearest(name, METRIC_NAMES)
                raise ValueError(f"protocol {self.name}: expected known metrics, got {name!r}; {near}")
        if self.view_ids is not None and len(self.view_ids) != self.num_views:
            raise ValueError(f"protocol {self.name}: expected {self.num_views} view_ids, got {len(self.view_ids)}")

    def has_metric(self, metric: str) -> bool:
        """Whether the protocol makes a metric.

        Example:
            >>> PHOTO_PROTOCOLS["nerf-2020"].has_metric("psnr"), PHOTO_PROTOCOLS["nerf-2020"].has_metric("mse")
            (True, False)
        """
        return metric in self.metrics

    def metric_names(self) -> tuple[str, ...]:
        """List the metrics that it makes."""
        return self.metrics

    def can_score(self, view_ids: Sequence[int]) -> bool:
        """Any test view can be scored."""
        return len(view_ids) > 0

    def crash_score(self, metric: str) -> None:
        """Give None: a crash leaves a gap."""

    def score(
        self,
        data: SceneData,
        views: Mapping[str, Shaped[np.ndarray, "..."]],
        guides: Sequence[str] = (),
        load_encoder: EncoderLoader | None = None,
    ) -> Scores:
        """Make a trial's numbers from its stored views; no encoder takes part. See `Protocol.score`."""
        chosen = choose_views(self, data, views)
        color = _views_at(views["color"], chosen.rows)
        masks = masks_of(data, chosen.places)
        if masks is not None:
            color = np.where(masks[..., None] > 0, color, 0)
        finite = np.isfinite(color).all(axis=(1, 2, 3))
        if not finite.all():
            color = np.nan_to_num(color, posinf=0, neginf=0)
        prepared = pair_with_truth(self, color, data, chosen.places)._replace(near_opacity=views.get("near_opacity"))
        if prepared.near_opacity is not None and data.train.masks is not None:
            prepared = prepared._replace(near_masks=data.train.masks[: len(prepared.near_opacity)])
        per_view = {}
        reasons = {}
        for name, (values, reason) in score_photos(self.metrics, prepared).items():
            per_view[name] = [value if ok else None for value, ok in zip(values, finite, strict=True)]
            not_finite = None if finite.all() else NOT_FINITE
            told = [text for text in (reason, not_finite) if text]
            if told:
                reasons[name] = "; ".join(told)
        angles = angle_to_nearest_deg(data.test.poses[chosen.places], data.train.poses)
        opacity = _views_at(views["opacity"], chosen.rows).astype(np.float32) if "opacity" in views else None
        context = {"angle_to_nearest_deg": [float(angle) for angle in angles]}
        if masks is not None:
            context["mask_share"] = [float(share) for share in masks.mean(axis=(1, 2))]
        return Scores(
            protocol=self.name,
            version=self.version,
            view_ids=tuple(int(data.test.ids[place]) for place in chosen.places),
            per_view=per_view,
            reasons=reasons,
            context=context,
            departs="; ".join(chosen.departs) or None,
            field_state=stored_views.field_state(opacity, _views_at(data.test.alphas, chosen.places), masks),
            about={} if masks is None else {"masks": MASKED},
        )


MASKED = (
    "only pixels inside of the photographs' masks count: errors are divided by the mask's area, SSIM is the mean over "
    "windows wholly inside, LPIPS the mean over the mask of each layer's distances, with both pictures filled outside "
    "with the photograph's mean colour inside"
)
"""What is said of scores of photographs with masks."""

PHOTO_PROTOCOLS: dict[str, PhotoProtocol] = {
    protocol.name: protocol
    for protocol in (
        PhotoProtocol(
            name="std-v1",
            version="1.1",
            about="floats clipped to [0, 1], all test views, on white; the one for claims about differences",
            metrics=("psnr", "psnr_fg", "ssim", "lpips_vgg", "lpips_alex", "psnr_u8", "mse", "floaters"),
            levels="clip",
        ),
        PhotoProtocol(
            name="nerf-2020",
            version="1.0",
            about="800 px, 200 views, on white, 8-bit PNG values (truncated as by to8b), tf.image.ssim, LPIPS-VGG on "
            "[-1, 1]; the authors' description in bmild/nerf #66",
            metrics=("psnr", "ssim", "lpips_vgg"),
            levels="truncate",
            image_px=800,
            num_views=200,
        ),
        PhotoProtocol(
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
"""All protocols of photographs, by name."""


def protocol_deviation(protocol: PhotoProtocol, layout: DataShapes, background: float | None = None) -> str | None:
    """Say how a task differs from what a protocol is defined on; None if it does not. It is scored all the same.

    Args:
        protocol: The definition.
        layout: The task's shapes: `task.layout()`.
        background: Grey behind the task's objects; None if not known.

    Example:
        >>> protocol_deviation(PHOTO_PROTOCOLS["dietnerf-2021"], DataShapes(8, 16, 48, 48))
        'dietnerf-2021 is defined at 400 px and on 25 views; this is 48 px and 16 views'
        >>> protocol_deviation(PHOTO_PROTOCOLS["dietnerf-2021"], DataShapes(8, 200, 400, 400))  # it takes 25 of the 200
        >>> protocol_deviation(PHOTO_PROTOCOLS["std-v1"], DataShapes(8, 25, 48, 48), background=0.0)
        'std-v1 is defined on a background of 1; this is on 0'
    """
    wanted = []
    got = []
    if protocol.image_px is not None and (layout.height, layout.width) != (protocol.image_px, protocol.image_px):
        wanted.append(f"at {protocol.image_px} px")
        got.append(f"{layout.height} px" if layout.height == layout.width else f"{layout.width} x {layout.height} px")
    has_all_ids = protocol.view_ids is not None and layout.num_test > max(protocol.view_ids)
    if protocol.num_views not in (None, layout.num_test) and not has_all_ids:
        wanted.append(f"on {protocol.num_views} views")
        got.append(f"{layout.num_test} views")
    if background is not None and abs(background - protocol.background) > 1 / 255:
        wanted.append(f"on a background of {protocol.background:.3g}")
        got.append(f"on {background:.3g}")
    if not wanted:
        return None
    return f"{protocol.name} is defined {' and '.join(wanted)}; this is {' and '.join(got)}"


class ChosenViews(NamedTuple):
    """The views that a protocol scores.

    Attributes:
        places: Of each among the task's test views.
        rows: Of each among the stored views.
        departs: How they differ from what the protocol is defined on.
    """

    places: Int[np.ndarray, " n"]
    rows: Int[np.ndarray, " n"]
    departs: list[str]


def choose_views(
    protocol: PhotoProtocol, data: SceneData, views: Mapping[str, Shaped[np.ndarray, "..."]]
) -> ChosenViews:
    """Choose the views that are scored, and check their size.

    Raises:
        UsageError: They are not views of this task's test set.
    """
    stored = [int(i) for i in views["ids"]]
    known = list(data.test.ids)
    stored_views.check_ids(stored, known)
    size = views["color"].shape[1:]
    expected = data.test.colors.shape[1:]
    if size != expected:
        texts = [" x ".join(str(n) for n in shape) for shape in (expected, size)]
        raise UsageError(f"score: expected views of {texts[0]}, got {texts[1]}; render them at the task's size")
    wanted = protocol.view_ids
    ids = sorted(stored, key=known.index)
    if wanted is not None and set(wanted) <= set(stored):
        ids = list(wanted)
    places = np.array([known.index(i) for i in ids])
    rows = np.array([stored.index(i) for i in ids])
    layout = DataShapes(len(data.train.ids), len(ids), expected[0], expected[1])
    deviation = protocol_deviation(protocol, layout, background_of(data))
    departs = [deviation] if deviation else []
    if data.test.masks is not None and protocol.image_px is not None:
        departs.append(f"{protocol.name} is defined on whole photographs; of these only what is inside of masks counts")
    if wanted is not None and len(ids) == len(wanted) and set(ids) != set(wanted):
        few = f"{wanted[0]}, {wanted[1]}, ... {wanted[-1]}"
        departs.append(f"{protocol.name} is defined on the views {few}; these are others")
    if protocol.num_views is None and len(ids) < len(known):
        departs.append(f"{protocol.name} is defined on all {len(known)} test views; these are {len(ids)}")
    return ChosenViews(places, rows, departs)


def background_of(data: SceneData) -> float | None:
    """Measure the grey where there is no object at all, once a scene; None where the object is everywhere."""
    photographs = Photographs((data.test.colors, data.test.alphas, data.test.masks), ())
    found = KEPT_PHOTOGRAPHS.get(photographs, "background", lambda: _measure_background(data))
    return float(found[0]) if found else None


def _measure_background(data: SceneData) -> tuple[np.floating, ...]:
    is_empty = data.test.alphas < 1e-3
    if data.test.masks is not None:
        is_empty &= data.test.masks > 0
    empty = data.test.colors[is_empty]
    return (np.median(empty),) if len(empty) else ()


def masks_of(data: SceneData, places: Int[np.ndarray, " n"]) -> Float[np.ndarray, "n h w"] | None:
    """Return the masks of some test views; None where all pixels count."""
    return None if data.test.masks is None else _views_at(data.test.masks, places).astype(np.float32, copy=False)


def pair_with_truth(
    protocol: PhotoProtocol, color: Float[np.ndarray, "n h w 3"], data: SceneData, places: Int[np.ndarray, " n"]
) -> ViewsAndTruth:
    """Put true views beside rendered ones, alike where masks leave them out; nothing is copied that need not be."""
    truth = _views_at(data.test.colors, places).astype(np.float32, copy=False)
    alphas = _views_at(data.test.alphas, places).astype(np.float32, copy=False)
    masks = masks_of(data, places)
    if masks is not None:
        color = hide_outside(color, truth, masks)
        truth = hide_outside(truth, truth, masks)
    # Of the levels only "truncate" changes the truth: protocols with the others share what is kept of it.
    how = (protocol.levels == "truncate", *map(int, places))
    photographs = Photographs((data.test.colors, data.test.alphas, data.test.masks), how)
    return ViewsAndTruth(color, truth, alphas, masks=masks, photographs=photographs, levels=protocol.levels)


def _views_at(views: Shaped[np.ndarray, "k h w ..."], places: Int[np.ndarray, " n"]) -> Shaped[np.ndarray, "n h w ..."]:
    """Return some views; all of them, in their order, without a copy."""
    return views if np.array_equal(places, np.arange(len(views))) else views[places]
