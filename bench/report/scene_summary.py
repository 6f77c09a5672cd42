"""Collects what is known of a scene's folder before anything is trained, as plain values and as lines for people.

Lengths are in the unit of the file's poses, unless they are called the field's.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from bench.suites.builtin.sparse_views import NUM_VIEWS, PUBLISHED_VIEWS
from tasks.sparse_views.captured.capture import Capture, CapturedFrame
from tasks.sparse_views.captured.capture_split import CaptureSplit
from tasks.sparse_views.captured.captured_scene import CapturedScene
from tasks.sparse_views.captured.photo_arrays import describe_lens
from tasks.sparse_views.captured.placement import ScenePlacement
from tasks.sparse_views.nerf_synthetic import BlenderScene
from tasks.task import FolderScene

SHOWN_IDS = 12

PUBLISHED = "as published for NeRF Realistic Synthetic"


class SceneLook(NamedTuple):
    """A scene that was looked at.

    Attributes:
        task: The task that a study makes of its folder.
        capture: What the folder holds.
        split: What is trained on and held out.
        placement: Where it lies.
        doubts: Lines about what is odd.
    """

    task: CapturedScene | BlenderScene
    capture: Capture
    split: CaptureSplit
    placement: ScenePlacement
    doubts: tuple[str, ...]


def look_at_scene(task: FolderScene) -> SceneLook:
    """Read a scene's folder and check it, without reading its photographs into arrays.

    Raises:
        UsageError: Something keeps it from being trained on; the message says what to do.
    """
    if isinstance(task, CapturedScene):
        capture = task.capture()
        return SceneLook(task, capture, task.split(capture), task.placement(), task.doubts())
    assert isinstance(task, BlenderScene)
    task.fingerprint()  # refuses what the task itself refuses
    place = task.place()
    same = CapturedScene(scene=place.name, folder=str(place.parent), near=task.near, far=task.far, world="bounded")
    look = look_at_scene(same)
    reasons = look.placement.reasons | dict.fromkeys(("world", "up", "centre", "near and far"), PUBLISHED)
    unchanged = look.placement._replace(
        rotation=np.eye(3), center=np.zeros(3), scale=1.0, near=task.near, far=task.far, reasons=reasons
    )
    return look._replace(task=task, placement=unchanged, split=_published_split(task, look.capture))


def _published_split(task: BlenderScene, capture: Capture) -> CaptureSplit:
    """Return what the task itself trains on and holds out: it counts views whose photographs are missing."""
    by_image = {frame.image: frame for frame in capture.frames}
    frames = task.frames()
    train = {number: by_image[frame.image] for number, frame in frames.train.items() if frame.image in by_image}
    test = {number: by_image[frame.image] for number, frame in frames.test.items() if frame.image in by_image}
    return CaptureSplit(train, test, f"every {task.test_every}th view of {frames.files[-1].name}")


def summarize_scene(look: SceneLook) -> dict[str, Any]:
    """Write down what is known of a scene as values of JSON."""
    capture = look.capture
    place = look.placement
    frames = capture.frames
    files = [str(file.relative_to(capture.folder)) for file in capture.files]
    depths = place.depths[np.isfinite(place.depths).all(axis=1)]
    seen_depths = [float(depths[:, 0].min()), float(depths[:, 1].max())] if len(depths) else None
    return {
        "scene": look.task.scene,
        "folder": str(capture.folder),
        "task": type(look.task).__name__,
        "format": capture.kind,
        "files": files,
        "photos": len(frames),
        "absent": capture.num_absent,
        **_count_photos(frames),
        "cameras": _cameras(frames),
        **_describe_split(look.split),
        "trained_on": list(default_views(look, PUBLISHED_VIEWS)),
        "sparse_points": None if capture.points is None else capture.points.source,
        "world": place.world,
        "near": place.near / place.scale,
        "far": place.far / place.scale,
        "seen_depths": seen_depths,
        "centre": place.center.tolist(),
        "up": place.rotation[1 if place.world == "forward-facing" else 2].tolist(),
        "scale": place.scale,
        "near_in_field": place.near,
        "far_in_field": place.far,
        "reasons": place.reasons,
        "read": list(capture.read),
        "ignored": list(capture.ignored),
        "doubts": list(look.doubts),
    }


def _count_photos(frames: Sequence[CapturedFrame]) -> dict[str, Any]:
    """Say what sizes photographs have, and how many have alpha or a mask."""
    sizes = {(frame.camera.width, frame.camera.height) for frame in frames}
    num_with_mask = sum(frame.mask is not None for frame in frames)
    return {
        "photo_px": sorted(sizes),
        "with_alpha": sum(frame.has_alpha for frame in frames),
        "with_mask": num_with_mask,
    }


def _describe_split(split: CaptureSplit) -> dict[str, Any]:
    """Say which photographs are trained on, which are held out, and why."""
    train_files = [frame.image.name for frame in split.train.values()]
    test_files = [frame.image.name for frame in split.test.values()]
    return {
        "split": split.source,
        "train_ids": list(split.train),
        "test_ids": list(split.test),
        "train_files": train_files,
        "test_files": test_files,
    }


def default_views(look: SceneLook, num_views: int) -> tuple[int, ...]:
    """Return the ids of the views that a study trains on where nothing else is set; fewer where there are no more."""
    task = dataclasses.replace(look.task, num_views=min(num_views, len(look.split.train)), views=None)
    return tuple(task.trained_photos())


def _cameras(frames: Sequence[CapturedFrame]) -> dict[str, Any]:
    cameras = [frame.camera for frame in frames]
    lenses = list(dict.fromkeys(describe_lens(camera) for camera in cameras))
    focal_px = [camera.focal_x for camera in cameras]
    return {
        "lenses": lenses[:3],
        "num_lenses": len(lenses),
        "focal_px": [min(focal_px), max(focal_px)],
        "fov_deg": [
            float(2 * np.degrees(np.arctan(0.5 * camera.width / camera.focal_x)))
            for camera in (cameras[0], cameras[-1])
        ],
        "center_px": [cameras[0].center_x, cameras[0].center_y],
    }


def summary_lines(summary: Mapping[str, Any]) -> list[str]:
    """Write the values for people, a line each, with the doubts last."""
    reasons = summary["reasons"]
    cameras = summary["cameras"]
    sizes = ", ".join(f"{width} x {height}" for width, height in summary["photo_px"][:3])
    more = [f"{summary[f'with_{what}']} with {'alpha' if what == 'alpha' else 'a mask'}" for what in ("alpha", "mask")]
    shown = ", ".join(line for line in more if not line.startswith("0 "))
    counts = f"{len(summary['train_ids'])} to train on, {len(summary['test_ids'])} held out"
    bounds = f"{summary['near']:.4g}, {summary['far']:.4g}"
    first = f"{summary['scene']}: {summary['format']}, {summary['photos']} photos of {sizes}"
    lines = [
        "; ".join(filter(None, [first, shown])),
        _line("split", f"{counts}: {summary['split']}"),
        _line("", f"to train on: ids {_ids(summary['train_ids'])}"),
        *_chosen_lines(summary),
        _line("", f"held out: ids {_ids(summary['test_ids'])}: {_some(summary['test_files'])}"),
        _line("cameras", _camera_line(cameras)),
        _line("world", f"{summary['world']}: {reasons['world']}"),
        _line("up", f"{_vector(summary['up'])}: {reasons['up']}"),
        _line("centre", f"{_vector(summary['centre'])}: {reasons['centre']}"),
        _line("near, far", f"{bounds} in the poses' unit: {reasons['near and far']}"),
        _line("scale", f"1 of the poses' unit is {summary['scale']:.4g} of the field's, so near, far are "
                       f"{summary['near_in_field']:.4g}, {summary['far_in_field']:.4g} there"),
        _line("read", ", ".join(summary["read"])),
        _line("not read", ", ".join(summary["ignored"]) or "nothing else is there"),
    ]  # fmt: skip
    doubts = [_line("doubt", doubt) for doubt in summary["doubts"]]
    return lines + (doubts or [_line("doubts", "none")])


def _line(name: str, said: str) -> str:
    return f"  {name:9} {said}"


def _ids(ids: Sequence[int]) -> str:
    return _some([str(number) for number in ids])


def _some(names: Sequence[str]) -> str:
    return ", ".join(names[:SHOWN_IDS]) + (", ..." if len(names) > SHOWN_IDS else "")


def _chosen_lines(summary: Mapping[str, Any]) -> list[str]:
    """Say which photographs a study trains on where nothing else is set."""
    ids = summary["trained_on"]
    if not ids:
        return []
    names = dict(zip(summary["train_ids"], summary["train_files"], strict=True))
    named = [f"{number} ({names[number]})" for number in ids]
    more = f"; at paper also {', '.join(named[NUM_VIEWS:])}" if named[NUM_VIEWS:] else ""
    return [_line("", f"trained on by default: {', '.join(named[:NUM_VIEWS])}{more}")]


def _vector(values: Sequence[float]) -> str:
    return "(" + ", ".join(f"{value + 0.0:.3g}" for value in values) + ")"


def _camera_line(cameras: Mapping[str, Any]) -> str:
    low, high = cameras["focal_px"]
    focal = f"{low:.5g}" if high - low < 1e-3 * high else f"{low:.5g} to {high:.5g}"
    others = cameras["num_lenses"] - 1
    lens = cameras["lenses"][0] + (f", and {others} others" if others else "")
    center = ", ".join(f"{value:.5g}" for value in cameras["center_px"])
    return f"{lens}; focal length {focal} px, {cameras['fov_deg'][0]:.3g} degrees across, centre {center}"
