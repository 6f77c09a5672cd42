"""Retrieval sets stay what they are, and files are read or refused with a reason."""

from __future__ import annotations

import hashlib
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.errors import UsageError
from tasks.captions import caption_sets, caption_task
from tasks.captions.caption_sets import caption_set
from tasks.captions.caption_task import CaptionTask
from tasks.closed_world import grammar
from tasks.closed_world import meanings as meanings_module
from tests.fixtures.caption_files import write_captions

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
    with pytest.raises(UsageError, match=rf"official list, got none .*{place}, .*BENCH_COCO_CAPTIONS"):
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
    name = write_captions(
        tmp_path / "own.txt", "\ufeff# of mine", "", "  A Red chair. ", "\ta blue chair,\r", "#a", "une chaise"
    )
    found = caption_set(name)
    assert found == (name, ("A Red chair.", "a blue chair,", "une chaise"), sha256(*found.captions))
    assert caption_sets.splits(name) == {} and caption_sets.card(name)["splits"] == {}
    assert caption_sets.judges_of(name) == ("openai-vit-b-32",)
    monkeypatch.setenv("HOME", str(tmp_path))
    assert caption_set("file:~/own.txt").sha256 == found.sha256


def test_a_changed_file_is_read_again(tmp_path):
    name = write_captions(tmp_path / "own.txt", "a red chair", "a blue chair")
    first = CaptionTask(caption="a red chair", captions=name)
    write_captions(tmp_path / "own.txt", "a red chair", "a blue chair", "a green chair")
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
            "own.txt: .* got the same in lines 1 and 4 .'a chair'., 5 and 6 .'b'.; remove one",
        ),
        (["a"] * 9, r"1 and 6 \('a'\) and 3 more; remove one of each"),
    ],
)
def test_files_that_are_no_set_are_refused(tmp_path, lines, message):
    with pytest.raises(UsageError, match=message):
        caption_set(write_captions(tmp_path / "own.txt", *lines))


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
    name = write_captions(tmp_path / "own.txt", "a dog on a red sofa", "the red dog on a sofa", "a cat")
    card = caption_sets.card(name)
    assert card["chance"] == 1 / 3
    assert card["near_duplicates"] == [["a dog on a red sofa", "the red dog on a sofa"]]
