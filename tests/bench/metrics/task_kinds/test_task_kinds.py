"""Kinds of tasks: each task finds its own, each protocol its own definition; and a third kind is one value."""

from __future__ import annotations

import argparse
import dataclasses
import sys
import types

import numpy as np
import pandas as pd
import pytest

from bench.analysis.paired_comparison import compare
from bench.cli import check
from bench.errors import UsageError
from bench.metrics import task_kinds
from bench.metrics.protocols import Protocol
from bench.metrics.scores import Scores
from bench.metrics.task_kinds import all_kinds, kind_named, kind_of, kind_of_method, protocols_named
from bench.metrics.task_kinds.interface import TaskKind
from bench.plugins import check_method
from bench.report.page import provenance
from bench.report.tables import grids
from bench.suites.suite import Arm, Table, TrialSlot
from bench.training import scoring
from models.dietnerf import DietNeRF
from models.dream_fields import DreamFields
from models.nerf import NeRF
from tasks.captions import caption_task
from tasks.captions.caption_task import CaptionTask
from tasks.sparse_views.embedded import SparseViews
from tasks.task import DataShapes
from tests.fixtures.toys import ToyMethod, ToyTask

CAPTION = CaptionTask(caption="a blue dotted guitar", view_px=8)


@pytest.mark.parametrize(("value", "noun"), [
    (ToyTask(image_px=4), "scene"),
    (ToyTask(image_px=4).load(), "scene"),
    (SparseViews(scene="kettle", num_views=3), "scene"),
    (CAPTION, "caption"),
    (CAPTION.load(), "caption"),
])  # fmt: skip
def test_tasks_and_their_arrays_are_of_a_kind(value, noun):
    assert kind_of(value) is kind_named(noun)


def test_what_is_no_task_is_refused():
    with pytest.raises(UsageError, match="starts from photographs or captions, got int"):
        kind_of(7)
    with pytest.raises(UsageError, match="expected one of scene, caption, got 'scenes'"):
        kind_named("scenes")


@pytest.mark.parametrize(("method", "noun"), [(NeRF(), "scene"), (DietNeRF(), "scene"), (DreamFields(), "caption")])
def test_methods_start_from_a_kind(method, noun):
    assert kind_of_method(method) is kind_named(noun)


def test_of_another_method_nothing_is_known():
    assert kind_of_method(ToyMethod()) is None


def test_one_name_is_a_definition_of_each_kind():
    photos, captions = (kind_named(noun).protocol("std-v1") for noun in ("scene", "caption"))
    assert photos.has_metric("psnr") and not photos.has_metric("opacity")
    assert captions.has_metric("opacity") and not captions.has_metric("psnr")
    assert protocols_named("std-v1") == (photos, captions)
    assert protocols_named("nerf-2020") == (kind_named("scene").protocol("nerf-2020"),)


@pytest.mark.parametrize(("noun", "name"), [("scene", "dreamfields-2022"), ("caption", "nerf-2020")])
def test_a_protocol_of_another_kind_is_refused(noun, name):
    with pytest.raises(
        UsageError, match=f"protocol: expected one of {kind_named(noun).start} .*std-v1.*, got {name!r}"
    ):
        kind_named(noun).protocol(name)


def test_unknown_protocols_name_the_nearest():
    with pytest.raises(UsageError, match="protocol: expected a known name, got 'std-v2'; the nearest is 'std-v1'"):
        protocols_named("std-v2")


def test_every_kind_stands_under_its_noun_and_every_protocol_under_its_name():
    assert [kind.noun for kind in all_kinds()] == list(task_kinds.KINDS)
    for kind in all_kinds():
        assert all(name == protocol.name for name, protocol in kind.protocols.items())
        assert isinstance(kind.example_task(), kind.types)


@pytest.mark.parametrize("kind", all_kinds(), ids=lambda kind: kind.noun)
def test_a_protocol_has_the_metrics_that_it_names(kind):
    for protocol in kind.protocols.values():
        assert all(protocol.has_metric(metric) for metric in protocol.metric_names())
        for metric in ("rprec1@nobody", "rprec1", "rprec1@", "cosine@guide", "psnr@guide", "lpips"):
            assert not protocol.has_metric(metric)


def test_metrics_of_captions_may_be_by_any_encoder_that_can_be_had():
    std, paper = (kind_named("caption").protocol(name) for name in ("std-v1", "dreamfields-2022"))
    assert std.has_metric("rprec5@open_clip:ViT-B-32/a.safetensors")
    assert paper.has_metric("nll@openai-vit-b-32") and not std.has_metric("nll@openai-vit-b-32")


# --- a third kind -----------------------------------------------------------------------------------------------


@dataclasses.dataclass(frozen=True, kw_only=True)
class SketchTask:
    """Starts from a drawing."""

    drawing: str
    view_px: int | None = 4
    num_views = 0

    @property
    def name(self):
        return self.drawing

    @property
    def cluster(self):
        return self.drawing

    def layout(self):
        return DataShapes(0, 3, self.view_px, self.view_px)

    def fingerprint(self):
        return "sketch"

    def load(self):
        return SketchData(test=caption_task.views(4), near=1.0, far=2.0, pixel_center=0.5)


@dataclasses.dataclass(frozen=True)
class SketchData:
    test: caption_task.CaptionViews
    near: float
    far: float
    pixel_center: float


@dataclasses.dataclass(frozen=True, kw_only=True)
class SketchProtocol(Protocol):
    """Mean opacity of every view."""

    def has_metric(self, metric):
        return metric == "opacity"

    def metric_names(self):
        return ("opacity",)

    def can_score(self, view_ids):
        return True

    def crash_score(self, metric):
        return None

    def score(self, data, views, guides=(), load_encoder=None):
        values = [float(x) for x in views["opacity"].astype(np.float32).mean(axis=(1, 2))]
        return Scores(protocol=self.name, version=self.version, view_ids=data.test.ids, per_view={"opacity": values},
                      reasons={}, context={})  # fmt: skip


class SketchKind(TaskKind):
    def example_task(self, cluster=""):
        return SketchTask(drawing=cluster or "cat")

    def folder_name(self, task):
        return task.drawing

    def needed_view_ids(self, data):
        return data.test.ids

    def background(self, task):
        return 1.0

    def photographs(self, data):
        return None

    def frame_labels(self, data):
        return {}

    def retrieval_set(self, task):
        return None

    def check_scorers(self):
        pass

    def guide_warning(self, task, encoders):
        return None


class SketchMethod(ToyMethod):
    """Starts from a drawing."""


@pytest.fixture
def sketches(monkeypatch):
    """A module with a kind, and its line in the table: all that a new kind takes."""
    module = types.ModuleType("a_kind_of_sketches")
    module.SKETCHES = SketchKind(
        noun="sketch", start="sketches", types=(SketchTask, SketchData), method_type=SketchMethod,
        protocols={"std-v1": SketchProtocol(name="std-v1", version="1.0", about="mean opacity")},
        recipes=("sketch", "sketch"), size_field="view_px", has_photographs=False, needs_opacity=True,
        has_many_clusters=True,
    )  # fmt: skip
    monkeypatch.setitem(sys.modules, module.__name__, module)
    monkeypatch.setitem(task_kinds.KINDS, "sketch", "a_kind_of_sketches:SKETCHES")
    return module.SKETCHES


def sketch_table(**changes):
    tasks = tuple(SketchTask(drawing=name) for name in ("ant", "bee", "cat", "dog", "eel", "fox"))
    arms = {"Base": Arm(method=SketchMethod(), variant="base")}
    table = {"name": "t", "question": "?", "tasks": tasks, "baseline": "Base", "arms": arms, "protocol": "std-v1"}
    return Table(**({**table, "metrics": ("opacity",)} | changes))


def test_a_third_kind_has_its_tasks_methods_and_tables(sketches):
    task = SketchTask(drawing="cat")
    assert kind_of(task) is kind_of(task.load()) is kind_of_method(SketchMethod()) is sketches
    assert kind_of(CAPTION).noun == "caption" and kind_of(ToyTask(image_px=4)).noun == "scene"
    assert sketch_table().metrics == ("opacity",)
    with pytest.raises(UsageError, match="expected metrics of std-v1, got 'psnr'; .*opacity"):
        sketch_table(metrics=("psnr",))
    with pytest.raises(UsageError, match="photographs or captions or sketches, got int"):
        kind_of(7)


def test_a_third_kind_is_scored(sketches):
    views = {"color": np.zeros((17, 4, 4, 3), np.float16), "opacity": np.full((17, 4, 4), 0.5, np.float16)}
    views["ids"] = np.arange(17, dtype=np.int32)
    found = scoring.score_views(SketchTask(drawing="cat").load(), views, ("std-v1", "nerf-2020"))
    assert list(found) == ["std-v1"]
    assert found["std-v1"]["per_view"] == {"opacity": [0.5] * 17}


def test_check_tries_a_method_on_a_third_kind(sketches):
    parser = argparse.ArgumentParser()
    check.add_arguments(parser)
    assert parser.parse_args(["nerf", "--sketch", "dog"]).sketch == "dog"
    assert check_method.choose_task(SketchMethod(), {"sketch": "dog"}) == SketchTask(drawing="dog")
    assert check_method.choose_task(SketchMethod(), {}) == SketchTask(drawing="cat")
    with pytest.raises(UsageError, match="--scene: expected none where a method starts from a sketch, got 'kettle'"):
        check_method.choose_task(SketchMethod(), {"scene": "kettle"})


def test_a_third_kind_is_compared_and_reported(sketches):
    cells = [TrialSlot("t", arm, f"{arm}-{i}", name, 0) for arm in ("a", "b") for i, name in enumerate("uvwxyz")]
    frame = pd.DataFrame({"trial_id": [cell.trial_id for cell in cells], "value": np.linspace(0, 1, 12)})
    frame = frame.assign(view=0, status="finished", protocol="std-v1", metric="opacity", reason=None, budget="quick")
    frame = frame.assign(num_steps=1, wall_s=1.0)
    result = compare(frame, cells, table="t", baseline="a", protocol="std-v1", metrics=["opacity"])
    result = result.with_text(cluster_noun="sketch")
    assert grids.cluster_grid(result, "opacity").header[0] == "sketch"
    assert ("protocol of sketches", "std-v1 1.0: mean opacity") in provenance.protocol_rows([result])
