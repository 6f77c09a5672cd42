"""Ceilings from true renders: what is rendered and stored, the numbers by plain means, and what a table prints."""

import json

import numpy as np
import pytest
from scipy import stats

from bench.analysis import upper_bounds
from bench.analysis.upper_bounds import as_stored, measured, rendered, upper_bound
from bench.errors import UsageError
from bench.metrics.caption_protocols import CAPTION_PROTOCOLS
from tasks.captions import caption_sets
from tasks.captions.caption_task import CaptionTask
from tasks.closed_world import pictures
from tasks.path_tracing import mitsuba_renderer

NAMES = ("closed-world", 2)
SIZE = {"image_px": 16, "num_spp": 4}


@pytest.fixture(scope="module")
def data():
    name, num = NAMES
    return [
        CaptionTask(caption=c, captions=name, view_px=16).load() for c in caption_sets.caption_set(name).captions[:num]
    ]


@pytest.fixture(scope="module")
def images(data):
    return rendered(data, **SIZE, num_workers=1)


@pytest.fixture(scope="module")
def entry(data, images):
    return measured(data, images, SIZE)


@pytest.fixture
def file(tmp_path, monkeypatch):
    """Another file than the project's, for a test to fill."""
    path = tmp_path / "ceilings.json"
    monkeypatch.setattr(upper_bounds, "FILE", path)
    upper_bounds.stored.cache_clear()
    yield path
    upper_bounds.stored.cache_clear()


def test_renders_are_those_of_world_pictures(data, images):
    """From the task's poses, in the light of the caption's place, under the lights of guides."""
    assert images.shape == (2, 17, 16, 16, 4)
    meaning = caption_sets.meaning_of_caption(data[1].caption)
    poses = data[1].test.poses[3:5]
    expected = pictures.render_views(meaning, poses, **SIZE, family="guide", number=1, first_seed=17 + 3, num_workers=1)
    np.testing.assert_array_equal(images[1, 3:5], expected)


def test_a_caption_of_another_world_has_no_ceiling(data, images):
    with pytest.raises(UsageError, match="caption 'a dragon': expected words of the closed world"):
        rendered([data[0]._replace(caption="a dragon")], **SIZE, num_workers=1)


def test_renders_are_stored_as_views_are(data, images):
    views = as_stored(data[0], images[0])
    rgba = images[0].astype(np.float64) / 255
    for background in (0.5, 1.0):
        expected = rgba[..., :3] * rgba[..., 3:] + background * (1 - rgba[..., 3:])
        clear = (1 - views["opacity"].astype(np.float64))[..., None]
        found = views["color"].astype(np.float64) - 0.5 * clear + background * clear
        np.testing.assert_allclose(found, expected, atol=2e-3)
    assert views["color"].dtype == views["opacity"].dtype == np.float16
    assert views["ids"].tolist() == list(range(17))


def test_numbers_are_means_over_captions(data, images, entry):
    protocol = CAPTION_PROTOCOLS["std-v1"]
    scores = [protocol.score(one, as_stored(one, x)) for one, x in zip(data, images, strict=True)]
    for metric in ("rprec1@embedded-judge-rn", "margin_white@embedded-judge-vit", "repeats", "opacity"):
        means = [np.mean(found.per_view[metric]) for found in scores]
        assert entry["by_caption"][metric] == pytest.approx(means, abs=1e-5)
        found = entry["metrics"][metric]
        half = stats.t.ppf(0.975, 1) * np.std(means, ddof=1) / np.sqrt(2)
        assert found["mean"] == pytest.approx(np.mean(means), abs=2e-5)
        if metric.startswith("margin"):  # others end where they can lie
            assert found["high"] - found["mean"] == pytest.approx(half, abs=1e-4)
    assert not any(name.endswith("@guide") for name in entry["metrics"])
    assert entry["judges"] == scores[0].about["judges"] and len(entry["judges"]) == 2
    assert (entry["num_captions"], entry["size"], entry["protocol"]) == (2, 128, f"std-v1 {protocol.version}")


def test_what_is_written_is_read_and_other_sets_stay(file, data, entry):
    upper_bounds.write("another-1", {"sha256": "1"})
    upper_bounds.write(upper_bounds.entry_name(data[0]), entry)
    assert upper_bounds.stored() == {
        "another-1": {"sha256": "1"},
        upper_bounds.entry_name(data[0]): json.loads(json.dumps(entry)),
    }
    assert len(file.read_text().splitlines()) < 150  # lists are on one line
    assert list(file.parent.iterdir()) == [file]


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
    upper_bounds.write("s-abababab", some_entry())
    for found in (upper_bound("ab" * 32, metric), upper_bound("abab", metric)):
        assert (found and found[0]) == (expected and pytest.approx(expected, abs=1e-4))
        assert found is None or found[1] == (3 if metric == "repeats" else 4)
    assert upper_bound("cd" * 32, metric) is None
    assert upper_bound("", metric) is None


def test_of_some_captions(file):
    upper_bounds.write("s-abababab", some_entry())
    interval, num = upper_bound("abab", "rprec1@j", ["a", "b", "a"])
    assert (interval, num) == (pytest.approx((0.75, 0.0, 1.0)), 2)
    interval, num = upper_bound("abab", "rprec1@j", ["c", "z"])
    assert (interval.mean, interval.low, num) == (0.75, None, 1)
    assert upper_bound("abab", "rprec1@j", ["z"]) is None


def test_without_a_file(file):
    assert upper_bound("ab" * 32, "rprec1@j") is None


def test_the_command_writes_them_and_keeps_the_renders(file, tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("BENCH_DATA_DIR", str(tmp_path / "data"))
    monkeypatch.setattr(upper_bounds, "IMAGE_PX", 16)
    monkeypatch.setattr(upper_bounds, "NUM_SPP", 4)
    monkeypatch.setattr(upper_bounds, "fingerprint", lambda *sizes: "renders")
    assert upper_bounds.main(["--num", "1"]) == 0
    [(name, entry)] = json.loads(file.read_text()).items()
    found = caption_sets.caption_set("closed-world")
    assert name == f"closed-world-{found.sha256[:8]}" and entry["rendered"] == [
        caption_sets.normalized(found.captions[0])
    ]
    assert f"{name}, 1 captions, rprec1@embedded-judge-rn: " in capsys.readouterr().out
    monkeypatch.setattr(mitsuba_renderer, "photograph_all", lambda *a, **k: pytest.fail("rendered again"))
    assert upper_bounds.main(["--num", "1"]) == 0
    monkeypatch.setattr(upper_bounds, "fingerprint", lambda *sizes: "others")
    with pytest.raises(pytest.fail.Exception, match="rendered again"):
        upper_bounds.main(["--num", "1"])


def test_the_command_refuses_no_captions():
    with pytest.raises(UsageError, match="--num: expected at least 1 caption, got 0"):
        upper_bounds.main(["--num", "0"])


def test_the_ceilings_of_the_project_are_of_its_captions_and_judges():
    """If this fails: python -m bench.analysis.upper_bounds."""
    found = caption_sets.caption_set("closed-world")
    entry = upper_bounds.stored()[f"closed-world-{found.sha256[:8]}"]
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


@pytest.mark.slow
def test_the_ceilings_of_the_project_are_of_its_renders():
    """If this fails: python -m bench.analysis.upper_bounds."""
    found = caption_sets.caption_set("closed-world")
    entry = upper_bounds.stored()[f"closed-world-{found.sha256[:8]}"]
    assert entry["renders"]["fingerprint"] == upper_bounds.fingerprint()
