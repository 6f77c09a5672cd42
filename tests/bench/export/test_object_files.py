"""Strips and curves of training are drawn, and the files of an earlier field do not stay."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image

from bench.export import object_files, pictures, writers
from tests.fixtures.balls import ball


def test_strip():
    frames = np.linspace(0, 1, 40, dtype=np.float16)[:, None, None, None] * np.ones((1, 8, 8, 3), np.float16)
    image = np.asarray(pictures.strip(frames, range(0, 4000, 100)))
    tile = round(112 / 8) * 8
    gap, row = (
        pictures.image_grid.GAP_PX,
        tile + pictures.image_grid.LABEL_PX + 6 + pictures.image_grid.GAP_PX,
    )
    assert image.shape == (gap + 2 * row, gap + 12 * (tile + gap), 3)
    shown = [image[gap + 5 + row * j, gap + 5 + (tile + gap) * i, 0] for j in range(2) for i in range(12)]
    assert (shown[0], shown[-1]) == (0, 255) and (np.diff(np.int32(shown)) > 0).all()
    assert (image[gap + tile + 2 : gap + tile + 15] < 200).any()  # the step


def test_curves():
    curves = {"step": [5.0, 10.0], "loss": [1.0, 0.5], "negative_cosine": [0.0, float("nan")], "other": [1.0, 2.0]}
    with Image.open(io.BytesIO(pictures.curves_figure(curves))) as image:
        assert image.format == "PNG" and image.size[0] > 800
    assert pictures.curves_figure({"step": [1.0], "other": [1.0]}) is None


def test_files_of_a_field(tmp_path, monkeypatch):
    # A process would run a script that has no main guard again.
    monkeypatch.setattr(writers, "has_processes", lambda: pytest.fail("asked for processes"))
    views = {"strip": np.ones((2, 8, 8, 3), np.float16), "strip_steps": np.int32([1, 2])}
    curves = {"step": [5.0, 10.0], "loss": [1.0, 0.5]}
    sizes = {"num_frames": 8, "image_px": 16, "resolution": 24}
    left = object_files.export_object(ball(), tmp_path, views=views, curves=curves, **sizes)
    assert sorted(left.files) == sorted(path.name for path in tmp_path.iterdir())
    assert set(object_files.FILES) - set(left.files) <= {"turntable.mp4"}
    assert left.meshed.is_watertight and set(left.seconds) == {"turntable_s", "pictures_s", "mesh_s"}
    assert (tmp_path / "curves.csv").read_text() == "step,loss\n5,1\n10,0.5\n"
    # Again, by an empty field without a strip: nothing of the first stays.
    left = object_files.export_object(ball(density=0.0), tmp_path, views={}, curves={}, **sizes)
    assert set(left.files) - {"turntable.mp4"} == {"turntable.webp", "views.png"}
    assert sorted(left.files) == sorted(path.name for path in tmp_path.iterdir())
    assert any(note.startswith("no mesh: expected a field that") for note in left.notes)


@pytest.mark.slow
def test_processes_write_the_same_files_as_threads(tmp_path, monkeypatch):
    views = {"strip": np.ones((2, 8, 8, 3), np.float16), "strip_steps": np.int32([1, 2])}
    curves = {"step": [5.0, 10.0], "loss": [1.0, 0.5]}
    asked = {"views": views, "curves": curves, "num_frames": 8, "image_px": 16, "resolution": 24}
    one = object_files.export_object(ball(), tmp_path / "threads", **asked)
    monkeypatch.setattr(writers, "has_processes", lambda: True)
    with writers.open_writers() as opened:
        other = object_files.export_object(ball(), tmp_path / "processes", writers=opened, **asked)
    assert one.files == other.files and one.meshed.to_json() == other.meshed.to_json()
    for name in set(one.files) - {"turntable.mp4"}:  # which holds the time
        assert (tmp_path / "threads" / name).read_bytes() == (tmp_path / "processes" / name).read_bytes(), name
