"""The mesh of a ball is the ball, with its colours, in memory and in files."""

from __future__ import annotations

import dataclasses
import json
import struct

import jax.numpy as jnp
import numpy as np
import pytest
import trimesh

from bench.export import mesh, surface
from tests.fixtures.balls import RADIUS, Ball, ball


def linear(color):
    return np.where(color <= 0.04045, color / 12.92, ((color + 0.055) / 1.055) ** 2.4)


class TestMesh:
    def test_is_the_ball(self):
        found = mesh.mesh(ball(), resolution=48)
        made, cell = found.mesh, 2.4 / 47
        assert found.is_watertight and made.is_winding_consistent and found.reason is None
        assert found.level == pytest.approx(np.log(2) / cell)
        distances = np.linalg.norm(made.vertices, axis=-1)
        # Half of the light is stopped a little outside of 0.7, where density has half its height.
        assert np.abs(distances - RADIUS).max() < cell
        assert distances.std() < cell / 4  # and it is round
        assert made.volume > 0  # outsides are outside
        assert made.volume == pytest.approx(4 / 3 * np.pi * distances.mean() ** 3, rel=0.01)
        assert found.share_inside == pytest.approx(made.volume / 2.4**3, rel=0.1)

    def test_colors_are_the_fields_at_the_vertices(self):
        made = mesh.mesh(ball(), resolution=32).mesh
        expected = Ball.color(jnp.asarray(made.vertices, jnp.float32))
        np.testing.assert_allclose(made.visual.vertex_colors[:, :3] / 255, expected, atol=0.02)

    def test_colors_are_those_one_sees(self):
        """A hard white skin shows; the white mist round a soft red ball does not."""

        @dataclasses.dataclass(frozen=True, kw_only=True)
        class Skin(Ball):
            def field_at(self, params, state, data, points):
                density, _ = super().field_at(params, state, data, points)
                red = jnp.linalg.norm(points, axis=-1, keepdims=True) < 0.66
                return density, jnp.where(red, jnp.asarray([1.0, 0, 0]), jnp.ones(3))

        for density, low, high in ((400.0, 0.95, 1.0), (5.0, 0.0, 0.3)):
            made = mesh.mesh(ball()._replace(method=Skin(density=density)), resolution=64).mesh
            assert low <= made.visual.vertex_colors[:, 1].mean() / 255 <= high

    def test_level_moves_the_surface(self):
        near, far = (mesh.mesh(ball(), resolution=48, level=level).mesh.volume for level in (390.0, 10.0))
        assert near < far

    def test_what_reaches_the_border_is_closed(self):
        found = mesh.mesh(ball(), resolution=24, half_width=0.4)
        assert found.is_watertight and found.share_inside == 1
        np.testing.assert_allclose(found.mesh.extents, 0.8, atol=0.8 / 23 * 1.1)

    def test_small_parts_are_dropped_and_counted(self):
        found = mesh.mesh(ball(specks=True), resolution=64)
        assert found.num_dropped == 2 and len(found.mesh.split()) == 1 and found.is_watertight
        assert mesh.mesh(ball(), resolution=64).num_dropped == 0

    def test_a_soft_field_has_a_surface_too(self):
        found = mesh.mesh(ball(density=5.0), resolution=32)
        assert found.level == pytest.approx(2.5) and found.is_watertight
        np.testing.assert_allclose(np.linalg.norm(found.mesh.vertices, axis=-1), RADIUS, atol=2.4 / 31)

    def test_nothing_at_all(self):
        found = mesh.mesh(ball(density=0.3), resolution=16)  # 0.3 * 1.4 < log(2)
        assert found.mesh is None and not found.is_watertight and found.level is None
        assert found.reason == (
            "expected a field that stops half of the light somewhere, got one that is empty or thin fog "
            "(density 0.3 at most); train longer, or give a level"
        )
        assert json.loads(json.dumps(found.to_json(), allow_nan=False))["share_inside"] == 0
        assert mesh.mesh(ball(density=0.3), resolution=16, level=0.15).is_watertight

    def test_a_level_that_is_too_high(self):
        found = mesh.mesh(ball(density=5.0), resolution=16, level=7.0)
        assert found.reason == "expected a density above 7 somewhere, got 5 at most; give a lower level"


@pytest.fixture(scope="module")
def made():
    return mesh.mesh(ball(), resolution=24).mesh


class TestFiles:
    @pytest.mark.parametrize("name", ["object.glb", "object.obj", "object.ply"])
    def test_meshes_come_back(self, made, tmp_path, name):
        assert name in surface.write_mesh(tmp_path, made)
        skip = {"skip_materials": True} if name.endswith("glb") else {}  # trimesh has a material or colours, not both
        read = trimesh.load(tmp_path / name, force="mesh", process=False, **skip)
        y_up = np.float32([[1, 0, 0], [0, 0, 1], [0, -1, 0]])
        vertices = made.vertices if name.endswith("ply") else made.vertices @ y_up.T
        np.testing.assert_allclose(read.vertices, vertices, atol=1e-6)
        np.testing.assert_array_equal(read.faces, made.faces)
        colors = made.visual.vertex_colors[:, :3] / 255
        expected = linear(colors) if name.endswith("glb") else colors
        np.testing.assert_allclose(read.visual.vertex_colors[:, :3] / 255, expected, atol=0.5 / 255 + 1e-6)
        assert read.is_watertight and read.volume > 0

    def test_a_glb_is_as_its_specification_has_it(self, made, tmp_path):
        surface.write_mesh(tmp_path, made)
        content = (tmp_path / "object.glb").read_bytes()
        magic, version, length, num_json, kind = struct.unpack("<4sIII4s", content[:20])
        assert (magic, version, length, kind) == (b"glTF", 2, len(content), b"JSON")
        tree = json.loads(content[20 : 20 + num_json])
        [drawn] = tree["meshes"][0]["primitives"]
        assert set(drawn["attributes"]) == {"POSITION", "NORMAL", "COLOR_0"}
        color = tree["accessors"][drawn["attributes"]["COLOR_0"]]
        assert (color["componentType"], color["type"], color["count"]) == (5126, "VEC4", len(made.vertices))
        assert tree["materials"][drawn["material"]]["pbrMetallicRoughness"]["metallicFactor"] == 0


def slow_surface_level(density, cell):
    """Half of the median density at which lines along the axes, from all sides, have lost half of their light."""
    seen = []
    for axis in range(3):
        for turned in (np.moveaxis(density, axis, 0), np.moveaxis(density, axis, 0)[::-1]):
            for place in np.ndindex(turned.shape[1:]):
                depth = 0.0
                for value in turned[(slice(None), *place)]:
                    depth += float(value)
                    if depth * cell >= np.log(2):
                        seen.append(value)
                        break
    return min(np.log(2) / cell, float(np.median(seen)) / 2) if seen else np.inf


@pytest.mark.parametrize("scale", [0.0, 0.3, 1.0, 30.0])  # no line stops half of the light, few, many, all
def test_surface_level_matches_the_slow_twin(scale):
    density = scale * np.random.default_rng(0).exponential(size=(5, 6, 7)).astype(np.float32) ** 2
    assert surface.surface_level(density, cell=0.1) == slow_surface_level(density, cell=0.1)
