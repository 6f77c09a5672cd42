"""Names and numbers that the command line keeps apart, so that it needs no heavy import, are those of the rooms."""

import typing

from bench.cli import export_scenes, import_, scene
from bench.metrics import protocol_names
from bench.metrics.task_kinds import all_kinds
from bench.suites.builtin import sparse_views
from tasks.scenes.scene_names import SCENE_NAMES
from tasks.scenes.scenes import SCENES
from tasks.sparse_views import scene_views
from tasks.sparse_views.view_selection import choose_training_views
from tasks.task import World


def test_protocols():
    known = {name for kind in all_kinds() for name in kind.protocols}
    assert set(protocol_names.NAMES) == known


def test_scenes():
    assert tuple(SCENES) == SCENE_NAMES


def test_splits():
    assert set(export_scenes.SPLITS) == set(typing.get_args(scene_views.Split))


def test_photographs_that_an_imported_method_may_see():
    first = choose_training_views(len(import_.FIRST_VIEWS), 0, scene_views.NUM_POSES["train"])
    assert first == import_.FIRST_VIEWS
    assert import_.NUM_VIEWS == sparse_views.NUM_VIEWS


def test_what_lies_around_a_scene():
    assert typing.get_args(World) == scene.WORLDS
