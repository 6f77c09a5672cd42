"""Layers of photographs are computed once for all trials of a scene, and change no digit."""

import jax.numpy as jnp
import numpy as np
import pytest

from bench.metrics import photo_scorers, photograph_layers
from bench.metrics.photograph_layers import KeptLayers, Photographs
from tests.bench.metrics.test_photo_scorers import made


class Made:
    """Makes layers of 400 bytes each, and counts."""

    def __init__(self):
        self.num = 0

    def __call__(self):
        self.num += 1
        return (jnp.full((1, 10, 10, 1), self.num, jnp.float32),)


@pytest.fixture
def made_layers():
    return Made()


def test_layers_are_made_once_for_the_same_arrays(made_layers):
    kept = KeptLayers()
    colors = np.zeros(3)
    first = kept.get(Photographs((colors, None), ("clip", 0)), ("lpips_vgg", 0), made_layers)
    assert kept.get(Photographs((colors, None), ("clip", 0)), ("lpips_vgg", 0), made_layers) is first
    others = [
        (Photographs((colors.copy(), None), ("clip", 0)), ("lpips_vgg", 0)),  # equal, and of another scene
        (Photographs((colors, colors), ("clip", 0)), ("lpips_vgg", 0)),
        (Photographs((colors, None), ("raw", 0)), ("lpips_vgg", 0)),
        (Photographs((colors, None), ("clip", 0)), ("lpips_vgg", 5)),
        (Photographs((colors, None), ("clip", 0)), ("lpips_alex", 0)),
    ]
    for photographs, part in others:
        assert kept.get(photographs, part, made_layers) is not first
    assert made_layers.num == 1 + len(others)


def test_the_oldest_are_dropped_where_there_is_no_room(made_layers, monkeypatch):
    monkeypatch.setattr(photograph_layers, "most_bytes", lambda: 1000)
    kept = KeptLayers()
    photographs = Photographs((np.zeros(3),), ())
    for part in (0, 1, 0, 2):
        kept.get(photographs, part, made_layers)
    assert [part for _, part in kept.kept] == [0, 2] and kept.num_bytes == 800 and made_layers.num == 3
    monkeypatch.setattr(photograph_layers, "most_bytes", lambda: 0)
    kept.get(photographs, 3, made_layers)
    assert not kept.kept and kept.num_bytes == 0


def test_a_cpu_keeps_some():
    assert photograph_layers.most_bytes() == photograph_layers.MOST_BYTES["cpu"]


def test_kept_layers_change_no_digit(monkeypatch):
    kept = KeptLayers()
    monkeypatch.setattr(photo_scorers, "KEPT_LAYERS", kept)
    good, bad = made(0.05), made(0.2)
    known = Photographs((good.truth, None), ())
    for views in (good, bad):  # of two trials
        plain = photo_scorers.score_photos(["lpips_alex"], views)
        assert photo_scorers.score_photos(["lpips_alex"], views._replace(photographs=known)) == plain
        assert len(kept.kept) == 1
