"""Photographs are sent, and their layers computed, once for all trials of a scene; that changes no digit."""

import jax.numpy as jnp
import numpy as np
import pytest

from bench.metrics import image, kept_photographs, photo_scorers
from bench.metrics.kept_photographs import KeptPhotographs, Photographs
from tests.bench.metrics.test_photo_scorers import made


class Made:
    """Makes arrays of 400 bytes each, and counts."""

    def __init__(self):
        self.num = 0

    def __call__(self):
        self.num += 1
        return (jnp.full((1, 10, 10, 1), self.num, jnp.float32),)


@pytest.fixture
def made_arrays():
    return Made()


def test_arrays_are_made_once_for_the_same_arrays(made_arrays):
    kept = KeptPhotographs()
    colors = np.zeros(3)
    first = kept.get(Photographs((colors, None), ("clip", 0)), ("lpips_vgg", 0), made_arrays)
    assert kept.get(Photographs((colors, None), ("clip", 0)), ("lpips_vgg", 0), made_arrays) is first
    others = [
        (Photographs((colors.copy(), None), ("clip", 0)), ("lpips_vgg", 0)),  # equal, and of another scene
        (Photographs((colors, colors), ("clip", 0)), ("lpips_vgg", 0)),
        (Photographs((colors, None), ("raw", 0)), ("lpips_vgg", 0)),
        (Photographs((colors, None), ("clip", 0)), ("lpips_vgg", 5)),
        (Photographs((colors, None), ("clip", 0)), ("lpips_alex", 0)),
    ]
    for photographs, part in others:
        assert kept.get(photographs, part, made_arrays) is not first
    assert made_arrays.num == 1 + len(others)


def test_the_oldest_are_dropped_where_there_is_no_room(made_arrays, monkeypatch):
    monkeypatch.setattr(kept_photographs, "most_bytes", lambda: 1000)
    kept = KeptPhotographs()
    photographs = Photographs((np.zeros(3),), ())
    for part in (0, 1, 0, 2):
        kept.get(photographs, part, made_arrays)
    assert [part for _, part in kept.kept] == [0, 2] and kept.num_bytes == 800 and made_arrays.num == 3
    monkeypatch.setattr(kept_photographs, "most_bytes", lambda: 0)
    kept.get(photographs, 3, made_arrays)
    assert not kept.kept and kept.num_bytes == 0


def test_a_cpu_keeps_some():
    assert kept_photographs.most_bytes() == kept_photographs.MOST_BYTES["cpu"]


NAMES = ["psnr", "psnr_fg", "ssim", "lpips_alex"]


@pytest.mark.parametrize("levels", ["clip", "raw", "truncate"])
def test_what_is_kept_changes_no_digit(monkeypatch, levels):
    kept = KeptPhotographs()
    monkeypatch.setattr(photo_scorers, "KEPT_PHOTOGRAPHS", kept)
    good, bad = made(0.05)._replace(levels=levels), made(0.2)._replace(levels=levels)
    known = Photographs((good.truth, None), (levels,))
    for views in (good, bad):  # of two trials
        plain = photo_scorers.score_photos(NAMES, views)
        assert photo_scorers.score_photos(NAMES, views._replace(photographs=known)) == plain
        assert sorted(part for _, (part, _) in kept.kept) == ["alphas", "lpips_alex", "truth"]


def test_of_known_photographs_nothing_is_sent_again(monkeypatch):
    monkeypatch.setattr(photo_scorers, "KEPT_PHOTOGRAPHS", KeptPhotographs())
    sent = []
    put_chunk = image.put_chunk

    def put_and_count(images, start):
        sent.extend((x.dtype.name, x.shape[-1], start) for x in images)
        return put_chunk(images, start)

    monkeypatch.setattr(image, "put_chunk", put_and_count)
    views = made(0.1, num_views=7)
    views = views._replace(
        color=views.color.astype(np.float16),
        photographs=Photographs((views.truth,), ()),
        masks=np.ones_like(views.alphas),
    )
    names = ["psnr", "lpips_alex"]
    first = photo_scorers.score_photos(names, views)
    of_each_chunk = [("float16", 3), ("float32", 3), ("float32", 32)]  # colours, truth, masks
    assert sent == [(*array, start) for start in (0, 5) for array in of_each_chunk]
    sent.clear()
    assert photo_scorers.score_photos(names, views) == first
    assert sent == [("float16", 3, 0), ("float16", 3, 5)]
    photo_scorers.score_photos(["psnr_fg"], views)  # the first that needs alphas
    assert sent[2:] == [("float16", 3, 0), ("float32", 32, 0), ("float16", 3, 5), ("float32", 32, 5)]
