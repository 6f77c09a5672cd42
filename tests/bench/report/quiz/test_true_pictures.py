"""True renders stand before grey, and folders of others say by their names what they show."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from bench.errors import UsageError
from bench.report.quiz import true_pictures
from tasks.closed_world.meanings import meaning_of
from tasks.path_tracing import mitsuba_renderer


def write_png(path, shape=(4, 4, 4), value=0):
    path.parent.mkdir(exist_ok=True)
    Image.fromarray(np.full(shape, value, np.uint8)).save(path)


def test_renders_are_asked_for_and_put_on_grey(monkeypatch):
    asked = []

    def photograph(requests, num_workers=None):
        asked.extend(requests)
        image = np.full((len(requests), 4, 4, 4), 255, np.uint8)
        image[:, 0, 0, 3] = 0
        return image

    monkeypatch.setattr(mitsuba_renderer, "photograph_all", photograph)
    meanings = [meaning_of("red-metallic-chair"), meaning_of("pink-matte-hat")]
    views, images = true_pictures.render_true_pictures(meanings, 4, seed=0)
    assert [request.args[0] for request in asked] == [meaning.id for meaning in meanings]
    assert len(views) == len(images) == 2 and set(views) <= set(range(16))
    assert images[0][0, 0].tolist() == [128] * 3 and images[0][1, 1].tolist() == [255] * 3
    assert true_pictures.render_true_pictures([], 4, seed=0) == ([], [])


def test_a_folder_is_read(tmp_path):
    for name in ("red-metallic-chair__1.png", "red-metallic-chair__2.png", "pink-matte-hat.png"):
        write_png(tmp_path / name)
    meanings, images = true_pictures.read_true_pictures(tmp_path, 3, seed=0)
    assert sorted(meaning.id for meaning in meanings) == ["pink-matte-hat", *["red-metallic-chair"] * 2]
    assert images[0][0, 0].tolist() == [128] * 3, "clear is grey"


@pytest.mark.parametrize(
    ("name", "shape", "num", "said"),
    [
        ("red-metallic-chair.png", (4, 4, 4), 2, "expected 2 PNG such as red-metallic-chair.png, got 1; write auto"),
        ("view-1.png", (4, 4, 4), 1, "expected a name such as red-metallic-chair.png, got another"),
        ("red-metallic-chair.png", (4, 5, 4), 1, "expected a square, got 5 x 4"),
    ],
)
def test_folders_that_are_none(tmp_path, name, shape, num, said):
    write_png(tmp_path / name, shape)
    with pytest.raises(UsageError, match=said):
        true_pictures.read_true_pictures(tmp_path, num, seed=0)


def test_a_file_that_is_no_picture(tmp_path):
    (tmp_path / "pink-matte-hat.png").write_bytes(b"GIF89a")
    with pytest.raises(UsageError, match="pink-matte-hat.png: expected a PNG, got"):
        true_pictures.read_true_pictures(tmp_path, 1, seed=0)
