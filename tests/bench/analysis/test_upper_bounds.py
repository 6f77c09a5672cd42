"""Upper bounds from a file: means with intervals over captions, chance beside them, and the project's own file."""

import numpy as np
import pytest

from bench.analysis import true_renders, upper_bounds
from bench.analysis.upper_bounds import upper_bound
from bench.metrics.caption_protocols import CAPTION_PROTOCOLS
from tasks.captions import caption_sets
from tasks.captions.caption_task import CaptionTask


@pytest.fixture
def file(tmp_path, monkeypatch):
    """Another file than the project's, for a test to fill."""
    path = tmp_path / "upper_bounds.json"
    monkeypatch.setattr(upper_bounds, "FILE", path)
    upper_bounds.stored_bounds.cache_clear()
    yield path
    upper_bounds.stored_bounds.cache_clear()


def some_entry(**changes):
    by_caption = {"rprec1@j": [1.0, 0.5, 0.75, 1.0], "rprec5@j": [1.0] * 4, "rank@j": [1.0, 3.0, 2.0, 1.0],
                  "margin@j": [0.2, 0.1, 0.1, 0.2], "repeats": [0.8, None, 0.9, 0.7]}  # fmt: skip
    return {"sha256": "ab" * 32, "size": 128, "rendered": ["a", "b", "c", "d"], "by_caption": by_caption} | changes


@pytest.mark.parametrize(("metric", "expected"), [
    # stats.t.interval(0.95, 3, mean, sem) of the numbers above; ends at what can be
    ("rprec1@j", (0.8125, 0.4317, 1.0)),
    ("rprec5@j", (1.0, 1.0, 1.0)),
    ("rank@j", (1.75, 1.0, 3.2734)),
    ("margin@j", (0.15, 0.0581, 0.2419)),
    ("repeats", (0.8, 0.5516, 1.0)),
    ("rprec1@other", None), ("rprec1@guide", None), ("psnr", None),
])  # fmt: skip
def test_of_true_renders(file, metric, expected):
    true_renders.write_entry("s-abababab", some_entry())
    for found in (upper_bound("ab" * 32, metric), upper_bound("abab", metric)):
        assert (found and found[0]) == (expected and pytest.approx(expected, abs=1e-4))
        assert found is None or found[1] == (3 if metric == "repeats" else 4)
    assert upper_bound("cd" * 32, metric) is None
    assert upper_bound("", metric) is None


def test_of_some_captions(file):
    true_renders.write_entry("s-abababab", some_entry())
    interval, num = upper_bound("abab", "rprec1@j", ["a", "b", "a"])
    assert (interval, num) == (pytest.approx((0.75, 0.0, 1.0)), 2)
    interval, num = upper_bound("abab", "rprec1@j", ["c", "z"])
    assert (interval.mean, interval.low, num) == (0.75, None, 1)
    assert upper_bound("abab", "rprec1@j", ["z"]) is None


def test_without_a_file(file):
    assert upper_bound("ab" * 32, "rprec1@j") is None


def test_the_bounds_of_the_project_are_of_its_captions_and_judges():
    """If this fails: python -m bench upper-bounds."""
    found = caption_sets.caption_set("closed-world")
    entry = upper_bounds.stored_bounds()[f"closed-world-{found.sha256[:8]}"]
    assert entry["sha256"] == found.sha256 and entry["size"] == len(found.captions)
    assert (
        tuple(entry["rendered"]) == tuple(map(caption_sets.normalized, found.captions[: entry["num_captions"]]))
        and entry["num_captions"] >= 64
    )
    task = CaptionTask(caption=found.captions[0], view_px=64).load()
    views = {key: np.repeat(value[:1], 17, axis=0) for key, value in some_views().items()}
    about = CAPTION_PROTOCOLS["std-v1"].score(task, views | {"ids": np.arange(17)}).about
    assert entry["judges"] == about["judges"]
    assert entry["protocol"].split(".")[0] == "std-v1 " + CAPTION_PROTOCOLS["std-v1"].version.split(".")[0]
    for judge in entry["judges"]:
        assert entry["metrics"][f"rprec1@{judge}"]["mean"] > 0.8
        assert upper_bound(found.sha256, f"rprec1@{judge}")[0].mean > 0.8


def some_views():
    return {"color": np.full((1, 64, 64, 3), 0.5, np.float16), "opacity": np.full((1, 64, 64), 0.5, np.float16)}
