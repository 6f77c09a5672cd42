"""Caption tasks are told apart, mistakes are refused with a reason, and views are always the same."""

from __future__ import annotations

import dataclasses
import hashlib
import os
import pickle
import re
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bench.errors import UsageError
from bench.import_paths import ROOT
from bench.suites.identity import describe
from tasks import budgets, cameras
from tasks.captions import caption_sets, caption_task
from tasks.captions.caption_sets import caption_set
from tasks.captions.caption_task import CaptionTask
from tests.fixtures.caption_files import write_captions


def test_helpers_give_tasks_in_the_order_of_the_set():
    tasks = caption_task.held_out_tasks()
    assert tuple(task.caption for task in tasks) == caption_set("closed-world").captions[:64]
    assert caption_task.held_out_tasks(12) == tasks[:12]
    assert all(task.captions == "closed-world" and task.judges is None for task in tasks)
    assert len(caption_task.tasks_of("closed-world")) == 128
    own = caption_task.tasks_of("composed:world-pairs", split="held_out")
    assert tuple(task.caption for task in own) == caption_sets.splits("composed:world-pairs")["held_out"]
    assert {task.captions for task in own} == {"composed:world-pairs"}


def test_numbers_and_splits_that_are_not_there_are_told(tmp_path):
    name = write_captions(tmp_path / "own.txt", "a", "b")
    for ask, message in (
        (lambda: caption_task.held_out_tasks(65), "captions closed-world: expected a number from 1 to 64, got 65"),
        (lambda: caption_task.tasks_of("composed:shapes", 0), "expected a number from 1 to 48, got 0"),
        (
            lambda: caption_task.tasks_of("closed-world", split="see"),
            "one of its splits, got 'see'; the nearest is 'seen'",
        ),
        (lambda: caption_task.tasks_of(name, split="seen"), "got 'seen'; it has none; leave `split` out"),
    ):
        with pytest.raises(UsageError, match=message):
            unchecked(ask)


def unchecked(ask):
    """With the types of arguments as they come from a command line."""
    from jaxtyping import config

    before = config.jaxtyping_disable
    config.update("jaxtyping_disable", True)
    try:
        return ask()
    finally:
        config.update("jaxtyping_disable", before)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"caption": ""}, "caption: expected words, got ''; for example 'a red metallic chair'"),
        ({"caption": " .\n"}, "caption: expected words, got"),
        (
            {"caption": "a blue dotted guitars"},
            "expected one of the 128 captions of closed-world, got another; the nearest is 'a blue dotted guitar'",
        ),
        ({"caption": "qqq"}, "expected one of the 128 captions of closed-world, got another"),
        ({"captions": "closed-words"}, "captions: expected a retrieval set, got 'closed-words'; the nearest is"),
        ({"view_px": 0}, "expected view_px of at least 1, got 0"),
        ({"judges": ()}, "expected one or more different judges, got ..; leave `judges` out"),
        ({"judges": ("a", "a")}, "expected one or more different judges, got .'a', 'a'.; leave `judges` out"),
    ],
)
def test_mistakes_are_told(fields, message):
    with pytest.raises(UsageError, match=message):
        CaptionTask(**{"caption": "a blue dotted guitar"} | fields)


def test_a_caption_becomes_that_of_its_set(tmp_path):
    name = write_captions(tmp_path / "own.txt", "A Red chair.", "a blue chair")
    task = CaptionTask(caption=" a red  CHAIR", captions=name)
    assert task.caption == "A Red chair." and task.cluster == "a red chair" and task.name == "a-red-chair"
    assert task == CaptionTask(caption="A Red chair.", captions=name)


@settings(max_examples=40, deadline=None)
@given(st.lists(st.text(max_size=80), min_size=1, max_size=4))
def test_names_are_safe_and_tell_captions_apart(tmp_path_factory, texts):
    known = {caption_sets.normalized(text): " ".join(text.split()) for text in texts}
    lines = [line for said, line in known.items() if said and not line.startswith("#")]
    name = write_captions(tmp_path_factory.getbasetemp() / "names.txt", *lines, "x y z 1", "x y z 2")
    caption_sets._of_file.cache_clear()  # a file written twice within the clock's resolution
    tasks = caption_task.tasks_of(name)
    assert all(re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", task.name) and len(task.name) <= 48 for task in tasks)
    assert len({task.name for task in tasks}) == len({task.cluster for task in tasks}) == len(tasks)


def test_names_end_in_a_hash_where_they_lost_something(tmp_path):
    lines = ["a red chair", "a red-chair", "ä", "word " * 20]
    names = [task.name for task in caption_task.tasks_of(write_captions(tmp_path / "own.txt", *lines))]
    digits = [hashlib.sha256(caption_sets.normalized(line).encode()).hexdigest()[:6] for line in lines]
    assert names == ["a-red-chair", f"a-red-chair-{digits[1]}", digits[2], "word-" * 8 + f"w-{digits[3]}"]


def test_judges_change_no_trial(tmp_path):
    task = CaptionTask(caption="a pink windmill", view_px=8)
    other = dataclasses.replace(task, judges=("openai-vit-b-32",))
    told = describe(task)
    assert told == describe(other) == {
        "type": "CaptionTask/1", "caption": "a pink windmill", "captions": "closed-world", "view_px": 8,
    }  # fmt: skip
    assert task.fingerprint() == other.fingerprint()
    assert task.load().judges == ("embedded-judge-rn", "embedded-judge-vit")
    assert other.load().judges == ("openai-vit-b-32",)
    world_task, open_task = (caption_task.tasks_of(f"composed:{name}", 1)[0] for name in ("world-pairs", "shapes"))
    assert dataclasses.replace(world_task, view_px=8).load().judges == task.load().judges
    assert dataclasses.replace(open_task, view_px=8).load().judges == ("openai-vit-b-32",)


def test_fingerprints_are_of_the_set_and_the_views(tmp_path, monkeypatch):
    one, two = (write_captions(tmp_path / f"{i}.txt", "a pink windmill", "b") for i in "12")
    three = write_captions(tmp_path / "3.txt", "a pink windmill", "c")
    fingerprints = [CaptionTask(caption="a pink windmill", captions=name).fingerprint() for name in (one, two, three)]
    assert fingerprints[0] == fingerprints[1] != fingerprints[2]
    assert (
        CaptionTask(caption="a pink windmill").fingerprint()
        == CaptionTask(caption="a gray glossy hammer").fingerprint()
    )
    monkeypatch.setattr(caption_task, "VIEWS_VERSION", 99)
    assert CaptionTask(caption="a pink windmill", captions=one).fingerprint() != fingerprints[0]


def test_a_worker_needs_no_file(tmp_path):
    task = CaptionTask(caption="b", captions=write_captions(tmp_path / "own.txt", "a", "b"), view_px=8)
    sent = pickle.dumps(task)
    (tmp_path / "own.txt").unlink()
    data = pickle.loads(sent).load()
    assert data.captions.captions == ("a", "b") and data.place == 1
    assert pickle.loads(sent) == task and hash(pickle.loads(sent)) == hash(task)


def test_open_sizes_are_our_own_mistake():
    task = CaptionTask(caption="a pink windmill")
    for ask in (task.layout, task.load):
        with pytest.raises(AssertionError, match="its size is open; give it to tasks.budgets.sized first"):
            ask()
    assert dataclasses.replace(task, view_px=24).layout() == (0, 17, 24, 24)
    assert budgets.sized(dataclasses.replace(task, view_px=24), budgets.BUDGETS["quick"]).view_px == 24


# From where


def test_data_holds_the_caption_its_set_and_the_views():
    task = CaptionTask(caption="a pink windmill", view_px=24)
    data = task.load()
    assert data.captions == caption_set("closed-world") and data.captions.captions[data.place] == data.caption
    assert data.caption == "a pink windmill" and data.place == 2
    assert (data.pixel_center, data.background) == (0.5, 0.5)
    corners = np.stack(np.meshgrid(*[[-1.2, 1.2]] * 3), -1).reshape(-1, 3)  # those of the cube
    distances = np.linalg.norm(corners[None] - data.test.poses[:, None, :3, 3], axis=-1)
    assert data.near <= distances.min() and distances.max() <= data.far
    assert (data.near, data.far) == pytest.approx((1.92154, 6.07846), abs=1e-5)  # 4 -+ sqrt(3) 1.2


def test_views_are_those_of_the_protocols_in_their_order():
    seen = caption_task.views(24)
    assert seen.ids == tuple(range(17)) == tuple(range(caption_task.NUM_VIEWS))
    for i in range(16):  # std-v1
        elevation, azimuth = (15, 45)[i // 8], 45 * (i % 8)
        assert (seen.elevation_deg[i], seen.azimuth_deg[i]) == (elevation, azimuth)
        assert i == 8 * (elevation == 45) + azimuth // 45
    assert (seen.azimuth_deg[16], seen.elevation_deg[16]) == (30, 45)  # dreamfields-2022
    for i in seen.ids:
        a, e = np.radians(seen.azimuth_deg[i]), np.radians(seen.elevation_deg[i])
        place = 4 * np.array([np.cos(e) * np.cos(a), np.cos(e) * np.sin(a), np.sin(e)])
        np.testing.assert_allclose(seen.poses[i, :3, 3], place, atol=1e-5)
        np.testing.assert_allclose(-seen.poses[i, :3, 2], -place / 4, atol=1e-6)  # looks at the origin
    # Half the image's width at distance 1, half of NeRF Synthetic's 39.6 degrees
    assert 12 / seen.intrinsics.focal_x[0] == pytest.approx(np.tan(np.radians(cameras.BLENDER_FOV_DEG / 2)))
    for values in seen.intrinsics[:4]:
        assert values.shape == (17,) and len(set(values)) == 1 and values.dtype == np.float32


def test_views_are_shared_and_cannot_be_written():
    tasks = [dataclasses.replace(task, view_px=24) for task in caption_task.held_out_tasks(2)]
    one, other = (task.load().test for task in tasks)
    assert one is other
    arrays = [one.poses, one.azimuth_deg, one.elevation_deg, *one.intrinsics[:4]]
    assert not any(array.flags.writeable for array in arrays)


def test_importing_the_task_is_light_and_reads_nothing():
    read = (
        "import sys, tasks.captions.caption_task, tasks.captions.caption_sets as c, tasks.captions.templates as o; "
        "print({'mitsuba', 'tensorflow_datasets', 'rich', 'PIL'} & {*sys.modules}, "
        "c._closed_world.cache_info().currsize, o.closed_world.cache_info().currsize)"
    )
    env = os.environ | {"BENCH_COCO_CAPTIONS": "/no/such/file"}
    done = subprocess.run([sys.executable, "-c", read], capture_output=True, text=True, cwd=ROOT, env=env)
    assert done.stdout.strip() == "set() 0 0", done.stderr
