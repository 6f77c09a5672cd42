"""Retrieval sets stay what they are, files are read or refused with a reason, and views are always the same."""

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
from tasks.closed_world import grammar
from tasks.closed_world import meanings as meanings_module

PINNED = {
    "closed-world": "5230974a1fc6416f4c55a0d2d7460665660ce94050b8a558eabd79399f6e2e61",
    "composed:shapes": "62f75b6ec57430dbd06e4a263207e11149e279b68f25bd0c00625acb9ba99534",
    "composed:imitations": "2b7591a48638754ccbbad257dd4ea0c604d1a7326c85817218fcd305efd9de0e",
    "composed:materials": "d2a72ae525ac6f2e09e26ab2173bb1b93a5b635dfeda5d62eba4f93e099e98bd",
    "composed:world-things": "ea5958acd723e6f762e244f2891f70bec31accdcc098dab9755ccf1e176f4f6b",
    "composed:world-pairs": "c73cfe12582b29edcd15ad93b5770de52ad1f259e09721f7a335be66d1ad6683",
}
"""Taken when this was written. If one changes, numbers made before and after cannot be compared: give the changed set
another name."""

OFFICIAL = '''# coding=utf-8
"""Made up, in the form of the official file."""
import nothing_that_is_there
queries = [
    'A blue bicycle. ',
    "a cat's  BOWL,",
]  # 2 queries
queries = [q.lower().strip(' .,') + '.' for q in queries]
'''
NORMALIZED = ("a blue bicycle.", "a cat's  bowl.")


def sha256(*lines):
    return hashlib.sha256("".join(f"{line}\n" for line in lines).encode()).hexdigest()


def written(file, *lines):
    file.write_text("\n".join(lines), encoding="utf-8")
    return f"file:{file}"


@pytest.fixture
def coco(monkeypatch, tmp_path):
    """A cache of its own, and an official list of two captions on a server that does not answer."""
    monkeypatch.setenv("BENCH_DATA_DIR", str(tmp_path / "cache"))
    monkeypatch.delenv("BENCH_COCO_CAPTIONS", raising=False)
    monkeypatch.setattr(caption_sets, "COCO_SHA256", sha256(*NORMALIZED))
    monkeypatch.setattr(caption_sets, "COCO_URL", (tmp_path / "served.py").as_uri())
    caption_sets._coco.cache_clear()
    yield tmp_path
    caption_sets._coco.cache_clear()


# Sets with a name


@pytest.mark.parametrize("name", PINNED)
def test_sets_stay_what_they_are(name):
    found = caption_set(name)
    assert found.name == name and found.sha256 == sha256(*found.captions) == PINNED[name]
    assert len({caption_sets.normalized(caption) for caption in found.captions}) == len(found.captions)


def test_every_named_set_is_pinned():
    assert set(PINNED) | {"coco-153"} == set(caption_sets.NAMES)


def test_the_closed_world_has_its_captions_held_out_ones_first():
    found = caption_set("closed-world").captions
    assert len(found) == 128
    meanings = [caption_sets.meaning_of_caption(caption) for caption in found]
    assert [grammar.caption(meaning) for meaning in meanings] == list(found)
    assert [meanings_module.split_of(meaning) for meaning in meanings] == ["held_out"] * 64 + ["train"] * 64
    assert found[:4] == (
        "a blue dotted guitar",
        "an orange metallic snowman",
        "a pink windmill",
        "a purple striped tree next to a red checkered car",
    )
    with pytest.raises(UsageError, match="expected words of the closed world, got 'dragon'"):
        caption_sets.meaning_of_caption("a red dragon")


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("closedworld", "captions: expected a retrieval set, got 'closedworld'; the nearest is 'closed-world'; a file"),
        ("coco", "got 'coco'; the nearest is 'coco-153'; a file of yours is file:PATH"),
        ("composed:shape", "the nearest is 'composed:shapes'"),
        ("", "got ''; known: closed-world, coco-153, composed:imitations"),
        ("file:", "expected a text file of captions, got a folder; write its path after file:"),
        ("file:no/such/file.txt", "no/such/file.txt: expected a text file of captions, got none there"),
    ],
)
def test_unknown_sets_are_told(name, message):
    for ask in (caption_set, caption_sets.splits, caption_task.tasks_of, caption_sets.card):
        with pytest.raises(UsageError, match=message):
            ask(name)


# The captions of COCO


@pytest.mark.parametrize(
    ("name", "content"), [("queries.py", OFFICIAL), ("text.txt", "a blue bicycle.\na cat's  bowl")]
)
def test_coco_is_read_from_the_users_file(coco, monkeypatch, name, content):
    (coco / name).write_text(content)
    monkeypatch.setenv("BENCH_COCO_CAPTIONS", str(coco / name))
    assert caption_set("coco-153") == ("coco-153", NORMALIZED, sha256(*NORMALIZED))
    assert not (coco / "cache").exists()
    (coco / name).write_text(content.replace("blue", "reddish"))
    with pytest.raises(
        UsageError, match=f"{name}: expected the 153 captions of Dream Fields, SHA-256 .*, got 2 captions"
    ):
        caption_set("coco-153")


def test_coco_is_downloaded_once(coco, capfd):
    (coco / "served.py").write_text(OFFICIAL)
    assert caption_set("coco-153").captions == NORMALIZED
    assert "downloading" in capfd.readouterr().err
    (coco / "served.py").unlink()
    caption_sets._coco.cache_clear()
    assert caption_set("coco-153").captions == NORMALIZED
    kept = {path.name for path in (coco / "cache" / "captions").iterdir()}
    assert kept == {"coco_queries_val.py", ".lock"}


def test_a_wrong_list_is_not_kept(coco):
    (coco / "served.py").write_text(OFFICIAL.replace("blue", "red"))
    with pytest.raises(UsageError, match="served.py: expected the 153 captions of Dream Fields, SHA-256"):
        caption_set("coco-153")
    assert [path.name for path in (coco / "cache" / "captions").iterdir()] == [".lock"]


def test_without_a_network_it_says_what_to_put_where(coco):
    place = coco / "cache" / "captions" / "coco_queries_val.py"
    with pytest.raises(
        UsageError,
        match=rf"captions coco-153: expected the official list, got none \({caption_sets.COCO_URL}: .*\); put that file at "
        rf"{place}, or name one, or a text of 153 lines, with BENCH_COCO_CAPTIONS",
    ):
        caption_set("coco-153")
    place.write_text(OFFICIAL)
    assert caption_set("coco-153").captions == NORMALIZED


def test_what_the_users_variable_names_must_be_there(coco, monkeypatch):
    monkeypatch.setenv("BENCH_COCO_CAPTIONS", str(coco / "none.txt"))
    with pytest.raises(UsageError, match="none.txt: expected a text file of captions, got none there; name another"):
        caption_set("coco-153")


def test_python_is_read_and_never_run(tmp_path):
    evil = f"import pathlib\nqueries = [pathlib.Path({str(tmp_path / 'run')!r}).touch()]\nqueries = ['a cat']\n"
    assert caption_sets._queries(evil, "x.py") == ["a cat"]
    assert not (tmp_path / "run").exists()
    for source in ("queries = [", "other = ['a']", "queries = ['a', 1]", "queries = 'a'", "\0", "(" * 10_000):
        with pytest.raises(UsageError, match="x.py: expected Python with a list `queries`.*; fetch it again"):
            caption_sets._queries(source, "x.py")


def test_the_official_address_is_pinned():
    assert re.search(r"/google-research/[0-9a-f]{40}/dreamfields/.*/coco_queries_val\.py$", caption_sets.COCO_URL)
    assert caption_sets.COCO_SHA256.startswith("0a83ebb21f038b60")  # source: the paper notes


# Files of the user's


def test_a_file_is_read_as_it_is_written(tmp_path, monkeypatch):
    name = written(
        tmp_path / "own.txt", "\ufeff# of mine", "", "  A Red chair. ", "\ta blue chair,\r", "#a", "une chaise"
    )
    found = caption_set(name)
    assert found == (name, ("A Red chair.", "a blue chair,", "une chaise"), sha256(*found.captions))
    assert caption_sets.splits(name) == {} and caption_sets.card(name)["splits"] == {}
    assert caption_sets.judges_of(name) == ("openai-vit-b-32",)
    monkeypatch.setenv("HOME", str(tmp_path))
    assert caption_set("file:~/own.txt").sha256 == found.sha256


def test_a_changed_file_is_read_again(tmp_path):
    name = written(tmp_path / "own.txt", "a red chair", "a blue chair")
    first = CaptionTask(caption="a red chair", captions=name)
    written(tmp_path / "own.txt", "a red chair", "a blue chair", "a green chair")
    second = CaptionTask(caption="a red chair", captions=name)
    assert len(caption_set(name).captions) == 3
    assert first.fingerprint() != second.fingerprint()


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        ([], "own.txt: expected two captions or more, one a line, got none; add others"),
        (["# only", "  "], "own.txt: expected two captions or more, one a line, got none"),
        (["a chair"], "expected two captions or more, one a line, got 1"),
        (["a chair", "...", "b"], "own.txt, line 2: expected words, got '...'; correct or remove it"),
        (
            ["A chair", "", "#", "a  chair.", "b", "B ."],
            "own.txt: expected different captions, got the same in lines 1 and 4 .'a chair'., 5 and 6 .'b'.; remove one",
        ),
        (["a"] * 9, r"1 and 6 \('a'\) and 3 more; remove one of each"),
    ],
)
def test_files_that_are_no_set_are_refused(tmp_path, lines, message):
    with pytest.raises(UsageError, match=message):
        caption_set(written(tmp_path / "own.txt", *lines))


def test_what_is_no_text_is_told(tmp_path):
    (tmp_path / "own.txt").write_bytes(b"a chair\n\xff\xfe\n")
    with pytest.raises(UsageError, match="own.txt: expected text in UTF-8, got .*; save it as UTF-8"):
        caption_set(f"file:{tmp_path / 'own.txt'}")


# Cards


def slow_near_duplicates(lines):
    words = [set(grammar.split_words(line)) - {"a", "an", "the"} for line in lines]
    return [
        (lines[j], lines[i])
        for i in range(len(lines))
        for j in range(i)
        if words[i] | words[j] and len(words[i] & words[j]) / len(words[i] | words[j]) >= caption_sets.NEAR_DUPLICATE
    ]


@given(st.lists(st.lists(st.sampled_from("abcdef"), max_size=6).map(" ".join), max_size=12))
def test_near_duplicates_against_slow_twin(lines):
    assert caption_sets.near_duplicates(lines) == slow_near_duplicates(lines)


def test_cards_say_what_guessing_gives_and_what_looks_alike(tmp_path):
    card = caption_sets.card("closed-world")
    assert card == {
        "name": "closed-world",
        "size": 128,
        "sha256": PINNED["closed-world"],
        "chance": 1 / 128,
        "splits": {"held_out": 64, "seen": 64},
        "judges": ["embedded-judge-rn", "embedded-judge-vit"],
        "near_duplicates": [],
    }
    name = written(tmp_path / "own.txt", "a dog on a red sofa", "the red dog on a sofa", "a cat")
    card = caption_sets.card(name)
    assert card["chance"] == 1 / 3
    assert card["near_duplicates"] == [["a dog on a red sofa", "the red dog on a sofa"]]


# Tasks


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
    name = written(tmp_path / "own.txt", "a", "b")
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
    name = written(tmp_path / "own.txt", "A Red chair.", "a blue chair")
    task = CaptionTask(caption=" a red  CHAIR", captions=name)
    assert task.caption == "A Red chair." and task.cluster == "a red chair" and task.name == "a-red-chair"
    assert task == CaptionTask(caption="A Red chair.", captions=name)


@settings(max_examples=40, deadline=None)
@given(st.lists(st.text(max_size=80), min_size=1, max_size=4))
def test_names_are_safe_and_tell_captions_apart(tmp_path_factory, texts):
    known = {caption_sets.normalized(text): " ".join(text.split()) for text in texts}
    lines = [line for said, line in known.items() if said and not line.startswith("#")]
    name = written(tmp_path_factory.getbasetemp() / "names.txt", *lines, "x y z 1", "x y z 2")
    caption_sets._of_file.cache_clear()  # a file written twice within the clock's resolution
    tasks = caption_task.tasks_of(name)
    assert all(re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", task.name) and len(task.name) <= 48 for task in tasks)
    assert len({task.name for task in tasks}) == len({task.cluster for task in tasks}) == len(tasks)


def test_names_end_in_a_hash_where_they_lost_something(tmp_path):
    lines = ["a red chair", "a red-chair", "ä", "word " * 20]
    names = [task.name for task in caption_task.tasks_of(written(tmp_path / "own.txt", *lines))]
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
    one, two = (written(tmp_path / f"{i}.txt", "a pink windmill", "b") for i in "12")
    three = written(tmp_path / "3.txt", "a pink windmill", "c")
    fingerprints = [CaptionTask(caption="a pink windmill", captions=name).fingerprint() for name in (one, two, three)]
    assert fingerprints[0] == fingerprints[1] != fingerprints[2]
    assert (
        CaptionTask(caption="a pink windmill").fingerprint()
        == CaptionTask(caption="a gray glossy hammer").fingerprint()
    )
    monkeypatch.setattr(caption_task, "VIEWS_VERSION", 99)
    assert CaptionTask(caption="a pink windmill", captions=one).fingerprint() != fingerprints[0]


def test_a_worker_needs_no_file(tmp_path):
    task = CaptionTask(caption="b", captions=written(tmp_path / "own.txt", "a", "b"), view_px=8)
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
    for values in seen.intrinsics:
        assert values.shape == (17,) and len(set(values)) == 1 and values.dtype == np.float32


def test_views_are_shared_and_cannot_be_written():
    tasks = [dataclasses.replace(task, view_px=24) for task in caption_task.held_out_tasks(2)]
    one, other = (task.load().test for task in tasks)
    assert one is other
    arrays = [one.poses, one.azimuth_deg, one.elevation_deg, *one.intrinsics]
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
