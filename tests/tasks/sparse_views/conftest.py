"""A fixture of all tests of sparse views: a cache of their own, and paintings in place of renderings."""

from __future__ import annotations

import pytest

from tasks.scenes import scenes
from tests.fixtures.painted_views import Painter, forget


@pytest.fixture
def painter(monkeypatch, tmp_path):
    monkeypatch.setenv("BENCH_DATA_DIR", str(tmp_path / "cache"))
    painter = Painter()
    monkeypatch.setattr(scenes, "render_scene", painter)
    monkeypatch.setattr(scenes, "fingerprint", "{}-{}-{}".format)  # building the scenes takes longer than these tests
    forget()
    yield painter
    forget()
