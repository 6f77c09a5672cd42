"""Viewers of meshes: one page each that loads nothing, of a model with a camera and a screen's colours."""

from __future__ import annotations

import base64
import io
import json
import re
import struct

import numpy as np
import pytest
import trimesh

from bench.export import mesh_viewer, surface
from bench.storage.record import Outcome, make_record
from bench.storage.store import Store
from bench.suites.suite import TrialSlot
from bench.suites.trial import Trial
from tasks.budgets import BUDGETS
from tests.fixtures.toys import ToyMethod, ToyTask


def ball():
    made = trimesh.creation.icosphere(subdivisions=1)
    made.visual = trimesh.visual.ColorVisuals(made, vertex_colors=np.tile([200, 50, 0, 255], (len(made.vertices), 1)))
    return made


def tree_of(model):
    magic, version, length, num, kind = struct.unpack_from("<4sIIII", model)
    assert (magic, version, length, kind) == (b"glTF", 2, len(model), 0x4E4F534A) and num % 4 == 0
    return json.loads(model[20 : 20 + num])


def test_a_model_gets_a_camera_that_looks_at_the_origin():
    model = mesh_viewer.add_viewer_settings(surface.glb(ball()), half_width=2.0)
    tree = tree_of(model)
    (node,) = (node for node in tree["nodes"] if "camera" in node)
    assert tree["nodes"].index(node) in tree["scenes"][0]["nodes"] and len(tree["cameras"]) == 1
    pose = np.reshape(node["matrix"], (4, 4)).T
    assert pose[:3, :3] @ pose[:3, :3].T == pytest.approx(np.eye(3), abs=1e-5) and np.linalg.det(pose) > 0
    assert pose[:3, 3] == pytest.approx(2.0 * np.asarray(mesh_viewer.EYE))
    assert np.cross(pose[:3, 2], pose[:3, 3]) == pytest.approx(0, abs=1e-4), "it looks along its minus z"


def test_colours_are_those_of_a_screen_and_the_shape_stays():
    plain = surface.glb(ball())
    seen, before = (
        trimesh.load(io.BytesIO(model), file_type="glb").geometry.popitem()[1]
        for model in (mesh_viewer.add_viewer_settings(plain, 1.0), plain)
    )
    assert seen.vertices == pytest.approx(before.vertices) and np.array_equal(seen.faces, before.faces)
    assert 255 * seen.visual.vertex_attributes["color"][0] == pytest.approx((200, 50, 0, 255), abs=0.1)
    assert 255 * before.visual.vertex_attributes["color"][0, 1] < 10, "linear: darker numbers"


def test_the_page_holds_all_that_it_shows():
    model = mesh_viewer.add_viewer_settings(surface.glb(ball()), 1.0)
    text = mesh_viewer.render_viewer(model, "<b>&")
    assert "<title>&lt;b&gt;&amp;</title>" in text and base64.b64encode(model).decode() in text
    assert not re.search(r"""(src|href)\s*=\s*["']?(https?:)?//""", text)
    assert text == mesh_viewer.render_viewer(model, "<b>&")


class Ball(ToyMethod):
    """Solid within a ball, red."""

    def field_at(self, params, state, data, points):
        import jax.numpy as jnp

        inside = jnp.sum(points**2, axis=-1) < 0.5
        return jnp.where(inside, 100.0, 0.0), jnp.broadcast_to(jnp.asarray([0.9, 0.1, 0.1]), points.shape)


class Nothing(ToyMethod):
    """Empty."""

    def field_at(self, params, state, data, points):
        import jax.numpy as jnp

        return jnp.zeros(points.shape[:-1]), jnp.zeros(points.shape)


def test_the_first_objects_with_parameters_and_a_surface(tmp_path):
    kept, trials = Store.open(tmp_path / "results"), {}
    for seed, (method, num) in enumerate([(Nothing(), 1), (Ball(), 0), (Ball(), 1), (Ball(), 1)]):
        trial = Trial(task=ToyTask(), method=method, budget=BUDGETS["smoke"], seed=seed, variant="toy")
        parameters = {"params/mean": np.zeros(3, np.float32), "state/num_seen": np.zeros((), np.int32)} if num else {}
        kept.write(Outcome(record=make_record(trial, status="finished"), parameters=parameters, views={}, scores={}))
        trials[trial.id] = trial
    cells = [TrialSlot("t", "base", trial_id, "<grey>", 0) for trial_id in trials]
    (found,) = mesh_viewer.make_viewers(cells, trials, kept, 1)
    assert found.trial_id == list(trials)[2] and found.about.startswith("mesh of ")
    assert [*found.contents] == [f"objects/{found.trial_id}.html", f"objects/{found.trial_id}.glb"]
    assert b"&lt;grey&gt;" in found.contents[f"objects/{found.trial_id}.html"]
    assert mesh_viewer.make_viewers(cells, trials, kept, 1)[0].contents == found.contents, "the same bytes"
    assert (
        len(mesh_viewer.make_viewers(cells, trials, kept, 5)) == 2
        and mesh_viewer.make_viewers(cells, trials, kept, 0) == ()
    )
