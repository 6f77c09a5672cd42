"""Trials, files and a page are made from a caption. Training is that of a ball, which needs none."""

from __future__ import annotations

import argparse
import dataclasses
import gc
import json
import types

import numpy as np
import pytest

from bench import __main__ as command_line
from bench.cli import export_options
from bench.export import generation, text_to_3d
from bench.storage import record
from bench.training import batch, trainer
from bench.training.progress import Progress
from bench.training.scoring import RenderedPhase, RenderedTrial
from bench.training.sitting import Sitting
from tasks.captions import caption_sets
from tasks.closed_world import grammar
from tests.fixtures.balls import Ball

IN_THE_SET = caption_sets.caption_set("closed-world").captions[0]

MARGINS = {0: 0.01, 1: 0.05, 2: None, 3: -0.02, 4: 0.2}
"""By seed. The third is not judged, the fifth is solid."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class GuidedBall(Ball):
    """A ball that calls itself guided."""

    encoder: str | None = None
    prompt: str = "{}"

    @property
    def encoders(self):
        return (self.encoder,)

    def prepare(self, frozen, task):
        return {}


def outcome(trial, broken=()):
    failed = trial.seed in broken
    margin = MARGINS[trial.seed]
    scores = {
        "view_ids": [0, 1], "field_state": "solid" if trial.seed == 4 else "ok",
        "per_view": {"margin@embedded-judge-rn": [margin, margin], "rprec1@embedded-judge-rn": [1.0, 0.0]},
        "reasons": {} if margin is not None else {"margin@embedded-judge-rn": "render is not finite"},
    }  # fmt: skip
    made = record.make_record(
        trial, status="failed" if failed else "finished", curves={"step": [10.0, 20.0], "loss": [1.0, 0.5]},
        timings={"train_s": 1.5, "wall_s": 2.0}, reason="the loss was not finite at step 7" if failed else None,
    )  # fmt: skip
    views = {"strip": np.ones((2, 4, 4, 3), np.float16), "strip_steps": np.int32([10, 20])}
    return record.Outcome(
        record=made, parameters={"params/radius": np.asarray(0.7, np.float32)}, views=views,
        scores={} if failed else {"std-v1": scores},
    )  # fmt: skip


@pytest.fixture
def balls(monkeypatch):
    """Stands in for Dream Fields and its training; gives what was trained."""
    seen, broken = [], set()

    def train(pack, protocols, report, sitting):
        assert protocols == ("std-v1",) and sitting.scores_beside
        seen.append(pack)
        for step in (0, 10, 11, 20):
            report(Progress("train", step, 20, 0.25))
        outcomes = [outcome(trial, broken) for trial in pack.trials]
        unscored = [dataclasses.replace(each, scores={}) for each in outcomes]
        rendered = [RenderedTrial(trial, None, each) for trial, each in zip(pack.trials, unscored, strict=True)]
        phase = RenderedPhase(tuple(rendered), len(rendered), Progress("score", 20, 20, 0.25))
        return types.SimpleNamespace(phases=[phase], score=lambda report: outcomes)

    monkeypatch.setattr("models.dream_fields.embedded_recipe", lambda budget: ("dream_fields", GuidedBall()))

    def train_at_once(pack, protocols, report):
        return train(pack, protocols, report, Sitting(scores_beside=True)).score(report)

    monkeypatch.setattr(trainer, "train", train_at_once)
    monkeypatch.setattr(trainer, "train_unscored", train)
    monkeypatch.setattr(batch, "load_encoders", lambda method: {})
    return argparse.Namespace(packs=seen, broken=broken)


def run(out, caption, *words):
    sizes = ("--image-px", "16", "--resolution", "16")
    return command_line.main(["generate", caption, "--budget", "smoke", *sizes, "--out", str(out), *words])


class TestTrials:
    def test_seeds_share_a_pack(self, balls, tmp_path):
        assert run(tmp_path, IN_THE_SET, "--seeds", "0-2") == 0
        [pack] = balls.packs
        assert [trial.seed for trial in pack.trials] == [0, 1, 2]
        [task] = {trial.task for trial in pack.trials}
        assert (task.caption, task.captions) == (IN_THE_SET, "closed-world")

    def test_options_reach_the_method(self, balls, tmp_path):
        words = ("--encoder", "embedded-vit-16", "--prompt", "a photo of {}", "--set", "dream_fields.num_steps=7")
        assert run(tmp_path, IN_THE_SET, *words) == 0
        [trial] = balls.packs[0].trials
        assert (trial.method.encoder, trial.method.prompt, trial.method.num_steps) == (
            "embedded-vit-16",
            "a photo of {}",
            7,
        )
        assert trial.variant.startswith("dream_fields+num_steps=7+code=")

    def test_a_caption_of_the_world_that_the_set_has_not(self, tmp_path):
        """It comes first in a set of its own, without those that say the same."""
        said = grammar.paraphrases(grammar.parse(IN_THE_SET))[1]
        name = text_to_3d.retrieval_set(said, tmp_path)
        assert name == f"file:{tmp_path / 'captions.txt'}"
        found, world = caption_sets.caption_set(name).captions, caption_sets.caption_set("closed-world").captions
        assert found[0] == said and IN_THE_SET not in found
        assert found[1:] == world[1:]

    def test_a_caption_from_elsewhere(self, balls, tmp_path, capsys):
        assert run(tmp_path, "a teapot in the shape of an avocado") == 0
        [task] = {trial.task for trial in balls.packs[0].trials}
        assert task.load().place == 0 and len(task.load().captions.captions) == 129
        assert task.load().judges == caption_sets.CLOSED_WORLD_JUDGES  # the guide's world is theirs
        warned = capsys.readouterr().err
        assert (
            "warning: embedded-vit-8 knows the closed world only; caption 'a teapot in the shape of an avoc" in warned
        )
        assert "known: a colour (red, orange, " in warned

    def test_another_guide_knows_more(self, balls, tmp_path):
        caption = "a teapot in the shape of an avocado"
        [trial] = text_to_3d.trials_of(caption, tmp_path, budget="smoke", encoder="openai-vit-b-16")
        assert trial.task.load().judges == caption_sets.OPEN_WORLD_JUDGES
        assert generation.warn_unknown_words(caption, trial) is None

    @pytest.mark.parametrize(
        ("words", "told"),
        [
            ((" . ",), "caption: expected words, got ' . '; say what to make: 'a red metallic chair'"),
            ((IN_THE_SET, "--seeds", "x"), "--seeds: expected numbers and ranges"),
            ((IN_THE_SET, "--set", "dream_field.num_steps=3"), "the nearest is 'dream_fields'"),
            ((IN_THE_SET, "--set", "dream_fields.num_stepz=3"), "the nearest is 'num_steps'"),
        ],
    )
    def test_bad_input(self, balls, tmp_path, capsys, words, told):
        assert run(tmp_path, *words) == 2
        assert told in capsys.readouterr().err and not balls.packs


class TestWhatComesOfIt:
    @pytest.fixture
    def told(self, balls, tmp_path, capsys):
        balls.broken.add(3)
        assert run(tmp_path, IN_THE_SET, "--seeds", "0-4", "--json") == 1  # a seed failed
        return json.loads(capsys.readouterr().out)

    def test_the_judge_orders_them(self, told):
        assert [made["seed"] for made in told["objects"]] == [1, 0, 2, 4, 3]
        assert [made["state"] for made in told["objects"]] == ["ok", "ok", "ok", "solid", "failed"]
        assert told["objects"][0] | {"files": 0, "mesh": 0, "mesh_told": 0, "notes": 0} == {
            "seed": 1, "state": "ok", "margin": 0.05, "rprec1": 0.5, "rprec1@guide": None, "opacity": None,
            "reason": None, "seen_as": {}, "folder": "seed-1", "files": 0, "notes": 0, "mesh": 0, "mesh_told": 0,
        }  # fmt: skip
        assert told["objects"][2]["reason"] == "render is not finite"
        assert told["objects"][4]["reason"] == "the loss was not finite at step 7"

    def test_all_that_is_known(self, told, tmp_path):
        assert told == json.loads((tmp_path / "summary.json").read_text())
        assert (told["caption"], told["guide"], told["judge"]) == (IN_THE_SET, "embedded-vit-8", "embedded-judge-rn")
        assert told["captions"]["size"] == 128 and told["objects"][0]["mesh"]["is_watertight"]
        assert told["seconds"]["train_s"] == 5 * 1.5 and told["seconds"]["turntable_s"] > 0
        assert told["command"] == (
            f"python -m bench generate '{IN_THE_SET}' --budget smoke --seeds 0-4 --image-px 16 --resolution 16"
        )

    def test_the_page_shows_what_there_is(self, told, tmp_path):
        page = (tmp_path / "index.html").read_text()
        assert f"<h1>{IN_THE_SET}</h1>" in page and "failed: the loss was not finite at step 7" in page
        for made in told["objects"]:
            for name in made["files"]:
                assert (tmp_path / made["folder"] / name).is_file()
                assert f"{made['folder']}/{name}" in page
        assert "http" not in page  # it needs no network

    def test_a_file_in_the_way(self, balls, tmp_path, capsys):
        (tmp_path / "out").write_text("")
        assert run(tmp_path / "out", IN_THE_SET) == 2
        assert (
            f"--out {tmp_path / 'out'}: expected a folder, got a file of that name; choose" in capsys.readouterr().err
        )

    def test_lines_for_a_person(self, balls, tmp_path, capsys):
        assert run(tmp_path, IN_THE_SET, "--seeds", "1,4", "--timings") == 0
        printed = capsys.readouterr()
        first, second, *seen, seconds, last = printed.out.splitlines()
        assert all("observers took " in line for line in seen)  # in the quizzes that are kept
        assert seconds.startswith("start ") and "train 3.0, write " in seconds and ", mesh " in seconds
        assert first.startswith("seed 1: judge's margin +0.0500, caption found in 50% of views; mesh of ")
        assert " faces, watertight, surface at a density of 4.33" in first
        assert second.startswith("seed 4: the field is solid; judge's margin +0.2000")
        assert last.endswith(f"; page: {tmp_path / 'index.html'}")
        lines = [f"train {step}/20 loss 0.2500" for step in (0, 10, 20)]
        assert printed.err.splitlines() == [*lines, "write 0/2", "write 1/2"]


def test_a_folder_of_an_earlier_command(balls, tmp_path, monkeypatch, capsys):
    """What is no longer shown is named; a command that is stopped while it writes leaves no page of other objects."""
    assert run(tmp_path, IN_THE_SET, "--seeds", "0-1") == 0
    assert "earlier command" not in capsys.readouterr().out
    assert run(tmp_path, IN_THE_SET) == 0
    assert f"of an earlier command, and not on the page: seed-1 in {tmp_path}" in capsys.readouterr().out

    def stop(*words, **options):
        raise KeyboardInterrupt

    monkeypatch.setattr(generation.object_files, "export_object", stop)
    assert run(tmp_path, IN_THE_SET) == 130
    assert not (tmp_path / "index.html").exists() and not (tmp_path / "summary.json").exists()
    assert "bench: stopped; the same command starts again from the beginning" in capsys.readouterr().err


def test_where_it_lies_if_nobody_says(balls, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(export_options, "OUT", tmp_path)
    words = ["generate", "A red chair, ../ please!", "--budget", "smoke", "--image-px", "8", "--resolution", "8"]
    assert command_line.main(words) == 0
    assert (tmp_path / "a-red-chair-please" / "seed-0" / "views.png").is_file()


def test_garbage_is_collected_again_after_a_mistake(balls, tmp_path, monkeypatch):
    looked = []
    monkeypatch.setattr(text_to_3d, "trials_of", lambda *words, **options: looked.append(gc.isenabled()) or [][0])
    with pytest.raises(IndexError):
        run(tmp_path, IN_THE_SET)
    assert looked == [False] and gc.isenabled()


def test_a_person_s_caption_is_escaped(balls, tmp_path, capsys):
    assert run(tmp_path, "a red chair <script>") == 0
    assert "<script>" not in (tmp_path / "index.html").read_text()


@pytest.mark.slow
def test_the_real_thing(tmp_path, capsys):
    assert run(tmp_path, "a red metallic chair", "--seeds", "0-1", "--json") == 0
    printed = capsys.readouterr()
    told = json.loads(printed.out)
    assert [made["state"] for made in told["objects"]] == ["ok", "ok"] and "train 20/20 loss" in printed.err
    margins = [made["margin"] for made in told["objects"]]
    assert margins == sorted(margins, reverse=True)
    for made in told["objects"]:
        written = {path.name for path in (tmp_path / made["folder"]).iterdir()}
        assert written == set(made["files"]) >= {"strip.png", "curves.png", "object.glb"}
    curves = (tmp_path / "seed-0" / "curves.csv").read_text().splitlines()
    assert {"loss", "negative_cosine", "transmittance"} <= set(curves[0].split(","))
    # Too many words for the guide: its own message.
    assert run(tmp_path, "a red chair " * 40) == 2
    assert "expected at most 21 tokens with start and end, got 122; shorten it" in capsys.readouterr().err
