"""True renders: what is rendered and how it is stored, the numbers by plain means, and the command."""

import json

import numpy as np
import pytest
from scipy import stats

from bench import __main__ as command_line
from bench.analysis import true_renders, upper_bounds
from bench.analysis.true_renders import measure, render_captions, stored_views
from bench.errors import UsageError
from bench.metrics.caption_protocols import CAPTION_PROTOCOLS
from bench.metrics.recognition_protocol import RecognitionProtocol
from bench.metrics.scores import Scores
from tasks.captions import caption_sets
from tasks.captions.caption_task import CaptionTask
from tasks.closed_world import pictures
from tasks.path_tracing import mitsuba_renderer

NAMES = ("closed-world", 2)
SIZE = {"image_px": 16, "num_spp": 4}


@pytest.fixture
def file(tmp_path, monkeypatch):
    """Another file than the project's, for a test to fill."""
    path = tmp_path / "upper_bounds.json"
    monkeypatch.setattr(upper_bounds, "FILE", path)
    upper_bounds.stored_bounds.cache_clear()
    yield path
    upper_bounds.stored_bounds.cache_clear()


@pytest.fixture(scope="module")
def data():
    name, num = NAMES
    return [
        CaptionTask(caption=c, captions=name, view_px=16).load() for c in caption_sets.caption_set(name).captions[:num]
    ]


@pytest.fixture(scope="module")
def images(data):
    return render_captions(data, **SIZE, num_workers=1)


@pytest.fixture(scope="module", autouse=True)
def fewer_questions():
    """Judges look for captions alone: embedding all things of the world takes seconds, and is tested elsewhere."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(true_renders, "PROTOCOLS", ("std-v1",))
        yield


@pytest.fixture(scope="module")
def entry(data, images, fewer_questions):
    return measure(data, images, SIZE)


def test_renders_are_those_of_world_pictures(data, images):
    """From the task's poses, in the light of the caption's place, under the lights of guides."""
    assert images.shape == (2, 17, 16, 16, 4)
    meaning = caption_sets.meaning_of_caption(data[1].caption)
    poses = data[1].test.poses[3:5]
    expected = pictures.render_meaning(
        meaning, poses, **SIZE, family="guide", number=1, first_seed=17 + 3, num_workers=1
    )
    np.testing.assert_array_equal(images[1, 3:5], expected)


def test_a_caption_of_another_world_has_no_bound(data, images):
    with pytest.raises(UsageError, match="caption 'a dragon': expected words of the closed world"):
        render_captions([data[0]._replace(caption="a dragon")], **SIZE, num_workers=1)


def test_renders_are_stored_as_views_are(data, images):
    views = stored_views(data[0], images[0])
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
    scores = [protocol.score(one, stored_views(one, x)) for one, x in zip(data, images, strict=True)]
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


def test_what_is_recognised_has_a_bound_too(data, images, monkeypatch):
    asked = []

    def score(self, one, views):
        asked.append(one.caption)
        value = None if asked[1:] else 1.0
        reasons = {"kind_single@a": "the caption means two things"}
        per_view = {"kind_single@a": [value]}
        return Scores(
            protocol=self.name, version="1.0", view_ids=(0,), per_view=per_view, reasons=reasons, context={}
        )  # fmt: skip

    monkeypatch.setattr(true_renders, "PROTOCOLS", ("recognition-v1",))
    monkeypatch.setattr(RecognitionProtocol, "score", score)
    found = measure(data, images, SIZE)
    assert found["by_caption"] == {"kind_single@a": [1.0, None]} and asked == [one.caption for one in data]
    assert found["metrics"]["kind_single@a"]["mean"] == 1.0


def test_what_is_written_is_read_and_other_sets_stay(file, data, entry):
    true_renders.write_entry("another-1", {"sha256": "1"})
    true_renders.write_entry(true_renders.entry_name(data[0]), entry)
    assert upper_bounds.stored_bounds() == {
        "another-1": {"sha256": "1"},
        true_renders.entry_name(data[0]): json.loads(json.dumps(entry)),
    }
    assert len(file.read_text().splitlines()) < 150  # lists are on one line
    assert list(file.parent.iterdir()) == [file]


def test_the_command_writes_them_and_keeps_the_renders(file, tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("BENCH_DATA_DIR", str(tmp_path / "data"))
    monkeypatch.setattr(true_renders, "IMAGE_PX", 16)
    monkeypatch.setattr(true_renders, "NUM_SPP", 4)
    monkeypatch.setattr(true_renders, "renders_fingerprint", lambda *sizes: "renders")
    assert command_line.run(["upper-bounds", "--num", "1"]) == 0
    [(name, entry)] = json.loads(file.read_text()).items()
    found = caption_sets.caption_set("closed-world")
    assert name == f"closed-world-{found.sha256[:8]}" and entry["rendered"] == [
        caption_sets.normalized(found.captions[0])
    ]
    assert f"{name}, 1 captions, rprec1@embedded-judge-rn: " in capsys.readouterr().out
    monkeypatch.setattr(mitsuba_renderer, "photograph_all", lambda *a, **k: pytest.fail("rendered again"))
    assert command_line.run(["upper-bounds", "--num", "1", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == {"name": name} | entry
    monkeypatch.setattr(true_renders, "renders_fingerprint", lambda *sizes: "others")
    with pytest.raises(pytest.fail.Exception, match="rendered again"):
        command_line.run(["upper-bounds", "--num", "1"])


def test_the_command_refuses_no_captions():
    with pytest.raises(UsageError, match="--num: expected .* at least 1, got .0"):
        command_line.run(["upper-bounds", "--num", "0"])


@pytest.mark.slow
def test_the_bounds_of_the_project_are_of_its_renders():
    """If this fails: python -m bench upper-bounds."""
    found = caption_sets.caption_set("closed-world")
    entry = upper_bounds.stored_bounds()[f"closed-world-{found.sha256[:8]}"]
    assert entry["renders"]["fingerprint"] == true_renders.renders_fingerprint()
