"""The page of `generate` shows every seed, with the files that were written, and runs nothing."""

from __future__ import annotations

import pytest

from bench.export.generation_page import describe_seed, render_generation_page

CAPTION = "a <red> kite"


def seed(number, **changes):
    usual = {
        "seed": number,
        "state": "ok",
        "margin": 0.0123,
        "rprec1": 0.5,
        "reason": None,
        "seen_as": {},
        "folder": f"seed-{number}",
        "files": ["turntable.mp4", "views.png", "mesh.glb"],
        "notes": ["mesh of 3 triangles", "no texture"],
        "mesh_told": "mesh of 3 triangles",
    }
    return usual | changes


FAILED = seed(1, state="failed", margin=None, reason="not <i>finite</i>", files=[], notes=[], mesh_told=None)


@pytest.fixture
def summary():
    return {
        "caption": CAPTION,
        "prompt": f"a photo of {CAPTION}",
        "guide": "embedded-vit-8",
        "judge": "embedded-judge-rn",
        "people": ["observers took 3 views of a kite for: hat (3)"],
        "captions": {"name": "captions.txt", "size": 12},
        "budget": "quick",
        "num_steps": 40,
        "device": "cpu",
        "num_devices": 1,
        "seconds": {"wall_s": 12.0, "train_s": 3.25},
        "command": f"python -m bench generate '{CAPTION}'",
        "objects": [seed(0), seed(2, files=["turntable.webp"]), FAILED],
    }


def test_a_seed_is_described():
    assert describe_seed(seed(0)) == [
        "judge's margin +0.0123, caption found in 50% of views",
        "mesh of 3 triangles",
        "no texture",
    ]
    assert describe_seed(FAILED) == ["failed: not <i>finite</i>"]
    _, seen, *_ = describe_seed(seed(0, seen_as={"chair": 12, "sofa": 4}))
    assert seen == "seen without its caption as chair in 12 of 16 views, sofa in 4"
    first, second, *_ = describe_seed(seed(0, state="empty", margin=None, reason="nothing to see"))
    assert "empty" in first and "nothing to see" in second


def test_what_people_took_such_objects_for_is_told(summary):
    page = render_generation_page(summary)
    assert "Earlier objects of its kind, of several recipes: observers took 3 views of a kite for: hat (3)." in page


def test_every_seed_has_its_files_and_no_more(summary):
    page = render_generation_page(summary)
    assert page.count("<h2>Seed ") == 3
    assert '<video src="seed-0/turntable.mp4"' in page and '<img src="seed-2/turntable.webp"' in page
    assert 'href="seed-0/mesh.glb">mesh.glb</a>' in page and 'src="seed-0/views.png"' in page
    assert "seed-1/" not in page and "strip.png" not in page
    assert "<dt>train</dt><dd>3.2 s</dd>" in page


def test_names_stay_text(summary):
    page = render_generation_page(summary)
    assert "<red>" not in page and "<i>finite" not in page and "<script" not in page
    assert "<h1>a &lt;red&gt; kite</h1>" in page and "not &lt;i&gt;finite" in page


def test_a_prompt_is_said_where_it_is_not_the_caption(summary):
    assert "read as" in render_generation_page(summary)
    assert "read as" not in render_generation_page(summary | {"prompt": CAPTION})
